//! The block as it is, and the codecs by themselves for the other forms.

use std::cell::RefCell;
use std::hint::black_box;

use hushlog_record::block::Codec;
use hushlog_record::{Block, Masked, Record, ShardId, Timestamp};

use zstd::bulk::{Compressor, Decompressor};

use super::best;

fn seal(codec: Codec, batch: &[Masked<Record>]) -> Block {
    let shard = ShardId { bucket: 1, slot: 0 };
    Block::seal_with(codec, shard, 1, Timestamp::from_nanos(0), Vec::new(), batch)
}

pub(crate) fn measure(codec: Codec, batches: &[&[Masked<Record>]]) -> (u64, u64, usize) {
    let encode = best(|| {
        batches
            .iter()
            .for_each(|batch| drop(black_box(seal(codec, batch))))
    });
    let sealed: Vec<Block> = batches.iter().map(|batch| seal(codec, batch)).collect();
    let decode = best(|| {
        for block in &sealed {
            let block = Block::parse(block.bytes().clone()).expect("it was just sealed");
            drop(black_box(block.columns().expect("it was just sealed")));
        }
    });
    (
        encode,
        decode,
        sealed.iter().map(|block| block.bytes().len()).sum(),
    )
}

thread_local! {
    static ZSTD: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(1).expect("level 1 exists"));
    static UNZSTD: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("memory for a context"));
}

pub(crate) fn compress(codec: Codec, raw: Vec<u8>) -> Vec<u8> {
    match codec {
        Codec::None => raw,
        Codec::Lz4 => lz4_flex::block::compress(&raw),
        Codec::Zstd => ZSTD
            .with_borrow_mut(|zstd| zstd.compress(&raw))
            .expect("it fits"),
    }
}

pub(crate) fn decompress(codec: Codec, stored: &[u8], raw_len: usize) -> Vec<u8> {
    match codec {
        Codec::None => stored.to_vec(),
        Codec::Lz4 => lz4_flex::block::decompress(stored, raw_len).expect("it was just made"),
        Codec::Zstd => UNZSTD
            .with_borrow_mut(|zstd| zstd.decompress(stored, raw_len))
            .expect("it was just made"),
    }
}
