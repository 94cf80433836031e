//! Which of its slots the rows of a spread service go to that nothing tells apart.
//!
//! One slot at a time, until as much has gone there as fills a block: to divide every request between all slots
//! would make blocks smaller by as many times.

use hushlog_record::id::stable_hash;
use hushlog_record::limits::BLOCK_TEXT_BYTES_TARGET;
use parking_lot::Mutex;

/// How far the rows of one gateway have come.
pub(super) struct Laps {
    now: Mutex<Lap>,
}

struct Lap {
    number: u64,
    /// Bytes of text that have gone where it leads.
    text_bytes: usize,
}

impl Laps {
    /// `first` tells gateways apart, which would else all take the same slots at the same time.
    pub(super) const fn new(first: u64) -> Self {
        let first = Lap {
            number: first,
            text_bytes: 0,
        };
        Self {
            now: Mutex::new(first),
        }
    }

    /// The lap of rows of so many bytes of text.
    pub(super) fn next(&self, text_bytes: usize) -> u64 {
        let mut lap = self.now.lock();
        let number = lap.number;
        lap.text_bytes = lap.text_bytes.saturating_add(text_bytes);
        if lap.text_bytes >= BLOCK_TEXT_BYTES_TARGET {
            *lap = Lap {
                number: number.wrapping_add(1),
                text_bytes: 0,
            };
        }
        number
    }
}

/// What chooses the slot of a service's rows: by name too, so that services do not go round in step.
pub(super) fn choice(service: &str, by: &[u8]) -> u64 {
    stable_hash(&[b"slot of", service.as_bytes(), b"\0", by])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_ends_with_a_blocks_worth_however_it_comes() {
        let laps = Laps::new(7);
        let half = BLOCK_TEXT_BYTES_TARGET / 2;
        let numbers = [half, half, 1, usize::MAX, 9].map(|bytes| laps.next(bytes));
        assert_eq!(numbers, [7, 7, 8, 8, 9]);
    }

    #[test]
    fn laps_and_services_take_all_slots_about_alike() {
        for service in ["a", "b"] {
            let mut taken = [0u32; 4];
            for lap in 0u64..4_000 {
                let slot = choice(service, &lap.to_be_bytes()) % 4;
                taken[usize::try_from(slot).expect("small")] += 1;
            }
            assert!(
                taken.iter().all(|count| (800..1_200).contains(count)),
                "{taken:?}"
            );
        }
        let choice = |service| choice(service, b"x") % 64;
        assert_ne!(choice("a"), choice("b"));
    }
}
