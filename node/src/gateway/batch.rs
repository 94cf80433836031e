//! What a request brings to the gateway, and what it gets back.

use std::collections::BTreeMap;
use std::fmt;

use hushlog_ingest::json::{Each, Rejected, Shape};
use hushlog_record::{LogId, ShardId, Timestamp};

use super::{Admission, Permit};
use crate::error::{Failure, Kind};

/// The identity of a request that may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who sends, as a hash.
    pub producer: u128,
    /// Which of its requests.
    pub sequence: u64,
}

impl Key {
    /// The key of an `Idempotency-Key` header.
    pub fn of_header(text: &str) -> Self {
        Self {
            producer: hash("hushlog idempotency key", text),
            sequence: 0,
        }
    }

    /// The key of a producer's numbered request.
    pub fn of_producer(producer: &str, sequence: u64) -> Self {
        Self {
            producer: hash("hushlog producer", producer),
            sequence,
        }
    }
}

impl Key {
    /// The id of the record at this place of the request, of this time if it told one.
    ///
    /// It depends on the request alone, so that a retry names the record that was stored. The time
    /// of receipt cannot be in it: a retry has another.
    pub(super) fn log_id(self, place: u64, service: &str, time: Option<Timestamp>) -> LogId {
        let mut hasher = blake3::Hasher::new_derive_key("hushlog record of a keyed request");
        hasher.update(&self.producer.to_be_bytes());
        hasher.update(&self.sequence.to_be_bytes());
        hasher.update(&place.to_be_bytes());
        hasher.update(service.as_bytes());
        let mut bytes = [0u8; 10];
        hasher.finalize_xof().fill(&mut bytes);
        LogId::v7(time.unwrap_or_default(), bytes)
    }
}

/// A header and a producer of the same name are not the same sender.
fn hash(context: &str, text: &str) -> u128 {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(text.as_bytes());
    let mut bytes = [0u8; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// Room in memory that a source may have to enlarge once it knows how much it needs.
pub struct Room<'a> {
    pub(super) admission: &'a Admission,
    pub(super) permit: &'a mut Permit,
}

impl<'a> Room<'a> {
    /// The room of this permit.
    pub fn new(admission: &'a Admission, permit: &'a mut Permit) -> Self {
        Self { admission, permit }
    }

    /// Makes it room for this many bytes in all.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        self.admission.grow(self.permit, bytes).map_err(|_| full())
    }

    /// Makes it room for so many bytes more.
    pub fn add(&mut self, bytes: usize) -> Result<(), Failure> {
        self.grow(self.permit.bytes().saturating_add(bytes))
    }
}

/// The refusal of a request for which there is no room.
pub fn full() -> Failure {
    let message = "the node's memory for requests is in use; try again in a moment";
    Failure::new(Kind::Overloaded, message)
}

/// Decodes a request's body and hands over its records; runs on a CPU thread.
pub type Source = Box<dyn FnOnce(&mut Room<'_>, Each<'_>) -> Result<Shape, Failure> + Send>;

/// A request.
pub struct Batch {
    /// Its records.
    pub source: Source,
    /// Service of records that name none; empty when there is none.
    pub service: String,
    /// Environment of records that name none; empty when there is none.
    pub environment: String,
    /// Its identity, if it may be sent again.
    pub key: Option<Key>,
}

/// What became of an acknowledged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What the body was.
    pub shape: Shape,
    /// Records stored.
    pub accepted: usize,
    /// Records refused, each for itself.
    pub rejected: usize,
    /// The first of them.
    pub rejections: Vec<Rejected>,
    /// Records in which each detector fired.
    pub pii: BTreeMap<String, u64>,
    /// Id of the first record that was stored.
    pub first: Option<LogId>,
    /// Where they are.
    pub receipts: Vec<Receipt>,
}

/// Where a part of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The shard.
    pub shard: ShardId,
    /// The position in it.
    pub seq: u64,
    /// Replicas that had it synced when the leader acknowledged.
    pub copies: u32,
    /// Version of the patterns under which it was masked.
    pub policy_epoch: u64,
}

/// Prints no records.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable_and_kinds_of_sender_apart() {
        assert_eq!(Key::of_header("a"), Key::of_header("a"));
        assert_ne!(Key::of_header("a"), Key::of_header("b"));
        assert_ne!(
            Key::of_header("a").producer,
            Key::of_producer("a", 0).producer
        );
    }
}
