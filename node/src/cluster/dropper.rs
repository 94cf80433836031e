//! Deletes what this node has of shards that the cluster has dropped, or placed on other nodes: the replica,
//! its row in the store, its folder, in this order, so that whatever a crash leaves behind is found by its
//! name and finished.
//!
//! It decides nothing: the cluster's facts say which shards are gone, and they must be durable here first,
//! or a restart could take a dropped shard for one that was never opened. A replica whose group still runs
//! is ended by its keeper.
//!
//! What is placed on others may be placed here again, which this node may hear of late. So it asks the
//! leader's facts first, takes the replica out of what it says it holds, looks again, and only then deletes:
//! whoever has heard from it, with those facts, that it holds the replica, can rely on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{MetaGroup, drop_shard, meta, stored_shards};
use hushlog_record::ShardId;
use hushlog_storage::files;
use hushlog_storage::writer::WriterHandle;
use tokio::time::Instant;

use super::claims::Claim;
use super::held::Held;
use super::replicas::Replicas;
use crate::metrics::{Counter, Registry};
use crate::offload::{self, Offload};

/// How often the facts are looked at.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often it is looked whether the facts are durable, once that was asked for, before the next tick.
const DURABLE_LOOKS: u32 = 10;
/// Pause before each such look.
const DURABLE_PAUSE: Duration = Duration::from_millis(50);
/// How long a replica that is on other nodes by now is kept: questions that were asked of it, or that come
/// from a node which has not heard of it, are still answered.
const GRACE: Duration = Duration::from_secs(5);
/// How long the leader may take to say how far the facts are.
const FACTS_PATIENCE: Duration = Duration::from_secs(3);

/// What was deleted.
#[derive(Clone)]
pub(crate) struct Dropped {
    shards: Counter,
    bytes: Counter,
    /// Replicas that were deleted here since they are on other nodes.
    moved: Counter,
}

impl Dropped {
    /// The numbers go into `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        Self {
            shards: counter(
                "hushlog_node_dropped_shards_total",
                "Shards whose retention was over and that were deleted here.",
            ),
            bytes: counter(
                "hushlog_node_dropped_bytes_total",
                "Bytes of files that were deleted with them.",
            ),
            moved: counter(
                "hushlog_node_moved_shards_total",
                "Replicas that were deleted here since they were placed on other nodes.",
            ),
        }
    }
}

