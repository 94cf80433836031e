//! How many slots the next bucket has, which services have several of them, and which lie apart from the others: a
//! pure function of what was measured, of who is to lie apart, and of the bucket before.
//!
//! It gives more only where the load asks for it, and takes back only what half of the load would not ask for: a
//! load that goes up and down by less than a factor of two changes nothing twice. Who holds the slots is
//! [`super::placement`]'s.

use std::collections::{BTreeMap, BTreeSet};

use hushlog_raft::limits::{CLASSED_SERVICES_MAX, SPREAD_SERVICE_BYTES_MAX, SPREAD_SERVICES_MAX};
use hushlog_raft::meta::{Bucket, Class, Keeping, Rate, Spread};

use super::classes::Apart;
use super::slot_of;
use crate::limits::{RECORD_WEIGHT_BYTES, SLOTS_PER_NODE_MAX, SPREAD_SLOTS_MAX};

/// Most services of a class that have several of its slots: what is left is for those that are in none.
const CLASS_SPREAD_MAX: usize = SPREAD_SERVICES_MAX / 4;

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
    /// Services with slots apart from the others'.
    pub(crate) classes: Vec<Class>,
}

impl Sizes {
    /// Adds slots behind those that there are; gives their numbers.
    fn append(&mut self, part: Planned) -> Vec<u16> {
        let first = u16::try_from(self.weights.len()).unwrap_or(u16::MAX);
        let behind = |slot: u16| first.saturating_add(slot);
        let spread = part.spread.into_iter().map(|(service, spread)| {
            let slots = spread.slots.into_iter().map(behind).collect();
            (service, Spread { slots, ..spread })
        });
        self.spread.extend(spread);
        let slots = (first..).take(part.weights.len()).collect();
        self.weights.extend(part.weights);
        slots
    }
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

/// Plans the bucket after `before`, in which these services lie apart if they send anything.
pub(crate) fn sizes(
    measured: &Measured,
    before: Option<&Bucket>,
    bounds: Bounds,
    apart: &Apart,
) -> Sizes {
    let mut room = bounds.most.saturating_sub(bounds.least);
    let mut rest = measured.clone();
    let mut spread_max = SPREAD_SERVICES_MAX;
    let mut classes = Vec::new();
    for (keeping, services) in members(measured, before, apart) {
        let own = taken(&mut rest, &services);
        let part = Part {
            measured: &own,
            before,
            class: Some((keeping, &services)),
            spread_max: CLASS_SPREAD_MAX,
        };
        let planned = part.plan(Bounds {
            least: 1,
            most: room.max(1),
            ..bounds
        });
        room = room.saturating_sub(u16::try_from(planned.weights.len()).unwrap_or(u16::MAX));
        spread_max = spread_max.saturating_sub(planned.spread.len());
        classes.push((keeping, services, planned));
    }
    let part = Part {
        measured: &rest,
        before,
        class: None,
        spread_max,
    };
    let mut sizes = Sizes::default();
    sizes.append(part.plan(Bounds {
        most: bounds.least.saturating_add(room),
        ..bounds
    }));
    for (keeping, services, planned) in classes {
        let slots = sizes.append(planned);
        sizes.classes.push(Class {
            keeping,
            slots,
            services,
        });
    }
    // One that is expected to take nothing is a replica all the same.
    let count = sizes.weights.len() as u64;
    let even = sizes.weights.iter().sum::<u64>() / (4 * count.max(1)) + 1;
    for weight in &mut sizes.weights {
        *weight += even;
    }
    sizes
}

/// The services of each class that send anything, or did as far as is known; of too many the largest.
fn members(
    measured: &Measured,
    before: Option<&Bucket>,
    apart: &Apart,
) -> BTreeMap<Keeping, BTreeSet<String>> {
    let known = before.filter(|_| !measured.whole);
    let was = |service: &str| known.is_some_and(|before| before.plan.class_of(service).is_some());
    let rate = |service: &str| measured.services.get(service).copied().unwrap_or_default();
    let mut all: Vec<(u64, &String, Keeping)> = apart
        .iter()
        .map(|(service, keeping)| (weight(rate(service)), service, *keeping))
        .filter(|(weight, service, _)| *weight > 0 || was(service))
        .collect();
    all.sort_by_key(|(weight, _, _)| std::cmp::Reverse(*weight));
    all.truncate(CLASSED_SERVICES_MAX);
    let mut members: BTreeMap<Keeping, BTreeSet<String>> = BTreeMap::new();
    for (_, service, keeping) in all {
        members.entry(keeping).or_default().insert(service.clone());
    }
    members
}

/// Takes what was measured of some services out of the rest.
fn taken(rest: &mut Measured, services: &BTreeSet<String>) -> Measured {
    let mut own = Measured {
        whole: rest.whole,
        ..Measured::default()
    };
    for service in services {
        let Some((service, rate)) = rest.services.remove_entry(service) else {
            continue;
        };
        own.all.bytes = own.all.bytes.saturating_add(rate.bytes);
        own.all.records = own.all.records.saturating_add(rate.records);
        own.services.insert(service, rate);
    }
    rest.all.bytes = rest.all.bytes.saturating_sub(own.all.bytes);
    rest.all.records = rest.all.records.saturating_sub(own.all.records);
    own
}

/// The services of one class, or of none, and what is known of them.
struct Part<'a> {
    measured: &'a Measured,
    before: Option<&'a Bucket>,
    class: Option<(Keeping, &'a BTreeSet<String>)>,
    spread_max: usize,
}

/// The slots of a part, from 0 on.
struct Planned {
    weights: Vec<u64>,
    spread: BTreeMap<String, Spread>,
}

impl Part<'_> {
    /// How many slots it had.
    fn had(&self) -> u64 {
        let Some(before) = self.before else {
            return 0;
        };
        let slots = match self.class {
            None => before.common_slots(),
            Some((keeping, _)) => {
                let mut classes = before.plan.classes.iter();
                let class = classes.find(|class| class.keeping == keeping);
                class.map_or(0, |class| class.slots.len())
            }
        };
        slots as u64
    }

