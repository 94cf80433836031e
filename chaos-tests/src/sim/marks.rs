//! C9: what is planted in simulated records and may lie nowhere, and how it is found in what lies on a disk.
//!
//! Compression hides text from a search through raw bytes, so blocks are decoded.

use bytes::Bytes;
use hushlog_record::Record;
use hushlog_record::block::{Block, MAGIC};
use memchr::memmem;

/// Part of every planted address that no mask may leave.
pub(super) const CANARY: &str = "zqcanary";

/// Whether an address lies open in these bytes.
pub(super) fn in_bytes(bytes: &[u8]) -> bool {
    memmem::find(bytes, CANARY.as_bytes()).is_some()
}

/// Whether an address lies in a row of a store: open, or in a block once it is decoded.
pub(super) fn in_row(value: &Bytes) -> bool {
    if in_bytes(value) {
        return true;
    }
    // The magic may also be in other values by chance; those do not parse.
    let blocks = memmem::find_iter(value, &MAGIC)
        .filter_map(|at| Block::parse(value.slice(at..)).ok()?.columns().ok());
    blocks
        .flat_map(|columns| columns.records())
        .any(|record| in_record(&record))
}

fn in_record(record: &Record) -> bool {
    let fields = record.fields.iter();
    let fields = fields.flat_map(|(name, value)| [name, &value.text]);
    let exception = record.exception.iter();
    let exception = exception.flat_map(|e| [&e.type_name, &e.message, &e.stack_trace]);
    std::iter::once(&record.message)
        .chain(fields)
        .chain(exception)
        .any(|text| text.contains(CANARY))
}

#[cfg(test)]
mod tests {
    use hushlog_record::{LogId, ShardId, Timestamp};

    use super::*;

    /// A block whose one record has this last word, and half of an address before: compressed, an address is
    /// there in two parts.
    fn block(word: &str) -> Bytes {
        let at = Timestamp::from_millis(1);
        let text = format!(
            "sent by zqcan, {}sent by {word}",
            "and all of it again, ".repeat(40)
        );
        let record = Record::new(LogId::v7(at, [1; 10]), at, text);
        let shard = ShardId { bucket: 1, slot: 0 };
        let masked = hushlog_pii::Masker::new(
            hushlog_pii::Policy::default(),
            hushlog_pii::Key::new([7; 32]),
        )
        .mask(record);
        let sealed = Block::seal(shard, 1, at, Vec::new(), &[masked]);
        // As in the log: something of its own before it.
        let mut row = b"head".to_vec();
        row.extend_from_slice(sealed.bytes());
        row.into()
    }

    #[test]
    fn an_address_is_seen_in_raw_bytes_and_inside_of_a_block() {
        assert!(in_row(&Bytes::from_static(b"1 zqcanary2 3")));
        let hidden = block(&format!("{CANARY}7"));
        assert!(!in_bytes(&hidden), "it is compressed");
        assert!(in_row(&hidden));
        assert!(!in_row(&block("nothing")));
    }
}
