//! `hushlog search … | head`: the reader goes away and the program ends without a word.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// Answers one request with this JSON, then calls nobody back.
fn answer_once(listener: &TcpListener, body: &str) {
    let (mut stream, _) = listener.accept().expect("the program connects");
    let mut request = [0; 4096];
    let read = stream.read(&mut request).expect("a request");
    assert!(read > 0);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the program reads");
}

fn check(words: &[&str], answer: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("bound"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_hushlog"))
        .args(words)
        .args(["--server", &server])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(program.stdout.take());
    answer_once(&listener, answer);
    let ended = program.wait_with_output().expect("the program ends");
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        (ended.status.code(), &*complaint),
        (Some(141), ""),
        "{words:?}"
    );
}

#[test]
fn an_answer_that_nobody_reads_ends_the_program_quietly() {
    let found = r#"{"logs":[{"message":"x"}],"total":1,"shards":{"total":1}}"#;
    check(&["search", "x"], found);
    check(&["--json", "search", "x"], found);
    check(&["top"], r#"{"window":"1h","exceptions":[]}"#);
    check(&["top"], r#"{"exceptions":[{"count":1}]}"#);
}
