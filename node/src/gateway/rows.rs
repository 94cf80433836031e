//! Masked rows on their way to shards.

use hushlog_ingest::exception::signature;
use hushlog_pii::{Masker, Original};
use hushlog_record::block::PartKey;
use hushlog_record::id::stable_hash;
use hushlog_record::limits::{
    BLOCK_FIELDS_MAX, BLOCK_ROWS_MAX, BLOCK_TEXT_BYTES_TARGET, RECORD_FIELDS_MAX,
};
use hushlog_record::{Masked, Record, ShardId};
use rustc_hash::FxHashMap;

use super::charge::memory_of;
use super::{Permit, Refused, Sink};
use crate::limits::{PART_FIELDS_MAX, PART_ROWS_MAX};

/// A masked record with the signature of its exception.
pub(super) fn signed(
    (mut record, original): (Masked<Record>, Original),
) -> (Masked<Record>, Original) {
    record.sign(|exception| signature(exception).hash);
    (record, original)
}

/// What rows weigh against the limits of a block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) rows: usize,
    /// Fields of all rows: at least as many as there are different names.
    pub(super) fields: usize,
    pub(super) text_bytes: usize,
}

impl Weight {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            rows: 1,
            fields: record.fields.len(),
            text_bytes: record.text_bytes(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.fields += other.fields;
        self.text_bytes += other.text_bytes;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.rows -= other.rows;
        self.fields -= other.fields;
        self.text_bytes -= other.text_bytes;
    }

    /// How much of a block it takes, as bytes of text.
    pub(super) fn cost(self) -> u64 {
        let rows = self.rows * (BLOCK_TEXT_BYTES_TARGET / PART_ROWS_MAX);
        let fields = self.fields * (BLOCK_TEXT_BYTES_TARGET / PART_FIELDS_MAX);
        self.text_bytes.max(rows).max(fields) as u64
    }

    /// Whether a part, or a block, of so many text bytes ends here.
    pub(super) fn is_full(self, text_bytes_max: usize) -> bool {
        self.rows >= PART_ROWS_MAX
            || self.fields >= PART_FIELDS_MAX
            || self.text_bytes >= text_bytes_max
    }
}

// What is not full takes one record, or one part, more: that must still fit into a block.
const _: () = assert!(2 * PART_ROWS_MAX <= BLOCK_ROWS_MAX);
const _: () = assert!(2 * (PART_FIELDS_MAX + RECORD_FIELDS_MAX) <= BLOCK_FIELDS_MAX);

/// What rows are recognised by when they come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// By nothing: they would be stored twice.
    None,
    /// All of them by the piece of the request that they are.
    Piece(PartKey),
    /// Each by the id that its client gave it.
    Ids,
}

impl Identity {
    /// Whether what has it can be sent again without harm.
    pub(super) const fn is_some(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Rows that travel together, each of some service.
///
/// Rows with an identity are all of one service, and how a request is cut into pieces depends on the request
/// alone: a retry that finds another shard map makes the same pieces with the same keys.
pub(super) struct Rows {
    pub(super) records: Vec<Masked<Record>>,
    /// What masking has replaced in each, for the case that the policy changes before they are stored.
    pub(super) originals: Vec<Original>,
    /// The policy that they are masked under.
    pub(super) epoch: u64,
    pub(super) weight: Weight,
    pub(super) identity: Identity,
    /// Digest of the whole request, if it has a key; else 0.
    pub(super) content: u64,
    /// Room that they need beyond what the request has asked for.
    pub(super) room: Option<Permit>,
}

/// Rows with the shard that takes them.
pub(super) struct Part {
    pub(super) shard: ShardId,
    pub(super) rows: Rows,
}

impl Rows {
    pub(super) fn new(identity: Identity, epoch: u64) -> Self {
        Self {
            records: Vec::new(),
            originals: Vec::new(),
            epoch,
            weight: Weight::default(),
            identity,
            content: 0,
            room: None,
        }
    }

    pub(super) fn push(&mut self, (record, original): (Masked<Record>, Original)) {
        self.weight.add(Weight::of(&record));
        self.records.push(record);
        self.originals.push(original);
    }

    /// As whose they wait for a block: the service of all of them, or nobody's where they are of several.
    pub(super) fn class(&self) -> u64 {
        let mut services = self.records.iter().map(|record| &record.service_name);
        let first = services.next().map_or("", String::as_str);
        if self.identity.is_some() || services.all(|service| service == first) {
            stable_hash(&[b"service", first.as_bytes()])
        } else {
            0
        }
    }

    /// Memory of its records.
    pub(super) fn memory(&self) -> usize {
        let records = self.records.iter().map(|record| memory_of(record));
        let originals = self.originals.iter().map(Original::memory);
        records.sum::<usize>() + originals.sum::<usize>()
    }

    /// Masks every row as it came, under another policy.
    pub(super) fn mask_again(self, masker: &Masker) -> Self {
        let mut again = Self {
            content: self.content,
            room: self.room,
            ..Self::new(self.identity, masker.epoch())
        };
        for (record, original) in self.records.into_iter().zip(self.originals) {
            again.push(signed(masker.mask_again(record, original)));
        }
        again
    }

    /// Finds the shard of every row again.
    pub(super) fn route(self, sink: &dyn Sink) -> Result<Vec<Part>, Refused> {
        let Some(first) = self.records.first() else {
            return Ok(Vec::new());
        };
        if self.identity.is_some() {
            let shard = sink.route(&first.service_name)?;
            return Ok(vec![Part { shard, rows: self }]);
        }
        let (epoch, mut room) = (self.epoch, self.room);
        let mut parts: Vec<Part> = Vec::new();
        let mut places: FxHashMap<String, usize> = FxHashMap::default();
        for (record, original) in self.records.into_iter().zip(self.originals) {
            let place = match places.get(&record.service_name) {
                Some(place) => *place,
                None => {
                    let shard = sink.route(&record.service_name)?;
                    let known = parts.iter().position(|part| part.shard == shard);
                    let place = known.unwrap_or(parts.len());
                    if known.is_none() {
                        parts.push(Part {
                            shard,
                            rows: Self {
                                room: room.take(),
                                ..Self::new(Identity::None, epoch)
                            },
                        });
                    }
                    places.insert(record.service_name.clone(), place);
                    place
                }
            };
            if let Some(part) = parts.get_mut(place) {
                part.rows.push((record, original));
            }
        }
        Ok(parts)
    }
}
