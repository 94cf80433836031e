//! What this node does for the others: runs plans on its replicas, hands out files of segments and
//! the cluster's secret.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream};
use hushlog_pii::Count;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_server::{Node, NodeServer};
use hushlog_proto::hushlog::internal::v1::shard_result::Outcome;
use hushlog_raft::ReadError;
use hushlog_record::{GroupId, ShardId};
use hushlog_storage::manifest::{FileMeta, Manifest, SegmentMeta};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::agreed::Agreed;
use super::compare::{Digester, digests_of};
use super::doubts::lacks_descriptors;
use super::execute::{Asked, Refusal, leader_deadline};
use super::files::{CHUNK_BYTES, next_chunk, open_at, piece};
use super::held::Held;
use super::question::{Question, Reply};
use super::replica::{Error, Replica};
use super::sealed::SealedReplica;
use super::secret::Secret;
use super::{Cluster, MESSAGE_BYTES_MAX, removed};
use crate::offload::Offload;

/// The service of this node.
pub(crate) fn service(cluster: Cluster, secret: Secret) -> NodeServer<impl Node> {
    let server = NodeServer::new(Service { cluster, secret });
    server
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

struct Service {
    cluster: Cluster,
    secret: Secret,
}

/// Runs what may wait for the disk on the threads for it.
async fn on_disk<R: Send + 'static>(
    disk: &Offload,
    work: impl FnOnce() -> Result<R, Status> + Send + 'static,
) -> Result<R, Status> {
    let done = disk.run(work).await;
    done.unwrap_or_else(|error| Err(Status::unavailable(error.to_string())))
}

/// The segment of this range, if the manifest here lists it, or did until a moment ago.
fn segment_of(held: &Held, range: Range<u64>) -> Result<Option<SegmentMeta>, Status> {
    let mut segments = held.manifest().map_err(damaged)?.segments.into_iter();
    let listed = segments.find(|segment| (segment.from..segment.to) == range);
    Ok(listed.or_else(|| match held {
        Held::Open(replica) => replica.retired(&range),
        Held::Sealed(_) => None,
    }))
}

/// The segment of this range, or the merged one that holds it.
fn segment_over(held: &Held, range: Range<u64>) -> Result<Option<SegmentMeta>, Status> {
    if let Some(exact) = segment_of(held, range.clone())? {
        return Ok(Some(exact));
    }
    let mut segments = held.manifest().map_err(damaged)?.segments.into_iter();
    Ok(segments.find(|segment| segment.from <= range.start && range.end <= segment.to))
}

/// What cannot be read, as far as it is not for want of descriptors.
fn damaged(error: Error) -> Status {
    if lacks_descriptors(&error) {
        return Status::resource_exhausted(error.to_string());
    }
    Status::data_loss(error.to_string())
}

/// A sealed shard in pieces: the manifest with the first, the request keys over all of them.
fn pieces(replica: &SealedReplica) -> Result<Vec<pb::SealedShardPiece>, Status> {
    let sealed = replica.stored().map_err(damaged)?;
    let keys = replica.request_keys().map_err(damaged)?;
    let keys = keys.map(|keys| keys.to_bytes()).unwrap_or_default();
    let mut pieces = vec![pb::SealedShardPiece {
        segmented_to: sealed.segmented_to,
        manifest: sealed.manifest,
        keys: Bytes::new(),
    }];
    pieces.extend((0..keys.len()).step_by(CHUNK_BYTES).map(|from| {
        let keys = keys.slice(from..keys.len().min(from + CHUNK_BYTES));
        pb::SealedShardPiece {
            keys,
            ..Default::default()
        }
    }));
    Ok(pieces)
}

impl Service {
    fn held(&self, group: GroupId) -> Result<Held, Status> {
        ShardId::from_group(group)
            .and_then(|shard| self.cluster.replicas().held(shard))
            .ok_or_else(|| Status::not_found("the shard is not on this node"))
    }

    /// The replica of an open shard.
    fn open(&self, group: GroupId) -> Result<Arc<Replica>, Status> {
        match self.held(group)? {
            Held::Open(replica) => Ok(replica),
            Held::Sealed(_) => Err(Status::failed_precondition("the shard is sealed here")),
        }
    }

