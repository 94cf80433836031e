//! From a request's bytes to an acknowledgement.
//!
//! decode → parse → mask on a CPU thread, rows to the batcher of their shard, blocks to the cluster.
//! A request is acknowledged when all of its parts are stored; it is refused whole before any of it
//! is proposed; in between its outcome is unknown and said to be. Unmasked text never leaves the CPU
//! job that decoded it.

mod admission;
mod batch;
mod charge;
mod claim;
mod content;
mod numbers;
mod prepare;
mod room;
mod rows;
mod shard;
pub mod sink;
mod verdict;

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
pub use room::{Room, full};
pub use sink::{Placed, Refused, Sink};

use crate::clock::Clock;
use crate::entropy::{Entropy, Stream};
use crate::error::Failure;
use crate::limits::{REROUTE_PAUSE, REROUTES_MAX};
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::Tasks;
use numbers::Numbers;
use prepare::Prepared;
use rows::Part;
use shard::{Batchers, Outcome};
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
    pub masker: Arc<Masker>,
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
    masker: Arc<Masker>,
    content_key: [u8; 32],
    request_key: [u8; 32],
    offload: Offload,
    clock: Arc<dyn Clock>,
    ids: Mutex<Stream>,
    admission: Admission,
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
            policy_epoch: parts.masker.epoch(),
        });
        Self {
            inner: Arc::new(Inner {
                sink: parts.sink,
                masker: parts.masker,
                content_key: parts.content_key,
                request_key: parts.request_key,
                offload: parts.offload,
                clock: parts.clock,
                ids: Mutex::new(parts.entropy.stream("log ids")),
                admission: Admission::new(parts.memory, numbers.memory.clone()),
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

    /// Takes in one request. `permit` is the room it was read into; its rows get room of their own.
    ///
    /// `Ok` means: all that was accepted is synced on a majority and searchable.
    pub async fn push(&self, batch: Batch, permit: Permit) -> Result<Pushed, Failure> {
        let began = Instant::now();
        let outcome = self
            .push_before(batch, permit, began + self.inner.timeout)
            .await;
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
    ) -> Result<Pushed, Failure> {
        let Prepared {
            mut pushed,
            parts,
            text_bytes,
            permit,
        } = self.prepare(batch, permit).await?;
        self.inner.numbers.bytes.add(text_bytes as u64);
        pushed.receipts = self.store(parts, Arc::new(permit), deadline).await?;
        Ok(pushed)
    }

    async fn prepare(&self, batch: Batch, mut permit: Permit) -> Result<Prepared, Failure> {
        let inner = Arc::clone(&self.inner);
        let ids = Stream::from_rng(&mut *self.inner.ids.lock());
        let work = move || {
            let bench = prepare::Bench {
                admission: &inner.admission,
                masker: &inner.masker,
                content_key: &inner.content_key,
                received: inner.clock.now(),
                numbers: &inner.numbers,
            };
            bench.prepare(batch, &mut permit, ids, &*inner.sink)
        };
        self.inner.offload.run(work).await?
    }

    /// Stores every part, sending rows of closed shards to the shards that took over.
    async fn store(
        &self,
        mut parts: Vec<Part>,
        permit: Arc<Permit>,
        deadline: Instant,
    ) -> Result<Vec<Receipt>, Failure> {
        let mut verdict = Verdict::default();
        for round in 0..=REROUTES_MAX {
            let submitted = parts.drain(..).map(|part| {
                self.inner
                    .batchers
                    .submit(part, Arc::clone(&permit), deadline)
            });
            let mut closed = Vec::new();
            for outcome in join_all(submitted).await {
                match outcome {
                    Outcome::Stored(receipts) => verdict.stored(receipts),
                    Outcome::Refused(Refused::Closed, rows) if round < REROUTES_MAX => {
                        closed.push(rows)
                    }
                    Outcome::Refused(why, _) => verdict.refused(why),
                }
            }
            if closed.is_empty() {
                break;
            }
            if Instant::now() + REROUTE_PAUSE >= deadline {
                verdict.refused(Refused::Unavailable);
                break;
            }
            tokio::time::sleep(REROUTE_PAUSE).await;
            for rows in closed {
                match rows.route(&*self.inner.sink) {
                    Ok(routed) => parts.extend(routed),
                    Err(why) => verdict.refused(why),
                }
            }
        }
        verdict.settle()
    }
}

/// Ten random bytes for each record's id.
fn draw(ids: &mut Stream) -> [u8; 10] {
    let mut bytes = [0u8; 10];
    ids.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
