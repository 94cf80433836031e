//! One service floods: what becomes of the acknowledgements of another one that shares its shard.

use super::*;
use crate::limits::{BLOCKS_IN_FLIGHT_MAX, SERVICE_MEMORY_PART};

/// A request of so many records of a service.
fn records(service: &str, count: usize) -> String {
    let text = "m".repeat(300);
    let record = format!(r#"{{"service":"{service}","message":"{text}"}}"#);
    vec![record; count].join("\n")
}

/// Pushes in a task of its own.
fn pushing(
    gateway: &Gateway,
    body: &str,
    key: Option<Key>,
) -> tokio::task::JoinHandle<Result<Pushed, Failure>> {
    let (gateway, body) = (gateway.clone(), body.to_owned());
    #[expect(clippy::disallowed_methods, reason = "a test joins what it spawns")]
    tokio::spawn(async move { push(&gateway, &body, key).await })
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_comes_behind_a_flood_is_in_the_next_block() {
    const FLOOD: u64 = 60;
    for keyed in [false, true] {
        let fake = Fake {
            hold: Some(Notify::new()),
            ..Fake::default()
        };
        let (gateway, fake) = gateway_with(fake, 1 << 30);
        let key = |number| keyed.then(|| producer("p", number));
        let large = records("a0", 200);
        let mut all: Vec<_> = (0..FLOOD)
            .map(|number| pushing(&gateway, &large, key(number)))
            .collect();
        settle().await;
        all.push(pushing(&gateway, &records("b0", 1), key(FLOOD)));
        settle().await;
        while !all.iter().all(|push| push.is_finished()) {
            fake.hold.as_ref().expect("set").notify_one();
            settle().await;
        }
        for push in all {
            push.await.expect("no panic").expect("stored");
        }
        let blocks = fake.blocks.lock();
        let of_b = |block: &Block| {
            let columns = block.columns().expect("readable");
            columns
                .records()
                .iter()
                .any(|record| record.service_name == "b0")
        };
        let place = blocks.iter().position(of_b).expect("stored");
        assert!(place <= BLOCKS_IN_FLIGHT_MAX, "block {place}");
        assert!(blocks.len() > 2 * BLOCKS_IN_FLIGHT_MAX, "{}", blocks.len());
    }
}

#[tokio::test]
async fn a_service_holds_its_part_of_the_memory_and_others_are_taken() {
    const MEMORY: usize = 8 << 20;
    let fake = Fake {
        hold: Some(Notify::new()),
        ..Fake::default()
    };
    let (gateway, fake) = gateway_with(fake, MEMORY);
    let large = records("a0", 500);
    let flood: Vec<_> = (0..60).map(|_| pushing(&gateway, &large, None)).collect();
    settle().await;
    let refused = flood.iter().filter(|push| push.is_finished()).count();
    assert!((1..60).contains(&refused), "{refused}");
    let held = MEMORY - free(&gateway, MEMORY);
    // Rows count, and a little beside them that is of no service.
    let most = MEMORY / SERVICE_MEMORY_PART + MEMORY / 16;
    assert!(held <= most, "{held} bytes");
    let other = pushing(&gateway, &records("b0", 500), None);
    settle().await;
    assert!(!other.is_finished(), "it waits for its block");
    while !(other.is_finished() && flood.iter().all(|push| push.is_finished())) {
        fake.hold.as_ref().expect("set").notify_one();
        settle().await;
    }
    other.await.expect("no panic").expect("stored");
    let mut stored = 0;
    for push in flood {
        match push.await.expect("no panic") {
            Ok(_) => stored += 1,
            Err(failure) => {
                assert_eq!(failure.kind, Kind::Overloaded);
                assert!(failure.message.contains("one service"), "{failure}");
            }
        }
    }
    assert_eq!(stored, 60 - refused);
    settle().await;
    assert_eq!(free(&gateway, MEMORY), MEMORY, "all of it is given back");
}

/// Bytes of the memory that nobody has.
fn free(gateway: &Gateway, memory: usize) -> usize {
    let sizes = (0..=memory >> 10).rev().map(|units| units << 10);
    let mut free = sizes.filter(|bytes| gateway.admission().take(*bytes).is_ok());
    free.next().unwrap_or_default()
}

/// Stores one block after the other, at a rate.
#[derive(Default)]
struct Slow {
    disk: tokio::sync::Mutex<()>,
}

impl Slow {
    const BYTES_PER_SECOND: f64 = 20e6;
    const SYNC: Duration = Duration::from_millis(2);
}

impl Sink for Slow {
    fn route(&self, _: &str) -> Result<Vec<ShardId>, Refused> {
        Ok(vec![ShardId { bucket: 1, slot: 0 }])
    }

    fn propose(&self, block: Block, _: Instant) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            let header = block.header();
            let _disk = self.disk.lock().await;
            let seconds = f64::from(header.rows) * 300.0 / Self::BYTES_PER_SECOND;
            tokio::time::sleep(Self::SYNC + Duration::from_secs_f64(seconds)).await;
            Ok(vec![Placed {
                rows: 0..header.rows,
                shard: header.shard,
                seq: 1,
                copies: 2,
                policy_epoch: header.policy_epoch,
                repeated: false,
                conflict: false,
            }])
        })
    }
}

/// Sends the same request again and again, until it is told to stop; gives how often it was stored.
async fn flood(gateway: Gateway, body: String, stop: Arc<std::sync::atomic::AtomicBool>) -> usize {
    let mut stored = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        match push(&gateway, &body, None).await {
            Ok(_) => stored += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    stored
}

/// Prints how long a small service waits beside a flood, in the time of a simulated disk.
#[expect(
    clippy::print_stdout,
    reason = "a measurement, shown with --no-capture"
)]
#[tokio::test(start_paused = true)]
async fn acknowledgements_of_a_small_service_go_on_beside_a_flood() {
    let gateway = gateway_over(Arc::new(Slow::default()), 64 << 20, 1);
    for senders in [0, 8, 64] {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let floods: Vec<_> = (0..senders)
            .map(|_| {
                let flood = flood(gateway.clone(), records("a0", 500), Arc::clone(&stop));
                #[expect(clippy::disallowed_methods, reason = "a test joins what it spawns")]
                tokio::spawn(flood)
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut waits = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            push(&gateway, &records("b0", 1), None)
                .await
                .expect("stored");
            waits.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut stored = 0;
        for flood in floods {
            stored += flood.await.expect("no panic");
        }
        waits.sort_unstable();
        println!(
            "{senders} senders flood ({stored} of their requests stored): a small service waits {:?} in the \
             middle, {:?} at the 99th of a hundred, {:?} at most",
            waits[100], waits[198], waits[199]
        );
    }
}
