//! A shard's snapshot: everything a replica needs but the segments themselves.
//!
//! As sent, and as stored by earlier builds:
//!
//! ```text
//! version u8 = 4
//! last log id          flag, term u64, index u64
//! membership           length u32, bytes (own version and CRC32)
//! segmented_to u64, closed u8, inherited u8
//! policy epoch u64     the lowest that the shard takes; not in versions 1 to 3, which take all
//! request keys         latest admission i64, count u32, entries of 76 bytes; of 68, without
//!                      policies, in version 2; of 60, without contents too, in version 1
//! manifest             length u32, bytes as the node encoded them
//! CRC32 u32
//! ```
//!
//! As stored: version 6 (5 without ids of records, 3 before there was a policy epoch too), and instead of the
//! request keys which of the chunks' keys are remembered (`super::keys`): latest admission i64, ordinals of
//! request keys from u64, to u64, of ids of records from u64, to u64.

use bytes::Bytes;
use hushlog_record::Timestamp;

use super::keys::{Span, Window};
use super::kind::PerKind;
use super::{Form, Table};
use crate::codec::{
    Decoder, Encoder, Error, decode_stored_membership, encode_stored_membership, put_log_id,
    slice_of, take_log_id,
};
use crate::types::{LogId, SnapshotMeta, StoredMembership};

const VERSION_SENT_WITHOUT_CONTENTS: u8 = 1;
const VERSION_SENT_WITHOUT_POLICY: u8 = 2;
const VERSION_STORED_WITHOUT_POLICY: u8 = 3;
const VERSION_SENT: u8 = 4;
const VERSION_STORED_WITHOUT_RECORD_KEYS: u8 = 5;
const VERSION_STORED: u8 = 6;
const WHAT: &str = "shard snapshot";

/// A shard as of one log id.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) segmented_to: u64,
    pub(crate) closed: bool,
    pub(crate) inherited: bool,
    /// The lowest policy epoch that the shard takes.
    pub(crate) policy_epoch: u64,
    pub(crate) keys: Window,
    pub(crate) manifest: Bytes,
}

impl Record {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
        }
    }

    /// For the store, beside the chunks of its keys.
    pub(crate) fn encode_stored(&self) -> Bytes {
        let mut out = self.head(VERSION_STORED);
        out.i64(self.keys.now.nanos());
        for span in [self.keys.spans.requests, self.keys.spans.records] {
            out.u64(span.from).u64(span.to);
        }
        out.bytes(&self.manifest);
        out.finish_with_crc().into()
    }

    /// For another replica, with the keys of its window.
    pub(crate) fn encode_sent(&self, table: &Table) -> Bytes {
        let mut out = self.head(VERSION_SENT);
        table.encode(&mut out);
        out.bytes(&self.manifest);
        out.finish_with_crc().into()
    }

    fn head(&self, version: u8) -> Encoder {
        let mut out = Encoder::versioned(version);
        put_log_id(&mut out, self.last.as_ref());
        out.bytes(&encode_stored_membership(&self.membership));
        out.u64(self.segmented_to)
            .u8(u8::from(self.closed))
            .u8(u8::from(self.inherited))
            .u64(self.policy_epoch);
        out
    }

    /// What another replica has sent, or an earlier build has stored: with its keys, whose ordinals
    /// begin at 0 here. What this build has stored is without.
    pub(crate) fn decode(bytes: &Bytes) -> Result<(Self, Option<Table>), Error> {
        let mut input = Decoder::whole(WHAT, bytes)?;
        let version = input.version_up_to(VERSION_STORED)?;
        let last = take_log_id(&mut input)?;
        let membership = decode_stored_membership(input.bytes()?)?;
        let segmented_to = input.u64()?;
        let (closed, inherited) = (input.flag()?, input.flag()?);
        let policy_epoch = if version > VERSION_STORED_WITHOUT_POLICY {
            input.u64()?
        } else {
            0
        };
        let form = match version {
            VERSION_SENT_WITHOUT_CONTENTS => Some(Form::V1),
            VERSION_SENT_WITHOUT_POLICY => Some(Form::V2),
            VERSION_SENT => Some(Form::V3),
            _ => None,
        };
        let table = form
            .map(|form| Table::decode(&mut input, form))
            .transpose()?;
        let keys = match &table {
            Some(table) => Window::of_table(table),
            None => take_window(&mut input, version)?,
        };
        let record = Self {
            last,
            membership,
            segmented_to,
            closed,
            inherited,
            policy_epoch,
            keys,
            manifest: slice_of(bytes, input.bytes()?),
        };
        input.end()?;
        Ok((record, table))
    }
}

fn take_window(input: &mut Decoder<'_>, version: u8) -> Result<Window, Error> {
    let now = Timestamp::from_nanos(input.i64()?);
    let requests = take_span(input)?;
    let records = if version > VERSION_STORED_WITHOUT_RECORD_KEYS {
        take_span(input)?
    } else {
        Span::default()
    };
    Ok(Window {
        now,
        spans: PerKind { requests, records },
    })
}

fn take_span(input: &mut Decoder<'_>) -> Result<Span, Error> {
    let span = Span {
        from: input.u64()?,
        to: input.u64()?,
    };
    if span.from > span.to {
        return Err(input.invalid("keys end before they begin"));
    }
    Ok(span)
}
