//! Streams of syslog over TCP in, messages out.

use hushlog_ingest::limits::{SYSLOG_COUNT_DIGITS_MAX, SYSLOG_FRAME_BYTES_MAX};
use hushlog_ingest::syslog::{self, Decoder};
use proptest::prelude::*;

/// The messages of a stream that comes in pieces of this size, those that are cut with `…`.
fn messages(stream: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    let mut each = |frame: syslog::Frame<'_>| {
        let text = String::from_utf8_lossy(frame.bytes);
        found.push(format!("{text}{}", if frame.cut { "…" } else { "" }));
    };
    for bytes in stream.chunks(piece) {
        decoder.push(bytes, &mut each);
        assert!(decoder.held_bytes() <= SYSLOG_FRAME_BYTES_MAX);
    }
    decoder.finish(&mut each);
    found
}

#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    for piece in [1, 2, 3, 7, 4096] {
        assert_eq!(
            messages(stream.as_bytes(), piece),
            expected,
            "in pieces of {piece}"
        );
    }
}

#[test]
fn both_framings_are_read_and_may_change() {
    check(
        "<13>a\n<13>b\r\n<13>c\0<13>d",
        &["<13>a", "<13>b", "<13>c", "<13>d"],
    );
    check(
        "5 <13>a7 <13>b\nc6 <13>d\n",
        &["<13>a", "<13>b\nc", "<13>d"],
    );
    check(
        "5 <13>a\n<13>b\n5 <13>c<13>d\n",
        &["<13>a", "<13>b", "<13>c", "<13>d"],
    );
    check("\n\n  \n<13>a\n\n", &["<13>a"]);
    check("", &[]);
}

#[test]
fn what_only_resembles_a_count_is_a_line() {
    check("12 drummers\n", &["12 drummers"]);
    check("12\n", &["12"]);
    check("012 <13>a\n", &["012 <13>a"]);
    check("12", &["12"]);
    check("12 ", &["12 "]);
    check("1234567890 <13>a\n", &["1234567890 <13>a"]);
    let digits = "9".repeat(SYSLOG_COUNT_DIGITS_MAX + 1);
    check(&format!("{digits}\nx\n"), &[&digits, "x"]);
}

#[test]
fn a_message_that_breaks_off_is_kept() {
    check("50 <13>half", &["<13>half"]);
    check("<13>half", &["<13>half"]);
}

#[test]
fn a_long_message_is_cut_and_nothing_is_lost() {
    let long = format!("<13>{}", "x".repeat(SYSLOG_FRAME_BYTES_MAX * 2));
    for stream in [
        format!("{long}\n<13>b\n"),
        format!("{} {long}5 <13>b", long.len()),
    ] {
        let found = messages(stream.as_bytes(), 5_000);
        assert_eq!(found.len(), 4);
        assert_eq!(found[3], "<13>b");
        assert!(found[0].ends_with('…') && found[1].ends_with('…') && !found[2].ends_with('…'));
        let whole: String = found[..3].concat().replace('…', "");
        assert_eq!(whole, long);
    }
}

#[test]
fn a_datagram_is_one_message() {
    for (bytes, expected) in [
        (&b"<13>a\nb"[..], vec!["<13>a\nb"]),
        (b"<13>a\n", vec!["<13>a"]),
        (b"<13>a\0", vec!["<13>a"]),
        (b" \n", vec![]),
        (b"", vec![]),
    ] {
        let mut found = Vec::new();
        syslog::datagram(bytes, &mut |frame| {
            found.push(String::from_utf8_lossy(frame.bytes).into_owned())
        });
        assert_eq!(found, expected);
    }
}

proptest! {
    #[test]
    fn where_a_stream_is_split_changes_nothing(
        parts in prop::collection::vec(prop_oneof![
            Just("<13>"), Just("5 <13>a"), Just("9 "), Just("1"), Just(" "), Just("\n"), Just("\r"), Just("\0"), Just("x"), Just("é"), Just("99999999 <"), Just("0 <"), Just("<"),
        ], 0..30), piece in 1usize..9
    ) {
        let stream = parts.concat();
        prop_assert_eq!(messages(stream.as_bytes(), piece), messages(stream.as_bytes(), 1 << 20));
    }

    #[test]
    fn counted_messages_come_out_as_they_went_in(texts in prop::collection::vec("[ -~\n]{0,40}[!-~]", 0..8)) {
        let texts: Vec<_> = texts.into_iter().map(|text| format!("<13>{text}")).collect();
        let stream: String = texts.iter().map(|text| format!("{} {text}", text.len())).collect();
        prop_assert_eq!(messages(stream.as_bytes(), 3), texts);
    }
}
