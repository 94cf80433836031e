//! `GET /api/v1/ledger`: what came in, what became of it, and whether that is what is there.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hushlog_raft::meta::Expired;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Failure, Kind, json};
use crate::cluster::ledger::Books;
use crate::ledger::{Row, Who};
use crate::limits::LEDGER_SERVICES_MAX;

/// How often what is there is counted while some of it is being dropped.
const COUNTS_MAX: u32 = 3;

/// What the address may say.
#[derive(Deserialize)]
pub(super) struct Asked {
    service: Option<String>,
}

/// The whole ledger, or that of one service.
pub(super) async fn ledger(
    State(api): State<Api>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let service = asked.service.as_deref();
    let _room = api.admit_query()?;
    let deadline = api.query_deadline();
    // First what came in, then what is there, then what was dropped: what happens meanwhile makes what is found
    // more than what was acknowledged, and never less.
    let books = api.control.books().await;
    let mut before = api.control.gone(deadline).await;
    let mut counts = 0;
    let kept = loop {
        let kept = api.reader.count_all(question(service), deadline).await?;
        let mut kept = Kept::read(&kept.json, kept.partial)?;
        let gone = api.control.gone(deadline).await;
        let is_steady = gone.rows == before.rows;
        kept.expired = gone.rows.clone();
        counts += 1;
        // The nodes that have counted may know of more than this one.
        if !gone.is_current {
            kept.doubt("what was dropped is not known: the meta group has no leader");
        }
        if is_steady {
            break kept;
        }
        // What was dropped while it was counted may be on both sides.
        if counts >= COUNTS_MAX {
            kept.doubt("records were dropped each time that they were counted: ask again");
            break kept;
        }
        before = gone;
    };
    let is_whole = books.missing.is_empty() && !kept.partial;
    let status = if is_whole {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    Ok(json(status, &rendered(&books, &kept, service)))
}

/// Counts what is stored, by service.
fn question(service: Option<&str>) -> Bytes {
    let terms = json!({"field": "service_name", "size": LEDGER_SERVICES_MAX});
    let mut question = json!({"limit": 0, "aggregations": {"services": {"terms": terms}}});
    if let Some(service) = service {
        question["filters"] = json!({"services": [service]});
    }
    Bytes::from(question.to_string())
}

/// What is stored.
#[derive(Debug, Default)]
struct Kept {
    services: BTreeMap<String, u64>,
    /// Of all services that are not named.
    others: u64,
    shards: Value,
    /// What was stored, and has been dropped.
    expired: Expired,
    /// Whether a shard is missing.
    partial: bool,
}

impl Kept {
    fn read(answer: &[u8], partial: bool) -> Result<Self, Failure> {
        let unreadable = || Failure::new(Kind::Internal, "the stored records were not counted");
        let answer: Value = serde_json::from_slice(answer).map_err(|_| unreadable())?;
        let counted = &answer["aggregations"]["services"];
        let buckets = counted["buckets"].as_array().ok_or_else(unreadable)?;
        let one = |bucket: &Value| {
            let name = bucket["key"].as_str()?.to_owned();
            Some((name, bucket["doc_count"].as_u64()?))
        };
        Ok(Self {
            services: buckets.iter().filter_map(one).collect(),
            others: counted["sum_other_doc_count"].as_u64().unwrap_or(0),
            shards: answer["shards"].clone(),
            expired: Expired::default(),
            partial,
        })
    }

    /// Says that what was counted may not be what there is, as an answer does that lacks a shard. However many
    /// reasons there are, it is one shard.
    fn doubt(&mut self, reason: &str) {
        self.partial = true;
        let mut failures = match self.shards["failures"].take() {
            Value::Array(failures) => failures,
            _ => Vec::new(),
        };
        let known = failures
            .iter_mut()
            .find(|failure| failure["shard"] == "meta");
        if let Some(known) = known {
            if known["reason"] != reason {
                let before = known["reason"].as_str().unwrap_or_default();
                known["reason"] = json!(format!("{before}; {reason}"));
            }
        } else {
            failures.push(json!({"shard": "meta", "reason": reason}));
            for number in ["total", "failed"] {
                let counted = self.shards[number].as_u64().unwrap_or(0);
                self.shards[number] = json!(counted + 1);
            }
        }
        self.shards["failures"] = Value::Array(failures);
    }
}

/// The two sides of the books for one service, or for all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    stored: u64,
    unknown: u64,
    /// Said to have been stored before: a leader that was asked again in the same request says so too of what
    /// the one before it had just stored.
    repeated: u64,
    present: u64,
    expired: u64,
}

