//! The request keys that a shard takes over from the bucket before, wherever its shards are.
//!
//! A closed shard has applied all that it will ever hold, so any replica on which it is closed says the
//! same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hushlog_proto::hushlog::internal::v1::RequestKeysRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane, Peer, Table, meta};
use hushlog_record::{NodeId, ShardId};
use tokio::time::Instant;

use super::held::Held;
use super::replicas::Replicas;

/// How long another node may take to hand out the keys of one shard.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a node may take to begin: one that is silent must not keep the others from being asked.
const FIRST_DEADLINE: Duration = Duration::from_secs(2);
/// Pause before the keys are asked for, or stored, again.
const PAUSE: Duration = Duration::from_secs(1);

/// What has been gathered so far.
#[derive(Default)]
pub(crate) struct Inheritance {
    tables: BTreeMap<ShardId, Table>,
    again_at: Option<Instant>,
}

/// The keys of a shard that is here, once they are all that it will ever hand on.
fn of_held(held: &Held) -> Option<Table> {
    held.request_keys().unwrap_or_else(|error| {
        tracing::error!(shard = %held.shard(), %error, "the request keys cannot be read");
        None
    })
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
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        self.again_at = Some(Instant::now() + PAUSE);
        let missing = before
            .shards()
            .filter(|(shard, _)| !self.tables.contains_key(shard));
        let found = missing.map(|(shard, slot)| async move {
            let here = replicas.held(shard).and_then(|held| of_held(&held));
            let table = match here {
                Some(table) => Some(table),
                // It may be closed elsewhere long before a replica that lags has closed here.
                None => fetch(shard, replicas.members(slot), replicas.node(), connect).await,
            };
            (shard, table)
        });
        for (shard, table) in join_all(found).await {
            if let Some(table) = table {
                self.tables.insert(shard, table);
            }
        }
        if before
            .shards()
            .any(|(shard, _)| !self.tables.contains_key(&shard))
        {
            return None;
        }
        let mut all = Table::default();
        for table in self.tables.values() {
            all.merge(table.clone());
        }
        Some(all)
    }
}

/// The keys of a shard from the first of its members on which it is closed.
async fn fetch(
    shard: ShardId,
    members: BTreeMap<NodeId, Peer>,
    own: NodeId,
    connect: &Arc<dyn Connect>,
) -> Option<Table> {
    for (node, peer) in members.into_iter().filter(|(node, _)| *node != own) {
        let answer = fetch_from(shard, node, &peer.addr, connect);
        let answer = tokio::time::timeout(DEADLINE, answer);
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
    let answer = client.request_keys(RequestKeysRequest { group });
    let answer = tokio::time::timeout(FIRST_DEADLINE, answer).await;
    let mut pieces = answer
        .map_err(|_| "no answer in time".to_owned())?
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
