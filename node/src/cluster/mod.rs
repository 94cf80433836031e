//! The cluster as this node sees it: the shard map, the replicas here, the way to every leader.
//!
//! It decides where records go and who holds them; it never looks at a record.

mod accounts;
pub(crate) mod agreed;
pub(crate) mod buckets;
pub(crate) mod build;
mod claims;
mod classes;
mod compare;
pub(crate) mod cpu;
pub mod cut;
mod describe;
mod doubts;
mod dropper;
pub(crate) mod execute;
mod expire;
mod farewell;
mod files;
mod finish;
mod forgetter;
mod gauges;
mod hand_back;
pub(crate) mod held;
mod inherit;
pub(crate) mod intake;
pub mod join;
mod keeper;
mod leads;
pub mod ledger;
mod limits;
mod loads;
mod measure;
mod merge;
mod merger;
mod mover;
mod moves;
pub mod nodes;
mod pace;
mod placement;
mod plan;
mod policy;
pub(crate) mod question;
mod rates;
mod readiness;
pub(crate) mod replica;
mod replicas;
mod report;
mod restore;
pub mod retention;
mod rewrite;
mod rewriter;
mod scrub;
mod sealed;
pub mod secret;
mod service;
pub mod settings;
mod sink;
pub(crate) mod sources;
mod summary;
mod tail;
mod tasks;
#[cfg(test)]
mod tests;
mod voters;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hushlog_raft::{
    Connect, Context, Groups, Hold, Incarnations, Installer, Intake, MetaGroup, Status, Way, meta,
};
use hushlog_record::id::META_GROUP;
use hushlog_record::{GroupId, NodeId, ShardId};
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::writer::WriterHandle;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::RoutesBuilder;

use crate::clock::Clock;
use crate::gateway::Rates;
use crate::ledger::Ledger;
use crate::limits::READY_SILENCE_MAX;
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::offload::Offload;
use crate::tasks::Tasks;

use accounts::Accounts;
use compare::Differences;
use doubts::Doubts;
use dropper::Dropped;
use files::Fetcher;
use held::Held;
pub use held::Stored;
pub(crate) use intake::give_up_stalled_writes;
use leads::Leads;
use loads::Loads;
use measure::Meters;
use pace::Pace;
use readiness::Readiness;
use replicas::{Freed, Place, Replicas};
use scrub::Scrub;
use secret::Secret;
pub use settings::ClusterSettings;

/// Largest message between nodes.
pub(crate) const MESSAGE_BYTES_MAX: usize = hushlog_raft::limits::MESSAGE_BYTES_MAX;

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
    differences: Differences,
    dropped: Dropped,
    initialised: Mutex<bool>,
    /// The way to the shards that this node has no replica of.
    ways: Mutex<BTreeMap<ShardId, Way>>,
    restart: watch::Sender<bool>,
    masking: Arc<Masking>,
    rates: Rates,
    ledger: Ledger,
    /// How full shards are, while this node leads the meta group.
    loads: Arc<Loads>,
    /// What comes in of the shards that this node leads.
    meters: Arc<Meters>,
    readiness: Readiness,
}

