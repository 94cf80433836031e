//! Counts of a block's rows by minute, service, level and exception.
//!
//! Bytes: a table of the distinct strings (count, then length and text of each, sorted), the level
//! counts, the exception counts; both sorted, minutes as differences to the entry before.

use std::collections::{BTreeMap, HashMap};

use rustc_hash::FxBuildHasher;

use super::Error;
use super::error::at_most;
use super::wire::{Reader, put_bytes, put_len, put_signed, put_varint};
use crate::limits::{BLOCK_ROWS_MAX, COUNTS_TEXT_BYTES_MAX, EXCEPTION_SAMPLES_MAX};
use crate::{Level, LogId, Record, Timestamp};

/// What [`COUNTS_TEXT_BYTES_MAX`] limits.
const TEXT: &str = "text of counts";

/// How many rows of one minute, service and level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelCount {
    /// Minute of the event time, from the Unix epoch.
    pub minute: i64,
    /// The service.
    pub service: String,
    /// The level.
    pub level: Level,
    /// Rows, at least 1.
    pub count: u64,
}

/// How many rows of one minute and service report one type of exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionCount {
    /// Minute of the event time, from the Unix epoch.
    pub minute: i64,
    /// The service.
    pub service: String,
    /// The exception's type.
    pub type_name: String,
    /// Rows, at least 1.
    pub count: u64,
    /// Earliest event time.
    pub first_seen: Timestamp,
    /// Latest event time.
    pub last_seen: Timestamp,
    /// Ids of the first rows, at most [`EXCEPTION_SAMPLES_MAX`].
    pub samples: Vec<LogId>,
}

/// Counts by minute, service and level, and by minute, service and exception; both sorted by these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By level.
    pub levels: Vec<LevelCount>,
    /// By exception.
    pub exceptions: Vec<ExceptionCount>,
}

