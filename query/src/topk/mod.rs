//! The most frequent exceptions of a window: from summaries, and from the rows where these do not
//! know what is asked: of the minutes that the window cuts, and of environments.

mod answer;
mod count;

use std::ops::Range;

use hushlog_record::time::{NANOS_PER_MINUTE, NANOS_PER_SECOND};
use hushlog_record::{ShardId, Timestamp};
use hushlog_sketch::Exceptions;

use crate::codec::{DAMAGED, Reader, Writer};
use crate::floors::{Cut, Floors};
use crate::limits::TOP_K_MAX;
use crate::plan::Interval;
use crate::{Error, when};

pub use answer::render;
pub use count::top_k;

/// `k` when a request names none.
pub const K_DEFAULT: usize = 10;
/// `window` when a request names none.
pub const WINDOW_DEFAULT: &str = "1h";
/// Times of now are taken to this many nanoseconds.
const NOW_NANOS: i64 = NANOS_PER_SECOND / 1_000;
/// How far a sliding window that ends now reaches beyond it: what was stored just now may have its time from a
/// client or node whose clock is ahead of the asked one's.
const CLOCK_AHEAD_NANOS: i64 = NANOS_PER_SECOND;

/// What a caller may say; everything is optional.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// How many exceptions.
    pub k: Option<u64>,
    /// Length of the window, from a minute on, such as `5m`, `90s`, `1h`, `7d`.
    pub window: Option<String>,
    /// Only this service.
    pub service: Option<String>,
    /// Only this environment.
    pub environment: Option<String>,
    /// End of the window, which does not belong to it; absent: now, with what was stored just now.
    pub end: Option<String>,
    /// The window is the one of a fixed grid that holds `end`.
    pub tumbling: bool,
    /// `type` folds services.
    pub group_by: Option<String>,
}

/// A checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopK {
    /// How many exceptions.
    pub k: usize,
    /// The window as asked for.
    pub window: String,
    /// The event times of the window in nanoseconds since the Unix epoch; the end does not belong to it.
    pub times: Range<i64>,
    /// Only this service.
    pub service: Option<String>,
    /// Only this environment.
    pub environment: Option<String>,
    /// One row per type over all services.
    pub fold_services: bool,
    pub(crate) floors: Floors,
}

impl TopK {
    /// Checks a request. The window is as long as asked for, and ends exactly at its end.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn new(params: Params, now: Timestamp) -> Result<Self, Error> {
        let refused = |what: String| Err(Error::Request(what));
        let k = params.k.unwrap_or(K_DEFAULT as u64);
        if !(1..=u64::from(TOP_K_MAX)).contains(&k) {
            return refused(format!("k: expected an integer from 1 to {TOP_K_MAX}"));
        }
        let k = usize::try_from(k).unwrap_or(usize::MAX);
        let window = params.window.unwrap_or_else(|| WINDOW_DEFAULT.into());
        let length = when::duration(&window).filter(|nanos| *nanos >= NANOS_PER_MINUTE);
        let Some(length) = length else {
            return refused(
                "window: expected a duration from 1m on, such as 5m, 90s, 24h or 7d".into(),
            );
        };
        let end = match params.end.filter(|end| !end.is_empty()) {
            None if params.tumbling => after_now(now),
            None => after_now(now.saturating_add(CLOCK_AHEAD_NANOS)),
            Some(text) => match when::parse(&text, now) {
                Some(span) => span.first,
                None => return refused(format!("end: expected {}", when::EXPECTED)),
            },
        };
        let times = if params.tumbling {
            let place = end.saturating_sub(1).div_euclid(length);
            place.saturating_mul(length)..place.saturating_add(1).saturating_mul(length)
        } else {
            end.saturating_sub(length)..end
        };
        let fold_services = match params.group_by.as_deref() {
            None | Some("" | "exception") => false,
            Some("type") => true,
            Some(_) => return refused("group_by: expected type".into()),
        };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            k,
            window,
            times,
            service: some(params.service),
            environment: some(params.environment),
            fold_services,
            floors: Floors::NONE,
        })
    }

    /// What is hidden.
    pub const fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Hides what is older than these floors, instead of what was hidden before.
    pub fn hide(&mut self, floors: Floors) {
        self.floors = floors;
    }

    /// First and last event time of the window, both included, as far as it can be seen.
    pub fn time(&self) -> Interval {
        self.cut().time
    }

    /// What is hidden of the window.
    pub(crate) fn cut(&self) -> Cut {
        let window = Interval {
            first: self.times.start,
            last: self.times.end.saturating_sub(1),
        };
        let service = self.service.as_deref();
        self.floors.cut(window, service.map(std::iter::once))
    }

    /// The bytes for another node.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Writer::default();
        into.byte(REQUEST_VERSION);
        into.size(self.k);
        into.text(&self.window);
        into.signed(self.times.start);
        into.signed(self.times.end);
        for text in [&self.service, &self.environment] {
            into.text(text.as_deref().unwrap_or_default());
        }
        into.byte(u8::from(self.fold_services));
        self.floors.encode(&mut into);
        into.bytes
    }

    /// Reads the bytes from another node.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let version = from.byte()?;
        let unit = match version {
            REQUEST_VERSION => 1,
            REQUEST_VERSION_OF_MINUTES | REQUEST_VERSION_WITHOUT_FLOORS => NANOS_PER_MINUTE,
            _ => return Err(DAMAGED),
        };
        let k = usize::try_from(from.number()?).map_err(|_| DAMAGED)?;
        let window = from.text()?;
        let [start, end] = [from.signed()?, from.signed()?].map(|time| time.saturating_mul(unit));
        let (service, environment) = (from.text()?, from.text()?);
        let fold_services = from.byte()? != 0;
        let floors = if version == REQUEST_VERSION_WITHOUT_FLOORS {
            Floors::NONE
        } else {
            Floors::decode(&mut from)?
        };
        from.finish()?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            k,
            window,
            times: start..end,
            service: some(service),
            environment: some(environment),
            fold_services,
            floors,
        })
    }
}

