//! The leader's and the candidate's side: one client per group, target and purpose.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_record::{GroupId, NodeId};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::convert::{
    AppendResult, append_result_from, append_to, log_id_to, transfer_to, vote_from,
    vote_request_to, vote_response_from, vote_to,
};
use super::silence::Silence;
use super::{Connect, Lane};
use crate::codec::encode_stored_membership;
use crate::incarnation::Incarnations;
use crate::limits::{
    APPEND_DEADLINE, APPENDS_IN_FLIGHT_MAX, MESSAGE_BYTES_MAX, SNAPSHOT_DEADLINE,
    SNAPSHOT_PIECE_BYTES, TRANSFER_DEADLINE,
};
use crate::log_store::LogStore;
use crate::snapshot::Body;
use crate::types::{Peer, Snapshot, TypeConfig, Vote, next_index};

type Stub = pb::raft_client::RaftClient<tonic::transport::Channel>;
type RpcError = RPCError<TypeConfig>;

/// Pause of a client whose leader was deposed, or is silent.
const OVER_PAUSE: Duration = Duration::from_millis(50);

/// Makes the clients of one group.
pub(crate) struct Factory {
    pub(crate) cluster: Bytes,
    pub(crate) from: NodeId,
    pub(crate) group: GroupId,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) incarnations: Incarnations,
    /// The log of this replica, for the term that it is in.
    pub(crate) log: LogStore,
    pub(crate) silence: Silence,
}

impl Factory {
    fn client(&self, target: NodeId, peer: &Peer, lane: Lane) -> Client {
        let envelope = pb::Envelope {
            cluster: self.cluster.clone(),
            from: self.from,
            target,
            group: self.group,
            ..pb::Envelope::default()
        };
        let (connect, addr) = (Arc::clone(&self.connect), peer.addr.clone());
        Client {
            connect,
            addr,
            envelope,
            incarnations: self.incarnations.clone(),
            lane,
            log: self.log.clone(),
            silence: self.silence.clone(),
            term: self.log.term(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Client;

    async fn new_client(&mut self, target: NodeId, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Data)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: NodeId, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Bulk)
    }
}

/// Talks to one replica of one group.
pub(crate) struct Client {
    connect: Arc<dyn Connect>,
    addr: String,
    envelope: pb::Envelope,
    incarnations: Incarnations,
    lane: Lane,
    log: LogStore,
    silence: Silence,
    /// The term that it works for.
    term: u64,
}

/// A stub on a channel, with room for the largest message.
pub(super) fn stub(
    connect: &dyn Connect,
    node: NodeId,
    addr: &str,
    lane: Lane,
) -> Result<Stub, Status> {
    let stub = Stub::new(connect.channel(node, addr, lane)?);
    let stub = stub.max_decoding_message_size(MESSAGE_BYTES_MAX);
    Ok(stub.max_encoding_message_size(MESSAGE_BYTES_MAX))
}

impl Client {
    /// The envelope of a message that is sent now: what is known of the target may have changed.
    fn envelope(&self) -> pb::Envelope {
        self.incarnations.stamp(self.envelope.clone())
    }

    fn stub(&self, lane: Lane) -> Result<Stub, Status> {
        stub(&*self.connect, self.envelope.target, &self.addr, lane)
    }

    /// What a failed call means: a peer that cannot be reached is left alone for a while.
    fn failed(&self, action: RPCTypes, status: &Status) -> RpcError {
        match status.code() {
            Code::DeadlineExceeded => self.late(action, Duration::ZERO),
            _ => lost(status),
        }
    }

    fn late(&self, action: RPCTypes, timeout: Duration) -> RpcError {
        let (id, target) = (self.envelope.from, self.envelope.target);
        RPCError::Timeout(Timeout {
            action,
            id,
            target,
            timeout,
        })
    }

    async fn ask<T>(
        &self,
        action: RPCTypes,
        deadline: Duration,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, RpcError> {
        match timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(self.failed(action, &status)),
            Err(_) => Err(self.late(action, deadline)),
        }
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        pre_vote: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let message = vote_request_to(self.envelope(), request, pre_vote);
        let call = async {
            let answer = self.stub(Lane::Control)?.vote(message).await?;
            vote_response_from(answer.into_inner())
        };
        self.ask(RPCTypes::Vote, option.hard_ttl(), call).await
    }

    /// The appends of a leader that was deposed end with its term: the library would read its next ones from
    /// a log that another leader has meanwhile cut and written again. Those of a leader that falls silent
    /// end at once.
    fn while_leading<S>(&self, input: S) -> impl Stream<Item = S::Item> + Unpin + Send + use<S>
    where
        S: Stream + Unpin + Send,
    {
        let (log, silence, term) = (self.log.clone(), self.silence.clone(), self.term);
        let mut input = input;
        stream::poll_fn(move |context| {
            if log.term() > term || silence.holds(term) {
                Poll::Ready(None)
            } else {
                input.poll_next_unpin(context)
            }
        })
    }

