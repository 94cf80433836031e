//! `hushlog.v1.Ingest`.

use std::pin::Pin;

use hushlog_ingest::json::{Rejected, Shape, TOO_LARGE};
use hushlog_proto::hushlog::v1::ingest_server::Ingest;
use hushlog_proto::hushlog::v1::push_ack::Outcome;
use hushlog_proto::hushlog::v1::{
    PushAck, PushFailure, PushRequest, PushResponse, Receipt, RecordError,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{convert, isolated};
use crate::api::{Api, Failure, Kind};
use crate::gateway::{Batch, Key, Pushed, full};
use crate::limits::{PRODUCER_BYTES_MAX, PUSH_STREAM_WINDOW};
use crate::tasks::{Policy, Tasks};

/// The service.
pub(super) struct Service {
    api: Api,
    tasks: Tasks,
}

impl Service {
    pub(super) fn new(api: Api, tasks: Tasks) -> Self {
        Self { api, tasks }
    }
}

#[tonic::async_trait]
impl Ingest for Service {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        isolated(&self.api, take(&self.api, request.into_inner()))
            .await
            .map(Response::new)
    }

    type PushStreamStream = Pin<Box<dyn Stream<Item = Result<PushAck, Status>> + Send>>;

    /// One batch after the other, so that a producer's batches keep their order.
    async fn push_stream(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Self::PushStreamStream>, Status> {
        let (acks, outgoing) = mpsc::channel(PUSH_STREAM_WINDOW);
        let api = self.api.clone();
        let mut incoming = request.into_inner();
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
                    Some(Ok(request)) => Ok(acknowledge(&api, request).await),
                    Some(Err(status)) => Err(status),
                };
                let last = ack.is_err();
                if acks.send(ack).await.is_err() || last {
                    return Ok(());
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

async fn acknowledge(api: &Api, request: PushRequest) -> PushAck {
    let (producer_id, sequence) = (request.producer_id.clone(), request.sequence);
    let outcome = match isolated_take(api, request).await {
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
    PushAck {
        producer_id,
        sequence,
        outcome: Some(outcome),
    }
}

async fn isolated_take(api: &Api, request: PushRequest) -> Result<PushResponse, Failure> {
    use futures_util::FutureExt;
    let work = std::panic::AssertUnwindSafe(take(api, request)).catch_unwind();
    work.await
        .unwrap_or_else(|_| Err(Failure::new(Kind::Internal, "an internal error")))
}

async fn take(api: &Api, request: PushRequest) -> Result<PushResponse, Failure> {
    if request.producer_id.len() > PRODUCER_BYTES_MAX {
        let message = format!("producer_id must be at most {PRODUCER_BYTES_MAX} bytes");
        return Err(Failure::new(Kind::InvalidArgument, message));
    }
    if request.records.is_empty() {
        return Err(Failure::new(
            Kind::EmptyBody,
            "there is no record in the request",
        ));
    }
    let permit = api
        .gateway
        .admission()
        .take(request.encoded_len())
        .map_err(|_| full())?;
    let key = (!request.producer_id.is_empty())
        .then(|| Key::of_producer(&request.producer_id, request.sequence));
    let records = request.records;
    let batch = Batch {
        source: Box::new(move |_, each| {
            for (index, record) in records.into_iter().enumerate() {
                let raw = convert::raw(record);
                let oversize = raw.is_oversize();
                each(if oversize {
                    Err(Rejected {
                        index,
                        reason: TOO_LARGE,
                    })
                } else {
                    Ok(raw)
                });
            }
            Ok(Shape::Array)
        }),
        service: request.service_name,
        environment: request.environment,
        key,
    };
    let pushed = api.gateway.push(batch, permit).await?;
    Ok(response(pushed, request.receipt))
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
