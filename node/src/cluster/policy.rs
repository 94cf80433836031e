//! How a change of the policy comes into force: every node masks by it, every open shard demands it.
//!
//! The meta group says what the policy is. Here each node compiles it, and the leader of each shard that
//! still takes blocks of an older one has its shard refuse them, through the shard's own log. A node that
//! knows nothing of all that, because it is cut off, has its blocks refused and masks again
//! (`crate::gateway`). Nothing here looks at a record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use hushlog_pii::Policy;
use hushlog_raft::{Peer, ProposeError, ShardGroup, Status, meta, status_at};
use hushlog_record::{NodeId, ShardId};
use tokio::time::{Instant, sleep, timeout_at};

use super::Cluster;
use crate::api::{Failure, Kind, Policies};
use crate::limits::POLICY_BYTES_MAX;

/// How often a node looks whether its shards demand the newest policy, when nothing wakes it.
const TICK: Duration = Duration::from_millis(200);
/// How long a shard's log may take to take the demand in before it is proposed again.
const RAISE_DEADLINE: Duration = Duration::from_secs(5);
/// Pause after a demand that was not taken.
const RAISE_PAUSE: Duration = Duration::from_millis(100);
/// Pause before shards that did not demand the policy yet are looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long another node may take to say what it knows of a shard.
const LOOK_PATIENCE: Duration = Duration::from_millis(500);

impl Cluster {
    /// Uses the policy that this node knows of, as its last run has left it.
    pub(super) async fn load_policy(&self) {
        self.adopt_policy().await;
    }

    /// Follows the policy until the node stops: compiles it, and has the shards led here demand it.
    pub(super) async fn follow_policy(self) -> Result<(), super::Error> {
        let stop = self.inner.tasks.stop_token();
        let mut facts = self.inner.meta.watch();
        let mut raising: FuturesUnordered<BoxFuture<'static, ShardId>> = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        loop {
            self.adopt_policy().await;
            for (group, epoch) in self.to_raise() {
                let shard = group.shard();
                if busy.insert(shard) {
                    raising.push(raise(group, epoch).map(move |()| shard).boxed());
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(shard) = raising.next() => { busy.remove(&shard); }
                Ok(()) = facts.changed() => {}
                () = sleep(TICK) => {}
            }
        }
    }

    /// Compiles the newest policy that this node knows of, if it is not in use yet.
    async fn adopt_policy(&self) {
        let policy = self.inner.meta.state().policy.clone();
        if !self.inner.masking.lacks(policy.epoch) {
            return;
        }
        let epoch = policy.epoch;
        let masking = Arc::clone(&self.inner.masking);
        let adopt = move || masking.adopt(policy.epoch, &policy.bytes);
        match self.inner.offload.run(adopt).await {
            Ok(Ok(())) => tracing::info!(epoch, "policy in use"),
            Ok(Err(refusal)) => tracing::error!(epoch, %refusal, "the policy cannot be used here"),
            Err(error) => tracing::warn!(epoch, %error, "the policy is not compiled"),
        }
    }

    /// The shards led here that take blocks of an older policy, with the epoch to demand.
    fn to_raise(&self) -> Vec<(ShardGroup, u64)> {
        let epoch = self.inner.meta.state().policy.epoch;
        let replicas = self.inner.replicas.all().into_iter();
        let behind = replicas.filter(|replica| {
            let positions = replica.positions();
            replica.group.is_leader() && !positions.closed && positions.policy_epoch < epoch
        });
        behind
            .map(|replica| (replica.group.clone(), epoch))
            .collect()
    }

