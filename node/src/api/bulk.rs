//! Elasticsearch's bulk requests: lines of actions, each followed by a line with its document.
//!
//! Documents are records as in NDJSON, so a malformed one is kept as text. Only `index` and `create`
//! store something; other actions are answered with an error of their own, as there is nothing here
//! that could be changed. A line that is no action refuses the request.

use std::sync::Arc;

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Rejected, TOO_LARGE, line_of};
use hushlog_record::{LogId, Timestamp, Value};
use rand::Rng;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Failure, Kind};
use crate::entropy::Stream;
use crate::gateway::Room;
use crate::limits::{BULK_ITEM_MEMORY_BYTES, BULK_NAME_BYTES_MAX};

/// Items for which room is taken at once.
const ITEMS_AT_ONCE: usize = 1_024;
/// Fields that keep what a request says about a document beside it.
const INDEX_FIELD: &str = "elastic.index";
const ID_FIELD: &str = "elastic.id";

const NOT_STORED: &str = "only the actions index and create are supported";
const NAME_TOO_LONG: &str = "_id and _index must be at most 512 bytes";

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    /// As requests and answers call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The id of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// The record's own.
    Log(LogId),
    /// What the client calls it.
    Named(Box<str>),
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) action: Action,
    pub(super) index: Arc<str>,
    /// `None` when the client named none and nothing was stored.
    pub(super) id: Option<Id>,
    /// Why it is refused, alone.
    pub(super) refused: Option<&'static str>,
}

/// What is needed to read a request.
pub(super) struct Reader<'a, 'r> {
    /// Index of items that name none: that of the path.
    pub(super) index: Arc<str>,
    /// When the request came.
    pub(super) received: Timestamp,
    /// Where ids of records come from.
    pub(super) ids: Stream,
    /// Room for the answer's items.
    pub(super) room: &'a mut Room<'r>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Head<'a> {
    #[serde(borrow)]
    Index(Target<'a>),
    #[serde(borrow)]
    Create(Target<'a>),
    #[serde(borrow)]
    Update(Target<'a>),
    #[serde(borrow)]
    Delete(Target<'a>),
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow)]
    _index: Option<&'a RawValue>,
    #[serde(borrow)]
    _id: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    fn parts(self) -> (Action, Target<'a>) {
        match self {
            Self::Index(target) => (Action::Index, target),
            Self::Create(target) => (Action::Create, target),
            Self::Update(target) => (Action::Update, target),
            Self::Delete(target) => (Action::Delete, target),
        }
    }
}

/// The lines of a body; the last one may lack its end.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut parts = self.rest.splitn(2, |byte| *byte == b'\n');
        let line = parts.next().unwrap_or_default();
        self.rest = parts.next().unwrap_or_default();
        self.number += 1;
        Some(line.trim_ascii())
    }
}

impl Reader<'_, '_> {
    /// Hands over every document, in order, and gives an item for every action.
    pub(super) fn read(mut self, body: &[u8], each: Each<'_>) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut lines = Lines {
            rest: body,
            number: 0,
        };
        while let Some(line) = lines.next() {
            if line.is_empty() {
                continue;
            }
            let head = action(line).ok_or_else(|| malformed(lines.number))?;
            let (action, target) = head.parts();
            let document = match action {
                Action::Delete => None,
                _ => Some(lines.next().ok_or_else(|| malformed(lines.number))?),
            };
            if items.len() % ITEMS_AT_ONCE == 0 {
                self.room.add(ITEMS_AT_ONCE * BULK_ITEM_MEMORY_BYTES)?;
            }
            let place = items.len();
            let (item, raw) = self.item(action, &target, document)?;
            match (item.refused, raw) {
                (None, Some(raw)) => each(Ok(raw)),
                (reason, _) => each(Err(Rejected {
                    index: place,
                    reason: reason.unwrap_or(NOT_STORED),
                })),
            }
            items.push(item);
        }
        Ok(items)
    }

    fn item(
        &mut self,
        action: Action,
        target: &Target<'_>,
        document: Option<&[u8]>,
    ) -> Result<(Item, Option<RawRecord>), Failure> {
        let mut item = Item {
            action,
            index: Arc::clone(&self.index),
            id: None,
            refused: None,
        };
        let is_long = |json: Option<&RawValue>| {
            json.is_some_and(|json| json.get().len() > BULK_NAME_BYTES_MAX)
        };
        if is_long(target._id) || is_long(target._index) {
            item.refused = Some(NAME_TOO_LONG);
            return Ok((item, None));
        }
        if let Some(index) = name(target._index).filter(|index| **index != *item.index) {
            self.room.add(index.len())?;
            item.index = index.into();
        }
        let named = name(target._id);
        item.id = named.as_deref().map(|named| Id::Named(named.into()));
        let Some(document) = document.filter(|_| matches!(action, Action::Index | Action::Create))
        else {
            item.refused = Some(NOT_STORED);
            return Ok((item, None));
        };
        let mut raw = line_of(document);
        if raw.is_oversize() {
            item.refused = Some(TOO_LARGE);
            return Ok((item, None));
        }
        if !item.index.is_empty() {
            raw.field(INDEX_FIELD, Value::string(&*item.index));
        }
        item.id = Some(self.identify(&mut raw, named));
        Ok((item, Some(raw)))
    }

    /// Gives the record an id that the answer can tell: a client's own where it is a UUID.
    fn identify(&mut self, raw: &mut RawRecord, named: Option<String>) -> Id {
        let own = named.as_deref().and_then(|named| named.parse().ok());
        let id = own.unwrap_or_else(|| {
            let mut random = [0; 10];
            self.ids.fill_bytes(&mut random);
            LogId::v7(self.received, random)
        });
        raw.put("log_id", Value::string(id.to_string()));
        match named {
            None => Id::Log(id),
            Some(named) => {
                if own.is_none() {
                    raw.field(ID_FIELD, Value::string(&*named));
                }
                Id::Named(named.into())
            }
        }
    }
}

