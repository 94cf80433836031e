//! The CPU part of a request: decode, parse, mask, and rows to parts.
//!
//! Goes through the body in small runs of records, stage by stage, so that each run stays in the
//! processor's caches and the time of each stage can be told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_ingest::json::Rejected;
use hushlog_ingest::{Context, RawRecord, parse};
use hushlog_pii::{Masker, Original};
use hushlog_raft::meta::Limits;
use hushlog_record::block::PartKey;
use hushlog_record::{LogId, Masked, Record, Timestamp};

use super::charge::{Charge, memory};
use super::content::Content;
use super::laps::Laps;
use super::numbers::{Numbers, cpu_time};
use super::rates::{Rates, Taken};
use super::rows::{Identity, Part, Rows, Weight, signed};
use super::services::Services;
use super::shares::Shares;
use super::{Admission, Batch, Full, Key, Permit, Pushed, Room, Sink, draw, verdict};
use crate::entropy::Stream;
use crate::error::{Failure, Kind};
use crate::limits::{
    PART_MASKED_BYTES_MAX, PART_MEMORY_BYTES, PART_TEXT_BYTES_MAX, REJECTIONS_LISTED_MAX,
    STAGE_RUN_BYTES, STAGE_RUN_ROWS,
};

/// What requests are prepared with.
pub(super) struct Bench<'a> {
    pub(super) admission: &'a Admission,
    pub(super) shares: &'a Shares,
    pub(super) rates: &'a Rates,
    pub(super) laps: &'a Laps,
    /// How much services may send.
    pub(super) limits: Arc<Limits>,
    pub(super) masker: &'a Masker,
    pub(super) content_key: &'a [u8; 32],
    pub(super) received: Timestamp,
    pub(super) numbers: &'a Numbers,
}

/// A request that is ready to be stored.
pub(super) struct Prepared {
    /// Everything but the receipts.
    pub(super) pushed: Pushed,
    pub(super) parts: Vec<Part>,
    pub(super) text_bytes: usize,
    /// Room for the rows.
    pub(super) permit: Permit,
    /// What its services' rates are charged.
    pub(super) taken: Taken,
}

impl Bench<'_> {
    /// Reads the records of a request and finds their shards. `services` is what has been read of it, also
    /// when it is refused.
    pub(super) fn prepare(
        &self,
        batch: Batch,
        permit: &mut Permit,
        mut ids: Stream,
        sink: &dyn Sink,
        services: &mut Services,
    ) -> Result<Prepared, Failure> {
        let drawn = Cell::new(false);
        let charge = RefCell::new(Charge::new(self.admission));
        let content = batch
            .key
            .map(|_| Content::new(self.content_key, &batch.service, &batch.environment));
        let mut room = Room::new(self.admission, permit, &charge, content);
        let mut random = || {
            drawn.set(true);
            draw(&mut ids)
        };
        let mut line = Line {
            bench: self,
            context: Context {
                received: self.received,
                service: &batch.service,
                environment: &batch.environment,
                random: &mut random,
            },
            names: Names {
                key: batch.key,
                received: self.received,
                drawn: &drawn,
                next: 0,
            },
            run: Run::default(),
            charge: &charge,
            tally: Tally::default(),
            services,
            over: None,
            pieces: Pieces::new(batch.key, self.masker.epoch()),
            mark: cpu_time(),
        };
        let source = batch.source;
        let read = source(&mut room, &mut |outcome| line.take(outcome));
        // Of a request that is refused no more rows are made.
        if read.is_ok() {
            line.finish_run();
        }
        let Line {
            tally,
            services,
            over,
            mut pieces,
            ..
        } = line;
        if let Some(failure) = over {
            return Err(failure);
        }
        let (body_bytes, content) = (room.bytes(), room.digest());
        // A source that was refused room has ended for that reason alone.
        let mut permit = charge.into_inner().settle(body_bytes)?;
        let shape = read?;
        if tally.accepted == 0 && tally.rejected == 0 {
            return Err(Failure::new(
                Kind::EmptyBody,
                "there is no record in the body",
            ));
        }
        let text_bytes = pieces.text_bytes();
        pieces.are_of(content);
        let parts = pieces.route(sink, self.laps)?;
        let shares = self.shares.take(services.memory());
        permit.is_held_by(shares.map_err(|Full| share_is_full())?);
        let spent = self.rates.take(&self.limits, services)?;
        let taken = Taken::new(self.rates, spent);
        let pushed = Pushed {
            shape,
            accepted: tally.accepted,
            rejected: tally.rejected,
            rejections: tally.rejections,
            rejected_by: tally.rejected_by,
            pii: tally.pii,
            first: tally.first,
            receipts: Vec::new(),
        };
        Ok(Prepared {
            pushed,
            parts,
            text_bytes,
            permit,
            taken,
        })
    }
}

