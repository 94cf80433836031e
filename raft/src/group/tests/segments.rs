//! From cut to trimmed log, and back to a whole replica from a snapshot.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Cluster, must, settings, soon};
use crate::testing::{SHARD, keyed_block, mixed_block, plain_block};
use crate::{Error, Settings, ShardGroup, read_barriers};

const MANIFEST: Bytes = Bytes::from_static(b"the segments up to the cut");

async fn cut_pending(group: &ShardGroup, to: u64) {
    let mut positions = group.watch();
    must(
        "the cut is applied",
        positions.wait_for(|positions| positions.cut_to >= to),
    )
    .await
    .unwrap();
}

/// Fills the shard, cuts, reports the segment on these nodes and waits until their logs are trimmed.
async fn cut_and_trim(cluster: &Cluster) -> u64 {
    for n in 0..5 {
        let block = keyed_block(SHARD, &[n], 2, 0);
        cluster
            .shard(cluster.ids()[0])
            .propose(block, soon())
            .await
            .unwrap();
    }
    let leader = cluster.leader().await;
    let range = cluster.shard(leader).cut(soon()).await.unwrap().unwrap();
    assert_eq!(range.start, 0);
    for id in cluster.ids() {
        let group = cluster.shard(id);
        cut_pending(group, range.end).await;
        assert_eq!(group.view().pending_cuts, std::slice::from_ref(&range));
        group.segment_built(range.clone(), MANIFEST).await.unwrap();
        let view = group.view();
        assert!(view.tail.is_empty() && view.pending_cuts.is_empty());
        assert_eq!(
            (view.segmented_to, view.manifest.clone()),
            (range.end, MANIFEST)
        );
        cluster.trimmed(id, range.end).await;
    }
    range.end
}

