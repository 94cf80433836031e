//! The names that sources use for the parts of a record.

/// The parts of a record that have a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Event time.
    Timestamp,
    /// Severity.
    Level,
    /// Text.
    Message,
    /// Service.
    Service,
    /// Host.
    Host,
    /// Deployment environment.
    Environment,
    /// Region.
    Region,
    /// Trace id.
    TraceId,
    /// Span id.
    SpanId,
    /// The client's own record id.
    LogId,
    /// Exception type.
    ExceptionType,
    /// Exception message.
    ExceptionMessage,
    /// Stack trace.
    ExceptionStack,
    /// None of these: a field that stays one, and from which something may be concluded where the
    /// record does not say it.
    Hint,
}

/// Slots; the last one never holds a value.
pub(super) const SLOTS: usize = Slot::Hint as usize + 1;

/// Names of OpenTelemetry's severity number.
pub(crate) const SEVERITY_NUMBERS: [&str; 2] = ["severity_number", "severityNumber"];

/// Names of OpenTelemetry's severity text, which is kept as it was sent.
pub(crate) const SEVERITY_TEXTS: [&str; 2] = ["severity_text", "severityText"];

/// Known names; among several for one slot the one that stands first here wins and the others are
/// kept as fields.
pub(super) const ALIASES: [(&str, Slot); 122] = [
    ("timestamp", Slot::Timestamp),
    ("@timestamp", Slot::Timestamp),
    ("time", Slot::Timestamp),
    ("ts", Slot::Timestamp),
    ("@t", Slot::Timestamp),
    ("Timestamp", Slot::Timestamp),
    ("datetime", Slot::Timestamp),
    ("asctime", Slot::Timestamp),
    ("timeMillis", Slot::Timestamp),
    ("eventTime", Slot::Timestamp),
    ("__REALTIME_TIMESTAMP", Slot::Timestamp),
    ("date", Slot::Timestamp),
    ("level", Slot::Level),
    ("severity", Slot::Level),
    ("log.level", Slot::Level),
    (SEVERITY_NUMBERS[0], Slot::Level),
    (SEVERITY_NUMBERS[1], Slot::Level),
    (SEVERITY_TEXTS[0], Slot::Level),
    (SEVERITY_TEXTS[1], Slot::Level),
    ("levelname", Slot::Level),
    ("level_name", Slot::Level),
    ("loglevel", Slot::Level),
    ("log_level", Slot::Level),
    ("lvl", Slot::Level),
    ("@l", Slot::Level),
    ("Level", Slot::Level),
    ("PRIORITY", Slot::Level),
    ("message", Slot::Message),
    ("msg", Slot::Message),
    ("log", Slot::Message),
    ("body", Slot::Message),
    ("@message", Slot::Message),
    ("@m", Slot::Message),
    ("@mt", Slot::Message),
    ("RenderedMessage", Slot::Message),
    ("Message", Slot::Message),
    ("MESSAGE", Slot::Message),
    ("textPayload", Slot::Message),
    ("jsonPayload.message", Slot::Message),
    ("short_message", Slot::Message),
    ("event", Slot::Message),
    ("service_name", Slot::Service),
    ("service", Slot::Service),
    ("service.name", Slot::Service),
    ("serviceName", Slot::Service),
    ("serviceContext.service", Slot::Service),
    ("dd.service", Slot::Service),
    ("metadata.host", Slot::Host),
    ("host", Slot::Host),
    ("host.name", Slot::Host),
    ("host.hostname", Slot::Host),
    ("hostname", Slot::Host),
    ("_HOSTNAME", Slot::Host),
    ("metadata.environment", Slot::Environment),
    ("environment", Slot::Environment),
    ("deployment.environment.name", Slot::Environment),
    ("deployment.environment", Slot::Environment),
    ("service.environment", Slot::Environment),
    ("dd.env", Slot::Environment),
    ("metadata.region", Slot::Region),
    ("region", Slot::Region),
    ("cloud.region", Slot::Region),
    ("trace_id", Slot::TraceId),
    ("trace.id", Slot::TraceId),
    ("traceId", Slot::TraceId),
    ("dd.trace_id", Slot::TraceId),
    ("span_id", Slot::SpanId),
    ("span.id", Slot::SpanId),
    ("spanId", Slot::SpanId),
    ("dd.span_id", Slot::SpanId),
    ("logging.googleapis.com/spanId", Slot::SpanId),
    ("log_id", Slot::LogId),
    ("exception.type", Slot::ExceptionType),
    ("error.type", Slot::ExceptionType),
    ("err.type", Slot::ExceptionType),
    ("err.name", Slot::ExceptionType),
    ("error.kind", Slot::ExceptionType),
    ("exception.class", Slot::ExceptionType),
    ("exception.exception_class", Slot::ExceptionType),
    ("thrown.name", Slot::ExceptionType),
    ("exception.message", Slot::ExceptionMessage),
    ("error.message", Slot::ExceptionMessage),
    ("err.message", Slot::ExceptionMessage),
    ("exception.exception_message", Slot::ExceptionMessage),
    ("thrown.message", Slot::ExceptionMessage),
    ("exception.stack_trace", Slot::ExceptionStack),
    ("exception.stacktrace", Slot::ExceptionStack),
    ("error.stack_trace", Slot::ExceptionStack),
    ("exception", Slot::ExceptionStack),
    ("stack_trace", Slot::ExceptionStack),
    ("exc_info", Slot::ExceptionStack),
    ("err.stack", Slot::ExceptionStack),
    ("error.stack", Slot::ExceptionStack),
    ("@x", Slot::ExceptionStack),
    ("Exception", Slot::ExceptionStack),
    ("thrown.extendedStackTrace", Slot::ExceptionStack),
    ("name", Slot::Hint),
    ("app", Slot::Hint),
    ("app_name", Slot::Hint),
    ("application", Slot::Hint),
    ("SYSLOG_IDENTIFIER", Slot::Hint),
    ("kubernetes.labels.app", Slot::Hint),
    ("kubernetes.container_name", Slot::Hint),
    ("kubernetes.container.name", Slot::Hint),
    ("resource.labels.service_name", Slot::Hint),
    ("resource.labels.container_name", Slot::Hint),
    ("logGroup", Slot::Hint),
    ("@log", Slot::Hint),
    ("trace", Slot::Hint),
    ("logging.googleapis.com/trace", Slot::Hint),
    ("timestamp.seconds", Slot::Hint),
    ("timestampSeconds", Slot::Hint),
    ("instant.epochSecond", Slot::Hint),
    ("stacktrace", Slot::Hint),
    ("stackTrace", Slot::Hint),
    ("stack", Slot::Hint),
    ("error", Slot::Hint),
    ("err", Slot::Hint),
    ("errorVerbose", Slot::Hint),
    ("exc_text", Slot::Hint),
    ("full_message", Slot::Hint),
    ("jsonPayload.stack_trace", Slot::Hint),
];

