//! Numbers of the United States, and those of devices and vehicles: on unless a policy says otherwise, and
//! found behind a word only.

use super::Row;
use crate::detector::Detector;
use crate::validators::national::us;

const fn row(
    detector: Detector,
    words: &'static [&'static str],
    shapes: &'static [&'static str],
    check: fn(&[u8]) -> bool,
) -> Row {
    Row {
        detector,
        countries: &[],
        words,
        shapes,
        check,
        alone: &[],
    }
}

pub(super) static ROWS: [Row; 11] = [
    row(
        Detector::UsPassport,
        &["passport", "passports"],
        &["999999999", "A99999999"],
        us::passport,
    ),
    row(
        Detector::UsDriverLicense,
        &[
            "driver license",
            "drivers license",
            "driver's license",
            "driver licence",
            "driver's licence",
            "driving licence",
            "driving license",
            "dl number",
        ],
        &[
            "A~999~9999~9999",
            "A999~9999~9999",
            "A9999~99999~99999",
            "A99999999",
            "A9999999",
            "A999999",
            "A99999",
            "AA999999",
            "AA99999",
            "9999999999",
            "999999999",
            "99999999",
            "9999999",
        ],
        us::driver_license,
    ),
    row(
        Detector::BankAccount,
        &[
            "bank account",
            "bank account number",
            "account number",
            "account no",
            "account num",
            "acct",
            "acct no",
            "accountnumber",
            "acctno",
        ],
        &[
            "9999~9999~9999~9999",
            "99999999999999999",
            "9999999999999999",
            "999999999999999",
            "99999999999999",
            "9999999999999",
            "999999999999",
            "99999999999",
            "9999999999",
            "999999999",
            "99999999",
            "9999999",
            "999999",
        ],
        us::bank_account,
    ),
    row(
        Detector::AbaRouting,
        &[
            "routing",
            "routing number",
            "routing no",
            "aba",
            "aba number",
            "rtn",
        ],
        &["9999~9999~9", "999999999"],
        us::aba_routing,
    ),
    row(
        Detector::UsEin,
        &["ein", "employer identification", "employer id", "fein"],
        &["99-9999999", "999999999"],
        us::ein,
    ),
    row(
        Detector::UsNpi,
        &[
            "npi",
            "provider id",
            "provider identifier",
            "national provider",
        ],
        &["9999999999", "9999~999~999"],
        us::npi,
    ),
    row(
        Detector::UsMbi,
        &["mbi", "medicare", "medicare id", "medicare beneficiary"],
        &["9AX9~AX9~AA99"],
        us::mbi,
    ),
    row(
        Detector::UsDea,
        &["dea"],
        &["AA9999999", "A99999999"],
        us::dea,
    ),
    row(
        Detector::DateOfBirth,
        &[
            "dob",
            "date of birth",
            "birth date",
            "birthdate",
            "birthday",
            "born",
            "birth",
            "date_of_birth",
            "dateofbirth",
        ],
        &[
            "9999-99-99",
            "9999/99/99",
            "99-99-9999",
            "99/99/9999",
            "99.99.9999",
            "99999999",
        ],
        us::date_of_birth,
    ),
    row(
        Detector::Imei,
        &["imei"],
        &["999999999999999", "99~999999~999999~9"],
        us::imei,
    ),
    row(
        Detector::Vin,
        &["vin", "vehicle identification", "chassis"],
        &["XXXXXXXXXXXXXXXXX"],
        us::vin,
    ),
];
