//! Messages that never reach a group.

use hushlog_proto::hushlog::internal::v1 as pb;
use tonic::Code;

use super::{CLUSTER, Cluster};
use crate::network::cluster_bytes;
use crate::testing::SHARD;

fn envelope(cluster: u128, target: u64, group: u64) -> Option<pb::Envelope> {
    let cluster = cluster_bytes(cluster);
    Some(pb::Envelope {
        cluster,
        from: 9,
        target,
        group,
        from_incarnation: Some(pb::Incarnation::default()),
        ..pb::Envelope::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_another_node_and_unknown_groups_are_refused() {
    let cluster = Cluster::on_mem().await;
    cluster.leader().await;
    let term = cluster.shard(1).status().term;
    let url = format!("http://{}", cluster.peers[&1].addr);
    let mut client = pb::raft_client::RaftClient::connect(url).await.unwrap();
    let vote = Some(pb::Vote {
        term: 1_000_000,
        node: 9,
        committed: false,
    });
    let cases = [
        (None, Code::InvalidArgument),
        (envelope(7, 1, SHARD.group()), Code::Unauthenticated),
        (envelope(CLUSTER, 2, SHARD.group()), Code::Unauthenticated),
        (envelope(CLUSTER, 1, 77 << 16), Code::NotFound),
    ];
    for (envelope, code) in cases {
        let request = pb::VoteRequest {
            envelope: envelope.clone(),
            vote,
            ..Default::default()
        };
        assert_eq!(client.vote(request).await.unwrap_err().code(), code);
        let append = pb::AppendRequest {
            envelope,
            vote,
            ..Default::default()
        };
        let heartbeat = client.heartbeat(append.clone()).await;
        assert_eq!(heartbeat.unwrap_err().code(), code);
        let stream = tokio_stream::iter([append]);
        let mut answers = client.append(stream).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap_err().code(), code);
    }
    assert_eq!(cluster.shard(1).status().term, term);
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_ends_the_stream_and_is_not_appended() {
    let cluster = Cluster::on_mem().await;
    cluster.leader().await;
    let url = format!("http://{}", cluster.peers[&1].addr);
    let mut client = pb::raft_client::RaftClient::connect(url).await.unwrap();
    let append = pb::AppendRequest {
        envelope: envelope(CLUSTER, 1, SHARD.group()),
        vote: Some(pb::Vote {
            term: 1_000_000,
            node: 2,
            committed: true,
        }),
        entries: vec![pb::Entry {
            head: b"not an entry".as_slice().into(),
            block: bytes::Bytes::new(),
        }],
        ..Default::default()
    };
    let mut answers = client
        .append(tokio_stream::iter([append]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::DataLoss);
    assert!(cluster.shard(1).status().term < 1_000_000);
    cluster.stop();
}
