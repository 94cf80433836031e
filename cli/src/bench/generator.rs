//! The benchmark's records: 346 bytes of JSON on average, 50 services, 24 hours of event time.
//!
//! Record `i` is a function of the seed and `i` alone, so several clients generate disjoint parts and
//! a query bench knows a trace id that exists without asking.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Services that records are spread over.
pub(super) const SERVICES: u64 = 50;
/// Where all of them come from.
pub(super) const REGION: &str = "eu-west-1";
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

    /// Record `index`.
    pub(super) fn record(&self, index: u64) -> Generated {
        let mut rng = self.rng(index);
        let trace = rng.random();
        let service = rng.random_range(0..SERVICES);
        let level = [
            "DEBUG", "INFO", "INFO", "INFO", "INFO", "INFO", "INFO", "WARN", "ERROR", "INFO",
        ][rng.random_range(0..10)];
        let noun = NOUNS[rng.random_range(0..NOUNS.len())];
        let verb = VERBS[rng.random_range(0..VERBS.len())];
        let path = PATHS[rng.random_range(0..PATHS.len())];
        let latency_ms = rng.random_range(1..3_000);
        let status = [200, 200, 200, 201, 204, 404, 500][rng.random_range(0..7)];
        let user = rng.random_range(0..100_000);
        let request = rng.random();
        let outcome = if level == "ERROR" {
            "payment failed: upstream timed out"
        } else {
            "ok"
        };
        let fails = rng.random_range(0..100) == 0;
        let exception = fails.then(|| {
            let type_name = EXCEPTIONS[rng.random_range(0..EXCEPTIONS.len())];
            let line = latency_ms % 400;
            Exception {
                type_name,
                message: format!("{noun} could not be {verb}"),
                stack_trace: format!(
                    "{type_name}: {noun}\n\tat com.shop.{noun}.Handler.run(Handler.java:{line})\
                     \n\tat com.shop.Main.main(Main.java:12)"
                ),
            }
        });
        Generated {
            nanos: self.timestamp_nanos(index),
            level,
            service: format!("service-{service:02}"),
            message: format!("{noun} {verb} {path} in {latency_ms} ms, status {status}, {outcome}"),
            trace,
            request,
            user,
            latency_ms,
            status,
            exception,
        }
    }
}

/// A record, in no protocol's form yet.
#[derive(Clone, Debug)]
pub(super) struct Generated {
    /// Event time, nanoseconds since the epoch.
    pub(super) nanos: i64,
    pub(super) level: &'static str,
    pub(super) service: String,
    pub(super) message: String,
    pub(super) trace: u128,
    pub(super) request: u64,
    pub(super) user: u32,
    pub(super) latency_ms: u32,
    pub(super) status: u32,
    pub(super) exception: Option<Exception>,
}

/// The exception of one record in a hundred.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) type_name: &'static str,
    pub(super) message: String,
    pub(super) stack_trace: String,
}

impl Generated {
    /// The host that it comes from.
    pub(super) fn host(&self) -> String {
        format!("host-{:02}", self.user % 20)
    }

    /// Appends it as a JSON object, without a line's end.
    pub(super) fn write_json(&self, out: &mut String) {
        let Self {
            nanos,
            level,
            service,
            message,
            trace,
            request,
            user,
            latency_ms,
            status,
            exception,
        } = self;
        // Writing to a String cannot fail.
        let _ok = write!(
            out,
            "{{\"timestamp\":{nanos},\"level\":\"{level}\",\"service\":\"{service}\",\
             \"message\":\"{message}\",\
             \"fields\":{{\"trace_id\":\"{trace:032x}\",\"request_id\":\"{request:016x}\",\
             \"user_id\":\"user_{user}\",\"latency_ms\":{latency_ms},\"status\":{status}}},\
             \"metadata\":{{\"host\":\"{}\",\"region\":\"{REGION}\"}}",
            self.host()
        );
        if let Some(exception) = exception {
            let Exception {
                type_name,
                message,
                stack_trace,
            } = exception;
            let stack_trace = stack_trace.replace('\n', "\\n").replace('\t', "\\t");
            let _ok = write!(
                out,
                ",\"exception\":{{\"type\":\"{type_name}\",\"message\":\"{message}\",\
                 \"stack_trace\":\"{stack_trace}\"}}"
            );
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_record_is_the_same_whoever_makes_it_and_is_json() {
        let generator = Generator {
            seed: 7,
            records: 1_000,
            end_nanos: 1_700_000_000_000_000_000,
        };
        let mut failed = 0;
        for index in 0..generator.records {
            let (mut one, mut other) = (String::new(), String::new());
            generator.record(index).write_json(&mut one);
            generator.clone().record(index).write_json(&mut other);
            assert_eq!(one, other);
            let json: Value = serde_json::from_str(&one).expect("JSON");
            assert_eq!(json["fields"]["trace_id"], generator.trace_id(index));
            assert_eq!(json["timestamp"], json!(generator.timestamp_nanos(index)));
            failed += u64::from(json["exception"].is_object());
        }
        assert!(failed > 0, "none has an exception");
    }
}
