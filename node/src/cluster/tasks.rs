//! What a node does by itself for its cluster: who keeps which shard, who looks at what how often.
//!
//! Only starts the tasks and hands them what they work with; what each does is in its own file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{keep_resting, meta};
use tokio::time::{Instant, sleep};

use super::buckets::{self, BucketKeeper};
use super::compare::Comparer;
use super::dropper::{self, Dropper};
use super::forgetter::Forgetter;
use super::keeper::{self, Keeper};
use super::leads::{self, Leads};
use super::merger::{self, Merger};
use super::mover::{self, Mover};
use super::restore::{self, Restorer};
use super::rewriter::{self, Rewriter};
use super::scrub::Scrub;
use super::{Cluster, Error, expire, intake, replica};
use crate::tasks::{Policy, unless_stopped};

/// How often the shard map is compared with what is open here.
const MAP_TICK: Duration = Duration::from_millis(200);
/// How long a node tries to register itself before it looks again.
const REGISTER_DEADLINE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Starts everything that runs by itself. The services must be reachable by now.
    pub fn run(&self) {
        let keeper = BucketKeeper {
            meta: self.inner.meta.clone(),
            clock: Arc::clone(&self.inner.clock),
            settings: self.inner.settings.clone(),
            cluster: self.inner.secret.cluster,
            loads: Arc::clone(&self.inner.loads),
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
        let loads = self.clone().follow_loads();
        self.inner.tasks.spawn("loads", Policy::Fatal, loads);
        let meters = self.clone().follow_meters();
        self.inner.tasks.spawn("meters", Policy::Fatal, meters);
        self.watch_intake();
        self.watch_leads();
        self.watch_rests();
        self.watch_sealed();
        self.watch_keys();
        self.watch_segments();
        self.watch_rows();
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
            ballast: intake::ballast(
                inner.store.parent().unwrap_or(&inner.store),
                inner.settings.disk_reserve,
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

    /// Has the groups of shards rest while nobody uses them.
    fn watch_rests(&self) {
        let context = self.inner.context.clone();
        let stop = self.inner.tasks.stop_token();
        let resting = async move {
            unless_stopped(&stop, keep_resting(&context)).await;
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("rests", Policy::Fatal, resting);
    }

    fn restorer(&self) -> Restorer {
        Restorer {
            replicas: self.inner.replicas.clone(),
            meta: self.inner.meta.clone(),
            fetcher: Arc::clone(&self.inner.fetcher),
            connect: Arc::clone(&self.inner.connect),
            again_at: Arc::default(),
            unmerged: Arc::default(),
            merge: self.inner.settings.merge,
            seconds: self.inner.build_seconds.clone(),
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

    /// Has finished shards let go of what the next ones remember.
    fn watch_keys(&self) {
        let forgetter = Forgetter::new(self.inner.replicas.clone(), self.inner.meta.clone());
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(restore::TICK)).await
                && unless_stopped(&stop, forgetter.tick()).await
            {}
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("request keys", Policy::Fatal, ticks);
    }

    /// Has small segments of finished shards become larger ones.
    fn watch_segments(&self) {
        let settings = self.inner.settings.merge;
        if settings.bytes == 0 {
            return;
        }
        let mut merger = Merger {
            replicas: self.inner.replicas.clone(),
            meta: self.inner.meta.clone(),
            clock: Arc::clone(&self.inner.clock),
            builder: self.inner.builder.clone(),
            settings,
            seconds: self.inner.build_seconds.clone(),
            again_at: BTreeMap::new(),
            turns: merger::Turns::default(),
        };
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(merger::TICK)).await
                && unless_stopped(&stop, merger.tick()).await
            {}
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("merger", Policy::Fatal, ticks);
    }

    /// Has rows left out of finished shards that are over while others there are not.
    fn watch_rows(&self) {
        let mut rewriter = Rewriter::new(self.clone());
        let stop = self.inner.tasks.stop_token();
        let ticks = async move {
            while unless_stopped(&stop, sleep(rewriter::TICK)).await
                && unless_stopped(&stop, rewriter.tick()).await
            {}
            Ok::<(), Error>(())
        };
        self.inner.tasks.spawn("rewriter", Policy::Fatal, ticks);
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
            comparer: Comparer {
                replicas: self.inner.replicas.clone(),
                meta: self.inner.meta.clone(),
                connect: Arc::clone(&self.inner.connect),
                fetcher: Arc::clone(&self.inner.fetcher),
                differences: self.inner.differences.clone(),
                rate: settings.rate,
                read: self.inner.scrubbed.clone(),
            },
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

    pub(super) async fn open_replicas(&self) -> Result<Vec<Arc<replica::Replica>>, Error> {
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
}
