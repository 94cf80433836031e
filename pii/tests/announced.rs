//! Numbers that a word, the name of a field or a country's rules give away, and their look-alikes.

use hushlog_pii::{Detector, Key, Masker, Pack, Policy, Strategy};
use hushlog_record::{LogId, Record, Timestamp, Value};

fn check_with(masker: &Masker, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let masked = masker.mask_text(text).masked.into_owned();
        assert_eq!(&masked, expected, "from {text:?}");
        assert_eq!(masker.mask_text(&masked).masked, masked, "again, {text:?}");
    }
}

fn check(cases: &[(&str, &str)]) {
    check_with(&Masker::new(Policy::default(), Key::new([1; 32])), cases);
}

fn check_kept(texts: &[&str]) {
    let cases: Vec<_> = texts.iter().map(|text| (*text, *text)).collect();
    check(&cases);
}

fn check_in(country: &str, cases: &[(&str, &str)]) {
    let policy = Policy::default().with_country(country);
    check_with(&Masker::new(policy, Key::new([1; 32])), cases);
}

fn field(masker: &Masker, name: &str, value: Value) -> String {
    let mut record = Record::new(LogId([0; 16]), Timestamp::from_millis(0), "");
    record.fields.push((name.to_owned(), value));
    masker.mask(record).into_inner().fields.remove(0).1.text
}

#[test]
fn a_word_gives_papers_of_the_united_states_away() {
    check(&[
        (
            "passport number A12803456 seen",
            "passport number [US_PASSPORT] seen",
        ),
        ("Passport: 340020013", "Passport: [US_PASSPORT]"),
        (
            "driver's license D1234567",
            "driver's license [US_DRIVER_LICENSE]",
        ),
        (
            "Driver License: S123-4567-8901",
            "Driver License: [US_DRIVER_LICENSE]",
        ),
        ("EIN 12-3456789", "EIN [US_EIN]"),
        ("NPI: 1003000126, 1245319599.", "NPI: [US_NPI], [US_NPI]."),
        (
            "Provider identifier 1245319599",
            "Provider identifier [US_NPI]",
        ),
        ("Patient MBI 1EG4-TE5-MK73", "Patient MBI [US_MBI]"),
        ("medicare 1eg4te5mk73", "medicare [US_MBI]"),
        ("The DEA number is AB1234563", "The DEA number is [US_DEA]"),
    ]);
    check_kept(&[
        "passport check took 123 ms, 4567 rows",
        "A12803456 and 340020013",
        "passportd[12345]: 340020013a",
        "license 12345678 expired",
        "screwdriver license D1234567",
        "EIN 07-1234567",
        "BEING 12-3456789",
        "NPI 1003000127",
        "npi: 10030001260",
        "MBI 0EG4-TE5-MK73",
        "DEA AB1234564",
        "1003000126 is the NPI",
    ]);
}

#[test]
fn a_word_gives_accounts_and_things_away() {
    check(&[
        ("bank account 000123456789", "bank account ********6789"),
        ("account number: 12345678", "account number: ****5678"),
        ("acct #12345678", "acct #****5678"),
        ("routing number 021000021", "routing number [ABA_ROUTING]"),
        (
            "ABA 121042882, account no 12345678",
            "ABA [ABA_ROUTING], account no ****5678",
        ),
        ("IMEI 490154203237518", "IMEI ***********7518"),
        ("VIN 1HGCM82633A004352 sold", "VIN [VIN] sold"),
    ]);
    check_kept(&[
        "account 12345678 updated",
        "accounting number 12",
        "routing key 021000022",
        "IMEI 490154203237519",
        "having 1HGCM82633A004352",
        "VIN 1HGCM82633A004353",
    ]);
}

#[test]
fn a_day_is_one_of_birth_behind_a_word() {
    check(&[
        ("dob 1972-11-22", "dob [DATE_OF_BIRTH]"),
        ("My dob is 22-11-1972", "My dob is [DATE_OF_BIRTH]"),
        (
            "Date of birth: 11/22/1972.",
            "Date of birth: [DATE_OF_BIRTH].",
        ),
        ("birthdate=22.11.1972", "birthdate=[DATE_OF_BIRTH]"),
    ]);
    check_kept(&[
        "1972-11-22 started",
        "dob 1972-13-22",
        "dob 2072-11-22",
        "birth of 2 threads at 2026-11-29T10:12:13",
    ]);
}

