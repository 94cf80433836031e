//! `POST /_bulk`, `POST /{index}/_bulk`.
//!
//! A request is refused whole before any of it is stored: clients take one stored item of a mixed
//! answer as the word for all. Only what no retry could change is refused by itself.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use hushlog_ingest::body::Encoding;
use hushlog_ingest::json::Shape;
use hushlog_ingest::json::text::push_string;
use parking_lot::Mutex;
use rand::SeedableRng;
use serde::Deserialize;
use tokio::time::Instant;

use super::super::body::{Limits, read};
use super::super::ingest::{content_type, decoded, encodings, environment, service};
use super::filter::filtered;
use super::{Api, Failure, Kind, json_of};
use crate::api::bulk::{Id, Item, Reader};
use crate::entropy::Stream;
use crate::gateway::{Batch, Source};

/// What the address may say; all else is ignored.
#[derive(Deserialize)]
pub(super) struct Options {
    filter_path: Option<String>,
}

/// `POST /_bulk`.
pub(super) async fn at_root(
    state: State<Api>,
    options: Query<Options>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    at_index(state, Path(String::new()), options, headers, body).await
}

/// `POST /{index}/_bulk`.
pub(super) async fn at_index(
    State(api): State<Api>,
    Path(index): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let began = Instant::now();
    check_type(&headers)?;
    let encodings = encodings(&headers)?;
    let limits = Limits {
        bytes_max: api.body_bytes_max,
        compressed: !encodings.is_empty(),
        admission: api.gateway.admission(),
    };
    let (body, permit) = read(body, &headers, limits).await?;
    let items = Arc::new(Mutex::new(Vec::new()));
    let batch = Batch {
        source: source(&api, index.into(), body, encodings, Arc::clone(&items)),
        service: service(&headers),
        environment: environment(&headers),
        key: None,
    };
    api.gateway.push(batch, permit).await?;
    let items = std::mem::take(&mut *items.lock());
    let took = began.elapsed().as_millis();
    let render = move || {
        let answer = answer(&items, took);
        match options.filter_path {
            None => Ok(answer),
            Some(paths) => serde_json::from_str(&answer)
                .map(|value| filtered(value, &paths).to_string())
                .map_err(|_| Failure::new(Kind::Internal, "the answer cannot be filtered")),
        }
    };
    Ok(json_of(api.offload.run(render).await??))
}

/// Takes all the names that clients have for it.
fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    match content_type(headers).as_str() {
        ""
        | "application/json"
        | "application/x-ndjson"
        | "application/vnd.elasticsearch+json"
        | "application/vnd.elasticsearch+x-ndjson" => Ok(()),
        _ => {
            let message = "send Content-Type: application/x-ndjson";
            Err(Failure::new(Kind::UnsupportedMediaType, message))
        }
    }
}

fn source(
    api: &Api,
    index: Arc<str>,
    body: Bytes,
    encodings: Vec<Encoding>,
    items: Arc<Mutex<Vec<Item>>>,
) -> Source {
    let received = api.clock.now();
    let ids = Stream::from_rng(&mut *api.ids.lock());
    let limit = api.body_bytes_max;
    Box::new(move |room, each| {
        let decoded = decoded(room, &body, &encodings, limit)?;
        let reader = Reader {
            index,
            received,
            ids,
            room,
        };
        *items.lock() = reader.read(&decoded, each)?;
        Ok(Shape::Lines)
    })
}

fn answer(items: &[Item], took: u128) -> String {
    let errors = items.iter().any(|item| item.refused.is_some());
    let mut out = format!("{{\"took\":{took},\"errors\":{errors},\"items\":[");
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_item(&mut out, item);
    }
    out.push_str("]}");
    out
}

fn push_item(out: &mut String, item: &Item) {
    out.push_str("{\"");
    out.push_str(item.action.name());
    out.push_str("\":{\"_index\":");
    push_string(out, &item.index);
    out.push_str(",\"_id\":");
    match &item.id {
        None => out.push_str("null"),
        Some(Id::Log(id)) => push_string(out, &id.to_string()),
        Some(Id::Named(name)) => push_string(out, name),
    }
    match item.refused {
        None => out.push_str(",\"_version\":1,\"result\":\"created\",\"status\":201"),
        Some(reason) => {
            out.push_str(
                ",\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\",\"reason\":",
            );
            push_string(out, reason);
            out.push('}');
        }
    }
    out.push_str("}}");
}