/// The refusal of a request with records of a service that holds its part of the memory already.
fn share_is_full() -> Failure {
    let message = "a service of this request has as much on its way as one service may have on this \
                   node; try again in a moment";
    Failure::new(Kind::Overloaded, message)
}

/// One request on its way through the stages.
struct Line<'a, 's> {
    bench: &'a Bench<'a>,
    context: Context<'a>,
    names: Names<'a>,
    run: Run,
    charge: &'a RefCell<Charge>,
    tally: Tally,
    services: &'s mut Services,
    /// The refusal, once a service is seen to be over its rate limit, or to hold its part of the memory.
    over: Option<Failure>,
    pieces: Pieces,
    /// CPU time when the stage that is running began.
    mark: u64,
}

/// Records that go through the stages together.
#[derive(Default)]
struct Run {
    records: Vec<RawRecord>,
    text_bytes: usize,
}

impl Run {
    fn push(&mut self, raw: RawRecord) {
        self.text_bytes += raw.text_bytes();
        self.records.push(raw);
    }

    fn clear(&mut self) {
        self.records.clear();
        self.text_bytes = 0;
    }

    fn is_full(&self) -> bool {
        self.records.len() >= STAGE_RUN_ROWS || self.text_bytes >= STAGE_RUN_BYTES
    }

    /// What its records need at least.
    fn memory(&self) -> usize {
        self.records.len() * memory(0, 0) + self.text_bytes
    }
}

impl Line<'_, '_> {
    fn take(&mut self, outcome: Result<RawRecord, Rejected>) {
        match outcome {
            Ok(raw) => self.run.push(raw),
            Err(rejected) => self.tally.reject(rejected),
        }
        if self.run.is_full() {
            self.finish_run();
        }
    }

    /// Makes the rows of the records at hand, if there is room for them.
    fn finish_run(&mut self) {
        let mut run = std::mem::take(&mut self.run);
        let asked = run.memory();
        self.charge.borrow_mut().add_rows(asked);
        if !self.charge.borrow().is_refused() {
            let needed = self.make_rows(run.records.drain(..));
            let more = needed.saturating_sub(asked);
            self.charge.borrow_mut().add(more);
        }
        if self.charge.borrow().is_refused() {
            self.pieces.clear();
        }
        run.clear();
        self.run = run;
        self.mark = cpu_time();
    }

    /// Gives the memory that they need.
    fn make_rows(&mut self, run: impl Iterator<Item = RawRecord>) -> usize {
        let numbers = self.bench.numbers;
        let decoded = cpu_time();
        numbers.decode.add_nanos(decoded.saturating_sub(self.mark));
        let (context, names) = (&mut self.context, &mut self.names);
        let records: Vec<(Record, bool)> = run
            .map(|raw| {
                let assigned = raw.log_id.is_some() && raw.own_id().is_none();
                names.name(parse::record(raw, context), assigned)
            })
            .collect();
        let parsed = cpu_time();
        numbers.parse.add_nanos(parsed.saturating_sub(decoded));
        let (pieces, known) = (self.pieces.all.len(), self.services.len());
        let places: Vec<usize> = records
            .iter()
            .map(|(record, own_id)| self.pieces.place(record, *own_id))
            .collect();
        let begun = cpu_time();
        let masker = self.bench.masker;
        let masked: Vec<(Masked<Record>, Original)> = records
            .into_iter()
            .map(|(record, _)| signed(masker.mask_keeping(record)))
            .collect();
        let done = cpu_time();
        numbers.mask.add_nanos(done.saturating_sub(begun));
        let mut needed = 0;
        for (place, (record, original)) in places.into_iter().zip(masked) {
            let text_bytes = record.text_bytes();
            let memory = memory(record.fields.len(), text_bytes) + original.memory();
            needed += memory + self.services.add(&record, text_bytes, memory);
            self.tally.accept(&record);
            self.pieces.push(place, (record, original));
        }
        self.check_new(known);
        needed + (self.pieces.all.len() - pieces) * PART_MEMORY_BYTES
    }
}

impl Line<'_, '_> {
    /// Looks at services that have come since there were `known`: of a request with one that is over its
    /// rate limit, or holds its part of the memory, no more rows are made.
    fn check_new(&mut self, known: usize) {
        let bench = self.bench;
        let new = || self.services.since(known);
        let shares = bench.shares.check(new().map(|(service, _)| service));
        let checked = shares.map_err(|Full| share_is_full());
        if let Err(failure) = checked.and_then(|()| bench.rates.check(&bench.limits, new())) {
            self.over = Some(failure);
            self.charge.borrow_mut().stop();
        }
    }
}

/// Ids of records that the client gave none.
struct Names<'a> {
    key: Option<Key>,
    received: Timestamp,
    /// Whether the last record's id was drawn, and not the client's.
    drawn: &'a Cell<bool>,
    /// Place of the next record in the request.
    next: u64,
}

