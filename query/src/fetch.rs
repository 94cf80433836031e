//! Reads the rows of the hits that won, and no others.

use arrow_array::RecordBatch;
use hushlog_storage::batch::Rows;

use crate::Error;
use crate::budget::{Budget, Lease};
use crate::hit::{Hit, record_of};
use crate::nulls::Nulls;
use crate::source::Source;
use crate::top::Candidate;
use crate::view::{SegmentView, data};

/// The hits of these candidates, in their order.
pub(crate) fn fetch(
    sources: &[Source<'_>],
    winners: &[Candidate],
    budget: &Budget,
) -> Result<Vec<Hit>, Error> {
    let mut order: Vec<usize> = (0..winners.len()).collect();
    order.sort_by_key(|&winner| winners[winner].place);
    let mut fetch = Fetch {
        winners,
        hits: vec![None; winners.len()],
        budget,
        lease: budget.lease(0)?,
    };
    let place = |&winner: &usize| winners[winner].place;
    for of_source in order.chunk_by(|a, b| place(a).source == place(b).source) {
        let groups: Vec<&[usize]> = of_source
            .chunk_by(|a, b| place(a).granule == place(b).granule)
            .collect();
        match sources[place(&of_source[0]).source] {
            Source::Tail(block) => {
                let batch = block.batch(budget)?;
                for group in groups {
                    fetch.rows(&batch, group)?;
                }
            }
            Source::Segment(segment) => fetch.granules(segment, &groups)?,
        }
    }
    Ok(fetch.hits.into_iter().flatten().collect())
}

struct Fetch<'a> {
    winners: &'a [Candidate],
    hits: Vec<Option<Hit>>,
    budget: &'a Budget,
    lease: Lease,
}

impl Fetch<'_> {
    /// Reads groups of winners, each of one granule, granules ascending.
    fn granules(&mut self, segment: &SegmentView, groups: &[&[usize]]) -> Result<(), Error> {
        let granules: Vec<u32> = groups
            .iter()
            .map(|group| self.winners[group[0]].place.granule)
            .collect();
        let schema = segment.segment.schema();
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let columns = Nulls::of(&segment.segment).leave_out(&granules, &columns);
        let scan = segment
            .segment
            .scan(&granules, Some(&columns))
            .map_err(data)?;
        for (read, group) in scan.zip(groups) {
            self.budget.check()?;
            let (_, batch) = read.map_err(data)?;
            self.rows(&batch, group)?;
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, group: &[usize]) -> Result<(), Error> {
        let rows = Rows::new(batch).map_err(data)?;
        for &winner in group {
            let Candidate {
                position, place, ..
            } = self.winners[winner];
            let record = record_of(&rows.get(place.index as usize))?;
            self.lease.extend(record.text_bytes())?;
            self.hits[winner] = Some(Hit { position, record });
        }
        Ok(())
    }
}
