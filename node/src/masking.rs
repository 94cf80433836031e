//! What masks on this node: one masker, exchanged whole when the cluster's policy changes.
//!
//! A request takes the masker that is current when it is prepared. That this may be an old one is found
//! out by the shard that is to store it; nothing here decides what is accepted.

use std::sync::Arc;

use hushlog_pii::{Key, Masker, Policy, Questions, Refusal};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::metrics::{Kind, Registry};

/// The node's masker. Shared by all that mask.
pub struct Masking {
    key: Key,
    current: watch::Sender<Arc<Masker>>,
    /// What questions are hashed with, with the policy's epoch.
    questions: Mutex<(u64, Asked)>,
    /// The newest policy that could not be used, and why.
    unusable: Mutex<Option<(u64, String)>>,
}

/// What questions are hashed with.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Nothing where nothing hashes.
    pub by: Option<Arc<Questions>>,
    /// Whether it has all rules that hash or have hashed. Without some, answers are partial.
    pub is_whole: bool,
}

impl Asked {
    fn of(policy: &Policy, key: &Key) -> Self {
        let epoch = policy.epoch;
        Self::or(Questions::of(policy, key), epoch, || {
            Questions::of_detectors(policy, key)
        })
    }

    /// All rules, or else those of the detectors.
    fn or(
        all: Result<Option<Questions>, Refusal>,
        epoch: u64,
        detectors: impl FnOnce() -> Option<Questions>,
    ) -> Self {
        let is_whole = all.is_ok();
        let by = all.unwrap_or_else(|refusal| {
            tracing::error!(%refusal, epoch, "questions do not find what patterns have hashed");
            detectors()
        });
        Self {
            by: by.map(Arc::new),
            is_whole,
        }
    }
}

impl Masking {
    /// By the policy that every cluster begins with.
    pub fn new(key: Key) -> Self {
        let masker = Masker::new(Policy::default(), key.clone());
        let questions = Asked::of(masker.policy(), &key);
        Self {
            key,
            questions: Mutex::new((masker.epoch(), questions)),
            current: watch::Sender::new(Arc::new(masker)),
            unusable: Mutex::new(None),
        }
    }

    /// The masker to use now.
    pub fn current(&self) -> Arc<Masker> {
        Arc::clone(&self.current.borrow())
    }

    /// What questions for clear values are hashed with, by the policy that is in use here or a later one.
    pub fn questions(&self) -> Asked {
        self.questions.lock().1.clone()
    }

    /// Shows how often each rule has found something on this node.
    pub fn show(self: &Arc<Self>, registry: &Registry) {
        let masking = Arc::clone(self);
        let help = "What rules have found in records: masked, or only observed.";
        registry.readings(
            "hushlog_pii_findings_total",
            Kind::Counter,
            help,
            move |take| {
                for count in masking.current().counts() {
                    for (mode, number) in [("mask", count.masked), ("observe", count.observed)] {
                        if number > 0 {
                            // Exact up to 2^53.
                            take(
                                &[("rule", count.name.as_str()), ("mode", mode)],
                                number as f64,
                            );
                        }
                    }
                }
            },
        );
    }

    /// Version of the policy that is in use here.
    pub fn epoch(&self) -> u64 {
        self.current.borrow().epoch()
    }

    /// Waits until a policy of this epoch, or a later one, is in use here.
    pub async fn at_least(&self, epoch: u64) {
        let mut current = self.current.subscribe();
        // The sender lives as long as `self`.
        drop(current.wait_for(|masker| masker.epoch() >= epoch).await);
    }

    /// Whether a policy of this epoch is news, and has not been found unusable.
    pub fn lacks(&self, epoch: u64) -> bool {
        let tried = self.unusable.lock().as_ref().map_or(0, |(tried, _)| *tried);
        epoch > self.epoch().max(tried)
    }

    /// Compiles a stored policy and uses it from now on, unless a later one is in use. CPU work.
    ///
    /// # Errors
    /// When this release cannot use it; then the node goes on with the one that it has, which the shards
    /// do not take any more.
    pub fn adopt(&self, epoch: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let policy = if bytes.is_empty() {
            Ok(Policy::default())
        } else {
            Policy::from_bytes(bytes)
        };
        match policy {
            Ok(mut policy) => {
                policy.epoch = epoch;
                // Questions first: whoever sees the policy hashes what it is asked for by it.
                let questions = Asked::of(&policy, &self.key);
                {
                    let mut known = self.questions.lock();
                    if known.0 < epoch {
                        *known = (epoch, questions);
                    }
                }
                let before = self.current();
                let masker = Masker::succeeding(&before, policy, self.key.clone());
                let masker = Arc::new(masker);
                self.current.send_if_modified(|current| {
                    let newer = masker.epoch() > current.epoch();
                    if newer {
                        *current = masker;
                    }
                    newer
                });
                Ok(())
            }
            Err(refusal) => {
                *self.unusable.lock() = Some((epoch, refusal.to_string()));
                Err(refusal)
            }
        }
    }

    /// Why the newest policy that was seen is not in use, if it is not.
    pub fn unusable(&self) -> Option<String> {
        let unusable = self.unusable.lock();
        let (epoch, why) = unusable.as_ref()?;
        (*epoch > self.epoch()).then(|| format!("policy {epoch} cannot be used here: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use hushlog_pii::{Detector, Pattern, Strategy};

    use super::*;

    fn policy(epoch: u64, pattern: &str) -> Vec<u8> {
        let patterns = vec![Pattern::new("badge", pattern)];
        let mut policy = Policy::default().with_patterns(patterns).unwrap();
        policy.epoch = epoch;
        policy.to_bytes()
    }

    #[test]
    fn where_patterns_cannot_be_asked_for_detectors_still_are_and_answers_are_partial() {
        let key = Key::new([1; 32]);
        let policy = Policy::default().with(Detector::Email, Strategy::Hash);
        let stored = Masker::new(policy.clone(), key.clone())
            .mask_text("zoe@example.org")
            .masked
            .into_owned();
        let refused = Policy::default().with_patterns(vec![Pattern::new("bad", "(")]);
        let refused = Err(refused.unwrap_err());
        for (all, is_whole) in [(Questions::of(&policy, &key), true), (refused, false)] {
            let asked = Asked::or(all, 1, || Questions::of_detectors(&policy, &key));
            assert_eq!(asked.is_whole, is_whole);
            let hashes = asked.by.unwrap().hashes(None, "zoe@example.org");
            assert_eq!(hashes, [stored.as_str()]);
        }
        assert!(Masking::new(key).questions().is_whole);
    }

    #[tokio::test]
    async fn it_goes_forward_only_and_says_what_it_cannot_use() {
        let masking = Masking::new(Key::new([1; 32]));
        assert_eq!(masking.epoch(), 1);
        masking.adopt(3, &policy(3, "B-[0-9]+")).unwrap();
        masking.adopt(2, &policy(2, "C-[0-9]+")).unwrap();
        masking.at_least(3).await;
        let masked = |text| masking.current().mask_text(text).masked.into_owned();
        assert_eq!(masked("B-1 C-1"), "[BADGE] C-1");
        assert!(masking.lacks(4) && !masking.lacks(3));
        assert!(masking.adopt(4, b"{}").is_err());
        assert!(!masking.lacks(4), "it is not tried again and again");
        let why = masking.unusable().unwrap();
        assert!(why.starts_with("policy 4 "), "{why}");
        masking.adopt(5, &policy(5, "C-[0-9]+")).unwrap();
        assert_eq!(
            (masked("B-1 C-1"), masking.unusable()),
            ("B-1 [BADGE]".into(), None)
        );
    }
}
