//! The most frequent exceptions of a window: from summaries, or from the rows where these do not
//! know what is asked.

use std::ops::Range;

use hushlog_record::time::NANOS_PER_MINUTE;
use hushlog_record::{ExceptionId, LogId, ShardId, Timestamp};
use hushlog_sketch::{ExceptionTally, Exceptions, Summary};
use hushlog_storage::batch::{Rows, name};

use crate::Error;
use crate::budget::Budget;
use crate::codec::{DAMAGED, Reader, Writer};
use crate::field::Field;
use crate::hit::push_text;
use crate::language::{Expr, Scalar, Target, Test};
use crate::limits::{GRANULES_PER_READ, TOP_K_MAX};
use crate::merge::Shards;
use crate::nulls::Nulls;
use crate::plan::Interval;
use crate::prune::{self, ByBounds};
use crate::scan::Matcher;
use crate::view::{SegmentView, TailBlock, View, data};
use crate::when;

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
        })
    }

    /// First and last event time of the window, both included.
    pub fn time(&self) -> Interval {
        Interval {
            first: self.minutes.start.saturating_mul(NANOS_PER_MINUTE),
            last: self.minutes.end.saturating_mul(NANOS_PER_MINUTE) - 1,
        }
    }

    /// The bytes for another node.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Writer::default();
        into.byte(VERSION);
        into.size(self.k);
        into.text(&self.window);
        into.signed(self.minutes.start);
        into.signed(self.minutes.end);
        for text in [&self.service, &self.environment] {
            into.text(text.as_deref().unwrap_or_default());
        }
        into.byte(u8::from(self.fold_services));
        into.bytes
    }

    /// Reads the bytes from another node.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        if from.byte()? != VERSION {
            return Err(DAMAGED);
        }
        let k = usize::try_from(from.number()?).map_err(|_| DAMAGED)?;
        let window = from.text()?;
        let minutes = from.signed()?..from.signed()?;
        let (service, environment) = (from.text()?, from.text()?);
        let fold_services = from.byte()? != 0;
        from.finish()?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            k,
            window,
            minutes,
            service: some(service),
            environment: some(environment),
            fold_services,
        })
    }
}

/// Version of the encodings.
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

/// Counts the exceptions of the window in one shard.
///
/// # Errors
/// As [`execute`](crate::execute).
pub fn top_k(request: &TopK, view: &View, budget: &Budget) -> Result<TopKPartial, Error> {
    let time = request.time();
    let counted = budget.use_summaries && request.environment.is_none();
    let service = request.service.as_deref();
    let mut exceptions = Exceptions::new();
    // What has no summary is counted into this one.
    let mut rest = Summary::new();
    let scan = Scan::new(request, budget);
    for segment in &view.segments {
        if !time.overlaps(segment.meta.time_min, segment.meta.time_max) {
            continue;
        }
        match &segment.summary {
            Some(summary) if counted => {
                exceptions.merge(&summary.exceptions(request.minutes.clone(), service));
            }
            _ => scan.segment(segment, &mut rest)?,
        }
    }
    for block in &view.tail {
        let (min, max) = block.times();
        if !time.overlaps(min, max) {
            continue;
        }
        match block.counts() {
            Some(counts) if counted => {
                for cell in &counts.exceptions {
                    let samples: Vec<[u8; 16]> = cell.samples.iter().map(|id| id.0).collect();
                    let tally = ExceptionTally {
                        count: cell.count,
                        first_seen: cell.first_seen.nanos(),
                        last_seen: cell.last_seen.nanos(),
                        samples: &samples,
                    };
                    rest.add_exception(cell.minute, &cell.service, &cell.type_name, tally);
                }
            }
            _ => scan.tail(block, &mut rest)?,
        }
    }
    exceptions.merge(&rest.exceptions(request.minutes.clone(), service));
    Ok(TopKPartial {
        shard: view.shard,
        exceptions,
    })
}

/// A count of exceptions row by row.
struct Scan<'a> {
    budget: &'a Budget,
    time: Interval,
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
    fn new(request: &TopK, budget: &'a Budget) -> Self {
        let time = request.time();
        let mut parts = vec![
            Expr::field(
                Field::Timestamp,
                Test::Time {
                    first: time.first,
                    last: time.last,
                },
            ),
            Expr::Leaf(crate::language::Leaf {
                target: Target::Field(Field::ExceptionType),
                test: Test::Exists,
            }),
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
        Self {
            budget,
            time,
            matcher: Matcher::compile(&expr),
            by_bounds,
        }
    }

    fn segment(&self, segment: &SegmentView, into: &mut Summary) -> Result<(), Error> {
        let granules = prune::granules(&segment.segment, self.time, &self.by_bounds);
        let nulls = Nulls::of(&segment.segment);
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
        self.add(block.batch()?, into)
    }

    fn add(&self, batch: &arrow_array::RecordBatch, into: &mut Summary) -> Result<(), Error> {
        let selected = self.matcher.eval(batch)?;
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

/// Merges what the shards counted into the body of the answer.
pub fn render(
    request: &TopK,
    partials: &[TopKPartial],
    shards: &Shards,
    execution_time_ms: u64,
) -> String {
    let mut all = Exceptions::new();
    partials
        .iter()
        .for_each(|partial| all.merge(&partial.exceptions));
    let mut out = String::from("{\"window\":");
    push_text(&request.window, &mut out);
    out.push_str(",\"service\":");
    match &request.service {
        Some(service) => push_text(service, &mut out),
        None => out.push_str("null"),
    }
    let start = Timestamp::from_minute(request.minutes.start);
    let end = Timestamp::from_minute(request.minutes.end);
    out.push_str(&format!(
        ",\"start\":\"{start}\",\"end\":\"{end}\",\"exceptions\":["
    ));
    for (i, top) in all.top(request.k, request.fold_services).iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_top(top, &mut out);
    }
    out.push_str(&format!(
        "],\"shards\":{},\"partial\":{},\"execution_time_ms\":{execution_time_ms}}}",
        shards.json(),
        shards.is_partial()
    ));
    out
}

fn push_top(top: &hushlog_sketch::Top, out: &mut String) {
    match &top.service_name {
        Some(service) => {
            let id = ExceptionId::of(&top.type_name, service);
            out.push_str(&format!("{{\"exception_id\":\"{id}\",\"exception_type\":"));
            push_text(&top.type_name, out);
            out.push_str(",\"service_name\":");
            push_text(service, out);
        }
        // An exception's id is of one service; a row over all of them has none.
        None => {
            out.push_str("{\"exception_id\":null,\"exception_type\":");
            push_text(&top.type_name, out);
            out.push_str(",\"service_name\":null");
        }
    }
    let first = Timestamp::from_nanos(top.first_seen);
    let last = Timestamp::from_nanos(top.last_seen);
    let samples: Vec<_> = top
        .samples
        .iter()
        .map(|id| format!("\"{}\"", LogId(*id)))
        .collect();
    out.push_str(&format!(
        ",\"count\":{},\"count_error\":{},\"first_seen\":\"{first}\",\"last_seen\":\"{last}\",\"sample_log_ids\":[{}]}}",
        top.count,
        top.count_error,
        samples.join(",")
    ));
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
        let request = TopK::new(params, now()).unwrap();
        let bytes = request.encode();
        assert_eq!(TopK::decode(&bytes).unwrap(), request);
        assert!(TopK::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
