//! The manifest: which segments a shard has, and which files they are made of.
//!
//! It is one value of the node's store, replaced whole in the batch that also moves `segmented_to`.
//! Integers are little-endian:
//!
//! ```text
//! manifest  magic "HLMF" · version u16 = 2, or 3 · generation u64 · count u32 · segments · CRC32 of all before
//! segment   raw bytes u64 (not in version 1) · edition u32 (since version 3) · from u64 · to u64 · rows u64 · time_min i64 · time_max i64 · log_id_min 16 · log_id_max 16
//!           · row_digest 32 · count u16 · files
//! file      name length u8 · name · bytes u64 · CRC32 u32 · BLAKE3 32
//! ```
//!
//! The digest that replicas compare is of the segments as version 1 lists them, each with its edition behind it
//! if that is not 0: it is the same for those that earlier builds have written. Version 3 is written only where
//! a segment has an edition.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hushlog_record::{LogId, Timestamp};

use crate::files;
use crate::segment::folder_name;

const MAGIC: [u8; 4] = *b"HLMF";
/// The version of the format that this release writes while no segment has an edition.
pub const VERSION: u16 = 2;
/// The version with editions.
const VERSION_WITH_EDITIONS: u16 = 3;
/// The version before, which does not say how much the rows are in memory.
const VERSION_WITHOUT_RAW_BYTES: u16 = 1;
/// Most segments of one shard.
pub const SEGMENTS_MAX: usize = 100_000;
/// Most files of one segment.
pub const FILES_MAX: usize = 16;
/// Bytes hashed at a time.
const READ_BYTES: usize = 256 << 10;

/// A manifest cannot be read, or a file is not what it says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a manifest.
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
    /// A later release wrote it.
    #[error("manifest version {0} is not known to this release")]
    Version(u16),
    /// The segment has no such file.
    #[error("the segment has no file {0:?}")]
    NoFile(String),
    /// A file's content is not what the manifest says.
    #[error("file {0} is not what the manifest says")]
    Mismatch(PathBuf),
    /// A file could not be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Disk(#[from] crate::Error),
}

/// One file of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// Its name in the segment's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC32 of its content.
    pub crc32: u32,
    /// BLAKE3 of its content: what replicas and repairs compare.
    pub blake3: [u8; 32],
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// First seq.
    pub from: u64,
    /// End of the range, not in it.
    pub to: u64,
    /// How often it was written anew without some of its rows: each time into a folder of its own.
    pub edition: u32,
    /// Number of rows.
    pub rows: u64,
    /// First event time.
    pub time_min: Timestamp,
    /// Last event time.
    pub time_max: Timestamp,
    /// Smallest record id.
    pub log_id_min: LogId,
    /// Largest record id.
    pub log_id_max: LogId,
    /// Digest of the rows in their order ([`RowDigest`](crate::segment::digest::RowDigest)).
    pub row_digest: [u8; 32],
    /// Bytes of its rows before they were encoded and compressed; 0 where an earlier build has not said.
    pub raw_bytes: u64,
    /// Its files.
    pub files: Vec<FileMeta>,
}

/// The segments of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Grows by one with every change.
    pub generation: u64,
    /// The segments, by seq, not overlapping.
    pub segments: Vec<SegmentMeta>,
}

