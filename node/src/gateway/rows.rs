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
use super::laps::{Laps, choice};
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
    ///
    /// Of a service that is spread, what may come again goes by what it is recognised by, so that it finds the
    /// shard that has it; what cannot be recognised stays together.
    pub(super) fn route(self, sink: &dyn Sink, laps: &Laps) -> Result<Vec<Part>, Refused> {
        let Some(first) = self.records.first() else {
            return Ok(Vec::new());
        };
        let service = first.service_name.as_str();
        match self.identity {
            Identity::Piece(key) => {
                let shards = sink.route(service)?;
                let producer = key.producer.to_be_bytes();
                let shard = choose(&shards, || choice(service, &producer))?;
                Ok(vec![Part { shard, rows: self }])
            }
            Identity::Ids => {
                let shards = sink.route(service)?;
                self.divide(|record| {
                    let id = &record.log_id.0;
                    choose(&shards, || choice(&record.service_name, id))
                })
            }
            Identity::None => {
                let text_bytes = self.weight.text_bytes;
                let mut lap = None;
                let mut known: FxHashMap<String, ShardId> = FxHashMap::default();
                self.divide(|record| {
                    let service = record.service_name.as_str();
                    if let Some(shard) = known.get(service) {
                        return Ok(*shard);
                    }
                    let shards = sink.route(service)?;
                    let shard = choose(&shards, || {
                        let lap = *lap.get_or_insert_with(|| laps.next(text_bytes));
                        choice(service, &lap.to_be_bytes())
                    })?;
                    known.insert(service.to_owned(), shard);
                    Ok(shard)
                })
            }
        }
    }

    /// Rows by the shards that they go to, in the order in which these come first.
    fn divide(
        self,
        mut shard_of: impl FnMut(&Record) -> Result<ShardId, Refused>,
    ) -> Result<Vec<Part>, Refused> {
        let (identity, epoch, content, mut room) =
            (self.identity, self.epoch, self.content, self.room);
        let mut parts: Vec<Part> = Vec::new();
        for (record, original) in self.records.into_iter().zip(self.originals) {
            let shard = shard_of(&record)?;
            // Few shards: there is no need to remember where they are.
            let place = parts.iter().position(|part| part.shard == shard);
            let place = place.unwrap_or(parts.len());
            if place == parts.len() {
                parts.push(Part {
                    shard,
                    rows: Self {
                        content,
                        room: room.take(),
                        ..Self::new(identity, epoch)
                    },
                });
            }
            if let Some(part) = parts.get_mut(place) {
                part.rows.push((record, original));
            }
        }
        Ok(parts)
    }
}

/// One of a service's shards; what chooses is asked only where there are several.
fn choose(shards: &[ShardId], by: impl FnOnce() -> u64) -> Result<ShardId, Refused> {
    let place = match shards.len() {
        0 | 1 => 0,
        several => usize::try_from(by() % several as u64).unwrap_or(0),
    };
    shards.get(place).copied().ok_or(Refused::Unavailable)
}
