//! Producers with request keys, and readers: what was asked, of whom, and what was answered.
//!
//! An answer is one of three: acknowledged, *unknown* (it may be stored, now or later), or refused
//! with the promise that nothing was proposed. A lost answer is unknown, never absent. Producers also send again
//! what was acknowledged long ago, as those do that forget: it must be answered with the places it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_node::entropy::Stream;
use hushlog_raft::{ProposeError, Receipt};
use hushlog_record::block::{Block, Part, PartKey};
use hushlog_record::{LogId, Record, ShardId, Timestamp};
use rand::Rng;

use super::World;
use super::node::{Job, Slot};
use crate::sim::schedule::{below, between};
use crate::sim::stage::Now;

/// Attempts before a producer gives a request up, while faults last.
const ATTEMPTS_MAX: u32 = 8;
/// Of how many requests one is an old one that is sent again.
const REPEATED_ONE_IN: u64 = 16;
/// Longer than any node's patience: an answer that has not come by then is lost.
const LOST_AFTER: u64 = 12_000;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// Stored, at these positions: one per part.
    Acked(Vec<u64>),
    /// Given up.
    GivenUp,
}

/// One request: a block of one or more parts.
pub(super) struct Request {
    pub(super) name: String,
    pub(super) producer: u64,
    pub(super) shard: ShardId,
    pub(super) keyed: bool,
    /// Text of every row.
    pub(super) rows: Vec<String>,
    block: Block,
    attempts: u32,
    /// Whether some attempt may have been proposed.
    pub(super) maybe: bool,
    pub(super) fate: Fate,
    pub(super) sent_at: u64,
    pub(super) acked_at: u64,
}

/// What a node said; nothing if its answer is lost.
type Answer = Option<Result<Vec<Receipt>, ProposeError>>;

struct Waiting {
    request: usize,
    node: u64,
    boot: u64,
    since: u64,
    answer: Slot<Result<Vec<Receipt>, ProposeError>>,
}

struct Producer {
    number: u64,
    random: Stream,
    /// Chooses what is sent again.
    repeats: Stream,
    sequence: u64,
    /// When it does something next.
    next_at: u64,
    /// What it tries again.
    again: Option<usize>,
    waiting: Option<Waiting>,
}

struct Reading {
    shard: ShardId,
    node: u64,
    boot: u64,
    since: u64,
    floor: u64,
    answer: Slot<Option<u64>>,
}

/// All clients and all that they remember.
pub(super) struct Clients {
    producers: Vec<Producer>,
    pub(super) requests: Vec<Request>,
    /// First position after everything acknowledged, by shard.
    acked_to: BTreeMap<ShardId, u64>,
    readings: Vec<Reading>,
    random: Stream,
    read_at: u64,
    cut_at: u64,
    pub(super) violations: Vec<String>,
}

impl Clients {
    pub(super) fn new(world: &World) -> Self {
        let producer = |number| Producer {
            number,
            random: world.base.entropy.stream(&format!("producer {number}")),
            repeats: world.base.entropy.stream(&format!("repeats {number}")),
            sequence: 0,
            next_at: 1_000,
            again: None,
            waiting: None,
        };
        Self {
            producers: (1..=4).map(producer).collect(),
            requests: Vec::new(),
            acked_to: BTreeMap::new(),
            readings: Vec::new(),
            random: world.base.entropy.stream("clients"),
            read_at: 2_000,
            cut_at: 5_000,
            violations: Vec::new(),
        }
    }

    /// One step.
    pub(super) fn tick(&mut self, world: &World, now: Now) {
        for at in 0..self.producers.len() {
            self.produce(world, at, now);
        }
        self.read(world, now.millis, now.last);
        if now.millis >= self.cut_at && now.millis < now.last {
            self.cut_at = now.millis + between(&mut self.random, 2_000, 6_000);
            self.cut(world);
        }
    }

    /// Requests that are neither acknowledged nor given up.
    pub(super) fn open(&self) -> impl Iterator<Item = &Request> {
        self.requests
            .iter()
            .filter(|request| request.fate == Fate::Open)
    }

    fn produce(&mut self, world: &World, at: usize, now: Now) {
        let Some(producer) = self.producers.get_mut(at) else {
            return;
        };
        if let Some(waiting) = producer.waiting.take() {
            match outcome(world, &waiting, now.millis) {
                None => producer.waiting = Some(waiting),
                Some(answer) => self.on_answer(world, at, &waiting, answer, now),
            }
            return;
        }
        if now.millis < producer.next_at {
            return;
        }
        let request = match producer.again.take() {
            Some(request) => request,
            None if now.millis >= now.last => return,
            None => match repeated(&self.requests, producer) {
                Some(request) => request,
                None => {
                    let request = make(world, producer, now.millis);
                    self.requests.push(request);
                    self.requests.len() - 1
                }
            },
        };
        self.send(world, at, request, now.millis);
    }

