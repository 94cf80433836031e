//! The receiving side: checks who asks and who is meant, then hands over to the group.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::raft_server::{Raft as RaftService, RaftServer};
use hushlog_record::block::Block;
use openraft::base::BoxStream;
use openraft::raft::{TransferLeaderError, VoteResponse};
use parking_lot::Mutex;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{
    append_from, append_result_to, cluster_to, log_id_from, log_id_to, transfer_from, vote_from,
    vote_request_from, vote_response_to, vote_to,
};
use super::remote::deadline_of;
use crate::codec::{Decoder, Encoder, decode_stored_membership};
use crate::group::{Attempt, Context, Group, Mark, read_here};
use crate::limits::{
    CALL_DEADLINE, MESSAGE_BYTES_MAX, READ_GROUPS_MAX, REST_GROUPS_MAX, SNAPSHOT_BYTES_MAX,
};
use crate::meta;
use crate::types::{Snapshot, SnapshotMeta};
use crate::{ProposeError, Status as GroupStatus};

/// The service to add to the node's gRPC server.
pub fn service(context: &Context) -> RaftServer<impl RaftService> {
    let server = RaftServer::new(Server {
        context: context.clone(),
    });
    let server = server.max_decoding_message_size(MESSAGE_BYTES_MAX);
    server.max_encoding_message_size(MESSAGE_BYTES_MAX)
}

struct Server {
    context: Context,
}

/// Refuses a message of another cluster, meant for another node, of one that was removed, or between nodes of
/// which one has lost its memory.
fn check(context: &Context, envelope: Option<&pb::Envelope>) -> Result<u64, Status> {
    let envelope = envelope.ok_or_else(|| Status::invalid_argument("envelope is missing"))?;
    if envelope.cluster != cluster_to(context.cluster) {
        return Err(Status::unauthenticated(
            "this node belongs to another cluster",
        ));
    }
    if envelope.target != context.node {
        return Err(Status::unauthenticated(format!(
            "this is node {}",
            context.node
        )));
    }
    let meta = context.groups.meta();
    if meta.is_some_and(|meta| meta.state().is_removed(envelope.from)) {
        let why = format!("node {} was removed from this cluster", envelope.from);
        return Err(Status::failed_precondition(why));
    }
    context.incarnations.check(envelope)?;
    Ok(envelope.group)
}

fn fatal(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the group has stopped: {error}"))
}

impl Server {
    fn group(&self, envelope: Option<&pb::Envelope>) -> Result<Group, Status> {
        let group = check(&self.context, envelope)?;
        self.context
            .groups
            .get(group)
            .ok_or_else(|| Status::not_found(format!("group {group} is not on this node")))
    }
}

type Appended = BoxStream<'static, Result<pb::AppendResponse, Status>>;

/// Serves one leader's stream; ends it at the first message that does not belong.
async fn serve_append(
    context: Context,
    mut inbound: Streaming<pb::AppendRequest>,
) -> Result<Appended, Status> {
    let Some(first) = inbound.message().await? else {
        return Ok(Box::pin(stream::empty()));
    };
    let group = check(&context, first.envelope.as_ref())?;
    let open = context
        .groups
        .get(group)
        .ok_or_else(|| Status::not_found(format!("group {group} is not on this node")))?;
    let raft = open.raft();
    let wrong = Arc::new(Mutex::new(None));
    let requests = requests(context, group, first, inbound, Arc::clone(&wrong));
    let sent_to = open.clone();
    let requests = requests.inspect(move |request| sent_to.reached(request.vote.leader_id.term));
    let answers = raft
        .stream_append(requests)
        .map(move |answer| match answer {
            Ok(result) => {
                if result.is_ok() {
                    open.stirred();
                    open.heard();
                }
                Ok(append_result_to(result))
            }
            Err(error) => Err(fatal(error)),
        });
    let end = stream::once(async move { wrong.lock().take() })
        .filter_map(|wrong| async move { wrong.map(Err) });
    Ok(Box::pin(answers.chain(end)))
}

fn requests(
    context: Context,
    group: u64,
    first: pb::AppendRequest,
    inbound: Streaming<pb::AppendRequest>,
    wrong: Arc<Mutex<Option<Status>>>,
) -> impl Stream<Item = openraft::raft::AppendEntriesRequest<crate::types::TypeConfig>> + Send + 'static
{
    let messages = stream::once(async move { Ok(first) }).chain(inbound);
    Box::pin(
        messages.map_while_ok(wrong, move |message: pb::AppendRequest| {
            if check(&context, message.envelope.as_ref())? != group {
                return Err(Status::invalid_argument("one stream serves one group"));
            }
            append_from(message)
        }),
    )
}