#[test]
fn the_name_of_a_field_announces_its_value() {
    let masker = Masker::new(Policy::default(), Key::new([1; 32]));
    for (name, value, expected) in [
        (
            "user.passportNumber",
            Value::string("A12803456"),
            "[US_PASSPORT]",
        ),
        ("npi", Value::string("1003000126"), "[US_NPI]"),
        ("npi", Value::number("1003000126"), "[US_NPI]"),
        (
            "date_of_birth",
            Value::string("1972-11-22"),
            "[DATE_OF_BIRTH]",
        ),
        (
            "device_imei",
            Value::number("490154203237518"),
            "***********7518",
        ),
        (
            "bank_account",
            Value::string("000123456789"),
            "********6789",
        ),
        ("took_ms", Value::number("1003000126"), "1003000126"),
        ("npi_count", Value::number("1003000127"), "1003000127"),
        ("snpi", Value::string("1003000126"), "1003000126"),
        (
            "a",
            Value::json(r#"[{"dob":"22/11/1972","npi":1003000126}]"#),
            r#"[{"dob":"[DATE_OF_BIRTH]","npi":"[US_NPI]"}]"#,
        ),
    ] {
        assert_eq!(field(&masker, name, value), expected, "{name}");
    }
}

#[test]
fn names_of_users_go_where_a_policy_says_so() {
    let policy = Policy::default().with(Detector::Username, Strategy::Redact);
    let masker = Masker::new(policy, Key::new([1; 32]));
    check_with(
        &masker,
        &[
            ("login user=kim7 ok", "login user=[USERNAME] ok"),
            (r#"{"username":"kim"}"#, r#"{"username":"[USERNAME]"}"#),
            ("user=root uid=0", "user=root uid=0"),
            ("user=1001 superuser=kim", "user=1001 superuser=kim"),
            ("user: kim", "user: kim"),
        ],
    );
    assert_eq!(field(&masker, "user", Value::string("kim")), "[USERNAME]");
    check_kept(&["login user=kim7 ok"]);
}

/// Country, then numbers behind a word, then numbers that need none; all examples are published ones.
const NATIONAL: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "GB",
        "[GB_NINO]",
        &["NI number AZ123456A"],
        &["AZ 12 34 56 A", "AZ 123 456 A"],
    ),
    ("GB", "[GB_NHS]", &["NHS 943 476 5919"], &[]),
    ("GB", "[GB_UTR]", &["UTR 1955839661"], &[]),
    ("IE", "[IE_PPS]", &["PPSN: 1234567FA"], &[]),
    ("CA", "[CA_SIN]", &["SIN 130-692-544"], &[]),
    ("AU", "[AU_TFN]", &["TFN 123 456 782"], &[]),
    ("AU", "[AU_ABN]", &["ABN 51824753556"], &["51 824 753 556"]),
    ("AU", "[AU_ACN]", &["ACN 004 085 616"], &[]),
    ("NZ", "[NZ_IRD]", &["IRD 49-091-850"], &[]),
    ("ZA", "[ZA_ID]", &["id number 8001015009087"], &[]),
    ("DE", "[DE_TAX_ID]", &["Steuer-ID: 36 574 261 809"], &[]),
    (
        "DE",
        "[DE_SOCIAL_SECURITY]",
        &["RVNR 15070649C103"],
        &["15 070649 C 103"],
    ),
    (
        "FR",
        "[FR_NIR]",
        &["NIR 295109912611193"],
        &["2 95 10 99 126 111 93"],
    ),
    (
        "ES",
        "[ES_NIF]",
        &["DNI 12345678-Z", "NIE X1234567L"],
        &["12345678Z"],
    ),
    ("ES", "[ES_NUSS]", &["NUSS 28/12345678/40"], &[]),
    (
        "IT",
        "[IT_FISCAL_CODE]",
        &["codice fiscale RSSMRA85T10A562S"],
        &["RSSMRA85T10A562S"],
    ),
    ("IT", "[IT_VAT]", &["P.IVA 00743110157"], &[]),
    ("NL", "[NL_BSN]", &["BSN 111222333"], &[]),
    (
        "BE",
        "[BE_NRN]",
        &["NISS 85073003328"],
        &["85.07.30-033.28"],
    ),
    ("PT", "[PT_NIF]", &["NIF 501964843"], &[]),
    ("AT", "[AT_SVNR]", &["SVNR 1237 010180"], &[]),
    (
        "CH",
        "[CH_AHV]",
        &["AHV 7569217076985"],
        &["756.9217.0769.85"],
    ),
    ("GR", "[GR_AMKA]", &["AMKA 01013099997"], &[]),
    ("FI", "[FI_HETU]", &["hetu 131052-308T"], &["131052-308T"]),
    (
        "SE",
        "[SE_PIN]",
        &["personnummer 811228-9874"],
        &["19811228-9874"],
    ),
    ("NO", "[NO_FNR]", &["fødselsnummer 15108695088"], &[]),
    ("DK", "[DK_CPR]", &["CPR 311299-1234"], &[]),
    ("IS", "[IS_KENNITALA]", &["kennitala 120174-3399"], &[]),
    ("EE", "[EE_IK]", &["isikukood 37605030299"], &[]),
    ("LT", "[LT_AK]", &["asmens kodas 33309240064"], &[]),
    ("LV", "[LV_PK]", &["personas kods 161175-19997"], &[]),
    ("PL", "[PL_PESEL]", &["PESEL 44051401458"], &[]),
    ("PL", "[PL_NIP]", &["NIP 856-734-62-15"], &[]),
    (
        "CZ",
        "[CZ_RC]",
        &["rodné číslo 7103192745"],
        &["710319/2745"],
    ),
    ("SK", "[CZ_RC]", &["rodne cislo 710319/2745"], &[]),
    ("RO", "[RO_CNP]", &["CNP 1630615123457"], &[]),
    ("BG", "[BG_EGN]", &["ЕГН 7523169263"], &[]),
    ("HR", "[HR_OIB]", &["OIB 33392005961"], &[]),
    ("RS", "[JMBG]", &["JMBG 0101006500006"], &[]),
    ("HU", "[HU_TAX]", &["adóazonosító jel: 8071592153"], &[]),
    (
        "RU",
        "[RU_SNILS]",
        &["SNILS 11223344595"],
        &["112-233-445 95"],
    ),
    ("RU", "[RU_INN]", &["INN 500100732259"], &[]),
    ("UA", "[UA_RNOKPP]", &["РНОКПП 1759013776"], &[]),
    ("TR", "[TR_TCKN]", &["TC Kimlik No: 10000000146"], &[]),
    ("BR", "[BR_CPF]", &["CPF 11144477735"], &["111.444.777-35"]),
    (
        "BR",
        "[BR_CNPJ]",
        &["CNPJ 11222333000181"],
        &["12.ABC.345/01DE-35"],
    ),
    (
        "MX",
        "[MX_CURP]",
        &["CURP BOXW310820HNERXN09"],
        &["BOXW310820HNERXN09"],
    ),
    ("AR", "[AR_CUIT]", &["CUIT 20055361682"], &["20-05536168-2"]),
    ("CL", "[CL_RUT]", &["RUT 76086428-5"], &["76.086.428-5"]),
    ("CO", "[CO_NIT]", &["NIT 213.123.432-1"], &[]),
    ("EC", "[EC_CEDULA]", &["cédula 1714307103"], &[]),
    ("UY", "[UY_CI]", &["CI 12345672"], &["1.234.567-2"]),
    (
        "IN",
        "[IN_AADHAAR]",
        &["Aadhaar 3123-4567-8909"],
        &["3123 4567 8909"],
    ),
    ("IN", "[IN_PAN]", &["PAN ABCPD1234Z"], &["ABCPD1234Z"]),
    (
        "IN",
        "[IN_GSTIN]",
        &["GSTIN 27AAPFU0939F1ZV"],
        &["27AAPFU0939F1ZV"],
    ),
    (
        "KR",
        "[KR_RRN]",
        &["주민등록번호 9601211234567"],
        &["960121-1234567"],
    ),
    ("SG", "[SG_NRIC]", &["NRIC S1234567D"], &["S1234567D"]),
    (
        "CN",
        "[CN_ID]",
        &["身份证 11010519491231002X"],
        &["11010519491231002x"],
    ),
    ("JP", "[JP_MY_NUMBER]", &["My Number 1234 5678 9018"], &[]),
    (
        "TW",
        "[TW_ID]",
        &["national id A123456789"],
        &["A123456789"],
    ),
    ("HK", "[HK_ID]", &["HKID G123456A"], &["G123456(A)"]),
    (
        "TH",
        "[TH_ID]",
        &["Thai ID 1580000000004"],
        &["1-5800-00000-00-4"],
    ),
    ("IL", "[IL_ID]", &["תעודת זהות 123456782"], &[]),
    (
        "MY",
        "[MY_NRIC]",
        &["MyKad 800101141234"],
        &["800101-14-1234"],
    ),
];

