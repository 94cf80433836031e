//! What a source says about one record, before the rules of the record are applied.
//!
//! JSON, OTLP, plain lines and every other source fill the same [`RawRecord`]; `parse::record` makes
//! the record. Known names (`@timestamp`, `log.level`, `service.name`…) go to their slot at once,
//! everything else becomes a field. Never decides what a value means.

mod alias;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use hushlog_record::limits::{FIELD_NAME_BYTES_MAX, RECORD_BYTES_MAX};
use hushlog_record::{Kind, LogId, Timestamp, Value};

use crate::json::text::push_member;
use crate::limits::FIELDS_HELD_MAX;
use crate::parse::level;
pub use alias::Slot;
use alias::{ALIASES, SLOTS};
pub(crate) use alias::{SEVERITY_NUMBERS, SEVERITY_TEXTS};

/// Room for fields that is made at once.
const FIELDS_USUAL: usize = 8;

/// Whether this says nothing about its slot: a severity number such as 0, which must not hide a text;
/// a day under the name `date`, which is that of an invoice as likely as that of the event.
fn is_unspecified(name: &str, value: &Value) -> bool {
    if name == "date" {
        return value.kind != Kind::Number && !value.text.contains(':');
    }
    SEVERITY_NUMBERS.contains(&name) && level::otel_text(&value.text).is_none()
}

/// Whether a field of this name is, or may be, the text of a record.
pub(crate) fn names_message(name: &str) -> bool {
    alias::find(name).is_some_and(|alias| ALIASES[usize::from(alias)].1 == Slot::Message)
}

/// What a source says about one record.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawRecord {
    /// Event time, where the source gives it as a number of nanoseconds (OTLP); 0 is not a time.
    pub timestamp: Option<Timestamp>,
    /// The id that its source gives it where the client gave none, so that it can be told; `None` has one
    /// drawn. What the client gives is the field `log_id`, and goes before it.
    pub log_id: Option<LogId>,
    /// OpenTelemetry severity number, 1–24; 0 says nothing, and any other is kept as it is.
    pub severity_number: Option<i32>,
    /// True for a line of plain text: a time at its start is then the event time.
    pub plain: bool,
    held: [Option<(u8, Value)>; SLOTS],
    fields: Vec<(String, Value)>,
    folded: String,
    bytes: usize,
    /// Whether a field has come that may say something about a slot, see [`Slot::Hint`].
    hinted: bool,
}

impl RawRecord {
    /// A record that is nothing but a text.
    pub fn text(message: impl Into<String>) -> Self {
        let mut raw = Self::default();
        raw.put("message", Value::string(message));
        raw
    }

    /// A line of plain text. Bad UTF-8 is replaced, and noted in the field `utf8_error`.
    pub fn line(bytes: &[u8]) -> Self {
        let mut raw = match std::str::from_utf8(bytes) {
            Ok(text) => Self::text(text),
            Err(error) => {
                let mut raw = Self::text(String::from_utf8_lossy(bytes));
                raw.utf8_error(error.valid_up_to());
                raw
            }
        };
        raw.plain = true;
        raw
    }

    /// Notes that bytes from `offset` on were not UTF-8 and have been replaced.
    pub fn utf8_error(&mut self, offset: usize) {
        self.field(
            "utf8_error",
            Value::string(format!("invalid UTF-8 at byte {offset}, replaced")),
        );
    }

