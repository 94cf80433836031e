//! The rows of the books, how they are added up, and how they are written down.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_record::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gateway::Way;
use crate::limits::{LEDGER_REASONS_MAX, LEDGER_ROWS_MAX, LEDGER_SERVICE_BYTES_MAX};

/// Version of the written form.
const VERSION: u32 = 1;
/// What reasons are counted as when there are too many.
const OTHER: &str = "other";

/// Whose records a row counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    /// Of this service.
    Service(String),
    /// Of services that came when there were too many, or whose names are too long.
    Others,
    /// Of no service that is known: what was not read.
    Unknown,
}

/// How often something happened, by its name.
pub(crate) type Tally = BTreeMap<Cow<'static, str>, u64>;

/// What became of the records of one service that came by one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Row {
    /// Records of requests that were not refused whole.
    pub(crate) received: u64,
    /// Records that were acknowledged, and are stored by that.
    pub(crate) stored: u64,
    /// Records that were acknowledged, and had been stored before under the same key or id.
    pub(crate) repeated: u64,
    /// Records of which it is not known whether they are stored: their sender was told so, or went away.
    pub(crate) unknown: u64,
    /// Records in which something was masked.
    pub(crate) masked: u64,
    /// Records that nobody will send again, and that are not stored.
    pub(crate) lost: u64,
    /// Records that were rejected alone, by reason.
    pub(crate) rejected: Tally,
    /// Requests that were refused whole, by code.
    pub(crate) refused: Tally,
}

impl Row {
    /// Counts records that were rejected alone.
    pub(super) fn reject(&mut self, reason: &'static str, count: u64) {
        add(&mut self.rejected, Cow::Borrowed(reason), count);
    }

    /// Counts a request that was refused whole.
    pub(super) fn refuse(&mut self, code: &'static str) {
        add(&mut self.refused, Cow::Borrowed(code), 1);
    }

    /// Adds another row.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.repeated += other.repeated;
        self.unknown += other.unknown;
        self.masked += other.masked;
        self.lost += other.lost;
        for (reason, count) in &other.rejected {
            add(&mut self.rejected, reason.clone(), *count);
        }
        for (code, count) in &other.refused {
            add(&mut self.refused, code.clone(), *count);
        }
    }

    /// Whether every record that was received is in one of the columns.
    pub(crate) fn adds_up(&self) -> bool {
        let rejected: u64 = self.rejected.values().sum();
        self.received == self.stored + self.repeated + self.unknown + rejected
    }
}

fn add(tally: &mut Tally, name: Cow<'static, str>, count: u64) {
    let is_known = tally.contains_key(&name);
    let name = if is_known || tally.len() < LEDGER_REASONS_MAX {
        name
    } else {
        Cow::Borrowed(OTHER)
    };
    *tally.entry(name).or_default() += count;
}

/// All rows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    /// Since when it counts.
    pub(crate) since: Timestamp,
    /// How often the node ended without writing it down, so that what came in the seconds before is not in it;
    /// and one more if it has stored records before it kept books, or could not read them.
    pub(crate) gaps: u64,
    /// Shared with copies of the book, row by row: a copy is made while requests wait to be entered.
    rows: BTreeMap<Arc<(Way, Who)>, Arc<Row>>,
}

/// The written form.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    since: i64,
    gaps: u64,
    /// Whether the node wrote it when it ended.
    ended: bool,
    rows: Vec<(String, Who, Row)>,
}

/// What was written down cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is no JSON of this form.
    #[error("the ledger is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is of a later release.
    #[error("the ledger has version {0}, this release reads {VERSION}")]
    Version(u32),
}

