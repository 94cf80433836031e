//! `POST /_bulk`, `POST /{index}/_bulk`.
//!
//! A request is refused whole before any of it is stored: clients take one stored item of a mixed
//! answer as the word for all. Only what no retry could change is refused by itself.
//!
//! The answer is as long as the request has items: its room is taken while they are read, before anything
//! is stored, and given back when it has been sent.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
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
use super::super::receipts;
use super::filter::Filter;
use super::index::check;
use super::{Api, Failure, Kind, json_of};
use crate::api::bulk::{Action, Id, Item, Reader};
use crate::entropy::Stream;
use crate::gateway::{Batch, Claim, Receipt, Source, Way};
use crate::limits::{BULK_ANSWER_ITEM_BYTES, RECEIPT_ANSWER_BYTES};
use crate::offload;

/// What the address may say; all else is ignored.
#[derive(Deserialize)]
pub(super) struct Options {
    filter_path: Option<String>,
    receipt: Option<String>,
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
    if let Err(refused) = check(&index) {
        return Ok(refused.into_response());
    }
    check_type(&headers)?;
    let filter = Filter::new(options.filter_path.as_deref().unwrap_or_default())?;
    let receipts = receipts::wants(options.receipt.as_deref())?;
    let encodings = encodings(&headers)?;
    let admission = api.gateway.admission().clone();
    let limits = Limits {
        bytes_max: api.body_bytes_max,
        gateway: &api.gateway,
        way: Way::Elasticsearch,
    };
    let (body, permit) = read(body, &headers, limits).await?;
    let told = Arc::new(Mutex::new(Told {
        items: Vec::new(),
        room: Claim::new(api.gateway.admission()),
        receipts,
    }));
    let batch = Batch {
        way: Way::Elasticsearch,
        source: source(&api, index.into(), body, encodings, Arc::clone(&told)),
        service: service(&headers),
        environment: environment(&headers),
        key: None,
        bytes: 0,
    };
    let pushed = api.gateway.push(batch, permit).await?;
    let took = began.elapsed().as_millis();
    let render = move || {
        let mut told = told.lock();
        let room = Claim::new(&admission);
        let room = std::mem::replace(&mut told.room, room);
        let receipts = told.receipts.then_some(&*pushed.receipts);
        let items = std::mem::take(&mut told.items);
        let text = text(&items, took, &filter, receipts);
        Answer::new(text, room)
    };
    let answer = api.offload.run(render).await.map_err(unanswered)?;
    Ok(json_of(Bytes::from_owner(answer)))
}

/// What the failure of an answer means for a request that is stored: its client must not take it for
/// one that is not.
fn unanswered(error: offload::Error) -> Failure {
    let message = format!("the documents are stored, but the answer could not be made: {error}");
    Failure::new(Kind::OutcomeUnknown, message)
}

/// What is known of a request's items, with its room in the node's memory.
struct Told {
    items: Vec<Item>,
    room: Claim,
    /// Whether the answer is to carry receipts.
    receipts: bool,
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
    told: Arc<Mutex<Told>>,
) -> Source {
    let received = api.clock.now();
    let ids = Stream::from_rng(&mut *api.ids.lock());
    let limit = api.body_bytes_max;
    let admission = api.gateway.admission().clone();
    Box::new(move |room, each| {
        let decoded = decoded(room, &body, &encodings, limit)?;
        let mut told = told.lock();
        let told = &mut *told;
        let reader = Reader {
            index,
            received,
            ids,
            room,
            // Every receipt is of one item at least.
            beside: if told.receipts {
                RECEIPT_ANSWER_BYTES
            } else {
                0
            },
            answer: &mut told.room,
            admission: &admission,
        };
        told.items = reader.read(&decoded, each)?;
        Ok(Shape::Lines)
    })
}

