//! Asks one replica per shard, another one when the first fails, and counts who answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_proto::hushlog::internal::v1::shard_result::Outcome;
use hushlog_query::{Memory, ShardFailure, Shards};
use hushlog_raft::Lane;
use hushlog_record::museum::{Bug, planted};
use hushlog_record::{NodeId, ShardId};
use tokio::time::Instant;

use super::Gathered;
use super::paid::{self, Paid};
use crate::cluster::agreed::Agreed;
use crate::cluster::execute::{Asked, Refusal};
use crate::cluster::question::Question;
use crate::cluster::sources::in_turn;
use crate::cluster::{Cluster, MESSAGE_BYTES_MAX};
use crate::error::{Failure, Kind};

/// What an answer of one shard must have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Whatever a replica has: the question does not ask for more.
    Any,
    /// Everything before this position, which this node's replica has applied.
    Here(u64),
    /// Everything before this position; this node's replica is not there yet.
    Elsewhere(u64),
    /// Everything that the shard will ever hold; this node's replica has it.
    Complete,
    /// Whoever is asked must find out from the leader: there is no replica here, or one that lacks something. If no
    /// leader says, what exists is served, and the shard counts as failed.
    Barrier,
    /// No leader said. Another replica may still reach it; else what exists is served, and the shard
    /// counts as failed.
    Unknown,
}

impl Need {
    /// What another node is asked for: the position, or that it ask the leader itself.
    fn of_others(self) -> (u64, bool) {
        match self {
            Self::Any => (0, false),
            Self::Here(read_to) | Self::Elsewhere(read_to) => (read_to, false),
            Self::Complete | Self::Barrier | Self::Unknown => (0, true),
        }
    }
}

/// An answer of a shard.
enum Found {
    /// It has seen what it must.
    Whole(Paid),
    /// Nobody could say what it must have seen.
    Stale(Paid),
}

/// How long other replicas are asked once no leader has been found from here.
const OTHERS_PATIENCE: Duration = Duration::from_secs(1);

/// One question on its way to the shards.
pub(super) struct Round<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) question: &'a Arc<Question>,
    /// The same on every node that is asked.
    pub(super) question_id: u64,
    /// The question's memory on this node.
    pub(super) account: &'a Memory,
    pub(super) deadline: Instant,
}

/// Why the replicas of one shard did not answer.
#[derive(Default)]
struct Reasons {
    texts: Vec<String>,
    /// What the last one said whose memory was in use.
    busy: Option<String>,
}

impl Reasons {
    /// Notes why a replica cannot; what no replica can is an error.
    fn note(&mut self, who: &str, refusal: Refusal) -> Result<(), Refusal> {
        match refusal {
            Refusal::Unavailable(reason) => self.texts.push(format!("{who}: {reason}")),
            Refusal::Busy(reason) => self.busy = Some(reason),
            Refusal::Request(_) | Refusal::Dropped => return Err(refusal),
        }
        Ok(())
    }

    fn settle(self) -> Refusal {
        match self.busy {
            Some(reason) => Refusal::Busy(reason),
            None => Refusal::Unavailable(self.texts.join("; ")),
        }
    }
}

