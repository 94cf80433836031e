//! Brings a sealed shard to this node from another one that has it, whole and as it was agreed on.
//!
//! For a replica that fell behind when the others finished, and for one that is new or has lost its whole
//! folder. Everything is verified against the seal in the meta group before it counts. Files that are lost
//! or damaged after the seal are not looked for yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::SealedShardRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Installer, Lane, MetaGroup, Table, meta};
use hushlog_record::{NodeId, ShardId};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::MESSAGE_BYTES_MAX;
use super::files::Fetcher;
use super::held::Held;
use super::replica::{Error, Replica};
use super::replicas::Replicas;
use super::sealed::Received;

/// How often shards that are missing here are looked for.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Pause before a shard that could not be restored is tried again: what was fetched is read whole then.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// How long a node may take for its next piece.
const PIECE_DEADLINE: Duration = Duration::from_secs(5);

/// Brings sealed shards here; a cheap clone.
#[derive(Clone)]
pub(crate) struct Restorer {
    pub(crate) replicas: Replicas,
    pub(crate) meta: MetaGroup,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) connect: Arc<dyn Connect>,
    /// When shards that could not be restored are tried again.
    pub(crate) again_at: Arc<Mutex<BTreeMap<ShardId, Instant>>>,
}

impl Restorer {
    /// Looks once: restores the sealed shards that this node should hold and does not, one after the
    /// other, and forgets request keys that nobody will ask for.
    pub(crate) async fn tick(&self) {
        let state = self.meta.state();
        for (shard, seal) in &state.sealed {
            let placed = state.slot(*shard);
            let here = placed.is_some_and(|slot| slot.voters.contains(&self.replicas.node()));
            let outcome = match self.replicas.held(*shard) {
                None if here && self.is_due(*shard) => self.restore_missing(*shard, seal).await,
                Some(Held::Sealed(replica)) if is_inherited(&state, *shard) => {
                    replica.forget_keys().await
                }
                None | Some(_) => continue,
            };
            if let Err(error) = outcome {
                tracing::info!(%shard, %error, "not restored yet");
                let again_at = Instant::now() + RETRY_PAUSE;
                self.again_at.lock().insert(*shard, again_at);
            }
        }
    }

    fn is_due(&self, shard: ShardId) -> bool {
        let mut again_at = self.again_at.lock();
        let due = again_at.get(&shard).is_none_or(|at| Instant::now() >= *at);
        if due {
            again_at.remove(&shard);
        }
        due
    }

    async fn restore_missing(&self, shard: ShardId, seal: &meta::Seal) -> Result<(), Error> {
        if !self.replicas.is_absent(shard)? {
            return Ok(());
        }
        let received = self.fetch(shard, seal).await?;
        self.replicas.install(shard, received).await?;
        tracing::info!(%shard, "a sealed shard was restored");
        Ok(())
    }

    /// Ends the group of a replica that is not what was agreed on, with what another node has.
    pub(crate) async fn replace(
        &self,
        replica: &Arc<Replica>,
        seal: &meta::Seal,
    ) -> Result<(), Error> {
        let _installing = replica.group.installing().await;
        let received = self.fetch(replica.shard, seal).await?;
        self.replicas.replace(replica, received).await?;
        tracing::info!(shard = %replica.shard, "a replica that fell behind was restored");
        Ok(())
    }

    /// Fetches what the shard is and the files that this node lacks.
    async fn fetch(&self, shard: ShardId, seal: &meta::Seal) -> Result<Received, Error> {
        let sources = self.sources(shard);
        let mut reasons = Vec::new();
        for (node, addr) in &sources {
            match self.ask(*node, addr, shard, seal).await {
                Ok(received) => {
                    let manifest = received.sealed.manifest.clone();
                    let fetched = self.fetcher.fetch(shard, &sources, manifest).await;
                    fetched.map_err(Error::Fetch)?;
                    return Ok(received);
                }
                Err(reason) => reasons.push(format!("node {node}: {reason}")),
            }
        }
        Err(Error::Fetch(format!(
            "no node gave the shard: {}",
            reasons.join("; ")
        )))
    }

    fn sources(&self, shard: ShardId) -> Vec<(NodeId, String)> {
        let state = self.meta.state();
        let members = state.slot(shard).map(|slot| self.replicas.members(slot));
        let others = members.unwrap_or_default().into_iter();
        others
            .filter(|(node, _)| *node != self.replicas.node())
            .map(|(node, peer)| (node, peer.addr))
            .collect()
    }

    async fn ask(
        &self,
        node: NodeId,
        addr: &str,
        shard: ShardId,
        seal: &meta::Seal,
    ) -> Result<Received, String> {
        let channel = self.connect.channel(node, addr, Lane::Bulk);
        let channel = channel.map_err(|status| status.to_string())?;
        let mut client = NodeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let late = |_| "no answer in time".to_owned();
        let group = shard.group();
        let answer = client.sealed_shard(SealedShardRequest { group });
        let answer = timeout(PIECE_DEADLINE, answer).await.map_err(late)?;
        let mut pieces = answer
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        let mut first = None;
        let mut keys = Vec::new();
        loop {
            let piece = timeout(PIECE_DEADLINE, pieces.message()).await;
            let piece = piece
                .map_err(late)?
                .map_err(|status| status.message().to_owned())?;
            let Some(piece) = piece else { break };
            if keys.len() + piece.keys.len() > Table::BYTES_MAX {
                return Err("more keys than a shard remembers".into());
            }
            keys.extend_from_slice(&piece.keys);
            first.get_or_insert((piece.segmented_to, piece.manifest));
        }
        let (segmented_to, manifest) = first.ok_or("the answer is empty")?;
        Received::new(segmented_to, manifest, &keys, &seal.digest)
    }
}

/// Whether the shards of the next bucket remember the request keys of this one: they do when they are
/// sealed themselves.
fn is_inherited(state: &meta::State, shard: ShardId) -> bool {
    state.is_inherited(shard.bucket)
}