    /// No answers, for no requests.
    fn ended() -> Result<BoxStream<'static, Result<AppendResult, RpcError>>, RpcError> {
        Ok(Box::pin(stream::empty()))
    }

    /// Why it must not speak as a leader now, if so. Waits a little then: the library asks again at once
    /// until it has learnt of it.
    async fn muted(&self) -> Option<Status> {
        let why = if self.log.term() > self.term {
            Status::aborted("the term of this leader is over")
        } else if self.silence.holds(self.term) {
            Status::unavailable("this leader is silent")
        } else {
            return None;
        };
        tokio::time::sleep(OVER_PAUSE).await;
        Some(why)
    }

    /// Sends appends one after the other without waiting for answers, a few at most on their way.
    ///
    /// Takes the first of them before it connects: after a failure the library pauses there, and a
    /// peer that refuses connections at once would be asked in a loop without it.
    async fn pipeline<S>(
        &self,
        input: S,
    ) -> Result<BoxStream<'static, Result<AppendResult, RpcError>>, RpcError>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let mut input = self.while_leading(input);
        let Some(first) = input.next().await else {
            return Self::ended();
        };
        let flight = Arc::new(Flight::new());
        let session = Session(Arc::clone(&flight));
        let input = Box::pin(stream::once(async move { first }).chain(input));
        let outbound = outbound(self.envelope(), input, Arc::clone(&flight));
        let call = async {
            let response = self.stub(Lane::Data)?.append(outbound).await?;
            Ok(response.into_inner())
        };
        let inbound = self
            .ask(RPCTypes::AppendEntries, APPEND_DEADLINE, call)
            .await?;
        let (id, target) = (self.envelope.from, self.envelope.target);
        let answers = Answers {
            inbound,
            flight,
            _session: session,
            id,
            target,
        };
        Ok(Box::pin(stream::unfold(Some(answers), Answers::step)))
    }
}

/// Appends that are sent and not answered.
struct Flight {
    room: Semaphore,
    sent: Mutex<VecDeque<Instant>>,
    over: Notify,
}

/// Ends the requests of a stream whose answers nobody reads any more. They share the library's state
/// with the next stream, and would take from it what they can only lose.
struct Session(Arc<Flight>);

impl Drop for Session {
    fn drop(&mut self) {
        self.0.over.notify_one();
    }
}

impl Flight {
    fn new() -> Self {
        Self {
            room: Semaphore::new(APPENDS_IN_FLIGHT_MAX),
            sent: Mutex::default(),
            over: Notify::new(),
        }
    }

    fn answered(&self) {
        self.sent.lock().pop_front();
        self.room.add_permits(1);
    }

    fn oldest(&self) -> Option<Instant> {
        self.sent.lock().front().copied()
    }
}

fn outbound<S>(
    envelope: pb::Envelope,
    input: S,
    flight: Arc<Flight>,
) -> impl Stream<Item = pb::AppendRequest> + Send + 'static
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    stream::unfold(
        (Some(input), envelope, flight),
        |(mut input, envelope, flight)| async move {
            let next = async {
                flight.room.acquire().await.ok()?.forget();
                input.as_mut()?.next().await
            };
            let request = tokio::select! {
                biased;
                () = flight.over.notified() => None,
                request = next => request,
            }?;
            flight.sent.lock().push_back(Instant::now());
            let message = append_to(envelope.clone(), &request);
            if lacks_entries(&request) {
                input = None;
            }
            Some((message, (input, envelope, flight)))
        },
    )
}

/// Whether entries are committed behind this append's place and none of them comes along: they have
/// been trimmed. The library would go on to send nothing from that place for as long as it is answered,
/// past the snapshot that brings its peer further; when the stream ends, it looks for what is due.
fn lacks_entries(request: &AppendEntriesRequest<TypeConfig>) -> bool {
    request.entries.is_empty() && request.leader_commit > request.prev_log_id
}

struct Answers {
    inbound: tonic::Streaming<pb::AppendResponse>,
    flight: Arc<Flight>,
    _session: Session,
    id: NodeId,
    target: NodeId,
}

impl Answers {
    /// The next answer, and the state to go on with unless it is the last.
    async fn step(state: Option<Self>) -> Option<(Result<AppendResult, RpcError>, Option<Self>)> {
        let mut this = state?;
        match this.next().await {
            Ok(None) => None,
            Ok(Some(Ok(last))) => Some((Ok(Ok(last)), Some(this))),
            Ok(Some(Err(refused))) => Some((Ok(Err(refused)), None)),
            Err(error) => Some((Err(error), None)),
        }
    }

