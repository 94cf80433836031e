//! The language by tables: what is understood, and what is refused where.

use hushlog_record::{Level, Timestamp};

use super::*;
use crate::field::Field;

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// The whole tree as text, values included.
fn show(expr: &Expr) -> String {
    let join = |parts: &[Expr], word: &str| {
        let parts: Vec<_> = parts.iter().map(show).collect();
        format!("({})", parts.join(word))
    };
    match expr {
        Expr::All => "all".into(),
        Expr::And(parts) => join(parts, " & "),
        Expr::Or(parts) => join(parts, " | "),
        Expr::Not(inner) => format!("!{}", show(inner)),
        Expr::Leaf(leaf) => show_leaf(leaf),
    }
}

fn show_leaf(leaf: &Leaf) -> String {
    let target = match &leaf.target {
        Target::Anywhere => "*".into(),
        Target::Field(field) => field.to_string(),
    };
    let end = |bound: &Option<Bound>| {
        bound.as_ref().map_or_else(
            || "*".into(),
            |b| format!("{}{}", b.text, if b.inclusive { "=" } else { "" }),
        )
    };
    let test = match &leaf.test {
        Test::Words(text) => format!("'{text}'"),
        Test::Wildcard(pattern) => pattern
            .0
            .iter()
            .map(|glyph| match glyph {
                Glyph::Char(c) => *c,
                Glyph::Any => '*',
                Glyph::One => '?',
            })
            .collect(),
        Test::Substring(text) => format!("contains '{text}'"),
        Test::Regex(pattern) => format!("/{pattern}/"),
        Test::Exists => "exists".into(),
        Test::Levels(levels) => {
            let names: Vec<_> = Level::ALL
                .into_iter()
                .filter(|&l| levels.contains(l))
                .map(Level::name)
                .collect();
            names.join(",")
        }
        Test::Time { first, last } => format!(
            "{}..{}",
            Timestamp::from_nanos(*first),
            if *last == i64::MAX {
                "*".into()
            } else {
                Timestamp::from_nanos(*last).to_string()
            }
        ),
        Test::LogId(_) | Test::ExceptionId(_) => "id".into(),
        Test::Range(range) => format!("{} to {}", end(&range.low), end(&range.high)),
        Test::Equal(values) => format!("equals {} values", values.len()),
    };
    format!("{target}:{test}")
}

#[test]
fn queries_mean_what_lucene_users_expect() {
    for (query, meaning) in [
        ("", "all"),
        ("  ", "all"),
        ("*", "all"),
        ("*:*", "all"),
        ("payment failed", "(*:'payment' & *:'failed')"),
        ("a AND b && c", "(*:'a' & *:'b' & *:'c')"),
        ("a OR b || c", "(*:'a' | *:'b' | *:'c')"),
        ("a OR b c", "(*:'a' | (*:'b' & *:'c'))"),
        ("(a OR b) c", "((*:'a' | *:'b') & *:'c')"),
        ("a NOT b", "(*:'a' & !*:'b')"),
        ("a -b", "(*:'a' & !*:'b')"),
        ("a !b +c", "(*:'a' & !*:'b' & *:'c')"),
        ("-(a b)", "!(*:'a' & *:'b')"),
        ("NOT NOT a", "*:'a'"),
        ("NOT *", "!all"),
        ("a NOT *", "!all"),
        ("a OR NOT *", "*:'a'"),
        ("NOT (a OR *)", "!all"),
        ("NOT NOT *", "all"),
        ("\"payment failed\"", "*:'payment failed'"),
        ("\"say \\\"hi\\\"\"", "*:'say \"hi\"'"),
        ("payment-service", "*:'payment-service'"),
        ("or and Not", "(*:'or' & *:'and' & *:'Not')"),
        ("ORder ANDroid", "(*:'ORder' & *:'ANDroid')"),
        ("msg:x", "message:'x'"),
        ("service:pay", "service_name:'pay'"),
        ("user_id:user_123", "fields.user_id:'user_123'"),
        ("fields.user_id:user_123", "fields.user_id:'user_123'"),
        ("http.status:500", "fields.http.status:'500'"),
        ("host:\"api server\"", "host:'api server'"),
        ("level:error", "level:ERROR"),
        ("level:(warn OR error)", "(level:WARN | level:ERROR)"),
        ("level:>=WARN", "level:WARN,ERROR,FATAL"),
        ("level:[DEBUG TO WARN}", "level:DEBUG,INFO"),
        ("level:*r*", "level:WARN,ERROR"),
        ("message:(a AND \"b c\")", "(message:'a' & message:'b c')"),
        ("message:(a host:b)", "(message:'a' & host:'b')"),
        ("latency_ms:>100", "fields.latency_ms:100 to *"),
        ("latency_ms:>=100", "fields.latency_ms:100= to *"),
        ("latency_ms:<-1.5", "fields.latency_ms:* to -1.5"),
        (
            "latency_ms:(>=10 AND <20)",
            "(fields.latency_ms:10= to * & fields.latency_ms:* to 20)",
        ),
        ("x:[1 TO 5]", "fields.x:1= to 5="),
        ("x:{1 TO 5}", "fields.x:1 to 5"),
        ("x:[1 TO 5}", "fields.x:1= to 5"),
        ("x:[1 TO *]", "fields.x:1= to *"),
        ("x:[\"a b\" TO *]", "fields.x:a b= to *"),
        ("x:[* TO *]", "fields.x:exists"),
        (
            "timestamp:[2026-01-01T00:00:00Z TO *]",
            "timestamp:2026-01-01T00:00:00Z..*",
        ),
        (
            "timestamp:>now-1h",
            "timestamp:2026-01-02T02:04:05.000000001Z..*",
        ),
        (
            "timestamp:2026-01-01",
            "timestamp:2026-01-01T00:00:00Z..2026-01-01T23:59:59.999999999Z",
        ),
        ("pay*", "*:pay*"),
        ("p?y", "*:p?y"),
        ("pay\\*", "*:'pay*'"),
        ("a\\ b", "*:'a b'"),
        ("\\AND", "*:'AND'"),
        ("message:*refused*", "message:contains 'refused'"),
        ("*refused*", "*:contains 'refused'"),
        (
            "message:*conn\\ refused*",
            "message:contains 'conn refused'",
        ),
        ("msg:/time.*out/", "message:/time.*out/"),
        ("msg:/a\\/\\d/", "message:/a/\\d/"),
        ("/a|b/ c", "(*:/a|b/ & *:'c')"),
        ("path:/api/v1/users", "fields.path:'/api/v1/users'"),
        ("user_id:*", "fields.user_id:exists"),
        ("_exists_:user_id", "fields.user_id:exists"),
        ("message:*", "all"),
        ("12:30:45", "*:'12:30:45'"),
        ("http://x.y", "*:'http://x.y'"),
        ("std::io", "*:'std::io'"),
        ("a:b:c", "fields.a:'b:c'"),
        ("sign:\"+\"", "fields.sign:equals 1 values"),
        ("log_id:01890000-0000-7000-8000-000000000000", "log_id:id"),
        (
            "exception.type:TimeoutException",
            "exception.type:'TimeoutException'",
        ),
        ("überweisung", "*:'überweisung'"),
    ] {
        let expr = parse(query, now()).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(show(&expr), meaning, "{query}");
    }
}

