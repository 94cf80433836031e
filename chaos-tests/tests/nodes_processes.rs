//! A node that is killed for good is replaced, and another one drained, under load: real processes on
//! loopback, asked as a user asks them.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hushlog_chaos_tests::client::Client;
use hushlog_chaos_tests::cluster::binary;
use hushlog_chaos_tests::local::{Doors, Load, PATIENCE, found, free_ports};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const LOOK: Duration = Duration::from_millis(200);
/// Exit code of a node that cannot be used, as `hushlog --help` says.
const CONFIG: i32 = 78;

/// Processes of one cluster, by the number of their node. What still runs is killed at the end.
struct Processes {
    folder: TempDir,
    ports: BTreeMap<u64, (u16, u16)>,
    running: BTreeMap<u64, Child>,
    doors: Doors,
    client: Client,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _it_may_have_ended = child.kill();
            let _collected = child.wait();
        }
    }
}

impl Processes {
    /// Three nodes that know each other.
    async fn start() -> Result<Self> {
        let mut processes = Self {
            folder: TempDir::new()?,
            ports: BTreeMap::new(),
            running: BTreeMap::new(),
            doors: Doors::default(),
            client: Client::new(Duration::from_secs(30)),
        };
        for id in 1..=3 {
            processes.ports.insert(id, free_ports()?);
        }
        for id in 1..=3 {
            processes.spawn(id)?;
        }
        for id in 1..=3 {
            processes.ready(id).await?;
        }
        Ok(processes)
    }

    fn grpc(&self, id: u64) -> String {
        format!("127.0.0.1:{}", self.ports[&id].1)
    }

    fn spawn(&mut self, id: u64) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(id))?;
        let mut command = Command::new(binary()?);
        command.arg("serve").args(["--node-id", &id.to_string()]);
        let data = self.folder.path().join(format!("node-{id}"));
        command.arg("--data").arg(data);
        command.args(["--http", &format!("127.0.0.1:{}", self.ports[&id].0)]);
        command.args(["--grpc", &self.grpc(id)]);
        if id <= 3 {
            let peers: Vec<String> = (1..=3)
                .map(|id| format!("{id}={}", self.grpc(id)))
                .collect();
            command.args(["--peers", &peers.join(",")]);
        } else {
            let contacts: Vec<String> = (1..=3).map(|id| self.grpc(id)).collect();
            command.args(["--cluster-join", &contacts.join(",")]);
        }
        command.args(["--cluster-bucket", "5s", "--cut-age", "1s"]);
        command.args(["--cluster-dead-after", "6s"]);
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.running.insert(id, child);
        Ok(())
    }

    fn log(&self, id: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("node-{id}.log"))
    }

    async fn ready(&self, id: u64) -> Result<()> {
        let port = self.ports[&id].0;
        let url = format!("http://127.0.0.1:{port}/readyz");
        let deadline = Instant::now() + PATIENCE;
        while !self
            .client
            .get(&url)
            .await
            .is_ok_and(|reply| reply.status == StatusCode::OK)
        {
            ensure!(Instant::now() < deadline, "node {id} is not ready");
            sleep(LOOK).await;
        }
        self.doors.lock().insert(id, port);
        Ok(())
    }

    /// `kill -9`.
    fn kill(&mut self, id: u64) -> Result<()> {
        self.doors.lock().remove(&id);
        let mut child = self.running.remove(&id).context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Waits until a process has ended by itself; gives its exit code and what it wrote last.
    async fn ended(&mut self, id: u64) -> Result<(i32, String)> {
        let child = self.running.get_mut(&id).context("it does not run")?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "node {id} goes on");
            sleep(LOOK).await;
        };
        self.running.remove(&id);
        let text = std::fs::read_to_string(self.log(id))?;
        let last = text.lines().rev().take(3).collect::<Vec<_>>().join("\n");
        Ok((status.code().context("a signal ended it")?, last))
    }

    async fn call(
        &self,
        id: u64,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[&id].0);
        self.client.call_json(method, &url, &body).await
    }

    /// Waits until the cluster's view is as wanted.
    async fn view(&self, id: u64, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, view) = self
                .call(id, Method::GET, "/api/v1/cluster", Value::Null)
                .await?;
            if wanted(&view) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{what}: {view:#}");
            sleep(LOOK).await;
        }
    }

    /// Has a node leave, and waits until it has.
    async fn drain(&self, id: u64, through: u64) -> Result<()> {
        let path = format!("/api/v1/cluster/nodes/{id}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self
                .call(through, Method::DELETE, &path, Value::Null)
                .await?;
            if body["state"] == "removed" {
                return Ok(());
            }
            ensure!(status != StatusCode::CONFLICT, "{body}");
            ensure!(
                Instant::now() < deadline,
                "node {id} does not leave: {body}"
            );
            sleep(LOOK).await;
        }
    }
}

