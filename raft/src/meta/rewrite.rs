//! What the cluster has left out of finished shards, since their retention was over while other rows of the same
//! segments stay.
//!
//! It is decided once, and for ever: by times, not by rules, so that whoever builds the segments anew keeps the
//! same rows, however the rules are by then. Nothing here reads a clock or a row.

use std::collections::BTreeMap;

use hushlog_record::{ShardId, Timestamp};

use super::seal::Seal;
use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{CUTOFF_SERVICE_BYTES_MAX, CUTOFF_SERVICES_MAX, REWRITES_MAX};

/// The event times before which the rows of a shard are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// Of services that are not named.
    pub default: Timestamp,
    /// By service, letter by letter.
    pub services: BTreeMap<String, Timestamp>,
}

/// Leaves nothing out.
impl Default for Cutoffs {
    fn default() -> Self {
        Self {
            default: Timestamp::from_nanos(i64::MIN),
            services: BTreeMap::new(),
        }
    }
}

impl Cutoffs {
    /// The first event time of this service that stays.
    pub fn of(&self, service: &str) -> Timestamp {
        self.services.get(service).copied().unwrap_or(self.default)
    }

    /// Leaves out what either of them does.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let default = self.default.max(other.default);
        let names = self.services.keys().chain(other.services.keys());
        let services = names.map(|name| (name.clone(), self.of(name).max(other.of(name))));
        Self {
            default,
            services: services.filter(|(_, at)| *at != default).collect(),
        }
    }

    /// Whether it names no more than the facts may hold of one shard.
    pub fn fits(&self) -> bool {
        let mut names = self.services.keys();
        self.services.len() <= CUTOFF_SERVICES_MAX
            && names.all(|name| name.len() <= CUTOFF_SERVICE_BYTES_MAX)
    }

    /// Whether all that `before` leaves out is left out.
    fn covers(&self, before: &Self) -> bool {
        self.or(before) == self.or(self)
    }

    /// Bytes of its encoding, about.
    pub(super) fn bytes(&self) -> usize {
        12 + self
            .services
            .keys()
            .map(|name| 12 + name.len())
            .sum::<usize>()
    }
}

/// What a shard held before rows were left out, as far as a replica needs it to know what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Rows of all segments.
    pub rows: u64,
    /// First and last event time; `None` without rows.
    pub bounds: Option<(Timestamp, Timestamp)>,
}

impl Form {
    /// Of a seal.
    pub fn of(seal: &Seal) -> Self {
        Self {
            rows: seal.rows,
            bounds: seal.time_bounds(),
        }
    }

    /// Whether it can be what is left of the other when rows are left out.
    pub fn is_part_of(&self, other: &Self) -> bool {
        let within = match (self.bounds, other.bounds) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(now), Some(before)) => before.0 <= now.0 && now.1 <= before.1,
        };
        self.rows < other.rows && within
    }
}

/// What was left out of a shard, all times together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// What is gone.
    pub cutoffs: Cutoffs,
    /// What the shard held before each time, the first time first. Replicas that have not heard of it hold one of
    /// these.
    pub before: Vec<Form>,
}

/// A change of a finished shard: some rows are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The shard.
    pub shard: ShardId,
    /// Digest of the segments that were there.
    pub before: [u8; 32],
    /// The revision of the rules that hide what is left out: any change of a rule since keeps it.
    pub rules: u64,
    /// What the shard holds from then on.
    pub seal: Seal,
    /// What is gone then, now or earlier.
    pub cutoffs: Cutoffs,
    /// Rows that are left out now, by service, as far as the proposer knew.
    pub services: BTreeMap<String, u64>,
}

