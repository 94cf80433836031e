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
use crate::gateway::{Admission, Claim, Full, Room, refusal};
use crate::limits::{
    BULK_ANSWER_ITEM_BYTES, BULK_ID_BYTES_MAX, BULK_ITEM_MEMORY_BYTES, INDEX_NAME_BYTES_MAX,
};

/// Fields that keep what a request says about a document beside it.
const INDEX_FIELD: &str = "elastic.index";
const ID_FIELD: &str = "elastic.id";

/// Bytes that JSON takes for one byte of text at most.
const ESCAPE_BYTES_MAX: usize = 6;

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    /// Every one.
    pub(super) const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

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

/// Why an item is refused, alone; as Elasticsearch has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotStored,
    IdTooLong,
    IndexTooLong,
    TooLarge,
}

impl Refusal {
    /// The type of the error.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::NotStored | Self::IdTooLong | Self::TooLarge => "illegal_argument_exception",
            Self::IndexTooLong => "invalid_index_name_exception",
        }
    }

    /// One sentence.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NotStored => "only the actions index and create are supported",
            Self::IdTooLong => "_id must be at most 512 bytes",
            Self::IndexTooLong => "the name of an index must be at most 255 bytes",
            Self::TooLarge => TOO_LARGE,
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
    pub(super) refused: Option<Refusal>,
}

impl Item {
    /// Bytes that it takes in the answer at most.
    pub(super) fn answer_bytes(&self) -> usize {
        BULK_ANSWER_ITEM_BYTES + quoted(&self.index) + self.name().map_or(0, quoted)
    }

    /// Memory that it and its part of the answer need at most.
    fn memory(&self) -> usize {
        let names = self.index.len() + self.name().map_or(0, str::len);
        BULK_ITEM_MEMORY_BYTES + names + self.answer_bytes()
    }

    fn name(&self) -> Option<&str> {
        match &self.id {
            None | Some(Id::Log(_)) => None,
            Some(Id::Named(name)) => Some(name),
        }
    }
}

