//! A short retention of one of two services that lie in the same shards: its rows are hidden at once, then left out
//! of the segments on every node, and nothing else changes: whole nodes in this process, on loopback.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE, until};
use hushlog_node::Config;
use hushlog_node::clock::{Clock, System};
use hushlog_record::ShardId;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long ago the records say that they were written.
const AGO_MILLIS: i64 = 2 * 3_600_000;
/// Records of a request, of each of its services.
const RECORDS: u64 = 40;
/// Answers must be the same so often while nothing happens.
const LOOK: Duration = Duration::from_millis(100);

/// One slot, so that all services lie in the same shards; segments that are small, and merged soon.
fn mixed(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(6);
    config.cluster.slots = 1;
    config.cluster.auto.slots = None;
    config.cut.age = Duration::from_secs(1);
    config.merge.delay = Duration::from_secs(2);
    config.retention.delay = Duration::from_secs(2);
}

/// Text that hardly compresses, and that nothing masks.
fn noise(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(number | 1);
        char::from(b"abcdefghijklmnopqrstuvwxyz"[usize::try_from(state >> 60).unwrap_or(0)])
    };
    let mut word = || (0..9).map(|_| letter()).collect::<String>();
    (0..40).map(|_| word()).collect::<Vec<_>>().join(" ")
}

/// Stores a request of some services, which was written long ago.
async fn store(cluster: &Local, number: u64, services: &[&str]) -> Result<()> {
    let written =
        hushlog_record::Timestamp::from_millis(System.now().nanos() / 1_000_000 - AGO_MILLIS);
    let record = |row: u64| {
        let place = usize::try_from(row).unwrap_or(0) % services.len();
        json!({
            "service": services[place],
            "timestamp": written.to_string(),
            "level": if row.is_multiple_of(3) { "ERROR" } else { "INFO" },
            "message": noise(number * 1_000 + row),
            "exception": {"type": "MailError", "message": "m", "stack_trace": "MailError: m"},
        })
    };
    let records: Vec<Value> = (0..RECORDS * services.len() as u64).map(record).collect();
    let key = format!("request {number}");
    let node = number % 3 + 1;
    let (status, body) = cluster.push(node, Some(&key), &records.into()).await?;
    ensure!(status == StatusCode::OK, "{status} {body}");
    Ok(())
}

/// What a node answers to a question that it has heard of all shards for.
async fn ask(
    cluster: &Local,
    node: u64,
    (method, path): (Method, &str),
    question: &Value,
) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = cluster.call(node, method.clone(), path, question.clone());
        let (status, body) = asked.await?;
        if status == StatusCode::OK && body["partial"] == false {
            return Ok(body);
        }
        ensure!(Instant::now() < deadline, "{status} {body}");
        sleep(LOOK).await;
    }
}

/// All that a node says of a service: hits in their places, counts by level, exceptions.
async fn told(cluster: &Local, node: u64, service: &str) -> Result<Value> {
    let levels = json!({"terms": {"field": "level", "size": 10}});
    let question = json!({
        "filters": {"services": [service]},
        "limit": 50,
        "aggregations": {"levels": levels},
    });
    let query = (Method::POST, "/api/v1/logs/query");
    let answer = ask(cluster, node, query, &question).await?;
    let path = format!("/api/v1/exceptions/top-k?k=10&window=24h&service={service}");
    let top = ask(cluster, node, (Method::GET, &path), &Value::Null).await?;
    let exceptions = top["exceptions"].as_array();
    let counts = exceptions.map(|all| all.iter().map(|one| one["count"].clone()).collect());
    Ok(json!({
        "total": answer["total"],
        "levels": answer["aggregations"]["levels"]["buckets"],
        "hits": answer["logs"],
        "exceptions": counts.unwrap_or_else(Vec::new),
    }))
}

/// Waits until nodes have all finished shards of these buckets as they were agreed on; all that they say of a
/// service stays the same meanwhile, and of another it is nothing.
async fn settled(
    cluster: &Local,
    nodes: &[u64],
    kept: &Value,
    is_done: impl Fn() -> bool,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for node in nodes {
            let now = told(cluster, *node, "long").await?;
            ensure!(now == *kept, "node {node} said {kept}, and says {now}");
            let short = told(cluster, *node, "short").await?;
            ensure!(short["total"] == 0, "node {node} shows {short}");
        }
        let mut same = true;
        for node in nodes {
            let here = cluster.digests_on(*node)?;
            let facts = cluster.facts(*node);
            let mut seals = facts.sealed.iter();
            same &= seals.all(|(shard, seal)| here.get(shard) == Some(&seal.digest));
        }
        if same && is_done() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "rows are not left out");
        sleep(LOOK).await;
    }
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // What is deleted meanwhile takes nothing.
        let Ok(found) = entry.metadata() else {
            continue;
        };
        bytes += if found.is_dir() {
            bytes_below(&entry.path())?
        } else {
            found.len()
        };
    }
    Ok(bytes)
}

