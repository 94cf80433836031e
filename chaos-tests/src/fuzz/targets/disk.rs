//! What lies on disks and travels between nodes: damage is told, whatever it is, and what is read is written again
//! as it was.

use bytes::Bytes;
use hushlog_pii::{Key, Masker, Policy};
use hushlog_raft::{inspect, meta};
use hushlog_record::block::{Codec, Counts};
use hushlog_record::{Block, Exception, Level, LogId, Masked, Record, ShardId, Timestamp, Value};
use hushlog_sketch::{Exceptions, IdFilter, Summary};
use hushlog_storage::manifest::Manifest;
use hushlog_storage::store::Space;

use super::super::{Target, shape};
use super::nothing;

pub(super) const TARGETS: [Target; 6] = [
    Target {
        name: "block",
        what: "blocks, and counts in their headers",
        seeds: || {
            vec![
                block(Codec::None, 1),
                block(Codec::None, 8),
                block(Codec::Zstd, 8),
            ]
        },
        words: &["HLBK", "\u{0}\u{0}\u{0}\u{0}", "\u{1}", "\u{2}", "\u{3}"],
        repair: sign_block,
        run: run_block,
    },
    Target {
        name: "counts",
        what: "counts of a block",
        seeds: || vec![Counts::of(&records(3)).encode()],
        words: &["\u{0}", "\u{1}", "\u{7f}"],
        repair: nothing,
        run: |bytes| match Counts::decode(bytes) {
            Ok(counts) => {
                assert!(
                    Counts::decode(&counts.encode()).as_ref() == Ok(&counts),
                    "counts are read back"
                );
                shape(&[0, counts.levels.len(), counts.exceptions.len()])
            }
            Err(error) => shape(&[1, error.to_string().len()]),
        },
    },
    Target {
        name: "manifest",
        what: "manifests of shards",
        seeds: || vec![Manifest::default().encode()],
        words: &[
            "HLMF",
            "rows.parquet",
            "\u{0}\u{0}\u{0}\u{0}",
            "\u{1}\u{0}\u{0}\u{0}",
        ],
        repair: sign_end,
        run: |bytes| match Manifest::decode(bytes) {
            Ok(manifest) => {
                assert!(
                    manifest.encode() == bytes,
                    "a manifest is written as it was read"
                );
                shape(&[0, manifest.segments.len()])
            }
            Err(error) => shape(&[1, error.to_string().len()]),
        },
    },
    Target {
        name: "facts",
        what: "facts of the meta group",
        seeds: || vec![inspect::facts(&meta::State::default())],
        words: &[
            "\u{1}",
            "\u{2}",
            "\u{3}",
            "\u{4}",
            "\u{5}",
            "\u{0}\u{0}\u{0}\u{1}",
            "a:1",
        ],
        repair: nothing,
        run: |bytes| match inspect::read_facts(bytes) {
            Ok(facts) => {
                let written = inspect::facts(&facts);
                let back = inspect::read_facts(&written).expect("what is written is read");
                assert!(inspect::facts(&back) == written, "facts are read back");
                shape(&[0, written.len()])
            }
            Err(error) => shape(&[1, error.to_string().len()]),
        },
    },
    Target {
        name: "rows",
        what: "rows of the store: log entries, votes, positions",
        seeds: || {
            let mut seeds = Vec::new();
            for tag in 0u8..8 {
                seeds.push([&[tag], &[0; 40][..]].concat());
            }
            seeds
        },
        words: &["\u{0}\u{0}\u{0}\u{1}", "\u{1}", "\u{2}"],
        repair: nothing,
        run: run_row,
    },
    Target {
        name: "summary",
        what: "summaries of segments: counts, exceptions, filters of ids",
        seeds: || vec![Summary::default().encode(), Exceptions::default().encode()],
        words: &["\u{0}", "\u{1}", "\u{7f}", "\u{ff}"],
        repair: nothing,
        run: run_summary,
    },
];

