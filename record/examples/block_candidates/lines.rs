//! Records for the comparison: 50 services, JSON-like fields, ids, paths, a few stack traces.

use hushlog_record::{Exception, Level, LogId, Masked, Record, Timestamp, Value};

/// A small generator (splitmix64), so that every run measures the same records.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).expect("below a usize")
    }

    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const VERBS: [&str; 10] = [
    "accepted", "charged", "refused", "queued", "cached", "evicted", "retried", "shipped",
    "loaded", "expired",
];
const NOUNS: [&str; 12] = [
    "order", "payment", "session", "invoice", "cart", "token", "profile", "shipment", "coupon",
    "webhook", "report", "snapshot",
];
const PATHS: [&str; 6] = [
    "/api/v1/orders",
    "/api/v1/users",
    "/checkout",
    "/search",
    "/api/v2/cart/items",
    "/login",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const STATUS: [&str; 6] = ["200", "200", "201", "404", "500", "503"];
const ERRORS: [&str; 4] = [
    "java.net.SocketTimeoutException",
    "com.shop.PaymentProcessingException",
    "java.lang.IllegalStateException",
    "redis.exceptions.ConnectionError",
];

pub(crate) fn records(count: usize) -> Vec<Masked<Record>> {
    let corpus = corpus();
    let mut dice = Dice(7);
    // These records are made up and hold no one's data.
    (0..count)
        .map(|i| Masked::vouch(record(i, &corpus, &mut dice)))
        .collect()
}

fn corpus() -> Vec<String> {
    let Ok(folder) = std::env::var("HUSHLOG_CORPUS") else {
        return Vec::new();
    };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("HUSHLOG_CORPUS is a folder")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("readable")).into_owned();
    paths
        .into_iter()
        .map(read)
        .flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn record(i: usize, corpus: &[String], dice: &mut Dice) -> Record {
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000).saturating_add(
        i64::try_from(i).expect("few records") * 43_200_000
            + i64::try_from(dice.below(1_000_000)).expect("small"),
    );
    let [r0, r1, r2, r3, r4, r5, r6, r7] = dice.roll().to_le_bytes();
    let [r8, r9, ..] = dice.roll().to_le_bytes();
    let log_id = LogId::v7(time, [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]);
    let mut record = Record::new(log_id, time, message(corpus, dice));
    let service = dice.below(50);
    record.created_at = Timestamp::from_millis(time.millis() / 1_000 * 1_000 + 17);
    record.service_name = format!("{}-service-{service}", NOUNS[service % NOUNS.len()]);
    record.host = format!(
        "{}-{:02}.eu-central-1.internal",
        NOUNS[service % NOUNS.len()],
        dice.below(4)
    );
    record.environment = "production".into();
    record.region = "eu-central-1".into();
    record.trace_id = format!("{:016x}{:016x}", dice.roll(), dice.roll());
    record.span_id = format!("{:016x}", dice.roll());
    record.level = [
        Level::Info,
        Level::Info,
        Level::Info,
        Level::Debug,
        Level::Warn,
        Level::Error,
    ][dice.below(6)];
    record.fields = fields(dice);
    if record.level == Level::Error && dice.below(4) == 0 {
        record.exception = Some(exception(dice));
    }
    record
}

fn message(corpus: &[String], dice: &mut Dice) -> String {
    if !corpus.is_empty() {
        return corpus[dice.below(corpus.len())].clone();
    }
    let (noun, verb) = (dice.pick(&NOUNS), dice.pick(&VERBS));
    format!(
        "{noun} {verb} for account acc-{:08} by worker {} after {} ms, batch {:08x} of {}",
        dice.below(100_000_000),
        dice.below(64),
        dice.below(5_000),
        dice.roll() & 0xffff_ffff,
        dice.pick(&PATHS),
    )
}

fn fields(dice: &mut Dice) -> Vec<(String, Value)> {
    vec![
        (
            "bytes".into(),
            Value::number(dice.below(100_000).to_string()),
        ),
        (
            "latency_ms".into(),
            Value::number(format!("{}.{}", dice.below(900), dice.below(1_000))),
        ),
        ("method".into(), Value::string(dice.pick(&METHODS))),
        (
            "path".into(),
            Value::string(format!("{}/{}", dice.pick(&PATHS), dice.below(100_000))),
        ),
        (
            "request_id".into(),
            Value::string(
                LogId(
                    u128::from(dice.roll())
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15_1234_5678_9abc_def1)
                        .to_be_bytes(),
                )
                .to_string(),
            ),
        ),
        ("status".into(), Value::number(dice.pick(&STATUS))),
        (
            "user_id".into(),
            Value::string(format!("user_{}", dice.below(50_000))),
        ),
    ]
}

fn exception(dice: &mut Dice) -> Exception {
    let type_name = dice.pick(&ERRORS);
    let frames: Vec<String> = (0..12)
        .map(|_| {
            format!(
                "\tat com.shop.{}.Handler.{}(Handler.java:{})",
                dice.pick(&NOUNS),
                dice.pick(&VERBS),
                dice.below(900)
            )
        })
        .collect();
    Exception {
        type_name: type_name.into(),
        message: format!(
            "{} was not {} in {} ms",
            dice.pick(&NOUNS),
            dice.pick(&VERBS),
            dice.below(9_000)
        ),
        stack_trace: format!("{type_name}\n{}", frames.join("\n")),
        signature: 0,
    }
}
