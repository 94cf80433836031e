//! Who may be connected to the gRPC interface: clients up to `limits.connections`, peers always.
//!
//! Clients and peers come to one port, and what a connection is shows only in its first call. So a
//! connection beyond the limit is let in as a *stranger*: it has [`STRANGER_PATIENCE`] to make a call
//! between nodes that shows the cluster's [`Pass`], which makes it a peer's; any other call is a client's,
//! whatever its path. A client's call is refused and may be tried again on it until
//! then. There are [`STRANGERS_MAX`] strangers at most, and the one that has waited longest gives way to
//! a new one, so that idle connections, however many, keep no peer out.
//!
//! Never looks into a call beyond its head: what it says of its cluster and its sender is for the services
//! to check. A node that joins does not have the pass yet and is a client.

mod pass;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::http::header::USER_AGENT;
use axum::http::{HeaderValue, Request, Response};
use futures_util::future::{Either, Ready, ready};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::Connected;
use tower::{Layer, Service};

use crate::error::{Failure, Kind};
use crate::limits::{PEER_CONNECTIONS_MAX, STRANGER_PATIENCE, STRANGERS_MAX};
use crate::net::Stream;
pub use pass::Pass;

/// How the path of every call between nodes begins.
const BETWEEN_NODES: &str = "/hushlog.internal.";

/// The connections of the gRPC interface; cheap to clone.
#[derive(Clone)]
pub struct Callers {
    inner: Arc<Inner>,
}

struct Inner {
    clients: Arc<Semaphore>,
    peers: Arc<Semaphore>,
    /// What peers show.
    pass: Pass,
    /// Those that are or were strangers, the oldest first.
    strangers: Mutex<VecDeque<Weak<Member>>>,
    /// Cuts off all of them.
    cut_all: CancellationToken,
}

impl Callers {
    /// Room for so many connections of clients, and for peers, who show `pass`.
    pub fn new(clients_max: usize, pass: Pass) -> Self {
        Self {
            inner: Arc::new(Inner {
                clients: Arc::new(Semaphore::new(clients_max.min(Semaphore::MAX_PERMITS))),
                peers: Arc::new(Semaphore::new(PEER_CONNECTIONS_MAX)),
                pass,
                strangers: Mutex::default(),
                cut_all: CancellationToken::new(),
            }),
        }
    }

    /// Ends every connection, whatever is still called on it.
    pub(crate) fn cut_all(&self) {
        self.inner.cut_all.cancel();
    }

    /// Lets a connection in.
    pub(crate) fn admit(&self, stream: Stream) -> Connection {
        let room = Arc::clone(&self.inner.clients).try_acquire_owned().ok();
        let is_stranger = room.is_none();
        let cut = self.inner.cut_all.child_token();
        let member = Arc::new(Member {
            standing: Mutex::new(room.map_or(Standing::Stranger, Standing::Client)),
            cut: cut.clone(),
            callers: self.clone(),
        });
        if is_stranger {
            self.wait(&member);
        }
        Connection {
            stream,
            caller: Caller(member),
            cut: Box::pin(cut.cancelled_owned()),
            patience: is_stranger.then(|| Box::pin(tokio::time::sleep(STRANGER_PATIENCE))),
        }
    }

    /// Puts a stranger last, and cuts the first off when there are too many.
    fn wait(&self, member: &Arc<Member>) {
        let mut strangers = self.inner.strangers.lock();
        strangers.retain(|other| other.upgrade().is_some_and(|other| other.is_stranger()));
        strangers.push_back(Arc::downgrade(member));
        if strangers.len() > STRANGERS_MAX
            && let Some(oldest) = strangers.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.cut.cancel();
        }
    }
}

/// What is known of a connection.
struct Member {
    standing: Mutex<Standing>,
    cut: CancellationToken,
    callers: Callers,
}

/// Whose a connection is; clients and peers hold their room.
enum Standing {
    Stranger,
    Client(#[expect(dead_code, reason = "held until the connection ends")] OwnedSemaphorePermit),
    Peer(#[expect(dead_code, reason = "held until the connection ends")] OwnedSemaphorePermit),
}

impl Member {
    fn is_stranger(&self) -> bool {
        matches!(*self.standing.lock(), Standing::Stranger)
    }
}

/// A connection as its calls know it.
#[derive(Clone)]
pub(crate) struct Caller(Arc<Member>);

impl Caller {
    /// Whether it may make a call of this path, from this user agent.
    fn may_call(&self, path: &str, agent: Option<&HeaderValue>) -> Result<(), Failure> {
        let inner = &self.0.callers.inner;
        let mut standing = self.0.standing.lock();
        let between_nodes = path.starts_with(BETWEEN_NODES) && inner.pass.is_shown_by(agent);
        let (room, new): (_, fn(OwnedSemaphorePermit) -> Standing) = match &*standing {
            Standing::Peer(_) => return Ok(()),
            Standing::Client(_) if !between_nodes => return Ok(()),
            _ if between_nodes => (&inner.peers, Standing::Peer),
            _ => (&inner.clients, Standing::Client),
        };
        let permit = Arc::clone(room).try_acquire_owned().map_err(|_| full())?;
        *standing = new(permit);
        Ok(())
    }
}

fn full() -> Failure {
    let message =
        "as many connections are open as limits.connections allows; try again in a moment";
    Failure::new(Kind::Unavailable, message)
}

/// A connection that ends when it is cut off or has been a stranger for too long.
pub(crate) struct Connection {
    stream: Stream,
    caller: Caller,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Whether it is over, whatever the client does.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.cut.as_mut().poll(context).is_ready() {
            return true;
        }
        if !self.caller.0.is_stranger() {
            self.patience = None;
        }
        self.patience
            .as_mut()
            .is_some_and(|patience| patience.as_mut().poll(context).is_ready())
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Asks of every call whether its connection may make it.
#[derive(Clone, Copy)]
pub(crate) struct Asked;

impl<S> Layer<S> for Asked {
    type Service = AskedService<S>;

    fn layer(&self, inner: S) -> AskedService<S> {
        AskedService { inner }
    }
}

/// See [`Asked`].
#[derive(Clone)]
pub(crate) struct AskedService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for AskedService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = request.extensions().get::<Caller>();
        let agent = request.headers().get(USER_AGENT);
        let may_call = |caller: &Caller| caller.may_call(request.uri().path(), agent);
        match caller.map_or(Ok(()), may_call) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(failure) => Either::Right(ready(Ok(Status::from(failure).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests;
