//! The cluster as this node sees it: the shard map, the replicas here, the way to every leader.
//!
//! It decides where records go and who holds them; it never looks at a record.

mod accounts;
pub(crate) mod buckets;
pub(crate) mod build;
mod claims;
pub(crate) mod cpu;
pub mod cut;
mod describe;
mod doubts;
mod dropper;
pub(crate) mod execute;
mod expire;
mod farewell;
mod files;
mod gauges;
pub(crate) mod held;
mod inherit;
mod intake;
pub mod join;
mod keeper;
mod leads;
pub mod ledger;
mod limits;
mod mover;
mod moves;
pub mod nodes;
mod placement;
mod policy;
pub(crate) mod question;
mod rates;
pub(crate) mod replica;
mod replicas;
mod report;
mod restore;
pub mod retention;
mod scrub;
mod sealed;
pub mod secret;
mod service;
pub mod settings;
mod sink;
mod summary;
mod tail;
mod voters;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{
    Connect, Context, Groups, Incarnations, Installer, Intake, MetaGroup, Status, meta,
};
use hushlog_record::{NodeId, ShardId};
use hushlog_storage::ballast::Ballast;
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::writer::WriterHandle;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::service::RoutesBuilder;

use crate::clock::Clock;
use crate::gateway::Rates;
use crate::ledger::Ledger;
use crate::limits::READY_SILENCE_MAX;
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::{Policy, Tasks, unless_stopped};

use accounts::Accounts;
use buckets::BucketKeeper;
use doubts::Doubts;
use dropper::{Dropped, Dropper};
use files::Fetcher;
use held::Held;
use keeper::Keeper;
use leads::Leads;
use mover::Mover;
use replicas::Replicas;
use restore::Restorer;
use scrub::Scrub;
use secret::Secret;
pub use settings::ClusterSettings;

/// Largest message between nodes.
pub(crate) const MESSAGE_BYTES_MAX: usize = hushlog_raft::limits::MESSAGE_BYTES_MAX;
/// How often the shard map is compared with what is open here.
const MAP_TICK: Duration = Duration::from_millis(200);
/// How long a node tries to register itself before it looks again.
const REGISTER_DEADLINE: Duration = Duration::from_secs(5);

/// What a cluster is made of.
pub struct Parts {
    /// Settings.
    pub settings: ClusterSettings,
    /// The cluster's id and key.
    pub secret: Secret,
    /// The life that this node lives.
    pub incarnation: Incarnation,
    /// Folder of all segments.
    pub segments: PathBuf,
    /// The node's writer.
    pub writer: WriterHandle,
    /// How to reach peers.
    pub connect: Arc<dyn Connect>,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Where the groups draw their election timeouts from.
    pub seed: u64,
    /// Threads for queries.
    pub offload: Offload,
    /// Threads for building segments.
    pub builder: Offload,
    /// Where tasks run.
    pub tasks: Tasks,
    /// Where numbers go.
    pub registry: Registry,
    /// What masks on this node: it is kept to the cluster's policy.
    pub masking: Arc<Masking>,
    /// What services with a rate limit have used.
    pub rates: Rates,
    /// What came in on this node.
    pub ledger: Ledger,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ClusterSettings,
    secret: Secret,
    context: Context,
    meta: MetaGroup,
    replicas: Replicas,
    store: PathBuf,
    /// Folder of all segments.
    segments: PathBuf,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    offload: Offload,
    accounts: Accounts,
    builder: Offload,
    fetcher: Arc<Fetcher>,
    tasks: Tasks,
    build_seconds: BuildSeconds,
    scrubbed: crate::metrics::Counter,
    dropped: Dropped,
    initialised: Mutex<bool>,
    /// Who led the shards that this node has no replica of, when last heard of.
    leaders: Mutex<BTreeMap<ShardId, NodeId>>,
    restart: watch::Sender<bool>,
    masking: Arc<Masking>,
    rates: Rates,
    ledger: Ledger,
}

