//! Hands messages in, and counts those that are not stored.

use std::sync::Arc;

use hushlog_ingest::RawRecord;
use hushlog_ingest::json::{Rejected, Shape, TOO_LARGE};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::messages::Messages;
use crate::api::{Api, Failure, Kind};
use crate::gateway::{Batch, Key, Way};
use crate::limits::{RETRY_AFTER, SHUTDOWN_PATIENCE};

/// How long messages are still handed in once the node ends.
pub(super) struct Patience {
    stop: CancellationToken,
    until: Option<Instant>,
}

impl Patience {
    /// Patience that begins to end when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, until: None }
    }

    /// Waits until the node ends.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the node ends.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether nothing more is to be handed in.
    pub(super) fn is_over(&mut self) -> bool {
        self.is_stopped() && Instant::now() >= self.until()
    }

    /// Waits until the node ends and nothing more is to be handed in.
    pub(super) async fn over(&mut self) {
        self.stop.cancelled().await;
        sleep_until(self.until()).await;
    }

    /// When it ends, once the node does: counted from the first time that this is asked.
    fn until(&mut self) -> Instant {
        let until = || Instant::now() + SHUTDOWN_PATIENCE / 2;
        *self.until.get_or_insert_with(until)
    }
}

/// Messages on their way.
pub(super) struct Delivery<'a> {
    pub(super) api: &'a Api,
    pub(super) messages: Messages,
    /// Under which they may be sent again; without they are sent once.
    pub(super) key: Option<Key>,
    /// How they came.
    pub(super) way: Way,
}

/// The name of a way in metrics of syslog alone.
const fn over(way: Way) -> &'static str {
    match way {
        Way::SyslogUdp => "udp",
        _ => "tcp",
    }
}

/// Fewest messages that are looked through by halves: each half is a request of its own.
const HALVED_MIN: usize = 16;

/// What is known when messages were not stored.
#[derive(Default)]
struct Attempts {
    /// One is on its way.
    pending: bool,
    /// The outcome of an earlier one is not known.
    unknown: bool,
}

impl Delivery<'_> {
    /// Stores the messages, or counts them: they are sent again, however long that takes while the node
    /// runs, if they have a key and may be stored later. Without a key they are of many senders, and those
    /// of a service that is over its limit are found by halves.
    pub(super) async fn run(self, patience: &mut Patience) {
        let mut waiting = vec![self];
        while let Some(delivery) = waiting.pop() {
            if let Some((first, second)) = delivery.once(patience).await {
                waiting.extend([second, first]);
            }
        }
    }

    /// Gives back the halves of what was refused since some of it is over a limit.
    async fn once(self, patience: &mut Patience) -> Option<(Self, Self)> {
        let Self {
            api,
            messages,
            key,
            way,
        } = self;
        let over = over(way);
        let messages = Arc::new(messages);
        let mut attempts = Attempts::default();
        let failure = tokio::select! {
            biased;
            outcome = store(api, &messages, (key, way), &mut attempts) => match outcome {
                Ok(()) => return None,
                Err(failure) => failure,
            },
            () = patience.over() => Failure::new(Kind::Unavailable, "the node is shutting down"),
        };
        let is_mixed = key.is_none() && messages.count() > HALVED_MIN;
        if failure.kind == Kind::RateLimited && is_mixed {
            let (first, second) = messages.halves();
            let half = |messages| Self {
                api,
                messages,
                key,
                way,
            };
            return Some((half(first), half(second)));
        }
        let Attempts { pending, unknown } = attempts;
        let (name, help) = if pending || unknown {
            (
                "hushlog_node_syslog_unknown_total",
                "Syslog messages of which it is not known whether they were stored.",
            )
        } else {
            (
                "hushlog_node_syslog_lost_total",
                "Syslog messages that were not stored.",
            )
        };
        let count = messages.count() as u64;
        tracing::warn!(%failure, count, over, unknown = pending || unknown, "syslog messages were not stored");
        api.registry
            .counter(name, help, &[("over", over)])
            .add(count);
        if !(pending || unknown) {
            api.gateway.lost(way, count);
        }
        None
    }
}

/// Counts one message that there was no room for.
pub(super) fn dropped(api: &Api, way: Way) {
    let help = "Syslog messages that were not stored.";
    let labels = [("over", over(way))];
    api.registry
        .counter("hushlog_node_syslog_lost_total", help, &labels)
        .increment();
    api.gateway.lost(way, 1);
}

async fn store(
    api: &Api,
    messages: &Arc<Messages>,
    (key, way): (Option<Key>, Way),
    attempts: &mut Attempts,
) -> Result<(), Failure> {
    loop {
        attempts.pending = true;
        let outcome = api
            .gateway
            .push(batch(messages, key, way), api.gateway.admission().none())
            .await;
        attempts.pending = false;
        let Err(failure) = outcome else {
            return Ok(());
        };
        attempts.unknown |= failure.kind == Kind::OutcomeUnknown;
        if key.is_none() || !may_pass(&failure) {
            return Err(failure);
        }
        tracing::debug!(%failure, "syslog messages are sent again");
        sleep(failure.retry_after().unwrap_or(RETRY_AFTER)).await;
    }
}

fn batch(messages: &Arc<Messages>, key: Option<Key>, way: Way) -> Batch {
    let bytes = messages.memory();
    let messages = Arc::clone(messages);
    Batch {
        way,
        source: Box::new(move |room, each| {
            for (index, message) in messages.iter().enumerate() {
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
        bytes,
    }
}

/// Whether the same batch may be stored later.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        Kind::Overloaded
            | Kind::RateLimited
            | Kind::Unavailable
            | Kind::OutcomeUnknown
            | Kind::DiskFull
    )
}