/// Longest known name, in bytes, plus one.
const LENGTHS: usize = 32;

/// Places in [`ALIASES`], by the length of the name.
const BY_LENGTH: [u8; ALIASES.len()] = {
    let mut places = [0u8; ALIASES.len()];
    let mut filled = 0;
    let mut length = 0;
    while length < LENGTHS {
        let mut place: u8 = 0;
        while (place as usize) < ALIASES.len() {
            if ALIASES[place as usize].0.len() == length {
                places[filled] = place;
                filled += 1;
            }
            place += 1;
        }
        length += 1;
    }
    assert!(filled == ALIASES.len(), "a name is longer than LENGTHS");
    places
};

/// Where the names of each length start in [`BY_LENGTH`].
const STARTS: [usize; LENGTHS + 1] = {
    let mut starts = [0; LENGTHS + 1];
    let mut length = 0;
    while length < LENGTHS {
        let mut count = 0;
        let mut place = 0;
        while place < ALIASES.len() {
            count += (ALIASES[place].0.len() == length) as usize;
            place += 1;
        }
        starts[length + 1] = starts[length] + count;
        length += 1;
    }
    starts
};

/// The place of a known name in [`ALIASES`]; most names are refused by their length and first byte.
pub(super) fn find(name: &str) -> Option<u8> {
    let first = name.as_bytes().first()?;
    let range = STARTS[name.len().min(LENGTHS)]..STARTS[(name.len() + 1).min(LENGTHS)];
    BY_LENGTH[range].iter().copied().find(|place| {
        let (known, _) = ALIASES[usize::from(*place)];
        known.as_bytes().first() == Some(first) && known == name
    })
}
