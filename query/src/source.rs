//! The two kinds of things that a shard's rows are in.

use hushlog_record::{ExceptionId, Timestamp};

use crate::minutes::touched_minutes;
use crate::plan::Interval;
use crate::position::Order;
use crate::view::{SegmentView, TailBlock, View};

/// A segment or a block of the tail.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Segment(&'a SegmentView),
    Tail(&'a TailBlock),
}

/// The segments and blocks of a view, those with the best hits first.
pub(crate) fn of(view: &View, order: Order) -> Vec<Source<'_>> {
    let segments = view.segments.iter().map(|segment| Source::Segment(segment));
    let blocks = view.tail.iter().map(|block| Source::Tail(block));
    let mut sources: Vec<_> = segments.chain(blocks).collect();
    match order {
        Order::Descending => sources.sort_by_key(|source| std::cmp::Reverse(source.times().1)),
        Order::Ascending => sources.sort_by_key(|source| source.times().0),
    }
    sources
}

impl Source<'_> {
    /// First and last event time.
    pub(crate) fn times(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Segment(segment) => (segment.meta.time_min, segment.meta.time_max),
            Self::Tail(block) => block.times(),
        }
    }

    /// Whether counts do not rule out that a row between these event times has this exception.
    pub(crate) fn may_have_exception(&self, id: ExceptionId, time: Interval) -> bool {
        let minutes = touched_minutes(time);
        let is_it = |service: &str, type_name: &str| ExceptionId::of(type_name, service) == id;
        match self {
            Self::Segment(segment) => {
                let summary = segment.summary.as_ref();
                summary.is_none_or(|summary| summary.may_have_exception(minutes, is_it))
            }
            Self::Tail(block) => block.counts().is_none_or(|counts| {
                let cells = counts.exceptions.iter();
                cells
                    .filter(|cell| minutes.contains(&cell.minute))
                    .any(|cell| is_it(&cell.service, &cell.type_name))
            }),
        }
    }
}
