//! A change of the patterns is in force for every record accepted after it has returned, on whichever
//! node: whole nodes in this process, on loopback, whose links can be cut.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::BoxFuture;
use hushlog_chaos_tests::client::Client;
use hushlog_node::net::{BindError, Listener, Net, Stream, Tcp};
use hushlog_node::{Config, Node, Seams, config};
use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

/// Longer than the server waits for its shards.
const DEADLINE: Duration = Duration::from_secs(30);
const PATTERNS: &str = "/api/v1/pii/patterns";

/// Which links are cut, by the ports of their listeners' nodes.
#[derive(Clone, Default)]
struct Cuts(Arc<Mutex<BTreeSet<u16>>>);

impl Cuts {
    fn has(&self, a: u16, b: u16) -> bool {
        let cut = self.0.lock();
        cut.contains(&a) || cut.contains(&b)
    }

    /// Cuts a node off from all others, or ends that.
    fn isolate(&self, port: u16, on: bool) {
        let mut cut = self.0.lock();
        if on {
            cut.insert(port);
        } else {
            cut.remove(&port);
        }
    }
}

/// The machine's network, as one node has it.
struct Linked {
    own: u16,
    cuts: Cuts,
}

impl Net for Linked {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>> {
        Tcp.bind(address)
    }

    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Stream>> {
        let port = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let (own, cuts) = (self.own, self.cuts.clone());
        Box::pin(async move {
            let to = port.unwrap_or(0);
            if cuts.has(own, to) {
                return Err(io::ErrorKind::HostUnreachable.into());
            }
            let stream = Tcp.dial(address).await?;
            Ok(Stream::new(Link {
                stream,
                ends: (own, to),
                cuts,
            }))
        })
    }
}

/// A connection that fails once its link is cut.
struct Link {
    stream: Stream,
    ends: (u16, u16),
    cuts: Cuts,
}

