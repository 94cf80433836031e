//! Runs a plan on one shard, or on parts of it that several threads take.
//!
//! Counts come from summaries where these suffice; otherwise every granule that statistics and index
//! leave over is scanned, cheap columns first. Never blocks on anything but the disk, and stops
//! between granules when its budget says so.

mod find;
mod part;

use std::cell::OnceCell;
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_buffer::BooleanBuffer;
use arrow_schema::Schema;
use hushlog_index::Prune;
use hushlog_record::{ExceptionId, Level, Timestamp};
use hushlog_storage::batch::name;

use crate::Error;
use crate::aggregation::{self, CountRow, State};
use crate::budget::{Budget, Lease};
use crate::counter::Counter;
use crate::language::Expr;
use crate::limits::{BUCKETS_COLLECTED_MAX, GRANULES_PER_READ};
use crate::minutes::{edges, full_minutes};
use crate::nulls::Nulls;
use crate::partial::{Partial, Scanned};
use crate::plan::{Interval, Plan};
use crate::position::{Order, Position};
use crate::prune::{self, ByBounds};
use crate::scan::column::{Columns, Need, is_required, mismatch};
use crate::scan::{Matcher, is_cheap_expr};
use crate::source::{self, Source};
use crate::top::{Chance, Place, Top};
use crate::view::{SegmentView, View, data};

pub use part::{Part, unite};

/// Answers the plan on one shard.
///
/// # Errors
/// [`Error::Data`] when the shard cannot be read, [`Error::Memory`], [`Error::Busy`],
/// [`Error::Buckets`], [`Error::Timeout`] and [`Error::Cancelled`] when a limit was reached.
pub fn execute(plan: &Plan, view: &View, budget: &Budget) -> Result<Partial, Error> {
    let part = Part::scan(plan, view.clone(), budget)?;
    unite(plan, vec![part], budget)
}

/// What a scan is for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Aim {
    /// Adds to the total and the aggregations.
    count: bool,
    /// Offers hits.
    hits: bool,
}

