//! What is masked and what is left, as text in and text out.

use hushlog_pii::{Detector, Key, Masker, Policy, Strategy};

fn masker() -> Masker {
    Masker::new(Policy::default(), Key::new([1; 32]))
}

/// Every text becomes its pair, and stays it when masked again.
fn check(cases: &[(&str, &str)]) {
    let masker = masker();
    for (text, expected) in cases {
        let masked = masker.mask_text(text).masked.into_owned();
        assert_eq!(&masked, expected, "from {text:?}");
        assert_eq!(
            masker.mask_text(&masked).masked,
            masked,
            "again, from {text:?}"
        );
    }
}

/// Nothing is found in these.
fn check_kept(texts: &[&str]) {
    let cases: Vec<_> = texts.iter().map(|text| (*text, *text)).collect();
    check(&cases);
}

#[test]
fn an_email_keeps_its_first_letter_and_its_domain() {
    check(&[
        (
            "welcome ana.lopez@shop.example.org, you are in",
            "welcome a***@shop.example.org, you are in",
        ),
        ("<kim+news@mail.example.co.uk>", "<k***@mail.example.co.uk>"),
        ("to=o'neil@example.ie;", "to=o***@example.ie;"),
        ("mailto:X@EXAMPLE.NET.", "mailto:X***@EXAMPLE.NET."),
        ("?user=li%40example.com&x=1", "?user=l***%40example.com&x=1"),
        ("q=name%3Dli%40example.com", "q=name%3Dl***%40example.com"),
        ("café@bücher.example wrote", "c***@bücher.example wrote"),
        ("писать на юля@пример.рф", "писать на ю***@пример.рф"),
        ("a@b.co", "a***@b.co"),
        ("b@xn--mller-kva.xn--p1ai", "b***@xn--mller-kva.xn--p1ai"),
    ]);
}

