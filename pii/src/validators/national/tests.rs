//! Numbers that are published as examples by those who give such numbers out or describe them, and the
//! same with one character changed.

use super::{americas, asia, british, eastern, nordic, us, western};

type Check = fn(&[u8]) -> bool;

/// The check, examples that pass, and how many of all changes of one digit may pass.
const CASES: &[(&str, Check, &[&str], usize)] = &[
    (
        "aba",
        us::aba_routing,
        &["121042882", "021000021", "111000025"],
        0,
    ),
    (
        "npi",
        us::npi,
        &["1234567893", "1003000126", "1245319599"],
        0,
    ),
    ("dea", us::dea, &["AB1234563", "GL0285191", "F91234563"], 3),
    ("imei", us::imei, &["490154203237518", "356938035643809"], 0),
    (
        "vin",
        us::vin,
        &["1HGCM82633A004352", "1M8GDM9AXKP042788"],
        1,
    ),
    ("nhs", british::gb_nhs, &["9434765919", "4010232137"], 0),
    ("utr", british::gb_utr, &["1955839661"], 9),
    (
        "pps",
        british::ie_pps,
        &["1234567T", "1234567FA", "6433435F"],
        0,
    ),
    ("sin", british::ca_sin, &["130692544"], 0),
    ("tfn", british::au_tfn, &["123456782", "876543210"], 0),
    ("abn", british::au_abn, &["51824753556", "83914571673"], 0),
    ("acn", british::au_acn, &["004085616", "006249976"], 8),
    ("medicare", british::au_medicare, &["2123456701"], 9),
    ("ird", british::nz_ird, &["49091850", "136410132"], 7),
    ("za", british::za_id, &["8001015009087", "8001015000086"], 0),
    (
        "steuer",
        western::de_tax_id,
        &["36574261809", "86095742719"],
        0,
    ),
    ("rvnr", western::de_social_security, &["15070649C103"], 0),
    (
        "nir",
        western::fr_nir,
        &["295109912611193", "253072B07300470"],
        0,
    ),
    (
        "nif",
        western::es_nif,
        &["12345678Z", "X1234567L", "Y8063915Z"],
        0,
    ),
    ("nuss", western::es_nuss, &["281234567840"], 0),
    ("cf", western::it_fiscal_code, &["RSSMRA85T10A562S"], 0),
    ("piva", western::it_vat, &["00743110157", "01333550323"], 0),
    ("bsn", western::nl_bsn, &["111222333", "123456782"], 0),
    ("nrn", western::be_nrn, &["85073003328"], 0),
    ("pt", western::pt_nif, &["501964843", "123456789"], 2),
    ("svnr", western::at_svnr, &["1237010180"], 1),
    ("ahv", western::ch_ahv, &["7569217076985"], 0),
    ("amka", western::gr_amka, &["01013099997"], 0),
    ("hetu", nordic::fi_hetu, &["131052308T", "020594X903P"], 0),
    ("pin", nordic::se_pin, &["8112289874", "198712202384"], 1),
    ("fnr", nordic::no_fnr, &["15108695088"], 0),
    ("kennitala", nordic::is_kennitala, &["1201743399"], 2),
    ("baltic", nordic::baltic, &["37605030299", "33309240064"], 8),
    ("lv", nordic::lv_pk, &["16117519997"], 1),
    (
        "pesel",
        eastern::pl_pesel,
        &["44051401458", "02070803628"],
        0,
    ),
    ("nip", eastern::pl_nip, &["8567346215"], 0),
    ("rc", eastern::cz_rc, &["7103192745"], 0),
    ("cnp", eastern::ro_cnp, &["1630615123457"], 1),
    ("egn", eastern::bg_egn, &["7523169263"], 2),
    ("oib", eastern::hr_oib, &["33392005961"], 0),
    ("jmbg", eastern::jmbg, &["0101006500006"], 0),
    ("hu", eastern::hu_tax, &["8071592153"], 1),
    ("snils", eastern::ru_snils, &["11223344595"], 0),
    ("inn", eastern::ru_inn, &["500100732259"], 0),
    ("ua", eastern::ua_rnokpp, &["1759013776"], 4),
    ("tr", eastern::tr_tckn, &["10000000146", "94357219628"], 0),
    ("cpf", americas::br_cpf, &["11144477735", "39053344705"], 1),
    (
        "cnpj",
        americas::br_cnpj,
        &["11222333000181", "12ABC34501DE35"],
        0,
    ),
    ("curp", americas::mx_curp, &["BOXW310820HNERXN09"], 8),
    ("cuit", americas::ar_cuit, &["20055361682"], 0),
    ("rut", americas::cl_rut, &["760864285", "123456785"], 0),
    ("nit", americas::co_nit, &["2131234321"], 5),
    ("ec", americas::ec_cedula, &["1714307103"], 0),
    ("uy", americas::uy_ci, &["12345672"], 9),
    ("aadhaar", asia::in_aadhaar, &["312345678909"], 0),
    ("gstin", asia::in_gstin, &["27AAPFU0939F1ZV"], 0),
    (
        "nric",
        asia::sg_nric,
        &["S1234567D", "M1234567K", "F1234567N"],
        0,
    ),
    ("cn", asia::cn_id, &["11010519491231002X"], 0),
    ("jp", asia::jp_my_number, &["123456789018"], 1),
    ("tw", asia::tw_id, &["A123456789"], 9),
    ("hk", asia::hk_id, &["G123456A"], 0),
    ("th", asia::th_id, &["3456789012347", "1580000000004"], 9),
    ("il", asia::il_id, &["123456782"], 0),
];

