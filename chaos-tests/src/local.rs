//! Whole nodes in this process, on loopback, that come and go; and a load that knows what was acknowledged.
//!
//! Nodes are stopped in good order here; what a kill does, real processes and the simulation show.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use hushlog_node::{Config, Node, config};
use hushlog_raft::meta::State;
use hushlog_raft::{Role, Status};
use hushlog_record::ShardId;
use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::client::Client;

/// Longest wait for anything that must happen: much longer than it takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The token of every record of the load.
const TOKEN: &str = "carried";
/// Services of the load: enough for every slot to have some.
const SERVICES: u64 = 9;

/// HTTP port of each node that takes requests.
pub type Doors = Arc<Mutex<BTreeMap<u64, u16>>>;

/// Nodes of one cluster, by number.
pub struct Local {
    folder: TempDir,
    ports: BTreeMap<u64, (u16, u16)>,
    founders: Vec<u64>,
    settings: fn(&mut Config),
    nodes: BTreeMap<u64, Node>,
    doors: Doors,
    client: Client,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Local {
    /// Starts the first nodes of a cluster, numbered from 1, each with these settings.
    pub async fn start(founders: u64, settings: fn(&mut Config)) -> Result<Self> {
        let mut cluster = Self {
            folder: TempDir::new()?,
            ports: BTreeMap::new(),
            founders: (1..=founders).collect(),
            settings,
            nodes: BTreeMap::new(),
            doors: Doors::default(),
            client: Client::new(DEADLINE),
        };
        for id in 1..=founders {
            cluster.ports.insert(id, free_ports()?);
        }
        let starts = (1..=founders).map(|id| Node::start(cluster.config(id)));
        let started = futures_util::future::try_join_all(starts).await?;
        cluster.nodes = (1..).zip(started).collect();
        for id in 1..=founders {
            cluster.ready(id).await?;
        }
        Ok(cluster)
    }

    fn config(&self, id: u64) -> Config {
        let peer = |id: &u64| config::Peer {
            id: *id,
            address: local(self.ports[id].1).to_string(),
        };
        let (http, grpc) = self.ports[&id];
        let mut config = Config::defaults();
        config.data = self.folder.path().join(format!("node-{id}"));
        config.http = local(http);
        config.grpc = local(grpc);
        config.node.id = id;
        config.node.advertise = local(grpc).to_string();
        let founders = self.founders.iter();
        if self.founders.contains(&id) {
            config.cluster.peers = founders.map(peer).collect();
        } else {
            config.cluster.peers = vec![peer(&id)];
            config.cluster.join = founders.map(|id| peer(id).address).collect();
        }
        config.threads = 2;
        (self.settings)(&mut config);
        config
    }

    async fn ready(&self, id: u64) -> Result<()> {
        let node = &self.nodes[&id];
        until(&format!("node {id} is ready"), || node.ready().is_ok()).await?;
        self.doors.lock().insert(id, self.ports[&id].0);
        Ok(())
    }

    /// Lets a node in through another, and starts it.
    pub async fn join(&mut self, id: u64, through: u64) -> Result<()> {
        self.ports.insert(id, free_ports()?);
        let grpc = local(self.ports[&id].1).to_string();
        let asked = json!({"id": id, "grpc": grpc});
        let (status, body) = self.call(through, Method::POST, NODES, asked).await?;
        ensure!(status == StatusCode::CREATED, "{status} {body}");
        ensure!(body["state"] == "joining", "{body}");
        self.start_node(id).await?;
        Ok(())
    }

    /// Starts a node that was stopped, or is let in, and waits until it takes requests. Work that was under way
    /// in this process when it was stopped may still hold its store.
    pub async fn start_node(&mut self, id: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let node = loop {
            let started = tokio::time::timeout(PATIENCE, Node::start(self.config(id)));
            match started.await.context("the node does not start")? {
                Err(error) if error.to_string().contains("in use") && Instant::now() < deadline => {
                    sleep(LOOK).await;
                }
                started => break started?,
            }
        };
        self.nodes.insert(id, node);
        self.ready(id).await
    }

    /// Tries to start a node that has left: gives what it says.
    pub async fn refused_start(&mut self, id: u64) -> Result<String> {
        let started = tokio::time::timeout(PATIENCE, Node::start(self.config(id)));
        match started
            .await
            .context("it neither starts nor says why not")?
        {
            Err(error) => Ok(error.to_string()),
            Ok(node) => {
                self.nodes.insert(id, node);
                self.farewell(id).await
            }
        }
    }

    /// Stops a node.
    pub async fn stop(&mut self, id: u64) {
        self.doors.lock().remove(&id);
        if let Some(node) = self.nodes.remove(&id) {
            node.shutdown().await;
        }
    }

    /// Stops all nodes.
    pub async fn stop_all(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.stop(id).await;
        }
    }

