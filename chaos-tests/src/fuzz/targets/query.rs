//! Questions: refused with a position, or planned, and a plan travels.

use hushlog_query::{Plan, Request, language};
use hushlog_record::Timestamp;

use super::super::{Target, shape};
use super::{lines, nothing, texts};

const QUERIES: &str = include_str!("../../../fuzz/seeds/queries.txt");

pub(super) const TARGETS: [Target; 3] = [
    Target {
        name: "query",
        what: "the query language",
        seeds: || lines(QUERIES),
        words: &[
            " AND ",
            " OR ",
            "NOT ",
            "(",
            ")",
            "\"",
            ":",
            "*",
            "?",
            "/",
            "[",
            " TO ",
            "]",
            "{",
            "}",
            ">=",
            "<",
            "-",
            "+",
            "\\",
            "level:",
            "timestamp:",
            "log_id:",
            "exception_id:",
            "_exists_:",
            "now-15m",
            "fields.",
            "&&",
            "||",
            "~",
            "^",
        ],
        repair: nothing,
        run: run_query,
    },
    Target {
        name: "request",
        what: "bodies of queries",
        seeds: || {
            texts(&[
                r#"{"query":"level:ERROR a","filters":{"timestamp_range":{"start":"2026-01-01","end":"now"},"services":["a"],"levels":["WARN"],"fields":{"u":["x",5,true]}},"sort":{"field":"timestamp","order":"asc"},"limit":7,"offset":3,"timeout_ms":100,"consistency":"any"}"#,
                r#"{"limit":0,"aggs":{"t":{"date_histogram":{"field":"timestamp","fixed_interval":"5m","extended_bounds":{"min":0,"max":9}},"aggs":{"l":{"terms":{"field":"level","size":3,"order":{"_key":"asc"}}}}},"p":{"percentiles":{"field":"ms","percents":[50,99.9]}},"r":{"range":{"field":"n","ranges":[{"to":5},{"from":5}]}}}}"#,
            ])
        },
        words: &[
            "{",
            "}",
            "\"aggs\":{\"a\":",
            "{\"terms\":{\"field\":\"x\"}}",
            "\"limit\":",
            "null",
            "[]",
            "1e9",
            "\"fixed_interval\":\"1s\"",
        ],
        repair: nothing,
        run: run_request,
    },
    Target {
        name: "plan",
        what: "plans from other nodes",
        seeds: || {
            let now = Timestamp::from_nanos(1 << 60);
            let mut plan =
                Plan::new(br#"{"query":"mail:a x","limit":3}"#, now).expect("a good request");
            let plain = plan.encode();
            plan.widen(|_, value| vec![format!("h:{value}")])
                .expect("few");
            vec![plain, plan.encode()]
        },
        words: &["{}", "{\"query\":\"x\"}", "\u{0}", "\u{1}a"],
        repair: nothing,
        run: run_plan,
    },
];

fn run_query(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let now = Timestamp::from_nanos(1_767_323_045_000_000_000);
    match language::parse(&text, now) {
        Ok(expr) => {
            let mut leaves = 0;
            expr.for_each_leaf(&mut |_| leaves += 1);
            let shown = format!("{expr:?}");
            shape(&[0, leaves, shown.matches(':').count(), shown.len()])
        }
        Err(error) => {
            assert!(
                error.position <= text.chars().count(),
                "a position lies in the query"
            );
            shape(&[1, error.expected.len()])
        }
    }
}

fn run_request(bytes: &[u8]) -> u64 {
    match Request::parse(bytes, Timestamp::from_nanos(1 << 60)) {
        Ok(request) => shape(&[0, request.aggregations.len(), request.limit, request.offset]),
        Err(error) => shape(&[1, error.to_string().len()]),
    }
}

fn run_plan(bytes: &[u8]) -> u64 {
    match Plan::decode(bytes) {
        Ok(plan) => {
            let written = plan.encode();
            let back = Plan::decode(&written).expect("what is written is read");
            assert!(
                back.rest == plan.rest && back.time == plan.time,
                "a plan is read back"
            );
            assert!(back.encode() == written, "the same plan is the same bytes");
            shape(&[0, format!("{:?}", plan.rest).len()])
        }
        Err(error) => shape(&[1, error.to_string().len()]),
    }
}
