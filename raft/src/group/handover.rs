//! How a node gives up a lead that it cannot serve well.
//!
//! Handing over goes by Raft's leadership transfer (Ongaro, *Consensus: Bridging Theory and Practice*,
//! 3.10): the successor must have the whole log. Where the log does not get through, only silence is
//! left: the others wait for their election timeout and choose among themselves.

use std::time::Duration;

use futures_util::future::join_all;
use hushlog_record::{GroupId, NodeId};
use tokio::time::Instant;

use super::core::Core;
use super::read::status_of;
use super::{Context, Role};
use crate::Error;

/// Hands the lead of a group, if this node has it, to the voter that follows most closely among those
/// that say within `patience` that they are fit to lead. Gives who was asked; `None` if nobody is fit
/// or this node does not lead.
pub async fn hand_over(context: &Context, group: GroupId, patience: Duration) -> Option<NodeId> {
    let group = context.groups.get(group)?;
    let status = group.status();
    if status.role != Role::Leader {
        return None;
    }
    let deadline = Instant::now() + patience;
    let voters = status.members.iter().filter(|member| member.voter);
    let others = voters.filter(|member| member.node != context.node);
    let asked = others.map(|member| async {
        // One whose log is not known to this leader yet is the last choice, not none.
        let lag = member.lag.unwrap_or(u64::MAX);
        let answer = status_of(group.core(), member.node, deadline).await.ok()?;
        (!answer.unfit).then_some((lag, member.node))
    });
    let (_, successor) = join_all(asked).await.into_iter().flatten().min()?;
    if let Err(error) = group.core().transfer_leader(successor).await {
        tracing::debug!(group = status.group, %error, "the lead was not handed over");
        return None;
    }
    Some(successor)
}

/// Hands the lead of a group to this voter, if the voter says within `patience` that it is fit to lead.
/// Whether it was.
///
/// # Errors
/// [`Error::NotLeader`], [`Error::Stopped`].
pub(super) async fn offer(core: &Core, to: NodeId, patience: Duration) -> Result<bool, Error> {
    match status_of(core, to, Instant::now() + patience).await {
        Ok(answer) if !answer.unfit => core.transfer_leader(to).await.map(|()| true),
        // One that is silent is as good as unfit.
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Falls silent as the leader of a group for so long, so that the others elect one of themselves. A lead
/// that nobody has taken over by then goes on.
pub fn abdicate(context: &Context, group: GroupId, silence: Duration) {
    if let Some(group) = context.groups.get(group) {
        group.core().abdicate(silence);
    }
}
