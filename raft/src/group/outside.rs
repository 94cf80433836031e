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
use crate::network::Remote;
use crate::types::Peer;

/// Stores a block of a shard through its members, of which `first` is asked first; gives the outcome
/// and whom to ask first the next time: never one that has just been silent. Goes on here as soon as
/// this node has opened a replica.
///
/// # Errors
/// As [`ProposeError`] says.
pub async fn propose_from_outside(
    context: &Context,
    shard: ShardId,
    members: &BTreeMap<NodeId, Peer>,
    first: NodeId,
    block: Block,
    deadline: Instant,
) -> (Result<Vec<Receipt>, ProposeError>, NodeId) {
    let give_up = Instant::now() + context.settings.patience;
    let keyed = is_keyed(&block);
    let mut attempts = Attempts::new(keyed, give_up, deadline);
    // One that is silent is not waited for to the end, where asking another stores nothing twice.
    let patience = if keyed {
        context.settings.election_max * 2
    } else {
        Duration::MAX
    };
    let mut asked = first;
    loop {
        if let Some(group) = context.groups.shard(shard) {
            let stored = group.propose(block, deadline).await;
            return (stored.map_err(|error| attempts.ended_by(error)), asked);
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
                Verdict::Ended(end) => return (end, next),
                Verdict::Again(until, otherwise) => last = Some((until, otherwise)),
            }
            asked = next;
        }
        let Some((until, otherwise)) = last else {
            let why = format!("{shard} has no members");
            return (Err(ProposeError::Unavailable(why)), asked);
        };
        sleep_until(until.min(Instant::now() + pause())).await;
        if Instant::now() >= until {
            return (Err(otherwise), asked);
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
