//! How fast the masker is, in CPU time of one thread.
//!
//! `mask_speed [FOLDER [KIND]]`: log lines are those of the files in FOLDER, or made up without it; KIND is
//! the first word of one of the lines printed. The lines that begin with `100 patterns` are with as many
//! patterns in the policy: alone, and added to the built-in detectors.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;

use hushlog_pii::{Key, Masker, Pattern, Policy, Refusal};
use hushlog_record::{Kind, LogId, Record, Timestamp, Value};
use nix::sys::resource::{UsageWho, getrusage};

/// CPU time that each measurement takes at least, in seconds.
const SECONDS_MIN: f64 = 0.2;
/// Measurements; the quickest, which other programs disturbed least, and the median are shown.
const REPEATS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let plain = match std::env::args().nth(1) {
        Some(folder) => read(&folder)?,
        None => made_up(),
    };
    let pii: Vec<String> = (0..2000).map(with_pii).collect();
    let short: Vec<String> = (0..2000).map(short_field).collect();
    let masker = Masker::new(Policy::default(), Key::new([7; 32]));
    let no_ip: Vec<String> = plain
        .iter()
        .filter(|line| masker.mask_text(line).spans.is_empty())
        .cloned()
        .collect();
    let alone = patterns(Policy::empty())?;
    let added = patterns(Policy::default())?;
    let kind = std::env::args().nth(2).unwrap_or_default();
    for (name, masker, texts) in [
        ("log lines", &masker, &plain),
        ("without findings", &masker, &no_ip),
        ("PII in every line", &masker, &pii),
        ("short fields", &masker, &short),
        ("100 patterns alone", &alone, &plain),
        ("100 patterns added", &added, &no_ip),
    ] {
        if name.starts_with(&kind) {
            measure(name, masker, texts)?;
        }
    }
    if "records".starts_with(&kind) {
        measure_records(&masker)?;
    }
    Ok(())
}

/// Whole records, as a service writes them: a message, fields, host and region.
fn measure_records(masker: &Masker) -> Result<(), Box<dyn Error>> {
    let records: Vec<Record> = (0..2000).map(record).collect();
    let bytes: usize = records.iter().map(Record::text_bytes).sum();
    let mut each = Vec::new();
    for _ in 0..REPEATS {
        let mut spent = 0.0;
        let mut rounds = 0.0;
        while spent < SECONDS_MIN {
            let copies = records.clone();
            let start = cpu()?;
            for record in copies {
                black_box(masker.mask_keeping(black_box(record)));
            }
            spent += cpu()? - start;
            rounds += 1.0;
        }
        each.push(spent / rounds / records.len() as f64);
    }
    each.sort_by(f64::total_cmp);
    writeln!(
        std::io::stdout(),
        "{:18} {:6} of {:4} B: best {:6.1} ns each, median {:6.1}",
        "records",
        records.len(),
        bytes / records.len(),
        each[0] * 1e9,
        each[REPEATS / 2] * 1e9,
    )?;
    Ok(())
}

fn record(i: usize) -> Record {
    let number = i as u64;
    let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (latency, status) = (i % 2_900 + 1, [200, 200, 201, 404, 500][i % 5]);
    let mut record = Record::new(
        LogId([7; 16]),
        Timestamp::from_millis(0),
        format!(
            "order created /api/v1/orders in {latency} ms, status {status}, payment failed: upstream timed out"
        ),
    );
    record.service_name = format!("service-{:02}", i % 50);
    record.host = format!("host-{:02}", i % 20);
    record.region = "eu-west-1".into();
    record.trace_id = format!("{id:016x}{:016x}", id.rotate_left(17));
    record.fields = vec![
        ("latency_ms".into(), number_value(latency)),
        (
            "request_id".into(),
            Value::string(format!("{:016x}", id.rotate_left(5))),
        ),
        ("status".into(), number_value(status)),
        (
            "user_id".into(),
            Value::string(format!("user_{}", id % 100_000)),
        ),
    ];
    record
}

fn number_value(number: usize) -> Value {
    Value {
        kind: Kind::Number,
        text: number.to_string(),
    }
}

