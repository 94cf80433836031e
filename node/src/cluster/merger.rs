//! Merges the segments of finished shards: one node builds the larger ones, has the cluster agree on them in
//! place of the smaller ones, and the others fetch them (`restore`).
//!
//! Both forms hold the same rows, so that it does not matter which of them a replica has when it is asked.
//! The shard's preferred leader merges; the others take their turns should it not, each so much later as
//! the delay is: counted from when they saw that there is something to merge, or that somebody merged another
//! shard of that leader. So they do not all begin at once after a time in which the cluster was down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{MetaGroup, meta};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::manifest::Manifest;
use tokio::time::Instant;

use super::merge;
use super::replica::Error;
use super::replicas::Replicas;
use super::sealed::SealedReplica;
use super::settings::MergeSettings;
use super::{BuildSeconds, build};
use crate::clock::Clock;
use crate::offload::Offload;

/// How often shards whose segments should be merged are looked for.
pub(crate) const TICK: Duration = Duration::from_secs(2);
/// How long the meta group may take to say how the facts are.
const FACTS_DEADLINE: Duration = Duration::from_secs(3);
/// How long the cluster may take to agree.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a change whose outcome is not known may take to show in the facts.
const DECIDE_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a merge that did not come to an end.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// Merges on one node.
pub(crate) struct Merger {
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) builder: Offload,
    pub(crate) settings: MergeSettings,
    pub(crate) seconds: BuildSeconds,
    /// Shards that could not be merged, and when they are tried again.
    pub(crate) again_at: BTreeMap<ShardId, Instant>,
    pub(crate) turns: Turns,
}

impl Merger {
    /// Looks once: merges one shard, if it is this node's turn with any.
    pub(crate) async fn tick(&mut self) {
        let now = Instant::now();
        self.again_at.retain(|_, at| now < *at);
        let state = self.meta.state();
        let mergeable = self.replicas.mergeable();
        let first = |shard| state.slot(shard).map(|slot| slot.preferred_leader);
        let shards = mergeable.iter().map(|replica| replica.shard);
        let shards = shards.filter_map(|shard| Some((shard, first(shard)?)));
        self.turns.see(now, shards);
        let mut mergeable = mergeable.into_iter();
        let due = mergeable.find(|replica| {
            !self.again_at.contains_key(&replica.shard) && self.is_due(&state, replica, now)
        });
        let Some(replica) = due else {
            return;
        };
        let shard = replica.shard;
        match self.merge(&replica).await {
            Ok(Some(segments)) => {
                // By this node: it says nothing of the one whose turn was before.
                self.turns.forget(shard);
                tracing::info!(%shard, segments, "segments were merged");
                return;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%shard, %error, "segments were not merged");
                if error.is_damage() {
                    self.replicas.doubts().suspect(shard);
                }
            }
        }
        self.again_at.insert(shard, Instant::now() + RETRY_PAUSE);
    }

    /// Whether this node may merge the shard now.
    fn is_due(&self, state: &meta::State, replica: &SealedReplica, now: Instant) -> bool {
        let shard = replica.shard;
        let agreed = state.sealed.get(&shard);
        if agreed.is_none_or(|seal| seal.digest != replica.digest) {
            return false;
        }
        let closed_at = state.buckets.get(&shard.bucket).and_then(|b| b.closed_at);
        let (Some(closed_at), Some(slot)) = (closed_at, state.slot(shard)) else {
            return false;
        };
        let Some(turn) = turn(slot, self.replicas.node()) else {
            return false;
        };
        let delay = self.settings.delay;
        let since = self.clock.now().nanos() - closed_at.nanos();
        u64::try_from(since).is_ok_and(|since| Duration::from_nanos(since) >= delay)
            && self.turns.waited(shard, now) >= delay * turn
    }

    /// Merges what the plan says; how many segments the shard has then. `None` if somebody else works on it, or
    /// it has become another one.
    async fn merge(&self, replica: &Arc<SealedReplica>) -> Result<Option<usize>, Error> {
        let shard = replica.shard;
        let Some(_claim) = self.replicas.claim(shard) else {
            return Ok(None);
        };
        // What is built for facts that are over is built in vain.
        let barrier = self.meta.read_barrier(Instant::now() + FACTS_DEADLINE);
        if let Err(error) = barrier.await {
            tracing::debug!(%shard, %error, "whether it is still to be merged is not known");
            return Ok(None);
        }
        let Some(manifest) = self.replicas.agreed(replica, &self.meta)? else {
            return Ok(None);
        };
        let Some(seal) = self.meta.state().sealed.get(&shard).cloned() else {
            return Ok(None);
        };
        let before = manifest.digest();
        let merged = self.build(shard, &manifest).await?;
        let count = merged.segments.len();
        let digest = merged.digest();
        let seal = meta::Seal {
            digest,
            bytes: merged.bytes(),
            ..seal
        };
        let command = meta::Command::Merge {
            shard,
            before,
            seal,
        };
        let deadline = Instant::now() + PROPOSE_DEADLINE;
        match self.meta.propose(command, deadline).await {
            Ok(meta::Answer::Conflict(reason)) => {
                tracing::debug!(%shard, reason, "merged in vain");
                self.replicas.sweep_sealed(replica).await?;
                return Ok(None);
            }
            Ok(_) => {}
            Err(error) if !is_agreed(&self.meta, shard, digest).await => {
                return Err(Error::Undecided(error.to_string()));
            }
            Err(_) => {}
        }
        self.replicas.take_merged(replica, &merged).await?;
        Ok(Some(count))
    }

    async fn build(&self, shard: ShardId, manifest: &Manifest) -> Result<Manifest, Error> {
        let (folder, bytes) = (self.replicas.folder(shard), self.settings.bytes);
        merged(folder, manifest, bytes, &self.builder, &self.seconds).await
    }
}

