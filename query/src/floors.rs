//! The oldest event times that readers see: one for each service with a rule of its own, and one for
//! all others. What is older is hidden, from hits, counts and look-ups alike, wherever it lies.
//!
//! It reads no clock: whoever asks a question fixes the times once, and they travel with it.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use hushlog_record::Timestamp;
use hushlog_storage::batch::{Text, name};

use crate::Error;
use crate::codec::{Reader, Writer};
use crate::plan::Interval;
use crate::scan::column::{Columns, mismatch};

/// Floors by service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floors {
    /// Of services that are not named; nanoseconds since the Unix epoch.
    default: i64,
    services: BTreeMap<String, i64>,
}

impl Default for Floors {
    fn default() -> Self {
        Self::NONE
    }
}

impl Floors {
    /// Hides nothing.
    pub const NONE: Self = Self {
        default: i64::MIN,
        services: BTreeMap::new(),
    };

    /// Hides what is older than this; services with a floor of their own are named letter by letter.
    pub fn new(
        default: Timestamp,
        services: impl IntoIterator<Item = (String, Timestamp)>,
    ) -> Self {
        let services = services.into_iter();
        Self {
            default: default.nanos(),
            services: services
                .map(|(name, floor)| (name, floor.nanos()))
                .filter(|(_, floor)| *floor != default.nanos())
                .collect(),
        }
    }

