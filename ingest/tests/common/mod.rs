//! What the tests of lines and sources share.
#![allow(dead_code, reason = "every test uses a part of it")]

use std::fmt::Write;
use std::time::Duration;

use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::{Context, RawRecord, parse};
use hushlog_record::{Record, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// The receive time of every test.
pub(crate) fn received() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().expect("a valid time")
}

pub(crate) fn with_context<T>(service: &str, f: impl FnOnce(&mut Context<'_>) -> T) -> T {
    with_names(service, "", f)
}

/// With what the headers of a request say.
pub(crate) fn with_names<T>(
    service: &str,
    environment: &str,
    f: impl FnOnce(&mut Context<'_>) -> T,
) -> T {
    let mut random = || [7; 10];
    f(&mut Context {
        received: received(),
        service,
        environment,
        random: &mut random,
    })
}

/// What a quick machine does in a hundredth of it: only work that grows with the square of a text takes
/// more, whatever else the machine does meanwhile.
pub(crate) const CPU_TIME_MAX: Duration = Duration::from_secs(2);

/// The time that a processor has spent on this thread so far.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every thread has one")
        .into()
}

/// The record of a line of text.
pub(crate) fn line(text: &str) -> Record {
    with_context("", |context| parse::line(text.as_bytes(), context))
}

/// The record of a raw one.
pub(crate) fn record(raw: RawRecord) -> Record {
    with_context("", |context| parse::record(raw, context))
}

/// The only record of a JSON body.
pub(crate) fn object(text: &str) -> Record {
    let mut records = objects(text);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// The records of a JSON body.
pub(crate) fn objects(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let shape = with_context("", |context| {
        json::read(text.as_bytes(), Declared::Json, &mut |raw| {
            records.push(parse::record(raw.expect("it is small"), context))
        })
    });
    assert!(shape.is_ok(), "{text}");
    records
}

/// A record on one line: level, time if it has one of its own, what has a name, message, fields.
pub(crate) fn show(record: &Record) -> String {
    let mut out = format!("{}{}", record.level, names(record));
    write!(out, " | {}", record.message).expect("a string takes all");
    for (name, value) in &record.fields {
        write!(out, " | {name}={}", value.text).expect("a string takes all");
    }
    if let Some(exception) = &record.exception {
        write!(out, " | !{}: {}", exception.type_name, exception.message)
            .expect("a string takes all");
    }
    out
}

/// Its time if it has one of its own, and what of it has a name.
pub(crate) fn names(record: &Record) -> String {
    let mut out = String::new();
    if record.timestamp != record.created_at {
        write!(out, " @{}", record.timestamp).expect("a string takes all");
    }
    for (name, text) in [
        ("service", record.service_name.as_str()),
        ("host", &record.host),
        ("environment", &record.environment),
        ("region", &record.region),
        ("trace", &record.trace_id),
        ("span", &record.span_id),
    ] {
        if !text.is_empty() && text != "unknown" {
            write!(out, " {name}={text}").expect("a string takes all");
        }
    }
    out
}
