//! Replicas of open shards bring each other what they lack, from where it was cut off, and mend what is not the
//! same everywhere: whole nodes in this process, on loopback.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_chaos_tests::local::{Local, PATIENCE};
use hushlog_node::Config;
use hushlog_raft::{
    Connect, Context, Groups, Incarnations, Installer, Intake, Lane, Settings, ShardGroup, inspect,
};
use hushlog_record::block::Block;
use hushlog_record::{Level, LogId, Masked, NodeId, Record, ShardId, Timestamp};
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use hushlog_storage::store::{Batch, Durability, Rocks, ScanLimit, Space, Store};
use hushlog_storage::writer::Writer;
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

/// The store of a node that is stopped.
fn store_of(cluster: &Local, node: u64) -> Result<Rocks> {
    Ok(Rocks::open(&cluster.data_of(node).join("store"))?)
}

/// Flips a bit of the first and of the last entry of the shard's log before `to` that hold records; gives their
/// keys, and what was stored.
fn flip(store: &Rocks, shard: ShardId, to: u64) -> Result<Vec<(Bytes, Bytes)>> {
    let group = shard.group();
    let (from, to) = (inspect::entry_key(group, 0), inspect::entry_key(group, to));
    let rows = store.scan(Space::Log, &from, &to, ScanLimit::NONE)?;
    let mut rows: Vec<_> = rows.into_iter().filter(|(_, v)| v.len() > 180).collect();
    ensure!(!rows.is_empty(), "no such entry");
    if rows.len() > 2 {
        rows.drain(1..rows.len() - 1);
    }
    let mut batch = Batch::new();
    for (key, value) in &rows {
        let mut flipped = value.to_vec();
        let at = flipped.len() - 30;
        flipped[at] ^= 4;
        batch.put(Space::Log, key.clone(), flipped);
    }
    store.write(batch, Durability::Synced)?;
    Ok(rows)
}

/// Whether this is what the store has.
fn has(store: &Rocks, rows: &[(Bytes, Bytes)]) -> Result<bool> {
    let mut all = true;
    for (key, value) in rows {
        all &= store.get(Space::Log, key)?.as_ref() == Some(value);
    }
    Ok(all)
}

/// Waits until a node has mended so many things that were not as they are elsewhere.
async fn mended(cluster: &Local, node: u64, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while cluster
        .metric(node, "hushlog_node_mended_differences_total")
        .await?
        < count as f64
    {
        ensure!(Instant::now() < deadline, "nothing was mended");
        sleep(LOOK * 5).await;
    }
    Ok(())
}

