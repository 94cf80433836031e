//! Segments of the simulated nodes: the blocks themselves, durable at once, in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_raft::{Installer, ShardGroup, TailBlock};
use hushlog_record::ShardId;
use parking_lot::Mutex;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::World;

/// One segment in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) digest: u64,
}

/// The blocks of a segment.
pub(super) type Blocks = Arc<Vec<TailBlock>>;

/// The segments of all nodes.
#[derive(Default)]
pub(super) struct Segments {
    files: Mutex<BTreeMap<(u64, ShardId, u64, u64), Blocks>>,
}

impl Segments {
    pub(super) fn get(&self, node: u64, shard: ShardId, listed: &Listed) -> Option<Blocks> {
        let key = (node, shard, listed.from, listed.to);
        self.files.lock().get(&key).cloned()
    }

    fn put(&self, node: u64, shard: ShardId, range: (u64, u64), blocks: Blocks) {
        let key = (node, shard, range.0, range.1);
        self.files.lock().insert(key, blocks);
    }
}

/// The segments that a manifest lists.
pub(super) fn listed(manifest: &[u8]) -> Vec<Listed> {
    if manifest.is_empty() {
        return Vec::new();
    }
    serde_json::from_slice(manifest).expect("the simulation writes its own manifests")
}

fn digest(blocks: &[TailBlock]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for block in blocks {
        hasher.update(&block.seq.to_be_bytes());
        hasher.update(block.block.bytes());
        for rows in &*block.skip {
            hasher.update(&rows.start.to_be_bytes());
            hasher.update(&rows.end.to_be_bytes());
        }
    }
    let first = hasher.finalize().as_bytes().first_chunk::<8>().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

/// Builds the segments of one shard on one node for as long as the node runs.
pub(super) async fn build(world: Arc<World>, node: u64, boot: u64, group: ShardGroup) {
    let shard = group.shard();
    let mut random = world
        .base
        .entropy
        .stream(&format!("build {node} {boot} {shard}"));
    let mut positions = group.watch();
    loop {
        // It fails where the group has stopped, and then there is nothing to let go.
        drop(group.trim().await);
        let Some(range) = group.view().pending_cuts.first().cloned() else {
            // Either way it looks again.
            drop(timeout(Duration::from_millis(500), positions.changed()).await);
            continue;
        };
        sleep(Duration::from_millis(5 + random.next_u64() % 300)).await;
        build_one(&world, node, &group, range).await;
    }
}

async fn build_one(world: &World, node: u64, group: &ShardGroup, range: Range<u64>) {
    let shard = group.shard();
    let view = group.view();
    if view.pending_cuts.first() != Some(&range) {
        return;
    }
    let tail = view.tail.iter();
    let blocks: Vec<_> = tail
        .filter(|block| range.contains(&block.seq))
        .cloned()
        .collect();
    let mut manifest = listed(&view.manifest);
    manifest.push(Listed {
        from: range.start,
        to: range.end,
        digest: digest(&blocks),
    });
    world
        .segments
        .put(node, shard, (range.start, range.end), Arc::new(blocks));
    let encoded = serde_json::to_vec(&manifest).expect("numbers are JSON");
    match group.segment_built(range.clone(), encoded.into()).await {
        Ok(()) => {
            world.base.stats.lock().segments += 1;
            world
                .base
                .trace
                .line(format_args!("n{node} {shard} built {range:?}"));
        }
        Err(error) => {
            world.base.trace.line(format_args!(
                "n{node} {shard} did not build {range:?}: {error}"
            ));
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Fetches segments from nodes that can be reached.
pub(super) struct Fetch {
    pub(super) world: Arc<World>,
    pub(super) node: u64,
}

impl Installer for Fetch {
    fn fetch<'a>(
        &'a self,
        shard: ShardId,
        sources: &'a [(u64, String)],
        manifest: Bytes,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for segment in listed(&manifest) {
                if self
                    .world
                    .segments
                    .get(self.node, shard, &segment)
                    .is_some()
                {
                    continue;
                }
                sleep(Duration::from_millis(20)).await;
                let found = sources
                    .iter()
                    .filter(|(source, _)| self.reaches(*source))
                    .find_map(|(source, _)| self.world.segments.get(*source, shard, &segment));
                let blocks = found.ok_or("no source can be reached")?;
                if digest(&blocks) != segment.digest {
                    return Err("the segment is not what the manifest says".into());
                }
                let range = (segment.from, segment.to);
                self.world.segments.put(self.node, shard, range, blocks);
            }
            self.world.base.stats.lock().installs += 1;
            self.world
                .base
                .trace
                .line(format_args!("n{} {shard} fetched a snapshot", self.node));
            Ok(())
        })
    }
}

impl Fetch {
    fn reaches(&self, source: u64) -> bool {
        let open = self.world.base.open.lock();
        open.contains(&(self.node, source))
            && open.contains(&(source, self.node))
            && self.world.running.lock().contains_key(&source)
    }
}
