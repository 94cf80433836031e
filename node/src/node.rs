//! One running node: what is made in which order, and how it ends.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use hushlog_pii::Key;
use hushlog_raft::Connect;
use hushlog_raft::meta::{LimitRule, Limits, RetentionRule};
use hushlog_record::{GroupId, NodeId, ShardId};
use hushlog_storage::files::free_bytes;
use hushlog_storage::identity::{self, Identity};
use hushlog_storage::incarnation;
use hushlog_storage::store::unflushed_bytes;
use hushlog_storage::writer::Writer;
use parking_lot::Mutex;
use rand::Rng;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::api::{self, Api, Control};
use crate::callers::{Callers, Pass};
use crate::clock::Clock;
use crate::cluster::ledger::{Books, Gone};
use crate::cluster::nodes::{Admission, Admitted};
use crate::cluster::retention::Periods;
use crate::cluster::secret::Secret;
use crate::cluster::{
    self, Cluster, ClusterSettings, give_up_stalled_writes, intake, join, secret,
};
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::entropy::{self, Entropy};
use crate::error::Failure;
use crate::gateway::{self, Gateway, Rates};
use crate::ledger::{self, Ledger};
use crate::limits::{GRPC_PATIENCE, SHUTDOWN_PATIENCE};
use crate::masking::Masking;
use crate::metrics::Registry;
use crate::net::{self, BindError, Datagrams, Listener, Net};
use crate::offload::Offload;
use crate::peers::Peers;
use crate::process;
use crate::seams::Seams;
use crate::syslog;
use crate::tasks::{Policy, Tasks};

/// A node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data folder cannot be used.
    #[error("the data folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The data folder is another's, damaged, or in use.
    #[error(transparent)]
    Storage(#[from] hushlog_storage::Error),
    /// The cluster's secret cannot be used.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The groups cannot be opened.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] entropy::Unavailable),
    /// No threads.
    #[error("threads cannot be started: {0}")]
    Threads(io::Error),
    /// The gRPC services.
    #[error(transparent)]
    Grpc(#[from] api::grpc::Error),
}

/// A running node.
pub struct Node {
    http: SocketAddr,
    grpc: SocketAddr,
    extra: Vec<(&'static str, SocketAddr)>,
    tasks: Tasks,
    cluster: Cluster,
    door: Arc<Door>,
    accepting: CancellationToken,
    servers: Tasks,
    /// Waits for the writer's thread at the end.
    flush: Offload,
    writer: Writer,
    /// Where the store is.
    store: PathBuf,
}

/// Makes the routes of an interface.
type Routes = fn(Api) -> Router;

/// Listeners of the interfaces that are off unless configured.
struct Extra {
    otlp: Option<Box<dyn Listener>>,
    elasticsearch: Option<Box<dyn Listener>>,
    syslog_tcp: Option<Box<dyn Listener>>,
    syslog_udp: Option<Box<dyn Datagrams>>,
}

impl Extra {
    async fn bind(config: &Config, net: &dyn Net) -> Result<Self, BindError> {
        let bind = async |address: Option<SocketAddr>| match address {
            Some(address) => net.bind(address).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            otlp: bind(config.listen.otlp).await?,
            elasticsearch: bind(config.listen.elasticsearch).await?,
            syslog_tcp: bind(config.listen.syslog_tcp).await?,
            syslog_udp: match config.listen.syslog_udp {
                Some(address) => Some(net.bind_datagrams(address).await?),
                None => None,
            },
        })
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let listeners = [
            ("otlp", &self.otlp),
            ("es", &self.elasticsearch),
            ("syslog", &self.syslog_tcp),
        ];
        let streams = listeners
            .into_iter()
            .filter_map(|(name, listener)| Some((name, listener.as_ref()?.address())));
        let datagrams = self.syslog_udp.as_ref();
        streams
            .chain(datagrams.map(|socket| ("udp", socket.address())))
            .collect()
    }
}

/// Says whether the node takes traffic.
struct Door {
    cluster: Cluster,
    closing: AtomicBool,
}

impl Control for Door {
    fn ready(&self) -> Result<(), String> {
        if self.closing.load(Ordering::Relaxed) {
            return Err("the node is shutting down".into());
        }
        self.cluster.ready()
    }

    fn describe(&self) -> BoxFuture<'_, Value> {
        Box::pin(self.cluster.describe())
    }

    fn describe_node(&self) -> Value {
        self.cluster.describe_node()
    }

    fn retention(&self, deadline: Instant) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(self.cluster.current_periods(deadline))
    }

    fn set_retention(
        &self,
        rule: RetentionRule,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Periods, Failure>> {
        Box::pin(self.cluster.set_retention(rule, deadline))
    }

    fn admit(
        &self,
        asked: Admission,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Admitted, Failure>> {
        Box::pin(self.cluster.admit(asked, deadline))
    }

    fn drain(&self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(self.cluster.drain(node, deadline))
    }

    fn rebalance(
        &self,
        replication: Option<u32>,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(self.cluster.rebalance(replication, deadline))
    }

    fn books(&self) -> BoxFuture<'_, Books> {
        Box::pin(self.cluster.books())
    }

    fn gone(&self, deadline: Instant) -> BoxFuture<'_, Gone> {
        Box::pin(self.cluster.gone(deadline))
    }

    fn limits(&self, deadline: Instant) -> BoxFuture<'_, Result<Arc<Limits>, Failure>> {
        Box::pin(self.cluster.current_limits(deadline))
    }

    fn set_limit(
        &self,
        rule: LimitRule,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Arc<Limits>, Failure>> {
        Box::pin(self.cluster.set_limit(rule, deadline))
    }
}

