//! Syslog over UDP, a message per datagram.

use hushlog_ingest::syslog::datagram;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, Patience, dropped};
use super::messages::{Messages, memory};
use crate::api::Api;
use crate::gateway::{Claim, Full, Way};
use crate::limits::{ACCEPT_PAUSE, SYSLOG_BATCH_MESSAGES_MAX, SYSLOG_DATAGRAM_BYTES_MAX};
use crate::net::Datagrams;

/// Serves until `stop` is cancelled; what has come is then still stored, if it can be soon.
pub(crate) async fn serve_udp(socket: Box<dyn Datagrams>, api: Api, stop: CancellationToken) {
    let mut patience = Patience::new(stop);
    let mut buffer = vec![0; SYSLOG_DATAGRAM_BYTES_MAX];
    let mut batch = Batch::new(&api);
    loop {
        let first = tokio::select! {
            biased;
            () = patience.stopped() => break,
            first = socket.receive(&mut buffer) => first,
        };
        match first {
            Ok(bytes) => batch.take(buffer.get(..bytes).unwrap_or_default()),
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        }
        batch.take_all(&*socket, &mut buffer);
        batch.hand_in(&mut patience).await;
    }
    // What the system has taken for the node before it ends.
    while batch.take_all(&*socket, &mut buffer) && !patience.is_over() {
        batch.hand_in(&mut patience).await;
    }
}

/// Datagrams that have come, with their room in the node's memory.
struct Batch<'a> {
    api: &'a Api,
    messages: Messages,
    room: Claim,
}

impl<'a> Batch<'a> {
    fn new(api: &'a Api) -> Self {
        Self {
            messages: Messages::default(),
            room: Claim::new(api.gateway.admission()),
            api,
        }
    }

    /// Takes a datagram; without room it is lost.
    fn take(&mut self, bytes: &[u8]) {
        let (messages, room) = (&mut self.messages, &mut self.room);
        let mut lost = false;
        datagram(
            bytes,
            &mut |frame| match room.add(memory(frame.bytes.len(), 1)) {
                Ok(()) => messages.add(frame.bytes),
                Err(Full) => lost = true,
            },
        );
        if lost {
            dropped(self.api, Way::SyslogUdp);
        }
    }

    /// Takes what else has come, up to a batch. Whether anything had.
    fn take_all(&mut self, socket: &dyn Datagrams, buffer: &mut [u8]) -> bool {
        // Blank ones are no messages, so they are counted apart.
        for taken in 0..SYSLOG_BATCH_MESSAGES_MAX {
            let more = if self.messages.is_full() {
                None
            } else {
                socket.received(buffer)
            };
            let Some(bytes) = more else {
                return taken > 0;
            };
            self.take(buffer.get(..bytes).unwrap_or_default());
        }
        true
    }

    async fn hand_in(&mut self, patience: &mut Patience) {
        let messages = std::mem::take(&mut self.messages);
        if messages.is_empty() {
            return;
        }
        let delivery = Delivery {
            api: self.api,
            messages,
            key: None,
            way: Way::SyslogUdp,
        };
        delivery.run(patience).await;
        self.room.shrink(0);
    }
}
