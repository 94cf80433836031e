//! Memory for the rows of one request: asked for before they are made.
//!
//! Rows cost far more than their text: a body of three bytes a record would otherwise take a hundred
//! times its size.

use hushlog_record::Record;

use super::{Admission, Permit, full};
use crate::error::{Failure, Kind};
use crate::limits::{FIELD_MEMORY_BYTES, RECORD_MEMORY_BYTES};

/// Room for rows. Once refused it only counts, so that a request is told whether it could ever fit.
pub(super) struct Charge<'a> {
    admission: &'a Admission,
    permit: Permit,
    bytes: usize,
    refused: bool,
}

impl<'a> Charge<'a> {
    pub(super) fn new(admission: &'a Admission) -> Self {
        Self {
            admission,
            permit: admission.none(),
            bytes: 0,
            refused: false,
        }
    }

    /// Asks for room for so many bytes more.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if !self.refused {
            self.refused = self.admission.grow(&mut self.permit, self.bytes).is_err();
        }
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
        if self
            .admission
            .could_hold(self.bytes.saturating_add(body_bytes))
        {
            return Err(full());
        }
        Err(Failure::new(
            Kind::TooLarge,
            "the records need more memory than the node has for requests; send them in smaller parts",
        ))
    }
}

/// Memory of a record with so many fields and bytes of text.
pub(super) fn memory(fields: usize, text_bytes: usize) -> usize {
    RECORD_MEMORY_BYTES + fields * FIELD_MEMORY_BYTES + text_bytes
}

/// Memory of a record.
pub(super) fn memory_of(record: &Record) -> usize {
    memory(record.fields.len(), record.text_bytes())
}
