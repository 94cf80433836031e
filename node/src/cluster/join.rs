//! How a node comes by the cluster's secret: it has it, makes it, or is given it by a peer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hushlog_proto::hushlog::internal::v1::JoinSecretRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane};

use super::secret::{self, Secret};
use super::settings::ClusterSettings;
use crate::entropy::Entropy;

const CALL_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// How long the first node looks for a cluster that it belonged to. Nodes of a new one do not answer.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// The secret of this node's cluster; kept in `folder` when this returns.
///
/// The first node of a new cluster makes it, unless a peer has one: then it was a member before, and
/// must not begin another cluster. Any other waits until a peer hands it over.
///
/// # Errors
/// When the file cannot be read or written.
pub async fn secret(
    folder: &Path,
    settings: &ClusterSettings,
    entropy: &Entropy,
    connect: &Arc<dyn Connect>,
) -> Result<Secret, secret::Error> {
    if let Some(secret) = Secret::load(folder)? {
        return Ok(secret);
    }
    let secret = if settings.is_first() {
        let known = tokio::time::timeout(FIRST_PATIENCE, ask_once(settings, connect)).await;
        known
            .ok()
            .flatten()
            .unwrap_or_else(|| Secret::generate(&mut entropy.stream("cluster secret")))
    } else {
        ask_peers(settings, connect).await
    };
    secret.store(folder)?;
    Ok(secret)
}

async fn ask_peers(settings: &ClusterSettings, connect: &Arc<dyn Connect>) -> Secret {
    loop {
        if let Some(secret) = ask_once(settings, connect).await {
            return secret;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The first answer of any peer, asked all at once; `None` when none has a secret.
async fn ask_once(settings: &ClusterSettings, connect: &Arc<dyn Connect>) -> Option<Secret> {
    let peers = settings.peers.iter();
    let others = peers.filter(|peer| peer.id != settings.node);
    let asked = others.map(|peer| async move {
        let answer = ask(peer.id, &peer.grpc, settings.node, connect).await;
        if let Err(reason) = &answer {
            tracing::debug!(peer = peer.id, reason, "no secret from this peer yet");
        }
        answer.ok()
    });
    let mut asked: FuturesUnordered<_> = asked.collect();
    while let Some(answer) = asked.next().await {
        if answer.is_some() {
            return answer;
        }
    }
    None
}

async fn ask(
    peer: u64,
    addr: &str,
    node: u64,
    connect: &Arc<dyn Connect>,
) -> Result<Secret, String> {
    let channel = connect
        .channel(peer, addr, Lane::Control)
        .map_err(|status| status.message().to_owned())?;
    let mut client = NodeClient::new(channel);
    let call = client.join_secret(JoinSecretRequest { node_id: node });
    let answer = tokio::time::timeout(CALL_DEADLINE, call)
        .await
        .map_err(|_| "no answer in time")?;
    let answer = answer
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    Secret::from_bytes(&answer.secret).ok_or_else(|| "the answer is damaged".into())
}
