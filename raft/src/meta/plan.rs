//! How a bucket was planned, beyond who holds its slots: which services have several of them, which have slots apart
//! from the others, and why it was opened when it was.
//!
//! Nothing here measures or decides: the meta leader plans, and everyone routes and asks by it.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Slot;
use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{
    CLASSED_SERVICE_BYTES_MAX, CLASSED_SERVICES_MAX, SPREAD_SERVICE_BYTES_MAX, SPREAD_SERVICES_MAX,
};

/// Why a bucket was opened when it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Because {
    /// By an earlier build, which did not say.
    #[default]
    Unsaid = 0,
    /// There was none before.
    First = 1,
    /// The time of the one before was over.
    Time = 2,
    /// A shard of the one before had as many bytes as one may have.
    Bytes = 3,
    /// A shard of the one before had as many segments as one may have.
    Segments = 4,
    /// A node of the one before was to leave.
    Leaving = 5,
    /// There could be more copies.
    Copies = 6,
    /// More nodes could take part.
    Nodes = 7,
}

impl Because {
    const ALL: [Self; 8] = [
        Self::Unsaid,
        Self::First,
        Self::Time,
        Self::Bytes,
        Self::Segments,
        Self::Leaving,
        Self::Copies,
        Self::Nodes,
    ];

    /// In words, of the bucket that ended with it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unsaid => "it is not known",
            Self::First => "there was none before",
            Self::Time => "the time of the one before was over",
            Self::Bytes => "a shard had as many bytes as one may have",
            Self::Segments => "a shard had as many segments as one may have",
            Self::Leaving => "a node was to leave",
            Self::Copies => "there could be more copies",
            Self::Nodes => "more nodes could take part",
        }
    }

    const fn code(self) -> u8 {
        self as u8
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

/// What comes in of something at its busiest, as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second, as stored.
    pub bytes: u64,
    /// Records a second.
    pub records: u64,
}

/// Where a service goes whose records are more than one slot should take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Its slots, ascending.
    pub slots: Vec<u16>,
    /// What it was planned by.
    pub rate: Rate,
}

/// How long records are kept, against those of services without a rule of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Keeping {
    /// Much shorter.
    Shorter = 1,
    /// Much longer.
    Longer = 2,
}

impl Keeping {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Shorter, Self::Longer];

    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shorter => "shorter",
            Self::Longer => "longer",
        }
    }

    const fn code(self) -> u8 {
        self as u8
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

/// Services that have slots of their own, so that whole shards are over at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Why.
    pub keeping: Keeping,
    /// Their slots, ascending; behind those of the services that are in no class.
    pub slots: Vec<u16>,
    /// Who they are, letter by letter.
    pub services: BTreeSet<String>,
}

/// What a bucket's plan says beyond its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Why it was opened when it was.
    pub because: Because,
    /// What all services together were measured at when it was planned; nothing where nobody had measured.
    pub rate: Rate,
    /// Services with slots of their choice; all others go by the hash of their name.
    pub spread: BTreeMap<String, Spread>,
    /// Services that go by the hash of their name among other slots than all others; each class once, ascending.
    pub classes: Vec<Class>,
}

impl Plan {
    /// The class of a service, if it is in one.
    pub fn class_of(&self, service: &str) -> Option<&Class> {
        let mut classes = self.classes.iter();
        classes.find(|class| class.services.contains(service))
    }

    /// How many slots are of classes: the last ones.
    pub(super) fn classed_slots(&self) -> usize {
        self.classes.iter().map(|class| class.slots.len()).sum()
    }

    /// Whether it fits these slots and is within the limits.
    pub(super) fn check(&self, slots: &[Slot]) -> Result<(), String> {
        if self.spread.len() > SPREAD_SERVICES_MAX {
            return Err(format!(
                "more than {SPREAD_SERVICES_MAX} services are spread"
            ));
        }
        let known = |number: &u16| slots.iter().any(|slot| slot.slot == *number);
        for (service, spread) in &self.spread {
            let ascends = spread.slots.windows(2).all(|pair| pair[0] < pair[1]);
            if service.len() > SPREAD_SERVICE_BYTES_MAX {
                return Err("the name of a service that is spread is too long".into());
            }
            if spread.slots.is_empty() || !ascends || !spread.slots.iter().all(known) {
                return Err(
                    "a service is spread over no slots, or over others than there are".into(),
                );
            }
        }
        self.check_classes(slots)
    }

