//! Log entries: a head with its own CRC32, then, for data, the block exactly as the gateway sealed it.
//!
//! ```text
//! 0   1  version = 1
//! 1   1  kind: 0 blank, 1 membership, 2 command
//! 2   8  term
//! 10  8  index
//! 18  4  length of the body
//! 22  n  body: a membership, or the head of a command
//! ..  4  CRC32 of everything above
//! ..     the block of a data command, under its own CRC32; its length is in the body
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::membership::{put_membership, take_membership};
use super::{Decoder, Encoder, Error};
use crate::command::Command;
use crate::types::{Entry, Payload, log_id};

const VERSION: u8 = 1;
const WHAT: &str = "log entry";
const KIND_BLANK: u8 = 0;
const KIND_MEMBERSHIP: u8 = 1;
const KIND_COMMAND: u8 = 2;
const FIXED_BYTES: usize = 22;
const CRC_BYTES: usize = 4;

fn block_of(entry: &Entry) -> Bytes {
    match &entry.payload {
        Payload::Normal(command) => command.block_bytes(),
        Payload::Blank | Payload::Membership(_) => Bytes::new(),
    }
}

/// About how many bytes the entry takes in memory and on disk.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    let body = match &entry.payload {
        Payload::Blank => 0,
        Payload::Normal(command) => command.bytes(),
        Payload::Membership(membership) => 64 * membership.nodes().count(),
    };
    FIXED_BYTES + CRC_BYTES + body
}

/// The head; the block follows unchanged.
pub(crate) fn encode_entry_head(entry: &Entry) -> (Bytes, Bytes) {
    let mut body = Encoder::default();
    let kind = match &entry.payload {
        Payload::Blank => KIND_BLANK,
        Payload::Membership(membership) => {
            put_membership(&mut body, membership);
            KIND_MEMBERSHIP
        }
        Payload::Normal(command) => {
            command.encode_head(&mut body);
            KIND_COMMAND
        }
    };
    let mut head = Encoder::versioned(VERSION);
    head.u8(kind)
        .u64(*entry.log_id.leader_id)
        .u64(entry.log_id.index)
        .bytes(&body.finish());
    (head.finish_with_crc().into(), block_of(entry))
}

/// The stored form: head and block in one piece.
pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    let (head, block) = encode_entry_head(entry);
    if block.is_empty() {
        return head;
    }
    let mut stored = BytesMut::with_capacity(head.len() + block.len());
    stored.put_slice(&head);
    stored.put_slice(&block);
    stored.freeze()
}

/// Whether a stored entry says that it changes the members.
pub(crate) fn is_membership(stored: &[u8]) -> bool {
    stored.get(1) == Some(&KIND_MEMBERSHIP)
}

/// Reads the stored form; every byte of it is under a checksum.
pub(crate) fn decode_entry(stored: &Bytes) -> Result<Entry, Error> {
    let (fixed, _) = stored
        .split_at_checked(FIXED_BYTES)
        .ok_or(Error::Short(WHAT))?;
    let mut input = Decoder::new(WHAT, fixed);
    input.version(VERSION)?;
    input.raw(FIXED_BYTES - 5)?;
    let body_bytes = input.u32()? as usize;
    let head_bytes = FIXED_BYTES
        .saturating_add(body_bytes)
        .saturating_add(CRC_BYTES);
    if head_bytes > stored.len() {
        return Err(Error::Short(WHAT));
    }
    decode_entry_parts(&stored.slice(..head_bytes), stored.slice(head_bytes..))
}

/// Reads head and block that came apart.
pub(crate) fn decode_entry_parts(head: &Bytes, block: Bytes) -> Result<Entry, Error> {
    let mut input = Decoder::checked(WHAT, VERSION, head)?;
    let kind = input.u8()?;
    let id = log_id(input.u64()?, input.u64()?);
    let body = input.bytes()?;
    input.end()?;
    let mut body = Decoder::new(WHAT, body);
    let payload = match kind {
        KIND_BLANK => Payload::Blank,
        KIND_MEMBERSHIP => Payload::Membership(take_membership(&mut body)?),
        KIND_COMMAND => Payload::Normal(Command::decode_head(&mut body, &block)?),
        other => return Err(Error::Invalid(WHAT, format!("kind {other}"))),
    };
    body.end()?;
    let expected = match &payload {
        Payload::Normal(command) => command.block_bytes().len(),
        Payload::Blank | Payload::Membership(_) => 0,
    };
    if block.len() > expected {
        return Err(Error::Long(WHAT, block.len() - expected));
    }
    Ok(Entry {
        log_id: id,
        payload,
    })
}
