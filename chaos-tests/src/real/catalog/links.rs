//! Networks that are cut, lossy, gray or flapping.

use super::maker::Maker;
use crate::real::schedule::{Action, Who, both_ways};
use crate::real::topo::{Damage, LinkFault};

/// The leader alone on one side. It must not acknowledge, and must not answer for the whole.
pub(super) fn partition(m: &mut Maker) {
    for _ in 0..2 {
        m.then(Action::Isolate(Who::Leader));
        m.then(Action::NoAck(vec![Who::Same]));
        m.then(Action::Acks(6_000));
        m.then(Action::Deposed(Who::Same, 5_000));
        m.wait_some();
        m.then(Action::Links(Vec::new()));
        m.then(Action::Ready(Who::Same, 10_000));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
    // Nobody has a majority.
    let all = [(0, 1), (0, 2), (1, 2)];
    m.then(Action::Links(
        all.iter()
            .flat_map(|(a, b)| both_ways(*a, *b, Damage::Cut))
            .collect(),
    ));
    m.then(Action::NoAck(m.everyone()));
    m.then(Action::Links(Vec::new()));
    m.then(Action::Acks(10_000));
}

/// A leader alone on one side, asked by clients that wait for less time than it does: once a request has waited in
/// vain, the next ones are told so.
pub(super) fn silence(m: &mut Maker) {
    m.then(Action::Isolate(Who::Leader));
    m.then(Action::NoAck(vec![Who::Same]));
    m.then(Action::NoAck(vec![Who::Same]));
    m.then(Action::Refuses(Who::Same, 3_000));
    m.then(Action::Links(Vec::new()));
    m.then(Action::Acks(5_000));
}

/// Five nodes in two groups that do not see each other, the smaller one with the leader, then with others. Each
/// shard has three replicas, so either side may go on with some; together they must lose nothing.
pub(super) fn split(m: &mut Maker) {
    m.schedule.nodes = 5;
    m.wait(1_000);
    for _ in 0..2 {
        let order = m.order();
        let (few, many) = order.split_at(2);
        let links = few
            .iter()
            .flat_map(|a| many.iter().map(|b| both_ways(*a, *b, Damage::Cut)));
        m.then(Action::Links(links.flatten().collect()));
        m.wait(2_500);
        // No acknowledgement is asked for: a request has records of many shards, and some shards have their
        // majority on the other side.
        m.then(Action::Honest(Who::Node(few[0])));
        m.then(Action::Honest(Who::Node(many[0])));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(8_000));
        m.wait_some();
    }
}

/// One-way cuts, and a cut between two that both see the third.
pub(super) fn bad_links(m: &mut Maker) {
    let order = m.order();
    let [a, b, c] = [order[0], order[1], order[2]];
    let one_way = |from, to, what| LinkFault { from, to, what };
    let rounds = [
        // Can speak, cannot hear.
        vec![one_way(b, a, Damage::Cut), one_way(c, a, Damage::Cut)],
        // Can hear, cannot speak.
        vec![one_way(b, c, Damage::Cut), one_way(b, a, Damage::Cut)],
        both_ways(a, b, Damage::Cut).to_vec(),
        both_ways(b, c, Damage::Cut).to_vec(),
    ];
    for faults in rounds {
        m.then(Action::Links(faults));
        m.wait(2_500);
        m.then(Action::Acks(15_000));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(5_000));
        // Who cannot be heard, or cannot hear, does not make the others elect again and again.
        m.then(Action::Calm(2));
        m.wait_some();
    }
}

/// Large packets of each node in turn are lost: heartbeats pass, entries do not.
pub(super) fn gray_link(m: &mut Maker) {
    for index in m.order() {
        let others = (0..m.schedule.nodes).filter(|other| *other != index);
        let faults = others.flat_map(|other| both_ways(index, other, Damage::Gray));
        m.then(Action::Links(faults.collect()));
        m.wait(1_000);
        m.then(Action::Acks(15_000));
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(5_000));
        m.wait_some();
    }
}

pub(super) fn flapping(m: &mut Maker) {
    let who = m.order();
    for round in 0..20 {
        m.then(Action::Isolate(Who::Node(who[0])));
        m.wait(1_000);
        m.then(Action::Links(Vec::new()));
        m.wait(1_000);
        if round % 5 == 4 {
            m.then(Action::Acks(5_000));
        }
    }
    for percent in [5, 15, 30] {
        let all = [(0, 1), (0, 2), (1, 2)];
        m.then(Action::Links(
            all.iter()
                .flat_map(|(a, b)| both_ways(*a, *b, Damage::Loss(percent)))
                .collect(),
        ));
        m.wait(5_000);
        m.then(Action::Links(Vec::new()));
        m.then(Action::Acks(10_000));
    }
}

pub(super) fn resets(m: &mut Maker) {
    for _ in 0..3 {
        for index in m.order() {
            m.then(Action::Reset(Who::Node(index)));
            m.wait_some();
        }
        m.then(Action::Acks(3_000));
    }
}
