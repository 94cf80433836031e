//! The one hop: what a node asks of the leader of a group that it does not lead itself.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_record::{GroupId, NodeId, ShardId};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::Lane;
use super::client::stub;
use super::convert::{cluster_to, log_id_to};
use crate::codec::{Decoder, Encoder};
use crate::group::{Attempt, Context, Mark, Receipt};
use crate::meta;
use crate::shard::Origin;
use crate::types::Peer;
use crate::{Member, ProposeError, Role, Status as GroupStatus};

/// What an attempt came to.
pub(crate) type Answer<T> = Result<T, Attempt>;
/// A group's read position, or the leader that the asked node knows of.
pub(crate) type RemoteRead = (GroupId, Result<u64, Option<NodeId>>);

/// Another node, as seen from here.
pub(crate) struct Remote<'a> {
    pub(crate) context: &'a Context,
    pub(crate) node: NodeId,
    pub(crate) addr: &'a str,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(context: &'a Context, node: NodeId, peer: &'a Peer) -> Self {
        Self {
            context,
            node,
            addr: &peer.addr,
        }
    }

    fn envelope(&self, group: GroupId) -> Option<pb::Envelope> {
        let envelope = pb::Envelope {
            cluster: cluster_to(self.context.cluster),
            from: self.context.node,
            target: self.node,
            group,
            ..pb::Envelope::default()
        };
        Some(self.context.incarnations.stamp(envelope))
    }

    fn stub(
        &self,
        lane: Lane,
    ) -> Result<pb::raft_client::RaftClient<tonic::transport::Channel>, Status> {
        stub(&*self.context.connect, self.node, self.addr, lane)
    }

    /// Proposes a sealed block.
    pub(crate) async fn propose_block(
        &self,
        group: GroupId,
        block: Bytes,
        deadline: Instant,
    ) -> Answer<Vec<Receipt>> {
        let request = pb::ProposeBlockRequest {
            envelope: self.envelope(group),
            block,
            deadline_ms: millis_until(deadline),
        };
        let mut stub = self.stub(Lane::Data).map_err(|status| not_sent(&status))?;
        let answer = timeout_at(deadline, stub.propose_block(request)).await;
        let answer = proposed(answer)?;
        if answer.refusal == i32::from(pb::Refusal::Outdated) {
            let lowest = answer.policy_epoch;
            return Err(Attempt::Final(ProposeError::Outdated { lowest }));
        }
        refused(answer.refusal, &answer.message)?;
        answer
            .receipts
            .iter()
            .map(|part| receipt(part, answer.copies))
            .collect()
    }

    /// Proposes a change of the cluster's facts; the log index comes with the answer.
    pub(crate) async fn propose_meta(
        &self,
        command: &meta::Command,
        deadline: Instant,
    ) -> Answer<(u64, meta::Answer)> {
        let mut encoded = Encoder::default();
        command.encode(&mut encoded);
        let request = pb::ProposeMetaRequest {
            envelope: self.envelope(hushlog_record::id::META_GROUP),
            command: encoded.finish().into(),
            deadline_ms: millis_until(deadline),
        };
        let mut stub = self
            .stub(Lane::Control)
            .map_err(|status| not_sent(&status))?;
        let answer = timeout_at(deadline, stub.propose_meta(request)).await;
        let answer = proposed(answer)?;
        refused(answer.refusal, &answer.message)?;
        let decoded = meta::Answer::decode(&mut Decoder::new("answer", &answer.answer));
        decoded
            .map(|decoded| (answer.index, decoded))
            .map_err(|e| Attempt::Unknown(e.to_string()))
    }

    /// Read positions of groups that this node is thought to lead.
    pub(crate) async fn read_index(
        &self,
        groups: &[GroupId],
        deadline: Instant,
    ) -> Result<Vec<RemoteRead>, Status> {
        let request = pb::ReadIndexRequest {
            envelope: self.envelope(0),
            groups: groups.to_vec(),
            deadline_ms: millis_until(deadline),
        };
        let mut stub = self.stub(Lane::Control)?;
        let answer = timeout_at(deadline, stub.read_index(request))
            .await
            .map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let known = |one: pb::read_index_response::One| {
            let refused = one.refusal != 0;
            let leader = Some(one.leader).filter(|leader| *leader != 0);
            (one.group, if refused { Err(leader) } else { Ok(one.index) })
        };
        Ok(answer.into_inner().groups.into_iter().map(known).collect())
    }

    /// Tells that node where groups rest that this one leads; which of them do not rest there.
    pub(crate) async fn rest(
        &self,
        groups: &[(GroupId, Mark)],
        deadline: Instant,
    ) -> Result<BTreeSet<GroupId>, Status> {
        let one = |(group, mark): &(GroupId, Mark)| pb::rest_request::One {
            group: *group,
            term: mark.term,
            last: Some(log_id_to(mark.last)),
        };
        let request = pb::RestRequest {
            envelope: self.envelope(0),
            groups: groups.iter().map(one).collect(),
        };
        let mut stub = self.stub(Lane::Control)?;
        let answer = timeout_at(deadline, stub.rest(request))
            .await
            .map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(answer.into_inner().awake.into_iter().collect())
    }

    /// What that node knows of one group.
    pub(crate) async fn status(
        &self,
        group: GroupId,
        deadline: Instant,
    ) -> Result<GroupStatus, Status> {
        let request = pb::ShardStatusRequest {
            envelope: self.envelope(group),
        };
        let mut stub = self.stub(Lane::Control)?;
        let answer = timeout_at(deadline, stub.shard_status(request))
            .await
            .map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(status_from(group, answer.into_inner()))
    }
}

