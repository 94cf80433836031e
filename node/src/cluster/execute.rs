//! Answers questions from this node's replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hushlog_query::{Budget, Stop};
use hushlog_record::ShardId;
use tokio::time::Instant;

use super::Cluster;
use super::question::{Question, Reply};

/// Tells the work on the pool that nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Cluster {
    /// A budget for one question on this node: its share of memory, and its time.
    pub(crate) fn budget(&self, deadline: Instant, abandoned: Arc<AtomicBool>) -> Budget {
        let stop = move || {
            if abandoned.load(Ordering::Relaxed) {
                Some(Stop::Cancelled)
            } else {
                (Instant::now() >= deadline).then_some(Stop::Timeout)
            }
        };
        Budget::new(self.inner.settings.query_memory, stop)
    }

    /// Answers `question` from this node's replica of `shard`, as soon as it has applied everything
    /// before `read_to`.
    ///
    /// # Errors
    /// What [`Refusal`] says.
    pub(crate) async fn answer_here(
        &self,
        shard: ShardId,
        question: &Arc<Question>,
        read_to: u64,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        let unavailable = |reason: &str| Refusal::Unavailable(reason.to_owned());
        let replica = self
            .replicas()
            .get(shard)
            .ok_or_else(|| unavailable("the shard is not on this node"))?;
        let mut positions = replica.group.watch();
        let caught_up = positions.wait_for(|positions| positions.applied_to >= read_to);
        match tokio::time::timeout_at(deadline, caught_up).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(unavailable("the group has stopped")),
            Err(_) => return Err(unavailable("this replica did not catch up in time")),
        }
        let question = Arc::clone(question);
        let abandon = Abandon(Arc::default());
        let budget = self.budget(deadline, Arc::clone(&abandon.0));
        let work = self.inner.offload.run(move || {
            let view = replica
                .view()
                .map_err(|error| Refusal::Unavailable(error.to_string()))?;
            question.answer(view, &budget).map_err(|error| {
                if error.is_bad_request() {
                    Refusal::Request(error.to_string())
                } else {
                    Refusal::Unavailable(error.to_string())
                }
            })
        });
        let outcome = tokio::time::timeout_at(deadline, work).await;
        drop(abandon);
        match outcome {
            Ok(outcome) => outcome.map_err(|error| Refusal::Unavailable(error.to_string()))?,
            Err(_) => Err(unavailable("the shard did not answer in time")),
        }
    }
}

/// Why a shard did not answer; never a word of any record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// This replica cannot; another one may.
    #[error("{0}")]
    Unavailable(String),
    /// The question asks for more than a limit allows; no replica can.
    #[error("{0}")]
    Request(String),
}
