//! `hushlog pii`: what a cluster masks, and a look at what masking does.

pub(crate) mod args;
mod body;
mod show;

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};

use crate::args::ServerArgs;
use crate::client::{Client, encoded};
use crate::output::{line, print, printable};
use crate::search::{ask, of_all_nodes};
use args::{CountriesCommand, DetectorsCommand, PatternsCommand, PiiCommand};

/// Longest wait for an answer: longer than the server waits for all shards.
const DEADLINE: Duration = Duration::from_secs(30);
const PATTERNS: &str = "/api/v1/pii/patterns";
const DETECTORS: &str = "/api/v1/pii/detectors";
const COUNTRIES: &str = "/api/v1/pii/countries";
const SETTINGS: &str = "/api/v1/pii/settings";
const FINDINGS: &str = "/api/v1/pii/findings";
/// Longest text that is tried, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A call, and whom to ask.
struct Call {
    server: ServerArgs,
    method: Method,
    path: String,
    body: Value,
}

impl Call {
    fn get(server: ServerArgs, path: &str) -> Self {
        Self::new(server, Method::GET, path.to_owned())
    }

    fn new(server: ServerArgs, method: Method, path: String) -> Self {
        Self {
            server,
            method,
            path,
            body: Value::Null,
        }
    }

    fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

/// Calls and prints.
pub(crate) async fn run(command: PiiCommand, json_output: bool) -> Result<()> {
    let call = match command {
        PiiCommand::Patterns(command) => patterns(command),
        PiiCommand::Detectors(command) => detectors(command),
        PiiCommand::Countries(command) => countries(command),
        PiiCommand::Settings {
            keep_loopback,
            keep_private,
            server,
        } => settings(server, keep_loopback, keep_private),
        PiiCommand::RotateKey { server } => return rotate(server, json_output).await,
        PiiCommand::Findings { server } => Call::get(server, FINDINGS),
        PiiCommand::Test {
            text,
            service,
            path,
            server,
        } => return test(server, text, service, path, json_output).await,
    };
    let answer = made(&call).await?;
    if json_output || !show::table_of(&answer)? {
        print(&answer, json_output)?;
    }
    of_all_nodes(&answer, "nodes_missing")
}

async fn made(call: &Call) -> Result<Value> {
    let client = Client::new(&call.server.server, DEADLINE);
    ask(&client, call.method.clone(), &call.path, &call.body).await
}

fn patterns(command: PatternsCommand) -> Call {
    match command {
        PatternsCommand::List { server } => Call::get(server, PATTERNS),
        PatternsCommand::Add {
            name,
            regex,
            id,
            members,
            server,
        } => Call::new(server, Method::POST, PATTERNS.to_owned()).with(body::pattern(
            id,
            Some(name),
            Some(regex),
            *members,
        )),
        PatternsCommand::Set {
            id,
            name,
            regex,
            members,
            server,
        } => Call::new(server, Method::PUT, one(PATTERNS, &id))
            .with(body::pattern(None, name, regex, *members)),
        PatternsCommand::Remove { id, server } => {
            Call::new(server, Method::DELETE, one(PATTERNS, &id))
        }
    }
}

fn detectors(command: DetectorsCommand) -> Call {
    match command {
        DetectorsCommand::List { server } => Call::get(server, DETECTORS),
        DetectorsCommand::Set {
            name,
            members,
            server,
        } => Call::new(server, Method::PUT, one(DETECTORS, &name)).with(body::rule(*members)),
        DetectorsCommand::Reset { name, server } => {
            Call::new(server, Method::DELETE, one(DETECTORS, &name))
        }
    }
}

fn countries(command: CountriesCommand) -> Call {
    match command {
        CountriesCommand::List { server } => Call::get(server, COUNTRIES),
        CountriesCommand::Add { code, server } => {
            Call::new(server, Method::PUT, one(COUNTRIES, &code))
        }
        CountriesCommand::Remove { code, server } => {
            Call::new(server, Method::DELETE, one(COUNTRIES, &code))
        }
    }
}

fn settings(server: ServerArgs, loopback: Option<bool>, private: Option<bool>) -> Call {
    let given = [("keep_loopback", loopback), ("keep_private", private)];
    let given: serde_json::Map<_, _> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    if given.is_empty() {
        return Call::get(server, SETTINGS);
    }
    Call::new(server, Method::PUT, SETTINGS.to_owned()).with(given.into())
}

/// Asks which key there is, so that the same call again, after an answer that was lost, names the same one.
async fn rotate(server: ServerArgs, json_output: bool) -> Result<()> {
    let asked = Call::get(server, SETTINGS);
    let now = made(&asked).await?;
    let key = now["hash_key"].as_u64();
    let key = key.context("the server does not say which key it has")?;
    let change = Call::new(asked.server, Method::PUT, SETTINGS.to_owned());
    let answer = made(&change.with(json!({ "hash_key": key + 1 }))).await?;
    print(&answer, json_output)
}

async fn test(
    server: ServerArgs,
    text: Option<String>,
    service: Option<String>,
    path: Option<String>,
    json_output: bool,
) -> Result<()> {
    let text = match text {
        Some(text) => text,
        None => standard_input()?,
    };
    let mut question = json!({ "text": text });
    for (name, value) in [("service", service), ("path", path)] {
        if let Some(value) = value {
            question[name] = value.into();
        }
    }
    let call = Call::new(server, Method::POST, "/api/v1/pii/test".to_owned());
    let answer = made(&call.with(question)).await?;
    if json_output {
        return print(&answer, true);
    }
    line(printable(answer["masked"].as_str().unwrap_or_default()))?;
    show::spans(&answer)
}

fn one(of: &str, id: &str) -> String {
    format!("{of}/{}", encoded(id))
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(TEXT_BYTES_MAX);
    let read = input.read_to_string(&mut text);
    read.context("standard input cannot be read as text")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(one(PATTERNS, "a b"), "/api/v1/pii/patterns/a%20b");
    }
}
