//! Answers queries for the whole cluster: which shards, which replica of each, and the merge.
//!
//! It never reads a segment itself and never makes an answer silently smaller: a shard that could not
//! be asked is counted as failed.

mod gather;
mod paid;
mod reader;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_query::request::Consistency;
use hushlog_query::{Floors, Lease, Shards};
use hushlog_raft::{ReadError, read_barriers};
use hushlog_record::ShardId;
use hushlog_record::id::META_GROUP;
use parking_lot::Mutex;
use rand::Rng;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::cluster::execute::leader_deadline;
use crate::cluster::question::{Question, Reply};
use crate::entropy::Stream;
use crate::error::Failure;
use crate::offload::Offload;

use gather::{Need, Round};

/// How long the leaders of a bucket are waited for that was opened while the others were asked.
const NEW_SHARD_PATIENCE: Duration = Duration::from_millis(500);

/// A cheap handle.
#[derive(Clone)]
pub struct Coordinator {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    offload: Offload,
    ids: Arc<Mutex<Stream>>,
    /// Whether it counts what its retention hides, too.
    sees_all: bool,
}

/// The shards' answers and how many there are.
#[derive(Debug)]
struct Gathered {
    replies: Vec<Reply>,
    shards: Shards,
    /// Room for the replies and the answer.
    room: Lease,
}

impl Coordinator {
    /// A coordinator on this node; `ids` names its queries.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, offload: Offload, ids: Stream) -> Self {
        Self {
            cluster,
            clock,
            offload,
            ids: Arc::new(Mutex::new(ids)),
            sees_all: false,
        }
    }

    /// The oldest event times that a question sees that begins now.
    fn floors(&self) -> Floors {
        if self.sees_all {
            return Floors::NONE;
        }
        self.cluster.periods().floors(self.clock.now())
    }

    fn query_id(&self) -> String {
        format!("{:016x}", self.ids.lock().next_u64())
    }

    /// Asks one replica of every shard that the question concerns.
    async fn gather(
        &self,
        mut question: Question,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<(Gathered, Arc<Question>), Failure> {
        question.hide(self.floors());
        let question_id = self.ids.lock().next_u64();
        let account = self.cluster.account(question_id);
        let barrier = leader_deadline(deadline);
        let (needs, pruned, map_is_current) = match consistency {
            Consistency::Committed => self.committed(&mut question, barrier).await?,
            Consistency::Any => {
                self.hash(&mut question).await?;
                let (asked, pruned) = shards::choose(&self.cluster, &question);
                let any = asked.into_iter().map(|shard| (shard, Need::Any));
                (any.collect(), pruned, true)
            }
        };
        let question = Arc::new(question);
        let round = Round {
            cluster: &self.cluster,
            question: &question,
            question_id,
            account: &account,
            deadline,
        };
        let gathered = round.gather(needs, map_is_current, pruned).await?;
        Ok((gathered, question))
    }

    /// Makes sure that this node knows every bucket that was opened before now, and what an answer of
    /// each shard must have seen. The shards that are known already are asked about at the same time,
    /// so that an election of the meta group costs them nothing. What is hidden is judged by the rules
    /// that were acknowledged before now, too.
    async fn committed(
        &self,
        question: &mut Question,
        deadline: Instant,
    ) -> Result<(Vec<(ShardId, Need)>, u64, bool), Failure> {
        let (known, _) = shards::choose(&self.cluster, question);
        let (map_is_current, mut needs) =
            tokio::join!(self.map_barrier(deadline), self.needs(&known, deadline));
        // What was hashed before now was hashed by a policy that is known here now.
        let knows_policy = self.knows_policy(deadline).await;
        let rules_are_current = self.hash(question).await? && knows_policy;
        question.hide(self.floors());
        let (asked, pruned) = shards::choose(&self.cluster, question);
        let new: Vec<ShardId> = asked
            .iter()
            .filter(|shard| !needs.contains_key(shard))
            .copied()
            .collect();
        if !new.is_empty() {
            let deadline = deadline.max(Instant::now() + NEW_SHARD_PATIENCE);
            needs.extend(self.needs(&new, deadline).await);
        }
        // A shard that closed meanwhile may no longer be asked; one that is asked has its need.
        let asked = asked
            .into_iter()
            .filter_map(|shard| Some((shard, needs.get(&shard).copied()?)));
        let is_current = map_is_current && rules_are_current;
        Ok((asked.collect(), pruned, is_current))
    }

    /// Has a question ask for what masking has written for its values, too; false when that is not known of
    /// all rules.
    async fn hash(&self, question: &mut Question) -> Result<bool, Failure> {
        let Question::Plan(plan) = &*question else {
            return Ok(true);
        };
        let asked_by = self.cluster.masking().questions();
        let Some(by) = asked_by.by else {
            return Ok(asked_by.is_whole);
        };
        let asked = Question::Plan(plan.clone());
        let hashed = self.offload.run(move || asked.hashed(&by)).await?;
        let hashed = hashed.map_err(|error| reader::refused(&error))?;
        if let Some(hashed) = hashed {
            *question = hashed;
        }
        Ok(asked_by.is_whole)
    }

    /// Whether this node masks by the newest policy that it has heard of; waited for until the deadline.
    async fn knows_policy(&self, deadline: Instant) -> bool {
        let masking = self.cluster.masking();
        let epoch = self.cluster.meta().state().policy.epoch;
        if masking.epoch() >= epoch {
            return true;
        }
        masking.unusable().is_none() && timeout_at(deadline, masking.at_least(epoch)).await.is_ok()
    }

    /// Makes sure that this node knows every bucket that was opened before now.
    async fn map_barrier(&self, deadline: Instant) -> bool {
        let answers = read_barriers(self.cluster.context(), &[META_GROUP], deadline).await;
        answers.iter().all(|(_, answer)| answer.is_ok())
    }

    /// What an answer of each shard must have seen, with one question to each leader's node.
    async fn needs(&self, shards: &[ShardId], deadline: Instant) -> BTreeMap<ShardId, Need> {
        // Looked at once: a replica that opens while leaders are asked has seen nothing yet.
        let mut needs: BTreeMap<ShardId, Need> = shards
            .iter()
            .map(|shard| (*shard, standing(&self.cluster, *shard)))
            .collect();
        let open: Vec<u64> = needs
            .iter()
            .filter(|(_, need)| **need == Need::Unknown)
            .map(|(shard, _)| shard.group())
            .collect();
        for (group, answer) in read_barriers(self.cluster.context(), &open, deadline).await {
            let need = match answer {
                Ok(read_to) => Need::Here(read_to),
                Err(ReadError::Behind { read_to, .. }) => Need::Elsewhere(read_to),
                Err(ReadError::Unavailable(_) | ReadError::NotFound(_)) => Need::Unknown,
            };
            if let Some(shard) = ShardId::from_group(group) {
                needs.insert(shard, need);
            }
        }
        needs
    }
}

/// What this node can say of a shard without asking; [`Need::Unknown`] where its leader must be asked.
fn standing(cluster: &Cluster, shard: ShardId) -> Need {
    match cluster.replicas().held(shard) {
        Some(held) if held.is_complete() => Need::Complete,
        // A finished shard has no leader: another replica has all of it.
        Some(_) if cluster.meta().state().sealed.contains_key(&shard) => Need::Barrier,
        Some(_) => Need::Unknown,
        None => Need::Barrier,
    }
}