/// Bytes of a text as JSON.
fn quoted(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => ESCAPE_BYTES_MAX,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

/// What is needed to read a request.
pub(super) struct Reader<'a, 'r> {
    /// Index of items that name none: that of the path.
    pub(super) index: Arc<str>,
    /// When the request came.
    pub(super) received: Timestamp,
    /// Where ids of records come from.
    pub(super) ids: Stream,
    /// Room for the body and the records.
    pub(super) room: &'a mut Room<'r>,
    /// Bytes that the answer needs for each item beside it.
    pub(super) beside: usize,
    /// Room for the items and the answer.
    pub(super) answer: &'a mut Claim,
    /// Where that room comes from.
    pub(super) admission: &'a Admission,
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
            let index = items.len();
            let (item, raw) = self.item(action, &target, document)?;
            self.keep(item.memory() + self.beside)?;
            match (item.refused, raw) {
                (None, Some(raw)) => each(Ok(raw)),
                (refused, _) => each(Err(Rejected {
                    index,
                    reason: refused.unwrap_or(Refusal::NotStored).reason(),
                })),
            }
            items.push(item);
        }
        Ok(items)
    }

    fn keep(&mut self, bytes: usize) -> Result<(), Failure> {
        let all = self.answer.bytes() + bytes + self.room.bytes();
        let kept = self.answer.add(bytes);
        kept.map_err(|Full| refusal(self.admission, all))
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
        match name(target._index, INDEX_NAME_BYTES_MAX) {
            Err(TooLong) => item.refused = Some(Refusal::IndexTooLong),
            Ok(Some(index)) if *index != *item.index => item.index = index.into(),
            Ok(_) => {}
        }
        let named = match name(target._id, BULK_ID_BYTES_MAX) {
            Ok(named) => named,
            Err(TooLong) => {
                item.refused = Some(Refusal::IdTooLong);
                None
            }
        };
        item.id = named.as_deref().map(|named| Id::Named(named.into()));
        if item.refused.is_some() {
            return Ok((item, None));
        }
        let Some(document) = document.filter(|_| matches!(action, Action::Index | Action::Create))
        else {
            item.refused = Some(Refusal::NotStored);
            return Ok((item, None));
        };
        self.room.ask(0)?;
        let mut raw = line_of(document);
        if raw.is_oversize() {
            item.refused = Some(Refusal::TooLarge);
            return Ok((item, None));
        }
        if !item.index.is_empty() {
            raw.field(INDEX_FIELD, Value::string(&*item.index));
        }
        item.id = Some(self.identify(&mut raw, named));
        Ok((item, Some(raw)))
    }

    /// Gives the record an id that the answer can tell: a client's own where it is a UUID, in the action
    /// or else in the document.
    fn identify(&mut self, raw: &mut RawRecord, named: Option<String>) -> Id {
        let own: Option<LogId> = named.as_deref().and_then(|named| named.parse().ok());
        if let Some(id) = own {
            raw.put("log_id", Value::string(id.to_string()));
        }
        let id = raw.own_id().unwrap_or_else(|| {
            let mut random = [0; 10];
            self.ids.fill_bytes(&mut random);
            LogId::v7(self.received, random)
        });
        raw.log_id = Some(id);
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

/// A name is longer than it may be.
struct TooLong;

/// A name: text, or a number as it was written.
fn name(json: Option<&RawValue>, bytes_max: usize) -> Result<Option<String>, TooLong> {
    let Some(json) = json.map(RawValue::get) else {
        return Ok(None);
    };
    if json.len() > ESCAPE_BYTES_MAX * bytes_max + 2 {
        return Err(TooLong);
    }
    let name = serde_json::from_str(json).unwrap_or_else(|_| json.to_owned());
    if name.len() > bytes_max {
        return Err(TooLong);
    }
    Ok(Some(name).filter(|name| name != "null" && !name.is_empty()))
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
        let mut answer = Claim::new(&admission);
        let mut outcomes = Vec::new();
        let items = Room::lend(&admission, |room| {
            let reader = Reader {
                index: "path".into(),
                received: Timestamp::from_millis(1_700_000_000_000),
                ids: Stream::seed_from_u64(1),
                room,
                beside: 0,
                answer: &mut answer,
                admission: &admission,
            };
            reader.read(body.as_bytes(), &mut |raw| {
                outcomes.push(raw.map(message).map_err(|rejected| rejected.reason));
            })
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
        let refused = || Err(Refusal::NotStored.reason());
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
    fn names_may_be_as_long_as_in_elasticsearch() {
        for letter in ["A", "\\u0041"] {
            name_lengths(letter);
        }
    }

    /// Names of this letter, as it is written in JSON.
    fn name_lengths(letter: &str) {
        let refused = |index: usize, id: usize| {
            let (index, id) = (letter.repeat(index), letter.repeat(id));
            let body = format!("{{\"index\":{{\"_index\":\"{index}\",\"_id\":\"{id}\"}}}}\n{{}}\n");
            read(&body, 1 << 20).expect("read").0[0].refused
        };
        let (index, id) = (INDEX_NAME_BYTES_MAX, BULK_ID_BYTES_MAX);
        assert_eq!(refused(index, id), None);
        assert_eq!(refused(index + 1, id), Some(Refusal::IndexTooLong));
        assert_eq!(refused(index, id + 1), Some(Refusal::IdTooLong));
        assert_eq!(refused(1, 1 << 15), Some(Refusal::IdTooLong));
    }

    #[test]
    fn what_the_answer_will_need_is_paid_for_while_items_are_read() {
        let ends = |body: &str, memory: usize| read(body, memory).map(|_| ()).expect_err("refused");
        // None of them is a record, and each has its place in the answer.
        let deletes = "{\"delete\":{}}\n".repeat(20_000);
        assert_eq!(ends(&deletes, 1 << 20).kind, Kind::TooLarge);
        let (items, _) = read(&deletes, 64 << 20).expect("room");
        assert_eq!(items.len(), 20_000);
        // The name of an index comes back with every item.
        let name = "\\u0001".repeat(INDEX_NAME_BYTES_MAX);
        let named = format!("{{\"delete\":{{\"_index\":\"{name}\"}}}}\n").repeat(100);
        assert_eq!(
            ends(&named, 100 * 6 * INDEX_NAME_BYTES_MAX).kind,
            Kind::TooLarge
        );
        read(&named, 1 << 20).expect("room");
    }
}
