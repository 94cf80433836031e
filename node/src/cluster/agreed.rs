//! What the cluster has agreed on of a finished shard, as far as an answer depends on it. It travels with a question,
//! since the node that asks and the one that answers may have heard of different things.
//!
//! Either may know more, so what both know counts: rows of which one knows that they are left out are hidden, and
//! segments of which neither knows that the cluster has ever had them give no answer. Nothing here reads a row.

use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_query::Floors;
use hushlog_raft::meta;
use hushlog_record::ShardId;

use super::held::Held;
use super::rewrite;
use super::sealed::SealedReplica;

/// A finished shard as one node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Digest of its segments.
    digest: [u8; 32],
    /// The event times before which rows are left out of it.
    left_out: Floors,
}

impl Agreed {
    /// As these facts say; `None` of a shard that they do not know as finished.
    pub(crate) fn of(facts: &meta::State, shard: ShardId) -> Option<Self> {
        let seal = facts.sealed.get(&shard)?;
        let known = facts.rewrites.get(&shard);
        Some(Self {
            digest: seal.digest,
            left_out: known.map_or(Floors::NONE, |known| rewrite::floors(&known.cutoffs)),
        })
    }

    /// For another node.
    pub(crate) fn to_message(&self) -> pb::FinishedShard {
        pb::FinishedShard {
            digest: self.digest.to_vec().into(),
            left_out: self.left_out.to_bytes().into(),
        }
    }

    /// Reads what another node has sent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_message(message: &pb::FinishedShard) -> Result<Self, String> {
        let digest = message.digest.as_ref();
        Ok(Self {
            digest: digest.try_into().map_err(|_| "a digest has 32 bytes")?,
            left_out: Floors::from_bytes(&message.left_out).map_err(|error| error.to_string())?,
        })
    }
}

/// Segments of a finished shard, as far as it matters whether they were agreed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments {
    digest: [u8; 32],
    segmented_to: u64,
    form: meta::Form,
}

impl Segments {
    /// Those of a replica; `None` while its group runs, since they are what its log says then.
    pub(crate) fn of(held: &Held) -> Option<Self> {
        match held {
            Held::Open(_) => None,
            Held::Sealed(replica) => Some(Self::of_sealed(replica)),
        }
    }

    fn of_sealed(replica: &SealedReplica) -> Self {
        Self {
            digest: replica.digest,
            segmented_to: replica.segmented_to,
            form: meta::Form {
                rows: replica.rows,
                bounds: replica.time_bounds,
            },
        }
    }

    /// Whether they have all rows that an answer needs: those that the cluster has, or once had, by these facts or
    /// by what the node knows that asks. Where nobody knows the shard as finished, nothing is against them.
    pub(crate) fn are_whole(
        &self,
        shard: ShardId,
        facts: &meta::State,
        asked: Option<&Agreed>,
    ) -> bool {
        let is_it = |digest: &[u8; 32]| *digest == self.digest;
        let is_asked_for = asked.map(|asked| is_it(&asked.digest));
        match facts.sealed.get(&shard) {
            None => is_asked_for.unwrap_or(true),
            Some(seal) => {
                is_it(&seal.digest)
                    || is_asked_for == Some(true)
                    || facts.has_held(shard, self.segmented_to, self.form)
            }
        }
    }
}

/// Whether a replica has all rows that an answer needs. One whose group runs has what its log says.
pub(crate) fn is_whole(held: &Held, facts: &meta::State, asked: Option<&Agreed>) -> bool {
    Segments::of(held).is_none_or(|segments| segments.are_whole(held.shard(), facts, asked))
}

/// What a replica with these segments may still have, and must hide: what either node knows to be left out. Of an open
/// group, `None` is given, there are more rows than those of its segments.
pub(crate) fn hidden(segments: Option<&Segments>, known: [Option<&Agreed>; 2]) -> Option<Floors> {
    let has_them = |agreed: &&Agreed| segments.is_some_and(|own| own.digest == agreed.digest);
    let others = known.into_iter().flatten().filter(|known| !has_them(known));
    let left_out = others.map(|known| &known.left_out);
    let all = left_out.fold(Floors::NONE, |all, one| all.or(one));
    (all != Floors::NONE).then_some(all)
}

#[cfg(test)]
mod tests {
    use hushlog_raft::meta::{Cutoffs, Form, Rewrite, Seal, State};
    use hushlog_record::Timestamp;

    use super::*;