/// CPU time of builds, by stage, and how many segments came how.
#[derive(Clone)]
pub(crate) struct BuildSeconds {
    built: crate::metrics::Counter,
    fetched: crate::metrics::Counter,
    merged: crate::metrics::Counter,
    rewritten: crate::metrics::Counter,
    rewritten_rows: crate::metrics::Counter,
    expired_rows: crate::metrics::Counter,
    expired_bytes: crate::metrics::Counter,
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
            let help = "Segments that came to be here, by how: built from the log, fetched, merged of smaller ones, or written anew without rows whose retention was over.";
            registry.counter("hushlog_node_segments_total", help, &[("by", by)])
        };
        let counter = |name, help| registry.counter(name, help, &[]);
        Self {
            built: segments("built"),
            fetched: segments("fetched"),
            merged: segments("merged"),
            rewritten: segments("rewritten"),
            rewritten_rows: counter(
                "hushlog_node_rewritten_rows_total",
                "Rows that were written again on this node since others of their segments were over.",
            ),
            expired_rows: counter(
                "hushlog_node_expired_rows_total",
                "Rows whose retention was over and that were left out of shards on this node.",
            ),
            expired_bytes: counter(
                "hushlog_node_expired_bytes_total",
                "Bytes of files that came back on this node since rows were left out of shards.",
            ),
            segment: stage("segment"),
            index: stage("index"),
        }
    }

    pub(crate) fn add(&self, times: build::BuildTimes) {
        self.segment.add_nanos(times.segment_nanos);
        self.index.add_nanos(times.index_nanos);
    }

    /// Counts what a shard has lost, if that were rows and not only borders between segments.
    fn freed(&self, freed: Freed) {
        if freed.rows > 0 {
            self.expired_rows.add(freed.rows);
            self.expired_bytes.add(freed.bytes);
        }
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
        let meters = Arc::new(Meters::new(parts.settings.load_window));
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
            pace: Pace::new(parts.settings.fetch_rate),
        });
        let differences = Differences::new(&parts.registry);
        let replicas = Replicas::new(
            context.clone(),
            Arc::clone(&fetcher) as Arc<dyn Installer>,
            Place {
                folder: parts.segments,
                disk: parts.builder.clone(),
            },
            parts.settings.clone(),
            Doubts::new(&parts.registry),
            differences.clone(),
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
                differences,
                dropped: Dropped::new(&parts.registry),
                initialised: Mutex::new(false),
                ways: Mutex::default(),
                restart: watch::Sender::new(false),
                masking: parts.masking,
                rates: parts.rates,
                ledger: parts.ledger,
                loads: Arc::default(),
                meters,
                readiness: Readiness::default(),
            }),
        };
        cluster.load_policy().await;
        let groups = &cluster.inner.context.groups;
        gauges::register(&parts.registry, cluster.replicas(), groups, store);
        gauges::register_writes(&parts.registry, &cluster.inner.context.writer);
        cluster.open_replicas().await?;
        Ok(cluster)
    }

    /// Adds this node's services for the other nodes.
    pub fn add_services(&self, routes: &mut RoutesBuilder) {
        routes.add_service(hushlog_raft::service(&self.inner.context));
        routes.add_service(service::service(self.clone(), self.inner.secret.clone()));
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

    /// What this node holds of every shard. Blocks on the disk.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn stored(&self) -> Result<Vec<Stored>, replica::Error> {
        let held = self.inner.replicas.all_held().into_iter();
        held.map(|held| held.stored()).collect()
    }

    /// Hands the lead of a group to another voter.
    ///
    /// # Errors
    /// [`hushlog_raft::Error::NotLeader`], also where the group is not open here;
    /// [`hushlog_raft::Error::Stopped`].
    pub async fn transfer(&self, group: GroupId, to: NodeId) -> Result<(), hushlog_raft::Error> {
        if group == META_GROUP {
            return self.inner.meta.transfer_leader(to).await;
        }
        let groups = &self.inner.context.groups;
        match ShardId::from_group(group).and_then(|shard| groups.shard(shard)) {
            Some(shard) => shard.transfer_leader(to).await,
            None => Err(hushlog_raft::Error::NotLeader {
                group,
                leader: None,
            }),
        }
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
        let found = self.have_leaders(bucket);
        let readiness = &self.inner.readiness;
        readiness.judge(bucket.bucket, Instant::now(), found)
    }

    /// Whether each shard of a bucket that is placed here is open and led.
    fn have_leaders(&self, bucket: &meta::Bucket) -> Result<(), String> {
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
            // Where another node can lead, the lead goes there in a moment.
            let is_full = self.inner.context.intake.hold() == Some(Hold::DiskFull);
            if is_full && replica.group.is_leader() {
                return Err(format!(
                    "the disk is full: records for shard {shard} are refused"
                ));
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

    pub(crate) fn masking(&self) -> &Arc<Masking> {
        &self.inner.masking
    }

    pub(crate) fn meta(&self) -> &MetaGroup {
        &self.inner.meta
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    fn build_seconds(&self) -> &BuildSeconds {
        &self.inner.build_seconds
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

    /// The shards of the open bucket that take this service's records: several, if it is spread.
    pub(crate) fn shards_of(&self, service: &str) -> Option<Vec<ShardId>> {
        let state = self.inner.meta.state();
        let bucket = state.open_bucket()?;
        let slots = slots_of(bucket, service);
        let shard = |slot: &u16| ShardId {
            bucket: bucket.bucket,
            slot: *slot,
        };
        Some(slots.iter().map(shard).collect()).filter(|shards: &Vec<ShardId>| !shards.is_empty())
    }
}

/// The slots of a bucket that have records of this service: all that take them, none else.
pub(crate) fn slots_of<'a>(bucket: &'a meta::Bucket, service: &str) -> Cow<'a, [u16]> {
    match bucket.plan.spread.get(service) {
        Some(spread) => Cow::Borrowed(&spread.slots),
        None => match bucket.plan.class_of(service) {
            Some(class) => {
                let place = slot_of(service, class.slots.len()).map(usize::from);
                let slot = place.and_then(|place| class.slots.get(place));
                slot.copied().into_iter().collect()
            }
            None => slot_of(service, bucket.common_slots())
                .into_iter()
                .collect(),
        },
    }
}

/// The place of a service among so many slots, if it is not spread: the same on every node and in every release.
fn slot_of(service: &str, slots: usize) -> Option<u16> {
    let hash = hushlog_record::id::stable_hash(&[b"slot", service.as_bytes()]);
    u16::try_from(hash.checked_rem(slots as u64)?).ok()
}
