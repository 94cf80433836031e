//! `hushlog admin ledger`: what came in, what became of it, and whether the books add up.

use anyhow::Result;
use hyper::Method;
use serde_json::Value;

use crate::admin::DEADLINE;
use crate::args::LedgerArgs;
use crate::client::{Client, encoded};
use crate::output::{line, print, printable, table};
use crate::search::{ask, of_all_nodes};

/// Asks and prints.
pub(crate) async fn run(args: LedgerArgs, json_output: bool) -> Result<()> {
    let client = Client::new(&args.server.server, DEADLINE);
    let path = path(args.service.as_deref());
    let answer = ask(&client, Method::GET, &path, &Value::Null).await?;
    if json_output {
        print(&answer, true)?;
    } else {
        show(&answer)?;
    }
    of_all_nodes(&answer, "missing")
}

fn path(service: Option<&str>) -> String {
    let of = |service| format!("/api/v1/ledger?service={}", encoded(service));
    service.map_or_else(|| "/api/v1/ledger".into(), of)
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

fn number(of: &Value, name: &str) -> String {
    of[name].as_i64().unwrap_or(0).to_string()
}

/// Counts by reason, added up.
fn sum(of: &Value, name: &str) -> String {
    let counts = of[name].as_object().into_iter().flatten();
    let sum: u64 = counts.filter_map(|(_, count)| count.as_u64()).sum();
    sum.to_string()
}

/// Whose records a row counts.
fn whose(row: &Value) -> String {
    match row["service"].as_str() {
        Some(service) => printable(service),
        None => format!("({})", printable(row["who"].as_str().unwrap_or("all"))),
    }
}

fn show(answer: &Value) -> Result<()> {
    let mut came_in = table(&[
        "SERVICE", "SOURCE", "RECEIVED", "STORED", "REPEATED", "REJECTED", "UNKNOWN", "MASKED",
        "LOST", "REFUSED",
    ]);
    let rows = list(answer, "rows").iter();
    for row in rows.chain([&answer["totals"]]) {
        let columns = ["received", "stored", "repeated"].map(|name| number(row, name));
        let [received, stored, repeated] = columns;
        came_in.add_row([
            whose(row),
            printable(row["source"].as_str().unwrap_or("all")),
            received,
            stored,
            repeated,
            sum(row, "rejected"),
            number(row, "unknown"),
            number(row, "masked"),
            number(row, "lost"),
            sum(row, "refused"),
        ]);
    }
    line(came_in)?;
    line("")?;
    let mut kept = table(&[
        "SERVICE",
        "STORED",
        "PRESENT",
        "EXPIRED",
        "DELETED",
        "DIFFERENCE",
    ]);
    let names = ["stored", "present", "expired", "deleted", "difference"];
    let mut add = |name: String, of: &Value| {
        let numbers = names.map(|column| number(of, column));
        kept.add_row(std::iter::once(name).chain(numbers));
    };
    for service in list(answer, "services") {
        add(whose(service), service);
    }
    if answer["others"].is_object() {
        add("(others)".into(), &answer["others"]);
    }
    add("(all)".into(), &answer["balance"]);
    line(kept)?;
    line("")?;
    line(verdict(answer))
}

/// What the books say as a whole, in words.
fn verdict(answer: &Value) -> String {
    let mut said = vec![match answer["adds_up"].as_bool() {
        Some(true) => "The books add up.".to_owned(),
        Some(false) => "The books do not add up; docs/limits.md says what that can mean.".into(),
        None => "Whether the books add up cannot be said.".into(),
    }];
    for node in list(answer, "missing") {
        let reason = printable(node["reason"].as_str().unwrap_or_default());
        said.push(format!("Node {} did not answer: {reason}.", node["id"]));
    }
    for shard in list(&answer["shards"], "failures") {
        let name = printable(shard["shard"].as_str().unwrap_or_default());
        let reason = printable(shard["reason"].as_str().unwrap_or_default());
        said.push(format!(
            "Shard {name} was not counted for certain: {reason}."
        ));
    }
    for node in list(answer, "nodes") {
        let since = printable(node["since"].as_str().unwrap_or_default());
        let gaps = match node["gaps"].as_u64() {
            Some(0) | None => String::new(),
            Some(gaps) => format!(", with {gaps} gaps"),
        };
        said.push(format!("Node {} counts since {since}{gaps}.", node["id"]));
    }
    said.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::{Admin, Args, Command};

    #[test]
    fn one_service_can_be_asked_for() {
        for (words, expected) in [
            (&[][..], "/api/v1/ledger"),
            (&["--service", "a&b"], "/api/v1/ledger?service=a%26b"),
        ] {
            let words = ["hushlog", "admin", "ledger"].iter().chain(words);
            let args = Args::try_parse_from(words).expect("valid");
            let Command::Admin(Admin::Ledger(args)) = args.command else {
                panic!("the ledger was asked for");
            };
            assert_eq!(path(args.service.as_deref()), expected);
        }
    }

    #[test]
    fn who_is_missing_is_named_and_text_cannot_drive_the_terminal() {
        let answer = json!({
            "adds_up": null,
            "missing": [{"id": 3, "reason": "no \u{1b}[2J answer"}],
            "nodes": [{"id": 1, "since": "2026-01-01T00:00:00Z", "gaps": 2}],
        });
        let said = verdict(&answer);
        assert!(said.contains("cannot be said") && said.contains("Node 3 did not answer"));
        assert!(
            said.contains("with 2 gaps") && !said.contains('\u{1b}'),
            "{said}"
        );
        let row = json!({"service": null, "who": "others"});
        assert_eq!(whose(&row), "(others)");
        assert_eq!(sum(&json!({"refused": {"a": 2, "b": 3}}), "refused"), "5");
    }
}
