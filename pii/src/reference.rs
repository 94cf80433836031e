//! What is found only where the bitmaps say that something could be, held against looking everywhere.
//!
//! For tests only. Looking everywhere takes many times as long and leaves nothing out.

use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::select;

use crate::bytes::{at, before};
use crate::detector::{self, Anchors, Detector, Found, Keywords, Numbers, Read};
use crate::finder::Finder;
use crate::scan::{self, Event, Seen};
use crate::{Key, Masker, Policy};

/// Words that announce numbers.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "phone ", "Phone:", "tel", "Tf. ", "mobile=", "Handy ", "call ", "Cell", "Cep ", "fax ", "téléphone ", "móvil ",
    "ssn ", "SSN:", "Social Security ", "passport ", "PASSPORT ", "driver's license ", "driving licence ",
    "bank account ", "account number ", "acct ", "routing ", "ABA ", "EIN ", "employer id ", "NPI ", "provider id ",
    "MBI ", "Medicare ", "DEA ", "dea ", "dob ", "date of birth ", "birthday: ", "imei ", "IMEI:", "VIN ",
    "vehicle identification ",
];

/// Numbers that words announce.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "+1 415 555 2671", "+49 151 12345678", "(415) 555-2671", "415-555-2671", "1.415.555.2671", "030 1234567",
    "0301 234 567", "01 23 45 67 89", "033316005", "+(49) 30 123456", "219-09-9999", "219 09 9999", "219099999",
    "900-70-1234", "A12345678", "123456789", "D123-4567-8901", "A 123 4567 8901", "A1234-12345-12345", "AB123456",
    "AB12345", "1234567", "1234 5678 9012 3456", "123456", "021000021", "0210-0002-1", "12-3456789", "1003000126",
    "1003-000-126", "1EG4-TE5-MK73", "1EG4TE5MK73", "AB1234563", "1972-11-22", "22.11.1972", "11/22/1972", "19721122",
    "490154203237518", "49-015420-323751-8", "1HGCM82633A004352", "1M8GDM9AXKP042788",
];

/// What else detectors find, and what looks like it.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "4242 4242 4242 4242", "4242424242424242", "3782 822463 10005", "DE75512108001245126199",
    "DE75 5121 0800 1245 1261 99", "93.184.216.34", "10.0.0.1/8", "1.2.3.4.5", "2001:db8::1", "::1", "::ffff:1.2.3.4",
    "1:2:3:4:5:6:7:8:443", "00:1b:44:11:3a:b7", "12:34:56", "ana@example.org", "a%40b.co", "http://u:p@host/",
    "password=", "token: ", "Cookie: a=b", "Authorization: Bearer ", "user=",
    "ghp_0123456789abcdefghijABCDEFGHIJ456789", "AKIAQWERTYZXCVBNM234", "sk-abcdefghij0123456789KLMN",
    "hooks.slack.com/services/T012345/B0123456/abcdefghijklmnopqrstuvwx", "ya29.abcdefghij0123456789klmnop",
    "glpat-abcdefghij.0123456789klmnopqrstuv", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
    "eyJhbGciOiAi.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "-----BEGIN PRIVATE KEY-----", "blk_-1608999687919862906",
    "2015-10-18 18:01:47,978 ", "0x14f05578bd80018", "deadbeefdeadbeefdeadbeefdeadbeef", "é", "電話",
];