#[test]
fn numbers_of_a_country_go_where_a_policy_asks_for_it() {
    let default = Masker::new(Policy::default(), Key::new([1; 32]));
    for (country, mask, announced, alone) in NATIONAL {
        for text in *announced {
            let start = text.find(|c: char| c.is_ascii_digit());
            let start = start.unwrap_or(0);
            let masker = Masker::new(Policy::default().with_country(country), Key::new([1; 32]));
            let findings = masker.mask_text(text);
            assert!(
                findings.masked.ends_with(mask),
                "{country} {text} became {}",
                findings.masked
            );
            let span = findings.spans.last().expect("one");
            assert!(span.start <= start && span.end == text.len(), "{text}");
            assert_eq!(masker.mask_text(&findings.masked).masked, findings.masked);
            assert!(
                !default.mask_text(text).masked.contains(mask),
                "{text} without its country"
            );
        }
        for number in *alone {
            check_in(
                country,
                &[(&format!("saw {number}, ok"), &format!("saw {mask}, ok"))],
            );
        }
    }
}

#[test]
fn every_detector_of_a_country_is_tried_above() {
    let tried: Vec<_> = NATIONAL.iter().map(|(_, mask, ..)| *mask).collect();
    for detector in Detector::ALL {
        let of_country = !detector.countries().is_empty();
        assert!(
            !of_country || detector.pack() == Pack::Optional,
            "{detector}"
        );
        let is_tried = tried.contains(&detector.replacement());
        assert!(
            !of_country || is_tried || detector == Detector::AuMedicare,
            "{detector}"
        );
    }
}

