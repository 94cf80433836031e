//! Lines in, events out.

use hushlog_ingest::limits::{JOIN_BYTES_MAX, JOIN_LINES_MAX};
use hushlog_ingest::multiline::Joiner;
use hushlog_record::Timestamp;

fn join(text: &str) -> Vec<String> {
    let mut joiner = Joiner::default();
    let mut events: Vec<_> = text
        .lines()
        .filter_map(|line| joiner.push(line.as_bytes().to_vec(), Timestamp::from_nanos(0)))
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
    assert_eq!(joiner.push(b"a".to_vec(), Timestamp::from_nanos(100)), None);
    assert_eq!(joiner.expire(Timestamp::from_nanos(109), 10), None);
    assert_eq!(
        joiner.expire(Timestamp::from_nanos(110), 10),
        Some(b"a".to_vec())
    );
    assert_eq!(joiner.expire(Timestamp::from_nanos(999), 10), None);
}
