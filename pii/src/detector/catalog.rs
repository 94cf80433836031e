//! Every detector with its names and what it does unless a policy says otherwise, one row each.

use std::collections::BTreeSet;
use std::fmt;

use super::announced::row;
use crate::Strategy;

/// Which detectors a policy begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// On: structure or check digits decide.
    Default,
    /// Off until a policy turns it on.
    Optional,
}

macro_rules! detectors {
    ($($(#[$doc:meta])+ $detector:ident = $name:literal, $replacement:literal, $strategy:ident, $pack:ident;)+) => {
        /// A kind of personal data that is looked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Detector {
            $($(#[$doc])+ $detector,)+
        }

        impl Detector {
            /// All of them.
            pub const ALL: [Self; [$(Self::$detector),+].len()] = [$(Self::$detector),+];

            /// The name in `pii`, in spans and in hashed values.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$detector => $name,)+
                }
            }

            /// What REDACT writes unless the policy says otherwise.
            pub const fn replacement(self) -> &'static str {
                match self {
                    $(Self::$detector => $replacement,)+
                }
            }

            /// What is done with its findings unless the policy says otherwise.
            pub const fn default_strategy(self) -> Strategy {
                match self {
                    $(Self::$detector => Strategy::$strategy,)+
                }
            }

            /// Whether it is on unless the policy says otherwise.
            pub const fn pack(self) -> Pack {
                match self {
                    $(Self::$detector => Pack::$pack,)+
                }
            }
        }
    };
}