struct Run<'a> {
    plan: &'a Plan,
    view: &'a View,
    budget: &'a Budget,
    sources: Vec<Source<'a>>,
    /// By source, the minutes with matches, where these were counted.
    minutes: Vec<Option<Vec<i64>>>,
    /// By source, the columns that need not be read.
    nulls: Vec<OnceCell<Nulls>>,
    /// The conjuncts on columns that cost next to nothing, and the others.
    cheap: Matcher,
    costly: Matcher,
    whole: Matcher,
    by_bounds: Vec<ByBounds>,
    by_index: Prune,
    /// The exception that every match has.
    by_exception: Option<ExceptionId>,
    total: u64,
    states: Vec<State>,
    states_lease: Lease,
    top: Top,
    scanned: Scanned,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, view: &'a View, budget: &'a Budget) -> Result<Self, Error> {
        let request = &plan.request;
        let (cheap, costly): (Vec<Expr>, Vec<Expr>) = plan
            .rest
            .clone()
            .conjuncts()
            .into_iter()
            .partition(is_cheap_expr);
        let sources = source::of(view, request.order);
        Ok(Self {
            plan,
            view,
            budget,
            minutes: vec![None; sources.len()],
            nulls: sources.iter().map(|_| OnceCell::new()).collect(),
            sources,
            cheap: Matcher::compile(&Expr::and(cheap)),
            costly: Matcher::compile(&Expr::and(costly)),
            whole: Matcher::compile(&plan.rest),
            by_bounds: prune::by_bounds(&plan.rest),
            by_index: prune::by_index(&plan.rest),
            by_exception: prune::by_exception(&plan.rest),
            total: 0,
            states: aggregation::empty(&request.aggregations),
            states_lease: budget.lease(0)?,
            top: Top::new(request.order, request.hits_wanted(), request.search_after),
            scanned: Scanned::default(),
        })
    }

    /// Counts and finds, by the shortest way.
    fn look(&mut self) -> Result<(), Error> {
        if self.budget.use_summaries
            && self.plan.is_countable()
            && aggregation::is_countable(&self.plan.request.aggregations)
        {
            self.count()?;
            self.find()
        } else {
            self.scan_all()
        }
    }

    /// Counts and finds by looking at everything that may match.
    fn scan_all(&mut self) -> Result<(), Error> {
        let aim = Aim {
            count: true,
            hits: true,
        };
        for source in 0..self.sources.len() {
            self.scan_source(source, self.plan.time, aim)?;
        }
        Ok(())
    }

    /// The minutes that summaries can count: those that the time range does not cut, and in which nothing
    /// is hidden.
    fn whole_minutes(&self) -> Range<i64> {
        full_minutes(self.plan.cut().clear)
    }

    /// Whether a scan between these times must look for hidden rows among rows with these event times, if
    /// they are known.
    fn hides(&self, time: Interval, bounds: Option<(Timestamp, Timestamp)>) -> bool {
        let cut = self.plan.cut();
        time.first < cut.clear.first && bounds.is_none_or(|(min, max)| cut.is_needed(min, max))
    }

    /// Counts by summaries, and scans only the minutes that these cannot count.
    fn count(&mut self) -> Result<(), Error> {
        let whole = self.whole_minutes();
        for source in 0..self.sources.len() {
            let (min, max) = self.sources[source].times();
            if !self.plan.time.overlaps(min, max) {
                continue;
            }
            let aim = Aim {
                count: true,
                hits: false,
            };
            if whole.is_empty() || !self.count_minutes(source, &whole) {
                self.scan_source(source, self.plan.time, aim)?;
                continue;
            }
            for edge in edges(self.plan.time, &whole) {
                self.scan_source(source, edge, aim)?;
            }
        }
        Ok(())
    }

    /// Adds the counts of these minutes; false when the source has none.
    fn count_minutes(&mut self, source: usize, minutes: &Range<i64>) -> bool {
        let aggregations = &self.plan.request.aggregations;
        let mut counter = Counter::new(aggregations, &mut self.states, &self.whole);
        match self.sources[source] {
            Source::Segment(segment) => {
                let Some(summary) = &segment.summary else {
                    return false;
                };
                for cell in summary.levels(minutes.clone(), None) {
                    if let Some(level) = Level::from_code(cell.level) {
                        let (minute, service, count) = (cell.minute, cell.service, cell.count);
                        counter.add(CountRow {
                            minute,
                            service,
                            level,
                            count,
                        });
                    }
                }
            }
            Source::Tail(block) => {
                let Some(counts) = block.counts() else {
                    return false;
                };
                for cell in counts
                    .levels
                    .iter()
                    .filter(|cell| minutes.contains(&cell.minute))
                {
                    let (minute, level, count) = (cell.minute, cell.level, cell.count);
                    counter.add(CountRow {
                        minute,
                        service: &cell.service,
                        level,
                        count,
                    });
                }
            }
        }
        let (total, with_matches) = counter.finish();
        self.total += total;
        self.minutes[source] = Some(with_matches);
        true
    }

    fn scan_source(&mut self, source: usize, time: Interval, aim: Aim) -> Result<(), Error> {
        let (min, max) = self.sources[source].times();
        if !time.overlaps(min, max) {
            return Ok(());
        }
        match self.sources[source] {
            Source::Segment(segment) => {
                let granules = self.candidates(source, segment, time);
                let mut chunks: Vec<_> = granules.chunks(GRANULES_PER_READ).collect();
                if self.plan.request.order == Order::Descending {
                    chunks.reverse();
                }
                for chunk in chunks {
                    self.scan_granules(source, segment, chunk, time, aim)?;
                }
            }
            Source::Tail(_) if !self.may_have_exception(source, time) => {}
            Source::Tail(block) => {
                self.budget.check()?;
                let batch = &*block.batch(self.budget)?;
                let mut selected = self.cheap.eval(batch)?;
                if !time.covers(min, max) {
                    selected = &selected & &in_time(batch, time)?;
                }
                if self.hides(time, Some((min, max))) {
                    selected = &selected & &self.plan.floors().visible(batch)?;
                }
                if selected.count_set_bits() > 0 {
                    selected = &selected & &self.costly.eval(batch)?;
                }
                self.scanned.rows += batch.num_rows() as u64;
                self.take(source, 0, batch, &selected, aim)?;
                self.check_states()?;
            }
        }
        Ok(())
    }

    /// Whether counts do not rule out that a source has the exception that is asked for.
    fn may_have_exception(&self, source: usize, time: Interval) -> bool {
        let may = |id| self.sources[source].may_have_exception(id, time);
        !self.budget.use_summaries || self.by_exception.is_none_or(may)
    }

    /// The granules that counts, statistics and index leave over, ascending.
    fn candidates(&mut self, source: usize, segment: &SegmentView, time: Interval) -> Vec<u32> {
        let mut granules = if self.may_have_exception(source, time) {
            prune::granules(&segment.segment, time, &self.by_bounds)
        } else {
            Vec::new()
        };
        if self.by_exception.is_some() {
            let nulls = self.nulls(source, segment);
            granules.retain(|granule| !nulls.is_empty(name::EXCEPTION_TYPE, &[*granule]));
        }
        let index = segment
            .index
            .as_ref()
            .filter(|_| self.budget.use_index && !granules.is_empty());
        if let Some(index) = index.filter(|_| !matches!(self.by_index, Prune::Any)) {
            match index.prune(&self.by_index) {
                Ok(Some(set)) => granules.retain(|&granule| set.contains(granule)),
                Ok(None) => {}
                // The answer is right without it; the node hears of it through the partial.
                Err(_) => self.scanned.index_failures += 1,
            }
        }
        let all = u64::from(segment.segment.granule_count());
        self.scanned.granules_pruned += all - granules.len() as u64;
        granules
    }

    fn scan_granules(
        &mut self,
        source: usize,
        segment: &SegmentView,
        granules: &[u32],
        time: Interval,
        aim: Aim,
    ) -> Result<(), Error> {
        self.budget.check()?;
        self.scanned.granules += granules.len() as u64;
        let mut left = self.filter_cheaply(source, segment, granules, time)?;
        left.retain(|(_, selected)| selected.as_ref().is_none_or(|s| s.count_set_bits() > 0));
        let needs = self.costly_needs(segment, &left, aim);
        if needs.is_empty() {
            for (granule, selected) in left {
                let rows = segment.segment.granule_rows(granule);
                let count = selected.map_or(rows, |selected| selected.count_set_bits());
                self.total += if aim.count { count as u64 } else { 0 };
                if aim.hits && self.top.is_wanted() && count > 0 {
                    self.top.note_more();
                }
            }
            return Ok(());
        }
        let granules: Vec<u32> = left.iter().map(|(granule, _)| *granule).collect();
        let columns = worth_reading(segment, &granules, needs);
        let columns = self.nulls(source, segment).leave_out(&granules, &columns);
        let scan = segment
            .segment
            .scan(&granules, Some(&columns))
            .map_err(data)?;
        for (read, (granule, cheap)) in scan.zip(left) {
            self.budget.check()?;
            let (_, batch) = read.map_err(data)?;
            let _lease = self.budget.lease(batch.get_array_memory_size())?;
            segment.alphabets.learn(&segment.segment, granule, &batch);
            self.scanned.rows += batch.num_rows() as u64;
            let mut selected = self.costly.eval(&batch)?;
            if let Some(cheap) = cheap {
                selected = &selected & &cheap;
            }
            self.take(source, granule, &batch, &selected, aim)?;
        }
        self.check_states()
    }

    fn nulls(&self, source: usize, segment: &SegmentView) -> &Nulls {
        self.nulls[source].get_or_init(|| Nulls::of(&segment.segment))
    }

    /// Evaluates the cheap conjuncts, the time and what is hidden; `None` selects all rows.
    fn filter_cheaply(
        &self,
        source: usize,
        segment: &SegmentView,
        granules: &[u32],
        time: Interval,
    ) -> Result<Vec<(u32, Option<BooleanBuffer>)>, Error> {
        let covered = |granule: u32| {
            segment
                .segment
                .granule_time(granule)
                .is_some_and(|(min, max)| time.covers(min, max))
        };
        let mut needs = Vec::new();
        self.cheap.needs(segment.segment.schema(), &mut needs);
        let mut columns: Vec<String> = needs.into_iter().map(|need| need.column).collect();
        let hides = |granule: u32| self.hides(time, segment.segment.granule_time(granule));
        let any_hides = granules.iter().any(|&granule| hides(granule));
        if any_hides || granules.iter().any(|&granule| !covered(granule)) {
            columns.push(name::TIMESTAMP.to_owned());
        }
        if any_hides && !columns.iter().any(|column| column == name::SERVICE_NAME) {
            columns.push(name::SERVICE_NAME.to_owned());
        }
        if columns.is_empty() {
            return Ok(granules.iter().map(|&granule| (granule, None)).collect());
        }
        let columns = self.nulls(source, segment).leave_out(granules, &columns);
        let scan = segment
            .segment
            .scan(granules, Some(&columns))
            .map_err(data)?;
        scan.map(|read| {
            let (granule, batch) = read.map_err(data)?;
            let mut selected = self.cheap.eval(&batch)?;
            if !covered(granule) {
                selected = &selected & &in_time(&batch, time)?;
            }
            if hides(granule) {
                selected = &selected & &self.plan.floors().visible(&batch)?;
            }
            Ok((granule, Some(selected)))
        })
        .collect()
    }

    /// The columns that are needed of these granules besides the cheap ones.
    fn costly_needs(
        &self,
        segment: &SegmentView,
        granules: &[(u32, Option<BooleanBuffer>)],
        aim: Aim,
    ) -> Vec<Need> {
        let schema: &Schema = segment.segment.schema();
        let mut needs = Vec::new();
        self.costly.needs(schema, &mut needs);
        if aim.count {
            let mut columns = Vec::new();
            aggregation::needed(&self.plan.request.aggregations, schema, &mut columns);
            needs.extend(columns.into_iter().map(Need::any));
        }
        let chance = |&(granule, _): &(u32, _)| {
            let times = segment.segment.granule_time(granule);
            times.is_none_or(|(min, max)| self.top.chance(min, max) == Chance::Some)
        };
        if aim.hits && self.top.is_wanted() && granules.iter().any(chance) {
            needs.extend([name::TIMESTAMP, name::SEQ, name::ROW].map(Need::any));
        }
        needs
    }

    /// Counts the selected rows and offers them as hits.
    fn take(
        &mut self,
        source: usize,
        granule: u32,
        batch: &RecordBatch,
        selected: &BooleanBuffer,
        aim: Aim,
    ) -> Result<(), Error> {
        let count = selected.count_set_bits() as u64;
        if count == 0 {
            return Ok(());
        }
        if aim.count {
            self.total += count;
            let aggregations = &self.plan.request.aggregations;
            if !aggregations.is_empty() {
                let rows: Vec<u32> = selected
                    .set_indices()
                    .filter_map(|row| u32::try_from(row).ok())
                    .collect();
                let columns = Columns::of(batch);
                aggregation::collect(aggregations, &mut self.states, &columns, &rows)?;
            }
        }
        if aim.hits && self.top.is_wanted() {
            self.offer(source, granule, batch, selected)?;
        }
        Ok(())
    }

    fn offer(
        &mut self,
        source: usize,
        granule: u32,
        batch: &RecordBatch,
        selected: &BooleanBuffer,
    ) -> Result<(), Error> {
        let (Some(seqs), Some(rows)) = (
            batch.column_by_name(name::SEQ),
            batch.column_by_name(name::ROW),
        ) else {
            // No row of these granules can be among the best; they are behind the last hit.
            self.top.note_more();
            return Ok(());
        };
        let seqs = seqs
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| mismatch(name::SEQ))?;
        let rows = rows
            .as_primitive_opt::<UInt32Type>()
            .ok_or_else(|| mismatch(name::ROW))?;
        let times = Columns::of(batch).times(name::TIMESTAMP)?;
        for index in selected.set_indices() {
            let position = Position {
                timestamp: times.get(index).copied().unwrap_or_default(),
                shard: self.view.shard,
                seq: seqs.value(index),
                row: rows.value(index),
            };
            let index = u32::try_from(index).map_err(data)?;
            self.top.offer(
                position,
                Place {
                    source,
                    granule,
                    index,
                },
            );
        }
        Ok(())
    }

    /// Holds the aggregation states to their limits.
    fn check_states(&mut self) -> Result<(), Error> {
        if self.states.is_empty() {
            return Ok(());
        }
        let (buckets, bytes) = aggregation::size(&self.states);
        if buckets > BUCKETS_COLLECTED_MAX {
            return Err(Error::Buckets(BUCKETS_COLLECTED_MAX));
        }
        self.states_lease.resize(bytes)
    }
}

/// The columns of these that may hold what is looked for in them.
fn worth_reading(segment: &SegmentView, granules: &[u32], needs: Vec<Need>) -> Vec<String> {
    let worth = |need: &Need| {
        is_required(&need.column)
            || !segment
                .alphabets
                .rule_out(&need.column, granules, need.letters)
    };
    let needs = needs.into_iter().filter(worth);
    let mut columns: Vec<String> = needs.map(|need| need.column).collect();
    columns.sort();
    columns.dedup();
    columns
}

fn in_time(batch: &RecordBatch, time: Interval) -> Result<BooleanBuffer, Error> {
    let times = Columns::of(batch).times(name::TIMESTAMP)?;
    Ok(BooleanBuffer::collect_bool(times.len(), |row| {
        times
            .get(row)
            .is_some_and(|&t| time.first <= t && t <= time.last)
    }))
}