impl FileMeta {
    /// Describes a file of this name and content.
    pub fn of(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            bytes: content.len() as u64,
            crc32: crc32fast::hash(content),
            blake3: *blake3::hash(content).as_bytes(),
        }
    }

    /// Writes a file durably and describes it.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn create(folder: &Path, name: &str, content: &[u8]) -> Result<Self, Error> {
        files::write_synced(&folder.join(name), content)?;
        Ok(Self::of(name, content))
    }

    /// Reads the whole file and checks length and CRC32.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Mismatch`].
    pub fn read(&self, folder: &Path) -> Result<Vec<u8>, Error> {
        let path = folder.join(&self.name);
        let content = fs::read(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        if content.len() as u64 != self.bytes || crc32fast::hash(&content) != self.crc32 {
            return Err(Error::Mismatch(path));
        }
        Ok(content)
    }

    /// Reads the file in pieces and checks length, CRC32 and BLAKE3.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Mismatch`].
    pub fn verify(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(&self.name);
        let failed = |source| Error::Read {
            path: path.clone(),
            source,
        };
        let mut file = fs::File::open(&path).map_err(failed)?;
        let (mut crc, mut blake3) = (crc32fast::Hasher::new(), blake3::Hasher::new());
        let mut bytes = 0;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            let Some(content) = buffer.get(..read).filter(|content| !content.is_empty()) else {
                break;
            };
            crc.update(content);
            blake3.update(content);
            bytes += read as u64;
        }
        let same = bytes == self.bytes
            && crc.finalize() == self.crc32
            && *blake3.finalize().as_bytes() == self.blake3;
        if same {
            Ok(())
        } else {
            Err(Error::Mismatch(path))
        }
    }
}

impl SegmentMeta {
    /// The file of this name.
    ///
    /// # Errors
    /// [`Error::NoFile`].
    pub fn file(&self, name: &str) -> Result<&FileMeta, Error> {
        let found = self.files.iter().find(|file| file.name == name);
        found.ok_or_else(|| Error::NoFile(name.to_owned()))
    }

    /// The name of its folder.
    pub fn folder_name(&self) -> String {
        folder_name(&(self.from..self.to), self.edition)
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Digest of what it is and of what its files hold: the same on every replica that has it.
    pub fn digest(&self) -> [u8; 32] {
        let mut encoded = Vec::new();
        encode_with_edition(&mut encoded, self);
        *blake3::hash(&encoded).as_bytes()
    }

    /// Whether both are of the same files.
    pub fn has_files_of(&self, other: &Self) -> bool {
        let what = |one: &Self| (one.from, one.to, one.edition);
        what(self) == what(other) && self.files == other.files
    }

    /// Whether all its files are in the shard's folder with the lengths that they should have. What is in
    /// them is not read.
    pub fn is_there(&self, shard_folder: &Path) -> bool {
        let folder = shard_folder.join(self.folder_name());
        let mut files = self.files.iter();
        files.all(|file| {
            let found = fs::metadata(folder.join(&file.name));
            found.is_ok_and(|found| found.is_file() && found.len() == file.bytes)
        })
    }
}

impl Manifest {
    /// The next generation, with one segment more (in its place by seq).
    ///
    /// # Panics
    /// If it overlaps a segment that is there.
    #[must_use]
    pub fn with(&self, segment: SegmentMeta) -> Self {
        let place = self.segments.partition_point(|s| s.from < segment.from);
        let mut segments = self.segments.clone();
        segments.insert(place, segment);
        assert!(
            segments.windows(2).all(|pair| pair[0].to <= pair[1].from),
            "segments do not overlap"
        );
        Self {
            generation: self.generation + 1,
            segments,
        }
    }

    /// End of the last segment's range; 0 when there is none.
    pub fn segmented_to(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.to)
    }

    /// BLAKE3 of the segments, without the generation: equal where the same segments are, whatever way
    /// they came.
    pub fn digest(&self) -> [u8; 32] {
        let mut segments = Vec::new();
        for segment in &self.segments {
            encode_with_edition(&mut segments, segment);
        }
        *blake3::hash(&segments).as_bytes()
    }

