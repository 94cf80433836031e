//! Bytes of requests being taken in: asked for before anything is read, given back after the answer.
//!
//! Refuses a request whole and at once when there is no room; never makes one wait.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shares::Held;
use crate::metrics::Gauge;

/// What one permit of the semaphore stands for, in bytes.
const UNIT: usize = 1 << 10;

/// The node's memory for requests; cheap to clone.
#[derive(Clone)]
pub struct Admission {
    units: Arc<Semaphore>,
    units_in_all: usize,
    held: Gauge,
}

/// There is no room for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Room for a request, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    units: Option<OwnedSemaphorePermit>,
    held: Gauge,
    /// What the services hold of it, once they are known.
    shares: Option<Held>,
}

impl Admission {
    /// Room for this many bytes. `held` shows what is taken.
    pub fn new(bytes: usize, held: Gauge) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            units_in_all: units,
            held,
        }
    }

    /// Room for nothing yet.
    pub fn none(&self) -> Permit {
        Permit {
            units: None,
            held: self.held.clone(),
            shares: None,
        }
    }

    /// Bytes in all, taken or not.
    pub fn bytes(&self) -> usize {
        self.units_in_all * UNIT
    }

    /// Whether there is room for this many bytes when nobody else has any.
    pub fn could_hold(&self, bytes: usize) -> bool {
        bytes.div_ceil(UNIT) <= self.units_in_all
    }

    /// Takes room for at least this many bytes.
    pub fn take(&self, bytes: usize) -> Result<Permit, Full> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| Full)?;
        let permit = Arc::clone(&self.units)
            .try_acquire_many_owned(units)
            .map_err(|_| Full)?;
        self.held.add(signed(permit.num_permits()));
        Ok(Permit {
            units: Some(permit),
            held: self.held.clone(),
            shares: None,
        })
    }

    /// Makes the permit one for at least this many bytes in all.
    pub fn grow(&self, permit: &mut Permit, bytes: usize) -> Result<(), Full> {
        let has = permit.bytes();
        if bytes <= has {
            return Ok(());
        }
        let mut more = self.take(bytes - has)?;
        match (&mut permit.units, more.units.take()) {
            (Some(units), Some(extra)) => units.merge(extra),
            (units, extra) => *units = extra,
        }
        Ok(())
    }
}

impl Permit {
    /// Bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.units
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
            * UNIT
    }

    /// Says which services hold it, for as long as it is held.
    pub(super) fn is_held_by(&mut self, shares: Held) {
        self.shares = Some(shares);
    }

    /// Gives back what is beyond this many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = (self.bytes() / UNIT).saturating_sub(bytes.div_ceil(UNIT));
        if let Some(given_back) = self.units.as_mut().and_then(|units| units.split(surplus)) {
            self.held.add(-signed(given_back.num_permits()));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.add(-signed(self.bytes() / UNIT));
    }
}

fn signed(units: usize) -> i64 {
    i64::try_from(units * UNIT).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_and_never_overdrawn() {
        let held = Gauge::default();
        let admission = Admission::new(10 * UNIT, held.clone());
        let mut first = admission.take(4 * UNIT).expect("room");
        let second = admission.take(6 * UNIT).expect("room");
        assert_eq!(admission.take(1).map(|_| ()), Err(Full));
        assert_eq!(admission.grow(&mut first, 5 * UNIT), Err(Full));
        drop(second);
        admission.grow(&mut first, 9 * UNIT).expect("room");
        assert_eq!(held.get(), signed(9));
        first.shrink(2 * UNIT);
        assert_eq!((first.bytes(), held.get()), (2 * UNIT, signed(2)));
        drop(first);
        assert_eq!(held.get(), 0);
        admission.take(10 * UNIT).expect("all room is back");
    }
}
