//! Looks for planted personal data in everything a cluster wrote: raw bytes of every file, decoded
//! blocks of the Raft log, decoded rows of segments, terms of indexes.
//!
//! Compression hides text from a search through raw bytes, so what can be decoded is decoded.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hushlog_record::{Block, ShardId};
use hushlog_storage::batch::Rows;
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use hushlog_storage::segment::{INDEX_FILE, Segment};
use hushlog_storage::store::{Rocks, ScanLimit, Space, Store};
use memchr::memmem;

use crate::corpus::Run;

/// Part of every planted e-mail address that no mask leaves.
const EMAIL_MARK: &[u8] = b"planted.";
/// First digits of every planted card.
const CARD_MARK: &[u8] = b"4539";
const CARD_DIGITS: usize = 16;
/// Parts of a name that a planted value may be of.
const PARTS_MAX: usize = 4;
const PAGE_BYTES: usize = 8 << 20;

/// What was planted, for exact look-ups.
struct Planted {
    cards: HashSet<String>,
    others: Vec<HashSet<String>>,
}

impl Planted {
    fn of(run: &Run) -> Self {
        let indexes = || (0..run.records).filter(|index| run.plants_pii(*index));
        Self {
            cards: indexes().map(|index| run.card(index)).collect(),
            others: vec![
                indexes().map(|index| run.ssn(index)).collect(),
                indexes().map(|index| run.phone(index)).collect(),
                indexes().map(|index| run.ipv4(index)).collect(),
            ],
        }
    }

    /// Terms are single tokens: the first part of an address, or a whole card number.
    fn check_term(&self, term: &[u8]) -> Result<()> {
        if term == b"planted" {
            bail!("a part of a planted e-mail address");
        }
        self.check_raw(term)
    }

    /// An error that names the kind of data, never the data itself.
    fn check_text(&self, text: &str) -> Result<()> {
        self.check_raw(text.as_bytes())?;
        // The sentence that carries the other kinds is always the same, so exact words are enough.
        let mut last = "";
        for word in text.split([' ', ',', '"']) {
            // Phone numbers are of two words.
            if self.is_planted(word) || self.is_planted(&format!("{last} {word}")) {
                bail!("a planted number or address");
            }
            last = word;
        }
        Ok(())
    }

    /// Looks at the name of a field: a value may be any of its parts, or some of them side by side.
    fn check_name(&self, name: &str) -> Result<()> {
        self.check_text(name)?;
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for rest in starts.filter_map(|start| name.get(start..)) {
            let ends = rest.match_indices('.').map(|(dot, _)| dot);
            let parts = ends.chain([rest.len()]).take(PARTS_MAX);
            if parts
                .filter_map(|end| rest.get(..end))
                .any(|part| self.is_planted(part))
            {
                bail!("a planted number or address in a name");
            }
        }
        Ok(())
    }

    fn is_planted(&self, text: &str) -> bool {
        self.others.iter().any(|planted| planted.contains(text))
    }

    fn check_raw(&self, bytes: &[u8]) -> Result<()> {
        if memmem::find(bytes, EMAIL_MARK).is_some() {
            bail!("a planted e-mail address");
        }
        for at in memmem::find_iter(bytes, CARD_MARK) {
            let digits = bytes.get(at..at + CARD_DIGITS).unwrap_or_default();
            if std::str::from_utf8(digits).is_ok_and(|digits| self.cards.contains(digits)) {
                bail!("a planted card number");
            }
        }
        Ok(())
    }
}

/// Checks an answer of the API.
pub fn check_bytes(bytes: &[u8], run: &Run) -> Result<()> {
    // Cards are checked by membership only in `scan`; here their mark followed by digits is enough.
    if memmem::find(bytes, EMAIL_MARK).is_some() {
        bail!("a planted e-mail address");
    }
    for at in memmem::find_iter(bytes, CARD_MARK) {
        let digits = bytes.get(at..at + CARD_DIGITS).unwrap_or_default();
        let all_digits = digits.len() == CARD_DIGITS && digits.iter().all(u8::is_ascii_digit);
        if all_digits && is_planted_card(digits, run) {
            bail!("a planted card number");
        }
    }
    Ok(())
}

fn is_planted_card(digits: &[u8], run: &Run) -> bool {
    let Ok(text) = std::str::from_utf8(digits) else {
        return false;
    };
    (0..run.records)
        .filter(|index| run.plants_pii(*index))
        .any(|index| run.card(index) == text)
}

/// Scans one file, such as the image of a disk, as it is: what is compressed in it stays hidden.
pub fn scan_raw(path: &Path, run: &Run) -> Result<()> {
    // What lies across two pieces is seen in the second, which begins with the end of the first.
    const SHARED_BYTES: usize = 64;
    let planted = Planted::of(run);
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; PAGE_BYTES];
    let mut kept = 0;
    loop {
        let read = std::io::Read::read(&mut file, piece.get_mut(kept..).unwrap_or_default())?;
        if read == 0 {
            return Ok(());
        }
        let filled = kept + read;
        let seen = piece.get(..filled).unwrap_or_default();
        planted
            .check_raw(seen)
            .with_context(|| format!("in {}", path.display()))?;
        kept = filled.min(SHARED_BYTES);
        piece.copy_within(filled - kept..filled, 0);
    }
}

