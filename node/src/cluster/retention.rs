//! What the rules of retention mean at a moment: which rows are hidden, and which buckets are over.
//!
//! It hides nothing and drops nothing itself; see `hushlog_query::Floors` and `dropper`.

use std::sync::Arc;
use std::time::Duration;

use hushlog_query::Floors;
use hushlog_raft::meta::{self, RetentionRule};
use hushlog_raft::{ProposeError, ReadError};
use hushlog_record::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Cluster;
use crate::error::{Failure, Kind};

/// How much younger than the close of its bucket a record can be that is not from the future.
pub(super) const LATE_MAX: Duration = Duration::from_secs(3_600);

/// How long records are kept, by the rules that hold and by this node's configuration.
#[derive(Clone, Debug)]
pub struct Periods {
    facts: Arc<meta::State>,
    configured: Duration,
}

/// Who says how long the records of a service are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A rule for exactly this.
    Rule,
    /// The rule for all services without their own.
    Default,
    /// The configuration.
    Configuration,
}

impl Source {
    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Default => "default",
            Self::Configuration => "configuration",
        }
    }
}

impl Periods {
    /// What these facts say; where they say nothing, `configured`.
    pub fn new(facts: Arc<meta::State>, configured: Duration) -> Self {
        Self { facts, configured }
    }

    /// Of services without a rule of their own.
    pub fn by_default(&self) -> (Duration, Source) {
        match self.facts.retention.default {
            Some(period) => (period, Source::Rule),
            None => (self.configured, Source::Configuration),
        }
    }

    /// Of one service.
    pub fn of(&self, service: &str) -> (Duration, Source) {
        let own = self.facts.retention.services.get(service);
        match (own, self.facts.retention.default) {
            (Some(period), _) => (*period, Source::Rule),
            (None, Some(period)) => (period, Source::Default),
            (None, None) => (self.configured, Source::Configuration),
        }
    }

    /// The services with a rule of their own, and how long their records are kept.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Duration)> {
        let services = self.facts.retention.services.iter();
        services.map(|(name, period)| (name.as_str(), *period))
    }

    /// The longest time that anybody's records are kept.
    pub fn longest(&self) -> Duration {
        let rules = self.rules().map(|(_, period)| period);
        rules.fold(self.by_default().0, Duration::max)
    }

    /// The shortest time that anybody's records are kept.
    pub(super) fn shortest(&self) -> Duration {
        let rules = self.rules().map(|(_, period)| period);
        rules.fold(self.by_default().0, Duration::min)
    }

    /// The facts that these are of.
    pub(super) fn facts(&self) -> &meta::State {
        &self.facts
    }

    /// How often a rule was changed.
    pub(crate) fn revision(&self) -> u64 {
        self.facts.retention.revision
    }

    /// The oldest event times that readers see now.
    pub(crate) fn floors(&self, now: Timestamp) -> Floors {
        let rules = self.rules();
        Floors::new(
            before(now, self.by_default().0),
            rules.map(|(name, period)| (name.to_owned(), before(now, period))),
        )
    }

    /// When the records of a bucket are over, however long they are kept; `None` while it is open.
    fn over_at(&self, bucket: &meta::Bucket) -> Option<Timestamp> {
        let last = self.last_of(bucket)?;
        Some(last.saturating_add(nanos(self.longest())))
    }

    /// The end of a bucket's records; `None` while it is open. Its shards hear late that it has closed, so the
    /// youngest record may be younger than that; one that is much younger says that it is from the future, and does
    /// not count.
    pub(super) fn last_of(&self, bucket: &meta::Bucket) -> Option<Timestamp> {
        let closed_at = bucket.closed_at?;
        let shards = bucket.shards();
        let seals = shards.filter_map(|(shard, _)| self.facts.sealed.get(&shard));
        let youngest = seals.filter_map(|seal| Some(seal.time_bounds()?.1)).max();
        let youngest = youngest.map(|at| at.min(closed_at.saturating_add(nanos(LATE_MAX))));
        Some(youngest.map_or(closed_at, |at| at.max(closed_at)))
    }

    /// The buckets that are to be dropped, oldest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        let buckets = self.facts.buckets.values();
        let due = buckets.filter(move |bucket| {
            let is_over = self.over_at(bucket).is_some_and(|at| at <= now);
            is_over && self.facts.may_be_dropped(bucket)
        });
        due.map(|bucket| bucket.bucket)
    }

    /// The buckets for people: when each was open, and from when on it is dropped.
    pub(crate) fn describe_buckets(&self) -> Vec<Value> {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let buckets = self.facts.buckets.values();
        buckets
            .map(|bucket| {
                json!({
                    "bucket": bucket.bucket,
                    "opened_at": bucket.opened_at.to_string(),
                    "closed_at": text(bucket.closed_at),
                    "expires_at": text(self.over_at(bucket)),
                })
            })
            .collect()
    }
}

