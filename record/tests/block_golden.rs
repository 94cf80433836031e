//! Blocks written by earlier versions stay readable, and this version writes what it wrote.
//!
//! A new format version gets new files; these are never rewritten. `HUSHLOG_UPDATE_GOLDEN=1` writes
//! the files that are missing.

mod common;

use std::path::PathBuf;

use bytes::Bytes;
use common::seal;
use hushlog_record::Block;
use hushlog_record::block::Codec;

fn golden(name: &str, codec: Codec) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("HUSHLOG_UPDATE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, seal(codec, &common::fixed()).bytes()).expect("it works");
    }
    Bytes::from(std::fs::read(path).expect("it works"))
}

fn check(name: &str, codec: Codec) -> Block {
    let block = Block::parse(golden(name, codec)).expect("it works");
    assert_eq!(block.codec(), codec);
    assert_eq!(block.header(), seal(codec, &common::fixed()).header());
    assert!(block.columns().expect("it works").records() == common::fixed());
    block
}

#[test]
fn version_1_without_compression_is_readable_and_written_the_same() {
    let block = check("block-v1-none.bin", Codec::None);
    assert_eq!(block.bytes(), seal(Codec::None, &common::fixed()).bytes());
}

// The compressed forms may change with the libraries; what must not change is that they are readable.
#[test]
fn version_1_with_lz4_is_readable() {
    check("block-v1-lz4.bin", Codec::Lz4);
}

#[test]
fn version_1_with_zstandard_is_readable() {
    check("block-v1-zstd.bin", Codec::Zstd);
}
