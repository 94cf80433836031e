//! The request keys that a shard takes over from the bucket before, wherever its shards are.
//!
//! A closed shard has applied all that it will ever hold, so any replica on which it is closed says the
//! same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::RequestKeysRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane, Table, meta};
use hushlog_record::{NodeId, ShardId};

use super::replica::Replica;
use super::replicas::Replicas;

/// How long another node may take to hand out the keys of one shard.
const DEADLINE: Duration = Duration::from_secs(10);

/// What has been gathered so far.
#[derive(Default)]
pub(crate) struct Inheritance {
    tables: BTreeMap<ShardId, Table>,
}

/// The keys of a shard, once it is closed here and has what it inherited itself.
pub(crate) fn of_closed(replica: &Replica) -> Option<Table> {
    let positions = replica.positions();
    (positions.closed && positions.inherited).then(|| replica.group.producers())
}

impl Inheritance {
    /// Asks for the keys of the shards of `before` that are still missing, and gives all of them as soon
    /// as there are no more.
    pub(crate) async fn gather(
        &mut self,
        before: &meta::Bucket,
        replicas: &Replicas,
        connect: &Arc<dyn Connect>,
    ) -> Option<Table> {
        for (shard, slot) in before.shards() {
            if self.tables.contains_key(&shard) {
                continue;
            }
            let found = match replicas.get(shard) {
                Some(replica) => of_closed(&replica),
                None => {
                    let members = replicas.members(slot);
                    let members = members.into_iter().map(|(node, peer)| (node, peer.addr));
                    fetch(shard, members, connect).await
                }
            };
            self.tables.insert(shard, found?);
        }
        let mut all = Table::default();
        for (_, table) in std::mem::take(&mut self.tables) {
            all.merge(table);
        }
        Some(all)
    }
}

/// The keys of a shard from the first of its members on which it is closed.
async fn fetch(
    shard: ShardId,
    members: impl Iterator<Item = (NodeId, String)>,
    connect: &Arc<dyn Connect>,
) -> Option<Table> {
    for (node, addr) in members {
        let answer = tokio::time::timeout(DEADLINE, fetch_from(shard, node, &addr, connect));
        match answer.await {
            Ok(Ok(table)) => return Some(table),
            Ok(Err(reason)) => tracing::debug!(%shard, node, reason, "no request keys yet"),
            Err(_) => tracing::debug!(%shard, node, "no request keys in time"),
        }
    }
    None
}

async fn fetch_from(
    shard: ShardId,
    node: NodeId,
    addr: &str,
    connect: &Arc<dyn Connect>,
) -> Result<Table, String> {
    let channel = connect.channel(node, addr, Lane::Bulk);
    let mut client = NodeClient::new(channel.map_err(|status| status.to_string())?);
    let group = shard.group();
    let answer = client.request_keys(RequestKeysRequest { group }).await;
    let mut pieces = answer
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces
        .message()
        .await
        .map_err(|status| status.to_string())?
    {
        if bytes.len() + piece.data.len() > Table::BYTES_MAX {
            return Err("more keys than a shard remembers".into());
        }
        bytes.extend_from_slice(&piece.data);
    }
    Table::from_bytes(&bytes).map_err(|error| error.to_string())
}