    const SHARD: ShardId = ShardId { bucket: 3, slot: 0 };

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn form(rows: u64) -> Form {
        Form {
            rows,
            bounds: Some((at(100), at(200))),
        }
    }

    /// Facts of a shard with so many rows left in segments of this digest, of which those of `a` before a time are
    /// gone.
    fn facts(digest: u8, rows: u64, left_out: Option<i64>) -> State {
        let mut facts = State::default();
        let seal = Seal {
            digest: [digest; 32],
            segmented_to: 40,
            rows,
            bytes: 1,
            time_min: at(100),
            time_max: at(200),
        };
        facts.sealed.insert(SHARD, seal);
        if let Some(time) = left_out {
            let rewrite = Rewrite {
                cutoffs: Cutoffs {
                    services: [("a".to_owned(), at(time))].into(),
                    ..Cutoffs::default()
                },
                before: vec![form(rows + 10)],
            };
            facts.rewrites.insert(SHARD, rewrite);
        }
        facts
    }

    fn segments(digest: u8, rows: u64) -> Segments {
        Segments {
            digest: [digest; 32],
            segmented_to: 40,
            form: form(rows),
        }
    }

    #[test]
    fn what_either_node_knows_to_be_left_out_is_hidden_where_it_may_still_be() {
        let known = |digest, left_out| Agreed::of(&facts(digest, 30, left_out), SHARD);
        let floor = |segments: Option<&Segments>, own: Option<Agreed>, asked: Option<Agreed>| {
            let floors = hidden(segments, [own.as_ref(), asked.as_ref()]);
            floors.map(|floors| floors.of("a"))
        };
        let (before, after) = (segments(1, 40), segments(2, 30));
        let (old, new) = (|| known(1, None), || known(2, Some(150)));
        // The one that answers has not heard of it, or the one that asks, or neither needs to.
        assert_eq!(floor(Some(&before), old(), new()), Some(150));
        assert_eq!(floor(Some(&before), new(), old()), Some(150));
        assert_eq!(floor(Some(&before), new(), None), Some(150));
        assert_eq!(floor(Some(&before), None, new()), Some(150));
        assert_eq!(floor(Some(&after), old(), new()), None);
        assert_eq!(floor(Some(&after), new(), new()), None);
        assert_eq!(floor(Some(&before), old(), old()), None);
        // Of two times the later one, whoever knows it.
        let newer = || known(3, Some(170));
        assert_eq!(floor(Some(&before), new(), newer()), Some(170));
        assert_eq!(floor(Some(&after), new(), newer()), Some(170));
        // An open group has all rows.
        assert_eq!(floor(None, old(), new()), Some(150));
        assert_eq!(floor(None, None, None), None);
    }

    #[test]
    fn segments_that_nobody_has_agreed_on_are_not_whole() {
        let now = facts(2, 30, Some(150));
        let whole =
            |segments: Segments, asked: Option<&Agreed>| segments.are_whole(SHARD, &now, asked);
        assert!(whole(segments(2, 30), None));
        assert!(whole(segments(9, 30), None), "merged in another way");
        assert!(whole(segments(1, 40), None), "before rows were left out");
        // Fewer rows between the same times.
        assert!(!whole(segments(7, 29), None));
        assert!(!whole(segments(7, 29), Agreed::of(&now, SHARD).as_ref()));
        let later = Agreed::of(&facts(7, 29, Some(160)), SHARD);
        assert!(whole(segments(7, 29), later.as_ref()), "by later facts");
        // Facts that do not know it as finished, as they are for a moment after a start.
        let without_facts =
            |asked: Option<&Agreed>| segments(7, 29).are_whole(SHARD, &State::default(), asked);
        assert!(without_facts(None), "nobody knows it as finished");
        assert!(without_facts(later.as_ref()));
        let of_others = Agreed::of(&now, SHARD);
        assert!(!without_facts(of_others.as_ref()), "the one that asks does");
    }

    #[test]
    fn it_travels_and_what_is_damaged_is_refused() {
        for left_out in [None, Some(150)] {
            let agreed = Agreed::of(&facts(2, 30, left_out), SHARD).expect("finished");
            let message = agreed.to_message();
            assert_eq!(Agreed::of_message(&message), Ok(agreed));
            for damage in [
                |message: &mut pb::FinishedShard| message.digest.truncate(31),
                |message: &mut pb::FinishedShard| message.left_out.truncate(3),
            ] {
                let mut damaged = message.clone();
                damage(&mut damaged);
                assert!(Agreed::of_message(&damaged).is_err());
            }
        }
    }
}
