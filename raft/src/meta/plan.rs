//! How a bucket was planned, beyond who holds its slots: which services have several of them, and why it was
//! opened when it was.
//!
//! Nothing here measures or decides: the meta leader plans, and everyone routes and asks by it.

use std::collections::BTreeMap;

use super::state::Slot;
use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{SPREAD_SERVICE_BYTES_MAX, SPREAD_SERVICES_MAX};

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

/// What a bucket's plan says beyond its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Why it was opened when it was.
    pub because: Because,
    /// What all services together were measured at when it was planned; nothing where nobody had measured.
    pub rate: Rate,
    /// Services with slots of their choice; all others go by the hash of their name.
    pub spread: BTreeMap<String, Spread>,
}

impl Plan {
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
        Ok(())
    }

    /// Bytes of its encoding, about.
    pub(super) fn bytes(&self) -> usize {
        let of =
            |(service, spread): (&String, &Spread)| 24 + service.len() + 4 * spread.slots.len();
        21 + self.spread.iter().map(of).sum::<usize>()
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

pub(super) fn put_plan(out: &mut Encoder, plan: &Plan) {
    out.u8(plan.because.code());
    put_rate(out, plan.rate);
    out.len(plan.spread.len());
    for (service, spread) in &plan.spread {
        out.text(service);
        put_rate(out, spread.rate);
        out.len(spread.slots.len());
        for slot in &spread.slots {
            out.u32(u32::from(*slot));
        }
    }
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
        let mut slots = Vec::new();
        for _ in 0..input.count(4)? {
            let number = input.u32()?;
            let slot = u16::try_from(number);
            slots.push(slot.map_err(|_| input.invalid(format!("slot {number}")))?);
        }
        spread.insert(service, Spread { slots, rate });
    }
    Ok(Plan {
        because,
        rate,
        spread,
    })
}
