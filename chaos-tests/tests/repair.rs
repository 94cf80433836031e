//! Replicas of open shards bring each other what they lack, from where it was cut off: whole nodes in this
//! process, on loopback.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
use hushlog_record::ShardId;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The file that most of a segment's bytes are in.
const ROWS: &str = "rows.parquet";
/// Records of a segment that takes half a minute to fetch.
const RECORDS: u64 = 3_000;
/// Bytes of one piece of a file between nodes.
const PIECE: u64 = 256 << 10;

/// One long bucket, small cuts that stay as they are.
fn open_shards(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(3_600);
    config.cut.age = Duration::from_secs(1);
    config.merge.bytes = 0;
    config.scrub.pause = Duration::from_secs(1);
}

/// The same, with larger cuts, files that come slowly, and no log to be had instead of them.
fn slow_fetches(config: &mut Config) {
    open_shards(config);
    config.cut.age = Duration::from_secs(8);
    config.cut.log_keep = 0;
    config.fetch.rate = 48 << 10;
}

/// Waits for something that must happen.
async fn until<T>(what: &str, mut happens: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = happens()? {
            return Ok(it);
        }
        ensure!(Instant::now() < deadline, "{what}: not in time");
        sleep(LOOK).await;
    }
}

/// A shard of the open bucket that has at least so many segments, the same ones on these nodes.
async fn shard_with_segments(cluster: &Local, nodes: &[u64], count: usize) -> Result<ShardId> {
    until("segments everywhere", || {
        let facts = cluster.facts(nodes[0]);
        let bucket = facts.open_bucket().context("no bucket")?;
        for (shard, _) in bucket.shards() {
            let ranges = cluster.ranges_on(nodes[0], shard)?;
            let mut same = true;
            for node in nodes {
                same &= cluster.ranges_on(*node, shard)? == ranges;
            }
            if same && ranges.len() >= count {
                return Ok(Some(shard));
            }
        }
        Ok(None)
    })
    .await
}

/// Text that hardly compresses.
fn noise(seed: &mut u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    while text.len() < bytes {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let drawn = seed.to_be_bytes();
        let letters = drawn
            .iter()
            .take(4)
            .map(|byte| char::from(b'a' + byte % 26));
        text.extend(letters);
    }
    text
}

/// Where the rows of a segment lie while they are fetched, and how many are to come.
fn partial(cluster: &Local, node: u64, shard: ShardId) -> Result<Option<(PathBuf, u64)>> {
    for (from, to) in cluster.ranges_on(2, shard)? {
        let whole = cluster.folder_of(2, shard).join(format!("{from}-{to}"));
        let Ok(whole) = fs::metadata(whole.join(ROWS)) else {
            continue;
        };
        let partial = format!("{from}-{to}.fetching");
        let partial = cluster.folder_of(node, shard).join(partial).join(ROWS);
        if whole.len() >= 3 * PIECE && partial.exists() {
            return Ok(Some((partial, whole.len())));
        }
    }
    Ok(None)
}

/// Waits until so many bytes of a file are there, and it is not whole; gives how many, and which file it is.
async fn grown(partial: &Path, least: u64, whole: u64) -> Result<(u64, u64)> {
    until("the file grows", || {
        let Ok(found) = fs::metadata(partial) else {
            return Ok(None);
        };
        ensure!(found.len() < whole, "it is whole already");
        Ok((found.len() >= least).then(|| (found.len(), found.ino())))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_cut_off_goes_on_where_it_ended() -> Result<()> {
    let mut cluster = Local::start(3, slow_fetches).await?;
    cluster.stop(3).await;
    let mut seed = 7;
    let records: Vec<Value> = (0..RECORDS)
        .map(|n| {
            json!({"service": "noisy", "message": format!("carried {n} {}", noise(&mut seed, 1_200))})
        })
        .collect();
    let all = json!(records);
    let (status, body) = cluster.call(1, Method::POST, "/api/v1/logs", all).await?;
    ensure!(status == StatusCode::OK, "{status} {body}");
    let shard = shard_with_segments(&cluster, &[1, 2], 1).await?;
    // What it lacks is in no log any more.
    until("the logs are trimmed", || {
        let trimmed = |node| {
            cluster
                .status_of(node, shard)
                .is_some_and(|s| s.trimmed_to > 1)
        };
        Ok((trimmed(1) && trimmed(2)).then_some(()))
    })
    .await?;

    cluster.start_node(3).await?;
    let (file, whole) = until("a fetch", || partial(&cluster, 3, shard)).await?;
    let (cut_off_at, inode) = grown(&file, 1, whole).await?;
    // Whoever sends it goes away: another sends the rest.
    let sender = cluster.leader_of(shard).filter(|leader| *leader != 3);
    let sender = sender.context("no leader")?;
    cluster.stop(sender).await;
    let (cut_off_at, same) = grown(&file, cut_off_at + 1, whole).await?;
    ensure!(same == inode, "it began anew with another sender");
    // It goes away itself: what it had is there when it is back.
    cluster.stop(3).await;
    let (kept, _) = grown(&file, cut_off_at, whole).await?;
    cluster.start_node(3).await?;
    let placed = PathBuf::from(file.to_string_lossy().replace(".fetching", ""));
    let rest = until("the rest of it", || {
        let now = fs::metadata(&file).or_else(|_| fs::metadata(&placed));
        let Ok(now) = now else { return Ok(None) };
        ensure!(now.ino() == inode, "it began anew after the start");
        ensure!(now.len() >= kept, "{} of {kept} bytes", now.len());
        Ok((now.len() == whole && placed.exists()).then_some(now.len()))
    })
    .await?;
    ensure!(rest == whole);
    cluster.start_node(sender).await?;
    let applied = cluster.status_of(sender, shard).map(|s| s.segmented_to);
    until("all of it", || {
        let here = cluster.status_of(3, shard).map(|s| s.segmented_to);
        Ok((here >= applied).then_some(()))
    })
    .await?;
    ensure!(cluster.found(3).await? == RECORDS);
    cluster.stop_all().await;
    Ok(())
}
