//! The meta group: every node sees the same facts, also those that come as a snapshot.

use hushlog_record::Timestamp;

use super::{CLUSTER, Cluster, must, soon};
use crate::limits::META_SNAPSHOT_LOG_BYTES;
use crate::meta::{Answer, Command, Node, Plan, Slot};

fn node(id: u64, note: &str) -> Command {
    Command::RegisterNode(Node {
        id,
        grpc: format!("127.0.0.1:{id}"),
        http: note.into(),
        region: String::new(),
        zone: String::new(),
    })
}

fn open(expected: u64) -> Command {
    let slot = Slot {
        slot: 0,
        voters: vec![1, 2, 3],
        preferred_leader: 1,
    };
    let opened_at = Timestamp::from_millis(5);
    Command::OpenBucket {
        expected,
        opened_at,
        slots: vec![slot],
        plan: Plan::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_changes_the_facts_and_sees_its_change_at_once() {
    let mut cluster = Cluster::on_mem().await;
    let set = Command::SetCluster {
        cluster: CLUSTER,
        replication: 3,
    };
    for (id, running) in &cluster.nodes {
        assert_eq!(
            running.meta.propose(set.clone(), soon()).await.unwrap(),
            Answer::Done
        );
        running.meta.propose(node(*id, ""), soon()).await.unwrap();
        assert!(running.meta.state().nodes.contains_key(id));
    }
    // Every node wants to open the first bucket; one of them does.
    for running in cluster.nodes.values() {
        assert_eq!(
            running.meta.propose(open(0), soon()).await.unwrap(),
            Answer::Bucket(1)
        );
        assert_eq!(running.meta.state().buckets.len(), 1);
    }
    for id in cluster.ids() {
        cluster.kill(id);
        cluster.restart(id).await;
    }
    for running in cluster.nodes.values() {
        running.meta.read_barrier(soon()).await.unwrap();
        let state = running.meta.state();
        assert_eq!((state.cluster, state.replication), (CLUSTER, 3));
        assert_eq!(state.open_bucket().map(|bucket| bucket.bucket), Some(1));
        assert_eq!(state.nodes.len(), 3);
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_missed_the_trimmed_log_gets_the_facts_as_a_snapshot() {
    let mut cluster = Cluster::on_mem().await;
    cluster.kill(3);
    let note = "x".repeat(64 << 10);
    for n in 0..=META_SNAPSHOT_LOG_BYTES / (64 << 10) {
        let via = &cluster.nodes[&(1 + n % 2)].meta;
        via.propose(node(10 + n, &note), soon()).await.unwrap();
    }
    let leader = must("a leader", async {
        loop {
            let leads = cluster.nodes.iter().find(|(_, node)| node.meta.is_leader());
            match leads {
                Some((id, _)) => return *id,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let group = cluster.nodes[&leader].meta.clone();
    must("the log is trimmed", async {
        while group.status().trimmed_to == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    cluster.restart(3).await;
    let late = &cluster.nodes[&3].meta;
    late.read_barrier(soon()).await.unwrap();
    assert_eq!(late.state().nodes, group.state().nodes);
    cluster.stop();
}
