//! Makes records of a realistic mixture, the same for the same seed: 50 services, two ids of high
//! cardinality in every record, JSON-like and plain messages, a few exceptions. Mean text 346 B.

use hushlog_record::block::Part;
use hushlog_record::{Block, Exception, Level, LogId, Masked, Record, ShardId, Timestamp, Value};

/// Records of a block: 256 KiB of text.
pub(crate) const BLOCK_RECORDS: usize = 750;
/// When the first record was made.
const START: i64 = 1_790_000_000_000_000_000;
/// Nanoseconds that the records cover.
const SPAN: i64 = 24 * 3_600_000_000_000;

const VERBS: [&str; 12] = [
    "processed",
    "received",
    "accepted",
    "retried",
    "completed",
    "forwarded",
    "queued",
    "validated",
    "updated",
    "rejected",
    "cached",
    "loaded",
];
const NOUNS: [&str; 16] = [
    "order",
    "payment",
    "invoice",
    "session",
    "request",
    "shipment",
    "cart",
    "refund",
    "customer",
    "inventory item",
    "notification",
    "webhook",
    "report",
    "subscription",
    "checkout",
    "token",
];
const REASONS: [&str; 8] = [
    "upstream connection reset by peer",
    "deadline exceeded while waiting for the database",
    "circuit breaker is open",
    "cache miss, falling back to origin",
    "rate limit reached for tenant",
    "certificate will expire soon",
    "queue is growing faster than it drains",
    "replica is lagging behind its primary",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const PATHS: [&str; 10] = [
    "/api/v1/orders",
    "/api/v1/payments",
    "/api/v2/users",
    "/healthz",
    "/api/v1/cart/items",
    "/login",
    "/api/v1/search",
    "/internal/sync",
    "/api/v1/reports/daily",
    "/static/app.js",
];
const EXCEPTIONS: [&str; 5] = [
    "java.lang.IllegalStateException",
    "java.net.SocketTimeoutException",
    "PaymentProcessingException",
    "requests.exceptions.ConnectionError",
    "KeyError",
];

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }
}

/// Record `i` of `count`; times rise with `i`, with jitter.
pub(crate) fn record(random: &mut Random, i: u64, count: u64) -> Record {
    let spread =
        i64::try_from(i).expect("small") * (SPAN / i64::try_from(count.max(1)).expect("small"));
    let jitter = i64::try_from(random.below(2_000_000_000)).expect("small");
    let time = Timestamp::from_nanos(START + spread + jitter);
    let received = Timestamp::from_nanos(START + spread + 2_000_000_000 + (i / 100) as i64 * 1_000);
    let mut tail = [0; 10];
    tail[..8].copy_from_slice(&random.next().to_le_bytes());
    let mut record = Record::new(LogId::v7(received, tail), received, String::new());
    record.timestamp = time;
    let service = random.below(50) * random.below(50) / 50;
    record.service_name = format!(
        "{}-service-{service:02}",
        ["payment", "order", "auth"][(service % 3) as usize]
    );
    record.level = match random.below(100) {
        0..=9 => Level::Debug,
        10..=84 => Level::Info,
        85..=94 => Level::Warn,
        95..=98 => Level::Error,
        _ => Level::Fatal,
    };
    record.host = format!("node-{service:02}-{}", random.below(4));
    record.environment = "production".into();
    record.region = ["eu-west-1", "us-east-1"][(service % 2) as usize].into();
    record.trace_id = format!("{:016x}{:016x}", random.next(), random.next());
    record.span_id = format!("{:016x}", random.next());
    let user = random.below(100_000);
    let latency = random.below(1_000) * random.below(1_000) / 500;
    record.message = message(random, user, latency);
    let request = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        random.below(1 << 32),
        random.below(1 << 16),
        random.below(1 << 12),
        random.below(1 << 12),
        random.below(1 << 48)
    );
    record.fields = vec![
        ("http.method".into(), Value::string(random.pick(&METHODS))),
        (
            "http.status".into(),
            Value::number([200, 200, 201, 404, 500][random.below(5) as usize].to_string()),
        ),
        ("latency_ms".into(), Value::number(latency.to_string())),
        ("request_id".into(), Value::string(request)),
        ("user_id".into(), Value::string(format!("user_{user}"))),
    ];
    if random.below(20) == 0 {
        record.fields.insert(
            3,
            (
                "order.total".into(),
                Value::number(format!("{}.{:02}", random.below(900), random.below(100))),
            ),
        );
    }
    if record.level >= Level::Error && random.below(2) == 0 {
        let type_name = random.pick(&EXCEPTIONS).to_owned();
        let frames: Vec<_> = (0..6)
            .map(|f| {
                format!(
                    "\tat com.shop.module{f}.Handler.run(Handler.java:{})",
                    random.below(400)
                )
            })
            .collect();
        record.exception = Some(Exception {
            message: random.pick(&REASONS).to_owned(),
            stack_trace: format!("{type_name}: failed\n{}", frames.join("\n")),
            type_name,
            signature: 0,
        });
        record.pii = vec!["email".into()];
    }
    record
}

fn message(random: &mut Random, user: u64, latency: u64) -> String {
    let (verb, noun) = (random.pick(&VERBS), random.pick(&NOUNS));
    match random.below(4) {
        0 => format!(
            "{{\"event\":\"{verb}\",\"entity\":\"{noun}\",\"entity_id\":{},\"attempt\":{},\"duration_ms\":{latency},\"peer\":\"[IP_ADDRESS]\",\"note\":\"{}\"}}",
            random.below(10_000_000),
            random.below(4),
            random.pick(&REASONS),
        ),
        1 => format!(
            "{} {}?id={} HTTP/1.1 completed in {latency} ms for user_{user}, {} bytes sent to client, {}",
            random.pick(&METHODS),
            random.pick(&PATHS),
            random.below(1_000_000),
            random.below(100_000),
            random.pick(&REASONS),
        ),
        2 => format!(
            "[worker-{}] {noun} {} {verb} by handler {} after {latency} ms; {}",
            random.below(64),
            random.below(10_000_000),
            random.pick(&PATHS),
            random.pick(&REASONS),
        ),
        _ => format!(
            "{noun} {verb}: id={} tenant=tenant-{} status={} elapsed={latency}ms contact=[EMAIL] reason=\"{}\"",
            random.below(10_000_000),
            random.below(500),
            random.below(6),
            random.pick(&REASONS),
        ),
    }
}

/// `count` records in blocks.
pub(crate) fn blocks(seed: u64, count: u64) -> Vec<Block> {
    let mut random = Random(seed);
    let records: Vec<_> = (0..count)
        .map(|i| Masked::vouch(record(&mut random, i, count)))
        .collect();
    records.chunks(BLOCK_RECORDS).map(seal).collect()
}

/// One block of these records.
pub(crate) fn seal(records: &[Masked<Record>]) -> Block {
    let rows = 0..u32::try_from(records.len()).expect("small");
    Block::seal(
        ShardId { bucket: 1, slot: 0 },
        1,
        Timestamp::from_nanos(START),
        vec![Part {
            key: None,
            content: 0,
            rows,
        }],
        records,
    )
}
