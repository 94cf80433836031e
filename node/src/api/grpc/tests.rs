//! Statuses of the services that take records in, and the room that they take.

use std::time::Duration;

use axum::http;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hushlog_proto::hushlog::v1::push_ack::Outcome;
use hushlog_proto::hushlog::v1::query_server::Query;
use hushlog_proto::hushlog::v1::{
    GetExceptionRequest, LogRecord, PushAck, PushRequest, PushResponse,
};
use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::logs::v1::{self as otel, ResourceLogs, ScopeLogs};
use hyper::body::Frame;
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tower::ServiceExt;

use super::{ingest, otlp, query};
use crate::api::Api;
use crate::api::http::tests::{
    BODY_BYTES_MAX, Fake, VALUES, api, api_taking, check, otlp as otlp_request,
};
use crate::tasks::Tasks;

const MEMORY: usize = 1 << 20;

/// The methods that take records in.
#[derive(Clone, Copy, Debug)]
enum Method {
    Push,
    PushStream,
    Export,
}

const METHODS: [Method; 3] = [Method::Push, Method::PushStream, Method::Export];

/// A message as it is framed on the wire.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("small"));
    frame.put_slice(message);
    frame.freeze()
}

/// The code of the answer, and its first message.
async fn call(api: &Api, method: Method, body: Body) -> (Code, Bytes) {
    let request = http::Request::post(format!("/service/{method:?}"))
        .header("content-type", "application/grpc")
        .body(body)
        .expect("a request");
    let response = match method {
        Method::Push | Method::PushStream => {
            let service = ingest::Service::new(api.clone(), Tasks::new());
            service.oneshot(request).await
        }
        Method::Export => otlp::Service::new(api.clone()).oneshot(request).await,
    };
    let (parts, body) = response.expect("infallible").into_parts();
    let body = body.collect().await.expect("an answer");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = trailers
        .get("grpc-status")
        .or_else(|| parts.headers.get("grpc-status"));
    let code = Code::from_bytes(status.expect("a status").as_bytes());
    let bytes = body.to_bytes();
    (code, bytes.slice(bytes.len().min(5)..))
}

fn message(method: Method, records: usize, text: &str) -> Vec<u8> {
    match method {
        Method::Push | Method::PushStream => {
            let record = LogRecord {
                message: text.into(),
                ..LogRecord::default()
            };
            let request = PushRequest {
                producer_id: "p".into(),
                records: vec![record; records],
                ..PushRequest::default()
            };
            request.encode_to_vec()
        }
        Method::Export => {
            let record = otel::LogRecord {
                event_name: text.into(),
                ..otel::LogRecord::default()
            };
            let logs = ScopeLogs {
                log_records: vec![record; records],
                ..ScopeLogs::default()
            };
            let logs = ResourceLogs {
                scope_logs: vec![logs],
                ..ResourceLogs::default()
            };
            let request = ExportLogsServiceRequest {
                resource_logs: vec![logs],
            };
            request.encode_to_vec()
        }
    }
}

async fn send(api: &Api, method: Method, message: &[u8]) -> (Code, Bytes) {
    let body = Body::new(http_body_util::Full::new(framed(message)));
    call(api, method, body).await
}

