//! `hushlog.v1.Ingest`.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::http;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_ingest::json::{Each, Shape};
use hushlog_proto::hushlog::v1::ingest_server::SERVICE_NAME;
use hushlog_proto::hushlog::v1::push_ack::Outcome;
use hushlog_proto::hushlog::v1::{
    LogRecord, PushAck, PushFailure, PushRequest, PushResponse, Receipt, RecordError,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use super::raw::{Intake, Unary, exhausted, exhausted_answer, grpc, metered, unimplemented};
use super::{convert, fitted, isolated};
use crate::api::hand::Hand;
use crate::api::{Api, Failure, Kind, protobuf};
use crate::gateway::{Batch, Permit, Pushed, Room, Way};
use crate::limits::{ENCODED_RECORD_BYTES_MAX, PRODUCER_BYTES_MAX, PUSH_STREAM_WINDOW};
use crate::tasks::{Policy, Tasks};

/// Number of the records' field in a request.
const RECORDS: u64 = 5;

/// The service.
#[derive(Clone)]
pub(super) struct Service {
    api: Api,
    tasks: Tasks,
}

impl Service {
    pub(super) fn new(api: Api, tasks: Tasks) -> Self {
        Self { api, tasks }
    }
}

impl NamedService for Service {
    const NAME: &'static str = SERVICE_NAME;
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { api, tasks } = self.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default();
            let answer = match method {
                "Push" => {
                    let request = metered(&api, Way::Grpc, request);
                    grpc(&api).unary(Unary(push(&api)), request).await
                }
                "PushStream" => {
                    let request = metered(&api, Way::Grpc, request);
                    let streaming = PushStream {
                        api: api.clone(),
                        tasks,
                    };
                    grpc(&api).streaming(streaming, request).await
                }
                _ => unimplemented(),
            };
            Ok(exhausted_answer(answer))
        })
    }
}

type Answer = BoxFuture<'static, Result<PushResponse, Status>>;

fn push(api: &Api) -> impl FnMut(Bytes, Permit) -> Answer + use<> {
    let api = api.clone();
    move |message, permit| {
        let api = api.clone();
        Box::pin(async move {
            let work = async { take(&api, envelope(&message)?, message, permit).await };
            isolated(&api, work).await
        })
    }
}

struct PushStream {
    api: Api,
    tasks: Tasks,
}

impl StreamingService<Bytes> for PushStream {
    type Response = PushAck;
    type ResponseStream = ReceiverStream<Result<PushAck, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, mut request: Request<Streaming<Bytes>>) -> Self::Future {
        let (acks, outgoing) = mpsc::channel(PUSH_STREAM_WINDOW);
        let answer = match request.extensions_mut().remove::<Intake>() {
            Some(intake) => {
                self.spawn(request.into_inner(), intake, acks);
                Ok(Response::new(ReceiverStream::new(outgoing)))
            }
            None => Err(Status::internal("a request came without its room")),
        };
        Box::pin(async move { answer })
    }
}

impl PushStream {
    /// Answers one batch after the other, so that a producer's batches keep their order.
    fn spawn(
        &self,
        mut incoming: Streaming<Bytes>,
        intake: Intake,
        acks: mpsc::Sender<Result<PushAck, Status>>,
    ) {
        let api = self.api.clone();
        let stop = self.tasks.stop_token();
        self.tasks.spawn("push stream", Policy::Isolated, async move {
            loop {
                let next = tokio::select! {
                    biased;
                    () = stop.cancelled() => Some(Err(Status::unavailable("the node is shutting down"))),
                    next = incoming.next() => next,
                };
                let ack = match next {
                    None => return Ok::<(), String>(()),
                    Some(Ok(message)) => acknowledge(&api, message, intake.take()).await,
                    Some(Err(status)) => Err(exhausted(status)),
                };
                let last = ack.is_err();
                if acks.send(ack).await.is_err() || last {
                    return Ok(());
                }
            }
        });
    }
}