detectors! {
    /// E-mail addresses.
    Email = "email", "[EMAIL]", PartialMask, Default;
    /// Social security numbers of the United States.
    Ssn = "ssn", "[SSN]", Redact, Default;
    /// Phone numbers: international, and of North America; national ones after a word like `phone`.
    Phone = "phone", "[PHONE]", PartialMask, Default;
    /// Payment card numbers.
    CreditCard = "credit_card", "[CREDIT_CARD]", PartialMask, Default;
    /// IPv4 addresses.
    Ipv4 = "ipv4", "[IPV4]", PartialMask, Default;
    /// IPv6 addresses.
    Ipv6 = "ipv6", "[IPV6]", PartialMask, Default;
    /// Hardware addresses of six bytes.
    Mac = "mac", "[MAC]", PartialMask, Default;
    /// User name and password in a URL.
    UrlCredentials = "url_credentials", "[URL_CREDENTIALS]", Redact, Default;
    /// International bank account numbers.
    Iban = "iban", "[IBAN]", PartialMask, Default;
    /// Individual taxpayer identification numbers of the United States.
    Itin = "us_itin", "[US_ITIN]", Redact, Default;
    /// Tokens with an issuer's prefix.
    Secret = "secret", "[SECRET]", Redact, Default;
    /// JSON Web Tokens.
    Jwt = "jwt", "[JWT]", Redact, Default;
    /// Private keys in PEM form.
    PrivateKey = "private_key", "[PRIVATE_KEY]", Redact, Default;
    /// Credentials and cookies of HTTP headers.
    AuthHeader = "auth_header", "[AUTH_HEADER]", Redact, Default;
    /// Values of names like `password` and `api_key`.
    KvSecret = "kv_secret", "[KV_SECRET]", Redact, Default;
    /// US passports, behind a word.
    UsPassport = "us_passport", "[US_PASSPORT]", Redact, Default;
    /// US licences to drive, behind a word.
    UsDriverLicense = "us_driver_license", "[US_DRIVER_LICENSE]", Redact, Default;
    /// Numbers of bank accounts, behind a word.
    BankAccount = "bank_account", "[BANK_ACCOUNT]", PartialMask, Default;
    /// Routing numbers of US banks, behind a word.
    AbaRouting = "aba_routing", "[ABA_ROUTING]", Redact, Default;
    /// US employers, behind a word.
    UsEin = "us_ein", "[US_EIN]", Redact, Default;
    /// US providers of health care, behind a word.
    UsNpi = "us_npi", "[US_NPI]", Redact, Default;
    /// Beneficiaries of the US Medicare, behind a word.
    UsMbi = "us_mbi", "[US_MBI]", Redact, Default;
    /// US prescribers, behind a word.
    UsDea = "us_dea", "[US_DEA]", Redact, Default;
    /// Days of birth, behind a word.
    DateOfBirth = "date_of_birth", "[DATE_OF_BIRTH]", Redact, Default;
    /// Mobile devices, behind a word.
    Imei = "imei", "[IMEI]", PartialMask, Default;
    /// Vehicles, behind a word.
    Vin = "vin", "[VIN]", Redact, Default;
    /// Names of users behind `user=` and the like.
    Username = "username", "[USERNAME]", Redact, Optional;
    /// Great Britain: national insurance.
    GbNino = "gb_nino", "[GB_NINO]", Redact, Optional;
    /// Great Britain: the health service.
    GbNhs = "gb_nhs", "[GB_NHS]", Redact, Optional;
    /// Great Britain: taxpayers.
    GbUtr = "gb_utr", "[GB_UTR]", Redact, Optional;
    /// Ireland: personal public service.
    IePps = "ie_pps", "[IE_PPS]", Redact, Optional;
    /// Canada: social insurance.
    CaSin = "ca_sin", "[CA_SIN]", Redact, Optional;
    /// Australia: tax file number.
    AuTfn = "au_tfn", "[AU_TFN]", Redact, Optional;
    /// Australia: businesses.
    AuAbn = "au_abn", "[AU_ABN]", Redact, Optional;
    /// Australia: companies.
    AuAcn = "au_acn", "[AU_ACN]", Redact, Optional;
    /// Australia: Medicare.
    AuMedicare = "au_medicare", "[AU_MEDICARE]", Redact, Optional;
    /// New Zealand: taxpayers.
    NzIrd = "nz_ird", "[NZ_IRD]", Redact, Optional;
    /// South Africa: identity numbers.
    ZaId = "za_id", "[ZA_ID]", Redact, Optional;
    /// Germany: tax identification.
    DeTaxId = "de_tax_id", "[DE_TAX_ID]", Redact, Optional;
    /// Germany: pension insurance.
    DeSocialSecurity = "de_social_security", "[DE_SOCIAL_SECURITY]", Redact, Optional;
    /// France: social security.
    FrNir = "fr_nir", "[FR_NIR]", Redact, Optional;
    /// Spain: citizens (DNI) and foreigners (NIE).
    EsNif = "es_nif", "[ES_NIF]", Redact, Optional;
    /// Spain: social security.
    EsNuss = "es_nuss", "[ES_NUSS]", Redact, Optional;
    /// Italy: fiscal code.
    ItFiscalCode = "it_fiscal_code", "[IT_FISCAL_CODE]", Redact, Optional;
    /// Italy: firms.
    ItVat = "it_vat", "[IT_VAT]", Redact, Optional;
    /// The Netherlands: citizens.
    NlBsn = "nl_bsn", "[NL_BSN]", Redact, Optional;
    /// Belgium: national register.
    BeNrn = "be_nrn", "[BE_NRN]", Redact, Optional;
    /// Portugal: taxpayers.
    PtNif = "pt_nif", "[PT_NIF]", Redact, Optional;
    /// Austria: social insurance.
    AtSvnr = "at_svnr", "[AT_SVNR]", Redact, Optional;
    /// Switzerland: old-age insurance.
    ChAhv = "ch_ahv", "[CH_AHV]", Redact, Optional;
    /// Greece: social security.
    GrAmka = "gr_amka", "[GR_AMKA]", Redact, Optional;
    /// Finland: identity code.
    FiHetu = "fi_hetu", "[FI_HETU]", Redact, Optional;
    /// Sweden: personal number.
    SePin = "se_pin", "[SE_PIN]", Redact, Optional;
    /// Norway: birth number.
    NoFnr = "no_fnr", "[NO_FNR]", Redact, Optional;
    /// Denmark: personal number.
    DkCpr = "dk_cpr", "[DK_CPR]", Redact, Optional;
    /// Iceland: identity number.
    IsKennitala = "is_kennitala", "[IS_KENNITALA]", Redact, Optional;
    /// Estonia: personal code.
    EeIk = "ee_ik", "[EE_IK]", Redact, Optional;
    /// Lithuania: personal code.
    LtAk = "lt_ak", "[LT_AK]", Redact, Optional;
    /// Latvia: personal code.
    LvPk = "lv_pk", "[LV_PK]", Redact, Optional;
    /// Poland: population register.
    PlPesel = "pl_pesel", "[PL_PESEL]", Redact, Optional;
    /// Poland: taxpayers.
    PlNip = "pl_nip", "[PL_NIP]", Redact, Optional;
    /// The Czech Republic and Slovakia: birth number.
    CzRc = "cz_rc", "[CZ_RC]", Redact, Optional;
    /// Romania: personal code.
    RoCnp = "ro_cnp", "[RO_CNP]", Redact, Optional;
    /// Bulgaria: citizens.
    BgEgn = "bg_egn", "[BG_EGN]", Redact, Optional;
    /// Croatia: citizens.
    HrOib = "hr_oib", "[HR_OIB]", Redact, Optional;
    /// Slovenia, Serbia and their neighbours: citizens.
    Jmbg = "jmbg", "[JMBG]", Redact, Optional;
    /// Hungary: taxpayers.
    HuTax = "hu_tax", "[HU_TAX]", Redact, Optional;
    /// Russia: pension insurance.
    RuSnils = "ru_snils", "[RU_SNILS]", Redact, Optional;
    /// Russia: taxpayers who are people.
    RuInn = "ru_inn", "[RU_INN]", Redact, Optional;
    /// Ukraine: taxpayers.
    UaRnokpp = "ua_rnokpp", "[UA_RNOKPP]", Redact, Optional;
    /// Turkey: citizens.
    TrTckn = "tr_tckn", "[TR_TCKN]", Redact, Optional;
    /// Brazil: people.
    BrCpf = "br_cpf", "[BR_CPF]", Redact, Optional;
    /// Brazil: firms.
    BrCnpj = "br_cnpj", "[BR_CNPJ]", Redact, Optional;
    /// Mexico: population register.
    MxCurp = "mx_curp", "[MX_CURP]", Redact, Optional;
    /// Argentina: taxpayers.
    ArCuit = "ar_cuit", "[AR_CUIT]", Redact, Optional;
    /// Chile: people and firms.
    ClRut = "cl_rut", "[CL_RUT]", Redact, Optional;
    /// Colombia: taxpayers.
    CoNit = "co_nit", "[CO_NIT]", Redact, Optional;
    /// Ecuador: people.
    EcCedula = "ec_cedula", "[EC_CEDULA]", Redact, Optional;
    /// Uruguay: identity cards.
    UyCi = "uy_ci", "[UY_CI]", Redact, Optional;
    /// India: residents.
    InAadhaar = "in_aadhaar", "[IN_AADHAAR]", Redact, Optional;
    /// India: taxpayers.
    InPan = "in_pan", "[IN_PAN]", Redact, Optional;
    /// India: goods and services tax.
    InGstin = "in_gstin", "[IN_GSTIN]", Redact, Optional;
    /// South Korea: residents and foreigners.
    KrRrn = "kr_rrn", "[KR_RRN]", Redact, Optional;
    /// Singapore: citizens and foreigners.
    SgNric = "sg_nric", "[SG_NRIC]", Redact, Optional;
    /// China: residents.
    CnId = "cn_id", "[CN_ID]", Redact, Optional;
    /// Japan: individual numbers.
    JpMyNumber = "jp_my_number", "[JP_MY_NUMBER]", Redact, Optional;
    /// Taiwan: citizens and foreigners.
    TwId = "tw_id", "[TW_ID]", Redact, Optional;
    /// Hong Kong: identity cards.
    HkId = "hk_id", "[HK_ID]", Redact, Optional;
    /// Thailand: citizens.
    ThId = "th_id", "[TH_ID]", Redact, Optional;
    /// Israel: citizens.
    IlId = "il_id", "[IL_ID]", Redact, Optional;
    /// Malaysia: citizens.
    MyNric = "my_nric", "[MY_NRIC]", Redact, Optional;
}

impl Detector {
    /// The detector with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|detector| detector.name() == name)
    }

    /// The codes of all countries whose numbers are known, in order.
    pub fn all_countries() -> BTreeSet<&'static str> {
        let all = Self::ALL.into_iter();
        all.flat_map(|detector| detector.countries().iter().copied())
            .collect()
    }

    /// The codes of the countries (ISO 3166) whose numbers it finds; empty for all others.
    pub fn countries(self) -> &'static [&'static str] {
        row(self).map_or(&[], |row| row.countries)
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
