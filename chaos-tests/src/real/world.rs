//! A cluster whose ground we own: network, file systems, processes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::disk::Disk;
use super::ground::Ground;
use super::process::{NodeProcess, Plan};
use super::shim::{Page, Shim};
use super::topo::Topo;
use crate::client::Client;

const HTTP: u16 = 7_700;
const GRPC: u16 = 4_317;
const POLL: Duration = Duration::from_millis(50);
const CALL_DEADLINE: Duration = Duration::from_secs(2);
/// The same for a change of the cluster, and for a view of all of it.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a node may take from its start until it takes traffic, on a busy machine.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may take to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(30);
/// Small cuts, so that a short run has segments, and little log behind them: frequent enough that nodes that
/// were away miss some.
const SETTINGS: [(&str, &str); 3] = [
    ("HUSHLOG_CUT_BYTES", "128KiB"),
    ("HUSHLOG_CUT_LOG_KEEP", "128KiB"),
    ("HUSHLOG_CUT_AGE", "5s"),
];

/// One node and what it stands on.
pub struct Node {
    /// Its file system.
    pub disk: Disk,
    /// What steers its shim.
    pub page: Page,
    /// How it is started.
    pub plan: Plan,
    /// Its process, if it was started and not ended by us.
    pub process: Option<NodeProcess>,
    /// It is not to come back: wiped, damaged or refused.
    pub out: bool,
    /// How it takes part.
    pub part: Part,
}

/// How a node takes part in the cluster, as those know who ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A machine that nobody has let in yet: it was never started.
    Spare,
    /// It is a member.
    Member,
    /// It has left for good.
    Left,
}

impl Node {
    /// Whether it is a member that is to be there.
    pub fn takes_part(&self) -> bool {
        self.part == Part::Member && !self.out
    }
}

/// Nodes, network, ground. Dropping it ends and removes all of it.
pub struct World {
    /// The nodes, in order of their ids.
    pub nodes: Vec<Node>,
    /// The network.
    pub topo: Topo,
    /// Compiled helpers.
    pub shim: Shim,
    client: Client,
    /// For what the cluster does together.
    patient: Client,
    /// Last, so that everything above is closed before it is taken away.
    pub ground: Ground,
}

/// Size and settings of a world.
pub struct Size<'a> {
    /// Nodes that begin the cluster.
    pub nodes: usize,
    /// Machines beside them that nodes can be started on later.
    pub spares: usize,
    /// MiB of each file system.
    pub disk_mib: u32,
    /// Settings by variable.
    pub settings: &'a [(String, String)],
}

impl World {
    /// Makes the ground and starts all nodes; returns when they take traffic.
    pub async fn start(binary: PathBuf, size: &Size<'_>) -> Result<Self> {
        let ground = Ground::new()?;
        let machines = size.nodes + size.spares;
        let topo = Topo::create(&ground, machines)?;
        let shim = Shim::build(ground.folder())?;
        let peers: Vec<String> = (0..size.nodes)
            .map(|node| format!("{}={}:{GRPC}", node + 1, topo.address(node)))
            .collect();
        let mut nodes = Vec::new();
        let contacts: Vec<String> = (0..size.nodes)
            .map(|node| format!("{}:{GRPC}", topo.address(node)))
            .collect();
        for index in 0..machines {
            let part = if index < size.nodes {
                Part::Member
            } else {
                Part::Spare
            };
            let disk = Disk::create(&ground, index + 1, size.disk_mib)?;
            let page = Page::create(ground.folder().join(format!("page-{}", index + 1)))?;
            let address = topo.address(index);
            let flags = [
                ("--http", format!("{address}:{HTTP}")),
                ("--grpc", format!("{address}:{GRPC}")),
                ("--node-id", (index + 1).to_string()),
                match part {
                    Part::Member => ("--cluster-peers", peers.join(",")),
                    Part::Spare | Part::Left => ("--cluster-join", contacts.join(",")),
                },
            ];
            let own = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let plan = Plan {
                inside: topo.inside(index)?,
                binary: binary.clone(),
                preload: shim.library().to_path_buf(),
                page: page.path().to_path_buf(),
                flags: flags
                    .into_iter()
                    .flat_map(|(flag, value)| [flag.to_owned(), value])
                    .collect(),
                variables: own
                    .into_iter()
                    .chain(size.settings.iter().cloned())
                    .collect(),
                // Beside the file systems: a node's log must not fill its disk, and is searched too.
                log: ground
                    .folder()
                    .join("nodes")
                    .join(format!("node-{}.log", index + 1)),
            };
            nodes.push(Node {
                disk,
                page,
                plan,
                process: None,
                out: false,
                part,
            });
        }
        let mut world = Self {
            nodes,
            topo,
            shim,
            client: Client::new(CALL_DEADLINE),
            patient: Client::new(CHANGE_DEADLINE),
            ground,
        };
        for index in 0..size.nodes {
            world.start_node(index)?;
        }
        for index in 0..size.nodes {
            world.wait_ready(index, READY_WITHIN).await?;
        }
        Ok(world)
    }

