//! `hushlog send` of what no server takes.

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn a_line_that_is_too_long_is_one_rejected_record() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hushlog"))
        .args(["send", "--retry-for", "0", "--server", "http://127.0.0.1:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = program.stdin.take().expect("it is piped");
    let written = input.write_all(&vec![b'x'; 2_000_000]);
    drop(input);
    let ended = program.wait_with_output().expect("the program ends");
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let expected = "hushlog: 1 record was rejected: standard input, line 1 is longer than 1 MiB\n";
    assert_eq!(complaint, expected);
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(ended.stdout, b"0 records accepted\n");
    written.expect("all is read");
}