pub(super) fn nanos(period: Duration) -> i64 {
    i64::try_from(period.as_nanos()).unwrap_or(i64::MAX)
}

fn before(now: Timestamp, period: Duration) -> Timestamp {
    now.saturating_add(-nanos(period))
}

impl Cluster {
    /// How long records are kept, as far as this node knows.
    pub(crate) fn periods(&self) -> Periods {
        Periods::new(self.meta().state(), self.settings().retention)
    }

    /// The same, with every change that was acknowledged before.
    ///
    /// # Errors
    /// When the meta group has no leader in time.
    pub(crate) async fn current_periods(&self, deadline: Instant) -> Result<Periods, Failure> {
        let barrier = self.meta().read_barrier(deadline).await;
        barrier.map_err(|error| not_read(&error))?;
        Ok(self.periods())
    }

    /// Sets or removes a rule; from then on it holds for every question that is asked, at any node.
    ///
    /// # Errors
    /// When it is over a limit, when nothing was changed, or when that is not known.
    pub(crate) async fn set_retention(
        &self,
        rule: RetentionRule,
        deadline: Instant,
    ) -> Result<Periods, Failure> {
        let command = meta::Command::SetRetention(rule);
        match self.meta().propose(command, deadline).await {
            Ok(meta::Answer::Conflict(reason)) => Err(Failure::new(Kind::InvalidArgument, reason)),
            Ok(_) => Ok(self.periods()),
            Err(error) => {
                tracing::debug!(%error, "a rule of retention was not changed");
                Err(not_changed(&error))
            }
        }
    }
}

/// The refusal of a question for rules that cannot be read now.
pub(super) fn not_read(error: &ReadError) -> Failure {
    tracing::debug!(%error, "rules could not be read");
    let why = "the meta group has no leader with a majority; try again in a moment";
    Failure::new(Kind::Unavailable, why)
}

