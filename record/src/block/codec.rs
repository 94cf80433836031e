//! Compression of a block's packed columns.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::Error;

/// How the columns of a block are compressed; the numbers are stored and must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    None = 0,
    /// An LZ4 block.
    Lz4 = 1,
    /// A Zstandard frame.
    Zstd = 2,
}

/// Level of Zstandard: the fastest of the regular ones.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    // A fresh context costs more than compressing a small block with it.
    static COMPRESS: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESS: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Codec {
    /// The codec with this stored number.
    pub(super) fn from_code(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::None),
            1 => Ok(Self::Lz4),
            2 => Ok(Self::Zstd),
            _ => Err(Error::Codec(code)),
        }
    }

    /// Appends the compressed form of `raw`; `false`, and nothing appended, when it would be no smaller.
    pub(super) fn compress(self, raw: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::None => return false,
            Self::Lz4 => out.extend_from_slice(&lz4_flex::block::compress(raw)),
            Self::Zstd => out.extend_from_slice(&zstd_compress(raw)),
        }
        let smaller = out.len() - start < raw.len();
        if !smaller {
            out.truncate(start);
        }
        smaller
    }

    /// The `raw_len` bytes that `stored` stands for. The caller has held `raw_len` against the limit.
    pub(super) fn decompress(self, stored: &[u8], raw_len: usize) -> Result<Vec<u8>, Error> {
        const DAMAGED: Error = Error::Malformed("its columns do not decompress");
        let raw = match self {
            Self::None => stored.to_vec(),
            Self::Lz4 => lz4_flex::block::decompress(stored, raw_len).map_err(|_| DAMAGED)?,
            Self::Zstd => zstd_decompress(stored, raw_len).map_err(|_| DAMAGED)?,
        };
        if raw.len() == raw_len {
            Ok(raw)
        } else {
            Err(DAMAGED)
        }
    }
}

fn zstd_compress(raw: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|slot| {
        let compressor = slot.get_or_insert_with(|| {
            Compressor::new(ZSTD_LEVEL).expect("level 1 exists in every Zstandard")
        });
        compressor
            .compress(raw)
            .expect("the library sizes its own output")
    })
}

fn zstd_decompress(stored: &[u8], raw_len: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESS.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress(stored, raw_len)
    })
}
