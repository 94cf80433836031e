//! Who should be in the meta group and vote there: a pure function of the facts and of the group's roll.
//!
//! Every node follows the group. A node that comes follows first and votes when it has caught up; a node that
//! goes loses its vote last, when nothing else of it is left. From one voter to three it goes in one change,
//! never through two: two voters stand still with either of them.

use std::collections::BTreeSet;
use std::time::Duration;

use hushlog_raft::meta::{Change, Standing, State};
use hushlog_raft::{Roll, RollMember};
use hushlog_record::NodeId;

/// Silence after which a node does not count as one that answers.
pub(crate) const ALIVE_SILENCE: Duration = Duration::from_secs(5);
/// Entries that a node may be behind and still count as caught up.
const LAG_MAX: u64 = 64;

/// A change of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This node is to follow.
    Follow(NodeId),
    /// These are to vote; the leader is one of them, unless it is alone and goes.
    Vote(BTreeSet<NodeId>),
    /// The leader is not to vote any more: another must lead first.
    HandOver,
}

fn is_alive(member: &RollMember) -> bool {
    member
        .silence
        .is_some_and(|silence| silence < ALIVE_SILENCE)
}

fn is_caught_up(member: &RollMember) -> bool {
    is_alive(member) && member.lag.is_some_and(|lag| lag <= LAG_MAX)
}

/// The nodes that answer.
pub(crate) fn live(roll: &Roll) -> BTreeSet<NodeId> {
    let live = roll.members.iter().filter(|(_, member)| is_alive(member));
    live.map(|(node, _)| *node).collect()
}

/// Whether a majority of the voters, this node among them, has answered within so long.
fn hears_a_majority(roll: &Roll, within: Duration) -> bool {
    let voters = || roll.members.values().filter(|member| member.voter);
    let heard = voters().filter(|member| member.silence.is_some_and(|silence| silence < within));
    heard.count() > voters().count() / 2
}

/// What the silence of nodes, or its end, says of how they take part. `leads` is how long this node has led:
/// nobody is silent for longer, as far as it can know. Nobody is dead where `dead_after` is zero, and none is
/// for a leader that is itself cut off: what it proposes then is carried out once it is back, by the next one.
pub(crate) fn standings(
    state: &State,
    roll: &Roll,
    leads: Duration,
    dead_after: Duration,
) -> Vec<Change> {
    let stand = |node, from, to| Change::Stand { node, from, to };
    // Well below the silence that makes dead, or a node in between would be both in turn.
    let back_within = if dead_after.is_zero() {
        ALIVE_SILENCE
    } else {
        ALIVE_SILENCE.min(dead_after / 2)
    };
    let judges = !dead_after.is_zero() && hears_a_majority(roll, back_within);
    let changed = |node: &NodeId| {
        let standing = state.standing(*node)?;
        let member = roll.members.get(node)?;
        let silence = member.silence.unwrap_or(leads).min(leads);
        let gone = judges && silence >= dead_after;
        match standing {
            Standing::Joining if is_caught_up(member) => Some(Standing::Active),
            Standing::Active if gone => Some(Standing::Dead),
            Standing::Dead if member.silence.is_some_and(|silence| silence < back_within) => {
                Some(Standing::Active)
            }
            Standing::Joining | Standing::Active | Standing::Dead | Standing::Draining => None,
        }
        .map(|to| stand(*node, standing, to))
    };
    state.nodes.keys().filter_map(changed).collect()
}

/// The draining nodes of which nothing is left but that they follow.
pub(crate) fn done(state: &State, roll: &Roll) -> Vec<NodeId> {
    let votes = |node: &NodeId| roll.members.get(node).is_some_and(|member| member.voter);
    let draining = state.standing_as(Standing::Draining);
    draining
        .filter(|node| !roll.joint && !votes(node) && state.shards_on(*node) == 0)
        .collect()
}

