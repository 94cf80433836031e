//! Both forms of a push request say the same.

use hushlog_ingest::{Context, parse};
use hushlog_record::{Level, Record};

use super::*;
use crate::gateway::{Admission, full};
use crate::metrics::Gauge;

type Read = fn(&[u8], &mut Room<'_>, Each<'_>) -> Result<Shape, Failure>;

/// Reads a request in so many bytes of memory.
fn read_in(memory: usize, read: Read, request: &[u8], each: Each<'_>) -> Result<Shape, Failure> {
    let admission = Admission::new(memory, Gauge::default());
    Room::lend(&admission, |room| read(request, room, each))
}

fn parsed(read: Read, request: &[u8]) -> Result<Vec<Record>, Failure> {
    let mut found = Vec::new();
    read_in(16 << 20, read, request, &mut |raw| {
        let mut context = Context {
            received: Timestamp::from_millis(1),
            service: "",
            environment: "",
            random: &mut || [0; 10],
        };
        found.push(parse::record(raw.expect("small"), &mut context));
    })?;
    Ok(found)
}

/// `logproto.PushRequest`, as a client has it.
#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

fn entry(nanos: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    let label = |(name, value): &(&str, &str)| Label {
        name: (*name).into(),
        value: (*value).into(),
    };
    Entry {
        timestamp: Some(Time {
            seconds: nanos / 1_000_000_000,
            nanos: i32::try_from(nanos % 1_000_000_000).expect("below a second"),
        }),
        line: line.into(),
        metadata: metadata.iter().map(label).collect(),
    }
}

const AT: i64 = 1_700_000_000_000_000_001;

#[test]
fn both_forms_give_the_same_records() {
    let json = format!(
        r#"{{"streams":[{{"stream":{{"app":"checkout","level":"warn","env":"prod","message":"m"}},
        "values":[["{AT}","card declined user=7",{{"trace_id":"AB12","pod":"p1"}}],["0","second"]]}}]}}"#
    );
    let labels = r#"{app="checkout", level="warn", env="prod", message="m"}"#;
    let metadata = [("trace_id", "AB12"), ("pod", "p1")];
    let push = Push {
        streams: vec![Stream {
            labels: labels.into(),
            entries: vec![
                entry(AT, "card declined user=7", &metadata),
                entry(0, "second", &[]),
            ],
            hash: 9,
        }],
    };
    let of_json = parsed(read_json, json.as_bytes()).expect("read");
    let of_protobuf = parsed(read_protobuf, &push.encode_to_vec()).expect("read");
    assert_eq!(of_json, of_protobuf);
    let [first, second] = of_json.as_slice() else {
        panic!("{} records", of_json.len())
    };
    assert_eq!(first.timestamp, Timestamp::from_nanos(AT));
    assert_eq!(first.service_name, "checkout");
    assert_eq!(first.level, Level::Warn);
    assert_eq!(first.message, "card declined user=7");
    assert_eq!(first.trace_id, "ab12");
    let field = |name: &str| {
        let mut fields = first.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.text.as_str())
    };
    assert_eq!(
        (field("app"), field("env")),
        (Some("checkout"), Some("prod"))
    );
    assert_eq!((field("pod"), field("message")), (Some("p1"), Some("m")));
    assert_eq!(second.timestamp, Timestamp::from_millis(1));
}

