//! From bytes to masked records, whatever the bytes are: no panic, and what is masked stays so.
//!
//! Every form of input with a character of several bytes at every place in it; and pieces of all forms,
//! thrown together and repeated up to the largest event that is joined.

mod common;

use common::{received, with_context};
use hushlog_ingest::json::{self, Declared};
use hushlog_ingest::limits::JOIN_BYTES_MAX;
use hushlog_ingest::multiline::Streams;
use hushlog_ingest::{RawRecord, exception, parse, syslog};
use hushlog_pii::{Detector, Key, Masker, Policy, Strategy as Hiding};
use hushlog_record::Record;
use proptest::prelude::*;

/// Characters of two, three and four bytes: a letter, spaces that Unicode trims, an ideograph, a full-width
/// mark, a combining one, a surrogate pair in JSON, and what stands for bad UTF-8.
const WIDE: [&str; 9] = [
    "é", "\u{a0}", "\u{3000}", "\u{2028}", "電", "＠", "\u{301}", "😀", "\u{fffd}",
];

/// What each form of input looks like.
const FORMS: [&str; 56] = [
    "<34>1 2026-01-02T03:04:05Z host app 7 ID47 [ex@1 k=\"v\\\"\\]\"] \u{feff}text",
    "<34>Jan  2 03:04:05 host su[7]: text",
    "<189>29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: x",
    "83 <34>1 - - - - - - x",
    "2026-03-04T05:06:06.5Z stdout P part",
    "2026-03-04T05:06:06.5Z stderr F:x end",
    "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}",
    "@cee: {\"level\":\"warn\",\"msg\":\"\\u00e9\\ud83d\\ude00\",\"n\":-1.5e3,\"a\":[1,{\"b\":null}]}",
    "{\"logEvents\":[{\"id\":\"1\",\"timestamp\":1,\"message\":\"x\"}],\"messageType\":\"DATA_MESSAGE\",\"logGroup\":\"/a\"}",
    "level=warn msg=a b c took=1.5 ok=true err=\"x \\\"y\\\"\" to=ana@example.org",
    "Jan  2 03:04:05 web-1 sshd(pam_unix)[7]: text",
    "203.0.113.7 - ann [02/Jan/2026:03:04:05 +0000] \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" \"curl\"",
    "2026-01-02 03:04:05,678 WARN [main] c.f.Pay: text",
    "2026-01-02 03:04:05.678 UTC+02:00 INFO 7 --- [nio-1] o.s.App : text",
    "2026-01-02 03:04:05,678 - app.db - ERROR - text",
    "2026-01-02T03:04:05Z\tinfo\tpay/a.go:7\ttext\t{\"k\":\"v\"}",
    "[2026-01-02 03:04:05 +0000] [7] [INFO] text",
    "[Sun Dec 04 04:47:44 2005] [core:error] [pid 7] [client 10.0.0.1] text",
    "E0102 15:04:05.678901 7 a.go:12] \"text\" k=\"v\" n=1",
    "I20260102 15:04:05.678901 7 a.go:12] text",
    "081109 203615 148 INFO dfs.DataNode: text",
    "17/06/09 20:10:40 INFO executor: text",
    "Jan 2, 2026 3:04:05\u{202f}PM c.f.Pay charge\nSEVERE: text",
    "Fri, 02 Jan 2026 03:04:05 +0100 CET text",
    "02.01.2026 03:04:05 text",
    "E, [2026-01-02T03:04:05.678901 #123] ERROR -- pay: text",
    "1:M 02 Jan 2026 03:04:05.678 * Ready",
    "a.BException: x\n\tat a.B.c(B.java:1)\n\tat a.B$$Lambda$7/0x1.d(Unknown)\nCaused by: java.io.IOException: y\n\t... 3 more",
    "System.Exception: a ---> System.Exception: b\n   at A.B() in C:\\a.cs:line 7\n   --- End of inner exception stack trace ---",
    "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in h\nValueError: no",
    "panic: boom [recovered]\n\ngoroutine 1 [running]:\nmain.(*T).f(0x1, {0x2})\n\t/srv/a.go:3 +0x1\ncreated by main.main",
    "thread 'main' (7) panicked at src/main.rs:3:9:\nboom\nstack backtrace:\n   0: a::f\n             at ./a.rs:1:2",
    "thread 'main' panicked at 'boom', src/main.rs:3:9",
    "PHP Fatal error:  Uncaught A: x in /a.php:1\nStack trace:\n#0 /a.php(5): f()\n#1 {main}\n\nNext B: y in /a.php:2",
    "Uncaught exception 'A' with message 'x' in /a.php:1",
    "[object] (App\\Declined(code: 0): message at /srv/app.php:12)\n[stacktrace]\n#0 {main}\n\"}",
    "GenServer Pay terminating\n** (Pay.Declined) no\n    (shop 0.1.0) lib/pay.ex:5: Shop.Pay.charge/1",
    "terminate called after throwing an instance of 'my_err'\n  what():  custom",
    "libc++abi: terminating due to uncaught exception of type std::bad_alloc: no",
    "app.rb:6:in 'f': divided by 0 (ZeroDivisionError)\n\tfrom app.rb:9:in `g'",
    "ActiveRecord::RecordNotFound (no):\napp/pay.rb:3:in 'charge'",
    "Unhandled exception:\nRangeError (index): x.\n#0      main (file:///a.dart:1:2)",
    "Unhandled exception:\nInstance of 'Pay'\n#0      main (file:///a.dart:1:2)",
    "lua: a.lua:1: no\nstack traceback:\n\ta.lua:1: in main chunk",
    "/srv/app.js:12\n    throw new Error(\"x\");\n    ^\n\nTypeError [ERR_X]: x\n    at f (/srv/app.js:12:9) {\n  [cause]: y\n}\n\nNode.js v20.1.0",
    "Error: x\nfoo@http://h.example/file.js:41:13",
    "SIGSEGV: segmentation violation\nPC=0x1\n\ngoroutine 0 [idle]:\nruntime.f()",
    "user 'ann' of `x' 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01 550e8400-e29b-41d4-a716-446655440000 5µs 0x1f -1.5 k=1/2",
    "mail ana.lopez@shop.example.org %40 li%40example.com (415) 555-0132 +49 151 12345678 4242 4242 4242 4242 219-09-9999",
    "93.184.216.34/8 2001:db8::1%eth0 00:1b:44:11:3a:b7 DE75 5121 0800 1245 1261 99 http://u:p@h.example.com/",
    "password=\"s3cr3t/9\" token: abc123 Authorization: Bearer abc.def Cookie: a=b; c=d api_key='x'",
    "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5 eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2ln -----BEGIN PRIVATE KEY-----",
    "passport A12803456 dob 1972-11-22 NPI: 1003000126, 1245319599 VIN 1HGCM82633A004352 acct #12345678 ssn 219099999",
    "주민등록번호는 9601211234567 cpf 111.444.777-35 nino AB 12 34 56 C 身份证11010519491231002X",
    "[EMAIL] j***@example.com email:k1:abcdefghijklmnopqrstuvwx **** **** **** 4242",
    "{\"ssn\":219099999,\"password\":\"x\",\"a@b.co\":[\"+4915112345678\"],\"phone\":\"033316005\"}",
];