#[test]
fn codes_of_terminals_and_written_characters_hide_nothing() {
    check(&[
        (
            "\u{1b}[31m219-09-9999\u{1b}[0m from \u{1b}[36m93.184.216.34\u{1b}[0m",
            "\u{1b}[31m[SSN]\u{1b}[0m from \u{1b}[36m93.184.216.x\u{1b}[0m",
        ),
        (
            "\u{1b}[1;32mana@example.org\u{1b}[0m",
            // What stands before an address without a blank may be its name.
            "\u{1b}[1;3***@example.org\u{1b}[0m",
        ),
        (
            r#"{"m":"line1\n219-09-9999\t4111111111111111"}"#,
            r#"{"m":"line1\n[SSN]\t************1111"}"#,
        ),
        (r"a\u0022219-09-9999\u0022", r"a\u0022[SSN]\u0022"),
        (
            "line1#012219-09-9999#01193.184.216.34",
            "line1#012[SSN]#01193.184.216.x",
        ),
        (
            r"\x1b[31m(415) 555-2671\x1b[0m",
            r"\x1b[31m(***) ***-2671\x1b[0m",
        ),
    ]);
    let masked = masker()
        .mask_text(r#"{"email":"jane\u0040example.com"}"#)
        .masked
        .into_owned();
    assert!(!masked.contains("jane"), "{masked}");
}

#[test]
fn an_email_ends_where_names_are_joined_to_it() {
    check(&[
        ("jane@example.com(work)", "j***@example.com(work)"),
        ("*jane@example.com*", "*j***@example.com*"),
        (
            "export_ann.lee@example.com_2024.csv",
            "e***@example.com_2024.csv",
        ),
        ("users.jane@example.com.n1=3", "u***@example.com.n1=3"),
        ("jane@example.co.uk.v2", "j***@example.co.uk.v2"),
        (
            "jane@example.com.last_login=0",
            "j***@example.com.last_login=0",
        ),
        ("jane@example.com.json", "j***@example.com.json"),
    ]);
}

#[test]
fn an_at_sign_alone_is_no_email() {
    check_kept(&[
        "LeaderLatch$Watcher@5f3c1a22 closed",
        "[peer1:Election@774] - new round",
        "actor akka://system/user/src@node7",
        "assets/logo@2x.png not found",
        "getty@tty1.service: started",
        "npm install left-pad@1.3.0",
        "git@code.example.com:team/repo.git",
        "@decorator.call",
        "x@y",
        "obj@Thread.getName",
        "obj@net.com.open(",
        "worker@pool.x1.slot2",
    ]);
}

#[test]
fn a_social_security_number_goes_whole() {
    check(&[
        ("ssn 123-45-6789 checked", "ssn [SSN] checked"),
        ("(219-09-9999)", "([SSN])"),
        ("id=078-05-1120,", "id=[SSN],"),
        ("SSN: 219099999", "SSN: [SSN]"),
        (
            "her Social Security number is 219 09 9999",
            "her Social Security number is [SSN]",
        ),
        ("applicant 219 09 9999 approved", "applicant [SSN] approved"),
    ]);
    check_kept(&[
        "000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000",
        "part 7123-45-6789",
        "part 123-45-67890",
        "order-123-45-6789",
        "range 123-45-6789-12",
        "GET / 200 12 1234",
        "at 219099999 bytes",
        "progress 0.219099999",
    ]);
}

#[test]
fn a_card_keeps_its_last_four_digits() {
    check(&[
        ("paid with 4242424242424242", "paid with ************4242"),
        ("card=4242-4242-4242-4242;", "card=****-****-****-4242;"),
        ("3782 822463 10005 declined", "**** ****** *0005 declined"),
        ("5555 5555 5555 4444", "**** **** **** 4444"),
        (
            "{\"pan\":\"4242424242424242\"}",
            "{\"pan\":\"************4242\"}",
        ),
    ]);
    check_kept(&[
        "4242424242424241",
        "blk_4242424242424242",
        "blk_-4242424242424242",
        "at 1453843029218310 us",
        "0.4242424242424242",
        "4242 4242-4242 4242",
        "0000000000000000",
        "a4242424242424242",
        "4242424242424242.5",
    ]);
}

#[test]
fn a_phone_keeps_its_shape_and_its_last_digits() {
    check(&[
        ("call (415) 555-0132 now", "call (***) ***-0132 now"),
        ("415-555-0132", "***-***-0132"),
        ("415.555.0132.", "***.***.0132."),
        ("1-415-555-0132 ext. 42", "*-***-***-0132 ext. **"),
        ("sms to +4915112345678 sent", "sms to +*********5678 sent"),
        ("+44 20 7946 0958", "+** ** **** 0958"),
        ("Phone: 020 7946 0958", "Phone: *** **** 0958"),
        ("电话415-555-0132", "电话***-***-0132"),
    ]);
    check_kept(&[
        "115-555-0132",
        "415-555-01324",
        "2415-555-0132",
        "415-555.0132",
        "took 415 555 0132",
        "zone +0200 and +05:30",
        "file.txt:0+134217728",
        "€415-555-0132",
        "4155550132",
        "2026-03-02 10:11:12,345",
        "uuid 3f2b8c1e-4155-5501-9321-415555013277",
        "epoch 1700000000 and 1700000000000",
    ]);
}

#[test]
fn an_address_keeps_its_network() {
    check(&[
        ("from 93.184.216.34 port 22", "from 93.184.216.x port 22"),
        ("/93.184.216.34:50010,", "/93.184.216.x:50010,"),
        ("net 93.184.216.0/24", "net 93.184.216.x/24"),
        ("root@93.184.216.34", "root@93.184.216.x"),
        ("93.184.216.34-93.184.216.90", "93.184.216.x-93.184.216.x"),
        ("to 2001:db8:85a3::8a2e:370:7334.", "to 2001:db8:85a3::x."),
        ("[2001:db8::1]:443", "[2001:db8:0::x]:443"),
        ("fe80::1%eth0 up", "fe80:0:0::x up"),
        ("::ffff:93.184.216.34", "::ffff:93.184.216.x"),
        ("/2001:db8:0:0:0:0:0:7:2181", "/2001:db8:0::x:2181"),
    ]);
}

#[test]
fn versions_times_and_names_are_no_addresses() {
    check_kept(&[
        "version 1.2.3.4",
        "v1.2.3.4",
        "Chrome/96.0.4664.110",
        "kernel 2.6.18.1-rc2",
        "1.2.3.4.5",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3",
        "at 127.0.0.1:80 and 0.0.0.0",
        "::1 and ::",
        "std::vec::Vec",
        "Face::Bed",
        "10:11:12:345",
        "wwn 50:06:01:60:3b:a0:12:34",
        "2001::25de::cade",
        "text2001:db8::1",
    ]);
}

#[test]
fn hardware_addresses_keep_their_vendor() {
    check(&[("eth0 00:1b:44:11:3a:b7 up", "eth0 00:1b:44:xx:xx:xx up")]);
    check_kept(&[
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "00:1b:44:11:3a:b7:9c",
    ]);
}

#[test]
fn the_password_in_a_url_goes_and_the_host_stays() {
    check(&[(
        "connect postgres://app:s3cr3t@db.example.com:5432/x",
        "connect postgres://[URL_CREDENTIALS]@db.example.com:5432/x",
    )]);
    check_kept(&["ssh://git@code", "http://host:80/a"]);
}

#[test]
fn hashes_are_keyed_equal_for_equal_values_and_named_after_the_detector() {
    let policy = Detector::ALL
        .into_iter()
        .fold(Policy::default(), |p, d| p.with(d, Strategy::Hash));
    let masker = Masker::new(policy.clone(), Key::new([1; 32]));
    let other = Masker::new(policy, Key::numbered(2, [2; 32]));
    let masked = |masker: &Masker, text: &str| masker.mask_text(text).masked.into_owned();
    let a = masked(&masker, "ana@EXAMPLE.org");
    assert!(
        a.starts_with("email:k1:") && a.len() == "email:k1:".len() + 24,
        "{a}"
    );
    assert_eq!(a, masked(&masker, "ana@example.org"));
    assert_eq!(a, masker.hash_value(Detector::Email, "ana@example.org"));
    assert_ne!(a, masked(&masker, "Ana@example.org"));
    assert!(masked(&other, "ana@example.org").starts_with("email:k2:"));
    assert_eq!(
        masked(&masker, "4242 4242 4242 4242"),
        masked(&masker, "4242424242424242")
    );
    for text in [
        "x 93.184.216.34 y",
        "p://u:p@h",
        "+44 20 7946 0958",
        "00:1b:44:11:3a:b7",
        "2001:db8::1",
    ] {
        let once = masked(&masker, text);
        assert_ne!(once, text);
        assert_eq!(masked(&masker, &once), once);
    }
}

#[test]
fn of_numbers_that_overlap_those_that_make_up_the_whole_are_meant() {
    check(&[
        (
            "123-45-6789 +1 415 555 2671 4111 1111 1111 1111",
            "[SSN] +* *** *** 2671 **** **** **** 1111",
        ),
        (
            "4242 4242 4242 4242 4242 4242 4242 4242",
            "**** **** **** 4242 **** **** **** 4242",
        ),
    ]);
}

#[test]
fn of_findings_that_overlap_nothing_is_left_readable_and_each_is_reported() {
    let masker = masker();
    for (text, masked, spans) in [
        (
            "2671 4111 1111 1111 1111!",
            "[CREDIT_CARD]!",
            vec![(0, 24, "credit_card")],
        ),
        (
            "+1 415 555 2671 4111 1111 1111 x",
            "[PHONE][CREDIT_CARD] x",
            vec![(0, 15, "phone"), (15, 30, "credit_card")],
        ),
    ] {
        let findings = masker.mask_text(text);
        assert_eq!(findings.masked, masked, "from {text:?}");
        let found: Vec<_> = findings
            .spans
            .iter()
            .map(|s| (s.start, s.end, s.detector.as_ref()))
            .collect();
        assert_eq!(found, spans, "from {text:?}");
        assert!(
            findings
                .spans
                .iter()
                .all(|s| s.strategy == Strategy::Redact)
        );
    }
}

#[test]
fn full_width_letters_digits_and_marks_are_read_as_ascii() {
    check(&[
        ("邮箱 ana＠example.org", "邮箱 a***@example.org"),
        ("ａｎａ＠ｅｘａｍｐｌｅ．ｏｒｇ。", "a***@example.org。"),
        (
            "卡号４２４２４２４２４２４２４２４２，２次",
            "卡号************4242，２次",
        ),
        ("ＳＳＮ ２１９－０９－９９９９", "ＳＳＮ [SSN]"),
        ("＋４９１５１１２３４５６７８", "+*********5678"),
        (
            "１２７．０．０．１ 和 ９３．１８４．２１６．３４",
            "１２７．０．０．１ 和 93.184.216.x",
        ),
    ]);
    check_kept(&["注意：完成（１２），ok！\u{feff}", "１２３４５６７８"]);
    let masker = masker();
    let text = "é ＡＮＡ＠example.org!";
    let span = masker.mask_text(text).spans.remove(0);
    assert_eq!(&text[span.start..span.end], "ＡＮＡ＠example.org");
    let hash = |text| masker.hash_value(Detector::CreditCard, text);
    assert_eq!(hash("４２４２"), hash("4242"));
}

#[test]
fn spans_are_bytes_of_the_text_that_was_given() {
    let masker = masker();
    let text = "é ana@example.org";
    let findings = masker.mask_text(text);
    let span = &findings.spans[0];
    assert_eq!(&text[span.start..span.end], "ana@example.org");
    assert_eq!(
        (span.detector.as_ref(), span.strategy),
        ("email", Strategy::PartialMask)
    );
}

#[test]
fn a_policy_turns_detectors_off_and_chooses_the_replacement() {
    let policy = Policy::default()
        .without(Detector::Ipv4)
        .with_replacement(Detector::Email, "***@***.***");
    let masker = Masker::new(policy, Key::new([1; 32]));
    assert_eq!(
        masker.mask_text("a@example.org 93.184.216.34").masked,
        "***@***.*** 93.184.216.34"
    );
    let nothing = Masker::new(Policy::empty(), Key::new([1; 32]));
    assert_eq!(nothing.mask_text("a@example.org").masked, "a@example.org");
}

#[test]
fn debug_prints_nothing_of_key_text_or_findings() {
    let key = Key::new([0xab; 32]);
    assert_eq!(format!("{key:?}"), "Key");
    let masker = Masker::new(Policy::default(), key);
    let findings = masker.mask_text("ana@example.org");
    let shown = format!("{masker:?} {findings:?}");
    assert!(
        !shown.contains("ana") && !shown.contains("171") && !shown.contains("a***"),
        "{shown}"
    );
}

#[test]
fn a_long_text_full_of_findings_is_masked_to_its_end() {
    let text =
        "4242424242424242 +4915112345678, 93.184.216.34 ana@example.org phone 020 7946 0958\n"
            .repeat(4000);
    let masked = masker().mask_text(&text).masked.into_owned();
    assert!(masked.lines().all(|line| {
        line == "************4242 +*********5678, 93.184.216.x a***@example.org phone *** **** 0958"
    }));
}

#[test]
fn a_bank_account_keeps_its_last_four_characters() {
    check(&[
        (
            "paid from DE75512108001245126199 today",
            "paid from ******************6199 today",
        ),
        (
            "IBAN: GB33 BUKB 2020 1555 5555 55.",
            "IBAN: **** **** **** **** **55 55.",
        ),
        (
            "{\"iban\":\"NO8330001234567\"}",
            "{\"iban\":\"***********4567\"}",
        ),
        ("fr7630006000011234567890189", "***********************0189"),
    ]);
    check_kept(&[
        "DE75512108001245126198",
        "XDE75512108001245126199",
        "DE755121080012451261991",
        "GB33 BUKB2020 1555 5555 55",
        "ZZ75512108001245126199",
        "at 2026-11-29T10:12:13.456789012Z 12 34",
    ]);
}

#[test]
fn a_taxpayer_number_goes_whole() {
    check(&[("itin 912-70-1234 on file", "itin [US_ITIN] on file")]);
    check_kept(&["912-49-1234 912-89-1234 912-93-1234"]);
}

#[test]
fn a_message_that_is_nine_digits_is_a_social_security_number() {
    check(&[("219099999", "[SSN]")]);
    check_kept(&["000099999", "2190999990"]);
}

#[test]
fn tokens_are_known_by_their_issuers_prefix() {
    let secret = |text: &str| {
        let masked = masker().mask_text(text).masked.into_owned();
        assert!(masked.contains("[SECRET]"), "{text} became {masked}");
        assert_eq!(masker().mask_text(&masked).masked, masked);
    };
    let drawn = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5kL7nP9rS1tV3xY5zA7cD9fG1hK3mN5pQ7rT9vX1zB3";
    let hex = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
    for (prefix, body) in [
        ("AKIA", "QWERTYUIOPAS2345"),
        ("ghp_", &drawn[..36]),
        ("gho_", &drawn[..36]),
        ("github_pat_", &drawn[..60]),
        ("glpat-", &drawn[..20]),
        ("xoxb-", &drawn[..24]),
        ("sk_live_", &drawn[..24]),
        ("AIza", &drawn[..35]),
        ("sk-", &drawn[..48]),
        ("npm_", &drawn[..36]),
        ("dop_v1_", hex),
        ("shpat_", &hex[..32]),
        ("hvs.", &drawn[..24]),
        ("dapi", &hex[..32]),
    ] {
        secret(&format!("using {prefix}{body} now"));
        secret(&format!("\"{prefix}{body}\""));
    }
    check_kept(&[
        "AKIAIOSFODNN7EXAMPLE",
        "risk-assessment-of-the-whole-department",
        "sk-aaaaaaaaaaaaaaaaaaaaaaaa",
        "MAKIAQWERTYUIOPAS2345",
        "npm_config_registry is set",
    ]);
}

#[test]
fn tokens_and_keys_of_the_web_go_whole() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";
    check(&[
        (&format!("got {jwt}, expired"), "got [JWT], expired"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----\nnext",
            "[PRIVATE_KEY]\nnext",
        ),
        (
            "key=\"-----BEGIN PRIVATE KEY-----\\nMIIB\\n-----END PRIVATE KEY-----\\n\"",
            "key=\"[PRIVATE_KEY]\\n\"",
        ),
        (
            "half: -----BEGIN EC PRIVATE KEY-----\nMHcC",
            "half: [PRIVATE_KEY]",
        ),
    ]);
    check_kept(&[
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJub3QiOiJhIHRva2VuIn0.eyJzdWIiOiIxMjM0NTYifQ.c2ln",
    ]);
}

