//! One replica of one shard on this node: its group, its open segments, its decoded tail.
//!
//! Hands out immutable views. It never answers a query itself and never decides what is stored.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hushlog_query::{SegmentView, TailMemory, View};
use hushlog_raft::{LogEntries, Positions, ShardGroup};
use hushlog_record::{NodeId, ShardId, Timestamp};
use hushlog_storage::files;
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use hushlog_storage::segment;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::build::{self, BuildTimes};
use super::doubts::lacks_descriptors;
use super::files::{Fetcher, PARTIAL};
use super::merge;
use super::sealed::FileBytes;
use super::tail::Tail;
use crate::offload::{self, Offload};

/// How long a segment may take from another node: meanwhile the replica's keeper does nothing else.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);

/// How long the files of segments that were merged stay: for questions that are about to open them, and for
/// the other replicas, which are late.
pub(crate) const RETIRE_AFTER: Duration = Duration::from_secs(60);

/// Segments of one open shard that a node keeps open: each takes two files and memory for its footer.
const OPEN_SEGMENTS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// A view or a segment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The segment's files.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// The group.
    #[error(transparent)]
    Raft(#[from] hushlog_raft::Error),
    /// The CPU pool.
    #[error(transparent)]
    Offload(#[from] offload::Error),
    /// A segment that another node has could not be fetched.
    #[error("{0}")]
    Fetch(String),
    /// Whether the cluster takes what was built is not known.
    #[error("it is not known whether the cluster has agreed: {0}")]
    Undecided(String),
    /// A sealed shard that was here is not any more.
    #[error("shard {0} is not here any more")]
    Gone(ShardId),
}

impl Error {
    /// Whether what lies on the disk is not what it should be.
    pub(crate) fn is_damage(&self) -> bool {
        let is_damage = matches!(
            self,
            Self::Build(
                build::Error::Segment(
                    segment::Error::Damaged { .. }
                        | segment::Error::File { .. }
                        | segment::Error::Manifest(_)
                ) | build::Error::Manifest(_)
            )
        );
        is_damage && !lacks_descriptors(self)
    }
}

/// How much a shard holds, as one replica has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Bytes of files of segments, and of blocks that are in none yet.
    pub(crate) bytes: u64,
    /// Segments.
    pub(crate) segments: u64,
}

impl Fill {
    fn of(manifest: &Manifest) -> Self {
        Self {
            bytes: FileBytes::of(manifest).total(),
            segments: manifest.segments.len() as u64,
        }
    }
}

/// Whether it is the same buffer, not only the same bytes.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    (one.as_ptr(), one.len()) == (other.as_ptr(), other.len())
}

/// A replica; shared by the tasks that drive it and the queries that read it.
pub(crate) struct Replica {
    pub(crate) shard: ShardId,
    pub(crate) group: ShardGroup,
    folder: PathBuf,
    /// Those that are open, the longest unused closed first.
    segments: Mutex<LruCache<(u64, u64), Arc<SegmentView>>>,
    tail: Mutex<Tail>,
    /// The manifest in which nothing was left to merge.
    settled: Mutex<Option<Bytes>>,
    /// What the segments of this manifest are: it is asked every second, and changes seldom.
    filled: Mutex<Option<(Bytes, Fill)>>,
    /// Merged segments whose files are still there, and since when they are in no manifest.
    retired: Mutex<VecDeque<(Instant, SegmentMeta)>>,
    /// The range of the segments that could not be merged here, the last time that it was tried.
    unmergeable: Mutex<Option<Range<u64>>>,
    /// Whether it has applied entries that are not those of its log. Only a replica that is opened anew is without
    /// it.
    wrong: AtomicBool,
}

impl Replica {
    /// A replica whose segments lie in `folder`. Columns of its tail are kept in `tail_memory`.
    pub(crate) fn new(
        shard: ShardId,
        group: ShardGroup,
        folder: PathBuf,
        tail_memory: TailMemory,
    ) -> Self {
        Self {
            shard,
            group,
            folder,
            segments: Mutex::new(LruCache::new(OPEN_SEGMENTS_MAX)),
            tail: Mutex::new(Tail::new(tail_memory)),
            settled: Mutex::default(),
            filled: Mutex::default(),
            retired: Mutex::default(),
            unmergeable: Mutex::default(),
            wrong: AtomicBool::new(false),
        }
    }

    /// Deletes what no manifest lists, but for what was being fetched: that goes on. Whether all files of its
    /// segments are there. Blocks on the disk.
    pub(crate) fn sweep(&self) -> Result<bool, Error> {
        let manifest = self.manifest()?;
        if self.folder.exists() {
            let swept = manifest.sweep_but(&self.folder, |name| name.ends_with(PARTIAL));
            for path in swept.map_err(build::Error::from)? {
                tracing::info!(path = %path.display(), "deleted what no manifest lists");
            }
        }
        let mut segments = manifest.segments.iter();
        Ok(segments.all(|segment| segment.is_there(&self.folder)))
    }