    async fn next(&mut self) -> Result<Option<AppendResult>, RpcError> {
        loop {
            // While nothing is on its way there is nothing to be late; look again then.
            let wake = self.flight.oldest().unwrap_or_else(Instant::now) + APPEND_DEADLINE;
            match timeout_at(wake, self.inbound.message()).await {
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(response))) => {
                    self.flight.answered();
                    return append_result_from(response).map(Some).map_err(network);
                }
                Ok(Err(status)) => return Err(lost(&status)),
                Err(_) => {
                    let oldest = self.flight.oldest();
                    if oldest.is_some_and(|sent| sent + APPEND_DEADLINE <= Instant::now()) {
                        return Err(self.late());
                    }
                }
            }
        }
    }

    fn late(&self) -> RpcError {
        RPCError::Timeout(Timeout {
            action: RPCTypes::AppendEntries,
            id: self.id,
            target: self.target,
            timeout: APPEND_DEADLINE,
        })
    }
}

fn network(status: Status) -> RpcError {
    RPCError::Network(NetworkError::from_string(status))
}

/// A peer that cannot be reached is asked again only after a pause; `Unknown` is what a channel
/// without a connection says.
fn lost(status: &Status) -> RpcError {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::NotFound | Code::Unauthenticated => {
            RPCError::Unreachable(Unreachable::from_string(status))
        }
        _ => RPCError::Network(NetworkError::from_string(status)),
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = Body;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let message = append_to(self.envelope(), &request);
        let call = async {
            let answer = self.stub(Lane::Control)?.heartbeat(message).await?;
            append_result_from(answer.into_inner())
        };
        let answer = self
            .ask(RPCTypes::AppendEntries, option.hard_ttl(), call)
            .await?;
        let last = request
            .entries
            .last()
            .map(|entry| entry.log_id)
            .or(request.prev_log_id);
        Ok(match answer {
            Ok(matching) if next_index(matching.as_ref()) >= next_index(last.as_ref()) => {
                AppendEntriesResponse::Success
            }
            Ok(matching) => AppendEntriesResponse::PartialSuccess(matching),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<AppendResult, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            if let Some(why) = self.muted().await {
                return Err(lost(&why));
            }
            if self.lane != Lane::Control {
                return self.pipeline(input).await;
            }
            // A heartbeat: one request, one answer.
            let mut input = self.while_leading(input);
            let Some(request) = input.next().await else {
                return Self::ended();
            };
            let previous = request.prev_log_id;
            let last = request
                .entries
                .last()
                .map(|entry| entry.log_id)
                .or(previous);
            let answer = self.append_entries(request, option).await?;
            let answer = answer.into_stream_result(previous, last);
            let one: BoxStream<'s, _> = Box::pin(stream::once(async move { Ok(answer) }));
            Ok(one)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(&request, false, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(&request, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        if let Some(why) = self.muted().await {
            return Err(lost(&why).into());
        }
        let pieces = snapshot_pieces(&self.envelope(), &vote, &snapshot);
        let call = async {
            let pieces = pieces.map_err(|error| Status::data_loss(error.to_string()))?;
            let pieces = stream::iter(pieces);
            let answer = self.stub(Lane::Bulk)?.install_snapshot(pieces).await?;
            Ok(SnapshotResponse::new(vote_from(answer.into_inner().vote)?))
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = self.ask(RPCTypes::InstallSnapshot, SNAPSHOT_DEADLINE, call) => Ok(answer?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        use pb::transfer_leader_response::Refusal;
        let message = transfer_to(self.envelope(), &request);
        let call = async {
            let answer = self
                .stub(Lane::Control)?
                .transfer_leader(message)
                .await?
                .into_inner();
            Ok(match answer.refusal {
                None => Ok(()),
                Some(Refusal::VoteChanged(changed)) => Err(TransferLeaderError::VoteChanged {
                    expected: vote_from(changed.expected)?,
                    actual: vote_from(changed.actual)?,
                }),
                Some(Refusal::NotFlushed(behind)) => Err(TransferLeaderError::LogNotFlushed {
                    expected: behind.expected.map(super::convert::log_id_from),
                    actual: behind.actual.map(super::convert::log_id_from),
                }),
            })
        };
        self.ask(RPCTypes::TransferLeader, TRANSFER_DEADLINE, call)
            .await
    }
}

fn snapshot_pieces(
    envelope: &pb::Envelope,
    vote: &Vote,
    snapshot: &Snapshot,
) -> std::io::Result<Vec<pb::SnapshotRequest>> {
    let data = snapshot.snapshot.bytes()?;
    let mut pieces = vec![pb::SnapshotRequest {
        envelope: Some(envelope.clone()),
        vote: Some(vote_to(vote)),
        last: snapshot.meta.last_log_id.map(log_id_to),
        membership: encode_stored_membership(&snapshot.meta.last_membership).into(),
        bytes_total: data.len() as u64,
        data: Bytes::new(),
    }];
    let mut from = 0;
    while from < data.len() {
        let to = data.len().min(from + SNAPSHOT_PIECE_BYTES);
        pieces.push(pb::SnapshotRequest {
            data: data.slice(from..to),
            ..Default::default()
        });
        from = to;
    }
    Ok(pieces)
}
