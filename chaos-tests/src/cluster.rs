//! A cluster of real processes, started and ended through the `hushlog` binary.
//!
//! Processes are ended by their id alone; dropping a [`Cluster`] ends all that it started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::client::Client;

/// How long a cluster may take to become ready on a busy machine.
const READY_DEADLINE: Duration = Duration::from_secs(120);
/// Tails are cut early and little log is kept, so that a run has many cuts, segments and snapshots, also while
/// nodes die and return.
const SETTINGS: [(&str, &str); 2] = [
    ("HUSHLOG_CUT_BYTES", "2MiB"),
    ("HUSHLOG_CUT_LOG_KEEP", "2MiB"),
];
const POLL: Duration = Duration::from_millis(100);

/// One node as `cluster.json` lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeEntry {
    /// Node number as the cluster counts it.
    pub id: u64,
    /// Process id.
    pub pid: i32,
    /// Address of the HTTP API.
    pub http: String,
    /// Address of the gRPC API.
    pub grpc: String,
    /// Data folder.
    pub data: PathBuf,
}

#[derive(Deserialize)]
struct ClusterFile {
    nodes: Vec<NodeEntry>,
}

/// Ports that a cluster listens on.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// First HTTP port; node i listens on `http + i`.
    pub http: u16,
    /// First gRPC port.
    pub grpc: u16,
}

/// A running cluster.
pub struct Cluster {
    binary: PathBuf,
    data: PathBuf,
    parent: Child,
    nodes: Vec<NodeEntry>,
}

impl Cluster {
    /// Starts `count` nodes with their data below `data` and waits until all are ready.
    pub async fn start(binary: &Path, data: &Path, count: usize, ports: Ports) -> Result<Self> {
        fs::create_dir_all(data)?;
        let file = data.join("cluster.json");
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let log = fs::File::create(data.join("cluster.log"))?;
        let parent = Command::new(binary)
            .envs(SETTINGS)
            .arg("cluster")
            .args(["--nodes", &count.to_string()])
            .arg("--data")
            .arg(data)
            .args(["--http-base", &ports.http.to_string()])
            .args(["--grpc-base", &ports.grpc.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut cluster = Self {
            binary: binary.into(),
            data: data.into(),
            parent,
            nodes: Vec::new(),
        };
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        while !file.exists() {
            if let Some(status) = cluster.parent.try_wait()? {
                bail!(
                    "the cluster ended at start ({status}): {}",
                    cluster.log_tail()
                );
            }
            if tokio::time::Instant::now() > deadline {
                bail!("the cluster was not ready in time: {}", cluster.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
        cluster.reload()?;
        Ok(cluster)
    }

    /// The nodes, as `cluster.json` lists them now.
    pub fn nodes(&self) -> &[NodeEntry] {
        &self.nodes
    }

    /// The folder that holds everything the cluster wrote.
    pub fn data(&self) -> &Path {
        &self.data
    }

    fn reload(&mut self) -> Result<()> {
        let text = fs::read(self.data.join("cluster.json"))?;
        self.nodes = serde_json::from_slice::<ClusterFile>(&text)?.nodes;
        Ok(())
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.data.join("cluster.log")).unwrap_or_default();
        let start = text.len().saturating_sub(2_000);
        text.get(start..).unwrap_or_default().to_owned()
    }

    /// Sends a signal to node `index`.
    pub fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let node = self.nodes.get(index).context("no such node")?;
        kill(Pid::from_raw(node.pid), signal).with_context(|| format!("signal to node {index}"))
    }

    /// `kill -9` of node `index`.
    pub fn kill(&self, index: usize) -> Result<()> {
        self.signal(index, Signal::SIGKILL)
    }

    /// Starts a dead node again and returns when it is ready.
    pub async fn start_node(&mut self, index: usize) -> Result<()> {
        let output = tokio::process::Command::new(&self.binary)
            .envs(SETTINGS)
            .args(["cluster", "start-node", &index.to_string(), "--data"])
            .arg(&self.data)
            .output()
            .await?;
        if !output.status.success() {
            bail!(
                "start-node {index}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        self.reload()
    }

    /// Waits until every node says that it is ready.
    pub async fn wait_ready(&self) -> Result<()> {
        let client = Client::new(Duration::from_secs(2));
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        for node in &self.nodes {
            let url = format!("http://{}/readyz", node.http);
            loop {
                if client
                    .get(&url)
                    .await
                    .is_ok_and(|reply| reply.status.is_success())
                {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    bail!("node {} is not ready in time", node.id);
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Ends the cluster in order and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        let parent = i32::try_from(self.parent.id()).context("process id out of range")?;
        kill(Pid::from_raw(parent), Signal::SIGTERM)?;
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        while self.parent.try_wait()?.is_none() {
            if tokio::time::Instant::now() > deadline {
                bail!("the cluster did not end in time");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.parent.try_wait(), Ok(Some(_))) {
            return;
        }
        for node in &self.nodes {
            // A node that is gone already is what we want.
            let _gone = kill(Pid::from_raw(node.pid), Signal::SIGKILL);
        }
        let _gone = self.parent.kill();
        let _status = self.parent.wait();
    }
}

/// The binary under test: `HUSHLOG_BIN`, else the release build of this checkout.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HUSHLOG_BIN") {
        return Ok(path.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no parent folder")?;
    let path = root.join("target/release/hushlog");
    if !path.exists() {
        bail!("{} is missing: run `make build` first", path.display());
    }
    Ok(path)
}