    /// The replica of an open shard, if what it has counts.
    fn trusted(&self, group: GroupId) -> Result<Arc<Replica>, Status> {
        let replica = self.open(group)?;
        if replica.is_wrong() {
            let why = "this replica has applied other entries and is opened anew";
            return Err(Status::failed_precondition(why));
        }
        Ok(replica)
    }

    /// The digest of these entries of a log, however many bytes they have, read a piece at a time; none if not all
    /// are applied and whole here.
    async fn log_digest(
        &self,
        replica: &Replica,
        range: Range<u64>,
    ) -> Result<Option<Vec<u8>>, Status> {
        let mut digester = Digester::default();
        let mut next = range.start;
        while next < range.end {
            let entries = replica.group.log_entries(next..range.end).await;
            let entries = entries.map_err(|error| damaged(error.into()))?;
            let Some(entries) = entries else {
                return Ok(None);
            };
            next = entries.range().end;
            let add = move || {
                digester.add(&entries);
                Ok(digester)
            };
            digester = on_disk(self.cluster.builder(), add).await?;
        }
        Ok((!range.is_empty()).then(|| digester.digest().to_vec()))
    }

    /// Whether a shard cannot answer because the cluster has dropped it, as far as is known here.
    fn is_dropped(&self, group: GroupId, refusal: &Refusal) -> bool {
        let facts = self.cluster.meta().state();
        matches!(refusal, Refusal::Unavailable(_))
            && ShardId::from_group(group).is_some_and(|shard| facts.is_dropped(shard))
    }

    async fn answer_committed(&self, shard: ShardId, asked: Asked<'_>) -> Result<Reply, Refusal> {
        let held = self.cluster.replicas().held(shard);
        match held.ok_or_else(|| Refusal::Unavailable("the shard is not here".into()))? {
            Held::Open(replica) if !replica.positions().closed => {
                let facts = self.cluster.meta().state();
                if asked.agreed.is_some() || facts.sealed.contains_key(&shard) {
                    // No leader will ever come: the asking node has others to ask.
                    let why = "this replica fell behind and is being restored";
                    return Err(Refusal::Unavailable(why.into()));
                }
                // Who asks has other replicas to try when no leader comes.
                let until = leader_deadline(asked.deadline);
                match replica.group.read_barrier(until).await {
                    Ok(()) => {}
                    // The leader has said: this replica is waited for as long as there is time.
                    Err(ReadError::Behind { read_to, .. }) => {
                        return self.cluster.answer_here(shard, asked, read_to).await;
                    }
                    Err(error) => return Err(Refusal::Unavailable(error.to_string())),
                }
            }
            // All that the shard will ever hold is here.
            Held::Open(_) | Held::Sealed(_) => {}
        }
        self.cluster.answer_here(shard, asked, 0).await
    }
}

