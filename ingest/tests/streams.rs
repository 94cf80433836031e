//! Lines of one source in several streams, in envelopes or not, in; events out.

mod common;

use common::{CPU_TIME_MAX, cpu_time};
use hushlog_ingest::limits::{JOIN_BYTES_MAX, JOIN_HELD_BYTES_MAX, JOIN_STREAMS_MAX};
use hushlog_ingest::multiline::Streams;
use hushlog_record::Timestamp;
use proptest::prelude::*;

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn join<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut streams = Streams::default();
    let mut events = Vec::new();
    for line in lines {
        streams.push(line.as_bytes().to_vec(), at(1 << 60), &mut |event| {
            events.push(event)
        });
        assert!(streams.held_bytes() <= JOIN_HELD_BYTES_MAX);
    }
    streams.finish(at(1 << 60), &mut |event| events.push(event));
    assert_eq!(streams.held_bytes(), 0);
    events
        .into_iter()
        .map(|event| String::from_utf8(event).expect("it was text"))
        .collect()
}

#[test]
fn traces_in_lines_of_a_container_are_joined_by_stream() {
    let time = "2026-03-04T05:06:06.123456789Z";
    let events = join([
        &*format!("{time} stderr F a.BException: x"),
        &format!("{time} stdout F INFO between"),
        &format!("{time} stderr F \tat a.B.c(B.java:1)"),
        &format!("{time} stdout F {{\"msg\":\"json\"}}"),
        &format!("{time} stderr F after"),
    ]);
    assert_eq!(
        events,
        [
            format!("{time} stdout F INFO between"),
            format!("{time} stderr F a.BException: x\n\tat a.B.c(B.java:1)"),
            format!("{time} stderr F after"),
            format!("{time} stdout F {{\"msg\":\"json\"}}"),
        ]
    );
}

#[test]
fn parts_of_long_lines_are_put_together() {
    let time = "2026-03-04T05:06:06Z";
    let events = join([
        &*format!("{time} stdout P one "),
        &format!("{time} stderr F other"),
        &format!("{time} stdout P two "),
        &format!("{time} stdout F three"),
        &format!("{time} stdout P not ended"),
    ]);
    assert_eq!(
        events,
        [
            format!("{time} stderr F other"),
            format!("{time} stdout P one two three"),
            format!("{time} stdout P not ended"),
        ]
    );
    let docker =
        |log: &str| format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"{time}\"}}");
    let events = join([
        &*docker("one "),
        &docker("two\\n"),
        &docker("a.BException: x\\n"),
        &docker("\\tat a.B.c(B.java:1)\\n"),
        &docker("after\\n"),
    ]);
    // A report belongs to the line before it.
    assert_eq!(
        events,
        [
            docker("one two\\na.BException: x\\n\\tat a.B.c(B.java:1)"),
            docker("after"),
        ]
    );
    let part = format!("{time} stdout P {}", "x".repeat(1_000));
    let endless = join(std::iter::repeat_n(&*part, 2_000));
    assert!(
        endless
            .iter()
            .all(|event| event.len() < JOIN_BYTES_MAX + 2_000)
    );
    let kept: usize = endless
        .iter()
        .map(|event| event.bytes().filter(|byte| *byte == b'x').count())
        .sum();
    assert_eq!(kept, 2_000_000);
}

#[test]
fn traces_behind_a_syslog_relay_are_joined_by_program() {
    let new = |app: &str, text: &str| format!("<11>1 2026-03-04T05:06:06Z h1 {app} 7 - - {text}");
    let old = |app: &str, text: &str| format!("<11>Mar  4 05:06:06 h1 {app}[7]: {text}");
    for line in [new, old] {
        let events = join([
            &*line("a", "c.f.XException: x"),
            &line("b", "c.f.YException: y"),
            &line("a", "\tat a.B.c(B.java:1)"),
            &line("b", "\tat b.B.c(B.java:1)"),
            &line("a", "after"),
        ]);
        assert_eq!(
            events,
            [
                line("a", "c.f.XException: x\n\tat a.B.c(B.java:1)"),
                line("a", "after"),
                line("b", "c.f.YException: y\n\tat b.B.c(B.java:1)"),
            ]
        );
    }
}

#[test]
fn messages_of_syslog_without_text_or_with_several_lines_stay_by_themselves() {
    let header = "<165>1 2026-03-04T05:06:06Z web-1 pay 7 -";
    let events = join([
        &*format!("{header} - one"),
        &format!("{header} [ex@1 k=\"v\"] "),
        &format!("{header} - a.BException: x\n\tat a.B.c(B.java:1)"),
        &format!("{header} - \tat not.Its.frame(A.java:1)"),
        "",
    ]);
    assert_eq!(
        events,
        [
            format!("{header} [ex@1 k=\"v\"] "),
            format!("{header} - one"),
            format!("{header} - a.BException: x\n\tat a.B.c(B.java:1)"),
            format!("{header} - \tat not.Its.frame(A.java:1)"),
        ]
    );
}