#[test]
fn malformed_queries_are_refused_with_position_and_expectation() {
    for (query, position, expected) in [
        (
            "(a",
            2,
            "expected `)` for the `(` at position 0, found the end",
        ),
        ("a)", 1, "no `(`"),
        ("()", 1, "expected a term, found `)`"),
        ("\"abc", 0, "closing `\"`"),
        ("level:", 6, "expected a value right after the colon"),
        ("a AND", 5, "expected a term, found the end"),
        ("a OR", 4, "expected a term, found the end"),
        ("OR a", 0, "expected a term in front of OR"),
        ("a AND OR b", 6, "expected a term in front of OR"),
        ("NOT", 3, "expected a term"),
        ("- a", 1, "right after the sign"),
        ("ü level:loud", 2, "expected a level"),
        ("timestamp:yesterday", 0, "expected an RFC 3339 time"),
        ("x:[1 TO", 7, "expected ` TO `"),
        ("x:[1 5]", 5, "expected ` TO `"),
        ("x:[1 TO 5", 9, "expected `]` or `}`"),
        ("x:[1* TO 5]", 5, "takes no wildcard"),
        ("x:>", 3, "expected a value"),
        ("msg:/[/", 0, "does not compile"),
        ("msg:/abc", 4, "expected a closing `/`"),
        ("msg:/a{1000}{1000}/", 0, "too large"),
        ("roam~2", 4, "fuzzy"),
        ("\"a b\"~2", 5, "slop"),
        ("a\\", 1, "after `\\`"),
        ("!!!", 3, "right after the sign"),
        ("=>", 0, "expected a letter"),
        ("log_id:x", 0, "UUID"),
        ("exception_id:x", 0, "16 hex"),
        ("log_id:[a TO b]", 0, "takes no range"),
        ("timestamp:20*", 0, "takes no wildcard"),
    ] {
        let error = parse(query, now()).expect_err(query);
        assert!(error.expected.contains(expected), "{query}: {error}");
        assert_eq!(error.position, position, "{query}: {error}");
    }
}

#[test]
fn what_is_too_deep_too_long_or_too_many_is_refused() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(32), now()).is_ok());
    for query in [
        deep(33),
        deep(1_000),
        "NOT ".repeat(1_000) + "a",
        "-".repeat(1_000) + "a",
        "a OR ".repeat(3_000) + "a",
        "pay* ".repeat(33),
        "a".repeat(16_385),
        format!("\"{}\"", "a ".repeat(129)),
        format!("msg:/{}/", "a".repeat(1_025)),
        format!("{}*", "a".repeat(300)),
    ] {
        assert!(parse(&query, now()).is_err());
    }
    assert!(parse(&"a OR ".repeat(1_000), now()).is_err());
    assert!(parse(&("a OR ".repeat(1_000) + "a"), now()).is_ok());
}

#[test]
fn debug_shows_the_shape_and_no_value() {
    let expr = parse("secret -user:secret level:error x:>7", now()).unwrap();
    let text = format!("{expr:?}");
    assert_eq!(
        text,
        "And(*:words, Not(fields.?:words), level:levels, fields.?:range)"
    );
}

#[test]
fn field_names_come_back_as_they_went() {
    for name in [
        "message",
        "level",
        "service_name",
        "timestamp",
        "exception.type",
        "fields.a.b",
    ] {
        assert_eq!(Field::resolve(name).to_string(), name);
        assert_eq!(
            Field::resolve(&Field::resolve(name).to_string()),
            Field::resolve(name)
        );
    }
}