/// What does the work: made first, used by everything.
struct Machine {
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    registry: Registry,
    tasks: Tasks,
    ingest: Offload,
    query: Offload,
    build: Offload,
}

impl Machine {
    fn of(config: &Config, seams: &Seams) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if config.threads == 0 {
            cores
        } else {
            config.threads
        };
        let pool = |name, threads| seams.work.pool(name, threads).map_err(Error::Threads);
        let registry = Registry::default();
        process::register(&registry);
        Ok(Self {
            clock: Arc::clone(&seams.clock),
            entropy: seams.entropy.clone(),
            registry,
            tasks: Tasks::new(),
            ingest: pool("ingest", threads)?,
            query: pool("query", threads)?,
            build: pool("build", threads.div_ceil(2))?,
        })
    }
}

impl Node {
    /// Starts a node; it takes traffic when `/readyz` says so.
    ///
    /// # Errors
    /// [`Error`]: an address, the data folder, or what is in it cannot be used.
    pub async fn start(config: Config) -> Result<Self, Error> {
        Self::start_on(config, Seams::system()?).await
    }

    /// As [`start`](Self::start), on what is passed in for the machine.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(config: Config, seams: Seams) -> Result<Self, Error> {
        let machine = Machine::of(&config, &seams)?;
        let http = seams.net.bind(config.http).await?;
        let grpc = seams.net.bind(config.grpc).await?;
        let extra = Extra::bind(&config, &*seams.net).await?;
        let peers = Arc::new(Peers::new(Arc::clone(&seams.net)));
        let connect: Arc<dyn Connect> = Arc::clone(&peers) as _;
        let settings = ClusterSettings::of(&config);
        let secret = own_folder(&config, &settings, &machine.entropy, &connect).await?;
        let pass = Pass::of(&secret.hash_key);
        peers.show(pass.clone());
        let writer = seams.disk.open(&config.data.join(STORE))?;
        let nonce = machine.entropy.stream("incarnation").next_u64();
        let incarnation = incarnation::next(&config.data, nonce)?;
        let masking = Arc::new(Masking::new(Key::new(secret.hash_key)));
        masking.show(&machine.registry);
        let rates = Rates::default();
        let (ledger, keeper) = ledger::Keeper::open(writer.handle(), machine.clock.now())?;
        let cluster = Cluster::open(cluster::Parts {
            settings,
            secret: secret.clone(),
            incarnation,
            segments: config.data.join(SEGMENTS),
            writer: writer.handle(),
            connect,
            clock: Arc::clone(&machine.clock),
            seed: machine.entropy.stream("elections").next_u64(),
            offload: machine.query.clone(),
            builder: machine.build.clone(),
            tasks: machine.tasks.clone(),
            registry: machine.registry.clone(),
            masking: Arc::clone(&masking),
            rates: rates.clone(),
            ledger: ledger.clone(),
        })
        .await?;
        let door = Arc::new(Door {
            cluster: cluster.clone(),
            closing: AtomicBool::new(false),
        });
        let api = api(
            &config,
            &machine,
            &secret,
            (&cluster, &door),
            (masking, rates, ledger),
        );
        let mut node = Self {
            http: http.address(),
            grpc: grpc.address(),
            extra: extra.addresses(),
            flush: machine.build.clone(),
            tasks: machine.tasks,
            cluster,
            door,
            accepting: CancellationToken::new(),
            servers: Tasks::new(),
            writer,
            store: config.data.join(STORE),
        };
        let keeping = keeper.run(node.tasks.stop_token());
        node.tasks.spawn("ledger", Policy::Isolated, keeping);
        node.serve_extra(&config, &api, extra);
        let callers = Callers::new(config.limits.connections, pass);
        node.serve(&config, api, http, (grpc, callers)).await?;
        node.cluster.run();
        Ok(node)
    }

    /// Address of the HTTP interface.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of the gRPC interface.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The interfaces that are off unless configured, by name.
    pub fn extra(&self) -> &[(&'static str, SocketAddr)] {
        &self.extra
    }

    /// Whether the node can take traffic, else the reason.
    pub fn ready(&self) -> Result<(), String> {
        self.door.ready()
    }

    /// What this node knows of its groups: the meta group's, then every open shard's.
    pub fn groups(&self) -> Vec<hushlog_raft::Status> {
        self.cluster.statuses()
    }

    /// Shards that are not open here, since entries of their logs cannot be read and nobody has given them yet.
    pub fn unreadable(&self) -> Vec<ShardId> {
        self.cluster.replicas().doubts().all_unreadable()
    }

    /// The cluster's facts as this node knows them.
    pub fn facts(&self) -> Arc<hushlog_raft::meta::State> {
        self.cluster.meta().state()
    }

    /// Digests of the segments of every sealed shard on this node. Blocks on the disk.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn sealed(&self) -> Result<BTreeMap<ShardId, [u8; 32]>, cluster::replica::Error> {
        self.cluster.sealed()
    }

    /// What this node holds of every shard. Blocks on the disk.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn stored(&self) -> Result<Vec<cluster::Stored>, cluster::replica::Error> {
        self.cluster.stored()
    }

    /// Hands the lead of a group to another voter, when it is polled.
    ///
    /// # Errors
    /// When this node does not lead the group.
    pub fn transfer(
        &self,
        group: GroupId,
        to: NodeId,
    ) -> BoxFuture<'static, Result<(), hushlog_raft::Error>> {
        let cluster = self.cluster.clone();
        Box::pin(async move { cluster.transfer(group, to).await })
    }

    /// The reason why the node cannot go on, once there is one.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.tasks.fatal()
    }

    /// Becomes true when the store has failed for want of space and there is space again: only a
    /// restart opens it anew. The node is then to be shut down and started again.
    pub fn restart_wanted(&self) -> watch::Receiver<bool> {
        self.cluster.restart_wanted()
    }

    async fn serve(
        &mut self,
        config: &Config,
        api: Api,
        http: Box<dyn Listener>,
        (grpc, callers): (Box<dyn Listener>, Callers),
    ) -> Result<(), Error> {
        let clock = Arc::clone(&api.clock);
        let mut routes = RoutesBuilder::default();
        self.cluster.add_services(&mut routes);
        api::grpc::add_services(&api, &self.tasks, &mut routes).await?;
        let serving = net::serve_grpc(
            grpc,
            routes.routes(),
            callers,
            self.accepting.clone(),
            GRPC_PATIENCE,
            Arc::clone(&clock),
        );
        self.servers.spawn("grpc server", Policy::Isolated, serving);
        let router = api::http::router(api);
        self.serve_http("http server", config, http, router, clock);
        Ok(())
    }

    fn serve_extra(&self, config: &Config, api: &Api, extra: Extra) {
        let routers: [(_, _, Routes); 2] = [
            ("otlp server", extra.otlp, api::http::otlp_router),
            (
                "elasticsearch server",
                extra.elasticsearch,
                api::http::elastic_router,
            ),
        ];
        for (name, listener, router) in routers {
            if let Some(listener) = listener {
                let clock = Arc::clone(&api.clock);
                self.serve_http(name, config, listener, router(api.clone()), clock);
            }
        }
        if let Some(listener) = extra.syslog_tcp {
            let api = api.clone();
            let connections = syslog::Connections {
                max: config.limits.connections,
                join: config.listen.syslog_join,
            };
            let (stop, tasks) = (self.accepting.clone(), self.servers.clone());
            self.servers.spawn("syslog", Policy::Isolated, async move {
                syslog::serve_tcp(listener, api, connections, tasks, stop).await;
                Ok::<(), String>(())
            });
        }
        if let Some(socket) = extra.syslog_udp {
            let (api, stop) = (api.clone(), self.accepting.clone());
            let join = config.listen.syslog_join;
            self.servers
                .spawn("syslog udp", Policy::Isolated, async move {
                    syslog::serve_udp(socket, api, join, stop).await;
                    Ok::<(), String>(())
                });
        }
    }

    fn serve_http(
        &self,
        name: &'static str,
        config: &Config,
        listener: Box<dyn Listener>,
        router: Router,
        clock: Arc<dyn Clock>,
    ) {
        let connections = config.limits.connections;
        let (stop, tasks) = (self.accepting.clone(), self.servers.clone());
        self.servers.spawn(name, Policy::Isolated, async move {
            net::serve_http(listener, router, connections, tasks, stop, clock).await;
            Ok::<(), String>(())
        });
    }

    /// Ends the node: unready, no new requests, those accepted finished, leads handed over,
    /// everything written, the store closed. Gives the names of tasks that did not end in time.
    pub async fn shutdown(self) -> Vec<String> {
        let store = self.store.clone();
        let mut late = self.end().await;
        // Work that nobody waits for any more may still look at it, and needs the threads to come to its end.
        let until = Instant::now() + CLOSE_PATIENCE;
        while !hushlog_storage::store::closed(&store, Duration::ZERO) {
            if Instant::now() > until {
                late.push("store".into());
                break;
            }
            tokio::time::sleep(CLOSE_TICK).await;
        }
        late
    }

    /// Ends everything; drops what is left of it.
    async fn end(self) -> Vec<String> {
        self.door.closing.store(true, Ordering::Relaxed);
        self.accepting.cancel();
        let mut late = self.servers.shutdown(SHUTDOWN_PATIENCE).await;
        let handed_over = tokio::time::timeout(GRPC_PATIENCE, self.cluster.step_down()).await;
        if handed_over.is_err() {
            tracing::warn!("not every lead was handed over in time");
        }
        late.extend(self.tasks.shutdown(SHUTDOWN_PATIENCE).await);
        let (writing, store) = (self.writer.handle(), self.store);
        let flushed = async {
            self.cluster.shutdown().await;
            // Joins the writer's thread, which finishes what it has.
            self.flush.run(move || self.writer.shutdown()).await
        };
        let flushed = tokio::select! {
            biased;
            flushed = flushed => flushed.is_ok(),
            never = give_up_stalled_writes(&writing, &store) => match never {},
        };
        if !flushed {
            late.push("writer".into());
        }
        late
    }
}

