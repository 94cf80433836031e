//! The gateway against a scripted sink.

mod fairness;
mod overdue;
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

#[tokio::test]
async fn a_retry_is_cut_into_the_same_keyed_parts() {
    let body: Vec<String> = (0..PART_ROWS_MAX * 2 + 5)
        .map(|i| format!(r#"{{"service":"s{}","message":"m{i}"}}"#, i % 2))
        .collect();
    let body = format!("[{}]", body.join(","));
    let mut seen = Vec::new();
    for bucket in [0, 5] {
        let fake = Fake {
            bucket: Mutex::new(bucket),
            ..Fake::default()
        };
        let (gateway, fake) = gateway_with(fake, 1 << 30);
        push(&gateway, &body, Some(producer("p", 9)))
            .await
            .expect("stored");
        let mut parts: Vec<_> = fake
            .blocks
            .lock()
            .iter()
            .flat_map(|block| block.header().parts.clone())
            .map(|part| (part.key.expect("keyed"), part.rows.len()))
            .collect();
        parts.sort();
        seen.push(parts);
    }
    assert_eq!(seen[0], seen[1]);
    let chunks: Vec<_> = seen[0].iter().map(|(key, _)| key.chunk).collect();
    assert_eq!(chunks, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_record_that_its_client_has_named_is_recognised_by_its_id_and_no_other_is() {
    let id = |n| LogId([n; 16]);
    let body = format!(
        r#"[{{"service":"s0","message":"a"}},{{"service":"s0","log_id":"{}","message":"b"}},
            {{"service":"s1","log_id":"{}","message":"c"}},{{"service":"s0","log_id":"no","message":"d"}}]"#,
        id(1),
        id(2)
    );
    let parts = |blocks: &[Block]| {
        let mut parts: Vec<_> = blocks
            .iter()
            .flat_map(|block| block.header().parts.clone())
            .map(|part| (part.key, part.content, part.rows.len()))
            .collect();
        parts.sort();
        parts
    };
    let (gateway, fake) = gateway(Fake::default());
    push(&gateway, &body, None).await.expect("stored");
    let named = |n| (Some(PartKey::of_record(id(n))), 0, 1);
    assert_eq!(
        parts(&std::mem::take(&mut *fake.blocks.lock())),
        [(None, 0, 2), named(1), named(2)]
    );
    // What the whole request is recognised by goes before.
    push(&gateway, &body, Some(header("k")))
        .await
        .expect("stored");
    let blocks = std::mem::take(&mut *fake.blocks.lock());
    let of_request = |(key, ..): (Option<PartKey>, u64, usize)| {
        key.is_some_and(|key| key.producer == header("k").producer && !key.is_of_record())
    };
    assert!(parts(&blocks).into_iter().all(of_request));
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

#[tokio::test]
async fn all_memory_is_given_back() {
    let (gateway, _) = gateway(Fake::default());
    push(&gateway, TWO, None).await.expect("stored");
    push(&gateway, "[]", None).await.expect_err("empty");
    tokio::task::yield_now().await;
    gateway
        .admission()
        .take(1 << 20)
        .expect("all of it is free");
}

/// A record with a thousand fields that no other number's record has, their names of three bytes.
fn wide(number: usize) -> String {
    let letters: Vec<char> = ('#'..='[').chain(']'..='i').take(70).collect();
    let name = |number: usize| -> String {
        [number / 4_900, number / 70, number]
            .map(|digit| letters[digit % 70])
            .iter()
            .collect()
    };
    let fields: Vec<String> = (0..RECORD_FIELDS_MAX)
        .map(|field| format!(r#""{}":"""#, name(number * RECORD_FIELDS_MAX + field)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

#[tokio::test]
async fn every_block_can_be_read_however_many_field_names_a_request_has() {
    const RECORDS: usize = BLOCK_FIELDS_MAX / RECORD_FIELDS_MAX + 8;
    let body: Vec<String> = (0..RECORDS).map(wide).collect();
    for key in [None, Some(header("wide"))] {
        let (gateway, fake) = gateway_with(Fake::default(), 1 << 30);
        let pushed = push(&gateway, &body.join("\n"), key).await.expect("stored");
        assert_eq!((pushed.accepted, pushed.rejected), (RECORDS, 0));
        let blocks = fake.blocks.lock();
        let rows: u32 = blocks
            .iter()
            .map(|block| block.columns().expect("readable").rows)
            .sum();
        assert_eq!(rows as usize, RECORDS);
    }
}

#[tokio::test]
async fn a_small_body_of_many_records_is_refused_before_its_rows_take_the_memory() {
    let empty = |records: usize| "{}\n".repeat(records);
    let rows = |bytes: usize| bytes / RECORD_MEMORY_BYTES;
    for key in [None, Some(header("many"))] {
        let (gateway, fake) = gateway(Fake::default());
        // It fits as soon as others are done.
        let other = gateway.admission().take(1 << 19).expect("room");
        let body = empty(rows(3 << 18));
        let failure = push(&gateway, &body, key).await.expect_err("refused");
        assert_eq!(failure.kind, Kind::Overloaded);
        drop(other);
        push(&gateway, &body, key).await.expect("stored");
        fake.blocks.lock().clear();
        // It never fits, whether others are there or not.
        for others in [0, 1 << 18] {
            let _other = gateway.admission().take(others).expect("room");
            let failure = push(&gateway, &empty(rows(1 << 20)), key)
                .await
                .expect_err("refused");
            assert_eq!(failure.kind, Kind::TooLarge);
        }
        assert!(fake.blocks.lock().is_empty());
        tokio::task::yield_now().await;
        gateway
            .admission()
            .take(1 << 20)
            .expect("all of it is free");
    }
}

#[tokio::test]
async fn many_fields_and_many_services_are_paid_for() {
    let fields: Vec<String> = (0..RECORD_FIELDS_MAX)
        .map(|field| format!(r#""{field}":1"#))
        .collect();
    let wide = format!("{{{}}}\n", fields.join(",")).repeat(20);
    let services: Vec<String> = (0..500)
        .map(|service| format!(r#"{{"service":"{service}"}}"#))
        .collect();
    for body in [wide, services.join("\n")] {
        let (gateway, fake) = gateway(Fake::default());
        let failure = push(&gateway, &body, Some(header("k")))
            .await
            .expect_err("refused");
        assert_eq!(failure.kind, Kind::TooLarge);
        assert!(fake.blocks.lock().is_empty());
    }
}

/// What two nodes at different times call the first record of this body, and what the first stored.
async fn named(body: &str, key: Option<Key>) -> [LogId; 3] {
    let (first, fake) = gateway_of(Fake::default(), 1 << 20, 1);
    let pushed = push(&first, body, key).await.expect("stored");
    let stored = fake.blocks.lock()[0].columns().expect("readable").log_id[0];
    let earlier = ShardId { bucket: 9, slot: 0 };
    let duplicate = Fake {
        known: Some(earlier),
        ..Fake::default()
    };
    let (second, _) = gateway_of(duplicate, 1 << 20, 60);
    let again = push(&second, body, key).await.expect("stored before");
    assert_eq!(again.receipts[0].shard, earlier);
    [
        stored,
        pushed.first.expect("one"),
        again.first.expect("one"),
    ]
}

#[tokio::test]
async fn a_retry_names_the_record_that_was_stored() {
    let timed = r#"{"message":"m","timestamp":"2023-11-14T22:13:20.5Z"}"#;
    let millis = 1_700_000_000_500i64.to_be_bytes();
    for (body, time) in [(timed, &millis[2..]), (r#"{"message":"m"}"#, &[0; 6][..])] {
        for key in [header("k"), producer("p", 3)] {
            let [stored, first, again] = named(body, Some(key)).await;
            assert_eq!((first, again), (stored, stored));
            assert_eq!(stored.0[..6], *time);
            assert_eq!((stored.0[6] >> 4, stored.0[8] >> 6), (7, 2), "a UUID v7");
        }
    }
    let [stored, first, again] = named(timed, None).await;
    assert_eq!(first, stored);
    assert_ne!(again, stored);
}

#[tokio::test]
async fn records_of_keyed_requests_have_different_ids_and_keep_those_of_the_client() {
    const OWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = format!(r#"[{{}},{{"log_id":"{OWN}"}},{{}}]"#);
    let (gateway, fake) = gateway(Fake::default());
    for sequence in 0..2 {
        let key = producer("p", sequence);
        push(&gateway, &body, Some(key)).await.expect("stored");
    }
    let mut ids = Vec::new();
    for block in &*fake.blocks.lock() {
        ids.extend(block.columns().expect("readable").log_id);
    }
    let own = OWN.parse().expect("an id");
    assert_eq!(
        (ids.len(), ids.iter().filter(|id| **id == own).count()),
        (6, 2)
    );
    let drawn: BTreeSet<_> = ids.into_iter().filter(|id| *id != own).collect();
    assert_eq!(drawn.len(), 4);
}

/// The contents of all parts that this request is stored as, by a gateway of its own.
async fn contents(body: &str, key: Option<Key>, second: u64) -> BTreeSet<u64> {
    let (gateway, fake) = gateway_of(Fake::default(), 1 << 20, second);
    push(&gateway, body, key).await.expect("stored");
    let blocks = fake.blocks.lock();
    let parts = blocks.iter().flat_map(|block| &block.header().parts);
    parts.map(|part| part.content).collect()
}

#[tokio::test]
async fn all_parts_of_a_keyed_request_carry_the_digest_of_the_whole() {
    let key = Some(header("k"));
    let first = contents(TWO, key, 1).await;
    assert!(first.len() == 1 && !first.contains(&0), "{first:?}");
    assert_eq!(contents(TWO, key, 60).await, first, "a retry says the same");
    let other = TWO.replace("two", "three");
    assert_ne!(contents(&other, key, 1).await, first);
    let masked = TWO.replace("bob@", "rob@");
    assert_ne!(contents(&masked, key, 1).await, first, "before masking");
    assert_eq!(contents(TWO, None, 1).await, BTreeSet::from([0]));
}

#[tokio::test]
async fn how_a_record_is_read_has_no_part_in_its_digest() {
    let key = Some(header("k"));
    // A year that is guessed from the time of receipt, one too far ahead to be meant, and a time of
    // its own that happens to be that of receipt.
    for body in [
        r#"{"message":"Dec 31 23:59:59 host app: m"}"#,
        r#"{"timestamp":"2023-11-16T00:00:00Z","message":"m"}"#,
        r#"{"timestamp":"2023-11-14T22:13:21Z","message":"m"}"#,
    ] {
        let first = contents(body, key, 1).await;
        for later in [60, 2 * 86_400, 300 * 86_400] {
            assert_eq!(contents(body, key, later).await, first, "{body}: {later}");
        }
    }
}

#[tokio::test]
async fn a_key_that_came_with_other_content_is_refused() {
    let conflicting = Fake {
        conflict: true,
        ..Fake::default()
    };
    let (gateway, _) = gateway(conflicting);
    let key = producer("p", 1);
    let failure = push(&gateway, TWO, Some(key)).await.expect_err("refused");
    assert_eq!(failure.kind, Kind::KeyReused);
    push(&gateway, TWO, None).await.expect("stored");
}

/// A policy with this pattern, as the cluster keeps it.
fn policy(epoch: u64, pattern: &str) -> Vec<u8> {
    let patterns = vec![Pattern::new("badge", pattern)];
    let mut policy = Policy::default().with_patterns(patterns).expect("fine");
    policy.epoch = epoch;
    policy.to_bytes()
}

const BADGES: &str = r#"[{"service":"s0","message":"badge B-17 of bob@example.com"},
    {"service":"s1","message":"badge B-18, client@10.1.2.3"}]"#;

#[tokio::test]
async fn what_a_shard_refuses_as_outdated_is_masked_again_as_it_came() {
    for key in [None, Some(producer("p", 1))] {
        let fake = Fake {
            lowest: Mutex::new(BTreeMap::from([(1, 2)])),
            ..Fake::default()
        };
        let (gateway, fake) = gateway(fake);
        let masking = Arc::clone(&gateway.inner.masking);
        let learn = async {
            while fake.blocks.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            // Finds across what the policy before it masks.
            let pattern = r"B-[0-9]+(, client@[0-9.]+)?";
            masking.adopt(2, &policy(2, pattern)).expect("fine");
        };
        let (pushed, ()) = tokio::join!(push(&gateway, BADGES, key), learn);
        let pushed = pushed.expect("stored");
        let mut stored = Vec::new();
        for block in &*fake.blocks.lock() {
            let header = block.header();
            for record in block.columns().expect("readable").records() {
                stored.push((header.policy_epoch, record.message.clone()));
            }
        }
        assert_eq!(
            stored,
            [
                (1, "badge B-17 of b***@example.com".to_owned()),
                (2, "badge [BADGE]".to_owned()),
            ]
        );
        let epochs: Vec<_> = pushed.receipts.iter().map(|r| r.policy_epoch).collect();
        assert_eq!(epochs, [1, 2]);
        let found = |name| pushed.pii.get(name).copied();
        assert_eq!(
            (found("email"), found("badge"), found("ipv4")),
            (Some(1), Some(1), None)
        );
        tokio::task::yield_now().await;
        gateway
            .admission()
            .take(1 << 20)
            .expect("all of it is free");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_learn_the_policy_refuses() {
    let fake = Fake {
        lowest: Mutex::new(BTreeMap::from([(0, 2), (1, 2)])),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let failure = push(&gateway, TWO, None).await.expect_err("refused");
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(failure.message.contains("patterns"), "{failure}");
    assert!(fake.blocks.lock().is_empty());
}

#[tokio::test]
async fn rows_of_two_policies_share_no_block() {
    let fake = Fake {
        hold: Some(Notify::new()),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let hold = fake.hold.as_ref().expect("set");
    let body = r#"{"service":"s0","message":"badge B-1"}"#;
    let masking = Arc::clone(&gateway.inner.masking);
    let pushes = async {
        // The first is on its way while the others wait for it.
        let first = push(&gateway, body, None);
        let second = push(&gateway, body, None);
        let third = async {
            tokio::task::yield_now().await;
            masking.adopt(2, &policy(2, "B-[0-9]")).expect("fine");
            push(&gateway, body, None).await
        };
        tokio::join!(first, second, third)
    };
    let release = async {
        loop {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            hold.notify_one();
        }
    };
    tokio::select! {
        (a, b, c) = pushes => assert!(a.is_ok() && b.is_ok() && c.is_ok()),
        () = release => {}
    }
    for block in &*fake.blocks.lock() {
        let masked = if block.header().policy_epoch == 1 {
            "badge B-1"
        } else {
            "badge [BADGE]"
        };
        for record in block.columns().expect("readable").records() {
            assert_eq!(record.message, masked);
        }
    }
    assert_eq!(rows(&fake.blocks.lock()), 3);
}

#[tokio::test]
async fn a_keyed_request_is_cut_alike_whatever_masking_makes_of_it() {
    let text = "B-1 ".repeat(300);
    let body: Vec<String> = (0..2_000)
        .map(|i| format!(r#"{{"service":"s{}","message":"{text}"}}"#, i % 2))
        .collect();
    let body = body.join("\n");
    let mut seen = Vec::new();
    for replacement in ["x", "a longer text than it was before"] {
        let (gateway, fake) = gateway_with(Fake::default(), 1 << 30);
        let mut pattern = Pattern::new("badge", "B-[0-9]");
        pattern.replacement = Some(replacement.into());
        let policy = Policy::default()
            .with_patterns(vec![pattern])
            .expect("fine");
        gateway
            .inner
            .masking
            .adopt(2, &policy.to_bytes())
            .expect("fine");
        push(&gateway, &body, Some(producer("p", 9)))
            .await
            .expect("stored");
        let mut parts: Vec<_> = fake
            .blocks
            .lock()
            .iter()
            .flat_map(|block| block.header().parts.clone())
            .map(|part| (part.key.expect("keyed"), part.rows.len()))
            .collect();
        parts.sort();
        seen.push(parts);
    }
    assert!(seen[0].len() > 2, "{} parts", seen[0].len());
    assert_eq!(seen[0], seen[1]);
}
