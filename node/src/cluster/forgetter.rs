//! Forgets the request keys of finished shards as soon as those of the next bucket remember them: they are most of what
//! a finished shard leaves in the store.
//!
//! By itself, and not with what else is done for finished shards: that may wait long for other nodes.

use hushlog_raft::MetaGroup;

use super::replicas::Replicas;

/// Looks after all sealed shards of this node.
pub(crate) struct Forgetter {
    replicas: Replicas,
    meta: MetaGroup,
}

impl Forgetter {
    pub(crate) fn new(replicas: Replicas, meta: MetaGroup) -> Self {
        Self { replicas, meta }
    }

    /// Looks once.
    pub(crate) async fn tick(&self) {
        let state = self.meta.state();
        for replica in self.replicas.all_sealed() {
            if !replica.may_have_keys() || !state.is_inherited(replica.shard.bucket) {
                continue;
            }
            if let Err(error) = replica.forget_keys().await {
                tracing::info!(shard = %replica.shard, %error, "request keys are not forgotten yet");
                return;
            }
        }
    }
}
