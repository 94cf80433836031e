//! How many slots the next bucket has, and which services have several of them: a pure function of what was
//! measured and of the bucket before.
//!
//! It gives more only where the load asks for it, and takes back only what half of the load would not ask for: a
//! load that goes up and down by less than a factor of two changes nothing twice. Who holds the slots is
//! [`super::placement`]'s.

use std::collections::BTreeMap;

use hushlog_raft::limits::{SPREAD_SERVICE_BYTES_MAX, SPREAD_SERVICES_MAX};
use hushlog_raft::meta::{Bucket, Rate, Spread};

use super::slot_of;
use crate::limits::{RECORD_WEIGHT_BYTES, SLOTS_PER_NODE_MAX, SPREAD_SLOTS_MAX};

/// What was measured of the newest buckets, at the busiest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Whether every shard of the open bucket was heard of: else there may be more, never less.
    pub(crate) whole: bool,
    /// All services together.
    pub(crate) all: Rate,
    /// The largest services.
    pub(crate) services: BTreeMap<String, Rate>,
}

/// How many slots there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Slots without any load.
    pub(crate) least: u16,
    /// Most slots.
    pub(crate) most: u16,
    /// Bytes a second, as stored, that one slot should take; 0: any load.
    pub(crate) slot_rate: u64,
}

impl Bounds {
    /// So many slots, whatever the load.
    pub(crate) const fn fixed(slots: u16, slot_rate: u64) -> Self {
        Self {
            least: slots,
            most: slots,
            slot_rate,
        }
    }

    /// A slot for each of so many nodes, and more where the load asks for it.
    pub(crate) fn of_nodes(nodes: usize, slot_rate: u64) -> Self {
        let least = u16::try_from(nodes).unwrap_or(u16::MAX).max(1);
        Self {
            least,
            most: least.saturating_mul(SLOTS_PER_NODE_MAX),
            slot_rate,
        }
    }
}

/// The sizes of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// What each slot is expected to take, by its number, against the others; never 0.
    pub(crate) weights: Vec<u64>,
    /// Services with several slots.
    pub(crate) spread: BTreeMap<String, Spread>,
}

/// What something weighs: its bytes, and no less than what its records cost whatever is left of them.
fn weight(rate: Rate) -> u64 {
    rate.bytes
        .max(rate.records.saturating_mul(RECORD_WEIGHT_BYTES))
}

/// How many units of this size there should be for a load, when there were so many before.
fn steady(before: u64, load: u64, unit: u64) -> u64 {
    let needed = load.div_ceil(unit);
    let kept = load.saturating_mul(2).div_ceil(unit);
    needed.max(before.min(kept)).max(1)
}

/// Plans the bucket after `before`.
pub(crate) fn sizes(measured: &Measured, before: Option<&Bucket>, bounds: Bounds) -> Sizes {
    let slots = slots(measured, before, bounds);
    let mut weights = vec![0u64; usize::from(slots)];
    let hot = hot(measured, before, bounds.slot_rate, slots);
    spread_the_rest(measured, &hot, &mut weights);
    let mut spread = BTreeMap::new();
    for Hot { service, rate, k } in hot {
        let part = weight(rate) / u64::from(k).max(1);
        let mut emptiest: Vec<(u64, u16)> = weights.iter().copied().zip(0..).collect();
        emptiest.sort_unstable();
        let chosen = emptiest.into_iter().take(usize::from(k));
        let mut slots: Vec<u16> = chosen.map(|(_, slot)| slot).collect();
        slots.sort_unstable();
        for slot in &slots {
            if let Some(weight) = weights.get_mut(usize::from(*slot)) {
                *weight += part;
            }
        }
        spread.insert(service, Spread { slots, rate });
    }
    // One that is expected to take nothing is a replica all the same.
    let even = weights.iter().sum::<u64>() / (4 * u64::from(slots).max(1)) + 1;
    for weight in &mut weights {
        *weight += even;
    }
    Sizes { weights, spread }
}

fn slots(measured: &Measured, before: Option<&Bucket>, bounds: Bounds) -> u16 {
    let had = before.map_or(0, |bucket| bucket.slots.len() as u64);
    let wanted = match (bounds.slot_rate, measured.whole) {
        (0, _) => 0,
        (rate, true) => steady(had, weight(measured.all), rate),
        (rate, false) => steady(had, weight(measured.all), rate).max(had),
    };
    let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
    wanted.clamp(bounds.least.max(1), bounds.most.max(bounds.least).max(1))
}

/// A service that has several slots.
struct Hot {
    service: String,
    rate: Rate,
    k: u16,
}

