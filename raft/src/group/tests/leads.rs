//! Who leads and who votes: leads that are given up, voters that leave and come back.

use std::time::Duration;

use super::{Cluster, must, soon};
use crate::testing::{SHARD, keyed_block, plain_block};
use crate::{abdicate, hand_over};

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_goes_to_a_fit_voter_only() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let context = &cluster.nodes[&leader].context;
    let others: Vec<_> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != leader)
        .collect();
    for id in &others {
        cluster.nodes[id].context.intake.set_slow(true);
    }
    let patience = Duration::from_secs(10);
    assert_eq!(hand_over(context, SHARD.group(), patience).await, None);
    assert!(cluster.shard(leader).is_leader());
    let fit = others[1];
    cluster.nodes[&fit].context.intake.set_slow(false);
    assert_eq!(hand_over(context, SHARD.group(), patience).await, Some(fit));
    must("the lead moves", async {
        while cluster.leader().await != fit {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(hand_over(context, SHARD.group(), patience).await, None);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_falls_silent_is_replaced_and_speaks_again() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let context = &cluster.nodes[&leader].context;
    // Entries that go on coming are no sign of life either.
    let writer = cluster.shard(leader).clone();
    let writing = async {
        for number in 0.. {
            // It is refused once nobody leads here.
            drop(writer.propose(plain_block(SHARD, number), soon()).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    abdicate(context, SHARD.group(), super::PATIENCE);
    let elected = must("another one leads", async {
        loop {
            let now = cluster.leader().await;
            if now != leader {
                return now;
            }
            tokio::task::yield_now().await;
        }
    });
    let next = tokio::select! {
        next = elected => next,
        () = writing => unreachable!("it goes on writing"),
    };
    // Its heartbeats go out again when it leads the next time.
    cluster.shard(next).transfer_leader(leader).await.unwrap();
    must("the lead comes back", async {
        while cluster.leader().await != leader {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let term = cluster.shard(leader).status().term;
    tokio::time::sleep(3 * cluster.settings.election_max).await;
    assert_eq!(cluster.shard(leader).status().term, term);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_to_leave_hands_over_first() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let mut two = cluster.peers.clone();
    two.remove(&leader);
    let refused = cluster.shard(leader).change_voters(&two, soon()).await;
    assert!(
        matches!(refused, Err(crate::ProposeError::Unavailable(_))),
        "{refused:?}"
    );
    let heir = must("another one leads", async {
        loop {
            let now = cluster.leader().await;
            if now != leader {
                return now;
            }
        }
    })
    .await;
    cluster
        .shard(heir)
        .change_voters(&two, soon())
        .await
        .unwrap();
    let members = cluster.shard(heir).status().members;
    let voters = members.iter().filter(|member| member.voter);
    assert!(voters.map(|member| member.node).eq(two.keys().copied()));
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_leaves_and_comes_back_with_everything() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let away = cluster.follower().await;
    let group = cluster.shard(leader);
    let mut two = cluster.peers.clone();
    two.remove(&away);
    group.change_voters(&two, soon()).await.unwrap();
    let voters = |group: &crate::ShardGroup| {
        let members = group.status().members;
        members
            .iter()
            .filter(|m| m.voter)
            .map(|m| m.node)
            .collect::<Vec<_>>()
    };
    assert_eq!(voters(group), two.keys().copied().collect::<Vec<_>>());
    for n in 0..20 {
        group
            .propose(keyed_block(SHARD, &[n], 2, 0), soon())
            .await
            .unwrap();
    }
    let before = cluster.shard(away).view().applied_to;
    assert!(before < group.view().applied_to, "who left still follows");
    group.change_voters(&cluster.peers, soon()).await.unwrap();
    assert_eq!(voters(group), cluster.ids());
    cluster.shard(away).read_barrier(soon()).await.unwrap();
    assert_eq!(cluster.shard(away).view().tail.len(), 20);
    // A node that does not lead cannot change anything.
    let refused = cluster.shard(away).change_voters(&two, soon()).await;
    assert!(
        matches!(refused, Err(crate::ProposeError::Unavailable(_))),
        "{refused:?}"
    );
    cluster
        .shard(away)
        .propose(plain_block(SHARD, 99), soon())
        .await
        .unwrap();
    cluster.stop();
}
