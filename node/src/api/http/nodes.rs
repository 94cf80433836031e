//! Nodes that come and go.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use hushlog_record::NodeId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::body::Small;
use super::{Api, Failure, Kind, json};
use crate::cluster::nodes::Admission;
use crate::limits::{NODES_BODY_BYTES_MAX, NODES_TIMEOUT};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    id: Option<NodeId>,
    grpc: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rebalance {
    replication: Option<u32>,
}

/// `POST /api/v1/cluster/nodes`: lets a node in, or has one stay that was to leave.
pub(super) async fn add(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    let body = body.read(&api, NODES_BODY_BYTES_MAX).await?;
    let Some(Node { id, grpc }) = parsed(&body, r#"{"grpc":"host:port"}, {"id":4}, or both"#)?
    else {
        let why = "the body is empty; send {\"grpc\":\"host:port\"} of the node that is to come";
        return Err(Failure::new(Kind::EmptyBody, why));
    };
    if id == Some(0) || (id.is_none() && grpc.is_none()) {
        let why = "name the node by `id`, a number from 1, or by `grpc`, host:port";
        return Err(Failure::new(Kind::InvalidArgument, why));
    }
    let admitted = api
        .control
        .admit(Admission { id, grpc }, deadline())
        .await?;
    let status = if admitted.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json(status, &admitted.view))
}

/// `DELETE /api/v1/cluster/nodes/{id}`: has a node leave; again, how far that is.
pub(super) async fn drain(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = id.parse().map_err(|_| {
        let why = "a node is named by its number; GET /api/v1/cluster lists them";
        Failure::new(Kind::InvalidArgument, why)
    })?;
    let progress = api.control.drain(id, deadline()).await?;
    Ok(json(StatusCode::ACCEPTED, &progress))
}

/// `POST /api/v1/cluster/rebalance`: has replicas spread evenly.
pub(super) async fn rebalance(State(api): State<Api>, body: Small) -> Result<Response, Failure> {
    let body = body.read(&api, NODES_BODY_BYTES_MAX).await?;
    let asked: Option<Rebalance> = parsed(&body, r#"{"replication":3}, or nothing"#)?;
    let replication = asked.unwrap_or_default().replication;
    let progress = api.control.rebalance(replication, deadline()).await?;
    Ok(json(StatusCode::ACCEPTED, &progress))
}

/// What the body says; `None` where it is empty.
fn parsed<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<Option<T>, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let refused = || {
        let why = format!("the body must be a JSON object: {expected}");
        Failure::new(Kind::InvalidBody, why)
    };
    // An array would be taken for the members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(refused());
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|_| refused())
}

fn deadline() -> Instant {
    Instant::now() + NODES_TIMEOUT
}