async fn comes_back_by_snapshot(mut cluster: Cluster) {
    let late = cluster.follower().await;
    cluster.kill(late);
    let cut_to = cut_and_trim(&cluster).await;
    let after = plain_block(SHARD, 99);
    cluster
        .shard(cluster.ids()[0])
        .propose(after.clone(), soon())
        .await
        .unwrap();

    // The first attempts to fetch fail and leave the old state.
    *cluster.installers[&late].failures.lock() = 2;
    cluster.restart(late).await;
    let group = cluster.shard(late).clone();
    group.read_barrier(soon()).await.unwrap();
    let view = group.view();
    assert_eq!(
        (view.segmented_to, view.manifest.clone()),
        (cut_to, MANIFEST)
    );
    assert_eq!(view.tail.len(), 1);
    assert_eq!(view.tail[0].block.bytes(), after.bytes());
    let fetched = cluster.installers[&late].fetched.lock().clone();
    assert!(!fetched.is_empty());
    assert!(
        fetched
            .iter()
            .all(|(source, manifest)| *source != late && *manifest == MANIFEST)
    );

    drop((group, view));

    // What it learnt by snapshot it knows as a leader, and after a restart.
    cluster.kill(late);
    cluster.restart(late).await;
    let leader = cluster.leader().await;
    if leader != late {
        cluster.shard(late).read_barrier(soon()).await.unwrap();
        cluster.shard(leader).transfer_leader(late).await.unwrap();
    }
    let repeat = keyed_block(SHARD, &[3], 2, 0);
    let receipts = cluster.shard(late).propose(repeat, soon()).await.unwrap();
    assert!(receipts[0].duplicate && receipts[0].origin.seq < cut_to);
    assert_eq!(cluster.shard(late).view().segmented_to, cut_to);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_behind_the_trim_fetches_the_segments_and_goes_on_mem() {
    comes_back_by_snapshot(Cluster::on_mem().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_behind_the_trim_fetches_the_segments_and_goes_on_rocks() {
    comes_back_by_snapshot(Cluster::on_rocks().await).await;
}

/// Cuts until so many bytes of blocks are in segments of all running nodes.
async fn cut_bytes(cluster: &Cluster, bytes: u64) {
    let mut cut = 0;
    for n in 0.. {
        let leader = cluster.shard(cluster.leader().await);
        let block = plain_block(SHARD, n);
        leader.propose(block, soon()).await.unwrap();
        cut += leader.watch().borrow().uncut_bytes;
        let range = leader.cut(soon()).await.unwrap().unwrap();
        for id in cluster.ids() {
            let group = cluster.shard(id);
            cut_pending(group, range.end).await;
            group.segment_built(range.clone(), MANIFEST).await.unwrap();
            group.trim().await.unwrap();
        }
        if cut >= bytes {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_lacks_stays_in_the_leaders_log_up_to_a_limit() {
    let keep = 4 << 10;
    let mut cluster = Cluster::on_mem_with(Settings {
        log_keep: keep,
        ..settings()
    })
    .await;
    let late = cluster.follower().await;
    let group = cluster.shard(cluster.leader().await);
    group.propose(plain_block(SHARD, 0), soon()).await.unwrap();
    cluster.shard(late).read_barrier(soon()).await.unwrap();
    cluster.kill(late);
    cut_bytes(&cluster, 2 * keep).await;
    let group = cluster.shard(cluster.leader().await);
    assert_eq!(group.status().trimmed_to, 0);
    cluster.restart(late).await;
    cluster.shard(late).read_barrier(soon()).await.unwrap();
    assert!(cluster.installers[&late].fetched.lock().is_empty());
    // Nobody lacks it any more.
    let leader = cluster.leader().await;
    cluster.trimmed(leader, 1).await;

    cluster.kill(late);
    let trimmed_to = cluster.shard(leader).status().trimmed_to;
    cut_bytes(&cluster, 6 * keep).await;
    cluster
        .trimmed(cluster.leader().await, trimmed_to + 1)
        .await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_replica_has_the_cuts_that_were_pending() {
    let mut cluster = Cluster::on_mem().await;
    cut_and_trim(&cluster).await;
    let leader = cluster.leader().await;
    cluster
        .shard(leader)
        .propose(plain_block(SHARD, 1), soon())
        .await
        .unwrap();
    let range = cluster.shard(leader).cut(soon()).await.unwrap().unwrap();
    let id = cluster.follower().await;
    cut_pending(cluster.shard(id), range.end).await;
    cluster.kill(id);
    cluster.restart(id).await;
    let group = cluster.shard(id);
    cut_pending(group, range.end).await;
    assert_eq!(group.view().pending_cuts, std::slice::from_ref(&range));
    let wrong = group
        .segment_built(range.start..range.end + 1, MANIFEST)
        .await;
    assert!(matches!(wrong, Err(Error::NoSuchCut { .. })));
    group.segment_built(range.clone(), MANIFEST).await.unwrap();
    cluster.trimmed(id, range.end).await;
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shard_says_so_on_every_way_and_hands_its_keys_on() {
    let next = hushlog_record::ShardId { bucket: 2, slot: 0 };
    let disk = || super::Disk::Mem(std::sync::Arc::default());
    let cluster = Cluster::start(disk, vec![SHARD, next]).await;
    let leader = cluster.leader().await;
    let group = cluster.shard(leader);
    let request = keyed_block(SHARD, &[1], 1, 0);
    let first = group.propose(request, soon()).await.unwrap();
    group.close(soon()).await.unwrap();
    for id in cluster.ids() {
        let error = cluster
            .shard(id)
            .propose(plain_block(SHARD, 1), soon())
            .await
            .unwrap_err();
        assert_eq!(error, crate::ProposeError::Closed);
    }

    // Until it has inherited, the next shard takes nothing that might be a repeat, not even in part.
    // Asked where it leads: a slow answer of another node would leave the outcome unknown.
    let heir = &must("the next shard has a leader", async {
        loop {
            let heir = heir_leader(&cluster, next);
            if heir.is_leader() {
                return heir;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for block in [keyed_block(next, &[1], 1, 0), mixed_block(next, 1)] {
        let soon = Instant::now() + Duration::from_millis(300);
        let error = heir.propose(block, soon).await.unwrap_err();
        assert!(
            matches!(error, crate::ProposeError::Unavailable(_)),
            "{error}"
        );
    }
    heir.read_barrier(soon()).await.unwrap();
    assert!(heir.view().tail.is_empty());
    heir.propose(plain_block(next, 5), soon()).await.unwrap();
    must("the keys are handed on", async {
        while heir_leader(&cluster, next)
            .inherit(group.producers(), soon())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let again = heir
        .propose(keyed_block(next, &[1], 1, 0), soon())
        .await
        .unwrap();
    assert!(again[0].duplicate);
    assert_eq!(again[0].origin, first[0].origin);
    cluster.stop();
}

/// The node's handle that leads `shard`, or any while none does.
fn heir_leader(cluster: &Cluster, shard: hushlog_record::ShardId) -> ShardGroup {
    let mut groups = cluster.nodes.values().map(|node| &node.shards[&shard]);
    let any = groups.clone().next();
    groups
        .find(|group| group.is_leader())
        .or(any)
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_barrier_serves_all_groups_of_a_node() {
    let second = hushlog_record::ShardId { bucket: 1, slot: 1 };
    let disk = || super::Disk::Mem(std::sync::Arc::default());
    let cluster = Cluster::start(disk, vec![SHARD, second]).await;
    let mut sequences = Vec::new();
    for shard in [SHARD, second] {
        let group = &cluster.nodes[&1].shards[&shard];
        let receipts = group.propose(plain_block(shard, 5), soon()).await.unwrap();
        sequences.push((shard, receipts[0].origin.seq));
    }
    for node in cluster.nodes.values() {
        let groups = [SHARD.group(), second.group(), 0, 12_345 << 16];
        let answers = read_barriers(&node.context, &groups, soon()).await;
        let ok: Vec<_> = answers
            .iter()
            .map(|(group, answer)| (*group, answer.is_ok()))
            .collect();
        let expected = [
            (0, true),
            (SHARD.group(), true),
            (second.group(), true),
            (12_345 << 16, false),
        ];
        assert_eq!(ok, expected);
        for (shard, seq) in &sequences {
            assert!(node.shards[shard].view().applied_to > *seq);
        }
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_segments_are_there_after_a_start() {
    const MERGED: Bytes = Bytes::from_static(b"the same rows in fewer segments");
    let mut cluster = Cluster::on_rocks().await;
    let late = cluster.follower().await;
    let cut_to = cut_and_trim(&cluster).await;
    let ids = cluster.ids();
    for id in ids.iter().filter(|id| **id != late) {
        let group = cluster.shard(*id);
        assert!(group.segments_merged(&MANIFEST, MERGED).await.unwrap());
        // It is not what it has any more.
        assert!(!group.segments_merged(&MANIFEST, MANIFEST).await.unwrap());
        assert_eq!(group.view().manifest, MERGED);
    }
    let id = *ids.iter().find(|id| **id != late).unwrap();
    cluster.kill(id);
    cluster.restart(id).await;
    let view = cluster.shard(id).view();
    assert_eq!((view.manifest.clone(), view.segmented_to), (MERGED, cut_to));
    assert_eq!(cluster.shard(late).view().manifest, MANIFEST);
    cluster.stop();
}
