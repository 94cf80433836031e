//! Rate limits of services as the cluster agreed on them: read and changed here, counted by each gateway.

use std::sync::Arc;

use hushlog_raft::meta;
use hushlog_raft::meta::{LimitRule, Limits};
use tokio::time::Instant;

use super::Cluster;
use super::retention::{not_changed, not_read};
use crate::error::{Failure, Kind};

impl Cluster {
    /// The rate limits, with every change that was acknowledged before.
    ///
    /// # Errors
    /// When the meta group has no leader in time.
    pub(crate) async fn current_limits(&self, deadline: Instant) -> Result<Arc<Limits>, Failure> {
        let barrier = self.meta().read_barrier(deadline).await;
        barrier.map_err(|error| not_read(&error))?;
        Ok(Arc::clone(&self.meta().state().limits))
    }

    /// Sets or removes a limit; from then on this node goes by it, and each other node as soon as it has
    /// heard of it.
    ///
    /// # Errors
    /// When it is over a limit, when nothing was changed, or when that is not known.
    pub(crate) async fn set_limit(
        &self,
        rule: LimitRule,
        deadline: Instant,
    ) -> Result<Arc<Limits>, Failure> {
        let command = meta::Command::SetLimit(rule);
        match self.meta().propose(command, deadline).await {
            Ok(meta::Answer::Conflict(reason)) => Err(Failure::new(Kind::InvalidArgument, reason)),
            Ok(_) => Ok(Arc::clone(&self.meta().state().limits)),
            Err(error) => {
                tracing::debug!(%error, "a rate limit was not changed");
                Err(not_changed(&error))
            }
        }
    }
}