/// CPU time of builds, by stage, and how many segments came how.
#[derive(Clone)]
pub(crate) struct BuildSeconds {
    built: crate::metrics::Counter,
    fetched: crate::metrics::Counter,
    segment: crate::metrics::Seconds,
    index: crate::metrics::Seconds,
}

impl BuildSeconds {
    fn new(registry: &Registry) -> Self {
        let stage = |stage| {
            registry.seconds(
                "hushlog_node_stage_cpu_seconds_total",
                "CPU time by stage.",
                &[("stage", stage)],
            )
        };
        let segments = |by| {
            let help = "Segments that cuts became here, by how: built from the log, or fetched.";
            registry.counter("hushlog_node_segments_total", help, &[("by", by)])
        };
        Self {
            built: segments("built"),
            fetched: segments("fetched"),
            segment: stage("segment"),
            index: stage("index"),
        }
    }

    pub(crate) fn add(&self, times: build::BuildTimes) {
        self.segment.add_nanos(times.segment_nanos);
        self.index.add_nanos(times.index_nanos);
    }
}

/// The cluster could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A group.
    #[error(transparent)]
    Raft(#[from] hushlog_raft::Error),
    /// A replica.
    #[error(transparent)]
    Replica(#[from] replica::Error),
    /// This node has left the cluster for good.
    #[error("{}", removed(*.0))]
    Removed(NodeId),
}

/// What a node that was removed is told, and says.
fn removed(node: NodeId) -> String {
    format!(
        "node {node} was removed from its cluster and takes no part any more: its data folder can be deleted, \
         and a node that is to join needs another number"
    )
}

impl Cluster {
    /// Opens the meta group and every replica that its last state places here.
    ///
    /// # Errors
    /// When what is on the disk cannot be used.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let incarnations = Incarnations::open(parts.incarnation, parts.writer.clone())?;
        let context = Context {
            node: parts.settings.node,
            cluster: parts.secret.cluster,
            writer: parts.writer,
            connect: Arc::clone(&parts.connect),
            incarnations,
            settings: parts.settings.raft.clone(),
            seed: parts.seed,
            groups: Groups::new(),
            intake: Intake::default(),
        };
        let store = parts.segments.with_file_name(crate::node::STORE);
        let segments = parts.segments.clone();
        let meta = MetaGroup::open(&context).await?;
        if meta.state().is_removed(context.node) {
            meta.shutdown().await;
            return Err(Error::Removed(context.node));
        }
        let fetcher = Arc::new(Fetcher {
            connect: Arc::clone(&parts.connect),
            folder: parts.segments.clone(),
            disk: parts.builder.clone(),
        });
        let replicas = Replicas::new(
            context.clone(),
            Arc::clone(&fetcher) as Arc<dyn Installer>,
            parts.segments,
            parts.settings.clone(),
            Doubts::new(&parts.registry),
        );
        let accounts = Accounts::new(
            parts.settings.query_memory,
            parts.settings.query_memory_each,
        );
        accounts.register(&parts.registry);
        let cluster = Self {
            inner: Arc::new(Inner {
                settings: parts.settings,
                secret: parts.secret,
                context,
                meta,
                replicas,
                store: store.clone(),
                segments,
                connect: parts.connect,
                clock: parts.clock,
                offload: parts.offload,
                accounts,
                builder: parts.builder,
                fetcher,
                tasks: parts.tasks,
                build_seconds: BuildSeconds::new(&parts.registry),
                scrubbed: Scrub::counter(&parts.registry),
                dropped: Dropped::new(&parts.registry),
                initialised: Mutex::new(false),
                leaders: Mutex::default(),
                restart: watch::Sender::new(false),
                masking: parts.masking,
                rates: parts.rates,
                ledger: parts.ledger,
            }),
        };
        cluster.load_policy().await;
        gauges::register(&parts.registry, cluster.replicas(), store);
        cluster.open_replicas().await?;
        Ok(cluster)
    }

    /// Adds this node's services for the other nodes.
    pub fn add_services(&self, routes: &mut RoutesBuilder) {
        routes.add_service(hushlog_raft::service(&self.inner.context));
        routes.add_service(service::service(self.clone(), self.inner.secret.clone()));
    }

    /// Starts everything that runs by itself. The services must be reachable by now.
    pub fn run(&self) {
        let keeper = BucketKeeper {
            meta: self.inner.meta.clone(),
            clock: Arc::clone(&self.inner.clock),
            settings: self.inner.settings.clone(),
            cluster: self.inner.secret.cluster,
        };
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            loop {
                if let Err(error) = keeper.tick().await {
                    tracing::debug!(%error, "the bucket keeper tries again");
                }
                if !unless_stopped(&stop, sleep(buckets::TICK)).await {
                    return Ok::<(), Error>(());
                }
            }
        };
        self.inner
            .tasks
            .spawn("bucket keeper", Policy::Fatal, ticks);
        let cluster = self.clone();
        self.inner
            .tasks
            .spawn("shard map", Policy::Fatal, async move {
                cluster.follow_map().await
            });
        let cluster = self.clone();
        let policy = cluster.follow_policy();
        self.inner.tasks.spawn("policy", Policy::Fatal, policy);
        let telling = self.clone().tell_rates();
        self.inner.tasks.spawn("rates", Policy::Fatal, telling);
        self.watch_intake();
        self.watch_leads();
        self.watch_sealed();
        self.watch_files();
        self.watch_dropped();
        self.watch_retention();
        self.watch_nodes();
        for replica in self.inner.replicas.all() {
            self.keep(replica);
        }
    }

    fn watch_intake(&self) {
        let inner = &self.inner;
        let watch = intake::Watch {
            intake: inner.context.intake.clone(),
            replicas: inner.replicas.clone(),
            writer: inner.context.writer.clone(),
            folder: inner.store.clone(),
            ballast: Ballast::new(
                inner.store.parent().unwrap_or(&inner.store),
                intake::BALLAST_BYTES_MAX.min(inner.settings.disk_reserve / 2),
            ),
            backlog_bytes: inner.settings.cut.node_tail_bytes_max,
            reserve_bytes: inner.settings.disk_reserve,
            restart: inner.restart.clone(),
        };
        let stop = inner.tasks.stop_token();
        let ticks = async move {
            loop {
                watch.tick();
                if !unless_stopped(&stop, sleep(intake::TICK)).await {
                    return Ok::<(), Error>(());
                }
            }
        };
        inner.tasks.spawn("intake", Policy::Fatal, ticks);
    }

    /// Watches over the leads of this node.
    fn watch_leads(&self) {
        let mut leads = Leads::new(self.inner.context.clone());
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(leads::TICK)).await {
                leads.tick().await;
            }
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("leads", Policy::Fatal, ticks);
    }

    fn restorer(&self) -> Restorer {
        Restorer {
            replicas: self.inner.replicas.clone(),
            meta: self.inner.meta.clone(),
            fetcher: Arc::clone(&self.inner.fetcher),
            connect: Arc::clone(&self.inner.connect),
            again_at: Arc::default(),
            settled: Arc::default(),
        }
    }

    /// Watches over the sealed shards of this node.
    fn watch_sealed(&self) {
        let restorer = self.restorer();
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(restore::TICK)).await
                && unless_stopped(&stop, restorer.tick()).await
            {}
            Ok::<(), Error>(())
        };
        self.inner
            .tasks
            .spawn("sealed shards", Policy::Fatal, ticks);
    }

    /// Has files read again, slowly, to find damage.
    fn watch_files(&self) {
        let settings = self.inner.settings.scrub;
        if settings.rate == 0 {
            return;
        }
        let scrub = Scrub {
            replicas: self.inner.replicas.clone(),
            disk: self.inner.builder.clone(),
            settings,
            read: self.inner.scrubbed.clone(),
        };
        let stop = self.inner.tasks.stop_token();
        let rounds = async move {
            unless_stopped(&stop, scrub.run()).await;
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("scrub", Policy::Fatal, rounds);
    }

    /// Has the cluster forget what is over.
    fn watch_retention(&self) {
        let cluster = self.clone();
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(expire::TICK)).await {
                if let Err(error) = cluster.expire().await {
                    tracing::debug!(%error, "buckets that are over are dropped later");
                }
            }
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("retention", Policy::Fatal, ticks);
    }

    /// Has nodes come and go, and this one know how it stands.
    fn watch_nodes(&self) {
        let mut mover = Mover::new(self.clone());
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(mover::TICK)).await {
                let looked = tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    looked = mover.tick() => looked,
                };
                if let Err(error) = looked {
                    tracing::debug!(%error, "nodes come and go later");
                }
            }
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("mover", Policy::Fatal, ticks);
        let standing = self.clone().follow_standing();
        self.inner.tasks.spawn("standing", Policy::Fatal, standing);
    }

    /// Deletes what the cluster has dropped.
    fn watch_dropped(&self) {
        let mut dropper = Dropper {
            replicas: self.inner.replicas.clone(),
            meta: self.inner.meta.clone(),
            writer: self.inner.context.writer.clone(),
            folder: self.inner.segments.clone(),
            disk: self.inner.builder.clone(),
            dropped: self.inner.dropped.clone(),
            done_as_of: None,
            moved: BTreeMap::new(),
        };
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, dropper.tick()).await
                && unless_stopped(&stop, sleep(dropper::TICK)).await
            {}
            Ok::<(), Error>(())
        };
        self.inner
            .tasks
            .spawn("dropped shards", Policy::Fatal, ticks);
    }

    async fn follow_map(&self) -> Result<(), Error> {
        let stop = self.inner.tasks.stop_token();
        let mut map = self.inner.meta.watch();
        let mut registered = false;
        loop {
            self.initialise_meta().await;
            if !registered {
                registered = self.register().await;
            }
            for replica in self.open_replicas().await? {
                self.keep(replica);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = map.changed() => {}
                () = sleep(MAP_TICK) => {}
            }
        }
    }

    async fn open_replicas(&self) -> Result<Vec<Arc<replica::Replica>>, Error> {
        Ok(self.inner.replicas.open_missing(&self.inner.meta).await?)
    }

    fn keep(&self, replica: Arc<replica::Replica>) {
        let keeper = Keeper {
            restorer: self.restorer(),
            replicas: self.inner.replicas.clone(),
            meta: self.inner.meta.clone(),
            clock: Arc::clone(&self.inner.clock),
            builder: self.inner.builder.clone(),
            fetcher: Arc::clone(&self.inner.fetcher),
            connect: Arc::clone(&self.inner.connect),
            settings: self.inner.settings.clone(),
            seconds: self.inner.build_seconds.clone(),
            replica,
        };
        let stop = self.inner.tasks.stop_token();
        self.inner
            .tasks
            .spawn_restarting(keeper::task_name(keeper.replica.shard), move || {
                let (keeper, stop) = (keeper.clone(), stop.clone());
                async move {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => Ok(()),
                        outcome = keeper.run() => outcome,
                    }
                }
            });
    }

    /// The first node initialises the meta group, once.
    async fn initialise_meta(&self) {
        let is_founder = self.inner.settings.is_first() && !self.inner.secret.given;
        if *self.inner.initialised.lock() || !is_founder {
            return;
        }
        if self.inner.meta.is_pristine() {
            let members = self.inner.replicas.first_members();
            if let Err(error) = self.inner.meta.initialize(members).await {
                tracing::debug!(%error, "the meta group was not initialised here");
                return;
            }
        }
        *self.inner.initialised.lock() = true;
    }

    /// Tells the cluster this node's addresses.
    async fn register(&self) -> bool {
        let Some(own) = self.inner.settings.own() else {
            return true;
        };
        if self.inner.meta.state().nodes.get(&own.id) == Some(own) {
            return true;
        }
        let deadline = Instant::now() + REGISTER_DEADLINE;
        let outcome = self
            .inner
            .meta
            .propose(meta::Command::RegisterNode(own.clone()), deadline)
            .await;
        match outcome {
            Ok(meta::Answer::Conflict(reason)) => {
                tracing::warn!(reason, "the cluster does not take this node's addresses");
                true
            }
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "not registered yet");
                false
            }
        }
    }

    /// Gives up every lead to the fit voter that follows most closely, so that a restart costs no
    /// election timeout.
    pub async fn step_down(&self) {
        Leads::new(self.inner.context.clone()).hand_over_all().await;
    }

    /// Becomes true when the store has failed for want of space and there is space again: only a
    /// restart of the node opens it anew.
    pub fn restart_wanted(&self) -> watch::Receiver<bool> {
        self.inner.restart.subscribe()
    }

    /// Digests of the segments of every sealed shard on this node. Blocks on the disk.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn sealed(&self) -> Result<BTreeMap<ShardId, [u8; 32]>, replica::Error> {
        let held = self.inner.replicas.all_held().into_iter();
        let sealed = held.filter(|held| matches!(held, Held::Sealed(_)));
        sealed
            .map(|held| Ok((held.shard(), held.manifest()?.digest())))
            .collect()
    }

    /// What this node knows of its groups: the meta group's, then every open shard's.
    pub fn statuses(&self) -> Vec<Status> {
        self.inner.context.groups.statuses()
    }

    /// Stops the groups.
    pub async fn shutdown(&self) {
        for group in self.inner.context.groups.shards() {
            group.shutdown().await;
        }
        self.inner.meta.shutdown().await;
    }

    /// Whether this node can take traffic.
    ///
    /// # Errors
    /// The reason in one sentence.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(reason) = self.inner.context.writer.failed().borrow().as_ref() {
            return Err(format!("writes have stopped after a failure: {reason}"));
        }
        if let Some(reason) = self.inner.context.incarnations.refusal() {
            return Err(reason);
        }
        if let Some(reason) = self.inner.masking.unusable() {
            return Err(reason);
        }
        let state = self.inner.meta.state();
        if !self.inner.meta.has_quorum(READY_SILENCE_MAX) {
            return Err("the meta group has no leader with a majority".into());
        }
        let Some(bucket) = state.open_bucket() else {
            return Err("no bucket is open yet".into());
        };
        for (shard, slot) in bucket.shards() {
            if !slot.voters.contains(&self.inner.settings.node) {
                continue;
            }
            let Some(replica) = self.inner.replicas.get(shard) else {
                return Err(format!("shard {shard} is not open here yet"));
            };
            if !replica.group.has_quorum(READY_SILENCE_MAX) {
                return Err(format!("shard {shard} has no leader with a majority"));
            }
        }
        Ok(())
    }

    pub(crate) fn settings(&self) -> &ClusterSettings {
        &self.inner.settings
    }

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.inner.replicas
    }

    pub(crate) fn meta(&self) -> &MetaGroup {
        &self.inner.meta
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    /// Threads for questions: short work that must not wait behind builds.
    pub(crate) fn pool(&self) -> &Offload {
        &self.inner.offload
    }

    /// Threads for work that may wait for the disk.
    pub(crate) fn builder(&self) -> &Offload {
        &self.inner.builder
    }

    pub(crate) fn connect(&self) -> &Arc<dyn Connect> {
        &self.inner.connect
    }

    /// The shard of the open bucket that takes this service's records.
    pub(crate) fn shard_of(&self, service: &str) -> Option<ShardId> {
        let state = self.inner.meta.state();
        let bucket = state.open_bucket()?;
        let slot = slot_of(service, bucket.slots.len())?;
        Some(ShardId {
            bucket: bucket.bucket,
            slot,
        })
    }
}

/// The slot of a service among `slots`: the same on every node and in every release.
pub(crate) fn slot_of(service: &str, slots: usize) -> Option<u16> {
    let hash = hushlog_record::id::stable_hash(&[b"slot", service.as_bytes()]);
    u16::try_from(hash.checked_rem(slots as u64)?).ok()
}
