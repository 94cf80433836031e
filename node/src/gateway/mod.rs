//! From a request's bytes to an acknowledgement.
//!
//! decode → parse → mask on a CPU thread, rows to the batcher of their shard, blocks to the cluster.
//! A request is acknowledged when all of its parts are stored; it is refused whole before any of it
//! is proposed; in between its outcome is unknown and said to be. Unmasked text never leaves the memory
//! of the request: what masking has replaced is kept beside its records until they are stored, so that a
//! change of the policy on the way has them masked again as they came.

mod admission;
mod batch;
mod charge;
mod claim;
mod content;
mod fair;
mod laps;
mod numbers;
mod prepare;
mod rates;
mod room;
mod rows;
mod services;
mod shard;
mod shares;
pub mod sink;
mod turns;
mod verdict;
mod way;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_pii::Masker;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

pub use admission::{Admission, Full, Permit};
pub use batch::{Batch, Key, Pushed, Receipt, Source, request_key};
pub use charge::refusal;
pub use claim::Claim;
pub use content::content_key;
pub use rates::{Rates, Spent};
pub use room::{Room, full};
pub use sink::{Placed, Refused, Sink};
pub use way::Way;

use crate::clock::Clock;
use crate::entropy::{Entropy, Stream};
use crate::error::{Failure, Kind};
use crate::ledger::{Entry, Ledger};
use crate::limits::{
    REROUTE_PAUSE, REROUTES_MAX, SERVICE_MEMORY_PART, TURNS_PER_THREAD, WAITING_MEMORY_PART,
};
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::Tasks;
use laps::Laps;
use numbers::Numbers;
use prepare::Prepared;
use rows::{Part, Rows};
use services::Services;
use shard::{Batchers, Outcome};
use shares::Shares;
use turns::Turns;
use verdict::Verdict;

/// Takes requests in; cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

/// What a gateway is made of.
pub struct Parts {
    /// Where blocks go.
    pub sink: Arc<dyn Sink>,
    /// What masks.
    pub masking: Arc<Masking>,
    /// What the contents of keyed requests are compared by: [`content_key`].
    pub content_key: [u8; 32],
    /// What requests are told apart by: [`request_key`].
    pub request_key: [u8; 32],
    /// Where CPU work goes.
    pub offload: Offload,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of records are made from its stream `log ids`.
    pub entropy: Entropy,
    /// What services with a rate limit have used, here and on the other nodes.
    pub rates: Rates,
    /// Where requests are entered.
    pub ledger: Ledger,
    /// Where counters go.
    pub registry: Registry,
    /// Where batchers run.
    pub tasks: Tasks,
    /// Bytes of requests being taken in.
    pub memory: usize,
    /// Time to store a request once it has been read.
    pub timeout: Duration,
}

struct Inner {
    sink: Arc<dyn Sink>,
    masking: Arc<Masking>,
    content_key: [u8; 32],
    request_key: [u8; 32],
    offload: Offload,
    clock: Arc<dyn Clock>,
    ids: Mutex<Stream>,
    admission: Admission,
    ledger: Ledger,
    shares: Shares,
    waiting: Shares,
    turns: Turns,
    rates: Rates,
    laps: Laps,
    batchers: Batchers,
    numbers: Numbers,
    timeout: Duration,
}

impl Gateway {
    /// From its parts.
    pub fn new(parts: Parts) -> Self {
        let numbers = Numbers::new(&parts.registry);
        let batchers = Batchers::new(shard::Shared {
            sink: Arc::clone(&parts.sink),
            offload: parts.offload.clone(),
            clock: Arc::clone(&parts.clock),
            tasks: parts.tasks,
            numbers: numbers.clone(),
        });
        let turns = Turns::new(parts.offload.width() * TURNS_PER_THREAD);
        Self {
            inner: Arc::new(Inner {
                sink: parts.sink,
                masking: parts.masking,
                content_key: parts.content_key,
                request_key: parts.request_key,
                offload: parts.offload,
                clock: parts.clock,
                ids: Mutex::new(parts.entropy.stream("log ids")),
                admission: Admission::new(parts.memory, numbers.memory.clone()),
                ledger: parts.ledger,
                shares: Shares::new(parts.memory / SERVICE_MEMORY_PART),
                waiting: Shares::new(parts.memory / WAITING_MEMORY_PART),
                turns,
                rates: parts.rates,
                laps: Laps::new(parts.entropy.stream("laps").next_u64()),
                batchers,
                numbers,
                timeout: parts.timeout,
            }),
        }
    }

    /// Where requests get room before they are read.
    pub fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// The key of an `Idempotency-Key` header.
    pub fn key_of_header(&self, text: &str) -> Key {
        Key::of_header(&self.inner.request_key, text)
    }

    /// The key of a producer's numbered request.
    pub fn key_of_producer(&self, producer: &str, sequence: u64) -> Key {
        Key::of_producer(&self.inner.request_key, producer, sequence)
    }

    /// Counts a request that was refused before it came here.
    pub fn turned_away(&self, way: Way, failure: &Failure) {
        self.inner.numbers.refused(failure);
        let code = failure.kind.code();
        self.inner.ledger.refused(way, std::iter::empty(), code);
    }

