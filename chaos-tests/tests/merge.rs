//! Segments become larger ones on every node, and no answer changes meanwhile, also where one cannot do it: whole
//! nodes in this process, on loopback.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
use hushlog_record::ShardId;
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

/// The names of the segments in a folder; none where it is not there yet.
fn segments_in(folder: &Path) -> Result<BTreeSet<String>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(BTreeSet::new());
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: BTreeSet<String> = names.collect::<Result<_>>()?;
    Ok(names.into_iter().filter(|n| !n.contains('.')).collect())
}

/// Puts a file in the place of a segment's folder: the node can neither read the segment nor put another's
/// copy there.
fn spoil(folder: &Path, name: &str) -> Result<()> {
    let folder = folder.join(name);
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
            let mut everywhere = segments_in(&cluster.folder_of(leader, shard))?;
            for node in nodes {
                let there = segments_in(&cluster.folder_of(*node, shard))?;
                everywhere.retain(|name| there.contains(name));
            }
            if let Some(name) = everywhere.first() {
                spoil(&cluster.folder_of(leader, shard), name)?;
                done.insert(shard);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(done)
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
    let deadline = Instant::now() + PATIENCE;
    let agreed = || -> Result<bool> {
        let facts = cluster.facts(1);
        let mut all = true;
        for node in 1..=3 {
            let here = cluster.digests_on(node)?;
            all &= shards.iter().all(|shard| {
                let seal = facts.sealed.get(shard).map(|seal| seal.digest);
                seal.is_some() && here.get(shard).copied() == seal
            });
        }
        Ok(all)
    };
    while !agreed()? {
        ensure!(Instant::now() < deadline, "the replicas differ");
        sleep(Duration::from_millis(100)).await;
    }
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