    /// The folder that holds the shard's segments.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How far the shard is here.
    pub(crate) fn positions(&self) -> Positions {
        *self.group.watch().borrow()
    }

    /// First and last event time of all its rows; `None` when it has none.
    pub(crate) fn time_bounds(&self) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let view = self.group.view();
        let segments = decode_manifest(&view.manifest)?.time_bounds();
        let headers = view.tail.iter().map(|block| block.block.header());
        let tail = headers.map(|header| (header.time_min, header.time_max));
        let bounds = segments
            .into_iter()
            .chain(tail)
            .reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        Ok(bounds)
    }

    /// The segments that it has.
    pub(crate) fn manifest(&self) -> Result<Manifest, build::Error> {
        decode_manifest(&self.group.view().manifest)
    }

    /// How much it holds now. CPU work where its segments have changed: call it on the pool.
    pub(crate) fn fill(&self) -> Result<Fill, build::Error> {
        let view = self.group.view();
        let known = self.filled.lock().clone();
        let known = known.filter(|(manifest, _)| is_same(manifest, &view.manifest));
        let mut fill = match known {
            Some((_, fill)) => fill,
            None => {
                let fill = Fill::of(&decode_manifest(&view.manifest)?);
                *self.filled.lock() = Some((view.manifest.clone(), fill));
                fill
            }
        };
        let waiting = view
            .tail
            .iter()
            .map(|block| block.block.bytes().len() as u64);
        fill.bytes += waiting.sum::<u64>();
        Ok(fill)
    }

    /// Pins segments and tail as they are now. CPU and disk work: call it on the pool.
    pub(crate) fn view(&self) -> Result<View, Error> {
        let view = self.group.view();
        let manifest = decode_manifest(&view.manifest)?;
        let segments = manifest
            .segments
            .iter()
            .map(|meta| self.segment(meta))
            .collect::<Result<_, _>>()?;
        let tail = self.tail.lock().blocks(&view);
        Ok(View {
            shard: self.shard,
            segments,
            tail,
            applied_to: view.applied_to,
        })
    }

    /// Closes its open segments: files were replaced. Questions that have them pinned keep them.
    pub(crate) fn close(&self) {
        self.segments.lock().clear();
    }

    fn segment(&self, meta: &SegmentMeta) -> Result<Arc<SegmentView>, build::Error> {
        let range = (meta.from, meta.to);
        if let Some(open) = self.segments.lock().get(&range) {
            return Ok(Arc::clone(open));
        }
        // Two questions may open it at the same time: both are right, the later one is kept.
        let opened = Arc::new(build::open(&self.folder, meta)?);
        self.segments.lock().put(range, Arc::clone(&opened));
        Ok(opened)
    }

    /// The oldest cut that has no segment here, and how many rows its blocks have.
    pub(crate) fn next_cut(&self) -> Option<(Range<u64>, u64)> {
        let view = self.group.view();
        let range = view.pending_cuts.first().cloned()?;
        let blocks = view.tail.iter().filter(|block| range.contains(&block.seq));
        let rows = blocks.map(|block| u64::from(block.rows())).sum();
        Some((range, rows))
    }

    /// Builds the segment of a cut and reports it to the group. Gives the stage times of what was
    /// built; `None` if the cut has its segment by now, or its blocks are not to be trusted.
    pub(crate) async fn build_cut(
        self: &Arc<Self>,
        range: Range<u64>,
        builder: &Offload,
    ) -> Result<Option<BuildTimes>, Error> {
        let _installing = self.group.installing().await;
        if self.is_wrong() || self.next_cut().is_none_or(|(next, _)| next != range) {
            return Ok(None);
        }
        let replica = Arc::clone(self);
        let cut = range.clone();
        let built = builder.run(move || replica.build(&cut)).await??;
        if self.is_wrong() {
            return Ok(None);
        }
        let (segment, times) = match built {
            Some(built) => (Some((built.meta, built.view)), built.times),
            None => (None, BuildTimes::default()),
        };
        self.add(range, segment).await?;
        Ok(Some(times))
    }

    /// Takes the segment of a cut that another node has built, and reports it to the group.
    pub(crate) async fn take_cut(
        self: &Arc<Self>,
        meta: SegmentMeta,
        fetcher: &Fetcher,
        source: &(NodeId, String),
    ) -> Result<(), Error> {
        let _installing = self.group.installing().await;
        let range = meta.from..meta.to;
        if self.next_cut().is_none_or(|(next, _)| next != range) {
            return Ok(());
        }
        let view = self.bring(&meta, fetcher, source).await?;
        self.add(range, Some((meta, view))).await
    }

    /// Fetches a segment and opens it.
    async fn bring(
        &self,
        meta: &SegmentMeta,
        fetcher: &Fetcher,
        source: &(NodeId, String),
    ) -> Result<Arc<SegmentView>, Error> {
        let sources = std::slice::from_ref(source);
        let folder = self.folder.clone();
        let fetched = fetcher.fetch_segment(self.shard, sources, &folder, meta);
        let fetched = tokio::time::timeout(FETCH_DEADLINE, fetched).await;
        let fetched = fetched.unwrap_or_else(|_| Err("the segment did not come in time".into()));
        fetched.map_err(Error::Fetch)?;
        let opening = meta.clone();
        let opened = fetcher.disk.run(move || build::open(&folder, &opening));
        Ok(Arc::new(opened.await??))
    }

    /// The oldest segments that should become one of up to `bytes`.
    pub(crate) fn next_merge(&self, bytes: u64) -> Result<Option<Vec<SegmentMeta>>, build::Error> {
        let encoded = self.group.view().manifest.clone();
        let settled = self.settled.lock();
        if settled.as_ref().is_some_and(|one| is_same(one, &encoded)) {
            return Ok(None);
        }
        drop(settled);
        let segments = decode_manifest(&encoded)?.segments;
        let parts = merge::next_tier(&segments, bytes).and_then(|group| segments.get(group));
        if parts.is_none() {
            *self.settled.lock() = Some(encoded);
        }
        Ok(parts.map(<[_]>::to_vec))
    }

    /// Whether the segments of this range could not be merged here.
    pub(crate) fn has_failed_to_merge(&self, range: &Range<u64>) -> bool {
        self.unmergeable.lock().as_ref() == Some(range)
    }

    /// Merges these segments. Gives the stage times; `None` if they are not here any more.
    pub(crate) async fn merge(
        self: &Arc<Self>,
        parts: Vec<SegmentMeta>,
        builder: &Offload,
    ) -> Result<Option<BuildTimes>, Error> {
        let (first, last) = (parts.first(), parts.last());
        let range = first.zip(last).map(|(first, last)| first.from..last.to);
        let merged = self.merge_parts(parts, builder).await;
        *self.unmergeable.lock() = range.filter(|_| merged.is_err());
        merged
    }

    async fn merge_parts(
        self: &Arc<Self>,
        parts: Vec<SegmentMeta>,
        builder: &Offload,
    ) -> Result<Option<BuildTimes>, Error> {
        let _installing = self.group.installing().await;
        let before = self.group.view().manifest.clone();
        // A snapshot may have brought other segments while this was waited for.
        if decode_manifest(&before)?.places_of(&parts).is_none() {
            return Ok(None);
        }
        let (folder, building) = (self.folder.clone(), parts.clone());
        let built = builder
            .run(move || build::merge(&folder, &building))
            .await??;
        let done = self
            .put_merged(&before, &parts, built.meta, built.view)
            .await?;
        Ok(done.then_some(built.times))
    }

    /// Takes what another node has merged of these segments.
    pub(crate) async fn take_merged(
        self: &Arc<Self>,
        parts: Vec<SegmentMeta>,
        meta: SegmentMeta,
        fetcher: &Fetcher,
        source: &(NodeId, String),
    ) -> Result<(), Error> {
        let _installing = self.group.installing().await;
        let before = self.group.view().manifest.clone();
        if decode_manifest(&before)?.places_of(&parts).is_none() {
            return Ok(());
        }
        let view = self.bring(&meta, fetcher, source).await?;
        self.put_merged(&before, &parts, meta, view).await?;
        Ok(())
    }

    /// Puts a segment in the place of its parts, if they are what `before` lists. Whether they are.
    async fn put_merged(
        &self,
        before: &Bytes,
        parts: &[SegmentMeta],
        merged: SegmentMeta,
        view: Arc<SegmentView>,
    ) -> Result<bool, Error> {
        let Some(manifest) = decode_manifest(before)?.merged(parts, merged.clone()) else {
            return Ok(false);
        };
        let encoded = manifest.encode().into();
        if !self.group.segments_merged(before, encoded).await? {
            return Ok(false);
        }
        let mut open = self.segments.lock();
        open.put((merged.from, merged.to), view);
        let now = Instant::now();
        let mut retired = self.retired.lock();
        for part in parts {
            open.pop(&(part.from, part.to));
            retired.push_back((now, part.clone()));
        }
        Ok(true)
    }

    /// Puts a majority's segment in the place of another one of the same range that is here. Whether that still
    /// was.
    pub(crate) async fn replace(
        self: &Arc<Self>,
        segment: &SegmentMeta,
        theirs: SegmentMeta,
        fetcher: &Fetcher,
        source: &(NodeId, String),
    ) -> Result<bool, Error> {
        let _installing = self.group.installing().await;
        let before = self.group.view().manifest.clone();
        let replaced = decode_manifest(&before)?.replaced(segment, theirs.clone());
        let Some(manifest) = replaced else {
            return Ok(false);
        };
        let view = self.bring(&theirs, fetcher, source).await?;
        let encoded = manifest.encode().into();
        let done = self.group.segments_merged(&before, encoded).await?;
        if done {
            self.segments.lock().put((theirs.from, theirs.to), view);
        }
        Ok(done)
    }

    /// It has applied other entries than those of its log: what is in memory here is worth nothing.
    pub(crate) fn distrust(&self) {
        self.wrong.store(true, Ordering::Release);
    }

    /// Whether it has applied other entries than those of its log.
    pub(crate) fn is_wrong(&self) -> bool {
        self.wrong.load(Ordering::Acquire)
    }

    /// Whether what is in the tail of these entries is what they say.
    pub(crate) fn has_applied(&self, entries: &LogEntries) -> bool {
        let (view, range) = (self.group.view(), entries.range());
        let mut blocks = view.tail.iter().filter(|block| range.contains(&block.seq));
        blocks.all(|block| {
            let place = usize::try_from(block.seq - range.start).unwrap_or(usize::MAX);
            let entry = entries.stored().get(place);
            entry.is_some_and(|entry| entry.ends_with(block.block.bytes()))
        })
    }

    /// The merged segment of this range, if its files are still here.
    pub(crate) fn retired(&self, range: &Range<u64>) -> Option<SegmentMeta> {
        let retired = self.retired.lock();
        let mut retired = retired.iter().map(|(_, segment)| segment);
        let found = retired.find(|segment| (segment.from..segment.to) == *range);
        found.cloned()
    }

    /// Deletes files of segments that were merged some time ago, unless a snapshot has brought them back.
    pub(crate) async fn clear_retired(&self, disk: &Offload) -> Result<(), Error> {
        let is_over = |(since, _): &(Instant, SegmentMeta)| since.elapsed() >= RETIRE_AFTER;
        if !self.retired.lock().front().is_some_and(is_over) {
            return Ok(());
        }
        let _installing = self.group.installing().await;
        let listed = self.manifest()?.segments;
        let is_listed = |one: &SegmentMeta| {
            let same = |other: &SegmentMeta| (other.from, other.to) == (one.from, one.to);
            listed.iter().any(same)
        };
        let mut over: Vec<_> = {
            let mut retired = self.retired.lock();
            let kept = retired.partition_point(is_over);
            retired.drain(..kept).collect()
        };
        over.retain(|(_, segment)| !is_listed(segment));
        let folder = self.folder.clone();
        let delete = move || {
            let mut folders = over.iter().map(|(_, segment)| segment.folder_name());
            folders.try_for_each(|name| files::remove_folder(&folder.join(name)))
        };
        disk.run(delete).await?.map_err(build::Error::from)?;
        Ok(())
    }

    /// Reports the segment of a cut to the group, or that it has no rows.
    async fn add(
        &self,
        range: Range<u64>,
        segment: Option<(SegmentMeta, Arc<SegmentView>)>,
    ) -> Result<(), Error> {
        let manifest = decode_manifest(&self.group.view().manifest)?;
        let manifest = match segment {
            Some((meta, view)) => {
                self.segments.lock().put((meta.from, meta.to), view);
                manifest.with(meta)
            }
            None => Manifest {
                generation: manifest.generation + 1,
                ..manifest
            },
        };
        let encoded = manifest.encode().into();
        let end = range.end;
        self.group.segment_built(range, encoded).await?;
        // Questions that come later find them in the segment.
        self.tail.lock().forget(end);
        Ok(())
    }

    fn build(&self, range: &Range<u64>) -> Result<Option<build::Built>, build::Error> {
        let view = self.group.view();
        let blocks: Vec<_> = view
            .tail
            .iter()
            .filter(|block| range.contains(&block.seq))
            .cloned()
            .collect();
        files::create_folder(&self.folder)?;
        build::build(&self.folder, range.clone(), &blocks)
    }
}

/// The manifest as the group keeps it; empty bytes are a shard without segments.
pub(crate) fn decode_manifest(bytes: &[u8]) -> Result<Manifest, build::Error> {
    if bytes.is_empty() {
        return Ok(Manifest::default());
    }
    Ok(Manifest::decode(bytes)?)
}
