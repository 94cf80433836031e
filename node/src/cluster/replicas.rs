//! The replicas on this node, by shard: opened as the shard map says, sealed when their shard is finished.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hushlog_query::TailMemory;
use hushlog_raft::{
    Context, Installer, MetaGroup, Peer, Sealed, ShardGroup, damaged_log, has_group,
    mend_stored_log, meta,
};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::manifest::Manifest;
use parking_lot::{Mutex, RwLock};

use super::claims::{Claim, Claims};
use super::compare::{Differences, entry_of_all};
use super::doubts::Doubts;
use super::held::Held;
use super::replica::{Error, Replica, decode_manifest};
use super::sealed::{OpenSegments, Received, SealedReplica};
use super::settings::ClusterSettings;
use crate::offload::Offload;

/// Pause before the log of a shard that could not be mended is looked at again.
const MEND_PAUSE: Duration = Duration::from_secs(1);

/// What became of a shard that should be open here.
enum Opened {
    /// Its group runs.
    Group(Arc<Replica>),
    /// It is sealed, or to be restored.
    Nothing,
    /// It cannot be told yet what it is.
    Later,
}

/// How the log of a group that does not open is.
enum Log {
    /// It is not for its log.
    Whole,
    /// Entries cannot be read, and nobody gives them.
    Damaged,
    /// Entries could not be read, and were replaced.
    Mended,
}

/// What the store has of a sealed shard.
enum Stored {
    Sealed(Sealed),
    /// The same rows in segments that the others have merged since, or more that are past and that they have left
    /// out: as good for questions.
    Unmerged(Sealed),
    /// Something that cannot be read, or that is not what was agreed on.
    Damaged,
    Nothing,
}

/// When all that is placed here was open.
#[derive(Default)]
struct AllOpen {
    /// As of these facts.
    as_of: Option<u64>,
    /// How often it was asked for since that the map is looked at again.
    asked: u64,
}

/// What a sealed shard had more than it has now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Freed {
    pub(crate) rows: u64,
    /// Bytes of files.
    pub(crate) bytes: u64,
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub(crate) struct Replicas {
    inner: Arc<Inner>,
}

struct Inner {
    open: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
    sealed: RwLock<BTreeMap<ShardId, Arc<SealedReplica>>>,
    segments: OpenSegments,
    claims: Claims,
    doubts: Doubts,
    opened: Mutex<AllOpen>,
    context: Context,
    installer: Arc<dyn Installer>,
    place: Place,
    settings: ClusterSettings,
    differences: Differences,
    /// Shared by the tails of all open shards.
    tail_memory: TailMemory,
}

/// Where segments lie.
pub(crate) struct Place {
    /// Folder of all segments.
    pub(crate) folder: PathBuf,
    /// Threads that wait for its disk.
    pub(crate) disk: Offload,
}

impl Replicas {
    /// No replica yet.
    pub(crate) fn new(
        context: Context,
        installer: Arc<dyn Installer>,
        place: Place,
        settings: ClusterSettings,
        doubts: Doubts,
        differences: Differences,
    ) -> Self {
        let open = RwLock::new(BTreeMap::new());
        let tail_memory = TailMemory::new(settings.tail_memory);
        Self {
            inner: Arc::new(Inner {
                tail_memory,
                open,
                sealed: RwLock::new(BTreeMap::new()),
                segments: OpenSegments::new(),
                claims: Claims::default(),
                doubts,
                opened: Mutex::default(),
                context,
                installer,
                place,
                settings,
                differences,
            }),
        }
    }

    /// The replica of this shard whose group runs.
    pub(crate) fn get(&self, shard: ShardId) -> Option<Arc<Replica>> {
        self.inner.open.read().get(&shard).cloned()
    }

    /// The shard, if it is on this node.
    pub(crate) fn held(&self, shard: ShardId) -> Option<Held> {
        // Looked at in this order, since a shard that is being sealed is in both before it leaves the first.
        let open = self.get(shard);
        let sealed = self.inner.sealed.read().get(&shard).cloned();
        sealed.map(Held::Sealed).or_else(|| open.map(Held::Open))
    }

