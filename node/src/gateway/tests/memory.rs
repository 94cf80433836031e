//! What a request pays for before its memory is taken, and what its blocks may hold.

use super::*;

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