/// Scans a stopped cluster's folder; gives one sentence on what was searched.
pub fn scan(data: &Path, run: &Run) -> Result<String> {
    let planted = Planted::of(run);
    let mut counted = Counted::default();
    let mut files = Vec::new();
    list(data, &mut files)?;
    for path in &files {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        planted
            .check_raw(&bytes)
            .with_context(|| format!("in {}", path.display()))?;
        counted.raw_bytes += bytes.len();
    }
    for store in files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "CURRENT"))
    {
        let folder = store.parent().context("a store without a folder")?;
        scan_store(folder, &planted, &mut counted)
            .with_context(|| format!("in {}", folder.display()))?;
        for (shard, manifest) in manifests(folder)? {
            let segments = folder.with_file_name("segments").join(shard.to_string());
            for segment in &manifest.segments {
                scan_segment(&segments, segment, &planted, &mut counted)
                    .with_context(|| format!("in {}", segments.display()))?;
            }
        }
    }
    if counted.rows == 0 && counted.blocks == 0 {
        bail!(
            "nothing was decoded below {}: the scan proves nothing",
            data.display()
        );
    }
    Ok(format!(
        "{} bytes of {} files, {} blocks, {} segment rows, {} index terms",
        counted.raw_bytes,
        files.len(),
        counted.blocks,
        counted.rows,
        counted.terms
    ))
}

#[derive(Default)]
struct Counted {
    raw_bytes: usize,
    blocks: usize,
    rows: usize,
    terms: usize,
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(())
}

fn scan_store(folder: &Path, planted: &Planted, counted: &mut Counted) -> Result<()> {
    let store = Rocks::open(folder)?;
    for space in Space::ALL {
        let mut from = Vec::new();
        loop {
            let rows = store.scan(space, &from, &[0xff; 64], ScanLimit::bytes(PAGE_BYTES))?;
            let Some((last, _)) = rows.last() else { break };
            from = last.to_vec();
            from.push(0);
            for (_, value) in &rows {
                planted.check_raw(value)?;
                scan_block(value, planted, counted)?;
            }
        }
    }
    Ok(())
}

/// The manifests that a node's store holds, by shard.
pub fn manifests(folder: &Path) -> Result<Vec<(ShardId, Manifest)>> {
    manifests_in(&Rocks::open(folder)?)
}

/// The manifests that a store holds, by shard.
///
/// # Errors
/// When the store cannot be read, or one is damaged.
pub fn manifests_in(store: &dyn Store) -> Result<Vec<(ShardId, Manifest)>> {
    const MAGIC: &[u8] = b"HLMF";
    const TRAILER_BYTES: usize = 4;
    let mut found = Vec::new();
    for (key, value) in store.scan(Space::State, &[], &[0xff; 64], ScanLimit::NONE)? {
        let group = key
            .first_chunk::<8>()
            .map(|bytes| u64::from_be_bytes(*bytes));
        let Some(shard) = group.and_then(ShardId::from_group) else {
            continue;
        };
        // The manifest is the last part of a shard's record, before the record's own checksum.
        let Some(at) = memmem::rfind(&value, MAGIC) else {
            continue;
        };
        let end = value.len().saturating_sub(TRAILER_BYTES);
        found.push((
            shard,
            Manifest::decode(value.get(at..end).unwrap_or_default())?,
        ));
    }
    Ok(found)
}

fn scan_segment(
    folder: &Path,
    meta: &SegmentMeta,
    planted: &Planted,
    counted: &mut Counted,
) -> Result<()> {
    let segment = Segment::open(folder, meta)?;
    for granule in segment.scan(&segment.all_granules(), None)? {
        let (_, batch) = granule?;
        for row in Rows::new(&batch)?.iter() {
            counted.rows += 1;
            planted.check_text(row.message().unwrap_or_default())?;
            for field in row.fields() {
                planted.check_name(field.name)?;
                planted.check_text(&field.text)?;
            }
            if let Some((_, message, trace)) = row.exception() {
                planted.check_text(message)?;
                planted.check_text(trace)?;
            }
        }
    }
    let index = meta
        .file(INDEX_FILE)?
        .read(&folder.join(meta.folder_name()))?;
    hushlog_index::Index::open(index)?.for_each_term(|term| {
        counted.terms += 1;
        planted.check_term(term)
    })
}

/// A value of the log holds a block somewhere after its own head.
fn scan_block(value: &Bytes, planted: &Planted, counted: &mut Counted) -> Result<()> {
    let Some(at) = memmem::find(value, &hushlog_record::block::MAGIC) else {
        return Ok(());
    };
    // The magic may also be in other values by chance; those do not parse.
    let Ok(block) = Block::parse(value.slice(at..)) else {
        return Ok(());
    };
    counted.blocks += 1;
    for record in block.columns()?.records() {
        planted.check_text(&record.message)?;
        for (name, value) in &record.fields {
            planted.check_name(name)?;
            planted.check_text(&value.text)?;
        }
        if let Some(exception) = &record.exception {
            planted.check_text(&exception.message)?;
            planted.check_text(&exception.stack_trace)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_is_seen_in_names_and_texts() {
        let run = Run {
            seed: 7,
            records: 200,
            first_nanos: 0,
            step_nanos: 1,
        };
        let planted = Planted::of(&run);
        let values = [
            run.email(7),
            run.card(7),
            run.ssn(7),
            run.phone(7),
            run.ipv4(7),
        ];
        for value in values {
            for name in [
                value.clone(),
                format!("seen.{value}.n.m"),
                format!("seen.{value}"),
            ] {
                assert!(planted.check_name(&name).is_err(), "{name}");
            }
            let text = format!("user {value} paid");
            assert!(planted.check_text(&text).is_err(), "{text}");
        }
        for name in ["seen.[SSN]", "seen.203.8.1.x.bytes", "latency_ms", ""] {
            assert!(planted.check_name(name).is_ok(), "{name}");
        }
    }
}
