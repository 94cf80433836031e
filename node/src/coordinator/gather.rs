//! Asks one replica per shard, another one when the first fails, and counts who answered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_proto::hushlog::internal::v1::shard_result::Outcome;
use hushlog_query::Shards;
use hushlog_raft::Lane;
use hushlog_record::{NodeId, ShardId};
use tokio::time::Instant;

use super::Gathered;
use crate::cluster::execute::Refusal;
use crate::cluster::question::{Question, Reply};
use crate::cluster::{Cluster, MESSAGE_BYTES_MAX};

/// What an answer of one shard must have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Whatever this node's replica has applied by now is enough.
    Nothing,
    /// Everything before this position; this node's replica is not there yet.
    Position(u64),
    /// Whoever is asked must find out from the leader; there is no replica here.
    Barrier,
    /// No leader said: what exists is served, and the shard counts as failed.
    Unknown,
}

/// One question on its way to the shards.
pub(super) struct Round<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) question: &'a Arc<Question>,
    pub(super) deadline: Instant,
}

impl Round<'_> {
    /// Asks every shard.
    ///
    /// # Errors
    /// When a shard says that the question itself is at fault.
    pub(super) async fn gather(
        &self,
        needs: Vec<(ShardId, Need)>,
        map_is_current: bool,
        pruned: u64,
    ) -> Result<Gathered, String> {
        let asked_of = needs.len() as u64;
        let asked = needs
            .into_iter()
            .map(|(shard, need)| async move { (shard, need, self.ask(shard, need).await) });
        let mut replies = Vec::new();
        let mut successful = 0;
        for (shard, need, outcome) in join_all(asked).await {
            match outcome {
                Ok(reply) => {
                    replies.push(reply);
                    successful += u64::from(need != Need::Unknown);
                }
                Err(Refusal::Request(reason)) => return Err(reason),
                Err(Refusal::Unavailable(reason)) => {
                    tracing::warn!(%shard, reason, "shard did not answer");
                }
            }
        }
        // Without a current shard map a bucket may be missing: one shard more that did not answer.
        let unknown = u64::from(!map_is_current);
        let total = asked_of + unknown;
        let failed = total - successful;
        let shards = Shards {
            total: total + pruned,
            successful,
            failed,
            pruned,
        };
        Ok(Gathered { replies, shards })
    }

    async fn ask(&self, shard: ShardId, need: Need) -> Result<Reply, Refusal> {
        let mut reasons = Vec::new();
        if matches!(need, Need::Nothing | Need::Unknown) {
            match self
                .cluster
                .answer_here(shard, self.question, 0, self.deadline)
                .await
            {
                Err(Refusal::Unavailable(reason)) => reasons.push(format!("here: {reason}")),
                outcome => return outcome,
            }
        }
        for (node, addr) in self.others(shard) {
            match self.ask_node(node, &addr, shard, need).await {
                Err(Refusal::Unavailable(reason)) => reasons.push(format!("node {node}: {reason}")),
                outcome => return outcome,
            }
        }
        if let Need::Position(read_to) = need {
            match self
                .cluster
                .answer_here(shard, self.question, read_to, self.deadline)
                .await
            {
                Err(Refusal::Unavailable(reason)) => reasons.push(format!("here: {reason}")),
                outcome => return outcome,
            }
        }
        Err(Refusal::Unavailable(reasons.join("; ")))
    }

    fn others(&self, shard: ShardId) -> Vec<(NodeId, String)> {
        let own = self.cluster.settings().node;
        let state = self.cluster.meta().state();
        let voters = state
            .slot(shard)
            .map(|slot| slot.voters.clone())
            .unwrap_or_default();
        let others = voters.into_iter().filter(|node| *node != own);
        others
            .filter_map(|node| state.nodes.get(&node).map(|n| (node, n.grpc.clone())))
            .collect()
    }

    async fn ask_node(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        need: Need,
    ) -> Result<Reply, Refusal> {
        let unavailable = |reason: &str| Refusal::Unavailable(reason.to_owned());
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(unavailable("no time is left"));
        }
        let channel = self.cluster.connect().channel(node, addr, Lane::Bulk);
        let channel = channel.map_err(|status| unavailable(status.message()))?;
        let mut client = NodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let applied_at_least = if let Need::Position(read_to) = need {
            read_to
        } else {
            0
        };
        let request = pb::ShardSearchRequest {
            question: self.question.encode().into(),
            shards: vec![pb::ShardPosition {
                group: shard.group(),
                applied_at_least,
            }],
            timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            committed: need == Need::Barrier,
        };
        let answer = tokio::time::timeout_at(self.deadline, client.search(request)).await;
        let answer = answer.map_err(|_| unavailable("no answer in time"))?;
        let answer = answer
            .map_err(|status| unavailable(status.message()))?
            .into_inner();
        match answer
            .results
            .into_iter()
            .next()
            .and_then(|result| result.outcome)
        {
            Some(Outcome::Reply(bytes)) => self
                .question
                .decode_reply(&bytes)
                .map_err(Refusal::Unavailable),
            Some(Outcome::Unavailable(reason)) => Err(Refusal::Unavailable(reason)),
            Some(Outcome::Refused(reason)) => Err(Refusal::Request(reason)),
            None => Err(unavailable("the answer is empty")),
        }
    }
}
