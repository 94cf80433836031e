//! Scores exception extraction over labelled cases: `exceptions_score CASES.jsonl [LINES.log…]`.
//!
//! Each case is an object with `text`, `expected_type` and `accept` (types that count as right, null
//! for none), and perhaps `root_cause`. With `SIGNATURES` set in the environment, every signature is
//! printed with its parts. Of the log files, every line in which an exception is found is printed.
#![expect(clippy::print_stdout, reason = "it prints its result")]

use hushlog_ingest::exception;
use hushlog_ingest::multiline::Joiner;
use hushlog_record::Timestamp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cases = std::fs::read_to_string(arguments.next().ok_or("a file of cases is needed")?)?;
    let (mut right, mut all, mut roots, mut whole) = (0, 0, 0, 0);
    for case in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(case)?;
        let text = case["text"].as_str().ok_or("a case without text")?;
        let found = exception::find(text);
        let name = found.as_ref().map(|found| found.type_name(text));
        let accepted = case["accept"]
            .as_array()
            .is_some_and(|names| names.iter().any(|accepted| accepted.as_str() == name));
        all += 1;
        right += usize::from(accepted);
        let root = found
            .as_ref()
            .and_then(|found| exception::root_cause(text, found));
        let root_right = root == case["root_cause"].as_str();
        roots += usize::from(root_right);
        let joined = stays_whole(text);
        whole += usize::from(joined);
        let stack = found.as_ref().map(|found| found.to_exception(text));
        if std::env::var_os("SIGNATURES").is_some()
            && let Some(exception) = stack
        {
            let signature = exception::signature(&exception);
            println!(
                "{} {signature} {:?} {:?}",
                case["source"], signature.basis, signature.parts
            );
        }
        if !root_right {
            println!(
                "{}: root {root:?}, expected {}",
                case["source"], case["root_cause"]
            );
        }
        if !joined {
            println!("{}: not joined to one event", case["source"]);
        }
        if !accepted {
            println!(
                "{}: found {name:?}, expected {}",
                case["source"], case["expected_type"]
            );
        }
    }
    println!(
        "types: {right} of {all} right, root causes: {roots}, joined from single lines: {whole}"
    );
    for path in arguments {
        let bytes = std::fs::read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut found = 0;
        for line in text.lines() {
            if let Some(exception) = exception::find(line) {
                found += 1;
                println!("  {} | {line}", exception.type_name(line));
            }
        }
        println!("{path}: {found} of {} lines", text.lines().count());
    }
    Ok(())
}

/// Whether the lines of the text, one by one, are joined to one event, and a line after them is not.
fn stays_whole(text: &str) -> bool {
    let mut joiner = Joiner::default();
    let mut events: Vec<_> = text
        .trim_end()
        .lines()
        .chain(["2026-01-02 03:04:05 INFO after"])
        .flat_map(|line| joiner.push(line.as_bytes().to_vec(), Timestamp::from_nanos(0)))
        .collect();
    events.extend(joiner.finish());
    events.len() == 2
}
