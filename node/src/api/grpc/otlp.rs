//! `opentelemetry.proto.collector.logs.v1.LogsService`.

use hushlog_proto::opentelemetry::proto::collector::logs::v1::logs_service_server::LogsService;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message;
use tonic::{Request, Response, Status};

use super::isolated;
use crate::api::http::otlp::partial_success;
use crate::api::{Api, Failure, otlp};
use crate::gateway::{Batch, full};

/// The service.
pub(super) struct Service {
    api: Api,
}

impl Service {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        isolated(&self.api, take(&self.api, request.into_inner()))
            .await
            .map(Response::new)
    }
}

async fn take(
    api: &Api,
    request: ExportLogsServiceRequest,
) -> Result<ExportLogsServiceResponse, Failure> {
    if otlp::count(&request) == 0 {
        return Ok(ExportLogsServiceResponse::default());
    }
    let permit = api
        .gateway
        .admission()
        .take(request.encoded_len())
        .map_err(|_| full())?;
    let batch = Batch {
        source: Box::new(move |_, each| Ok(otlp::records(request, each))),
        service: String::new(),
        environment: String::new(),
        key: None,
    };
    let pushed = api.gateway.push(batch, permit).await?;
    Ok(ExportLogsServiceResponse {
        partial_success: partial_success(&pushed),
    })
}
