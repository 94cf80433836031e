//! Raft's messages to and from their wire forms.

use bytes::Bytes;
use hushlog_proto::hushlog::internal::v1 as pb;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use tonic::Status;

use crate::codec::{decode_entry_parts, encode_entry_head};
use crate::types::{Entry, LeaderId, LogId, TypeConfig, Vote, log_id};

pub(super) type AppendResult = Result<Option<LogId>, StreamAppendError<TypeConfig>>;

pub(super) fn vote_to(vote: &Vote) -> pb::Vote {
    let LeaderId { term, voted_for } = vote.leader_id;
    pb::Vote {
        term,
        node: voted_for,
        committed: vote.committed,
    }
}

pub(super) fn vote_from(vote: Option<pb::Vote>) -> Result<Vote, Status> {
    let vote = vote.ok_or_else(|| Status::invalid_argument("vote is missing"))?;
    let leader_id = LeaderId {
        term: vote.term,
        voted_for: vote.node,
    };
    Ok(Vote {
        leader_id,
        committed: vote.committed,
    })
}

pub(super) fn log_id_to(id: LogId) -> pb::LogId {
    pb::LogId {
        term: *id.leader_id,
        index: id.index,
    }
}

pub(super) fn log_id_from(id: pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

fn entry_to(entry: &Entry) -> pb::Entry {
    let (head, block) = encode_entry_head(entry);
    pb::Entry { head, block }
}

fn entry_from(entry: pb::Entry) -> Result<Entry, Status> {
    let pb::Entry { head, block } = entry;
    decode_entry_parts(&head, block).map_err(|error| Status::data_loss(error.to_string()))
}

pub(super) fn append_to(
    envelope: pb::Envelope,
    request: &AppendEntriesRequest<TypeConfig>,
) -> pb::AppendRequest {
    pb::AppendRequest {
        envelope: Some(envelope),
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.map(log_id_to),
        entries: request.entries.iter().map(entry_to).collect(),
        committed: request.leader_commit.map(log_id_to),
    }
}

pub(super) fn append_from(
    request: pb::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Status> {
    let entries: Vec<Entry> = request
        .entries
        .into_iter()
        .map(entry_from)
        .collect::<Result<_, _>>()?;
    let previous = request.previous.map(log_id_from);
    let mut next = previous.map(|id| id.index + 1);
    for entry in &entries {
        if next.is_some_and(|next| next != entry.log_id.index) {
            return Err(Status::invalid_argument("entries are not consecutive"));
        }
        next = Some(entry.log_id.index + 1);
    }
    Ok(AppendEntriesRequest {
        vote: vote_from(request.vote)?,
        prev_log_id: previous,
        entries,
        leader_commit: request.committed.map(log_id_from),
    })
}

pub(super) fn append_result_to(result: AppendResult) -> pb::AppendResponse {
    use pb::append_response::{Matching, Result as Wire};
    let result = match result {
        Ok(last) => Wire::Matching(Matching {
            last: last.map(log_id_to),
        }),
        Err(StreamAppendError::Conflict(id)) => Wire::Conflict(log_id_to(id)),
        Err(StreamAppendError::HigherVote(vote)) => Wire::Higher(vote_to(&vote)),
    };
    pb::AppendResponse {
        result: Some(result),
    }
}

pub(super) fn append_result_from(response: pb::AppendResponse) -> Result<AppendResult, Status> {
    use pb::append_response::Result as Wire;
    match response.result {
        Some(Wire::Matching(matching)) => Ok(Ok(matching.last.map(log_id_from))),
        Some(Wire::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(log_id_from(id)))),
        Some(Wire::Higher(vote)) => Ok(Err(StreamAppendError::HigherVote(vote_from(Some(vote))?))),
        None => Err(Status::internal("append response without a result")),
    }
}

pub(super) fn vote_request_to(
    envelope: pb::Envelope,
    request: &VoteRequest<TypeConfig>,
    pre_vote: bool,
) -> pb::VoteRequest {
    pb::VoteRequest {
        envelope: Some(envelope),
        vote: Some(vote_to(&request.vote)),
        last: request.last_log_id.map(log_id_to),
        transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub(super) fn vote_request_from(
    request: pb::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, Status> {
    let mut vote = VoteRequest::new(vote_from(request.vote)?, request.last.map(log_id_from));
    vote.leadership_transfer = request.transfer;
    Ok(vote)
}

pub(super) fn vote_response_to(response: &VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote_to(&response.vote)),
        last: response.last_log_id.map(log_id_to),
        granted: response.vote_granted,
    }
}

pub(super) fn vote_response_from(
    response: pb::VoteResponse,
) -> Result<VoteResponse<TypeConfig>, Status> {
    let vote = vote_from(response.vote)?;
    Ok(VoteResponse::new(
        vote,
        response.last.map(log_id_from),
        response.granted,
    ))
}

pub(super) fn transfer_to(
    envelope: pb::Envelope,
    request: &TransferLeaderRequest<TypeConfig>,
) -> pb::TransferLeaderRequest {
    pb::TransferLeaderRequest {
        envelope: Some(envelope),
        from: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().copied().map(log_id_to),
    }
}

pub(super) fn transfer_from(
    request: pb::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Status> {
    let from = vote_from(request.from)?;
    Ok(TransferLeaderRequest::new(
        from,
        request.to,
        request.last.map(log_id_from),
    ))
}

/// 16 bytes, as the envelope carries them.
pub(crate) fn cluster_to(cluster: u128) -> Bytes {
    Bytes::copy_from_slice(&cluster.to_be_bytes())
}