    /// Whether a service that was spread before is of this part: one that is in a class now, or was, is of no other.
    fn has(&self, service: &str) -> bool {
        match self.class {
            Some((_, services)) => services.contains(service),
            None => self
                .before
                .is_none_or(|before| before.plan.class_of(service).is_none()),
        }
    }

    fn plan(&self, bounds: Bounds) -> Planned {
        let slots = slots(self.measured, self.had(), bounds);
        let mut weights = vec![0u64; usize::from(slots)];
        let hot = self.hot(bounds.slot_rate, slots);
        spread_the_rest(self.measured, &hot, &mut weights);
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
        Planned { weights, spread }
    }
}

fn slots(measured: &Measured, had: u64, bounds: Bounds) -> u16 {
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

impl Part<'_> {
    /// The services that are more than half of what a slot should take, the largest first: what is left of it is for
    /// others.
    fn hot(&self, slot_rate: u64, slots: u16) -> Vec<Hot> {
        let measured = self.measured;
        let unit = slot_rate / 2;
        if unit == 0 || slots < 2 {
            return Vec::new();
        }
        let known = self.before.map(|bucket| &bucket.plan.spread);
        let had = |service: &str| known.and_then(|known| known.get(service));
        let mut rates = measured.services.clone();
        if !measured.whole {
            // What was spread stays so until it is known that it need not be.
            let known = known.into_iter().flatten();
            for (service, spread) in known.filter(|(service, _)| self.has(service)) {
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
        hot.truncate(self.spread_max);
        hot
    }
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

    /// A plan where nobody lies apart.
    fn planned(measured: &Measured, before: Option<&Bucket>, bounds: Bounds) -> Sizes {
        sizes(measured, before, bounds, &Apart::new())
    }

    fn apart(services: &[(&str, Keeping)]) -> Apart {
        let services = services.iter();
        services
            .map(|(name, keeping)| ((*name).to_owned(), *keeping))
            .collect()
    }

    /// The slots of each class.
    fn classes(sizes: &Sizes) -> Vec<(Keeping, &[u16])> {
        let classes = sizes.classes.iter();
        classes
            .map(|class| (class.keeping, class.slots.as_slice()))
            .collect()
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
                classes: sizes.classes.clone(),
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
        let sizes = planned(&Measured::default(), None, Bounds::of_nodes(3, RATE));
        assert_eq!(sizes.weights, [1, 1, 1]);
        assert!(sizes.spread.is_empty());
    }

    #[test]
    fn more_slots_come_with_the_load_and_within_bounds() {
        let slots = |load| planned(&measured(&[], load), None, THREE).weights.len();
        let loads = [0, 3_000, 3_001, 7_500, 11_999, 100_000];
        assert_eq!(loads.map(slots), [3, 3, 4, 8, 12, 12]);
        let fixed = Bounds::fixed(2, RATE);
        assert_eq!(
            planned(&measured(&[], 100_000), None, fixed).weights.len(),
            2
        );
        let off = Bounds {
            slot_rate: 0,
            ..THREE
        };
        let sizes = planned(&measured(&[("a", 9_000)], 0), None, off);
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
        let sizes = planned(&measured, None, THREE);
        assert_eq!((sizes.weights.len(), k(&sizes, "a")), (5, 5));
    }

    #[test]
    fn a_service_beyond_half_a_slot_is_spread_over_the_emptiest_slots() {
        let sizes = planned(
            &measured(&[("hot", 1_400), ("warm", 500)], 300),
            None,
            THREE,
        );
        assert_eq!((k(&sizes, "hot"), k(&sizes, "warm")), (3, 1));
        let warm = slot_of("warm", 3).expect("a slot");
        let two = measured(&[("hot", 900), ("warm", 500)], 300);
        let sizes = planned(&two, None, THREE);
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
    fn services_that_are_kept_for_another_time_have_slots_of_their_own_behind_the_others() {
        let (shorter, longer) = (Keeping::Shorter, Keeping::Longer);
        let rules = apart(&[("audit", longer), ("debug", shorter), ("silent", shorter)]);
        let load = measured(&[("audit", 10), ("debug", 1_500), ("shop", 700)], 300);
        let first = sizes(&load, None, THREE, &rules);
        assert_eq!(
            classes(&first),
            [(shorter, &[3, 4][..]), (longer, &[5][..])]
        );
        assert_eq!(first.weights.len(), 6);
        let named: Vec<_> = first
            .classes
            .iter()
            .flat_map(|class| &class.services)
            .collect();
        assert_eq!(named, ["debug", "audit"], "who sends nothing needs no slot");
        assert_eq!(first.spread["debug"].slots, [3, 4]);
        assert!(first.spread["shop"].slots.iter().all(|slot| *slot < 3));
        // Nothing of that where nobody has rules, or those that do are silent.
        for nobody in [apart(&[]), apart(&[("silent", longer)])] {
            let sizes = sizes(&load, None, THREE, &nobody);
            assert_eq!(sizes, planned(&load, None, THREE));
            assert_eq!(classes(&sizes), []);
        }
        // What is not known stays as it was, unless the rules say otherwise.
        let before = bucket(&first);
        let unknown = sizes(&Measured::default(), Some(&before), THREE, &rules);
        assert_eq!(classes(&unknown), classes(&first));
        assert_eq!(unknown.spread["debug"].slots, [3, 4]);
        let fewer = apart(&[("audit", longer)]);
        let unruled = sizes(&Measured::default(), Some(&before), THREE, &fewer);
        assert_eq!(classes(&unruled), [(longer, &[3][..])]);
        let quiet = sizes(&measured(&[], 0), Some(&before), THREE, &rules);
        assert_eq!((classes(&quiet).len(), quiet.weights.len()), (0, 3));
    }

    #[test]
    fn a_class_has_one_slot_at_least_however_few_there_may_be() {
        let rules = apart(&[("a", Keeping::Shorter), ("b", Keeping::Longer)]);
        let load = measured(&[("a", 9_000), ("b", 9_000)], 9_000);
        let fixed = sizes(&load, None, Bounds::fixed(1, RATE), &rules);
        assert_eq!(classes(&fixed).len(), 2);
        assert_eq!((fixed.weights.len(), fixed.spread.len()), (3, 0));
        let any = Bounds {
            slot_rate: 0,
            ..THREE
        };
        assert_eq!(sizes(&load, None, any, &rules).weights.len(), 5);
        // The first takes what there is, and the others what they must have.
        assert_eq!(sizes(&load, None, THREE, &rules).weights.len(), 3 + 9 + 1);
    }

    #[test]
    fn the_largest_of_too_many_services_lie_apart() {
        let names: Vec<String> = (0..=CLASSED_SERVICES_MAX)
            .map(|n| format!("s{n}"))
            .collect();
        let all = || names.iter().map(String::as_str);
        let rules: Vec<_> = all().map(|name| (name, Keeping::Longer)).collect();
        let mut load: Vec<_> = all().map(|name| (name, 2)).collect();
        load[0].1 = 1;
        let sizes = sizes(&measured(&load, 0), None, THREE, &apart(&rules));
        assert_eq!(sizes.classes[0].services.len(), CLASSED_SERVICES_MAX);
        assert!(!sizes.classes[0].services.contains("s0"));
    }

    #[test]
    fn what_is_not_known_takes_nothing_back() {
        let first = planned(&measured(&[("hot", 2_000)], 4_000), None, THREE);
        assert_eq!((first.weights.len(), k(&first, "hot")), (6, 4));
        let before = bucket(&first);
        let unknown = planned(&Measured::default(), Some(&before), THREE);
        assert_eq!((unknown.weights.len(), k(&unknown, "hot")), (6, 4));
        let quiet = planned(&measured(&[], 0), Some(&before), THREE);
        assert_eq!((quiet.weights.len(), k(&quiet, "hot")), (3, 1));
        let fewer_nodes = planned(
            &Measured::default(),
            Some(&before),
            Bounds::of_nodes(1, RATE),
        );
        assert_eq!(fewer_nodes.weights.len(), 4);
    }

    #[test]
    fn names_that_are_too_long_and_services_that_are_too_many_are_not_spread() {
        let long = "s".repeat(SPREAD_SERVICE_BYTES_MAX + 1);
        let sizes = planned(&measured(&[(&long, 5_000)], 0), None, THREE);
        assert!(sizes.spread.is_empty());
        let names: Vec<String> = (0..200).map(|n| format!("s{n:03}")).collect();
        let many: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 2_000)).collect();
        let sizes = planned(&measured(&many, 0), None, THREE);
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
            kept in proptest::collection::vec(0u8..4, 60),
        ) {
            let names: Vec<String> = (0..loads.len()).map(|n| format!("s{n}")).collect();
            let services: Vec<(&str, u64)> =
                names.iter().map(String::as_str).zip(loads.iter().copied()).collect();
            let bounds = Bounds::of_nodes(nodes, slot_rate);
            let measured = measured(&services, others);
            let sizes = planned(&measured, None, bounds);
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
            prop_assert_eq!(&planned(&measured, None, bounds), &sizes, "the same again");

            let rules = names.iter().zip(kept).filter_map(|(name, kept)| match kept {
                1 => Some((name.clone(), Keeping::Shorter)),
                2 => Some((name.clone(), Keeping::Longer)),
                _ => None,
            });
            let rules: Apart = rules.collect();
            let sizes = super::sizes(&measured, None, bounds, &rules);
            let slots = sizes.weights.len();
            let apart: usize = sizes.classes.iter().map(|class| class.slots.len()).sum();
            prop_assert!(slots <= usize::from(bounds.most.max(bounds.least)) + 2);
            prop_assert!(slots - apart >= usize::from(bounds.least));
            prop_assert!(sizes.spread.len() <= SPREAD_SERVICES_MAX);
            // Every service that is spread keeps to the slots of its class, and every class to its own.
            let before = bucket(&sizes);
            prop_assert_eq!(before.common_slots(), slots - apart);
            for (service, spread) in &sizes.spread {
                let class = before.plan.class_of(service);
                let common = |slot: &u16| usize::from(*slot) < before.common_slots();
                let own = |slot: &u16| class.map_or_else(|| common(slot), |c| c.slots.contains(slot));
                prop_assert!(spread.slots.iter().all(own));
            }
            for (service, keeping) in &rules {
                let class = before.plan.class_of(service);
                prop_assert!(class.is_none_or(|class| class.keeping == *keeping));
            }
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
                let sizes = planned(&measured(&[("hot", hot)], hot), Some(&before), THREE);
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
