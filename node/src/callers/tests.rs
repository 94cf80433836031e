//! Limits of connections, over pipes in memory and in simulated time.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_record::Timestamp;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::clock::Scripted;
use crate::net::{Listener, serve_grpc};
use crate::tasks::{Policy, Tasks};

struct Pipes(Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for Pipes {
    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>> {
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

/// A server with no services at all: who is let in is told that there is no such method.
struct Server {
    dial: mpsc::Sender<DuplexStream>,
    _tasks: Tasks,
}

impl Server {
    fn new(connections_max: usize) -> Self {
        let (dial, accept) = mpsc::channel(1);
        let tasks = Tasks::new();
        let serving = serve_grpc(
            Box::new(Pipes(Mutex::new(accept))),
            Routes::default(),
            connections_max,
            tasks.stop_token(),
            Duration::ZERO,
            Arc::new(Scripted::new(Timestamp::default())),
        );
        tasks.spawn("server", Policy::Isolated, serving);
        Self {
            dial,
            _tasks: tasks,
        }
    }

    async fn open(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 << 10);
        self.dial.send(far).await.expect("the server listens");
        near
    }

    async fn channel(&self) -> Channel {
        let mut pipe = Some(TokioIo::new(self.open().await));
        let connect = tower::service_fn(move |_| {
            let pipe = pipe.take().ok_or(io::ErrorKind::ConnectionRefused);
            async move { pipe.map_err(io::Error::from) }
        });
        let endpoint = Endpoint::from_static("http://node");
        let channel = endpoint.connect_with_connector(connect).await;
        channel.expect("connected")
    }
}

async fn as_client(channel: &Channel) -> Code {
    let mut client = HealthClient::new(channel.clone());
    let answer = client.check(HealthCheckRequest::default()).await;
    answer.expect_err("there are no services").code()
}

async fn as_peer(channel: &Channel) -> Code {
    let mut client = NodeClient::new(channel.clone());
    let answer = client.search(pb::ShardSearchRequest::default()).await;
    answer.expect_err("there are no services").code()
}

#[tokio::test(start_paused = true)]
async fn clients_over_the_limit_are_refused_and_peers_are_not() {
    let server = Server::new(2);
    let first = server.channel().await;
    let second = server.channel().await;
    assert_eq!(as_client(&first).await, Code::Unimplemented);
    assert_eq!(as_client(&second).await, Code::Unimplemented);

    let third = server.channel().await;
    assert_eq!(as_client(&third).await, Code::Unavailable);
    let peer = server.channel().await;
    assert_eq!(as_peer(&peer).await, Code::Unimplemented);
    // It stays, and holds no client's room.
    tokio::time::sleep(STRANGER_PATIENCE / 2).await;
    drop(second);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(as_client(&third).await, Code::Unimplemented);
    tokio::time::sleep(2 * STRANGER_PATIENCE).await;
    assert_eq!(as_client(&third).await, Code::Unimplemented);
    assert_eq!(as_peer(&peer).await, Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_came_as_a_client_gives_the_room_back() {
    let server = Server::new(1);
    let peer = server.channel().await;
    assert_eq!(as_peer(&peer).await, Code::Unimplemented);
    let client = server.channel().await;
    assert_eq!(as_client(&client).await, Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_keep_no_peer_out_and_are_cut_off() {
    let server = Server::new(1);
    let mut idle = Vec::new();
    for _ in 0..=STRANGERS_MAX {
        idle.push(server.open().await);
    }
    let peer = server.channel().await;
    assert_eq!(as_peer(&peer).await, Code::Unimplemented);

    // The first is within the limit. Of those beyond it the oldest has given way to the peer.
    let mut ended = |index: usize, within: Duration| {
        let mut pipe = idle.remove(index);
        async move {
            let mut nothing = Vec::new();
            let read = pipe.read_to_end(&mut nothing);
            tokio::time::timeout(within, read).await.is_ok()
        }
    };
    assert!(ended(1, Duration::from_millis(1)).await);
    assert!(!ended(1, Duration::from_millis(1)).await);
    assert!(ended(1, 2 * STRANGER_PATIENCE).await);
    assert!(!ended(0, 2 * STRANGER_PATIENCE).await);
}
