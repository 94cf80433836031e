//! Limits of connections, over pipes in memory and in simulated time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushlog_proto::hushlog::internal::v1 as pb;
use hushlog_proto::hushlog::internal::v1::node_client::NodeClient;
use hushlog_raft::{Connect, Lane};
use hushlog_record::Timestamp;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::clock::Scripted;
use crate::net::{BindError, Listener, Net, serve_grpc};
use crate::peers::Peers;
use crate::pipes::Pipes;
use crate::tasks::{Policy, Tasks};

/// The cluster's key.
const KEY: [u8; 32] = [7; 32];

/// A server with no services at all: who is let in is told that there is no such method.
struct Server {
    dial: mpsc::Sender<DuplexStream>,
    tasks: Tasks,
}

impl Server {
    fn new(connections_max: usize) -> Self {
        Self::of(connections_max, Routes::default())
    }

    fn of(connections_max: usize, routes: Routes) -> Self {
        let (dial, listener) = Pipes::new();
        let tasks = Tasks::new();
        let serving = serve_grpc(
            listener,
            routes,
            Callers::new(connections_max, Pass::of(&KEY)),
            tasks.stop_token(),
            Duration::ZERO,
            Arc::new(Scripted::new(Timestamp::default())),
        );
        tasks.spawn("server", Policy::Isolated, serving);
        Self { dial, tasks }
    }

    async fn open(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 << 10);
        self.dial.send(far).await.expect("the server listens");
        near
    }

    /// A connection of the cluster's own nodes, or of others.
    async fn channel(&self) -> Channel {
        self.channel_of(Pass::of(&KEY).agent()).await
    }

    async fn channel_of(&self, agent: &str) -> Channel {
        let mut pipe = Some(TokioIo::new(self.open().await));
        let connect = tower::service_fn(move |_| {
            let pipe = pipe.take().ok_or(io::ErrorKind::ConnectionRefused);
            async move { pipe.map_err(io::Error::from) }
        });
        let endpoint = Endpoint::from_static("http://node");
        let endpoint = endpoint.user_agent(agent).expect("a header");
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
async fn a_call_that_never_ends_does_not_outlive_the_server() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = Server::of(1, Routes::new(health));
    let mut client = HealthClient::new(server.channel().await);
    let watched = client.watch(HealthCheckRequest::default()).await;
    let mut states = watched.expect("it is known").into_inner();
    states.message().await.expect("the first at once");

    let late = server.tasks.shutdown(Duration::from_secs(1)).await;
    assert!(late.is_empty(), "{late:?}");
    let end = tokio::time::timeout(Duration::from_secs(10), states.message()).await;
    let end = end.expect("what the call is served with is let go");
    assert!(end.is_err(), "it was cut off");
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

#[tokio::test(start_paused = true)]
async fn a_call_that_only_looks_like_a_nodes_opens_no_room_of_the_peers() {
    let server = Server::new(1);
    let client = server.channel().await;
    assert_eq!(as_client(&client).await, Code::Unimplemented);
    let foreign = Pass::of(&[8; 32]);
    for agent in ["hushlog-node/", foreign.agent()] {
        let stranger = server.channel_of(agent).await;
        assert_eq!(as_peer(&stranger).await, Code::Unavailable, "{agent}");
    }
    let peer = server.channel().await;
    assert_eq!(as_peer(&peer).await, Code::Unimplemented);
    // Within the limit it is a client's call, and does not give the client's room back.
    let server = Server::new(1);
    let joining = server.channel_of("").await;
    assert_eq!(as_peer(&joining).await, Code::Unimplemented);
    let client = server.channel().await;
    assert_eq!(as_client(&client).await, Code::Unavailable);
}

/// A network on which every address is this server.
struct One(mpsc::Sender<DuplexStream>);

impl Net for One {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>> {
        let source = io::Error::from(io::ErrorKind::Unsupported);
        Box::pin(async move { Err(BindError::new(address, source)) })
    }

    fn dial(&self, _: String) -> BoxFuture<'static, io::Result<Stream>> {
        let dial = self.0.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(64 << 10);
            dial.send(far).await.expect("the server listens");
            Ok(Stream::new(near))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_the_clusters_key_shows_it_in_all_its_calls() {
    let server = Server::new(1);
    let client = server.channel().await;
    assert_eq!(as_client(&client).await, Code::Unimplemented);
    let peers = Peers::new(Arc::new(One(server.dial.clone())));
    let call = async || as_peer(&peers.channel(2, "node:1", Lane::Bulk).expect("an address")).await;
    assert_eq!(call().await, Code::Unavailable);
    peers.show(Pass::of(&KEY));
    assert_eq!(call().await, Code::Unimplemented);
}