/// Records are not deleted one by one in this release.
const DELETED: u64 = 0;

impl Balance {
    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.unknown += other.unknown;
        self.repeated += other.repeated;
        self.present += other.present;
        self.expired += other.expired;
    }

    /// How many more were stored than were acknowledged: of unknown outcome, or not counted.
    fn difference(self) -> i128 {
        i128::from(self.present) + i128::from(self.expired + DELETED) - i128::from(self.stored)
    }

    fn adds_up(self) -> bool {
        let most = i128::from(self.unknown) + i128::from(self.repeated);
        (0..=most).contains(&self.difference())
    }

    fn rendered(self) -> Value {
        json!({
            "stored": self.stored,
            "unknown": self.unknown,
            "present": self.present,
            "expired": self.expired,
            "deleted": DELETED,
            "difference": i64::try_from(self.difference()).unwrap_or(i64::MAX),
        })
    }
}

fn rendered(books: &Books, kept: &Kept, service: Option<&str>) -> Value {
    let is_asked = |who: &Who| match service {
        None => true,
        Some(service) => matches!(who, Who::Service(name) if name == service),
    };
    let mut total = Row::default();
    let mut rows = Vec::new();
    let mut sides: BTreeMap<&str, Balance> = BTreeMap::new();
    let mut others = Balance::default();
    for ((way, who), row) in books.rows().filter(|((_, who), _)| is_asked(who)) {
        total.merge(row);
        rows.push(rendered_row(way.name(), who, row));
        let side = match who {
            Who::Service(name) => sides.entry(name).or_default(),
            Who::Others | Who::Unknown => &mut others,
        };
        side.stored += row.stored;
        side.unknown += row.unknown;
        side.repeated += row.repeated;
    }
    let names: BTreeSet<&str> = kept.services.keys().map(String::as_str).collect();
    let expired = kept.expired.services.iter();
    for name in names
        .into_iter()
        .chain(expired.map(|(name, _)| name.as_str()))
    {
        if service.is_none_or(|service| service == name) {
            sides.entry(name).or_default();
        }
    }
    let mut all = Balance::default();
    for (name, side) in &mut sides {
        side.present = kept.services.get(*name).copied().unwrap_or(0);
        side.expired = kept.expired.services.get(*name).copied().unwrap_or(0);
        all.add(*side);
    }
    if service.is_none() {
        others.present = kept.others;
        others.expired = kept.expired.others;
        all.add(others);
    }
    let services = sides.iter().map(|(name, side)| {
        let mut view = side.rendered();
        view["service"] = json!(name);
        view
    });
    let gaps: u64 = books.nodes.values().map(|(_, gaps)| gaps).sum();
    // Records of one service that are counted without its name.
    let nameless = books
        .rows()
        .any(|((_, who), row)| *who == Who::Others && row.stored > 0)
        || kept.others > 0
        || kept.expired.others > 0;
    let adds_up = if !books.missing.is_empty() || kept.partial || service.is_some() && nameless {
        // Where something is not seen nobody can say.
        None
    } else if gaps > 0 {
        // What is in no book can only be more than what was acknowledged.
        (all.difference() < 0).then_some(false)
    } else {
        Some(all.adds_up() && total.adds_up())
    };
    let mut view = json!({
        "rows": rows,
        "services": services.collect::<Vec<Value>>(),
        "totals": rendered_row("all", &Who::Unknown, &total),
        "balance": all.rendered(),
        "adds_up": adds_up,
        "nodes": books.nodes.iter().map(|(id, (since, gaps))| json!({
            "id": id, "since": since.to_string(), "gaps": gaps,
        })).collect::<Vec<Value>>(),
        "missing": books.missing.iter().map(|(id, reason)| json!({
            "id": id, "reason": reason,
        })).collect::<Vec<Value>>(),
        "shards": kept.shards,
    });
    if service.is_none() {
        view["others"] = others.rendered();
    }
    if let Some(totals) = view["totals"].as_object_mut() {
        totals.remove("source");
        totals.remove("service");
        totals.remove("who");
    }
    view
}

