//! Log lines to send: real ones from a folder, or generated ones of comparable variety.
//!
//! Everything is a function of the seed and the number of the record, so the oracle needs to keep
//! nothing but numbers. Planted personal data is valid by its detector's rules and unique per record.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Services that records are spread over.
pub const SERVICES: usize = 50;
const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
/// Types that no real line reports, so that a corpus with exceptions of its own changes no count.
const EXCEPTIONS: [&str; 8] = [
    "com.example.job.IllegalOrderStateException",
    "com.example.job.GatewayTimeoutException",
    "com.example.job.PaymentDeclinedException",
    "com.example.job.DisconnectedPeerException",
    "job_errors.UnknownSkuError",
    "job_errors.BackendConnectionError",
    "com.example.job.MissingBasketException",
    "job_errors.OperationalStoreError",
];

/// Area codes that are in use: numbers of others are no phone numbers, and are not masked.
const AREA_CODES: [u16; 10] = [201, 305, 402, 503, 602, 702, 805, 903, 212, 415];

/// Where the lines come from.
pub struct Corpus {
    lines: Vec<String>,
    /// One sentence for the reader of a test's output.
    pub origin: String,
}

/// One record as it is sent, and what the oracle must know of it.
pub struct Planned {
    /// NDJSON line.
    pub json: String,
    /// What the seed decided of it.
    pub drawn: Drawn,
}

/// What the seed decides of a record.
pub struct Drawn {
    line: usize,
    host: u32,
    /// Service number.
    pub service: usize,
    /// Level.
    pub level: &'static str,
    /// Exception type that it carries.
    pub exception: Option<&'static str>,
    /// Its field `attempt`.
    pub attempt: u32,
    /// Its field `latency_ms`.
    pub latency_ms: u32,
}

impl Corpus {
    /// Lines of every `*.log` file in `HUSHLOG_CORPUS`, or generated ones when it is not set.
    pub fn load() -> Result<Self> {
        match std::env::var_os("HUSHLOG_CORPUS") {
            Some(folder) => Self::from_folder(Path::new(&folder)),
            None => Ok(Self::generated(7)),
        }
    }

    fn from_folder(folder: &Path) -> Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        paths.sort();
        let mut lines = Vec::new();
        for path in &paths {
            let bytes = fs::read(path)?;
            let text = String::from_utf8_lossy(&bytes);
            lines.extend(
                text.lines()
                    .filter(|line| !line.trim().is_empty())
                    .map(str::to_owned),
            );
        }
        if lines.is_empty() {
            bail!("no lines in {}", folder.display());
        }
        let origin = format!(
            "corpus: {} real lines from {} files of HUSHLOG_CORPUS",
            lines.len(),
            paths.len()
        );
        Ok(Self { lines, origin })
    }

    fn generated(seed: u64) -> Self {
        const VERBS: [&str; 8] = [
            "accepted", "rejected", "queued", "retried", "expired", "opened", "closed", "merged",
        ];
        const NOUNS: [&str; 8] = [
            "order", "session", "socket", "shipment", "invoice", "replica", "block", "lease",
        ];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let lines = (0..16_000)
            .map(|i| {
                let verb = VERBS[rng.random_range(0..VERBS.len())];
                let noun = NOUNS[rng.random_range(0..NOUNS.len())];
                let id: u64 = rng.random();
                let took = rng.random_range(1..5_000);
                match i % 4 {
                    0 => format!(
                        "{noun} {id:016x} {verb} in {took} ms by worker-{}",
                        took % 17
                    ),
                    1 => format!(
                        "GET /api/{noun}s/{id} HTTP/1.1 status: 200 len: {took} time: 0.{took}"
                    ),
                    2 => format!(
                        "[main] c.e.{noun}.Handler: {verb} {noun} attempt_{id}_{took:06} done"
                    ),
                    _ => format!(
                        "{verb} connection for {noun} node-{} queue depth {took}",
                        took % 31
                    ),
                }
            })
            .collect();
        Self {
            lines,
            origin: "corpus: generated lines (HUSHLOG_CORPUS is not set)".into(),
        }
    }

    /// Record number `index` of a run: its line, fresh time, token, and what else is planted.
    pub fn planned(&self, run: &Run, index: u64) -> Planned {
        let drawn = self.drawn(run, index);
        let mut message = self.lines[drawn.line].clone();
        if run.plants_pii(index) {
            message.push_str(&run.pii_sentence(index));
        }
        let mut object = serde_json::json!({
            "timestamp": run.timestamp_nanos(index),
            "service": service_name(drawn.service),
            "level": drawn.level,
            "message": message,
            "fields": { "ticket": run.token(index), "attempt": drawn.attempt, "latency_ms": drawn.latency_ms },
            "metadata": { "host": format!("host-{:02}", drawn.host), "region": "eu-west-1" },
        });
        if run.plants_keys(index) {
            object["fields"]["seen"] = run.keyed(index);
        }
        if let (Some(type_name), Some(map)) = (drawn.exception, object.as_object_mut()) {
            map.insert("exception".into(), exception_json(type_name, run, index));
        }
        Planned {
            json: object.to_string(),
            drawn,
        }
    }

    /// What the seed decides of record number `index`, without its text.
    pub fn drawn(&self, run: &Run, index: u64) -> Drawn {
        let mut rng =
            ChaCha8Rng::seed_from_u64(run.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let line = rng.random_range(0..self.lines.len());
        let service = rng.random_range(0..SERVICES);
        let level = LEVELS[[0, 1, 1, 1, 1, 1, 2, 3, 3, 4][rng.random_range(0..10)]];
        let exception = (rng.random_range(0..50) == 0).then(|| {
            EXCEPTIONS[rng
                .random_range(0..EXCEPTIONS.len())
                .min(rng.random_range(0..EXCEPTIONS.len()))]
        });
        Drawn {
            line,
            service,
            level,
            exception,
            attempt: rng.random_range(0..9),
            latency_ms: rng.random_range(1..2_000),
            host: rng.random_range(0..20),
        }
    }
}

