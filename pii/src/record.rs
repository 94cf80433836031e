//! Masking of a whole record: the only place that makes a `Masked<Record>`.

use std::collections::BTreeSet;

use hushlog_record::museum::{Bug, planted};
use hushlog_record::{Kind, Masked, Record, Value};

use crate::masker::Fired;
use crate::{Masker, detector, json};

impl Masker {
    /// Masks every text of a record, at any depth, and adds the detectors that fired to `pii`.
    pub fn mask(&self, mut record: Record) -> Masked<Record> {
        let mut fired = Fired::default();
        self.mask_texts(&mut record, &mut fired);
        self.mask_fields(&mut record.fields, &mut fired);
        if fired.any() {
            record.pii.extend(fired.names().map(str::to_owned));
            record.pii.sort_unstable();
            record.pii.dedup();
        }
        Masked::vouch(record)
    }

    fn mask_texts(&self, record: &mut Record, fired: &mut Fired) {
        self.mask_string(&mut record.message, None, fired);
        for text in [
            &mut record.service_name,
            &mut record.host,
            &mut record.environment,
            &mut record.region,
        ] {
            self.mask_string(text, None, fired);
        }
        for id in [&mut record.trace_id, &mut record.span_id] {
            if !is_trace_id(id) {
                self.mask_string(id, None, fired);
            }
        }
        if let Some(exception) = &mut record.exception {
            self.mask_string(&mut exception.type_name, None, fired);
            if !planted(Bug::UnmaskedPath) {
                self.mask_string(&mut exception.message, None, fired);
            }
            self.mask_string(&mut exception.stack_trace, None, fired);
        }
    }

    fn mask_fields(&self, fields: &mut [(String, Value)], fired: &mut Fired) {
        let mut renamed = false;
        for (name, value) in fields.iter_mut() {
            self.mask_value(name, value, fired);
            renamed |= self.mask_string(name, None, fired);
        }
        if renamed {
            restore_order(fields);
        }
    }

    fn mask_value(&self, name: &str, value: &mut Value, fired: &mut Fired) {
        match value.kind {
            Kind::Bool => {}
            Kind::String => {
                self.mask_string(&mut value.text, Some(name), fired);
            }
            Kind::Number => {
                if let Some(masked) = self.mask_number(&value.text, name, fired) {
                    *value = Value::string(masked);
                }
            }
            Kind::Json => {
                if let Some(masked) = json::mask(self, &value.text, name, fired) {
                    value.text = masked;
                }
            }
        }
    }
}

/// Whether this can be nothing but the id of a trace or a span: 16 or 8 bytes in hex, and no card.
fn is_trace_id(text: &str) -> bool {
    matches!(text.len(), 32 | 16)
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && !detector::number_is_card(text.as_bytes())
}

/// Masked names may be out of order or alike: numbers those that are alike, by numbers that no other
/// name has, and sorts them all.
fn restore_order(fields: &mut [(String, Value)]) {
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut names: BTreeSet<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    let mut last = String::new();
    let mut alike = 1u32;
    for (name, _) in fields.iter_mut() {
        if *name != last {
            last.clone_from(name);
            alike = 1;
            continue;
        }
        loop {
            alike += 1;
            let numbered = format!("{last}#{alike}");
            if names.insert(numbered.clone()) {
                *name = numbered;
                break;
            }
        }
    }
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
}
