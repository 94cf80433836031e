//! Syslog over TCP, octet-counted or a message per line.

use std::io;
use std::sync::Arc;

use hushlog_ingest::syslog::Decoder;
use rand::Rng;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Messages, lost, store};
use crate::api::{Api, Failure, Kind};
use crate::limits::{
    RETRY_AFTER, SHUTDOWN_PATIENCE, SYSLOG_BATCH_BYTES, SYSLOG_BATCH_WAIT, SYSLOG_READ_BYTES,
};
use crate::net::{Listener, Stream, accept};
use crate::tasks::{Policy, Tasks};

/// Serves until `stop` is cancelled; what has been read is then still stored, if it can be soon.
pub(crate) async fn serve_tcp(
    listener: Box<dyn Listener>,
    api: Api,
    connections_max: usize,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, accept(&*listener).await)
        };
        let (permit, stream) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = next => next,
        };
        let connection = Connection {
            producer: format!("syslog {:016x}", api.ids.lock().next_u64()),
            sequence: 0,
            api: api.clone(),
            stop: stop.clone(),
        };
        tasks.spawn("syslog connection", Policy::Isolated, async move {
            if let Err(error) = connection.serve(stream).await {
                tracing::debug!(%error, "syslog connection ended");
            }
            drop(permit);
            Ok::<(), String>(())
        });
    }
}

struct Connection {
    /// Names its batches, so that one that is sent again is stored once.
    producer: String,
    sequence: u64,
    api: Api,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(mut self, mut stream: Stream) -> io::Result<()> {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; SYSLOG_READ_BYTES];
        loop {
            let mut messages = Messages::default();
            let end = self
                .fill(&mut stream, &mut buffer, &mut decoder, &mut messages)
                .await;
            if end.as_ref().is_ok_and(|end| !end) {
                self.keep(&messages).await;
                continue;
            }
            decoder.finish(&mut |frame| messages.add(frame.bytes));
            self.keep(&messages).await;
            return end.map(|_| ());
        }
    }

    /// Reads until there is a batch; true at the end of the connection, or of the node.
    async fn fill(
        &self,
        stream: &mut Stream,
        buffer: &mut [u8],
        decoder: &mut Decoder,
        messages: &mut Messages,
    ) -> io::Result<bool> {
        loop {
            let read = async {
                // A message alone goes at once when no other follows it.
                match messages.is_empty() {
                    true => Some(stream.read(buffer).await),
                    false => timeout(SYSLOG_BATCH_WAIT, stream.read(buffer)).await.ok(),
                }
            };
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(true),
                read = read => read.transpose()?,
            };
            match read {
                Some(0) => return Ok(true),
                Some(read) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    decoder.push(bytes, &mut |frame| messages.add(frame.bytes));
                }
                None => return Ok(false),
            }
            if messages.bytes >= SYSLOG_BATCH_BYTES {
                return Ok(false);
            }
        }
    }

    /// Stores a batch, however long that takes while the node runs.
    async fn keep(&mut self, messages: &Messages) {
        if messages.is_empty() {
            return;
        }
        let gateway = &self.api.gateway;
        let key = gateway.key_of_producer(&self.producer, self.sequence);
        self.sequence += 1;
        let mut patience = None;
        while let Err(failure) = store(&self.api, messages, Some(key)).await {
            if self.stop.is_cancelled() {
                patience.get_or_insert_with(|| Instant::now() + SHUTDOWN_PATIENCE / 2);
            }
            let is_late = patience.is_some_and(|until| Instant::now() >= until);
            if !may_pass(&failure) || is_late {
                tracing::warn!(%failure, "syslog messages were not stored");
                lost(&self.api, "tcp").add(messages.held.len() as u64);
                return;
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Whether the same batch may be stored later.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        Kind::Overloaded | Kind::Unavailable | Kind::OutcomeUnknown | Kind::DiskFull
    )
}