/// How long work that is still under way may hold the store open at the end of a node.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);
const CLOSE_TICK: Duration = Duration::from_millis(20);

/// Waits until nothing of any node of this process holds a store open; whether that came about within the
/// time. The process must not end before.
pub fn wait_until_closed(within: Duration) -> bool {
    hushlog_storage::store::all_closed(within)
}

/// Folder of the store, in the data folder.
pub(crate) const STORE: &str = "store";
/// Folder of the segments, in the data folder.
const SEGMENTS: &str = "segments";

/// Makes the data folder this node's own, and finds the cluster's secret.
async fn own_folder(
    config: &Config,
    settings: &ClusterSettings,
    entropy: &Entropy,
    connect: &Arc<dyn Connect>,
) -> Result<Secret, Error> {
    let folder = &config.data;
    std::fs::create_dir_all(folder).map_err(|source| Error::Folder {
        path: folder.clone(),
        source,
    })?;
    // A folder of another node or with foreign content is refused before anything is put into it.
    let known = identity::read(folder)?;
    let secret = join::secret(folder, settings, entropy, connect).await?;
    let own = Identity {
        cluster: secret.cluster,
        node: config.node.id,
    };
    identity::claim(folder, own)?;
    if known.is_none() {
        tracing::info!(node = own.node, folder = %folder.display(), "data folder initialised");
    }
    if let Ok(free) = free_bytes(folder) {
        let ballast = intake::ballast(folder, settings.disk_reserve);
        intake::make_room(&ballast, free, unflushed_bytes(&folder.join(STORE)));
    }
    Ok(secret)
}

