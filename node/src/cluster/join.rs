//! How a node comes by the cluster's secret: it has it, makes it, or is given it by a peer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hushlog_proto::hushlog::internal::v1::JoinSecretRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane};

use super::secret::{self, Secret};
use super::settings::ClusterSettings;
use crate::entropy::Entropy;

const CALL_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// The secret of this node's cluster; kept in `folder` when this returns.
///
/// The first node of a new cluster makes it; any other waits until a peer hands it over.
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
        Secret::generate(&mut entropy.stream("cluster secret"))
    } else {
        ask_peers(settings, connect).await
    };
    secret.store(folder)?;
    Ok(secret)
}

async fn ask_peers(settings: &ClusterSettings, connect: &Arc<dyn Connect>) -> Secret {
    loop {
        for peer in settings
            .peers
            .iter()
            .filter(|peer| peer.id != settings.node)
        {
            match ask(peer.id, &peer.grpc, settings.node, connect).await {
                Ok(secret) => return secret,
                Err(reason) => {
                    tracing::debug!(peer = peer.id, reason, "no secret from this peer yet")
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
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