    /// Base URL of a node's HTTP interface.
    pub fn url(&self, index: usize) -> String {
        format!("http://{}:{HTTP}", self.topo.address(index))
    }

    /// Base URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        (0..self.nodes.len()).map(|index| self.url(index)).collect()
    }

    /// Where the other nodes reach a node.
    pub fn grpc(&self, index: usize) -> String {
        format!("{}:{GRPC}", self.topo.address(index))
    }

    /// Asks a node something of the cluster; nothing without an answer.
    pub async fn call(
        &self,
        index: usize,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.url(index));
        let answer = self.patient.call_json(method, &url, body).await.ok()?;
        Some((answer.0.as_u16(), answer.1))
    }

    /// The members that are to be there.
    pub fn members(&self) -> Vec<usize> {
        let all = self.nodes.iter().enumerate();
        all.filter_map(|(index, node)| node.takes_part().then_some(index))
            .collect()
    }

    fn node(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).context("no such node")
    }

    /// The running process of a node.
    pub fn process(&mut self, index: usize) -> Result<&mut NodeProcess> {
        let process = self.node(index)?.process.as_mut();
        process.with_context(|| format!("node {} does not run", index + 1))
    }

    /// Starts a node on its own data.
    pub fn start_node(&mut self, index: usize) -> Result<()> {
        let data = self.node(index)?.disk.data();
        self.start_node_on(index, &data)
    }

    /// Starts a node on a folder, which may be another's.
    pub fn start_node_on(&mut self, index: usize, data: &std::path::Path) -> Result<()> {
        let node = self.nodes.get_mut(index).context("no such node")?;
        let process = NodeProcess::start(&node.plan, data, &self.ground)?;
        node.process = Some(process);
        Ok(())
    }

    /// `kill -9` of a node; nothing if it does not run.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        match self.node(index)?.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Cuts the power of these nodes at one moment, and mounts their disks again: what was not synced
    /// is gone.
    pub fn cut_power(&mut self, indexes: &[usize]) -> Result<()> {
        // Stopped first, so that nobody can react to a disk that is gone: power fails for all at once.
        for index in indexes {
            if let Some(process) = &mut self.node(*index)?.process {
                process.freeze()?;
            }
        }
        let mounts: Vec<PathBuf> = indexes
            .iter()
            .map(|index| Ok(self.node(*index)?.disk.mount().to_path_buf()))
            .collect::<Result<_>>()?;
        let mounts: Vec<_> = mounts.iter().map(PathBuf::as_path).collect();
        self.shim.cut_power(&mounts)?;
        for index in indexes {
            self.kill(*index)?;
            self.node(*index)?.disk.reboot()?;
        }
        Ok(())
    }

    /// Waits until a node takes traffic.
    pub async fn wait_ready(&mut self, index: usize, within: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            let reason = match self.readiness(index).await {
                Some((200, _)) => return Ok(()),
                Some((status, body)) => format!("{status} {body}"),
                None => "no answer".into(),
            };
            let process = self.process(index)?;
            if let Some(status) = process.ended() {
                bail!(
                    "node {} ended ({status}): {}",
                    index + 1,
                    process.log_tail()
                );
            }
            if started.elapsed() > within {
                bail!("node {} is not ready after {within:?}: {reason}", index + 1);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What a node says to `/readyz`.
    pub async fn readiness(&self, index: usize) -> Option<(u16, String)> {
        let url = format!("{}/readyz", self.url(index));
        let reply = self.client.get(&url).await.ok()?;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        Some((reply.status.as_u16(), body))
    }

    /// A node's view of the cluster.
    pub async fn view(&self, index: usize) -> Option<Value> {
        let url = format!("{}/api/v1/cluster?scope=node", self.url(index));
        self.client.get(&url).await.ok()?.json().ok()
    }

    /// The groups that each node leads, by name, as `asked` sees it.
    pub async fn leads(&self, asked: usize) -> Option<BTreeMap<usize, Vec<String>>> {
        let view = self.view(asked).await?;
        let mut leads = BTreeMap::<usize, Vec<String>>::new();
        let shards = view["shards"].as_array()?.iter();
        let open = shards.filter(|shard| shard["state"] == "open");
        let groups = open
            .map(|shard| {
                (
                    &shard["leader"],
                    shard["shard"].as_str().unwrap_or_default(),
                )
            })
            .chain([(&view["meta"]["leader"], "meta")]);
        for (leader, group) in groups {
            if let Some(leader) = leader.as_u64().and_then(|id| usize::try_from(id).ok()) {
                leads.entry(leader - 1).or_default().push(group.to_owned());
            }
        }
        Some(leads)
    }

    /// The highest term of each open shard, and of the meta group, that any node knows.
    pub async fn terms(&self) -> BTreeMap<String, u64> {
        let mut terms = BTreeMap::new();
        for index in 0..self.nodes.len() {
            let Some(view) = self.view(index).await else {
                continue;
            };
            let shards = view["shards"].as_array().into_iter().flatten();
            let groups = shards
                .filter_map(|shard| {
                    Some((shard["shard"].as_str()?.to_owned(), shard["term"].as_u64()?))
                })
                .chain(
                    view["meta"]["term"]
                        .as_u64()
                        .map(|term| ("meta".to_owned(), term)),
                );
            for (group, term) in groups {
                let known = terms.entry(group).or_insert(term);
                *known = term.max(*known);
            }
        }
        terms
    }

    /// How far each shard of a node goes: (appended, committed), by name.
    pub async fn positions(&self, index: usize) -> Option<BTreeMap<String, (u64, u64)>> {
        let view = self.view(index).await?;
        let shards = view["shards"].as_array()?;
        let positions = shards.iter().filter_map(|shard| {
            let at = &shard["positions"];
            let name = shard["shard"].as_str()?.to_owned();
            Some((
                name,
                (at["appended_to"].as_u64()?, at["committed_to"].as_u64()?),
            ))
        });
        Some(positions.collect())
    }

    /// Nodes whose own log tells of a panic, with its first line.
    pub fn panics(&self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        let started = |(_, node): &(usize, &Node)| node.part != Part::Spare;
        for (index, node) in self.nodes.iter().enumerate().filter(started) {
            let log = std::fs::read(&node.plan.log)?;
            let log = String::from_utf8_lossy(&log);
            if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
                said.push(format!("node {} panicked: {line}", index + 1));
            }
        }
        Ok(said)
    }

    /// What is wrong with a node's segments, compared with those of the others: all files of a shard that
    /// both have sealed, and of any segment that both have.
    pub async fn amiss(&self, index: usize) -> Result<Option<String>> {
        let Some(view) = self.view(index).await else {
            return Ok(Some("it does not answer".into()));
        };
        let none = Vec::new();
        let shards = view["shards"].as_array().unwrap_or(&none);
        if let Some(damaged) = shards.iter().find(|shard| shard["damaged"] != false) {
            return Ok(Some(format!(
                "it says that {} is damaged",
                damaged["shard"]
            )));
        }
        let own = self.nodes[index].disk.segments()?;
        for (other, node) in self.nodes.iter().enumerate() {
            let asked = other != index && node.takes_part();
            let Some(theirs) = self.view(other).await.filter(|_| asked) else {
                continue;
            };
            let sealed = sealed_in(&theirs);
            let sealed = &sealed_in(&view) & &sealed;
            for (shard, files) in node.disk.segments()? {
                let mine = own.get(&shard).cloned().unwrap_or_default();
                let amiss = files.iter().find(|(path, digest)| match mine.get(*path) {
                    Some(found) => found != *digest,
                    None => sealed.contains(&shard),
                });
                if let Some((path, _)) = amiss {
                    let path = path.display();
                    return Ok(Some(format!(
                        "{shard} has not the {path} of node {}",
                        other + 1
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Ends one node in order; a sentence if it did not end well, or in time.
    pub fn stop_node(&mut self, index: usize) -> Result<Option<String>> {
        let process = self.node(index)?.process.take();
        let mut process = process.context("it does not run")?;
        process.terminate()?;
        ended(index, process)
    }

    /// Ends all nodes in order; sentences of those that did not end well, or in time.
    pub fn stop(&mut self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                process.terminate()?;
            }
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if let Some(process) = node.process.take() {
                said.extend(ended(index, process)?);
            }
        }
        Ok(said)
    }
}

/// Waits for the end of a node that was told to end; a sentence if it did not end well, or in time.
fn ended(index: usize, mut process: NodeProcess) -> Result<Option<String>> {
    let node = index + 1;
    Ok(match process.wait(END_WITHIN) {
        None => {
            process.kill()?;
            Some(format!("node {node} did not end in time after SIGTERM"))
        }
        Some(status) if !status.success() => {
            let log = process.log_tail();
            Some(format!(
                "node {node} ended with {status} after SIGTERM: {log}"
            ))
        }
        Some(_) => None,
    })
}

/// The sealed shards in a node's view of the cluster.
fn sealed_in(view: &Value) -> BTreeSet<String> {
    let shards = view["shards"].as_array().into_iter().flatten();
    let sealed = shards.filter(|shard| shard["state"] == "sealed");
    sealed
        .filter_map(|shard| Some(shard["shard"].as_str()?.to_owned()))
        .collect()
}
