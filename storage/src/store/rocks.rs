//! The real store: one RocksDB per node, shared by all groups.
//!
//! Few column families and never one per shard: creating one costs 25 ms and each keeps a memtable
//! and old write-ahead logs alive. Large log values go to blob files, so that compaction moves keys
//! only. Values are compressed before they come here, so nothing is compressed again.
//!
//! Never maps a file into memory (a bad sector would be a SIGBUS), never repairs by itself: it lets go of nothing
//! but the one record that a power loss has torn.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hushlog_record::museum::{Bug, planted};
use parking_lot::{Condvar, Mutex};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::room;
use super::torn;
use super::watermark::{self, Watermark};
use super::{Batch, Budget, Change, Durability, ScanLimit, Space, Store};
use crate::Error;

/// Size at which the log's memtable is flushed, in bytes. One more may be full while it flushes.
pub const LOG_WRITE_BUFFER_BYTES: usize = 64 << 20;
/// Size at which the memtable of a small space is flushed, in bytes.
pub const SMALL_WRITE_BUFFER_BYTES: usize = 4 << 20;
/// Values of the log from this size on live in blob files, in bytes.
pub const BLOB_BYTES_MIN: u64 = 8 << 10;
/// Size of one blob file, in bytes: small enough that a trim soon empties whole files.
pub const BLOB_FILE_BYTES: u64 = 32 << 20;
/// Cache of index and data blocks, shared by all spaces, in bytes. Blobs bypass it.
pub const BLOCK_CACHE_BYTES: usize = 16 << 20;
/// All write-ahead logs together, in bytes; beyond it the oldest memtables are flushed.
pub const WAL_BYTES_MAX: u64 = 192 << 20;
/// Threads for flush and compaction, shared by all spaces.
pub const BACKGROUND_JOBS_MAX: i32 = 2;
/// File descriptors that RocksDB may hold open.
pub const OPEN_FILES_MAX: i32 = 256;

/// A compaction moves the oldest of so many parts of the blobs.
const BLOB_MOVED_PART: u64 = 4;
/// The space whose compactions may be left for later. Those of the log give back what was trimmed, at once.
const LATER: Space = Space::State;
/// Bytes of the tables of a space.
const TABLE_BYTES: &str = "rocksdb.live-sst-files-size";

/// A store on a local disk.
pub struct Rocks {
    db: DB,
    path: PathBuf,
    /// Everything up to this sequence number is synced.
    synced_to: AtomicU64,
    watermark: Mutex<Watermark>,
    /// Compactions wait until there is room for them.
    compacts_later: AtomicBool,
    /// A write was ended that would have waited for room, perhaps for ever.
    given_up: AtomicBool,
    /// Last, so that it is dropped when the database is closed.
    _open: Open,
}

/// The stores that this process has open.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static CLOSED: Condvar = Condvar::new();

/// Says that a store is open, for as long as it is.
struct Open(PathBuf);

impl Open {
    fn new(path: &Path) -> Self {
        OPEN.lock().push(path.to_path_buf());
        Self(path.to_path_buf())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = OPEN.lock();
        if let Some(at) = open.iter().position(|path| *path == self.0) {
            open.swap_remove(at);
        }
        CLOSED.notify_all();
    }
}

/// Waits until this process does not have the store in `path` open any more, so that it can be opened again;
/// whether that came about within the time.
pub fn closed(path: &Path, within: Duration) -> bool {
    let mut open = OPEN.lock();
    let waited =
        CLOSED.wait_while_for(&mut open, |open| open.iter().any(|one| one == path), within);
    !waited.timed_out()
}

/// Waits until this process has no store open any more; whether that came about within the time. A process
/// must not end before: what RocksDB's threads still use would be torn down under them, which ends in an
/// abort instead of an exit.
pub fn all_closed(within: Duration) -> bool {
    let mut open = OPEN.lock();
    let waited = CLOSED.wait_while_for(&mut open, |open| !open.is_empty(), within);
    !waited.timed_out()
}

