//! Memory that somebody holds beside a request that is being taken in: what is kept for its answer, what
//! was received and makes no request yet.

use super::{Admission, Full, Permit};

/// Room that grows by and by, given back when dropped.
pub struct Claim {
    admission: Admission,
    permit: Permit,
    bytes: usize,
}

impl Claim {
    /// Room for nothing yet.
    pub fn new(admission: &Admission) -> Self {
        Self {
            admission: admission.clone(),
            permit: admission.none(),
            bytes: 0,
        }
    }

    /// Bytes that were asked for.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it room for so many bytes more.
    pub fn add(&mut self, bytes: usize) -> Result<(), Full> {
        let bytes = self.bytes.saturating_add(bytes);
        self.admission.grow(&mut self.permit, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Gives back what is beyond this many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        self.permit.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Gauge;

    #[test]
    fn it_grows_while_there_is_room_and_gives_everything_back() {
        let held = Gauge::default();
        let admission = Admission::new(8 << 10, held.clone());
        let mut claim = Claim::new(&admission);
        claim.add(100).expect("room");
        claim.add(5 << 10).expect("room");
        assert_eq!(claim.add(4 << 10), Err(Full));
        assert_eq!((claim.bytes(), held.get()), (100 + (5 << 10), 6 << 10));
        claim.shrink(1 << 10);
        assert_eq!((claim.bytes(), held.get()), (1 << 10, 1 << 10));
        drop(claim);
        assert_eq!(held.get(), 0);
    }
}
