//! Damaged, foreign and forged bytes are refused; nothing panics and nothing is allocated on a lie.

mod common;

use bytes::Bytes;
use common::{records, seal};
use hushlog_record::Block;
use hushlog_record::block::{Codec, Counts, Error};
use proptest::prelude::*;

const HEAD: usize = 28;

/// Reads everything there is to read.
fn read(bytes: &[u8]) -> Result<(), Error> {
    let columns = Block::parse(Bytes::copy_from_slice(bytes))?.columns()?;
    assert_eq!(columns.records().len(), columns.rows as usize);
    Ok(())
}

/// Gives forged bytes the right checksum, so that the decoder behind it is reached.
fn sign(mut block: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&block[8..]).to_le_bytes();
    block[4..8].copy_from_slice(&crc);
    block
}

fn patch(block: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    block[at..at + bytes.len()].copy_from_slice(bytes);
    block
}

#[test]
fn every_flipped_bit_is_detected() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let block = seal(codec, &common::fixed()).bytes().to_vec();
        for at in 0..block.len() {
            for bit in 0..8 {
                let damaged = patch(&block, at, &[block[at] ^ (1 << bit)]);
                assert!(
                    Block::parse(Bytes::from(damaged)).is_err(),
                    "byte {at} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn every_truncation_and_every_extra_byte_is_detected() {
    let block = seal(Codec::Zstd, &common::fixed()).bytes().to_vec();
    for len in 0..block.len() {
        assert!(read(&block[..len]).is_err(), "cut to {len}");
        assert!(
            read(&sign_if_possible(&block[..len])).is_err(),
            "cut to {len} and signed"
        );
    }
    let longer = [block.as_slice(), &[0]].concat();
    assert!(matches!(read(&longer), Err(Error::Length { .. })));
}

fn sign_if_possible(block: &[u8]) -> Vec<u8> {
    if block.len() < 8 {
        block.to_vec()
    } else {
        sign(block.to_vec())
    }
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let block = seal(Codec::None, &common::fixed());
    let error = read(&sign(patch(block.bytes(), 8, &[4]))).expect_err("it is refused");
    assert_eq!(error, Error::Version { found: 4, known: 3 });
    assert_eq!(
        error.to_string(),
        "block version 4 is unknown; this release reads version 3 and older"
    );
    // A known version with parts of the other one.
    let read = read(&sign(patch(block.bytes(), 8, &[2])));
    assert!(matches!(read, Err(Error::Malformed(_))), "{read:?}");
}

#[test]
fn an_unknown_codec_is_refused_by_name() {
    let block = seal(Codec::None, &common::fixed());
    assert_eq!(
        read(&sign(patch(block.bytes(), 9, &[7]))),
        Err(Error::Codec(7))
    );
}

#[test]
fn foreign_bytes_are_not_a_block() {
    for bytes in [&b""[..], b"HLB", b"PAR1............................"] {
        assert_eq!(read(bytes), Err(Error::Magic));
    }
}

#[test]
fn a_huge_claimed_length_is_refused_before_memory_is_taken() {
    let block = seal(Codec::Zstd, &common::fixed());
    let claim = sign(patch(block.bytes(), 20, &u32::MAX.to_le_bytes()));
    assert!(matches!(read(&claim), Err(Error::Limit { .. })));
    let lz4 = seal(Codec::Lz4, &common::fixed());
    let claim = sign(patch(lz4.bytes(), 20, &(100u32 << 20).to_le_bytes()));
    assert!(matches!(read(&claim), Err(Error::Malformed(_))));
    for at in [12, 16, 24] {
        let claim = sign(patch(block.bytes(), at, &u32::MAX.to_le_bytes()));
        assert!(matches!(read(&claim), Err(Error::Length { .. })));
    }
}

#[test]
fn a_huge_claimed_row_count_is_refused() {
    let block = seal(Codec::None, &common::fixed()).bytes().to_vec();
    // Rows follow the bucket and the slot, one byte each.
    assert_eq!(block[HEAD + 2], 20);
    assert!(read(&sign(patch(&block, HEAD + 2, &[21]))).is_err());
    assert!(read(&sign(patch(&block, HEAD + 2, &[0]))).is_err());
    assert!(read(&sign(patch(&block, HEAD + 2, &[127]))).is_err());
}

#[test]
fn counts_that_would_grow_a_thousandfold_are_refused() {
    // One name of 3 KB, and 65,536 levels of it: 200 MB from 260 KB.
    let mut bytes = vec![1, 0x80, 0x18];
    bytes.extend(std::iter::repeat_n(b'a', 3 << 10));
    bytes.extend([0x80, 0x80, 0x04]);
    for _ in 0..65_536 {
        bytes.extend([2, 0, 1, 1]);
    }
    bytes.push(0);
    assert!(matches!(
        Counts::decode(&bytes),
        Err(Error::Limit {
            what: "text of counts",
            ..
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
        let _ = Counts::decode(&bytes);
    }

    #[test]
    fn arbitrary_columns_behind_a_right_checksum_never_panic(
        junk in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..300),
    ) {
        let block = seal(Codec::None, &common::fixed()).bytes().to_vec();
        let len = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("it works")) as usize;
        let mut forged = block[..HEAD + len(12)].to_vec();
        forged.extend_from_slice(&junk);
        forged.extend_from_slice(&block[block.len() - len(24)..]);
        let junk_len = u32::try_from(junk.len()).expect("it works").to_le_bytes();
        let forged = patch(&patch(&forged, 16, &junk_len), 20, &junk_len);
        prop_assert!(read(&sign(forged)).is_err());
    }

    #[test]
    fn mutations_behind_a_right_checksum_never_panic(
        records in records(6),
        codec in prop::sample::select(vec![Codec::None, Codec::Lz4, Codec::Zstd]),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut block = seal(codec, &records).bytes().to_vec();
        for (at, byte) in mutations {
            let at = at.index(block.len());
            block[at] = byte;
        }
        let _ = read(&sign(block));
    }
}
