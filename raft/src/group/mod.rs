//! Handles of this node's groups, and what they share.
//!
//! A handle is a cheap clone. A group is open from `open` until `shutdown`; the registry knows it in
//! between, so that messages of its peers find it.

mod attempts;
mod core;
mod handover;
mod intake;
mod meta;
mod outside;
mod read;
mod rest;
mod roll;
mod settings;
mod shard;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_record::{GroupId, NodeId, ShardId};
use hushlog_storage::writer::WriterHandle;
use parking_lot::RwLock;
use tonic::Status as Refused;

use self::core::Core;
use crate::incarnation::Incarnations;
use crate::limits;
use crate::network::Connect;
use crate::shard::Origin;
use crate::types::{Raft, SnapshotMeta};
use crate::{Error, ProposeError};

pub use handover::{abdicate, hand_over};
pub use intake::{Hold, Intake};
pub use meta::MetaGroup;
pub use outside::{Way, propose_from_outside};
pub(crate) use read::read_here;
pub use read::{read_barriers, status_at};
pub(crate) use rest::Mark;
pub use rest::keep_resting;
pub use roll::{Roll, RollMember};
pub use settings::Settings;
pub use shard::ShardGroup;
pub use status::{Member, Role, Status};

/// What the groups of one node share. A cheap clone.
#[derive(Clone)]
pub struct Context {
    /// This node.
    pub node: NodeId,
    /// The cluster it belongs to; messages of any other are refused.
    pub cluster: u128,
    /// The node's one writer.
    pub writer: WriterHandle,
    /// How to reach other nodes.
    pub connect: Arc<dyn Connect>,
    /// This node's life, and what it has seen of the others'.
    pub incarnations: Incarnations,
    /// Timers.
    pub settings: Settings,
    /// Where the groups draw their election timeouts from; another number at every start.
    pub seed: u64,
    /// The groups that are open here.
    pub groups: Groups,
    /// Whether this node takes data where it leads.
    pub intake: Intake,
}

impl Context {
    /// Whether others lead better than this node: its writes have failed, its disk is full or slow, or it is
    /// to leave.
    pub fn is_unfit(&self) -> bool {
        self.intake.is_leaving()
            || self.writer.failed().borrow().is_some()
            || self.intake.hold() == Some(Hold::DiskFull)
            || self.intake.is_slow()
    }
}

/// The groups that are open on this node, by number.
#[derive(Clone, Default)]
pub struct Groups {
    open: Arc<RwLock<BTreeMap<GroupId, Group>>>,
    /// Groups that have stopped for good here.
    finished: Arc<RwLock<BTreeSet<GroupId>>>,
    rests: rest::Counts,
}

impl Groups {
    /// No groups.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle of an open shard.
    pub fn shard(&self, shard: ShardId) -> Option<ShardGroup> {
        match self.get(shard.group()) {
            Some(Group::Shard(group)) => Some(group),
            Some(Group::Meta(_)) | None => None,
        }
    }

    /// The handle of the meta group, where it is open.
    pub fn meta(&self) -> Option<MetaGroup> {
        match self.get(hushlog_record::id::META_GROUP) {
            Some(Group::Meta(group)) => Some(group),
            Some(Group::Shard(_)) | None => None,
        }
    }

    /// Every open shard, in order.
    pub fn shards(&self) -> Vec<ShardGroup> {
        let open = self.open.read();
        let shards = open.values().filter_map(|group| match group {
            Group::Shard(group) => Some(group.clone()),
            Group::Meta(_) => None,
        });
        shards.collect()
    }

    /// The number of every open group, in order.
    pub fn numbers(&self) -> Vec<GroupId> {
        self.open.read().keys().copied().collect()
    }

    /// What this node knows of every open group, in order: the meta group's first.
    pub fn statuses(&self) -> Vec<Status> {
        let open: Vec<Group> = self.open.read().values().cloned().collect();
        open.iter().map(Group::status).collect()
    }

