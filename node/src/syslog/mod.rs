//! Syslog over TCP and UDP: listeners that are off unless configured.
//!
//! The protocol has no answers. Over TCP a batch that is refused for the moment is kept and sent again
//! under its key, and nothing more is read meanwhile, so that the sender waits; it is stored once. A
//! batch that can never be stored, and a datagram that cannot be stored at once, are lost and counted:
//! `hushlog_node_syslog_lost_total`.

mod tcp;
mod udp;

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Rejected, Shape, TOO_LARGE};

pub(crate) use tcp::serve_tcp;
pub(crate) use udp::serve_udp;

use crate::api::{Api, Failure};
use crate::gateway::{Batch, Full, Key, full};
use crate::metrics::Counter;

/// Messages that go through the pipeline together.
#[derive(Default)]
struct Messages {
    held: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Messages {
    fn add(&mut self, message: &[u8]) {
        self.bytes += message.len();
        self.held.push(message.into());
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Stores messages, under a key if they may be sent again.
async fn store(api: &Api, messages: &Messages, key: Option<Key>) -> Result<(), Failure> {
    let permit = api.gateway.admission().take(messages.bytes);
    let permit = permit.map_err(|Full| full())?;
    let held = messages.held.clone();
    let batch = Batch {
        source: Box::new(move |room, each| {
            for (index, message) in held.iter().enumerate() {
                room.sent(message);
                let raw = RawRecord::line(message);
                each(if raw.is_oversize() {
                    let reason = TOO_LARGE;
                    Err(Rejected { index, reason })
                } else {
                    Ok(raw)
                });
            }
            Ok(Shape::Lines)
        }),
        service: String::new(),
        environment: String::new(),
        key,
    };
    api.gateway.push(batch, permit).await.map(|_| ())
}

/// Messages that were not stored.
fn lost(api: &Api, over: &'static str) -> Counter {
    let help = "Syslog messages that were not stored.";
    let labels = [("over", over)];
    api.registry
        .counter("hushlog_node_syslog_lost_total", help, &labels)
}

#[cfg(test)]
mod tests;
