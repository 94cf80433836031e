//! C4 for what is finished: every replica of a sealed shard holds the same segments, those that the
//! cluster agreed on. C11: a bucket that has long been over is sealed on every node that holds it.

use std::collections::BTreeMap;

use hushlog_node::Node;

/// Buckets that may still be on their way to their seals: the open one and the one before.
const UNDER_WAY: u64 = 2;

/// What is not sealed and should be, or is not what was agreed on.
pub(super) fn check(running: &BTreeMap<u64, Node>) -> Vec<String> {
    let mut found = Vec::new();
    for (node, running) in running {
        let facts = running.facts();
        let sealed = match running.sealed() {
            Ok(sealed) => sealed,
            Err(error) => {
                found.push(format!("C4 node {node} cannot read a manifest: {error}"));
                continue;
            }
        };
        let last = facts.buckets.keys().next_back().copied().unwrap_or(0);
        let over = facts
            .buckets
            .values()
            .filter(|b| b.bucket + UNDER_WAY <= last);
        let placed = over.flat_map(|bucket| bucket.shards());
        for (shard, _) in placed.filter(|(_, slot)| slot.voters.contains(node)) {
            if !sealed.contains_key(&shard) {
                found.push(format!("C11 {shard} is not sealed on node {node}"));
            }
        }
        for (shard, digest) in &sealed {
            let agreed = facts.sealed.get(shard).map(|seal| seal.digest);
            if agreed != Some(*digest) {
                found.push(format!(
                    "C4 {shard} on node {node} is not what was agreed on"
                ));
            }
        }
    }
    found
}