    /// Adds a named value of the record's top level: a known name goes to its slot. Nested objects
    /// are given flattened, with dots. A later value of the same name wins.
    pub fn put<'a>(&mut self, name: impl Into<Cow<'a, str>>, value: Value) {
        let name = name.into();
        if let Some(alias) = alias::find(&name).filter(|_| !is_unspecified(&name, &value)) {
            if ALIASES[usize::from(alias)].1 != Slot::Hint {
                return self.hold(alias, value);
            }
            self.hinted = true;
        }
        match name.strip_prefix("fields.") {
            Some(rest) if !rest.is_empty() => self.field(rest, value),
            _ => self.field(name, value),
        }
    }

    /// Adds an attribute of an OpenTelemetry record: `exception.*` describes the exception, all else
    /// is a field. Attributes come after [`RawRecord::resource`]: the later value of a name wins.
    pub fn attribute<'a>(&mut self, name: impl Into<Cow<'a, str>>, value: Value) {
        let name = name.into();
        if name.starts_with("exception.") {
            self.put(name, value)
        } else {
            self.field(name, value)
        }
    }

    /// Adds an attribute of an OpenTelemetry resource: service, host, environment and region have
    /// slots, all else is a field.
    pub fn resource<'a>(&mut self, name: impl Into<Cow<'a, str>>, value: Value) {
        let name = name.into();
        match &*name {
            "service.name"
            | "host.name"
            | "deployment.environment"
            | "deployment.environment.name"
            | "cloud.region" => self.put(name, value),
            _ => self.field(name, value),
        }
    }

    /// Adds a custom field, whatever its name.
    pub fn field<'a>(&mut self, name: impl Into<Cow<'a, str>>, value: Value) {
        let name = name.into();
        self.bytes += name.len() + value.text.len();
        if self.is_oversize() {
            // It will be refused as a whole; holding more of it would only cost memory.
            return;
        }
        // A name is not masked yet: it is kept whole or not at all, since half an address is found by nothing.
        if self.fields.len() >= FIELDS_HELD_MAX || name.len() > FIELD_NAME_BYTES_MAX {
            push_member(&mut self.folded, &name, &value);
            return;
        }
        let name = match name {
            _ if name.is_empty() => "_".to_owned(),
            Cow::Borrowed(name) => name.to_owned(),
            Cow::Owned(name) => name,
        };
        if self.fields.capacity() == 0 {
            self.fields.reserve(FIELDS_USUAL);
        }
        self.fields.push((name, value));
    }

    /// Gives the severity as text, as the source has it (OTLP `severity_text`).
    pub fn severity_text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.put(SEVERITY_TEXTS[0], Value::string(text));
        }
    }

    /// Bytes of text held so far.
    pub const fn text_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is over [`RECORD_BYTES_MAX`] and must be rejected (parts may be gone already).
    pub const fn is_oversize(&self) -> bool {
        self.bytes > RECORD_BYTES_MAX
    }

    /// Whether nothing gave a value for this slot.
    pub const fn lacks(&self, slot: Slot) -> bool {
        self.held[slot as usize].is_none()
    }

    /// The id that the client has given, where it has given one.
    pub fn own_id(&self) -> Option<LogId> {
        let (_, value) = self.held[Slot::LogId as usize].as_ref()?;
        value.text.trim_ascii().parse().ok()
    }

    pub(crate) fn take(&mut self, slot: Slot) -> Option<Value> {
        self.take_named(slot).map(|(_, value)| value)
    }

    pub(crate) fn take_named(&mut self, slot: Slot) -> Option<(&'static str, Value)> {
        self.held[slot as usize]
            .take()
            .map(|(alias, value)| (ALIASES[usize::from(alias)].0, value))
    }

    /// Whether a field has come that may say something about a slot; asks once.
    pub(crate) fn take_hinted(&mut self) -> bool {
        std::mem::take(&mut self.hinted)
    }

    /// Whether the slot holds a number.
    pub(crate) fn holds_number(&self, slot: Slot) -> bool {
        self.held[slot as usize]
            .as_ref()
            .is_some_and(|(_, value)| value.kind == Kind::Number)
    }

    pub(crate) fn field_text(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .rfind(|(known, _)| known == name)
            .map(|(_, value)| &*value.text)
    }

    /// Takes over what `inner` says and this one does not; known names that are taken already are
    /// kept as fields.
    pub(crate) fn absorb(&mut self, mut inner: Self) {
        for place in 0..SLOTS {
            if let Some((alias, value)) = inner.held[place].take() {
                let (name, _) = ALIASES[usize::from(alias)];
                if self.held[place].is_none() {
                    self.held[place] = Some((alias, value));
                } else {
                    self.field_before(name.to_owned(), value);
                }
            }
        }
        let known = self.names_known(&inner.fields);
        for ((name, value), is_known) in inner.fields.into_iter().zip(known) {
            if !is_known {
                self.field(name, value);
            }
        }
        if !self.folded.is_empty() && !inner.folded.is_empty() {
            self.folded.push(',');
        }
        self.folded.push_str(&inner.folded);
        self.hinted |= inner.hinted;
    }

    /// Adds a field unless there is one of this name.
    pub(crate) fn field_before(&mut self, name: String, value: Value) {
        if self.field_text(&name).is_none() {
            self.field(name, value);
        }
    }

    /// For each of the fields whether one of its name is held, or stands before it. By a set: a record may
    /// hold thousands, and each would be sought among all.
    fn names_known(&self, fields: &[(String, Value)]) -> Vec<bool> {
        let mut names: BTreeSet<&str> = self.fields.iter().map(|(name, _)| &**name).collect();
        fields.iter().map(|(name, _)| !names.insert(name)).collect()
    }

    /// The fields in the order given, and those folded away as the inside of a JSON object.
    pub(crate) fn into_fields(self) -> (Vec<(String, Value)>, String) {
        (self.fields, self.folded)
    }

    fn hold(&mut self, alias: u8, value: Value) {
        let (_, slot) = ALIASES[usize::from(alias)];
        self.bytes += value.text.len();
        let place = &mut self.held[slot as usize];
        match place {
            Some((known, _)) if *known < alias => {
                self.bytes -= value.text.len();
                self.field(ALIASES[usize::from(alias)].0, value);
            }
            Some((known, _)) if *known > alias => {
                let (known, old) = place
                    .replace((alias, value))
                    .expect("it was matched as held");
                self.bytes -= old.text.len();
                self.field(ALIASES[usize::from(known)].0, old);
            }
            _ => *place = Some((alias, value)),
        }
    }
}

/// The longest prefix of at most `max` bytes that ends at a character border.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// What stands for a name that is too long and cannot be cut.
const UNCUT: &str = "too_long";

/// The name, cut to `max` bytes. It is not masked yet: a run of letters and digits that the cut would leave half of
/// goes whole if it may be a number or an address, since half of one is found by nothing.
pub(crate) fn cut_name(name: &str, max: usize) -> &str {
    let head = cut(name, max);
    if head.len() == name.len() {
        return name;
    }
    let ends =
        |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%' | '@' | ':'));
    let start = head.rfind(ends).map_or(0, |at| at + 1);
    let start = name.ceil_char_boundary(start);
    let run = name[start..].split(ends).next().unwrap_or_default();
    if !run.contains(|c: char| c.is_ascii_digit() || matches!(c, '@' | '%')) {
        return head;
    }
    match head[..start].trim_end() {
        "" => UNCUT,
        whole => whole,
    }
}

/// Prints no text: it is not masked.
impl fmt::Debug for RawRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("fields", &self.fields.len())
            .field("text_bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