/// Maps until the first error, which is put aside.
trait MapWhileOk: Stream<Item = Result<pb::AppendRequest, Status>> + Sized + Send + 'static {
    fn map_while_ok<T: Send + 'static>(
        self,
        wrong: Arc<Mutex<Option<Status>>>,
        map: impl Fn(pb::AppendRequest) -> Result<T, Status> + Send + 'static,
    ) -> impl Stream<Item = T> + Send + 'static {
        self.map(move |message| message.and_then(&map))
            .scan((), move |(), item| {
                let item = match item {
                    Ok(item) => Some(item),
                    Err(status) => {
                        tracing::warn!(%status, "append stream ended");
                        wrong.lock().replace(status);
                        None
                    }
                };
                std::future::ready(item)
            })
    }
}

impl<S: Stream<Item = Result<pb::AppendRequest, Status>> + Send + 'static> MapWhileOk for S {}

#[tonic::async_trait]
impl RaftService for Server {
    type AppendStream = Appended;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Appended>, Status> {
        // Answers the headers at once: the leader may have nothing to send yet.
        let serve = serve_append(self.context.clone(), request.into_inner());
        Ok(Response::new(Box::pin(stream::once(serve).try_flatten())))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(request.envelope.as_ref())?;
        let request = append_from(request)?;
        group.reached(request.vote.leader_id.term);
        let previous = request.prev_log_id;
        let last = request
            .entries
            .last()
            .map(|entry| entry.log_id)
            .or(previous);
        let answer = group.raft().append_entries(request).await.map_err(fatal)?;
        let result = answer.into_stream_result(previous, last);
        if result.is_ok() {
            group.heard();
        }
        Ok(Response::new(append_result_to(result)))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(request.envelope.as_ref())?;
        let raft = group.raft();
        let pre_vote = request.pre_vote;
        let request = vote_request_from(request)?;
        if !request.leadership_transfer
            && let Some((vote, last)) = group.core().vote_at_rest()
        {
            // The library cannot know that the leader's lease holds.
            let refused = VoteResponse::new(vote, Some(last), false);
            return Ok(Response::new(vote_response_to(&refused)));
        }
        let answer = if pre_vote {
            raft.pre_vote(request).await
        } else {
            let answer = raft.vote(request).await;
            group.stirred();
            answer
        };
        Ok(Response::new(vote_response_to(&answer.map_err(fatal)?)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotRequest>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let mut inbound = request.into_inner();
        let first = inbound.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("snapshot without a piece"))?;
        let group = self.group(first.envelope.as_ref())?;
        let data = collect(first.bytes_total, &mut inbound).await?;
        let membership = decode_stored_membership(&first.membership)
            .map_err(|error| Status::data_loss(error.to_string()))?;
        let last_log_id = first.last.map(log_id_from);
        let meta = SnapshotMeta {
            last_log_id,
            last_membership: membership,
        };
        let from = first.envelope.map_or(0, |envelope| envelope.from);
        let _one_at_a_time = group.fetch_segments(from, &meta, &data).await?;
        let snapshot = Snapshot {
            meta,
            snapshot: data.into(),
        };
        let vote = vote_from(first.vote)?;
        let answer = group.raft().install_full_snapshot(vote, snapshot).await;
        group.stirred();
        let answer = answer.map_err(fatal)?;
        Ok(Response::new(pb::SnapshotResponse {
            vote: Some(vote_to(&answer.vote)),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        use pb::transfer_leader_response::{NotFlushed, Refusal, VoteChanged};
        let request = request.into_inner();
        let group = self.group(request.envelope.as_ref())?;
        let request = transfer_from(request)?;
        let answer = group.raft().handle_transfer_leader(request).await;
        group.stirred();
        let answer = answer.map_err(fatal)?;
        let refusal = answer.err().map(|refusal| match refusal {
            TransferLeaderError::VoteChanged { expected, actual } => {
                Refusal::VoteChanged(VoteChanged {
                    expected: Some(vote_to(&expected)),
                    actual: Some(vote_to(&actual)),
                })
            }
            TransferLeaderError::LogNotFlushed { expected, actual } => {
                Refusal::NotFlushed(NotFlushed {
                    expected: expected.map(log_id_to),
                    actual: actual.map(log_id_to),
                })
            }
        });
        Ok(Response::new(pb::TransferLeaderResponse { refusal }))
    }

    async fn propose_block(
        &self,
        request: Request<pb::ProposeBlockRequest>,
    ) -> Result<Response<pb::ProposeBlockResponse>, Status> {
        let request = request.into_inner();
        let group = match self.group(request.envelope.as_ref()) {
            Ok(Group::Shard(group)) => group,
            Ok(Group::Meta(_)) => return Err(Status::invalid_argument("not a shard")),
            Err(status) if status.code() == tonic::Code::NotFound => {
                let group = request.envelope.as_ref().map_or(0, |from| from.group);
                let refusal = if self.context.groups.is_finished(group) {
                    pb::Refusal::Closed
                } else {
                    pb::Refusal::Unavailable
                };
                let refusal = refusal.into();
                let message = status.message().to_owned();
                let answer = pb::ProposeBlockResponse {
                    refusal,
                    message,
                    ..Default::default()
                };
                return Ok(Response::new(answer));
            }
            Err(status) => return Err(status),
        };
        let block = Block::parse(request.block)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let deadline = deadline_of(request.deadline_ms, CALL_DEADLINE);
        let answer = match group.propose_here(&block, deadline).await {
            Ok(receipts) => pb::ProposeBlockResponse {
                copies: receipts.first().map_or(0, |receipt| receipt.copies),
                receipts: receipts.iter().map(receipt_to).collect(),
                ..Default::default()
            },
            Err(attempt) => {
                let policy_epoch = lowest_policy(&attempt);
                let (refusal, message) = refusal_of(attempt);
                let leader = group.leader().unwrap_or(0);
                pb::ProposeBlockResponse {
                    refusal,
                    message,
                    leader,
                    policy_epoch,
                    ..Default::default()
                }
            }
        };
        Ok(Response::new(answer))
    }

    async fn propose_meta(
        &self,
        request: Request<pb::ProposeMetaRequest>,
    ) -> Result<Response<pb::ProposeMetaResponse>, Status> {
        let request = request.into_inner();
        let Group::Meta(group) = self.group(request.envelope.as_ref())? else {
            return Err(Status::invalid_argument("not the meta group"));
        };
        let mut input = Decoder::new("meta command", &request.command);
        let command = meta::Command::decode(&mut input)
            .and_then(|command| input.end().map(|()| command))
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let deadline = deadline_of(request.deadline_ms, CALL_DEADLINE);
        let answer = match group.propose_here(command, deadline).await {
            Ok((index, answer)) => {
                let mut encoded = Encoder::default();
                answer.encode(&mut encoded);
                let answer = encoded.finish().into();
                pb::ProposeMetaResponse {
                    index,
                    answer,
                    ..Default::default()
                }
            }
            Err(attempt) => {
                let (refusal, message) = refusal_of(attempt);
                let leader = group.leader().unwrap_or(0);
                pb::ProposeMetaResponse {
                    refusal,
                    message,
                    leader,
                    ..Default::default()
                }
            }
        };
        Ok(Response::new(answer))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        use pb::read_index_response::One;
        let request = request.into_inner();
        check(&self.context, request.envelope.as_ref())?;
        if request.groups.len() > READ_GROUPS_MAX {
            return Err(Status::invalid_argument("too many groups in one request"));
        }
        let deadline = deadline_of(request.deadline_ms, CALL_DEADLINE);
        let answers = read_here(&self.context, &request.groups, deadline).await;
        let one = |(group, answer): (u64, Result<u64, Option<u64>>)| match answer {
            Ok(index) => One {
                group,
                index,
                ..Default::default()
            },
            Err(leader) => One {
                group,
                refusal: pb::Refusal::NotLeader.into(),
                leader: leader.unwrap_or(0),
                index: 0,
            },
        };
        let groups = answers.into_iter().map(one).collect();
        Ok(Response::new(pb::ReadIndexResponse { groups }))
    }

    async fn rest(
        &self,
        request: Request<pb::RestRequest>,
    ) -> Result<Response<pb::RestResponse>, Status> {
        let request = request.into_inner();
        check(&self.context, request.envelope.as_ref())?;
        if request.groups.len() > REST_GROUPS_MAX {
            return Err(Status::invalid_argument("too many groups in one request"));
        }
        let leader = request.envelope.map_or(0, |envelope| envelope.from);
        let mut awake = Vec::new();
        for one in request.groups {
            let last = one.last.map(log_id_from);
            let last = last.ok_or_else(|| Status::invalid_argument("a log id is missing"))?;
            let mark = Mark {
                term: one.term,
                last,
            };
            let rests = match self.context.groups.get(one.group) {
                Some(Group::Shard(group)) => {
                    group.core().reached(mark.term);
                    group.core().follow(leader, mark)
                }
                Some(Group::Meta(_)) | None => false,
            };
            if !rests {
                awake.push(one.group);
            }
        }
        Ok(Response::new(pb::RestResponse { awake }))
    }

    async fn shard_status(
        &self,
        request: Request<pb::ShardStatusRequest>,
    ) -> Result<Response<pb::ShardStatusResponse>, Status> {
        let status = self.group(request.into_inner().envelope.as_ref())?.status();
        Ok(Response::new(status_to(status)))
    }
}

async fn collect(
    bytes_total: u64,
    inbound: &mut Streaming<pb::SnapshotRequest>,
) -> Result<Bytes, Status> {
    let total = usize::try_from(bytes_total).unwrap_or(usize::MAX);
    if total > SNAPSHOT_BYTES_MAX {
        return Err(Status::resource_exhausted("snapshot is too large"));
    }
    let mut data = BytesMut::new();
    while let Some(piece) = inbound.message().await? {
        if data.len() + piece.data.len() > total {
            return Err(Status::invalid_argument(
                "snapshot is longer than announced",
            ));
        }
        data.extend_from_slice(&piece.data);
    }
    if data.len() < total {
        return Err(Status::data_loss("snapshot is shorter than announced"));
    }
    Ok(data.freeze())
}

fn receipt_to(receipt: &crate::Receipt) -> pb::PartReceipt {
    pb::PartReceipt {
        rows_from: receipt.rows.start,
        rows_to: receipt.rows.end,
        shard: receipt.origin.shard.group(),
        seq: receipt.origin.seq,
        policy_epoch: receipt.policy_epoch,
        duplicate: receipt.duplicate,
        conflict: receipt.conflict,
    }
}

/// The policy epoch that a refused block should have had at least; 0 when it is not refused for that.
fn lowest_policy(attempt: &Attempt) -> u64 {
    match attempt {
        Attempt::Final(ProposeError::Outdated { lowest }) => *lowest,
        Attempt::Retry(_) | Attempt::Unknown(_) | Attempt::Final(_) => 0,
    }
}

fn refusal_of(attempt: Attempt) -> (i32, String) {
    let (refusal, message) = match attempt {
        Attempt::Retry(why) => (pb::Refusal::NotLeader, why),
        Attempt::Unknown(why) => (pb::Refusal::OutcomeUnknown, why),
        Attempt::Final(ProposeError::Closed) => (pb::Refusal::Closed, String::new()),
        Attempt::Final(ProposeError::Outdated { .. }) => (pb::Refusal::Outdated, String::new()),
        Attempt::Final(ProposeError::Backlog) => (pb::Refusal::Backlog, String::new()),
        Attempt::Final(ProposeError::DiskFull) => (pb::Refusal::DiskFull, String::new()),
        Attempt::Final(ProposeError::Invalid(why)) => (pb::Refusal::Invalid, why),
        Attempt::Final(ProposeError::WritesFailed(why)) => (pb::Refusal::WritesFailed, why),
        Attempt::Final(ProposeError::OutcomeUnknown(why)) => (pb::Refusal::OutcomeUnknown, why),
        Attempt::Final(ProposeError::Unavailable(why)) => (pb::Refusal::Unavailable, why),
    };
    (refusal.into(), message)
}

fn status_to(status: GroupStatus) -> pb::ShardStatusResponse {
    use pb::shard_status_response::Member;
    let member = |member: crate::Member| Member {
        node: member.node,
        addr: member.addr,
        voter: member.voter,
        lag: member.lag,
    };
    pb::ShardStatusResponse {
        term: status.term,
        role: status.role.name().into(),
        leader: status.leader.unwrap_or(0),
        trimmed_to: status.trimmed_to,
        segmented_to: status.segmented_to,
        applied_to: status.applied_to,
        committed_to: status.committed_to,
        appended_to: status.appended_to,
        closed: status.closed,
        policy_epoch: status.policy_epoch,
        unfit: status.unfit,
        resting: status.resting,
        members: status.members.into_iter().map(member).collect(),
    }
}
