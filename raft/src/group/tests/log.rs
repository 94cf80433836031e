//! What lies of a log on the disk of one replica is damaged, and mended with what another has.

use std::sync::Arc;

use bytes::Bytes;
use hushlog_record::ShardId;
use hushlog_storage::store::{Batch, Durability, Mem, Space, Store as _};

use super::{Cluster, Disk, must, soon};
use crate::log_store::keys;
use crate::testing::{SHARD, keyed_block, plain_block};
use crate::{LogEntries, LogPiece, ShardGroup, inspect};

/// The log of this replica from its beginning, once all before `to` is on its disk.
async fn log_up_to(group: &ShardGroup, to: u64) -> LogPiece {
    let waited = async {
        loop {
            match group.log_piece(0).await.unwrap() {
                Some(piece) if piece.range.end >= to => return piece,
                Some(_) | None => tokio::task::yield_now().await,
            }
        }
    };
    must("the log is on the disk", waited).await
}

fn disk_of(cluster: &Cluster, node: u64) -> Arc<Mem> {
    match &cluster.disks[&node] {
        Disk::Mem(mem) => Arc::clone(mem),
        Disk::Rocks(_) => unreachable!("this cluster is in memory"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_is_found_and_mended_with_anothers() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.shard(cluster.leader().await).clone();
    for n in 0..5 {
        leader.propose(plain_block(SHARD, n), soon()).await.unwrap();
    }
    // With rows that are there already.
    for keys in [[1, 2], [2, 3]] {
        let block = keyed_block(SHARD, &keys, 2, 0);
        leader.propose(block, soon()).await.unwrap();
    }
    let node = cluster.follower().await;
    let group = cluster.shard(node).clone();
    group.read_barrier(soon()).await.unwrap();
    let to = leader.view().applied_to;
    let whole = log_up_to(&group, to).await;
    assert_eq!(whole.damaged, [0; 0]);
    let entries = whole.entries.clone().unwrap();
    assert_eq!(entries.range(), whole.range);
    // Replicas have the same, byte for byte.
    log_up_to(&leader, to).await;
    let theirs = leader.log_entries(whole.range.clone()).await.unwrap();
    assert_eq!(theirs, whole.entries);
    assert_eq!(group.log_entries(0..to + 100).await.unwrap(), None);

    for (index, bit) in [(to - 1, 900), (to - 1, 3), (to - 3, 200)] {
        let key = keys::entry(SHARD.group(), index);
        assert!(disk_of(&cluster, node).flip_bit(Space::Log, &key, bit));
        let piece = group.log_piece(0).await.unwrap().unwrap();
        assert_eq!((piece.damaged, piece.entries), (vec![index], None));
        let one = index..index + 1;
        assert_eq!(group.log_entries(one.clone()).await.unwrap(), None);
        let given = leader.log_entries(one).await.unwrap().unwrap();
        // Another one's entry, or a damaged one, is not taken.
        assert!(LogEntries::new(SHARD, index + 1, given.stored().to_vec()).is_err());
        let other = ShardId { bucket: 1, slot: 9 };
        assert!(LogEntries::new(other, index, given.stored().to_vec()).is_err());
        let mut damaged = given.stored()[0].to_vec();
        damaged[40] ^= 1;
        assert!(LogEntries::new(SHARD, index, vec![damaged.into()]).is_err());
        let given = LogEntries::new(SHARD, index, given.stored().to_vec()).unwrap();
        assert_eq!(group.mend_log(&given).await.unwrap(), 1);
        assert_eq!(group.log_piece(0).await.unwrap(), Some(whole.clone()));
    }

    drop((group, leader));
    cluster.kill(node);
    cluster.restart(node).await;
    let group = cluster.shard(node);
    group.read_barrier(soon()).await.unwrap();
    assert_eq!(group.view().tail.len(), 7);
    cluster.stop();
}

/// The block that this replica has applied at `index`.
fn applied(group: &ShardGroup, index: u64) -> Bytes {
    let view = group.view();
    let found = view.tail.iter().find(|block| block.seq == index);
    found.expect("it is in the tail").block.bytes().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_left_and_opened_anew_applies_what_its_log_says_by_then() {
    let mut cluster = Cluster::on_mem().await;
    let leader = cluster.shard(cluster.leader().await).clone();
    for n in 0..5 {
        leader.propose(plain_block(SHARD, n), soon()).await.unwrap();
    }
    let node = cluster.follower().await;
    cluster.shard(node).read_barrier(soon()).await.unwrap();
    let to = leader.view().applied_to;
    log_up_to(cluster.shard(node), to).await;
    drop(leader);
    cluster.kill(node);
    let (index, key) = (to - 2, keys::entry(SHARD.group(), to - 2));
    let disk = disk_of(&cluster, node);
    let right = disk.get(Space::Log, &key).unwrap().unwrap();
    let wrong = plain_block(SHARD, 900);
    let other = inspect::entry_with(&right, wrong.clone()).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Space::Log, key, other);
    disk.write(batch, Durability::Synced).unwrap();

    cluster.restart(node).await;
    let group = cluster.shard(node).clone();
    group.read_barrier(soon()).await.unwrap();
    assert_eq!(applied(&group, index), *wrong.bytes());
    // Nothing tells of it: every entry is whole.
    assert_eq!(log_up_to(&group, to).await.damaged, [0; 0]);
    let given = LogEntries::new(SHARD, index, vec![right]).unwrap();
    assert_eq!(group.mend_log(&given).await.unwrap(), 1);
    assert_eq!(applied(&group, index), *wrong.bytes());

    group.leave().await.unwrap();
    let installer = cluster.installers[&node].clone();
    let context = cluster.nodes[&node].context.clone();
    let anew = ShardGroup::open(&context, SHARD, 0, installer).await;
    let anew = anew.unwrap();
    anew.read_barrier(soon()).await.unwrap();
    assert!(given.stored()[0].ends_with(&applied(&anew, index)));
    assert_eq!(anew.view().tail.len(), 5);
    anew.shutdown().await;
    cluster.stop();
}
