//! Reading a file that is checked against a checksum per 64 KiB piece.
//!
//! A piece is verified when it is first touched, so opening a segment costs nothing and a flipped
//! bit never reaches a query. Reads by position: any number of threads may share one file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hushlog_record::museum::{Bug, planted};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::manifest::{self, FileMeta};

/// Bytes of a piece.
pub const PIECE_BYTES: usize = 64 << 10;
/// First bytes of a checksum file: magic and version.
const MAGIC: &[u8; 5] = b"HLCK\x01";

/// Hashes what is written, piece by piece and as a whole.
pub(crate) struct Hashing<W> {
    inner: W,
    piece: crc32fast::Hasher,
    piece_bytes: usize,
    pieces: Vec<u32>,
    whole: crc32fast::Hasher,
    blake3: blake3::Hasher,
    bytes: u64,
}

/// What [`Hashing`] found out.
pub(crate) struct Hashes {
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
    pub(crate) blake3: [u8; 32],
    pub(crate) pieces: Vec<u32>,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            piece: crc32fast::Hasher::new(),
            piece_bytes: 0,
            pieces: Vec::new(),
            whole: crc32fast::Hasher::new(),
            blake3: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    pub(crate) fn finish(mut self) -> (W, Hashes) {
        if self.piece_bytes > 0 {
            self.end_piece();
        }
        let hashes = Hashes {
            bytes: self.bytes,
            crc32: self.whole.finalize(),
            blake3: *self.blake3.finalize().as_bytes(),
            pieces: self.pieces,
        };
        (self.inner, hashes)
    }

    fn end_piece(&mut self) {
        let piece = std::mem::take(&mut self.piece).finalize();
        self.pieces.push(piece);
        // The checksum of the whole is combined from those of the pieces: one pass, not two.
        let hasher = crc32fast::Hasher::new_with_initial_len(piece, self.piece_bytes as u64);
        self.whole.combine(&hasher);
        self.piece_bytes = 0;
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece_bytes;
        let written = self.inner.write(&bytes[..bytes.len().min(room)])?;
        let written_bytes = &bytes[..written];
        self.piece.update(written_bytes);
        self.blake3.update(written_bytes);
        self.piece_bytes += written;
        self.bytes += written as u64;
        if self.piece_bytes == PIECE_BYTES {
            self.end_piece();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The checksum file of these pieces: magic, version, count (u32), a CRC32 for each, and a CRC32
/// of all that, little-endian.
pub(crate) fn encode(pieces: &[u32]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let count = u32::try_from(pieces.len()).expect("a segment has fewer than 2^32 pieces");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend(pieces.iter().flat_map(|piece| piece.to_le_bytes()));
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Undoes [`encode`]; says what is wrong with damaged bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<u32>, &'static str> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or("too short")?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err("its checksum is wrong");
    }
    let body = body.strip_prefix(MAGIC).ok_or("unknown magic or version")?;
    let (count, pieces) = body.split_first_chunk::<4>().ok_or("too short")?;
    let (pieces, rest) = pieces.as_chunks::<4>();
    if !rest.is_empty() || u64::from(u32::from_le_bytes(*count)) != pieces.len() as u64 {
        return Err("its length is wrong");
    }
    Ok(pieces
        .iter()
        .map(|piece| u32::from_le_bytes(*piece))
        .collect())
}

/// A file and its checksums; a clone shares them.
#[derive(Clone, Debug)]
pub struct CheckedFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    bytes: u64,
    pieces: Vec<u32>,
    verified: Vec<AtomicBool>,
}

impl CheckedFile {
    /// Takes an open file; `None` if it does not have as many pieces as there are checksums.
    pub(crate) fn new(file: File, bytes: u64, pieces: Vec<u32>) -> Option<Self> {
        if bytes.div_ceil(PIECE_BYTES as u64) != pieces.len() as u64 {
            return None;
        }
        let verified = pieces.iter().map(|_| AtomicBool::new(false)).collect();
        Some(Self(Arc::new(Inner {
            file,
            bytes,
            pieces,
            verified,
        })))
    }

