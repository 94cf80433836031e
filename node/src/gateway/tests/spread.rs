//! Services with several slots: where their rows go, and that they go there again.

use super::*;

/// The slots of blocks that were stored since this was last asked, with the ids of their rows.
fn stored(fake: &Fake) -> Vec<(u16, Vec<LogId>)> {
    let blocks = std::mem::take(&mut *fake.blocks.lock());
    let of = |block: &Block| {
        let ids = block.columns().expect("readable").log_id;
        (block.header().shard.slot, ids)
    };
    blocks.iter().map(of).collect()
}

fn records(service: &str, count: usize) -> String {
    let record = |n: usize| format!(r#"{{"service":"{service}","message":"number {n}"}}"#);
    format!("[{}]", (0..count).map(record).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_request_that_cannot_be_recognised_stays_together_and_all_slots_have_their_turn() {
    let (gateway, fake) = gateway(Fake::default());
    let mut slots = BTreeSet::new();
    // Each is more than half of a block.
    let long = "word ".repeat(BLOCK_TEXT_BYTES_TARGET / 8);
    let body = format!(r#"{{"service":"hot","message":"{long}"}}"#);
    for _ in 0..60 {
        push(&gateway, &body, None).await.expect("stored");
        push(&gateway, &records("hot", 20), None)
            .await
            .expect("stored");
        let blocks = stored(&fake);
        assert_eq!(blocks.len(), 2, "a block a request");
        slots.extend(blocks.iter().map(|(slot, _)| *slot));
    }
    assert_eq!(slots, HOT_SLOTS.collect());
}

#[tokio::test]
async fn a_keyed_request_goes_to_the_slot_of_its_key_whoever_takes_it() {
    let mut taken = BTreeMap::new();
    for second in [1, 2] {
        let (gateway, fake) = gateway_of(Fake::default(), 1 << 20, second);
        for number in 0..40 {
            let key = header(&number.to_string());
            push(&gateway, &records("hot", 3), Some(key))
                .await
                .expect("stored");
            let blocks = stored(&fake);
            assert_eq!(blocks.len(), 1);
            let slot = *taken.entry(number).or_insert(blocks[0].0);
            assert_eq!(slot, blocks[0].0);
        }
    }
    let used: BTreeSet<u16> = taken.into_values().collect();
    assert_eq!(used, HOT_SLOTS.collect());
    // The requests of one producer are one slot's, and services differ.
    let (gateway, fake) = gateway(Fake::default());
    let mut slots = BTreeMap::<&str, BTreeSet<u16>>::new();
    for service in ["hot", "hot2", "hot3", "hot4", "hot5"] {
        for sequence in 0..5 {
            let key = producer("p", sequence);
            push(&gateway, &records(service, 1), Some(key))
                .await
                .expect("stored");
            slots
                .entry(service)
                .or_default()
                .extend(stored(&fake).iter().map(|(slot, _)| *slot));
        }
    }
    assert!(slots.values().all(|slots| slots.len() == 1), "{slots:?}");
    let used: BTreeSet<u16> = slots.into_values().flatten().collect();
    assert!(used.len() > 1, "{used:?}");
}

#[tokio::test]
async fn a_record_with_an_id_goes_to_the_slot_of_its_id() {
    let id = |n: u64| format!("01890a5d-ac96-774b-bcce-{n:012x}");
    let record = |n: u64| format!(r#"{{"service":"hot","message":"m","log_id":"{}"}}"#, id(n));
    let mut taken = BTreeMap::new();
    // Together, one by one, and in another order.
    let all: Vec<u64> = (0..50).collect();
    let backwards: Vec<u64> = (0..50).rev().collect();
    let mut requests = vec![all.clone(), backwards];
    requests.extend(all.chunks(1).map(<[u64]>::to_vec));
    for numbers in requests {
        let (gateway, fake) = gateway_of(Fake::default(), 1 << 20, numbers.len() as u64);
        let body: Vec<String> = numbers.iter().copied().map(record).collect();
        let pushed = push(&gateway, &format!("[{}]", body.join(",")), None)
            .await
            .expect("stored");
        assert_eq!(pushed.accepted, numbers.len());
        let blocks = stored(&fake);
        let rows: usize = blocks.iter().map(|(_, ids)| ids.len()).sum();
        assert_eq!(rows, numbers.len());
        for (slot, ids) in blocks {
            for id in ids {
                assert_eq!(*taken.entry(id).or_insert(slot), slot);
            }
        }
    }
    let used: BTreeSet<u16> = taken.into_values().collect();
    assert_eq!(used, HOT_SLOTS.collect());
}