/// Each of these stays by itself.
fn stay_apart(messages: &[&str]) {
    let mut events = join(messages.iter().copied());
    let mut sent = messages.to_vec();
    events.sort_unstable();
    sent.sort_unstable();
    assert_eq!(events, sent);
}

#[test]
fn spaces_before_a_message_of_syslog_are_no_indentation() {
    let time = "Mar  4 05:06:06 h";
    stay_apart(&[
        &format!("<86>{time} sudo: pam_unix(sudo:session): session closed for user root"),
        &format!("<86>{time} sudo:    alice : TTY=pts/0 ; COMMAND=/bin/id"),
        &format!("<86>{time} sudo:      bob : TTY=pts/1 ; COMMAND=/bin/id"),
        &format!("<6>{time} kernel: sda: detected"),
        &format!("<6>{time} kernel:  sda: sda1"),
    ]);
}

#[test]
fn messages_of_syslog_whose_headers_differ_are_different_ones() {
    let time = "2026-03-04T05:06:06Z";
    stay_apart(&[
        &format!("<14>1 {time} h shop 7 - - order 12 done"),
        &format!("<11>1 {time} h shop 7 - - java.lang.IllegalStateException: no"),
        &format!("<11>1 {time} h shop 7 E1 - java.lang.IllegalStateException: no"),
        &format!("<11>1 {time} h shop 7 - [order@1 id=\"12\"] java.lang.IllegalStateException: no"),
    ]);
    // What says something in its header alone is no blank line of a trace.
    stay_apart(&[
        &format!("<11>1 {time} h app 7 - - panic: x"),
        &format!("<11>1 {time} h app 7 - [ex@1 k=\"v\"] "),
        &format!("<11>1 {time} h app 7 ID7 - "),
    ]);
}

#[test]
fn frames_are_known_as_rsyslog_passes_them_on() {
    let header = "<11>Mar  4 05:06:06 h shop[7]:";
    let events = join([
        &*format!("{header} java.lang.IllegalStateException: no"),
        &format!("{header} #011at a.B.c(B.java:1)"),
        &format!("{header} #011... 3 more"),
        &format!("{header} #011e2f is a color"),
        &format!("{header} a.BException: x#012#011at a.B.c(B.java:1)"),
    ]);
    assert_eq!(
        events,
        [
            format!(
                "{header} java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\t... 3 more"
            ),
            format!("{header} #011e2f is a color"),
            format!("{header} a.BException: x\n\tat a.B.c(B.java:1)"),
        ]
    );
    // Elsewhere it is text.
    let json = r##"{"a":"x#012Caused by: y"}"##;
    assert_eq!(join([json]), [json]);
}

#[test]
fn streams_hold_no_more_than_they_are_told() {
    let mut streams = Streams::holding_at_most(100);
    let mut events = Vec::new();
    for program in 0..4 {
        let line = format!("<13>1 - host app{program} - - - {}", "x".repeat(40));
        streams.push(line.into_bytes(), at(program), &mut |event| {
            events.push(event)
        });
        assert!(streams.held_bytes() <= 100);
    }
    assert_eq!(events.len(), 3);
    assert!(events[0].starts_with(b"<13>1 - host app0"));
    assert!(!streams.is_empty());
    streams.finish(at(9), &mut |event| events.push(event));
    assert!(streams.is_empty() && events.len() == 4);
}

#[test]
fn streams_are_bounded_in_number_and_bytes() {
    let line =
        |program: usize, text: &str| format!("<11>Mar  4 05:06:06 h1 p{program}x[7]: {text}");
    let lines: Vec<_> = (0..JOIN_STREAMS_MAX * 3)
        .map(|program| line(program, "x"))
        .collect();
    assert_eq!(join(lines.iter().map(String::as_str)).len(), lines.len());
    let long = "y".repeat(JOIN_BYTES_MAX - 100);
    let lines: Vec<_> = (0..100).map(|program| line(program, &long)).collect();
    assert_eq!(join(lines.iter().map(String::as_str)).len(), lines.len());
}

#[test]
fn silent_streams_are_ended() {
    let mut streams = Streams::default();
    let mut events = Vec::new();
    for (line, now) in [
        ("<11>Mar  4 05:06:06 h1 a[1]: x", 0),
        ("<11>Mar  4 05:06:06 h1 b[1]: y", 5),
    ] {
        streams.push(line.as_bytes().to_vec(), at(now), &mut |event| {
            events.push(event)
        });
    }
    streams.expire(at(9), 10, &mut |event| events.push(event));
    assert_eq!(events.len(), 0);
    streams.expire(at(10), 10, &mut |event| events.push(event));
    assert_eq!(events, [b"<11>Mar  4 05:06:06 h1 a[1]: x".to_vec()]);
    streams.expire(at(15), 10, &mut |event| events.push(event));
    assert_eq!((events.len(), streams.held_bytes()), (2, 0));
}