impl Book {
    /// Books that begin now.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            since,
            gaps: 0,
            rows: BTreeMap::new(),
        }
    }

    /// The row of a service.
    pub(super) fn row(&mut self, way: Way, service: &str) -> &mut Row {
        let who = if service.len() <= LEDGER_SERVICE_BYTES_MAX {
            Who::Service(service.to_owned())
        } else {
            Who::Others
        };
        let key = (way, who);
        let is_new = !self.rows.contains_key(&key);
        if is_new && self.rows.len() >= LEDGER_ROWS_MAX {
            return self.entry((way, Who::Others));
        }
        self.entry(key)
    }

    /// The row of a service that has one, else that of what has no service that is known: what is refused
    /// makes no row, or names that anybody invents would take those of others.
    pub(super) fn known(&mut self, way: Way, service: &str) -> &mut Row {
        let key = (way, Who::Service(service.to_owned()));
        if self.rows.contains_key(&key) {
            return self.entry(key);
        }
        self.nobodys(way)
    }

    /// The row of what has no service that is known.
    pub(super) fn nobodys(&mut self, way: Way) -> &mut Row {
        self.entry((way, Who::Unknown))
    }

    /// The row under this key, which no copy of the book has from here on.
    fn entry(&mut self, key: (Way, Who)) -> &mut Row {
        Arc::make_mut(self.rows.entry(Arc::new(key)).or_default())
    }

    /// Every row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&(Way, Who), &Row)> {
        self.rows.iter().map(|(key, row)| (&**key, &**row))
    }

    #[cfg(test)]
    pub(super) fn find(&self, way: Way, service: &str) -> Option<&Row> {
        let key = (way, Who::Service(service.to_owned()));
        self.rows.get(&key).map(|row| &**row)
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> Row {
        let mut total = Row::default();
        self.rows.values().for_each(|row| total.merge(row));
        total
    }

    /// The written form. `ended` says that nothing can come behind it in this life of the node.
    pub(crate) fn to_bytes(&self, ended: bool) -> Vec<u8> {
        let row = |((way, who), row): (&(Way, Who), &Row)| {
            (way.name().to_owned(), who.clone(), row.clone())
        };
        let written = Written {
            version: VERSION,
            since: self.since.nanos(),
            gaps: self.gaps,
            ended,
            rows: self.rows().map(row).collect(),
        };
        serde_json::to_vec(&written).expect("numbers and text are JSON")
    }

    /// Reads it back, and whether the node had ended with it.
    ///
    /// # Errors
    /// When it is damaged or of a later release.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, bool), Error> {
        let written: Written = serde_json::from_slice(bytes)?;
        if written.version != VERSION {
            return Err(Error::Version(written.version));
        }
        let mut book = Self::new(Timestamp::from_nanos(written.since));
        book.gaps = written.gaps;
        for (way, who, row) in written.rows {
            // A way that this release does not have any more has nobody to ask for it.
            if let Some(way) = Way::ALL.into_iter().find(|known| known.name() == way) {
                book.entry((way, who)).merge(&row);
            }
        }
        Ok((book, written.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_few_whatever_names_come() {
        let mut book = Book::new(Timestamp::default());
        book.row(Way::Http, &"s".repeat(LEDGER_SERVICE_BYTES_MAX + 1))
            .received += 1;
        for number in 0..2 * LEDGER_ROWS_MAX {
            book.row(Way::Http, &number.to_string()).received += 1;
        }
        book.row(Way::Loki, "late").received += 1;
        book.nobodys(Way::Loki).received += 1;
        book.row(Way::Http, "0").received += 1;
        assert!(book.rows.len() <= LEDGER_ROWS_MAX + 2 * Way::ALL.len());
        let received = book.total().received;
        assert_eq!(received, 2 * LEDGER_ROWS_MAX as u64 + 4);
        assert_eq!(book.find(Way::Http, "0").expect("a row").received, 2);
    }

    #[test]
    fn a_copy_is_as_it_was_and_shares_what_has_not_changed() {
        let mut book = Book::new(Timestamp::default());
        for service in ["a", "b"] {
            book.row(Way::Http, service).received = 1;
        }
        let copy = book.clone();
        book.row(Way::Http, "a").received = 2;
        assert_eq!(copy.find(Way::Http, "a").expect("a row").received, 1);
        assert_eq!(book.find(Way::Http, "a").expect("a row").received, 2);
        let shared = copy.rows.values().zip(book.rows.values());
        let shared: Vec<bool> = shared.map(|(a, b)| Arc::ptr_eq(a, b)).collect();
        assert_eq!(shared, [false, true]);
    }

    #[test]
    fn reasons_are_few() {
        let mut tally = Tally::new();
        for number in 0..2 * LEDGER_REASONS_MAX {
            add(&mut tally, Cow::Owned(format!("reason {number:03}")), 1);
        }
        assert_eq!(tally.len(), LEDGER_REASONS_MAX + 1);
        assert_eq!(tally[OTHER], LEDGER_REASONS_MAX as u64);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let mut book = Book::new(Timestamp::from_nanos(7));
        book.gaps = 2;
        let row = book.row(Way::OtlpGrpc, "pay");
        row.received = 9;
        row.reject("too large", 3);
        row.refuse("overloaded");
        book.nobodys(Way::SyslogUdp).lost = 4;
        for ended in [false, true] {
            let bytes = book.to_bytes(ended);
            assert_eq!(
                Book::from_bytes(&bytes).expect("read"),
                (book.clone(), ended)
            );
        }
        let text = String::from_utf8(book.to_bytes(true)).expect("JSON");
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert!(matches!(
            Book::from_bytes(newer.as_bytes()),
            Err(Error::Version(2))
        ));
        assert!(matches!(Book::from_bytes(b"{"), Err(Error::Damaged(_))));
    }
}
