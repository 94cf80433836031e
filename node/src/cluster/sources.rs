//! Whom to ask first for what is not here, a replica to copy or the answer of a shard: a pure function of the facts.
//!
//! Who is dead answers nothing, and a question to it takes seconds or all the time that there is: with a dead node
//! asked first, every replica and every segment of it that comes to another node would wait for it anew. One that
//! is to leave may be dead too, which its standing does not say then.

use hushlog_raft::meta::{Standing, State};
use hushlog_record::NodeId;

/// These nodes in the order in which they should be asked.
pub(crate) fn in_turn(state: &State, mut nodes: Vec<(NodeId, String)>) -> Vec<(NodeId, String)> {
    nodes.sort_by_key(|(node, _)| match state.standing(*node) {
        Some(Standing::Active) => 0,
        Some(Standing::Joining | Standing::Draining) | None => 1,
        Some(Standing::Dead) => 2,
    });
    nodes
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Answer, Change, Command, Node};

    use super::*;

    #[test]
    fn who_takes_part_is_asked_before_who_leaves_and_the_dead_come_last() {
        let node = |id| Node {
            id,
            grpc: String::new(),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        let mut state = State {
            replication: 3,
            nodes: (1..=5).map(|id| (id, node(id))).collect(),
            ..State::default()
        };
        for (node, to) in [(1, Standing::Dead), (2, Standing::Draining)] {
            let from = Standing::Active;
            let change = Command::Nodes(Change::Stand { node, from, to });
            assert_eq!(state.apply(&change), Answer::Done);
        }
        let nodes = (1..=6).map(|id| (id, format!("n{id}"))).collect();
        let asked: Vec<NodeId> = in_turn(&state, nodes)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(asked, [3, 4, 5, 2, 6, 1]);
    }
}