/// The services that are more than half of what a slot should take, the largest first: what is left of it is for
/// others.
fn hot(measured: &Measured, before: Option<&Bucket>, slot_rate: u64, slots: u16) -> Vec<Hot> {
    let unit = slot_rate / 2;
    if unit == 0 || slots < 2 {
        return Vec::new();
    }
    let known = before.map(|bucket| &bucket.plan.spread);
    let had = |service: &str| known.and_then(|known| known.get(service));
    let mut rates = measured.services.clone();
    if !measured.whole {
        // What was spread stays so until it is known that it need not be.
        for (service, spread) in known.into_iter().flatten() {
            rates.entry(service.clone()).or_insert(spread.rate);
        }
    }
    let mut hot: Vec<Hot> = rates
        .into_iter()
        .filter(|(service, _)| service.len() <= SPREAD_SERVICE_BYTES_MAX)
        .filter_map(|(service, rate)| {
            let before = had(&service).map_or(1, |spread| spread.slots.len() as u64);
            let wanted = steady(before, weight(rate), unit);
            let wanted = if measured.whole {
                wanted
            } else {
                wanted.max(before)
            };
            let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
            let k = wanted.min(slots).min(SPREAD_SLOTS_MAX);
            (k > 1).then_some(Hot { service, rate, k })
        })
        .collect();
    // By name where they weigh the same.
    hot.sort_by_key(|hot| std::cmp::Reverse(weight(hot.rate)));
    hot.truncate(SPREAD_SERVICES_MAX);
    hot
}

