//! Channels to the other nodes, over TCP.

use std::collections::BTreeMap;
use std::time::Duration;

use hushlog_raft::{Connect, Lane};
use hushlog_record::NodeId;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which a connection is probed, and longest time for the answer: a peer that stands
/// still is noticed even when the network is fine.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Bytes in flight of one call and of one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Keeps one connection per peer and lane.
#[derive(Default)]
pub(crate) struct Peers {
    channels: Mutex<BTreeMap<(String, Lane), Channel>>,
}

impl Connect for Peers {
    fn channel(&self, _: NodeId, addr: &str, lane: Lane) -> Result<Channel, tonic::Status> {
        let key = (addr.to_owned(), lane);
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))
            .map_err(|_| tonic::Status::invalid_argument("the peer's address is not host:port"))?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_lazy();
        channels.insert(key, channel.clone());
        Ok(channel)
    }
}
