//! Who lets nodes in and has them leave, over HTTP like everybody, and looks at the cluster's view in the end.
//!
//! Asks until it is done: what it is told in between is traced, and refused only where the cluster says that
//! the others could not hold what there is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use hushlog_node::entropy::Stream;
use hushlog_record::NodeId;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::clients::{Answer, Clients};
use super::roster::{Order, Roster};
use super::{GRPC, World};
use crate::sim::net::host;
use crate::sim::schedule::{below, between};
use crate::view::lacks;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it is looked whether it is time, or the view is as it should be.
const LOOK: Duration = Duration::from_millis(100);
const NODES: &str = "/api/v1/cluster/nodes";
const VIEW: &str = "/api/v1/cluster";

/// Everything that is to be asked in this run.
pub(super) async fn run(clients: Clients, world: Arc<World>) {
    let changes = world.roster.changes().clone();
    let joins = changes.joins.iter();
    let joins = joins.map(|(node, (at, spread))| {
        let operator = Operator::new(&clients, &world.roster, *node);
        operator.admit(*at, *spread)
    });
    let drains = changes.drains.iter();
    let drains = drains.map(|(node, at)| Operator::new(&clients, &world.roster, *node).drain(*at));
    join(join_all(joins), join_all(drains)).await;
}

/// Asks for one node.
struct Operator {
    clients: Clients,
    roster: Arc<Roster>,
    node: NodeId,
    random: Stream,
}

impl Operator {
    fn new(clients: &Clients, roster: &Arc<Roster>, node: NodeId) -> Self {
        let name = format!("operator of node {node}");
        Self {
            clients: clients.clone(),
            roster: Arc::clone(roster),
            node,
            random: clients.base().entropy.stream(&name),
        }
    }

    async fn until(&self, millis: u64) {
        while self.clients.base().trace.millis() < millis {
            sleep(LOOK).await;
        }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let door = self.clients.door(&mut self.random);
        let headers = [("content-type", "application/json")];
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let request = (method.clone(), door, path);
        let answer = self.clients.ask(request, &headers, body, PATIENCE).await;
        let trace = &self.clients.base().trace;
        match &answer {
            Ok((status, body)) => {
                let (state, code) = (&body["state"], &body["error"]["code"]);
                trace.line(format_args!(
                    "{method} {path} at n{door}: {status} {state} {code}"
                ));
            }
            Err(why) => trace.line(format_args!("{method} {path} at n{door}: {why}")),
        }
        answer
    }

    async fn pause(&mut self) {
        let pause = between(&mut self.random, 50, 600);
        sleep(Duration::from_millis(pause)).await;
    }

    /// Lets the node in, and starts it at about the same time.
    async fn admit(mut self, at: u64, spread: bool) {
        self.until(at).await;
        let starts_first = below(&mut self.random, 2) == 0;
        if starts_first {
            self.roster.comes(self.node);
            self.pause().await;
        }
        loop {
            let body = json!({"id": self.node, "grpc": format!("{}:{GRPC}", host(self.node))});
            match self.ask(Method::POST, NODES, body).await {
                Ok((StatusCode::OK | StatusCode::CREATED, _)) => break,
                Ok((status, body)) if status.is_client_error() => {
                    let node = self.node;
                    self.clients
                        .violate(format!("node {node} is not let in: {status} {body}"));
                    return;
                }
                Ok(_) | Err(_) => self.pause().await,
            }
        }
        self.roster.comes(self.node);
        self.roster.takes(self.node, Order::Join);
        self.clients.open(self.node);
        if !spread {
            return;
        }
        loop {
            let path = "/api/v1/cluster/rebalance";
            if let Ok((StatusCode::ACCEPTED, _)) = self.ask(Method::POST, path, Value::Null).await {
                break;
            }
            self.pause().await;
        }
    }

    /// Has the node leave; it may be refused until another one has come.
    async fn drain(mut self, at: u64) {
        self.until(at).await;
        let path = format!("{NODES}/{}", self.node);
        loop {
            let answer = self.ask(Method::DELETE, &path, Value::Null).await;
            if let Ok((StatusCode::OK | StatusCode::ACCEPTED, body)) = &answer {
                self.roster.takes(self.node, Order::Drain);
                if body["state"] == "removed" {
                    self.clients.close(self.node);
                    let now = self.clients.base().trace.millis();
                    return self.roster.removed(self.node, now);
                }
            }
            self.pause().await;
        }
    }
}

/// Waits until a node's view of the cluster shows it whole; what the last one lacked is kept.
pub(super) async fn look(clients: &Clients, node: NodeId) {
    loop {
        let request = (Method::GET, node, VIEW);
        let answer = clients.ask(request, &[], Bytes::new(), PATIENCE).await;
        // While a replica is out for its damage the others wait for it, longer than a run lasts.
        if !clients.is_open(node) || clients.base().is_any_out() {
            return clients.view(node, None);
        }
        match answer {
            Ok((StatusCode::OK, view)) => match lacks(&view) {
                None => return clients.view(node, None),
                lacking => clients.view(node, lacking),
            },
            Ok((status, view)) => clients.view(node, Some(format!("{status} {view}"))),
            Err(why) => clients.view(node, Some(why)),
        }
        sleep(LOOK).await;
    }
}
