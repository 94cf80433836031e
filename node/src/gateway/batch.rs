//! What a request brings to the gateway, and what it gets back.

use std::collections::BTreeMap;
use std::fmt;

use hushlog_ingest::json::{Each, Rejected, Shape};
use hushlog_record::{LogId, ShardId, Timestamp};

use super::{Room, Way};
use crate::error::Failure;

/// The identity of a request that may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who sends, as a hash.
    pub producer: u128,
    /// Which of its requests.
    pub sequence: u64,
}

/// Context of the key that is derived from the cluster's.
const CONTEXT: &str = "hushlog identity of a keyed request";

/// The key for identities of requests, from the cluster's key: the same on all of its nodes.
pub fn request_key(cluster_key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(CONTEXT, cluster_key)
}

impl Key {
    /// The key of an `Idempotency-Key` header, under [`request_key`].
    pub fn of_header(request_key: &[u8; 32], text: &str) -> Self {
        Self {
            producer: hash(request_key, HEADER, text),
            sequence: 0,
        }
    }

    /// The key of a producer's numbered request, under [`request_key`].
    pub fn of_producer(request_key: &[u8; 32], producer: &str, sequence: u64) -> Self {
        Self {
            producer: hash(request_key, PRODUCER, producer),
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
const HEADER: u8 = 1;
const PRODUCER: u8 = 2;

/// Blocks keep it, and what senders call themselves may be personal data that can be guessed: without
/// the cluster's key nobody can try names out.
fn hash(request_key: &[u8; 32], kind: u8, text: &str) -> u128 {
    let mut hasher = blake3::Hasher::new_keyed(request_key);
    hasher.update(&[kind]);
    hasher.update(text.as_bytes());
    let mut bytes = [0u8; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// Decodes a request's body and hands over its records; runs on a CPU thread.
pub type Source = Box<dyn FnOnce(&mut Room<'_>, Each<'_>) -> Result<Shape, Failure> + Send>;

/// A request.
pub struct Batch {
    /// By which protocol it came.
    pub way: Way,
    /// Its records.
    pub source: Source,
    /// Service of records that name none; empty when there is none.
    pub service: String,
    /// Environment of records that name none; empty when there is none.
    pub environment: String,
    /// Its identity, if it may be sent again.
    pub key: Option<Key>,
    /// Bytes of its body, where the permit that it comes with is not for them.
    pub bytes: usize,
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
    /// How many of them for each reason.
    pub rejected_by: BTreeMap<&'static str, u64>,
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
        let secret = request_key(&[7; 32]);
        let header = |text| Key::of_header(&secret, text);
        assert_eq!(header("a"), header("a"));
        assert_ne!(header("a"), header("b"));
        assert_ne!(
            header("a").producer,
            Key::of_producer(&secret, "a", 0).producer
        );
    }

    #[test]
    fn what_a_sender_is_called_cannot_be_found_out_without_the_clusters_key() {
        let (own, other) = (request_key(&[7; 32]), request_key(&[8; 32]));
        let name = "bob@example.com";
        assert_ne!(Key::of_header(&own, name), Key::of_header(&other, name));
        assert_ne!(
            Key::of_producer(&own, name, 1),
            Key::of_producer(&other, name, 1)
        );
    }
}
