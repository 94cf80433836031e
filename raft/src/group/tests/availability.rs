//! What is refused, and how soon: without a majority, over the backlog, on a full disk.

use std::time::Duration;

use hushlog_record::NodeId;
use tokio::time::{Instant, timeout};

use super::{Cluster, Disk, PATIENCE, must, settings, soon};
use crate::limits::STALLED_AFTER;
use crate::testing::{SHARD, keyed_block, plain_block};
use crate::{Hold, ProposeError, Settings, ShardGroup};

const SILENCE: Duration = Duration::from_secs(2);

async fn loses_its_majority(group: &ShardGroup) {
    must("the loss of the majority shows", async {
        while group.has_quorum(SILENCE) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Proposals are refused long before their deadline, and the second sooner than the first.
async fn refuses_soon(group: &ShardGroup) {
    for number in 1..=2 {
        let started = Instant::now();
        let block = keyed_block(SHARD, &[number], 1, 0);
        let error = group.propose(block, soon()).await.unwrap_err();
        assert!(matches!(error, ProposeError::Unavailable(_)), "{error}");
        assert!(started.elapsed() < PATIENCE / 2, "refusal {number}");
    }
}

/// Longest wait for a majority in these tests.
const WAIT: Duration = Duration::from_secs(4);

/// A group of three of which one is left.
async fn without_two(survivor_leads: bool) -> (Cluster, NodeId) {
    let patience = WAIT;
    let mut cluster = Cluster::on_mem_with(Settings {
        patience,
        ..settings()
    })
    .await;
    let survivor = if survivor_leads {
        cluster.leader().await
    } else {
        cluster.follower().await
    };
    let block = plain_block(SHARD, 0);
    cluster
        .shard(survivor)
        .propose(block, soon())
        .await
        .unwrap();
    assert!(cluster.shard(survivor).has_quorum(PATIENCE));
    let others = cluster.ids().into_iter().filter(|id| *id != survivor);
    for id in others.collect::<Vec<_>>() {
        cluster.kill(id);
    }
    loses_its_majority(cluster.shard(survivor)).await;
    (cluster, survivor)
}

async fn knows_it_and_refuses_soon(survivor_leads: bool) {
    let (cluster, survivor) = without_two(survivor_leads).await;
    refuses_soon(cluster.shard(survivor)).await;
    cluster.stop();
}

/// Callers that never wait as long as the group would are told all the same.
async fn tells_who_gives_up(survivor_leads: bool) {
    let (cluster, survivor) = without_two(survivor_leads).await;
    let group = cluster.shard(survivor);
    let propose = |number| group.propose(keyed_block(SHARD, &[number], 1, 0), soon());
    let given_up = timeout(STALLED_AFTER + WAIT / 20, propose(1)).await;
    assert!(given_up.is_err(), "it was told before");
    let told = timeout(STALLED_AFTER / 2, propose(2)).await;
    let error = told.expect("it is told soon").unwrap_err();
    assert!(matches!(error, ProposeError::Unavailable(_)), "{error}");
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_left_alone_tells_callers_that_give_up() {
    tells_who_gives_up(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_left_alone_tells_callers_that_give_up() {
    tells_who_gives_up(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_disk_has_failed_passes_blocks_on() {
    let cluster = Cluster::on_mem().await;
    cluster.leader().await;
    let via = cluster.follower().await;
    let group = cluster.shard(via);
    let Disk::Mem(mem) = &cluster.disks[&via] else {
        unreachable!()
    };
    mem.fail_next_sync("the disk is gone");
    let propose = |number| group.propose(keyed_block(SHARD, &[number], 1, 0), soon());
    propose(1).await.unwrap();
    must("it answers its leader no more", async {
        while group.has_quorum(STALLED_AFTER) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    propose(2).await.unwrap();
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_left_alone_knows_it_and_refuses_soon() {
    knows_it_and_refuses_soon(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_left_alone_knows_it_and_refuses_soon() {
    knows_it_and_refuses_soon(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_holds_its_intake_refuses_new_data_and_nothing_else() {
    let cluster = Cluster::on_mem().await;
    let stored = keyed_block(SHARD, &[1], 1, 0);
    let via = cluster.follower().await;
    let group = cluster.shard(via);
    group.propose(stored.clone(), soon()).await.unwrap();
    let leader = cluster.leader().await;
    let intake = &cluster.nodes[&leader].context.intake;
    for (hold, refusal) in [
        (Hold::DiskFull, ProposeError::DiskFull),
        (Hold::Backlog, ProposeError::Backlog),
    ] {
        intake.set(Some(hold));
        let new = keyed_block(SHARD, &[2], 1, 0);
        assert_eq!(group.propose(new, soon()).await, Err(refusal));
        // A repeat of what is stored is acknowledged, and room can be made.
        let repeat = group.propose(stored.clone(), soon()).await.unwrap();
        assert!(repeat[0].duplicate);
    }
    let cut = cluster.shard(leader).cut(soon()).await.unwrap();
    assert!(cut.is_some());
    intake.set(None);
    let new = keyed_block(SHARD, &[2], 1, 0);
    let receipts = group.propose(new, soon()).await.unwrap();
    assert!(!receipts[0].duplicate);
    cluster.stop();
}
