//! The simulated network: connections for the nodes, and the links between them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hushlog_node::net::{BindError, Listener, Net, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::Sim;

/// Shortest and longest time that a message takes on a healthy link.
pub const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));
/// Segments on their way in one connection.
pub const TCP_CAPACITY: usize = 4096;

thread_local! {
    /// Pieces sent from one node to another in the simulation of this thread. The clients' host is 0.
    static SENT: RefCell<BTreeMap<(u64, u64), u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// The name of a node's host.
pub fn host(node: u64) -> String {
    format!("n{node}")
}

/// The node of an address, 0 for the clients.
fn node_at(address: io::Result<SocketAddr>) -> u64 {
    let name = address
        .ok()
        .and_then(|address| turmoil::reverse_lookup(address.ip()));
    let number = name.as_deref().and_then(|name| name.strip_prefix('n'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Nothing has been sent yet.
pub fn nothing_sent() {
    SENT.take();
}

/// Pieces sent so far over the directions that `hit` says, whatever became of them.
pub fn sent(hit: impl Fn(u64, u64) -> bool) -> u64 {
    SENT.with_borrow(|sent| {
        let sent = sent.iter().filter(|((from, to), _)| hit(*from, *to));
        sent.map(|(_, count)| count).sum()
    })
}

/// Connections of a simulated host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Simulated;

impl Net for Simulated {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>> {
        Box::pin(async move {
            let any = (Ipv4Addr::UNSPECIFIED, address.port());
            let listener = turmoil::net::TcpListener::bind(any)
                .await
                .map_err(|error| BindError::new(address, error))?;
            Ok(Box::new(Port { listener, address }) as Box<dyn Listener>)
        })
    }

    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Stream>> {
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect(address).await?;
            Ok(Counted::stream(stream))
        })
    }
}

struct Port {
    listener: turmoil::net::TcpListener,
    address: SocketAddr,
}

impl Listener for Port {
    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            Ok(Counted::stream(stream))
        })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A connection whose pieces are counted, so that it is known which links anything was sent over.
struct Counted {
    stream: turmoil::net::TcpStream,
    link: (u64, u64),
}

impl Counted {
    fn stream(stream: turmoil::net::TcpStream) -> Stream {
        let link = (node_at(stream.local_addr()), node_at(stream.peer_addr()));
        Stream::new(Self { stream, link })
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            SENT.with_borrow_mut(|sent| *sent.entry(self.link).or_default() += 1);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What is wrong with the links, counted, since faults may overlap.
pub struct Links {
    nodes: u64,
    cuts: BTreeMap<(u64, u64), u32>,
    holds: BTreeMap<(u64, u64), u32>,
    losses: BTreeMap<(u64, u64), Vec<u64>>,
    delays: BTreeMap<(u64, u64), Vec<u64>>,
}

fn pair(a: u64, b: u64) -> (u64, u64) {
    (a.min(b), a.max(b))
}

fn count(counts: &mut BTreeMap<(u64, u64), u32>, key: (u64, u64), on: bool) {
    let count = counts.entry(key).or_default();
    *count = if on {
        *count + 1
    } else {
        count.saturating_sub(1)
    };
}

fn list(lists: &mut BTreeMap<(u64, u64), Vec<u64>>, key: (u64, u64), value: u64, on: bool) {
    let list = lists.entry(key).or_default();
    if on {
        list.push(value);
    } else if let Some(at) = list.iter().position(|known| *known == value) {
        list.remove(at);
    }
}

impl Links {
    /// All links are healthy.
    pub fn new(nodes: u64) -> Self {
        Self {
            nodes,
            cuts: BTreeMap::new(),
            holds: BTreeMap::new(),
            losses: BTreeMap::new(),
            delays: BTreeMap::new(),
        }
    }

    /// Cuts one direction, or ends one cut of it.
    pub fn cut(&mut self, sim: &mut Sim<'_>, from: u64, to: u64, on: bool) {
        count(&mut self.cuts, (from, to), on);
        self.apply(sim, from, to);
    }

    /// Cuts all links of a node in one or both directions, or ends that.
    pub fn isolate(&mut self, sim: &mut Sim<'_>, node: u64, both: bool, on: bool) {
        for other in (1..=self.nodes).filter(|other| *other != node) {
            self.cut(sim, node, other, on);
            if both {
                self.cut(sim, other, node, on);
            }
        }
    }

    /// Holds everything back between two nodes, or lets it go.
    pub fn hold(&mut self, sim: &mut Sim<'_>, a: u64, b: u64, on: bool) {
        count(&mut self.holds, pair(a, b), on);
        self.apply(sim, a, b);
    }

    /// Loses so many messages of a thousand between two nodes, or no longer.
    pub fn lose(&mut self, sim: &mut Sim<'_>, a: u64, b: u64, permille: u64, on: bool) {
        list(&mut self.losses, pair(a, b), permille, on);
        self.apply(sim, a, b);
    }

    /// Makes messages between two nodes take so long, or no longer.
    pub fn delay(&mut self, sim: &mut Sim<'_>, a: u64, b: u64, millis: u64, on: bool) {
        list(&mut self.delays, pair(a, b), millis, on);
        self.apply(sim, a, b);
    }

    /// Whether messages pass from one node to another.
    pub fn open(&self) -> BTreeSet<(u64, u64)> {
        let mut open = BTreeSet::new();
        for from in 1..=self.nodes {
            for to in 1..=self.nodes {
                let held = self.holds.get(&pair(from, to)).is_some_and(|n| *n > 0);
                if from == to || !(self.is_cut(from, to) || held) {
                    open.insert((from, to));
                }
            }
        }
        open
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    /// Brings the simulated link in line with what is counted here.
    fn apply(&self, sim: &mut Sim<'_>, a: u64, b: u64) {
        let (a, b) = pair(a, b);
        let (left, right) = (host(a), host(b));
        let cut = (self.is_cut(a, b), self.is_cut(b, a));
        let held = self.holds.get(&(a, b)).is_some_and(|count| *count > 0);
        let most = |lists: &BTreeMap<(u64, u64), Vec<u64>>| {
            let list = lists.get(&(a, b));
            list.and_then(|list| list.iter().max().copied())
        };
        // A lost message partitions the link until the next one: not beside a cut, which it would end.
        let clear = cut == (false, false) && !held;
        let loss = most(&self.losses).filter(|_| clear).unwrap_or(0);
        let loss = f64::from(u32::try_from(loss).unwrap_or(0)) / 1000.0;
        sim.set_link_fail_rate(left.as_str(), right.as_str(), loss);
        let (least, longest) = match most(&self.delays) {
            Some(millis) => (
                Duration::from_millis(millis),
                Duration::from_millis(millis * 2),
            ),
            None => LATENCY,
        };
        sim.set_link_latency(left.as_str(), right.as_str(), least);
        sim.set_link_max_message_latency(left.as_str(), right.as_str(), longest);
        if held && clear_of_cuts(cut) {
            sim.hold(left.as_str(), right.as_str());
            return;
        }
        sim.release(left.as_str(), right.as_str());
        if cut.0 {
            sim.partition_oneway(left.as_str(), right.as_str());
        }
        if cut.1 {
            sim.partition_oneway(right.as_str(), left.as_str());
        }
    }
}

fn clear_of_cuts(cut: (bool, bool)) -> bool {
    cut == (false, false)
}
