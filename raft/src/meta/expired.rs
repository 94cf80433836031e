//! How many rows the cluster has dropped, with buckets that were over or out of shards that were rewritten, by
//! service: for the books.
//!
//! Nothing is decided by it.

use std::collections::BTreeMap;

use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{EXPIRED_SERVICE_BYTES_MAX, EXPIRED_SERVICES_MAX};

/// Rows that were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Of the services that are counted by name.
    pub services: BTreeMap<String, u64>,
    /// Of all others, and those of which nobody said whose they were.
    pub others: u64,
}

impl Expired {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.services
            .values()
            .fold(self.others, |all, rows| all.saturating_add(*rows))
    }

    /// Adds so many rows of a bucket or a shard. What is said of its services is not believed beyond that.
    pub(super) fn add(&mut self, services: &BTreeMap<String, u64>, rows: u64) {
        let mut left = rows;
        for (service, rows) in services {
            let rows = (*rows).min(left);
            left -= rows;
            if let Some(known) = self.services.get_mut(service) {
                *known = known.saturating_add(rows);
            } else if self.has_room_for(service) {
                self.services.insert(service.clone(), rows);
            } else {
                self.others = self.others.saturating_add(rows);
            }
        }
        self.others = self.others.saturating_add(left);
    }

    fn has_room_for(&self, service: &str) -> bool {
        self.services.len() < EXPIRED_SERVICES_MAX && service.len() <= EXPIRED_SERVICE_BYTES_MAX
    }
}

pub(super) fn put_expired(out: &mut Encoder, expired: &Expired) {
    put_services(out, &expired.services);
    out.u64(expired.others);
}

pub(super) fn take_expired(input: &mut Decoder<'_>) -> Result<Expired, Error> {
    Ok(Expired {
        services: take_services(input)?,
        others: input.u64()?,
    })
}

pub(super) fn put_services(out: &mut Encoder, services: &BTreeMap<String, u64>) {
    out.len(services.len());
    for (service, rows) in services {
        out.text(service).u64(*rows);
    }
}

pub(super) fn take_services(input: &mut Decoder<'_>) -> Result<BTreeMap<String, u64>, Error> {
    let mut services = BTreeMap::new();
    for _ in 0..input.count(4 + 8)? {
        services.insert(input.text()?, input.u64()?);
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services<const N: usize>(of: [(&str, u64); N]) -> BTreeMap<String, u64> {
        BTreeMap::from(of.map(|(name, rows)| (name.to_owned(), rows)))
    }

    #[test]
    fn every_row_is_counted_once_whatever_is_said_of_it() {
        let mut expired = Expired::default();
        expired.add(&services([("a", 3), ("b", 4)]), 10);
        expired.add(&services([("a", 5)]), 5);
        assert_eq!(expired.services, services([("a", 8), ("b", 4)]));
        assert_eq!((expired.others, expired.rows()), (3, 15));
        expired.add(&services([("a", u64::MAX), ("b", 1)]), 2);
        assert_eq!(expired.rows(), 17);
    }

    #[test]
    fn services_are_few_and_their_names_short() {
        let mut expired = Expired::default();
        let long = "s".repeat(EXPIRED_SERVICE_BYTES_MAX + 1);
        expired.add(&services([(long.as_str(), 2)]), 2);
        for number in 0..EXPIRED_SERVICES_MAX {
            expired.add(&services([(number.to_string().as_str(), 1)]), 1);
        }
        expired.add(&services([("0", 1), ("one more", 7)]), 8);
        assert_eq!(expired.services.len(), EXPIRED_SERVICES_MAX);
        assert_eq!((expired.services["0"], expired.others), (2, 9));
    }
}
