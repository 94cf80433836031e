//! Answers questions from this node's replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use hushlog_query::{Budget, Error, Memory, Part, Stop, View};
use hushlog_record::ShardId;
use tokio::time::Instant;

use super::Cluster;
use super::agreed::{self, Agreed, Segments};
use super::doubts::{Doubts, lacks_descriptors};
use super::held::Held;
use super::question::{Question, Reply};

/// How long a leader is waited for before what exists is served without it.
const LEADER_PATIENCE: Duration = Duration::from_secs(3);

/// Until when the leaders are waited for by a question of this deadline: a fifth of its time is kept for the answer.
pub(crate) fn leader_deadline(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + LEADER_PATIENCE.min(left * 4 / 5)
}

/// Tells the work on the pool that nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A question as one node is asked it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The question.
    pub(crate) question: &'a Arc<Question>,
    /// Its memory on this node.
    pub(crate) account: &'a Memory,
    /// What the node that asks knows of the shard; `None` where this node asks itself, or it is not finished.
    pub(crate) agreed: Option<&'a Agreed>,
    /// When its time is over.
    pub(crate) deadline: Instant,
}

/// A budget for one question on this node: its memory, and its time.
fn budget(memory: &Memory, deadline: Instant, abandoned: Arc<AtomicBool>) -> Budget {
    let stop = move || {
        if abandoned.load(Ordering::Relaxed) {
            Some(Stop::Cancelled)
        } else {
            (Instant::now() >= deadline).then_some(Stop::Timeout)
        }
    };
    Budget::new(memory.clone(), stop)
}

impl Cluster {
    /// The account of a question on this node, to be held while it is asked.
    pub(crate) fn account(&self, question_id: u64) -> Arc<Memory> {
        self.inner.accounts.of(question_id)
    }

