//! Bodies, lines and streams: nothing is refused for what it says, and every record is within its limits.

use hushlog_ingest::body::{self, Encoding};
use hushlog_ingest::exception::{find, find_in_stack, root_cause, signature};
use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::limits::{JOIN_BYTES_MAX, JOIN_HELD_BYTES_MAX};
use hushlog_ingest::multiline::Streams;
use hushlog_ingest::{Context, RawRecord, parse, syslog};
use hushlog_record::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use hushlog_record::{Kind, Record, Timestamp};

use super::super::{Target, shape};
use super::{lines, nothing, parts, texts};

const LINES: &str = include_str!("../../../fuzz/seeds/lines.txt");
const TRACES: &str = include_str!("../../../fuzz/seeds/traces.txt");

/// A gzip of `{"message":"one"}` and `{"message":"two"}`, three times.
const GZIP: [u8; 48] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 86, 202, 77, 45, 46, 78, 76, 79, 85, 178, 82, 202, 207,
    75, 85, 170, 229, 170, 70, 18, 41, 41, 207, 71, 19, 161, 68, 13, 0, 69, 13, 150, 130, 108, 0,
    0, 0,
];
/// A Zstandard frame of `{"message":"one"}`, three times.
const ZSTD: [u8; 37] = [
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0xc5, 0x00, 0x00, 0x90, 0x7b, 0x22, 0x6d, 0x65, 0x73, 0x73,
    0x61, 0x67, 0x65, 0x22, 0x3a, 0x22, 0x6f, 0x6e, 0x65, 0x22, 0x7d, 0x0a, 0x01, 0x00, 0x16, 0x39,
    0xc3, 0x6a, 0x32, 0xbb, 0x9e,
];

pub(super) const TARGETS: [Target; 6] = [
    Target {
        name: "json",
        what: "bodies of JSON and NDJSON, and the records in them",
        seeds: || {
            texts(&[
                r#"{"timestamp":"2026-01-02T03:04:05.6Z","level":"ERROR","message":"a b","fields":{"user_id":"u1","n":1.50},"exception":{"type":"E","message":"m","stack_trace":"E: m\n\tat a.B.c(B.java:7)"},"metadata":{"host":"h","region":"r"}}"#,
                "{\"message\":\"one\"}\n{\"msg\":\"two\",\"severity\":\"warn\",\"time\":1700000000000}\n\nnot json\n",
                r#"[{"@timestamp":"2026-01-02","log":{"level":"info"},"service":{"name":"s"},"error":{"stack_trace":"x"}},{"a":{"b":[1,{"c":null}]}}]"#,
                r#"{"logEvents":[{"id":"1","timestamp":1700000000000,"message":"START"}],"logGroup":"g"}"#,
            ])
        },
        words: &[
            "{",
            "}",
            "[",
            "]",
            "\"message\":",
            "\"timestamp\":",
            "\"level\":",
            "\"fields\":{",
            "\"exception\":{",
            "null",
            "true",
            "1e5",
            "\"\\ud83d\\ude00\"",
            "\"time\":",
            ",",
            ":",
            "\n",
            "\"log_id\":",
        ],
        repair: nothing,
        run: run_json,
    },
    Target {
        name: "body",
        what: "bodies in gzip and Zstandard",
        seeds: || {
            let of = |first: u8, rest: &[u8]| [&[first], rest].concat();
            vec![
                of(0, &GZIP),
                of(1, &ZSTD),
                of(2, &GZIP),
                of(3, &ZSTD),
                of(0, b"{}"),
            ]
        },
        words: &["\u{1f}", "(", "/"],
        repair: nothing,
        run: run_body,
    },
    Target {
        name: "line",
        what: "lines: syslog, containers, access logs, loggers, logfmt, times",
        seeds: || lines(LINES),
        words: &[
            " ",
            "\"",
            "=",
            "level=error",
            "ts=",
            "ERROR",
            "[",
            "]",
            "<34>1 ",
            "<13>Oct 11 22:14:15 ",
            "stdout F ",
            "2026-01-02T03:04:05Z",
            "+02:00",
            "1700000000.123456789",
            "Mon, 02 Jan 2006",
            " - - [",
            "GET /a HTTP/1.1",
            "Exception",
            "\tat a.B.c(B.java:1)",
            "Traceback (most recent call last):",
            "{\"a\":1}",
        ],
        repair: nothing,
        run: run_line,
    },
    Target {
        name: "syslog",
        what: "framing of syslog over TCP and UDP",
        seeds: || {
            texts(&[
                "41 <34>1 - host app - - - octets\ncounted, ok<13>Oct 11 22:14:15 mymachine su: second\r\n<13>third",
                "<34>1 2003-10-11T22:14:15.003Z h a 1 ID47 [x@1 a=\"b\\\"]\"] msg\n\n\0<13>x",
                "5 <1>ab5 <1>cd",
            ])
        },
        words: &[
            "<34>",
            "1 ",
            "99999999 <",
            "7 <13>abc",
            "\n",
            "\0",
            "\r\n",
            "[id a=\"",
            "\"]",
            "\u{feff}",
        ],
        repair: nothing,
        run: run_syslog,
    },
    Target {
        name: "join",
        what: "joining of lines into events, for every stream",
        seeds: || parts(TRACES),
        words: &[
            "\n",
            "\tat ",
            "Caused by: ",
            "panic: ",
            "goroutine 1 [running]:",
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1",
            "2026-01-02T03:04:05.1Z stderr P ",
            "2026-01-02T03:04:05.1Z stdout F ",
            "{\"log\":\"x\\n\",\"stream\":\"stderr\"}",
            "<34>1 - h a - - - ",
            "INFO x",
        ],
        repair: nothing,
        run: run_join,
    },
    Target {
        name: "exception",
        what: "exceptions in text, their causes and signatures",
        seeds: || parts(TRACES),
        words: &[
            "Exception",
            "Error: ",
            "\n\tat ",
            "Caused by: ",
            "panic: ",
            "goroutine 1 [running]:\n",
            "\n  File \"",
            "Traceback (most recent call last):\n",
            " ---> ",
            "Next ",
            ":in `",
            "[cause]: ",
            "** (",
            "terminate called",
            "stack backtrace:\n",
            "$$Lambda$12/0x1",
            "at <anonymous>",
        ],
        repair: nothing,
        run: run_exception,
    },
];

