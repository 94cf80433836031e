//! Masking of a whole record: the only place that makes a `Masked<Record>`.

use std::collections::BTreeSet;

use hushlog_record::museum::{Bug, planted};
use hushlog_record::{Kind, Masked, Record, Value};

use crate::finder::Fired;
use crate::pattern::Place;
use crate::{Masker, detector, json};

impl Masker {
    /// Masks every text of a record, at any depth, and adds the detectors that fired to `pii`.
    pub fn mask(&self, mut record: Record) -> Masked<Record> {
        let mut fired = Fired::default();
        // Scopes go by the masked name of the service: that is what a second masking sees.
        let mut service = std::mem::take(&mut record.service_name);
        self.mask_string(&mut service, at("", "service"), &mut fired);
        self.mask_texts(&mut record, &service, &mut fired);
        self.mask_fields(&mut record.fields, &service, &mut fired);
        record.service_name = service;
        if fired.any() {
            let names = fired.iter().map(|by| self.name(by).into_owned());
            record.pii.extend(names);
            record.pii.sort_unstable();
            record.pii.dedup();
        }
        Masked::vouch(record)
    }

    fn mask_texts(&self, record: &mut Record, service: &str, fired: &mut Fired) {
        for (text, path) in [
            (&mut record.message, "message"),
            (&mut record.host, "host"),
            (&mut record.environment, "environment"),
            (&mut record.region, "region"),
        ] {
            self.mask_string(text, at(service, path), fired);
        }
        for (id, path) in [
            (&mut record.trace_id, "trace_id"),
            (&mut record.span_id, "span_id"),
        ] {
            if !is_trace_id(id) {
                self.mask_string(id, at(service, path), fired);
            }
        }
        if let Some(exception) = &mut record.exception {
            for (text, path) in [
                (&mut exception.type_name, "exception.type"),
                (&mut exception.message, "exception.message"),
                (&mut exception.stack_trace, "exception.stack_trace"),
            ] {
                if path != "exception.message" || !planted(Bug::UnmaskedPath) {
                    self.mask_string(text, at(service, path), fired);
                }
            }
        }
    }

    fn mask_fields(&self, fields: &mut [(String, Value)], service: &str, fired: &mut Fired) {
        let mut renamed = false;
        for (name, value) in fields.iter_mut() {
            let masked = self.masked(name, at(service, ""), fired);
            let place = Place {
                name: Some(name),
                service,
                path: masked.as_deref().unwrap_or(name),
            };
            self.mask_value(place, value, fired);
            if let Some(masked) = masked {
                *name = masked;
                renamed = true;
            }
        }
        if renamed {
            restore_order(fields);
        }
    }

    fn mask_value(&self, place: Place<'_>, value: &mut Value, fired: &mut Fired) {
        match value.kind {
            Kind::Bool => {}
            Kind::String => {
                self.mask_string(&mut value.text, place, fired);
            }
            Kind::Number => {
                if let Some(masked) = self.mask_number(&value.text, place, fired) {
                    *value = Value::string(masked);
                }
            }
            Kind::Json => {
                if let Some(masked) = json::mask(self, &value.text, place, fired) {
                    value.text = masked;
                }
            }
        }
    }
}

/// A text of a record that has no field's name.
fn at<'a>(service: &'a str, path: &'a str) -> Place<'a> {
    Place {
        name: None,
        service,
        path,
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
