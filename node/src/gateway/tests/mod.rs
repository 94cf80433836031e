//! The gateway against a scripted sink.

mod fairness;
mod keys;
mod memory;
mod overdue;
mod policy;
mod spread;

use futures_util::future::join_all;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use futures_util::future::BoxFuture;
use hushlog_ingest::json::{self, Declared};
use hushlog_pii::{Key as HashKey, Pattern, Policy};
use hushlog_record::block::PartKey;
use hushlog_record::limits::{BLOCK_FIELDS_MAX, BLOCK_TEXT_BYTES_TARGET, RECORD_FIELDS_MAX};
use hushlog_record::{Block, LogId, ShardId, Timestamp};
use tokio::sync::Notify;

use super::*;
use crate::clock::Scripted;
use crate::limits::{BLOCK_OVERDUE, PART_ROWS_MAX, RECORD_MEMORY_BYTES};

/// The slots of services whose names begin with `hot`.
const HOT_SLOTS: Range<u16> = 10..14;

/// Stores every block, unless told otherwise for the next ones.
#[derive(Default)]
struct Fake {
    blocks: Mutex<Vec<Block>>,
    script: Mutex<VecDeque<Refused>>,
    bucket: Mutex<u64>,
    no_route: Mutex<Option<Refused>>,
    hold: Option<Notify>,
    /// Slots that take nothing masked under a policy before this epoch.
    lowest: Mutex<BTreeMap<u16, u64>>,
    /// Where it has stored everything before.
    known: Option<ShardId>,
    /// Whether keyed rows had come with other content before.
    conflict: bool,
}

impl Sink for Fake {
    fn route(&self, service: &str) -> Result<Vec<ShardId>, Refused> {
        if let Some(why) = *self.no_route.lock() {
            return Err(why);
        }
        let bucket = 1 + *self.bucket.lock();
        let shard = |slot| ShardId { bucket, slot };
        if service.starts_with("hot") {
            return Ok(HOT_SLOTS.map(shard).collect());
        }
        Ok(vec![shard(u16::from(service.ends_with('1')))])
    }

    fn propose(&self, block: Block, _: Instant) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            if let Some(hold) = &self.hold {
                hold.notified().await;
            }
            let header = block.header();
            let lowest = self.lowest.lock().get(&header.shard.slot).copied();
            if let Some(lowest) = lowest.filter(|lowest| header.policy_epoch < *lowest) {
                return Err(Refused::Outdated { lowest });
            }
            if let Some(why) = self.script.lock().pop_front() {
                if why == Refused::Closed {
                    *self.bucket.lock() += 1;
                }
                return Err(why);
            }
            let mut blocks = self.blocks.lock();
            let header = block.header().clone();
            blocks.push(block);
            let rows = 0..header.rows;
            let keyed = header.parts.iter().any(|part| part.key.is_some());
            Ok(vec![Placed {
                rows,
                shard: self.known.unwrap_or(header.shard),
                seq: blocks.len() as u64,
                copies: 2,
                policy_epoch: header.policy_epoch,
                repeated: self.known.is_some(),
                conflict: self.conflict && keyed,
            }])
        })
    }
}

fn gateway(fake: Fake) -> (Gateway, Arc<Fake>) {
    gateway_with(fake, 1 << 20)
}

fn gateway_with(fake: Fake, memory: usize) -> (Gateway, Arc<Fake>) {
    gateway_of(fake, memory, 1)
}

/// A gateway whose time and randomness are those of this second.
fn gateway_of(fake: Fake, memory: usize, second: u64) -> (Gateway, Arc<Fake>) {
    let fake = Arc::new(fake);
    (gateway_over(Arc::clone(&fake) as _, memory, second), fake)
}

fn gateway_over(sink: Arc<dyn Sink>, memory: usize, second: u64) -> Gateway {
    let now = 1_700_000_000_000 + i64::try_from(second).expect("small") * 1_000;
    let parts = Parts {
        sink,
        masking: Arc::new(Masking::new(HashKey::new([7; 32]))),
        content_key: content_key(&[7; 32]),
        request_key: request_key(&[7; 32]),
        offload: Offload::inline(),
        clock: Arc::new(Scripted::new(Timestamp::from_millis(now))),
        entropy: Entropy::seeded(second),
        rates: Rates::default(),
        ledger: Ledger::new(Timestamp::default()),
        registry: Registry::default(),
        tasks: Tasks::new(),
        memory,
        timeout: Duration::from_secs(10),
    };
    Gateway::new(parts)
}

fn batch(body: &str, key: Option<Key>) -> Batch {
    let body = body.to_owned();
    Batch {
        way: Way::Http,
        source: Box::new(move |room, each| {
            room.sent(body.as_bytes());
            json::read(body.as_bytes(), Declared::Json, each)
                .map_err(|error| Failure::new(Kind::InvalidBody, error.to_string()))
        }),
        service: String::new(),
        environment: String::new(),
        key,
        bytes: 0,
    }
}