/// The first millisecond after now: what has happened by now is before it.
fn after_now(now: Timestamp) -> i64 {
    let begun = now.nanos().div_euclid(NOW_NANOS);
    begun.saturating_add(1).saturating_mul(NOW_NANOS)
}

/// Version of the encoding of a request.
const REQUEST_VERSION: u8 = 3;
/// The same with a window of whole minutes, in minutes; still read.
const REQUEST_VERSION_OF_MINUTES: u8 = 2;
/// The same without floors at its end; still read.
const REQUEST_VERSION_WITHOUT_FLOORS: u8 = 1;
/// Version of the encoding of what a shard counted.
const VERSION: u8 = 1;

/// What one shard counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopKPartial {
    /// The shard.
    pub shard: ShardId,
    /// Its exceptions.
    pub exceptions: Exceptions,
}

impl TopKPartial {
    /// The bytes for the coordinator.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Writer::default();
        into.byte(VERSION);
        into.number(self.shard.group());
        into.blob(&self.exceptions.encode());
        into.bytes
    }

    /// Memory that it takes, estimated from what is in it.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.exceptions.memory_bytes()
    }

    /// Reads a partial.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        if from.byte()? != VERSION {
            return Err(DAMAGED);
        }
        let shard = ShardId::from_group(from.number()?).ok_or(DAMAGED)?;
        let exceptions = Exceptions::decode(from.blob()?).map_err(|_| DAMAGED)?;
        from.finish()?;
        Ok(Self { shard, exceptions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn window(window: &str, end: Option<&str>, tumbling: bool) -> (String, String) {
        let params = Params {
            window: Some(window.into()),
            end: end.map(str::to_owned),
            tumbling,
            ..Params::default()
        };
        let request = TopK::new(params, now()).unwrap();
        let text = |nanos| Timestamp::from_nanos(nanos).to_string();
        (text(request.times.start), text(request.times.end))
    }

    #[test]
    fn windows_end_where_they_are_asked_to() {
        let day = |from: &str, to: &str| {
            let at = |time| format!("2026-01-02T{time}Z");
            (at(from), at(to))
        };
        for (length, end, expected) in [
            // What is stored in this millisecond belongs to it, also by a clock that is a second ahead.
            ("1h", None, day("02:04:06.001", "03:04:06.001")),
            ("90s", None, day("03:02:36.001", "03:04:06.001")),
            ("5m", Some("03:00:00"), day("02:55:00", "03:00:00")),
            ("1m", Some("22:31:20"), day("22:30:20", "22:31:20")),
            ("61s", Some("22:31:20.5"), day("22:30:19.5", "22:31:20.5")),
        ] {
            let end = end.map(|time| format!("2026-01-02T{time}Z"));
            assert_eq!(window(length, end.as_deref(), false), expected, "{length}");
        }
    }

    #[test]
    fn a_window_of_a_grid_holds_its_end() {
        let day = |from: &str, to: &str| {
            let at = |time| format!("2026-01-02T{time}Z");
            (at(from), at(to))
        };
        for (length, end, expected) in [
            ("1h", None, day("03:00:00", "04:00:00")),
            (
                "1h",
                Some("2026-01-02T03:00:00Z"),
                day("02:00:00", "03:00:00"),
            ),
            ("90s", None, day("03:03:00", "03:04:30")),
        ] {
            assert_eq!(window(length, end, true), expected, "{length}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let params = Params::default;
        for (params, expected) in [
            (
                Params {
                    k: Some(0),
                    ..params()
                },
                "k: expected",
            ),
            (
                Params {
                    k: Some(1_000_000_000),
                    ..params()
                },
                "k: expected",
            ),
            (
                Params {
                    window: Some("30s".into()),
                    ..params()
                },
                "window: expected",
            ),
            (
                Params {
                    window: Some("x".into()),
                    ..params()
                },
                "window: expected",
            ),
            (
                Params {
                    end: Some("x".into()),
                    ..params()
                },
                "end: expected",
            ),
            (
                Params {
                    group_by: Some("x".into()),
                    ..params()
                },
                "group_by: expected",
            ),
        ] {
            let error = TopK::new(params, now()).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_request_travels() {
        let params = Params {
            service: Some("a".into()),
            group_by: Some("type".into()),
            ..Params::default()
        };
        let mut request = TopK::new(params, now()).unwrap();
        // Earlier releases ask about whole minutes.
        request.times = 600 * NANOS_PER_MINUTE..660 * NANOS_PER_MINUTE;
        let mut of_minutes = request.clone();
        of_minutes.times = 600..660;
        let mut bytes = of_minutes.encode();
        bytes[0] = REQUEST_VERSION_OF_MINUTES;
        assert_eq!(TopK::decode(&bytes).unwrap(), request);
        bytes.truncate(bytes.len() - request.floors.to_bytes().len());
        bytes[0] = REQUEST_VERSION_WITHOUT_FLOORS;
        assert_eq!(TopK::decode(&bytes).unwrap(), request);
        request.times.end += 1;
        request.hide(Floors::new(
            now(),
            [("a".to_owned(), Timestamp::from_nanos(7))],
        ));
        let bytes = request.encode();
        assert_eq!(TopK::decode(&bytes).unwrap(), request);
        assert!(TopK::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