    /// Rows of all segments.
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// Bytes of all files of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(SegmentMeta::bytes).sum()
    }

    /// First and last event time; `None` when there are no segments.
    pub fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let bounds = self.segments.iter().map(|s| (s.time_min, s.time_max));
        bounds.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let version = match self.segments.iter().all(|segment| segment.edition == 0) {
            true => VERSION,
            false => VERSION_WITH_EDITIONS,
        };
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        let count = u32::try_from(self.segments.len()).expect("at most SEGMENTS_MAX segments");
        out.extend_from_slice(&count.to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.raw_bytes.to_le_bytes());
            if version >= VERSION_WITH_EDITIONS {
                out.extend_from_slice(&segment.edition.to_le_bytes());
            }
            encode_segment(&mut out, segment);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Version`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (body, crc) = bytes
            .split_last_chunk::<4>()
            .ok_or(Error::Damaged("too short"))?;
        let body = body
            .strip_prefix(&MAGIC)
            .ok_or(Error::Damaged("wrong magic"))?;
        let mut body = Reader(body);
        let version = body.u16()?;
        if !(VERSION_WITHOUT_RAW_BYTES..=VERSION_WITH_EDITIONS).contains(&version) {
            return Err(Error::Version(version));
        }
        if crc32fast::hash(&bytes[..bytes.len() - 4]) != u32::from_le_bytes(*crc) {
            return Err(Error::Damaged("wrong checksum"));
        }
        let generation = body.u64()?;
        let count = body.u32()? as usize;
        if count > SEGMENTS_MAX {
            return Err(Error::Damaged("too many segments"));
        }
        let segments = (0..count)
            .map(|_| body.segment(version))
            .collect::<Result<Vec<_>, _>>()?;
        let ordered = segments.iter().all(|s| s.from < s.to)
            && segments.windows(2).all(|pair| pair[0].to <= pair[1].from);
        if !ordered || !body.0.is_empty() {
            return Err(Error::Damaged("segments out of order or trailing bytes"));
        }
        Ok(Self {
            generation,
            segments,
        })
    }

    /// The next generation, with one segment in the place of these neighbours; `None` if they are not listed
    /// side by side, or the one does not hold as many rows of the same range.
    pub fn merged(&self, parts: &[SegmentMeta], segment: SegmentMeta) -> Option<Self> {
        let (first, last) = (parts.first()?, parts.last()?);
        let places = self.places_of(parts)?;
        let rows: u64 = parts.iter().map(|part| part.rows).sum();
        let same = (segment.from, segment.to, segment.rows) == (first.from, last.to, rows);
        let mut segments = self.segments.clone();
        same.then(|| {
            segments.splice(places, [segment]);
            Self {
                generation: self.generation + 1,
                segments,
            }
        })
    }

    /// The next generation, with `other` in the place of a segment of the same range; `None` if that is not
    /// listed, or of another range.
    pub fn replaced(&self, segment: &SegmentMeta, other: SegmentMeta) -> Option<Self> {
        let places = self.places_of(std::slice::from_ref(segment))?;
        let same = (segment.from, segment.to) == (other.from, other.to);
        let mut segments = self.segments.clone();
        same.then(|| {
            segments.splice(places, [other]);
            Self {
                generation: self.generation + 1,
                segments,
            }
        })
    }

    /// Where these segments are listed side by side, if they are.
    pub fn places_of(&self, parts: &[SegmentMeta]) -> Option<std::ops::Range<usize>> {
        let first = parts.first()?;
        let start = self.segments.iter().position(|s| s.from == first.from)?;
        let places = start..start + parts.len();
        (self.segments.get(places.clone()) == Some(parts)).then_some(places)
    }

    /// Deletes everything in the shard's folder that the manifest does not list: segments whose
    /// build was interrupted or that were replaced, and stray files. Returns what was deleted.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Disk`].
    pub fn sweep(&self, shard_folder: &Path) -> Result<Vec<PathBuf>, Error> {
        self.sweep_but(shard_folder, |_| false)
    }

    /// As [`Manifest::sweep`], but for folders of names that `kept` says.
    ///
    /// # Errors
    /// As [`Manifest::sweep`].
    pub fn sweep_but(
        &self,
        shard_folder: &Path,
        kept: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, Error> {
        let mut deleted = Vec::new();
        for (path, name) in entries(shard_folder)? {
            if kept(&name) {
                continue;
            }
            match self
                .segments
                .iter()
                .find(|segment| segment.folder_name() == name)
            {
                None => remove(path, &mut deleted)?,
                Some(segment) => {
                    for (path, name) in entries(&path)? {
                        if segment.file(&name).is_err() {
                            remove(path, &mut deleted)?;
                        }
                    }
                }
            }
        }
        deleted.sort();
        Ok(deleted)
    }
}

