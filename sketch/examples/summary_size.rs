//! Size and speed of summaries: 2,000,000 records over 24 hours, 50 services and 5 levels, and an id
//! filter for them. Run it with `cargo run --release -p hushlog-sketch --example summary_size`.
//!
//! Never part of a test: it measures time.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::hint::black_box;

use hushlog_sketch::{ExceptionTally, IdFilter, Summary};

const RECORDS: u64 = 2_000_000;
const MINUTES: u64 = 24 * 60;

fn roll(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Prints the CPU time of one run, the mean of many.
fn timed<T>(what: &str, mut run: impl FnMut() -> T) -> T {
    const RUNS: u64 = 50;
    let before = cpu_nanos();
    (0..RUNS).for_each(|_| drop(black_box(run())));
    println!("{what}: {} µs", (cpu_nanos() - before) / RUNS / 1_000);
    run()
}

/// CPU time of this thread, from Linux; other processes do not count.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("runs on Linux");
    let first = text
        .split_whitespace()
        .next()
        .expect("schedstat has three numbers");
    first.parse().expect("schedstat has three numbers")
}

fn fill() -> Summary {
    let mut summary = Summary::new();
    let mut state = 88_172_645_463_325_252;
    for _ in 0..RECORDS {
        let minute = i64::try_from(28_333_333 + roll(&mut state) % MINUTES).expect("small");
        let service = format!("service-{:02}", roll(&mut state) % 50);
        let level = [2, 2, 2, 1, 3, 4, 5][usize::try_from(roll(&mut state) % 7).expect("small")];
        summary.add_level(minute, &service, level, 1);
        if level == 4 && roll(&mut state).is_multiple_of(10) {
            let at = minute * 60_000_000_000;
            let kind = format!("com.shop.Exception{}", roll(&mut state) % 20);
            let samples = [[(minute % 200).unsigned_abs().try_into().expect("small"); 16]];
            let tally = ExceptionTally {
                count: 1,
                first_seen: at,
                last_seen: at,
                samples: &samples,
            };
            summary.add_exception(minute, &service, &kind, tally);
        }
    }
    summary
}

fn main() {
    let summary = fill();
    let bytes = timed("encode", || summary.encode());
    println!("  {} bytes", bytes.len());
    let read = timed("decode", || Summary::decode(&bytes)).expect("its own bytes");
    let sum = timed("sum all levels", || {
        read.levels(0..i64::MAX, None).map(|l| l.count).sum::<u64>()
    });
    println!("  {sum} records");
    let services = ["service-07".to_owned()];
    timed("sum one service", || {
        read.levels(0..i64::MAX, Some(&services))
            .map(|l| l.count)
            .sum::<u64>()
    });
    let partial = timed("exceptions of 24 h", || read.exceptions(0..i64::MAX, None));
    timed("top 10 of them", || partial.top(10, false));
    timed("copy and merge", || {
        let mut merged = read.clone();
        merged.merge(&read);
        merged
    });
    let ids: Vec<[u8; 16]> = (0..RECORDS).map(|n| u128::from(n).to_be_bytes()).collect();
    let filter = timed("id filter of 2,000,000 ids", || IdFilter::build(&ids));
    println!("  {} bytes", filter.encode().len());
    timed("2,000,000 look-ups", || {
        ids.iter().filter(|id| filter.may_contain(id)).count()
    });
}
