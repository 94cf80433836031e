//! A request's memory while it is read: for its body, and for the rows that are made of it.
//!
//! It is asked for before anything is made of the body; a source that is refused ends at once.

use std::cell::RefCell;

use super::charge::{Charge, memory};
use super::content::Content;
use super::{Admission, Full, Permit};
use crate::error::{Failure, Kind};

/// Room in memory that a source may have to enlarge once it knows how much it needs.
pub struct Room<'a> {
    admission: &'a Admission,
    permit: &'a mut Permit,
    /// Shared with the stages that make the rows.
    rows: &'a RefCell<Charge>,
    /// What the client sent, if the request may be sent again.
    content: Option<Content>,
}

impl<'a> Room<'a> {
    /// The room of a request that was read into `permit`.
    pub(super) fn new(
        admission: &'a Admission,
        permit: &'a mut Permit,
        rows: &'a RefCell<Charge>,
        content: Option<Content>,
    ) -> Self {
        Self {
            admission,
            permit,
            rows,
            content,
        }
    }

    /// Bytes that it has for the body.
    pub fn bytes(&self) -> usize {
        self.permit.bytes()
    }

    /// Makes it room for this many bytes of the body in all.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        self.admission
            .grow(self.permit, bytes)
            .map_err(|Full| full())
    }

    /// Gives back what the body turned out not to need: it needs so many bytes in all.
    pub fn settle(&mut self, bytes: usize) {
        self.permit.shrink(bytes);
    }

    /// Asks for room for one more record, of so many bytes of text at least, before it is made. Whoever
    /// is refused makes no more of them: none will be stored.
    pub fn ask(&mut self, text_bytes: usize) -> Result<(), Failure> {
        let asked = self.rows.borrow_mut().ask(memory(0, text_bytes));
        asked.map_err(|Full| full())
    }

    /// Whether [`sent`](Self::sent) is of use.
    pub const fn is_compared(&self) -> bool {
        self.content.is_some()
    }

    /// Notes a piece of what the client sent, in a form that a retry repeats. A key that comes again
    /// with other pieces is refused.
    pub fn sent(&mut self, piece: &[u8]) {
        if let Some(content) = &mut self.content {
            content.add(piece);
        }
    }

    /// Digest of what was sent; 0 when nobody compares it.
    pub(super) fn digest(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::finish)
    }
}

/// The refusal of a request for which there is no room.
pub fn full() -> Failure {
    let message = "the node's memory for requests is in use; try again in a moment";
    Failure::new(Kind::Overloaded, message)
}

impl Room<'_> {
    /// Lends room of this admission to a source that makes no request.
    pub(crate) fn lend<T>(admission: &Admission, work: impl FnOnce(&mut Room<'_>) -> T) -> T {
        let mut permit = admission.none();
        let rows = RefCell::new(Charge::new(admission));
        work(&mut Room::new(admission, &mut permit, &rows, None))
    }
}
