//! `hushlog pii`: the patterns of a cluster, and a look at what masking does.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::args::{PatternArgs, PatternsCommand, PiiCommand, Strategy};
use crate::client::{Client, encoded};
use crate::output::{line, print, printable, table};
use crate::search::ask;

/// Longest wait for an answer: longer than the server waits for all shards.
const DEADLINE: Duration = Duration::from_secs(30);
const PATTERNS: &str = "/api/v1/pii/patterns";
/// Longest text that is tried, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Calls and prints.
pub(crate) async fn run(command: PiiCommand, json_output: bool) -> Result<()> {
    match command {
        PiiCommand::Patterns(command) => patterns(command, json_output).await,
        PiiCommand::Test { text, server } => {
            let text = match text {
                Some(text) => text,
                None => standard_input()?,
            };
            let client = Client::new(&server.server, DEADLINE);
            let question = json!({ "text": text });
            let answer = ask(&client, Method::POST, "/api/v1/pii/test", &question).await?;
            if json_output {
                return print(&answer, true);
            }
            line(printable(answer["masked"].as_str().unwrap_or_default()))?;
            show_spans(&answer)
        }
    }
}

async fn patterns(command: PatternsCommand, json_output: bool) -> Result<()> {
    let (server, method, path, body) = match command {
        PatternsCommand::List { server } => (server, Method::GET, PATTERNS.to_owned(), Value::Null),
        PatternsCommand::Add {
            name,
            regex,
            id,
            members,
            server,
        } => {
            let body = pattern(id, Some(name), Some(regex), members);
            (server, Method::POST, PATTERNS.to_owned(), body)
        }
        PatternsCommand::Set {
            id,
            name,
            regex,
            members,
            server,
        } => {
            let body = pattern(None, name, regex, members);
            (server, Method::PUT, one(&id), body)
        }
        PatternsCommand::Remove { id, server } => (server, Method::DELETE, one(&id), Value::Null),
    };
    let client = Client::new(&server.server, DEADLINE);
    let answer = ask(&client, method, &path, &body).await?;
    if json_output || !answer["patterns"].is_array() {
        return print(&answer, json_output);
    }
    show_patterns(&answer)
}

fn one(id: &str) -> String {
    format!("{PATTERNS}/{}", encoded(id))
}

/// The body that sets what was given.
fn pattern(
    id: Option<String>,
    name: Option<String>,
    regex: Option<String>,
    members: PatternArgs,
) -> Value {
    let mut body = Map::new();
    let texts = [
        ("pattern_id", id),
        ("name", name),
        ("regex_pattern", regex),
        ("pattern_type", members.pattern_type),
        ("validator", members.validator),
        ("replacement", members.replacement),
    ];
    for (member, text) in texts {
        if let Some(text) = text {
            body.insert(member.into(), text.into());
        }
    }
    if !members.keywords.is_empty() {
        body.insert("keywords".into(), members.keywords.into());
    }
    if let Some(strategy) = members.strategy {
        let name = match strategy {
            Strategy::Redact => "REDACT",
            Strategy::Hash => "HASH",
            Strategy::PartialMask => "PARTIAL_MASK",
        };
        body.insert("masking_strategy".into(), name.into());
    }
    if let Some(active) = members.active {
        body.insert("is_active".into(), active.into());
    }
    Value::Object(body)
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(TEXT_BYTES_MAX);
    let read = input.read_to_string(&mut text);
    read.context("standard input cannot be read as text")?;
    Ok(text)
}

fn show_patterns(answer: &Value) -> Result<()> {
    let patterns = answer["patterns"].as_array().map(Vec::as_slice);
    let patterns = patterns.unwrap_or_default();
    if patterns.is_empty() {
        return line("no patterns beside the built-in detectors");
    }
    let mut table = table(&["id", "name", "active", "strategy", "regular expression"]);
    for pattern in patterns {
        let text = |name: &str| printable(pattern[name].as_str().unwrap_or_default());
        let active = if pattern["is_active"] == json!(true) {
            "yes"
        } else {
            "no"
        };
        table.add_row([
            text("pattern_id"),
            text("name"),
            active.to_owned(),
            text("masking_strategy"),
            text("regex_pattern"),
        ]);
    }
    line(table)
}

fn show_spans(answer: &Value) -> Result<()> {
    let spans = answer["spans"].as_array().map(Vec::as_slice);
    for span in spans.unwrap_or_default() {
        let text = |name: &str| printable(span[name].as_str().unwrap_or_default());
        line(format_args!(
            "  {}..{}  {}  {}",
            span["start"],
            span["end"],
            text("detector"),
            text("strategy")
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn body(arguments: &[&str]) -> Value {
        let all = ["hushlog", "pii", "patterns"].iter().chain(arguments);
        let Command::Pii(PiiCommand::Patterns(command)) =
            Args::try_parse_from(all).expect("valid").command
        else {
            panic!("patterns were asked for");
        };
        match command {
            PatternsCommand::Add {
                name,
                regex,
                id,
                members,
                ..
            } => pattern(id, Some(name), Some(regex), members),
            PatternsCommand::Set {
                name,
                regex,
                members,
                ..
            } => pattern(None, name, regex, members),
            PatternsCommand::List { .. } | PatternsCommand::Remove { .. } => Value::Null,
        }
    }

    #[test]
    fn only_what_is_given_is_sent() {
        let add = [
            "add",
            "badge",
            "B-[0-9]{6}",
            "--keyword",
            "badge",
            "--keyword",
            "id",
            "--strategy",
            "partial-mask",
        ];
        let expected = json!({
            "name": "badge",
            "regex_pattern": "B-[0-9]{6}",
            "keywords": ["badge", "id"],
            "masking_strategy": "PARTIAL_MASK",
        });
        assert_eq!(body(&add), expected);
        let set = ["set", "badge", "--active", "false"];
        assert_eq!(body(&set), json!({"is_active": false}));
        assert_eq!(one("a b"), "/api/v1/pii/patterns/a%20b");
    }
}