    /// Counts records that nobody will send again, and that are not stored.
    pub fn lost(&self, way: Way, records: u64) {
        self.inner.ledger.lost(way, records);
    }

    /// Takes in one request. `permit` is the room it was read into; its rows get room of their own.
    ///
    /// `Ok` means: all that was accepted is synced on a majority and searchable.
    pub async fn push(&self, batch: Batch, permit: Permit) -> Result<Pushed, Failure> {
        let began = Instant::now();
        let mut page = Page::new(&self.inner.ledger, batch.way);
        let outcome = self
            .push_before(batch, permit, began + self.inner.timeout, &mut page)
            .await;
        page.close(&outcome);
        match &outcome {
            Ok(pushed) => self.inner.numbers.acknowledged(pushed, began.elapsed()),
            Err(failure) => self.inner.numbers.refused(failure),
        }
        outcome
    }

    async fn push_before(
        &self,
        batch: Batch,
        permit: Permit,
        deadline: Instant,
        page: &mut Page<'_>,
    ) -> Result<Pushed, Failure> {
        let Prepared {
            mut pushed,
            parts,
            text_bytes,
            permit,
            mut taken,
        } = self.prepare(batch, permit, page).await?;
        self.inner.numbers.bytes.add(text_bytes as u64);
        page.is_underway = true;
        taken.is_underway();
        let notes = Notes {
            pii: &mut pushed.pii,
            repeated: &mut page.repeated,
            services: &mut page.services,
        };
        let stored = self.store(parts, Arc::new(permit), deadline, notes);
        match stored.await {
            Ok(receipts) => pushed.receipts = receipts,
            Err(failure) => {
                if failure.kind != Kind::OutcomeUnknown {
                    taken.give_back();
                }
                return Err(failure);
            }
        }
        Ok(pushed)
    }

    async fn prepare(
        &self,
        batch: Batch,
        mut permit: Permit,
        page: &mut Page<'_>,
    ) -> Result<Prepared, Failure> {
        let bytes = permit.bytes().max(batch.bytes) as u64;
        let class = turns::class(&batch.service, batch.way, bytes);
        let sender = (Arc::from(format!("{class:016x}")), permit.bytes());
        let waiting = self.inner.waiting.take(std::iter::once(sender));
        let waiting = waiting.map_err(|Full| full())?;
        let turn = self.inner.turns.take(class, bytes).await;
        let inner = Arc::clone(&self.inner);
        let ids = Stream::from_rng(&mut *self.inner.ids.lock());
        let masker = self.inner.masking.current();
        let work = move || {
            let bench = prepare::Bench {
                admission: &inner.admission,
                shares: &inner.shares,
                rates: &inner.rates,
                laps: &inner.laps,
                limits: inner.sink.limits(),
                masker: &masker,
                content_key: &inner.content_key,
                received: inner.clock.now(),
                numbers: &inner.numbers,
            };
            let mut services = Services::default();
            let sink = &*inner.sink;
            let prepared = bench.prepare(batch, &mut permit, ids, sink, &mut services);
            drop((turn, waiting));
            (prepared, services)
        };
        let (prepared, services) = self.inner.offload.run(work).await?;
        page.services = services;
        prepared
    }

    /// Stores every part, sending rows of closed shards to the shards that took over, and masking again
    /// what was masked under a policy that its shard takes no more.
    async fn store(
        &self,
        mut parts: Vec<Part>,
        permit: Arc<Permit>,
        deadline: Instant,
        notes: Notes<'_>,
    ) -> Result<Vec<Receipt>, Failure> {
        let Notes {
            pii,
            repeated,
            services,
        } = notes;
        let mut verdict = Verdict::default();
        for round in 0..=REROUTES_MAX {
            let submitted = parts.drain(..).map(|part| {
                self.inner
                    .batchers
                    .submit(part, Arc::clone(&permit), deadline)
            });
            let mut closed = Vec::new();
            let mut outdated = Outdated::default();
            for outcome in join_all(submitted).await {
                match outcome {
                    Outcome::Stored(receipts, again) => {
                        verdict.stored(receipts);
                        for (service, rows) in again {
                            *repeated.entry(service).or_default() += rows;
                        }
                    }
                    Outcome::Refused(Refused::Closed, rows) if round < REROUTES_MAX => {
                        closed.push(rows)
                    }
                    Outcome::Refused(Refused::Outdated { lowest }, rows)
                        if round < REROUTES_MAX && !rows.records.is_empty() =>
                    {
                        outdated.add(rows, lowest);
                    }
                    Outcome::Refused(why, _) => verdict.refused(why),
                }
            }
            if closed.is_empty() && outdated.is_empty() {
                break;
            }
            if !closed.is_empty() {
                if Instant::now() + REROUTE_PAUSE >= deadline {
                    verdict.refused(Refused::Unavailable);
                    break;
                }
                tokio::time::sleep(REROUTE_PAUSE).await;
            }
            let again = match self.mask_again(outdated, deadline, pii, services).await {
                Ok(again) => again,
                Err(why) => {
                    verdict.refused(why);
                    break;
                }
            };
            for rows in closed.into_iter().chain(again) {
                match rows.route(&*self.inner.sink, &self.inner.laps) {
                    Ok(routed) => parts.extend(routed),
                    Err(why) => verdict.refused(why),
                }
            }
        }
        verdict.settle()
    }