    /// As [`ShardGroup::has_quorum`], for any open group.
    pub fn has_quorum(&self, group: GroupId, silence: Duration) -> bool {
        self.get(group)
            .is_some_and(|group| group.core().has_quorum(silence))
    }

    /// From now on whoever asks for this group is told that its shard takes no more.
    pub fn finish(&self, group: GroupId) {
        self.finished.write().insert(group);
    }

    /// Whether the group has stopped for good here.
    pub fn is_finished(&self, group: GroupId) -> bool {
        self.finished.read().contains(&group)
    }

    fn rest_counts(&self) -> &rest::Counts {
        &self.rests
    }

    pub(crate) fn get(&self, group: GroupId) -> Option<Group> {
        self.open.read().get(&group).cloned()
    }

    fn add(&self, number: GroupId, group: Group) -> Result<(), Error> {
        let mut open = self.open.write();
        if open.contains_key(&number) {
            return Err(Error::Open(number));
        }
        open.insert(number, group);
        Ok(())
    }

    fn remove(&self, number: GroupId) {
        self.open.write().remove(&number);
    }
}

/// An open group.
#[derive(Clone)]
pub(crate) enum Group {
    Shard(ShardGroup),
    Meta(MetaGroup),
}

impl Group {
    pub(crate) fn core(&self) -> &Core {
        match self {
            Self::Shard(group) => group.core(),
            Self::Meta(group) => group.core(),
        }
    }

    pub(crate) fn raft(&self) -> Raft {
        self.core().raft.clone()
    }

    /// A heartbeat of the group's leader was taken.
    pub(crate) fn heard(&self) {
        self.core().heard();
    }

    /// The group's leader, or somebody who is to lead, has done more than to say that all is as it was.
    pub(crate) fn stirred(&self) {
        self.core().end_rest();
    }

    /// A message has come of a leader of this term.
    pub(crate) fn reached(&self, term: u64) {
        self.core().reached(term);
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Shard(group) => group.status(),
            Self::Meta(group) => group.status(),
        }
    }

    /// Before a snapshot is installed: fetches the segments that it lists and this node lacks. The
    /// guard is held until the snapshot is in place.
    pub(crate) async fn fetch_segments(
        &self,
        from: NodeId,
        meta: &SnapshotMeta,
        data: &Bytes,
    ) -> Result<Option<tokio::sync::OwnedMutexGuard<()>>, Refused> {
        match self {
            Self::Meta(_) => Ok(None),
            Self::Shard(group) => group.fetch_segments(from, meta, data).await.map(Some),
        }
    }
}

/// Brings the segments of a shard to this node's disk.
pub trait Installer: Send + Sync + 'static {
    /// Fetches the files that `manifest` lists and this node lacks, from any of `sources` (the first
    /// is the leader), verifies them and makes them durable. Called again after a failure, possibly
    /// with another manifest; what an earlier call has fetched may stay.
    fn fetch<'a>(
        &'a self,
        shard: ShardId,
        sources: &'a [(NodeId, String)],
        manifest: Bytes,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// The proof that one part of a block is stored, or that it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The part's rows in the block that was proposed.
    pub rows: Range<u32>,
    /// Where they are.
    pub origin: Origin,
    /// On how many disks they are at least.
    pub copies: u32,
    /// Version of the patterns that they were masked under.
    pub policy_epoch: u64,
    /// Whether an earlier proposal had stored them.
    pub duplicate: bool,
    /// Whether the request key had come with other content before: these rows are not stored.
    pub conflict: bool,
}

/// Why one attempt to propose came to nothing.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Nothing was proposed; another attempt may succeed.
    Retry(String),
    /// It may have been proposed.
    Unknown(String),
    /// No attempt can succeed.
    Final(ProposeError),
}

impl Attempt {
    /// What the one and only attempt tells its caller.
    fn into_error(self) -> ProposeError {
        match self {
            Self::Final(error) => error,
            Self::Retry(why) => ProposeError::Unavailable(why),
            Self::Unknown(why) => ProposeError::OutcomeUnknown(why),
        }
    }
}

fn pause() -> Duration {
    limits::RETRY_PAUSE
}
