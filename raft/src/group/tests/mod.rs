//! Three nodes in one process over real gRPC on the loopback interface. Each has its own runtime, so
//! that killing it ends every task and connection at once.

mod availability;
mod blocks;
mod leads;
mod log;
mod meta;
mod outside;
mod refusals;
mod rest;
mod roll;
mod segments;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::Error;
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::store::mem::Crash;
use hushlog_storage::store::{Mem, Rocks, Store};
use hushlog_storage::writer::Writer;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

use super::{
    Context, Groups, Incarnations, Installer, Intake, MetaGroup, Settings, ShardGroup, keep_resting,
};
use crate::network::{Connect, Lane, service};
use crate::testing::SHARD;
use crate::types::Peer;

/// Long enough for a loaded machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);
const CLUSTER: u128 = 42;

/// Slow enough for nodes that share few cores.
fn settings() -> Settings {
    Settings {
        heartbeat: Duration::from_millis(200),
        election_min: Duration::from_millis(800),
        election_max: Duration::from_millis(1_600),
        patience: PATIENCE,
        // Short, so that every test has groups that rest and wake.
        rest_after: Duration::from_millis(400),
        log_keep: 0,
    }
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Waits for something that must happen.
async fn must<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

#[derive(Default)]
struct Tcp {
    channels: Mutex<BTreeMap<(NodeId, Lane), Channel>>,
}

impl Connect for Tcp {
    fn channel(&self, node: NodeId, addr: &str, lane: Lane) -> Result<Channel, tonic::Status> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&(node, lane)) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))
            .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(1))
            .connect_lazy();
        channels.insert((node, lane), channel.clone());
        Ok(channel)
    }
}

/// Remembers what was fetched; fails as often as it is told to.
#[derive(Default)]
struct FakeInstaller {
    failures: Mutex<u32>,
    fetched: Mutex<Vec<(NodeId, Bytes)>>,
}

impl Installer for FakeInstaller {
    fn fetch<'a>(
        &'a self,
        _shard: ShardId,
        sources: &'a [(NodeId, String)],
        manifest: Bytes,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let mut failures = self.failures.lock();
            if *failures > 0 {
                *failures -= 1;
                return Err("a source has gone away".into());
            }
            self.fetched.lock().push((sources[0].0, manifest));
            Ok(())
        })
    }
}

/// What of a node outlives its process.
#[derive(Clone)]
enum Disk {
    Mem(Arc<Mem>),
    Rocks(Arc<tempfile::TempDir>),
}

impl Disk {
    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Mem(mem) => mem.clone(),
            // The tasks of a killed node let go of its store one after the other.
            Self::Rocks(folder) => loop {
                match Rocks::open(folder.path()) {
                    Ok(store) => return Arc::new(store),
                    Err(Error::Locked { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            },
        }
    }
}

/// A running node.
struct Node {
    context: Context,
    writer: Writer,
    runtime: Runtime,
    shards: BTreeMap<ShardId, ShardGroup>,
    meta: MetaGroup,
}

struct Cluster {
    disks: BTreeMap<NodeId, Disk>,
    peers: BTreeMap<NodeId, Peer>,
    installers: BTreeMap<NodeId, Arc<FakeInstaller>>,
    shards: Vec<ShardId>,
    settings: Settings,
    nodes: BTreeMap<NodeId, Node>,
    /// How often each node was started.
    lives: BTreeMap<NodeId, u64>,
}

impl Cluster {
    async fn on_mem() -> Self {
        Self::on_mem_with(settings()).await
    }

    async fn on_mem_with(settings: Settings) -> Self {
        let disk = || Disk::Mem(Arc::new(Mem::new()));
        Self::start_with(disk, vec![SHARD], settings).await
    }

    async fn on_rocks() -> Self {
        let folder = || Disk::Rocks(Arc::new(tempfile::tempdir().unwrap()));
        Self::start(folder, vec![SHARD]).await
    }

    /// Three nodes, each with the meta group and these shards.
    async fn start(disk: impl Fn() -> Disk, shards: Vec<ShardId>) -> Self {
        Self::start_with(disk, shards, settings()).await
    }

