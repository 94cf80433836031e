//! Committed reads: one answer of the leader, then a wait until this replica has caught up with it.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;
use hushlog_record::museum::{Bug, planted};
use hushlog_record::{GroupId, NodeId};
use tokio::time::Instant;

use super::core::Core;
use super::{Context, Group, Status};
use crate::ReadError;
use crate::limits::READ_PATIENCE;
use crate::network::{Remote, RemoteRead};
use crate::types::Peer;

/// What a read barrier needs of a group.
pub(super) trait Barrier {
    fn core(&self) -> &Core;

    /// Waits until everything before `read_to` is applied here.
    fn applied(
        &self,
        read_to: u64,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), ReadError>> + Send;
}

/// Waits until this replica sees everything acknowledged before the call.
pub(super) async fn barrier(group: &impl Barrier, deadline: Instant) -> Result<(), ReadError> {
    let core = group.core();
    let number = core.group;
    let read = match read_indexes(&core.context, &[number], deadline)
        .await
        .remove(&number)
    {
        Some(read) => read?,
        None => return Err(ReadError::NotFound(number)),
    };
    group.applied(read, deadline).await
}

/// Read barriers of many groups with one request per leader: for each group, in order, the first
/// position that a reader need not wait for, once this replica sees everything before it.
pub async fn read_barriers(
    context: &Context,
    groups: &[GroupId],
    deadline: Instant,
) -> Vec<(GroupId, Result<u64, ReadError>)> {
    let reads = read_indexes(context, groups, deadline).await;
    let waits = reads.into_iter().map(|(number, read)| async move {
        let read_to = match read {
            Ok(read_to) => read_to,
            Err(error) => return (number, Err(error)),
        };
        let waited = match context.groups.get(number) {
            None => Err(ReadError::NotFound(number)),
            Some(Group::Shard(group)) => group.applied(read_to, deadline).await,
            Some(Group::Meta(group)) => group.applied(read_to, deadline).await,
        };
        (number, waited.map(|()| read_to))
    });
    join_all(waits).await
}

/// The leader to ask, or this node.
enum Ask {
    Here,
    There(NodeId, Peer),
}

/// Asks leaders until each has answered or the time is over.
async fn read_indexes(
    context: &Context,
    groups: &[GroupId],
    deadline: Instant,
) -> BTreeMap<GroupId, Result<u64, ReadError>> {
    if planted(Bug::ReadWithoutLeader) {
        return groups.iter().map(|group| (*group, Ok(0))).collect();
    }
    let mut done = BTreeMap::new();
    let mut open: Vec<(GroupId, Group)> = Vec::new();
    for number in groups {
        match context.groups.get(*number) {
            Some(group) => open.push((*number, group)),
            None => {
                done.insert(*number, Err(ReadError::NotFound(*number)));
            }
        }
    }
    while !open.is_empty() {
        for (number, answer) in ask_round(context, &open, deadline).await {
            if let Ok(read) = answer {
                done.insert(number, Ok(read));
            }
        }
        open.retain(|(number, _)| !done.contains_key(number));
        let Some((_, first)) = open.first() else {
            break;
        };
        if !first.core().pause(deadline).await {
            for (number, _) in open.drain(..) {
                let why = format!("group {number}");
                done.insert(number, Err(ReadError::Unavailable(why)));
            }
        }
    }
    done
}

/// Asks every group's leader once, with one request per node.
async fn ask_round(
    context: &Context,
    open: &[(GroupId, Group)],
    deadline: Instant,
) -> Vec<RemoteRead> {
    let mut here = Vec::new();
    let mut there: BTreeMap<NodeId, (Peer, Vec<GroupId>)> = BTreeMap::new();
    for (number, group) in open {
        let ask = match group.core().remote_leader() {
            Some((leader, peer)) => Ask::There(leader, peer),
            None => Ask::Here,
        };
        match ask {
            Ask::Here => here.push(*number),
            Ask::There(leader, peer) => {
                there
                    .entry(leader)
                    .or_insert_with(|| (peer, Vec::new()))
                    .1
                    .push(*number);
            }
        }
    }
    // A leader that does not answer must leave time to ask the next one.
    let patience = deadline.min(Instant::now() + READ_PATIENCE);
    let remote = join_all(there.into_iter().map(|(node, (peer, numbers))| async move {
        let remote = Remote::new(context, node, &peer);
        match remote.read_index(&numbers, patience).await {
            Ok(answers) => answers,
            Err(status) => {
                tracing::debug!(node, %status, "no read position");
                Vec::new()
            }
        }
    }));
    let (mut answers, remote) = tokio::join!(read_here(context, &here, patience), remote);
    answers.extend(remote.into_iter().flatten());
    answers
}

/// The read positions of the groups that this node leads.
pub(crate) async fn read_here(
    context: &Context,
    groups: &[GroupId],
    deadline: Instant,
) -> Vec<RemoteRead> {
    let reads = groups.iter().map(|number| async move {
        match context.groups.get(*number) {
            None => (*number, Err(None)),
            Some(group) => (*number, group.core().read_index(deadline).await),
        }
    });
    join_all(reads).await
}

/// What the node at this address knows of a group, whether this node has it or not.
///
/// # Errors
/// [`ReadError::Unavailable`] when it does not answer, or has no such group.
pub async fn status_at(
    context: &Context,
    group: GroupId,
    node: NodeId,
    peer: &Peer,
    deadline: Instant,
) -> Result<Status, ReadError> {
    let answer = Remote::new(context, node, peer)
        .status(group, deadline)
        .await;
    answer.map_err(|status| ReadError::Unavailable(status.to_string()))
}

/// What another member knows of a group.
pub(super) async fn status_of(
    core: &Core,
    node: NodeId,
    deadline: Instant,
) -> Result<Status, ReadError> {
    let addr = core
        .peers()
        .into_iter()
        .find(|(peer, _)| *peer == node)
        .map(|(_, addr)| addr);
    let peer = Peer {
        addr: addr.ok_or(ReadError::NotFound(core.group))?,
    };
    status_at(&core.context, core.group, node, &peer, deadline).await
}
