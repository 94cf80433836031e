//! Whole nodes: gateway, masking, batching, groups, buckets, cuts, segments, coordinator, HTTP and
//! gRPC, as [`Node::start_on`] wires them, on a simulated network, disk and clock.
//!
//! The key-value store is the simulated disk. Segments are real files in a folder of the run, which a
//! crash leaves as they are: power loss in the middle of a file is the real processes' to show.

mod arrivals;
mod clients;
mod drops;
mod leaks;
mod operator;
mod policy;
mod roster;
mod seals;
mod shed;
mod stored;
mod top;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushlog_node::config::{self, Config};
use hushlog_node::entropy::Entropy;
use hushlog_node::seams::{self, Seams, Work};
use hushlog_node::{Node, net};
use hushlog_raft::{Role, Status};
use hushlog_record::GroupId;
use hushlog_record::id::META_GROUP;
use hushlog_storage::Error;
use hushlog_storage::writer::Writer;
use parking_lot::Mutex;
use rand::Rng;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::net::{Simulated, host};
use super::report::Stats;
use super::schedule::{Kind, Schedule};
use super::stage::{self, Base, Now, Scene, Stage, Wall};
use super::trace::Trace;
use arrivals::Arrivals;
use clients::Clients;
use roster::{Changes, Roster, Watched};

const GRPC: u16 = 7_000;
const HTTP: u16 = 8_000;
/// The host of all clients.
const CLIENTS: &str = "clients";

/// Work that may wait for a node's runtime.
const JOBS_MAX: usize = 16;
/// How often a node is asked whether it is ready.
const PROBE: Duration = Duration::from_millis(100);
/// How long a bucket is open: several in one run.
const BUCKET: Duration = Duration::from_secs(20);
/// How long after the end of a bucket its segments are merged.
const MERGE_DELAY: Duration = Duration::from_secs(2);
/// The same in a run in which records are kept for a short time only: buckets go while things go wrong.
const SHORT_BUCKET: Duration = Duration::from_secs(10);
/// Silence after which a node counts as dead where there are nodes without a replica of a shard.
const DEAD_AFTER: Duration = Duration::from_secs(4);
/// Bytes a second that one slot should take in the runs in which services are spread over several: every one that
/// sends something is more than half of that.
const SLOT_RATE: usize = 16;
/// Segments of a shard at which a bucket ends in the runs in which it does so by size, and how long it is open at
/// least.
const SIZE: (u32, Duration) = (2, Duration::from_secs(8));
/// How long nobody uses a shard before it rests: they rest and wake again and again.
const REST_AFTER: Duration = Duration::from_millis(600);
/// How long records are kept in such a run.
const RETENTION: Duration = Duration::from_secs(12);
/// Longest wait for the last writes of a node that is stopped.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How much longer a run goes on while replicas that nodes have left behind are still on their way: a fetch
/// that failed is tried again after 10 s, and what was moved is kept for 5 s more; in milliseconds.
const MOVES_GRACE: u64 = 20_000;
/// The same for everything else.
const GRACE: u64 = 2_000;

/// Whether records are kept for a short time only: in some of the runs in which all clocks are right, since
/// it is by clocks that records go.
fn forgets(schedule: &Schedule) -> bool {
    let mut kinds = schedule.faults.iter().map(|fault| &fault.kind);
    schedule.seed.is_multiple_of(2) && !kinds.any(|kind| matches!(kind, Kind::Skew { .. }))
}

/// Whether a service is kept for a short time from some moment on, while the others are not: in half of the runs in
/// which no bucket is dropped.
const fn sheds(schedule: &Schedule) -> bool {
    schedule.seed % 4 == 1
}

/// What all hosts share.
struct World {
    base: Arc<Base>,
    seed: u64,
    /// How long records are kept, if that matters in this run.
    retention: Option<Duration>,
    folder: TempDir,
    running: Mutex<BTreeMap<u64, Node>>,
    roster: Arc<Roster>,
    /// What running nodes say of themselves since nothing goes wrong any more, if it is not that they are ready.
    unready: Mutex<BTreeMap<u64, Option<String>>>,
    /// Where running nodes take work for their own runtime.
    jobs: Mutex<BTreeMap<u64, mpsc::Sender<Job>>>,
}

