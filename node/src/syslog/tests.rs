//! Syslog over pipes and sockets, against the gateway of the HTTP tests.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::api::Api;
use crate::api::http::tests::{Fake, Stored, api};
use crate::gateway::Refused;
use crate::limits::{
    SHUTDOWN_PATIENCE, SYSLOG_BATCH_WAIT, SYSLOG_MEMORY_PART, SYSLOG_UNFINISHED_MAX,
};
use crate::net::{Datagrams, Net, Tcp};
use crate::pipes::Pipes;
use crate::tasks::{Policy, Tasks};

/// A server over pipes.
struct Server {
    dial: mpsc::Sender<DuplexStream>,
    tasks: Tasks,
    api: Api,
    stored: Stored,
}

const MEMORY: usize = 1 << 20;
/// How long messages wait for further lines, where they are joined.
const JOIN: Duration = Duration::from_millis(200);

impl Server {
    fn new(fake: Fake) -> Self {
        Self::joining(fake, Duration::ZERO)
    }

    fn joining(fake: Fake, join: Duration) -> Self {
        let (dial, listener) = Pipes::new();
        let (stored, tasks) = (fake.stored(), Tasks::new());
        let api = api(fake, MEMORY);
        let stop = tasks.stop_token();
        let connections = Connections { max: 100, join };
        let serving = serve_tcp(listener, api.clone(), connections, tasks.clone(), stop);
        tasks.spawn("syslog", Policy::Isolated, async move {
            serving.await;
            Ok::<(), String>(())
        });
        Self {
            dial,
            tasks,
            api,
            stored,
        }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64);
        self.dial.send(far).await.expect("it listens");
        near
    }

    fn messages(&self) -> Vec<String> {
        let stored = self.stored.lock();
        stored.iter().map(|(_, message)| message.clone()).collect()
    }

    /// Bytes of memory that are taken.
    fn taken(&self) -> usize {
        let admission = self.api.gateway.admission();
        let free = (0..=MEMORY >> 10).rev().map(|units| units << 10);
        let free = free
            .into_iter()
            .find(|bytes| admission.take(*bytes).is_ok());
        MEMORY - free.unwrap_or_default()
    }

    /// The value of a counter of this kind over TCP or UDP; 0 where there is none.
    fn counted(&self, kind: &str, over: &str) -> u64 {
        counted(&self.api, kind, over)
    }
}

