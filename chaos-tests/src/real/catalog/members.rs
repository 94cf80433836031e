//! Nodes that come and go while others end.

use super::maker::Maker;
use crate::real::schedule::{Action, Who};

/// How long a node may take to leave: what it holds is fetched slowly on purpose.
const LEFT_WITHIN_MS: u64 = 180_000;
/// How long it may take until everything is where it belongs.
const WHOLE_WITHIN_MS: u64 = 120_000;

/// A fourth node comes and one of the first leaves; one dies for good and a fifth takes its place; at last each is
/// restarted in turn. Meanwhile who gives and who gets a replica are killed in the middle of it, and others
/// lose their power.
pub(super) fn churn(m: &mut Maker) {
    m.schedule.spares = 2;
    m.schedule.disk_mib = 2_048;
    m.set("HUSHLOG_CLUSTER_BUCKET", "10s");
    m.set("HUSHLOG_CUT_AGE", "1s");
    m.set("HUSHLOG_MERGE_DELAY", "3s");
    m.set("HUSHLOG_CLUSTER_DEAD_AFTER", "8s");
    // Slow enough that there is a middle.
    m.set("HUSHLOG_FETCH_RATE", "1MiB");
    let order = m.order();
    let [leaving, dying, staying] = [0, 1, 2].map(|at| Who::Node(order[at]));
    let [fourth, fifth] = [3, 4].map(Who::Node);

    m.wait(15_000);
    m.then(Action::Join(fourth));
    m.then(Action::Spread);
    for end in [Who::Receiver, Who::Sender] {
        m.then(Action::Kill(vec![end]));
        m.then(Action::Acks(8_000));
        m.then(Action::Start(vec![Who::Same]));
        m.wait_some();
    }
    m.then(Action::Whole(WHOLE_WITHIN_MS));

    m.then(Action::Drain(leaving));
    for end in [Who::Receiver, Who::Sender] {
        m.then(Action::Kill(vec![end]));
        m.then(Action::Acks(8_000));
        m.wait_some();
        m.then(Action::Start(vec![Who::Same]));
    }
    m.then(Action::CutPower(vec![staying]));
    m.then(Action::Acks(8_000));
    m.then(Action::Start(vec![staying]));
    m.then(Action::Gone(leaving, LEFT_WITHIN_MS));
    m.then(Action::Whole(WHOLE_WITHIN_MS));

    m.then(Action::Die(dying));
    m.then(Action::Acks(8_000));
    m.wait_some();
    m.then(Action::Join(fifth));
    m.then(Action::Drain(dying));
    m.then(Action::CutPower(vec![Who::Receiver]));
    m.then(Action::Start(vec![Who::Same]));
    m.then(Action::Gone(dying, LEFT_WITHIN_MS));
    m.then(Action::Whole(WHOLE_WITHIN_MS));

    for who in [staying, fourth, fifth] {
        m.then(Action::Stop(who));
        m.then(Action::Acks(8_000));
        m.then(Action::Start(vec![who]));
        m.wait_some();
    }
    m.then(Action::Whole(WHOLE_WITHIN_MS));
}
