//! The benchmark's records: 346 bytes of JSON on average, 50 services, 24 hours of event time.
//!
//! Record `i` is a function of the seed and `i` alone, so several clients generate disjoint parts and
//! a query bench knows a trace id that exists without asking.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Services that records are spread over.
pub(super) const SERVICES: u64 = 50;
/// Event time covered by one run, nanoseconds.
pub(super) const SPAN_NANOS: i64 = 24 * 3_600 * 1_000_000_000;

const VERBS: [&str; 6] = [
    "completed",
    "received",
    "forwarded",
    "scheduled",
    "validated",
    "cached",
];
const NOUNS: [&str; 8] = [
    "request", "order", "payment", "session", "shipment", "invoice", "catalog", "profile",
];
const PATHS: [&str; 6] = [
    "/api/v1/orders",
    "/api/v1/users",
    "/checkout",
    "/search",
    "/api/v2/cart/items",
    "/health",
];
const EXCEPTIONS: [&str; 6] = [
    "java.lang.IllegalStateException",
    "java.net.SocketTimeoutException",
    "com.shop.payment.PaymentDeclinedException",
    "java.lang.NullPointerException",
    "com.shop.stock.OutOfStockException",
    "java.sql.SQLTransientConnectionException",
];

/// A run's records.
#[derive(Clone, Debug)]
pub(super) struct Generator {
    /// Seed of everything random.
    pub(super) seed: u64,
    /// How many records the run has.
    pub(super) records: u64,
    /// Event time of the last record, nanoseconds since the epoch.
    pub(super) end_nanos: i64,
}

impl Generator {
    fn rng(&self, index: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The trace id of record `index`.
    pub(super) fn trace_id(&self, index: u64) -> String {
        format!("{:032x}", self.rng(index).random::<u128>())
    }

    /// Event time of record `index`.
    pub(super) fn timestamp_nanos(&self, index: u64) -> i64 {
        let records = i128::from(self.records.max(1));
        let offset = i128::from(SPAN_NANOS) * i128::from(index) / records;
        self.end_nanos - SPAN_NANOS + i64::try_from(offset).unwrap_or(SPAN_NANOS)
    }

    /// Appends record `index` as one NDJSON line.
    pub(super) fn write(&self, index: u64, out: &mut String) {
        let mut rng = self.rng(index);
        let trace: u128 = rng.random();
        let service = rng.random_range(0..SERVICES);
        let level = [
            "DEBUG", "INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "ERROR", "INFO",
        ][rng.random_range(0..10)];
        let noun = NOUNS[rng.random_range(0..NOUNS.len())];
        let verb = VERBS[rng.random_range(0..VERBS.len())];
        let path = PATHS[rng.random_range(0..PATHS.len())];
        let latency = rng.random_range(1..3_000);
        let status = [200, 200, 200, 201, 204, 404, 500][rng.random_range(0..7)];
        let user = rng.random_range(0..100_000);
        let request: u64 = rng.random();
        let nanos = self.timestamp_nanos(index);
        let outcome = if level == "ERROR" {
            "payment failed: upstream timed out"
        } else {
            "ok"
        };
        // Writing to a String cannot fail.
        let _ok = write!(
            out,
            "{{\"timestamp\":{nanos},\"level\":\"{level}\",\"service\":\"service-{service:02}\",\
             \"message\":\"{noun} {verb} {path} in {latency} ms, status {status}, {outcome}\",\
             \"fields\":{{\"trace_id\":\"{trace:032x}\",\"request_id\":\"{request:016x}\",\
             \"user_id\":\"user_{user}\",\"latency_ms\":{latency},\"status\":{status}}},\
             \"metadata\":{{\"host\":\"host-{:02}\",\"region\":\"eu-west-1\"}}",
            user % 20
        );
        if rng.random_range(0..100) == 0 {
            let type_name = EXCEPTIONS[rng.random_range(0..EXCEPTIONS.len())];
            let _ok = write!(
                out,
                ",\"exception\":{{\"type\":\"{type_name}\",\"message\":\"{noun} could not be {verb}\",\
                 \"stack_trace\":\"{type_name}: {noun}\\n\\tat com.shop.{noun}.Handler.run(Handler.java:{})\
                 \\n\\tat com.shop.Main.main(Main.java:12)\"}}",
                latency % 400
            );
        }
        out.push_str("}\n");
    }
}