/// The default policy, and every detector on.
fn maskers() -> [Masker; 2] {
    let on = |policy: Policy, detector| policy.with(detector, Hiding::Redact);
    let all = Detector::ALL.into_iter().fold(Policy::default(), on);
    [Policy::default(), all].map(|policy| Masker::new(policy, Key::new([3; 32])))
}

/// Masked, and masked again to the same.
fn mask(maskers: &[Masker], record: &Record) {
    for masker in maskers {
        let once = masker.mask(record.clone()).into_inner();
        let twice = masker.mask(once.clone()).into_inner();
        // Not printed: a failure's output is read by people.
        assert!(once == twice, "masking again changes {:?}", once.message);
    }
}

fn masked_line(maskers: &[Masker], bytes: &[u8]) {
    let record = with_context("", |context| parse::line(bytes, context));
    if let Some(exception) = &record.exception {
        exception::signature(exception);
        exception::frames(&exception.stack_trace);
    }
    mask(maskers, &record);
}

/// Every way in.
fn all_ways(maskers: &[Masker], bytes: &[u8]) {
    masked_line(maskers, bytes);
    for declared in [Declared::Json, Declared::Lines] {
        // What is no JSON is refused with a reason; that is a result like others.
        let _ = json::read(bytes, declared, &mut |raw| {
            if let Ok(raw) = raw {
                let record = with_context("", |context| parse::record(raw, context));
                mask(maskers, &record);
            }
        });
    }
    let mut streams = Streams::default();
    let mut events = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        streams.push(line.to_vec(), received(), &mut |event| events.push(event));
    }
    streams.finish(received(), &mut |event| events.push(event));
    let mut decoder = syslog::Decoder::default();
    decoder.push(bytes, &mut |frame| events.push(frame.bytes.to_vec()));
    decoder.finish(&mut |frame| events.push(frame.bytes.to_vec()));
    for event in events.iter().filter(|event| *event != bytes) {
        masked_line(maskers, event);
    }
    let text = String::from_utf8_lossy(bytes);
    exception::parameterise(&text);
    for found in [exception::find(&text), exception::find_in_stack(&text)]
        .into_iter()
        .flatten()
    {
        exception::root_cause(&text, &found);
        exception::signature(&found.to_exception(&text));
    }
    let raw = RawRecord::text(&*text);
    let record = with_context("", |context| parse::record(raw, context));
    mask(maskers, &record);
}