/// The next step, if there is one; `own` is this node, which leads.
pub(crate) fn next_step(state: &State, roll: &Roll, own: NodeId) -> Option<Step> {
    if !roll.joint {
        let known = state.nodes.keys();
        let mut lacking = known.filter(|node| !roll.members.contains_key(node));
        if let Some(node) = lacking.next() {
            return Some(Step::Follow(*node));
        }
    }
    let voters: BTreeSet<NodeId> = roll
        .members
        .iter()
        .filter_map(|(node, member)| member.voter.then_some(*node))
        .collect();
    match wanted(state, roll, &voters, own) {
        // Where another voter stays it leads the change; a voter that is alone hands its vote over itself.
        Some(wanted) if !wanted.contains(&own) && !wanted.is_disjoint(&voters) => {
            Some(Step::HandOver)
        }
        Some(wanted) if wanted != voters || roll.joint => Some(Step::Vote(wanted)),
        // Interrupted in the middle.
        None if roll.joint => Some(Step::Vote(voters)),
        Some(_) | None => None,
    }
}

/// The nodes that were removed and still follow.
pub(crate) fn leftover(state: &State, roll: &Roll) -> BTreeSet<NodeId> {
    let members = roll.members.iter();
    let removed = members.filter(|(node, member)| !member.voter && state.is_removed(**node));
    removed.map(|(node, _)| *node).collect()
}

/// Who should vote; `None` while that cannot be told, since a node that should has not caught up.
fn wanted(
    state: &State,
    roll: &Roll,
    voters: &BTreeSet<NodeId>,
    own: NodeId,
) -> Option<BTreeSet<NodeId>> {
    let standing = |node: &NodeId| state.standing(*node);
    let stays = |node: &&NodeId| match standing(node) {
        Some(Standing::Draining) => state.shards_on(**node) > 0,
        // One that is not registered yet was there at the beginning.
        None => !state.is_removed(**node),
        Some(_) => true,
    };
    let kept: Vec<NodeId> = voters.iter().filter(stays).copied().collect();
    let others = || {
        let others = state.standing_as(Standing::Active);
        others.filter(|node| !voters.contains(node))
    };
    let ready: Vec<NodeId> = others()
        .filter(|node| roll.members.get(node).is_some_and(is_caught_up))
        .collect();
    let all_stay = kept.len() == voters.len();
    // One that goes is replaced, as long as there is somebody: the facts are not on fewer disks then.
    let least = if all_stay {
        kept.len()
    } else {
        odd(voters.len().min(kept.len() + ready.len()))
    };
    let mut target = state.copies().max(least);
    let short = kept.len() + ready.len() < target.max(if all_stay { 0 } else { voters.len() });
    if short && others().count() > ready.len() {
        return None;
    }
    if kept.len() + ready.len() < target {
        target = if all_stay {
            kept.len()
        } else {
            odd(kept.len() + ready.len())
        };
    }
    // The leader first; dead ones only where there is nobody else.
    let is_dead = |node: &&NodeId| standing(node) == Some(Standing::Dead);
    let mut pool: Vec<NodeId> = kept.iter().filter(|node| **node == own).copied().collect();
    pool.extend(kept.iter().filter(|node| **node != own && !is_dead(node)));
    pool.extend(ready);
    pool.extend(kept.iter().filter(is_dead));
    Some(pool.into_iter().take(target).collect())
}

