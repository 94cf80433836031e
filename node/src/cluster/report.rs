//! How every node of the cluster is and what it holds, asked of each at the moment of the question.
//!
//! A node that does not answer in time is shown as such; nothing here decides anything.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::Lane;
use hushlog_raft::meta::Standing;
use hushlog_record::{NodeId, Timestamp};
use hushlog_storage::files;
use tokio::time::timeout;

use super::held::Held;
use super::{Cluster, MESSAGE_BYTES_MAX, agreed, gauges};

/// How long a node has to say how it is.
const REPORT_DEADLINE: Duration = Duration::from_secs(1);

/// What a node says, or why it says nothing.
pub(crate) type Report = Result<pb::NodeReport, String>;

impl Cluster {
    /// This node, as it sees itself. Blocks on the disk.
    pub(crate) fn report(&self) -> pb::NodeReport {
        let disk = |bytes: Result<u64, hushlog_storage::Error>| {
            bytes.unwrap_or_else(|error| {
                tracing::warn!(%error, "the space of the disk is not known");
                0
            })
        };
        // Before the shards: what is among them although the facts had placed it elsewhere stays.
        let facts = self.inner.meta.state();
        let doubts = self.replicas().doubts();
        let held = self.replicas().all_held();
        let shards: Vec<pb::HeldShard> = held
            .iter()
            .map(|held| {
                let (leads, applied_to) = match held {
                    Held::Open(replica) => {
                        (replica.group.is_leader(), replica.positions().applied_to)
                    }
                    Held::Sealed(replica) => (false, replica.segmented_to),
                };
                pb::HeldShard {
                    group: held.shard().group(),
                    sealed: !held.is_open(),
                    // Nobody may count on a copy that gives no answer.
                    damaged: doubts.is_damaged(held.shard())
                        || !agreed::is_whole(held, &facts, None),
                    leads,
                    applied_to,
                    bytes: held.file_bytes().total(),
                }
            })
            .collect();
        pb::NodeReport {
            unready: self.ready().err().unwrap_or_default(),
            disk_total: disk(files::disk_bytes(&self.inner.store)),
            disk_free: disk(files::free_bytes(&self.inner.store)),
            log_bytes: gauges::folder_bytes(&self.inner.store),
            segment_bytes: shards.iter().map(|shard| shard.bytes).sum(),
            shards,
            clock: self.inner.clock.now().nanos(),
            facts_applied: facts.applied,
            node_id: self.inner.settings.node,
        }
    }

    /// The times of day of the other nodes, as far as they tell them in time.
    pub(crate) async fn other_clocks(&self) -> Vec<Timestamp> {
        let own = self.inner.settings.node;
        let facts = self.inner.meta.state();
        let counts = |node: NodeId| facts.standing(node) != Some(Standing::Joining);
        let reports = self.reports().await.into_iter();
        let others = reports.filter(|(node, _)| *node != own && counts(*node));
        others
            .filter_map(|(_, report)| Some(Timestamp::from_nanos(report.ok()?.clock)))
            .collect()
    }

    /// What all nodes say of themselves, asked at the same time.
    pub(crate) async fn reports(&self) -> BTreeMap<NodeId, Report> {
        let asked = self.replicas().all_members().into_iter();
        let reports =
            asked.map(|(node, peer)| async move { (node, self.report_of(node, &peer.addr).await) });
        join_all(reports).await.into_iter().collect()
    }

    /// What one node says of itself.
    pub(crate) async fn report_of(&self, node: NodeId, addr: &str) -> Report {
        if node != self.inner.settings.node {
            return self.report_from(node, addr).await;
        }
        let cluster = self.clone();
        let report = self.inner.offload.run(move || cluster.report());
        let report = timeout(REPORT_DEADLINE, report).await;
        let report = report.map_err(|_| "no answer in time".to_owned());
        report.and_then(|report| report.map_err(|error| error.to_string()))
    }

    async fn report_from(&self, node: NodeId, addr: &str) -> Report {
        let channel = self.inner.connect.channel(node, addr, Lane::Control);
        let channel = channel.map_err(|status| status.message().to_owned())?;
        let mut client = NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answer = timeout(REPORT_DEADLINE, client.report(pb::ReportRequest {}));
        let answer = answer.await.map_err(|_| "no answer in time".to_owned())?;
        let report = answer.map_err(|status| status.message().to_owned())?;
        let report = report.into_inner();
        if report.node_id != node {
            return Err(format!("node {} listens at its address", report.node_id));
        }
        Ok(report)
    }
}
