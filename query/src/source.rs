//! The two kinds of things that a shard's rows are in.

use hushlog_record::Timestamp;

use crate::view::{SegmentView, TailBlock};

/// A segment or a block of the tail.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Segment(&'a SegmentView),
    Tail(&'a TailBlock),
}

impl Source<'_> {
    /// First and last event time.
    pub(crate) fn times(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Segment(segment) => (segment.meta.time_min, segment.meta.time_max),
            Self::Tail(block) => block.times(),
        }
    }
}
