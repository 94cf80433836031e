//! The gRPC interface: the same gateway and reader behind it, and the same validation.

mod convert;
mod ingest;
mod otlp;
mod query;
mod raw;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use hushlog_proto::DESCRIPTORS;
use hushlog_proto::hushlog::v1::query_server::QueryServer;
use tonic::codec::CompressionEncoding;
use tonic::service::RoutesBuilder;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::{Api, Failure, Kind};
use crate::gateway::{Full, Permit, Way, full};
use crate::limits::HEALTH_TICK;
use crate::tasks::{Policy, Tasks};

/// The services of the public interface could not be put together.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC descriptors cannot be served: {0}")]
pub struct Error(String);

/// Adds every public service.
pub async fn add_services(
    api: &Api,
    tasks: &Tasks,
    routes: &mut RoutesBuilder,
) -> Result<(), Error> {
    let ingest = ingest::Service::new(api.clone(), tasks.clone());
    let otlp = otlp::Service::new(api.clone());
    let query = QueryServer::new(query::Service::new(api.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let reflect = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflect()
        .build_v1()
        .map_err(|error| Error(error.to_string()))?;
    let v1alpha = reflect()
        .build_v1alpha()
        .map_err(|error| Error(error.to_string()))?;
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, api).await;
    follow_health(reporter, api.clone(), tasks);
    routes
        .add_service(ingest)
        .add_service(otlp)
        .add_service(query);
    routes
        .add_service(v1)
        .add_service(v1alpha)
        .add_service(health);
    Ok(())
}

/// Keeps `grpc.health.v1` saying what `/readyz` says.
fn follow_health(reporter: HealthReporter, api: Api, tasks: &Tasks) {
    let stop = tasks.stop_token();
    tasks.spawn("grpc health", Policy::Isolated, async move {
        loop {
            report(&reporter, &api).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok::<(), String>(()),
                () = tokio::time::sleep(HEALTH_TICK) => {}
            }
        }
    });
}

async fn report(reporter: &HealthReporter, api: &Api) {
    const SERVICES: [&str; 4] = [
        "",
        "hushlog.v1.Ingest",
        "hushlog.v1.Query",
        "opentelemetry.proto.collector.logs.v1.LogsService",
    ];
    let ready = api.control.ready().is_ok();
    let status = if ready {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// Makes the room of a message the size of the message.
fn fitted(api: &Api, way: Way, mut permit: Permit, bytes: usize) -> Result<Permit, Failure> {
    permit.shrink(bytes);
    match api.gateway.admission().grow(&mut permit, bytes) {
        Ok(()) => Ok(permit),
        Err(Full) => {
            let failure = full();
            api.gateway.turned_away(way, &failure);
            Err(failure)
        }
    }
}

/// Runs a handler; a panic becomes an answer.
async fn isolated<T>(
    api: &Api,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Status> {
    let outcome = AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("a handler panicked");
            Err(Failure::new(
                Kind::Internal,
                "an internal error; the log has more",
            ))
        });
    let code = outcome
        .as_ref()
        .err()
        .map_or(Code::Ok, |failure| failure.kind.grpc());
    let help = "gRPC requests answered.";
    let labels = [("code", code_name(code))];
    api.registry
        .counter("hushlog_node_grpc_requests_total", help, &labels)
        .increment();
    outcome.map_err(Status::from)
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
        _ => "other",
    }
}

/// How the server is set up against greedy or hostile clients.
pub fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(crate::limits::HTTP2_STREAMS_MAX)
        .http2_max_header_list_size(
            u32::try_from(crate::limits::HEADER_BYTES_MAX).unwrap_or(u32::MAX),
        )
        .http2_max_pending_accept_reset_streams(Some(crate::limits::HTTP2_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(crate::limits::HTTP2_REFUSALS_MAX))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
