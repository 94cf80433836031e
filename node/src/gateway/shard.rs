//! Batching by shard: one task per shard that takes rows and sends blocks.
//!
//! What can be recognised when it comes again, by a request's key or by records' own ids, and what cannot
//! fill blocks of their own.
//!
//! No linger: an idle shard's rows leave at once. While a block is on its way the next one fills; a
//! full one leaves too, as long as few are on their way. So blocks grow with load by themselves. A block that
//! is overdue holds up nothing: its shard may have lost its majority, and who comes next is to hear so.
//!
//! What waits, waits by service, and each block takes from all of them alike: what one service has sent
//! never stands in front of what another one sends. Byte permits bound how much waits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hushlog_record::block::{Part as BlockPart, PartKey};
use hushlog_record::limits::BLOCK_TEXT_BYTES_TARGET;
use hushlog_record::{Block, Masked, Record, ShardId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::fair::Fair;
use super::numbers::{Numbers, cpu_time};
use super::rows::{Identity, Part, Rows, Weight};
use super::{Permit, Placed, Receipt, Refused, Sink};
use crate::clock::Clock;
use crate::limits::{BATCHER_IDLE, BATCHER_INBOX_MAX, BLOCK_OVERDUE, BLOCKS_IN_FLIGHT_MAX};
use crate::offload::Offload;
use crate::tasks::{Policy, Tasks};

/// What became of one part.
pub(super) enum Outcome {
    /// Where they are, and how many of the rows an earlier attempt had stored, by service.
    Stored(Vec<Receipt>, BTreeMap<String, u64>),
    Refused(Refused, Rows),
}

/// What all batchers use.
pub(super) struct Shared {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) offload: Offload,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) numbers: Numbers,
}

/// The batchers of all shards; cheap to clone.
#[derive(Clone)]
pub(super) struct Batchers {
    shared: Arc<Shared>,
    inboxes: Arc<Mutex<FxHashMap<ShardId, mpsc::Sender<Submission>>>>,
}

/// Rows that wait for their block.
struct Submission {
    rows: Rows,
    deadline: Instant,
    /// The room of the request, kept until the rows are gone.
    permit: Arc<Permit>,
    done: oneshot::Sender<Outcome>,
}

impl Batchers {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            inboxes: Arc::default(),
        }
    }

    /// Sends rows to their shard and waits until they are stored or refused.
    pub(super) async fn submit(
        &self,
        part: Part,
        permit: Arc<Permit>,
        deadline: Instant,
    ) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let mut submission = Submission {
            rows: part.rows,
            deadline,
            permit,
            done,
        };
        // A batcher that ends at this moment has left the map: the next look finds or makes another.
        while let Err(mpsc::error::SendError(back)) = self.inbox(part.shard).send(submission).await
        {
            submission = back;
        }
        // A batcher answers every submission; one that panicked may have proposed this one.
        outcome.await.unwrap_or_else(|_| {
            Outcome::Refused(Refused::OutcomeUnknown, Rows::new(Identity::None, 0))
        })
    }

    fn inbox(&self, shard: ShardId) -> mpsc::Sender<Submission> {
        let mut inboxes = self.inboxes.lock();
        if let Some(inbox) = inboxes.get(&shard).filter(|inbox| !inbox.is_closed()) {
            return inbox.clone();
        }
        let (sender, inbox) = mpsc::channel(BATCHER_INBOX_MAX);
        inboxes.insert(shard, sender.clone());
        let batcher = Batcher {
            shard,
            batchers: self.clone(),
            keyed: Lane::default(),
            unkeyed: Lane::default(),
            flights: FuturesUnordered::new(),
            overdue: FuturesUnordered::new(),
        };
        self.shared.tasks.spawn(
            format!("batcher {shard}"),
            Policy::Fatal,
            batcher.run(inbox),
        );
        sender
    }
}

