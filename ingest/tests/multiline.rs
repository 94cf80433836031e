//! Lines in, events out.

use hushlog_ingest::limits::{JOIN_AGE_NANOS_MAX, JOIN_BYTES_MAX, JOIN_LINES_MAX};
use hushlog_ingest::multiline::Joiner;
use hushlog_record::Timestamp;

fn join(text: &str) -> Vec<String> {
    let mut joiner = Joiner::default();
    let mut events: Vec<_> = text
        .lines()
        .flat_map(|line| joiner.push(line.as_bytes().to_vec(), Timestamp::from_nanos(0)))
        .collect();
    events.extend(joiner.finish());
    events
        .into_iter()
        .map(|event| String::from_utf8(event).expect("it was text"))
        .collect()
}

/// The text is one event, and an ordinary line before and after it is not part of it.
fn stays_whole(event: &str) {
    assert_eq!(join(&format!("{event}\nINFO after")), [event, "INFO after"]);
}

#[test]
fn ordinary_lines_are_events() {
    assert_eq!(
        join("a\n\nb: x.y failed\n   \nError in c\n"),
        ["a", "b: x.y failed", "Error in c"]
    );
}

#[test]
fn a_java_trace_belongs_to_the_line_before_it() {
    stays_whole(
        "2026-01-02 ERROR [main] pay - failed\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\
         Caused by: java.io.IOException: x\n\t... 3 more",
    );
}

#[test]
fn a_python_chain_is_one_event() {
    stays_whole(
        "ERROR failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'\n\n\
         During handling of the above exception, another exception occurred:\n\n\
         Traceback (most recent call last):\n  File \"a.py\", line 3, in h\n    f()\nValueError: no",
    );
}

#[test]
fn a_go_panic_keeps_its_goroutines() {
    stays_whole(
        "panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/srv/a.go:3 +0x1\nmain.main()\n\t/srv/a.go:9 +0x2\n\n\
         goroutine 7 [select]:\ncreated by main.main\n\t/srv/a.go:8 +0x3\nexit status 2",
    );
}

#[test]
fn a_rust_panic_keeps_its_message_and_backtrace() {
    stays_whole(
        "thread 'main' (7) panicked at src/main.rs:3:9:\nboom\nstack backtrace:\n   0: f\n             at ./a.rs:1:2\n\
         note: Some details are omitted",
    );
}

#[test]
fn php_and_dotnet_traces_stay_whole() {
    stays_whole(
        "PHP Fatal error:  Uncaught Error: x in /a.php:1\nStack trace:\n#0 {main}\n  thrown in /a.php on line 1",
    );
    stays_whole(
        "System.Exception: a ---> System.Exception: b\n   at A.B()\n   --- End of inner exception stack trace ---\n   at C.D()",
    );
}

#[test]
fn a_long_trace_is_cut_and_nothing_is_lost() {
    let lines = JOIN_LINES_MAX * 2 + 5;
    let events = join(&format!(
        "java.lang.E\n{}",
        "\tat a.b(C.java:1)\n".repeat(lines)
    ));
    assert_eq!(
        events
            .iter()
            .map(|event| event.lines().count())
            .sum::<usize>(),
        lines + 1
    );
    assert!(
        events
            .iter()
            .all(|event| event.lines().count() <= JOIN_LINES_MAX)
    );
    let events = join(&format!(
        "x\n\t{0}\n\t{0}\n",
        "y".repeat(JOIN_BYTES_MAX - 8)
    ));
    assert_eq!(events.len(), 2);
}

#[test]
fn a_held_event_is_given_after_the_wait_that_the_caller_chose() {
    let mut joiner = Joiner::default();
    let none: Vec<Vec<u8>> = Vec::new();
    assert_eq!(joiner.push(b"a".to_vec(), Timestamp::from_nanos(100)), none);
    assert_eq!(joiner.expire(Timestamp::from_nanos(109), 10), none);
    assert_eq!(
        joiner.expire(Timestamp::from_nanos(110), 10),
        [b"a".to_vec()]
    );
    assert_eq!(joiner.expire(Timestamp::from_nanos(999), 10), none);
}

#[test]
fn an_event_does_not_grow_old() {
    let mut joiner = Joiner::default();
    let mut ended = joiner.push(b"a.BException: x".to_vec(), Timestamp::from_nanos(0));
    for second in 1..=25 {
        let now = Timestamp::from_nanos(second * 1_000_000_000);
        ended.extend(joiner.push(b"\tat a.B.c(B.java:1)".to_vec(), now));
    }
    ended.extend(joiner.finish());
    assert_eq!(ended.len(), 3);
    let lines: usize = ended
        .iter()
        .map(|event| event.split(|byte| *byte == b'\n').count())
        .sum();
    assert_eq!(lines, 26);
    let mut joiner = Joiner::default();
    joiner.push(b"a".to_vec(), Timestamp::from_nanos(0));
    joiner.push(
        b" b".to_vec(),
        Timestamp::from_nanos(JOIN_AGE_NANOS_MAX - 1),
    );
    let ended = joiner.expire(Timestamp::from_nanos(JOIN_AGE_NANOS_MAX), i64::MAX);
    assert_eq!(ended, [b"a\n b".to_vec()]);
}