/// Whether the cluster turns out to have agreed on these segments after all. If it does so later still, they are
/// built once more (`restore`).
pub(super) async fn is_agreed(meta: &MetaGroup, shard: ShardId, digest: [u8; 32]) -> bool {
    let agreed = || {
        let state = meta.state();
        state.sealed.get(&shard).map(|seal| seal.digest) == Some(digest)
    };
    let until = Instant::now() + DECIDE_PATIENCE;
    while !agreed() && Instant::now() < until {
        tokio::time::sleep(TICK / 4).await;
    }
    agreed()
}

/// Builds what the plan says of a shard whose segments lie in `folder`: what its manifest is then. The same
/// wherever it is built. After each segment it rests for as long as that took.
pub(crate) async fn merged(
    folder: PathBuf,
    manifest: &Manifest,
    bytes: u64,
    builder: &Offload,
    seconds: &BuildSeconds,
) -> Result<Manifest, Error> {
    let mut segments = Vec::new();
    let mut rest = manifest.segments.as_slice();
    let mut done = 0;
    for group in merge::plan(&manifest.segments, bytes) {
        let (alone, from_group) = rest.split_at(group.start - done);
        let (parts, behind) = from_group.split_at(group.len());
        segments.extend_from_slice(alone);
        let began = Instant::now();
        let (folder, parts) = (folder.clone(), parts.to_vec());
        let built = builder.run(move || build::merge(&folder, &parts)).await??;
        seconds.add(built.times);
        seconds.merged.increment();
        segments.push(built.meta);
        (rest, done) = (behind, group.end);
        tokio::time::sleep(began.elapsed()).await;
    }
    segments.extend_from_slice(rest);
    Ok(Manifest {
        generation: manifest.generation + 1,
        segments,
    })
}

/// Since when nodes wait for their turns.
#[derive(Default)]
pub(crate) struct Turns {
    /// Shards that should be merged: who has the first turn, and since when they are seen.
    seen: BTreeMap<ShardId, (NodeId, Instant)>,
    /// When a shard was last seen merged by another node than this one, by whose turn was the first.
    merged_at: BTreeMap<NodeId, Instant>,
}

impl Turns {
    /// Looks at all shards here that should be merged, each with the node that has the first turn.
    pub(super) fn see(&mut self, now: Instant, shards: impl Iterator<Item = (ShardId, NodeId)>) {
        let mut before = std::mem::take(&mut self.seen);
        for (shard, first) in shards {
            let since = before.remove(&shard).map_or(now, |(_, since)| since);
            self.seen.insert(shard, (first, since));
        }
        for (first, _) in before.into_values() {
            self.merged_at.insert(first, now);
        }
    }

    /// This node has merged it.
    pub(super) fn forget(&mut self, shard: ShardId) {
        self.seen.remove(&shard);
    }

    /// How long nobody else has merged it, nor any other of the node that has the first turn.
    pub(super) fn waited(&self, shard: ShardId, now: Instant) -> Duration {
        let Some((first, since)) = self.seen.get(&shard) else {
            return Duration::ZERO;
        };
        let from = self
            .merged_at
            .get(first)
            .map_or(*since, |at| *at.max(since));
        now.saturating_duration_since(from)
    }
}

/// Which turn a node of a shard has: the preferred leader the first. `None` for one that holds no replica.
pub(super) fn turn(slot: &meta::Slot, node: NodeId) -> Option<u32> {
    let others = slot.voters.iter().filter(|v| **v != slot.preferred_leader);
    let mut order = std::iter::once(&slot.preferred_leader).chain(others);
    let place = order.position(|voter| *voter == node)?;
    u32::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_leader_has_the_first_turn() {
        let slot = meta::Slot {
            slot: 0,
            voters: vec![1, 2, 3],
            preferred_leader: 2,
        };
        let turns: Vec<_> = (1..=4).map(|node| turn(&slot, node)).collect();
        assert_eq!(turns, [Some(1), Some(0), Some(2), None]);
    }

    #[test]
    fn turns_are_counted_from_what_was_seen_last() {
        let shard = |slot| ShardId { bucket: 1, slot };
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let waited = |turns: &Turns, slot, now| turns.waited(shard(slot), at(now)).as_secs();
        let mut turns = Turns::default();
        // However long ago its bucket was closed.
        turns.see(
            at(0),
            [(shard(0), 1), (shard(1), 1), (shard(2), 2)].into_iter(),
        );
        assert_eq!(waited(&turns, 0, 30), 30);
        // Its first node works: others of it need no help.
        turns.see(at(40), [(shard(1), 1), (shard(2), 2)].into_iter());
        assert_eq!(waited(&turns, 1, 50), 10);
        assert_eq!(waited(&turns, 2, 50), 50);
        // What this node has merged says nothing of the other.
        turns.forget(shard(2));
        turns.see(at(60), [(shard(1), 1), (shard(3), 2)].into_iter());
        assert_eq!(waited(&turns, 3, 65), 5);
        assert_eq!(waited(&turns, 1, 65), 25);
        assert_eq!(waited(&turns, 9, 65), 0);
    }
}
