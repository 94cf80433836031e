//! Which life of every node this node has seen, so that one which has lost its memory is refused.
//!
//! A voter that comes back with an emptied or an older folder has forgotten what it voted and
//! acknowledged: with it a majority could decide what contradicts what was decided. So every message
//! carries the sender's life and the one that the sender has last seen of the receiver. A node
//! remembers, durably, the last life it has seen of each peer; who comes with one that cannot follow it
//! is refused, and a node that is told so refuses everything, from then on and after restarts.
//!
//! It never lets a refused node in again: that node must join under a new id. What it cannot see: an
//! older folder that was started, without meeting a peer, more often than since the copy was taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_record::NodeId;
use hushlog_record::museum::{Bug, planted};
use hushlog_storage::incarnation::Incarnation;
use hushlog_storage::store::{Batch, Durability, ScanLimit, Space};
use hushlog_storage::writer::WriterHandle;
use parking_lot::Mutex;
use tonic::Status;

use crate::Error;
use crate::codec::{self, Decoder, Encoder};

/// Keys: this and the peer's number.
const PEER: &[u8] = b"incarnation/";
/// Key of what a refused node was told.
const REFUSED: &[u8] = b"refused";
const VERSION: u8 = 1;

/// What a node knows of everyone's life. A cheap clone.
#[derive(Clone)]
pub struct Incarnations {
    inner: Arc<Inner>,
}

struct Inner {
    own: Incarnation,
    writer: WriterHandle,
    seen: Mutex<BTreeMap<NodeId, Incarnation>>,
    refused: Mutex<Option<String>>,
}

impl Incarnations {
    /// What was seen in earlier lives, for a node in its life `own`.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Codec`] if the store cannot be read.
    pub fn open(own: Incarnation, writer: WriterHandle) -> Result<Self, Error> {
        let (from, to) = (peer_key(0), peer_key(NodeId::MAX));
        let rows = writer
            .store()
            .scan(Space::Meta, &from, &to, ScanLimit::NONE)?;
        let seen = rows
            .iter()
            .map(|(_, value)| decode_peer(value))
            .collect::<Result<_, _>>()?;
        let refused = writer.store().get(Space::Meta, REFUSED)?;
        let refused = refused.map(|value| decode_refusal(&value)).transpose()?;
        Ok(Self {
            inner: Arc::new(Inner {
                own,
                writer,
                seen: Mutex::new(seen),
                refused: Mutex::new(refused),
            }),
        })
    }

    /// Why this node may take no part any more, once a peer has said so.
    pub fn refusal(&self) -> Option<String> {
        self.inner.refused.lock().clone()
    }

    /// Adds both lives to what a message says of its sender and its receiver.
    pub(crate) fn stamp(&self, envelope: pb::Envelope) -> pb::Envelope {
        let seen = self.inner.seen.lock().get(&envelope.target).copied();
        pb::Envelope {
            from_incarnation: Some(to_wire(self.inner.own)),
            target_incarnation: seen.map(to_wire),
            ..envelope
        }
    }

    /// Refuses a message between nodes of which one has lost its memory; remembers the sender's life.
    pub(crate) fn check(&self, envelope: &pb::Envelope) -> Result<(), Status> {
        if planted(Bug::IncarnationIgnored) {
            return Ok(());
        }
        if let Some(seen) = envelope.target_incarnation.map(of_wire)
            && !seen.may_become(&self.inner.own)
        {
            self.refuse(envelope.from, seen);
        }
        if let Some(reason) = self.refusal() {
            return Err(Status::failed_precondition(reason));
        }
        match envelope.from_incarnation.map(of_wire) {
            Some(theirs) => self.meet(envelope.from, theirs),
            None => Err(Status::invalid_argument(
                "the sender's incarnation is missing",
            )),
        }
    }

    /// A peer has seen a life of this node that its present one cannot follow.
    fn refuse(&self, peer: NodeId, seen: Incarnation) {
        let mut refused = self.inner.refused.lock();
        if refused.is_some() {
            return;
        }
        let own = self.inner.own.number;
        let reason = format!(
            "the data folder of this node was wiped or is outdated: node {peer} has seen its \
             incarnation {} of another past, and this is incarnation {own}; having forgotten what it \
             acknowledged, it is refused, and must join under a new id",
            seen.number
        );
        tracing::error!("{reason}");
        let mut out = Encoder::versioned(VERSION);
        out.text(&reason);
        *refused = Some(reason);
        drop(refused);
        self.note(REFUSED.to_vec(), out.finish_with_crc());
    }

