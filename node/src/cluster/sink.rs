//! The cluster as the gateway sees it.

use futures_util::future::BoxFuture;
use hushlog_raft::{ProposeError, ShardGroup};
use hushlog_record::{Block, ShardId};
use tokio::time::Instant;

use super::Cluster;
use crate::gateway::sink::{Placed, Refused, Sink};

impl Sink for Cluster {
    fn route(&self, service: &str) -> Result<ShardId, Refused> {
        self.shard_of(service).ok_or(Refused::Unavailable)
    }

    fn propose(
        &self,
        block: Block,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            let shard = block.header().shard;
            let group = self.group(shard).ok_or(Refused::Unavailable)?;
            let receipts = group.propose(block, deadline).await.map_err(|error| {
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
}

fn refused(error: &ProposeError) -> Refused {
    match error {
        ProposeError::Unavailable(_) => Refused::Unavailable,
        ProposeError::OutcomeUnknown(_) | ProposeError::Invalid(_) => Refused::OutcomeUnknown,
        ProposeError::Backlog => Refused::Backlog,
        ProposeError::DiskFull => Refused::DiskFull,
        ProposeError::Closed => Refused::Closed,
        ProposeError::WritesFailed(_) => Refused::WritesFailed,
    }
}