fn action(line: &[u8]) -> Option<Head<'_>> {
    serde_json::from_slice(line).ok()
}

/// A name: text, or a number as it was written.
fn name(json: Option<&RawValue>) -> Option<String> {
    let json = json?.get();
    serde_json::from_str(json)
        .ok()
        .or_else(|| Some(json.to_owned()))
        .filter(|name| name != "null" && !name.is_empty())
}

fn malformed(line: usize) -> Failure {
    let message = format!("line {line} of the bulk request is no action, or lacks its document");
    Failure::new(Kind::InvalidBody, message)
}

#[cfg(test)]
mod tests {
    use hushlog_ingest::{Context, parse};
    use rand::SeedableRng;

    use super::*;
    use crate::gateway::Admission;
    use crate::metrics::Gauge;

    type Outcome = Result<String, &'static str>;

    fn message(raw: RawRecord) -> String {
        let mut context = Context {
            received: Timestamp::default(),
            service: "",
            environment: "",
            random: &mut || [0; 10],
        };
        parse::record(raw, &mut context).message
    }

    fn read(body: &str, memory: usize) -> Result<(Vec<Item>, Vec<Outcome>), Failure> {
        let admission = Admission::new(memory, Gauge::default());
        let mut permit = admission.none();
        let mut room = Room::new(&admission, &mut permit);
        let mut outcomes = Vec::new();
        let reader = Reader {
            index: "path".into(),
            received: Timestamp::from_millis(1_700_000_000_000),
            ids: Stream::seed_from_u64(1),
            room: &mut room,
        };
        let items = reader.read(body.as_bytes(), &mut |raw| {
            outcomes.push(raw.map(message).map_err(|rejected| rejected.reason));
        })?;
        Ok((items, outcomes))
    }

    #[test]
    fn every_action_has_its_item_in_order() {
        let body = concat!(
            "{\"index\":{\"_index\":\"app\",\"_id\":\"a1\"}}\r\n{\"message\":\"one\"}\r\n\n",
            "{\"create\":{}}\n{\"message\":\"two\"}\n",
            "{\"delete\":{\"_id\":5}}\n",
            "{\"update\":{\"_id\":\"u\"}}\n{\"doc\":{}}\n",
            "{\"create\":{\"_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}}\nnot json",
        );
        let (items, outcomes) = read(body, 1 << 20).expect("read");
        let shown: Vec<_> = items
            .iter()
            .map(|item| (item.action.name(), &*item.index, item.refused.is_some()))
            .collect();
        let expected = [
            ("index", "app", false),
            ("create", "path", false),
            ("delete", "path", true),
            ("update", "path", true),
            ("create", "path", false),
        ];
        assert_eq!(shown, expected);
        assert_eq!(items[0].id, Some(Id::Named("a1".into())));
        assert!(matches!(items[1].id, Some(Id::Log(_))));
        assert_eq!(items[2].id, Some(Id::Named("5".into())));
        let text = |text: &str| Ok(text.to_owned());
        let refused = || Err(NOT_STORED);
        let expected = [
            text("one"),
            text("two"),
            refused(),
            refused(),
            text("not json"),
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn what_is_no_bulk_request_is_refused_with_its_line_and_not_quoted() {
        let cases = [
            ("secret", 1),
            ("{\"message\":\"secret\"}", 1),
            ("{\"index\":{}}", 1),
            ("{\"index\":{}}\n{}\n{\"index\":{}}\n", 3),
            ("{\"index\":{},\"create\":{}}\n{}", 1),
            ("{\"index\":{}}\n{}\n\n{\"upsert\":{}}\n{}", 4),
        ];
        for (body, line) in cases {
            let failure = read(body, 1 << 20).expect_err(body);
            assert_eq!(failure.kind, Kind::InvalidBody, "{body}");
            assert!(
                failure.message.starts_with(&format!("line {line} ")),
                "{failure}"
            );
            assert!(!failure.message.contains("secret"), "{failure}");
        }
    }

    #[test]
    fn names_that_are_too_long_and_actions_without_end_are_bounded() {
        let long = "x".repeat(BULK_NAME_BYTES_MAX);
        let body = format!("{{\"index\":{{\"_id\":\"{long}\"}}}}\n{{}}\n");
        let (items, _) = read(&body, 1 << 20).expect("read");
        assert_eq!(items[0].refused, Some(NAME_TOO_LONG));
        let deletes = "{\"delete\":{}}\n".repeat(20_000);
        assert_eq!(
            read(&deletes, 1 << 20).map(|_| ()),
            Err(crate::gateway::full())
        );
    }
}
