//! What the outside calls: HTTP and gRPC over the same gateway and the same reader.
//!
//! Handlers translate and nothing else: they decide no routing, no matching, no masking.

pub mod alone;
mod bulk;
pub mod grpc;
mod hand;
pub mod http;
mod loki;
pub mod otlp;
mod patterns;
mod policy;
mod protobuf;
mod reader;
mod rules;
mod walk;
mod window;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use crate::error::{Failure, Kind};
pub use reader::{Answer, Control, Policies, Reader, TopK};

use crate::clock::Clock;
use crate::entropy::Stream;
use crate::gateway::Gateway;
use crate::masking::Masking;
use crate::metrics::{Latency, Registry};
use crate::offload::Offload;

/// Everything that handlers use; cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Parts>,
}

/// The parts of an [`Api`].
pub struct Parts {
    /// Takes records in.
    pub gateway: Gateway,
    /// Answers questions.
    pub reader: Arc<dyn Reader>,
    /// Knows the node.
    pub control: Arc<dyn Control>,
    /// Knows and changes what is masked.
    pub policies: Arc<dyn Policies>,
    /// Finds personal data, for the test page.
    pub masking: Arc<Masking>,
    /// Where CPU work of questions goes.
    pub offload: Offload,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Metrics to show and to add to.
    pub registry: Registry,
    /// Ids of requests.
    pub ids: Mutex<Stream>,
    /// Room for questions.
    pub queries: Arc<Semaphore>,
    /// Longest time for a question.
    pub query_timeout: Duration,
    /// Largest decoded body in bytes.
    pub body_bytes_max: usize,
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.inner
    }
}

impl Api {
    /// From its parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(parts),
        }
    }

    /// A new request id: 16 hex digits.
    fn request_id(&self) -> String {
        format!("{:016x}", self.ids.lock().next_u64())
    }

    /// Room for one question, or the refusal.
    fn admit_query(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.queries).try_acquire_owned().map_err(|_| {
            Failure::new(
                Kind::Overloaded,
                "too many queries are running; try again in a moment",
            )
        })
    }

    /// When a question that starts now must be answered.
    fn query_deadline(&self) -> Instant {
        Instant::now() + self.query_timeout
    }

    fn query_latency(&self, kind: &'static str) -> Latency {
        self.registry.latency(
            "hushlog_node_query_seconds",
            "Time from the head of a question to its answer.",
            &[("kind", kind)],
        )
    }
}
