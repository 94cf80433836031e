//! When a leader gives the lead to the node that should have it.
//!
//! The preferred leader may be the very node that has just lost the lead: because entries do not get
//! through to it although heartbeats do, or because its disk is slow. Handed the lead back at once, it
//! would lose it again, and the shard would take nothing meanwhile. So the preferred leader must have followed
//! without delay for a while first, and a lead that came back soon is kept twice as long the next time.

use std::time::Duration;

use hushlog_raft::Status;
use hushlog_record::NodeId;
use tokio::time::Instant;

/// How long the preferred leader must have followed without delay.
const SETTLE_MIN: Duration = Duration::from_secs(5);
/// The longest that this becomes when leads come back again and again.
const SETTLE_MAX: Duration = Duration::from_secs(300);
/// How long an entry may be on its way to the preferred leader.
const DELAY_MAX: Duration = Duration::from_secs(1);
/// How far the preferred leader may be behind when the lead is handed to it, entries.
const LAG_MAX: u64 = 16;

/// What a leader has seen of the preferred one.
pub(crate) struct HandBack {
    /// The term of the lead that this is about.
    term: u64,
    /// The end of the log at some time, which the preferred leader has not confirmed yet.
    mark: (u64, Instant),
    /// Since when it has followed without delay.
    close_since: Option<Instant>,
    settle: Duration,
    handed_at: Option<Instant>,
}

impl HandBack {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            term: 0,
            mark: (0, now),
            close_since: None,
            settle: SETTLE_MIN,
            handed_at: None,
        }
    }

    /// Takes in what the leader of a group knows now; whether `preferred` should have the lead.
    pub(crate) fn is_due(&mut self, status: &Status, preferred: NodeId, now: Instant) -> bool {
        if status.term != self.term {
            self.begin(status, now);
        }
        let member = status.members.iter().find(|m| m.node == preferred);
        let Some(lag) = member.and_then(|member| member.lag) else {
            self.close_since = None;
            return false;
        };
        let (end, since) = self.mark;
        if status.appended_to.saturating_sub(lag) >= end {
            self.close_since.get_or_insert(now);
            self.mark = (status.appended_to, now);
        } else if now - since > DELAY_MAX {
            self.close_since = None;
        }
        let settled = self.close_since.is_some_and(|t| now - t >= self.settle);
        settled && lag <= LAG_MAX
    }

    /// The lead is handed over now.
    pub(crate) fn handed(&mut self, now: Instant) {
        self.handed_at = Some(now);
        self.close_since = None;
    }

    /// A new lead: what was seen in an older one says nothing any more.
    fn begin(&mut self, status: &Status, now: Instant) {
        self.term = status.term;
        self.mark = (status.appended_to, now);
        self.close_since = None;
        let Some(handed_at) = self.handed_at.take() else {
            return;
        };
        self.settle = if now - handed_at < self.settle * 4 {
            (self.settle * 2).min(SETTLE_MAX)
        } else {
            SETTLE_MIN
        };
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::{Member, Role};

    use super::*;

    const PREFERRED: NodeId = 2;

    fn status(term: u64, appended_to: u64, lag: Option<u64>) -> Status {
        Status {
            group: 65_536,
            term,
            role: Role::Leader,
            leader: Some(1),
            trimmed_to: 0,
            segmented_to: 0,
            applied_to: 0,
            committed_to: 0,
            appended_to,
            closed: false,
            policy_epoch: 0,
            unfit: false,
            resting: false,
            members: vec![Member {
                node: PREFERRED,
                addr: String::new(),
                voter: true,
                lag,
            }],
        }
    }

    /// How long it takes until the lead is handed back, looking every 200 ms for a minute, where `lag` says by
    /// the time since the lead began how far the preferred leader is behind a log of five entries a look.
    fn handed_after(
        watch: &mut HandBack,
        term: u64,
        from: Instant,
        lag: impl Fn(Duration) -> Option<u64>,
    ) -> Option<Duration> {
        (0..300_u32)
            .map(|look| Duration::from_millis(200) * look)
            .find(|since| {
                let appended = 1_000 + u64::try_from(since.as_millis() / 40).unwrap_or(0);
                let seen = status(term, appended, lag(*since));
                watch.is_due(&seen, PREFERRED, from + *since)
            })
    }

    #[test]
    fn one_that_follows_gets_the_lead_after_a_while() {
        let now = Instant::now();
        let mut watch = HandBack::new(now);
        let after = handed_after(&mut watch, 1, now, |_| Some(3));
        let after = after.expect("handed back");
        assert!(after >= SETTLE_MIN && after < SETTLE_MIN * 2, "{after:?}");
    }

    #[test]
    fn one_that_takes_only_what_is_small_does_not_get_it() {
        let now = Instant::now();
        let mut watch = HandBack::new(now);
        // It has the first entry of the term, and none of those after it.
        let stuck = |since: Duration| Some(u64::try_from(since.as_millis() / 40).unwrap_or(0));
        assert_eq!(handed_after(&mut watch, 1, now, stuck), None);
        // Close by in a log where little happens is not enough: what it lacks, it lacks for too long.
        let mut watch = HandBack::new(now);
        for second in 0..60 {
            let seen = status(1, 1_001, Some(1));
            assert!(
                !watch.is_due(&seen, PREFERRED, now + Duration::from_secs(second)) || second < 1
            );
        }
        assert_eq!(handed_after(&mut watch, 2, now, |_| None), None);
    }

    #[test]
    fn a_delay_begins_the_wait_anew() {
        let now = Instant::now();
        let mut watch = HandBack::new(now);
        let late = Duration::from_secs(3)..Duration::from_secs(6);
        let lag = |since: Duration| {
            if late.contains(&since) {
                Some(u64::try_from((since - late.start).as_millis() / 40).unwrap_or(0) + 1)
            } else {
                Some(0)
            }
        };
        let after = handed_after(&mut watch, 1, now, lag).expect("handed back");
        assert!(after >= late.end + SETTLE_MIN, "{after:?}");
    }

    #[test]
    fn a_lead_that_comes_back_soon_is_kept_longer_each_time() {
        let mut now = Instant::now();
        let mut watch = HandBack::new(now);
        let mut waited = Vec::new();
        for term in 1..=3 {
            let after = handed_after(&mut watch, term, now, |_| Some(0)).expect("handed back");
            waited.push(after);
            now += after;
            watch.handed(now);
            now += Duration::from_secs(4);
        }
        assert!(
            waited[1] >= waited[0] * 2 && waited[2] >= waited[0] * 4,
            "{waited:?}"
        );
        // After a long time with the other one, it is as in the beginning.
        now += SETTLE_MAX * 8;
        let after = handed_after(&mut watch, 9, now, |_| Some(0)).expect("handed back");
        assert_eq!(after, waited[0]);
    }
}
