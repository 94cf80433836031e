//! Replies of replicas on the node that asks: in the question's memory until the answer has been sent.
//!
//! A replica accounts for what it scans; this is what comes of all of them on one node.

use bytes::Bytes;
use hushlog_query::{Error, Lease, Memory};

use crate::cluster::execute::Refusal;
use crate::cluster::question::{Question, Reply};

/// Decoded text is at least as large as its bytes, which are there beside it.
const DECODING: usize = 2;
/// Merging makes of the replies something that is about as large as they are, and text of that.
const MERGING: usize = 2;

/// A reply with its room.
#[derive(Debug)]
pub(super) struct Paid {
    reply: Reply,
    room: Lease,
}

impl Paid {
    /// A reply of a replica on this node.
    pub(super) fn new(reply: Reply, account: &Memory) -> Result<Self, Refusal> {
        let room = account.lease(memory_bytes(&reply)).map_err(refusal)?;
        Ok(Self { reply, room })
    }

    /// A reply of another node.
    pub(super) fn decode(
        question: &Question,
        bytes: &[u8],
        account: &Memory,
    ) -> Result<Self, Refusal> {
        let mut room = account.lease(DECODING * bytes.len()).map_err(refusal)?;
        let reply = question.decode_reply(bytes).map_err(Refusal::Unavailable)?;
        room.resize(memory_bytes(&reply)).map_err(refusal)?;
        Ok(Self { reply, room })
    }
}

/// All replies, and one room for them and for what is made of them.
pub(super) fn all(paid: Vec<Paid>, account: &Memory) -> Result<(Vec<Reply>, Lease), Refusal> {
    let bytes: usize = paid.iter().map(|paid| paid.room.bytes()).sum();
    // Beside the rooms that the replies have.
    let mut room = account.lease((MERGING - 1) * bytes).map_err(refusal)?;
    let mut replies = Vec::with_capacity(paid.len());
    for Paid { reply, room: own } in paid {
        room.join(own);
        replies.push(reply);
    }
    Ok((replies, room))
}

/// An answer, whose room is given back when it has been sent.
pub(super) fn sent<const N: usize>(text: String, mut rooms: [Lease; N]) -> Bytes {
    let mut left = text.len();
    for room in &mut rooms {
        room.shrink(left);
        left -= room.bytes();
    }
    Bytes::from_owner(Sent {
        text,
        _rooms: rooms,
    })
}

struct Sent<const N: usize> {
    text: String,
    _rooms: [Lease; N],
}

impl<const N: usize> AsRef<[u8]> for Sent<N> {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn memory_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Partial(partial) => partial.memory_bytes(),
        Reply::TopK(partial) => partial.memory_bytes(),
    }
}

/// As a replica refuses a question that needs too much.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::Busy => Refusal::Busy(error.to_string()),
        _ if error.is_bad_request() => Refusal::Request(error.to_string()),
        _ => Refusal::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hushlog_query::topk::Params;
    use hushlog_query::{Pool, TopK, TopKPartial};
    use hushlog_record::{ShardId, Timestamp};
    use hushlog_sketch::{ExceptionTally, Summary};

    use super::*;

    fn question() -> Question {
        let request = TopK::new(Params::default(), Timestamp::default());
        Question::TopK(request.expect("valid"))
    }

    /// A reply that is larger than its bytes.
    fn reply() -> Reply {
        let mut summary = Summary::new();
        for number in 0..100 {
            let tally = ExceptionTally {
                count: 1,
                first_seen: 0,
                last_seen: 0,
                samples: &[[number; 16]],
            };
            summary.add_exception(0, "s", &format!("t{number}"), tally);
        }
        Reply::TopK(TopKPartial {
            shard: ShardId { bucket: 1, slot: 0 },
            exceptions: summary.exceptions(0..1, None),
        })
    }

    #[test]
    fn replies_and_what_is_made_of_them_are_in_the_questions_memory() {
        let pool = Pool::new(1 << 20);
        let account = pool.question(1 << 20);
        let here = Paid::new(reply(), &account).expect("room");
        let one = pool.bytes();
        assert!(one > 100 * 24, "{one}");
        let there = Paid::decode(&question(), &reply().encode(), &account).expect("room");
        assert_eq!(pool.bytes(), 2 * one);
        let (replies, room) = all(vec![here, there], &account).expect("room");
        assert_eq!((replies.len(), pool.bytes()), (2, 4 * one));
        let answer = sent("answer".into(), [room]);
        assert_eq!(pool.bytes(), 6);
        let part = answer.slice(1..2);
        drop(answer);
        assert_eq!(pool.bytes(), 6, "a part is still to be sent");
        drop(part);
        assert_eq!(pool.bytes(), 0);
    }

    #[test]
    fn what_a_question_may_not_have_is_refused_and_what_others_have_is_busy() {
        let bytes = memory_bytes(&reply());
        let encoded = reply().encode();
        for (own, free, is_request) in [(bytes - 1, bytes, true), (bytes, bytes - 1, false)] {
            let is_refused = |refusal: &Refusal| match refusal {
                Refusal::Request(_) => is_request,
                Refusal::Busy(_) => !is_request,
                Refusal::Unavailable(_) | Refusal::Dropped => false,
            };
            let pool = Pool::new(free);
            let account = pool.question(own);
            let refused = Paid::new(reply(), &account).expect_err("too large");
            assert!(is_refused(&refused), "{refused}");
            let refused = Paid::decode(&question(), &encoded, &account).expect_err("too large");
            assert!(is_refused(&refused), "{refused}");
            assert_eq!(pool.bytes(), 0);
        }
        // One is room enough for the reply, and not for what is made of it.
        let account = Pool::new(2 * bytes - 1).question(2 * bytes);
        let paid = Paid::new(reply(), &account).expect("room");
        assert!(matches!(all(vec![paid], &account), Err(Refusal::Busy(_))));
    }
}
