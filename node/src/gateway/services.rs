//! What each service has in one request: records, bytes, memory.
//!
//! Names are those of the records after masking: what nobody may read is no key here.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_record::Record;

use crate::limits::SERVICE_MEMORY_BYTES;

/// What one service has in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Its records.
    pub(super) records: u64,
    /// Bytes of their text.
    pub(super) text_bytes: u64,
    /// Records of them in which something was masked, when they were first masked.
    pub(super) masked: u64,
    /// Memory that they need until they are stored.
    pub(super) memory: usize,
}

impl Share {
    /// What one of its records has, about.
    fn one(&self) -> Self {
        let records = self.records.max(1);
        Self {
            records: 1,
            text_bytes: self.text_bytes / records,
            masked: self.masked / records,
            memory: self.memory / usize::try_from(records).unwrap_or(usize::MAX),
        }
    }

    fn remove(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.text_bytes = self.text_bytes.saturating_sub(other.text_bytes);
        self.masked = self.masked.saturating_sub(other.masked);
        self.memory = self.memory.saturating_sub(other.memory);
    }
}

/// The services of one request, in the order in which they came.
#[derive(Default)]
pub(super) struct Services {
    all: Vec<(Arc<str>, Share)>,
    places: BTreeMap<Arc<str>, usize>,
    /// The place of the last record's: what comes in a row is of one service mostly.
    last: usize,
}

impl Services {
    /// Adds a record of so many bytes of text that needs so much memory; gives the memory that its entry here
    /// needs.
    pub(super) fn add(&mut self, record: &Record, text_bytes: usize, memory: usize) -> usize {
        let mut more = 0;
        let name = record.service_name.as_str();
        if self
            .all
            .get(self.last)
            .is_none_or(|(last, _)| **last != *name)
        {
            let (place, new) = self.place(name);
            self.last = place;
            more = if new {
                SERVICE_MEMORY_BYTES + name.len()
            } else {
                0
            };
        }
        if let Some((_, share)) = self.all.get_mut(self.last) {
            share.records += 1;
            share.text_bytes += text_bytes as u64;
            share.masked += u64::from(!record.pii.is_empty());
            share.memory += memory + more;
        }
        more
    }

    /// One record of a service is now of another one, since the name that it came with is masked.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let Some(place) = self.places.get(from).copied() else {
            return;
        };
        let Some((_, share)) = self.all.get_mut(place) else {
            return;
        };
        let one = share.one();
        share.remove(one);
        if share.records == 0 {
            self.places.remove(from);
        }
        let (place, _) = self.place(to);
        if let Some((_, share)) = self.all.get_mut(place) {
            share.records += one.records;
            share.text_bytes += one.text_bytes;
            share.masked += one.records;
            share.memory += one.memory;
        }
        self.all.retain(|(_, share)| share.records > 0);
        self.places = (self.all.iter().enumerate())
            .map(|(place, (name, _))| (Arc::clone(name), place))
            .collect();
        self.last = 0;
    }

    /// The place of a service, and whether it is a new one.
    fn place(&mut self, name: &str) -> (usize, bool) {
        if let Some(place) = self.places.get(name) {
            return (*place, false);
        }
        let (place, name) = (self.all.len(), Arc::<str>::from(name));
        self.places.insert(Arc::clone(&name), place);
        self.all.push((name, Share::default()));
        (place, true)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Every service with what it has, from the one at this place on.
    pub(super) fn since(&self, place: usize) -> impl Iterator<Item = (&str, &Share)> {
        let rest = self.all.get(place..).unwrap_or_default();
        rest.iter().map(|(name, share)| (&**name, share))
    }

    /// The memory of every service.
    pub(super) fn memory(&self) -> impl Iterator<Item = (Arc<str>, usize)> {
        let all = self.all.iter();
        all.map(|(name, share)| (Arc::clone(name), share.memory))
    }

    /// Every service with what it has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Share)> {
        self.since(0)
    }
}

/// A record of a service.
#[cfg(test)]
pub(super) fn record(service: &str, message: &str) -> Record {
    let (id, received) = (hushlog_record::LogId([0; 16]), Default::default());
    let mut record = Record::new(id, received, message);
    record.service_name = service.into();
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_with_its_service() {
        let mut services = Services::default();
        let mut more = Vec::new();
        for (service, message) in [("a", "xx"), ("a", "y"), ("bb", "z"), ("a", "")] {
            let record = record(service, message);
            more.push(services.add(&record, record.text_bytes(), 10));
        }
        let new = |len| SERVICE_MEMORY_BYTES + len;
        assert_eq!(more, [new(1), 0, new(2), 0]);
        let shares: Vec<_> = services
            .iter()
            .map(|(name, share)| (name, share.records, share.text_bytes, share.memory))
            .collect();
        assert_eq!(
            shares,
            [("a", 3, 6, 30 + new(1)), ("bb", 1, 3, 10 + new(2))]
        );
        assert_eq!(services.since(1).count(), 1);
    }

    #[test]
    fn a_name_that_is_masked_later_is_kept_nowhere() {
        let mut services = Services::default();
        for service in ["a", "secret", "secret"] {
            services.add(&record(service, "m"), 10, 10);
        }
        services.rename("secret", "[MASKED]");
        let names = |services: &Services| -> Vec<(String, u64, u64)> {
            let all = services.iter();
            all.map(|(name, share)| (name.to_owned(), share.records, share.masked))
                .collect()
        };
        let half = [("a", 1, 0), ("secret", 1, 0), ("[MASKED]", 1, 1)];
        assert_eq!(names(&services), half.map(|(n, r, m)| (n.to_owned(), r, m)));
        services.rename("secret", "[MASKED]");
        let all = [("a", 1, 0), ("[MASKED]", 2, 2)];
        assert_eq!(names(&services), all.map(|(n, r, m)| (n.to_owned(), r, m)));
    }
}
