//! How well the detectors do on labelled cases and on plain log lines.
//!
//! `score CASES [TRAPS [CORPUS [-v]]]`: `CASES` is a JSON Lines file of `{entity, text, byte_spans}`;
//! `TRAPS` one of `{must_not_match, trap_span, text}`; `CORPUS` a folder of log files, in which every
//! finding but an IP address counts as false. Identity numbers are looked for with their country on. A found
//! span is right when it overlaps a labelled one; *exact* counts those with the very same ends. Loopback
//! addresses count as found.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;

use hushlog_pii::{Key, Masker, Policy};
use serde_json::Value;

const ENTITIES: [(&str, &[&str]); 8] = [
    ("EMAIL_ADDRESS", &["email"]),
    ("US_SSN", &["ssn"]),
    ("PHONE_NUMBER", &["phone"]),
    ("CREDIT_CARD", &["credit_card"]),
    ("IP_ADDRESS", &["ipv4", "ipv6"]),
    ("MAC_ADDRESS", &["mac"]),
    ("IBAN_CODE", &["iban"]),
    ("TR_PHONE_NUMBER", &["phone"]),
];

/// Identity numbers: each case is looked at with its country on, and all of them are counted together.
const NATIONAL: [(&str, &str, &str); 25] = [
    ("AU_ABN", "AU", "au_abn"),
    ("AU_ACN", "AU", "au_acn"),
    ("AU_MEDICARE", "AU", "au_medicare"),
    ("AU_TFN", "AU", "au_tfn"),
    ("CA_SIN", "CA", "ca_sin"),
    ("DE_SOCIAL_SECURITY", "DE", "de_social_security"),
    ("DE_TAX_ID", "DE", "de_tax_id"),
    ("ES_NIE", "ES", "es_nif"),
    ("ES_NIF", "ES", "es_nif"),
    ("FI_PERSONAL_IDENTITY_CODE", "FI", "fi_hetu"),
    ("IN_AADHAAR", "IN", "in_aadhaar"),
    ("IN_GSTIN", "IN", "in_gstin"),
    ("IN_PAN", "IN", "in_pan"),
    ("IT_FISCAL_CODE", "IT", "it_fiscal_code"),
    ("IT_VAT_CODE", "IT", "it_vat"),
    ("KR_FRN", "KR", "kr_rrn"),
    ("KR_RRN", "KR", "kr_rrn"),
    ("PL_PESEL", "PL", "pl_pesel"),
    ("SE_PERSONNUMMER", "SE", "se_pin"),
    ("SG_NRIC_FIN", "SG", "sg_nric"),
    ("TH_TNIN", "TH", "th_id"),
    ("TR_NATIONAL_ID", "TR", "tr_tckn"),
    ("UK_NINO", "GB", "gb_nino"),
    ("UK_NHS", "GB", "gb_nhs"),
    ("ZA_ID_NUMBER", "ZA", "za_id"),
];
/// What those are counted as.
const NATIONAL_NAME: &str = "identity numbers";

#[derive(Default)]
struct Tally {
    wanted: usize,
    hit: usize,
    exact: usize,
    found: usize,
    right: usize,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let verbose = args.iter().any(|a| a == "-v");
    let mut paths = args.iter().filter(|a| *a != "-v").map(Path::new);
    let mut policy = Policy::default();
    policy.keep_loopback = false;
    let masker = Masker::new(policy, Key::new([7; 32]));
    let mut out = std::io::stdout().lock();
    if let Some(path) = paths.next() {
        cases(&masker, path, verbose, &mut out)?;
    }
    if let Some(path) = paths.next() {
        traps(&masker, path, verbose, &mut out)?;
    }
    if let Some(path) = paths.next() {
        corpus(&masker, path, verbose, &mut out)?;
    }
    Ok(())
}

