//! Blocks through the loss of leaders and majorities: nothing acknowledged is lost, nothing is
//! stored twice, nothing is acknowledged without a majority.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Cluster, Disk, must, soon};
use crate::testing::{SHARD, block_of, key, keyed_block, large_block, plain_block};
use crate::{ProposeError, ShardGroup};

/// Every block of the tail, by position.
fn tail(group: &ShardGroup) -> BTreeMap<u64, Bytes> {
    let view = group.view();
    view.tail
        .iter()
        .map(|block| (block.seq, block.block.bytes().clone()))
        .collect()
}

async fn survives_its_leaders(mut cluster: Cluster) {
    let mut acknowledged = BTreeMap::new();
    let mut next = 0;
    for round in 0..3 {
        for via in cluster.ids() {
            for _ in 0..5 {
                next += 1;
                let block = keyed_block(SHARD, &[next], 2, 0);
                let receipts = cluster
                    .shard(via)
                    .propose(block.clone(), soon())
                    .await
                    .unwrap();
                assert_eq!(receipts.len(), 1);
                assert_eq!(receipts[0].copies, 2);
                assert!(
                    acknowledged
                        .insert(receipts[0].origin.seq, block.bytes().clone())
                        .is_none()
                );
            }
        }
        let victim = if round == 2 {
            cluster.follower().await
        } else {
            cluster.leader().await
        };
        cluster.kill(victim);
        let via = cluster.ids()[0];
        next += 1;
        let block = keyed_block(SHARD, &[next], 2, 0);
        let receipts = cluster
            .shard(via)
            .propose(block.clone(), soon())
            .await
            .unwrap();
        acknowledged.insert(receipts[0].origin.seq, block.bytes().clone());
        cluster.restart(victim).await;
    }
    for id in cluster.ids() {
        cluster.shard(id).read_barrier(soon()).await.unwrap();
        assert_eq!(tail(cluster.shard(id)), acknowledged, "node {id}");
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_blocks_survive_their_leaders_on_mem() {
    survives_its_leaders(Cluster::on_mem().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_blocks_survive_their_leaders_on_rocks() {
    survives_its_leaders(Cluster::on_rocks().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_original_receipt_from_later_leaders_and_after_restarts() {
    let mut cluster = Cluster::on_mem().await;
    let block = keyed_block(SHARD, &[1, 2], 3, 0);
    let first = cluster
        .shard(1)
        .propose(block.clone(), soon())
        .await
        .unwrap();
    assert!(first.iter().all(|receipt| !receipt.duplicate));
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let via = cluster.ids()[0];
    let again = cluster
        .shard(via)
        .propose(block.clone(), soon())
        .await
        .unwrap();
    cluster.restart(leader).await;
    for id in cluster.ids() {
        if id != leader {
            cluster.kill(id);
            cluster.restart(id).await;
        }
    }
    let last = cluster.shard(leader).propose(block, soon()).await.unwrap();
    for repeat in [again, last] {
        assert!(repeat.iter().all(|receipt| receipt.duplicate));
        assert!(
            repeat
                .iter()
                .zip(&first)
                .all(|(a, b)| a.origin == b.origin && a.rows == b.rows)
        );
    }
    for id in cluster.ids() {
        cluster.shard(id).read_barrier(soon()).await.unwrap();
        assert_eq!(cluster.shard(id).view().tail.len(), 1, "node {id}");
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_other_content_is_stored_by_no_leader_and_said_so() {
    let mut cluster = Cluster::on_mem().await;
    let request = |content| block_of(SHARD, &[(key(1), content)], 2, 0);
    let leader = cluster.leader().await;
    let group = cluster.shard(leader).clone();
    let first = group.propose(request(11), soon()).await.unwrap();
    assert!(!first[0].duplicate && !first[0].conflict);
    cluster.kill(leader);
    // By way of a follower too: the receipt says it on the wire.
    for id in cluster.ids() {
        let other = cluster
            .shard(id)
            .propose(request(12), soon())
            .await
            .unwrap();
        assert!(other[0].conflict);
        let same = cluster
            .shard(id)
            .propose(request(11), soon())
            .await
            .unwrap();
        assert!(same[0].duplicate && !same[0].conflict);
        assert_eq!(same[0].origin, first[0].origin);
        cluster.shard(id).read_barrier(soon()).await.unwrap();
        assert_eq!(cluster.shard(id).view().tail.len(), 1, "node {id}");
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_store_one_block_and_all_are_acknowledged() {
    let cluster = Cluster::on_mem().await;
    let block = keyed_block(SHARD, &[7], 1, 0);
    let ids = cluster.ids();
    let proposals = (0..12).map(|n| {
        let group = cluster.shard(ids[n % ids.len()]).clone();
        let block = block.clone();
        async move { group.propose(block, soon()).await.unwrap() }
    });
    let receipts = join_all(proposals).await;
    let originals = receipts
        .iter()
        .filter(|receipts| !receipts[0].duplicate)
        .count();
    assert_eq!(originals, 1);
    assert!(
        receipts
            .iter()
            .all(|r| r[0].origin == receipts[0][0].origin)
    );
    let leader = cluster.leader().await;
    assert_eq!(cluster.shard(leader).view().tail.len(), 1);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_repeated_block_stores_only_what_is_new() {
    let cluster = Cluster::on_mem().await;
    let group = cluster.shard(cluster.leader().await);
    let first = group
        .propose(keyed_block(SHARD, &[1], 2, 0), soon())
        .await
        .unwrap();
    let receipts = group
        .propose(keyed_block(SHARD, &[1, 2], 2, 0), soon())
        .await
        .unwrap();
    assert_eq!(receipts[0].origin, first[0].origin);
    assert!(receipts[0].duplicate && !receipts[1].duplicate);
    for id in cluster.ids() {
        cluster.shard(id).read_barrier(soon()).await.unwrap();
        let view = cluster.shard(id).view();
        assert_eq!(view.tail[1].rows(), 2);
        assert_eq!(view.tail[1].skip.as_ref(), std::slice::from_ref(&(0..2)));
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_acknowledged() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    cluster
        .shard(leader)
        .propose(plain_block(SHARD, 0), soon())
        .await
        .unwrap();
    let survivor = cluster.follower().await;
    // What was acknowledged is applied here before the others end, and not by chance behind it.
    cluster.shard(survivor).read_barrier(soon()).await.unwrap();
    for id in cluster.ids() {
        if id != survivor {
            cluster.kill(id);
        }
    }
    let group = cluster.shard(survivor);
    let before = group.view().applied_to;
    for (number, block) in [plain_block(SHARD, 1), keyed_block(SHARD, &[1], 1, 0)]
        .into_iter()
        .enumerate()
    {
        let deadline = Instant::now() + Duration::from_secs(2);
        let error = group.propose(block, deadline).await.unwrap_err();
        let known = matches!(
            error,
            ProposeError::Unavailable(_) | ProposeError::OutcomeUnknown(_)
        );
        assert!(known, "proposal {number}: {error}");
    }
    assert!(
        group
            .read_barrier(Instant::now() + Duration::from_secs(1))
            .await
            .is_err()
    );
    assert_eq!(group.view().applied_to, before);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loses_its_majority_acknowledges_nothing() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    for id in cluster.ids() {
        if id != leader {
            cluster.kill(id);
        }
    }
    let deadline = Instant::now() + Duration::from_secs(4);
    let error = cluster
        .shard(leader)
        .propose(plain_block(SHARD, 1), deadline)
        .await
        .unwrap_err();
    assert!(matches!(error, ProposeError::OutcomeUnknown(_)), "{error}");
    // Once it knows that it is alone it proposes nothing.
    must("the leader knows that it is alone", async {
        loop {
            let deadline = Instant::now() + Duration::from_secs(2);
            let block = plain_block(SHARD, 2);
            let error = cluster.shard(leader).propose(block, deadline).await;
            match error.unwrap_err() {
                ProposeError::Unavailable(_) => return,
                ProposeError::OutcomeUnknown(_) => {}
                error => panic!("{error}"),
            }
        }
    })
    .await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_sync_fails_hands_over_and_nothing_is_lost() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    cluster
        .shard(leader)
        .propose(keyed_block(SHARD, &[1], 1, 0), soon())
        .await
        .unwrap();
    let Disk::Mem(mem) = &cluster.disks[&leader] else {
        unreachable!()
    };
    mem.fail_next_sync("the disk is gone");
    let via = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let block = keyed_block(SHARD, &[2], 1, 0);
    // The write that fails may be another group's, and then this one has no reason of its own to end.
    let handing_over = async {
        let context = &cluster.nodes[&leader].context;
        while cluster.shard(leader).is_leader() {
            if context.is_unfit() {
                crate::hand_over(context, SHARD.group(), Duration::from_secs(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (stored, ()) = tokio::join!(cluster.shard(via).propose(block, soon()), handing_over);
    stored.unwrap();
    assert_ne!(cluster.leader().await, leader);
    let error = cluster
        .shard(leader)
        .propose(plain_block(SHARD, 9), Instant::now())
        .await;
    assert!(error.is_err());
    cluster.shard(via).read_barrier(soon()).await.unwrap();
    let rows: u32 = cluster
        .shard(via)
        .view()
        .tail
        .iter()
        .map(|block| block.rows())
        .sum();
    assert_eq!(rows, 2);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_on_request() {
    let cluster = Cluster::on_mem().await;
    let leader = cluster.leader().await;
    let to = cluster.follower().await;
    cluster
        .shard(leader)
        .propose(plain_block(SHARD, 1), soon())
        .await
        .unwrap();
    cluster.shard(leader).transfer_leader(to).await.unwrap();
    must("the leadership moves", async {
        while cluster.leader().await != to {
            tokio::task::yield_now().await;
        }
    })
    .await;
    cluster
        .shard(leader)
        .propose(plain_block(SHARD, 2), soon())
        .await
        .unwrap();
    let status = cluster.shard(to).status();
    assert_eq!(status.members.len(), 3);
    assert!(status.members.iter().all(|member| member.voter));
    let seen = cluster.shard(leader).status_of(to, soon()).await.unwrap();
    assert_eq!((seen.leader, seen.role), (Some(to), crate::Role::Leader));
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_blocks_under_load_cause_no_election() {
    let cluster = Cluster::on_rocks().await;
    let leader = cluster.leader().await;
    let term = cluster.shard(leader).status().term;
    let ids = cluster.ids();
    let senders = (0..6_u32).map(|sender| {
        let group = cluster
            .shard(ids[usize::try_from(sender).unwrap() % ids.len()])
            .clone();
        async move {
            for n in 0..8 {
                let block = large_block(SHARD, u64::from(1 + sender * 100 + n), 1 << 20);
                group.propose(block, soon()).await.unwrap();
            }
        }
    });
    join_all(senders).await;
    for id in ids {
        cluster.shard(id).read_barrier(soon()).await.unwrap();
        assert_eq!(cluster.shard(id).view().tail.len(), 48);
        assert_eq!(cluster.shard(id).status().term, term);
    }
    cluster.stop();
}