#[test]
fn a_character_of_several_bytes_may_stand_anywhere() {
    let maskers = maskers();
    for form in FORMS {
        all_ways(&maskers, form.as_bytes());
        for (place, c) in form.char_indices() {
            let wide = WIDE[place % WIDE.len()];
            let (before, after) = (&form[..place], &form[place + c.len_utf8()..]);
            all_ways(
                &maskers[..1],
                format!("{before}{wide}{c}{after}").as_bytes(),
            );
            all_ways(&maskers[..1], format!("{before}{wide}{after}").as_bytes());
            // In the place of as many bytes: what is of a known length keeps it.
            for wide in WIDE {
                let Some(after) = form.get(place + wide.len()..) else {
                    continue;
                };
                let text = format!("{before}{wide}{after}");
                exception::parameterise(&text);
                masked_line(&maskers[..1], text.as_bytes());
            }
            // Half a character, and the end of the text.
            all_ways(
                &maskers[..1],
                &[before.as_bytes(), &[0xe3], after.as_bytes()].concat(),
            );
            all_ways(&maskers[..1], format!("{before}{wide}").as_bytes());
        }
    }
}

/// Parts of the forms, cut where something that a parser looks for may begin.
fn piece() -> impl Strategy<Value = String> {
    let cut = |(form, from, to): (&str, prop::sample::Index, prop::sample::Index)| {
        let borders: Vec<_> = form
            .char_indices()
            .map(|(at, _)| at)
            .chain([form.len()])
            .collect();
        let (a, b) = (
            borders[from.index(borders.len())],
            borders[to.index(borders.len())],
        );
        form[a.min(b)..a.max(b)].to_owned()
    };
    let marks = "[\\[\\]{}()<>\"'`\\\\=:;,.@%+*#/|^~$! \t\n-]{1,3}";
    prop_oneof![
        4 => (prop::sample::select(&FORMS[..]), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(cut),
        2 => prop::sample::select(&WIDE[..]).prop_map(str::to_owned),
        2 => marks,
        1 => "[0-9]{1,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_all_forms_are_read_and_masked(pieces in prop::collection::vec(piece(), 0..16)) {
        all_ways(&maskers(), pieces.concat().as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn repeated_pieces_are_read_and_masked(
        head in piece(), pieces in prop::collection::vec(piece(), 1..4), bytes in 1_000..JOIN_BYTES_MAX,
    ) {
        let piece = pieces.concat();
        let times = bytes / piece.len().max(1);
        let text = format!("{head}{}", piece.repeat(times));
        all_ways(&maskers()[..1], text.as_bytes());
    }
}
