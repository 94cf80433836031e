//! Syslog over UDP, a message per datagram.

use hushlog_ingest::syslog::datagram;
use tokio_util::sync::CancellationToken;

use super::{Messages, lost, store};
use crate::api::Api;
use crate::limits::{ACCEPT_PAUSE, SYSLOG_BATCH_BYTES, SYSLOG_DATAGRAM_BYTES_MAX};
use crate::net::Datagrams;

/// Serves until `stop` is cancelled.
pub(crate) async fn serve_udp(socket: Box<dyn Datagrams>, api: Api, stop: CancellationToken) {
    let mut buffer = vec![0; SYSLOG_DATAGRAM_BYTES_MAX];
    loop {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            first = socket.receive(&mut buffer) => first,
        };
        let mut messages = Messages::default();
        match first {
            Ok(bytes) => take(&buffer, bytes, &mut messages),
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        }
        // What else has come goes along.
        while messages.bytes < SYSLOG_BATCH_BYTES
            && let Some(bytes) = socket.received(&mut buffer)
        {
            take(&buffer, bytes, &mut messages);
        }
        if messages.is_empty() {
            continue;
        }
        if let Err(failure) = store(&api, &messages, None).await {
            tracing::debug!(%failure, "datagrams were not stored");
            lost(&api, "udp").add(messages.held.len() as u64);
        }
    }
}

fn take(buffer: &[u8], bytes: usize, messages: &mut Messages) {
    let bytes = buffer.get(..bytes).unwrap_or_default();
    datagram(bytes, &mut |frame| messages.add(frame.bytes));
}
