//! Segments of finished shards become larger ones on every node, and no answer changes meanwhile: whole nodes
//! in this process, on loopback.

use std::time::Duration;

use anyhow::{Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
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
