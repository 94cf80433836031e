//! Who answers questions: the coordinator, or a fake in tests.
//!
//! Questions and answers cross this border as the JSON of the HTTP interface, so that handlers know
//! nothing of plans and partials, and both protocols share one validation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_pii::Policy;
use hushlog_raft::meta::{LimitRule, Limits, RetentionRule};
use hushlog_record::{ExceptionId, LogId, NodeId, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::ledger::{Books, Gone};
use crate::cluster::nodes::{Admission, Admitted};
use crate::cluster::retention::Periods;
use crate::error::Failure;

/// A JSON answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body.
    pub json: Bytes,
    /// Whether a shard is missing in it.
    pub partial: bool,
}

/// The question of `GET /api/v1/exceptions/top-k`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopK {
    /// How many.
    pub k: u32,
    /// How far back, as asked (`1h`).
    pub window: String,
    /// The same as a duration.
    pub duration: Duration,
    /// One service only.
    pub service: Option<String>,
    /// One environment only.
    pub environment: Option<String>,
    /// End of the window, which is not in it; now, with what was stored just now, unless asked.
    pub end: Option<Timestamp>,
    /// Aligned to multiples of the window.
    pub tumbling: bool,
    /// One row per type, all services together.
    pub fold_services: bool,
}

/// Answers questions. Every method answers by its deadline.
pub trait Reader: Send + Sync + 'static {
    /// `POST /api/v1/logs/query`.
    fn search(&self, body: Bytes, deadline: Instant) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// As a search, of everything that is stored: also of what its retention hides.
    fn count_all(&self, body: Bytes, deadline: Instant) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// `GET /api/v1/logs/{id}`: `None` only when every shard that could hold it answered.
    fn get(&self, id: LogId, deadline: Instant) -> BoxFuture<'_, Result<Option<Bytes>, Failure>>;

    /// `GET /api/v1/logs/{id}/context`.
    fn context(
        &self,
        id: LogId,
        before: u32,
        after: u32,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>>;

    /// `GET /api/v1/exceptions/top-k`.
    fn top_k(&self, question: TopK, deadline: Instant) -> BoxFuture<'_, Result<Answer, Failure>>;

    /// `GET /api/v1/exceptions/{id}` over the window that ends now; `None` only when it was never seen, and every
    /// shard has said so.
    fn exception(
        &self,
        id: ExceptionId,
        window: Duration,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>>;
}

/// What the cluster masks by: one policy at a time, with numbers that go up.
pub trait Policies: Send + Sync + 'static {
    /// The newest policy of the cluster: no change that came to an end before the call is missed.
    fn newest(&self, deadline: Instant) -> BoxFuture<'_, Result<Policy, Failure>>;

    /// Makes this the policy, if the newest is the one before it; whether it is.
    fn replace(&self, policy: Policy, deadline: Instant) -> BoxFuture<'_, Result<bool, Failure>>;

    /// Waits until nothing that an earlier policy has masked is accepted anywhere any more.
    ///
    /// # Errors
    /// [`Kind::PolicyPending`](crate::error::Kind::PolicyPending) with the names of the shards that may
    /// still accept it.
    fn in_force(&self, epoch: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Failure>>;
}

/// What the node says about itself.
pub trait Control: Send + Sync + 'static {
    /// Whether it can take traffic; else the reason.
    fn ready(&self) -> Result<(), String>;

    /// The whole cluster, every node asked how it is.
    fn describe(&self) -> BoxFuture<'_, Value>;

    /// What this node knows of the cluster by itself.
    fn describe_node(&self) -> Value;

    /// How long records are kept, with every change that was acknowledged before.
    fn retention(&self, deadline: Instant) -> BoxFuture<'_, Result<Periods, Failure>>;

    /// Sets or removes a rule of retention; gives what holds then.
    fn set_retention(
        &self,
        rule: RetentionRule,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Periods, Failure>>;

    /// Lets a node in, or has one stay that was to leave.
    fn admit(
        &self,
        asked: Admission,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Admitted, Failure>>;

    /// Has a node leave; gives how far that is.
    fn drain(&self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<Value, Failure>>;

    /// Has replicas spread evenly, with so many copies if a number is given; gives how far that is.
    fn rebalance(
        &self,
        replication: Option<u32>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Value, Failure>>;
    /// What came in on all nodes that answer.
    fn books(&self) -> BoxFuture<'_, Books>;

    /// Rows that the cluster has dropped since their retention was over, with every change before the call where that
    /// can be known.
    fn gone(&self, deadline: Instant) -> BoxFuture<'_, Gone>;

    /// How much services may send, with every change that was acknowledged before.
    fn limits(&self, deadline: Instant) -> BoxFuture<'_, Result<Arc<Limits>, Failure>>;

    /// Sets or removes a rate limit; gives what holds then.
    fn set_limit(
        &self,
        rule: LimitRule,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Arc<Limits>, Failure>>;
}
