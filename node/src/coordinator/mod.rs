//! Answers queries for the whole cluster: which shards, which replica of each, and the merge.
//!
//! It never reads a segment itself and never makes an answer silently smaller: a shard that could not
//! be asked is counted as failed.

mod gather;
mod reader;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_query::Shards;
use hushlog_query::request::Consistency;
use hushlog_raft::{ReadError, read_barriers};
use hushlog_record::ShardId;
use hushlog_record::id::META_GROUP;
use parking_lot::Mutex;
use rand::Rng;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::cluster::question::{Question, Reply};
use crate::entropy::Stream;
use crate::offload::Offload;

use gather::{Need, Round};

/// How long a leader is waited for before what exists is served without it.
const BARRIER_PATIENCE: Duration = Duration::from_secs(3);

/// A cheap handle.
#[derive(Clone)]
pub struct Coordinator {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    offload: Offload,
    ids: Arc<Mutex<Stream>>,
}

/// The shards' answers and how many there are.
#[derive(Debug)]
struct Gathered {
    replies: Vec<Reply>,
    shards: Shards,
}

impl Coordinator {
    /// A coordinator on this node; `ids` names its queries.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, offload: Offload, ids: Stream) -> Self {
        Self {
            cluster,
            clock,
            offload,
            ids: Arc::new(Mutex::new(ids)),
        }
    }

    fn query_id(&self) -> String {
        format!("{:016x}", self.ids.lock().next_u64())
    }

    /// Asks one replica of every shard that the question concerns.
    async fn gather(
        &self,
        question: Question,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<(Gathered, Arc<Question>), String> {
        let question = Arc::new(question);
        // A fifth of the time is kept for the answer from what exists.
        let left = deadline.saturating_duration_since(Instant::now());
        let barrier = Instant::now() + BARRIER_PATIENCE.min(left * 4 / 5);
        let committed = consistency == Consistency::Committed;
        let map_is_current = !committed || self.map_barrier(barrier).await;
        let (asked, pruned) = shards::choose(&self.cluster, &question);
        let needs = if committed {
            self.needs(&asked, barrier).await
        } else {
            asked
                .into_iter()
                .map(|shard| (shard, Need::Nothing))
                .collect()
        };
        let round = Round {
            cluster: &self.cluster,
            question: &question,
            deadline,
        };
        let gathered = round.gather(needs, map_is_current, pruned).await?;
        Ok((gathered, question))
    }

    /// Makes sure that this node knows every bucket that was opened before now.
    async fn map_barrier(&self, deadline: Instant) -> bool {
        let answers = read_barriers(self.cluster.context(), &[META_GROUP], deadline).await;
        answers.iter().all(|(_, answer)| answer.is_ok())
    }

    /// What an answer of each shard must have seen, with one question to each leader's node.
    async fn needs(&self, shards: &[ShardId], deadline: Instant) -> Vec<(ShardId, Need)> {
        let open: Vec<u64> = shards
            .iter()
            .filter(|shard| self.cluster.replicas().get(**shard).is_some())
            .filter(|shard| !shards::is_complete_here(&self.cluster, **shard))
            .map(|shard| shard.group())
            .collect();
        let answers: BTreeMap<u64, _> = read_barriers(self.cluster.context(), &open, deadline)
            .await
            .into_iter()
            .collect();
        let need = |shard: &ShardId| {
            let need = match answers.get(&shard.group()) {
                Some(Ok(())) => Need::Nothing,
                Some(Err(ReadError::Behind { read_to, .. })) => Need::Position(*read_to),
                Some(Err(_)) => Need::Unknown,
                None if self.cluster.replicas().get(*shard).is_some() => Need::Nothing,
                None => Need::Barrier,
            };
            (*shard, need)
        };
        shards.iter().map(need).collect()
    }
}