impl Round<'_> {
    /// Asks every shard.
    ///
    /// # Errors
    /// When a shard says that the question itself is at fault, or all its replicas that other questions
    /// use their memory, or there is no room here for the replies: the question is then refused as a whole.
    pub(super) async fn gather(
        &self,
        needs: Vec<(ShardId, Need)>,
        map_is_current: bool,
        pruned: u64,
    ) -> Result<Gathered, Failure> {
        let mut asked_of = needs.len() as u64;
        let mut pruned = pruned;
        let asked = needs
            .into_iter()
            .map(|(shard, need)| async move { (shard, need, self.ask(shard, need).await) });
        let mut replies = Vec::new();
        let mut failures = Vec::new();
        for (shard, need, outcome) in join_all(asked).await {
            let reason = match outcome {
                Ok(Found::Whole(reply)) => {
                    replies.push(reply);
                    continue;
                }
                Ok(Found::Stale(reply)) => {
                    replies.push(reply);
                    "no leader with a majority; answered from what one replica has".to_owned()
                }
                Err(refusal) if self.is_dropped(shard, &refusal) => {
                    // Nothing in it would have been seen.
                    asked_of -= 1;
                    pruned += 1;
                    continue;
                }
                Err(refusal @ (Refusal::Unavailable(_) | Refusal::Dropped)) => refusal.to_string(),
                Err(refusal) => return Err(refused(refusal)),
            };
            tracing::warn!(%shard, ?need, reason, "shard did not answer in full");
            if planted(Bug::PartialCalledComplete) {
                continue;
            }
            failures.push(ShardFailure {
                shard: shard.to_string(),
                reason,
            });
        }
        let successful = asked_of - failures.len() as u64;
        let mut total = asked_of;
        // Without a current shard map a bucket may be missing, so the answer must not look whole.
        if !map_is_current && failures.is_empty() {
            total += 1;
            failures.push(ShardFailure {
                shard: "meta".into(),
                reason: "the shard map or the patterns known here may be out of date: the meta group has no \
                         leader, or a policy cannot be used here"
                    .into(),
            });
        }
        let shards = Shards {
            total: total + pruned,
            successful,
            failed: failures.len() as u64,
            pruned,
            failures,
        };
        let (replies, room) = paid::all(replies, self.account).map_err(refused)?;
        Ok(Gathered {
            replies,
            shards,
            room,
        })
    }

    /// Whether a shard did not answer because the cluster has dropped it meanwhile.
    fn is_dropped(&self, shard: ShardId, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::Dropped => true,
            Refusal::Unavailable(_) => self.cluster.meta().state().is_dropped(shard),
            Refusal::Busy(_) | Refusal::Request(_) => false,
        }
    }

    async fn ask(&self, shard: ShardId, need: Need) -> Result<Found, Refusal> {
        let mut reasons = Reasons::default();
        if matches!(need, Need::Any | Need::Here(_) | Need::Complete) {
            match self.here(shard, 0, &mut reasons).await {
                Ok(None) => {}
                Ok(Some(reply)) => return Ok(Found::Whole(reply)),
                Err(refusal) => return Err(refusal),
            }
        }
        let deadline = match need {
            // The leader was waited for already; a node that answers at once may still know it.
            Need::Unknown => self.deadline.min(Instant::now() + OTHERS_PATIENCE),
            // Some time is kept for what exists.
            Need::Barrier => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                self.deadline - left / 5
            }
            _ => self.deadline,
        };
        if let Some(reply) = self.ask_others(shard, need, deadline, &mut reasons).await? {
            return Ok(Found::Whole(reply));
        }
        let found = match need {
            // Where one that could answer has no room, the question can be repeated.
            Need::Barrier if reasons.busy.is_none() => self
                .ask_others(shard, Need::Any, self.deadline, &mut reasons)
                .await?
                .map(Found::Stale),
            Need::Elsewhere(read_to) => self
                .here(shard, read_to, &mut reasons)
                .await?
                .map(Found::Whole),
            Need::Unknown => {
                // It may have closed or been sealed since its leader was asked for.
                let held = self.cluster.replicas().held(shard);
                let complete = held.is_some_and(|held| held.is_complete());
                let found = self.here(shard, 0, &mut reasons).await?;
                found.map(if complete { Found::Whole } else { Found::Stale })
            }
            _ => None,
        };
        found.ok_or_else(|| reasons.settle())
    }

    /// The first answer of the other replicas, asked one after the other; `None`, with the reasons noted, when none
    /// of them can give one.
    async fn ask_others(
        &self,
        shard: ShardId,
        need: Need,
        deadline: Instant,
        reasons: &mut Reasons,
    ) -> Result<Option<Paid>, Refusal> {
        // The map may change meanwhile, and name a node that nobody has asked yet.
        let mut tried = BTreeSet::new();
        while let Some((node, addr)) = self.next_of_others(shard, &tried) {
            tried.insert(node);
            match self.ask_node(node, &addr, shard, need, deadline).await {
                Ok(reply) => return Ok(Some(reply)),
                Err(refusal) => reasons.note(&format!("node {node}"), refusal)?,
            }
        }
        Ok(None)
    }

    /// The answer of this node's replica; `None`, with the reason noted, when it cannot give one.
    async fn here(
        &self,
        shard: ShardId,
        read_to: u64,
        reasons: &mut Reasons,
    ) -> Result<Option<Paid>, Refusal> {
        let asked = Asked {
            question: self.question,
            account: self.account,
            agreed: None,
            deadline: self.deadline,
        };
        match self.cluster.answer_here(shard, asked, read_to).await {
            Ok(reply) => Paid::new(reply, self.account).map(Some),
            Err(refusal) => reasons.note("here", refusal).map(|()| None),
        }
    }

    fn next_of_others(&self, shard: ShardId, tried: &BTreeSet<NodeId>) -> Option<(NodeId, String)> {
        let mut others = self.others(shard).into_iter();
        others.find(|(node, _)| !tried.contains(node))
    }

    fn others(&self, shard: ShardId) -> Vec<(NodeId, String)> {
        let own = self.cluster.settings().node;
        let state = self.cluster.meta().state();
        let voters = state
            .slot(shard)
            .map(|slot| slot.voters.clone())
            .unwrap_or_default();
        let others = voters.into_iter().filter(|node| *node != own);
        let others =
            others.filter_map(|node| state.nodes.get(&node).map(|n| (node, n.grpc.clone())));
        // Whoever is asked first may take all the time that there is.
        in_turn(&state, others.collect())
    }

    async fn ask_node(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        need: Need,
        deadline: Instant,
    ) -> Result<Paid, Refusal> {
        let unavailable = |reason: &str| Refusal::Unavailable(reason.to_owned());
        let left = deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(unavailable("no time is left"));
        }
        let channel = self.cluster.connect().channel(node, addr, Lane::Bulk);
        let channel = channel.map_err(|status| unavailable(status.message()))?;
        let mut client = NodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (applied_at_least, committed) = need.of_others();
        let agreed = Agreed::of(&self.cluster.meta().state(), shard);
        let request = pb::ShardSearchRequest {
            question: self.question.encode().into(),
            shards: vec![pb::ShardPosition {
                group: shard.group(),
                applied_at_least,
                finished: agreed.map(|agreed| agreed.to_message()),
            }],
            timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            committed,
            question_id: self.question_id,
        };
        let answer = tokio::time::timeout_at(deadline, client.search(request)).await;
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
            Some(Outcome::Reply(bytes)) => Paid::decode(self.question, &bytes, self.account),
            Some(Outcome::Unavailable(reason)) => Err(Refusal::Unavailable(reason)),
            Some(Outcome::Dropped(_)) => Err(Refusal::Dropped),
            Some(Outcome::Busy(reason)) => Err(Refusal::Busy(reason)),
            Some(Outcome::Refused(reason)) => Err(Refusal::Request(reason)),
            None => Err(unavailable("the answer is empty")),
        }
    }
}

