//! What a keyed request says, as a number: the same key with other content is noticed by it.
//!
//! It covers what the client sent, in the order of the request, before masking and whatever the time of
//! receipt: a retry gives the same. It is made with a key of the cluster, so that nobody who sees it
//! can try out what personal data was in it.

use hushlog_record::{Record, Timestamp};

/// Context of the key that is derived from the cluster's.
const CONTEXT: &str = "hushlog content of a keyed request";

/// The key for contents, from the cluster's key.
pub fn content_key(cluster_key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(CONTEXT, cluster_key)
}

/// The digest of one request.
pub(super) struct Content(blake3::Hasher);

impl Content {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(blake3::Hasher::new_keyed(key))
    }

    /// Adds a record with its final id. One without a time of its own has that of receipt, which a retry
    /// does not share.
    pub(super) fn add(&mut self, record: &Record, received: Timestamp) {
        let time = Some(record.timestamp).filter(|time| *time != received);
        self.0.update(&record.log_id.0);
        self.number(time.map_or(i64::MIN, Timestamp::nanos));
        self.0.update(&[record.level as u8]);
        let exception = record.exception.as_ref();
        let texts = [
            &record.service_name,
            &record.message,
            &record.host,
            &record.environment,
            &record.region,
            &record.trace_id,
            &record.span_id,
        ];
        for text in texts {
            self.text(text);
        }
        self.0.update(&[u8::from(exception.is_some())]);
        if let Some(exception) = exception {
            self.text(&exception.type_name);
            self.text(&exception.message);
            self.text(&exception.stack_trace);
        }
        self.number(i64::try_from(record.fields.len()).unwrap_or(i64::MAX));
        for (name, value) in &record.fields {
            self.text(name);
            self.0.update(&[value.kind as u8]);
            self.text(&value.text);
        }
    }

    /// The digest; never 0, which stands for none.
    pub(super) fn finish(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.finalize_xof().fill(&mut bytes);
        u64::from_be_bytes(bytes).max(1)
    }

    fn text(&mut self, text: &str) {
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.update(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hushlog_record::{Exception, Level, LogId, Value};

    use super::*;

    fn digest(records: &[Record], received: i64) -> u64 {
        let mut content = Content::new(&content_key(&[7; 32]));
        for record in records {
            content.add(record, Timestamp::from_nanos(received));
        }
        content.finish()
    }

    fn record() -> Record {
        let mut record = Record::new(LogId([1; 16]), Timestamp::from_nanos(5), "m");
        record.fields = vec![
            ("a".into(), Value::string("1")),
            ("b".into(), Value::string("2")),
        ];
        record
    }

    #[test]
    fn every_part_of_a_record_counts_and_the_time_of_receipt_does_not() {
        let same = digest(&[record()], 9);
        assert_eq!(digest(&[record()], 8), same);
        let changes: [fn(&mut Record); 10] = [
            |record| record.message.push('x'),
            |record| record.log_id = LogId([2; 16]),
            |record| record.timestamp = Timestamp::from_nanos(6),
            |record| record.level = Level::Fatal,
            |record| record.service_name.push('x'),
            |record| record.host.push('x'),
            |record| record.environment.push('x'),
            |record| record.fields[0].1 = Value::number("1".to_owned()),
            |record| {
                record.fields[0].0.push('1');
                record.fields[0].1.text.clear();
            },
            |record| {
                record.exception = Some(Exception {
                    type_name: String::new(),
                    message: String::new(),
                    stack_trace: String::new(),
                });
            },
        ];
        let mut seen = BTreeSet::from([same]);
        for (number, change) in changes.iter().enumerate() {
            let mut changed = record();
            change(&mut changed);
            assert!(seen.insert(digest(&[changed], 9)), "change {number}");
        }
        assert_ne!(digest(&[record(), record()], 9), same);
        let at_receipt = |time| {
            let mut record = record();
            record.timestamp = Timestamp::from_nanos(time);
            digest(&[record], time)
        };
        assert_eq!(at_receipt(100), at_receipt(200));
    }
}
