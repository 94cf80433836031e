//! Counts the exceptions of a window in one shard: whole minutes from summaries, the minutes that the window
//! or what is hidden cuts from their rows. Rows are counted into summaries, too, so what holds of these holds of
//! both: a minute with more than [`EXACT_MAX`](hushlog_sketch::EXACT_MAX) different exceptions is estimated, from above.

use arrow_array::RecordBatch;
use hushlog_record::LogId;
use hushlog_sketch::{ExceptionTally, Exceptions, Summary};
use hushlog_storage::batch::{Rows, name};

use super::{TopK, TopKPartial};
use crate::Error;
use crate::budget::Budget;
use crate::field::Field;
use crate::floors::Floors;
use crate::language::{Expr, Scalar, Test};
use crate::limits::GRANULES_PER_READ;
use crate::minutes::{edges, full_minutes, touched_minutes};
use crate::nulls::Nulls;
use crate::plan::Interval;
use crate::prune::{self, ByBounds};
use crate::scan::Matcher;
use crate::view::{SegmentView, TailBlock, View, data};

/// Counts the exceptions of the window in one shard.
///
/// # Errors
/// As [`execute`](crate::execute).
pub fn top_k(request: &TopK, view: &View, budget: &Budget) -> Result<TopKPartial, Error> {
    let cut = request.cut();
    let time = cut.time;
    // Summaries know whole minutes, and nothing of what is hidden in them.
    let whole = full_minutes(cut.clear);
    let counted = budget.use_summaries && request.environment.is_none() && !whole.is_empty();
    let service = request.service.as_deref();
    let mut exceptions = Exceptions::new();
    // What has no summary is counted into this one.
    let mut rest = Summary::new();
    let all = Scan::new(request, time, budget);
    let uncounted: Vec<Scan<'_>> = edges(time, &whole)
        .filter(|_| counted)
        .map(|edge| Scan::new(request, edge, budget))
        .collect();
    for segment in &view.segments {
        let (min, max) = (segment.meta.time_min, segment.meta.time_max);
        if !time.overlaps(min, max) {
            continue;
        }
        match &segment.summary {
            Some(summary) if counted => {
                exceptions.merge(&summary.exceptions(whole.clone(), service));
                for scan in uncounted.iter().filter(|scan| scan.time.overlaps(min, max)) {
                    let cut = summary.exceptions(touched_minutes(scan.time), service);
                    // A minute that is not exact does not list all that it has.
                    if !cut.is_empty() || !cut.is_exact() {
                        scan.segment(segment, &mut rest)?;
                    }
                }
            }
            _ => all.segment(segment, &mut rest)?,
        }
    }
    for block in &view.tail {
        let (min, max) = block.times();
        if !time.overlaps(min, max) {
            continue;
        }
        match block.counts() {
            Some(counts) if counted => {
                let cells = counts.exceptions.iter();
                for cell in cells.filter(|cell| whole.contains(&cell.minute)) {
                    let samples: Vec<[u8; 16]> = cell.samples.iter().map(|id| id.0).collect();
                    let tally = ExceptionTally {
                        count: cell.count,
                        first_seen: cell.first_seen.nanos(),
                        last_seen: cell.last_seen.nanos(),
                        samples: &samples,
                    };
                    rest.add_exception(cell.minute, &cell.service, &cell.type_name, tally);
                }
                for scan in uncounted.iter().filter(|scan| scan.time.overlaps(min, max)) {
                    let cut = touched_minutes(scan.time);
                    if counts
                        .exceptions
                        .iter()
                        .any(|cell| cut.contains(&cell.minute))
                    {
                        scan.tail(block, &mut rest)?;
                    }
                }
            }
            _ => all.tail(block, &mut rest)?,
        }
    }
    exceptions.merge(&rest.exceptions(touched_minutes(time), service));
    Ok(TopKPartial {
        shard: view.shard,
        exceptions,
    })
}

/// A count of exceptions row by row.
struct Scan<'a> {
    budget: &'a Budget,
    time: Interval,
    /// What rows may be hidden by, if any may be.
    floors: Option<&'a Floors>,
    matcher: Matcher,
    by_bounds: Vec<ByBounds>,
}

const COLUMNS: [&str; 5] = [
    name::LOG_ID,
    name::TIMESTAMP,
    name::SERVICE_NAME,
    name::ENVIRONMENT,
    name::EXCEPTION_TYPE,
];

impl<'a> Scan<'a> {
    fn new(request: &'a TopK, time: Interval, budget: &'a Budget) -> Self {
        let mut parts = vec![
            Expr::field(
                Field::Timestamp,
                Test::Time {
                    first: time.first,
                    last: time.last,
                },
            ),
            Expr::field(Field::ExceptionType, Test::Exists),
        ];
        for (field, value) in [
            (Field::Service, &request.service),
            (Field::Environment, &request.environment),
        ] {
            let test = value
                .clone()
                .map(|value| Test::Equal(vec![Scalar::Text(value)]));
            parts.extend(test.map(|test| Expr::field(field, test)));
        }
        let expr = Expr::and(parts);
        let by_bounds = prune::by_bounds(&expr);
        let hides = time.first < request.cut().clear.first;
        Self {
            budget,
            time,
            floors: hides.then_some(&request.floors),
            matcher: Matcher::compile(&expr),
            by_bounds,
        }
    }

    fn segment(&self, segment: &SegmentView, into: &mut Summary) -> Result<(), Error> {
        let mut granules = prune::granules(&segment.segment, self.time, &self.by_bounds);
        let nulls = Nulls::of(&segment.segment);
        granules.retain(|granule| !nulls.is_empty(name::EXCEPTION_TYPE, &[*granule]));
        let columns = COLUMNS.map(str::to_owned);
        for chunk in granules.chunks(GRANULES_PER_READ) {
            let columns = nulls.leave_out(chunk, &columns);
            for read in segment.segment.scan(chunk, Some(&columns)).map_err(data)? {
                self.budget.check()?;
                self.add(&read.map_err(data)?.1, into)?;
            }
        }
        Ok(())
    }

    fn tail(&self, block: &TailBlock, into: &mut Summary) -> Result<(), Error> {
        self.budget.check()?;
        let batch = block.batch(self.budget)?;
        self.add(&batch, into)
    }

    fn add(&self, batch: &RecordBatch, into: &mut Summary) -> Result<(), Error> {
        let mut selected = self.matcher.eval(batch)?;
        if let Some(floors) = self.floors {
            selected = &selected & &floors.visible(batch)?;
        }
        let rows = Rows::new(batch).map_err(data)?;
        for row in selected.set_indices().map(|index| rows.get(index)) {
            let (Some(time), Some(service), Some((type_name, ..)), Some(LogId(id))) = (
                row.timestamp(),
                row.service_name(),
                row.exception(),
                row.log_id(),
            ) else {
                continue;
            };
            let (first_seen, last_seen) = (time.nanos(), time.nanos());
            let tally = ExceptionTally {
                count: 1,
                first_seen,
                last_seen,
                samples: &[id],
            };
            into.add_exception(time.minute(), service, type_name, tally);
        }
        Ok(())
    }
}