impl Counts {
    /// Counts these records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut levels = HashMap::<(i64, &str, Level), u64, FxBuildHasher>::default();
        let mut exceptions = BTreeMap::<(i64, &str, &str), Tally>::new();
        for record in records {
            let minute = record.timestamp.minute();
            *levels
                .entry((minute, &record.service_name, record.level))
                .or_default() += 1;
            if let Some(exception) = &record.exception {
                exceptions
                    .entry((minute, &record.service_name, &exception.type_name))
                    .or_default()
                    .add(record);
            }
        }
        let mut levels: Vec<_> = levels.into_iter().collect();
        levels.sort_unstable();
        Self {
            levels: levels.into_iter().map(level_count).collect(),
            exceptions: exceptions.into_iter().map(exception_count).collect(),
        }
    }

    /// The bytes of these counts; equal counts give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.levels.len() * 8 + self.exceptions.len() * 80);
        let names = self.names();
        put_len(&mut out, names.len());
        for name in names.keys() {
            put_bytes(&mut out, name.as_bytes());
        }
        let number = |name: &str| names.get(name).copied().unwrap_or_default();
        put_len(&mut out, self.levels.len());
        let mut minute = 0;
        for entry in &self.levels {
            put_signed(&mut out, entry.minute.wrapping_sub(minute));
            minute = entry.minute;
            put_varint(&mut out, number(&entry.service));
            out.push(entry.level.code());
            put_varint(&mut out, entry.count);
        }
        put_len(&mut out, self.exceptions.len());
        let mut minute = 0;
        for entry in &self.exceptions {
            put_signed(&mut out, entry.minute.wrapping_sub(minute));
            minute = entry.minute;
            put_varint(&mut out, number(&entry.service));
            put_varint(&mut out, number(&entry.type_name));
            encode_tally(entry, &mut out);
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote, to the last byte.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Limit`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let mut names = Names::decode(&mut reader)?;
        let levels = decode_levels(&mut reader, &mut names)?;
        let exceptions = decode_exceptions(&mut reader, &mut names)?;
        reader.end()?;
        Ok(Self { levels, exceptions })
    }

    /// Whether a reader will take them. A name counts as often as an entry has it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let services = self.levels.iter().map(|entry| entry.service.len());
        let exceptions = self
            .exceptions
            .iter()
            .map(|entry| entry.service.len() + entry.type_name.len());
        at_most(
            TEXT,
            services.chain(exceptions).sum(),
            COUNTS_TEXT_BYTES_MAX,
        )
    }

    /// Every distinct string with its number.
    fn names(&self) -> BTreeMap<&str, u64> {
        let mut names = BTreeMap::<&str, u64>::new();
        for entry in &self.levels {
            names.insert(&entry.service, 0);
        }
        for entry in &self.exceptions {
            names.insert(&entry.service, 0);
            names.insert(&entry.type_name, 0);
        }
        for (number, slot) in (0..).zip(names.values_mut()) {
            *slot = number;
        }
        names
    }
}

#[derive(Default)]
struct Tally {
    count: u64,
    seen: Option<(Timestamp, Timestamp)>,
    samples: Vec<LogId>,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        let time = record.timestamp;
        self.count += 1;
        self.seen = Some(
            self.seen
                .map_or((time, time), |(a, b)| (a.min(time), b.max(time))),
        );
        if self.samples.len() < EXCEPTION_SAMPLES_MAX {
            self.samples.push(record.log_id);
        }
    }
}

fn level_count(((minute, service, level), count): ((i64, &str, Level), u64)) -> LevelCount {
    LevelCount {
        minute,
        service: service.to_owned(),
        level,
        count,
    }
}

fn exception_count(
    ((minute, service, type_name), tally): ((i64, &str, &str), Tally),
) -> ExceptionCount {
    let (first_seen, last_seen) = tally.seen.unwrap_or_default();
    ExceptionCount {
        minute,
        service: service.to_owned(),
        type_name: type_name.to_owned(),
        count: tally.count,
        first_seen,
        last_seen,
        samples: tally.samples,
    }
}

fn encode_tally(entry: &ExceptionCount, out: &mut Vec<u8>) {
    put_varint(out, entry.count);
    let first = entry.first_seen.nanos();
    put_signed(
        out,
        first.wrapping_sub(Timestamp::from_minute(entry.minute).nanos()),
    );
    put_signed(out, entry.last_seen.nanos().wrapping_sub(first));
    put_len(out, entry.samples.len());
    for sample in &entry.samples {
        out.extend_from_slice(&sample.0);
    }
}

/// The string table, and how much text was copied out of it: a small table must not become
/// a large answer because every entry names the longest string.
struct Names<'a> {
    names: Vec<&'a str>,
    used: usize,
}

impl<'a> Names<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.count(3 * BLOCK_ROWS_MAX, "strings of counts")?;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(reader.text()?);
        }
        Ok(Self { names, used: 0 })
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<String, Error> {
        let number = reader.at_most(BLOCK_ROWS_MAX * 3, "number of a string")?;
        let name = self
            .names
            .get(number)
            .ok_or(Error::Malformed("a string number is unknown"))?;
        self.used = self.used.saturating_add(name.len());
        at_most(TEXT, self.used, COUNTS_TEXT_BYTES_MAX)?;
        Ok((*name).to_owned())
    }
}

fn decode_levels(reader: &mut Reader<'_>, names: &mut Names<'_>) -> Result<Vec<LevelCount>, Error> {
    let count = reader.count(BLOCK_ROWS_MAX, "level counts")?;
    let mut levels = Vec::with_capacity(count);
    let mut minute = 0i64;
    for _ in 0..count {
        minute = minute.wrapping_add(reader.signed()?);
        let service = names.read(reader)?;
        let level =
            Level::from_code(reader.byte()?).ok_or(Error::Malformed("a level is unknown"))?;
        levels.push(LevelCount {
            minute,
            service,
            level,
            count: reader.varint()?,
        });
    }
    let sorted = levels
        .is_sorted_by(|a, b| (a.minute, &a.service, a.level) < (b.minute, &b.service, b.level));
    if sorted {
        Ok(levels)
    } else {
        Err(Error::Malformed("level counts are not sorted"))
    }
}

fn decode_exceptions(
    reader: &mut Reader<'_>,
    names: &mut Names<'_>,
) -> Result<Vec<ExceptionCount>, Error> {
    let count = reader.count(BLOCK_ROWS_MAX, "exception counts")?;
    let mut exceptions = Vec::with_capacity(count);
    let mut minute = 0i64;
    for _ in 0..count {
        minute = minute.wrapping_add(reader.signed()?);
        exceptions.push(decode_exception(reader, names, minute)?);
    }
    let sorted = exceptions.is_sorted_by(|a, b| {
        (a.minute, &a.service, &a.type_name) < (b.minute, &b.service, &b.type_name)
    });
    if sorted {
        Ok(exceptions)
    } else {
        Err(Error::Malformed("exception counts are not sorted"))
    }
}

fn decode_exception(
    reader: &mut Reader<'_>,
    names: &mut Names<'_>,
    minute: i64,
) -> Result<ExceptionCount, Error> {
    let service = names.read(reader)?;
    let type_name = names.read(reader)?;
    let count = reader.varint()?;
    let first = Timestamp::from_minute(minute)
        .nanos()
        .wrapping_add(reader.signed()?);
    let last = first.wrapping_add(reader.signed()?);
    let sample_count = reader.count(EXCEPTION_SAMPLES_MAX, "samples of an exception")?;
    let mut samples = Vec::with_capacity(sample_count);
    for _ in 0..sample_count {
        samples.push(LogId(reader.array()?));
    }
    Ok(ExceptionCount {
        minute,
        service,
        type_name,
        count,
        first_seen: Timestamp::from_nanos(first),
        last_seen: Timestamp::from_nanos(last),
        samples,
    })
}
