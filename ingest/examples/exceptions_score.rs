//! Scores exception extraction over labelled cases: `exceptions_score CASES.jsonl [LINES.log…]`.
//!
//! Each case is an object with `text`, `expected_type` and `accept` (types that count as right, null
//! for none). Of the log files, every line in which an exception is found is printed.
#![expect(clippy::print_stdout, reason = "it prints its result")]

use hushlog_ingest::exception;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cases = std::fs::read_to_string(arguments.next().ok_or("a file of cases is needed")?)?;
    let (mut right, mut all) = (0, 0);
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
        if !accepted {
            println!(
                "{}: found {name:?}, expected {}",
                case["source"], case["expected_type"]
            );
        }
    }
    println!("{right} of {all} right");
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
