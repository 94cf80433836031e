//! When the next segment's range is fixed: a pure policy over sizes and ages.

use std::time::Duration;

/// Sizes and ages that make a cut due.
#[derive(Clone, Copy, Debug)]
pub struct CutPolicy {
    /// Stored bytes of a shard's tail that make a cut due.
    pub tail_bytes: u64,
    /// Age of the oldest block in the tail that makes a cut due.
    pub tail_age: Duration,
    /// Stored bytes of all tails of a node above which no data is taken. At half of it the largest
    /// tail is cut at once.
    pub node_tail_bytes_max: u64,
}

impl Default for CutPolicy {
    fn default() -> Self {
        Self {
            tail_bytes: 32 << 20,
            tail_age: Duration::from_secs(600),
            node_tail_bytes_max: 512 << 20,
        }
    }
}

/// What the policy looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailSize {
    /// Stored bytes that no cut covers yet.
    pub(crate) bytes: u64,
    /// Age of the oldest block that no cut covers yet.
    pub(crate) age: Duration,
    /// Whether this is the largest tail of the node.
    pub(crate) largest: bool,
    /// Stored bytes of all tails of the node.
    pub(crate) node_bytes: u64,
}

impl CutPolicy {
    /// Whether the leader of this tail should propose a cut now.
    pub(crate) fn is_due(&self, tail: TailSize) -> bool {
        tail.bytes > 0
            && (tail.bytes >= self.tail_bytes
                || tail.age >= self.tail_age
                || (tail.largest && tail.node_bytes >= self.node_tail_bytes_max / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: TailSize = TailSize {
        bytes: 1,
        age: Duration::ZERO,
        largest: false,
        node_bytes: 1,
    };

    #[test]
    fn size_age_and_pressure_make_a_cut_due() {
        let policy = CutPolicy::default();
        assert!(!policy.is_due(SMALL));
        assert!(policy.is_due(TailSize {
            bytes: policy.tail_bytes,
            ..SMALL
        }));
        assert!(policy.is_due(TailSize {
            age: policy.tail_age,
            ..SMALL
        }));
        assert!(policy.is_due(TailSize {
            largest: true,
            node_bytes: policy.node_tail_bytes_max / 2,
            ..SMALL
        }));
    }

    #[test]
    fn an_empty_tail_is_never_cut() {
        let policy = CutPolicy::default();
        assert!(!policy.is_due(TailSize {
            bytes: 0,
            age: policy.tail_age,
            ..SMALL
        }));
    }
}
