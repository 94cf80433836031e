//! Whom a shard waits for before it is finished: a pure function of its members and of the cluster's facts.
//!
//! Who has all of a shard by then needs to fetch nothing. It decides nothing else: that a majority has every
//! entry, the group has seen to before.

use hushlog_raft::Member;
use hushlog_raft::meta::{Standing, State};

/// Whether all members that are to stay, and a majority of all that is not dead, have everything of a shard, as its
/// leader knows them. One that is dead or leaves is not waited for: its replica comes to another node, which fetches it.
pub(crate) fn is_together(members: &[Member], state: &State) -> bool {
    let goes = |member: &Member| {
        let standing = state.standing(member.node);
        state.is_removed(member.node)
            || matches!(standing, Some(Standing::Dead | Standing::Draining))
    };
    let has_all = |member: &&Member| member.lag == Some(0);
    let is_there = |member: &&Member| {
        let is_dead = state.standing(member.node) == Some(Standing::Dead);
        !is_dead && !state.is_removed(member.node)
    };
    let have = members.iter().filter(has_all).filter(is_there).count();
    have > members.len() / 2
        && members
            .iter()
            .all(|member| has_all(&member) || goes(member))
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Answer, Change, Command, Node};
    use hushlog_record::NodeId;

    use super::*;

    fn members(lags: [Option<u64>; 3]) -> Vec<Member> {
        let member = |(node, lag)| Member {
            node,
            addr: String::new(),
            voter: true,
            lag,
        };
        (1..).zip(lags).map(member).collect()
    }

    /// Four nodes, of which these stand otherwise than active.
    fn state(standings: &[(NodeId, Standing)]) -> State {
        let node = |id| Node {
            id,
            grpc: String::new(),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        let mut state = State {
            replication: 3,
            nodes: (1..=4).map(|id| (id, node(id))).collect(),
            ..State::default()
        };
        for (node, to) in standings {
            let change = Change::Stand {
                node: *node,
                from: Standing::Active,
                to: *to,
            };
            assert_eq!(state.apply(&Command::Nodes(change)), Answer::Done);
        }
        state
    }

    #[test]
    fn who_stays_is_waited_for_and_who_goes_is_not() {
        let all = members([Some(0), Some(0), Some(0)]);
        let late = members([Some(0), Some(0), Some(7)]);
        let silent = members([Some(0), Some(0), None]);
        assert!(is_together(&all, &state(&[])));
        for lacking in [&late, &silent] {
            assert!(!is_together(lacking, &state(&[])));
            for standing in [Standing::Dead, Standing::Draining] {
                assert!(is_together(lacking, &state(&[(3, standing)])));
                assert!(!is_together(lacking, &state(&[(2, standing)])));
            }
        }
        let dead_had_it = members([Some(0), Some(50), Some(0)]);
        let only_one_lives = state(&[(2, Standing::Draining), (3, Standing::Dead)]);
        assert!(!is_together(&dead_had_it, &only_one_lives));
        let alone = members([Some(0), None, None]);
        let two_dead = state(&[(2, Standing::Dead), (3, Standing::Dead)]);
        assert!(!is_together(&alone, &two_dead), "no majority has it");
    }

    #[test]
    fn a_node_that_is_not_registered_yet_is_waited_for() {
        let mut unknown = state(&[]);
        unknown.nodes.remove(&3);
        let late = members([Some(0), Some(0), Some(7)]);
        assert!(!is_together(&late, &unknown));
    }
}
