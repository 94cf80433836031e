//! Requests of other protocols: what is refused is refused whole, and no more memory is taken than there is.

use hushlog_ingest::{Context, parse};
use hushlog_node::api::alone::{Form, decode};
use hushlog_record::Timestamp;

use super::super::{Target, shape};
use super::text::sound;
use super::{nothing, texts};

/// Memory for a request and its records.
const MEMORY: usize = 8 << 20;

const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\u0000",
    "null",
    "\"stream\":",
    "\"values\":",
    "\"streams\":[",
    "\"resourceLogs\":[",
    "\"scopeLogs\":[",
    "\"logRecords\":[",
    "\"body\":{\"stringValue\":",
    "\"kvlistValue\":",
    "\"arrayValue\":{\"values\":[",
    "\"intValue\":\"",
    "\"timeUnixNano\":\"",
    "\"severityNumber\":",
    "\"bytesValue\":",
    "\"traceId\":\"",
    "\"attributes\":[{\"key\":",
    "\"1700000000000000000\"",
];

pub(super) const TARGETS: [Target; 5] = [
    Target {
        name: "bulk",
        what: "bodies of Elasticsearch's _bulk",
        seeds: || {
            texts(&[
                "{\"index\":{\"_index\":\"logs\",\"_id\":\"1\"}}\n{\"@timestamp\":\"2026-01-02T03:04:05Z\",\"message\":\"a\"}\n",
                "{\"create\":{}}\r\n{\"message\":\"b\",\"log.level\":\"warn\"}\r\n{\"delete\":{\"_id\":\"2\"}}\n{\"update\":{\"_id\":\"3\"}}\n{\"doc\":{}}",
            ])
        },
        words: &[
            "{\"index\":{}}\n",
            "{\"create\":{\"_id\":\"x\"}}\n",
            "{\"delete\":{}}\n",
            "\n",
            "\r\n",
            "{\"message\":\"m\"}\n",
            "\"_index\":\"i\"",
            "{}",
        ],
        repair: nothing,
        run: |bytes| run(Form::Bulk, bytes),
    },
    Target {
        name: "loki-json",
        what: "pushes to Loki in JSON",
        seeds: || {
            texts(&[
                r#"{"streams":[{"stream":{"app":"pay","level":"warn"},"values":[["1700000000000000000","one",{"trace_id":"ab"}],["0","two"]]}]}"#,
                r#"{"streams":[{"values":[["1","x"]]},{"stream":{"a":1}}]}"#,
            ])
        },
        words: JSON_WORDS,
        repair: nothing,
        run: |bytes| run(Form::LokiJson, bytes),
    },
    Target {
        name: "loki-protobuf",
        what: "pushes to Loki in protobuf",
        seeds: || {
            let time = message(&[(1, number(1_700_000_000)), (2, number(5))]);
            let label = message(&[(1, text("k")), (2, text("v"))]);
            let entry = message(&[(1, time), (2, text("line")), (3, label)]);
            let stream = message(&[(1, text("{app=\"pay\", b=`c`}")), (2, entry)]);
            vec![message(&[(1, stream.clone()), (1, stream)])]
        },
        words: &[
            "{app=\"pay\"}",
            "\u{12}\u{3}one",
            "\n",
            "\u{8}\u{1}",
            "\"",
            "`",
            ",",
        ],
        repair: nothing,
        run: |bytes| run(Form::LokiProtobuf, bytes),
    },
    Target {
        name: "otlp-json",
        what: "logs of OpenTelemetry in JSON",
        seeds: || {
            texts(&[
                r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},"scopeLogs":[{"scope":{"name":"n"},"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"one"},"attributes":[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":{"arrayValue":{"values":[{"intValue":"5"},{"doubleValue":1.5},{"boolValue":true},{"bytesValue":"AAE="}]}}}]}}}],"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7"}]}]}]}"#,
            ])
        },
        words: JSON_WORDS,
        repair: nothing,
        run: |bytes| run(Form::OtlpJson, bytes),
    },
    Target {
        name: "otlp-protobuf",
        what: "logs of OpenTelemetry in protobuf",
        seeds: || {
            let value = message(&[(1, text("pay"))]);
            let attribute = message(&[(1, text("service.name")), (2, value.clone())]);
            let resource = message(&[(1, attribute.clone())]);
            let record = message(&[
                (3, text("ERROR")),
                (5, value),
                (6, attribute),
                (9, vec![7; 16]),
                (10, vec![8; 8]),
            ]);
            let scope = message(&[(2, record.clone()), (2, record)]);
            let logs = message(&[(1, resource), (2, scope)]);
            vec![message(&[(1, logs)])]
        },
        words: &[
            "service.name",
            "\u{a}\u{3}abc",
            "\u{12}\u{0}",
            "\u{2a}\u{5}",
            "\u{32}",
        ],
        repair: nothing,
        run: |bytes| run(Form::OtlpProtobuf, bytes),
    },
];

/// A message of parts with lengths: field number and bytes of each.
fn message(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in parts {
        out.push(number << 3 | 2);
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap_or_default());
        out.extend_from_slice(bytes);
    }
    out
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// The digits of a number, where a decoder expects a number: it says otherwise, and must not mind.
fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn run(form: Form, bytes: &[u8]) -> u64 {
    let mut random = || [7; 10];
    let mut context = Context {
        received: Timestamp::from_nanos(1 << 60),
        service: "",
        environment: "",
        random: &mut random,
    };
    let mut shapes = 0u64;
    let decoded = decode(form, bytes, MEMORY, |raw| {
        let record = parse::record(raw, &mut context);
        shapes = shapes.rotate_left(5) ^ sound(&record);
    });
    assert!(decoded.memory <= MEMORY, "no more is taken than there is");
    let again = decode(form, bytes, MEMORY, |_| ());
    assert!(decoded == again, "the same bytes are the same records");
    let counts = [
        decoded.records,
        decoded.rejected,
        usize::from(decoded.refused),
    ];
    shape(&counts) ^ if decoded.records < 8 { shapes } else { 0 }
}
