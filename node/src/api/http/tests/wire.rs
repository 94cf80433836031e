//! Bytes on a connection that are no HTTP, or too much of it.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::*;
use crate::limits::{BODY_SILENCE_MAX, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX};
use crate::net::serve_http;
use crate::pipes::Pipes;
use crate::tasks::Policy;

struct Server {
    dial: mpsc::Sender<DuplexStream>,
    api: Api,
    stored: Stored,
    _tasks: Tasks,
}

impl Server {
    fn new() -> Self {
        let fake = Fake::default();
        let (stored, tasks) = (fake.stored(), Tasks::new());
        let (dial, listener) = Pipes::new();
        let api = api(fake, 1 << 20);
        let (clock, stop) = (Arc::clone(&api.clock), tasks.stop_token());
        let serving = serve_http(listener, router(api.clone()), 4, tasks.clone(), stop, clock);
        tasks.spawn("server", Policy::Isolated, async move {
            serving.await;
            Ok::<(), String>(())
        });
        Self {
            dial,
            api,
            stored,
            _tasks: tasks,
        }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1 << 20);
        self.dial.send(far).await.expect("it listens");
        near
    }

    /// Sends these bytes, no more, and gives all that comes back until the connection ends; where the
    /// server does not end it, the client goes away after a while.
    async fn answered(&self, bytes: &[u8]) -> String {
        let mut pipe = self.connect().await;
        pipe.write_all(bytes).await.expect("it reads");
        let mut answer = Vec::new();
        let read = pipe.read_to_end(&mut answer);
        if tokio::time::timeout(BODY_SILENCE_MAX / 2, read)
            .await
            .is_err()
        {
            pipe.shutdown().await.expect("open");
            // An end with an error is an end.
            let _end = pipe.read_to_end(&mut answer).await;
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn is_well(&self) {
        let good = "POST /api/v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
            content-length: 15\r\nconnection: close\r\n\r\n{\"message\":\"m\"}";
        let answer = self.answered(good.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.stored.lock().clear();
        let all = self.api.gateway.admission().take(1 << 20);
        assert!(all.is_ok(), "all memory is given back");
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_ends_its_connection_and_harms_nobody() {
    let server = Server::new();
    let post = "POST /api/v1/logs HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let headers: String = (0..2 * HEADERS_MAX)
        .map(|n| format!("h{n}: v\r\n"))
        .collect();
    let long = format!("h: {}\r\n", "v".repeat(2 * HEADER_BYTES_MAX));
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        (
            "a banner",
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(),
            &["400", "closed"],
        ),
        (
            "TLS",
            [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].repeat(9),
            &["400", "closed"],
        ),
        ("noise", vec![0xff; 4_096], &["400", "closed"]),
        ("nothing", Vec::new(), &["closed"]),
        (
            "many headers",
            format!("{post}{headers}\r\n").into(),
            &["431", "closed"],
        ),
        (
            "a long header",
            format!("{post}{long}\r\n").into(),
            &["431", "closed"],
        ),
        (
            "a bad length",
            format!("{post}content-length: -1\r\n\r\n{{}}").into(),
            &["400"],
        ),
        (
            "two lengths",
            format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").into(),
            &["400"],
        ),
        (
            "less than was announced",
            format!("{post}content-length: 40\r\n\r\n{{}}").into(),
            &["400", "closed"],
        ),
        (
            "more than a body may be",
            format!("{post}content-length: 99999999999\r\n\r\n{{}}").into(),
            &["413"],
        ),
        (
            "pieces of no size",
            format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}").into(),
            &["400", "closed"],
        ),
        (
            "pieces without an end",
            format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n").into(),
            &["400", "closed"],
        ),
    ];
    for (what, bytes, expected) in cases {
        let answer = server.answered(&bytes).await;
        assert!(expected.contains(&status(&answer)), "{what}: {answer}");
        assert!(server.stored.lock().is_empty(), "{what}");
        server.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_is_given_up() {
    let server = Server::new();
    let mut pipe = server.connect().await;
    let mut answer = Vec::new();
    let read = pipe.read_to_end(&mut answer);
    let ended = tokio::time::timeout(2 * HEADER_READ_TIMEOUT, read).await;
    assert!(ended.is_ok(), "the connection ends");
    server.is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_given_up() {
    let server = Server::new();
    let mut pipe = server.connect().await;
    pipe.write_all(b"POST /api/v1/logs HTTP/1.1\r\nhost: ")
        .await
        .expect("it reads");
    let mut answer = Vec::new();
    let read = pipe.read_to_end(&mut answer);
    let ended = tokio::time::timeout(2 * HEADER_READ_TIMEOUT, read).await;
    assert!(ended.is_ok(), "the connection ends");
    server.is_well().await;
}
