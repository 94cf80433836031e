//! The books of what came in on this node: how many records of which service came by which protocol, and
//! what became of each.
//!
//! Every record of a request that was judged is in one column: `received` is the sum of `stored`,
//! `repeated`, `rejected` and `unknown`. A request that was refused whole was not received: its sender
//! was told so. Names are those of stored records, masked; what cannot be named is counted beside them.
//!
//! It decides nothing and knows no request that is on its way: a request is entered when it is answered,
//! all of it at once.

mod book;
mod keep;

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_record::Timestamp;
use parking_lot::Mutex;

pub(crate) use book::{Book, Row, Who};
pub(crate) use keep::Keeper;

use crate::gateway::Way;

/// A node's books; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Mutex<Book>>,
}

/// What a service had in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The service's name, masked.
    pub(crate) service: &'a str,
    /// Its records.
    pub(crate) records: u64,
    /// Records of them in which something was masked.
    pub(crate) masked: u64,
    /// Records of them that had been stored before, under the same key or id.
    pub(crate) repeated: u64,
}

impl Ledger {
    /// Books that begin now.
    pub fn new(now: Timestamp) -> Self {
        Self::of(Book::new(now))
    }

    pub(crate) fn of(book: Book) -> Self {
        Self {
            inner: Arc::new(Mutex::new(book)),
        }
    }

    /// Enters a request that was acknowledged: what its services had, and records that were rejected alone,
    /// by reason.
    pub(crate) fn acknowledged<'a>(
        &self,
        way: Way,
        entries: impl Iterator<Item = Entry<'a>>,
        rejected: &BTreeMap<&'static str, u64>,
    ) {
        let mut book = self.inner.lock();
        for entry in entries {
            let row = book.row(way, entry.service);
            let repeated = entry.repeated.min(entry.records);
            row.received += entry.records;
            row.repeated += repeated;
            row.stored += entry.records - repeated;
            row.masked += entry.masked;
        }
        if !rejected.is_empty() {
            let row = book.nobodys(way);
            for (reason, count) in rejected {
                row.received += count;
                row.reject(reason, *count);
            }
        }
    }

    /// Enters a request of which it is not known whether it is stored.
    pub(crate) fn unknown<'a>(&self, way: Way, entries: impl Iterator<Item = Entry<'a>>) {
        let mut book = self.inner.lock();
        for entry in entries {
            let row = book.row(way, entry.service);
            row.received += entry.records;
            row.unknown += entry.records;
            row.masked += entry.masked;
        }
    }

    /// Enters a request that was refused whole, of which these services' records had been read.
    pub(crate) fn refused<'a>(
        &self,
        way: Way,
        mut services: impl Iterator<Item = &'a str>,
        code: &'static str,
    ) {
        let mut book = self.inner.lock();
        let Some(first) = services.next() else {
            book.nobodys(way).refuse(code);
            return;
        };
        book.known(way, first).refuse(code);
        for service in services {
            book.known(way, service).refuse(code);
        }
    }

    /// Enters records that nobody will send again, and that are not stored.
    pub(crate) fn lost(&self, way: Way, records: u64) {
        self.inner.lock().nobodys(way).lost += records;
    }

    /// The books as they are now.
    pub(crate) fn book(&self) -> Book {
        self.inner.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(service: &str, records: u64, repeated: u64) -> Entry<'_> {
        Entry {
            service,
            records,
            masked: 1,
            repeated,
        }
    }

    #[test]
    fn every_record_is_in_one_column() {
        let ledger = Ledger::new(Timestamp::default());
        let rejected = BTreeMap::from([("too large", 2)]);
        let entries = [entry("a", 5, 0), entry("b", 4, 3)];
        ledger.acknowledged(Way::Http, entries.into_iter(), &rejected);
        ledger.unknown(Way::Http, [entry("a", 7, 0)].into_iter());
        ledger.refused(Way::Http, ["a", "b"].into_iter(), "overloaded");
        ledger.refused(Way::Loki, std::iter::empty(), "overloaded");
        ledger.lost(Way::SyslogUdp, 3);
        let book = ledger.book();
        for (_, row) in book.rows() {
            assert!(row.adds_up(), "{row:?}");
        }
        let row = |way, service: &str| book.find(way, service).expect("a row").clone();
        let a = row(Way::Http, "a");
        assert_eq!((a.received, a.stored, a.unknown, a.masked), (12, 5, 7, 2));
        let b = row(Way::Http, "b");
        assert_eq!((b.received, b.stored, b.repeated), (4, 1, 3));
        assert_eq!(b.refused["overloaded"], 1);
        let all = book.total();
        assert_eq!((all.received, all.rejected["too large"]), (18, 2));
        assert_eq!((all.refused["overloaded"], all.lost), (3, 3));
        assert!(all.adds_up());
    }
}
