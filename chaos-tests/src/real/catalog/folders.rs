//! Data folders that are cut short, swapped, emptied or put back from a copy.

use super::maker::{Maker, words};
use crate::real::disk::Place;
use crate::real::schedule::{Action, Who};

/// A deleted log, a deleted and a damaged identity, another node's folder.
pub(super) fn lost_files(m: &mut Maker) {
    let order: Vec<Who> = m.order().into_iter().map(Who::Node).collect();
    let [a, b, c] = [order[0], order[1], order[2]];
    m.then(Action::Kill(vec![a]));
    m.then(Action::StartOn(a, b));
    m.then(Action::Refused(
        a,
        words(&["belongs to node", "in use by another process"]),
    ));
    m.then(Action::Kill(vec![b]));
    m.then(Action::StartOn(b, a));
    m.then(Action::Refused(b, words(&["belongs to node"])));
    m.then(Action::Start(vec![a, b]));
    m.wait_some();
    m.then(Action::Kill(vec![b]));
    m.then(Action::Flip(b, Place::Identity));
    m.then(Action::StartOn(b, b));
    m.then(Action::Refused(b, words(&["identity"])));
    m.then(Action::FlipBack(b));
    m.then(Action::Start(vec![b]));
    m.wait_some();
    m.then(Action::Kill(vec![c]));
    m.then(Action::Delete(c, Place::Wal));
    m.then(Action::StartOn(c, c));
    m.then(Action::Refused(
        c,
        words(&["lost acknowledged", "cannot open", "quarantin"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(c));
}

pub(super) fn torn_log(m: &mut Maker) {
    for round in 0..3 {
        let who = Who::Node(round);
        m.wait_some();
        torn_round(m, who);
    }
}

/// A node with a log that is cut short is started alone, and then with what it had.
pub(super) fn torn_round(m: &mut Maker, who: Who) {
    m.then(Action::Kill(vec![who]));
    m.then(Action::Backup(who));
    m.then(Action::Truncate(who, 7));
    m.then(Action::Isolate(who));
    m.then(Action::Start(vec![who]));
    m.then(Action::Judged(who));
    m.then(Action::Kill(vec![who]));
    m.then(Action::Restore(who));
    m.then(Action::Links(Vec::new()));
    m.then(Action::Start(vec![who]));
}

/// A folder as it was some time ago, which has forgotten what it voted and acknowledged since.
pub(super) fn old_backup(m: &mut Maker) {
    let who = m.pick();
    m.then(Action::Kill(vec![who]));
    m.then(Action::Backup(who));
    m.then(Action::Start(vec![who]));
    m.wait(4_000);
    m.then(Action::Kill(vec![who]));
    m.then(Action::Restore(who));
    m.then(Action::StartOn(who, who));
    m.then(Action::Refused(
        who,
        words(&["incarnation", "outdated", "quarantin"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(who));
}

/// An empty folder under an id that has voted before.
pub(super) fn wiped_voter(m: &mut Maker) {
    let who = m.pick();
    m.then(Action::Kill(vec![who]));
    m.then(Action::Wipe(who));
    m.then(Action::StartOn(who, who));
    m.then(Action::Refused(
        who,
        words(&["incarnation", "wiped", "quarantin", "refused"]),
    ));
    m.then(Action::Acks(5_000));
    m.then(Action::Out(who));
}

/// What a voter without memory can do: two nodes acknowledge while the third is away; one of the two
/// dies, the other forgets; together with the third it has a majority that knows nothing.
pub(super) fn wiped_voter_votes(m: &mut Maker) {
    let order: Vec<Who> = m.order().into_iter().map(Who::Node).collect();
    // The first node would make a cluster of its own, which is another mistake.
    let a = order
        .iter()
        .copied()
        .find(|who| *who != Who::Node(0))
        .unwrap_or(order[0]);
    let others: Vec<Who> = order.into_iter().filter(|who| *who != a).collect();
    let [b, c] = [others[0], others[1]];
    m.then(Action::Isolate(c));
    m.wait(6_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Kill(vec![a, b]));
    m.then(Action::Wipe(a));
    m.then(Action::Links(Vec::new()));
    m.then(Action::StartOn(a, a));
    m.then(Action::Refused(
        a,
        words(&["incarnation", "wiped", "quarantin", "refused"]),
    ));
    m.then(Action::NoAck(vec![c]));
    m.then(Action::Out(a));
    m.then(Action::Start(vec![b]));
    m.then(Action::Acks(10_000));
}

/// The same with a folder from before.
pub(super) fn old_backup_votes(m: &mut Maker) {
    let order = m.order();
    let [a, b, c] = [order[0], order[1], order[2]].map(Who::Node);
    m.then(Action::Kill(vec![a]));
    m.then(Action::Backup(a));
    m.then(Action::Start(vec![a]));
    m.then(Action::Isolate(c));
    m.wait(8_000);
    m.then(Action::Acks(5_000));
    m.then(Action::Kill(vec![a, b]));
    m.then(Action::Restore(a));
    m.then(Action::Links(Vec::new()));
    m.then(Action::StartOn(a, a));
    m.then(Action::Refused(
        a,
        words(&["incarnation", "outdated", "quarantin"]),
    ));
    m.then(Action::NoAck(vec![c]));
    m.then(Action::Out(a));
    m.then(Action::Start(vec![b]));
    m.then(Action::Acks(10_000));
}
