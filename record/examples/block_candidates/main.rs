//! Compares forms of a block: own columns, Arrow IPC, protobuf rows; each bare, with LZ4 and with
//! Zstandard level 1. Prints CPU time and bytes per record. Run it with
//! `cargo run --release -p hushlog-record --example block_candidates`.
//!
//! With `HUSHLOG_CORPUS` set to a folder of log files, the messages are its lines; otherwise they
//! are generated. Never part of a test: it measures time.
#![expect(clippy::print_stdout, reason = "its output is the table")]

mod arrow;
mod lines;
mod own;
mod rows;

use std::hint::black_box;

use hushlog_record::block::Codec;
use hushlog_record::{Masked, Record};

/// Few enough to stay in the processor's cache, as records do on their way from the masker to the block.
const RECORDS: usize = 2_000;
/// Passes over all of them in one measured run.
const PASSES: usize = 200;
const ROUNDS: usize = 3;

/// A form of a block: one batch of records to bytes and back into memory that can be scanned.
pub(crate) struct Form {
    name: &'static str,
    encode: fn(&[Masked<Record>]) -> Vec<u8>,
    decode: fn(&[u8]),
}

fn main() {
    let records = lines::records(RECORDS);
    let text: usize = records.iter().map(|record| record.text_bytes()).sum();
    println!(
        "{RECORDS} records, {} B of text each on average",
        text / RECORDS
    );
    println!();
    println!("| rows | form | codec | encode ns | decode ns | bytes |");
    println!("| ---: | --- | --- | ---: | ---: | ---: |");
    for rows in [100, 1_000] {
        let batches: Vec<&[Masked<Record>]> = records.chunks(rows).collect();
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            let row = own::measure(codec, &batches);
            print_row(rows, "own columns, with header, digest, CRC", codec, row);
        }
        for form in [arrow::FORM, rows::FORM] {
            for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
                print_row(rows, form.name, codec, measure(&form, codec, &batches));
            }
        }
    }
}

fn print_row(rows: usize, form: &str, codec: Codec, (encode, decode, bytes): (u64, u64, usize)) {
    let records = (RECORDS * PASSES) as u64;
    println!(
        "| {rows} | {form} | {codec:?} | {} | {} | {} |",
        encode / records,
        decode / records,
        bytes / RECORDS
    );
}

fn measure(form: &Form, codec: Codec, batches: &[&[Masked<Record>]]) -> (u64, u64, usize) {
    let seal = |batch: &[Masked<Record>]| {
        let raw = (form.encode)(batch);
        (raw.len(), own::compress(codec, raw))
    };
    let encode = best(|| {
        batches
            .iter()
            .for_each(|batch| drop(black_box(seal(batch))))
    });
    let sealed: Vec<_> = batches.iter().map(|batch| seal(batch)).collect();
    let decode = best(|| {
        for (raw_len, stored) in &sealed {
            (form.decode)(&own::decompress(codec, stored, *raw_len));
        }
    });
    (
        encode,
        decode,
        sealed.iter().map(|(_, stored)| stored.len()).sum(),
    )
}

/// Least CPU nanoseconds of a few runs.
pub(crate) fn best(mut run: impl FnMut()) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let before = cpu_nanos();
        (0..PASSES).for_each(|_| run());
        least = least.min(cpu_nanos().saturating_sub(before));
    }
    least
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
