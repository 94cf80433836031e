//! What the JSON of some sources says in more than one field, or under a name that means it only there:
//! Bunyan and pino, Google Cloud, CloudWatch, Log4j 2, Kubernetes' collectors.
//!
//! Nothing is taken out of the fields here; a slot that holds a value keeps it.

use hushlog_record::Value;

use super::line::Hints;
use super::time;
use crate::exception::{self, Found};
use crate::raw::{RawRecord, Slot};

/// Fields that name the service, where the record does not; the first one that is there does.
const SERVICES: [&str; 8] = [
    "app_name",
    "application",
    "app",
    "SYSLOG_IDENTIFIER",
    "kubernetes.labels.app",
    "kubernetes.container_name",
    "kubernetes.container.name",
    "resource.labels.service_name",
];
/// Fields that name the service by the last part of a path or of a list.
const GROUPS: [&str; 3] = ["resource.labels.container_name", "logGroup", "@log"];
/// Seconds and nanoseconds given apart: Google Cloud's agent in two forms, Log4j 2.
const SPLIT_TIMES: [(&str, &str); 3] = [
    ("timestamp.seconds", "timestamp.nanos"),
    ("timestampSeconds", "timestampNanos"),
    ("instant.epochSecond", "instant.nanoOfSecond"),
];
/// Fields with a Google Cloud trace: `projects/P/traces/ID`, or the id alone.
const TRACES: [&str; 2] = ["logging.googleapis.com/trace", "trace"];
/// Fields that may hold the text of a stack trace, or a word that is none.
const STACKS: [&str; 8] = [
    "stack",
    "stackTrace",
    "stacktrace",
    "error",
    "err",
    "errorVerbose",
    "exc_text",
    "full_message",
];

/// Fills what is missing from fields that say it; costs nothing where none of their names came.
pub(super) fn adapt(raw: &mut RawRecord, hints: &mut Hints) {
    if !raw.take_hinted() {
        return;
    }
    hints.fields = true;
    if hints.service.is_empty() && raw.lacks(Slot::Service) {
        hints.service = service(raw);
    }
    if raw.lacks(Slot::Timestamp) && hints.time.is_none() {
        hints.time = SPLIT_TIMES.iter().find_map(|(seconds, nanos)| {
            time::seconds_and_nanos(
                raw.field_text(seconds)?,
                raw.field_text(nanos).unwrap_or("0"),
            )
        });
    }
    if raw.lacks(Slot::TraceId)
        && let Some(id) = TRACES
            .iter()
            .find_map(|name| trace_id(raw.field_text(name)?))
    {
        raw.put("trace_id", Value::string(id));
    }
}

fn service(raw: &RawRecord) -> String {
    let named = SERVICES.iter().find_map(|name| raw.field_text(name));
    let grouped = || {
        let text = GROUPS.iter().find_map(|name| raw.field_text(name))?;
        text.rsplit(['/', ':']).next()
    };
    // Bunyan and pino call the logger of the process `name`; elsewhere that may be anything.
    let logger = || {
        let theirs = raw.holds_number(Slot::Level)
            && !raw.lacks(Slot::Host)
            && raw.field_text("pid").is_some();
        raw.field_text("name").filter(|_| theirs)
    };
    named
        .or_else(grouped)
        .or_else(logger)
        .unwrap_or_default()
        .to_owned()
}

fn trace_id(text: &str) -> Option<&str> {
    let id = text.rsplit('/').next()?;
    let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then_some(id)
}

/// The exception that a field holds, and its text.
pub(super) fn exception<'a>(raw: &'a RawRecord, hints: &Hints) -> Option<(Found, &'a str)> {
    if !hints.fields {
        return None;
    }
    STACKS.iter().find_map(|name| {
        let text = raw.field_text(name)?;
        let found = exception::find(text)?;
        Some((found, text))
    })
}
