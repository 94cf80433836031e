//! Hands records of a request over one by one, each under its place in the request.

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Each, Rejected, TOO_LARGE};

/// The way of a request's records to the gateway.
pub(in crate::api) struct Hand<'a> {
    index: usize,
    each: Each<'a>,
}

impl<'a> Hand<'a> {
    /// Before the first record.
    pub(in crate::api) fn new(each: Each<'a>) -> Self {
        Self { index: 0, each }
    }

    /// The next record; one over the limit is rejected alone.
    pub(in crate::api) fn over(&mut self, raw: RawRecord) {
        if raw.is_oversize() {
            self.reject();
        } else {
            (self.each)(Ok(raw));
            self.index += 1;
        }
    }

    /// The next record was not decoded, since it is over the limit.
    pub(in crate::api) fn reject(&mut self) {
        (self.each)(Err(Rejected {
            index: self.index,
            reason: TOO_LARGE,
        }));
        self.index += 1;
    }
}