/// The largest odd number up to this one, and at least 1.
fn odd(count: usize) -> usize {
    count.saturating_sub(1 - count % 2).max(1)
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Answer, Bucket, Command, Node, Plan, Slot};
    use hushlog_record::Timestamp;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn state(nodes: u64) -> State {
        let node = |id| Node {
            id,
            grpc: format!("10.0.0.{id}:4317"),
            http: String::new(),
            region: String::new(),
            zone: String::new(),
        };
        let mut state = State {
            replication: 3,
            nodes: (1..=nodes).map(|id| (id, node(id))).collect(),
            ..State::default()
        };
        place(&mut state, &[1]);
        state
    }

    /// Has the one shard on these nodes.
    fn place(state: &mut State, voters: &[NodeId]) {
        let slot = Slot {
            slot: 0,
            voters: voters.to_vec(),
            preferred_leader: voters[0],
        };
        let bucket = Bucket {
            bucket: 1,
            opened_at: Timestamp::from_nanos(1),
            closed_at: None,
            policy_epoch: 1,
            slots: vec![slot],
            plan: Plan::default(),
        };
        state.buckets.insert(1, bucket);
    }

    fn stand(state: &mut State, node: NodeId, to: Standing) {
        let from = state.standing(node).expect("known");
        let change = Command::Nodes(Change::Stand { node, from, to });
        assert_eq!(state.apply(&change), Answer::Done);
    }

    const CLOSE: RollMember = RollMember {
        voter: false,
        lag: Some(0),
        silence: Some(Duration::ZERO),
    };

    fn roll(voters: &[NodeId], learners: &[NodeId]) -> Roll {
        let voters = voters.iter().map(|node| (*node, true));
        let all = voters.chain(learners.iter().map(|node| (*node, false)));
        Roll {
            joint: false,
            members: all
                .map(|(node, voter)| (node, RollMember { voter, ..CLOSE }))
                .collect(),
        }
    }

    fn vote(voters: &[NodeId]) -> Option<Step> {
        Some(Step::Vote(voters.iter().copied().collect()))
    }

    #[test]
    fn a_group_that_is_as_it_should_be_stays() {
        for nodes in 1..=5 {
            let all: Vec<NodeId> = (1..=nodes).collect();
            assert_eq!(
                next_step(&state(nodes), &roll(&all, &[]), 1),
                None,
                "{nodes}"
            );
        }
        // As many as there were at the beginning, however few copies there are of records.
        let mut single = state(3);
        single.replication = 1;
        assert_eq!(next_step(&single, &roll(&[1, 2, 3], &[]), 2), None);
        // Nodes that are not registered yet.
        assert_eq!(
            next_step(&State::default(), &roll(&[1, 2, 3], &[]), 2),
            None
        );
    }

    #[test]
    fn one_voter_becomes_three_in_one_change() {
        let mut state = state(3);
        for node in [2, 3] {
            assert_eq!(
                next_step(&state, &roll(&[1], &(2..node).collect::<Vec<_>>()), 1),
                Some(Step::Follow(node))
            );
        }
        let mut late = roll(&[1], &[2, 3]);
        late.members.get_mut(&3).expect("there").lag = Some(10_000);
        assert_eq!(next_step(&state, &late, 1), None, "not through two");
        assert_eq!(next_step(&state, &roll(&[1], &[2, 3]), 1), vote(&[1, 2, 3]));
        stand(&mut state, 3, Standing::Dead);
        assert_eq!(next_step(&state, &roll(&[1], &[2, 3]), 1), None);
    }

    #[test]
    fn who_drains_votes_until_nothing_else_is_left_of_it() {
        let mut state = state(4);
        stand(&mut state, 1, Standing::Draining);
        let now = roll(&[1, 2, 3], &[4]);
        assert_eq!(next_step(&state, &now, 2), None);
        assert!(done(&state, &now).is_empty());
        place(&mut state, &[2]);
        assert_eq!(next_step(&state, &now, 1), Some(Step::HandOver));
        assert_eq!(next_step(&state, &now, 2), vote(&[2, 3, 4]));
        assert!(done(&state, &now).is_empty(), "it votes");
        let then = roll(&[2, 3, 4], &[1]);
        assert_eq!(done(&state, &then), [1]);
        let removed = Command::Nodes(Change::Remove(1));
        assert_eq!(state.apply(&removed), Answer::Done);
        assert_eq!(next_step(&state, &then, 2), None);
        assert_eq!(leftover(&state, &then), BTreeSet::from([1]));
        let gone = roll(&[2, 3, 4], &[]);
        assert_eq!(next_step(&state, &gone, 2), None);
        assert!(leftover(&state, &gone).is_empty());
    }

    #[test]
    fn three_become_one_in_one_change_where_two_would_be_left() {
        let mut state = state(3);
        state.replication = 1;
        stand(&mut state, 3, Standing::Draining);
        assert_eq!(next_step(&state, &roll(&[1, 2, 3], &[]), 2), vote(&[2]));
        // The one that is left goes as well: there is nobody else to lead the change.
        let removed = Command::Nodes(Change::Remove(3));
        assert_eq!(state.apply(&removed), Answer::Done);
        stand(&mut state, 2, Standing::Draining);
        assert_eq!(next_step(&state, &roll(&[2], &[1]), 2), vote(&[1]));
    }

    #[test]
    fn a_voter_that_goes_is_replaced_also_where_one_copy_of_the_records_is_enough() {
        let mut state = state(4);
        state.replication = 1;
        stand(&mut state, 3, Standing::Draining);
        assert_eq!(
            next_step(&state, &roll(&[1, 2, 3], &[4]), 1),
            vote(&[1, 2, 4])
        );
    }

    #[test]
    fn a_dead_voter_is_replaced_where_there_is_another_node_and_kept_where_there_is_none() {
        let mut three = state(3);
        stand(&mut three, 2, Standing::Dead);
        assert_eq!(next_step(&three, &roll(&[1, 2, 3], &[]), 1), None);
        let mut four = state(4);
        stand(&mut four, 2, Standing::Dead);
        assert_eq!(
            next_step(&four, &roll(&[1, 2, 3], &[4]), 1),
            vote(&[1, 3, 4])
        );
    }

    #[test]
    fn what_was_interrupted_is_finished() {
        let state = state(3);
        let mut joint = roll(&[1, 2, 3], &[]);
        joint.joint = true;
        assert_eq!(next_step(&state, &joint, 1), vote(&[1, 2, 3]));
        assert!(done(&state, &joint).is_empty());
    }

    #[test]
    fn silence_makes_dead_and_a_word_alive() {
        let mut state = state(3);
        let at = |silence| {
            let mut roll = roll(&[1, 2, 3], &[]);
            roll.members.get_mut(&3).expect("there").silence = silence;
            roll
        };
        let changes = |state: &State, silence, leads| standings(state, &at(silence), leads, HOUR);
        assert_eq!(changes(&state, Some(HOUR / 2), 2 * HOUR), []);
        assert_eq!(
            changes(&state, Some(HOUR), HOUR / 2),
            [],
            "it has not led for long"
        );
        assert_eq!(changes(&state, None, HOUR / 2), []);
        let dead = Change::Stand {
            node: 3,
            from: Standing::Active,
            to: Standing::Dead,
        };
        for silence in [Some(HOUR), None] {
            assert_eq!(changes(&state, silence, HOUR), std::slice::from_ref(&dead));
            let never = standings(&state, &at(silence), 9 * HOUR, Duration::ZERO);
            assert_eq!(never, []);
        }
        stand(&mut state, 3, Standing::Dead);
        assert_eq!(changes(&state, Some(HOUR), 2 * HOUR), []);
        let back = Change::Stand {
            node: 3,
            from: Standing::Dead,
            to: Standing::Active,
        };
        assert_eq!(changes(&state, Some(Duration::ZERO), HOUR), [back]);
        let second = Duration::from_secs(1);
        let soon_dead = standings(&state, &at(Some(2 * second)), HOUR, 3 * second);
        assert_eq!(soon_dead, [], "neither dead nor back");
    }

    #[test]
    fn a_leader_that_is_cut_off_takes_nobody_for_dead() {
        let state = state(5);
        let dead = |silent: &[u64]| {
            let mut roll = roll(&[1, 2, 3, 4, 5], &[]);
            for node in silent {
                roll.members.get_mut(node).expect("there").silence = Some(HOUR);
            }
            standings(&state, &roll, HOUR, HOUR).len()
        };
        assert_eq!(dead(&[2]), 1);
        assert_eq!(dead(&[2, 3]), 2);
        assert_eq!(dead(&[2, 3, 4]), 0);
        assert_eq!(dead(&[2, 3, 4, 5]), 0);
    }

    #[test]
    fn a_node_that_has_come_takes_part_when_it_has_caught_up() {
        let mut state = state(1);
        let node = Node {
            id: 2,
            grpc: "10.0.0.2:4317".into(),
            ..state.nodes[&1].clone()
        };
        let admit = Command::Nodes(Change::Admit(node));
        assert_eq!(state.apply(&admit), Answer::Done);
        let mut roll = roll(&[1], &[2]);
        let active = Change::Stand {
            node: 2,
            from: Standing::Joining,
            to: Standing::Active,
        };
        assert_eq!(standings(&state, &roll, HOUR, HOUR), [active]);
        roll.members.get_mut(&2).expect("there").lag = Some(1_000);
        assert_eq!(standings(&state, &roll, HOUR, HOUR), []);
        roll.members.insert(2, RollMember::default());
        assert_eq!(
            standings(&state, &roll, 2 * HOUR, HOUR),
            [],
            "it has not come at all"
        );
    }
}