#[test]
fn a_part_of_a_line_waits_for_the_next_one() {
    let part =
        |tag: &str, text: &str| format!("2026-03-04T05:06:06Z stdout {tag} {text}").into_bytes();
    let mut streams = Streams::default();
    let mut events = Vec::new();
    streams.push(part("P", "one "), at(100), &mut |event| events.push(event));
    streams.expire(at(105), 10, &mut |event| events.push(event));
    assert_eq!(events.len(), 0);
    streams.push(part("P", "two "), at(108), &mut |event| events.push(event));
    streams.expire(at(117), 10, &mut |event| events.push(event));
    streams.push(part("F", "three"), at(117), &mut |event| events.push(event));
    streams.expire(at(127), 10, &mut |event| events.push(event));
    assert_eq!(events, [part("P", "one two three")]);
}

#[test]
fn envelopes_count_among_the_bytes_held() {
    let mut streams = Streams::default();
    let mut events = Vec::new();
    let tags = "t".repeat(100_000);
    let line = |log: &str, stream: &str| {
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"attrs\":\"{tags}\"}}").into_bytes()
    };
    streams.push(line("a\\n", "stdout"), at(0), &mut |event| {
        events.push(event)
    });
    assert!(streams.held_bytes() > tags.len());
    // The part of a line, too, and lines that wait for a frame.
    streams.push(line("b", "stderr"), at(0), &mut |event| events.push(event));
    assert!(streams.held_bytes() > 2 * tags.len());
    streams.push(line("a.BException: x\\n", "stdout"), at(0), &mut |event| {
        events.push(event)
    });
    for _ in 0..4 {
        streams.push(line("more\\n", "stdout"), at(0), &mut |event| {
            events.push(event)
        });
    }
    let given: usize = events.iter().map(Vec::len).sum();
    assert!(streams.held_bytes() + given > 4 * tags.len());
    assert!(streams.held_bytes() < JOIN_BYTES_MAX + 2 * tags.len());
    streams.finish(at(0), &mut |event| events.push(event));
    assert_eq!(streams.held_bytes(), 0);
}

/// Long lines, and many short ones, of what is looked for.
#[test]
fn hostile_lines_take_time_that_grows_with_their_length() {
    let heads = [
        "",
        "<13>",
        "<13>1 - h a 1 - [",
        "2026-03-04T05:06:06Z stdout P ",
        "{\"log\":\"",
    ];
    let bodies = [
        "a",
        " ",
        "[",
        "\"",
        "\\\"",
        "Exception",
        "a.Exception: ",
        "Error ",
        "panic",
        "thread '",
        ".rb:",
        "@http://",
        ":1",
        "(",
        ") ",
        "/",
        "^",
        ".",
    ];
    for head in heads {
        for body in bodies {
            let long = format!("{head}{}", body.repeat(200_000 / body.len()));
            let short = format!("{head}{body}");
            let start = cpu_time();
            join([&*long, &long]);
            join(std::iter::repeat_n(&*short, 10_000));
            let took = cpu_time() - start;
            assert!(took < CPU_TIME_MAX, "{head:?} and {body:?}: {took:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_word_of_a_stream_is_lost(lines in prop::collection::vec((prop::sample::select(vec![
        "", "2026-03-04T05:06:06Z stdout F ", "2026-03-04T05:06:06Z stderr P ", "<13>Mar  4 05:06:06 h a[1]: ", "<13>1 - h a 1 - - ", "{\"log\":\"", "{", "<13>",
    ]), prop::sample::select(vec![
        "", "\tat ", "Caused by: ", "a.BException: ", "Traceback (most recent call last):", "panic: ", "goroutine 1 [x]:", "Unhandled exception:", "/srv/a.js:1", "KeyError: ", "#0 ", "Next ", "é",
    ])), 0..40), seed in 0u32..1000) {
        let lines: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(place, (head, body))| {
                let tail = if *head == "{\"log\":\"" { "\\n\",\"stream\":\"stdout\",\"time\":\"x\"}" } else { "" };
                format!("{head}{body} word{place}q{seed}z{tail}")
            })
            .collect();
        let events = join(lines.iter().map(String::as_str));
        let kept = events.join("\n");
        for place in 0..lines.len() {
            let word = format!("word{place}q{seed}z");
            prop_assert_eq!(kept.matches(&word).count(), 1, "{} in {:?}", word, kept);
        }
    }

    #[test]
    fn any_bytes_pass(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut streams = Streams::default();
        let mut bytes = 0;
        for line in lines {
            streams.push(line, at(0), &mut |event| bytes += event.len());
        }
        streams.finish(at(0), &mut |event| bytes += event.len());
        prop_assert!(bytes < 2_000);
    }
}