impl Names<'_> {
    /// The record, and whether its id is the client's own and not one that was made here (`assigned` by
    /// its source, or drawn). A drawn id of a keyed request becomes the one that every retry gives.
    fn name(&mut self, mut record: Record, assigned: bool) -> (Record, bool) {
        let place = self.next;
        self.next += 1;
        let drawn = self.drawn.replace(false);
        if let (true, Some(key)) = (drawn, self.key) {
            let time = Some(record.timestamp).filter(|time| *time != self.received);
            record.log_id = key.log_id(place, &record.service_name, time);
        }
        (record, !drawn && !assigned)
    }
}

#[derive(Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
    rejections: Vec<Rejected>,
    rejected_by: BTreeMap<&'static str, u64>,
    pii: BTreeMap<String, u64>,
    first: Option<LogId>,
}

impl Tally {
    fn accept(&mut self, record: &Record) {
        self.accepted += 1;
        self.first.get_or_insert(record.log_id);
        for detector in &record.pii {
            match self.pii.get_mut(detector) {
                Some(count) => *count += 1,
                None => {
                    self.pii.insert(detector.clone(), 1);
                }
            }
        }
    }

    fn reject(&mut self, rejected: Rejected) {
        self.rejected += 1;
        *self.rejected_by.entry(rejected.reason).or_default() += 1;
        if self.rejections.len() < REJECTIONS_LISTED_MAX {
            self.rejections.push(rejected);
        }
    }
}

/// Rows cut into pieces that fit into a block: those of a keyed request by service, in its order.
///
/// The cuts go by the records as they came: a retry may come after a change of the policy, and its
/// pieces must be the same. Records that their clients have named are pieces of their own where the
/// request has no key; where it has one, that counts alone.
struct Pieces {
    key: Option<Key>,
    epoch: u64,
    /// The place of the piece that each service fills.
    open: BTreeMap<String, usize>,
    /// The same of records that their clients have named.
    open_named: BTreeMap<String, usize>,
    all: Vec<Piece>,
}

struct Piece {
    rows: Rows,
    /// What its records weighed before they were masked.
    unmasked: Weight,
}

impl Piece {
    fn is_full(&self) -> bool {
        self.unmasked.is_full(PART_TEXT_BYTES_MAX)
            || self.rows.weight.text_bytes >= PART_MASKED_BYTES_MAX
    }
}

impl Pieces {
    fn new(key: Option<Key>, epoch: u64) -> Self {
        Self {
            key,
            epoch,
            open: BTreeMap::new(),
            open_named: BTreeMap::new(),
            all: Vec::new(),
        }
    }

    /// The place of the piece that takes this record, which is not masked yet. `own_id` says whether its
    /// client has named it.
    fn place(&mut self, record: &Record, own_id: bool) -> usize {
        let named = own_id && self.key.is_none();
        // Rows without an identity stay together until their shards are known.
        let service = if named || self.key.is_some() {
            record.service_name.as_str()
        } else {
            ""
        };
        let open = if named {
            &mut self.open_named
        } else {
            &mut self.open
        };
        let unmasked = Weight::of(record);
        if let Some(place) = open.get(service)
            && let Some(piece) = self.all.get_mut(*place)
            && !piece.is_full()
        {
            piece.unmasked.add(unmasked);
            return *place;
        }
        let place = self.all.len();
        open.insert(service.to_owned(), place);
        let identity = match self.part_key(place) {
            Some(key) => Identity::Piece(key),
            None if named => Identity::Ids,
            None => Identity::None,
        };
        self.all.push(Piece {
            rows: Rows::new(identity, self.epoch),
            unmasked,
        });
        place
    }

    fn push(&mut self, place: usize, masked: (Masked<Record>, Original)) {
        if let Some(piece) = self.all.get_mut(place) {
            piece.rows.push(masked);
        }
    }

    fn part_key(&self, place: usize) -> Option<PartKey> {
        let key = self.key?;
        Some(PartKey {
            producer: key.producer,
            sequence: key.sequence,
            chunk: u32::try_from(place).expect("a request has fewer pieces than bytes"),
        })
    }

    /// Tells every piece what the whole request says.
    fn are_of(&mut self, content: u64) {
        for piece in &mut self.all {
            piece.rows.content = content;
        }
    }

    /// Drops all rows: they will not be stored.
    fn clear(&mut self) {
        self.open.clear();
        self.open_named.clear();
        self.all.clear();
    }

    fn text_bytes(&self) -> usize {
        self.all
            .iter()
            .map(|piece| piece.rows.weight.text_bytes)
            .sum()
    }

    fn route(self, sink: &dyn Sink, laps: &Laps) -> Result<Vec<Part>, Failure> {
        let mut parts = Vec::new();
        for piece in self.all {
            parts.extend(piece.rows.route(sink, laps).map_err(verdict::failure)?);
        }
        Ok(parts)
    }
}