fn records(body: &[u8], read: impl FnOnce(&[u8], &mut Vec<RawRecord>)) -> Vec<Record> {
    let mut raw = Vec::new();
    read(body, &mut raw);
    let mut random = || [7; 10];
    let mut context = Context {
        received: Timestamp::from_nanos(1 << 60),
        service: "",
        environment: "",
        random: &mut random,
    };
    raw.into_iter()
        .map(|raw| parse::record(raw, &mut context))
        .collect()
}

pub(super) fn sound(record: &Record) -> u64 {
    assert!(
        record.fields.is_sorted_by(|(a, _), (b, _)| a < b),
        "fields are sorted and unique"
    );
    assert!(
        record.fields.len() <= RECORD_FIELDS_MAX,
        "there are few fields"
    );
    assert!(
        record.text_bytes() <= RECORD_BYTES_MAX + 1_024,
        "a record is not longer than it may be"
    );
    for (_, value) in &record.fields {
        if value.kind != Kind::String {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&value.text);
            assert!(parsed.is_ok(), "what is no text is JSON");
        }
    }
    shape(&[
        record.fields.len(),
        usize::from(record.exception.is_some()),
        usize::from(record.level.code()),
        usize::from(record.timestamp == record.created_at),
        usize::from(!record.host.is_empty()),
        usize::from(!record.trace_id.is_empty()),
        usize::from(record.service_name == parse::UNKNOWN_SERVICE),
    ])
}