impl Rewrite {
    /// Why this cannot follow, if it cannot.
    pub(super) fn check(&self, held: &Seal, leave: &Leave) -> Result<(), String> {
        if self.before.len() >= REWRITES_MAX {
            return Err(format!("the shard was rewritten {REWRITES_MAX} times"));
        }
        if !leave.cutoffs.fits() {
            return Err("too many services have a time of their own".into());
        }
        if !leave.cutoffs.covers(&self.cutoffs) {
            return Err("what was left out stays so".into());
        }
        let is_left = Form::of(&leave.seal).is_part_of(&Form::of(held));
        if leave.seal.segmented_to != held.segmented_to || !is_left {
            return Err("a rewrite leaves rows out, and changes nothing else".into());
        }
        Ok(())
    }
}

pub(super) fn put_cutoffs(out: &mut Encoder, cutoffs: &Cutoffs) {
    out.i64(cutoffs.default.nanos()).len(cutoffs.services.len());
    for (service, at) in &cutoffs.services {
        out.text(service).i64(at.nanos());
    }
}

pub(super) fn take_cutoffs(input: &mut Decoder<'_>) -> Result<Cutoffs, Error> {
    let default = Timestamp::from_nanos(input.i64()?);
    let mut services = BTreeMap::new();
    for _ in 0..input.count(4 + 8)? {
        services.insert(input.text()?, Timestamp::from_nanos(input.i64()?));
    }
    Ok(Cutoffs { default, services })
}

pub(super) fn put_rewrite(out: &mut Encoder, rewrite: &Rewrite) {
    put_cutoffs(out, &rewrite.cutoffs);
    out.len(rewrite.before.len());
    for form in &rewrite.before {
        let (min, max) = form.bounds.unwrap_or_default();
        out.u64(form.rows).i64(min.nanos()).i64(max.nanos());
    }
}

pub(super) fn take_rewrite(input: &mut Decoder<'_>) -> Result<Rewrite, Error> {
    let cutoffs = take_cutoffs(input)?;
    let mut before = Vec::new();
    for _ in 0..input.count(3 * 8)? {
        let rows = input.u64()?;
        let (min, max) = (input.i64()?, input.i64()?);
        let bounds = (Timestamp::from_nanos(min), Timestamp::from_nanos(max));
        before.push(Form {
            rows,
            bounds: (rows > 0).then_some(bounds),
        });
    }
    Ok(Rewrite { cutoffs, before })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cutoffs<const N: usize>(default: i64, services: [(&str, i64); N]) -> Cutoffs {
        let at = Timestamp::from_nanos;
        let services = services.map(|(name, nanos)| (name.to_owned(), at(nanos)));
        Cutoffs {
            default: at(default),
            services: BTreeMap::from(services),
        }
    }

    #[test]
    fn two_of_them_leave_out_what_either_does() {
        let first = cutoffs(50, [("kept", 10), ("short", 70)]);
        let second = cutoffs(i64::MIN, [("short", 60), ("other", 55), ("kept", 50)]);
        let both = first.or(&second);
        assert_eq!(both, second.or(&first));
        for service in ["kept", "short", "other", "any"] {
            let later = first.of(service).max(second.of(service));
            assert_eq!(both.of(service), later, "{service}");
        }
        assert!(!both.services.contains_key("kept"), "it is the default's");
        assert!(both.covers(&first) && both.covers(&second) && both.covers(&both));
        assert!(!first.covers(&second) && !second.covers(&first));
        assert!(first.covers(&Cutoffs::default()));
    }

    #[test]
    fn names_are_few_and_short() {
        let names = |count: usize| {
            let names = (0..count).map(|n| (n.to_string(), Timestamp::from_nanos(1)));
            Cutoffs {
                services: names.collect(),
                ..Cutoffs::default()
            }
        };
        assert!(names(CUTOFF_SERVICES_MAX).fits());
        assert!(!names(CUTOFF_SERVICES_MAX + 1).fits());
        let long = "s".repeat(CUTOFF_SERVICE_BYTES_MAX + 1);
        assert!(!cutoffs(0, [(long.as_str(), 1)]).fits());
    }
}