#[tonic::async_trait]
impl Node for Service {
    async fn search(
        &self,
        request: Request<pb::ShardSearchRequest>,
    ) -> Result<Response<pb::ShardSearchResponse>, Status> {
        let request = request.into_inner();
        let question =
            Arc::new(Question::decode(&request.question).map_err(Status::invalid_argument)?);
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.into());
        let committed = request.committed;
        let account = self.cluster.account(request.question_id);
        let asked = Asked {
            question: &question,
            account: &account,
            agreed: None,
            deadline,
        };
        let shards = request.shards.into_iter().map(|position| async move {
            let agreed = position.finished.as_ref().map(Agreed::of_message);
            let agreed = agreed.transpose();
            let asked = Asked {
                agreed: agreed.as_ref().ok().and_then(Option::as_ref),
                ..asked
            };
            let outcome = match (ShardId::from_group(position.group), &agreed) {
                (None, _) => Err(Refusal::Unavailable("not a shard".into())),
                (Some(_), Err(reason)) => Err(Refusal::Unavailable(reason.clone())),
                (Some(shard), Ok(_)) if committed => self.answer_committed(shard, asked).await,
                (Some(shard), Ok(_)) => {
                    let read_to = position.applied_at_least;
                    self.cluster.answer_here(shard, asked, read_to).await
                }
            };
            let outcome = match outcome {
                Ok(reply) => Outcome::Reply(reply.encode().into()),
                Err(refusal) if self.is_dropped(position.group, &refusal) => Outcome::Dropped(true),
                Err(Refusal::Unavailable(reason)) => Outcome::Unavailable(reason),
                Err(Refusal::Dropped) => Outcome::Dropped(true),
                Err(Refusal::Busy(reason)) => Outcome::Busy(reason),
                Err(Refusal::Request(reason)) => Outcome::Refused(reason),
            };
            pb::ShardResult {
                group: position.group,
                outcome: Some(outcome),
            }
        });
        Ok(Response::new(pb::ShardSearchResponse {
            results: join_all(shards).await,
        }))
    }

    async fn segment_of(
        &self,
        request: Request<pb::SegmentOfRequest>,
    ) -> Result<Response<pb::SegmentOfResponse>, Status> {
        let request = request.into_inner();
        let held = self.held(request.group)?;
        let range = request.from..request.to;
        let failed = match &held {
            Held::Open(replica) => replica.has_failed_to_merge(&range),
            Held::Sealed(_) => false,
        };
        let look = move || segment_over(&held, range);
        let segment = on_disk(self.cluster.builder(), look).await?;
        let manifest = segment.map(|segment| Manifest::default().with(segment).encode());
        Ok(Response::new(pb::SegmentOfResponse {
            manifest: manifest.unwrap_or_default().into(),
            failed,
        }))
    }

    async fn compare_shard(
        &self,
        request: Request<pb::CompareShardRequest>,
    ) -> Result<Response<pb::CompareShardReply>, Status> {
        let request = request.into_inner();
        let replica = self.trusted(request.group)?;
        let mut reply = pb::CompareShardReply::default();
        if request.segments {
            let manifest = replica.manifest();
            let manifest = manifest.map_err(|error| damaged(error.into()))?;
            reply.segments = digests_of(&manifest.segments);
        }
        let digest = self.log_digest(&replica, request.from..request.to).await?;
        reply.log = digest.map(Bytes::from).unwrap_or_default();
        Ok(Response::new(reply))
    }

    async fn log_entries(
        &self,
        request: Request<pb::LogEntriesRequest>,
    ) -> Result<Response<pb::LogEntriesReply>, Status> {
        let request = request.into_inner();
        let replica = self.trusted(request.group)?;
        let entries = replica.group.log_entries(request.from..request.to).await;
        let entries = entries.map_err(|error| damaged(error.into()))?;
        let entries = entries.map(|entries| entries.stored().to_vec());
        Ok(Response::new(pb::LogEntriesReply {
            entries: entries.unwrap_or_default(),
        }))
    }

    type RequestKeysStream = BoxStream<'static, Result<pb::FileChunk, Status>>;

    async fn request_keys(
        &self,
        request: Request<pb::RequestKeysRequest>,
    ) -> Result<Response<Self::RequestKeysStream>, Status> {
        let held = self.held(request.into_inner().group)?;
        let encode = move || {
            let keys = held.request_keys().map_err(damaged)?;
            keys.map(|keys| keys.to_bytes())
                .ok_or_else(|| Status::failed_precondition("the shard is not closed here yet"))
        };
        let keys = on_disk(self.cluster.builder(), encode).await?;
        let pieces = (0..keys.len())
            .step_by(CHUNK_BYTES)
            .map(move |from| Ok(piece(keys.slice(from..keys.len().min(from + CHUNK_BYTES)))));
        Ok(Response::new(stream::iter(pieces).boxed()))
    }

    type SealedShardStream = BoxStream<'static, Result<pb::SealedShardPiece, Status>>;

    async fn sealed_shard(
        &self,
        request: Request<pb::SealedShardRequest>,
    ) -> Result<Response<Self::SealedShardStream>, Status> {
        let Held::Sealed(replica) = self.held(request.into_inner().group)? else {
            return Err(Status::failed_precondition("the shard is not sealed here"));
        };
        let pieces = on_disk(self.cluster.builder(), move || pieces(&replica)).await?;
        Ok(Response::new(
            stream::iter(pieces.into_iter().map(Ok)).boxed(),
        ))
    }

    type FetchFileStream = BoxStream<'static, Result<pb::FileChunk, Status>>;

    async fn fetch_file(
        &self,
        request: Request<pb::FetchFileRequest>,
    ) -> Result<Response<Self::FetchFileStream>, Status> {
        let request = request.into_inner();
        let held = self.held(request.group)?;
        let range = request.from..request.to;
        let (folder, disk) = (held.folder().to_path_buf(), self.cluster.builder().clone());
        let segment = on_disk(&disk, move || segment_of(&held, range)).await?;
        let segment = segment.filter(|segment| segment.edition == request.edition);
        let segment =
            segment.ok_or_else(|| Status::not_found("the segment is not on this node"))?;
        // The name comes from the manifest, never from the request: no path can be smuggled in.
        let file: &FileMeta = segment
            .file(&request.name)
            .map_err(|_| Status::not_found("no such file"))?;
        let path = folder.join(segment.folder_name()).join(&file.name);
        let offset = request.offset;
        let file = on_disk(&disk, move || open_at(&path, offset)).await?;
        let chunks = stream::try_unfold((file, disk), |(mut file, disk)| async move {
            let read = move || next_chunk(&mut file).map(|chunk| (chunk, file));
            let (chunk, file) = on_disk(&disk, read).await?;
            Ok(chunk.map(|chunk| (chunk, (file, disk))))
        });
        Ok(Response::new(chunks.boxed()))
    }

    async fn report(
        &self,
        _request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::NodeReport>, Status> {
        let cluster = self.cluster.clone();
        let report = on_disk(self.cluster.pool(), move || Ok(cluster.report())).await?;
        Ok(Response::new(report))
    }

    async fn spent(
        &self,
        request: Request<pb::SpentRequest>,
    ) -> Result<Response<pb::SpentReply>, Status> {
        self.cluster.learn_rates(request.into_inner());
        Ok(Response::new(pb::SpentReply {}))
    }

    async fn loads(
        &self,
        request: Request<pb::LoadsRequest>,
    ) -> Result<Response<pb::LoadsReply>, Status> {
        let (cluster, since) = (self.cluster.clone(), request.into_inner().since_bucket);
        let loads = on_disk(self.cluster.pool(), move || Ok(cluster.own_loads(since))).await?;
        Ok(Response::new(loads))
    }

    async fn ledger(
        &self,
        _request: Request<pb::LedgerRequest>,
    ) -> Result<Response<pb::LedgerReply>, Status> {
        let book = self.cluster.own_book().to_bytes(false).into();
        let found = |count: Count| pb::Finding {
            rule: count.name,
            masked: count.masked,
            observed: count.observed,
        };
        let findings = self.cluster.own_findings().into_iter().map(found).collect();
        Ok(Response::new(pb::LedgerReply {
            book,
            findings,
            shows_findings: true,
        }))
    }

    async fn join_secret(
        &self,
        request: Request<pb::JoinSecretRequest>,
    ) -> Result<Response<pb::JoinSecretResponse>, Status> {
        let pb::JoinSecretRequest {
            node_id,
            only_ask,
            cluster,
        } = request.into_inner();
        if !cluster.is_empty() && *cluster != self.secret.cluster.to_be_bytes() {
            return Err(Status::unavailable("this node is of another cluster"));
        }
        let facts = self.cluster.meta().state();
        if facts.is_removed(node_id) {
            return Err(Status::failed_precondition(removed(node_id)));
        }
        let mut peers = self.cluster.settings().peers.iter();
        if !facts.nodes.contains_key(&node_id) && !peers.any(|peer| peer.id == node_id) {
            return Err(Status::permission_denied(format!(
                "node {node_id} is not known here; let it in first: hushlog admin nodes add --id {node_id} \
                 --grpc HOST:PORT"
            )));
        }
        if only_ask {
            return Ok(Response::new(pb::JoinSecretResponse::default()));
        }
        Ok(Response::new(pb::JoinSecretResponse {
            secret: self.secret.to_bytes().into(),
        }))
    }
}
