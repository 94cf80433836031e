//! Buckets that end by their size and are planned by their load, under requests of which none may be refused, lost
//! or stored twice: whole nodes in this process, on loopback.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::local::{Local, PATIENCE, until};
use hushlog_node::Config;
use hushlog_record::ShardId;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Shortest time between two ends by size.
const OPEN_MIN: Duration = Duration::from_secs(2);
/// Records of a request.
const RECORDS: u64 = 20;

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

/// By what a request is recognised when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// By nothing.
    No,
    /// By its key.
    ByKey,
    /// By the ids of its records.
    ByIds,
}

/// A request of records of one service.
#[derive(Clone, Copy, Debug)]
struct Push {
    service: &'static str,
    number: u64,
    named: Named,
}

/// Stores a request through a node, at the first try.
async fn store(cluster: &Local, node: u64, push: Push) -> Result<()> {
    let Push {
        service,
        number,
        named,
    } = push;
    let record = |row| {
        let number = number * RECORDS + row;
        let message = format!("number{number} {}", noise(number));
        let mut record = json!({"service": service, "message": message});
        if named == Named::ByIds {
            record["log_id"] = json!(format!("01890a5d-ac96-774b-bcce-{number:012x}"));
        }
        record
    };
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    let key = format!("request {number}");
    let key = (named == Named::ByKey).then_some(key.as_str());
    let (status, body) = cluster.push(node, key, &records.into()).await?;
    ensure!(status == StatusCode::OK, "{push:?}: {status} {body}");
    Ok(())
}

/// How many records of a service a node finds, once it has heard of all shards.
async fn found(cluster: &Local, node: u64, service: &str) -> Result<u64> {
    let question = json!({"query": format!("service:{service}"), "limit": 0});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = cluster.call(node, Method::POST, "/api/v1/logs/query", question.clone());
        let (status, body) = asked.await?;
        ensure!(status == StatusCode::OK, "{status} {body}");
        if body["partial"] == false {
            return body["total"].as_u64().context("no total");
        }
        ensure!(Instant::now() < deadline, "{body}");
    }
}

fn small(config: &mut Config) {
    config.cluster.bucket_bytes = 64 << 10;
    config.cluster.bucket_min = OPEN_MIN;
    config.cut.bytes = 16 << 10;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_ends_by_its_size_and_no_request_is_refused() -> Result<()> {
    let mut cluster = Local::start(3, small).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut requests = 0;
    while cluster.facts(1).buckets.len() < 4 {
        ensure!(Instant::now() < deadline, "the buckets do not end");
        let push = Push {
            service: "shop",
            number: requests,
            named: Named::No,
        };
        store(&cluster, requests % 3 + 1, push).await?;
        requests += 1;
    }
    let opened: Vec<i64> = cluster
        .facts(1)
        .buckets
        .values()
        .map(|bucket| bucket.opened_at.nanos())
        .collect();
    for pair in opened.windows(2) {
        let open = u64::try_from(pair[1] - pair[0])?;
        assert!(Duration::from_nanos(open) >= OPEN_MIN, "{open}");
    }
    for node in 1..=3 {
        assert_eq!(found(&cluster, node, "shop").await?, requests * RECORDS);
    }
    cluster.stop_all().await;
    Ok(())
}

/// Slots that should take little, so that one service is soon too much for one of them.
fn spreading(config: &mut Config) {
    config.cluster.bucket = Duration::from_secs(6);
    config.cluster.slot_rate = 4 << 10;
    config.cut.age = Duration::from_secs(1);
}

/// What was stored so far.
#[derive(Default)]
struct Stored {
    requests: u64,
    hot: u64,
    cold: u64,
    /// Requests that can be recognised: the first ones of each bucket.
    again: BTreeMap<u64, Vec<Push>>,
}

impl Stored {
    const AGAIN_MAX: usize = 20;

    /// Stores the next few requests.
    async fn more(&mut self, cluster: &Local) -> Result<()> {
        let bucket = cluster.facts(1).buckets.keys().next_back().copied();
        for named in [Named::No, Named::ByKey, Named::No, Named::ByIds, Named::No] {
            let push = Push {
                service: if self.requests % 10 == 9 {
                    "cold"
                } else {
                    "hot"
                },
                number: self.requests,
                named,
            };
            store(cluster, self.requests % 3 + 1, push).await?;
            self.requests += 1;
            *(if push.service == "hot" {
                &mut self.hot
            } else {
                &mut self.cold
            }) += RECORDS;
            let again = self.again.entry(bucket.unwrap_or(0)).or_default();
            if named != Named::No && again.len() < Self::AGAIN_MAX {
                again.push(push);
            }
        }
        Ok(())
    }

    /// Sends what can be recognised again, through another node, and finds every record once.
    async fn repeat(&self, cluster: &Local) -> Result<()> {
        for push in self.again.values().flatten() {
            store(cluster, (push.number + 1) % 3 + 1, *push).await?;
        }
        for node in 1..=3 {
            let counts = (
                found(cluster, node, "hot").await?,
                found(cluster, node, "cold").await?,
            );
            ensure!(
                counts == (self.hot, self.cold),
                "node {node} finds {counts:?}"
            );
        }
        Ok(())
    }
}

/// Over how many slots the service is spread in the open bucket.
fn spread(cluster: &Local) -> usize {
    let facts = cluster.facts(1);
    let spread = facts
        .open_bucket()
        .and_then(|open| open.plan.spread.get("hot"));
    spread.map_or(1, |spread| spread.slots.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_service_is_spread_over_slots_and_every_record_is_stored_once() -> Result<()> {
    let mut cluster = Local::start(3, spreading).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut stored = Stored::default();
    while spread(&cluster) < 2 {
        ensure!(Instant::now() < deadline, "it is not spread");
        stored.more(&cluster).await?;
    }
    let bucket = cluster
        .facts(1)
        .open_bucket()
        .map(|open| open.bucket)
        .context("open")?;
    let (_, view) = cluster
        .call(2, Method::GET, "/api/v1/cluster", Value::Null)
        .await?;
    let planned = view["open_bucket"]["spread"].as_array();
    let planned = planned.and_then(|all| all.iter().find(|one| one["service"] == "hot"));
    let measured = planned.map(|planned| &planned["measured"]["bytes_per_second"]);
    let measured = measured.and_then(Value::as_u64);
    assert!(measured > Some(2 << 10), "{view}");

    // Of the buckets before, in which one slot had all of it; and of this one, in the next.
    stored.repeat(&cluster).await?;
    while cluster.facts(1).open_bucket().map(|open| open.bucket) < Some(bucket + 2) {
        ensure!(Instant::now() < deadline, "the bucket does not end");
        stored.more(&cluster).await?;
    }
    stored.repeat(&cluster).await?;
    until("the shards are sealed", || {
        let facts = cluster.facts(1);
        let mut shards = facts.buckets[&bucket].shards();
        shards.all(|(shard, _)| facts.sealed.contains_key(&shard))
    })
    .await?;
    let facts = cluster.facts(1);
    let slots = facts.buckets[&bucket].plan.spread["hot"].slots.iter();
    let rows = slots.map(|slot| ShardId {
        bucket,
        slot: *slot,
    });
    let rows: Vec<u64> = rows.map(|shard| facts.sealed[&shard].rows).collect();
    assert!(
        rows.iter().filter(|rows| **rows > 0).count() > 1,
        "{rows:?}"
    );

    // And when it is quiet again, one slot has all of it again, and knows what the others had.
    until("it is not spread any more", || spread(&cluster) == 1).await?;
    stored.repeat(&cluster).await?;
    cluster.stop_all().await;
    Ok(())
}