    /// Shards that may still take blocks masked under a policy before this epoch, as far as can be told
    /// by `deadline`; each with its voters.
    async fn shards_behind(&self, epoch: u64, deadline: Instant) -> Vec<(ShardId, Vec<NodeId>)> {
        let mut done = BTreeSet::new();
        loop {
            let mut looked_at = Vec::new();
            for (shard, slot) in self.inner.meta.state().shards_before_policy(epoch) {
                if !done.contains(&shard) {
                    looked_at.push(self.look(shard, slot.clone(), epoch, deadline));
                }
            }
            let mut missing = Vec::new();
            for (shard, slot, demands) in join_all(looked_at).await {
                if demands {
                    done.insert(shard);
                } else {
                    missing.push((shard, slot.voters));
                }
            }
            if missing.is_empty() || Instant::now() + LOOK_PAUSE >= deadline {
                return missing;
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn look(
        &self,
        shard: ShardId,
        slot: meta::Slot,
        epoch: u64,
        deadline: Instant,
    ) -> (ShardId, meta::Slot, bool) {
        let demands = self.demands(shard, &slot, epoch, deadline).await;
        (shard, slot, demands)
    }

    /// Whether a shard takes no block of an older policy any more: what one replica has applied, a
    /// majority has.
    async fn demands(
        &self,
        shard: ShardId,
        slot: &meta::Slot,
        epoch: u64,
        deadline: Instant,
    ) -> bool {
        let here = self.inner.replicas.get(shard);
        let here = here.map(|replica| replica.positions());
        if here.is_some_and(|here| here.closed || here.policy_epoch >= epoch) {
            return true;
        }
        let patience = deadline.min(Instant::now() + LOOK_PATIENCE);
        let members = self.inner.replicas.members(slot);
        let others = members
            .iter()
            .filter(|(node, _)| **node != self.inner.settings.node);
        let mut asked = FuturesUnordered::new();
        for (node, peer) in others {
            asked.push(self.ask(shard, *node, peer, patience));
        }
        while let Some(answer) = asked.next().await {
            if answer.is_some_and(|there| there.closed || there.policy_epoch >= epoch) {
                return true;
            }
        }
        false
    }

    async fn ask(
        &self,
        shard: ShardId,
        node: NodeId,
        peer: &Peer,
        deadline: Instant,
    ) -> Option<Status> {
        let context = &self.inner.context;
        let answer = status_at(context, shard.group(), node, peer, deadline).await;
        answer.ok()
    }
}

/// Has a shard that is led here refuse blocks of older policies.
async fn raise(group: ShardGroup, epoch: u64) {
    let deadline = Instant::now() + RAISE_DEADLINE;
    match group.raise_policy(epoch, deadline).await {
        Ok(()) => tracing::debug!(shard = %group.shard(), epoch, "policy demanded"),
        Err(error) => {
            tracing::debug!(shard = %group.shard(), epoch, %error, "policy not demanded yet");
            sleep(RAISE_PAUSE).await;
        }
    }
}

impl Policies for Cluster {
    fn newest(&self, deadline: Instant) -> BoxFuture<'_, Result<Policy, Failure>> {
        Box::pin(async move {
            let masking = &self.inner.masking;
            let read = self.inner.meta.read_barrier(deadline).await;
            read.map_err(|error| {
                let message = format!("the meta group does not say which patterns hold: {error}");
                Failure::new(Kind::Unavailable, message)
            })?;
            let epoch = self.inner.meta.state().policy.epoch;
            if timeout_at(deadline, masking.at_least(epoch)).await.is_err() {
                let why = masking.unusable();
                let why = why.unwrap_or_else(|| format!("policy {epoch} is not compiled yet"));
                return Err(Failure::new(Kind::Unavailable, why));
            }
            Ok(masking.current().policy().clone())
        })
    }

    fn replace(&self, policy: Policy, deadline: Instant) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(async move {
            let bytes = policy.to_bytes();
            if bytes.len() > POLICY_BYTES_MAX {
                let message = format!(
                    "all patterns together have more than POLICY_BYTES_MAX = {POLICY_BYTES_MAX} \
                     bytes; remove some, or shorten their lists"
                );
                return Err(Failure::new(Kind::InvalidPattern, message));
            }
            let command = meta::Command::SetPolicy(meta::Policy {
                epoch: policy.epoch,
                bytes: bytes.into(),
            });
            match self.inner.meta.propose(command, deadline).await {
                Ok(meta::Answer::Done) => Ok(true),
                Ok(meta::Answer::Conflict(_) | meta::Answer::Bucket(_)) => Ok(false),
                Err(error @ ProposeError::OutcomeUnknown(_)) => {
                    let message = format!(
                        "it is not known whether the patterns were changed; repeat the request: {error}"
                    );
                    Err(Failure::new(Kind::OutcomeUnknown, message))
                }
                Err(error) => {
                    let message = format!("the patterns were not changed: {error}");
                    Err(Failure::new(Kind::Unavailable, message))
                }
            }
        })
    }

    fn in_force(&self, epoch: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let missing = self.shards_behind(epoch, deadline).await;
            if !missing.is_empty() {
                return Err(pending(epoch, &missing));
            }
            // Every shard demands it: this node masks by it before it says so.
            if timeout_at(deadline, self.inner.masking.at_least(epoch))
                .await
                .is_err()
            {
                let message =
                    format!("policy {epoch} is in force, and not in use on this node yet");
                return Err(Failure::new(Kind::PolicyPending, message));
            }
            Ok(())
        })
    }
}

/// The refusal that names the shards which may still take what older patterns have masked.
fn pending(epoch: u64, missing: &[(ShardId, Vec<NodeId>)]) -> Failure {
    let one = |(shard, voters): &(ShardId, Vec<NodeId>)| {
        let voters: Vec<String> = voters.iter().map(NodeId::to_string).collect();
        format!("{shard} (nodes {})", voters.join(", "))
    };
    let list: Vec<String> = missing.iter().map(one).collect();
    let message = format!(
        "the patterns are changed (policy {epoch}), but these shards have not confirmed it, and may \
         still take records that older patterns have masked: {}; repeat the request to wait for them",
        list.join(", ")
    );
    let missing = missing.iter().map(|(shard, _)| shard.to_string());
    Failure::new(Kind::PolicyPending, message).missing(missing.collect())
}
