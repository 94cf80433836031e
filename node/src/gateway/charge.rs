//! Memory for the rows of one request: asked for before they are made.
//!
//! Rows cost far more than their text: a body of three bytes a record would otherwise take a hundred
//! times its size.

use hushlog_record::Record;

use super::{Admission, Full, Permit, full};
use crate::error::{Failure, Kind};
use crate::limits::{FIELD_MEMORY_BYTES, RECORD_MEMORY_BYTES};

/// Room for rows. Once refused it only counts, so that a request is told whether it could ever fit.
pub(super) struct Charge {
    admission: Admission,
    permit: Permit,
    bytes: usize,
    /// Bytes of them that were asked for records which are not among the rows yet.
    ahead: usize,
    refused: bool,
}

impl Charge {
    pub(super) fn new(admission: &Admission) -> Self {
        Self {
            admission: admission.clone(),
            permit: admission.none(),
            bytes: 0,
            ahead: 0,
            refused: false,
        }
    }

    /// Asks for room for a record before it is made. What is asked for a record that is then rejected
    /// is not given back before the request ends: making it had its price.
    pub(super) fn ask(&mut self, bytes: usize) -> Result<(), Full> {
        self.add(bytes);
        self.ahead = self.ahead.saturating_add(bytes);
        if self.refused { Err(Full) } else { Ok(()) }
    }

    /// Asks for room for records that are made, as far as it was not asked for before.
    pub(super) fn add_rows(&mut self, bytes: usize) {
        let ahead = std::mem::take(&mut self.ahead);
        self.add(bytes.saturating_sub(ahead));
    }

    /// Asks for room for so many bytes more.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if !self.refused {
            self.refused = self.admission.grow(&mut self.permit, self.bytes).is_err();
        }
    }

    /// Takes no more: the request is refused for another reason.
    pub(super) fn stop(&mut self) {
        self.refused = true;
    }

    /// Whether room was refused: the request will not be stored.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The room, or the refusal of a request whose body takes so many bytes beside it.
    pub(super) fn settle(self, body_bytes: usize) -> Result<Permit, Failure> {
        if !self.refused {
            return Ok(self.permit);
        }
        Err(refusal(
            &self.admission,
            self.bytes.saturating_add(body_bytes),
        ))
    }
}

/// What a request is told for which there is no room: to try again, or that it can never be taken since
/// it needs at least so many bytes.
pub fn refusal(admission: &Admission, bytes: usize) -> Failure {
    if admission.could_hold(bytes) {
        return full();
    }
    Failure::new(
        Kind::TooLarge,
        "the records need more memory than the node has for requests; send them in smaller parts",
    )
}

/// Memory of a record with so many fields and bytes of text.
pub(super) fn memory(fields: usize, text_bytes: usize) -> usize {
    RECORD_MEMORY_BYTES + fields * FIELD_MEMORY_BYTES + text_bytes
}

/// Memory of a record.
pub(super) fn memory_of(record: &Record) -> usize {
    memory(record.fields.len(), record.text_bytes())
}