impl World {
    /// Whether buckets end by the size of a shard too.
    const fn outgrows(&self) -> bool {
        self.seed.is_multiple_of(5)
    }

    /// Whether nodes come and go.
    fn changes(&self) -> bool {
        self.roster.changes().any
    }

    /// Ends a node as a supervisor does who gives it time.
    async fn stop(&self, id: u64, store: &Store) {
        drop(self.jobs.lock().remove(&id));
        // Not held while it ends.
        let Some(node) = self.running.lock().remove(&id) else {
            return;
        };
        let late = node.shutdown().await;
        let written = store.written().await;
        self.base.trace.line(format_args!(
            "n{id} has stopped; late: {late:?}; written: {written}"
        ));
    }
}

/// Work for a node's own runtime, and how it is called.
type Job = (String, BoxFuture<'static, Result<(), hushlog_raft::Error>>);

/// Runs a schedule; gives counts and what was violated.
pub fn run(schedule: &Schedule, trace: &Trace) -> (Stats, Vec<String>) {
    let base = Arc::new(Base::new(schedule, trace));
    // In memory where the system has a place for that: nothing here survives the run anyway.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    let retention = forgets(schedule).then_some(RETENTION);
    let world = Arc::new(World {
        base: Arc::clone(&base),
        seed: schedule.seed,
        retention,
        folder: folder.expect("a temporary folder can be made"),
        running: Mutex::default(),
        roster: Arc::new(Roster::new(Changes::of(schedule))),
        unready: Mutex::default(),
        jobs: Mutex::default(),
    });
    for id in 1..=schedule.nodes {
        world.roster.comes(id);
    }
    let mut sim = stage::network(schedule);
    for id in 1..=schedule.hosts() {
        let world = Arc::clone(&world);
        sim.host(host(id), move || node(Arc::clone(&world), id));
    }
    let clients = Clients::new(&base, retention, sheds(schedule));
    sim.client(CLIENTS, clients.clone().run(Arc::clone(&world)));
    let cluster = Cluster {
        world,
        clients,
        arrivals: Arrivals::default(),
    };
    Stage::new(schedule, base, cluster, sim).run()
}

/// The software of one host.
async fn node(world: Arc<World>, id: u64) -> turmoil::Result {
    world.roster.has_come(id).await;
    let boot = world.base.boot(id);
    world.roster.starts(id);
    let clock = Wall {
        base: Arc::clone(&world.base),
        node: id,
    };
    let root = world.base.entropy.stream(&format!("node {id} {boot}"));
    let store = Arc::new(Store {
        base: Arc::clone(&world.base),
        node: id,
        boot,
        writing: Mutex::default(),
    });
    let seams = Seams {
        clock: Arc::new(clock),
        entropy: Entropy::seeded({ root }.next_u64()),
        work: Work::Inline,
        net: Arc::new(Watched {
            node: id,
            base: Arc::clone(&world.base),
            roster: Arc::clone(&world.roster),
        }),
        disk: Arc::clone(&store) as _,
    };
    let node = match Node::start_on(settings(&world, id), seams).await {
        Ok(node) => node,
        Err(error) if world.roster.leaves(id, &error.to_string()) => {
            return std::future::pending().await;
        }
        // A flipped bit is met when what it damaged is opened, and then the node is not started.
        Err(error) if world.base.is_damaged(id) => {
            world
                .base
                .trace
                .line(format_args!("n{id} refuses its damaged disk: {error}"));
            world.base.refused.lock().insert(id);
            return std::future::pending().await;
        }
        Err(error) => return Err(format!("node {id} does not start: {error}").into()),
    };
    let mut fatal = node.fatal();
    world.running.lock().insert(id, node);
    let (sender, jobs) = mpsc::channel(JOBS_MAX);
    world.jobs.lock().insert(id, sender);
    tokio::spawn(work(Arc::clone(&world), id, jobs));
    tokio::spawn(probe(Arc::clone(&world), id));
    let trace = &world.base.trace;
    tokio::select! {
        biased;
        reason = fatal.wait_for(Option::is_some) => {
            // A node that cannot go on ends its process; a person or a supervisor starts it again.
            let reason = reason?.clone();
            trace.line(format_args!("n{id} cannot go on: {reason:?}"));
            world.roster.leaves(id, &reason.unwrap_or_default());
        }
        () = world.roster.is_to_stop(id) => {}
    }
    if world.roster.stopping(id) {
        world.stop(id, &store).await;
    }
    std::future::pending().await
}

/// Does what a node is asked to do beside its requests, one after the other, for as long as it runs.
async fn work(world: Arc<World>, id: u64, mut jobs: mpsc::Receiver<Job>) {
    while let Some((name, job)) = jobs.recv().await {
        let outcome = job.await;
        world
            .base
            .trace
            .line(format_args!("n{id} {name}: {outcome:?}"));
    }
}

/// Asks a node whether it is ready, where its own clock is: on the stage the machine's would be looked at.
async fn probe(world: Arc<World>, id: u64) {
    loop {
        if world.base.trace.millis() >= world.base.heal_at {
            let ready = world.running.lock().get(&id).map(Node::ready);
            if let Some(ready) = ready {
                world.unready.lock().insert(id, ready.err());
            }
        }
        sleep(PROBE).await;
    }
}

fn settings(world: &World, id: u64) -> Config {
    let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let grpc = |id| format!("{}:{GRPC}", host(id));
    let founders = 1..=world.base.nodes;
    let peer = |id| config::Peer {
        id,
        address: grpc(id),
    };
    let mut config = Config::defaults();
    config.data = world.folder.path().join(host(id));
    config.http = any(HTTP);
    config.grpc = any(GRPC);
    config.node.id = id;
    config.node.advertise = grpc(id);
    if founders.contains(&id) {
        config.cluster.peers = founders.map(peer).collect();
    } else {
        config.cluster.peers = vec![peer(id)];
        config.cluster.join = founders.map(grpc).collect();
    }
    config.cluster.replication = usize::try_from(world.base.replication).unwrap_or(0);
    config.cluster.slots = 2;
    if world.seed.is_multiple_of(3) {
        config.cluster.slot_rate = SLOT_RATE;
    }
    if world.outgrows() {
        (config.cluster.bucket_segments, config.cluster.bucket_min) = SIZE;
    }
    // Several buckets and many cuts in one run.
    config.cluster.bucket = BUCKET;
    if let Some(retention) = world.retention {
        config.cluster.bucket = SHORT_BUCKET;
        config.retention.default = retention;
    }
    if world.changes() {
        // Several shards are sealed, and on their way, while things go wrong.
        config.cluster.bucket = SHORT_BUCKET;
    }
    if world.changes() || world.base.nodes > world.base.replication {
        // Others can take over what a node held that is away for long; it comes back to something else.
        config.cluster.dead_after = DEAD_AFTER;
    }
    config.cluster.rest_after = REST_AFTER;
    config.cut.bytes = 8 << 10;
    config.cut.log_keep = 4 << 10;
    config.cut.age = Duration::from_secs(6);
    config.merge.delay = MERGE_DELAY;
    config.retention.delay = MERGE_DELAY;
    config.limits.ingest_timeout = Duration::from_secs(6);
    config
}

/// The simulated disk of one start of a node.
struct Store {
    base: Arc<Base>,
    node: u64,
    boot: u64,
    writing: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Waits until everything is written that was submitted before the writer was ended; whether it was.
    async fn written(&self) -> bool {
        let writing = self.writing.lock().take();
        match writing {
            Some(writing) => timeout(WRITTEN_WITHIN, writing).await.is_ok(),
            None => true,
        }
    }
}

impl seams::Disk for Store {
    fn open(&self, _folder: &Path) -> Result<Writer, Error> {
        let name = format!("syncs {} {}", self.node, self.boot);
        let mut random = self.base.entropy.stream(&name);
        let (base, node) = (Arc::clone(&self.base), self.node);
        let (writer, writing) = Writer::paced(self.base.disk(self.node), move |bytes| {
            let slow = base.held_up(node);
            let own = 1 + random.next_u64() % 8 + bytes as u64 / 1_000_000;
            Duration::from_millis(own + slow)
        });
        *self.writing.lock() = Some(tokio::spawn(writing));
        Ok(writer)
    }
}

/// The nodes and their clients.
struct Cluster {
    world: Arc<World>,
    clients: Clients,
    arrivals: Arrivals,
}

impl Scene for Cluster {
    fn tick(&mut self, now: Now) -> Vec<String> {
        self.clients.set_now(now);
        let mut violations = self.clients.take_violations();
        if self.moves() {
            violations.extend(self.arrivals.check(&self.world.running.lock()));
        }
        violations
    }

    fn statuses(&self) -> Vec<(u64, Status)> {
        let running = self.world.running.lock();
        let all = running
            .iter()
            .flat_map(|(node, running)| running.groups().into_iter().map(|status| (*node, status)));
        all.collect()
    }

    fn unreadable(&self) -> Vec<(u64, GroupId)> {
        let running = self.world.running.lock();
        let groups = |(node, running): (&u64, &Node)| {
            let node = *node;
            let shards = running.unreadable().into_iter();
            shards.map(move |shard| (node, shard.group()))
        };
        running.iter().flat_map(groups).collect()
    }

    fn lost(&mut self, node: u64) {
        drop(self.world.jobs.lock().remove(&node));
        self.world.unready.lock().remove(&node);
        drop(self.world.running.lock().remove(&node));
    }

    /// The meta group for 0, else one of the newest shards.
    fn group(&self, group: u16) -> Option<GroupId> {
        let Some(back) = usize::from(group).checked_sub(1) else {
            return Some(META_GROUP);
        };
        let statuses = self.statuses().into_iter();
        let shards: BTreeSet<GroupId> = statuses
            .map(|(_, status)| status.group)
            .filter(|group| *group != META_GROUP)
            .collect();
        let back = back.checked_rem(shards.len())?;
        shards.into_iter().nth_back(back)
    }

    fn transfer(&self, group: u16, to: u64) -> bool {
        let Some(group) = self.group(group) else {
            return false;
        };
        let leads =
            |(_, status): &(u64, Status)| status.group == group && status.role == Role::Leader;
        let Some((leader, status)) = self.statuses().into_iter().find(leads) else {
            return false;
        };
        // With five nodes not everybody has the group.
        let members = status.members.iter();
        let heirs = members.filter(|member| member.voter && member.node != leader);
        let heirs: Vec<u64> = heirs.map(|member| member.node).collect();
        let turn = usize::try_from(to).unwrap_or(0).checked_rem(heirs.len());
        let Some(heir) = turn.and_then(|turn| heirs.get(turn)) else {
            return false;
        };
        let running = self.world.running.lock();
        let job = running.get(&leader).map(|node| node.transfer(group, *heir));
        let jobs = self.world.jobs.lock();
        let Some((job, jobs)) = job.zip(jobs.get(&leader)) else {
            return false;
        };
        self.world.base.ledger.lock().on_heir(*heir);
        // A full inbox is a busy node: then there is no hand-over.
        jobs.try_send((format!("hands g{group} over to n{heir}"), job))
            .is_ok()
    }

    fn leave(&self, _group: u16, _node: u64, _gone: bool) -> bool {
        false
    }

    fn is_at_rest(&self) -> bool {
        self.unrest().is_empty()
            && self.unready().is_empty()
            && self.finished().is_empty()
            && self.clients.is_answered()
    }

    fn grace(&self) -> u64 {
        if self.moves() { MOVES_GRACE } else { GRACE }
    }

    fn stop(&self, node: u64) -> bool {
        self.world.roster.stop(node);
        self.world.running.lock().contains_key(&node)
    }

    fn gone(&self, node: u64) {
        self.world.roster.is_lost(node);
        self.clients.close(node);
    }

    fn is_taken(&self, kind: &Kind) -> bool {
        self.world.roster.is_taken(kind)
    }

    fn left(&self) -> Vec<u64> {
        let left = self.world.roster.take_left();
        for node in &left {
            self.clients.close(*node);
        }
        left
    }

    fn at_the_end(&mut self) -> Vec<String> {
        let mut violations = self.clients.at_the_end();
        violations.extend(self.unready());
        violations.extend(self.unrest());
        violations.extend(self.finished());
        // Replicas are compared once nothing is on its way.
        if violations.is_empty() {
            let running = self.world.running.lock();
            violations.extend(stored::check(&self.world, &running, &self.clients));
        }
        violations.extend(leaks::scan(&self.world));
        let running = self.world.running.lock();
        let facts = running.values().map(|node| node.facts());
        let rewritten = facts.map(|facts| facts.rewrites.len() as u64).max();
        self.world.base.stats.lock().rewritten = rewritten.unwrap_or(0);
        violations
    }
}

impl Cluster {
    /// Groups that have not come to rest, but for replicas that have stopped for their damage.
    fn unrest(&self) -> Vec<String> {
        let mut statuses = self.statuses();
        statuses.retain(|(node, status)| !self.world.base.has_stopped(*node, status.group));
        at_rest(&statuses)
    }

    /// Nodes that do not say of themselves that they are ready, but for those where a flipped bit was met.
    fn unready(&self) -> Vec<String> {
        let running: Vec<u64> = self.world.running.lock().keys().copied().collect();
        let unready = self.world.unready.lock();
        let sound = running
            .iter()
            .filter(|node| !self.world.base.is_out(**node));
        let reasons = sound.filter_map(|node| {
            let reason = match unready.get(node) {
                Some(reason) => reason.as_deref()?,
                None => "it has not been asked",
            };
            Some(format!("C11 node {node} is not ready: {reason}"))
        });
        reasons.collect()
    }

    /// What does not hold of buckets that are over.
    fn finished(&self) -> Vec<String> {
        let running = self.world.running.lock();
        let short = self.world.retention.is_some() || self.world.changes();
        let mut violations = seals::check(&self.world, &running, if short { 3 } else { 2 });
        violations.extend(drops::check(&self.world, &running));
        let newest = running
            .values()
            .map(Node::facts)
            .max_by_key(|facts| facts.applied);
        let nodes: BTreeSet<u64> = running.keys().copied().collect();
        if let Some(facts) = newest {
            violations.extend(self.world.roster.check(&nodes, &facts, &self.world.base));
        }
        violations
    }

    /// Whether replicas of sealed shards move.
    fn moves(&self) -> bool {
        self.world.changes() || self.world.base.nodes > self.world.base.replication
    }
}

/// Whether all replicas of each group follow one leader and have applied the same.
fn at_rest(statuses: &[(u64, Status)]) -> Vec<String> {
    let mut groups: BTreeMap<GroupId, Vec<&(u64, Status)>> = BTreeMap::new();
    for status in statuses {
        groups.entry(status.1.group).or_default().push(status);
    }
    let same = |group: &[&(u64, Status)]| {
        let first = group.first();
        group.iter().all(|(_, status)| {
            status.leader.is_some()
                && first.is_some_and(|(_, first)| {
                    first.leader == status.leader && first.applied_to == status.applied_to
                })
        })
    };
    let unlike = groups.iter().filter(|(_, group)| !same(group));
    unlike
        .map(|(group, statuses)| {
            let short: Vec<_> = statuses
                .iter()
                .map(|(node, s)| (node, s.role.name(), s.term, s.leader, s.applied_to))
                .collect();
            format!("C11 group {group} has not come to rest: {short:?}")
        })
        .collect()
}

/// A connection to a node's HTTP interface, from the clients' host.
async fn dial(node: u64) -> std::io::Result<net::Stream> {
    net::Net::dial(&Simulated, format!("{}:{HTTP}", host(node))).await
}