fn api(
    config: &Config,
    machine: &Machine,
    secret: &Secret,
    (cluster, door): (&Cluster, &Arc<Door>),
    (masking, rates, ledger): (Arc<Masking>, Rates, Ledger),
) -> Api {
    let gateway = Gateway::new(gateway::Parts {
        sink: Arc::new(cluster.clone()),
        masking: Arc::clone(&masking),
        content_key: gateway::content_key(&secret.hash_key),
        request_key: gateway::request_key(&secret.hash_key),
        offload: machine.ingest.clone(),
        clock: Arc::clone(&machine.clock),
        entropy: machine.entropy.clone(),
        rates,
        ledger,
        registry: machine.registry.clone(),
        tasks: machine.tasks.clone(),
        memory: config.limits.ingest_memory,
        timeout: config.limits.ingest_timeout,
    });
    let clock = Arc::clone(&machine.clock);
    let ids = machine.entropy.stream("query ids");
    let coordinator = Coordinator::new(cluster.clone(), clock, machine.query.clone(), ids);
    Api::new(api::Parts {
        gateway,
        reader: Arc::new(coordinator),
        control: Arc::clone(door) as _,
        policies: Arc::new(cluster.clone()),
        masking,
        offload: machine.query.clone(),
        clock: Arc::clone(&machine.clock),
        registry: machine.registry.clone(),
        ids: Mutex::new(machine.entropy.stream("request ids")),
        queries: Arc::new(Semaphore::new(config.limits.queries)),
        query_timeout: config.limits.query_timeout,
        body_bytes_max: config.limits.body,
    })
}