/// The blocks of what has an identity, or those of what has none.
///
/// They are never mixed: whether a block may be proposed again depends on every part having a key.
#[derive(Default)]
struct Lane {
    /// By service.
    waiting: Fair<Submission>,
    /// Of all that waits.
    weight: Weight,
    /// Blocks that are on their way and not overdue.
    in_flight: usize,
}

impl Lane {
    fn add(&mut self, submission: Submission) {
        let weight = submission.rows.weight;
        self.weight.add(weight);
        let class = submission.rows.class();
        self.waiting.push(class, weight.cost(), submission);
    }

    /// The next block, if it is time. `in_flight` counts those of both lanes.
    fn launch(&mut self, in_flight: usize) -> Option<Vec<Submission>> {
        let is_full = self.weight.is_full(BLOCK_TEXT_BYTES_TARGET);
        let due = self.in_flight == 0 || (is_full && in_flight < BLOCKS_IN_FLIGHT_MAX);
        if self.waiting.is_empty() || !due {
            return None;
        }
        self.in_flight += 1;
        let (mut block, mut weight) = (Vec::new(), Weight::default());
        while !weight.is_full(BLOCK_TEXT_BYTES_TARGET)
            && let Some(submission) = self.waiting.pop()
        {
            weight.add(submission.rows.weight);
            block.push(submission);
        }
        self.weight.remove(weight);
        Some(block)
    }
}

/// The task of one shard.
struct Batcher {
    shard: ShardId,
    batchers: Batchers,
    keyed: Lane,
    unkeyed: Lane,
    flights: FuturesUnordered<BoxFuture<'static, Flight>>,
    /// What is on its way for so long that the next blocks do not wait for it.
    overdue: FuturesUnordered<BoxFuture<'static, ()>>,
}

/// A block that has landed, or is overdue.
struct Flight {
    keyed: bool,
    /// The rest of its way.
    left: Option<BoxFuture<'static, ()>>,
}

impl Flight {
    async fn begin(keyed: bool, mut way: BoxFuture<'static, ()>) -> Self {
        let landed = timeout(BLOCK_OVERDUE, &mut way).await.is_ok();
        let left = (!landed).then_some(way);
        Self { keyed, left }
    }
}

impl Batcher {
    async fn run(mut self, mut inbox: mpsc::Receiver<Submission>) -> Result<(), String> {
        let stop = self.batchers.shared.tasks.stop_token();
        let mut leaving = false;
        loop {
            self.launch();
            let idle = self.is_idle() && !leaving;
            tokio::select! {
                biased; // new work comes last, so that load cannot starve acknowledgements
                () = self.land(), if !self.is_idle() => {}
                () = stop.cancelled(), if !leaving => { leaving = true; self.leave(&mut inbox); }
                received = inbox.recv() => match received {
                    Some(submission) => self.fill(submission, &mut inbox),
                    None if self.is_idle() => return Ok(()),
                    None => self.land().await,
                },
                () = tokio::time::sleep(BATCHER_IDLE), if idle => { leaving = true; self.leave(&mut inbox); }
            }
        }
    }

    /// Takes what else has come: the inbox knows no services.
    fn fill(&mut self, submission: Submission, inbox: &mut mpsc::Receiver<Submission>) {
        self.add(submission);
        for _ in 0..BATCHER_INBOX_MAX {
            let Ok(submission) = inbox.try_recv() else {
                return;
            };
            self.add(submission);
        }
    }

    fn add(&mut self, submission: Submission) {
        let keyed = submission.rows.identity.is_some();
        self.lane(keyed).add(submission);
    }

    fn lane(&mut self, keyed: bool) -> &mut Lane {
        if keyed {
            &mut self.keyed
        } else {
            &mut self.unkeyed
        }
    }

    fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.overdue.is_empty()
    }

    /// Waits until a block that is on its way has landed, or is overdue.
    async fn land(&mut self) {
        tokio::select! {
            Some(flight) = self.flights.next() => {
                self.lane(flight.keyed).in_flight -= 1;
                self.overdue.extend(flight.left);
            }
            Some(()) = self.overdue.next() => {}
        }
    }

    /// Lets nothing more in; what is in is still stored.
    fn leave(&self, inbox: &mut mpsc::Receiver<Submission>) {
        inbox.close();
        self.batchers
            .inboxes
            .lock()
            .retain(|_, inbox| !inbox.is_closed());
    }

    /// Sends the blocks whose time it is.
    fn launch(&mut self) {
        for keyed in [true, false] {
            let mut in_flight = self.flights.len();
            while let Some(submissions) = self.lane(keyed).launch(in_flight) {
                self.fly(keyed, submissions);
                in_flight = self.flights.len();
            }
        }
    }

    fn fly(&mut self, keyed: bool, submissions: Vec<Submission>) {
        let blocks = by_policy(submissions);
        // One was counted already.
        self.lane(keyed).in_flight += blocks.len().saturating_sub(1);
        for submissions in blocks {
            let way = fly(Arc::clone(&self.batchers.shared), self.shard, submissions);
            let flight = Flight::begin(keyed, Box::pin(way));
            self.flights.push(Box::pin(flight));
        }
    }
}

/// A block says under which policy it was masked: rows of two policies, as they come while it changes,
/// are two blocks.
fn by_policy(submissions: Vec<Submission>) -> Vec<Vec<Submission>> {
    let mut blocks: Vec<Vec<Submission>> = Vec::with_capacity(1);
    for submission in submissions {
        let epoch = submission.rows.epoch;
        let like = |block: &&mut Vec<Submission>| {
            let first = block.first();
            first.is_some_and(|first| first.rows.epoch == epoch)
        };
        match blocks.iter_mut().find(like) {
            Some(block) => block.push(submission),
            None => blocks.push(vec![submission]),
        }
    }
    blocks
}

/// Seals one block, proposes it, and answers everyone who waits for it.
async fn fly(shared: Arc<Shared>, shard: ShardId, submissions: Vec<Submission>) {
    let now = Instant::now();
    let (timely, late): (Vec<_>, Vec<_>) = submissions.into_iter().partition(|s| s.deadline > now);
    for submission in late {
        answer(
            submission.done,
            Outcome::Refused(Refused::Unavailable, submission.rows),
        );
    }
    let Some(deadline) = timely.iter().map(|submission| submission.deadline).max() else {
        return;
    };
    let (cargo, waiting) = load(timely);
    let (block, cargo) = match seal(&shared, shard, cargo).await {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::error!(%shard, %error, "a block was not sealed");
            for waiter in waiting {
                answer(
                    waiter.done,
                    Outcome::Refused(Refused::Internal, Rows::new(Identity::None, 0)),
                );
            }
            return;
        }
    };
    let began = Instant::now();
    match shared.sink.propose(block, deadline).await {
        Ok(placed) => {
            shared.numbers.commit.observe(began.elapsed());
            let outcomes: Vec<Outcome> = waiting
                .iter()
                .map(|waiter| outcome(&placed, &waiter.rows, &cargo.records))
                .collect();
            drop(cargo);
            for (waiter, outcome) in waiting.into_iter().zip(outcomes) {
                answer(waiter.done, outcome);
            }
        }
        Err(why) => unload(cargo, waiting, why),
    }
}

/// The rows of one block.
struct Cargo {
    records: Vec<Masked<Record>>,
    parts: Vec<BlockPart>,
    /// The policy that all of them are masked under.
    epoch: u64,
}

impl Cargo {
    /// Names the parts of these rows, whose records are there already.
    fn add_parts(&mut self, of: &Rows, rows: Range<u32>) {
        let part = |key, rows| BlockPart {
            key,
            content: of.content,
            rows,
        };
        match of.identity {
            Identity::None => self.parts.push(part(None, rows)),
            Identity::Piece(key) => self.parts.push(part(Some(key), rows)),
            Identity::Ids => {
                let records = self.records.iter().skip(rows.start as usize);
                let named = rows.zip(records).map(|(row, record)| {
                    let key = PartKey::of_record(record.log_id);
                    part(Some(key), row..row + 1)
                });
                self.parts.extend(named);
            }
        }
    }
}