#[test]
fn a_message_of_several_lines_belongs_to_its_report() {
    stays_whole(
        "java.lang.RuntimeException: primary\nsecond line\n\nfourth\n\tat a.B.c(B.java:1)\n\t... 1 more",
    );
    stays_whole("2026-01-02 03:04:05 ERROR x: a.BException: one\ntwo\n\tat a.B.c(B.java:1)");
    // Without a frame below they are lines like others.
    assert_eq!(
        join("a.BException: x\nsecond\nthird\nINFO after"),
        ["a.BException: x", "second", "third", "INFO after"]
    );
    assert_eq!(
        join("a.BException: x\nsecond\n2026-01-02 03:04:05 INFO c\n\tat a.B.c(B.java:1)"),
        [
            "a.BException: x",
            "second",
            "2026-01-02 03:04:05 INFO c\n\tat a.B.c(B.java:1)"
        ]
    );
    let many = format!("a.BException: x\n{}\tat a.B.c(B.java:1)", "y\n".repeat(20));
    assert_eq!(join(&many).len(), 21);
    assert_eq!(
        join("the Error is: gone\nwell\n"),
        ["the Error is: gone", "well"]
    );
}

#[test]
fn traces_of_other_languages_stay_whole() {
    for event in [
        "Unhandled exception:\nBad state: oops\n#0      main (file:///a.dart:1:2)\n<asynchronous suspension>\n#1      f (dart:x)",
        "Error: x\nfoo@http://h.example/file.js:41:13\nbar@http://h.example/file.js:1:1",
        "/srv/app.js:12\n    throw new Error(\"x\");\n    ^\n\nError: x\n    at f (/srv/app.js:12:9)",
        "/srv/app.js:3\nthrow new PaymentDeclined();\n^\n\nPaymentDeclined: no\n    at go (/srv/app.js:3:1) {\n  code: 5,\n  [cause]: TypeError: y\n      at f (/srv/app.js:9:1)\n}\n\nNode.js v20.1.0",
        "node:internal/process/promises:394\n      triggerUncaughtException(err, true);\n      ^\n\nRangeError: r\n    at go (/srv/app.js:3:1)",
        "PHP Fatal error:  Uncaught A: x in /a.php:1\nStack trace:\n#0 {main}\n\nNext B: y in /a.php:2\nStack trace:\n#0 {main}\n  thrown in /a.php on line 2",
        "Jan 02, 2026 3:04:05 PM c.f.Pay charge\nSEVERE: it failed\nc.f.DeclinedException: x\n\tat c.f.Pay.charge(Pay.java:1)",
        "ActiveRecord::RecordNotFound (no):\napp/pay.rb:3:in 'charge'\napp/pay.rb:9:in 'run'",
        "GenServer Pay terminating\n** (Pay.Declined) no\n    (shop 0.1.0) lib/pay.ex:5: Shop.Pay.charge/1\nLast message: :go",
        "terminate called after throwing an instance of 'my_err'\n  what():  custom",
        "lua: a.lua:1: no\nstack traceback:\n\ta.lua:1: in main chunk",
        "no at pay.pl line 3.\n\tmain::charge(7) called at pay.pl line 12",
    ] {
        stays_whole(event);
    }
    // What only resembles them.
    for line in [
        "see https://h.example/a@http://x",
        "/srv/app.js:12 is broken",
        "#channel",
        "Jan 02, 2026 3:04:05 PM is when",
    ] {
        assert_eq!(join(&format!("a\n{line}\nb")), ["a", line, "b"]);
    }
}

#[test]
fn a_record_behind_a_trace_is_no_part_of_it() {
    for trace in [
        "panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/srv/a.go:3 +0x1",
        "panic: boom",
        "thread 'main' (7) panicked at src/main.rs:3:9:",
        "Unhandled exception:",
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f",
        "/srv/app.js:12",
        "/srv/app.js:12\n    throw new Error(\"x\");\n    ^\n",
    ] {
        for record in [
            "2026-01-02 03:04:05 INFO done (ok)",
            "2026/01/02 03:04:05 served f(x)",
            "[2026-01-02T03:04:05Z] done (ok)",
            "Jan  2 03:04:05 web-1 app[7]: done (ok)",
            "03:04:05.678 [main] done (ok)",
            "081109 203615 148 INFO dfs: done (ok)",
            "ERROR: done (ok)",
            "[WARN] done (ok)",
            "{\"msg\":\"done (ok)\"}",
            "level=info msg=\"done (ok)\"",
        ] {
            let events = join(&format!("{trace}\n{record}"));
            assert_eq!(events.last().map(String::as_str), Some(record), "{trace}");
        }
    }
}

#[test]
fn words_that_also_begin_ordinary_lines_continue_traces_only() {
    for line in [
        "... done",
        "--- End of report",
        "note: the disk is nearly full",
        "goroutine leak found",
        "created by user 7",
        "[signal] received",
        "from /srv to /backup",
        "Next run: 03:04",
        "** (see below)",
        "Last message: hello",
        "! watch out",
        "Node.js versions: 2",
        "Processing (batch 7):",
        "done(ok)",
    ] {
        assert_eq!(
            join(&format!("INFO before\n{line}\nINFO after")),
            ["INFO before", line, "INFO after"]
        );
    }
    for event in [
        "a.BException: x\n\tat a.B.c(B.java:1)\n... 12 more",
        "a.BException: x\n\tat a.B.c(B.java:1)\n... 7 common frames omitted",
        "! a.BException: x\n! at a.B.c(B.java:1)\n! ... 3 common frames omitted\n! Causing: a.CException: y",
        "a.rb:1:in 'f': no (KeyError)\nfrom /srv/a.rb:9:in 'g'",
        "panic: x\n[signal SIGSEGV: segmentation violation]\n\ngoroutine 1 [running]:\nmain.f[...]({0x1, 0x2})\n\t/a.go:1\n...7 frames elided...\ncreated by main.main in goroutine 1\n\t/a.go:2",
    ] {
        stays_whole(event);
    }
}
