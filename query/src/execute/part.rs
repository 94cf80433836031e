//! A part of a shard's view, looked through by one thread, and how the parts become one answer.
//!
//! A part holds counts and where its best hits are; rows are read only when it is known which hits of
//! all parts win. What the parts of a view make together is what the whole view would have made.

use crate::Error;
use crate::aggregation::{self, State};
use crate::budget::{Budget, Lease};
use crate::fetch::fetch;
use crate::partial::{Partial, Scanned};
use crate::plan::Plan;
use crate::source;
use crate::top::{Candidate, Place, Top};
use crate::view::View;

use super::Run;

/// What a plan found in one part of a shard.
pub struct Part {
    view: View,
    total: u64,
    /// The best hits in order; a place's source counts in the order of [`source::of`].
    winners: Vec<Candidate>,
    more: bool,
    states: Vec<State>,
    scanned: Scanned,
    _states_lease: Lease,
}

impl Part {
    /// Looks through this part: counts, and finds where the best hits are.
    ///
    /// # Errors
    /// As [`execute`](super::execute).
    pub fn scan(plan: &Plan, view: View, budget: &Budget) -> Result<Self, Error> {
        let mut run = Run::new(plan, &view, budget)?;
        run.look()?;
        let Run {
            total,
            top,
            states,
            states_lease,
            scanned,
            ..
        } = run;
        let (winners, more) = top.finish();
        Ok(Self {
            view,
            total,
            winners,
            more,
            states,
            scanned,
            _states_lease: states_lease,
        })
    }
}

/// Makes one partial of the parts of one view, in their order, and reads the winners' rows.
///
/// # Errors
/// As [`execute`](super::execute).
pub fn unite(plan: &Plan, mut parts: Vec<Part>, budget: &Budget) -> Result<Partial, Error> {
    let request = &plan.request;
    let first = parts.first().ok_or(Error::Damaged("a view"))?;
    let (shard, applied_to) = (first.view.shard, first.view.applied_to);
    let mut states = aggregation::empty(&request.aggregations);
    let (mut total, mut scanned) = (0, Scanned::default());
    for part in &mut parts {
        total += part.total;
        scanned.add(part.scanned);
        aggregation::merge(&mut states, std::mem::take(&mut part.states))?;
    }
    let mut top = Top::new(request.order, request.hits_wanted(), None);
    let mut sources = Vec::new();
    for part in &parts {
        let before = sources.len();
        sources.extend(source::of(&part.view, request.order));
        for winner in &part.winners {
            let source = before + winner.place.source;
            let place = Place {
                source,
                ..winner.place
            };
            top.offer(winner.position, place);
        }
        if part.more {
            top.note_more();
        }
    }
    let (winners, more) = top.finish();
    let hits = fetch(&sources, &winners, budget)?;
    aggregation::finish(&request.aggregations, &mut states);
    Ok(Partial {
        shard,
        applied_to,
        total,
        more,
        hits,
        states,
        scanned,
    })
}
