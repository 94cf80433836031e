//! What happened in each minute: one summary per segment, and one in memory per tail.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::exceptions::{Entry, Exceptions};
use crate::names::Names;
use crate::pane::{Key, Pane};
use crate::tally::ExceptionTally;
use crate::{Error, LEVELS_MAX, codec};

/// Counts per minute by service and level, and the exceptions of each minute by service and type.
///
/// Level counts are exact. Exceptions are exact in every minute with at most
/// [`EXACT_MAX`](crate::EXACT_MAX) different ones, and bounded from both sides beyond that.
#[derive(Clone, Default)]
pub struct Summary {
    pub(crate) names: Names,
    pub(crate) panes: BTreeMap<i64, Pane>,
}

/// The records of one minute, service and level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelCount<'a> {
    /// The minute, counted from the Unix epoch.
    pub minute: i64,
    /// The service.
    pub service: &'a str,
    /// The level's number.
    pub level: u8,
    /// How many, exactly.
    pub count: u64,
}

impl Summary {
    /// A summary of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// First and last minute with anything in it.
    pub fn minutes(&self) -> Option<(i64, i64)> {
        Some((
            *self.panes.first_key_value()?.0,
            *self.panes.last_key_value()?.0,
        ))
    }

    /// Adds `count` records of a level.
    ///
    /// # Panics
    /// When `level` is not below [`LEVELS_MAX`].
    pub fn add_level(&mut self, minute: i64, service: &str, level: u8, count: u64) {
        assert!(level < LEVELS_MAX, "levels are numbers below LEVELS_MAX");
        if count > 0 {
            let service = self.names.intern(service);
            self.panes
                .entry(minute)
                .or_default()
                .add_level(service, level, count);
        }
    }

    /// Adds occurrences of an exception.
    pub fn add_exception(
        &mut self,
        minute: i64,
        service: &str,
        type_name: &str,
        tally: ExceptionTally<'_>,
    ) {
        if tally.count > 0 {
            let key = (self.names.intern(service), self.names.intern(type_name));
            self.panes
                .entry(minute)
                .or_default()
                .exceptions
                .add(key, &tally, &self.names);
        }
    }

    /// Adds another summary. The order and grouping of merges do not matter.
    ///
    /// Loses nothing, so what is merged may hold more exceptions in a minute than the limits;
    /// [`compact`](Self::compact) before storing it.
    pub fn merge(&mut self, other: &Self) {
        let numbers: Vec<u32> = other
            .names
            .iter()
            .map(|text| self.names.intern(text))
            .collect();
        for (minute, pane) in &other.panes {
            self.panes
                .entry(*minute)
                .or_default()
                .merge(pane, &numbers, &self.names);
        }
    }

    /// Holds every minute to [`EXACT_MAX`](crate::EXACT_MAX) and [`HEAVY_MAX`](crate::HEAVY_MAX).
    pub fn compact(&mut self) {
        for pane in self.panes.values_mut() {
            pane.exceptions.bound(0, &self.names);
        }
    }

    /// The bytes of this summary; equal contents give equal bytes, however they came together.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what [`encode`](Self::encode) wrote, to the last byte.
    ///
    /// # Errors
    /// Any [`Error`]: the summary must be rebuilt.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode(bytes)
    }

    /// Records by (minute, service, level), of these minutes and, if given, of these services only.
    ///
    /// Minutes ascend; the order within a minute has no meaning.
    pub fn levels(
        &self,
        minutes: Range<i64>,
        services: Option<&[String]>,
    ) -> impl Iterator<Item = LevelCount<'_>> {
        let wanted = services.map(|services| self.flags(services));
        self.range(minutes).flat_map(move |(minute, pane)| {
            let cells = pane.cells.iter().filter({
                let wanted = wanted.clone();
                move |cell| is_wanted(wanted.as_deref(), cell.service)
            });
            cells.map(move |cell| {
                let (service, level, count) =
                    (self.names.text(cell.service), cell.level, cell.count);
                LevelCount {
                    minute,
                    service,
                    level,
                    count,
                }
            })
        })
    }

    /// The exceptions of these minutes, of one service or of all, ready to be merged and ranked.
    pub fn exceptions(&self, minutes: Range<i64>, service: Option<&str>) -> Exceptions {
        let service = service.map(|service| self.names.number(service));
        let mut found = FxHashMap::<Key, Entry>::default();
        let mut exceptions = Exceptions::new();
        for (_, pane) in self.range(minutes) {
            let pane = &pane.exceptions;
            if let Some(sketch) = &pane.sketch {
                exceptions.add_sketch(sketch);
            }
            for (key, tally) in &pane.listed {
                if service.is_none_or(|service| service == Some(key.0)) {
                    found
                        .entry(*key)
                        .or_default()
                        .add(tally, pane.sketch.is_none());
                }
            }
        }
        for ((service, name), entry) in found {
            exceptions.add_entry(self.names.text(name), self.names.text(service), &entry);
        }
        exceptions
    }

    /// Whether one of the exceptions of these minutes may be one that `is_wanted` accepts by its service and type:
    /// false only where every minute is exact and lists none. It is asked about each once.
    pub fn may_have_exception(
        &self,
        minutes: Range<i64>,
        is_wanted: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let mut refused = FxHashSet::<Key>::default();
        let mut may = |&key: &Key| {
            let (service, name) = key;
            refused.insert(key) && is_wanted(self.names.text(service), self.names.text(name))
        };
        self.range(minutes).any(|(_, pane)| {
            let pane = &pane.exceptions;
            pane.sketch.is_some() || pane.listed.keys().any(&mut may)
        })
    }

    fn range(&self, minutes: Range<i64>) -> impl Iterator<Item = (i64, &Pane)> {
        // An empty range is no reason to panic, as `BTreeMap::range` would for start > end.
        let end = minutes.end.max(minutes.start);
        self.panes
            .range(minutes.start..end)
            .map(|(minute, pane)| (*minute, pane))
    }

    fn flags(&self, services: &[String]) -> std::rc::Rc<[bool]> {
        let mut flags = vec![false; self.names.len()];
        for service in services {
            let number = self.names.number(service);
            if let Some(flag) = number.and_then(|number| flags.get_mut(number as usize)) {
                *flag = true;
            }
        }
        flags.into()
    }
}

fn is_wanted(wanted: Option<&[bool]>, service: u32) -> bool {
    wanted.is_none_or(|flags| flags.get(service as usize).copied().unwrap_or_default())
}

/// Prints sizes only.
impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Summary({} minutes, {} names)",
            self.panes.len(),
            self.names.len()
        )
    }
}
