//! Measures decode and parse: `ingest_speed [LINES.log…]`; nanoseconds a record and MB/s on one core.
//!
//! Without files only generated records are measured: JSON, and lines of several forms, parsed and
//! joined; every file is measured as plain lines.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program"
)]

use std::time::Instant;

use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::multiline::Streams;
use hushlog_ingest::syslog::Decoder;
use hushlog_ingest::{Context, exception, parse};
use hushlog_record::Timestamp;

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of one request.
const RECORDS: usize = 1_000;
const ROUNDS: usize = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let objects: Vec<String> = (0..RECORDS).map(object).collect();
    let lines = objects.join("\n");
    let array = format!("[{}]", objects.join(","));
    measure("NDJSON, decode only", RECORDS, lines.len(), || {
        decode(lines.as_bytes())
    });
    measure("NDJSON, decode and parse", RECORDS, lines.len(), || {
        parse_json(lines.as_bytes())
    });
    measure("array, decode and parse", RECORDS, array.len(), || {
        parse_json(array.as_bytes())
    });
    let logfmt: Vec<String> = (0..RECORDS).map(logfmt).collect();
    let bytes = logfmt.iter().map(String::len).sum();
    measure("logfmt lines", RECORDS, bytes, || {
        parse_lines(logfmt.iter().map(String::as_bytes))
    });
    for (name, form) in FORMS {
        let lines: Vec<String> = (0..RECORDS).map(form).collect();
        let bytes = lines.iter().map(String::len).sum();
        measure(name, RECORDS, bytes, || {
            parse_lines(lines.iter().map(String::as_bytes))
        });
        measure("  joined by stream", RECORDS, bytes, || joined(&lines));
    }
    let frames: String = (0..RECORDS).map(syslog).map(|line| line + "\n").collect();
    measure("syslog frames", RECORDS, frames.len(), || {
        let mut count = 0;
        Decoder::default().push(frames.as_bytes(), &mut |_| count += 1);
        count
    });
    let exception = trace(0);
    measure("find and sign an exception", 1, exception.len(), || {
        let found = exception::find(&exception).expect("it reports one");
        exception::signature(&found.to_exception(&exception))
            .parts
            .len()
    });
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
        measure(&path, lines.len(), file.len(), || {
            parse_lines(lines.iter().copied())
        });
        let texts: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        measure("  of which exceptions", lines.len(), file.len(), || {
            texts
                .iter()
                .filter(|text| exception::find(text).is_some())
                .count()
        });
    }
    Ok(())
}

/// Makes the line with this number.
type Form = fn(usize) -> String;

/// Forms of lines with an example each.
const FORMS: [(&str, Form); 6] = [
    ("plain lines", |i| {
        format!(
            "connection {i} to the primary was closed by the peer after {} ms of silence",
            i % 1000
        )
    }),
    ("syslog RFC 5424 lines", syslog),
    ("CRI lines of JSON", |i| {
        format!(
            "2026-01-02T03:04:05.{:09}Z stdout F {}",
            i * 7919,
            object(i)
        )
    }),
    ("access log lines", |i| {
        format!(
            "203.0.113.{} - - [02/Jan/2026:03:04:05 +0000] \"GET /api/v1/orders/{} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
            i % 256,
            i * 31,
            i % 5000
        )
    }),
    ("Logback lines", |i| {
        format!(
            "2026-01-02 03:04:05.{:03} INFO  [http-nio-8080-exec-{}] com.example.shop.OrderService - Order {} was shipped to the customer",
            i % 1000,
            i % 50,
            i * 31
        )
    }),
    ("stack traces", trace),
];

fn syslog(i: usize) -> String {
    format!(
        "<165>1 2026-01-02T03:04:05.{:03}Z web-{:02} payment {} ID47 [meta@32473 sequenceId=\"{i}\"] Request to /api/v1/orders/{} was served",
        i % 1000,
        i % 20,
        1_000 + i % 20,
        i * 31
    )
}

fn trace(i: usize) -> String {
    let frames: String = (0..30)
        .map(|frame| {
            format!(
                "\n\tat com.example.shop.Service{frame}.call(Service.java:{})",
                i + frame
            )
        })
        .collect();
    format!(
        "2026-01-02 03:04:05 ERROR [main] c.e.shop.Orders - order {i} failed\njava.lang.IllegalStateException: order {i}{frames}"
    )
}

fn joined(lines: &[String]) -> usize {
    let now = Timestamp::from_nanos(1_767_323_045_000_000_000);
    let mut streams = Streams::default();
    let mut count = 0;
    for line in lines.iter().flat_map(|event| event.lines()) {
        streams.push(line.as_bytes().to_vec(), now, &mut |_| count += 1);
    }
    streams.finish(now, &mut |_| count += 1);
    count
}

fn measure(name: &str, records: usize, bytes: usize, mut work: impl FnMut() -> usize) {
    let mut best = f64::INFINITY;
    let mut result = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        result = work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let (records, bytes) = (records as f64, bytes as f64);
    println!(
        "{name}: {:.0} ns/record, {:.0} MB/s, {:.0} B/record ({result})",
        best * 1e9 / records,
        bytes / best / 1e6,
        bytes / records
    );
}

fn object(i: usize) -> String {
    let level = ["INFO", "INFO", "INFO", "WARN", "ERROR"][i % 5];
    format!(
        "{{\"timestamp\":\"2026-01-02T03:{:02}:{:02}.{:09}Z\",\"level\":\"{level}\",\"service\":\"payment-{}\",\
         \"message\":\"Request {i} to /api/v1/orders/{} finished with status 200 after a retry\",\
         \"fields\":{{\"user_id\":\"user_{}\",\"request_id\":\"{:032x}\",\"latency_ms\":{}.25,\"status\":200,\"cached\":true}},\
         \"trace_id\":\"{:032x}\",\"metadata\":{{\"host\":\"api-server-{:02}\",\"region\":\"us-east-1\"}}}}",
        i / 60 % 60,
        i % 60,
        i * 7919 % 1_000_000_000,
        i % 50,
        i * 31,
        i % 1000,
        i * 0x9e37_79b9,
        i % 500,
        i * 0x85eb_ca6b,
        i % 20
    )
}

fn logfmt(i: usize) -> String {
    format!(
        "time=2026-01-02T03:04:05.{:03}Z level=info msg=\"request {i} served\" method=GET path=/api/v1/orders/{} \
         status=200 duration_ms={} user=user_{} caller=server.go:{}",
        i % 1000,
        i * 31,
        i % 500,
        i % 1000,
        i % 400
    )
}

fn decode(body: &[u8]) -> usize {
    let mut count = 0;
    let shape = json::read(body, Declared::Json, &mut |raw| {
        count += usize::from(raw.is_ok())
    });
    shape.map_or(0, |_| count)
}

fn parse_json(body: &[u8]) -> usize {
    let mut random = || [7; 10];
    let mut context = context(&mut random);
    let mut records = Vec::new();
    let shape = json::read(body, Declared::Json, &mut |raw| {
        records.extend(raw.map(|raw| parse::record(raw, &mut context)));
    });
    shape.map_or(0, |_| records.len())
}

fn parse_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut random = || [7; 10];
    let mut context = context(&mut random);
    let records: Vec<_> = lines.map(|line| parse::line(line, &mut context)).collect();
    records.len()
}

fn context(random: &mut dyn FnMut() -> [u8; 10]) -> Context<'_> {
    Context {
        received: Timestamp::from_nanos(1_767_323_045_000_000_000),
        service: "",
        environment: "",
        random,
    }
}
