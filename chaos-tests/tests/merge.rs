//! Segments become larger ones on every node, and no answer changes meanwhile, also where one cannot do it: whole
//! nodes in this process, on loopback.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
use hushlog_raft::Sealed;
use hushlog_record::ShardId;
use hushlog_storage::manifest::Manifest;
use hushlog_storage::store::{Rocks, Store};
use hushlog_storage::writer::Writer;
use tokio::time::{Instant, sleep};

/// Segments that are small, and merged soon.
fn brisk(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(6);
    config.cut.age = Duration::from_secs(1);
    config.merge.delay = Duration::from_secs(2);
}

/// How many of the buckets that are over have shards of one segment each on these nodes, and whether any has
/// more.
fn state_of(cluster: &Local, nodes: &[u64]) -> Result<(usize, bool)> {
    let (mut single, mut several) = (usize::MAX, false);
    for node in nodes {
        let counts = cluster.segments_on(*node)?;
        single = single.min(counts.values().filter(|count| **count == 1).count());
        several |= counts.values().any(|count| *count > 1);
    }
    Ok((single, several))
}

/// Waits until so many shards have one segment on each node; all records are found through every node at
/// every look.
async fn merged(cluster: &Local, nodes: &[u64], shards: usize, records: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for node in nodes {
            let found = cluster.found(*node).await?;
            ensure!(found == records, "node {node} finds {found} of {records}");
        }
        let (single, several) = state_of(cluster, nodes)?;
        if single >= shards && !several {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{single} of {shards}, {several}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_of_finished_shards_become_one_on_every_node() -> Result<()> {
    let mut cluster = Local::start(3, brisk).await?;
    let load = cluster.load();
    load.more(100).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut were_several = false;
    while cluster.facts(1).sealed.len() < 6 || !were_several {
        were_several |= state_of(&cluster, &[1, 2, 3])?.1;
        ensure!(Instant::now() < deadline, "no shard with several segments");
        sleep(Duration::from_millis(50)).await;
    }
    // One that is away takes what the others have merged when it is back.
    cluster.stop(3).await;
    load.more(50).await?;
    let records = load.end().await?;
    merged(&cluster, &[1, 2], 6, records).await?;
    cluster.start_node(3).await?;
    merged(&cluster, &[1, 2, 3], 6, records).await?;
    // And it is all there after a start.
    for id in 1..=3 {
        cluster.stop(id).await;
        cluster.start_node(id).await?;
    }
    merged(&cluster, &[1, 2, 3], 6, records).await?;
    cluster.stop_all().await;
    Ok(())
}

/// The same, merged not before there was time to stop a node.
fn merged_later(config: &mut Config) {
    brisk(config);
    config.merge.delay = Duration::from_secs(8);
}

/// Changes what a node that is stopped has of finished shards with several segments: by turns it says that they
/// have changed very often, or does not list the last one. How many shards have more than one.
async fn tampered(cluster: &Local, node: u64) -> Result<usize> {
    let store: Arc<dyn Store> = Arc::new(Rocks::open(&cluster.data_of(node).join("store"))?);
    let writer = Writer::inline(store);
    let mut changed = 0_usize;
    for shard in cluster.facts(1).sealed.keys() {
        let Some(sealed) = Sealed::load(&writer.handle(), *shard)? else {
            continue;
        };
        let mut manifest = Manifest::decode(&sealed.manifest)?;
        if manifest.segments.len() < 2 {
            continue;
        }
        if changed.is_multiple_of(2) {
            manifest.generation += 1_000;
        } else {
            manifest.segments.pop();
        }
        let sealed = Sealed {
            manifest: manifest.encode().into(),
            ..sealed
        };
        sealed.update(&writer.handle(), *shard).await?;
        changed += 1;
    }
    Ok(changed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_fewer_rows_or_with_segments_that_changed_more_often_takes_the_others()
-> Result<()> {
    let mut cluster = Local::start(3, merged_later).await?;
    let load = cluster.load();
    let deadline = Instant::now() + PATIENCE;
    let several = |cluster: &Local| -> Result<usize> {
        let counts = cluster.segments_on(3)?;
        Ok(counts.values().filter(|count| **count > 1).count())
    };
    while several(&cluster)? < 3 {
        ensure!(Instant::now() < deadline, "few shards of several segments");
        sleep(Duration::from_millis(50)).await;
    }
    cluster.stop(3).await;
    let records = load.end().await?;
    ensure!(tampered(&cluster, 3).await? >= 2);
    cluster.start_node(3).await?;
    let finished = cluster.facts(1).sealed.len();
    merged(&cluster, &[1, 2, 3], finished.min(6), records).await?;
    let shards = cluster.facts(1).sealed.keys().copied().collect();
    agreed(&cluster, &shards).await?;
    cluster.stop_all().await;
    Ok(())
}

/// Puts a file in the place of a segment's folder: the node can neither read the segment nor put another's
/// copy there.
fn spoil(folder: &Path, (from, to): (u64, u64)) -> Result<()> {
    let folder = folder.join(format!("{from}-{to}"));
    std::fs::remove_dir_all(&folder)?;
    Ok(std::fs::write(&folder, b"")?)
}

/// Spoils the first segment of each shard of a bucket at its leader, once each of these nodes has it; gives the shards.
async fn spoiled(cluster: &Local, nodes: &[u64], bucket: u64) -> Result<BTreeSet<ShardId>> {
    let deadline = Instant::now() + PATIENCE;
    let slots = || {
        let facts = cluster.facts(1);
        facts.buckets.get(&bucket).map_or(0, |b| b.slots.len())
    };
    let mut done = BTreeSet::new();
    while slots() == 0 || done.len() < slots() {
        ensure!(Instant::now() < deadline, "no segments in bucket {bucket}");
        for slot in 0..u16::try_from(slots())? {
            let shard = ShardId { bucket, slot };
            let Some(leader) = cluster.leader_of(shard).filter(|_| !done.contains(&shard)) else {
                continue;
            };
            let mut everywhere = cluster.ranges_on(leader, shard)?;
            for node in nodes {
                let there = cluster.ranges_on(*node, shard)?;
                everywhere.retain(|range| there.contains(range));
            }
            // What is not in use yet would be built once more, and cannot be in this place.
            let in_use = cluster.status_of(leader, shard);
            let in_use = in_use.map_or(0, |status| status.segmented_to);
            everywhere.retain(|(_, to)| *to <= in_use);
            if let Some(range) = everywhere.first() {
                spoil(&cluster.folder_of(leader, shard), *range)?;
                done.insert(shard);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(done)
}

/// Waits until three nodes have what the cluster has agreed on of each of these shards.
async fn agreed(cluster: &Local, shards: &BTreeSet<ShardId>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let facts = cluster.facts(1);
        let mut all = true;
        for node in 1..=3 {
            let here = cluster.digests_on(node)?;
            all &= shards.iter().all(|shard| {
                let seal = facts.sealed.get(shard).map(|seal| seal.digest);
                seal.is_some() && here.get(shard).copied() == seal
            });
        }
        if all {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the replicas differ");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Buckets long enough for several cuts; what is merged then is merged while they are open.
fn several_cuts(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(10);
    config.cut.age = Duration::from_secs(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_merge_takes_what_another_has_merged() -> Result<()> {
    let mut cluster = Local::start(3, several_cuts).await?;
    let load = cluster.load();
    let shards = spoiled(&cluster, &[1, 2, 3], 2).await?;
    agreed(&cluster, &shards).await?;
    let records = load.end().await?;
    for node in 1..=3 {
        let found = cluster.found(node).await?;
        ensure!(found == records, "node {node} finds {found} of {records}");
    }
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_segments_nobody_can_merge_is_finished_all_the_same() -> Result<()> {
    let mut cluster = Local::start(1, several_cuts).await?;
    let load = cluster.load();
    let shards = spoiled(&cluster, &[1], 2).await?;
    let deadline = Instant::now() + PATIENCE;
    while !shards
        .iter()
        .all(|shard| cluster.facts(1).sealed.contains_key(shard))
    {
        ensure!(Instant::now() < deadline, "not finished");
        sleep(Duration::from_millis(100)).await;
    }
    load.end().await?;
    cluster.stop_all().await;
    Ok(())
}

/// Each node has other settings: one merges as much as it can, one a little, one nothing.
fn unlike(config: &mut Config) {
    brisk(config);
    config.merge.bytes = match config.node.id {
        1 => 64 << 20,
        2 => 40 << 10,
        _ => 0,
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_different_settings_come_to_the_same_segments() -> Result<()> {
    let mut cluster = Local::start(3, unlike).await?;
    let load = cluster.load();
    let deadline = Instant::now() + PATIENCE;
    while cluster.facts(1).sealed.len() < 6 {
        ensure!(Instant::now() < deadline, "few shards are finished");
        sleep(Duration::from_millis(100)).await;
    }
    // One merges while another is away, which comes back with what it had.
    cluster.stop(1).await;
    load.more(100).await?;
    cluster.start_node(1).await?;
    let records = load.end().await?;
    // Whoever merges last merges all that fits: nobody has anything left to do then.
    merged(&cluster, &[1, 2, 3], 6, records).await?;
    let shards = cluster.facts(1).sealed.keys().copied().collect();
    agreed(&cluster, &shards).await?;
    cluster.stop_all().await;
    Ok(())
}
