//! Personal data in the names of nested members is masked on every way in over HTTP.

use hushlog_proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use hushlog_proto::opentelemetry::proto::common::v1::any_value::Value as Any;
use hushlog_proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList};
use hushlog_proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use hushlog_record::Record;
use prost::Message;

use super::super::{elastic_router, otlp_router};
use super::*;

/// Values, and what of each no mask leaves.
pub(crate) const VALUES: [(&str, &str); 7] = [
    ("jane.roe@example.com", "roe@"),
    ("123-45-6789", "123-45-6789"),
    ("4111111111111111", "4111111111111111"),
    ("+1 415-555-2671", "415-555"),
    ("93.184.216.34", "216.34"),
    ("2001:db8::1", "db8::1"),
    ("DE75512108001245126199", "512108001245"),
];

/// Whether a record was stored that has no value, and has names that say where one was.
pub(crate) fn check(what: &str, records: &[Record], rest: &str) {
    assert!(!records.is_empty(), "{what}: nothing is stored");
    for record in records {
        let names = record.fields.iter().map(|(name, _)| name);
        let texts = record.fields.iter().map(|(_, value)| &value.text);
        let all = names.chain(texts).chain([&record.message]);
        for text in all {
            assert!(!text.contains(rest), "{what}: {text}");
        }
        assert!(!record.pii.is_empty(), "{what}");
        let is_kept = |(name, _): &(String, hushlog_record::Value)| {
            name.ends_with("last_login") || name.ends_with("n1")
        };
        let is_text = record
            .fields
            .iter()
            .any(|(_, value)| value.text.contains("last_login"));
        let is_kept = record.fields.iter().any(is_kept);
        assert!(is_kept || is_text, "{what}: {:?}", record.fields);
    }
}

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Any::StringValue(text.into())),
    })
}

/// An attribute of members that are named so, one below the other.
fn attribute(names: &[&str]) -> KeyValue {
    let (first, rest) = names.split_first().expect("a name");
    let value = if rest.is_empty() {
        text("1")
    } else {
        let list = KeyValueList {
            values: vec![attribute(rest)],
        };
        Some(AnyValue {
            value: Some(Any::KvlistValue(list)),
        })
    };
    KeyValue {
        key: (*first).into(),
        value,
    }
}

/// A request of OTLP whose record and resource have the value among the names of their attributes.
pub(crate) fn otlp(value: &str) -> ExportLogsServiceRequest {
    let record = LogRecord {
        body: text("kx"),
        attributes: vec![
            attribute(&["users", value, "last_login"]),
            attribute(&["peers", "by", value, "n1", "n1"]),
            attribute(&[&format!("flat.{value}.n1")]),
        ],
        ..LogRecord::default()
    };
    let logs = ScopeLogs {
        log_records: vec![record],
        ..ScopeLogs::default()
    };
    let logs = ResourceLogs {
        scope_logs: vec![logs],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![logs],
    }
}

async fn stored(routes: fn(Api) -> axum::Router, request: Request<Body>) -> Vec<Record> {
    let fake = Fake::default();
    let records = fake.records();
    let response = routes(api(fake, 1 << 20)).oneshot(request).await;
    let status = response.expect("infallible").status();
    assert!(status.is_success(), "{status}");
    std::mem::take(&mut *records.lock())
}

#[tokio::test]
async fn nested_names_are_masked_on_every_way_in() {
    let ndjson = [("content-type", "application/x-ndjson")];
    let json = [JSON];
    let lines = [("content-type", "application/vnd.hushlog.lines+x-ndjson")];
    let protobuf = [("content-type", "application/x-protobuf")];
    for (value, rest) in VALUES {
        let nested = json!({"users": {value: {"last_login": 1}}, "message": "kx"});
        let document = nested.to_string();
        let custom =
            json!({"message": "kx", "fields": {"a": {value: 3}, "b": {"c": {value: {"n1": 4}}}}});
        let flat = json!({"message": "kx", format!("users.{value}.n1"): 3});
        let listed =
            json!({"message": "kx", "list": [{"users": {format!("a.{value}.last_login"): 3}}]});
        let quoted = json!({"message": document, "n1": 1});
        for record in [&nested, &custom, &flat, &listed, &quoted] {
            let body = record.to_string();
            let records = stored(router, post("/api/v1/logs", &json, body.clone())).await;
            check(&format!("JSON {body}"), &records, rest);
            let many = format!("{body}\n{body}\n");
            let records = stored(router, post("/api/v1/logs", &ndjson, many)).await;
            check(&format!("NDJSON {body}"), &records, rest);
            let action = json!({"create": {"_index": "logs"}});
            let bulk = format!("{action}\n{body}\n");
            for (routes, path) in [
                (router as fn(Api) -> axum::Router, "/es/_bulk"),
                (elastic_router, "/_bulk"),
            ] {
                let records = stored(routes, post(path, &ndjson, bulk.clone())).await;
                check(&format!("{path} {body}"), &records, rest);
            }
        }
        let records = stored(
            router,
            post("/api/v1/logs", &lines, json!(document).to_string()),
        )
        .await;
        check("a line of text", &records, rest);

        let metadata = json!({format!("users.{value}.last_login"): "1"});
        let labels = json!({"app": "pay", format!("users.{value}.n1"): "1"});
        for (what, stream, entry) in [
            (
                "a line",
                json!({"app": "pay"}),
                json!(["1700000000000000000", document]),
            ),
            (
                "metadata",
                json!({"app": "pay"}),
                json!(["1700000000000000000", "one", metadata]),
            ),
            ("labels", labels, json!(["1700000000000000000", "one"])),
        ] {
            let push = json!({"streams": [{"stream": stream, "values": [entry]}]});
            let request = post("/loki/api/v1/push", &json, push.to_string());
            let records = stored(router, request).await;
            check(&format!("Loki, {what} {value}"), &records, rest);
        }

        let bytes = otlp(value).encode_to_vec();
        for routes in [router as fn(Api) -> axum::Router, otlp_router] {
            let records = stored(routes, post("/v1/logs", &protobuf, bytes.clone())).await;
            check(&format!("OTLP {value}"), &records, rest);
            let list = |names: &str, inner: &str| {
                format!(r#"{{"key":"{names}","value":{{"kvlistValue":{{"values":[{inner}]}}}}}}"#)
            };
            let last = r#"{"key":"last_login","value":{"intValue":"1"}}"#;
            let attribute = list("users", &list(value, last));
            let body = format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"kx"}},"attributes":[{attribute}]}}]}}]}}]}}"#
            );
            let records = stored(routes, post("/v1/logs", &json, body)).await;
            check(&format!("OTLP in JSON {value}"), &records, rest);
        }
    }
}
