//! What a mask has taken out of a record, so that a later policy can mask the record as it came.
//!
//! It holds unmasked text: it lives in memory beside its record until that is acknowledged, and goes
//! nowhere else. Prints none of it.

use std::fmt;
use std::mem::size_of;

use hushlog_record::{Masked, Record, Value};

/// A text of a record that has no field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Service,
    Message,
    Host,
    Environment,
    Region,
    TraceId,
    SpanId,
    ExceptionType,
    ExceptionMessage,
    StackTrace,
}

/// The texts that masking replaced, as they were. Empty for a record in which nothing was found.
#[derive(Default)]
pub struct Original {
    kept: Option<Box<Kept>>,
}

#[derive(Default)]
struct Kept {
    texts: Vec<(Spot, String)>,
    fields: Fields,
    pii: Vec<String>,
}

enum Fields {
    /// These, by place: none has moved.
    Some(Vec<(usize, Value)>),
    /// All: names were masked, which may move them.
    All(Vec<(String, Value)>),
}

impl Default for Fields {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

impl Original {
    /// Whether the record is as it came.
    pub fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    /// Memory that it takes beside its record, in bytes.
    pub fn memory(&self) -> usize {
        let Some(kept) = &self.kept else {
            return 0;
        };
        let texts: usize = kept.texts.iter().map(|(_, text)| text.len()).sum();
        let text = |value: &Value| value.text.len();
        let (fields, field_bytes): (usize, usize) = match &kept.fields {
            Fields::Some(some) => (some.len(), some.iter().map(|(_, value)| text(value)).sum()),
            Fields::All(all) => (
                all.len(),
                all.iter()
                    .map(|(name, value)| name.len() + text(value))
                    .sum(),
            ),
        };
        size_of::<Kept>()
            + kept.texts.len() * size_of::<(Spot, String)>()
            + fields * size_of::<(String, Value)>()
            + texts
            + field_bytes
    }

    /// The record as it came.
    pub(crate) fn restore(self, masked: Masked<Record>) -> Record {
        let mut record = masked.into_inner();
        let Some(kept) = self.kept else {
            return record;
        };
        for (spot, text) in kept.texts {
            if let Some(place) = place_of(&mut record, spot) {
                *place = text;
            }
        }
        match kept.fields {
            Fields::Some(some) => {
                for (place, value) in some {
                    if let Some(field) = record.fields.get_mut(place) {
                        field.1 = value;
                    }
                }
            }
            Fields::All(all) => record.fields = all,
        }
        record.pii = kept.pii;
        record
    }

    pub(crate) fn keep_text(&mut self, spot: Spot, text: String) {
        self.kept().texts.push((spot, text));
    }

    pub(crate) fn keep_value(&mut self, place: usize, value: Value) {
        if let Fields::Some(some) = &mut self.kept().fields {
            some.push((place, value));
        }
    }

    /// The fields' names were masked: `fields` are as they are now, with these names before.
    pub(crate) fn keep_names(&mut self, fields: &[(String, Value)], names: Vec<(usize, String)>) {
        let mut all = fields.to_vec();
        for (place, name) in names {
            if let Some(field) = all.get_mut(place) {
                field.0 = name;
            }
        }
        let kept = self.kept();
        if let Fields::Some(some) = std::mem::take(&mut kept.fields) {
            for (place, value) in some {
                if let Some(field) = all.get_mut(place) {
                    field.1 = value;
                }
            }
        }
        kept.fields = Fields::All(all);
    }

    /// The detectors that the record named before.
    pub(crate) fn keep_pii(&mut self, pii: &[String]) {
        self.kept().pii = pii.to_vec();
    }

    fn kept(&mut self) -> &mut Kept {
        self.kept.get_or_insert_default()
    }
}

fn place_of(record: &mut Record, spot: Spot) -> Option<&mut String> {
    let exception = record.exception.as_mut();
    match spot {
        Spot::Service => Some(&mut record.service_name),
        Spot::Message => Some(&mut record.message),
        Spot::Host => Some(&mut record.host),
        Spot::Environment => Some(&mut record.environment),
        Spot::Region => Some(&mut record.region),
        Spot::TraceId => Some(&mut record.trace_id),
        Spot::SpanId => Some(&mut record.span_id),
        Spot::ExceptionType => exception.map(|e| &mut e.type_name),
        Spot::ExceptionMessage => exception.map(|e| &mut e.message),
        Spot::StackTrace => exception.map(|e| &mut e.stack_trace),
    }
}

/// Prints no text.
impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Original")
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}