    /// All shards on this node, by number.
    pub(crate) fn all_held(&self) -> Vec<Held> {
        let open = self.all().into_iter();
        let mut held: BTreeMap<ShardId, Held> = open
            .map(|replica| (replica.shard, Held::Open(replica)))
            .collect();
        let sealed = self.inner.sealed.read();
        held.extend(
            sealed
                .iter()
                .map(|(shard, replica)| (*shard, Held::Sealed(Arc::clone(replica)))),
        );
        held.into_values().collect()
    }

    /// All replicas whose groups run, by shard.
    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        self.inner.open.read().values().cloned().collect()
    }

    /// The folder of a shard's segments.
    pub(crate) fn folder(&self, shard: ShardId) -> PathBuf {
        self.inner.place.folder.join(shard.to_string())
    }

    /// Which shards here are under suspicion.
    pub(crate) fn doubts(&self) -> &Doubts {
        &self.inner.doubts
    }

    /// The shard, unless another task opens or restores it at this moment.
    pub(crate) fn claim(&self, shard: ShardId) -> Option<Claim> {
        self.inner.claims.claim(shard)
    }

    /// Opens what the shard map places on this node and is not open yet; gives those whose groups run.
    /// A shard that is finished and not here is left alone: it is restored from the others.
    pub(crate) async fn open_missing(&self, meta: &MetaGroup) -> Result<Vec<Arc<Replica>>, Error> {
        let state = meta.state();
        let asked = {
            let opened = self.inner.opened.lock();
            if opened.as_of == Some(state.applied) {
                return Ok(Vec::new());
            }
            opened.asked
        };
        let node = self.inner.settings.node;
        let placed = state.buckets.values().flat_map(meta::Bucket::shards);
        let placed = placed.filter(|(shard, _)| state.belongs(*shard, node));
        let (mut opened, mut looked_at_all) = (Vec::new(), true);
        for (shard, _) in placed {
            if self.held(shard).is_some() {
                continue;
            }
            let Some(_claim) = self.claim(shard) else {
                looked_at_all = false;
                continue;
            };
            match self.open_one(shard, meta).await? {
                Opened::Group(replica) => opened.push(replica),
                Opened::Nothing => {}
                Opened::Later => looked_at_all = false,
            }
        }
        let mut all_open = self.inner.opened.lock();
        // One that was closed meanwhile may have been passed by before.
        if looked_at_all && all_open.asked == asked {
            all_open.as_of = Some(state.applied);
        }
        Ok(opened)
    }

    /// Opens a shard that this task has claimed.
    async fn open_one(&self, shard: ShardId, meta: &MetaGroup) -> Result<Opened, Error> {
        // Another task may have ended with it while this one asked for it.
        if self.held(shard).is_some() {
            return Ok(Opened::Nothing);
        }
        let state = meta.state();
        let seal = state.sealed.get(&shard);
        match self.stored(shard, &state)? {
            Stored::Sealed(sealed) | Stored::Unmerged(sealed) => {
                self.keep_sealed(shard, &sealed)?;
                self.inner.doubts.not_seen(shard);
                return Ok(Opened::Nothing);
            }
            Stored::Damaged if seal.is_none() => return Ok(Opened::Later),
            Stored::Damaged => return Ok(Opened::Nothing),
            Stored::Nothing if seal.is_some() && !has_group(&self.inner.context.writer, shard)? => {
                return Ok(Opened::Nothing);
            }
            Stored::Nothing => {}
        }
        let installer = Arc::clone(&self.inner.installer);
        let bucket = state.buckets.get(&shard.bucket);
        let policy = bucket.map_or(0, |bucket| bucket.policy_epoch);
        let opened = ShardGroup::open(&self.inner.context, shard, policy, Arc::clone(&installer));
        let group = match opened.await {
            Ok(group) => group,
            Err(error) => match self.mend_log(shard, &state).await? {
                Log::Whole => return Err(error.into()),
                Log::Damaged => return Ok(Opened::Later),
                Log::Mended => {
                    ShardGroup::open(&self.inner.context, shard, policy, installer).await?
                }
            },
        };
        // What is being fetched is in no manifest yet, and must not be swept away.
        let _installing = group.installing().await;
        let tail_memory = self.inner.tail_memory.clone();
        let replica = Replica::new(shard, group, self.folder(shard), tail_memory);
        let replica = Arc::new(replica);
        let sweeping = Arc::clone(&replica);
        let swept = self.inner.place.disk.run(move || sweeping.sweep()).await?;
        if !swept? {
            self.inner.doubts.suspect(shard);
        }
        self.inner.open.write().insert(shard, Arc::clone(&replica));
        Ok(Opened::Group(replica))
    }

    /// Closes a replica that has applied other entries than those of its log: it is opened anew, and applies these.
    /// Whether it is closed; not while another task works on its shard.
    pub(crate) async fn reopen(&self, replica: &Arc<Replica>) -> Result<bool, Error> {
        let shard = replica.shard;
        let Some(_claim) = self.claim(shard) else {
            return Ok(false);
        };
        let _installing = replica.group.installing().await;
        // It is in the registry until its group has ended, since nobody may open that before.
        replica.group.leave().await?;
        let mut open = self.inner.open.write();
        if open
            .get(&shard)
            .is_some_and(|one| Arc::ptr_eq(one, replica))
        {
            open.remove(&shard);
        }
        drop(open);
        self.look_again();
        Ok(true)
    }

    /// Replaces entries of the log of a group that does not open by what all other members that can be asked have
    /// applied.
    async fn mend_log(&self, shard: ShardId, state: &meta::State) -> Result<Log, Error> {
        let writer = &self.inner.context.writer;
        let reading = writer.clone();
        let damaged = self
            .inner
            .place
            .disk
            .run(move || damaged_log(&reading, shard));
        let damaged = damaged.await??;
        if damaged.is_empty() {
            return Ok(Log::Whole);
        }
        let (first, count) = (damaged.first(), damaged.len());
        tracing::error!(%shard, ?first, count, "entries of the log cannot be read");
        self.inner.doubts.differs(shard);
        self.inner.differences.found();
        let members = state.slot(shard).map(|slot| self.members(slot));
        let mut others = members.unwrap_or_default();
        others.remove(&self.node());
        let others = others.into_iter().map(|(node, peer)| (node, peer.addr));
        let others: Vec<_> = others.collect();
        let waited = self.inner.doubts.unreadable(shard);
        let connect = &*self.inner.context.connect;
        for index in damaged {
            let entries = entry_of_all(connect, shard, &others, index, waited).await;
            let Some(entries) = entries else {
                tracing::warn!(%shard, index, "the other nodes do not give this entry of the log");
                tokio::time::sleep(MEND_PAUSE).await;
                return Ok(Log::Damaged);
            };
            mend_stored_log(writer, shard, &entries).await?;
            self.inner.differences.mended(1);
        }
        self.inner.doubts.log_is_right(shard);
        tracing::info!(%shard, count, "entries of the log were replaced by the other replicas'");
        Ok(Log::Mended)
    }

    /// What the store has of a sealed shard. Blocks on the disk.
    fn stored(&self, shard: ShardId, facts: &meta::State) -> Result<Stored, Error> {
        let sealed = match Sealed::load(&self.inner.context.writer, shard) {
            Ok(None) => return Ok(Stored::Nothing),
            Ok(Some(sealed)) => sealed,
            Err(hushlog_raft::Error::Codec(error)) if error.is_damage() => {
                self.inner.doubts.suspect(shard);
                return Ok(Stored::Damaged);
            }
            Err(error) => return Err(error.into()),
        };
        if let Ok(manifest) = decode_manifest(&sealed.manifest) {
            let has_segments = |seal: &meta::Seal| seal.digest == manifest.digest();
            if facts.sealed.get(&shard).is_none_or(has_segments) {
                return Ok(Stored::Sealed(sealed));
            }
            let form = meta::Form {
                rows: manifest.rows(),
                bounds: manifest.time_bounds(),
            };
            if facts.has_held(shard, sealed.segmented_to, form)
                || facts.may_come_to(shard, sealed.segmented_to, form)
            {
                return Ok(Stored::Unmerged(sealed));
            }
        }
        self.inner.doubts.suspect(shard);
        Ok(Stored::Damaged)
    }

    /// The manifest of a sealed shard, if what is stored is what was agreed on. Blocks on the disk.
    pub(crate) fn agreed(
        &self,
        replica: &SealedReplica,
        meta: &MetaGroup,
    ) -> Result<Option<Manifest>, Error> {
        match self.stored(replica.shard, &meta.state())? {
            Stored::Sealed(sealed) => Ok(Some(decode_manifest(&sealed.manifest)?)),
            Stored::Unmerged(_) | Stored::Damaged | Stored::Nothing => Ok(None),
        }
    }

    /// Deletes what no manifest lists from the folder of a sealed shard, and puts the shard under suspicion
    /// if a file is not there. Blocks on the disk.
    pub(crate) fn look_at_folder(&self, replica: &SealedReplica) -> Result<(), Error> {
        let sealed = replica.stored()?;
        self.sweep(replica.shard, &sealed)?;
        let manifest = decode_manifest(&sealed.manifest)?;
        let folder = self.folder(replica.shard);
        if !manifest
            .segments
            .iter()
            .all(|segment| segment.is_there(&folder))
        {
            self.inner.doubts.suspect(replica.shard);
        }
        Ok(())
    }

    /// Whether the store has nothing of a finished shard that could be used. Blocks on the disk.
    pub(crate) fn is_absent(&self, shard: ShardId, facts: &meta::State) -> Result<bool, Error> {
        let stored = self.stored(shard, facts)?;
        let usable = matches!(stored, Stored::Sealed(_) | Stored::Unmerged(_));
        Ok(!usable && !has_group(&self.inner.context.writer, shard)?)
    }

    /// Deletes what no manifest lists from the folder of a sealed shard that the caller has claimed.
    pub(crate) async fn sweep_sealed(&self, replica: &Arc<SealedReplica>) -> Result<(), Error> {
        let (replicas, replica) = (self.clone(), Arc::clone(replica));
        let sweep = move || replicas.sweep(replica.shard, &replica.stored()?);
        self.inner.place.disk.run(sweep).await?
    }

    /// The sealed shards here of which some segments should become one.
    pub(crate) fn mergeable(&self) -> Vec<Arc<SealedReplica>> {
        let sealed = self.inner.sealed.read();
        let mergeable = sealed.values().filter(|replica| replica.is_mergeable);
        mergeable.cloned().collect()
    }

    /// All sealed shards here, by number.
    pub(crate) fn all_sealed(&self) -> Vec<Arc<SealedReplica>> {
        self.inner.sealed.read().values().cloned().collect()
    }

    /// Puts these segments, which are here and which the cluster has agreed on, in the place of those that they
    /// were made of; what is not needed any more. The caller has claimed the shard.
    pub(crate) async fn take_merged(
        &self,
        replica: &SealedReplica,
        merged: &Manifest,
    ) -> Result<Freed, Error> {
        let sealed = Sealed {
            segmented_to: replica.segmented_to,
            manifest: merged.encode().into(),
        };
        let writer = &self.inner.context.writer;
        sealed.update(writer, replica.shard).await?;
        self.keep_sealed(replica.shard, &sealed)?;
        self.sweep_late(replica.shard, sealed).await;
        Ok(Freed {
            rows: replica.rows.saturating_sub(merged.rows()),
            bytes: replica.bytes.total().saturating_sub(merged.bytes()),
        })
    }

    /// How many sealed shards are on this node.
    pub(crate) fn sealed_count(&self) -> usize {
        self.inner.sealed.read().len()
    }

    /// Ends the group of a replica that is what was agreed on; whether it is. It is there for questions
    /// all the time.
    pub(crate) async fn seal(
        &self,
        replica: &Arc<Replica>,
        seal: &meta::Seal,
    ) -> Result<bool, Error> {
        let _installing = replica.group.installing().await;
        let Some((sealed, keys)) = replica.group.finished() else {
            return Ok(false);
        };
        if decode_manifest(&sealed.manifest)?.digest() != seal.digest {
            return Ok(false);
        }
        replica.group.seal(&sealed, &keys).await?;
        self.keep_sealed(replica.shard, &sealed)?;
        self.sweep_late(replica.shard, sealed).await;
        Ok(true)
    }

    /// Ends the group of a replica with what another node has of its shard, whose files are here.
    pub(crate) async fn replace(
        &self,
        replica: &Arc<Replica>,
        received: Received,
    ) -> Result<(), Error> {
        replica.group.seal(&received.sealed, &received.keys).await?;
        self.keep_sealed(replica.shard, &received.sealed)?;
        self.sweep_late(replica.shard, received.sealed).await;
        Ok(())
    }

    /// Takes in a sealed shard of which this node had nothing, and whose files are here by now.
    pub(crate) async fn install(&self, shard: ShardId, received: Received) -> Result<(), Error> {
        let writer = &self.inner.context.writer;
        received
            .sealed
            .install(writer, shard, &received.keys)
            .await?;
        self.keep_sealed(shard, &received.sealed)
    }

    fn keep_sealed(&self, shard: ShardId, sealed: &Sealed) -> Result<(), Error> {
        let context = &self.inner.context;
        context.groups.finish(shard.group());
        let replica = SealedReplica::new(
            shard,
            sealed,
            self.folder(shard),
            context.writer.clone(),
            self.inner.segments.clone(),
            self.inner.settings.merge.bytes,
        )?;
        self.inner.sealed.write().insert(shard, Arc::new(replica));
        self.inner.open.write().remove(&shard);
        self.inner.doubts.log_is_right(shard);
        Ok(())
    }

    /// Deletes what no manifest lists, if it can.
    async fn sweep_late(&self, shard: ShardId, sealed: Sealed) {
        let replicas = self.clone();
        let swept = self
            .inner
            .place
            .disk
            .run(move || replicas.sweep(shard, &sealed));
        if let Err(error) = swept.await.map_err(Error::from).and_then(|swept| swept) {
            tracing::warn!(%shard, %error, "old files stay until the next start");
        }
    }

    /// Deletes what no manifest lists. Blocks on the disk.
    fn sweep(&self, shard: ShardId, sealed: &Sealed) -> Result<(), Error> {
        let manifest = decode_manifest(&sealed.manifest)?;
        let swept = manifest.sweep(&self.folder(shard));
        for path in swept.map_err(super::build::Error::from)? {
            tracing::info!(path = %path.display(), "deleted what no manifest lists");
        }
        Ok(())
    }

    /// This node.
    pub(crate) fn node(&self) -> NodeId {
        self.inner.settings.node
    }

    /// The members of a slot's group.
    pub(crate) fn members(&self, slot: &meta::Slot) -> BTreeMap<NodeId, Peer> {
        let mut members = self.all_members();
        members.retain(|node, _| slot.voters.contains(node));
        members
    }

    /// All nodes that the cluster has, and how they are reached; those that this node was told of as long as
    /// it knows of no cluster.
    pub(crate) fn all_members(&self) -> BTreeMap<NodeId, Peer> {
        let meta = self.inner.context.groups.meta();
        match meta.map(|meta| meta.state()) {
            Some(state) if !state.nodes.is_empty() => peers(state.nodes.values()),
            _ => self.first_members(),
        }
    }

    /// The nodes that this one was told of: the first members of the meta group.
    pub(crate) fn first_members(&self) -> BTreeMap<NodeId, Peer> {
        peers(self.inner.settings.peers.iter())
    }

    /// Has the map looked at again although it has not changed.
    pub(crate) fn look_again(&self) {
        let mut opened = self.inner.opened.lock();
        opened.as_of = None;
        opened.asked += 1;
    }

    /// Stored bytes of all tails: what no segment covers yet.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        let bytes = |replica: Arc<Replica>| {
            let view = replica.group.view();
            let blocks = view
                .tail
                .iter()
                .map(|block| block.block.bytes().len() as u64);
            blocks.sum::<u64>()
        };
        self.all().into_iter().map(bytes).sum()
    }

    /// Stored bytes of all tails that no cut covers, and the shard that has most of them.
    pub(crate) fn tail_bytes(&self) -> (u64, Option<ShardId>) {
        let mut total = 0;
        let mut largest = (0, None);
        for (shard, replica) in self.inner.open.read().iter() {
            let bytes = replica.positions().uncut_bytes;
            total += bytes;
            if bytes > largest.0 {
                largest = (bytes, Some(*shard));
            }
        }
        (total, largest.1)
    }

    /// Takes out a shard that was dropped. Questions that have it pinned keep what they have.
    pub(crate) fn forget(&self, shard: ShardId) {
        self.inner.context.groups.finish(shard.group());
        self.inner.open.write().remove(&shard);
        self.inner.sealed.write().remove(&shard);
        self.inner.segments.close(shard);
    }
}

fn peers<'a>(nodes: impl Iterator<Item = &'a meta::Node>) -> BTreeMap<NodeId, Peer> {
    let peer = |node: &meta::Node| Peer {
        addr: node.grpc.clone(),
    };
    nodes.map(|node| (node.id, peer(node))).collect()
}