    /// Waits until a node cannot go on; gives the reason, and stops it.
    pub async fn farewell(&mut self, id: u64) -> Result<String> {
        let mut fatal = self.nodes[&id].fatal();
        let ended = tokio::time::timeout(PATIENCE, fatal.wait_for(Option::is_some));
        let reason = ended.await.context("it goes on")??.clone();
        self.stop(id).await;
        reason.context("no reason")
    }

    /// The facts as a node knows them.
    pub fn facts(&self, id: u64) -> Arc<State> {
        self.nodes[&id].facts()
    }

    /// Nodes that vote in the meta group, as a node knows it.
    pub fn meta_voters(&self, id: u64) -> Vec<u64> {
        let groups = self.nodes[&id].groups();
        let members = groups.first().map(|meta| meta.members.clone());
        let voters = members.unwrap_or_default().into_iter();
        voters.filter(|m| m.voter).map(|m| m.node).collect()
    }

    /// How many sealed shards a node has.
    pub fn sealed_on(&self, id: u64) -> Result<usize> {
        Ok(self.nodes[&id].sealed()?.len())
    }

    /// How many segments each sealed shard has on a node, as far as its facts and its folder agree.
    pub fn segments_on(&self, id: u64) -> Result<BTreeMap<ShardId, usize>> {
        let node = &self.nodes[&id];
        let facts = node.facts();
        let agreed = |shard: &ShardId, digest: &[u8; 32]| {
            let seal = facts.sealed.get(shard);
            seal.is_some_and(|seal| seal.digest == *digest && seal.rows > 0)
        };
        let mut counts = BTreeMap::new();
        for (shard, digest) in node.sealed()? {
            if agreed(&shard, &digest) {
                let folder = self.folder_of(id, shard);
                counts.insert(shard, std::fs::read_dir(folder)?.count());
            }
        }
        Ok(counts)
    }

    /// The digest of each sealed shard on a node, as the node has it.
    pub fn digests_on(&self, id: u64) -> Result<BTreeMap<ShardId, [u8; 32]>> {
        Ok(self.nodes[&id].sealed()?)
    }

    /// The node that leads a shard, as it says itself.
    pub fn leader_of(&self, shard: ShardId) -> Option<u64> {
        let leads = |node: &Node| {
            let mut groups = node.groups().into_iter();
            groups.any(|status| status.group == shard.group() && status.role == Role::Leader)
        };
        let mut nodes = self.nodes.iter();
        nodes.find_map(|(id, node)| leads(node).then_some(*id))
    }

    /// The data folder of a node.
    pub fn data_of(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("node-{id}"))
    }

    /// The folder of a shard's segments on a node.
    pub fn folder_of(&self, id: u64, shard: ShardId) -> PathBuf {
        self.data_of(id).join("segments").join(shard.to_string())
    }

    /// The folders of a shard's segments on a node, by their ranges; none while they are being fetched.
    pub fn ranges_on(&self, id: u64, shard: ShardId) -> Result<Vec<(u64, u64)>> {
        let Ok(entries) = std::fs::read_dir(self.folder_of(id, shard)) else {
            return Ok(Vec::new());
        };
        let mut ranges = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let range = name.split_once('-');
            let range = range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
            ranges.extend(range);
        }
        ranges.sort_unstable();
        Ok(ranges)
    }

    /// What a node knows of the group of a shard.
    pub fn status_of(&self, id: u64, shard: ShardId) -> Option<Status> {
        let mut groups = self.nodes.get(&id)?.groups().into_iter();
        groups.find(|status| status.group == shard.group())
    }

    /// A number of a node that has no labels, as its metrics show it.
    pub async fn metric(&self, id: u64, name: &str) -> Result<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports[&id].0);
        let reply = self.client.get(&url).await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value
            .with_context(|| format!("no {name}"))?
            .trim()
            .parse()?)
    }

    /// Asks a node over HTTP.
    pub async fn call(
        &self,
        id: u64,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[&id].0);
        self.client.call_json(method, &url, &body).await
    }

    /// Sends records to a node, under a key if there is one.
    pub async fn push(
        &self,
        id: u64,
        key: Option<&str>,
        records: &Value,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("http://127.0.0.1:{}/api/v1/logs", self.ports[&id].0);
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let body = Bytes::from(records.to_string());
        let reply = self.client.call(Method::POST, &url, &headers, body).await?;
        Ok((reply.status, reply.json()?))
    }

    /// Has a node leave, through another, and waits until it has.
    pub async fn drain(&self, id: u64, through: u64) -> Result<()> {
        let path = format!("{NODES}/{id}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self
                .call(through, Method::DELETE, &path, Value::Null)
                .await?;
            if status == StatusCode::ACCEPTED && body["state"] == "removed" {
                return Ok(());
            }
            let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
            let later = later.contains(&status);
            ensure!(status == StatusCode::ACCEPTED || later, "{status} {body}");
            ensure!(
                Instant::now() < deadline,
                "node {id} does not leave: {body}"
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until all is where it belongs, as a node's view of the cluster says it.
    pub async fn settled(&self, through: u64) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, view) = self
                .call(through, Method::GET, "/api/v1/cluster", Value::Null)
                .await?;
            let totals = &view["totals"];
            let lacking = view["under_replicated"].as_array().map_or(0, Vec::len);
            let still = view["rebalancing"] == true || totals["moving"] != 0;
            if lacking == 0 && !still {
                return Ok(view);
            }
            if Instant::now() > deadline {
                bail!("it does not come to rest: {view:#}");
            }
            sleep(LOOK).await;
        }
    }

    /// How many records of the load a node finds.
    pub async fn found(&self, id: u64) -> Result<u64> {
        found(&self.client, self.ports[&id].0).await
    }

    /// Sends records until it is ended.
    pub fn load(&self) -> Load {
        Load::start(Arc::clone(&self.doors), self.client.clone())
    }
}

