//! The steps in which nodes come and go, asked of the cluster as an operator asks: through any member, again
//! until it is taken.

use std::time::Duration;

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::nemesis::{Nemesis, POLL};
use super::world::{Part, READY_WITHIN};
use crate::view::lacks;

/// How long the cluster may take to take an order, while members are away.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until something is on its way.
const MOVES_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks for what is soon over.
const SOON: Duration = Duration::from_millis(20);
const NODES: &str = "/api/v1/cluster/nodes";
const VIEW: &str = "/api/v1/cluster";
/// What a node says that may not take part any more.
const REMOVED: &str = "was removed";

impl Nemesis<'_> {
    /// The first answer of any member with one of these statuses.
    async fn order(&self, method: Method, path: &str, body: &Value, good: &[u16]) -> Result<Value> {
        let started = Instant::now();
        let mut last = String::from("nobody answers");
        while started.elapsed() < TAKEN_WITHIN {
            for index in self.world.members() {
                match self.world.call(index, method.clone(), path, body).await {
                    Some((status, answer)) if good.contains(&status) => return Ok(answer),
                    Some((status, answer)) => last = format!("{status} {answer}"),
                    None => {}
                }
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("{method} {path} {body} is not taken within {TAKEN_WITHIN:?}: {last}")
    }

    /// Lets a node in and starts it.
    pub(super) async fn join(&mut self, index: usize) -> Result<()> {
        let body = json!({"id": index + 1, "grpc": self.world.grpc(index)});
        self.order(Method::POST, NODES, &body, &[200, 201]).await?;
        self.world.start_node(index)?;
        self.world.nodes[index].part = Part::Member;
        if let Err(error) = self.world.wait_ready(index, READY_WITHIN).await {
            self.fail(format!("C11: {error:#}"));
        }
        Ok(())
    }

    /// Has a node leave. It may be that the others do not take part yet.
    pub(super) async fn drain(&mut self, index: usize) -> Result<()> {
        let path = format!("{NODES}/{}", index + 1);
        let good = [200, 202];
        self.order(Method::DELETE, &path, &Value::Null, &good)
            .await?;
        Ok(())
    }

    pub(super) async fn spread(&mut self) -> Result<()> {
        let path = "/api/v1/cluster/rebalance";
        self.order(Method::POST, path, &Value::Null, &[202]).await?;
        Ok(())
    }

    /// The node that a replica of a sealed shard is on its way to, or is fetched from.
    pub(super) async fn end_of_a_move(&self, receiver: bool) -> Result<usize> {
        let started = Instant::now();
        while started.elapsed() < MOVES_WITHIN {
            for asked in self.world.members() {
                let view = self.world.call(asked, Method::GET, VIEW, &Value::Null);
                let Some((200, view)) = view.await else {
                    continue;
                };
                let going = &view["moves"][0];
                let (Some(to), Some(shard)) = (going["to"].as_u64(), going["shard"].as_str())
                else {
                    continue;
                };
                let to = usize::try_from(to)?.saturating_sub(1);
                let end = if receiver {
                    Some(to)
                } else {
                    self.holder(shard, to).await
                };
                if let Some(end) = end {
                    return Ok(end);
                }
            }
            tokio::time::sleep(SOON).await;
        }
        bail!("nothing is on its way within {MOVES_WITHIN:?}")
    }

    /// Who has a sealed shard and is asked first for it: the lowest number, but for who gets it.
    async fn holder(&self, shard: &str, to: usize) -> Option<usize> {
        for index in self.world.members() {
            let Some(view) = self.world.view(index).await.filter(|_| index != to) else {
                continue;
            };
            let mut shards = view["shards"].as_array().into_iter().flatten();
            if shards.any(|held| held["shard"] == shard && held["state"] == "sealed") {
                return Some(index);
            }
        }
        None
    }

    /// Waits until a node has left: as the cluster says, and by the end of its process.
    pub(super) async fn has_left(&mut self, index: usize, within: Duration) -> Result<()> {
        let (started, node) = (Instant::now(), index + 1);
        let path = format!("{NODES}/{node}");
        loop {
            let answer = self
                .order(Method::DELETE, &path, &Value::Null, &[200, 202])
                .await?;
            if answer["state"] == "removed" {
                break;
            }
            if started.elapsed() > within {
                self.fail(format!(
                    "C11: node {node} has not left after {within:?}: {answer}"
                ));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        self.world.nodes[index].part = Part::Left;
        while let Ok(process) = self.world.process(index) {
            if let Some(status) = process.ended() {
                let log = process.log_tail();
                self.world.nodes[index].process = None;
                if !log.contains(REMOVED) {
                    self.fail(format!(
                        "node {node} ended with {status} and not as removed: {log}"
                    ));
                }
                break;
            }
            if started.elapsed() > within {
                self.fail(format!("C11: node {node} was removed and goes on"));
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until every member's view shows the cluster whole.
    pub(super) async fn is_whole(&mut self, within: Duration) {
        let started = Instant::now();
        for index in self.world.members() {
            loop {
                let view = self
                    .world
                    .call(index, Method::GET, VIEW, &Value::Null)
                    .await;
                let lacking = match view {
                    Some((200, view)) => lacks(&view),
                    Some((status, answer)) => Some(format!("{status} {answer}")),
                    None => Some("no answer".into()),
                };
                let Some(lacking) = lacking else {
                    break;
                };
                if started.elapsed() > within {
                    let node = index + 1;
                    self.fail(format!(
                        "C11: not whole after {within:?} at node {node}: {lacking}"
                    ));
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