fn measure(name: &str, masker: &Masker, texts: &[String]) -> Result<(), Box<dyn Error>> {
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        rates.push(bytes as f64 / seconds(masker, texts)?);
    }
    rates.sort_by(f64::total_cmp);
    let (median, best) = (rates[REPEATS / 2], rates[REPEATS - 1]);
    let size = bytes as f64 / texts.len() as f64;
    let each = size / best * 1e9;
    writeln!(
        std::io::stdout(),
        "{name:18} {:6} texts of {size:4.0} B: best {:5.0} MB/s, median {:5.0}, {each:6.1} ns each",
        texts.len(),
        best / 1e6,
        median / 1e6,
    )?;
    Ok(())
}

/// The policy with a hundred patterns: of ids that companies give to customers, orders and contracts. Every
/// fourth has no literal that it could be searched for by.
fn patterns(policy: Policy) -> Result<Masker, Refusal> {
    let patterns = (0..100u8).map(|i| {
        let code: String = [i / 10, i % 10]
            .iter()
            .map(|d| char::from(b'K' + d))
            .collect();
        let regex = match i % 4 {
            0 => format!(r"\b[{code}][A-Z]\d{{{}}}\b", 5 + i % 7),
            1 => format!(r"\b{code}X-[0-9]{{6}}\b"),
            2 => format!(r"(?i)contract_{code}\s*[:=]\s*(\w+)"),
            _ => format!(r"(?:order|invoice)-{code}[0-9a-f]{{8,12}}"),
        };
        Pattern::new(format!("p{i}"), regex)
    });
    let policy = policy.with_patterns(patterns.collect())?;
    Ok(Masker::new(policy, Key::new([7; 32])))
}

/// CPU time that masking the texts once takes.
fn seconds(masker: &Masker, texts: &[String]) -> Result<f64, Box<dyn Error>> {
    let start = cpu()?;
    let mut rounds = 0.0;
    loop {
        for text in texts {
            black_box(masker.mask_text(black_box(text)));
        }
        rounds += 1.0;
        let spent = cpu()? - start;
        if spent > SECONDS_MIN {
            return Ok(spent / rounds);
        }
    }
}

fn cpu() -> Result<f64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = usage.user_time();
    Ok(time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
}

fn read(folder: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    Ok(lines)
}

fn made_up() -> Vec<String> {
    (0..2000u32)
        .map(|i| {
            format!(
                "2026-03-{:02} 10:{:02}:{:02},{:03} INFO  [worker-{}] order.Pipeline: stage {} took {}.{} ms, \
                 queue {} of 4096, request {:08x}-{:04x}-4d64-9e2d-{:012x}",
                i % 28 + 1, i % 60, i % 59, i % 1000, i % 16, i % 7, i % 90, i % 10, i % 4096,
                i.wrapping_mul(2_654_435_761), i % 65_536, u64::from(i) * 7_919_777
            )
        })
        .collect()
}

fn with_pii(i: usize) -> String {
    let head = format!(
        "2026-03-02 10:11:{:02},{:03} INFO  [worker-{}] account.Service: ",
        i % 60,
        i % 1000,
        i % 8
    );
    match i % 5 {
        0 => format!(
            "{head}login of maria.gomez{i}@mail{}.example.com succeeded, session opened for 30 minutes",
            i % 9
        ),
        1 => format!(
            "{head}request from 93.184.{}.{} took 12 ms, 4 rows, cache hit, status 200",
            i % 255,
            i % 250
        ),
        2 => format!(
            "{head}payment with 4242 4242 4242 4242 accepted, order {i}, amount 99.90 EUR, shop 17"
        ),
        3 => format!(
            "{head}callback to (415) 555-{:04} scheduled by agent {}, ticket opened for customer",
            i % 10_000,
            i % 77
        ),
        _ => format!(
            "{head}applicant ssn 219-09-{:04} verified against registry in {} ms, result ok",
            i % 9000 + 1000,
            i % 50
        ),
    }
}

fn short_field(i: usize) -> String {
    match i % 6 {
        0 => format!("user_{i}"),
        1 => "GET".to_owned(),
        2 => format!("/api/v1/orders/{i}"),
        3 => format!("{}.{} ms", i % 900, i % 10),
        4 => "eu-central-1".to_owned(),
        _ => format!("checkout-7d9f{:04x}-x{}", i, i % 9),
    }
}