/// How many records of the load the node behind this port finds. An answer that says that it is not complete is
/// asked for again: a shard that is about to open on a slow machine is missing for a moment.
pub async fn found(client: &Client, port: u16) -> Result<u64> {
    let url = format!("http://127.0.0.1:{port}/api/v1/logs/query");
    let question = json!({"query": TOKEN, "limit": 0});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = client.post_json(&url, &question).await?;
        let (status, body) = (reply.status, reply.json()?);
        if status == StatusCode::PARTIAL_CONTENT && Instant::now() < deadline {
            ensure!(body["partial"] == true, "{body}");
            sleep(LOOK).await;
            continue;
        }
        ensure!(status == StatusCode::OK, "{status} {body}");
        return body["total"].as_u64().context("no total");
    }
}

const NODES: &str = "/api/v1/cluster/nodes";

/// Two ports that nobody has.
///
/// # Errors
/// When the machine has none left.
pub fn free_ports() -> Result<(u16, u16)> {
    let http = std::net::TcpListener::bind("127.0.0.1:0")?;
    let grpc = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok((http.local_addr()?.port(), grpc.local_addr()?.port()))
}

/// Waits for something that must happen.
pub async fn until(what: &str, happens: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !happens() {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(LOOK).await;
    }
    Ok(())
}

/// A load that runs.
pub struct Load {
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    task: JoinHandle<Result<()>>,
}

impl Load {
    /// Sends records one after the other to the nodes in turn, each under a key of its own and again until it
    /// is acknowledged.
    pub fn start(doors: Doors, client: Client) -> Self {
        let (ended, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let sending = send(doors, client, Arc::clone(&ended), Arc::clone(&sent));
        Self {
            ended,
            sent,
            task: tokio::spawn(sending),
        }
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits until so many more were acknowledged.
    pub async fn more(&self, records: u64) -> Result<()> {
        let target = self.acknowledged() + records;
        until("records are taken", || {
            self.task.is_finished() || self.acknowledged() >= target
        })
        .await?;
        ensure!(self.acknowledged() >= target, "the load has ended");
        Ok(())
    }

    /// Ends it; gives how many records were acknowledged, all of them.
    pub async fn end(self) -> Result<u64> {
        self.ended.store(true, Ordering::SeqCst);
        self.task.await??;
        Ok(self.sent.load(Ordering::SeqCst))
    }
}

async fn send(
    doors: Doors,
    client: Client,
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> Result<()> {
    while !ended.load(Ordering::SeqCst) {
        let number = sent.load(Ordering::SeqCst);
        let service = format!("svc{}", number % SERVICES);
        let message = format!("{TOKEN} number{number}");
        let body = json!({"service": service, "message": message}).to_string();
        let key = format!("load-{number}");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ];
        let deadline = Instant::now() + PATIENCE;
        let mut turn = number;
        let mut last = String::new();
        loop {
            ensure!(Instant::now() < deadline, "{key} is not taken: {last}");
            let open: Vec<u16> = doors.lock().values().copied().collect();
            turn += 1;
            let Some(port) = open.get(usize::try_from(turn)? % open.len().max(1)) else {
                sleep(LOOK).await;
                continue;
            };
            let url = format!("http://127.0.0.1:{port}/api/v1/logs");
            let body = Bytes::from(body.clone());
            match client.call(Method::POST, &url, &headers, body).await {
                Ok(reply) if reply.status == StatusCode::OK => break,
                Ok(reply) => last = format!("{} {:?}", reply.status, reply.body),
                Err(error) => last = format!("{error:#}"),
            }
            sleep(LOOK).await;
        }
        sent.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}
