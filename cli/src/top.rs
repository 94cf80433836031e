//! `hushlog top`: the most frequent exceptions.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use serde_json::Value;

use crate::args::TopArgs;
use crate::client::Client;
use crate::output::{line, print, printable, table};
use crate::search::{ask, whole};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Asks and prints.
pub(crate) async fn run(args: TopArgs, json_output: bool) -> Result<()> {
    let mut path = format!(
        "/api/v1/exceptions/top-k?k={}&window={}",
        args.k,
        encoded(&args.window)
    );
    if let Some(service) = &args.service {
        path.push_str("&service=");
        path.push_str(&encoded(service));
    }
    let client = Client::new(&args.server.server, DEADLINE);
    let answer = ask(&client, Method::GET, &path, &Value::Null).await?;
    if json_output {
        print(&answer, true)?;
    } else {
        show(&answer)?;
    }
    whole(&answer)
}

/// A value as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

fn show(answer: &Value) -> Result<()> {
    let rows = answer["exceptions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if rows.is_empty() {
        return line(format_args!(
            "no exceptions in the last {}",
            answer["window"].as_str().unwrap_or("window")
        ));
    }
    let mut table = table(&[
        "count",
        "exception",
        "service",
        "first seen",
        "last seen",
        "id",
    ]);
    for row in rows {
        let text = |name: &str| printable(row[name].as_str().unwrap_or_default());
        let count = match row["count_error"].as_u64() {
            None | Some(0) => row["count"].to_string(),
            Some(error) => format!("{} (at most {error} less)", row["count"]),
        };
        table.add_row([
            count,
            text("exception_type"),
            text("service_name"),
            text("first_seen"),
            text("last_seen"),
            text("exception_id"),
        ]);
    }
    line(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_safe_in_addresses() {
        assert_eq!(encoded("a b&c=é/1h"), "a%20b%26c%3D%C3%A9%2F1h");
    }
}