    /// The slots that are of no class come first, and there are some.
    fn check_classes(&self, slots: &[Slot]) -> Result<(), String> {
        let services: usize = self.classes.iter().map(|class| class.services.len()).sum();
        let mut names = self.classes.iter().flat_map(|class| &class.services);
        if services > CLASSED_SERVICES_MAX
            || names.any(|name| name.len() > CLASSED_SERVICE_BYTES_MAX)
        {
            return Err("too many services are kept apart, or their names are too long".into());
        }
        if !self.classes.is_sorted_by(|a, b| a.keeping < b.keeping) {
            return Err("a class is there twice, or not in its place".into());
        }
        let mut theirs: Vec<u16> = Vec::new();
        for class in &self.classes {
            if class.slots.is_empty() || class.services.is_empty() {
                return Err("a class has no slots, or no services".into());
            }
            theirs.extend(&class.slots);
        }
        let mut last = slots
            .iter()
            .map(|slot| slot.slot)
            .skip(slots.len() - theirs.len().min(slots.len()));
        let are_last =
            theirs.len() < slots.len() && theirs.iter().all(|slot| last.next() == Some(*slot));
        if !theirs.is_empty() && !are_last {
            return Err("the slots of classes are not the last ones".into());
        }
        Ok(())
    }

    /// Bytes of its encoding, about.
    pub(super) fn bytes(&self) -> usize {
        let of =
            |(service, spread): (&String, &Spread)| 24 + service.len() + 4 * spread.slots.len();
        let names = |class: &Class| {
            class
                .services
                .iter()
                .map(|name| 4 + name.len())
                .sum::<usize>()
        };
        let class = |class: &Class| 9 + 4 * class.slots.len() + names(class);
        25 + self.spread.iter().map(of).sum::<usize>()
            + self.classes.iter().map(class).sum::<usize>()
    }
}

fn put_rate(out: &mut Encoder, rate: Rate) {
    out.u64(rate.bytes).u64(rate.records);
}

fn take_rate(input: &mut Decoder<'_>) -> Result<Rate, Error> {
    Ok(Rate {
        bytes: input.u64()?,
        records: input.u64()?,
    })
}

/// All but the classes.
pub(super) fn put_plan(out: &mut Encoder, plan: &Plan) {
    out.u8(plan.because.code());
    put_rate(out, plan.rate);
    out.len(plan.spread.len());
    for (service, spread) in &plan.spread {
        out.text(service);
        put_rate(out, spread.rate);
        out.len(spread.slots.len());
        put_slot_numbers(out, &spread.slots);
    }
}

fn put_slot_numbers(out: &mut Encoder, slots: &[u16]) {
    for slot in slots {
        out.u32(u32::from(*slot));
    }
}

/// What facts and commands of a plan had not always: behind the rest of it.
pub(super) fn put_classes(out: &mut Encoder, classes: &[Class]) {
    out.len(classes.len());
    for class in classes {
        out.u8(class.keeping.code()).len(class.slots.len());
        put_slot_numbers(out, &class.slots);
        out.len(class.services.len());
        for service in &class.services {
            out.text(service);
        }
    }
}

pub(super) fn take_classes(input: &mut Decoder<'_>) -> Result<Vec<Class>, Error> {
    let mut classes = Vec::new();
    for _ in 0..input.count(1 + 4 + 4)? {
        let code = input.u8()?;
        let keeping = Keeping::of_code(code);
        let keeping = keeping.ok_or_else(|| input.invalid(format!("class {code} of a bucket")))?;
        let slots = take_slot_numbers(input)?;
        let mut services = BTreeSet::new();
        for _ in 0..input.count(4)? {
            services.insert(input.text()?);
        }
        classes.push(Class {
            keeping,
            slots,
            services,
        });
    }
    Ok(classes)
}

fn take_slot_numbers(input: &mut Decoder<'_>) -> Result<Vec<u16>, Error> {
    let mut slots = Vec::new();
    for _ in 0..input.count(4)? {
        let number = input.u32()?;
        let slot = u16::try_from(number);
        slots.push(slot.map_err(|_| input.invalid(format!("slot {number}")))?);
    }
    Ok(slots)
}

pub(super) fn take_plan(input: &mut Decoder<'_>) -> Result<Plan, Error> {
    let code = input.u8()?;
    let because = Because::of_code(code);
    let because = because.ok_or_else(|| input.invalid(format!("reason {code} of a bucket")))?;
    let rate = take_rate(input)?;
    let mut spread = BTreeMap::new();
    for _ in 0..input.count(4 + 16 + 4)? {
        let service = input.text()?;
        let rate = take_rate(input)?;
        let slots = take_slot_numbers(input)?;
        spread.insert(service, Spread { slots, rate });
    }
    Ok(Plan {
        because,
        rate,
        spread,
        classes: Vec::new(),
    })
}