/// What a question is told that a shard, or this node, refuses.
fn refused(refusal: Refusal) -> Failure {
    let kind = match refusal {
        Refusal::Request(_) => Kind::InvalidArgument,
        Refusal::Busy(_) => Kind::Overloaded,
        Refusal::Unavailable(_) | Refusal::Dropped => Kind::Unavailable,
    };
    Failure::new(kind, refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_busy_when_a_replica_that_could_answer_had_no_room() {
        let mut reasons = Reasons::default();
        let unavailable = || Refusal::Unavailable("down".into());
        reasons
            .note("here", Refusal::Busy("in use".into()))
            .expect("another may answer");
        reasons
            .note("node 2", unavailable())
            .expect("another may answer");
        assert_eq!(reasons.settle(), Refusal::Busy("in use".into()));

        let mut reasons = Reasons::default();
        reasons
            .note("node 2", unavailable())
            .expect("another may answer");
        let too_large = Refusal::Request("too large".into());
        assert_eq!(reasons.note("node 3", too_large.clone()), Err(too_large));
        let dropped = reasons.note("node 3", Refusal::Dropped);
        assert_eq!(dropped, Err(Refusal::Dropped), "nobody else is asked");
        let all = Refusal::Unavailable("node 2: down".into());
        assert_eq!(reasons.settle(), all);
    }
}
