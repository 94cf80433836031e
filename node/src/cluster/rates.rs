//! Tells the other nodes what this one takes in of services with a rate limit, so that the rate holds for all
//! of them together.
//!
//! What cannot be told in time is told nobody: a node that is cut off goes by itself, and owes nothing for
//! that when it is back.

use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::Lane;
use hushlog_raft::meta::Limit;
use hushlog_record::NodeId;
use tokio::time::{sleep, timeout};

use super::Cluster;
use crate::gateway::Spent;
use crate::limits::RATE_TELL_PAUSE;
use crate::tasks::unless_stopped;

/// How long a node has to take note.
const TELL_DEADLINE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Tells the others until the node stops.
    pub(super) async fn tell_rates(self) -> Result<(), super::Error> {
        let stop = self.inner.tasks.stop_token();
        while unless_stopped(&stop, sleep(RATE_TELL_PAUSE)).await {
            let spent = self.inner.rates.to_tell();
            if !spent.is_empty() && !unless_stopped(&stop, self.tell(&spent)).await {
                break;
            }
        }
        Ok(())
    }

    async fn tell(&self, spent: &[Spent]) {
        let own = self.settings().node;
        let request = pb::SpentRequest {
            accounts: spent.iter().map(to_wire).collect(),
        };
        let others = self.replicas().all_members().into_iter();
        let others = others.filter(|(node, _)| *node != own);
        let told = others.map(|(node, peer)| {
            let request = request.clone();
            async move {
                if let Err(reason) = self.tell_one(node, &peer.addr, request).await {
                    tracing::debug!(node, reason, "a node was not told what was taken in");
                }
            }
        });
        join_all(told).await;
    }

    async fn tell_one(
        &self,
        node: NodeId,
        addr: &str,
        request: pb::SpentRequest,
    ) -> Result<(), String> {
        let channel = self.connect().channel(node, addr, Lane::Control);
        let channel = channel.map_err(|status| status.message().to_owned())?;
        let mut client = NodeClient::new(channel);
        let answer = timeout(TELL_DEADLINE, client.spent(request)).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?;
        answer.map_err(|status| status.message().to_owned())?;
        Ok(())
    }

    /// Takes note of what another node has taken in.
    pub(super) fn learn_rates(&self, request: pb::SpentRequest) {
        let spent: Vec<Spent> = request.accounts.into_iter().map(of_wire).collect();
        self.inner.rates.learn(&spent);
    }
}

fn to_wire(spent: &Spent) -> pb::SpentAccount {
    pb::SpentAccount {
        key: spent.key,
        records_per_second: spent.limit.records_per_second.unwrap_or(0),
        bytes_per_second: spent.limit.bytes_per_second.unwrap_or(0),
        records: spent.records,
        text_bytes: spent.text_bytes,
    }
}

fn of_wire(account: pb::SpentAccount) -> Spent {
    let rate = |rate: u64| Some(rate).filter(|rate| *rate > 0);
    Spent {
        key: account.key,
        limit: Limit {
            records_per_second: rate(account.records_per_second),
            bytes_per_second: rate(account.bytes_per_second),
        },
        records: account.records,
        text_bytes: account.text_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives_as_it_was() {
        for (records_per_second, bytes_per_second) in
            [(Some(3), None), (None, Some(9)), (Some(1), Some(2))]
        {
            let spent = Spent {
                key: 7,
                limit: Limit {
                    records_per_second,
                    bytes_per_second,
                },
                records: 5,
                text_bytes: 600,
            };
            assert_eq!(of_wire(to_wire(&spent)), spent);
        }
    }
}
