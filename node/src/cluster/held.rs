//! A shard on this node, whether its group runs or it is sealed: what both can be asked.

use std::path::Path;
use std::sync::Arc;

use hushlog_query::View;
use hushlog_raft::{Table, TailBlock};
use hushlog_record::{ShardId, Timestamp};
use hushlog_storage::manifest::Manifest;

use super::replica::{Error, Replica, decode_manifest};
use super::sealed::{FileBytes, SealedReplica};

/// What a node holds of one shard.
pub struct Stored {
    /// Which one.
    pub shard: ShardId,
    /// Its segments.
    pub manifest: Manifest,
    /// The blocks after them; none of a sealed shard.
    pub tail: Arc<Vec<TailBlock>>,
}

/// A cheap handle.
#[derive(Clone)]
pub(crate) enum Held {
    /// Its group runs.
    Open(Arc<Replica>),
    /// Only files are left.
    Sealed(Arc<SealedReplica>),
}

impl Held {
    /// Which one.
    pub(crate) fn shard(&self) -> ShardId {
        match self {
            Self::Open(replica) => replica.shard,
            Self::Sealed(replica) => replica.shard,
        }
    }

    /// Whether its group runs.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Whether all that the shard will ever hold is here.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Open(replica) => replica.positions().closed,
            Self::Sealed(_) => true,
        }
    }

    /// First and last event time of all its rows; `None` when it has none.
    pub(crate) fn time_bounds(&self) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        match self {
            Self::Open(replica) => replica.time_bounds(),
            Self::Sealed(replica) => Ok(replica.time_bounds),
        }
    }

    /// Bytes of its segments' files; none where the manifest cannot be read, which shows where it is used.
    pub(crate) fn file_bytes(&self) -> FileBytes {
        match self {
            Self::Open(replica) => {
                let manifest = replica.manifest();
                manifest.map_or_else(|_| FileBytes::default(), |m| FileBytes::of(&m))
            }
            Self::Sealed(replica) => replica.bytes,
        }
    }

    /// The segments that it has. May block on the disk.
    pub(crate) fn manifest(&self) -> Result<Manifest, Error> {
        match self {
            Self::Open(replica) => Ok(replica.manifest()?),
            Self::Sealed(replica) => replica.manifest(),
        }
    }

    /// All that it holds, at one moment. May block on the disk.
    pub(crate) fn stored(&self) -> Result<Stored, Error> {
        let shard = self.shard();
        let (manifest, tail) = match self {
            Self::Open(replica) => {
                let view = replica.group.view();
                (decode_manifest(&view.manifest)?, Arc::clone(&view.tail))
            }
            Self::Sealed(replica) => (replica.manifest()?, Arc::default()),
        };
        Ok(Stored {
            shard,
            manifest,
            tail,
        })
    }

    /// The folder that holds its segments.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Open(replica) => replica.folder(),
            Self::Sealed(replica) => replica.folder(),
        }
    }

    /// Closes its open segments: files were replaced.
    pub(crate) fn close(&self) {
        match self {
            Self::Open(replica) => replica.close(),
            Self::Sealed(replica) => replica.close(),
        }
    }

    /// Pins what it holds now. CPU and disk work: call it on the pool.
    pub(crate) fn view(&self) -> Result<View, Error> {
        match self {
            Self::Open(replica) => replica.view(),
            Self::Sealed(replica) => replica.view(),
        }
    }

    /// The request keys that it hands on, once it is closed and has what it inherited itself. May block
    /// on the disk.
    pub(crate) fn request_keys(&self) -> Result<Option<Table>, Error> {
        match self {
            Self::Open(replica) => {
                let positions = replica.positions();
                let whole = positions.closed && positions.inherited;
                Ok(whole.then(|| replica.group.producers()))
            }
            Self::Sealed(replica) => replica.request_keys(),
        }
    }
}
