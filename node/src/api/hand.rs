//! Hands records of a request over one by one, each under its place in the request.
//!
//! What many records share (labels of a stream, a resource) is copied into each of them, so a small body
//! may stand for much memory: room is asked for before a copy is made, and without room nothing more is
//! decoded.

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Rejected, TOO_LARGE};
use hushlog_record::limits::RECORD_BYTES_MAX;

use crate::error::Failure;
use crate::gateway::Room;

/// The way of a request's records to the gateway.
pub(in crate::api) struct Hand<'a, 'r> {
    index: usize,
    room: &'a mut Room<'r>,
    each: Each<'a>,
}

impl<'a, 'r> Hand<'a, 'r> {
    /// Before the first record.
    pub(in crate::api) fn new(room: &'a mut Room<'r>, each: Each<'a>) -> Self {
        Self {
            index: 0,
            room,
            each,
        }
    }

    /// The next record, which has at least so many bytes of text; it is made if there is room for it.
    /// One over the limit is rejected alone.
    ///
    /// # Errors
    /// When there is no room: the request is refused.
    pub(in crate::api) fn over(
        &mut self,
        text_bytes: usize,
        make: impl FnOnce() -> RawRecord,
    ) -> Result<(), Failure> {
        if text_bytes > RECORD_BYTES_MAX {
            self.reject();
            return Ok(());
        }
        self.room.ask(text_bytes)?;
        let raw = make();
        if raw.is_oversize() {
            self.reject();
        } else {
            (self.each)(Ok(raw));
            self.index += 1;
        }
        Ok(())
    }

    /// The next record was not decoded, since it is over the limit.
    pub(in crate::api) fn reject(&mut self) {
        (self.each)(Err(Rejected {
            index: self.index,
            reason: TOO_LARGE,
        }));
        self.index += 1;
    }

    /// Notes a piece of what the client sent, if that is compared with what it sent before.
    pub(in crate::api) fn sent<T: AsRef<[u8]>>(&mut self, piece: impl FnOnce() -> T) {
        if self.room.is_compared() {
            self.room.sent(piece().as_ref());
        }
    }
}