fn records(count: u8) -> Vec<Record> {
    let record = |number: u8| {
        let time = Timestamp::from_millis(1_700_000_000_000 + i64::from(number));
        let mut record = Record::new(LogId([number; 16]), time, "a b");
        record.level = Level::Error;
        record.host = "h".into();
        record.trace_id = "0af7651916cd43dd8448eb211c80319c".into();
        record.fields = vec![("n".into(), Value::number(number.to_string()))];
        if number.is_multiple_of(2) {
            record.exception = Some(Exception {
                type_name: "E".into(),
                message: "m".into(),
                stack_trace: "at x".into(),
                signature: u64::from(number),
            });
            record.pii = vec!["email".into()];
        }
        record
    };
    (0..count).map(record).collect()
}

/// A block of so many records.
fn block(codec: Codec, count: u8) -> Vec<u8> {
    let shard = ShardId { bucket: 1, slot: 0 };
    let masker = Masker::new(Policy::empty(), Key::new([1; 32]));
    let all = records(count).into_iter();
    let masked: Vec<Masked<Record>> = all.map(|record| masker.mask(record)).collect();
    let time = Timestamp::from_nanos(5);
    let block = Block::seal_with(codec, shard, 1, time, Vec::new(), &masked);
    block.bytes().to_vec()
}

#[expect(clippy::ptr_arg, reason = "every target's repair is called alike")]
fn sign_block(bytes: &mut Vec<u8>) {
    if bytes.len() >= 8 {
        bytes[..4].copy_from_slice(b"HLBK");
        let crc = crc32fast::hash(&bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
    }
}

/// The last four bytes are the checksum of all before.
#[expect(clippy::ptr_arg, reason = "every target's repair is called alike")]
fn sign_end(bytes: &mut Vec<u8>) {
    if let Some(body) = bytes.len().checked_sub(4) {
        let crc = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&crc);
    }
}

fn run_block(bytes: &[u8]) -> u64 {
    let block = match Block::parse(Bytes::copy_from_slice(bytes)) {
        Ok(block) => block,
        Err(error) => return shape(&[1, error.to_string().len()]),
    };
    match block.columns() {
        Ok(columns) => {
            assert!(
                columns.records().len() == columns.rows as usize,
                "every row is a record"
            );
            let fields = columns.fields.len();
            shape(&[
                0,
                columns.records().len(),
                fields,
                columns.exception.signature.len(),
            ])
        }
        Err(error) => shape(&[2, error.to_string().len()]),
    }
}

fn run_row(bytes: &[u8]) -> u64 {
    let (first, value) = bytes.split_first().unwrap_or((&0, &[]));
    let space = if first.is_multiple_of(2) {
        Space::Log
    } else {
        Space::State
    };
    let mut key = (u64::from(*first) % 3).to_be_bytes().to_vec();
    key.push(first / 2);
    match inspect::row(space, &key, value) {
        Ok(fact) => shape(&[0, usize::from(fact.is_some())]),
        Err(error) => shape(&[1, error.to_string().len()]),
    }
}

fn run_summary(bytes: &[u8]) -> u64 {
    let mut numbers = Vec::new();
    if let Ok(summary) = Summary::decode(bytes) {
        let back = Summary::decode(&summary.encode()).expect("what is written is read");
        assert!(back.encode() == summary.encode(), "a summary is read back");
        numbers.extend([1, summary.encode().len()]);
    }
    if let Ok(exceptions) = Exceptions::decode(bytes) {
        let back = Exceptions::decode(&exceptions.encode()).expect("what is written is read");
        assert!(
            back.encode() == exceptions.encode(),
            "exceptions are read back"
        );
        numbers.extend([2, exceptions.encode().len()]);
    }
    if let Ok(filter) = IdFilter::decode(bytes) {
        assert!(
            filter.encode() == bytes,
            "a filter is written as it was read"
        );
        numbers.push(3);
    }
    shape(&numbers)
}
