//! The software of one simulated host: store, writer, gRPC, groups; and what it is asked to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hushlog_node::callers::{Callers, Pass};
use hushlog_node::net::{Net, serve_grpc};
use hushlog_node::peers::Peers;
use hushlog_raft::{
    Context, Groups, Incarnations, Peer, ProposeError, Receipt, Settings, ShardGroup, keep_resting,
    service,
};
use hushlog_record::ShardId;
use hushlog_record::block::Block;
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::writer::Writer;
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use super::World;
use super::segments::{self, Fetch};
use crate::sim::net::{Simulated, host};
use crate::sim::stage::Wall;

const CLUSTER: u128 = 42;
const PORT: u16 = 7_000;
const JOBS_MAX: usize = 1_024;
const CONNECTIONS_MAX: usize = 1_024;
/// Little, so that nodes that were away often need a snapshot.
const LOG_KEEP: u64 = 256;

/// Short, so that groups rest between the requests of their clients, and wake again.
const REST_AFTER: Duration = Duration::from_millis(250);

/// Where the answer to a job appears.
pub(super) type Slot<T> = Arc<Mutex<Option<T>>>;

/// What a node is asked to do.
pub(super) enum Job {
    Propose {
        block: Block,
        patience: Duration,
        answer: Slot<Result<Vec<Receipt>, ProposeError>>,
    },
    /// A committed read: how far the replica had applied, if it could be sure.
    Read {
        shard: ShardId,
        patience: Duration,
        answer: Slot<Option<u64>>,
    },
    Cut {
        shard: ShardId,
    },
    Transfer {
        shard: ShardId,
        to: u64,
    },
    Voters {
        shard: ShardId,
        voters: BTreeSet<u64>,
    },
}

/// A running node as the driver sees it.
pub(super) struct Running {
    pub(super) boot: u64,
    pub(super) groups: BTreeMap<ShardId, ShardGroup>,
    pub(super) jobs: mpsc::Sender<Job>,
    _writer: Writer,
}

impl Running {
    /// Lets go of what the registry of groups would keep alive.
    pub(super) fn bury(self) {
        for group in self.groups.values() {
            // Its runtime is gone: the first step takes it out of the registry, no other can follow.
            let _gone = group.shutdown().now_or_never();
        }
    }
}

fn members(nodes: u64) -> BTreeMap<u64, Peer> {
    let peer = |node| Peer {
        addr: format!("{}:{PORT}", host(node)),
    };
    (1..=nodes).map(|node| (node, peer(node))).collect()
}

/// Runs a node until its host crashes.
pub(super) async fn run(world: Arc<World>, node: u64) -> turmoil::Result {
    let boot = world.base.boot(node);
    let writer = writer(&world, node, boot);
    let pass = Pass::of(&[7; 32]);
    let peers = Peers::new(Arc::new(Simulated));
    peers.show(pass.clone());
    let connect = Arc::new(peers);
    let seed = world
        .base
        .entropy
        .stream(&format!("elections {node} {boot}"));
    let life = Incarnation {
        birth: node,
        number: boot,
        nonce: boot,
    };
    let incarnations = Incarnations::open(life, writer.handle())?;
    let context = Context {
        node,
        incarnations,
        cluster: CLUSTER,
        writer: writer.handle(),
        connect,
        settings: Settings {
            log_keep: LOG_KEEP,
            rest_after: REST_AFTER,
            ..Settings::default()
        },
        seed: { seed }.next_u64(),
        groups: Groups::new(),
        intake: hushlog_raft::Intake::default(),
    };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let listener = Simulated.bind(address).await?;
    let mut routes = RoutesBuilder::default();
    routes.add_service(service(&context));
    let stop = CancellationToken::new();
    let clock = Arc::new(Wall {
        base: Arc::clone(&world.base),
        node,
    });
    tokio::spawn(serve_grpc(
        listener,
        routes.routes(),
        Callers::new(CONNECTIONS_MAX, pass),
        stop,
        Duration::ZERO,
        clock,
    ));
    let resting = context.clone();
    tokio::spawn(async move { keep_resting(&resting).await });
    let groups = open(&world, node, boot, &context).await;
    let (jobs, mut inbox) = mpsc::channel(JOBS_MAX);
    let running = Running {
        boot,
        groups: groups.clone(),
        jobs,
        _writer: writer,
    };
    world.running.lock().insert(node, running);
    let groups = Arc::new(groups);
    while let Some(job) = inbox.recv().await {
        tokio::spawn(work(Arc::clone(&world), node, Arc::clone(&groups), job));
    }
    Ok(())
}

