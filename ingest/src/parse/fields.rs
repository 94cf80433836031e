//! The fields of a record in their final form: sorted, unique, few enough.

use hushlog_record::Value;
use hushlog_record::limits::RECORD_FIELDS_MAX;

use crate::json::text::push_member;
use crate::raw::RawRecord;

/// The field that holds those over the limit, as a JSON object.
pub(crate) const OTHER: &str = "_other";

/// Sorts by name; of several with one name the last given wins. Over the limit, the last in order of
/// names are folded into [`OTHER`].
pub(crate) fn finish(raw: RawRecord) -> Vec<(String, Value)> {
    let (mut fields, folded) = raw.into_fields();
    // Stable, so that the values of one name stay in the order given.
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    if fields.len() > RECORD_FIELDS_MAX || !folded.is_empty() {
        fold(&mut fields, folded);
    }
    fields
}

fn fold(fields: &mut Vec<(String, Value)>, folded: String) {
    let own = fields
        .iter()
        .position(|(name, _)| name == OTHER)
        .map(|at| fields.remove(at));
    let kept = fields.len().min(RECORD_FIELDS_MAX - 1);
    let mut rest = String::new();
    for (name, value) in own.into_iter().chain(fields.drain(kept..)) {
        push_member(&mut rest, &name, &value);
    }
    if !rest.is_empty() && !folded.is_empty() {
        rest.push(',');
    }
    let other = (OTHER.to_owned(), Value::json(format!("{{{rest}{folded}}}")));
    let place = fields.partition_point(|(name, _)| name.as_str() < OTHER);
    fields.insert(place, other);
}
