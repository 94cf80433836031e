//! Clients that write and read while faults happen, and remember exactly what they were told.
//!
//! A writer retries a batch under the same key, on another node each time, until it is acknowledged.
//! Some batches are given up instead when the only answers were refusals that promise "nothing was
//! stored": those must be found nowhere. Readers hold every whole answer against what was acknowledged
//! before they asked.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use crate::corpus::{Corpus, Run};

/// Event time moves this much from record to record.
const STEP_NANOS: i64 = 500_000;
/// Event time of the first record lies this far back.
const FIRST_AGO_NANOS: i64 = 3_600_000_000_000;
/// A call that takes longer has an unknown outcome. Shorter than the server's own deadline, so that
/// unknown outcomes are many.
const WRITE_DEADLINE: Duration = Duration::from_secs(4);
const READ_DEADLINE: Duration = Duration::from_secs(8);
const RETRY_PAUSE: Duration = Duration::from_millis(60);
/// How many of the latest acknowledged records readers choose from.
const RECENT: usize = 256;
/// Share of refused batches that are given up.
const GIVE_UP_ONE_IN: u32 = 4;
const POLL: Duration = Duration::from_millis(10);
/// How often a question for the next acknowledgement sends a batch of its own, and how often at most.
const PROBE_EVERY: Duration = Duration::from_millis(150);
const PROBES_MAX: usize = 40;

/// How much load.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// Writers at once.
    pub writers: usize,
    /// Records of a batch.
    pub batch: u64,
    /// Pause of a writer between two batches, in milliseconds.
    pub pause_ms: u64,
    /// Readers at once.
    pub readers: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            writers: 4,
            batch: 20,
            pause_ms: 30,
            readers: 2,
        }
    }
}

/// What one attempt to write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it is stored, said the node.
    Acked,
    /// Nothing of it was stored, said the node, with this status.
    Refused(u16),
    /// Nobody knows.
    Unknown,
    /// The node found fault with the request itself.
    Rejected(u16),
}

/// One attempt to write one batch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Attempt {
    /// First record of the batch.
    pub from: u64,
    /// Records in it.
    pub count: u64,
    /// Node that was asked.
    pub node: usize,
    /// Milliseconds after the start of the load.
    pub began_ms: u64,
    /// When the outcome was known.
    pub ended_ms: u64,
    /// The outcome.
    pub outcome: Outcome,
}

/// What is known of a batch in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged: must be there once.
    Acked,
    /// Only refused, and given up: must not be there.
    Refused,
    /// May be there once or not at all.
    Unknown,
}

/// Everything that was sent, and what came of it.
#[derive(Default)]
pub struct History {
    /// Attempts in the order of their ends.
    pub attempts: Vec<Attempt>,
    /// Batches by their first record: how many records, and their fate.
    pub batches: BTreeMap<u64, (u64, Fate)>,
    /// Promises that readers or writers saw broken, as sentences.
    pub broken: Vec<String>,
    /// Answers of reads by status; 0 is none at all.
    pub reads: BTreeMap<u16, u64>,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    client: Client,
    reading: Client,
    nodes: Vec<String>,
    corpus: Arc<Corpus>,
    plan: Run,
    pace: Pace,
    started: Instant,
    next: AtomicU64,
    acked: AtomicU64,
    probing: AtomicU64,
    closing: AtomicBool,
    abandoning: AtomicBool,
    history: parking::Lock<History>,
    recent: parking::Lock<VecDeque<u64>>,
    orphans: parking::Lock<Vec<Range<u64>>>,
}

/// A lock whose owner never panics while it is held.
mod parking {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    #[derive(Default)]
    pub(super) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl Load {
    /// Starts writers and readers against these base URLs.
    pub fn start(nodes: Vec<String>, seed: u64, pace: Pace) -> Result<Self> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let plan = Run {
            seed,
            records: u64::MAX,
            first_nanos: i64::try_from(now.as_nanos())? - FIRST_AGO_NANOS,
            step_nanos: STEP_NANOS,
        };
        let shared = Arc::new(Shared {
            client: Client::new(WRITE_DEADLINE),
            reading: Client::new(READ_DEADLINE),
            nodes,
            corpus: Arc::new(Corpus::load()?),
            plan,
            pace,
            started: Instant::now(),
            next: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            probing: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            abandoning: AtomicBool::new(false),
            history: parking::Lock::default(),
            recent: parking::Lock::default(),
            orphans: parking::Lock::default(),
        });
        let spawn_writer = |number| tokio::spawn(shared.clone().write(number));
        let writers = (0..pace.writers).map(spawn_writer).collect();
        let spawn_reader = |number| tokio::spawn(shared.clone().read(number));
        let readers = (0..pace.readers).map(spawn_reader).collect();
        Ok(Self {
            shared,
            writers,
            readers,
        })
    }

