//! What is known of one exception: how often, first and last seen, and a few ids.

/// Most sample ids kept for one exception.
pub const SAMPLES_MAX: usize = 3;

/// Occurrences to be added.
#[derive(Clone, Copy, Debug)]
pub struct ExceptionTally<'a> {
    /// How many.
    pub count: u64,
    /// Earliest event time, nanoseconds since the Unix epoch.
    pub first_seen: i64,
    /// Latest event time, nanoseconds since the Unix epoch.
    pub last_seen: i64,
    /// Ids of some of the records.
    pub samples: &'a [[u8; 16]],
}

/// Occurrences of one exception. Of the sample ids the greatest are kept: version 7 ids begin with
/// the time, so these are the newest, and the choice is the same in whatever order tallies merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    /// Descending, unique, at most [`SAMPLES_MAX`].
    pub(crate) samples: Vec<[u8; 16]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            count: 0,
            first_seen: i64::MAX,
            last_seen: i64::MIN,
            samples: Vec::new(),
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: &ExceptionTally<'_>) {
        self.count = self.count.saturating_add(other.count);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        for sample in other.samples {
            self.add_sample(*sample);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.add(&other.view());
    }

    pub(crate) fn view(&self) -> ExceptionTally<'_> {
        ExceptionTally {
            count: self.count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            samples: &self.samples,
        }
    }

    fn add_sample(&mut self, sample: [u8; 16]) {
        if let Err(at) = self.samples.binary_search_by(|kept| sample.cmp(kept)) {
            self.samples.insert(at, sample);
            self.samples.truncate(SAMPLES_MAX);
        }
    }
}
