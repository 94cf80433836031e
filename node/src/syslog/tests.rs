//! Syslog over pipes and sockets, against the gateway of the HTTP tests.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::*;
use crate::api::http::tests::{Fake, Stored, api};
use crate::gateway::Refused;
use crate::net::{Listener, Net, Stream, Tcp};
use crate::tasks::{Policy, Tasks};

struct Pipes(tokio::sync::Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for Pipes {
    fn accept(&self) -> BoxFuture<'_, std::io::Result<Stream>> {
        Box::pin(async move {
            match self.0.lock().await.recv().await {
                Some(pipe) => Ok(Stream::new(pipe)),
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }
}

/// Sends these bytes over one connection, ends it, and gives what is stored then.
async fn sent(bytes: &[u8], fake: Fake) -> Vec<(String, String)> {
    let (dial, accept) = mpsc::channel(1);
    let stored = fake.stored();
    let tasks = Tasks::new();
    let listener = Box::new(Pipes(tokio::sync::Mutex::new(accept)));
    let api = api(fake, 1 << 20);
    let serving = serve_tcp(listener, api, 4, tasks.clone(), tasks.stop_token());
    tasks.spawn("syslog", Policy::Isolated, async move {
        serving.await;
        Ok::<(), String>(())
    });
    let (mut near, far) = tokio::io::duplex(64);
    dial.send(far).await.expect("it listens");
    near.write_all(bytes).await.expect("it reads");
    drop(near);
    settled(&stored).await
}

/// What is stored once nothing has come for a while of paused time.
async fn settled(stored: &Stored) -> Vec<(String, String)> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    stored.lock().clone()
}

const COUNTED: &[u8] = b"41 <34>1 - host app - - - octets\ncounted, ok<13>Oct 11 22:14:15 mymachine su: second\r\n<13>third";

#[tokio::test(start_paused = true)]
async fn messages_of_both_framings_are_stored_also_the_last_one_without_an_end() {
    let stored = sent(COUNTED, Fake::default()).await;
    let messages: Vec<&str> = stored.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].contains("octets\ncounted"), "{messages:?}");
    assert!(messages[1].contains("second") && messages[2].contains("third"));
    assert_eq!(stored[0].0, "app");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_for_the_moment_is_sent_again() {
    let fake = Fake::refusing_at_first(vec![Refused::Backlog, Refused::OutcomeUnknown]);
    let stored = sent(b"<13>only\n", fake).await;
    assert_eq!(stored.len(), 1);
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let fake = Fake::default();
    let stored = fake.stored();
    let tasks = Tasks::new();
    let any = ([127, 0, 0, 1], 0).into();
    let socket = Tcp.bind_datagrams(any).await.expect("a port");
    let address = socket.address();
    let serving = serve_udp(socket, api(fake, 1 << 20), tasks.stop_token());
    tasks.spawn("syslog", Policy::Isolated, async move {
        serving.await;
        Ok::<(), String>(())
    });
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    sender.send_to(b"<13>one\nof one\n", address).expect("sent");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while stored.lock().is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stored = stored.lock().clone();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].1.contains("one\nof one"), "{stored:?}");
}
