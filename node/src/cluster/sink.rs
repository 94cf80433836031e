//! The cluster as the gateway sees it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hushlog_raft::meta::Limits;
use hushlog_raft::{ProposeError, Receipt, ShardGroup, Way, propose_from_outside};
use hushlog_record::{Block, ShardId};
use tokio::time::Instant;

use super::Cluster;
use crate::gateway::sink::{Placed, Refused, Sink};

impl Sink for Cluster {
    fn route(&self, service: &str) -> Result<Vec<ShardId>, Refused> {
        self.shards_of(service).ok_or(Refused::Unavailable)
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.inner.meta.state().limits)
    }

    fn propose(
        &self,
        block: Block,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            let shard = block.header().shard;
            let facts = self.inner.meta.state();
            if facts.sealed.contains_key(&shard) || facts.is_dropped(shard) {
                return Err(Refused::Closed);
            }
            let stored = match self.group(shard) {
                Some(group) => group.propose(block, deadline).await,
                None => self.propose_elsewhere(shard, block, deadline).await,
            };
            let receipts = stored.map_err(|error| {
                tracing::debug!(%shard, %error, "block refused");
                refused(&error)
            })?;
            Ok(receipts
                .into_iter()
                .map(|receipt| Placed {
                    rows: receipt.rows,
                    shard: receipt.origin.shard,
                    seq: receipt.origin.seq,
                    copies: receipt.copies,
                    policy_epoch: receipt.policy_epoch,
                    repeated: receipt.duplicate,
                    conflict: receipt.conflict,
                })
                .collect())
        })
    }
}

impl Cluster {
    fn group(&self, shard: ShardId) -> Option<ShardGroup> {
        self.replicas()
            .get(shard)
            .map(|replica| replica.group.clone())
    }

    /// Stores a block of a shard that is placed on other nodes, or is not open here yet.
    async fn propose_elsewhere(
        &self,
        shard: ShardId,
        block: Block,
        deadline: Instant,
    ) -> Result<Vec<Receipt>, ProposeError> {
        let slot = self.inner.meta.state().slot(shard).cloned();
        let slot =
            slot.ok_or_else(|| ProposeError::Unavailable(format!("{shard} is not on the map")))?;
        let members = self.replicas().members(&slot);
        let known = self.inner.ways.lock().get(&shard).copied();
        let way = known.unwrap_or(Way {
            first: slot.preferred_leader,
            in_vain: false,
        });
        let context = &self.inner.context;
        let (stored, next) =
            propose_from_outside(context, shard, &members, way, block, deadline).await;
        let mut ways = self.inner.ways.lock();
        ways.insert(shard, next);
        ways.retain(|other, _| other.bucket + 1 >= shard.bucket);
        stored
    }
}

fn refused(error: &ProposeError) -> Refused {
    match error {
        ProposeError::Unavailable(_) => Refused::Unavailable,
        ProposeError::OutcomeUnknown(_) | ProposeError::Invalid(_) => Refused::OutcomeUnknown,
        ProposeError::Backlog => Refused::Backlog,
        ProposeError::DiskFull => Refused::DiskFull,
        ProposeError::Closed => Refused::Closed,
        ProposeError::Outdated { lowest } => Refused::Outdated { lowest: *lowest },
        ProposeError::WritesFailed(_) => Refused::WritesFailed,
    }
}