impl Link {
    fn check(&self) -> io::Result<()> {
        if self.cuts.has(self.ends.0, self.ends.1) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Nodes of one cluster, numbered from 1.
struct Cluster {
    folder: TempDir,
    /// HTTP and gRPC port of each.
    ports: Vec<(u16, u16)>,
    replication: usize,
    cuts: Cuts,
    nodes: Vec<Option<Node>>,
    client: Client,
}

impl Cluster {
    /// Starts nodes whose shards have so many voters.
    async fn start(nodes: usize, replication: usize) -> Result<Self> {
        // All are held until all are known, so that none is given out twice.
        let mut held = Vec::new();
        for _ in 0..2 * nodes {
            held.push(std::net::TcpListener::bind("127.0.0.1:0")?);
        }
        let mut ports = Vec::new();
        for pair in held.chunks(2) {
            ports.push((pair[0].local_addr()?.port(), pair[1].local_addr()?.port()));
        }
        drop(held);
        let mut cluster = Self {
            folder: TempDir::new()?,
            ports,
            replication,
            cuts: Cuts::default(),
            nodes: Vec::new(),
            client: Client::new(DEADLINE),
        };
        cluster.nodes.resize_with(nodes, || None);
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&mut self) -> Result<()> {
        let starts =
            (1..=self.ports.len()).map(|id| Node::start_on(self.config(id), self.seams(id)));
        let started = futures_util::future::try_join_all(starts).await?;
        self.nodes = started.into_iter().map(Some).collect();
        self.ready().await
    }

    fn seams(&self, id: usize) -> Seams {
        let net = Linked {
            own: self.ports[id - 1].1,
            cuts: self.cuts.clone(),
        };
        Seams {
            net: Arc::new(net),
            ..Seams::system().expect("the machine gives randomness")
        }
    }

    fn config(&self, id: usize) -> Config {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peer = |(number, ports): (usize, &(u16, u16))| config::Peer {
            id: number as u64 + 1,
            address: local(ports.1).to_string(),
        };
        let (http, grpc) = self.ports[id - 1];
        let mut config = Config::defaults();
        config.data = self.folder.path().join(format!("node-{id}"));
        config.http = local(http);
        config.grpc = local(grpc);
        config.node.id = id as u64;
        config.node.advertise = local(grpc).to_string();
        config.cluster.peers = self.ports.iter().enumerate().map(peer).collect();
        config.cluster.replication = self.replication;
        config.cluster.slots = 3;
        config.threads = 2;
        config
    }

    /// Waits until every node takes traffic.
    async fn ready(&self) -> Result<()> {
        let all = async {
            for node in self.nodes.iter().flatten() {
                while node.ready().is_err() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let ready = tokio::time::timeout(DEADLINE, all).await;
        ready.context("not all nodes are ready")
    }

    async fn stop_all(&mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.shutdown().await;
        }
    }

    async fn call(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[node - 1].0);
        self.client.call_json(method, &url, &body).await
    }

    /// A change of the patterns that comes into force; gives its epoch.
    async fn change(&self, node: usize, method: Method, path: &str, body: Value) -> Result<u64> {
        let (status, body) = self.call(node, method, path, body).await?;
        ensure!(status.is_success(), "{status} {body}");
        body["policy_epoch"].as_u64().context("no epoch")
    }

    /// Sends a record through a node; gives the epoch of its receipt.
    async fn send(&self, node: usize, service: &str, message: &str) -> Result<u64> {
        let record = json!({"service": service, "message": message});
        let path = "/api/v1/logs?receipt=true";
        let (status, body) = self.call(node, Method::POST, path, record).await?;
        ensure!(status == StatusCode::OK, "{status} {body}");
        let epoch = body["receipts"][0]["policy_epoch"].as_u64();
        epoch.context("no epoch")
    }

    /// Messages with this token, as a node finds them.
    async fn found(&self, node: usize, token: &str) -> Result<Vec<String>> {
        let question = json!({"query": token});
        let path = "/api/v1/logs/query";
        let (status, body) = self.call(node, Method::POST, path, question).await?;
        ensure!(status == StatusCode::OK, "{status} {body}");
        let logs = body["logs"].as_array().context("no logs")?;
        let messages = logs.iter().filter_map(|log| log["message"].as_str());
        Ok(messages.map(str::to_owned).collect())
    }

    /// What a record sent through a node becomes.
    async fn stored(&self, node: usize, token: &str, text: &str) -> Result<String> {
        self.send(node, "shop", &format!("{token} {text}")).await?;
        let found = self.found(1 + node % self.ports.len(), token).await?;
        ensure!(found.len() == 1, "{found:?}");
        Ok(found[0].split_once(' ').context("no text")?.1.to_owned())
    }
}

fn badge(regex: &str) -> Value {
    json!({"pattern_id": "badge", "name": "badge", "regex_pattern": regex})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_sent_to_any_node_after_a_change_is_masked_by_it() -> Result<()> {
    let mut cluster = Cluster::start(3, 3).await?;
    let text = "badge B-1234 C-1234";
    assert_eq!(cluster.stored(2, "before", text).await?, text);
    let one = format!("{PATTERNS}/badge");
    let epoch = cluster
        .change(1, Method::POST, PATTERNS, badge("B-[0-9]+"))
        .await?;
    assert_eq!(epoch, 2);
    assert_eq!(cluster.send(2, "shop", text).await?, 2);
    assert_eq!(
        cluster.stored(2, "added", text).await?,
        "badge [BADGE] C-1234"
    );
    // To and fro, each time through another node than the records.
    for round in 0..6 {
        let (regex, masked) = if round % 2 == 0 {
            ("C-[0-9]+", "badge B-1234 [BADGE]")
        } else {
            ("B-[0-9]+", "badge [BADGE] C-1234")
        };
        let node = 1 + round % 3;
        let body = json!({"regex_pattern": regex});
        cluster.change(node, Method::PUT, &one, body).await?;
        for other in 1..=3 {
            let token = format!("round{round}at{other}");
            assert_eq!(
                cluster.stored(other, &token, text).await?,
                masked,
                "{token}"
            );
        }
    }
    let off = json!({"is_active": false});
    cluster.change(3, Method::PUT, &one, off).await?;
    assert_eq!(cluster.stored(1, "inactive", text).await?, text);
    let on = json!({"is_active": true});
    cluster.change(2, Method::PUT, &one, on).await?;
    assert_eq!(
        cluster.stored(1, "active", text).await?,
        "badge [BADGE] C-1234"
    );

    // What was stored before a change stays as it is, and the policy outlives all nodes.
    cluster.stop_all().await;
    cluster.start_all().await?;
    assert_eq!(
        cluster.found(3, "before").await?,
        [format!("before {text}")]
    );
    assert_eq!(
        cluster.stored(3, "restarted", text).await?,
        "badge [BADGE] C-1234"
    );
    let (_, body) = cluster.call(2, Method::GET, PATTERNS, Value::Null).await?;
    assert_eq!(body["policy_epoch"], 10);
    assert_eq!(body["patterns"][0]["regex_pattern"], "B-[0-9]+");

    let test = json!({"text": text});
    cluster.change(2, Method::DELETE, &one, Value::Null).await?;
    assert_eq!(cluster.stored(3, "removed", text).await?, text);
    let (_, tried) = cluster
        .call(1, Method::POST, "/api/v1/pii/test", test)
        .await?;
    assert_eq!(
        (&tried["masked"], &tried["policy_epoch"]),
        (&json!(text), &json!(11))
    );
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_are_cut_off_are_named_and_waited_for_by_the_next_request() -> Result<()> {
    // Each shard has one voter, so that the meta group goes on without the node that holds some.
    let mut cluster = Cluster::start(3, 1).await?;
    let held = cluster.nodes[2].as_ref().context("running")?.facts();
    let own: BTreeSet<String> = held
        .open_bucket()
        .context("a bucket")?
        .shards()
        .filter(|(_, slot)| slot.voters == [3])
        .map(|(shard, _)| shard.to_string())
        .collect();
    assert!(!own.is_empty(), "node 3 holds a shard");
    cluster.cuts.isolate(cluster.ports[2].1, true);
    // The others elect without it.
    let pending = loop {
        let (status, body) = cluster
            .call(1, Method::POST, PATTERNS, badge("B-[0-9]+"))
            .await?;
        assert!(!status.is_success(), "{body}");
        if body["error"]["code"] == "policy_pending" {
            break body;
        }
    };
    let missing: BTreeSet<String> = serde_json::from_value(pending["error"]["missing"].clone())?;
    assert_eq!(missing, own);
    let message = pending["error"]["message"].as_str().context("words")?;
    assert!(
        own.iter().all(|shard| message.contains(shard.as_str())),
        "{message}"
    );

    cluster.cuts.isolate(cluster.ports[2].1, false);
    let epoch = loop {
        let again = cluster.change(1, Method::POST, PATTERNS, badge("B-[0-9]+"));
        if let Ok(epoch) = again.await {
            break epoch;
        }
    };
    assert_eq!(epoch, 2, "it was made once");
    for service in 0..12 {
        let epoch = cluster
            .send(3, &format!("svc{service}"), "badge B-7")
            .await?;
        assert_eq!(epoch, 2);
    }
    let found = cluster.found(2, "badge").await?;
    assert_eq!(found, vec!["badge [BADGE]"; 12]);
    cluster.stop_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_alone_goes_the_same_way_and_keeps_its_policy() -> Result<()> {
    let mut cluster = Cluster::start(1, 1).await?;
    cluster
        .change(1, Method::POST, PATTERNS, badge("B-[0-9]+"))
        .await?;
    assert_eq!(cluster.stored(1, "first", "B-1").await?, "[BADGE]");
    cluster.stop_all().await;
    cluster.start_all().await?;
    assert_eq!(cluster.stored(1, "second", "B-2").await?, "[BADGE]");
    cluster.stop_all().await;
    Ok(())
}