/// Adds what goes by the hash of its service's name, and what is of services that nobody has named.
fn spread_the_rest(measured: &Measured, hot: &[Hot], weights: &mut [u64]) {
    let mut named = 0u64;
    for (service, rate) in &measured.services {
        named = named.saturating_add(weight(*rate));
        if hot.iter().any(|hot| hot.service == *service) {
            continue;
        }
        let slot = slot_of(service, weights.len()).map(usize::from);
        if let Some(place) = slot.and_then(|slot| weights.get_mut(slot)) {
            *place += weight(*rate);
        }
    }
    let others = weight(measured.all).saturating_sub(named);
    let part = others / (weights.len() as u64).max(1);
    for place in weights {
        *place += part;
    }
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Plan, Slot};
    use hushlog_record::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const RATE: u64 = 1_000;
    const THREE: Bounds = Bounds {
        least: 3,
        most: 12,
        slot_rate: RATE,
    };

    fn rate(bytes: u64) -> Rate {
        Rate { bytes, records: 0 }
    }

    fn measured(services: &[(&str, u64)], others: u64) -> Measured {
        let named: u64 = services.iter().map(|(_, bytes)| bytes).sum();
        let of = |(service, bytes): &(&str, u64)| ((*service).to_owned(), rate(*bytes));
        Measured {
            whole: true,
            all: rate(named + others),
            services: services.iter().map(of).collect(),
        }
    }

    /// The bucket that was planned so.
    fn bucket(sizes: &Sizes) -> Bucket {
        let slot = |slot| Slot {
            slot,
            voters: vec![1],
            preferred_leader: 1,
        };
        Bucket {
            bucket: 1,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 0,
            slots: (0..).take(sizes.weights.len()).map(slot).collect(),
            plan: Plan {
                spread: sizes.spread.clone(),
                ..Plan::default()
            },
        }
    }

    fn k(sizes: &Sizes, service: &str) -> usize {
        let spread = sizes.spread.get(service);
        spread.map_or(1, |spread| spread.slots.len())
    }

    #[test]
    fn without_load_there_is_a_slot_a_node_and_nothing_is_spread() {
        let sizes = sizes(&Measured::default(), None, Bounds::of_nodes(3, RATE));
        assert_eq!(sizes.weights, [1, 1, 1]);
        assert!(sizes.spread.is_empty());
    }

    #[test]
    fn more_slots_come_with_the_load_and_within_bounds() {
        let slots = |load| sizes(&measured(&[], load), None, THREE).weights.len();
        let loads = [0, 3_000, 3_001, 7_500, 11_999, 100_000];
        assert_eq!(loads.map(slots), [3, 3, 4, 8, 12, 12]);
        let fixed = Bounds::fixed(2, RATE);
        assert_eq!(sizes(&measured(&[], 100_000), None, fixed).weights.len(), 2);
        let off = Bounds {
            slot_rate: 0,
            ..THREE
        };
        let sizes = sizes(&measured(&[("a", 9_000)], 0), None, off);
        assert_eq!((sizes.weights.len(), sizes.spread.len()), (3, 0));
    }

    #[test]
    fn many_records_weigh_something_however_small_they_are() {
        let all = Rate {
            bytes: 1,
            records: 5 * RATE / RECORD_WEIGHT_BYTES,
        };
        let measured = Measured {
            whole: true,
            all,
            services: BTreeMap::from([("a".to_owned(), all)]),
        };
        let sizes = sizes(&measured, None, THREE);
        assert_eq!((sizes.weights.len(), k(&sizes, "a")), (5, 5));
    }

    #[test]
    fn a_service_beyond_half_a_slot_is_spread_over_the_emptiest_slots() {
        let sizes = sizes(
            &measured(&[("hot", 1_400), ("warm", 500)], 300),
            None,
            THREE,
        );
        assert_eq!((k(&sizes, "hot"), k(&sizes, "warm")), (3, 1));
        let warm = slot_of("warm", 3).expect("a slot");
        let two = measured(&[("hot", 900), ("warm", 500)], 300);
        let sizes = super::sizes(&two, None, THREE);
        let spread = &sizes.spread["hot"];
        assert_eq!((spread.slots.len(), spread.rate), (2, rate(900)));
        assert!(!spread.slots.contains(&warm), "another one is there");
        let all: u64 = sizes.weights.iter().sum();
        let even = sizes
            .weights
            .iter()
            .map(|w| w * 3)
            .all(|w| w > all / 2 && w < all * 2);
        assert!(even, "{:?}", sizes.weights);
    }

    #[test]
    fn what_is_not_known_takes_nothing_back() {
        let first = sizes(&measured(&[("hot", 2_000)], 4_000), None, THREE);
        assert_eq!((first.weights.len(), k(&first, "hot")), (6, 4));
        let before = bucket(&first);
        let unknown = sizes(&Measured::default(), Some(&before), THREE);
        assert_eq!((unknown.weights.len(), k(&unknown, "hot")), (6, 4));
        let quiet = sizes(&measured(&[], 0), Some(&before), THREE);
        assert_eq!((quiet.weights.len(), k(&quiet, "hot")), (3, 1));
        let fewer_nodes = sizes(
            &Measured::default(),
            Some(&before),
            Bounds::of_nodes(1, RATE),
        );
        assert_eq!(fewer_nodes.weights.len(), 4);
    }

    #[test]
    fn names_that_are_too_long_and_services_that_are_too_many_are_not_spread() {
        let long = "s".repeat(SPREAD_SERVICE_BYTES_MAX + 1);
        let sizes = sizes(&measured(&[(&long, 5_000)], 0), None, THREE);
        assert!(sizes.spread.is_empty());
        let names: Vec<String> = (0..200).map(|n| format!("s{n:03}")).collect();
        let many: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 2_000)).collect();
        let sizes = super::sizes(&measured(&many, 0), None, THREE);
        assert_eq!(sizes.spread.len(), SPREAD_SERVICES_MAX);
        assert!(sizes.spread.contains_key("s000"));
    }

    proptest! {
        #[test]
        fn every_plan_keeps_to_its_bounds(
            loads in proptest::collection::vec(0u64..50_000, 0..60),
            others in 0u64..100_000,
            nodes in 1usize..40,
            slot_rate in 0u64..20_000,
        ) {
            let names: Vec<String> = (0..loads.len()).map(|n| format!("s{n}")).collect();
            let services: Vec<(&str, u64)> =
                names.iter().map(String::as_str).zip(loads.iter().copied()).collect();
            let bounds = Bounds::of_nodes(nodes, slot_rate);
            let measured = measured(&services, others);
            let sizes = sizes(&measured, None, bounds);
            prop_assert!(sizes.weights.len() >= usize::from(bounds.least));
            prop_assert!(sizes.weights.len() <= usize::from(bounds.most));
            prop_assert!(sizes.weights.iter().all(|weight| *weight > 0));
            prop_assert!(sizes.spread.len() <= SPREAD_SERVICES_MAX);
            for (service, spread) in &sizes.spread {
                let known = |slot: &u16| usize::from(*slot) < sizes.weights.len();
                prop_assert!(spread.slots.iter().all(known));
                prop_assert!(spread.slots.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!((2..=usize::from(SPREAD_SLOTS_MAX)).contains(&spread.slots.len()));
                prop_assert!(weight(measured.services[service]) > slot_rate / 2);
            }
            // No slot has more of a spread service than half of what it should take, where there are enough.
            for spread in sizes.spread.values() {
                let enough = spread.slots.len() < sizes.weights.len().min(SPREAD_SLOTS_MAX.into());
                let each = weight(spread.rate) / spread.slots.len() as u64;
                prop_assert!(!enough || each <= slot_rate / 2);
            }
            prop_assert_eq!(&super::sizes(&measured, None, bounds), &sizes, "the same again");
        }

        /// Within a factor of two nothing goes up and down again, or down and up.
        #[test]
        fn a_load_that_swings_changes_the_plan_in_one_direction_at_most(
            least in 1u64..40_000,
            swings in proptest::collection::vec(0u64..=100, 2..40),
            had in 1u16..12,
        ) {
            let begin = Sizes { weights: vec![1; had.into()], ..Sizes::default() };
            let mut before = bucket(&begin);
            let (mut slots, mut ks) = (Vec::new(), Vec::new());
            for swing in swings {
                let hot = least + least * swing / 100;
                let sizes = sizes(&measured(&[("hot", hot)], hot), Some(&before), THREE);
                slots.push(sizes.weights.len());
                ks.push(k(&sizes, "hot"));
                before = bucket(&sizes);
            }
            for series in [slots, ks] {
                let ups = series.windows(2).filter(|pair| pair[0] < pair[1]).count();
                let downs = series.windows(2).filter(|pair| pair[0] > pair[1]).count();
                prop_assert!(ups == 0 || downs == 0, "{:?}", series);
            }
        }
    }
}