    fn send(&mut self, world: &World, at: usize, number: usize, now: u64) {
        let (Some(producer), Some(request)) =
            (self.producers.get_mut(at), self.requests.get_mut(number))
        else {
            return;
        };
        let node = 1 + below(&mut producer.random, world.base.nodes);
        let patience = between(&mut producer.random, 500, 6_000);
        let running = world.running.lock();
        let Some(running) = running.get(&node) else {
            // Connection refused.
            producer.again = Some(number);
            producer.next_at = now + 100;
            return;
        };
        request.attempts += 1;
        let answer = Slot::default();
        let job = Job::Propose {
            block: request.block.clone(),
            patience: Duration::from_millis(patience),
            answer: Arc::clone(&answer),
        };
        if running.jobs.try_send(job).is_err() {
            producer.again = Some(number);
            producer.next_at = now + 100;
            return;
        }
        if request.attempts > 1 {
            world.base.stats.lock().retries += 1;
        }
        producer.waiting = Some(Waiting {
            request: number,
            node,
            boot: running.boot,
            since: now,
            answer,
        });
    }

    fn on_answer(&mut self, world: &World, at: usize, waiting: &Waiting, answer: Answer, now: Now) {
        let (Some(producer), Some(request)) = (
            self.producers.get_mut(at),
            self.requests.get_mut(waiting.request),
        ) else {
            return;
        };
        producer.next_at = now.millis + between(&mut producer.random, 5, 200);
        let words = match &answer {
            None => "lost".to_owned(),
            Some(Ok(receipts)) => format!("acked {:?}", seqs(receipts)),
            Some(Err(error)) => error.to_string(),
        };
        world.base.trace.line(format_args!(
            "{} at n{}: {words}",
            request.name, waiting.node
        ));
        if let Fate::Acked(first) = &request.fate {
            if let Some(Ok(receipts)) = answer
                && seqs(&receipts) != *first
            {
                let again = seqs(&receipts);
                let name = &request.name;
                let violation =
                    format!("{name}: acknowledged at {first:?}, and again at {again:?}");
                self.violations.push(violation);
            }
            return;
        }
        let proposed = match answer {
            Some(Ok(receipts)) => {
                request.fate = Fate::Acked(seqs(&receipts));
                request.acked_at = now.millis;
                world.base.stats.lock().acked += 1;
                let to = receipts.iter().map(|receipt| receipt.origin.seq + 1).max();
                let acked_to = self.acked_to.entry(request.shard).or_default();
                *acked_to = (*acked_to).max(to.unwrap_or(0));
                self.check_receipts(waiting.request, &receipts);
                return;
            }
            // It says that nothing was proposed, and is held to it.
            Some(Err(ProposeError::Unavailable(_))) => false,
            Some(Err(_)) | None => true,
        };
        request.maybe |= proposed;
        let may_repeat = request.keyed || !request.maybe;
        if may_repeat && (now.calm || request.attempts < ATTEMPTS_MAX) {
            producer.again = Some(waiting.request);
            return;
        }
        request.fate = Fate::GivenUp;
        let mut stats = world.base.stats.lock();
        if request.maybe {
            stats.unknown += 1;
        } else {
            stats.refused += 1;
        }
    }

    fn check_receipts(&mut self, number: usize, receipts: &[Receipt]) {
        let Some(request) = self.requests.get(number) else {
            return;
        };
        let mut next = 0;
        for receipt in receipts {
            if receipt.rows.start != next || receipt.origin.shard != request.shard {
                self.violations
                    .push(format!("{}: receipts {receipts:?}", request.name));
                return;
            }
            next = receipt.rows.end;
        }
        if next as usize != request.rows.len() {
            self.violations
                .push(format!("{}: receipts {receipts:?}", request.name));
        }
    }

    fn read(&mut self, world: &World, now: u64, last: u64) {
        let mut kept = Vec::new();
        for reading in std::mem::take(&mut self.readings) {
            let answer = *reading.answer.lock();
            let alive = world
                .running
                .lock()
                .get(&reading.node)
                .is_some_and(|running| running.boot == reading.boot);
            match answer {
                Some(read) => self.on_read(world, &reading, read),
                None if alive && now < reading.since + LOST_AFTER => kept.push(reading),
                None => {}
            }
        }
        self.readings = kept;
        if now < self.read_at || now >= last {
            return;
        }
        self.read_at = now + between(&mut self.random, 50, 600);
        let node = 1 + below(&mut self.random, world.base.nodes);
        let which = usize::try_from(below(&mut self.random, world.shards.len() as u64));
        let shard = which
            .ok()
            .and_then(|which| world.shards.get(which).copied());
        let patience = between(&mut self.random, 300, 5_000);
        let running = world.running.lock();
        let (Some(shard), Some(running)) = (shard, running.get(&node)) else {
            return;
        };
        let answer = Slot::default();
        let job = Job::Read {
            shard,
            patience: Duration::from_millis(patience),
            answer: Arc::clone(&answer),
        };
        if running.jobs.try_send(job).is_ok() {
            self.readings.push(Reading {
                shard,
                node,
                boot: running.boot,
                since: now,
                floor: self.acked_to.get(&shard).copied().unwrap_or(0),
                answer,
            });
        }
    }