    /// Hides what either of them does.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let default = self.default.max(other.default);
        let names = self.services.keys().chain(other.services.keys());
        let services = names.map(|name| (name.clone(), self.of(name).max(other.of(name))));
        Self {
            default,
            services: services.filter(|(_, floor)| *floor != default).collect(),
        }
    }

    /// The floor of a service.
    pub fn of(&self, service: &str) -> i64 {
        self.services.get(service).copied().unwrap_or(self.default)
    }

    /// What these floors do to records between `asked`: of only these services, if any are given.
    pub(crate) fn cut<'a>(
        &self,
        asked: Interval,
        services: Option<impl IntoIterator<Item = &'a str>>,
    ) -> Cut {
        let (lowest, highest) = match services {
            Some(names) => span(names.into_iter().map(|name| self.of(name))),
            None => {
                let named = self.services.values().copied();
                span(named.chain(std::iter::once(self.default)))
            }
        };
        let from = |first| Interval {
            first,
            last: i64::MAX,
        };
        Cut {
            time: asked.and(from(lowest)),
            clear: asked.and(from(highest)),
        }
    }

    /// Which rows of a batch are not hidden. It must have times and services.
    pub(crate) fn visible(&self, batch: &RecordBatch) -> Result<BooleanBuffer, Error> {
        let columns = Columns::of(batch);
        let times = columns.times(name::TIMESTAMP)?;
        let services = columns.text(name::SERVICE_NAME)?;
        let services = services.ok_or_else(|| mismatch(name::SERVICE_NAME))?;
        let is_visible = |row: usize, floor: i64| times.get(row).is_some_and(|time| *time >= floor);
        Ok(match services {
            Text::Dictionary(keys, names) => {
                let floor = |name: Option<&str>| name.map_or(self.default, |name| self.of(name));
                let floors: Vec<i64> = names.iter().map(floor).collect();
                BooleanBuffer::collect_bool(keys.len(), |row| {
                    let key = keys.is_valid(row).then(|| keys.value(row));
                    let floor = key
                        .and_then(|key| floors.get(usize::try_from(key).ok()?))
                        .unwrap_or(&self.default);
                    is_visible(row, *floor)
                })
            }
            Text::Plain(names) => BooleanBuffer::collect_bool(names.len(), |row| {
                let name = names.is_valid(row).then(|| names.value(row));
                is_visible(row, name.map_or(self.default, |name| self.of(name)))
            }),
        })
    }

    /// The bytes for another node, where they travel alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut into = Writer::default();
        self.encode(&mut into);
        into.bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let floors = Self::decode(&mut from)?;
        from.finish()?;
        Ok(floors)
    }

    pub(crate) fn encode(&self, into: &mut Writer) {
        into.signed(self.default);
        into.size(self.services.len());
        for (name, floor) in &self.services {
            into.text(name);
            into.signed(*floor);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, Error> {
        let default = from.signed()?;
        let services = (0..from.size()?)
            .map(|_| Ok((from.text()?, from.signed()?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { default, services })
    }
}

/// The least and the greatest of these; of nothing, what hides nothing.
fn span(floors: impl Iterator<Item = i64>) -> (i64, i64) {
    let all = floors.map(|floor| (floor, floor));
    let span = all.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
    span.unwrap_or((i64::MIN, i64::MIN))
}

/// A time range below which all is hidden, and the part of it in which nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Only records between these times can be seen.
    pub(crate) time: Interval,
    /// All records between these times can be; before them it depends on the service.
    pub(crate) clear: Interval,
}

impl Cut {
    /// Nothing is hidden of what is asked for.
    #[cfg(test)]
    pub(crate) const fn none(asked: Interval) -> Self {
        Self {
            time: asked,
            clear: asked,
        }
    }

    /// Whether rows between these event times, both included, must be looked at one by one.
    pub(crate) const fn is_needed(&self, min: Timestamp, max: Timestamp) -> bool {
        min.nanos() < self.clear.first && max.nanos() >= self.time.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn floors() -> Floors {
        let services = [("a", 10), ("b", 70), ("c", 50)];
        Floors::new(at(50), services.map(|(name, t)| (name.to_owned(), at(t))))
    }

    #[test]
    fn a_question_about_some_services_is_cut_by_their_floors_alone() {
        let cut = |services: Option<&[&str]>| {
            let services = services.map(|names| names.iter().copied());
            let cut = floors().cut(Interval::ALL, services);
            (cut.time.first, cut.clear.first)
        };
        assert_eq!(cut(None), (10, 70));
        assert_eq!(cut(Some(&["a"])), (10, 10));
        assert_eq!(cut(Some(&["b", "z"])), (50, 70));
        assert_eq!(cut(Some(&["z"])), (50, 50));
        assert_eq!(cut(Some(&[])), (i64::MIN, i64::MIN));
        let asked = Interval {
            first: 60,
            last: 65,
        };
        let cut = floors().cut(asked, None::<[&str; 0]>);
        assert_eq!(cut.time, asked);
        assert!(cut.clear.is_empty());
        assert_eq!(Floors::NONE.cut(asked, None::<[&str; 0]>), Cut::none(asked));
    }

    #[test]
    fn two_of_them_hide_what_either_does() {
        let other = [("a", 90), ("b", 20), ("d", 50)].map(|(name, t)| (name.to_owned(), at(t)));
        let other = Floors::new(at(40), other);
        let both = floors().or(&other);
        assert_eq!(both, other.or(&floors()));
        let of = |floors: &Floors| ["a", "b", "c", "d", "e"].map(|name| floors.of(name));
        assert_eq!(of(&both), [90, 70, 50, 50, 50]);
        assert_eq!(floors().or(&Floors::NONE), floors());
    }

    #[test]
    fn only_rows_around_a_floor_are_looked_at() {
        let cut = floors().cut(Interval::ALL, None::<[&str; 0]>);
        for (min, max, needed) in [
            (70, 90, false),
            (69, 90, true),
            (0, 10, true),
            (0, 9, false),
        ] {
            assert_eq!(cut.is_needed(at(min), at(max)), needed, "{min} to {max}");
        }
    }

    #[test]
    fn floors_travel_and_what_is_cut_short_is_refused() {
        let mut bytes = floors().to_bytes();
        assert_eq!(Floors::from_bytes(&bytes).unwrap(), floors());
        for length in 0..bytes.len() {
            assert!(Floors::from_bytes(&bytes[..length]).is_err());
        }
        bytes.push(0);
        assert!(Floors::from_bytes(&bytes).is_err());
    }
}
