//! Connections in memory, for tests of what listens.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::io::DuplexStream;
use tokio::sync::{Mutex, mpsc};

use crate::net::{Listener, Stream};

/// A listener whose connections are what is sent to it.
pub(crate) struct Pipes(Mutex<mpsc::Receiver<DuplexStream>>);

impl Pipes {
    /// A listener, and where to send the far ends of connections.
    pub(crate) fn new() -> (mpsc::Sender<DuplexStream>, Box<Self>) {
        let (dial, accept) = mpsc::channel(1);
        (dial, Box::new(Self(Mutex::new(accept))))
    }
}

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