/// Bytes of the segments of these shards on a node.
fn bytes_on(cluster: &Local, node: u64, shards: &[ShardId]) -> Result<u64> {
    let folders = shards.iter().map(|shard| cluster.folder_of(node, *shard));
    folders.map(|folder| bytes_below(&folder)).sum()
}

async fn keep(cluster: &Local, node: u64, hours: u64) -> Result<()> {
    let path = "/api/v1/retention/short";
    let asked = cluster.call(node, Method::PUT, path, json!({"hours": hours}));
    let (status, body) = asked.await?;
    ensure!(status == StatusCode::OK, "{status} {body}");
    Ok(())
}

/// What the books of all nodes say of a service: stored, present, expired.
async fn booked(cluster: &Local, node: u64) -> Result<(BTreeMap<String, [u64; 3]>, Value)> {
    let deadline = Instant::now() + PATIENCE;
    let view = loop {
        let asked = cluster.call(node, Method::GET, "/api/v1/ledger", Value::Null);
        let (status, view) = asked.await?;
        // A shard that is about to open is missing for a moment.
        if status == StatusCode::OK {
            break view;
        }
        ensure!(Instant::now() < deadline, "{status} {view}");
        sleep(LOOK).await;
    };
    let services = view["services"].as_array().context("no services")?;
    let of = |one: &Value| {
        let number = |name: &str| one[name].as_u64();
        let numbers = [number("stored")?, number("present")?, number("expired")?];
        Some((one["service"].as_str()?.to_owned(), numbers))
    };
    Ok((
        services.iter().filter_map(of).collect(),
        view["adds_up"].clone(),
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_service_that_is_over_leave_every_node_and_the_others_stay() -> Result<()> {
    let mut cluster = Local::start(3, mixed).await?;
    let (mut requests, mut alone) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    let open = |cluster: &Local| cluster.facts(1).open_bucket().map_or(0, |open| open.bucket);
    // Both services in the first buckets, one alone in those after.
    while open(&cluster) < 5 {
        ensure!(Instant::now() < deadline, "the buckets do not end");
        let is_alone = open(&cluster) >= 3;
        let services: &[&str] = if is_alone {
            &["short"]
        } else {
            &["long", "short"]
        };
        store(&cluster, requests, services).await?;
        requests += 1;
        alone += u64::from(is_alone);
        sleep(LOOK).await;
    }
    let (long, short) = ((requests - alone) * RECORDS, requests * RECORDS);
    until("the first buckets are finished", || {
        let facts = cluster.facts(1);
        (1..5).all(|bucket| facts.sealed.contains_key(&ShardId { bucket, slot: 0 }))
    })
    .await?;
    let shards: Vec<ShardId> = (1..5).map(|bucket| ShardId { bucket, slot: 0 }).collect();
    let rows = |cluster: &Local| {
        let facts = cluster.facts(1);
        let seals = shards.iter().filter_map(|shard| facts.sealed.get(shard));
        seals.map(|seal| seal.rows).sum::<u64>()
    };
    let in_the_last = short + long - rows(&cluster);
    let kept = told(&cluster, 1, "long").await?;
    ensure!(kept["total"] == long, "{kept}");
    ensure!(told(&cluster, 2, "short").await?["total"] == short);
    let before: Vec<u64> = (1..=3)
        .map(|node| bytes_on(&cluster, node, &shards))
        .collect::<Result<_>>()?;

    // One is away when it is decided, and comes back with all that it had.
    cluster.stop(3).await;
    keep(&cluster, 1, 1).await?;
    let only_long_is_left = |cluster: &Local| rows(cluster) + in_the_last == long + in_the_last;
    settled(&cluster, &[1, 2], &kept, || only_long_is_left(&cluster)).await?;
    // Of one shard nobody has what was agreed on any more: the third makes it of what it has.
    let facts = cluster.facts(1);
    let mut mixed = shards.iter().filter(|shard| facts.sealed[shard].rows > 0);
    let lost = mixed.next().context("a shard of both")?;
    for node in [1, 2] {
        let folder = cluster.folder_of(node, *lost);
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir(&folder)?;
    }
    cluster.start_node(3).await?;
    settled(&cluster, &[1, 2, 3], &kept, || only_long_is_left(&cluster)).await?;

    let facts = cluster.facts(1);
    assert!(facts.rewrites.len() >= 2, "{:?}", facts.rewrites);
    assert!(shards.iter().any(|shard| facts.sealed[shard].rows == 0));
    for (node, before) in (1..=3).zip(before) {
        until("the space comes back", || {
            let after = bytes_on(&cluster, node, &shards);
            after.is_ok_and(|after| after * 4 < before * 3)
        })
        .await?;
        // The open bucket, and what was sealed since, may have rows that are still on their way.
        let (services, adds_up) = booked(&cluster, node).await?;
        let [stored, present, expired] = services["short"];
        assert_eq!((stored, present + expired), (short, short), "{services:?}");
        assert!(expired >= short - in_the_last, "{services:?}");
        assert_eq!(services["long"], [long, long, 0]);
        assert_eq!(adds_up, json!(true));
    }
    // Each counts what it had and has lost; the facts, above, what all have.
    for node in 1..=3 {
        let rows = cluster
            .metric(node, "hushlog_node_expired_rows_total")
            .await?;
        let bytes = cluster
            .metric(node, "hushlog_node_expired_bytes_total")
            .await?;
        assert!(rows > 0.0 && bytes > 0.0, "node {node}: {rows}, {bytes}");
    }

    // It is gone for good, whatever is said of it later, and however the nodes start.
    keep(&cluster, 2, 1_000).await?;
    for node in 1..=3 {
        cluster.stop(node).await;
        cluster.start_node(node).await?;
        assert_eq!(told(&cluster, node, "long").await?, kept);
        let back = told(&cluster, node, "short").await?["total"].as_u64();
        assert!(back.is_some_and(|back| back <= in_the_last), "{back:?}");
    }
    cluster.stop_all().await;
    Ok(())
}

/// The shards of a bucket that have records of a service kept for much shorter than others, and all others.
fn apart(cluster: &Local, bucket: u64) -> Option<(Vec<ShardId>, Vec<ShardId>)> {
    let facts = cluster.facts(1);
    let bucket = facts.buckets.get(&bucket)?;
    let class = bucket.plan.class_of("short")?;
    let shards = bucket.shards().map(|(shard, _)| shard);
    Some(shards.partition(|shard| class.slots.contains(&shard.slot)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_kept_much_shorter_lies_apart_and_goes_by_whole_shards() -> Result<()> {
    let mut cluster = Local::start(3, mixed).await?;
    keep(&cluster, 1, 1).await?;
    let deadline = Instant::now() + PATIENCE;
    let open = |cluster: &Local| cluster.facts(1).open_bucket().map_or(0, |open| open.bucket);
    let (mut requests, mut planned) = (0, None);
    while planned.is_none_or(|planned| open(&cluster) <= planned) {
        ensure!(Instant::now() < deadline, "nobody lies apart");
        store(&cluster, requests, &["long", "short"]).await?;
        requests += 1;
        let now = open(&cluster);
        planned = planned.or_else(|| apart(&cluster, now).map(|_| now));
        sleep(LOOK).await;
    }
    let bucket = planned.context("planned")?;
    let (_, view) = cluster
        .call(2, Method::GET, "/api/v1/cluster", Value::Null)
        .await?;
    let classes = view["open_bucket"]["classes"].as_array();
    let class = classes.and_then(|all| all.iter().find(|one| one["retention"] == "shorter"));
    ensure!(
        class.is_some_and(|class| class["services"] == json!(["short"])),
        "{view}"
    );

    let kept = told(&cluster, 1, "long").await?;
    ensure!(kept["total"] == requests * RECORDS, "{kept}");
    let (own, others) = apart(&cluster, bucket).context("apart")?;
    let rows = |cluster: &Local, shards: &[ShardId]| {
        let facts = cluster.facts(1);
        let rows = shards
            .iter()
            .map(|shard| facts.sealed.get(shard).map(|seal| seal.rows));
        rows.sum::<Option<u64>>()
    };
    until("the others' shards are finished", || {
        rows(&cluster, &others).is_some_and(|rows| rows > 0)
    })
    .await?;
    settled(&cluster, &[1, 2, 3], &kept, || {
        rows(&cluster, &own) == Some(0)
    })
    .await?;
    let facts = cluster.facts(1);
    let written_anew = others
        .iter()
        .filter(|shard| facts.rewrites.contains_key(shard));
    assert_eq!(written_anew.count(), 0, "there is nothing to leave out");
    for node in 1..=3 {
        until("no file is left", || {
            let left = bytes_on(&cluster, node, &own);
            left.is_ok_and(|left| left == 0)
        })
        .await?;
        assert_eq!(booked(&cluster, node).await?.1, json!(true));
    }
    cluster.stop_all().await;
    Ok(())
}