    /// Masks rows as they came, under the policy that their shards ask for, once this node has it.
    async fn mask_again(
        &self,
        outdated: Outdated,
        deadline: Instant,
        pii: &mut BTreeMap<String, u64>,
        services: &mut Services,
    ) -> Result<Vec<Rows>, Refused> {
        let Outdated { rows, lowest } = outdated;
        if rows.is_empty() {
            return Ok(rows);
        }
        let learnt = self.inner.masking.at_least(lowest);
        if tokio::time::timeout_at(deadline, learnt).await.is_err() {
            return Err(Refused::Outdated { lowest });
        }
        let (masker, admission) = (self.inner.masking.current(), self.inner.admission.clone());
        let mut counts = (std::mem::take(pii), std::mem::take(services));
        let work = move || {
            let again = rows
                .into_iter()
                .map(|rows| mask_rows_again(rows, &masker, &admission, &mut counts))
                .collect::<Result<Vec<Rows>, Refused>>();
            again.map(|again| (again, counts))
        };
        let done = self.inner.offload.run(work).await;
        let (again, counts) = done.map_err(|_| Refused::Unavailable)??;
        self.inner.numbers.masked_again.increment();
        (*pii, *services) = counts;
        Ok(again)
    }
}

/// What storing finds out about a request.
struct Notes<'a> {
    /// Records in which each detector fired.
    pii: &'a mut BTreeMap<String, u64>,
    /// Records that had been stored before, by service.
    repeated: &'a mut BTreeMap<String, u64>,
    /// What each service has, by the names that are stored.
    services: &'a mut Services,
}

/// The entry of one request in the ledger, made when it is answered; or when its sender goes away.
struct Page<'a> {
    ledger: &'a Ledger,
    way: Way,
    services: Services,
    repeated: BTreeMap<String, u64>,
    /// Whether it may be stored although nobody waits for the answer.
    is_underway: bool,
}

impl<'a> Page<'a> {
    fn new(ledger: &'a Ledger, way: Way) -> Self {
        Self {
            ledger,
            way,
            services: Services::default(),
            repeated: BTreeMap::new(),
            is_underway: false,
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.services.iter().map(|(service, share)| Entry {
            service,
            records: share.records,
            masked: share.masked,
            repeated: self.repeated.get(service).copied().unwrap_or(0),
        })
    }

    fn close(&mut self, outcome: &Result<Pushed, Failure>) {
        self.is_underway = false;
        match outcome {
            Ok(pushed) => {
                let rejected = &pushed.rejected_by;
                self.ledger.acknowledged(self.way, self.entries(), rejected);
            }
            Err(failure) if failure.kind == Kind::OutcomeUnknown => {
                self.ledger.unknown(self.way, self.entries());
            }
            Err(failure) => {
                let services = self.services.iter().map(|(service, _)| service);
                self.ledger.refused(self.way, services, failure.kind.code());
            }
        }
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if self.is_underway {
            self.ledger.unknown(self.way, self.entries());
        }
    }
}

/// Rows that were masked under a policy that their shards take no more.
#[derive(Default)]
struct Outdated {
    rows: Vec<Rows>,
    /// The lowest policy epoch that all of those shards take.
    lowest: u64,
}

impl Outdated {
    fn add(&mut self, rows: Rows, lowest: u64) {
        self.rows.push(rows);
        self.lowest = self.lowest.max(lowest);
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Counts the records in which each detector fired, and those of each service: a name may be another one
/// under the new policy, and the old one must be nowhere.
fn mask_rows_again(
    rows: Rows,
    masker: &Masker,
    admission: &Admission,
    (found, services): &mut (BTreeMap<String, u64>, Services),
) -> Result<Rows, Refused> {
    let before = rows.memory();
    let names = rows.records.iter().map(|record| &record.service_name);
    let names: Vec<String> = names.cloned().collect();
    for detector in rows.records.iter().flat_map(|record| &record.pii) {
        if let Some(count) = found.get_mut(detector) {
            *count = count.saturating_sub(1);
        }
    }
    let mut again = rows.mask_again(masker);
    for (name, record) in names.iter().zip(&again.records) {
        if *name != record.service_name {
            services.rename(name, &record.service_name);
        }
    }
    for detector in again.records.iter().flat_map(|record| &record.pii) {
        *found.entry(detector.clone()).or_default() += 1;
    }
    found.retain(|_, count| *count > 0);
    let more = again.memory().saturating_sub(before);
    if more > 0 {
        let room = again.room.get_or_insert_with(|| admission.none());
        let bytes = room.bytes() + more;
        admission.grow(room, bytes).map_err(|_| Refused::NoRoom)?;
    }
    Ok(again)
}

/// Ten random bytes for each record's id.
fn draw(ids: &mut Stream) -> [u8; 10] {
    let mut bytes = [0u8; 10];
    ids.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
