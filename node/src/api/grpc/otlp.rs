//! `opentelemetry.proto.collector.logs.v1.LogsService`.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::http;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceResponse;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::logs_service_server::SERVICE_NAME;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;

use super::raw::{Unary, exhausted_answer, grpc, metered, unimplemented};
use super::{fitted, isolated};
use crate::api::http::otlp::{partial_success, taken};
use crate::api::{Api, Failure, Kind, otlp};
use crate::gateway::{Batch, Permit, Way};

/// The service.
#[derive(Clone)]
pub(super) struct Service {
    api: Api,
}

impl Service {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
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
        let api = self.api.clone();
        Box::pin(async move {
            if !request.uri().path().ends_with("/Export") {
                return Ok(unimplemented());
            }
            let request = metered(&api, Way::OtlpGrpc, request);
            let mut grpc = grpc(&api).send_compressed(CompressionEncoding::Gzip);
            Ok(exhausted_answer(
                grpc.unary(Unary(export(&api)), request).await,
            ))
        })
    }
}

type Answer = BoxFuture<'static, Result<ExportLogsServiceResponse, Status>>;

fn export(api: &Api) -> impl FnMut(Bytes, Permit) -> Answer + use<> {
    let api = api.clone();
    move |message, permit| {
        let api = api.clone();
        Box::pin(async move { isolated(&api, take(&api, message, permit)).await })
    }
}

async fn take(
    api: &Api,
    message: Bytes,
    permit: Permit,
) -> Result<ExportLogsServiceResponse, Failure> {
    let permit = fitted(api, Way::OtlpGrpc, permit, message.len())?;
    let batch = Batch {
        way: Way::OtlpGrpc,
        source: Box::new(move |room, each| otlp::read_protobuf(&message, room, each)),
        service: String::new(),
        environment: String::new(),
        key: None,
        bytes: 0,
    };
    match api.gateway.push(batch, permit).await.and_then(taken) {
        Ok(pushed) => Ok(ExportLogsServiceResponse {
            partial_success: partial_success(&pushed),
        }),
        // A request without records is no mistake in this protocol.
        Err(failure) if failure.kind == Kind::EmptyBody => Ok(ExportLogsServiceResponse::default()),
        Err(failure) => Err(failure),
    }
}