fn writer(world: &Arc<World>, node: u64, boot: u64) -> Writer {
    let mut random = world.base.entropy.stream(&format!("syncs {node} {boot}"));
    let paced = Arc::clone(world);
    let disk = world.base.disk(node);
    let (writer, writing) = Writer::paced(disk, move |bytes| {
        let slow = paced.base.held_up(node);
        let own = 1 + random.next_u64() % 8 + bytes as u64 / 1_000_000;
        Duration::from_millis(own + slow)
    });
    tokio::spawn(writing);
    writer
}

async fn open(
    world: &Arc<World>,
    node: u64,
    boot: u64,
    context: &Context,
) -> BTreeMap<ShardId, ShardGroup> {
    let mut groups = BTreeMap::new();
    for shard in world.shards.clone() {
        let fetch = Arc::new(Fetch {
            world: Arc::clone(world),
            node,
        });
        match ShardGroup::open(context, shard, 0, fetch).await {
            Ok(group) => {
                world.broken.lock().remove(&(node, shard));
                if group.is_pristine()
                    && let Err(error) = group.initialize(members(world.base.nodes)).await
                {
                    world
                        .base
                        .trace
                        .line(format_args!("n{node} {shard} not initialised: {error}"));
                }
                tokio::spawn(segments::build(
                    Arc::clone(world),
                    node,
                    boot,
                    group.clone(),
                ));
                groups.insert(shard, group);
            }
            Err(error) => {
                world
                    .base
                    .trace
                    .line(format_args!("n{node} {shard} does not open: {error}"));
                let reason = error.to_string();
                world.broken.lock().insert((node, shard), reason);
            }
        }
    }
    groups
}

async fn work(world: Arc<World>, node: u64, groups: Arc<BTreeMap<ShardId, ShardGroup>>, job: Job) {
    match job {
        Job::Propose {
            block,
            patience,
            answer,
        } => {
            let outcome = match groups.get(&block.header().shard) {
                Some(group) => group.propose(block, Instant::now() + patience).await,
                None => Err(ProposeError::Unavailable("the group is not open".into())),
            };
            *answer.lock() = Some(outcome);
        }
        Job::Read {
            shard,
            patience,
            answer,
        } => {
            let read = match groups.get(&shard) {
                Some(group) => {
                    let barrier = group.read_barrier(Instant::now() + patience).await;
                    barrier.is_ok().then(|| group.view().applied_to)
                }
                None => None,
            };
            *answer.lock() = Some(read);
        }
        Job::Cut { shard } => {
            if let Some(group) = groups.get(&shard) {
                let cut = group.cut(Instant::now() + Duration::from_secs(5)).await;
                world
                    .base
                    .trace
                    .line(format_args!("n{node} {shard} cut: {cut:?}"));
            }
        }
        Job::Voters { shard, voters } => {
            if let Some(group) = groups.get(&shard) {
                let mut wanted = members(world.base.nodes);
                wanted.retain(|node, _| voters.contains(node));
                let deadline = Instant::now() + Duration::from_secs(5);
                let change = group.change_voters(&wanted, deadline).await;
                world.base.trace.line(format_args!(
                    "n{node} {shard} voters {voters:?}: {change:?}"
                ));
            }
        }
        Job::Transfer { shard, to } => {
            if let Some(group) = groups.get(&shard) {
                let transfer = group.transfer_leader(to).await;
                world.base.trace.line(format_args!(
                    "n{node} {shard} hands over to n{to}: {transfer:?}"
                ));
            }
        }
    }
}
