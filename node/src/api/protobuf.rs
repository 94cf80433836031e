//! Protobuf messages piece by piece: those that hold many others are never decoded whole.
//!
//! An empty record takes two bytes on the wire and hundreds in memory; whoever goes through the
//! pieces has one of them decoded at a time.

use prost::Message;

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// One field of a message.
struct Field<'a> {
    number: u64,
    /// Its bytes, if it is of a kind that has any.
    payload: Option<&'a [u8]>,
    /// All of it, with number and length.
    whole: &'a [u8],
}

/// The bytes of every field of this number, in order. Ends after the first mistake.
pub(super) fn parts(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(message).filter_map(move |field| match field {
        Ok(field) if field.number != number => None,
        Ok(field) => Some(field.payload.ok_or(Malformed)),
        Err(Malformed) => Some(Err(Malformed)),
    })
}

/// The message without the fields of this number; `None` if what is left is longer than `bytes_max`.
pub(super) fn without<M: Message + Default>(
    message: &[u8],
    number: u64,
    bytes_max: usize,
) -> Result<Option<M>, Malformed> {
    let mut rest = Vec::new();
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            continue;
        }
        if rest.len() + field.whole.len() > bytes_max {
            return Ok(None);
        }
        rest.extend_from_slice(field.whole);
    }
    M::decode(&*rest).map(Some).map_err(|_| Malformed)
}

fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest).ok_or(Malformed);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let start = *rest;
    let key = varint(rest)?;
    let payload = match key & 7 {
        VARINT => varint(rest).map(|_| None)?,
        FIXED64 => take(rest, 8).map(|_| None)?,
        FIXED32 => take(rest, 4).map(|_| None)?,
        BYTES => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Some(take(rest, len)?)
        }
        _ => return None,
    };
    let whole = start.get(..start.len() - rest.len())?;
    Some(Field {
        number: key >> 3,
        payload,
        whole,
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use hushlog_proto::hushlog::v1::{LogRecord, PushRequest};

    use super::*;

    const RECORDS: u64 = 5;

    #[test]
    fn the_pieces_are_those_of_the_whole() {
        let record = |message: &str| LogRecord {
            message: message.into(),
            timestamp_unix_nano: -1,
            ..LogRecord::default()
        };
        let whole = PushRequest {
            producer_id: "p".into(),
            sequence: u64::MAX,
            records: vec![record("one"), LogRecord::default(), record("two")],
            receipt: true,
            ..PushRequest::default()
        };
        let bytes = whole.encode_to_vec();
        let records: Vec<_> = parts(&bytes, RECORDS)
            .map(|part| LogRecord::decode(part.expect("a part")).expect("a record"))
            .collect();
        assert_eq!(records, whole.records);
        let rest: PushRequest = without(&bytes, RECORDS, 100).expect("read").expect("small");
        let records = Vec::new();
        assert_eq!(rest, PushRequest { records, ..whole });
        assert_eq!(without::<PushRequest>(&bytes, RECORDS, 3), Ok(None));
    }

    #[test]
    fn damage_is_found_and_never_panics() {
        let bytes = PushRequest {
            producer_id: "p".into(),
            records: vec![LogRecord::default(); 3],
            ..PushRequest::default()
        }
        .encode_to_vec();
        for end in 0..bytes.len() {
            for flip in 0..=255 {
                let mut damaged = bytes[..end].to_vec();
                damaged.push(flip);
                let _ = parts(&damaged, RECORDS).count();
                let _ = without::<PushRequest>(&damaged, RECORDS, 100);
            }
        }
        for bad in [&[0x2a][..], &[0x2a, 5, 0], &[0x2b], &[0xff; 11], &[0x28, 1]] {
            assert!(parts(bad, RECORDS).any(|part| part.is_err()), "{bad:?}");
        }
    }
}
