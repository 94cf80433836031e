//! Masking of a whole record: the only place that makes a `Masked<Record>`.

use std::collections::BTreeSet;

use hushlog_record::museum::{Bug, planted};
use hushlog_record::{Exception, Kind, Masked, Record, Value};

use crate::finder::Fired;
use crate::names::Says;
use crate::original::{Original, Spot};
use crate::pattern::Place;
use crate::{Masker, detector, json};

impl Masker {
    /// Masks every text of a record, at any depth, and adds the detectors that fired to `pii`.
    pub fn mask(&self, record: Record) -> Masked<Record> {
        self.mask_keeping(record).0
    }

    /// As [`Masker::mask`], and gives what was replaced, so that the record can be masked again under
    /// another policy. Costs no more where nothing is found.
    pub fn mask_keeping(&self, mut record: Record) -> (Masked<Record>, Original) {
        let mut fired = Fired::default();
        let mut original = Original::default();
        // Scopes go by the masked name of the service: that is what a second masking sees.
        let mut service = std::mem::take(&mut record.service_name);
        if self.may_hold(&service)
            && let Some(masked) = self.masked(&service, at("", "service"), &mut fired)
        {
            original.keep_text(Spot::Service, std::mem::replace(&mut service, masked));
        }
        self.mask_texts(&mut record, &service, &mut fired, &mut original);
        self.mask_fields(&mut record.fields, &service, &mut fired, &mut original);
        record.service_name = service;
        if fired.any() {
            original.keep_pii(&record.pii);
            let names = fired.iter().map(|by| self.name(by).into_owned());
            record.pii.extend(names);
            record.pii.sort_unstable();
            record.pii.dedup();
        }
        (Masked::vouch(record), original)
    }

    /// Masks a record that another policy has masked, as if it had not: from what that has replaced.
    pub fn mask_again(
        &self,
        masked: Masked<Record>,
        original: Original,
    ) -> (Masked<Record>, Original) {
        self.mask_keeping(original.restore(masked))
    }

    fn mask_texts(
        &self,
        record: &mut Record,
        service: &str,
        fired: &mut Fired,
        original: &mut Original,
    ) {
        let mut mask = |text: &mut String, path, spot| {
            if let Some(masked) = self.masked(text, at(service, path), fired) {
                original.keep_text(spot, std::mem::replace(text, masked));
            }
        };
        for (text, path, spot) in [
            (&mut record.host, "host", Spot::Host),
            (&mut record.environment, "environment", Spot::Environment),
            (&mut record.region, "region", Spot::Region),
        ] {
            if self.may_hold(text) {
                mask(text, path, spot);
            }
        }
        mask(&mut record.message, "message", Spot::Message);
        for (id, path, spot) in [
            (&mut record.trace_id, "trace_id", Spot::TraceId),
            (&mut record.span_id, "span_id", Spot::SpanId),
        ] {
            if !is_trace_id(id) {
                mask(id, path, spot);
            }
        }
        if let Some(exception) = &mut record.exception {
            let Exception {
                type_name,
                message,
                stack_trace,
                signature: _,
            } = exception;
            for (text, path, spot) in [
                (type_name, "exception.type", Spot::ExceptionType),
                (message, "exception.message", Spot::ExceptionMessage),
                (stack_trace, "exception.stack_trace", Spot::StackTrace),
            ] {
                if path != "exception.message" || !planted(Bug::UnmaskedPath) {
                    mask(text, path, spot);
                }
            }
        }
    }

    /// Whether a word that labels records may hold something.
    fn may_hold(&self, label: &str) -> bool {
        !label.is_empty() && self.says(label).any(Says::FOUND)
    }

    fn mask_fields(
        &self,
        fields: &mut [(String, Value)],
        service: &str,
        fired: &mut Fired,
        original: &mut Original,
    ) {
        let mut names = Vec::new();
        for (number, (name, value)) in fields.iter_mut().enumerate() {
            let says = self.says(name);
            let masked = self.masked_name(name, says, service, fired);
            let place = Place {
                name: Some(name),
                says,
                path: masked.as_deref().unwrap_or(name),
                ..at(service, "")
            };
            let mut before = self.mask_value(place, value, fired);
            if let Some(place) = masked.as_deref().and_then(|name| self.renamed(name, place)) {
                let again = self.mask_value(place, value, fired);
                before = before.or(again);
            }
            if let Some(before) = before {
                original.keep_value(number, before);
            }
            if let Some(masked) = masked {
                names.push((number, std::mem::replace(name, masked)));
            }
        }
        if !names.is_empty() {
            original.keep_names(fields, names);
            restore_order(fields);
        }
    }

    /// The name of a field or of a member in JSON, masked; `None` where nothing is found in it.
    pub(crate) fn masked_name(
        &self,
        name: &str,
        says: Says,
        service: &str,
        fired: &mut Fired,
    ) -> Option<String> {
        let place = Place {
            is_name: true,
            ..at(service, "")
        };
        let may_hold = says.any(Says::FOUND);
        may_hold.then(|| self.masked(name, place, fired)).flatten()
    }

    /// The place of a value under the name that it has from now on, if that says something of its value: masking again would
    /// go by it (`[SSN]`).
    pub(crate) fn renamed<'a>(&self, name: &'a str, place: Place<'a>) -> Option<Place<'a>> {
        let says = self.says(name);
        says.any(Says::SECRET | Says::USER | Says::NUMBER)
            .then_some(Place {
                name: Some(name),
                says,
                ..place
            })
    }

    /// Gives the value as it was, where something was found.
    fn mask_value(&self, place: Place<'_>, value: &mut Value, fired: &mut Fired) -> Option<Value> {
        let text = &value.text;
        let masked = match value.kind {
            Kind::Bool => None,
            Kind::String => self.masked(text, place, fired).map(Value::string),
            Kind::Number => self.mask_number(text, place, fired).map(Value::string),
            Kind::Json => json::mask(self, text, place, fired).map(|text| Value {
                kind: Kind::Json,
                text,
            }),
        };
        masked.map(|masked| std::mem::replace(value, masked))
    }
}

/// A text of a record that has no field's name.
fn at<'a>(service: &'a str, path: &'a str) -> Place<'a> {
    Place {
        service,
        path,
        ..Place::default()
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