    fn on_read(&mut self, world: &World, reading: &Reading, read: Option<u64>) {
        let Some(applied_to) = read else {
            return;
        };
        world.base.stats.lock().reads += 1;
        if applied_to < reading.floor {
            self.violations.push(format!(
                "a committed read of {} at node {} saw up to {applied_to}, though {} was \
                 acknowledged before",
                reading.shard, reading.node, reading.floor
            ));
        }
    }

    fn cut(&mut self, world: &World) {
        let which = usize::try_from(below(&mut self.random, world.shards.len() as u64));
        let shard = which
            .ok()
            .and_then(|which| world.shards.get(which).copied());
        let Some(shard) = shard else {
            return;
        };
        for running in world.running.lock().values() {
            let leads = running.groups.get(&shard).is_some_and(|g| g.is_leader());
            if leads {
                // A full inbox is a busy node: the next cut comes anyway.
                drop(running.jobs.try_send(Job::Cut { shard }));
            }
        }
    }
}

/// The answer, `Some(None)` if it will never come, nothing if it may still come.
fn outcome(world: &World, waiting: &Waiting, now: u64) -> Option<Answer> {
    if let Some(outcome) = waiting.answer.lock().take() {
        return Some(Some(outcome));
    }
    let alive = world
        .running
        .lock()
        .get(&waiting.node)
        .is_some_and(|running| running.boot == waiting.boot);
    (!alive || now > waiting.since + LOST_AFTER).then_some(None)
}

/// One that was acknowledged and can be recognised, if the producer is to send one again now.
fn repeated(requests: &[Request], producer: &mut Producer) -> Option<usize> {
    if below(&mut producer.repeats, REPEATED_ONE_IN) > 0 {
        return None;
    }
    let old = |request: &Request| {
        let acked = matches!(request.fate, Fate::Acked(_));
        request.producer == producer.number && request.keyed && acked
    };
    let old: Vec<usize> = (0..requests.len())
        .filter(|at| requests.get(*at).is_some_and(old))
        .collect();
    let which = below(&mut producer.repeats, old.len().max(1) as u64);
    usize::try_from(which)
        .ok()
        .and_then(|which| old.get(which).copied())
}

fn seqs(receipts: &[Receipt]) -> Vec<u64> {
    receipts.iter().map(|receipt| receipt.origin.seq).collect()
}

fn make(world: &World, producer: &mut Producer, now: u64) -> Request {
    let random = &mut producer.random;
    producer.sequence += 1;
    let (number, sequence) = (producer.number, producer.sequence);
    let which = usize::try_from(below(random, world.shards.len() as u64)).unwrap_or(0);
    let shard = *world.shards.get(which).expect("there is a shard");
    let keyed = below(random, 8) > 0;
    let parts = if keyed { between(random, 1, 4) } else { 1 };
    let node = 1 + below(random, world.base.nodes);
    let at = Timestamp::from_millis(world.base.wall(node));
    let (mut texts, mut named, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for chunk in 0..parts {
        let from = u32::try_from(texts.len()).unwrap_or(0);
        for row in 0..between(random, 1, 4) {
            let text = format!("p{number} s{sequence} c{chunk} r{row}");
            let mut id = [0; 10];
            random.fill_bytes(&mut id);
            let filler = "-".repeat(usize::try_from(below(random, 200)).unwrap_or(0));
            let mut record = Record::new(LogId::v7(at, id), at, text.clone());
            record.host = filler;
            texts.push(text);
            records.push(record);
        }
        let to = u32::try_from(texts.len()).unwrap_or(0);
        let key = PartKey {
            producer: number.into(),
            sequence,
            chunk: u32::try_from(chunk).unwrap_or(0),
        };
        named.push(Part {
            key: keyed.then_some(key),
            content: 0,
            rows: from..to,
        });
    }
    let parts = if keyed { named } else { Vec::new() };
    let masked: Vec<_> = records
        .into_iter()
        .map(|record| world.masker.mask(record))
        .collect();
    Request {
        name: format!("p{number} s{sequence}"),
        producer: number,
        shard,
        keyed,
        rows: texts,
        block: Block::seal(shard, 1, at, parts, &masked),
        attempts: 0,
        maybe: false,
        fate: Fate::Open,
        sent_at: now,
        acked_at: 0,
    }
}
