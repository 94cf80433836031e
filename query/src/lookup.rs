//! Finds a record by its id: an ordinary plan, and segments left out by what they know of their ids.

use hushlog_record::{LogId, Timestamp};

use crate::Error;
use crate::budget::Budget;
use crate::execute::execute;
use crate::hit::Hit;
use crate::plan::Plan;
use crate::view::{SegmentView, View};

/// The plan that finds the record with this id; the first one, should a client have sent it twice.
///
/// # Errors
/// Never in fact; those of [`Plan::new`].
pub fn lookup_plan(id: LogId) -> Result<Plan, Error> {
    let json = format!(
        r#"{{"query":"log_id:{id}","sort":{{"field":"timestamp","order":"asc"}},"limit":1}}"#
    );
    Plan::new(json.as_bytes(), Timestamp::from_nanos(0))
}

impl SegmentView {
    /// Whether the record with this id may be in the segment.
    pub fn may_hold(&self, id: LogId) -> bool {
        (self.meta.log_id_min..=self.meta.log_id_max).contains(&id)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.may_contain(&id.0))
    }
}

/// The record with this id in one shard.
///
/// # Errors
/// As [`execute`].
pub fn lookup(id: LogId, view: &View, budget: &Budget) -> Result<Option<Hit>, Error> {
    let mut view = view.clone();
    view.segments.retain(|segment| segment.may_hold(id));
    let mut partial = execute(&lookup_plan(id)?, &view, budget)?;
    Ok(if partial.hits.is_empty() {
        None
    } else {
        Some(partial.hits.remove(0))
    })
}