#[test]
fn examples_pass_and_hardly_any_with_one_digit_changed() {
    let mut wrong = Vec::new();
    for (name, check, examples, may_pass) in CASES {
        for example in *examples {
            if !check(example.as_bytes()) {
                wrong.push(format!("{name}: {example}"));
                continue;
            }
            let mut passed = Vec::new();
            for at in 0..example.len() {
                for digit in b'0'..=b'9' {
                    let mut changed = example.as_bytes().to_vec();
                    if changed[at].is_ascii_digit() && changed[at] != digit {
                        changed[at] = digit;
                        if check(&changed) {
                            passed.push(String::from_utf8(changed).expect("ASCII"));
                        }
                    }
                }
            }
            if passed.len() > *may_pass {
                wrong.push(format!("{name}: {example} allows {passed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_have_been_given_out_is_refused() {
    let cases: &[(&str, Check, &[&str])] = &[
        (
            "nino",
            british::gb_nino,
            &["DA123456A", "AO123456A", "BG123456A", "AB123456E"],
        ),
        (
            "mbi",
            us::mbi,
            &["0EG4TE5MK73", "1SG4TE5MK73", "1EG4TE5MK7A"],
        ),
        ("ein", us::ein, &["071234567", "120000000"]),
        (
            "birth",
            us::date_of_birth,
            &["19721301", "31022001", "18990101", "20991231"],
        ),
        (
            "pan",
            asia::in_pan,
            &["ABCDD1234Z", "ABCPD0000Z", "ABCP01234Z"],
        ),
        ("rrn", asia::kr_rrn, &["9601219234567", "9613211234567"]),
        ("my", asia::my_nric, &["800101001234", "801301141234"]),
        ("cpr", nordic::dk_cpr, &["3113991234"]),
        ("cpf", americas::br_cpf, &["11111111111"]),
        ("sin", british::ca_sin, &["046454286"]),
        ("passport", us::passport, &["111111111", "A1234567"]),
        ("account", us::bank_account, &["00000000", "12345"]),
        ("licence", us::driver_license, &["1111111", "A1234"]),
    ];
    for (name, check, numbers) in cases {
        for number in *numbers {
            assert!(!check(number.as_bytes()), "{name}: {number}");
        }
    }
    assert!(british::gb_nino(b"AZ123456A") && us::mbi(b"1EG4TE5MK73") && us::ein(b"123456789"));
    assert!(us::date_of_birth(b"22111972") && us::date_of_birth(b"19721122"));
    assert!(asia::in_pan(b"ABCPD1234Z") && asia::kr_rrn(b"9601211234567"));
    assert!(asia::my_nric(b"800101141234") && nordic::dk_cpr(b"3112991234"));
    assert!(us::passport(b"A12803456") && us::driver_license(b"D1234567"));
}

#[test]
fn numbers_of_any_length_and_content_are_looked_at() {
    let texts = [
        "",
        "0",
        "A",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "000000000000000000000000",
        "Z0Z0Z0Z0Z",
    ];
    for (_, check, ..) in CASES {
        for text in texts {
            check(text.as_bytes());
            for cut in 0..text.len() {
                check(&text.as_bytes()[cut..]);
            }
        }
    }
}
