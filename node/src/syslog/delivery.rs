//! Hands messages in, and counts those that are not stored.

use std::sync::Arc;
use std::time::Duration;

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

/// Why messages without a key are lost that would have had to wait.
pub(super) const LIMITED: &str = "a service is over its rate limit";

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

/// What has become of messages that were handed in once.
pub(super) enum Outcome {
    /// They are stored, or counted as those that are not.
    Done,
    /// Some of them are of a service that is over its rate limit, and none of them is stored. So long they should
    /// wait.
    Limited(Messages, Duration),
}

impl Delivery<'_> {
    /// Stores messages without a key, or counts them. They are of many senders: those of a service that is over
    /// its limit are found by halves, and are lost.
    pub(super) async fn run(self, patience: &mut Patience) {
        let (api, key, way) = (self.api, self.key, self.way);
        let delivery = |messages| Self {
            api,
            messages,
            key,
            way,
        };
        let mut waiting = vec![self.messages];
        while let Some(messages) = waiting.pop() {
            match delivery(messages).once(patience).await {
                Outcome::Done => {}
                Outcome::Limited(messages, _) if messages.count() > HALVED_MIN => {
                    let (first, second) = messages.halves();
                    waiting.extend([second, first]);
                }
                Outcome::Limited(messages, _) => {
                    let failure = Failure::new(Kind::RateLimited, LIMITED);
                    count(api, way, messages.count() as u64, false, &failure);
                }
            }
        }
    }

    /// Stores the messages, or counts them, unless they are to wait for their service: they are sent again,
    /// however long that takes while the node runs, if they have a key and may be stored later.
    pub(super) async fn once(self, patience: &mut Patience) -> Outcome {
        let Self {
            api,
            messages,
            key,
            way,
        } = self;
        let messages = Arc::new(messages);
        let mut attempts = Attempts::default();
        let failure = tokio::select! {
            biased;
            outcome = store(api, &messages, (key, way), &mut attempts) => match outcome {
                Ok(()) => return Outcome::Done,
                Err(failure) => failure,
            },
            () = patience.over() => Failure::new(Kind::Unavailable, "the node is shutting down"),
        };
        let is_unknown = attempts.pending || attempts.unknown;
        if failure.kind == Kind::RateLimited && !is_unknown {
            let wait = failure.retry_after().unwrap_or(RETRY_AFTER);
            let messages = Arc::try_unwrap(messages).unwrap_or_else(|shared| (*shared).clone());
            return Outcome::Limited(messages, wait);
        }
        count(api, way, messages.count() as u64, is_unknown, &failure);
        Outcome::Done
    }
}

/// Counts messages that are not stored, or of which that is not known.
pub(super) fn count(api: &Api, way: Way, count: u64, is_unknown: bool, failure: &Failure) {
    let over = over(way);
    let (name, help) = if is_unknown {
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
    tracing::warn!(%failure, count, over, unknown = is_unknown, "syslog messages were not stored");
    api.registry
        .counter(name, help, &[("over", over)])
        .add(count);
    if !is_unknown {
        api.gateway.lost(way, count);
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
        // Its service's messages can wait aside, unless they may be stored already.
        let can_wait = failure.kind == Kind::RateLimited && !attempts.unknown;
        if key.is_none() || can_wait || !may_pass(&failure) {
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
