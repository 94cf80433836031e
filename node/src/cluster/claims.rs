//! Who works on which shard, so that two tasks never open, seal or restore the same one at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use hushlog_record::ShardId;
use parking_lot::Mutex;

/// The shards that somebody works on.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    claimed: Arc<Mutex<BTreeSet<ShardId>>>,
}

/// One shard, until it is dropped.
pub(crate) struct Claim {
    claims: Claims,
    shard: ShardId,
}

impl Claims {
    /// The shard, unless somebody works on it. What the caller knew of it before may be outdated.
    pub(crate) fn claim(&self, shard: ShardId) -> Option<Claim> {
        let claims = self.clone();
        let fresh = self.claimed.lock().insert(shard);
        fresh.then_some(Claim { claims, shard })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.claimed.lock().remove(&self.shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_claimed_by_one_at_a_time() {
        let claims = Claims::default();
        let shard = |slot| ShardId { bucket: 1, slot };
        let first = claims.claim(shard(0)).expect("free");
        assert!(claims.claim(shard(0)).is_none());
        assert!(claims.claim(shard(1)).is_some());
        drop(first);
        assert!(claims.claim(shard(0)).is_some());
    }
}
