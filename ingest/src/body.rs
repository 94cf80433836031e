//! A request body, decoded under a limit.
//!
//! Decompression stops one byte past the limit, whatever the ratio: memory grows with what was
//! really decoded, never with what a header claims. Never looks at what the bytes mean.

use std::borrow::Cow;
use std::io::Read;

use crate::limits::{ENCODINGS_MAX, ZSTD_WINDOW_LOG_MAX};

/// How many bytes one byte of deflate can stand for, at most (RFC 1951: 258 bytes in two bits).
const GZIP_RATIO_MAX: usize = 1_032;
/// How many bytes one byte of zstd is taken to stand for, at most. It can be 30 times as many (RFC 8878: a block
/// of 128 KiB in four bytes), but what is said to be so is not believed before it is decoded.
const ZSTD_RATIO_MAX: usize = GZIP_RATIO_MAX;
/// Bytes asked of the decoder at once.
const CHUNK: usize = 64 << 10;

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Over the limit after decoding (413).
    #[error("the body is larger than {limit} bytes after decoding")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A zstd frame wants more memory than is granted (413).
    #[error("the zstd window is larger than 2^{ZSTD_WINDOW_LOG_MAX} bytes")]
    WindowTooLarge,
    /// The bytes are not of the encoding that was declared (400).
    #[error("the body is not valid {encoding} near byte {offset}")]
    BadEncoding {
        /// The declared encoding.
        encoding: &'static str,
        /// How much of the body had been read, in bytes.
        offset: usize,
    },
    /// An encoding that is not spoken here (415).
    #[error("unsupported content encoding; use identity, gzip or zstd")]
    Unsupported,
}

/// One content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Reads a `Content-Encoding` header; the order is the order in which they were applied.
///
/// # Errors
/// [`Error::Unsupported`] for an unknown name or more than [`ENCODINGS_MAX`] of them.
pub fn encodings(header: Option<&str>) -> Result<Vec<Encoding>, Error> {
    let mut found = Vec::new();
    for name in header.unwrap_or_default().split(',').map(str::trim) {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => found.push(Encoding::Gzip),
            "zstd" => found.push(Encoding::Zstd),
            _ => return Err(Error::Unsupported),
        }
    }
    if found.len() > ENCODINGS_MAX {
        return Err(Error::Unsupported);
    }
    Ok(found)
}

/// How long the body says that it is after decoding, in bytes: nobody has checked that. `None` where it does
/// not say, and where there is another encoding inside.
///
/// Of a body in gzip of several members it is the length of the last one. What no body of this length can become
/// is not said; of zstd no more is said than a body of this length usually can become.
pub fn claimed_len(body: &[u8], encodings: &[Encoding]) -> Option<usize> {
    match encodings {
        [Encoding::Gzip] => {
            let (_, length) = body.split_last_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            (length <= body.len().saturating_mul(GZIP_RATIO_MAX)).then_some(length)
        }
        [Encoding::Zstd] => {
            let length = zstd::zstd_safe::get_frame_content_size(body).ok()??;
            let length = usize::try_from(length).ok()?;
            Some(length.min(body.len().saturating_mul(ZSTD_RATIO_MAX)))
        }
        _ => None,
    }
}

/// Undoes `encodings`, last one first; a body without any is borrowed, not copied.
///
/// # Errors
/// See [`Error`]; `limit` bounds the result of every step, in bytes.
pub fn decode<'a>(
    body: &'a [u8],
    encodings: &[Encoding],
    limit: usize,
) -> Result<Cow<'a, [u8]>, Error> {
    if body.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    let mut current = Cow::Borrowed(body);
    for encoding in encodings.iter().rev() {
        current = Cow::Owned(match encoding {
            Encoding::Gzip => gunzip(&current, limit)?,
            Encoding::Zstd => unzstd(&current, limit)?,
        });
    }
    Ok(current)
}

fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let mut decoder = flate2::bufread::MultiGzDecoder::new(body);
    let result = drain(&mut decoder, body.len(), limit);
    let offset = body.len() - decoder.get_ref().len();
    result.map_err(|failure| failure.named(Encoding::Gzip, offset, limit))
}

fn unzstd(body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let bad = |offset| Error::BadEncoding {
        encoding: Encoding::Zstd.name(),
        offset,
    };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| bad(0))?;
    decoder
        .window_log_max(ZSTD_WINDOW_LOG_MAX)
        .map_err(|_| bad(0))?;
    let result = drain(&mut decoder, body.len(), limit);
    let offset = body.len() - decoder.get_ref().len();
    result.map_err(|failure| failure.named(Encoding::Zstd, offset, limit))
}

enum Failure {
    Limit,
    Io(std::io::Error),
}

impl Failure {
    fn named(self, encoding: Encoding, offset: usize, limit: usize) -> Error {
        match self {
            Self::Limit => Error::TooLarge { limit },
            // The library gives this case no kind of its own, only its text.
            Self::Io(error) if error.to_string().contains("too much memory") => {
                Error::WindowTooLarge
            }
            Self::Io(_) => Error::BadEncoding {
                encoding: encoding.name(),
                offset,
            },
        }
    }
}

/// Reads to the end or to one byte past `limit`.
fn drain(reader: &mut impl Read, encoded: usize, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(encoded.saturating_mul(4).min(limit).min(1 << 20));
    let mut filled = 0;
    loop {
        if filled == out.len() {
            let next = (filled + CHUNK).min(limit.saturating_add(1));
            if next > out.capacity() {
                // Doubles, but takes no more than is granted.
                let granted = limit.saturating_add(1) - filled;
                out.reserve_exact(filled.max(CHUNK).min(granted));
            }
            out.resize(next, 0);
        }
        match reader.read(&mut out[filled..]) {
            Ok(0) => {
                out.truncate(filled);
                return Ok(out);
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Io(error)),
        }
        if filled > limit {
            return Err(Failure::Limit);
        }
    }
}
