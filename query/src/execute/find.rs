//! Finding hits alone, once everything has been counted: best granules first, and no more of them
//! than needed.

use std::ops::Range;

use hushlog_record::Timestamp;

use super::{Aim, Run};
use crate::Error;
use crate::limits::GRANULES_PER_READ;
use crate::position::Order;
use crate::prune;
use crate::source::Source;
use crate::top::Chance;

/// To look for hits alone.
const FIND: Aim = Aim {
    count: false,
    hits: true,
};

/// A granule of a segment, or a block of the tail.
struct Piece {
    min: Timestamp,
    max: Timestamp,
    source: usize,
    granule: u32,
}

impl Run<'_> {
    /// Whether counts do not rule out a match between these event times of a source.
    fn may_have(
        &self,
        source: usize,
        counted: &Range<i64>,
        min: Timestamp,
        max: Timestamp,
    ) -> bool {
        let Some(minutes) = &self.minutes[source] else {
            return true;
        };
        let (first, last) = (min.minute(), max.minute());
        if !(counted.contains(&first) && counted.contains(&last)) {
            return true;
        }
        let next = minutes.partition_point(|minute| *minute < first);
        minutes.get(next).is_some_and(|minute| *minute <= last)
    }

    /// Looks for hits only, best granules first, and stops when no other can be better.
    pub(super) fn find(&mut self) -> Result<(), Error> {
        if !self.top.is_wanted() {
            return Ok(());
        }
        let pieces = self.pieces();
        let mut pieces = pieces.into_iter().peekable();
        // Few granules at first, for these often suffice; then more at once, for opening costs.
        let mut at_once = 1;
        while let Some(piece) = pieces.next() {
            match self.top.chance(piece.min, piece.max) {
                Chance::Before => {}
                Chance::Worse => {
                    self.top.note_more();
                    break;
                }
                Chance::Some => match self.sources[piece.source] {
                    Source::Segment(segment) => {
                        let mut granules = vec![piece.granule];
                        let same = |next: &Piece| next.source == piece.source;
                        while granules.len() < at_once
                            && let Some(next) = pieces.next_if(same)
                        {
                            granules.push(next.granule);
                        }
                        granules.sort_unstable();
                        self.scan_granules(piece.source, segment, &granules, self.plan.time, FIND)?;
                        at_once = (at_once * 2).min(GRANULES_PER_READ);
                    }
                    Source::Tail(_) => self.scan_source(piece.source, self.plan.time, FIND)?,
                },
            }
            if self.top.has_all(self.total) {
                break;
            }
        }
        Ok(())
    }

    /// The granules and blocks that may have a match, best first.
    fn pieces(&self) -> Vec<Piece> {
        let counted = self.whole_minutes();
        let mut pieces = Vec::new();
        for (source, from) in self.sources.iter().enumerate() {
            let (min, max) = from.times();
            match from {
                Source::Segment(segment) => {
                    for granule in
                        prune::granules(&segment.segment, self.plan.time, &self.by_bounds)
                    {
                        let times = segment.segment.granule_time(granule);
                        let (min, max) = times.unwrap_or((min, max));
                        pieces.push(Piece {
                            min,
                            max,
                            source,
                            granule,
                        });
                    }
                }
                Source::Tail(_) if self.plan.time.overlaps(min, max) => {
                    pieces.push(Piece {
                        min,
                        max,
                        source,
                        granule: 0,
                    });
                }
                Source::Tail(_) => {}
            }
        }
        pieces.retain(|piece| self.may_have(piece.source, &counted, piece.min, piece.max));
        match self.plan.request.order {
            Order::Descending => pieces.sort_by_key(|piece| std::cmp::Reverse(piece.max)),
            Order::Ascending => pieces.sort_by_key(|piece| piece.min),
        }
        pieces
    }
}
