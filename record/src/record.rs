//! One log entry.

use std::fmt;

use crate::{Level, LogId, Timestamp, Value};

/// One log entry as it travels from the parser to the block.
///
/// An empty string means *absent* for `host`, `environment`, `region`, `trace_id` and `span_id`.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Identity of the record; UUID v7 unless the client chose one.
    pub log_id: LogId,
    /// Event time.
    pub timestamp: Timestamp,
    /// Receive time at the node that took it.
    pub created_at: Timestamp,
    /// The service that wrote it; `unknown` when nobody said.
    pub service_name: String,
    /// Severity.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Custom fields, nested objects flattened with dots, sorted by name, names unique.
    pub fields: Vec<(String, Value)>,
    /// The exception that it reports.
    pub exception: Option<Exception>,
    /// Host that wrote it.
    pub host: String,
    /// Deployment environment.
    pub environment: String,
    /// Region.
    pub region: String,
    /// Trace id, lower-case hex as sent.
    pub trace_id: String,
    /// Span id, lower-case hex as sent.
    pub span_id: String,
    /// Names of the detectors that fired, sorted, unique.
    pub pii: Vec<String>,
}

/// An exception reported by a record.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Exception {
    /// Class or type, for instance `java.lang.IllegalStateException`.
    pub type_name: String,
    /// Its message; may be empty.
    pub message: String,
    /// Stack trace text; may be empty.
    pub stack_trace: String,
    /// The same for the same fault, whatever its ids, lines and addresses; 0 where it is not known. Made of what
    /// is masked, after masking.
    pub signature: u64,
}

impl Record {
    /// A record with this text, from service `unknown`, at level INFO.
    pub fn new(log_id: LogId, received: Timestamp, message: impl Into<String>) -> Self {
        Self {
            log_id,
            timestamp: received,
            created_at: received,
            service_name: "unknown".into(),
            level: Level::Info,
            message: message.into(),
            fields: Vec::new(),
            exception: None,
            host: String::new(),
            environment: String::new(),
            region: String::new(),
            trace_id: String::new(),
            span_id: String::new(),
            pii: Vec::new(),
        }
    }

    /// Bytes of text it holds: what limits and batch sizes count.
    pub fn text_bytes(&self) -> usize {
        let fields: usize = self
            .fields
            .iter()
            .map(|(name, value)| name.len() + value.text.len())
            .sum();
        let exception = self.exception.as_ref().map_or(0, |e| {
            e.type_name.len() + e.message.len() + e.stack_trace.len()
        });
        self.message.len()
            + fields
            + exception
            + self.service_name.len()
            + self.host.len()
            + self.environment.len()
            + self.region.len()
            + self.trace_id.len()
            + self.span_id.len()
    }
}

/// Prints no text: a record may not be masked yet.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("log_id", &self.log_id)
            .field("level", &self.level)
            .field("text_bytes", &self.text_bytes())
            .finish_non_exhaustive()
    }
}

/// Prints no text: an exception may not be masked yet.
impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exception")
            .field("text_bytes", &(self.message.len() + self.stack_trace.len()))
            .finish_non_exhaustive()
    }
}
