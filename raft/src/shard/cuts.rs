//! How much of a shard's log stays behind its segments: so much that a member that was away for a moment, or
//! is being given a snapshot, finds what comes next in it. Only says where the log may begin.
//!
//! Without it a follower that is behind never catches up under load: whenever it has a snapshot, what comes
//! next has just been cut and let go.

use std::collections::VecDeque;

/// So many times as much is kept for members that lack it.
const LACKING: u64 = 4;

/// The cuts whose log may be there still, as far as this replica has seen them: what is before the first is
/// let go with it.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// Ends, with the bytes of the blocks from the one before to each; ascending.
    cuts: VecDeque<(u64, u64)>,
    /// Where the log may begin, as far as was said.
    from: u64,
}

impl Cuts {
    /// A cut that ends here, of blocks of so many bytes.
    pub(crate) fn add(&mut self, end: u64, bytes: u64) {
        self.cuts.push_back((end, bytes));
    }

    /// Where the log may begin: at `segmented_to` or before, so that at least `keep` bytes stay, and more as
    /// long as a member lacks them that needs the log from `needed_from` on.
    pub(crate) fn trim_to(&mut self, segmented_to: u64, keep: u64, needed_from: u64) -> u64 {
        let mut kept = 0;
        for (end, bytes) in self.cuts.iter().rev() {
            if *end > segmented_to {
                continue;
            }
            let lacking = *end > needed_from && kept < keep.saturating_mul(LACKING);
            if kept >= keep && !lacking {
                self.from = self.from.max(*end);
                break;
            }
            kept += bytes;
        }
        let gone = self.cuts.partition_point(|(end, _)| *end <= self.from);
        self.cuts.drain(..gone);
        self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u64 = u64::MAX;

    /// Cuts that end at 10, 20, …, of ten bytes each.
    fn cuts(count: u64) -> Cuts {
        let mut cuts = Cuts::default();
        for end in 1..=count {
            cuts.add(10 * end, 10);
        }
        cuts
    }

    #[test]
    fn what_is_kept_is_as_much_as_was_asked_for_and_no_cut_more() {
        assert_eq!(cuts(5).trim_to(50, 0, NOBODY), 50);
        assert_eq!(cuts(5).trim_to(50, 1, NOBODY), 40);
        assert_eq!(cuts(5).trim_to(50, 20, NOBODY), 30);
        assert_eq!(cuts(5).trim_to(50, 21, NOBODY), 20);
        assert_eq!(cuts(5).trim_to(50, 100, NOBODY), 0);
        // Where segments are not built yet the log is needed anyway.
        assert_eq!(cuts(5).trim_to(39, 0, NOBODY), 30);
    }

    #[test]
    fn more_is_kept_for_a_member_that_lacks_it_up_to_a_limit() {
        assert_eq!(cuts(9).trim_to(90, 10, 95), 80);
        assert_eq!(cuts(9).trim_to(90, 10, 70), 70);
        assert_eq!(cuts(9).trim_to(90, 10, 69), 60);
        assert_eq!(cuts(9).trim_to(90, 10, 0), 50);
        assert_eq!(cuts(9).trim_to(90, 0, 0), 90, "nothing is to be kept");
    }

    #[test]
    fn what_was_let_go_never_comes_back() {
        let mut cuts = cuts(3);
        assert_eq!(cuts.trim_to(30, 0, NOBODY), 30);
        cuts.add(40, 10);
        assert_eq!(cuts.trim_to(40, 100, 0), 30);
        assert_eq!(cuts.trim_to(40, 0, NOBODY), 40);
    }
}