/// Pieces with little between them, and bytes of the kinds that numbers are made of.
fn texts() -> impl Strategy<Value = String> {
    let announcement = (select(WORDS), "[ :#=]{0,2}[a-z ]{0,4}", select(NUMBERS));
    let announcement = announcement.prop_map(|(word, gap, number)| format!("{word}{gap}{number}"));
    let piece = prop_oneof![
        3 => select(OTHERS).prop_map(str::to_owned),
        2 => select(NUMBERS).prop_map(str::to_owned),
        1 => select(WORDS).prop_map(str::to_owned),
        3 => announcement,
        2 => "[ .:,;=/@_+()*x-]{1,3}",
        1 => "[0-9]{1,20}",
        1 => "[0-9 .()/-]{1,24}",
        1 => "[._-]{1,3}",
        1 => "[0-9a-f:.]{1,20}",
        1 => "[A-Za-z0-9_-]{1,30}",
        1 => "[a-z ]{1,60}",
    ];
    prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

fn sorted(mut found: Vec<Found>) -> Vec<(usize, usize, Finder)> {
    found.sort_by_key(|f| (f.start, f.end, format!("{:?}", f.by)));
    found.dedup();
    found.iter().map(|f| (f.start, f.end, f.by)).collect()
}

/// What detectors find at the events that `visit` hands on; nothing is masked, so that nothing is skipped.
fn confirmed(text: &[u8], visit: impl FnOnce(&mut dyn FnMut(Event<'_>))) -> Vec<Found> {
    let mut found = Vec::new();
    let mut read = Read::default();
    visit(&mut |event| {
        detector::confirm(text, event, &mut read, |f| {
            found.push(f);
            false
        });
    });
    found
}

/// Whether a detector is meant for this byte at all: of digits for the first ones only.
fn is_meant(text: &[u8], event: Event<'_>) -> bool {
    match at(text, event.pos) {
        b'.' => event.is_dotted(),
        b':' => event.is_colons() || event.is_sign(),
        b'@' | b'%' | b'+' | b'(' | b'=' => event.is_mark(),
        b'0'..=b'9' if !before(text, event.pos, 1).is_ascii_digit() => {
            event.is_number() || event.is_pair()
        }
        _ => false,
    }
}

fn announced(keywords: &Keywords, text: &[u8], numbers: Range<usize>) -> Vec<Found> {
    let mut found = Vec::new();
    keywords.find(text, numbers, |f| {
        found.push(f);
        true
    });
    found
}

fn anchored(anchors: &Anchors, text: &[u8], seen: &Seen) -> Vec<Found> {
    let mut found = Vec::new();
    anchors.find(text, seen, |f| found.push(f));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_stands_by_itself_is_found_as_if_every_byte_were_looked_at(text in texts()) {
        let text = text.as_bytes();
        let by_events = confirmed(text, |visit| {
            scan::scan(text, visit);
        });
        let everywhere = confirmed(text, |visit| {
            let all = (0..text.len()).flat_map(Event::each_kind);
            all.filter(|event| is_meant(text, *event)).for_each(visit);
        });
        prop_assert_eq!(sorted(by_events), sorted(everywhere));
    }

    #[test]
    fn what_words_announce_is_found_as_if_they_were_searched_for_everywhere(text in texts()) {
        let text = text.as_bytes();
        let policy = Policy::default();
        let keywords = Keywords::new(|detector| policy.rule(detector).is_some());
        let mut numbers = Numbers::default();
        let seen = scan::scan(text, |event| numbers.see(text, event));
        let near = numbers.near(&seen.shaped, false);
        let found = sorted(announced(&keywords, text, near));
        prop_assert_eq!(found, sorted(announced(&keywords, text, 0..text.len())));
    }

    #[test]
    fn tokens_are_found_as_if_they_were_searched_for_everywhere(text in texts()) {
        let text = text.as_bytes();
        let anchors = Anchors::new();
        let seen = scan::scan(text, |_| {});
        let everywhere = Seen {
            tokens: 0..text.len(),
            dashes: true,
            ..Seen::default()
        };
        let found = sorted(anchored(&anchors, text, &seen));
        prop_assert_eq!(found, sorted(anchored(&anchors, text, &everywhere)));
    }
}

/// The pieces are what they are meant to be: each kind of detector finds something in them.
#[test]
fn the_texts_hold_what_is_looked_for() {
    let masker = Masker::new(Policy::default(), Key::new([1; 32]));
    let pieces = NUMBERS.iter().chain(OTHERS);
    let findings = pieces.map(|piece| masker.mask_text(piece));
    let spans: Vec<_> = findings.flat_map(|findings| findings.spans).collect();
    for detector in [
        Detector::Email,
        Detector::Phone,
        Detector::CreditCard,
        Detector::Ssn,
        Detector::Ipv4,
        Detector::Ipv6,
        Detector::Mac,
        Detector::Iban,
        Detector::Secret,
        Detector::Jwt,
        Detector::UrlCredentials,
        Detector::PrivateKey,
    ] {
        let is_found = spans.iter().any(|span| span.detector == detector.name());
        assert!(is_found, "{detector:?}");
    }
}