    /// Answers `question` from this node's replica of `shard`, as soon as it has applied everything
    /// before `read_to`.
    ///
    /// # Errors
    /// What [`Refusal`] says.
    pub(crate) async fn answer_here(
        &self,
        shard: ShardId,
        asked: Asked<'_>,
        read_to: u64,
    ) -> Result<Reply, Refusal> {
        let unavailable = |reason: &str| Refusal::Unavailable(reason.to_owned());
        let held = self
            .replicas()
            .held(shard)
            .ok_or_else(|| unavailable("the shard is not on this node"))?;
        if let Held::Open(replica) = &held {
            let mut positions = replica.group.watch();
            let caught_up = positions.wait_for(|p| p.closed || p.applied_to >= read_to);
            match tokio::time::timeout_at(asked.deadline, caught_up).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(unavailable("the group has stopped")),
                Err(_) => return Err(unavailable("this replica did not catch up in time")),
            }
        }
        let abandon = Abandon(Arc::default());
        let budget = budget(asked.account, asked.deadline, Arc::clone(&abandon.0));
        let (held, question) = self.as_agreed(held, asked).await?;
        let work = self.work(held, &question, budget);
        let outcome = tokio::time::timeout_at(asked.deadline, work).await;
        drop(abandon);
        outcome.map_err(|_| unavailable("the shard did not answer in time"))?
    }

    /// The replica, if it has all that was agreed on, and the question without what the cluster has left out of the
    /// shard, where the replica may still have it: so that every replica gives the same answer, whatever is asked for,
    /// however the rules are by now, and whichever node has heard of what.
    async fn as_agreed(
        &self,
        mut held: Held,
        asked: Asked<'_>,
    ) -> Result<(Held, Arc<Question>), Refusal> {
        let shard = held.shard();
        if !agreed::is_whole(&held, &self.meta().state(), asked.agreed) {
            // After a start the segments may be of later facts than those that were read by then.
            let current = self.meta().read_barrier(leader_deadline(asked.deadline));
            if let Err(error) = current.await {
                tracing::debug!(%shard, %error, "whether this replica has what was agreed on is not known");
            }
            let now = self.replicas().held(shard);
            held = now.ok_or_else(|| Refusal::unavailable("the shard is not on this node"))?;
            if !agreed::is_whole(&held, &self.meta().state(), asked.agreed) {
                let why = "this replica does not have the rows that were agreed on";
                return Err(Refusal::unavailable(why));
            }
        }
        let own = Agreed::of(&self.meta().state(), shard);
        let segments = Segments::of(&held);
        let question = match agreed::hidden(segments.as_ref(), [own.as_ref(), asked.agreed]) {
            Some(floors) => Arc::new(asked.question.beyond(&floors)),
            None => Arc::clone(asked.question),
        };
        Ok((held, question))
    }

    /// Answers `question` on the pool: as a whole, or in parts that several threads take.
    async fn work(
        &self,
        held: Held,
        question: &Arc<Question>,
        budget: Budget,
    ) -> Result<Reply, Refusal> {
        let offload = &self.inner.offload;
        let width = offload.width();
        let doubt = Doubt {
            doubts: self.replicas().doubts().clone(),
            shard: held.shard(),
        };
        let (whole, limits) = (Arc::clone(question), budget.clone());
        let seen = doubt.clone();
        let begun = offload.run(move || {
            let view = held.view().map_err(|error| seen.unreadable(&error))?;
            let views = whole.parts(&view, width);
            if views.len() > 1 {
                return Ok(Begun::Parts(views));
            }
            let reply = whole.answer(view, &limits).map_err(|e| seen.of(e))?;
            Ok(Begun::Whole(reply))
        });
        let views = match begun.await.map_err(Refusal::unavailable)?? {
            Begun::Whole(reply) => return Ok(reply),
            Begun::Parts(views) => views,
        };
        let parts = views.into_iter().map(|view| {
            let (question, budget) = (Arc::clone(question), budget.clone());
            offload.run(move || question.scan(view, &budget))
        });
        let parts: Result<Vec<Part>, Error> = try_join_all(parts)
            .await
            .map_err(Refusal::unavailable)?
            .into_iter()
            .collect();
        let parts = parts.map_err(|error| doubt.of(error))?;
        let question = Arc::clone(question);
        let united = offload.run(move || question.unite(parts, &budget));
        united
            .await
            .map_err(Refusal::unavailable)?
            .map_err(Refusal::of)
    }
}

/// Puts a shard under suspicion when its data cannot be read.
#[derive(Clone)]
struct Doubt {
    doubts: Doubts,
    shard: ShardId,
}

impl Doubt {
    /// The refusal for a shard whose files cannot be opened.
    fn unreadable(&self, error: &super::replica::Error) -> Refusal {
        self.look_into(error);
        Refusal::unavailable(error)
    }

    /// The refusal for a scan that failed.
    fn of(&self, error: Error) -> Refusal {
        if matches!(error, Error::Data(_)) {
            self.look_into(&error);
        }
        Refusal::of(error)
    }

    fn look_into(&self, error: &(dyn std::error::Error + 'static)) {
        if !lacks_descriptors(error) {
            self.doubts.suspect(self.shard);
        }
    }
}

/// What the first job gave.
enum Begun {
    /// The answer; the view is small, or the question is of a kind that is answered at once.
    Whole(Reply),
    /// Parts for several threads.
    Parts(Vec<View>),
}

/// Why a shard did not answer; never a word of any record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// This replica cannot; another one may.
    #[error("{0}")]
    Unavailable(String),
    /// The cluster has dropped the shard: its retention is over.
    #[error("the shard's retention is over")]
    Dropped,
    /// Other questions use this replica's memory; another one may have room.
    #[error("{0}")]
    Busy(String),
    /// The question asks for more than a limit allows; no replica can.
    #[error("{0}")]
    Request(String),
}

impl Refusal {
    fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }

    fn of(error: Error) -> Self {
        match error {
            Error::Busy => Self::Busy(error.to_string()),
            _ if error.is_bad_request() => Self::Request(error.to_string()),
            _ => Self::unavailable(error),
        }
    }
}
