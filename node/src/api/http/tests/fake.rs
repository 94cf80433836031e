//! A cluster in memory behind the router: it answers what the tests expect, and keeps what it is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_pii::{Count, Key, Policy};
use hushlog_raft::meta::{Limit, LimitRule, Limits, Retention, RetentionRule, State};
use hushlog_record::{Block, ExceptionId, LogId, NodeId, Record, ShardId, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api::{Answer, Api, Control, Failure, Kind, Parts, Policies, Reader, TopK};
use crate::clock::Scripted;
use crate::cluster::ledger::{Books, Gone};
use crate::cluster::nodes::{Admission, Admitted};
use crate::cluster::retention::Periods;
use crate::entropy::Entropy;
use crate::gateway::{self, Gateway, Placed, Refused, Sink};
use crate::ledger::Ledger;
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::Tasks;

#[derive(Default)]
pub(crate) struct Fake {
    pub(super) refuse: Option<Refused>,
    pub(super) partial: bool,
    pub(super) incomplete: bool,
    pub(super) unready: bool,
    pub(super) panics: bool,
    /// It answers no block.
    pub(super) hangs: bool,
    /// What the first blocks are refused with.
    pub(super) refuse_first: Arc<Mutex<Vec<Refused>>>,
    pub(super) stored: Stored,
    /// The same, whole.
    pub(super) records: Records,
    /// The ids of records that were stored under them.
    pub(super) named: Arc<Mutex<Vec<LogId>>>,
    pub(super) rules: Mutex<Retention>,
    pub(super) limits: Mutex<Arc<Limits>>,
    /// The books that the gateway writes.
    pub(super) ledger: Mutex<Option<Ledger>>,
    /// What it says is dropped, one look after the other; nothing after these.
    pub(super) gone: Arc<Mutex<VecDeque<Gone>>>,
    /// What the rules have found.
    pub(super) findings: Mutex<Vec<Count>>,
}

/// Service and message of every record that was stored.
pub(crate) type Stored = Arc<Mutex<Vec<(String, String)>>>;

/// Every record that was stored.
pub(crate) type Records = Arc<Mutex<Vec<Record>>>;

impl Fake {
    /// What it has stored, now and later.
    pub(crate) fn stored(&self) -> Stored {
        Arc::clone(&self.stored)
    }

    /// The records that it has stored, now and later.
    pub(crate) fn records(&self) -> Records {
        Arc::clone(&self.records)
    }

    /// What it refuses the next blocks with, now and later.
    pub(crate) fn refusals(&self) -> Arc<Mutex<Vec<Refused>>> {
        Arc::clone(&self.refuse_first)
    }

    /// Refuses every block with this.
    pub(crate) fn refusing(why: Refused) -> Self {
        Self {
            refuse: Some(why),
            ..Self::default()
        }
    }

    /// Lets each service send so many records a second.
    pub(crate) fn limiting(records_per_second: u64) -> Self {
        let limit = Limit {
            records_per_second: Some(records_per_second),
            bytes_per_second: None,
        };
        let limits = Limits {
            default: Some(limit),
            ..Limits::default()
        };
        Self {
            limits: Mutex::new(Arc::new(limits)),
            ..Self::default()
        }
    }

    /// Lets this service send so many records a second, and all others as many as they like.
    pub(crate) fn limiting_one(service: &str, records_per_second: u64) -> Self {
        let limit = Limit {
            records_per_second: Some(records_per_second),
            bytes_per_second: None,
        };
        let limits = Limits {
            services: [(service.to_owned(), limit)].into(),
            ..Limits::default()
        };
        Self {
            limits: Mutex::new(Arc::new(limits)),
            ..Self::default()
        }
    }

    /// Refuses one block after the other with these, the last first, and then stores.
    pub(crate) fn refusing_at_first(refuse_first: Vec<Refused>) -> Self {
        Self {
            refuse_first: Arc::new(Mutex::new(refuse_first)),
            ..Self::default()
        }
    }
}

impl Sink for Fake {
    fn route(&self, _: &str) -> Result<Vec<ShardId>, Refused> {
        Ok(vec![ShardId { bucket: 1, slot: 0 }])
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.lock())
    }

    fn propose(&self, block: Block, _: Instant) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            let first = self.refuse_first.lock().pop();
            match self.refuse.or(first) {
                Some(why) => Err(why),
                None => {
                    let columns = block.columns().expect("readable");
                    for record in columns.records() {
                        let pair = (record.service_name.clone(), record.message.clone());
                        self.stored.lock().push(pair);
                        self.records.lock().push(record.into_inner());
                    }
                    let keys = block.header().parts.iter().filter_map(|part| part.key);
                    let named = keys.filter(|key| key.is_of_record());
                    let ids = named.map(|key| LogId(key.producer.to_be_bytes()));
                    self.named.lock().extend(ids);
                    let rows = 0..block.header().rows;
                    Ok(vec![Placed {
                        rows,
                        shard: block.header().shard,
                        seq: 7,
                        copies: 2,
                        policy_epoch: block.header().policy_epoch,
                        repeated: false,
                        conflict: false,
                    }])
                }
            }
        })
    }
}