#[test]
fn the_service_is_the_first_label_that_names_one() {
    let cases = [
        (
            r#"{"job":"j","app":"a","service":"s","service_name":"n"}"#,
            "n",
        ),
        (r#"{"job":"j","app":"a","service":"s"}"#, "s"),
        (r#"{"job":"j","app":"a"}"#, "a"),
        (r#"{"job":"j"}"#, "j"),
        (r#"{"filename":"f"}"#, "unknown"),
    ];
    for (labels, service) in cases {
        let body = format!(r#"{{"streams":[{{"stream":{labels},"values":[["1","x"]]}}]}}"#);
        let records = parsed(read_json, body.as_bytes()).expect("read");
        assert_eq!(records[0].service_name, service, "{labels}");
    }
}

#[test]
fn what_loki_refuses_is_refused_without_quoting_it() {
    let values = |values: &str| format!(r#"{{"streams":[{{"stream":{{}},"values":{values}}}]}}"#);
    let bad = [
        String::new(),
        "{}".into(),
        "[]".into(),
        r#"{"streams":{}}"#.into(),
        r#"{"streams":[1]}"#.into(),
        r#"{"streams":[{"stream":["secret"],"values":[]}]}"#.into(),
        values("{}"),
        values(r#"[[1700000000000000000,"secret"]]"#),
        values(r#"[["secret","x"]]"#),
        values(r#"[["1",{"secret":1}]]"#),
        values(r#"[["1","x","secret"]]"#),
        values(r#"[["1"]]"#),
    ];
    for body in bad {
        let failure = parsed(read_json, body.as_bytes()).expect_err(&body);
        assert_eq!(failure.kind, Kind::InvalidBody, "{body}");
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }
    let stream = |labels: &str| Push {
        streams: vec![Stream {
            labels: labels.into(),
            entries: vec![entry(1, "x", &[])],
            hash: 0,
        }],
    };
    let failure = parsed(read_protobuf, &stream("{secret").encode_to_vec());
    assert_eq!(failure.expect_err("refused").kind, Kind::InvalidBody);
    let good = stream("{}").encode_to_vec();
    for end in 1..good.len() {
        assert!(parsed(read_protobuf, &good[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_line_that_is_not_utf8_and_one_that_is_too_long_are_dealt_with_alone() {
    let mut push = Push {
        streams: vec![Stream {
            labels: "{}".into(),
            entries: vec![entry(1, "bad", &[]), entry(1, &"x".repeat(3 << 20), &[])],
            hash: 0,
        }],
    };
    push.streams[0].entries[0].line.push(0xff);
    let mut outcomes = Vec::new();
    let request = push.encode_to_vec();
    let read = read_in(16 << 20, read_protobuf, &request, &mut |raw| {
        outcomes.push(raw.map(|_| ()).map_err(|rejected| rejected.index));
    });
    assert_eq!(read, Ok(Shape::Array));
    assert_eq!(outcomes, [Ok(()), Err(1)]);
}

/// One stream with a label of so many bytes and so many entries, in both forms.
fn labelled(label_bytes: usize, entries: usize) -> [(Read, Vec<u8>); 2] {
    let label = "l".repeat(label_bytes);
    let values = vec![r#"["1","x"]"#; entries].join(",");
    let json = format!(r#"{{"streams":[{{"stream":{{"a":"{label}"}},"values":[{values}]}}]}}"#);
    let push = Push {
        streams: vec![Stream {
            labels: format!("{{a=\"{label}\"}}"),
            entries: vec![entry(1, "x", &[]); entries],
            hash: 0,
        }],
    };
    [
        (read_json, json.into_bytes()),
        (read_protobuf, push.encode_to_vec()),
    ]
}

#[test]
fn labels_are_copied_into_entries_while_there_is_room_and_then_nothing_is_read_any_more() {
    const LABEL: usize = 100 << 10;
    for (read, request) in labelled(LABEL, 10_000) {
        let mut made = 0;
        let outcome = read_in(1 << 20, read, &request, &mut |raw| {
            made += raw.expect("small").text_bytes();
        });
        assert_eq!(outcome, Err(full()));
        assert!((LABEL..1 << 20).contains(&made), "{made}");
    }
}

#[test]
fn labels_that_no_record_can_hold_are_copied_into_none() {
    for (read, request) in labelled(1 << 20, 1_000) {
        let mut rejected = 0;
        // Making one of them would need more than there is.
        let outcome = read_in(1 << 10, read, &request, &mut |raw| {
            rejected += usize::from(raw.is_err());
        });
        assert_eq!((outcome, rejected), (Ok(Shape::Array), 1_000));
    }
}