    fn meet(&self, node: NodeId, theirs: Incarnation) -> Result<(), Status> {
        let mut seen = self.inner.seen.lock();
        match seen.get(&node) {
            Some(known) if *known == theirs => return Ok(()),
            Some(known) if !known.may_become(&theirs) => {
                return Err(Status::failed_precondition(format!(
                    "node {node} comes as incarnation {} of another past than incarnation {}, which was \
                     seen before: its data folder was wiped or is outdated",
                    theirs.number, known.number
                )));
            }
            Some(_) | None => {}
        }
        seen.insert(node, theirs);
        drop(seen);
        let mut out = Encoder::versioned(VERSION);
        out.u64(node)
            .u64(theirs.birth)
            .u64(theirs.number)
            .u64(theirs.nonce);
        self.note(peer_key(node), out.finish_with_crc());
        Ok(())
    }

    fn note(&self, key: Vec<u8>, value: Vec<u8>) {
        let mut batch = Batch::new();
        batch.put(Space::Meta, key, value);
        let noted = |outcome: Result<(), hushlog_storage::Error>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "an incarnation was not noted");
            }
        };
        let writer = &self.inner.writer;
        writer.submit(batch, Durability::Synced, Box::new(noted));
    }
}

fn peer_key(node: NodeId) -> Vec<u8> {
    [PEER, &node.to_be_bytes()].concat()
}

fn decode_peer(value: &[u8]) -> Result<(NodeId, Incarnation), codec::Error> {
    let mut input = Decoder::checked("a peer's incarnation", VERSION, value)?;
    let node = input.u64()?;
    let incarnation = Incarnation {
        birth: input.u64()?,
        number: input.u64()?,
        nonce: input.u64()?,
    };
    input.end()?;
    Ok((node, incarnation))
}

fn decode_refusal(value: &[u8]) -> Result<String, codec::Error> {
    let mut input = Decoder::checked("a refusal", VERSION, value)?;
    let reason = input.text()?;
    input.end()?;
    Ok(reason)
}

fn to_wire(incarnation: Incarnation) -> pb::Incarnation {
    pb::Incarnation {
        birth: incarnation.birth,
        number: incarnation.number,
        nonce: incarnation.nonce,
    }
}

fn of_wire(incarnation: pb::Incarnation) -> Incarnation {
    Incarnation {
        birth: incarnation.birth,
        number: incarnation.number,
        nonce: incarnation.nonce,
    }
}

#[cfg(test)]
mod tests {
    use hushlog_storage::store::Mem;
    use hushlog_storage::writer::Writer;

    use super::*;

    const LIFE: Incarnation = Incarnation {
        birth: 1,
        number: 3,
        nonce: 30,
    };

    fn at(birth: u64, number: u64, nonce: u64) -> Incarnation {
        Incarnation {
            birth,
            number,
            nonce,
        }
    }

    fn between(from: &Incarnations, node: NodeId, to: &Incarnations) -> Result<(), Status> {
        let envelope = pb::Envelope {
            from: node,
            target: 3 - node,
            ..pb::Envelope::default()
        };
        to.check(&from.stamp(envelope))
    }

    /// Two nodes that have met; the second then comes back in another life. Their writers live on.
    fn after(other_life: Incarnation) -> (Incarnations, Incarnations, [Writer; 2]) {
        let writers = [(); 2].map(|()| Writer::inline(Arc::new(Mem::new())));
        let [first, second] = &writers;
        let one = Incarnations::open(LIFE, first.handle()).unwrap();
        let two = Incarnations::open(LIFE, second.handle()).unwrap();
        between(&two, 2, &one).unwrap();
        between(&one, 1, &two).unwrap();
        // What the first has seen survives it.
        let one = Incarnations::open(at(1, 4, 40), first.handle()).unwrap();
        let two = Incarnations::open(other_life, second.handle()).unwrap();
        (one, two, writers)
    }

    #[test]
    fn a_later_life_of_the_same_folder_is_welcome() {
        let (one, two, _writers) = after(at(1, 5, 50));
        between(&two, 2, &one).unwrap();
        between(&one, 1, &two).unwrap();
        assert_eq!(two.refusal(), None);
    }

    #[test]
    fn a_wiped_or_older_folder_is_refused_by_both_sides_and_for_good() {
        for life in [at(2, 1, 9), at(2, 9, 9), at(1, 3, 31), at(1, 2, 20)] {
            let (one, two, _writers) = after(life);
            assert!(between(&two, 2, &one).is_err(), "{life:?}");
            assert!(between(&one, 1, &two).is_err(), "{life:?}");
            assert!(two.refusal().is_some_and(|why| why.contains("refused")));
            // Whoever asks, and in later lives.
            let writer = two.inner.writer.clone();
            let later = Incarnations::open(at(2, 99, 1), writer).unwrap();
            assert!(later.check(&one.stamp(pb::Envelope::default())).is_err());
        }
    }

    #[test]
    fn a_message_without_a_life_is_refused() {
        let (one, _, _writers) = after(LIFE);
        assert!(one.check(&pb::Envelope::default()).is_err());
    }
}
