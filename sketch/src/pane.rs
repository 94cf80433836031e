//! One minute: counts by service and level, and its exceptions.

use std::collections::BTreeMap;

use crate::count_min::CountMin;
use crate::hash;
use crate::names::Names;
use crate::tally::{ExceptionTally, Tally};

/// Most different exceptions that a minute counts exactly while records are added to it.
pub const EXACT_MAX: usize = 256;
/// Heavy hitters that a minute keeps by name beyond that.
pub const HEAVY_MAX: usize = 256;

/// Heavy hitters are dropped in bulk, not one by one.
const HEAVY_SLACK: usize = HEAVY_MAX;

/// Service and exception type, by number.
pub(crate) type Key = (u32, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) service: u32,
    pub(crate) level: u8,
    pub(crate) count: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Pane {
    /// Sorted by (service number, level).
    pub(crate) cells: Vec<Cell>,
    pub(crate) exceptions: ExceptionPane,
}

/// The exceptions of a minute: all of them with exact counts, or (with a sketch) the heavy ones,
/// with a lower bound of their counts each, and the sketch as the upper bound for any.
///
/// The lower bound is what was counted while the exception was on the list. Bounds add up, so merges
/// keep them, in any order; a merge drops no exception from the list.
#[derive(Clone, Default)]
pub(crate) struct ExceptionPane {
    pub(crate) listed: BTreeMap<Key, Tally>,
    pub(crate) sketch: Option<CountMin>,
}

impl Pane {
    pub(crate) fn add_level(&mut self, service: u32, level: u8, count: u64) {
        let at = self
            .cells
            .binary_search_by_key(&(service, level), |c| (c.service, c.level));
        match at {
            Ok(at) => {
                if let Some(cell) = self.cells.get_mut(at) {
                    cell.count = cell.count.saturating_add(count);
                }
            }
            Err(at) => self.cells.insert(
                at,
                Cell {
                    service,
                    level,
                    count,
                },
            ),
        }
    }

    /// Adds another summary's pane, whose numbers mean `numbers[number]` in `names`.
    pub(crate) fn merge(&mut self, other: &Self, numbers: &[u32], names: &Names) {
        let here = |number: u32| numbers.get(number as usize).copied().unwrap_or_default();
        for cell in &other.cells {
            self.add_level(here(cell.service), cell.level, cell.count);
        }
        let listed = other.exceptions.listed.iter();
        let listed = listed.map(|((service, name), tally)| ((here(*service), here(*name)), tally));
        self.exceptions
            .merge(listed, other.exceptions.sketch.as_ref(), names);
    }
}

impl ExceptionPane {
    pub(crate) fn add(&mut self, key: Key, tally: &ExceptionTally<'_>, names: &Names) {
        self.listed.entry(key).or_default().add(tally);
        if let Some(sketch) = &mut self.sketch {
            sketch.add(hash_of(key, names), tally.count);
        }
        self.bound(HEAVY_SLACK, names);
    }

    fn merge<'a>(
        &mut self,
        listed: impl Iterator<Item = (Key, &'a Tally)>,
        sketch: Option<&CountMin>,
        names: &Names,
    ) {
        if sketch.is_some() {
            self.start_sketch(names);
        }
        for (key, tally) in listed {
            self.listed.entry(key).or_default().merge(tally);
            // What the other side counted exactly is in no sketch yet.
            if let (Some(mine), None) = (&mut self.sketch, sketch) {
                mine.add(hash_of(key, names), tally.count);
            }
        }
        if let (Some(mine), Some(other)) = (&mut self.sketch, sketch) {
            mine.merge(other);
        }
    }

    /// Holds the list to its limit, give or take `slack` heavy hitters.
    pub(crate) fn bound(&mut self, slack: usize, names: &Names) {
        if self.sketch.is_none() && self.listed.len() > EXACT_MAX {
            self.start_sketch(names);
        }
        if self.sketch.is_some() && self.listed.len() > HEAVY_MAX + slack {
            self.drop_light(names);
        }
    }

    fn start_sketch(&mut self, names: &Names) {
        if self.sketch.is_none() {
            let mut sketch = CountMin::new();
            for (key, tally) in &self.listed {
                sketch.add(hash_of(*key, names), tally.count);
            }
            self.sketch = Some(sketch);
        }
    }

    /// Keeps the [`HEAVY_MAX`] with the highest estimates; of equal ones those first by name.
    fn drop_light(&mut self, names: &Names) {
        let mut ranked: Vec<_> = std::mem::take(&mut self.listed).into_iter().collect();
        ranked.sort_by_cached_key(|(key, _)| {
            (
                std::cmp::Reverse(self.upper(*key, names)),
                names.text(key.1).to_owned(),
                names.text(key.0).to_owned(),
            )
        });
        ranked.truncate(HEAVY_MAX);
        self.listed = ranked.into_iter().collect();
    }

    /// At least how often it occurred; exactly, without a sketch.
    pub(crate) fn upper(&self, key: Key, names: &Names) -> u64 {
        match &self.sketch {
            Some(sketch) => sketch.estimate(hash_of(key, names)),
            None => self.lower(key),
        }
    }

    /// At most how often it occurred.
    pub(crate) fn lower(&self, key: Key) -> u64 {
        self.listed.get(&key).map_or(0, |tally| tally.count)
    }
}

fn hash_of((service, name): Key, names: &Names) -> u64 {
    hash::of_pair(names.text(name), names.text(service))
}
