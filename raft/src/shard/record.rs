//! A shard's snapshot as stored and as sent: everything a replica needs but the segments themselves.
//!
//! ```text
//! version u8 = 2
//! last log id          flag, term u64, index u64
//! membership           length u32, bytes (own version and CRC32)
//! segmented_to u64, closed u8, inherited u8
//! request keys         latest admission i64, count u32, entries of 68 bytes; of 60, without
//!                      contents, in version 1
//! manifest             length u32, bytes as the node encoded them
//! CRC32 u32
//! ```

use bytes::Bytes;

use super::{Form, Table};
use crate::codec::{
    Decoder, Encoder, Error, decode_stored_membership, encode_stored_membership, put_log_id,
    slice_of, take_log_id,
};
use crate::types::{LogId, SnapshotMeta, StoredMembership};

const VERSION: u8 = 2;
const VERSION_WITHOUT_CONTENTS: u8 = 1;
const WHAT: &str = "shard snapshot";

/// A shard as of one log id.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) segmented_to: u64,
    pub(crate) closed: bool,
    pub(crate) inherited: bool,
    pub(crate) table: Table,
    pub(crate) manifest: Bytes,
}

impl Record {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Encoder::versioned(VERSION);
        put_log_id(&mut out, self.last.as_ref());
        out.bytes(&encode_stored_membership(&self.membership));
        out.u64(self.segmented_to)
            .u8(u8::from(self.closed))
            .u8(u8::from(self.inherited));
        self.table.encode(&mut out);
        out.bytes(&self.manifest);
        out.finish_with_crc().into()
    }

    pub(crate) fn decode(stored: &Bytes) -> Result<Self, Error> {
        let (mut input, form) = match stored.first() {
            Some(&VERSION_WITHOUT_CONTENTS) => (
                Decoder::checked(WHAT, VERSION_WITHOUT_CONTENTS, stored)?,
                Form::V1,
            ),
            _ => (Decoder::checked(WHAT, VERSION, stored)?, Form::V2),
        };
        let record = Self {
            last: take_log_id(&mut input)?,
            membership: decode_stored_membership(input.bytes()?)?,
            segmented_to: input.u64()?,
            closed: input.flag()?,
            inherited: input.flag()?,
            table: Table::decode(&mut input, form)?,
            manifest: slice_of(stored, input.bytes()?),
        };
        input.end()?;
        Ok(record)
    }
}
