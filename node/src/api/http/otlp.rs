//! `POST /v1/logs`: OpenTelemetry over HTTP, protobuf or JSON, answered in kind.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hushlog_ingest::body::Encoding;
use hushlog_proto::opentelemetry::proto::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message;
use serde_json::json;

use super::body::{Limits, read};
use super::ingest::{content_type, decoded, encodings, environment, service};
use super::{Api, Explained, Failure, Kind, receipts};
use crate::api::otlp;
use crate::gateway::{Batch, Pushed, Source, Way};

/// How the client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

/// `google.rpc.Status`, the body of every refusal.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Takes one export request.
pub(super) async fn logs(
    State(api): State<Api>,
    Query(asked): Query<receipts::Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let form = match content_type(&headers).as_str() {
        "application/x-protobuf" => Form::Protobuf,
        "application/json" => Form::Json,
        _ => {
            let message = "send Content-Type: application/x-protobuf or application/json";
            return Err(Failure::new(Kind::UnsupportedMediaType, message));
        }
    };
    let with_receipts = match form {
        Form::Protobuf => asked.refuse().map(|()| false),
        Form::Json => asked.wants(),
    };
    let with_receipts = match with_receipts {
        Ok(wanted) => wanted,
        Err(failure) => return Ok(refused(form, failure)),
    };
    Ok(match take(&api, form, &headers, body).await {
        Ok(pushed) => accepted(form, pushed.as_ref(), with_receipts),
        Err(failure) => refused(form, failure),
    })
}

/// `None` for a request without records, which is no mistake in this protocol.
async fn take(
    api: &Api,
    form: Form,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<Pushed>, Failure> {
    let encodings = encodings(headers)?;
    let limits = Limits {
        bytes_max: api.body_bytes_max,
        gateway: &api.gateway,
        way: Way::OtlpHttp,
    };
    let (body, permit) = read(body, headers, limits).await?;
    let batch = Batch {
        way: Way::OtlpHttp,
        source: source(form, body, encodings, api.body_bytes_max),
        service: service(headers),
        environment: environment(headers),
        key: None,
        bytes: 0,
    };
    match api.gateway.push(batch, permit).await.and_then(taken) {
        Ok(pushed) => Ok(Some(pushed)),
        Err(failure) if failure.kind == Kind::EmptyBody => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn source(form: Form, body: Bytes, encodings: Vec<Encoding>, limit: usize) -> Source {
    Box::new(move |room, each| {
        let decoded = decoded(room, &body, &encodings, limit)?;
        match form {
            Form::Json => otlp::read_json(&decoded, room, each),
            Form::Protobuf => otlp::read_protobuf(&decoded, room, each),
        }
    })
}

/// A request of which every record was rejected is a bad one: to send it again would change nothing.
pub(crate) fn taken(pushed: Pushed) -> Result<Pushed, Failure> {
    match pushed.rejections.first() {
        Some(first) if pushed.accepted == 0 => {
            let (rejected, reason) = (pushed.rejected, first.reason);
            let message = format!("nothing is stored, rejected records: {rejected}; {reason}");
            Err(Failure::new(Kind::InvalidBody, message))
        }
        _ => Ok(pushed),
    }
}

/// What an exporter learns about rejected records; nothing when there are none.
pub(crate) fn partial_success(pushed: &Pushed) -> Option<ExportLogsPartialSuccess> {
    let reason = pushed.rejections.first()?.reason;
    Some(ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(pushed.rejected).unwrap_or(i64::MAX),
        error_message: reason.into(),
    })
}

fn accepted(form: Form, pushed: Option<&Pushed>, with_receipts: bool) -> Response {
    let partial = pushed.and_then(partial_success);
    match form {
        Form::Protobuf => protobuf(
            ExportLogsServiceResponse {
                partial_success: partial,
            }
            .encode_to_vec(),
        ),
        Form::Json => {
            let mut body = match partial {
                None => json!({}),
                Some(partial) => json!({ "partialSuccess": {
                    "rejectedLogRecords": partial.rejected_log_records.to_string(),
                    "errorMessage": partial.error_message,
                }}),
            };
            if with_receipts {
                let receipts = pushed.map_or(&[][..], |pushed| &pushed.receipts);
                body["receipts"] = receipts::rendered(receipts);
            }
            super::json(axum::http::StatusCode::OK, &body)
        }
    }
}

fn refused(form: Form, failure: Failure) -> Response {
    let status = RpcStatus {
        code: failure.kind.grpc() as i32,
        message: failure.message.clone(),
    };
    let mut response = failure.into_response();
    response.extensions_mut().remove::<Failure>();
    response.extensions_mut().insert(Explained);
    let (kind, body) = match form {
        Form::Protobuf => ("application/x-protobuf", status.encode_to_vec()),
        Form::Json => {
            let body = json!({ "code": status.code, "message": status.message });
            ("application/json", body.to_string().into_bytes())
        }
    };
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
    response
}

fn protobuf(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
}
