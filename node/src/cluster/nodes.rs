//! What people ask of the cluster's nodes: to let one in, to have one leave, to spread what there is.
//!
//! Each of it is one change of the facts; what follows from it is done in the background (`mover`). Asking
//! again changes nothing and tells how far it is.

use hushlog_raft::ProposeError;
use hushlog_raft::meta::{self, Answer, Change, Standing, State};
use hushlog_record::NodeId;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Cluster;
use crate::error::{Failure, Kind};
use crate::limits::{ADDRESS_BYTES_MAX, NODE_ID_MAX, REPLICATION_MAX};

/// Tries of a change that comes to be decided on other facts than it was made of.
const TRIES: usize = 8;

/// A node that is to be let in, or is to stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Its number; none for the next free one.
    pub id: Option<NodeId>,
    /// `host:port` of its gRPC listener; none for a node that is known.
    pub grpc: Option<String>,
}

/// What became of an admission.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Whether the cluster did not know the node before.
    pub is_new: bool,
    /// What is to be told.
    pub view: Value,
}

impl Cluster {
    /// Has a node leave, and tells how far that is.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a node that never was; [`Kind::NodeConflict`] where the others could not hold
    /// what there is; as [`Kind::Unavailable`] and [`Kind::OutcomeUnknown`] say.
    pub async fn drain(&self, node: NodeId, deadline: Instant) -> Result<Value, Failure> {
        for _ in 0..TRIES {
            let state = self.facts_now(deadline).await?;
            let from = match state.standing(node) {
                Some(Standing::Draining) => return Ok(self.progress(node).await),
                Some(standing) => standing,
                None if state.is_removed(node) => return Ok(self.progress(node).await),
                None => return Err(unknown(node)),
            };
            if let Some(reason) = state.drain_obstacle(node) {
                return Err(Failure::new(Kind::NodeConflict, reason));
            }
            let to = Standing::Draining;
            let change = Change::Stand { node, from, to };
            if self.change_nodes(change, deadline).await?.is_none() {
                return Ok(self.progress(node).await);
            }
        }
        Err(busy())
    }

    /// Lets a node in that is to come; has one stay that was to leave.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] without an address where one is needed; [`Kind::NodeConflict`] for a number
    /// or an address of another, also of one that has left; else as [`drain`](Self::drain).
    pub async fn admit(&self, asked: Admission, deadline: Instant) -> Result<Admitted, Failure> {
        if let Some(grpc) = &asked.grpc {
            check_address(grpc)?;
        }
        for _ in 0..TRIES {
            let state = self.facts_now(deadline).await?;
            let id = asked.id.unwrap_or_else(|| number_for(&state, &asked));
            if !(1..=NODE_ID_MAX).contains(&id) {
                let why = format!("the number of a node is from 1 to {NODE_ID_MAX}");
                return Err(Failure::new(Kind::InvalidArgument, why));
            }
            let known = state.nodes.get(&id);
            let change = match (known, state.standing(id), &asked.grpc) {
                (Some(known), _, Some(grpc)) if known.grpc != *grpc => {
                    let why = format!(
                        "node {id} is known as {}, and the address of a member does not change: let another \
                         number in there, and drain this one",
                        known.grpc
                    );
                    return Err(Failure::new(Kind::NodeConflict, why));
                }
                (Some(_), Some(Standing::Dead | Standing::Draining), _) if asked.id.is_none() => {
                    let why = format!(
                        "node {id} is known at this address and is silent, or leaves: name it to have it stay \
                         ({{\"id\":{id}}}), or another number for a node that takes its place"
                    );
                    return Err(Failure::new(Kind::NodeConflict, why));
                }
                // It takes part again once it has shown that it is there.
                (Some(_), Some(from @ Standing::Draining), _) => Change::Stand {
                    node: id,
                    from,
                    to: Standing::Joining,
                },
                (Some(_), _, _) => return Ok(admitted(&state, id, false)),
                (None, _, Some(grpc)) => Change::Admit(meta::Node {
                    id,
                    grpc: grpc.clone(),
                    http: String::new(),
                    region: String::new(),
                    zone: String::new(),
                }),
                (None, _, None) => {
                    let why = format!(
                        "node {id} is not known; say where it will listen: {{\"grpc\":\"host:port\"}}"
                    );
                    return Err(Failure::new(Kind::InvalidArgument, why));
                }
            };
            let is_new = matches!(change, Change::Admit(_));
            match self.change_nodes(change, deadline).await? {
                None => return Ok(admitted(&self.meta().state(), id, is_new)),
                // The facts say why a node cannot come; other contradictions are looked at again.
                Some(reason) if is_new && asked.id.is_some() => {
                    return Err(Failure::new(Kind::NodeConflict, reason));
                }
                Some(_) => {}
            }
        }
        Err(busy())
    }

    /// Has replicas spread evenly, first to so many copies, if a number is given.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] for a number over the limit; else as [`drain`](Self::drain).
    pub async fn rebalance(
        &self,
        replication: Option<u32>,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        if let Some(replication) = replication {
            if !(1..=REPLICATION_MAX).contains(&replication) {
                let why = format!("`replication` is from 1 to {REPLICATION_MAX}");
                return Err(Failure::new(Kind::InvalidArgument, why));
            }
            let command = meta::Command::SetReplication(replication);
            self.change_facts(command, deadline).await?;
        }
        self.change_nodes(Change::Rebalance(true), deadline).await?;
        let state = self.meta().state();
        Ok(json!({
            "rebalancing": state.roster.rebalancing,
            "replication": state.replication,
            "copies": state.copies(),
            "moves": state.roster.moves.len(),
        }))
    }

