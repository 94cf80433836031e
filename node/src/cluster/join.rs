//! How a node comes by the cluster's secret: it has it, makes it, or is given it by a node of the cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hushlog_proto::hushlog::internal::v1::JoinSecretRequest;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane};
use hushlog_record::NodeId;
use tonic::Code;

use super::secret::{self, Secret};
use super::settings::ClusterSettings;
use crate::entropy::Entropy;

const CALL_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// How long the first node looks for a cluster that it belonged to. Nodes of a new one do not answer.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// What nodes of a cluster say to one that asks for its secret.
#[derive(Debug)]
enum Answer {
    /// Here it is.
    Secret(Secret),
    /// It may know that it is welcome: that was all it asked.
    Welcome,
    /// It is not known, or not yet.
    Unknown(String),
    /// It was removed.
    Removed(String),
    /// There was no answer, or none that can be used.
    None(String),
}

/// The secret of this node's cluster; kept in `folder` when this returns.
///
/// The first node of a new cluster makes it, unless a peer has one: then it was a member before, and
/// must not begin another cluster. Any other waits until a node of the cluster hands it over.
///
/// # Errors
/// When the file cannot be read or written; [`secret::Error::Removed`].
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
        let contacts = contacts(settings);
        let known = ask_once(settings, &contacts, None, connect);
        match tokio::time::timeout(FIRST_PATIENCE, known).await {
            Ok(Answer::Secret(secret)) => secret,
            Ok(Answer::Removed(reason)) => return Err(secret::Error::Removed(reason)),
            Ok(Answer::Welcome | Answer::Unknown(_) | Answer::None(_)) | Err(_) => {
                Secret::generate(&mut entropy.stream("cluster secret"))
            }
        }
    } else {
        ask_until_given(settings, connect).await?
    };
    secret.store(folder)?;
    Ok(secret)
}

/// Whether a node of this cluster says that this one was removed from it.
pub(crate) async fn is_removed(
    settings: &ClusterSettings,
    cluster: u128,
    others: &[String],
    connect: &Arc<dyn Connect>,
) -> bool {
    let answer = ask_once(settings, others, Some(cluster), connect).await;
    matches!(answer, Answer::Removed(_))
}

/// Where nodes of the cluster are reached.
pub(crate) fn contacts(settings: &ClusterSettings) -> Vec<String> {
    let peers = settings.peers.iter();
    let peers = peers.filter(|peer| peer.id != settings.node);
    let peers = peers.map(|peer| peer.grpc.clone());
    peers.chain(settings.join.iter().cloned()).collect()
}

async fn ask_until_given(
    settings: &ClusterSettings,
    connect: &Arc<dyn Connect>,
) -> Result<Secret, secret::Error> {
    let contacts = contacts(settings);
    let mut told = String::new();
    loop {
        match ask_once(settings, &contacts, None, connect).await {
            Answer::Secret(secret) => return Ok(secret),
            Answer::Removed(reason) => return Err(secret::Error::Removed(reason)),
            Answer::Unknown(reason) if reason != told => {
                tracing::warn!(reason, "waiting to be let in");
                told = reason;
            }
            Answer::Welcome | Answer::Unknown(_) | Answer::None(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The first answer of any node that decides something, all asked at once; else the last one. A member asks
/// only whether it still is one of this cluster.
async fn ask_once(
    settings: &ClusterSettings,
    contacts: &[String],
    member_of: Option<u128>,
    connect: &Arc<dyn Connect>,
) -> Answer {
    let asked = contacts
        .iter()
        .map(|addr| ask(addr, settings.node, member_of, connect));
    let mut asked: FuturesUnordered<_> = asked.collect();
    let mut last = Answer::None("there is nobody to ask".into());
    while let Some(answer) = asked.next().await {
        match answer {
            Answer::Secret(_) | Answer::Removed(_) => return answer,
            Answer::None(ref reason) => tracing::debug!(reason, "no answer from this node yet"),
            Answer::Welcome | Answer::Unknown(_) => last = answer,
        }
    }
    last
}

/// Nobody knows a contact's number before it has answered, and nobody needs it to reach it.
const ANY: NodeId = 0;

async fn ask(
    addr: &str,
    node: NodeId,
    member_of: Option<u128>,
    connect: &Arc<dyn Connect>,
) -> Answer {
    let channel = match connect.channel(ANY, addr, Lane::Control) {
        Ok(channel) => channel,
        Err(status) => return Answer::None(status.message().to_owned()),
    };
    let mut client = NodeClient::new(channel);
    let call = client.join_secret(JoinSecretRequest {
        node_id: node,
        only_ask: member_of.is_some(),
        cluster: member_of.map_or_else(Default::default, |id| id.to_be_bytes().to_vec().into()),
    });
    let answer = match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => {
            let reason = status.message().to_owned();
            return match status.code() {
                Code::FailedPrecondition => Answer::Removed(reason),
                Code::PermissionDenied => Answer::Unknown(reason),
                _ => Answer::None(reason),
            };
        }
        Err(_) => return Answer::None("no answer in time".into()),
    };
    if member_of.is_some() {
        return Answer::Welcome;
    }
    match Secret::from_bytes(&answer.secret) {
        Some(secret) => Answer::Secret(Secret {
            given: true,
            ..secret
        }),
        None => Answer::None("the answer is damaged".into()),
    }
}