/// Who waits for which rows of it.
struct Waiter {
    rows: Range<u32>,
    /// Its rows without their records, which are in the block.
    without: Rows,
    done: oneshot::Sender<Outcome>,
    _permit: Arc<Permit>,
}

fn load(submissions: Vec<Submission>) -> (Cargo, Vec<Waiter>) {
    let mut cargo = Cargo {
        records: Vec::new(),
        parts: Vec::new(),
        epoch: submissions.first().map_or(0, |first| first.rows.epoch),
    };
    let mut waiting = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let mut without = submission.rows;
        let start = row(cargo.records.len());
        cargo.records.append(&mut without.records);
        let rows = start..row(cargo.records.len());
        cargo.add_parts(&without, rows.clone());
        let (done, permit) = (submission.done, submission.permit);
        waiting.push(Waiter {
            rows,
            without,
            done,
            _permit: permit,
        });
    }
    (cargo, waiting)
}

fn row(count: usize) -> u32 {
    u32::try_from(count).expect("a block has fewer rows than its limit")
}

/// Why there is no block.
#[derive(Debug, thiserror::Error)]
enum NotSealed {
    #[error(transparent)]
    Stopped(#[from] crate::offload::Error),
    #[error(transparent)]
    TooLarge(#[from] hushlog_record::block::Error),
}

async fn seal(
    shared: &Arc<Shared>,
    shard: ShardId,
    cargo: Cargo,
) -> Result<(Block, Cargo), NotSealed> {
    let numbers = shared.numbers.clone();
    let admitted_at = shared.clock.now();
    let work = move || {
        let began = cpu_time();
        let block = Block::try_seal(
            shard,
            cargo.epoch,
            admitted_at,
            cargo.parts.clone(),
            &cargo.records,
        )?;
        numbers.encode.add_nanos(cpu_time().saturating_sub(began));
        numbers.blocks.increment();
        numbers.block_bytes.add(block.bytes().len() as u64);
        Ok((block, cargo))
    };
    shared.offload.run(work).await?
}

/// Where the waiter's rows are: every place that holds some of them, in order.
fn outcome(placed: &[Placed], rows: &Range<u32>, records: &[Masked<Record>]) -> Outcome {
    let own = |place: &&Placed| place.rows.start < rows.end && rows.start < place.rows.end;
    let places: Vec<&Placed> = placed.iter().filter(own).collect();
    if places.iter().any(|place| place.conflict) {
        return Outcome::Refused(Refused::KeyReused, Rows::new(Identity::None, 0));
    }
    let receipt = |place: &Placed| Receipt {
        shard: place.shard,
        seq: place.seq,
        copies: place.copies,
        policy_epoch: place.policy_epoch,
    };
    let mut repeated = BTreeMap::new();
    for place in places.iter().filter(|place| place.repeated) {
        let (start, end) = (
            place.rows.start.max(rows.start),
            place.rows.end.min(rows.end),
        );
        let again = records.get(start as usize..end as usize);
        for record in again.unwrap_or_default() {
            *repeated.entry(record.service_name.clone()).or_default() += 1;
        }
    }
    Outcome::Stored(places.into_iter().map(receipt).collect(), repeated)
}

/// Gives everyone their rows back.
fn unload(cargo: Cargo, waiting: Vec<Waiter>, why: Refused) {
    let mut records = cargo.records.into_iter();
    for waiter in waiting {
        let records = records.by_ref().take(waiter.rows.len()).collect();
        let rows = Rows {
            records,
            ..waiter.without
        };
        answer(waiter.done, Outcome::Refused(why, rows));
    }
}

/// A client that went away has no use for its answer.
fn answer(done: oneshot::Sender<Outcome>, outcome: Outcome) {
    drop(done.send(outcome));
}