pub(super) const FOUND: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

impl Fake {
    fn periods(&self) -> Periods {
        let facts = State {
            retention: self.rules.lock().clone(),
            ..State::default()
        };
        Periods::new(Arc::new(facts), Duration::from_secs(30 * 86_400))
    }

    fn answer(&self, json: Value) -> Answer {
        assert!(!self.panics, "on purpose");
        Answer {
            json: Bytes::from(json.to_string()),
            partial: self.partial,
        }
    }
}

impl Reader for Fake {
    fn search(&self, body: Bytes, _: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            match serde_json::from_slice::<Value>(&body) {
                Ok(body) => Ok(self.answer(json!({ "asked": body }))),
                Err(_) => Err(Failure::new(Kind::InvalidQuery, "expected a term").at(3)),
            }
        })
    }

    fn count_all(&self, _: Bytes, _: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async {
            let mut services = std::collections::BTreeMap::<String, u64>::new();
            for (service, _) in &*self.stored.lock() {
                *services.entry(service.clone()).or_default() += 1;
            }
            let bucket = |(key, count): (String, u64)| json!({"key": key, "doc_count": count});
            let buckets: Vec<Value> = services.into_iter().map(bucket).collect();
            let counted = json!({"buckets": buckets, "sum_other_doc_count": 0});
            Ok(self.answer(json!({"aggregations": {"services": counted}})))
        })
    }

    fn get(&self, id: LogId, _: Instant) -> BoxFuture<'_, Result<Option<Bytes>, Failure>> {
        Box::pin(async move {
            if self.incomplete {
                return Err(Failure::new(Kind::Incomplete, "a shard did not answer"));
            }
            Ok((id.to_string() == FOUND).then(|| Bytes::from_static(b"{}")))
        })
    }

    fn context(
        &self,
        id: LogId,
        before: u32,
        after: u32,
        _: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(async move {
            let found = id.to_string() == FOUND;
            Ok(found.then(|| self.answer(json!({ "before": before, "after": after }))))
        })
    }

    fn top_k(&self, question: TopK, _: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(
            async move { Ok(self.answer(json!({ "k": question.k, "window": question.window }))) },
        )
    }

    fn exception(
        &self,
        id: ExceptionId,
        _: Duration,
        _: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        let seen = json!({
            "count": 3,
            "first_seen": "2026-01-02T03:04:05.000000001Z",
            "last_seen": "2026-01-02T03:04:05.123456789Z",
        });
        Box::pin(async move { Ok((id.0 == 1).then(|| self.answer(seen))) })
    }
}

impl Control for Fake {
    fn ready(&self) -> Result<(), String> {
        if self.unready {
            Err("no shard has a leader".into())
        } else {
            Ok(())
        }
    }

    fn describe(&self) -> BoxFuture<'_, Value> {
        Box::pin(async { json!({ "nodes": [], "totals": {} }) })
    }

    fn describe_node(&self) -> Value {
        json!({ "nodes": [] })
    }

    fn retention(&self, _: Instant) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(async { Ok(self.periods()) })
    }

    fn set_retention(
        &self,
        rule: RetentionRule,
        _: Instant,
    ) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(async move {
            let RetentionRule { service, period } = rule;
            let mut rules = self.rules.lock();
            match (service, period) {
                (None, period) => rules.default = period,
                (Some(service), Some(period)) => {
                    rules.services.insert(service, period);
                }
                (Some(service), None) => {
                    rules.services.remove(&service);
                }
            }
            drop(rules);
            Ok(self.periods())
        })
    }

    fn admit(&self, asked: Admission, _: Instant) -> BoxFuture<'_, Result<Admitted, Failure>> {
        Box::pin(async move {
            let is_new = asked.id != Some(1);
            let view = json!({ "id": asked.id, "grpc": asked.grpc });
            Ok(Admitted { is_new, view })
        })
    }

    fn drain(&self, node: NodeId, _: Instant) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            match node {
                1 => Err(Failure::new(Kind::NodeConflict, "it is the only one")),
                2 => Ok(json!({ "id": 2, "state": "draining" })),
                _ => Err(Failure::new(Kind::NotFound, "there is no such node")),
            }
        })
    }

    fn rebalance(
        &self,
        replication: Option<u32>,
        _: Instant,
    ) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move { Ok(json!({ "replication": replication })) })
    }

    fn gone(&self, _: Instant) -> BoxFuture<'_, Gone> {
        let nothing = Gone {
            is_current: true,
            ..Gone::default()
        };
        let now = self.gone.lock().pop_front().unwrap_or(nothing);
        Box::pin(async { now })
    }

    fn books(&self) -> BoxFuture<'_, Books> {
        Box::pin(async {
            let mut books = Books::default();
            if let Some(ledger) = &*self.ledger.lock() {
                books.add(1, &ledger.book());
                books.add_findings(1, Some(self.findings.lock().clone()));
            }
            if self.partial {
                books.missing.insert(2, "no answer in time".into());
            }
            if self.incomplete {
                books.add_findings(3, None);
            }
            books
        })
    }

    fn limits(&self, _: Instant) -> BoxFuture<'_, Result<Arc<Limits>, Failure>> {
        Box::pin(async { Ok(Sink::limits(self)) })
    }

    fn set_limit(
        &self,
        rule: LimitRule,
        _: Instant,
    ) -> BoxFuture<'_, Result<Arc<Limits>, Failure>> {
        Box::pin(async move {
            let LimitRule { service, limit } = rule;
            let mut limits = Limits::clone(&self.limits.lock());
            match (service, limit) {
                (None, limit) => limits.default = limit,
                (Some(service), Some(limit)) => {
                    limits.services.insert(service, limit);
                }
                (Some(service), None) => {
                    limits.services.remove(&service);
                }
            }
            *self.limits.lock() = Arc::new(limits);
            Ok(Sink::limits(self))
        })
    }
}