fn counted(api: &Api, kind: &str, over: &str) -> u64 {
    let line = format!("hushlog_node_syslog_{kind}_total{{over=\"{over}\"}} ");
    let text = api.registry.render();
    let value = text.lines().find_map(|text| text.strip_prefix(&line));
    value.map_or(0, |value| value.parse().expect("a number"))
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Sends these bytes over one connection, ends it, and gives what is stored then.
async fn sent(bytes: &[u8], fake: Fake) -> Vec<(String, String)> {
    let server = Server::new(fake);
    let mut near = server.connect().await;
    near.write_all(bytes).await.expect("it reads");
    drop(near);
    settled(&server.stored).await
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
    // Those of different services are of different parts, in no order.
    for (service, text) in [("app", "octets\ncounted"), ("su", "second"), ("", "third")] {
        let found = stored
            .iter()
            .any(|(of, message)| message.contains(text) && (service.is_empty() || of == service));
        assert!(found, "{text}: {stored:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_for_the_moment_is_sent_again() {
    let fake = Fake::refusing_at_first(vec![Refused::Backlog, Refused::OutcomeUnknown]);
    let stored = sent(b"<13>only\n", fake).await;
    assert_eq!(stored.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_over_its_rate_limit_is_stored_later_and_nothing_of_it_is_lost() {
    let server = Server::new(Fake::limiting(1));
    let mut near = server.connect().await;
    for batch in 0..2 {
        near.write_all(&b"<13>m\n".repeat(20))
            .await
            .expect("it reads");
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The first is let in, and paid off before the next.
        assert_eq!(server.messages().len(), 20, "{batch}");
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(server.messages().len(), 40);
    assert_eq!((server.counted("lost", "tcp"), server.taken()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn others_on_the_connection_do_not_wait_for_a_service_over_its_rate_limit() {
    let fake = Fake::limiting_one("slow", 1);
    let server = Server::new(fake);
    let mut near = server.connect().await;
    let message = |program: &str| format!("<13>1 - host {program} - - - m\n");
    // Let in, and to be paid off.
    near.write_all(message("slow").repeat(50).as_bytes())
        .await
        .expect("it reads");
    moment().await;
    assert_eq!(server.messages().len(), 50);
    for round in 1..=3 {
        let both = message("slow") + &message("quick");
        near.write_all(both.repeat(20).as_bytes())
            .await
            .expect("it reads");
        moment().await;
        let stored = server.stored.lock().clone();
        let quick = stored
            .iter()
            .filter(|(service, _)| service == "quick")
            .count();
        assert_eq!((quick, stored.len()), (20 * round, 50 + 20 * round));
    }
    assert!(server.taken() > 0, "what waits is held");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(server.messages().len(), 50 + 3 * 40);
    assert_eq!((server.counted("lost", "tcp"), server.taken()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_more_waits_aside_than_there_is_room_for_and_nothing_of_it_is_lost() {
    let server = Server::new(Fake::limiting(1));
    let mut near = server.connect().await;
    let text = "x".repeat(1 << 10);
    let all = format!("<13>{text}\n").repeat(400);
    let write = async { near.write_all(all.as_bytes()).await };
    // It is not read to its end: its sender has to wait.
    let written = tokio::time::timeout(Duration::from_secs(2), write).await;
    assert!(written.is_err());
    assert!(
        server.taken() <= MEMORY / SYSLOG_MEMORY_PART,
        "{}",
        server.taken()
    );
    drop(near);
    tokio::time::sleep(Duration::from_secs(40_000)).await;
    let stored = server.messages().len();
    assert!(stored > 1, "{stored}");
    assert_eq!((server.counted("lost", "tcp"), server.taken()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_aside_when_the_node_ends_is_counted() {
    let server = Server::new(Fake::limiting(1));
    let mut near = server.connect().await;
    for _ in 0..2 {
        near.write_all(&b"<13>m\n".repeat(900))
            .await
            .expect("it reads");
        moment().await;
    }
    let late = server.tasks.shutdown(SHUTDOWN_PATIENCE).await;
    assert!(late.is_empty(), "{late:?}");
    let lost = usize::try_from(server.counted("lost", "tcp")).expect("few");
    assert_eq!(server.messages().len() + lost, 1_800);
    assert!(lost > 0);
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let fake = Fake::default();
    let stored = fake.stored();
    let tasks = Tasks::new();
    let any = ([127, 0, 0, 1], 0).into();
    let socket = Tcp.bind_datagrams(any).await.expect("a port");
    let address = socket.address();
    let serving = serve_udp(socket, api(fake, 1 << 20), JOIN, tasks.stop_token());
    tasks.spawn("syslog", Policy::Isolated, async move {
        serving.await;
        Ok::<(), String>(())
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of another process has a socket of its own"
    )]
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

/// A trace of one program as messages of its lines, with those of another one between them.
const TRACE: [&str; 6] = [
    "<11>1 - host shop 7 - - ERROR payment failed\n",
    "<14>1 - host mail 8 - - sent\n",
    "<11>1 - host shop 7 - - java.lang.IllegalStateException: no\n",
    "<14>1 - host mail 8 - - sent too\n",
    "<11>1 - host shop 7 - - \tat shop.Pay.run(Pay.java:7)\n",
    "<11>1 - host shop 7 - - ERROR again\n",
];

fn of_shop(stored: &[(String, String)]) -> Vec<&str> {
    let shop = stored.iter().filter(|(service, _)| service == "shop");
    shop.map(|(_, message)| message.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_trace_become_one_record_of_their_program() {
    let server = Server::joining(Fake::default(), JOIN);
    let mut near = server.connect().await;
    for line in TRACE {
        near.write_all(line.as_bytes()).await.expect("it reads");
        tokio::time::sleep(JOIN / 4).await;
    }
    // What no line follows is waited for, and not for ever; the connection stays.
    tokio::time::sleep(2 * JOIN).await;
    let stored = server.stored.lock().clone();
    assert_eq!(stored.len(), 4, "{stored:?}");
    let shop = of_shop(&stored);
    assert_eq!(shop.len(), 2);
    assert!(shop[0].contains("payment failed\njava.lang") && shop[0].ends_with("(Pay.java:7)"));
    assert_eq!(server.taken(), 0);
    near.write_all(b"<13>1 - host shop 7 - - last\n")
        .await
        .expect("it reads");
    drop(near);
    assert_eq!(settled(&server.stored).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_further_lines_is_in_the_nodes_memory_and_gives_way_in_it() {
    let server = Server::joining(Fake::default(), Duration::from_secs(600));
    let mut near = server.connect().await;
    let line = format!("<13>1 - host shop 7 - - {}\n", "x".repeat(50 << 10));
    near.write_all(line.as_bytes()).await.expect("it reads");
    moment().await;
    assert!(server.messages().is_empty() && server.taken() > 50 << 10);
    // Another program's: both cannot be held.
    let others = (0..4).map(|other| line.replace("shop", &format!("shop{other}")));
    near.write_all(others.collect::<String>().as_bytes())
        .await
        .expect("it reads");
    moment().await;
    assert!(!server.messages().is_empty());
    assert!(server.taken() <= MEMORY / SYSLOG_MEMORY_PART);
    let late = server.tasks.shutdown(SHUTDOWN_PATIENCE).await;
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(server.messages().len(), 5);
    assert_eq!(server.counted("lost", "tcp"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trace_waits_as_long_as_nothing_is_read() {
    // The first batch is refused again and again, while the rest of the trace lies in the pipe.
    let refusals = vec![Refused::Unavailable; 5];
    let server = Server::joining(Fake::refusing_at_first(refusals), JOIN);
    let mut near = server.connect().await;
    let lines = TRACE[..4].concat();
    near.write_all(lines.as_bytes()).await.expect("it reads");
    moment().await;
    near.write_all(TRACE[4].as_bytes()).await.expect("it reads");
    drop(near);
    let stored = settled(&server.stored).await;
    let shop = of_shop(&stored);
    assert_eq!(shop.len(), 1, "{stored:?}");
    assert!(shop[0].ends_with("(Pay.java:7)"));
}

#[tokio::test(start_paused = true)]
async fn datagrams_are_joined_where_their_sender_is_known() {
    let api_of = Fake::default();
    let stored = api_of.stored();
    // The queue gives the last one first.
    let datagrams: [&'static [u8]; 7] = [
        b"<11>1 - - - - - - \tat shop.Pay.run(Pay.java:7)",
        b"<11>1 - - - - - - java.lang.IllegalStateException: no",
        b"<11>\tat shop.Pay.run(Pay.java:7)",
        b"<11>java.lang.IllegalStateException: no",
        b"<11>1 - host shop 7 - - \tat shop.Pay.run(Pay.java:7)",
        b"<11>1 - host shop 7 - - java.lang.IllegalStateException: no",
        b"<11>1 - host shop 7 - - ERROR payment failed",
    ];
    served(&datagrams, api(api_of, MEMORY), CancellationToken::new()).await;
    let stored = stored.lock().clone();
    assert_eq!(of_shop(&stored).len(), 1, "{stored:?}");
    assert_eq!(stored.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_a_moment_after_its_first_message_however_the_next_ones_trickle() {
    let server = Server::new(Fake::default());
    let mut near = server.connect().await;
    for sent in 1..=20 {
        near.write_all(b"<13>m\n").await.expect("it reads");
        tokio::time::sleep(SYSLOG_BATCH_WAIT * 4 / 5).await;
        if sent > 2 {
            assert!(!server.messages().is_empty(), "after {sent} messages");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_connections_hold_is_in_the_nodes_memory_and_only_a_part_of_it() {
    let server = Server::new(Fake::default());
    let mut near = Vec::new();
    for _ in 0..8 {
        let mut pipe = server.connect().await;
        let text = vec![b'x'; 60 << 10];
        // What it has no room for it does not read.
        let write = async { pipe.write_all(&text).await };
        let _all = tokio::time::timeout(Duration::from_secs(1), write).await;
        near.push(pipe);
    }
    let taken = server.taken();
    assert!(taken > 60 << 10, "{taken}");
    assert!(taken <= MEMORY / SYSLOG_MEMORY_PART, "{taken}");
    drop(near);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let stored: usize = server.messages().iter().map(String::len).sum();
    assert!(stored > 60 << 10, "{stored}");
    assert_eq!(server.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_while_the_nodes_memory_is_in_use() {
    let server = Server::new(Fake::default());
    let others = server.api.gateway.admission().take(MEMORY).expect("room");
    let mut near = server.connect().await;
    near.write_all(b"<13>one\n<13>two\n")
        .await
        .expect("it reads");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(server.messages().is_empty());
    drop(others);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(server.messages().len(), 2);
    assert_eq!(server.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_complete_ends_its_connection_and_is_stored_as_it_is() {
    let server = Server::new(Fake::default());
    let mut near = server.connect().await;
    near.write_all(b"<13>hal").await.expect("it reads");
    tokio::time::sleep(SYSLOG_UNFINISHED_MAX / 2).await;
    assert!(server.messages().is_empty());
    // A trickle is no patience more.
    near.write_all(b"f").await.expect("it reads");
    tokio::time::sleep(SYSLOG_UNFINISHED_MAX * 3 / 4).await;
    assert_eq!(server.messages().len(), 1);
    assert!(server.messages()[0].contains("half"));
    near.write_all(b"<13>other\n")
        .await
        .expect_err("it has ended");
    // Those that are quiet between messages stay.
    let mut near = server.connect().await;
    for _ in 0..2 {
        near.write_all(b"<13>whole\n").await.expect("it reads");
        tokio::time::sleep(2 * SYSLOG_UNFINISHED_MAX).await;
    }
    assert_eq!(server.messages().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_complete_waits_while_others_are_handed_in() {
    let fake = Fake::limiting(1);
    let refusals = fake.refusals();
    let server = Server::new(fake);
    let mut near = server.connect().await;
    for _ in 0..2 {
        near.write_all(&b"<13>m\n".repeat(20))
            .await
            .expect("it reads");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    near.write_all(b"<13>hal").await.expect("it reads");
    // The second batch is aside, and then the cluster is away for longer than the patience.
    refusals.lock().resize(120, Refused::Unavailable);
    tokio::time::sleep(Duration::from_secs(60)).await;
    near.write_all(b"f\n").await.expect("there is room");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let messages = server.messages();
    assert_eq!(messages.len(), 41);
    assert!(messages[40].contains("half"), "{}", messages[40]);
    near.write_all(b"<13>next\n").await.expect("it goes on");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_when_the_node_ends_is_handed_in_first() {
    let fake = Fake::refusing_at_first(vec![Refused::Unavailable, Refused::Backlog]);
    let server = Server::new(fake);
    let mut near = server.connect().await;
    near.write_all(b"<13>one\n<13>two\n<13>thr")
        .await
        .expect("it reads");
    moment().await;
    assert!(server.messages().is_empty(), "refused so far");
    near.write_all(b"ee").await.expect("it reads");
    let late = server.tasks.shutdown(SHUTDOWN_PATIENCE).await;
    assert!(late.is_empty(), "{late:?}");
    let messages = server.messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[2].contains("three"));
    assert_eq!(server.counted("lost", "tcp"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_handed_in_before_the_node_ends_is_counted() {
    for (why, lost, unknown) in [
        (Refused::Unavailable, 2, 0),
        (Refused::OutcomeUnknown, 0, 2),
    ] {
        let server = Server::new(Fake::refusing(why));
        let mut near = server.connect().await;
        near.write_all(b"<13>one\n<13>two\n")
            .await
            .expect("it reads");
        moment().await;
        let late = server.tasks.shutdown(SHUTDOWN_PATIENCE).await;
        assert!(late.is_empty(), "{late:?}");
        assert_eq!(server.counted("lost", "tcp"), lost, "{why:?}");
        assert_eq!(server.counted("unknown", "tcp"), unknown, "{why:?}");
    }
}

/// Datagrams that have come already.
struct Queue(parking_lot::Mutex<Vec<&'static [u8]>>);

impl Queue {
    fn new(datagrams: &[&'static [u8]]) -> Box<Self> {
        Box::new(Self(parking_lot::Mutex::new(datagrams.to_vec())))
    }
}

impl Datagrams for Queue {
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, std::io::Result<usize>> {
        Box::pin(async move {
            match self.received(buffer) {
                Some(bytes) => Ok(bytes),
                None => std::future::pending().await,
            }
        })
    }

    fn received(&self, buffer: &mut [u8]) -> Option<usize> {
        let next = self.0.lock().pop()?;
        buffer.get_mut(..next.len())?.copy_from_slice(next);
        Some(next.len())
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }
}

/// Serves these datagrams for a moment, and to the end.
async fn served(datagrams: &[&'static [u8]], api: Api, stop: CancellationToken) {
    let serving = serve_udp(Queue::new(datagrams), api, JOIN, stop.clone());
    let stopping = async {
        moment().await;
        stop.cancel();
    };
    tokio::join!(serving, stopping);
}

#[tokio::test(start_paused = true)]
async fn datagrams_that_came_before_the_node_ended_are_handed_in() {
    let fake = Fake::default();
    let stored = fake.stored();
    let stop = CancellationToken::new();
    stop.cancel();
    served(&[b"<13>one", b"", b"<13>two"], api(fake, MEMORY), stop).await;
    assert_eq!(stored.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn datagrams_that_were_not_stored_or_may_not_have_been_are_counted_apart() {
    let cases = [
        (Refused::Unavailable, 2, 0),
        (Refused::OutcomeUnknown, 0, 2),
    ];
    for (why, lost, unknown) in cases {
        let api = api(Fake::refusing(why), MEMORY);
        served(
            &[b"<13>one", b"<13>two"],
            api.clone(),
            CancellationToken::new(),
        )
        .await;
        assert_eq!(counted(&api, "lost", "udp"), lost, "{why:?}");
        assert_eq!(counted(&api, "unknown", "udp"), unknown, "{why:?}");
    }
    // No room for them at all.
    let full = api(Fake::default(), MEMORY);
    let _others = full.gateway.admission().take(MEMORY).expect("room");
    served(
        &[b"<13>one", b"<13>two"],
        full.clone(),
        CancellationToken::new(),
    )
    .await;
    assert_eq!(counted(&full, "lost", "udp"), 2);
}
