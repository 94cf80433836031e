//! Keys of requests, ids of clients, and that repeats are recognised by them.

use super::*;

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