fn header(text: &str) -> Key {
    Key::of_header(&request_key(&[7; 32]), text)
}

fn producer(producer: &str, sequence: u64) -> Key {
    Key::of_producer(&request_key(&[7; 32]), producer, sequence)
}

async fn push(gateway: &Gateway, body: &str, key: Option<Key>) -> Result<Pushed, Failure> {
    let permit = gateway.admission().take(body.len()).expect("room");
    gateway.push(batch(body, key), permit).await
}

const TWO: &str =
    r#"[{"service":"s0","message":"mail bob@example.com"},{"service":"s1","message":"two"}]"#;

#[tokio::test]
async fn a_request_is_acknowledged_when_all_its_shards_have_it() {
    let (gateway, fake) = gateway(Fake::default());
    let pushed = push(&gateway, TWO, None).await.expect("stored");
    assert_eq!((pushed.accepted, pushed.rejected), (2, 0));
    assert_eq!(pushed.pii.get("email"), Some(&1));
    assert_eq!(pushed.receipts.len(), 2);
    let blocks = fake.blocks.lock();
    let slots: Vec<_> = blocks
        .iter()
        .map(|block| block.header().shard.slot)
        .collect();
    assert_eq!(slots.len(), 2);
    for block in &*blocks {
        assert_eq!(block.header().policy_epoch, 1);
        for record in block.columns().expect("readable").records() {
            assert!(!record.message.contains("bob@"), "masked before it left");
        }
    }
}

#[tokio::test]
async fn nothing_stored_is_refused_and_something_stored_is_unknown() {
    let cases = [
        (
            vec![Refused::Unavailable, Refused::Unavailable],
            Kind::Unavailable,
        ),
        (vec![Refused::Unavailable], Kind::OutcomeUnknown),
        (
            vec![Refused::DiskFull, Refused::Unavailable],
            Kind::DiskFull,
        ),
        (vec![Refused::OutcomeUnknown], Kind::OutcomeUnknown),
    ];
    for (script, kind) in cases {
        let fake = Fake {
            script: Mutex::new(script.clone().into()),
            ..Fake::default()
        };
        let (gateway, _) = gateway(fake);
        let failure = push(&gateway, TWO, None).await.expect_err("refused");
        assert_eq!(failure.kind, kind, "{script:?}");
    }
}

#[tokio::test]
async fn without_a_route_nothing_is_proposed() {
    let fake = Fake {
        no_route: Mutex::new(Some(Refused::Unavailable)),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let failure = push(&gateway, TWO, None).await.expect_err("refused");
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(fake.blocks.lock().is_empty());
}

#[tokio::test]
async fn rows_of_a_closed_shard_go_to_the_next_bucket_once() {
    let fake = Fake {
        script: Mutex::new(VecDeque::from([Refused::Closed])),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let key = header("k");
    let pushed = push(&gateway, TWO, Some(key)).await.expect("stored");
    assert_eq!(pushed.accepted, 2);
    let blocks = fake.blocks.lock();
    let rows: u32 = blocks.iter().map(|block| block.header().rows).sum();
    assert_eq!(rows, 2);
    assert!(blocks.iter().any(|block| block.header().shard.bucket == 2));
}

/// Pushes one record with each of these keys at once; blocks leave one at a time.
async fn push_at_once(keys: impl IntoIterator<Item = Option<Key>>) -> Vec<Block> {
    let fake = Fake {
        hold: Some(Notify::new()),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let one = r#"{"service":"s0","message":"m"}"#;
    let pushes: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let gateway = gateway.clone();
            #[expect(clippy::disallowed_methods, reason = "a test joins what it spawns")]
            tokio::spawn(async move { push(&gateway, one, key).await })
        })
        .collect();
    let release = async {
        let hold = fake.hold.as_ref().expect("set");
        loop {
            hold.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let all = join_all(pushes);
    tokio::select! {
        outcomes = all => {
            assert!(outcomes.into_iter().all(|outcome| outcome.expect("no panic").is_ok()));
        }
        () = release => {}
    }
    std::mem::take(&mut *fake.blocks.lock())
}

fn rows(blocks: &[Block]) -> u32 {
    blocks.iter().map(|block| block.header().rows).sum()
}

#[tokio::test]
async fn requests_share_a_block_while_one_is_on_its_way() {
    let blocks = push_at_once([None; 10]).await;
    assert_eq!(rows(&blocks), 10);
    assert!(blocks.len() < 10, "{} blocks", blocks.len());
}

#[tokio::test]
async fn requests_with_and_without_a_key_share_no_block() {
    let key = |i| (i % 2 == 0).then(|| producer("p", i));
    let blocks = push_at_once((0..40).map(key)).await;
    assert_eq!(rows(&blocks), 40);
    assert!(blocks.len() < 40, "{} blocks", blocks.len());
    for block in &blocks {
        let parts = &block.header().parts;
        let keyed = parts.iter().filter(|part| part.key.is_some()).count();
        assert!(keyed == 0 || keyed == parts.len(), "{parts:?}");
    }
}