/// What became of a rule that is not known to be changed.
pub(super) fn not_changed(error: &ProposeError) -> Failure {
    let (kind, why) = match error {
        ProposeError::OutcomeUnknown(_) | ProposeError::WritesFailed(_) => (
            Kind::OutcomeUnknown,
            "it is not known whether the rule was changed; ask, or send it again",
        ),
        ProposeError::DiskFull => (Kind::DiskFull, "the disk is full; nothing was changed"),
        ProposeError::Invalid(_) => (Kind::Internal, "the rule could not be stored"),
        ProposeError::Unavailable(_)
        | ProposeError::Backlog
        | ProposeError::Closed
        | ProposeError::Outdated { .. } => (
            Kind::Unavailable,
            "the meta group takes no change at the moment; nothing was changed",
        ),
    };
    Failure::new(kind, why)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hushlog_raft::meta::{Bucket, Plan, Retention, Seal, Slot, State};
    use hushlog_record::ShardId;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * 3_600_000)
    }

    /// Four buckets of an hour, the last of them open, the first three finished.
    fn facts(retention: Retention) -> Arc<State> {
        let slot = Slot {
            slot: 0,
            voters: vec![1],
            preferred_leader: 1,
        };
        let bucket = |bucket: i64| Bucket {
            bucket: bucket.cast_unsigned(),
            opened_at: hours(bucket),
            closed_at: (bucket < 4).then(|| hours(bucket + 1)),
            policy_epoch: 0,
            slots: vec![slot.clone()],
            plan: Plan::default(),
        };
        let seal = Seal {
            digest: [0; 32],
            segmented_to: 1,
            rows: 0,
            bytes: 0,
            time_min: hours(0),
            time_max: hours(0),
        };
        let buckets = (1i64..5).map(|number| (number.cast_unsigned(), bucket(number)));
        let sealed = (1..4).map(|bucket| (ShardId { bucket, slot: 0 }, seal.clone()));
        Arc::new(State {
            buckets: buckets.collect(),
            sealed: sealed.collect(),
            retention,
            ..State::default()
        })
    }

    fn rules(default: Option<Duration>, services: &[(&str, Duration)]) -> Retention {
        let services = services.iter().map(|(name, p)| ((*name).to_owned(), *p));
        Retention {
            default,
            services: services.collect::<BTreeMap<_, _>>(),
            ..Retention::default()
        }
    }

    #[test]
    fn a_service_is_kept_by_its_rule_else_by_default_else_by_configuration() {
        let periods = Periods::new(facts(Retention::default()), 5 * HOUR);
        assert_eq!(periods.of("a"), (5 * HOUR, Source::Configuration));
        assert_eq!(periods.by_default(), (5 * HOUR, Source::Configuration));
        let rules = rules(Some(2 * HOUR), &[("a", HOUR)]);
        let periods = Periods::new(facts(rules), 5 * HOUR);
        assert_eq!(periods.of("a"), (HOUR, Source::Rule));
        assert_eq!(periods.of("b"), (2 * HOUR, Source::Default));
        assert_eq!(periods.by_default(), (2 * HOUR, Source::Rule));
        let floors = periods.floors(hours(10));
        assert_eq!(floors.of("a"), hours(9).nanos());
        assert_eq!(floors.of("b"), hours(8).nanos());
    }

    #[test]
    fn a_bucket_goes_when_the_longest_retention_is_over_since_it_closed() {
        let due = |retention: Retention, now: i64| {
            let periods = Periods::new(facts(retention), 3 * HOUR);
            periods.due(hours(now)).collect::<Vec<_>>()
        };
        // Bucket 1 closed at hour 2, bucket 2 at hour 3; 3 is not inherited as long as 4 is open.
        assert_eq!(due(Retention::default(), 4), [0; 0]);
        assert_eq!(due(Retention::default(), 5), [1]);
        assert_eq!(due(Retention::default(), 100), [1, 2]);
        assert_eq!(due(rules(Some(HOUR), &[]), 3), [1]);
        assert_eq!(due(rules(Some(HOUR), &[("a", 9 * HOUR)]), 10), [0; 0]);
        assert_eq!(due(rules(Some(HOUR), &[("a", 9 * HOUR)]), 11), [1]);
        // A rule for one service does not shorten what the others' records have.
        assert_eq!(due(rules(None, &[("a", HOUR)]), 4), [0; 0]);
    }

    #[test]
    fn a_record_that_came_late_keeps_its_bucket_and_one_from_the_future_does_not() {
        let due = |youngest: i64, now: i64| {
            let mut facts = State::clone(&facts(rules(Some(2 * HOUR), &[])));
            let first = ShardId { bucket: 1, slot: 0 };
            let seal = facts.sealed.get_mut(&first).expect("finished");
            (seal.rows, seal.time_max) = (1, Timestamp::from_millis(youngest));
            let periods = Periods::new(Arc::new(facts), HOUR);
            periods.due(Timestamp::from_millis(now)).next() == Some(1)
        };
        // It closed at hour 2.
        let closed = 2 * 3_600_000;
        let kept = 2 * 3_600_000;
        assert!(due(closed - 1, closed + kept));
        assert!(!due(closed + 5, closed + kept + 4));
        assert!(due(closed + 5, closed + kept + 5));
        assert!(!due(i64::MAX / 1_000_000, closed + kept + 3_599_999));
        assert!(due(i64::MAX / 1_000_000, closed + kept + 3_600_000));
    }

    #[test]
    fn people_see_when_a_bucket_goes() {
        let periods = Periods::new(facts(Retention::default()), 3 * HOUR);
        let buckets = periods.describe_buckets();
        assert_eq!(buckets[0]["expires_at"], hours(5).to_string());
        assert_eq!(buckets[3]["expires_at"], Value::Null);
    }
}