    /// The facts with every change that was acknowledged before.
    async fn facts_now(&self, deadline: Instant) -> Result<std::sync::Arc<State>, Failure> {
        let read = self.meta().read_barrier(deadline).await;
        read.map_err(|error| {
            let message = format!("the meta group does not say which nodes there are: {error}");
            Failure::new(Kind::Unavailable, message)
        })?;
        Ok(self.meta().state())
    }

    /// Makes a change; gives why it was not made, where it contradicts what holds.
    async fn change_nodes(
        &self,
        change: Change,
        deadline: Instant,
    ) -> Result<Option<String>, Failure> {
        let command = meta::Command::Nodes(change);
        match self.change_facts(command, deadline).await? {
            Answer::Conflict(reason) => Ok(Some(reason)),
            Answer::Done | Answer::Bucket(_) => Ok(None),
        }
    }

    async fn change_facts(
        &self,
        command: meta::Command,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let answer = self.meta().propose(command, deadline).await;
        answer.map_err(|error| match error {
            ProposeError::OutcomeUnknown(_) => {
                let message =
                    format!("it is not known whether this was done; repeat the request: {error}");
                Failure::new(Kind::OutcomeUnknown, message)
            }
            error => Failure::new(Kind::Unavailable, format!("nothing was changed: {error}")),
        })
    }

    /// How far a node is on its way out.
    async fn progress(&self, node: NodeId) -> Value {
        let state = self.meta().state();
        let leads = match self.replicas().all_members().get(&node) {
            Some(peer) => self.report_of(node, &peer.addr).await.ok(),
            None => None,
        };
        let leads = leads.map(|report| report.shards.iter().filter(|s| s.leads).count());
        drain_view(&state, node, leads)
    }
}

/// How far a node is on its way out, by the facts and by what it says that it leads.
fn drain_view(state: &State, node: NodeId, leads: Option<usize>) -> Value {
    if state.is_removed(node) {
        return json!({
            "id": node, "state": "removed", "shards_left": 0, "leads_left": 0, "bytes_left": 0, "moving": 0,
        });
    }
    let on_it = state
        .sealed
        .iter()
        .filter(|(shard, _)| state.belongs(**shard, node));
    let bytes: u64 = on_it.map(|(_, seal)| seal.bytes).sum();
    let moves = state.roster.moves.values();
    json!({
        "id": node,
        "state": state.standing(node).map(Standing::name),
        "shards_left": state.shards_on(node),
        "leads_left": leads,
        "bytes_left": bytes,
        "moving": moves.filter(|going| going.from == Some(node)).count(),
    })
}

/// What a node is told that may come, or is there.
fn admitted(state: &State, id: NodeId, is_new: bool) -> Admitted {
    let active = state.standing_as(Standing::Active);
    let addresses = active.filter_map(|node| state.nodes.get(&node));
    let join: Vec<&str> = addresses.map(|node| node.grpc.as_str()).collect();
    let own = state.nodes.get(&id).map(|node| node.grpc.as_str());
    Admitted {
        is_new,
        view: json!({
            "id": id,
            "state": state.standing(id).map(Standing::name),
            "grpc": own,
            "join": join,
        }),
    }
}

/// The number of a node that names none: its own, if its address is known, else one that was never used.
fn number_for(state: &State, asked: &Admission) -> NodeId {
    let same = |node: &&meta::Node| Some(&node.grpc) == asked.grpc.as_ref();
    if let Some(known) = state.nodes.values().find(same) {
        return known.id;
    }
    let used = state.nodes.keys().chain(&state.roster.removed).max();
    used.map_or(1, |last| last.saturating_add(1))
}

fn check_address(address: &str) -> Result<(), Failure> {
    let parts = address.rsplit_once(':');
    let valid = parts.is_some_and(|(host, port)| {
        let clean =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        !host.is_empty()
            && host.chars().all(clean)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if valid && address.len() <= ADDRESS_BYTES_MAX {
        return Ok(());
    }
    let why = "`grpc` is host:port of the node's gRPC interface, as the other nodes reach it";
    Err(Failure::new(Kind::InvalidArgument, why))
}

fn unknown(node: NodeId) -> Failure {
    let message = format!("there is no node {node}; GET /api/v1/cluster lists them");
    Failure::new(Kind::NotFound, message)
}

fn busy() -> Failure {
    let message = "the nodes change at the same time; ask again in a moment";
    Failure::new(Kind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_ports() {
        for good in ["10.0.0.1:4317", "host-1.example:1", "[::1]:4317"] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        let long = format!("{}:1", "h".repeat(ADDRESS_BYTES_MAX));
        for bad in [
            "",
            "host",
            ":4317",
            "host:0",
            "host:99999",
            "ho st:1",
            "http://h:1/",
            &long,
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let mut state = State::default();
        let asked = Admission::default();
        assert_eq!(number_for(&state, &asked), 1);
        let node = meta::Node {
            id: 2,
            grpc: "a:1".into(),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        state.nodes.insert(2, node);
        state.roster.removed.insert(7);
        assert_eq!(number_for(&state, &asked), 8);
        let known = Admission {
            id: None,
            grpc: Some("a:1".into()),
        };
        assert_eq!(number_for(&state, &known), 2);
        let view = drain_view(&state, 7, None);
        assert_eq!(
            (&view["state"], &view["shards_left"]),
            (&json!("removed"), &json!(0))
        );
    }
}