/// An answer with its room, which is given back when it has been sent.
struct Answer {
    text: String,
    #[expect(dead_code, reason = "held until the answer has been sent")]
    room: Claim,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Answer {
    fn new(mut text: String, mut room: Claim) -> Self {
        text.shrink_to_fit();
        room.shrink(text.len());
        Self { text, room }
    }
}

/// Bytes of an answer at most.
fn bytes_max(items: &[Item]) -> usize {
    let items: usize = items.iter().map(Item::answer_bytes).sum();
    BULK_ANSWER_ITEM_BYTES + items
}

fn text(items: &[Item], took: u128, filter: &Filter, receipts: Option<&[Receipt]>) -> String {
    let of_receipts = RECEIPT_ANSWER_BYTES * receipts.map_or(0, <[Receipt]>::len);
    let mut out = String::with_capacity(bytes_max(items) + of_receipts);
    out.push('{');
    if filter.keeps(&["took"]) {
        out.push_str(&format!("\"took\":{took},"));
    }
    if filter.keeps(&["errors"]) {
        let errors = items.iter().any(|item| item.refused.is_some());
        out.push_str(&format!("\"errors\":{errors},"));
    }
    push_items(&mut out, items, filter);
    if let Some(receipts) = receipts
        && filter.keeps(&["receipts"])
    {
        let receipts = receipts::rendered(receipts);
        out.push_str(&format!("\"receipts\":{receipts},"));
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push('}');
    out
}

/// Appends the items and a comma; nothing where nothing of them is wanted.
fn push_items(out: &mut String, items: &[Item], filter: &Filter) {
    let wanted = Wanted::by_action(filter);
    let start = out.len();
    out.push_str("\"items\":[");
    let first = out.len();
    for item in items {
        push_item(out, item, &wanted);
    }
    if out.len() == first && !filter.is_empty() {
        out.truncate(start);
        return;
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push_str("],");
}

/// The members of an item.
const MEMBERS: [&[&str]; 7] = [
    &["_index"],
    &["_id"],
    &["_version"],
    &["result"],
    &["status"],
    &["error", "type"],
    &["error", "reason"],
];

/// Which of the members are wanted.
#[derive(Clone, Copy)]
struct Wanted([bool; MEMBERS.len()]);

impl Wanted {
    /// Items of an action have the same names, so the filter is asked once for all of them.
    fn by_action(filter: &Filter) -> [(Action, Self); 4] {
        Action::ALL.map(|action| {
            let keeps = |member: &[&str]| {
                let path: Vec<&str> = ["items", action.name()]
                    .iter()
                    .chain(member)
                    .copied()
                    .collect();
                filter.keeps(&path)
            };
            (action, Self(MEMBERS.map(keeps)))
        })
    }
}

/// Appends what is wanted of an item, and a comma; nothing where nothing of it is.
fn push_item(out: &mut String, item: &Item, wanted: &[(Action, Wanted)]) {
    let wanted = wanted.iter().find(|(action, _)| *action == item.action);
    let Some((_, Wanted([index, id, version, result, status, kind, reason]))) = wanted else {
        return;
    };
    let start = out.len();
    out.push_str("{\"");
    out.push_str(item.action.name());
    out.push_str("\":{");
    let first = out.len();
    if *index {
        out.push_str("\"_index\":");
        push_string(out, &item.index);
        out.push(',');
    }
    if *id {
        out.push_str("\"_id\":");
        match &item.id {
            None => out.push_str("null"),
            Some(Id::Log(id)) => push_string(out, &id.to_string()),
            Some(Id::Named(name)) => push_string(out, name),
        }
        out.push(',');
    }
    match item.refused {
        None => {
            let members = [
                (version, "\"_version\":1,"),
                (result, "\"result\":\"created\","),
                (status, "\"status\":201,"),
            ];
            let members = members.into_iter().filter(|(wanted, _)| **wanted);
            members.for_each(|(_, text)| out.push_str(text));
        }
        Some(refusal) => {
            if *status {
                out.push_str("\"status\":400,");
            }
            let members = [
                (kind, "\"type\":", refusal.kind()),
                (reason, "\"reason\":", refusal.reason()),
            ];
            let mut error = String::new();
            for (_, name, text) in members.into_iter().filter(|(wanted, ..)| **wanted) {
                error.push_str(if error.is_empty() { "" } else { "," });
                error.push_str(name);
                push_string(&mut error, text);
            }
            if !error.is_empty() {
                out.push_str(&format!("\"error\":{{{error}}},"));
            }
        }
    }
    if out.len() == first {
        out.truncate(start);
        return;
    }
    out.pop();
    out.push_str("}},");
}

#[cfg(test)]
mod tests {
    use hushlog_record::LogId;

    use super::*;
    use crate::api::bulk::Refusal;

    const RECEIPT: Receipt = Receipt {
        shard: hushlog_record::ShardId {
            bucket: u64::MAX >> 16,
            slot: u16::MAX,
        },
        seq: u64::MAX,
        copies: u32::MAX,
        policy_epoch: u64::MAX,
    };

    #[test]
    fn an_answer_is_no_longer_than_what_was_paid_for() {
        let outcomes = [
            None,
            Some(Refusal::NotStored),
            Some(Refusal::IdTooLong),
            Some(Refusal::IndexTooLong),
            Some(Refusal::TooLarge),
        ];
        let named = Id::Named("\u{1}\"\\\n".repeat(100).into());
        for refused in outcomes {
            for id in [None, Some(Id::Log(LogId([0xff; 16]))), Some(named.clone())] {
                for action in Action::ALL {
                    let items = vec![
                        Item {
                            action,
                            index: "\u{1f}i".repeat(50).into(),
                            id: id.clone(),
                            refused,
                        };
                        10
                    ];
                    let receipts = vec![RECEIPT; 10];
                    let took = u128::from(u64::MAX);
                    let text = text(&items, took, &Filter::default(), Some(&receipts));
                    let most = bytes_max(&items) + 10 * RECEIPT_ANSWER_BYTES;
                    assert!(text.len() <= most, "{text}");
                    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                    assert_eq!(
                        answer["items"][9][action.name()]["_index"],
                        "\u{1f}i".repeat(50)
                    );
                }
            }
        }
    }
}
