//! A finished shard on this node: files, and a few numbers in memory. No group, no task, no timer.
//!
//! Its manifest stays in the store and is read when a question comes; its segments are opened then, and
//! kept open as long as they are among those that were asked last.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hushlog_query::{SegmentView, View};
use hushlog_raft::{Sealed, Table, forget_sealed_keys, sealed_keys};
use hushlog_record::{ShardId, Timestamp};
use hushlog_storage::manifest::{FileMeta, Manifest, SegmentMeta};
use hushlog_storage::segment::{INDEX_FILE, ROWS_FILE};
use hushlog_storage::writer::WriterHandle;
use lru::LruCache;
use parking_lot::Mutex;

use super::replica::{Error, decode_manifest};
use super::{build, merge};

/// Segments of sealed shards that a node keeps open.
const OPEN_SEGMENTS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// The open segments of all sealed shards of a node, the longest unused closed first.
#[derive(Clone)]
pub(crate) struct OpenSegments {
    open: Arc<Mutex<Cache>>,
}

/// By shard, range and edition: a merged segment begins where its first part did, and one that was written anew has
/// the range that it had.
type Cache = LruCache<(ShardId, u64, u64, u32), Arc<SegmentView>>;

impl OpenSegments {
    pub(crate) fn new() -> Self {
        Self {
            open: Arc::new(Mutex::new(LruCache::new(OPEN_SEGMENTS_MAX))),
        }
    }

    fn get(
        &self,
        shard: ShardId,
        folder: &Path,
        meta: &SegmentMeta,
    ) -> Result<Arc<SegmentView>, build::Error> {
        let key = (shard, meta.from, meta.to, meta.edition);
        if let Some(open) = self.open.lock().get(&key) {
            return Ok(Arc::clone(open));
        }
        // Two questions may open it at the same time: both are right, the later one is kept.
        let opened = Arc::new(build::open(folder, meta)?);
        self.open.lock().put(key, Arc::clone(&opened));
        Ok(opened)
    }

    /// Closes what is open of a shard: its files were replaced, or are gone.
    pub(crate) fn close(&self, shard: ShardId) {
        let mut open = self.open.lock();
        let of_shard: Vec<_> = open.iter().map(|(key, _)| *key).collect();
        for key in of_shard.into_iter().filter(|key| key.0 == shard) {
            open.pop(&key);
        }
    }
}

/// Bytes of the files of a shard, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileBytes {
    pub(crate) rows: u64,
    pub(crate) index: u64,
    pub(crate) other: u64,
}

impl FileBytes {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let mut bytes = Self::default();
        for file in manifest.segments.iter().flat_map(|s| &s.files) {
            bytes.add(file);
        }
        bytes
    }

    fn add(&mut self, file: &FileMeta) {
        let sum = match file.name.as_str() {
            ROWS_FILE => &mut self.rows,
            INDEX_FILE => &mut self.index,
            _ => &mut self.other,
        };
        *sum += file.bytes;
    }

    pub(crate) fn total(self) -> u64 {
        self.rows + self.index + self.other
    }
}

/// A sealed shard.
pub(crate) struct SealedReplica {
    pub(crate) shard: ShardId,
    /// Digest of its segments.
    pub(crate) digest: [u8; 32],
    /// Whether some of its segments should become one.
    pub(crate) is_mergeable: bool,
    pub(crate) bytes: FileBytes,
    /// Rows of its segments.
    pub(crate) rows: u64,
    pub(crate) segmented_to: u64,
    pub(crate) time_bounds: Option<(Timestamp, Timestamp)>,
    folder: PathBuf,
    writer: WriterHandle,
    open: OpenSegments,
    /// Whether its request keys may still be in the store.
    keys: AtomicBool,
}

impl SealedReplica {
    /// The sealed shard whose segments lie in `folder` and should be of `merge_bytes` where they are smaller.
    pub(crate) fn new(
        shard: ShardId,
        sealed: &Sealed,
        folder: PathBuf,
        writer: WriterHandle,
        open: OpenSegments,
        merge_bytes: u64,
    ) -> Result<Self, Error> {
        let manifest = decode_manifest(&sealed.manifest)?;
        open.close(shard);
        Ok(Self {
            shard,
            digest: manifest.digest(),
            is_mergeable: !merge::plan(&manifest.segments, merge_bytes).is_empty(),
            bytes: FileBytes::of(&manifest),
            rows: manifest.rows(),
            segmented_to: sealed.segmented_to,
            time_bounds: manifest.time_bounds(),
            folder,
            writer,
            open,
            keys: AtomicBool::new(true),
        })
    }

    /// The folder that holds its segments.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the store has of it. Blocks on the disk.
    pub(crate) fn stored(&self) -> Result<Sealed, Error> {
        let stored = Sealed::load(&self.writer, self.shard)?;
        stored.ok_or_else(|| Error::Gone(self.shard))
    }

    /// The manifest. Blocks on the disk.
    pub(crate) fn manifest(&self) -> Result<Manifest, Error> {
        Ok(decode_manifest(&self.stored()?.manifest)?)
    }

    /// Closes its open segments: files were replaced.
    pub(crate) fn close(&self) {
        self.open.close(self.shard);
    }

    /// Pins its segments. CPU and disk work: call it on the pool.
    pub(crate) fn view(&self) -> Result<View, Error> {
        let mut manifest = self.manifest()?;
        let segments = loop {
            match self.segments(&manifest) {
                Ok(segments) => break segments,
                Err(error) => {
                    // They may have been merged, and deleted, since the manifest was read.
                    let now = self.manifest()?;
                    if now.generation == manifest.generation {
                        return Err(error.into());
                    }
                    manifest = now;
                }
            }
        };
        Ok(View {
            shard: self.shard,
            segments,
            tail: Vec::new(),
            applied_to: self.segmented_to,
        })
    }

    fn segments(&self, manifest: &Manifest) -> Result<Vec<Arc<SegmentView>>, build::Error> {
        let open = |meta| self.open.get(self.shard, &self.folder, meta);
        manifest.segments.iter().map(open).collect()
    }

    /// The request keys that it hands on, unless they were forgotten. Blocks on the disk.
    pub(crate) fn request_keys(&self) -> Result<Option<Table>, Error> {
        Ok(sealed_keys(&self.writer, self.shard)?)
    }

    /// Whether its request keys may still be in the store.
    pub(crate) fn may_have_keys(&self) -> bool {
        self.keys.load(Ordering::Relaxed)
    }

    /// Forgets the request keys.
    pub(crate) async fn forget_keys(&self) -> Result<(), Error> {
        forget_sealed_keys(&self.writer, self.shard).await?;
        self.keys.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// A sealed shard as it came from another node, decoded.
pub(crate) struct Received {
    pub(crate) sealed: Sealed,
    pub(crate) keys: Table,
}

impl Received {
    /// What another node has sent, if it is what was agreed.
    pub(crate) fn new(
        segmented_to: u64,
        manifest: Bytes,
        keys: &[u8],
        digest: &[u8; 32],
    ) -> Result<Self, String> {
        let decoded = decode_manifest(&manifest).map_err(|error| error.to_string())?;
        if decoded.digest() != *digest {
            return Err("its segments are not those that were agreed on".into());
        }
        let keys = if keys.is_empty() {
            Table::default()
        } else {
            Table::from_bytes(keys).map_err(|error| error.to_string())?
        };
        Ok(Self {
            sealed: Sealed {
                segmented_to,
                manifest,
            },
            keys,
        })
    }
}
