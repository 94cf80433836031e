//! Where the gateway's blocks go: the cluster, or a fake in tests.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hushlog_raft::meta::Limits;
use hushlog_record::{Block, ShardId};
use tokio::time::Instant;

/// Takes sealed blocks.
///
/// The contract: `propose` answers `Ok` only when a majority has the block synced and applied; an
/// error that is not [`Refused::OutcomeUnknown`] states that nothing of the block was or will be
/// stored. It answers by its deadline.
pub trait Sink: Send + Sync + 'static {
    /// The open shards that take this service's records now: at least one, and always in the same order while
    /// their bucket is open.
    fn route(&self, service: &str) -> Result<Vec<ShardId>, Refused>;

    /// How much services may send, as far as this node knows.
    fn limits(&self) -> Arc<Limits> {
        Arc::default()
    }

    /// Proposes a block to its shard, wherever its leader is.
    fn propose(
        &self,
        block: Block,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Placed>, Refused>>;
}

/// Where a range of a block's rows is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Rows of the block.
    pub rows: Range<u32>,
    /// The shard that holds them; not the block's own when an earlier attempt had stored them.
    pub shard: ShardId,
    /// Their position.
    pub seq: u64,
    /// Replicas that had them synced when the leader acknowledged.
    pub copies: u32,
    /// Version of the patterns that they were masked under.
    pub policy_epoch: u64,
    /// Whether an earlier attempt had stored them.
    pub repeated: bool,
    /// Whether they are not there at all: their request key had come with other content before.
    pub conflict: bool,
}

/// Why a block, or a service, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was stored: no quorum, no leader, or no open shard.
    #[error("there is no quorum for this shard at the moment; nothing was stored")]
    Unavailable,
    /// It was proposed and may be stored or not.
    #[error("it is not known whether everything was stored; retry with the same key")]
    OutcomeUnknown,
    /// Nothing was stored: the shard takes no more, the next one does.
    #[error("the shard is closed")]
    Closed,
    /// Nothing was stored: the shard takes no records masked under a policy before this epoch.
    #[error("the patterns have changed, and this node has not learnt them yet; nothing was stored")]
    Outdated {
        /// The lowest policy epoch that the shard takes.
        lowest: u64,
    },
    /// Nothing was stored: there is no room for the records once they are masked again.
    #[error("the node's memory for requests is in use; nothing was stored")]
    NoRoom,
    /// Nothing was stored: the tail is over its limit.
    #[error("more records arrive than can be indexed; nothing was stored")]
    Backlog,
    /// Nothing was stored: the disk is full.
    #[error("the disk is full; nothing was stored")]
    DiskFull,
    /// Nothing was stored: an earlier write failed and the store takes no more.
    #[error("this node's store has failed and takes no writes until it is restarted")]
    WritesFailed,
    /// Nothing was stored: the request key had come with other content before.
    #[error(
        "this request key was used for other content before; send this content under a key of its own"
    )]
    KeyReused,
    /// Nothing was stored: a mistake in Hushlog.
    #[error("an internal error; nothing was stored")]
    Internal,
}