#[test]
fn a_whole_text_is_the_number_of_a_country() {
    check_in(
        "PL",
        &[
            ("44051401458", "[PL_PESEL]"),
            ("44051401459", "44051401459"),
        ],
    );
    check_in(
        "BR",
        &[
            ("order 11144477735", "order 11144477735"),
            ("111.444.777-36", "111.444.777-36"),
            ("v111.444.777-35", "v111.444.777-35"),
        ],
    );
}

/// Texts full of words and beginnings: each must cost time in proportion to its length.
#[test]
fn texts_full_of_words_come_to_an_end() {
    let policy = Detector::ALL
        .into_iter()
        .fold(Policy::default(), |p, d| p.with(d, Strategy::Redact));
    let masker = Masker::new(policy, Key::new([1; 32]));
    for piece in [
        "NPI ",
        "npi1",
        "passport A1",
        "cpf 1.",
        "nif 12345678",
        "dob 1",
        "acct 1 ",
        "user=",
        "11-",
        "NPI 1003000126 ",
        "A1",
    ] {
        let text = piece.repeat((1 << 18) / piece.len());
        assert!(!masker.mask_text(&text).masked.is_empty());
    }
}

#[test]
fn only_letters_and_digits_bind_a_number_to_what_stands_beside_it() {
    check(&[
        ("NPI “1003000126”", "NPI “[US_NPI]”"),
        (
            "NPI\u{a0}1003000126\u{a0}seen",
            "NPI\u{a0}[US_NPI]\u{a0}seen",
        ),
        ("NPI «1003000126»…", "NPI «[US_NPI]»…"),
        ("NPI – 1003000126–", "NPI – [US_NPI]–"),
        ("NPI는 1003000126입니다", "NPI는 [US_NPI]입니다"),
        ("NPIは1003000126です", "NPIは[US_NPI]です"),
        ("用户的NPI：1003000126。", "用户的NPI：[US_NPI]。"),
        ("用户的ssn是219-09-9999。", "用户的ssn是[SSN]。"),
    ]);
    check_kept(&[
        "NPI é1003000126",
        "NPI 1003000126é",
        "NPI €1003000126",
        "NPI ¥1003000126",
        "NPI д1003000126",
    ]);
}

#[test]
fn words_of_scripts_without_spaces_are_found_within_a_sentence() {
    let cases = |country: &str, cases: &[(&str, &str)]| check_in(country, cases);
    cases(
        "CN",
        &[("他的身份证11010519491231002X号", "他的身份证[CN_ID]号")],
    );
    cases(
        "JP",
        &[(
            "彼の個人番号は123456789018です",
            "彼の個人番号は[JP_MY_NUMBER]です",
        )],
    );
    cases(
        "KR",
        &[(
            "제주민등록번호는 9601211234567입니다",
            "제주민등록번호는 [KR_RRN]입니다",
        )],
    );
}

#[test]
fn the_name_of_a_field_announces_its_value_however_it_is_written() {
    let masker = Masker::new(Policy::default(), Key::new([1; 32]));
    for name in [
        "imei",
        "IMEI",
        "IMEINumber",
        "imeiNumber",
        "userIMEI",
        "imei2",
        "imeinumber",
        "imei_no",
        "device.imeiNo",
    ] {
        for (value, expected) in [
            ("490154203237518", "***********7518"),
            (" 490154203237518 ", " ***********7518 "),
            ("490154203237518\n", "***********7518\n"),
        ] {
            assert_eq!(
                field(&masker, name, Value::string(value)),
                expected,
                "{name}"
            );
        }
    }
    for name in ["imeis_seen", "timeiso", "imeinumbers", "IMEIstate"] {
        assert_eq!(
            field(&masker, name, Value::string("490154203237518")),
            "490154203237518"
        );
    }
    assert_eq!(
        field(&masker, "passport", Value::string("340020013 ")),
        "[US_PASSPORT] "
    );
    check(&[(" 219099999\n", " [SSN]\n")]);
}
