//! Answers about masking as tables and lines.

use anyhow::Result;
use serde_json::{Value, json};

use crate::output::{line, printable, table};

/// Shows a list as a table; whether the answer is one.
pub(super) fn table_of(answer: &Value) -> Result<bool> {
    let list = |name: &str| answer[name].as_array().map(Vec::as_slice);
    if let Some(patterns) = list("patterns") {
        show_patterns(patterns)?;
    } else if let Some(detectors) = list("detectors").filter(|_| answer["country"].is_null()) {
        show_detectors(detectors)?;
    } else if let Some(countries) = list("countries").filter(|_| answer["detector"].is_null()) {
        show_countries(countries)?;
    } else if let Some(rules) = list("rules") {
        show_findings(rules, answer)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn text(of: &Value, name: &str) -> String {
    printable(of[name].as_str().unwrap_or_default())
}

fn yes_or_no(of: &Value, name: &str) -> String {
    let word = if of[name] == json!(true) { "yes" } else { "no" };
    word.to_owned()
}

/// Scopes and lists as they are, where there are any.
fn object(of: &Value, name: &str) -> String {
    match &of[name] {
        Value::Object(members) if members.is_empty() => String::new(),
        Value::Null => String::new(),
        members => printable(&members.to_string()),
    }
}

fn words(of: &Value, name: &str) -> String {
    let list = of[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    printable(&words.join(" "))
}

fn show_patterns(patterns: &[Value]) -> Result<()> {
    if patterns.is_empty() {
        return line("no patterns beside the built-in detectors");
    }
    let mut table = table(&[
        "id",
        "name",
        "active",
        "mode",
        "strategy",
        "scope",
        "regular expression",
    ]);
    for pattern in patterns {
        table.add_row([
            text(pattern, "pattern_id"),
            text(pattern, "name"),
            yes_or_no(pattern, "is_active"),
            text(pattern, "mode"),
            text(pattern, "masking_strategy"),
            object(pattern, "scope"),
            text(pattern, "regex_pattern"),
        ]);
    }
    line(table)
}

fn show_detectors(detectors: &[Value]) -> Result<()> {
    let mut table = table(&[
        "detector",
        "active",
        "mode",
        "strategy",
        "scope",
        "allowed",
        "countries",
    ]);
    for detector in detectors {
        table.add_row([
            text(detector, "detector"),
            yes_or_no(detector, "is_active"),
            text(detector, "mode"),
            text(detector, "masking_strategy"),
            object(detector, "scope"),
            object(detector, "suppress"),
            words(detector, "countries"),
        ]);
    }
    line(table)
}

fn show_countries(countries: &[Value]) -> Result<()> {
    let mut table = table(&["country", "active", "detectors"]);
    for country in countries {
        table.add_row([
            text(country, "country"),
            yes_or_no(country, "is_active"),
            words(country, "detectors"),
        ]);
    }
    line(table)
}

fn show_findings(rules: &[Value], answer: &Value) -> Result<()> {
    let mut table = table(&["rule", "masked", "observed"]);
    for rule in rules {
        table.add_row([
            text(rule, "rule"),
            rule["masked"].to_string(),
            rule["observed"].to_string(),
        ]);
    }
    line(table)?;
    let missing = answer["nodes_missing"].as_object();
    for (node, why) in missing.into_iter().flatten() {
        let why = printable(why.as_str().unwrap_or_default());
        line(format_args!("node {node} has not answered: {why}"))?;
    }
    Ok(())
}

/// What was found, and what was only observed.
pub(super) fn spans(answer: &Value) -> Result<()> {
    for (list, note) in [("spans", ""), ("observed", "  only observed")] {
        let spans = answer[list].as_array().map(Vec::as_slice);
        for span in spans.unwrap_or_default() {
            line(format_args!(
                "  {}..{}  {}  {}{note}",
                span["start"],
                span["end"],
                text(span, "detector"),
                text(span, "strategy")
            ))?;
        }
    }
    Ok(())
}
