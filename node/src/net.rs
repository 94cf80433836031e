//! Sockets: listening, dialling, and serving what comes.
//!
//! Where connections come from and go to is a [`Net`]: TCP in production, the simulator's network in
//! tests.
//!
//! A bad connection, whatever it sends, ends by itself and harms no other; running out of file
//! descriptors pauses the accept loop and ends nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::header::DATE;
use axum::http::{HeaderValue, Response};
use futures_util::future::BoxFuture;
use futures_util::stream;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::util::MapResponseLayer;

use crate::callers::{Asked, Callers};
use crate::clock::Clock;
use crate::limits::{
    ACCEPT_PAUSE, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX, HTTP2_STREAMS_MAX,
    SHUTDOWN_PATIENCE,
};
use crate::tasks::{Policy, Tasks};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// An address that could not be listened on, and why.
    pub fn new(address: SocketAddr, source: io::Error) -> Self {
        Self { address, source }
    }
}

/// A network: the machine's, or a simulated one.
pub trait Net: Send + Sync + 'static {
    /// Listens on an address.
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>>;

    /// Connects to `host:port`.
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Stream>>;

    /// Receives datagrams at an address. A network that has none says so.
    fn bind_datagrams(
        &self,
        address: SocketAddr,
    ) -> BoxFuture<'_, Result<Box<dyn Datagrams>, BindError>> {
        let source = io::Error::from(io::ErrorKind::Unsupported);
        Box::pin(async move { Err(BindError::new(address, source)) })
    }
}

/// An address that datagrams come to.
pub trait Datagrams: Send + Sync + 'static {
    /// Waits for the next one; gives its length, at most the buffer's.
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>>;

    /// One that has come already.
    fn received(&self, buffer: &mut [u8]) -> Option<usize>;

    /// The address, with the port that the system chose where port 0 was asked for.
    fn address(&self) -> SocketAddr;
}

/// An address that is being listened on.
pub trait Listener: Send + Sync + 'static {
    /// The next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>>;

    /// The address, with the port that the system chose where port 0 was asked for.
    fn address(&self) -> SocketAddr;
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection.
pub struct Stream(Box<dyn Io>);

impl Stream {
    /// Wraps a connection of any network.
    pub fn new(connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(connection))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// TCP of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the network that all others ask"
)]
impl Net for Tcp {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>, BindError>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|source| BindError::new(address, source))?;
            let address = listener.local_addr().unwrap_or(address);
            Ok(Box::new(TcpPort { listener, address }) as Box<dyn Listener>)
        })
    }

    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::new(stream))
        })
    }

    fn bind_datagrams(
        &self,
        address: SocketAddr,
    ) -> BoxFuture<'_, Result<Box<dyn Datagrams>, BindError>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(address)
                .await
                .map_err(|source| BindError::new(address, source))?;
            let address = socket.local_addr().unwrap_or(address);
            Ok(Box::new(UdpPort { socket, address }) as Box<dyn Datagrams>)
        })
    }
}

struct UdpPort {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Datagrams for UdpPort {
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>> {
        Box::pin(self.socket.recv(buffer))
    }

    fn received(&self, buffer: &mut [u8]) -> Option<usize> {
        self.socket.try_recv(buffer).ok()
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

struct TcpPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener for TcpPort {
    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was refused");
            }
            Ok(Stream::new(stream))
        })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves HTTP until `stop` is cancelled, then lets requests finish for [`SHUTDOWN_PATIENCE`].
pub async fn serve_http(
    listener: Box<dyn Listener>,
    router: Router,
    connections_max: usize,
    tasks: Tasks,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
) {
    let router = router.layer(MapResponseLayer::new(dated(clock)));
    let room = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let builder = http_builder();
    loop {
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            stream = accept(&*listener) => stream,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder
            .serve_connection(TokioIo::new(Prompt::new(stream)), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tasks.spawn("http connection", Policy::Isolated, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(permit);
            Ok::<(), String>(())
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_PATIENCE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still running when the patience ended");
    }
}

/// A connection on which something must come soon: the server's own time for a head begins with its first byte, and
/// connections that never send one would hold all places.
struct Prompt {
    stream: Stream,
    /// Until something has come.
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Prompt {
    fn new(stream: Stream) -> Self {
        let patience = tokio::time::sleep(HEADER_READ_TIMEOUT);
        Self {
            stream,
            patience: Some(Box::pin(patience)),
        }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.patience = None;
            return Poll::Ready(read);
        }
        let is_over = |patience: &mut Pin<Box<tokio::time::Sleep>>| {
            patience.as_mut().poll(context).is_ready()
        };
        if self.patience.as_mut().is_some_and(is_over) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Prompt {
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

fn http_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// The next connection; a refusal of the system is waited out.
pub(crate) async fn accept(listener: &dyn Listener) -> Stream {
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Dates every answer by the node's clock; the HTTP library would ask the system's.
fn dated<B>(clock: Arc<dyn Clock>) -> impl Fn(Response<B>) -> Response<B> + Clone {
    move |mut response| {
        let now = jiff::Timestamp::from_nanosecond(clock.now().nanos().into());
        let text = now.and_then(|now| DateTimePrinter::new().timestamp_to_rfc9110_string(&now));
        if let Some(date) = text.ok().and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(DATE, date);
        }
        response
    }
}

/// Serves gRPC until `stop` is cancelled, then lets calls finish for at most `patience`.
///
/// `callers` bounds the connections of clients; those of peers come in beside them.
pub async fn serve_grpc(
    listener: Box<dyn Listener>,
    routes: Routes,
    callers: Callers,
    stop: CancellationToken,
    patience: Duration,
    clock: Arc<dyn Clock>,
) -> Result<(), tonic::transport::Error> {
    let door = (listener, callers.clone());
    let incoming = Box::pin(stream::unfold(door, |(listener, callers)| async move {
        let stream = accept(&*listener).await;
        let connection = callers.admit(stream);
        Some((Ok::<_, io::Error>(connection), (listener, callers)))
    }));
    let serving = crate::api::grpc::server()
        .layer(MapResponseLayer::new(dated(clock)))
        .layer(Asked)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let outcome = tokio::select! {
        biased;
        outcome = serving => outcome,
        () = async { stop.cancelled().await; tokio::time::sleep(patience).await } => Ok(()),
    };
    // Streams between nodes do not end by themselves, and hold what they are served with.
    callers.cut_all();
    outcome
}