fn rendered_row(source: &str, who: &Who, row: &Row) -> Value {
    let (name, who) = match who {
        Who::Service(name) => (Some(name.as_str()), "service"),
        Who::Others => (None, "others"),
        Who::Unknown => (None, "unknown"),
    };
    json!({
        "source": source,
        "service": name,
        "who": who,
        "received": row.received,
        "stored": row.stored,
        "repeated": row.repeated,
        "unknown": row.unknown,
        "masked": row.masked,
        "lost": row.lost,
        "rejected": row.rejected,
        "refused": row.refused,
    })
}

#[cfg(test)]
mod tests {
    use hushlog_record::Timestamp;

    use super::*;
    use crate::gateway::Way;
    use crate::ledger::{Entry, Ledger};

    fn ledger() -> Ledger {
        let ledger = Ledger::new(Timestamp::default());
        let entry = |service, records, repeated| Entry {
            service,
            records,
            repeated,
            masked: 0,
        };
        let none = BTreeMap::new();
        let entries = [entry("a", 10, 2), entry("b", 5, 0)];
        ledger.acknowledged(Way::Http, entries.into_iter(), &none);
        ledger.unknown(Way::Loki, [entry("a", 3, 0)].into_iter());
        ledger
    }

    fn kept(a: u64, b: u64) -> Kept {
        Kept {
            services: BTreeMap::from([("a".into(), a), ("b".into(), b)]),
            expired: Expired {
                services: BTreeMap::from([("b".into(), 4)]),
                others: 0,
            },
            ..Kept::default()
        }
    }

    fn view(kept: &Kept, service: Option<&str>, change: impl FnOnce(&mut Books)) -> Value {
        let mut books = Books::default();
        books.add(1, &ledger().book());
        change(&mut books);
        rendered(&books, kept, service)
    }

    #[test]
    fn both_sides_are_held_against_each_other() {
        // Of a: 8 stored, of 3 more it is not known, and 2 repeats may be its own. Of b: 4 of its 5 have expired.
        for (a, b, adds_up) in [
            (8, 1, true),
            (13, 1, true),
            (7, 1, false),
            (14, 1, false),
            (8, 0, false),
        ] {
            let view = view(&kept(a, b), None, |_| {});
            assert_eq!(view["adds_up"], json!(adds_up), "{a} {b}: {view}");
        }
        let view = view(&kept(8, 1), None, |_| {});
        let expected = json!({"service": "b", "stored": 5, "unknown": 0, "present": 1, "expired": 4, "deleted": 0, "difference": 0});
        assert_eq!(view["services"][1], expected);
        assert_eq!(view["totals"]["received"], 18);
        assert_eq!(view["rows"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn one_service_is_shown_alone() {
        let view = view(&kept(8, 1), Some("b"), |_| {});
        assert_eq!(view["rows"].as_array().map(Vec::len), Some(1));
        assert_eq!(view["services"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&view["balance"]["stored"], &view["others"]),
            (&json!(5), &Value::Null)
        );
    }

    #[test]
    fn where_something_is_missing_nothing_is_claimed() {
        let missing = |books: &mut Books| {
            books.missing.insert(2, "no answer in time".into());
        };
        let gap = |books: &mut Books| {
            books.nodes.insert(1, (Timestamp::default(), 1));
        };
        assert_eq!(view(&kept(8, 1), None, missing)["adds_up"], Value::Null);
        assert_eq!(view(&kept(8, 1), None, gap)["adds_up"], Value::Null);
        // A gap does not explain what is lost, and of one service nobody knows what is counted without a name.
        assert_eq!(view(&kept(7, 1), None, gap)["adds_up"], json!(false));
        let nameless = Kept {
            others: 1,
            ..kept(8, 1)
        };
        assert_eq!(view(&nameless, Some("a"), |_| {})["adds_up"], Value::Null);
        let partial = Kept {
            partial: true,
            ..kept(8, 1)
        };
        assert_eq!(view(&partial, None, |_| {})["adds_up"], Value::Null);
    }
}
