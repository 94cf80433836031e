//! Whatever a line is: no panic, nothing of its text lost, the same record every time, and time that
//! grows with its length.

mod common;

use common::{CPU_TIME_MAX, cpu_time, line, show};
use hushlog_ingest::exception;
use hushlog_record::Record;
use proptest::prelude::*;

/// Pieces that lines of known forms are made of.
const PIECES: [&str; 64] = [
    "<34>",
    "<165>1 ",
    "<13>",
    "<",
    ">",
    "2026-03-04T05:06:06.123456789Z ",
    "2026-03-04 05:00:00,123 ",
    "Mar  4 05:06:06 ",
    "Jan 2, 2026 3:04:05 PM ",
    "[Sun Dec 04 04:47:44 2005] ",
    "[10/Oct/2000:13:55:36 -0700] ",
    "E0102 15:04:05.678901 7 a.go:1] ",
    "081109 203615 148 ",
    "17/06/09 20:10:40 ",
    "*Mar  1 18:46:11: ",
    "stdout F ",
    "stderr P ",
    "host ",
    "app[7]: ",
    "- ",
    "-",
    "[ex@1 k=\"",
    "\\\"",
    "\"]",
    "]",
    "[",
    "INFO ",
    "ERROR: ",
    "[main] ",
    "c.f.Pay - ",
    "c.f.Pay: ",
    " : ",
    "--- ",
    "10.0.0.1 - - ",
    "\"GET /a HTTP/1.1\" ",
    "200 12 ",
    "\"-\" \"curl\"",
    "ERROR:root:",
    "{\"log\":\"",
    "\\n\",\"stream\":\"stdout\"}",
    "@cee: ",
    "{\"msg\":\"",
    "\"}",
    "k=v ",
    "k=\"",
    "\"",
    "\\",
    "=",
    ":",
    " ",
    "\t",
    "\n",
    "\u{feff}",
    "é",
    "1",
    "[pid 7] ",
    "[core:error] ",
    "in app: ",
    "Exception: x",
    "\tat a.B.c(B.java:1)",
    "panic: ",
    "goroutine 1 [running]:\n",
    "Traceback (most recent call last):\n",
    "12:34:56 ",
];

fn everything(record: &Record) -> String {
    let mut text = format!("{} {:?} ", show(record), record.level);
    if let Some(exception) = &record.exception {
        text.push_str(&exception.stack_trace);
    }
    text
}

proptest! {
    #[test]
    fn no_word_of_a_line_is_lost(
        pieces in prop::collection::vec((0..PIECES.len(), any::<bool>()), 0..14)
    ) {
        let mut text = String::new();
        let mut words = Vec::new();
        for (place, (piece, marked)) in pieces.into_iter().enumerate() {
            text.push_str(PIECES[piece]);
            if marked {
                let word = format!("word{place}q");
                text.push_str(&word);
                words.push(word);
            }
        }
        let record = line(&text);
        let kept = everything(&record);
        for word in words {
            prop_assert!(kept.contains(&word), "{word} of {text:?} is not in {kept:?}");
        }
        prop_assert_eq!(&record, &line(&text));
    }

    #[test]
    fn any_text_is_kept(text in "\\PC{0,80}") {
        let record = line(&text);
        let kept = everything(&record);
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 4) {
            prop_assert!(kept.contains(word), "{word} of {text:?} is not in {kept:?}");
        }
    }

    #[test]
    fn any_bytes_are_a_record(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        common::with_context("", |context| hushlog_ingest::parse::line(&bytes, context));
    }

    #[test]
    fn any_time_is_read_or_kept(text in "[0-9A-Za-z:/., +-]{0,40}") {
        let record = common::object(&format!("{{\"time\":\"{text}\"}}"));
        let kept = record.fields.iter().any(|(name, value)| name == "timestamp_raw" && value.text == text);
        prop_assert!(kept || record.timestamp != record.created_at || text.is_empty(), "{text}");
    }
}

/// Repeats of what parsers look for, in front of nothing.
#[test]
fn hostile_lines_take_time_that_grows_with_their_length() {
    const BYTES: usize = 300_000;
    let heads = [
        "",
        "<13>",
        "<13>1 - - - - - ",
        "<13>1 - - - - - [a b=\"",
        "2026-03-04T05:06:06Z ",
        "2026-03-04T05:06:06Z stdout F ",
        "10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"",
        "E0102 15:04:05.678901 7 a.go:1] \"",
        "2026-03-04 05:00:00 INFO ",
        "Traceback (most recent call last):\n",
        "a.B: x\n\tat a.b(C.java:1)\n",
        "goroutine 1 [running]:\n",
    ];
    let bodies = [
        "[",
        "]",
        "\\",
        "\"",
        "\\\"",
        " ",
        "\t",
        "a",
        "a.",
        "a=",
        "a=1 ",
        "a=\"",
        "a:",
        ": ",
        "- ",
        "'",
        "' ",
        "`",
        "<13>",
        "x@",
        "\n",
        "\n\n",
        "stdout F ",
        "Caused by: ",
        "\nCaused by: a.B: c",
        "---> ",
        "\nNext ",
        "Uncaught ",
        ":in '",
        ":in '': a (B",
        "#0 ",
        "\n#0 a (b.dart:1",
        "** (",
        "Traceback (most recent call last):",
        "\n  File \"a\", line 1, in f",
        "goroutine ",
        "\ngoroutine 1 [",
        "(",
        ")",
        "\nf(",
        "at a(",
        "\n\tat a.b(C.java:1)",
        "Exception",
        "a.Exception ",
        "panic: ",
        "[cause]: ",
        "0x1 ",
        "1.2.3.4 ",
        "://",
        "lambda$",
        "func1.",
        "\t{",
        "\t{}",
        "a::",
        "a.ERROR: ",
        " [a.b]",
        "! ",
        "! at ",
        "  at a (",
        "Instance of '",
        "libc++abi: terminating due to uncaught exception of type ",
        "SIG",
        "thread '",
        "panicked at ",
        "{",
        "{\"a\":",
        "@cee:",
    ];
    for head in heads {
        for body in bodies {
            let text = format!("{head}{}", body.repeat(BYTES / body.len()));
            let start = cpu_time();
            let record = line(&text);
            if let Some(exception) = &record.exception {
                exception::signature(exception);
            }
            exception::parameterise(&text);
            if let Some(found) = exception::find(&text) {
                exception::root_cause(&text, &found);
            }
            let took = cpu_time() - start;
            assert!(took < CPU_TIME_MAX, "{head:?} and {body:?}: {took:?}");
        }
    }
}