fn cases(masker: &Masker, path: &Path, verbose: bool, out: &mut impl Write) -> Result<()> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let case: Value = serde_json::from_str(line)?;
        let text = case["text"].as_str().unwrap_or_default();
        let entity = case["entity"].as_str().unwrap_or_default();
        let country = NATIONAL.iter().find(|(name, ..)| *name == entity);
        let masker = match country {
            Some((_, code, _)) => &national(code),
            None => masker,
        };
        let findings = masker.mask_text(text);
        let known = ENTITIES.iter().find(|(name, _)| *name == entity);
        let known = known.copied().or_else(|| {
            country.map(|(.., detector)| (NATIONAL_NAME, std::slice::from_ref(detector)))
        });
        let Some((name, detectors)) = known else {
            for span in &findings.spans {
                *elsewhere.entry(span.detector.to_string()).or_default() += 1;
                if verbose {
                    writeln!(
                        out,
                        "elsewhere {entity} {}: {text:?} -> {:?}",
                        span.detector, findings.masked
                    )?;
                }
            }
            continue;
        };
        let wanted = spans(&case["byte_spans"]);
        let found: Vec<(usize, usize)> = findings
            .spans
            .iter()
            .filter(|span| detectors.contains(&span.detector.as_ref()))
            .map(|span| (span.start, span.end))
            .collect();
        let tally = tallies.entry(name).or_default();
        let overlap = |a: &(usize, usize), b: &(usize, usize)| a.0 < b.1 && b.0 < a.1;
        tally.wanted += wanted.len();
        tally.found += found.len();
        let hits = wanted
            .iter()
            .filter(|w| found.iter().any(|f| overlap(f, w)))
            .count();
        let right = found
            .iter()
            .filter(|f| wanted.iter().any(|w| overlap(f, w)))
            .count();
        tally.hit += hits;
        tally.right += right;
        tally.exact += wanted.iter().filter(|w| found.contains(w)).count();
        if verbose && (hits < wanted.len() || right < found.len()) {
            let what = if hits < wanted.len() {
                "missed"
            } else {
                "false "
            };
            writeln!(
                out,
                "{what} {entity} {}: {text:?} -> {:?}",
                case["region"], findings.masked
            )?;
        }
    }
    writeln!(
        out,
        "{:18} {:>6} {:>7} {:>10} {:>7}",
        "entity", "cases", "recall", "precision", "exact"
    )?;
    for (name, t) in tallies {
        let ratio = |a: usize, b: usize| if b == 0 { 1.0 } else { a as f64 / b as f64 };
        let (recall, precision) = (ratio(t.hit, t.wanted), ratio(t.right, t.found));
        writeln!(
            out,
            "{name:18} {:6} {recall:7.3} {precision:10.3} {:7.3}",
            t.wanted,
            ratio(t.exact, t.wanted)
        )?;
    }
    writeln!(out, "found in cases of other entities: {elsewhere:?}")?;
    Ok(())
}

fn national(country: &str) -> Masker {
    Masker::new(Policy::default().with_country(country), Key::new([7; 32]))
}

fn traps(masker: &Masker, path: &Path, verbose: bool, out: &mut impl Write) -> Result<()> {
    let (mut total, mut fell) = (0, 0);
    for line in std::fs::read_to_string(path)?.lines() {
        let trap: Value = serde_json::from_str(line)?;
        let text = trap["text"].as_str().unwrap_or_default();
        let forbidden: Vec<&str> = trap["must_not_match"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let [start, end] = [0, 1].map(|i| position(&trap["trap_span"][i]).unwrap_or(0));
        let hit = masker.mask_text(text).spans.iter().any(|span| {
            let named = ENTITIES
                .iter()
                .any(|(name, d)| forbidden.contains(name) && d.contains(&span.detector.as_ref()));
            named && span.start < end && start < span.end
        });
        total += 1;
        fell += usize::from(hit);
        if hit && verbose {
            writeln!(out, "trap {text:?}")?;
        }
    }
    writeln!(out, "traps: {fell} of {total}")?;
    Ok(())
}

fn corpus(masker: &Masker, folder: &Path, verbose: bool, out: &mut impl Write) -> Result<()> {
    let (mut lines, mut false_findings, mut findings) = (0usize, 0usize, BTreeMap::new());
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            lines += 1;
            for span in masker.mask_text(line).spans {
                *findings.entry(span.detector.to_string()).or_insert(0usize) += 1;
                if !span.detector.starts_with("ipv") {
                    false_findings += 1;
                    if verbose {
                        writeln!(
                            out,
                            "plain {} {:?}: {line}",
                            span.detector,
                            &line[span.start..span.end]
                        )?;
                    }
                }
            }
        }
    }
    let rate = 1000.0 * false_findings as f64 / lines.max(1) as f64;
    writeln!(
        out,
        "plain lines: {lines}, findings {findings:?}, other than IP {rate:.3} per 1,000"
    )?;
    Ok(())
}

fn spans(value: &Value) -> Vec<(usize, usize)> {
    let pair = |v: &Value| Some((position(&v[0])?, position(&v[1])?));
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

fn position(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}
