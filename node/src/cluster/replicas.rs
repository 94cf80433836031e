//! The replicas on this node, by shard; opened as the shard map says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hushlog_raft::{Context, Installer, Peer, ShardGroup, meta};
use hushlog_record::{NodeId, ShardId};
use parking_lot::RwLock;

use super::replica::{Error, Replica};
use super::settings::ClusterSettings;

/// The registry; cheap to clone.
#[derive(Clone)]
pub(crate) struct Replicas {
    inner: Arc<Inner>,
}

struct Inner {
    open: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
    context: Context,
    installer: Arc<dyn Installer>,
    folder: PathBuf,
    settings: ClusterSettings,
}

impl Replicas {
    /// No replica yet; their segments will lie below `folder`.
    pub(crate) fn new(
        context: Context,
        installer: Arc<dyn Installer>,
        folder: PathBuf,
        settings: ClusterSettings,
    ) -> Self {
        let open = RwLock::new(BTreeMap::new());
        Self {
            inner: Arc::new(Inner {
                open,
                context,
                installer,
                folder,
                settings,
            }),
        }
    }

    /// The replica of this shard.
    pub(crate) fn get(&self, shard: ShardId) -> Option<Arc<Replica>> {
        self.inner.open.read().get(&shard).cloned()
    }

    /// All replicas, by shard.
    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        self.inner.open.read().values().cloned().collect()
    }

    /// The folder of a shard's segments.
    pub(crate) fn folder(&self, shard: ShardId) -> PathBuf {
        self.inner.folder.join(shard.to_string())
    }

    /// Opens what the shard map places on this node and is not open yet; gives the new ones.
    pub(crate) async fn open_missing(
        &self,
        state: &meta::State,
    ) -> Result<Vec<Arc<Replica>>, Error> {
        let mut opened = Vec::new();
        let node = self.inner.settings.node;
        let placed = state.buckets.values().flat_map(meta::Bucket::shards);
        for (shard, _) in placed.filter(|(_, slot)| slot.voters.contains(&node)) {
            if self.get(shard).is_some() {
                continue;
            }
            let installer = Arc::clone(&self.inner.installer);
            let group = ShardGroup::open(&self.inner.context, shard, installer).await?;
            // What is being fetched is in no manifest yet, and must not be swept away.
            let _installing = group.installing().await;
            let tail_bytes_max = self.inner.settings.tail_memory;
            let replica = Replica::new(shard, group, self.folder(shard), tail_bytes_max)?;
            let replica = Arc::new(replica);
            self.inner.open.write().insert(shard, Arc::clone(&replica));
            opened.push(replica);
        }
        Ok(opened)
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

    /// All nodes, as members of the meta group.
    pub(crate) fn all_members(&self) -> BTreeMap<NodeId, Peer> {
        let peers = self.inner.settings.peers.iter();
        peers
            .map(|node| {
                (
                    node.id,
                    Peer {
                        addr: node.grpc.clone(),
                    },
                )
            })
            .collect()
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
}