#[tokio::test]
async fn records_are_taken_and_all_room_is_given_back() {
    for method in METHODS {
        let api = api(Fake::default(), MEMORY);
        let (code, answer) = send(&api, method, &message(method, 3, "m")).await;
        assert_eq!(code, Code::Ok, "{method:?}");
        if let Method::Push = method {
            let answer = PushResponse::decode(answer).expect("an answer");
            assert_eq!((answer.accepted, answer.rejected), (3, 0));
        }
        tokio::task::yield_now().await;
        let all = api.gateway.admission().take(MEMORY);
        assert!(all.is_ok(), "{method:?}");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_exhausts_a_resource() {
    for method in METHODS {
        let api = api(Fake::default(), MEMORY);
        let long = message(method, 1, &"m".repeat(BODY_BYTES_MAX));
        let (code, _) = send(&api, method, &long).await;
        assert_eq!(code, Code::ResourceExhausted, "{method:?}");
    }
}

#[tokio::test]
async fn a_small_message_of_many_records_exhausts_a_resource() {
    for method in [Method::Push, Method::Export] {
        let api = api(Fake::default(), MEMORY);
        let many = message(method, BODY_BYTES_MAX / 2 - 20, "");
        assert!(many.len() < BODY_BYTES_MAX, "{}", many.len());
        let (code, _) = send(&api, method, &many).await;
        assert_eq!(code, Code::ResourceExhausted, "{method:?}");
    }
}

#[tokio::test]
async fn an_export_of_which_nothing_is_taken_is_an_invalid_argument() {
    for (records, code) in [(0, Code::Ok), (2, Code::InvalidArgument)] {
        let api = api_taking(Fake::default(), (32 << 20, 8 << 20), |_| {});
        let long = message(Method::Export, records, &"m".repeat((1 << 20) + 1));
        let (got, _) = send(&api, Method::Export, &long).await;
        assert_eq!(got, code);
    }
}

#[tokio::test]
async fn what_is_no_request_is_an_invalid_argument() {
    for method in METHODS {
        let api = api(Fake::default(), MEMORY);
        let (code, _) = send(&api, method, b"\x0a\xff").await;
        assert_eq!(code, Code::InvalidArgument, "{method:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_over_its_rate_limit_is_told_to_come_again() {
    for method in METHODS {
        let api = api(Fake::limiting(1), MEMORY);
        let (code, _) = send(&api, method, &message(method, 20, "m")).await;
        assert_eq!(code, Code::Ok, "{method:?}");
        let (code, answer) = send(&api, method, &message(method, 1, "n")).await;
        if let Method::PushStream = method {
            let ack = PushAck::decode(answer).expect("an answer");
            let Some(Outcome::Failure(failure)) = ack.outcome else {
                panic!("it was let in");
            };
            assert_eq!(
                (&*failure.code, failure.retry_after_ms),
                ("rate_limited", 15_000)
            );
        } else {
            assert_eq!(code, Code::Unavailable, "{method:?}");
        }
    }
}

#[tokio::test]
async fn a_body_without_room_is_refused_before_it_ends() {
    for method in METHODS {
        let api = api(Fake::default(), MEMORY);
        let _others = api
            .gateway
            .admission()
            .take(MEMORY - (16 << 10))
            .expect("room");
        let announced = framed(&vec![0; BODY_BYTES_MAX]).slice(..32 << 10);
        let endless =
            stream::iter([Ok::<_, tonic::Status>(Frame::data(announced))]).chain(stream::pending());
        let answer = call(&api, method, Body::new(StreamBody::new(endless)));
        let (code, _) = tokio::time::timeout(Duration::from_secs(5), answer)
            .await
            .expect("refused at once");
        assert_eq!(code, Code::Unavailable, "{method:?}");
    }
}

/// Names of nested members, over both services and as a stream.
#[tokio::test]
async fn nested_names_are_masked() {
    use hushlog_proto::hushlog::v1::FieldValue;
    use hushlog_proto::hushlog::v1::field_value::Kind;

    for (value, rest) in VALUES {
        let json = format!(r#"{{"{value}":{{"last_login":1}},"list":[{{"a.{value}.n1":1}}]}}"#);
        let field = |kind| FieldValue { kind: Some(kind) };
        let record = LogRecord {
            message: "kx".into(),
            fields: [
                ("users".to_owned(), field(Kind::JsonValue(json))),
                (format!("flat.{value}.n1"), field(Kind::IntValue(1))),
            ]
            .into(),
            ..LogRecord::default()
        };
        let push = PushRequest {
            producer_id: "p".into(),
            records: vec![record],
            ..PushRequest::default()
        };
        for method in METHODS {
            let message = match method {
                Method::Push | Method::PushStream => push.encode_to_vec(),
                Method::Export => otlp_request(value).encode_to_vec(),
            };
            let fake = Fake::default();
            let records = fake.records();
            let api = api(fake, MEMORY);
            let (code, _) = send(&api, method, &message).await;
            assert_eq!(code, Code::Ok, "{method:?}");
            check(&format!("{method:?} {value}"), &records.lock(), rest);
        }
    }
}

#[tokio::test]
async fn an_exception_keeps_its_nanoseconds_and_one_that_was_never_seen_is_not_found() {
    let service = query::Service::new(api(Fake::default(), MEMORY));
    let ask = async |id: &str, window: &str| {
        let request = GetExceptionRequest {
            exception_id: id.into(),
            window: window.into(),
        };
        service.get_exception(tonic::Request::new(request)).await
    };
    let seen = ask("0000000000000001", "90s").await.expect("it was seen");
    let seen = seen.into_inner().exception.expect("an exception");
    assert_eq!(seen.count, 3);
    assert_eq!(seen.first_seen, "2026-01-02T03:04:05.000000001Z");
    assert_eq!(seen.last_seen, "2026-01-02T03:04:05.123456789Z");
    for (id, window, code) in [
        ("0000000000000002", "", Code::NotFound),
        ("xyz", "", Code::InvalidArgument),
        ("0000000000000001", "59s", Code::InvalidArgument),
    ] {
        let refused = ask(id, window).await.expect_err("it is none");
        assert_eq!(refused.code(), code, "{id} {window}");
    }
}
