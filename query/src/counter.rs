//! Adds up counts per minute, service and level that summaries and block headers hold.

use hushlog_record::Level;

use crate::aggregation::{self, Aggregation, CountRow, State};
use crate::scan::Matcher;

/// Adds up the cells of one source; minutes must not descend.
pub(crate) struct Counter<'a> {
    aggregations: &'a [Aggregation],
    states: &'a mut [State],
    matcher: &'a Matcher,
    /// Whether an aggregation tells services apart; else a minute's services are one.
    by_service: bool,
    minute: i64,
    levels: [u64; Level::ALL.len()],
    total: u64,
    minutes: Vec<i64>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(
        aggregations: &'a [Aggregation],
        states: &'a mut [State],
        matcher: &'a Matcher,
    ) -> Self {
        Self {
            by_service: aggregation::uses_service(aggregations),
            aggregations,
            states,
            matcher,
            minute: i64::MIN,
            levels: [0; Level::ALL.len()],
            total: 0,
            minutes: Vec::new(),
        }
    }

    /// Adds so many records of a minute, service and level, if these match.
    pub(crate) fn add(&mut self, row: CountRow<'_>) {
        if row.count == 0 || !self.matcher.matches_pair(row.service, row.level) {
            return;
        }
        if row.minute != self.minute {
            self.flush();
            self.minute = row.minute;
        }
        if self.minutes.last() != Some(&row.minute) {
            self.minutes.push(row.minute);
        }
        self.total += row.count;
        if self.by_service {
            aggregation::collect_count(self.aggregations, self.states, row);
        } else if let Some(count) = self.levels.get_mut(usize::from(row.level.code()) - 1) {
            *count += row.count;
        }
    }

    fn flush(&mut self) {
        for (level, count) in Level::ALL.into_iter().zip(&mut self.levels) {
            let count = std::mem::take(count);
            if count > 0 && !self.aggregations.is_empty() {
                let (minute, service) = (self.minute, "");
                let row = CountRow {
                    minute,
                    service,
                    level,
                    count,
                };
                aggregation::collect_count(self.aggregations, self.states, row);
            }
        }
    }

    /// The total, and the minutes that have any, ascending.
    pub(crate) fn finish(mut self) -> (u64, Vec<i64>) {
        self.flush();
        (self.total, self.minutes)
    }
}