fn status_from(group: GroupId, answer: pb::ShardStatusResponse) -> GroupStatus {
    let member = |member: pb::shard_status_response::Member| Member {
        node: member.node,
        addr: member.addr,
        voter: member.voter,
        lag: member.lag,
    };
    GroupStatus {
        group,
        term: answer.term,
        role: Role::from_name(&answer.role),
        leader: Some(answer.leader).filter(|leader| *leader != 0),
        trimmed_to: answer.trimmed_to,
        segmented_to: answer.segmented_to,
        applied_to: answer.applied_to,
        committed_to: answer.committed_to,
        appended_to: answer.appended_to,
        closed: answer.closed,
        policy_epoch: answer.policy_epoch,
        unfit: answer.unfit,
        resting: answer.resting,
        members: answer.members.into_iter().map(member).collect(),
    }
}

fn millis_until(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// The time that a request leaves its server, bounded by `max`.
pub(super) fn deadline_of(millis: u64, max: Duration) -> Instant {
    Instant::now() + Duration::from_millis(millis).min(max)
}

fn not_sent(status: &Status) -> Attempt {
    Attempt::Retry(status.message().to_owned())
}

/// Tells a request that never left from one whose fate is not known.
fn proposed<T>(
    answer: Result<Result<tonic::Response<T>, Status>, tokio::time::error::Elapsed>,
) -> Answer<T> {
    match answer {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) if never_left(&status) => Err(not_sent(&status)),
        Ok(Err(status)) => Err(Attempt::Unknown(status.to_string())),
        Err(_) => Err(Attempt::Unknown("the leader did not answer in time".into())),
    }
}

/// Whether there was no connection to send the request on.
fn never_left(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn refused(refusal: i32, message: &str) -> Answer<()> {
    let message = message.to_owned();
    match pb::Refusal::try_from(refusal) {
        Ok(pb::Refusal::Unspecified) => Ok(()),
        Ok(pb::Refusal::NotLeader | pb::Refusal::Unavailable) => Err(Attempt::Retry(message)),
        Ok(pb::Refusal::Closed) => Err(Attempt::Final(ProposeError::Closed)),
        Ok(pb::Refusal::Backlog) => Err(Attempt::Final(ProposeError::Backlog)),
        Ok(pb::Refusal::DiskFull) => Err(Attempt::Final(ProposeError::DiskFull)),
        Ok(pb::Refusal::WritesFailed) => Err(Attempt::Retry(format!(
            "the leader's writes have stopped: {message}"
        ))),
        Ok(pb::Refusal::Invalid) => Err(Attempt::Final(ProposeError::Invalid(message))),
        // Only an answer to a block has the epoch that goes with it.
        Ok(pb::Refusal::OutcomeUnknown | pb::Refusal::Outdated) | Err(_) => {
            Err(Attempt::Unknown(message))
        }
    }
}

fn receipt(part: &pb::PartReceipt, copies: u32) -> Answer<Receipt> {
    let shard = ShardId::from_group(part.shard)
        .ok_or_else(|| Attempt::Unknown("a receipt names no shard".into()))?;
    Ok(Receipt {
        rows: part.rows_from..part.rows_to,
        origin: Origin {
            shard,
            seq: part.seq,
        },
        copies,
        policy_epoch: part.policy_epoch,
        duplicate: part.duplicate,
        conflict: part.conflict,
    })
}