fn exception_json(type_name: &str, run: &Run, index: u64) -> serde_json::Value {
    let trace = if type_name.starts_with("com.") {
        format!(
            "{type_name}: failed\n\tat com.example.Service.call(Service.java:{})\n\tat com.example.Main.main(Main.java:12)\n",
            index % 900
        )
    } else {
        format!(
            "Traceback (most recent call last):\n  File \"/app/main.py\", line {}, in run\n    call()\n{type_name}: failed\n",
            index % 900
        )
    };
    let who = if run.plants_pii(index) {
        run.email(index)
    } else {
        "nobody".into()
    };
    serde_json::json!({ "type": type_name, "message": format!("failed for {who}"), "stack_trace": trace })
}

/// Whether this exception type is one of those that runs plant.
pub fn is_planted_exception(type_name: &str) -> bool {
    EXCEPTIONS.contains(&type_name)
}

/// Name of service number `service`.
pub fn service_name(service: usize) -> String {
    format!("service-{service:02}")
}

/// What one run sends: sizes, times and plants, all by number.
#[derive(Clone, Debug)]
pub struct Run {
    /// Seed of everything random.
    pub seed: u64,
    /// How many records.
    pub records: u64,
    /// Event time of the first record, nanoseconds since the epoch.
    pub first_nanos: i64,
    /// Step of event time from one record to the next, nanoseconds.
    pub step_nanos: i64,
}

impl Run {
    /// Event time of a record.
    pub fn timestamp_nanos(&self, index: u64) -> i64 {
        self.first_nanos
            + i64::try_from(index)
                .unwrap_or(i64::MAX)
                .saturating_mul(self.step_nanos)
    }

    /// The token that is in this record and in no other.
    pub fn token(&self, index: u64) -> String {
        format!("tok{:x}x{index:x}", self.seed & 0xffff_ffff)
    }

    /// Every twentieth record carries personal data.
    pub fn plants_pii(&self, index: u64) -> bool {
        index % 20 == 7
    }

    /// Some of these have it in the names of nested members too.
    pub fn plants_keys(&self, index: u64) -> bool {
        index % 100 == 7
    }

    /// The planted e-mail address.
    pub fn email(&self, index: u64) -> String {
        format!("planted.{index}.{:x}@mail-host.com", self.seed & 0xffff)
    }

    /// The planted card number: a Visa prefix, the record's number, and its Luhn digit.
    pub fn card(&self, index: u64) -> String {
        let body = format!("4539{:011}", (index * 7_919 + self.seed) % 100_000_000_000);
        let sum: u32 = body
            .bytes()
            .rev()
            .enumerate()
            .map(|(i, digit)| {
                let digit = u32::from(digit - b'0');
                if i % 2 == 0 {
                    digit * 2 / 10 + digit * 2 % 10
                } else {
                    digit
                }
            })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }

    /// The planted social security number.
    pub fn ssn(&self, index: u64) -> String {
        format!(
            "{:03}-{:02}-{:04}",
            100 + index % 500,
            1 + index % 98,
            1 + index % 9_998
        )
    }

    /// The planted phone number.
    pub fn phone(&self, index: u64) -> String {
        let areas = AREA_CODES.iter().cycle();
        let area = areas.skip(usize::try_from(index / 20 % 10).unwrap_or(0));
        let area = area.copied().next().unwrap_or(201);
        format!("({area}) {:03}-{:04}", 220 + index % 700, index % 10_000)
    }

    /// The planted IPv4 address (its host part is what must disappear).
    pub fn ipv4(&self, index: u64) -> String {
        format!(
            "203.{}.{}.{}",
            1 + index % 250,
            1 + (index / 250) % 250,
            100 + index % 150
        )
    }

    /// An object whose members are named by what is planted, with others below them.
    fn keyed(&self, index: u64) -> serde_json::Value {
        serde_json::json!({
            self.email(index): {"last_login": 1},
            self.card(index): {"n": 2},
            self.ssn(index): 3,
            self.phone(index): {"n": {"m": 4}},
            self.ipv4(index): {"bytes": 5},
        })
    }

    fn pii_sentence(&self, index: u64) -> String {
        format!(
            " user {} paid with {} ssn {} phone {} from {}",
            self.email(index),
            self.card(index),
            self.ssn(index),
            self.phone(index),
            self.ipv4(index)
        )
    }
}
