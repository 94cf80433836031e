//! Channels to the other nodes, over whatever network the node has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::{Connect, Lane};
use hushlog_record::NodeId;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::callers::Pass;
use crate::net::{Net, Stream};

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which a connection is probed, and longest time for the answer: a peer that stands
/// still is noticed even when the network is fine.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Bytes in flight of one call and of one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Keeps one connection per peer and lane.
pub struct Peers {
    net: Arc<dyn Net>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What this node shows; a node that joins has none yet.
    pass: Option<Pass>,
    channels: BTreeMap<(String, Lane), Channel>,
}

impl Peers {
    /// No connection yet.
    pub fn new(net: Arc<dyn Net>) -> Self {
        Self {
            net,
            known: Mutex::default(),
        }
    }

    /// Shows this pass from now on, over new connections.
    pub fn show(&self, pass: Pass) {
        *self.known.lock() = Known {
            pass: Some(pass),
            channels: BTreeMap::new(),
        };
    }
}

impl Connect for Peers {
    fn channel(&self, _: NodeId, addr: &str, lane: Lane) -> Result<Channel, tonic::Status> {
        let key = (addr.to_owned(), lane);
        let Known { pass, channels } = &mut *self.known.lock();
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let mut endpoint = Endpoint::from_shared(format!("http://{addr}"))
            .map_err(|_| tonic::Status::invalid_argument("the peer's address is not host:port"))?;
        if let Some(pass) = pass {
            let agent = endpoint.user_agent(pass.agent());
            endpoint = agent.map_err(|error| tonic::Status::internal(error.to_string()))?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(tower::service_fn(dialler(Arc::clone(&self.net))));
        channels.insert(key, channel.clone());
        Ok(channel)
    }
}

/// Connects to the host and port of a URI.
fn dialler(
    net: Arc<dyn Net>,
) -> impl FnMut(Uri) -> futures_util::future::BoxFuture<'static, std::io::Result<TokioIo<Stream>>> + Clone
{
    move |uri| {
        let address = uri
            .authority()
            .map_or_else(String::new, ToString::to_string);
        let dialled = net.dial(address);
        Box::pin(async move { dialled.await.map(TokioIo::new) })
    }
}