/// Waits until the comparing of a node finds nothing that differs.
async fn in_agreement(cluster: &Local, node: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while cluster
        .metric(node, "hushlog_node_differing_shards_count")
        .await?
        > 0.0
    {
        ensure!(Instant::now() < deadline, "a shard still differs");
        sleep(LOOK * 5).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_in_an_applied_log_is_found_and_mended() -> Result<()> {
    let mut cluster = Local::start(3, open_shards).await?;
    let load = cluster.load();
    let shard = shard_with_segments(&cluster, &[1, 2, 3], 1).await?;
    let (_, to) = cluster.ranges_on(3, shard)?[0];
    load.more(20).await?;
    cluster.stop(3).await;
    let whole = flip(&store_of(&cluster, 3)?, shard, to)?;
    cluster.start_node(3).await?;
    mended(&cluster, 3, whole.len()).await?;
    let records = load.end().await?;
    ensure!(cluster.found(3).await? == records);
    in_agreement(&cluster, 3).await?;
    cluster.stop_all().await;
    ensure!(has(&store_of(&cluster, 3)?, &whole)?);
    Ok(())
}

/// What is stored stays in the log, and is applied again by every start.
fn uncut(config: &mut Config) {
    open_shards(config);
    config.cut.age = Duration::from_secs(3_600);
}

/// A shard of which the third node has applied some, and how far it has.
async fn tail(cluster: &Local) -> Result<(ShardId, u64)> {
    until("a tail", || {
        let facts = cluster.facts(3);
        let bucket = facts.open_bucket().context("no bucket")?;
        let applied = |shard| cluster.status_of(3, shard).map_or(0, |s| s.applied_to);
        let mut shards = bucket.shards().map(|(shard, _)| (shard, applied(shard)));
        Ok(shards.find(|(_, applied)| *applied >= 20))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_replaces_what_it_cannot_read_of_its_log() -> Result<()> {
    let mut cluster = Local::start(3, uncut).await?;
    let load = cluster.load();
    let (shard, to) = tail(&cluster).await?;
    cluster.stop(3).await;
    let whole = flip(&store_of(&cluster, 3)?, shard, to)?;
    cluster.start_node(3).await?;
    load.more(20).await?;
    let records = load.end().await?;
    ensure!(cluster.found(3).await? == records);
    cluster.stop_all().await;
    ensure!(has(&store_of(&cluster, 3)?, &whole)?);
    Ok(())
}

/// A block that is in the place of another.
fn foreign_block(shard: ShardId) -> Block {
    let at = Timestamp::from_nanos(1_700_000_000_000_000_000);
    let record = Record {
        log_id: LogId([7; 16]),
        timestamp: at,
        created_at: at,
        service_name: "svc0".into(),
        level: Level::Info,
        message: "nobody has sent this".into(),
        fields: Vec::new(),
        exception: None,
        host: String::new(),
        environment: String::new(),
        region: String::new(),
        trace_id: String::new(),
        span_id: String::new(),
        pii: Vec::new(),
    };
    Block::seal(shard, 1, at, Vec::new(), &[Masked::vouch(record)])
}

/// Puts a block that nobody has sent in the place of one of the shard's log; gives the entry's key, and what was
/// stored.
fn swap_block(store: &Rocks, shard: ShardId) -> Result<Vec<(Bytes, Bytes)>> {
    let group = shard.group();
    let (from, to) = (
        inspect::entry_key(group, 0),
        inspect::entry_key(group, u64::MAX),
    );
    for (key, value) in store.scan(Space::Log, &from, &to, ScanLimit::NONE)? {
        if let Some(other) = inspect::entry_with(&value, foreign_block(shard))? {
            let mut batch = Batch::new();
            batch.put(Space::Log, key.clone(), other);
            store.write(batch, Durability::Synced)?;
            return Ok(vec![(key, value)]);
        }
    }
    anyhow::bail!("no block")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_applied_another_block_is_opened_anew() -> Result<()> {
    let mut cluster = Local::start(3, uncut).await?;
    let load = cluster.load();
    let (shard, _) = tail(&cluster).await?;
    let records = load.end().await?;
    cluster.stop(3).await;
    let whole = swap_block(&store_of(&cluster, 3)?, shard)?;
    cluster.start_node(3).await?;
    mended(&cluster, 3, 1).await?;
    // It finds what it has itself: without being started again.
    let deadline = Instant::now() + PATIENCE;
    while cluster.found(3).await? != records {
        ensure!(Instant::now() < deadline, "what was applied is still wrong");
        sleep(LOOK * 5).await;
    }
    in_agreement(&cluster, 3).await?;
    ensure!(cluster.found(3).await? == records);
    cluster.stop_all().await;
    ensure!(has(&store_of(&cluster, 3)?, &whole)?);
    Ok(())
}

/// Reaches nobody, and fetches nothing.
struct Nobody;

impl Connect for Nobody {
    fn channel(
        &self,
        _: NodeId,
        _: &str,
        _: Lane,
    ) -> Result<tonic::transport::Channel, tonic::Status> {
        Err(tonic::Status::unavailable("nobody is there"))
    }
}

impl Installer for Nobody {
    fn fetch<'a>(
        &'a self,
        _: ShardId,
        _: &'a [(NodeId, String)],
        _: Bytes,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("nobody is there".to_owned()) })
    }
}

/// Has a replica of a node that is stopped list its second segment in the place of its first too, and lie there.
async fn swap_first_segment(cluster: &Local, node: u64, shard: ShardId) -> Result<SegmentMeta> {
    let store: Arc<dyn Store> = Arc::new(store_of(cluster, node)?);
    let writer = Writer::inline(store);
    let nobody = Arc::new(Nobody);
    let life = Incarnation {
        birth: 1,
        number: 1,
        nonce: 1,
    };
    let context = Context {
        node,
        cluster: 1,
        writer: writer.handle(),
        connect: Arc::clone(&nobody) as Arc<dyn Connect>,
        incarnations: Incarnations::open(life, writer.handle())?,
        settings: Settings::default(),
        seed: 1,
        groups: Groups::new(),
        intake: Intake::default(),
    };
    let group = ShardGroup::open(&context, shard, 0, nobody).await?;
    let before = group.view().manifest.clone();
    let manifest = Manifest::decode(&before)?;
    let [first, second, ..] = manifest.segments.as_slice() else {
        anyhow::bail!("fewer than two segments");
    };
    let other = SegmentMeta {
        from: first.from,
        to: first.to,
        ..second.clone()
    };
    let folder = cluster.folder_of(node, shard);
    for file in &second.files {
        let from = folder.join(second.folder_name()).join(&file.name);
        fs::copy(from, folder.join(first.folder_name()).join(&file.name))?;
    }
    let swapped = manifest.replaced(first, other).context("not listed")?;
    let written = group
        .segments_merged(&before, swapped.encode().into())
        .await?;
    ensure!(written, "another manifest holds");
    group.shutdown().await;
    Ok(first.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_in_the_place_of_another_is_found_and_mended() -> Result<()> {
    let mut cluster = Local::start(3, open_shards).await?;
    let load = cluster.load();
    let shard = shard_with_segments(&cluster, &[1, 2, 3], 2).await?;
    let records = load.end().await?;
    cluster.stop(3).await;
    let first = swap_first_segment(&cluster, 3, shard).await?;
    let folder = cluster.folder_of(3, shard).join(first.folder_name());
    let is_right = || first.files.iter().all(|file| file.verify(&folder).is_ok());
    ensure!(!is_right());
    cluster.start_node(3).await?;
    mended(&cluster, 3, 1).await?;
    ensure!(is_right());
    ensure!(cluster.found(3).await? == records);
    // And it stays so.
    cluster.stop(3).await;
    cluster.start_node(3).await?;
    ensure!(cluster.found(3).await? == records);
    cluster.stop_all().await;
    Ok(())
}