/// A cluster of one shard that takes every change.
pub(crate) struct FakePolicies {
    pub(super) masking: Arc<Masking>,
    /// What does not confirm a change.
    pub(super) missing: Vec<String>,
    /// How many changes of others come first.
    pub(super) others: Mutex<u64>,
}

impl Policies for FakePolicies {
    fn newest(&self, _: Instant) -> BoxFuture<'_, Result<Policy, Failure>> {
        Box::pin(async { Ok(self.masking.current().policy().clone()) })
    }

    fn replace(&self, policy: Policy, _: Instant) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let now = self.masking.current().policy().clone();
            if policy.epoch != now.epoch + 1 {
                return Ok(false);
            }
            let mut others = self.others.lock();
            let (policy, taken) = if *others > 0 {
                *others -= 1;
                (now, false)
            } else {
                (policy, true)
            };
            let epoch = self.masking.epoch() + 1;
            self.masking
                .adopt(epoch, &policy.to_bytes())
                .expect("it was compiled");
            Ok(taken)
        })
    }

    fn in_force(&self, _: u64, _: Instant) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            if self.missing.is_empty() {
                return Ok(());
            }
            let failure = Failure::new(Kind::PolicyPending, "not everywhere yet");
            Err(failure.missing(self.missing.clone()))
        })
    }
}

pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) fn api(fake: Fake, memory: usize) -> Api {
    api_with(fake, memory, |_| {})
}

pub(super) fn api_with(fake: Fake, memory: usize, change: impl FnOnce(&mut FakePolicies)) -> Api {
    api_taking(fake, (memory, BODY_BYTES_MAX), change)
}

/// With so much memory, for bodies of so many bytes.
pub(crate) fn api_taking(
    fake: Fake,
    (memory, body_bytes_max): (usize, usize),
    change: impl FnOnce(&mut FakePolicies),
) -> Api {
    let fake = Arc::new(fake);
    let entropy = Entropy::seeded(1);
    let masking = Arc::new(Masking::new(Key::new([7; 32])));
    let mut policies = FakePolicies {
        masking: Arc::clone(&masking),
        missing: Vec::new(),
        others: Mutex::new(0),
    };
    change(&mut policies);
    let clock = Arc::new(Scripted::new(Timestamp::from_millis(1_700_000_000_000)));
    let registry = Registry::default();
    let ledger = Ledger::new(Timestamp::default());
    *fake.ledger.lock() = Some(ledger.clone());
    let gateway = Gateway::new(gateway::Parts {
        sink: Arc::clone(&fake) as _,
        masking: Arc::clone(&masking),
        content_key: [7; 32],
        request_key: [7; 32],
        offload: Offload::inline(),
        clock: Arc::clone(&clock) as _,
        entropy: entropy.clone(),
        rates: gateway::Rates::default(),
        ledger,
        registry: registry.clone(),
        tasks: Tasks::new(),
        memory,
        timeout: Duration::from_secs(10),
    });
    Api::new(Parts {
        gateway,
        reader: Arc::clone(&fake) as _,
        control: fake,
        policies: Arc::new(policies),
        masking,
        offload: Offload::inline(),
        clock,
        registry,
        ids: Mutex::new(entropy.stream("request ids")),
        queries: Arc::new(Semaphore::new(1)),
        query_timeout: Duration::from_secs(30),
        body_bytes_max,
    })
}
