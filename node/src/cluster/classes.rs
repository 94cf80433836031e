//! Which services are kept for so much shorter or longer than most that their records lie in slots of their own: then
//! whole shards are over at once, and little has to be written anew for those that are not.
//!
//! There are two such classes at most, whatever the rules are, and none where no service has a rule of its own: a slot
//! more is a group more on three nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_raft::limits::CLASSED_SERVICE_BYTES_MAX;
use hushlog_raft::meta::{Keeping, Retention};

/// So many times longer, or shorter, is a service kept that lies apart.
const FACTOR: u32 = 4;

/// Services that should lie apart.
pub(crate) type Apart = BTreeMap<String, Keeping>;

/// Those of these rules; where they say nothing of the others, these are kept for `configured`.
pub(crate) fn apart(rules: &Retention, configured: Duration) -> Apart {
    let usual = rules.default.unwrap_or(configured);
    let keeping = |period: Duration| {
        if period.saturating_mul(FACTOR) <= usual {
            Some(Keeping::Shorter)
        } else if period >= usual.saturating_mul(FACTOR) {
            Some(Keeping::Longer)
        } else {
            None
        }
    };
    let named = rules.services.iter();
    named
        .filter(|(name, _)| name.len() <= CLASSED_SERVICE_BYTES_MAX)
        .filter_map(|(name, period)| Some((name.clone(), keeping(*period)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Bucket, Class, Plan, Slot, Spread};
    use hushlog_record::Timestamp;

    use super::*;
    use crate::cluster::{slot_of, slots_of};

    #[test]
    fn whoever_lies_apart_is_in_slots_of_its_own_and_nobody_else_is() {
        let slot = |slot| Slot {
            slot,
            voters: vec![1],
            preferred_leader: 1,
        };
        let names = || (0..40).map(|n| format!("s{n}"));
        let class = Class {
            keeping: Keeping::Shorter,
            slots: vec![3, 4],
            services: names().take(20).collect(),
        };
        let hot = Spread {
            slots: vec![3, 4],
            ..Spread::default()
        };
        let bucket = Bucket {
            bucket: 1,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 0,
            slots: (0..5).map(slot).collect(),
            plan: Plan {
                spread: BTreeMap::from([("s0".to_owned(), hot)]),
                classes: vec![class],
                ..Plan::default()
            },
        };
        let of = |name: &str| slots_of(&bucket, name).into_owned();
        assert_eq!(of("s0"), [3, 4]);
        for name in names().skip(1).take(19) {
            let place = slot_of(&name, 2).map(|place| place + 3);
            assert_eq!(of(&name), Vec::from_iter(place), "{name}");
        }
        for name in names().skip(20) {
            assert_eq!(of(&name), Vec::from_iter(slot_of(&name, 3)), "{name}");
        }
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn only_what_is_kept_much_shorter_or_longer_lies_apart() {
        let periods = [
            ("a", 2),
            ("b", 3),
            ("c", 8),
            ("d", 31),
            ("e", 32),
            ("f", 365),
        ];
        let rules = |default| Retention {
            default,
            services: periods
                .map(|(name, days)| (name.to_owned(), days * DAY))
                .into(),
            ..Retention::default()
        };
        let names = |rules: &Retention| {
            let apart = apart(rules, 8 * DAY).into_iter();
            apart
                .map(|(name, keeping)| (name, keeping.name()))
                .collect::<Vec<_>>()
        };
        let of = |all: &[(&str, &'static str)]| {
            let all = all.iter();
            all.map(|(name, keeping)| ((*name).to_owned(), *keeping))
                .collect::<Vec<_>>()
        };
        let expected = of(&[("a", "shorter"), ("e", "longer"), ("f", "longer")]);
        assert_eq!(names(&rules(None)), expected);
        let all_shorter = of(&periods.map(|(name, _)| (name, "shorter")));
        assert_eq!(names(&rules(Some(3_650 * DAY))), all_shorter);
        assert_eq!(names(&Retention::default()), []);
    }
}