    /// What is sent; its number of records is that of all attempted so far.
    pub fn plan(&self) -> Run {
        Run {
            records: self.shared.next.load(Ordering::SeqCst),
            ..self.shared.plan.clone()
        }
    }

    /// The lines that are sent.
    pub fn corpus(&self) -> &Corpus {
        &self.shared.corpus
    }

    /// Records acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::SeqCst)
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.shared.now_ms()
    }

    /// Waits for an acknowledgement of an attempt that began after now; gives how long it took. Sends
    /// batches of its own for that, since every writer may be waiting for a node that is gone.
    pub async fn next_ack(&self, within: Duration) -> Option<Duration> {
        let since = self.shared.now_ms();
        let asked = Instant::now();
        let mut probes = Vec::new();
        while asked.elapsed() < within {
            let ended = self
                .shared
                .history
                .lock()
                .attempts
                .iter()
                .rev()
                .take_while(|attempt| attempt.ended_ms >= since)
                .filter(|a| a.began_ms >= since && a.outcome == Outcome::Acked)
                .map(|attempt| attempt.ended_ms)
                .min();
            if let Some(ended) = ended {
                return Some(Duration::from_millis(ended - since));
            }
            let due = asked.elapsed() >= PROBE_EVERY * u32::try_from(probes.len()).ok()?;
            if due && probes.len() < PROBES_MAX {
                let node = probes.len() % self.shared.nodes.len();
                self.shared.probing.fetch_add(1, Ordering::SeqCst);
                probes.push(tokio::spawn(self.shared.clone().probe(node)));
            }
            tokio::time::sleep(POLL).await;
        }
        None
    }

    /// Sends one batch to one node once; whatever came of it, a writer finishes it later.
    pub async fn probe(&self, node: usize) -> Result<Outcome> {
        self.shared.probing.fetch_add(1, Ordering::SeqCst);
        Ok(tokio::spawn(self.shared.clone().probe(node)).await?)
    }

    /// Batches acknowledged so far: first record and count.
    pub fn acked_batches(&self) -> BTreeMap<u64, u64> {
        let history = self.shared.history.lock();
        let acked = history
            .batches
            .iter()
            .filter(|(_, (_, fate))| *fate == Fate::Acked);
        acked.map(|(from, (count, _))| (*from, *count)).collect()
    }

    /// Many more writers with large batches and no pauses, for a while; gives how many requests were
    /// refused. What they leave unknown, the other writers finish.
    pub async fn flood(&self, writers: usize, batch: u64, length: Duration) -> Result<u64> {
        let until = Instant::now() + length;
        let tasks: Vec<_> = (0..writers)
            .map(|number| tokio::spawn(self.shared.clone().flood(number, batch, until)))
            .collect();
        let mut refused = 0;
        for task in tasks {
            refused += task.await?;
        }
        Ok(refused)
    }

    /// Ends the load: writers finish what they have begun, within the time given, then give up.
    pub async fn finish(self, within: Duration) -> Result<(History, Run, Arc<Corpus>)> {
        self.shared.closing.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + within;
        while self.writers.iter().any(|task| !task.is_finished()) {
            if Instant::now() > deadline {
                self.shared.abandoning.store(true, Ordering::SeqCst);
            }
            tokio::time::sleep(POLL).await;
        }
        for task in self.writers.into_iter().chain(self.readers) {
            task.await?;
        }
        let shared = self.shared;
        let records = shared.next.load(Ordering::SeqCst);
        let history = std::mem::take(&mut *shared.history.lock());
        let plan = Run {
            records,
            ..shared.plan.clone()
        };
        Ok((history, plan, Arc::clone(&shared.corpus)))
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn claim(&self, batch: u64) -> Range<u64> {
        let from = self.next.fetch_add(batch, Ordering::SeqCst);
        let range = from..from + batch;
        self.settle(&range, Fate::Unknown);
        range
    }

    fn settle(&self, range: &Range<u64>, fate: Fate) {
        let count = range.end - range.start;
        self.history
            .lock()
            .batches
            .insert(range.start, (count, fate));
        if fate == Fate::Acked {
            self.acked.fetch_add(count, Ordering::SeqCst);
            let mut recent = self.recent.lock();
            recent.push_back(range.end - 1);
            if recent.len() > RECENT {
                recent.pop_front();
            }
        }
    }

    fn batch(&self, range: &Range<u64>) -> (String, Bytes) {
        let mut body = String::new();
        for index in range.clone() {
            body.push_str(&self.corpus.planned(&self.plan, index).json);
            body.push('\n');
        }
        let key = format!("real-{:x}-{}", self.plan.seed, range.start);
        (key, body.into())
    }

    async fn write(self: Arc<Self>, number: usize) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed ^ ((number as u64 + 1) << 40));
        let pause = Duration::from_millis(self.pace.pause_ms);
        loop {
            let orphan = self.orphans.lock().pop();
            match orphan {
                Some(range) => self.write_batch(range, number, None).await,
                None if self.is_closing() && self.probing.load(Ordering::SeqCst) == 0 => return,
                None if self.is_closing() => {}
                None => {
                    let range = self.claim(self.pace.batch);
                    self.write_batch(range, number, Some(&mut rng)).await;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn probe(self: Arc<Self>, node: usize) -> Outcome {
        let range = self.claim(self.pace.batch);
        let (key, body) = self.batch(&range);
        let outcome = self.attempt(node, &range, &key, body).await;
        if outcome == Outcome::Acked {
            self.settle(&range, Fate::Acked);
        } else {
            self.orphans.lock().push(range);
        }
        self.probing.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    async fn flood(self: Arc<Self>, number: usize, batch: u64, until: Instant) -> u64 {
        let mut refused = 0;
        while Instant::now() < until {
            let range = self.claim(batch);
            let (key, body) = self.batch(&range);
            let node = number % self.nodes.len();
            match self.attempt(node, &range, &key, body).await {
                Outcome::Acked => self.settle(&range, Fate::Acked),
                Outcome::Refused(_) => {
                    refused += 1;
                    self.settle(&range, Fate::Refused);
                }
                Outcome::Unknown => self.orphans.lock().push(range),
                Outcome::Rejected(status) => {
                    let said = format!("batch {} was rejected with {status}", range.start);
                    self.history.lock().broken.push(said);
                }
            }
        }
        refused
    }

    /// Tries one batch until its fate is settled. `fresh` are the dice for giving it up; without them
    /// it was tried before.
    async fn write_batch(
        &self,
        range: Range<u64>,
        home: usize,
        mut fresh: Option<&mut ChaCha8Rng>,
    ) {
        let (key, body) = self.batch(&range);
        for attempt in 0.. {
            let node = (home + attempt) % self.nodes.len();
            match self.attempt(node, &range, &key, body.clone()).await {
                Outcome::Acked => return self.settle(&range, Fate::Acked),
                Outcome::Refused(_) => {
                    let gives_up = |rng: &mut ChaCha8Rng| rng.random_range(0..GIVE_UP_ONE_IN) == 0;
                    if fresh.as_mut().is_some_and(|rng| gives_up(rng)) {
                        return self.settle(&range, Fate::Refused);
                    }
                }
                Outcome::Unknown => fresh = None,
                Outcome::Rejected(status) => {
                    let said = format!("batch {} was rejected with {status}", range.start);
                    self.history.lock().broken.push(said);
                    return;
                }
            }
            if self.abandoning.load(Ordering::SeqCst) {
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(&self, node: usize, range: &Range<u64>, key: &str, body: Bytes) -> Outcome {
        let began_ms = self.now_ms();
        let url = format!("{}/api/v1/logs", self.nodes[node]);
        let headers = [
            ("content-type", "application/x-ndjson"),
            ("idempotency-key", key),
        ];
        let count = range.end - range.start;
        let outcome = match self.client.call(Method::POST, &url, &headers, body).await {
            Ok(reply) => match reply.status.as_u16() {
                200 => match reply.json() {
                    Ok(answer) if answer["accepted"] == json!(count) => Outcome::Acked,
                    answer => {
                        let said = format!("batch {}: 200 with {answer:?}", range.start);
                        self.history.lock().broken.push(said);
                        Outcome::Unknown
                    }
                },
                status @ (429 | 503 | 507) => {
                    // Whoever is refused for now is told when to come again; a full disk knows no time.
                    if status != 507 && !reply.headers.contains_key("retry-after") {
                        let said = format!("batch {}: {status} without Retry-After", range.start);
                        self.history.lock().broken.push(said);
                    }
                    Outcome::Refused(status)
                }
                status @ (408 | 500 | 502 | 504) => {
                    if status == 500 {
                        let said = format!("batch {}: status 500", range.start);
                        self.history.lock().broken.push(said);
                    }
                    Outcome::Unknown
                }
                status => Outcome::Rejected(status),
            },
            Err(_) => Outcome::Unknown,
        };
        self.history.lock().attempts.push(Attempt {
            from: range.start,
            count,
            node,
            began_ms,
            ended_ms: self.now_ms(),
            outcome,
        });
        outcome
    }

    async fn read(self: Arc<Self>, number: usize) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed ^ ((number as u64 + 1) << 48));
        while !self.is_closing() {
            let node = rng.random_range(0..self.nodes.len());
            let looked = if rng.random_range(0..3) == 0 {
                self.count_all(node).await
            } else {
                self.find_recent(node, &mut rng).await
            };
            if let Err(broken) = looked {
                self.history.lock().broken.push(format!("{broken:#}"));
            }
            tokio::time::sleep(Duration::from_millis(self.pace.pause_ms * 3)).await;
        }
    }

    /// C6: a whole answer has at least what was acknowledged before it was asked for.
    async fn count_all(&self, node: usize) -> Result<()> {
        let at_least = self.acked.load(Ordering::SeqCst);
        let Some((whole, answer)) = self.query(node, &json!({"limit": 0})).await else {
            return Ok(());
        };
        // A record counts as sent before its first byte leaves.
        let at_most = self.next.load(Ordering::SeqCst);
        let total = answer["total"]
            .as_u64()
            .context("an answer without total")?;
        ensure!(
            total <= at_most,
            "C6: node {} counts {total}, only {at_most} were ever sent",
            node + 1
        );
        ensure!(
            !whole || total >= at_least,
            "C6: node {} at {} ms gives a whole answer with {total}, {at_least} were acknowledged before",
            node + 1,
            self.now_ms()
        );
        Ok(())
    }

    /// C8: what was acknowledged is found by whoever asks afterwards.
    async fn find_recent(&self, node: usize, rng: &mut ChaCha8Rng) -> Result<()> {
        let index = {
            let recent = self.recent.lock();
            if recent.is_empty() {
                return Ok(());
            }
            // Mostly the very last.
            let back = rng
                .random_range(0..recent.len())
                .min(rng.random_range(0..recent.len()));
            recent[recent.len() - 1 - back]
        };
        let token = self.plan.token(index);
        let Some((whole, answer)) = self.query(node, &json!({"query": token, "limit": 2})).await
        else {
            return Ok(());
        };
        let total = answer["total"]
            .as_u64()
            .context("an answer without total")?;
        ensure!(total <= 1, "C1: record {index} is there {total} times");
        ensure!(
            !whole || total == 1,
            "C8: node {} at {} ms gives a whole answer without record {index}, acknowledged before",
            node + 1,
            self.now_ms()
        );
        Ok(())
    }

    /// An answer, and whether it says that it is whole; `None` when there was none.
    async fn query(&self, node: usize, body: &Value) -> Option<(bool, Value)> {
        let url = format!("{}/api/v1/logs/query", self.nodes[node]);
        let reply = self.reading.post_json(&url, body).await.ok();
        let status = reply.as_ref().map_or(0, |reply| reply.status.as_u16());
        *self.history.lock().reads.entry(status).or_default() += 1;
        let reply = reply?;
        let answer = match status {
            200 | 206 => reply.json(),
            429 | 503 | 504 => return None,
            status => Err(anyhow::anyhow!("status {status}")),
        };
        match answer {
            Ok(answer) => Some((status == 200 && answer["partial"] == json!(false), answer)),
            Err(error) => {
                let said = format!("a query at node {} answers wrongly: {error:#}", node + 1);
                self.history.lock().broken.push(said);
                None
            }
        }
    }
}