    async fn start_with(disk: impl Fn() -> Disk, shards: Vec<ShardId>, settings: Settings) -> Self {
        let mut cluster = Self {
            disks: BTreeMap::new(),
            peers: BTreeMap::new(),
            installers: BTreeMap::new(),
            shards,
            settings,
            nodes: BTreeMap::new(),
            lives: BTreeMap::new(),
        };
        let mut listeners = Vec::new();
        for id in 1..=3 {
            #[expect(
                clippy::disallowed_methods,
                reason = "a port that stays when a node starts again"
            )]
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap().to_string();
            cluster.peers.insert(id, Peer { addr });
            cluster.disks.insert(id, disk());
            cluster.installers.insert(id, Arc::default());
            listeners.push((id, listener));
        }
        for (id, listener) in listeners {
            cluster.run(id, listener).await;
        }
        for node in cluster.nodes.values() {
            for shard in node.shards.values() {
                shard.initialize(cluster.peers.clone()).await.unwrap();
            }
            node.meta.initialize(cluster.peers.clone()).await.unwrap();
        }
        cluster
    }

    async fn run(&mut self, id: NodeId, listener: std::net::TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let writer = {
            let open = self.disks[&id].open();
            Writer::spawn(must("the store opens", open).await).unwrap()
        };
        let number = self.lives.entry(id).or_default();
        *number += 1;
        let life = Incarnation {
            birth: id,
            number: *number,
            nonce: *number,
        };
        let incarnations = Incarnations::open(life, writer.handle()).unwrap();
        let context = Context {
            node: id,
            incarnations,
            cluster: CLUSTER,
            writer: writer.handle(),
            connect: Arc::new(Tcp::default()),
            settings: self.settings.clone(),
            seed: id,
            groups: Groups::new(),
            intake: Intake::default(),
        };
        let shards = self.shards.clone();
        let installer = self.installers[&id].clone();
        let inside = context.clone();
        let runtime_of_the_node = runtime.handle().clone();
        let open = runtime.spawn(async move {
            let context = inside;
            listener.set_nonblocking(true).unwrap();
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let server = Server::builder().add_service(service(&context));
            runtime_of_the_node.spawn(server.serve_with_incoming(incoming));
            let resting = context.clone();
            runtime_of_the_node.spawn(async move { keep_resting(&resting).await });
            let mut open = BTreeMap::new();
            for shard in shards {
                let group = ShardGroup::open(&context, shard, 0, installer.clone())
                    .await
                    .unwrap();
                open.insert(shard, group);
            }
            (open, MetaGroup::open(&context).await.unwrap())
        });
        let (shards, meta) = open.await.unwrap();
        self.nodes.insert(
            id,
            Node {
                context,
                writer,
                runtime,
                shards,
                meta,
            },
        );
    }

    /// Ends a node as `kill -9` and the loss of unsynced data would.
    fn kill(&mut self, id: NodeId) {
        let node = self.nodes.remove(&id).unwrap();
        node.runtime.shutdown_background();
        // The registry holds the groups and they hold it; a process takes both along.
        for number in node.context.groups.numbers() {
            node.context.groups.remove(number);
        }
        drop((node.shards, node.meta, node.context));
        node.writer.shutdown();
        if let Disk::Mem(mem) = &self.disks[&id] {
            mem.crash(Crash::DropUnsynced);
        }
    }

    /// Starts a killed node again, at the same address and on the same disk.
    #[expect(
        clippy::disallowed_methods,
        reason = "these nodes are threads on the loopback interface"
    )]
    async fn restart(&mut self, id: NodeId) {
        let addr = self.peers[&id].addr.clone();
        let listener = must("the address is free again", async {
            loop {
                match TcpListener::bind(&addr).await {
                    Ok(listener) => return listener.into_std().unwrap(),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        self.run(id, listener).await;
    }

    fn shard(&self, id: NodeId) -> &ShardGroup {
        &self.nodes[&id].shards[&SHARD]
    }

    fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// A running node that leads the shard, as soon as there is one that has confirmed it.
    async fn leader(&self) -> NodeId {
        must("a leader is elected", async {
            loop {
                for (id, node) in &self.nodes {
                    let group = &node.shards[&SHARD];
                    let deadline = Instant::now() + self.settings.election_max;
                    if group.is_leader() && group.core().read_index(deadline).await.is_ok() {
                        return *id;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// A running node that does not lead.
    async fn follower(&self) -> NodeId {
        let leader = self.leader().await;
        self.ids().into_iter().find(|id| *id != leader).unwrap()
    }

    /// Waits until a node's log is trimmed up to here.
    async fn trimmed(&self, id: NodeId, to: u64) {
        let group = self.shard(id);
        must("the log is trimmed", async {
            while group.status().trimmed_to < to {
                group.trim().await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    fn stop(self) {
        for (_, node) in self.nodes {
            node.runtime.shutdown_background();
        }
    }
}
