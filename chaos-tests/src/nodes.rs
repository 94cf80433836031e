//! Whole nodes in this process, on loopback, with a clock that tests may move.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hushlog_node::clock::Clock;
use hushlog_node::{Config, Node, Seams, config};
use hyper::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::client::Client;

/// Longer than a node takes for anything.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Nodes of one cluster, numbered from 1.
pub struct Nodes {
    folder: TempDir,
    /// HTTP and gRPC port of each.
    ports: Vec<(u16, u16)>,
    clock: Arc<dyn Clock>,
    change: fn(&mut Config),
    nodes: Vec<Option<Node>>,
    client: Client,
}

impl Nodes {
    /// Starts so many nodes with this clock, each with the defaults but for what `change` changes.
    pub async fn start(
        count: usize,
        clock: Arc<dyn Clock>,
        change: fn(&mut Config),
    ) -> Result<Self> {
        // All are held until all are known, so that none is given out twice.
        let held: Vec<TcpListener> = (0..2 * count)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()?;
        let ports: Vec<u16> = held
            .iter()
            .map(|held| Ok(held.local_addr()?.port()))
            .collect::<Result<_>>()?;
        let pairs = ports.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let mut nodes = Self {
            folder: TempDir::new()?,
            ports: pairs.collect(),
            clock,
            change,
            nodes: Vec::new(),
            client: Client::new(DEADLINE),
        };
        nodes.nodes.resize_with(count, || None);
        drop(held);
        nodes.start_all().await?;
        Ok(nodes)
    }

    /// Starts every node that does not run, and waits until all take traffic.
    pub async fn start_all(&mut self) -> Result<()> {
        let stopped: Vec<usize> = (1..=self.ports.len())
            .filter(|id| self.nodes.get(id - 1).is_some_and(Option::is_none))
            .collect();
        let starts = stopped.iter().map(|id| {
            let seams = Seams::system().map(|seams| Seams {
                clock: Arc::clone(&self.clock),
                ..seams
            });
            let config = self.config(*id);
            async move { anyhow::Ok(Node::start_on(config, seams?).await?) }
        });
        let started = futures_util::future::try_join_all(starts).await?;
        for (id, node) in stopped.into_iter().zip(started) {
            if let Some(place) = self.nodes.get_mut(id - 1) {
                *place = Some(node);
            }
        }
        let ready = async {
            for node in self.nodes.iter().flatten() {
                while node.ready().is_err() {
                    sleep(POLL).await;
                }
            }
        };
        timeout(DEADLINE, ready)
            .await
            .context("not all nodes are ready")
    }

    fn config(&self, id: usize) -> Config {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peer = |(number, ports): (usize, &(u16, u16))| config::Peer {
            id: number as u64 + 1,
            address: local(ports.1).to_string(),
        };
        let (http, grpc) = self.ports.get(id - 1).copied().unwrap_or_default();
        let mut config = Config::defaults();
        config.data = self.folder.path().join(format!("node-{id}"));
        config.http = local(http);
        config.grpc = local(grpc);
        config.node.id = id as u64;
        config.node.advertise = local(grpc).to_string();
        if self.ports.len() > 1 {
            config.cluster.peers = self.ports.iter().enumerate().map(peer).collect();
        }
        config.threads = 2;
        (self.change)(&mut config);
        config
    }

    /// Ends a node in order.
    pub async fn stop(&mut self, id: usize) -> Result<()> {
        let node = self.nodes.get_mut(id - 1).and_then(Option::take);
        let late = node.context("it does not run")?.shutdown().await;
        ensure!(late.is_empty(), "these did not end: {late:?}");
        Ok(())
    }

    /// Ends all nodes in order.
    pub async fn stop_all(&mut self) {
        let running = self.nodes.iter_mut().filter_map(Option::take);
        futures_util::future::join_all(running.map(Node::shutdown)).await;
    }

    /// Calls a node; an answer without a body is null.
    ///
    /// # Errors
    /// No answer, or one that is not JSON.
    pub async fn call(
        &self,
        id: usize,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<(StatusCode, Value)> {
        let (http, _) = self.ports.get(id - 1).copied().context("no such node")?;
        let url = format!("http://127.0.0.1:{http}{path}");
        let reply = self.client.call(method, &url, headers, body.into()).await?;
        if reply.body.is_empty() {
            return Ok((reply.status, Value::Null));
        }
        Ok((reply.status, reply.json()?))
    }
}
