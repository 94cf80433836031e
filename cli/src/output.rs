//! What people see: tables on a terminal, JSON where it was asked for.
//!
//! Text of records goes out with its control characters made visible, so that a log line cannot
//! drive the terminal.
//!
//! Whoever reads may go away at any time (`hushlog search … | head`), and the standard macros panic then.
//! An answer that nobody takes ends the program quietly; what goes on running does not care.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

use crate::exit::{Code, Exit};

/// Prints a line of an answer. A reader that has gone away ends the program.
pub(crate) fn line(text: impl Display) -> Result<()> {
    match writeln!(stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Exit::error(Code::Closed, "")),
        outcome => Ok(outcome.context("standard output cannot be written")?),
    }
}

/// Prints a line of a program that goes on whether anybody reads it or not.
pub(crate) fn notice(text: impl Display) {
    let _nobody_reads = writeln!(stdout().lock(), "{text}");
}

/// Prints a line about what went wrong.
pub(crate) fn complaint(text: impl Display) {
    let _nobody_reads = writeln!(stderr().lock(), "hushlog: {text}");
}

/// Prints a JSON object: as it is, or as a table of names and values.
pub(crate) fn print(value: &Value, json: bool) -> Result<()> {
    if json {
        return line(serde_json::to_string_pretty(value)?);
    }
    let mut table = table(&[]);
    flatten("", value, &mut |name, value| {
        table.add_row([name.to_owned(), value]);
    });
    line(table)
}

/// Prints what holds for one service, or for all that have something of their own and first for all others: a
/// table with what `cells` makes of each, between the service and where it comes from.
pub(crate) fn by_service<const N: usize>(
    columns: [&str; N],
    answer: &Value,
    cells: impl Fn(&Value) -> [String; N],
) -> Result<()> {
    let head = std::iter::once("SERVICE").chain(columns);
    let mut table = table(&head.chain(["FROM"]).collect::<Vec<_>>());
    let of_services = answer["services"].as_array().map(Vec::as_slice);
    let all: Vec<&Value> = match of_services {
        Some(services) => std::iter::once(&answer["default"])
            .chain(services)
            .collect(),
        None => vec![answer],
    };
    for one in all {
        let text = |name: &str| printable(one[name].as_str().unwrap_or_default());
        let row = std::iter::once(text("service")).chain(cells(one));
        table.add_row(row.chain([text("source")]));
    }
    line(table)
}

/// Columns of a terminal that says it has none.
const WIDTH_USUAL: u16 = 80;

/// An empty table with these columns.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width() == Some(0) {
        // A terminal that does not say how wide it is.
        table.set_width(WIDTH_USUAL);
    }
    if !columns.is_empty() {
        table.set_header(columns);
    }
    table
}

fn flatten(prefix: &str, value: &Value, each: &mut impl FnMut(&str, String)) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let name = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&name, value, each);
            }
        }
        Value::String(text) => each(prefix, printable(text)),
        other => each(prefix, other.to_string()),
    }
}

/// The text with control characters made visible; line ends and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {}
            // What could hide or reorder the rest of a line.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mred\u{7}"), "a\\u{1b}[31mred\\u{7}");
        assert_eq!(printable("one\r\n\ttwo é"), "one\n\ttwo é");
        assert_eq!(printable("\u{202e}abc"), "\u{fffd}abc");
    }

    #[test]
    fn objects_are_flattened_for_people() {
        let mut rows = Vec::new();
        let value = serde_json::json!({"a": {"b": 1, "c": "x"}, "d": [1]});
        flatten("", &value, &mut |name, value| {
            rows.push((name.to_owned(), value))
        });
        let expected = [("a.b", "1"), ("a.c", "x"), ("d", "[1]")];
        assert_eq!(
            rows,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
