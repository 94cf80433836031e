//! One replica of one shard on this node: its group, its open segments, its decoded tail.
//!
//! Hands out immutable views. It never answers a query itself and never decides what is stored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hushlog_query::{SegmentView, View};
use hushlog_raft::{Positions, ShardGroup};
use hushlog_record::{ShardId, Timestamp};
use hushlog_storage::manifest::{Manifest, SegmentMeta};
use parking_lot::Mutex;

use super::build::{self, BuildTimes};
use super::tail::Tail;
use crate::offload::{self, Offload};

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
}

/// A replica; shared by the tasks that drive it and the queries that read it.
pub(crate) struct Replica {
    pub(crate) shard: ShardId,
    pub(crate) group: ShardGroup,
    folder: PathBuf,
    segments: Mutex<BTreeMap<(u64, u64), Arc<SegmentView>>>,
    tail: Mutex<Tail>,
    tail_bytes_max: usize,
}

impl Replica {
    /// A replica whose segments lie in `folder`; what no manifest lists there is deleted. Columns of
    /// its tail are kept up to `tail_bytes_max`.
    pub(crate) fn new(
        shard: ShardId,
        group: ShardGroup,
        folder: PathBuf,
        tail_bytes_max: usize,
    ) -> Result<Self, Error> {
        let manifest = decode_manifest(&group.view().manifest)?;
        if folder.exists() {
            for path in manifest.sweep(&folder).map_err(build::Error::from)? {
                tracing::info!(path = %path.display(), "deleted what no manifest lists");
            }
        }
        Ok(Self {
            shard,
            group,
            folder,
            segments: Mutex::new(BTreeMap::new()),
            tail: Mutex::new(Tail::default()),
            tail_bytes_max,
        })
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
        let manifest = decode_manifest(&view.manifest)?;
        let segments = manifest
            .segments
            .iter()
            .map(|meta| (meta.time_min, meta.time_max));
        let headers = view.tail.iter().map(|block| block.block.header());
        let tail = headers.map(|header| (header.time_min, header.time_max));
        let bounds = segments
            .chain(tail)
            .reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        Ok(bounds)
    }

    /// Bytes of the segments that the manifest lists.
    pub(crate) fn segment_bytes(&self) -> u64 {
        decode_manifest(&self.group.view().manifest).map_or(0, |manifest| {
            manifest.segments.iter().map(SegmentMeta::bytes).sum()
        })
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
        let tail = self.tail.lock().blocks(&view.tail, self.tail_bytes_max);
        Ok(View {
            shard: self.shard,
            segments,
            tail,
            applied_to: view.applied_to,
        })
    }

    fn segment(&self, meta: &SegmentMeta) -> Result<Arc<SegmentView>, build::Error> {
        let range = (meta.from, meta.to);
        if let Some(open) = self.segments.lock().get(&range) {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(build::open(&self.folder, meta)?);
        Ok(Arc::clone(
            self.segments.lock().entry(range).or_insert(opened),
        ))
    }

    /// Builds the segment of the oldest pending cut, if there is one, and reports it to the group.
    /// Gives the stage times of what was built.
    pub(crate) async fn build_next(
        self: &Arc<Self>,
        builder: &Offload,
    ) -> Result<Option<BuildTimes>, Error> {
        if self.group.view().pending_cuts.is_empty() {
            return Ok(None);
        }
        let _installing = self.group.installing().await;
        let view = self.group.view();
        let Some(range) = view.pending_cuts.first().cloned() else {
            return Ok(None);
        };
        let replica = Arc::clone(self);
        let cut = range.clone();
        let built = builder.run(move || replica.build(&cut)).await??;
        let manifest = decode_manifest(&view.manifest)?;
        let (manifest, times) = match built {
            Some(built) => {
                self.segments
                    .lock()
                    .insert((built.meta.from, built.meta.to), built.view);
                (manifest.with(built.meta), built.times)
            }
            None => {
                let generation = manifest.generation + 1;
                (
                    Manifest {
                        generation,
                        ..manifest
                    },
                    BuildTimes::default(),
                )
            }
        };
        self.group
            .segment_built(range, manifest.encode().into())
            .await?;
        Ok(Some(times))
    }

    fn build(&self, range: &Range<u64>) -> Result<Option<build::Built>, build::Error> {
        let view = self.group.view();
        let blocks: Vec<_> = view
            .tail
            .iter()
            .filter(|block| range.contains(&block.seq))
            .cloned()
            .collect();
        hushlog_storage::files::create_folder(&self.folder)?;
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