    /// Opens a file that the manifest lists, and reads it once to compare it with what the manifest
    /// says; what is read later is compared with what was read then.
    ///
    /// # Errors
    /// [`manifest::Error::Read`] and [`manifest::Error::Mismatch`].
    pub fn open(folder: &Path, meta: &FileMeta) -> Result<Self, manifest::Error> {
        let path = folder.join(&meta.name);
        let failed = |source| manifest::Error::Read {
            path: path.clone(),
            source,
        };
        let mut file = File::open(&path).map_err(failed)?;
        let mut hashing = Hashing::new(io::sink());
        io::copy(&mut file, &mut hashing).map_err(failed)?;
        let (_, hashes) = hashing.finish();
        let same = (hashes.bytes, hashes.crc32) == (meta.bytes, meta.crc32);
        let checked = if same {
            Self::new(file, hashes.bytes, hashes.pieces)
        } else {
            None
        };
        checked.ok_or(manifest::Error::Mismatch(path))
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The bytes `[start, start + length)`.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end, `InvalidData` when a piece is not what was written.
    pub fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start
            .checked_add(length as u64)
            .filter(|end| *end <= self.0.bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let pieces = self.pieces(start, end)?;
        if self.0.verified[pieces.clone()]
            .iter()
            .all(|piece| piece.load(Ordering::Acquire))
        {
            let mut bytes = vec![0; length];
            self.0.file.read_exact_at(&mut bytes, start)?;
            return Ok(bytes.into());
        }
        let from = pieces.start as u64 * PIECE_BYTES as u64;
        let to = (pieces.end as u64 * PIECE_BYTES as u64).min(self.0.bytes);
        let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
        self.0.file.read_exact_at(&mut bytes, from)?;
        for (piece, content) in pieces.zip(bytes.chunks(PIECE_BYTES)) {
            self.verify(piece, content)?;
        }
        let offset = usize::try_from(start - from).map_err(io::Error::other)?;
        Ok(Bytes::from(bytes).slice(offset..offset + length))
    }

    /// Reads and checks every piece, whatever was checked before.
    ///
    /// # Errors
    /// As [`CheckedFile::read`].
    pub fn verify_all(&self) -> io::Result<()> {
        let mut buffer = vec![0; PIECE_BYTES];
        for piece in 0..self.0.pieces.len() {
            let from = piece as u64 * PIECE_BYTES as u64;
            let left = self.0.bytes - from;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let content = &mut buffer[..length];
            self.0.file.read_exact_at(content, from)?;
            self.verify(piece, content)?;
        }
        Ok(())
    }

    /// The pieces that `[start, end)` touches.
    fn pieces(&self, start: u64, end: u64) -> io::Result<std::ops::Range<usize>> {
        let from = usize::try_from(start / PIECE_BYTES as u64).map_err(io::Error::other)?;
        let to = usize::try_from(end.div_ceil(PIECE_BYTES as u64)).map_err(io::Error::other)?;
        Ok(from.min(to)..to)
    }

    fn verify(&self, piece: usize, content: &[u8]) -> io::Result<()> {
        let same = crc32fast::hash(content) == self.0.pieces[piece];
        if !same && !planted(Bug::SkippedChecksum) {
            let what = format!("the checksum of piece {piece} is wrong");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.0.verified[piece].store(true, Ordering::Release);
        Ok(())
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for CheckedFile {
    type T = CheckedReader;

    fn get_read(&self, start: u64) -> Result<CheckedReader, ParquetError> {
        Ok(CheckedReader {
            file: self.clone(),
            at: start,
            buffer: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.read(start, length)?)
    }
}

/// Reads on from a position, a piece at a time.
#[derive(Debug)]
pub struct CheckedReader {
    file: CheckedFile,
    at: u64,
    buffer: Bytes,
}

impl Read for CheckedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let piece_end = (self.at / PIECE_BYTES as u64 + 1) * PIECE_BYTES as u64;
            let end = piece_end.min(self.file.0.bytes).max(self.at);
            let length = usize::try_from(end - self.at).map_err(io::Error::other)?;
            self.buffer = self.file.read(self.at, length)?;
            self.at = end;
        }
        let length = out.len().min(self.buffer.len());
        out[..length].copy_from_slice(&self.buffer.split_to(length));
        Ok(length)
    }
}