/// Paths and names in a folder; nothing if it does not exist.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let failed = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    entries
        .map(|entry| {
            let entry = entry.map_err(failed)?;
            Ok((
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            ))
        })
        .collect()
}

fn remove(path: PathBuf, deleted: &mut Vec<PathBuf>) -> Result<(), Error> {
    if path.is_dir() {
        files::remove_folder(&path)?;
    } else {
        fs::remove_file(&path).map_err(|e| crate::Error::file("removing", &path, e))?;
    }
    deleted.push(path);
    Ok(())
}

/// As the digest is made of.
fn encode_with_edition(out: &mut Vec<u8>, segment: &SegmentMeta) {
    encode_segment(out, segment);
    if segment.edition != 0 {
        out.extend_from_slice(&segment.edition.to_le_bytes());
    }
}

/// As version 1 has it.
fn encode_segment(out: &mut Vec<u8>, segment: &SegmentMeta) {
    for number in [segment.from, segment.to, segment.rows] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for time in [segment.time_min, segment.time_max] {
        out.extend_from_slice(&time.nanos().to_le_bytes());
    }
    out.extend_from_slice(&segment.log_id_min.0);
    out.extend_from_slice(&segment.log_id_max.0);
    out.extend_from_slice(&segment.row_digest);
    let count = u16::try_from(segment.files.len()).expect("at most FILES_MAX files");
    out.extend_from_slice(&count.to_le_bytes());
    for file in &segment.files {
        out.push(u8::try_from(file.name.len()).expect("file names are ours and short"));
        out.extend_from_slice(file.name.as_bytes());
        out.extend_from_slice(&file.bytes.to_le_bytes());
        out.extend_from_slice(&file.crc32.to_le_bytes());
        out.extend_from_slice(&file.blake3);
    }
}

/// What is left to decode.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(Error::Damaged("too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Error::Damaged("too short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, Error> {
        self.array()
            .map(i64::from_le_bytes)
            .map(Timestamp::from_nanos)
    }

    fn segment(&mut self, version: u16) -> Result<SegmentMeta, Error> {
        let raw_bytes = match version {
            VERSION_WITHOUT_RAW_BYTES => 0,
            _ => self.u64()?,
        };
        let edition = match version {
            ..VERSION_WITH_EDITIONS => 0,
            _ => self.u32()?,
        };
        let (from, to, rows) = (self.u64()?, self.u64()?, self.u64()?);
        let (time_min, time_max) = (self.time()?, self.time()?);
        let (log_id_min, log_id_max) = (LogId(self.array()?), LogId(self.array()?));
        let row_digest = self.array()?;
        let count = usize::from(self.u16()?);
        if count > FILES_MAX {
            return Err(Error::Damaged("too many files"));
        }
        let files = (0..count).map(|_| self.file()).collect::<Result<_, _>>()?;
        Ok(SegmentMeta {
            from,
            to,
            edition,
            rows,
            time_min,
            time_max,
            log_id_min,
            log_id_max,
            row_digest,
            raw_bytes,
            files,
        })
    }

    fn file(&mut self) -> Result<FileMeta, Error> {
        let [length] = self.array()?;
        let name = std::str::from_utf8(self.slice(usize::from(length))?)
            .ok()
            .filter(|name| !name.is_empty() && !name.contains(['/', '\\']) && *name != "..")
            .ok_or(Error::Damaged("a file has no proper name"))?;
        Ok(FileMeta {
            name: name.to_owned(),
            bytes: self.u64()?,
            crc32: self.u32()?,
            blake3: self.array()?,
        })
    }
}
