//! Syslog over UDP, a message per datagram.

use std::time::Duration;

use hushlog_ingest::syslog::{datagram, sender};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, Patience, dropped};
use super::joining::Joining;
use super::messages::{Messages, memory};
use crate::api::Api;
use crate::gateway::{Claim, Full, Way};
use crate::limits::{ACCEPT_PAUSE, SYSLOG_BATCH_MESSAGES_MAX, SYSLOG_DATAGRAM_BYTES_MAX};
use crate::net::Datagrams;

/// Serves until `stop` is cancelled; what has come is then still stored, if it can be soon. Messages wait for further
/// lines of theirs for `join`.
pub(crate) async fn serve_udp(
    socket: Box<dyn Datagrams>,
    api: Api,
    join: Duration,
    stop: CancellationToken,
) {
    let mut patience = Patience::new(stop);
    let mut buffer = vec![0; SYSLOG_DATAGRAM_BYTES_MAX];
    let mut batch = Batch::new(&api, join);
    loop {
        let joined = batch.joining.due();
        let expired = async {
            match joined {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let first = tokio::select! {
            biased;
            () = patience.stopped() => break,
            () = expired => {
                batch.expire();
                batch.hand_in(&mut patience).await;
                continue;
            }
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
    batch.finish();
    batch.hand_in(&mut patience).await;
}

/// Datagrams that have come, with their room in the node's memory.
struct Batch<'a> {
    api: &'a Api,
    /// Lines that others may still follow.
    joining: Joining,
    messages: Messages,
    room: Claim,
}

impl<'a> Batch<'a> {
    fn new(api: &'a Api, join: Duration) -> Self {
        Self {
            joining: Joining::new(join, &*api.clock),
            messages: Messages::default(),
            room: Claim::new(api.gateway.admission()),
            api,
        }
    }

    /// Takes a datagram; without room it is lost. Lines are joined where their sender is known: datagrams come
    /// from everywhere.
    fn take(&mut self, bytes: &[u8]) {
        let (joining, messages, room) = (&mut self.joining, &mut self.messages, &mut self.room);
        let mut lost = false;
        datagram(
            bytes,
            &mut |frame| match room.add(memory(frame.bytes.len(), 1)) {
                Ok(()) if sender(frame.bytes).trim().is_empty() => messages.add(frame.bytes),
                Ok(()) => joining.push(frame.bytes, &mut |event| messages.add(event)),
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

    /// Takes those lines that have waited long enough for others.
    fn expire(&mut self) {
        let messages = &mut self.messages;
        self.joining.expire(&mut |event| messages.add(event));
    }

    /// No more is waited for.
    fn finish(&mut self) {
        let messages = &mut self.messages;
        self.joining.finish(&mut |event| messages.add(event));
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
        let began = Instant::now();
        delivery.run(patience).await;
        self.joining.pause(began.elapsed());
        self.room.shrink(memory(self.joining.held_bytes(), 0));
    }
}