fn node(view: &Value, id: u64) -> Value {
    let nodes = view["nodes"].as_array().into_iter().flatten();
    let mut named = nodes.filter(|node| node["id"] == id);
    named.next().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_replaced_and_another_drained_and_no_record_is_lost() -> Result<()> {
    let mut cluster = Processes::start().await?;
    let load = Load::start(Arc::clone(&cluster.doors), cluster.client.clone());
    load.more(200).await?;
    cluster
        .view(1, "a bucket is sealed", |view| {
            view["totals"]["shards"]["sealed"] != 0
        })
        .await?;

    cluster.kill(2)?;
    load.more(50).await?;
    cluster
        .view(1, "node 2 is dead", |view| {
            node(view, 2)["membership"] == "dead"
        })
        .await?;
    cluster.ports.insert(4, free_ports()?);
    let asked = json!({"id": 4, "grpc": cluster.grpc(4)});
    let (status, body) = cluster
        .call(3, Method::POST, "/api/v1/cluster/nodes", asked)
        .await?;
    ensure!(status == StatusCode::CREATED, "{status} {body}");
    cluster.spawn(4)?;
    cluster.ready(4).await?;
    cluster
        .view(3, "nothing is on node 2", |view| {
            node(view, 2)["placed"] == 0
        })
        .await?;
    cluster.drain(2, 3).await?;
    load.more(50).await?;

    // The number was node 2's: what comes under it is refused, whatever it still has.
    cluster.spawn(2)?;
    let (_, last) = cluster.ended(2).await?;
    assert!(last.contains("node 2 was removed"), "{last}");

    // Three copies need three nodes: before another one leaves, one more comes.
    cluster.ports.insert(5, free_ports()?);
    let asked = json!({"grpc": cluster.grpc(5)});
    let (status, body) = cluster
        .call(4, Method::POST, "/api/v1/cluster/nodes", asked)
        .await?;
    ensure!(
        status == StatusCode::CREATED && body["id"] == 5,
        "{status} {body}"
    );
    cluster.spawn(5)?;
    cluster.ready(5).await?;
    cluster
        .view(4, "node 5 takes part", |view| {
            node(view, 5)["membership"] == "active"
        })
        .await?;
    cluster.drain(1, 4).await?;
    cluster.doors.lock().remove(&1);
    let (_, last) = cluster.ended(1).await?;
    assert!(last.contains("node 1 was removed"), "{last}");
    cluster.spawn(1)?;
    let (code, last) = cluster.ended(1).await?;
    assert_eq!(code, CONFIG, "{last}");
    assert!(last.contains("node 1 was removed"), "{last}");

    load.more(50).await?;
    let acknowledged = load.end().await?;
    cluster
        .view(4, "every replica is there", |view| {
            view["totals"]["under_replicated"] == 0 && view["totals"]["moving"] == 0
        })
        .await?;
    for id in [3, 4, 5] {
        let found = found(&cluster.client, cluster.ports[&id].0).await?;
        assert_eq!(found, acknowledged, "through node {id}");
    }
    Ok(())
}