#[test]
fn a_secret_goes_to_its_end_whatever_is_in_it() {
    let long = "x".repeat(6_000);
    check(&[
        (
            &format!("Authorization: Negotiate {long} next"),
            "Authorization: Negotiate [AUTH_HEADER] next",
        ),
        (&format!("password=\"{long}\""), "password=\"[KV_SECRET]\""),
        (
            "password=$2b$12$N9qo8uLOickgx2 ok",
            "password=[KV_SECRET] ok",
        ),
        (
            "{\"password\":\"$uper3ecret!\"}",
            "{\"password\":\"[KV_SECRET]\"}",
        ),
        ("pwd=*Tr0ub4dor", "pwd=[KV_SECRET]"),
        ("secret=%9aF", "secret=[KV_SECRET]"),
        ("secret=k1:abcdef", "secret=[KV_SECRET]"),
        (r#""token":"abc\/def+ghi""#, r#""token":"[KV_SECRET]""#),
        (r#""password":"p\u0026ss""#, r#""password":"[KV_SECRET]""#),
        (r#""password":"a\"bcdefg""#, r#""password":"[KV_SECRET]""#),
        (
            r#"{\"password\":\"abc def\",\"a\":1}"#,
            r#"{\"password\":\"[KV_SECRET]\",\"a\":1}"#,
        ),
        ("password := \"hunter2\"", "password := \"[KV_SECRET]\""),
        ("if token == \"abc123\"", "if token == \"[KV_SECRET]\""),
        ("password=='x'", "password=='[KV_SECRET]'"),
        ("password    =     hunter2", "password    =     [KV_SECRET]"),
        (
            "Authorization: Digest username=\"M\", response=\"6629\"",
            "Authorization: [AUTH_HEADER]",
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AK/x, Signature=fe5f",
            "Authorization: [AUTH_HEADER]",
        ),
        (
            "Cookie: theme=\"dark\"; sid=31d4d96e407aad42",
            "Cookie: [AUTH_HEADER]",
        ),
        (
            "curl -H \"Cookie: sid=31d4d96e\" http://shop/",
            "curl -H \"Cookie: [AUTH_HEADER]\" http://shop/",
        ),
        ("token=[ABC123XYZ]", "token=[KV_SECRET]]"),
        ("ref-DE75512108001245126199", "ref-******************6199"),
    ]);
    check_kept(&[
        "password=${DB_PASSWORD}",
        "password={{ vault.db }}",
        "password=<redacted>",
        "password=********",
        "password=%s",
    ]);
}

/// Texts that look like the beginning of something in every place: each must cost time in proportion to
/// its length, and the test stands still where one does not.
#[test]
fn texts_full_of_beginnings_come_to_an_end() {
    let masker = masker();
    for piece in [
        "-eyJ",
        "eyJ.",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "pwd=",
        "pwd: ",
        "cookie:",
        "cookie=",
        "authorization: ",
        "token:\"",
        "ghp_",
        "DE12",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        assert!(!masker.mask_text(&text).masked.is_empty());
    }
}

#[test]
fn what_the_name_of_a_secret_stands_before_goes_whole() {
    check(&[
        (
            "user=kim password=hunter2 ok",
            "user=kim password=[KV_SECRET] ok",
        ),
        (
            "{\"db_password\": \"a b,c\"}",
            "{\"db_password\": \"[KV_SECRET]\"}",
        ),
        (
            "body {\\\"client_secret\\\":\\\"s3\\\",\\\"x\\\":1}",
            "body {\\\"client_secret\\\":\\\"[KV_SECRET]\\\",\\\"x\\\":1}",
        ),
        (
            "GET /cb?access_token=abc.def&x=1",
            "GET /cb?access_token=[KV_SECRET]&x=1",
        ),
        ("DB_PASSWORD='pässword'", "DB_PASSWORD='[KV_SECRET]'"),
        ("api-key: 9f8e7d6c5b", "api-key: [KV_SECRET]"),
        (
            "Authorization: Bearer abc123def456",
            "Authorization: Bearer [AUTH_HEADER]",
        ),
        (
            "headers={authorization=Basic dXNlcjpwYXNz}",
            "headers={authorization=Basic [AUTH_HEADER]}",
        ),
        ("Cookie: sid=1; theme=dark", "Cookie: [AUTH_HEADER]"),
    ]);
    check_kept(&[
        "Failed password for invalid user",
        "Invalid token: expected an identifier",
        "token_count=5 max_tokens=100 secret_id=7",
        "password=null token=",
        "password=[REDACTED] secret=*** token=${TOKEN}",
        "the secret: patience",
        "spwd=1 hotp=2",
        "accept the cookie: yes",
    ]);
}