fn run_json(bytes: &[u8]) -> u64 {
    let mut all = Vec::new();
    for declared in [Declared::Json, Declared::Lines] {
        let read = |body: &[u8], raw: &mut Vec<RawRecord>| {
            // A refusal names where, and has no record.
            let _refused = json::read(body, declared, &mut |outcome| raw.extend(outcome));
        };
        let first = records(bytes, read);
        assert!(
            first == records(bytes, read),
            "the same bytes are the same records"
        );
        all.extend(first);
    }
    let shapes: u64 = all
        .iter()
        .take(8)
        .fold(0, |sum, record| sum.rotate_left(7) ^ sound(record));
    all.iter().skip(8).for_each(|record| {
        sound(record);
    });
    shapes ^ shape(&[all.len()])
}

fn run_body(bytes: &[u8]) -> u64 {
    const LIMIT: usize = 1 << 20;
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let encodings: &[Encoding] = match first % 4 {
        0 => &[Encoding::Gzip],
        1 => &[Encoding::Zstd],
        2 => &[Encoding::Zstd, Encoding::Gzip],
        _ => &[Encoding::Gzip, Encoding::Zstd],
    };
    let claimed = body::claimed_len(rest, encodings);
    match body::decode(rest, encodings, LIMIT) {
        Ok(decoded) => {
            assert!(decoded.len() <= LIMIT, "no more is decoded than may be");
            shape(&[
                0,
                decoded.len(),
                usize::from(claimed == Some(decoded.len())),
            ])
        }
        Err(error) => shape(&[1, error.to_string().len(), usize::from(*first % 4)]),
    }
}

fn run_line(bytes: &[u8]) -> u64 {
    let read = |body: &[u8], raw: &mut Vec<RawRecord>| raw.push(RawRecord::line(body));
    let records = records(bytes, read);
    records.iter().fold(0, |sum, record| sum ^ sound(record))
}

fn run_syslog(bytes: &[u8]) -> u64 {
    let whole = frames(std::iter::once(bytes));
    // However it comes in pieces.
    assert!(whole == frames(bytes.chunks(1)), "a byte at a time");
    assert!(whole == frames(bytes.chunks(7)), "seven bytes at a time");
    let senders: usize = whole
        .iter()
        .map(|message| syslog::sender(message).len())
        .sum();
    let mut datagrams = 0;
    syslog::datagram(bytes, &mut |_| datagrams += 1);
    shape(&[whole.len(), senders, datagrams])
}

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut decoder = syslog::Decoder::default();
    for piece in pieces {
        decoder.push(piece, &mut |frame| frames.push(frame.bytes.to_vec()));
    }
    decoder.finish(&mut |frame| frames.push(frame.bytes.to_vec()));
    frames
}

fn run_join(bytes: &[u8]) -> u64 {
    let mut streams = Streams::default();
    let mut events = Vec::new();
    let mut longest = 0;
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(0i64..) {
        let now = Timestamp::from_nanos(number * 1_000_000);
        longest = longest.max(line.len());
        streams.push(line.to_vec(), now, &mut |event| events.push(event));
        assert!(
            streams.held_bytes() <= JOIN_HELD_BYTES_MAX + longest,
            "little is held"
        );
        if number % 64 == 63 {
            streams.expire(now, 10_000_000, &mut |event| events.push(event));
        }
    }
    streams.finish(Timestamp::from_nanos(i64::MAX), &mut |event| {
        events.push(event)
    });
    assert!(streams.held_bytes() == 0, "nothing is held at the end");
    let most = events.iter().map(Vec::len).max().unwrap_or_default();
    // What a container has written as JSON may be six times as long in it.
    assert!(most <= 6 * (JOIN_BYTES_MAX + longest), "an event is cut");
    shape(&[events.len(), most])
}

fn run_exception(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let mut numbers = Vec::new();
    for found in [find(&text), find_in_stack(&text)].into_iter().flatten() {
        let exception = found.to_exception(&text);
        assert!(!exception.type_name.is_empty(), "an exception has a type");
        let signed = signature(&exception);
        assert!(
            signed == signature(&exception),
            "the same exception has the same signature"
        );
        let cause = root_cause(&text, &found).map_or(0, str::len);
        numbers.extend([
            signed.basis as usize,
            signed.parts.len(),
            exception.stack_trace.len(),
            cause,
        ]);
    }
    shape(&numbers)
}
