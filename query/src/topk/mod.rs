//! The most frequent exceptions of a window: from summaries, or from the rows where these do not
//! know what is asked.

mod answer;
mod count;

use std::ops::Range;

use hushlog_record::time::NANOS_PER_MINUTE;
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

/// What a caller may say; everything is optional.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// How many exceptions.
    pub k: Option<u64>,
    /// Length of the window, such as `5m`, `1h`, `7d`.
    pub window: Option<String>,
    /// Only this service.
    pub service: Option<String>,
    /// Only this environment.
    pub environment: Option<String>,
    /// End of the window; absent: now.
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
    /// The window in whole minutes since the Unix epoch.
    pub minutes: Range<i64>,
    /// Only this service.
    pub service: Option<String>,
    /// Only this environment.
    pub environment: Option<String>,
    /// One row per type over all services.
    pub fold_services: bool,
    pub(crate) floors: Floors,
}

impl TopK {
    /// Checks a request. The window is made of whole minutes, the one in which it ends included.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn new(params: Params, now: Timestamp) -> Result<Self, Error> {
        let refused = |what: String| Err(Error::Request(what));
        let k = params.k.unwrap_or(K_DEFAULT as u64);
        let k = usize::try_from(k).unwrap_or(usize::MAX);
        if !(1..=TOP_K_MAX).contains(&k) {
            return refused(format!("k: expected an integer from 1 to {TOP_K_MAX}"));
        }
        let window = params.window.unwrap_or_else(|| WINDOW_DEFAULT.into());
        let length = when::duration(&window).filter(|nanos| nanos % NANOS_PER_MINUTE == 0);
        let Some(length) = length.map(|nanos| nanos / NANOS_PER_MINUTE) else {
            return refused("window: expected whole minutes, such as 5m, 1h, 24h or 7d".into());
        };
        let end = match params.end.filter(|end| !end.is_empty()) {
            None => now.nanos(),
            Some(text) => match when::parse(&text, now) {
                Some(span) => span.first,
                None => return refused(format!("end: expected {}", when::EXPECTED)),
            },
        };
        let last = end.saturating_sub(1).div_euclid(NANOS_PER_MINUTE);
        let minutes = if params.tumbling {
            let start = last.div_euclid(length) * length;
            start..start + length
        } else {
            last + 1 - length..last + 1
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
            minutes,
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
            first: self.minutes.start.saturating_mul(NANOS_PER_MINUTE),
            last: self.minutes.end.saturating_mul(NANOS_PER_MINUTE) - 1,
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
        into.signed(self.minutes.start);
        into.signed(self.minutes.end);
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
        if ![REQUEST_VERSION, REQUEST_VERSION_WITHOUT_FLOORS].contains(&version) {
            return Err(DAMAGED);
        }
        let k = usize::try_from(from.number()?).map_err(|_| DAMAGED)?;
        let window = from.text()?;
        let minutes = from.signed()?..from.signed()?;
        let (service, environment) = (from.text()?, from.text()?);
        let fold_services = from.byte()? != 0;
        let floors = if version == REQUEST_VERSION {
            Floors::decode(&mut from)?
        } else {
            Floors::NONE
        };
        from.finish()?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            k,
            window,
            minutes,
            service: some(service),
            environment: some(environment),
            fold_services,
            floors,
        })
    }
}

/// Version of the encoding of a request.
const REQUEST_VERSION: u8 = 2;
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
        let text = |minute| Timestamp::from_minute(minute).to_string();
        (text(request.minutes.start), text(request.minutes.end))
    }

    #[test]
    fn windows_are_whole_minutes() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            window("1h", None, false),
            pair("2026-01-02T02:05:00Z", "2026-01-02T03:05:00Z")
        );
        assert_eq!(
            window("1h", None, true),
            pair("2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z")
        );
        let end = Some("2026-01-02T03:00:00Z");
        assert_eq!(
            window("5m", end, false),
            pair("2026-01-02T02:55:00Z", "2026-01-02T03:00:00Z")
        );
        assert_eq!(
            window("1h", end, true),
            pair("2026-01-02T02:00:00Z", "2026-01-02T03:00:00Z")
        );
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
        let mut first_version = request.encode();
        first_version.truncate(first_version.len() - request.floors.to_bytes().len());
        first_version[0] = REQUEST_VERSION_WITHOUT_FLOORS;
        assert_eq!(TopK::decode(&first_version).unwrap(), request);
        request.hide(Floors::new(
            now(),
            [("a".to_owned(), Timestamp::from_nanos(7))],
        ));
        let bytes = request.encode();
        assert_eq!(TopK::decode(&bytes).unwrap(), request);
        assert!(TopK::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