/// A request without its records.
fn envelope(message: &[u8]) -> Result<PushRequest, Failure> {
    protobuf::without(message, RECORDS, ENCODED_RECORD_BYTES_MAX)
        .map_err(malformed)?
        .ok_or_else(|| {
            let message = format!(
                "what a request says beside its records is larger than {ENCODED_RECORD_BYTES_MAX} bytes"
            );
            Failure::new(Kind::TooLarge, message)
        })
}

fn malformed<E>(_: E) -> Failure {
    Failure::new(Kind::InvalidBody, "the message is not a PushRequest")
}

/// An error ends the stream: without an envelope nobody could be answered.
async fn acknowledge(api: &Api, message: Bytes, permit: Permit) -> Result<PushAck, Status> {
    let request = envelope(&message)?;
    let (producer_id, sequence) = (request.producer_id.clone(), request.sequence);
    let outcome = match isolated_take(api, request, message, permit).await {
        Ok(response) => Outcome::Response(response),
        Err(failure) => {
            let wait = failure.retry_after().unwrap_or_default();
            Outcome::Failure(PushFailure {
                code: failure.kind.code().into(),
                message: failure.message,
                retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            })
        }
    };
    Ok(PushAck {
        producer_id,
        sequence,
        outcome: Some(outcome),
    })
}

async fn isolated_take(
    api: &Api,
    request: PushRequest,
    message: Bytes,
    permit: Permit,
) -> Result<PushResponse, Failure> {
    use futures_util::FutureExt;
    let work = std::panic::AssertUnwindSafe(take(api, request, message, permit)).catch_unwind();
    work.await
        .unwrap_or_else(|_| Err(Failure::new(Kind::Internal, "an internal error")))
}

/// Takes the records of `message` in; `request` is all that it says beside them.
async fn take(
    api: &Api,
    request: PushRequest,
    message: Bytes,
    permit: Permit,
) -> Result<PushResponse, Failure> {
    if request.producer_id.len() > PRODUCER_BYTES_MAX {
        let message = format!("producer_id must be at most {PRODUCER_BYTES_MAX} bytes");
        return Err(Failure::new(Kind::InvalidArgument, message));
    }
    let permit = fitted(api, Way::Grpc, permit, message.len())?;
    let key = (!request.producer_id.is_empty()).then(|| {
        let gateway = &api.gateway;
        gateway.key_of_producer(&request.producer_id, request.sequence)
    });
    let batch = Batch {
        way: Way::Grpc,
        source: Box::new(move |room, each| records(&message, room, each)),
        service: request.service_name,
        environment: request.environment,
        key,
        bytes: 0,
    };
    let pushed = api.gateway.push(batch, permit).await?;
    Ok(response(pushed, request.receipt))
}

fn records(message: &[u8], room: &mut Room<'_>, each: Each<'_>) -> Result<Shape, Failure> {
    let mut hand = Hand::new(room, each);
    for record in protobuf::parts(message, RECORDS) {
        let record = record.map_err(malformed)?;
        if record.len() > ENCODED_RECORD_BYTES_MAX {
            hand.sent(|| record);
            hand.reject();
            continue;
        }
        let record = LogRecord::decode(record).map_err(malformed)?;
        hand.sent(|| convert::repeatable(&record));
        hand.over(record.message.len(), || convert::raw(record))?;
    }
    Ok(Shape::Array)
}

fn response(pushed: Pushed, with_receipts: bool) -> PushResponse {
    let receipts = if with_receipts {
        pushed.receipts
    } else {
        Vec::new()
    };
    PushResponse {
        accepted: pushed.accepted as u64,
        rejected: pushed.rejected as u64,
        pii_detected: pushed.pii.into_iter().collect(),
        errors: pushed
            .rejections
            .iter()
            .map(|rejected| RecordError {
                index: rejected.index as u64,
                reason: rejected.reason.into(),
            })
            .collect(),
        receipts: receipts
            .iter()
            .map(|receipt| Receipt {
                shard: receipt.shard.to_string(),
                seq: receipt.seq,
                copies: receipt.copies,
                policy_epoch: receipt.policy_epoch,
            })
            .collect(),
    }
}
