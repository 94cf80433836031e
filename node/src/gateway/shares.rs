//! How much of the node's memory for requests each service holds while its records are being stored, and
//! each kind of sender while its requests wait to be read.
//!
//! Who already holds some may not hold more than a part of all: what is left is there for the others, however
//! much it sends. Who holds nothing may always send one request, if there is room.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Full;

/// What every service holds; cheap to clone.
#[derive(Clone)]
pub(super) struct Shares {
    most: usize,
    held: Arc<Mutex<BTreeMap<Arc<str>, usize>>>,
}

/// What the services of a request hold, given back when dropped.
pub(super) struct Held {
    of: Shares,
    services: Vec<(Arc<str>, usize)>,
}

impl Shares {
    /// A service may hold so many bytes before it is refused more.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: Arc::default(),
        }
    }

    /// Refuses if one of these services holds its part already. Takes nothing.
    pub(super) fn check<'a>(
        &self,
        mut services: impl Iterator<Item = &'a str>,
    ) -> Result<(), Full> {
        let held = self.held.lock();
        let is_over = |service: &str| held.get(service).is_some_and(|has| *has >= self.most);
        if services.any(is_over) {
            Err(Full)
        } else {
            Ok(())
        }
    }

    /// Adds what these need to what they hold; all of it, or nothing.
    pub(super) fn take(
        &self,
        services: impl Iterator<Item = (Arc<str>, usize)>,
    ) -> Result<Held, Full> {
        let services: Vec<(Arc<str>, usize)> = services.collect();
        let mut held = self.held.lock();
        let is_over = |(service, bytes): &(Arc<str>, usize)| {
            let has = held.get(service).copied().unwrap_or(0);
            has > 0 && has.saturating_add(*bytes) > self.most
        };
        if services.iter().any(is_over) {
            return Err(Full);
        }
        for (service, bytes) in &services {
            *held.entry(Arc::clone(service)).or_default() += bytes;
        }
        Ok(Held {
            of: self.clone(),
            services,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.of.held.lock();
        for (service, bytes) in &self.services {
            if let Some(has) = held.get_mut(service) {
                *has = has.saturating_sub(*bytes);
                if *has == 0 {
                    held.remove(service);
                }
            }
        }
    }
}

/// Names no service: they may be long.
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: usize = self.services.iter().map(|(_, bytes)| bytes).sum();
        f.debug_struct("Held").field("bytes", &bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(services: &[(&str, usize)]) -> std::vec::IntoIter<(Arc<str>, usize)> {
        let all = services
            .iter()
            .map(|(name, bytes)| ((*name).into(), *bytes));
        all.collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_service_that_holds_its_part_leaves_the_rest_to_others() {
        let shares = Shares::new(10_000);
        let first = shares.take(request(&[("a", 6_000)])).expect("room");
        assert_eq!(shares.take(request(&[("a", 6_000)])).err(), Some(Full));
        let both = request(&[("b", 6_000), ("a", 6_000)]);
        assert_eq!(shares.take(both).err(), Some(Full));
        let other = shares.take(request(&[("b", 6_000)])).expect("its own");
        drop(first);
        drop(other);
        assert!(shares.held.lock().is_empty());
        // One request may be larger than the part, if it comes alone.
        let large = shares.take(request(&[("a", 50_000)])).expect("alone");
        assert_eq!(shares.check(["b", "a"].into_iter()), Err(Full));
        assert_eq!(shares.check(["b"].into_iter()), Ok(()));
        assert_eq!(shares.take(request(&[("a", 1)])).err(), Some(Full));
        drop(large);
        assert!(shares.held.lock().is_empty());
    }
}
