//! Blocks from a node that has no replica of their shard.

use std::sync::Arc;

use hushlog_record::NodeId;
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::store::Mem;
use hushlog_storage::writer::Writer;
use tokio::time::Instant;

use super::super::{Context, Groups, Incarnations};
use super::{Cluster, PATIENCE, Tcp, soon};
use crate::testing::{SHARD, keyed_block};
use crate::{Way, propose_from_outside};

const OUTSIDER: NodeId = 9;

fn way(first: NodeId) -> Way {
    Way {
        first,
        in_vain: false,
    }
}

/// A node of the cluster without any group.
fn outsider(cluster: &Cluster) -> (Context, Writer) {
    let writer = Writer::spawn(Arc::new(Mem::new())).unwrap();
    let life = Incarnation {
        birth: OUTSIDER,
        number: 1,
        nonce: 1,
    };
    let context = Context {
        node: OUTSIDER,
        incarnations: Incarnations::open(life, writer.handle()).unwrap(),
        writer: writer.handle(),
        connect: Arc::new(Tcp::default()),
        groups: Groups::new(),
        ..cluster.nodes[&1].context.clone()
    };
    (context, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_replica_finds_the_leader_and_its_successor() {
    let mut cluster = Cluster::on_mem().await;
    let (context, _writer) = outsider(&cluster);
    let members = cluster.peers.clone();
    let leader = cluster.leader().await;
    for first in members.keys().copied().chain([OUTSIDER]) {
        let block = keyed_block(SHARD, &[first], 2, 0);
        let stored =
            propose_from_outside(&context, SHARD, &members, way(first), block, soon()).await;
        let (receipts, answered) = (stored.0.unwrap(), stored.1.first);
        assert_eq!((receipts.len(), answered), (1, leader));
        assert!(!receipts[0].duplicate);
    }
    let again = keyed_block(SHARD, &[1], 2, 0);
    let stored = propose_from_outside(&context, SHARD, &members, way(leader), again, soon()).await;
    assert!(stored.0.unwrap()[0].duplicate);
    cluster.kill(leader);
    let block = keyed_block(SHARD, &[77], 2, 0);
    let stored = propose_from_outside(&context, SHARD, &members, way(leader), block, soon()).await;
    stored.0.unwrap();
    let successor = stored.1.first;
    assert_ne!(successor, leader);
    assert!(!stored.1.in_vain);
    // Two of five blocks came again or to another leader; none is there twice.
    cluster.shard(successor).read_barrier(soon()).await.unwrap();
    assert_eq!(cluster.shard(successor).view().tail.len(), 5);
    cluster.kill(successor);
    let block = keyed_block(SHARD, &[78], 2, 0);
    let until = Instant::now() + PATIENCE / 10;
    let refused = propose_from_outside(&context, SHARD, &members, stored.1, block, until).await;
    assert!(refused.0.is_err());
    assert!(refused.1.in_vain, "the next one is not to wait as long");
    cluster.stop();
}