/// Something could not be deleted.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Raft(#[from] hushlog_raft::Error),
    #[error(transparent)]
    Storage(#[from] hushlog_storage::Error),
    #[error(transparent)]
    Offload(#[from] offload::Error),
    #[error("how far the facts are is not known: {0}")]
    Facts(#[from] hushlog_raft::ReadError),
    #[error("the folder {path:?} cannot be read: {source}")]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Deletes dropped shards.
pub(crate) struct Dropper {
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) writer: WriterHandle,
    /// The folder of all segments.
    pub(crate) folder: PathBuf,
    pub(crate) disk: Offload,
    pub(crate) dropped: Dropped,
    /// The facts as of which nothing was left to delete.
    pub(crate) done_as_of: Option<u64>,
    /// Since when replicas are on other nodes.
    pub(crate) moved: BTreeMap<ShardId, Instant>,
}

impl Dropper {
    /// Looks once, and deletes what is to be deleted.
    pub(crate) async fn tick(&mut self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "dropped shards are not deleted yet");
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let state = self.meta.state();
        let node = self.replicas.node();
        let unwanted =
            |shard: &ShardId| state.is_dropped(*shard) || state.is_elsewhere(*shard, node);
        let mut found: BTreeSet<ShardId> = self.held().filter(unwanted).collect();
        if found.is_empty() && self.done_as_of == Some(state.applied) {
            return Ok(());
        }
        found.extend(self.on_disk(&state).await?);
        let known = self.known_durably(&found).await?;
        let mut all = known.len() == found.len();
        let (gone, moved): (Vec<ShardId>, BTreeSet<ShardId>) = {
            let dropped = known.iter().filter(|shard| state.is_dropped(**shard));
            let others = known.iter().filter(|shard| !state.is_dropped(**shard));
            (dropped.copied().collect(), others.copied().collect())
        };
        for shard in gone {
            all &= self.delete(shard).await?;
        }
        self.moved.retain(|shard, _| moved.contains(shard));
        let now = Instant::now();
        let due = |shard: &ShardId| now - *self.moved.entry(*shard).or_insert(now) >= GRACE;
        let (moved, waiting): (Vec<_>, Vec<_>) = moved.into_iter().partition(due);
        all &= waiting.is_empty();
        if !moved.is_empty() {
            // A restart, or a long silence, may have left this node with older facts than it had told of.
            self.meta
                .read_barrier(Instant::now() + FACTS_PATIENCE)
                .await?;
        }
        for shard in moved {
            all &= self.give_up(shard).await?;
        }
        self.done_as_of = all.then_some(state.applied);
        Ok(())
    }

    /// Deletes a replica that is on other nodes, if that is still so when this node does not say any more
    /// that it has it; whether nothing is left to do.
    async fn give_up(&self, shard: ShardId) -> Result<bool, Error> {
        let Some(_claim): Option<Claim> = self.replicas.claim(shard) else {
            return Ok(false);
        };
        let elsewhere = || self.meta.state().is_elsewhere(shard, self.replicas.node());
        if !elsewhere() || matches!(self.replicas.held(shard), Some(Held::Open(_))) {
            return Ok(false);
        }
        self.replicas.forget(shard);
        if !elsewhere() {
            self.replicas.look_again();
            return Ok(false);
        }
        let bytes = self.remove(shard).await?;
        self.dropped.moved.increment();
        tracing::info!(%shard, bytes, "a replica that is on other nodes by now was deleted");
        Ok(true)
    }

    /// Those of these shards of which this node will still know after a restart that they do not belong here.
    /// Has the facts made durable for the others, and waits a little for that.
    async fn known_durably(&self, gone: &BTreeSet<ShardId>) -> Result<Vec<ShardId>, Error> {
        let node = self.replicas.node();
        let known = || -> Vec<ShardId> {
            let durable = self.meta.durable_state();
            let is_known = |shard: &&ShardId| {
                let durable = durable.as_ref();
                durable.is_some_and(|state| {
                    state.is_dropped(**shard) || state.is_elsewhere(**shard, node)
                })
            };
            gone.iter().filter(is_known).copied().collect()
        };
        if known().len() < gone.len() {
            self.meta.make_durable().await?;
            for _ in 0..DURABLE_LOOKS {
                if known().len() == gone.len() {
                    break;
                }
                tokio::time::sleep(DURABLE_PAUSE).await;
            }
        }
        Ok(known())
    }

    /// All shards in memory.
    fn held(&self) -> impl Iterator<Item = ShardId> {
        let held = self.replicas.all_held().into_iter();
        held.map(|held| held.shard())
    }

    /// Shards that do not belong here of which the store has a row or the disk a folder.
    async fn on_disk(&self, state: &Arc<meta::State>) -> Result<BTreeSet<ShardId>, Error> {
        let (writer, folder) = (self.writer.clone(), self.folder.clone());
        let (state, node) = (Arc::clone(state), self.replicas.node());
        let find = move || {
            let mut shards = folders(&folder)?;
            shards.extend(stored_shards(&writer)?);
            shards.retain(|shard| state.is_dropped(*shard) || state.is_elsewhere(*shard, node));
            Ok(shards)
        };
        self.disk.run(find).await?
    }

    /// Deletes a shard, unless its group still runs; whether nothing of it is left.
    async fn delete(&self, shard: ShardId) -> Result<bool, Error> {
        if matches!(self.replicas.held(shard), Some(Held::Open(_))) {
            return Ok(false);
        }
        self.replicas.forget(shard);
        let bytes = self.remove(shard).await?;
        self.dropped.shards.increment();
        self.dropped.bytes.add(bytes);
        tracing::info!(%shard, bytes, "a shard whose retention is over was deleted");
        Ok(true)
    }

    /// Removes a shard's rows and files; gives how many bytes those had.
    async fn remove(&self, shard: ShardId) -> Result<u64, Error> {
        drop_shard(&self.writer, shard).await?;
        let folder = self.replicas.folder(shard);
        let remove = move || {
            let bytes = bytes_below(&folder)?;
            files::remove_folder(&folder)?;
            Ok::<_, Error>(bytes)
        };
        self.disk.run(remove).await?
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Folder {
        path: path.to_owned(),
        source,
    }
}

/// What is in a folder; nothing if it is absent.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| unreadable(folder, error))?,
    };
    read.map(|entry| entry.map_err(|error| unreadable(folder, error)))
        .collect()
}

/// The shards that have a folder below this one. What has another name is none of ours.
fn folders(folder: &Path) -> Result<BTreeSet<ShardId>, Error> {
    let names = entries(folder)?.into_iter();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// Bytes of all files below a folder. What goes away meanwhile is not counted.
fn bytes_below(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in entries(folder)? {
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path())?,
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(unreadable(&entry.path(), error)),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_shards_are_found_by_their_names_and_weighed() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(
            folders(&root.path().join("absent"))
                .expect("none")
                .is_empty()
        );
        let segment = root.path().join("b3-s1").join("1-9");
        fs::create_dir_all(&segment).expect("a folder");
        fs::create_dir(root.path().join("lost+found")).expect("a folder");
        fs::write(segment.join("rows"), [0; 700]).expect("a file");
        fs::write(root.path().join("b3-s1").join("other"), [0; 7]).expect("a file");
        let shard = ShardId { bucket: 3, slot: 1 };
        assert_eq!(
            folders(root.path()).expect("readable"),
            BTreeSet::from([shard])
        );
        let folder = root.path().join(shard.to_string());
        assert_eq!(bytes_below(&folder).expect("readable"), 707);
        files::remove_folder(&folder).expect("removable");
        assert_eq!(bytes_below(&folder).expect("absent"), 0);
    }
}
