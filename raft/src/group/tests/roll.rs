//! Members of the meta group come and go: without a vote, with one, and the one that leads.

use std::collections::BTreeSet;
use std::time::Duration;

use hushlog_record::NodeId;
use tokio::time::sleep;

use super::{CLUSTER, Cluster, must, soon};
use crate::ProposeError;
use crate::meta::{Answer, Command};

/// The node that leads the meta group, as soon as one does.
async fn leader(cluster: &Cluster) -> NodeId {
    must("a leader of the meta group", async {
        loop {
            let leads = |id: &NodeId| cluster.nodes[id].meta.is_leader();
            if let Some(leader) = cluster.ids().into_iter().find(leads)
                && cluster.nodes[&leader]
                    .meta
                    .read_barrier(soon())
                    .await
                    .is_ok()
            {
                return leader;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn voters(cluster: &Cluster, node: NodeId) -> Vec<NodeId> {
    let roll = cluster.nodes[&node].meta.roll();
    assert!(!roll.joint, "{roll:?}");
    let voters = roll.members.iter().filter(|(_, member)| member.voter);
    voters.map(|(node, _)| *node).collect()
}

/// Changes the voters at whoever leads, as often as it takes.
async fn vote(cluster: &Cluster, wanted: &[NodeId]) {
    let wanted: BTreeSet<NodeId> = wanted.iter().copied().collect();
    must("the voters change", async {
        loop {
            let leader = leader(cluster).await;
            let meta = &cluster.nodes[&leader].meta;
            let changed = meta.change_voters(wanted.clone(), soon()).await;
            let leader = self::leader(cluster).await;
            let roll = cluster.nodes[&leader].meta.roll();
            let now = roll.members.iter().filter(|(_, member)| member.voter);
            let now: BTreeSet<NodeId> = now.map(|(node, _)| *node).collect();
            if !roll.joint && now == wanted {
                return;
            }
            assert!(
                !matches!(changed, Err(ProposeError::Invalid(_))),
                "{changed:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn facts_change(cluster: &Cluster, via: NodeId) {
    let set = Command::SetCluster {
        cluster: CLUSTER,
        replication: 3,
    };
    let answer = cluster.nodes[&via].meta.propose(set, soon()).await;
    assert_eq!(answer.expect("a leader takes it"), Answer::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voters_become_one_and_one_becomes_three_again() {
    let mut cluster = Cluster::on_mem().await;
    let first = leader(&cluster).await;
    vote(&cluster, &[first]).await;
    assert_eq!(voters(&cluster, first), [first]);
    let others: Vec<NodeId> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != first)
        .collect();
    // Who has no vote is not needed, and follows when it is back.
    cluster.kill(others[0]);
    facts_change(&cluster, first).await;
    facts_change(&cluster, others[1]).await;
    cluster.restart(others[0]).await;
    must("it follows again", async {
        loop {
            let roll = cluster.nodes[&first].meta.roll();
            let member = roll.members[&others[0]];
            if member.lag == Some(0) && member.silence.is_some_and(|s| s < Duration::from_secs(2)) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    vote(&cluster, &[1, 2, 3]).await;
    cluster.kill(first);
    facts_change(&cluster, others[0]).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_is_alone_hands_its_vote_over_and_leaves() {
    let cluster = Cluster::on_mem().await;
    let first = leader(&cluster).await;
    vote(&cluster, &[first]).await;
    let heir = cluster
        .ids()
        .into_iter()
        .find(|id| *id != first)
        .expect("three");
    vote(&cluster, &[heir]).await;
    must("the heir leads", async {
        while leader(&cluster).await != heir {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    facts_change(&cluster, first).await;
    assert_eq!(voters(&cluster, heir), [heir]);

    let meta = &cluster.nodes[&heir].meta;
    meta.remove_learner(first, soon())
        .await
        .expect("it has no vote");
    assert!(!meta.roll().members.contains_key(&first));
    let peer = cluster.peers[&first].clone();
    meta.add_learner(first, peer, soon())
        .await
        .expect("it may come");
    assert!(meta.roll().members.contains_key(&first));
    let refused = cluster.nodes[&first]
        .meta
        .remove_learner(heir, soon())
        .await;
    assert!(
        matches!(refused, Err(ProposeError::Unavailable(_))),
        "{refused:?}"
    );
    cluster.stop();
}
