//! Blocks written by earlier versions stay readable, and this version writes what it wrote.
//!
//! A new format version gets new files; these are never rewritten. `HUSHLOG_UPDATE_GOLDEN=1` writes
//! the files that are missing.

mod common;

use std::path::PathBuf;

use bytes::Bytes;
use common::seal_content;
use hushlog_record::block::Codec;
use hushlog_record::{Block, Masked, Record};

/// Digest of the request in the blocks of version 2.
const CONTENT: u64 = 0x0123_4567_89ab_cdef;

/// The rows of the blocks of version 3: some exceptions have signatures.
fn signed() -> Vec<Masked<Record>> {
    let mut records = common::fixed();
    for (record, number) in records.iter_mut().zip(0u64..) {
        record.sign(|_| number * 0x0123_4567_89ab);
    }
    records
}

fn golden(name: &str, codec: Codec, records: &[Masked<Record>], content: u64) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, seal_content(codec, records, content).bytes()).expect("it works");
    }
    Bytes::from(std::fs::read(path).expect("it works"))
}

fn check(name: &str, codec: Codec, content: u64) -> Block {
    check_of(name, codec, &common::fixed(), content)
}

fn check_of(name: &str, codec: Codec, records: &[Masked<Record>], content: u64) -> Block {
    let block = Block::parse(golden(name, codec, records, content)).expect("it works");
    assert_eq!(block.codec(), codec);
    let sealed = seal_content(codec, records, content);
    assert_eq!(block.header(), sealed.header());
    assert!(block.columns().expect("it works").records() == records);
    block
}

#[test]
fn version_1_without_compression_is_readable_and_written_the_same() {
    let block = check("block-v1-none.bin", Codec::None, 0);
    let sealed = seal_content(Codec::None, &common::fixed(), 0);
    assert_eq!(block.bytes(), sealed.bytes());
}

#[test]
fn version_2_is_readable_and_written_the_same() {
    let block = check("block-v2-none.bin", Codec::None, CONTENT);
    let sealed = seal_content(Codec::None, &common::fixed(), CONTENT);
    assert_eq!(block.bytes(), sealed.bytes());
    assert_eq!(block.header().parts[0].content, CONTENT);
}

#[test]
fn version_3_is_readable_and_written_the_same_with_content_and_without() {
    for (name, content) in [("block-v3-none.bin", 0), ("block-v3-content.bin", CONTENT)] {
        let block = check_of(name, Codec::None, &signed(), content);
        let sealed = seal_content(Codec::None, &signed(), content);
        assert_eq!(block.bytes(), sealed.bytes());
        assert_eq!(block.bytes()[8], 3);
        let columns = block.columns().expect("it works");
        assert_eq!(
            columns.exception.signature.len(),
            columns.exception.rows.len()
        );
    }
}

// The compressed forms may change with the libraries; what must not change is that they are readable.
#[test]
fn version_1_with_lz4_is_readable() {
    check("block-v1-lz4.bin", Codec::Lz4, 0);
}

#[test]
fn version_1_with_zstandard_is_readable() {
    check("block-v1-zstd.bin", Codec::Zstd, 0);
}
