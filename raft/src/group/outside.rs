//! Storing a block from a node that has no replica of its shard, or has not opened it yet.
//!
//! Such a node does not hear who leads: it asks the members in turn and tells its caller whom to ask first the next time.
//! A member that does not lead says so at once, so that this costs two short calls at most.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_record::block::Block;
use hushlog_record::{NodeId, ShardId};
use tokio::time::{Instant, sleep_until};

use super::attempts::{Attempts, Verdict};
use super::shard::is_keyed;
use super::{Attempt, Context, Receipt, pause};
use crate::ProposeError;
use crate::limits::STALLED_PATIENCE;
use crate::network::Remote;
use crate::types::Peer;

/// What is known of a shard's members, from one block to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whom to ask first: never one that has just been silent.
    pub first: NodeId,
    /// Whether the last block waited in vain for a leader: the next ones do not wait as long.
    pub in_vain: bool,
}

/// Stores a block of a shard through its members; gives the outcome and the way of the next block. Goes on here as
/// soon as this node has opened a replica.
///
/// # Errors
/// As [`ProposeError`] says.
pub async fn propose_from_outside(
    context: &Context,
    shard: ShardId,
    members: &BTreeMap<NodeId, Peer>,
    way: Way,
    block: Block,
    deadline: Instant,
) -> (Result<Vec<Receipt>, ProposeError>, Way) {
    let waits = if way.in_vain {
        STALLED_PATIENCE
    } else {
        context.settings.patience
    };
    let give_up = Instant::now() + waits;
    let keyed = is_keyed(&block);
    let mut attempts = Attempts::new(keyed, give_up, deadline);
    // One that is silent is not waited for to the end, where asking another stores nothing twice.
    let patience = if keyed {
        context.settings.election_max * 2
    } else {
        Duration::MAX
    };
    let mut asked = way.first;
    let next_way = |first, outcome: &Result<_, ProposeError>| Way {
        first,
        in_vain: matches!(
            outcome,
            Err(ProposeError::Unavailable(_) | ProposeError::OutcomeUnknown(_))
        ),
    };
    loop {
        if let Some(group) = context.groups.shard(shard) {
            let stored = group.propose(block, deadline).await;
            let stored = stored.map_err(|error| attempts.ended_by(error));
            let way = next_way(asked, &stored);
            return (stored, way);
        }
        let mut last = None;
        for _ in 0..members.len() {
            let late = Instant::now().checked_add(patience);
            let answer_by = late.map_or(deadline, |late| late.min(deadline));
            let outcome = ask(context, shard, members, asked, &block, answer_by).await;
            let next = match outcome {
                Ok(_) => asked,
                Err(_) => after(members, asked),
            };
            match attempts.judge(outcome) {
                Verdict::Ended(end) => {
                    let way = next_way(next, &end);
                    return (end, way);
                }
                Verdict::Again(until, otherwise) => last = Some((until, otherwise)),
            }
            asked = next;
        }
        let Some((until, otherwise)) = last else {
            let why = format!("{shard} has no members");
            let end = Err(ProposeError::Unavailable(why));
            let way = next_way(asked, &end);
            return (end, way);
        };
        sleep_until(until.min(Instant::now() + pause())).await;
        if Instant::now() >= until {
            let end = Err(otherwise);
            let way = next_way(asked, &end);
            return (end, way);
        }
    }
}

async fn ask(
    context: &Context,
    shard: ShardId,
    members: &BTreeMap<NodeId, Peer>,
    asked: NodeId,
    block: &Block,
    deadline: Instant,
) -> Result<Vec<Receipt>, Attempt> {
    let Some(peer) = members.get(&asked).filter(|_| asked != context.node) else {
        return Err(Attempt::Retry("no replica is open here".into()));
    };
    let remote = Remote::new(context, asked, peer);
    let bytes = block.bytes().clone();
    remote.propose_block(shard.group(), bytes, deadline).await
}

/// The next member, the first one behind the last.
fn after(members: &BTreeMap<NodeId, Peer>, node: NodeId) -> NodeId {
    let next = members.range(node + 1..).next();
    let next = next.or_else(|| members.first_key_value());
    next.map_or(node, |(node, _)| *node)
}