impl Rocks {
    /// Opens the store in `path`, creating it if the folder is empty or absent.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it open, [`Error::Corrupt`] if what is on disk is
    /// not what was written, [`Error::Lost`] if it ends before what was synced, [`Error::Open`]
    /// otherwise.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = Open::new(path);
        let compacts = room::is_enough_in(path);
        let db = match open_database(path, compacts) {
            Err(error) if error.kind() == rocksdb::ErrorKind::Corruption => {
                open_torn(path, compacts, error)?
            }
            opened => opened.map_err(|error| open_error(path, &error))?,
        };
        let watermark = Watermark::open(path)?;
        let (marked, found) = (watermark.sequence(), db.latest_sequence_number());
        if found < marked && !planted(Bug::WalDefaultRecovery) {
            let watermark = path.join(watermark::FILE_NAME);
            return Err(Error::Lost {
                path: path.to_path_buf(),
                marked,
                found,
                watermark,
            });
        }
        let store = Self {
            db,
            path: path.to_path_buf(),
            synced_to: AtomicU64::new(marked),
            watermark: Mutex::new(watermark),
            compacts_later: AtomicBool::new(!compacts),
            given_up: AtomicBool::new(false),
            _open: open,
        };
        if !compacts {
            // What was looked at first are all files.
            store.has_room(crate::files::free_bytes(path)?);
        }
        if store.compacts_later.load(Ordering::Relaxed) {
            tracing::warn!("the disk has no room for compactions: they are left for later");
        }
        Ok(store)
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the memtable of `space` out to its files.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Write`].
    pub fn flush(&self, space: Space) -> Result<(), Error> {
        self.db
            .flush_cf(self.family(space))
            .map_err(|e| self.write_error(&e))
    }

    /// Compacts `[from, to)`, so that what was deleted there is given back to the file system. Takes
    /// as long as rewriting what is left in the files concerned; call it rarely and off the write
    /// path.
    pub fn reclaim(&self, space: Space, from: &[u8], to: &[u8]) {
        self.db
            .compact_range_cf(self.family(space), Some(from), Some(to));
    }

    /// Whether compactions wait until there is room for them.
    #[cfg(test)]
    pub(super) fn compacts_later(&self) -> bool {
        self.compacts_later.load(Ordering::Relaxed)
    }

    /// Flushes and compactions that are under way.
    #[cfg(test)]
    pub(super) fn background_jobs(&self) -> u64 {
        [
            "rocksdb.num-running-compactions",
            "rocksdb.num-running-flushes",
        ]
        .map(|name| self.property(Space::State, name))
        .into_iter()
        .sum()
    }

    /// Bytes that a compaction may write: of all tables, and of the blobs that it moves.
    fn table_bytes(&self) -> u64 {
        let tables: u64 = Space::ALL
            .map(|space| self.property(space, TABLE_BYTES))
            .into_iter()
            .sum();
        let blobs = self.property(Space::Log, "rocksdb.live-blob-file-size");
        tables + blobs / BLOB_MOVED_PART
    }

    /// A number that RocksDB keeps of one space.
    fn property(&self, space: Space, name: &str) -> u64 {
        let value = self.db.property_int_value_cf(self.family(space), name);
        value.ok().flatten().unwrap_or(0)
    }

    fn write_error(&self, error: &rocksdb::Error) -> Error {
        let reason = error.to_string();
        if self.given_up.load(Ordering::Relaxed) {
            Error::Full(format!(
                "no room for what the store writes in the background: {reason}"
            ))
        } else if reason.contains("No space left on device") {
            Error::Full(reason)
        } else {
            Error::Write(reason)
        }
    }

    fn family(&self, space: Space) -> &ColumnFamily {
        self.db
            .cf_handle(space.name())
            .expect("every space's family is opened in `open`")
    }
}

fn open_database(path: &Path, compacts: bool) -> Result<DB, rocksdb::Error> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let families = Space::ALL.map(|space| {
        let mut options = family_options(space, &cache);
        options.set_disable_auto_compactions(space == LATER && !compacts);
        ColumnFamilyDescriptor::new(space.name(), options)
    });
    DB::open_cf_descriptors(&database_options(), path, families)
}

/// Opens a store that was refused, without the record that was being written when the power failed, if that is
/// all that is wrong. Whether more is missing than that, the watermark knows.
fn open_torn(path: &Path, compacts: bool, refused: rocksdb::Error) -> Result<DB, Error> {
    let dropped = torn::drop_last_record(path).map_err(|error| Error::Open {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let Some(bytes) = dropped else {
        return Err(open_error(path, &refused));
    };
    tracing::warn!(
        bytes,
        "the record that was being written when the power failed is dropped"
    );
    open_database(path, compacts).map_err(|error| open_error(path, &error))
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // The default mode opens with a silently shortened log after one flipped bit; this one drops
    // only a torn last record and refuses everything else.
    if !planted(Bug::WalDefaultRecovery) {
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
    }
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_allow_mmap_reads(false);
    options.set_allow_mmap_writes(false);
    // Spreads write-back of flushed files, so that one sync does not wait for all of them.
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

fn family_options(space: Space, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_max_write_buffer_number(2);
    options.set_write_buffer_size(match space {
        Space::Log => LOG_WRITE_BUFFER_BYTES,
        Space::State | Space::Meta => SMALL_WRITE_BUFFER_BYTES,
    });
    if space == Space::Log {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_enable_blob_gc(true);
    }
    options
}

impl Store for Rocks {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self
            .db
            .get_cf(self.family(space), key)
            .map_err(|e| read_error(&e))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: ScanLimit,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let mut rows = Vec::new();
        if from >= to {
            return Ok(rows);
        }
        let mut budget = Budget::new(limit);
        let mut cursor = self
            .db
            .raw_iterator_cf_opt(self.family(space), bounded(from, to));
        cursor.seek(from);
        while let Some((key, value)) = cursor.item() {
            if !budget.admits(key.len() + value.len()) {
                return Ok(rows);
            }
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            cursor.next();
        }
        // An iterator that hits an error simply ends: only its status tells.
        cursor.status().map_err(|e| read_error(&e))?;
        Ok(rows)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error> {
        if from >= to {
            return Ok(None);
        }
        let mut cursor = self
            .db
            .raw_iterator_cf_opt(self.family(space), bounded(from, to));
        cursor.seek_to_last();
        let row = cursor
            .item()
            .map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        cursor.status().map_err(|e| read_error(&e))?;
        Ok(row)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        let mut out = WriteBatch::with_capacity_bytes(batch.bytes() + 16 * batch.len());
        for change in batch.changes() {
            match change {
                Change::Put { space, key, value } => out.put_cf(self.family(*space), key, value),
                Change::Delete { space, key } => out.delete_cf(self.family(*space), key),
                Change::DeleteRange { space, from, to } => {
                    out.delete_range_cf(self.family(*space), from, to);
                }
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        // Each change takes one sequence number, and a sync covers all that was written before it:
        // whatever others write meanwhile, this far everything is synced if this write is.
        let reached = self.db.latest_sequence_number() + batch.len() as u64;
        self.db
            .write_opt(out, &options)
            .map_err(|e| self.write_error(&e))?;
        if durability == Durability::Synced {
            self.synced_to.fetch_max(reached, Ordering::Relaxed);
        }
        Ok(())
    }

    fn mark(&self) -> Result<(), Error> {
        self.watermark
            .lock()
            .mark(self.synced_to.load(Ordering::Relaxed))
    }

    fn give_up_stalled(&self, free: u64) -> bool {
        let of_all = |name| self.db.property_int_value(name).ok().flatten() > Some(0);
        let stalled = of_all("rocksdb.is-write-stopped") && of_all("rocksdb.background-errors");
        // The errors may be long over: with room it waits for work that goes on, and for no longer than that.
        if !stalled || room::is_enough(free, self.table_bytes()) {
            return false;
        }
        if !self.given_up.swap(true, Ordering::Relaxed) {
            self.db.cancel_all_background_work(false);
        }
        true
    }

    fn has_room(&self, free: u64) {
        let waits = self.compacts_later.load(Ordering::Relaxed);
        if !waits || !room::is_enough(free, self.property(LATER, TABLE_BYTES)) {
            return;
        }
        let on = [("disable_auto_compactions", "false")];
        if let Err(error) = self.db.set_options_cf(self.family(LATER), &on) {
            tracing::warn!(%error, "compactions are not taken up again");
            return;
        }
        self.compacts_later.store(false, Ordering::Relaxed);
        tracing::info!(free, "there is room for compactions again");
    }
}

fn bounded(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options
}

fn open_error(path: &Path, error: &rocksdb::Error) -> Error {
    let reason = error.to_string();
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt(reason),
        rocksdb::ErrorKind::IOError if reason.contains("lock") => Error::Locked {
            path: path.to_path_buf(),
        },
        _ => Error::Open {
            path: path.to_path_buf(),
            reason,
        },
    }
}

fn read_error(error: &rocksdb::Error) -> Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt(error.to_string()),
        _ => Error::Read(error.to_string()),
    }
}
