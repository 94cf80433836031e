//! Syslog over TCP, octet-counted or a message per line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hushlog_ingest::syslog::Decoder;
use rand::Rng;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::aside::{Aside, Waiting};
use super::delivery::{Delivery, LIMITED, Outcome, Patience, count};
use super::joining::Joining;
use super::messages::{Messages, memory};
use crate::api::{Api, Failure, Kind};
use crate::gateway::{Admission, Claim, Full, Key, Way};
use crate::limits::{
    RETRY_AFTER, SYSLOG_BATCH_WAIT, SYSLOG_MEMORY_PART, SYSLOG_READ_BYTES, SYSLOG_UNFINISHED_MAX,
};
use crate::metrics::Gauge;
use crate::net::{Listener, Stream, accept};
use crate::tasks::{Policy, Tasks};

/// What its connections may be and do.
#[derive(Clone, Copy)]
pub(crate) struct Connections {
    /// Most of them.
    pub(crate) max: usize,
    /// How long a message waits for further lines of it; zero: messages stay apart.
    pub(crate) join: Duration,
}

/// Serves until `stop` is cancelled; what has been received is then still stored, if it can be soon.
pub(crate) async fn serve_tcp(
    listener: Box<dyn Listener>,
    api: Api,
    connections: Connections,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(connections.max));
    let memory = api.gateway.admission();
    let part = Admission::new(memory.bytes() / SYSLOG_MEMORY_PART, Gauge::default());
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
            held: Held::new(
                Joining::new(connections.join, &*api.clock),
                [&part, api.gateway.admission()],
            ),
            patience: Patience::new(stop.clone()),
            api: api.clone(),
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

/// What a connection has received and not handed in yet, with its room in the node's memory.
struct Held {
    decoder: Decoder,
    /// Lines that others may still follow.
    joining: Joining,
    messages: Messages,
    /// Refused for the moment.
    aside: Aside,
    /// Of the part for syslog, and of all.
    room: [Claim; 2],
}

impl Held {
    fn new(joining: Joining, room: [&Admission; 2]) -> Self {
        Self {
            decoder: Decoder::default(),
            joining,
            messages: Messages::default(),
            aside: Aside::default(),
            room: room.map(Claim::new),
        }
    }

    /// Makes room for so many bytes that were read, whatever messages they are.
    fn make_room(&mut self, bytes: usize) -> Result<(), Full> {
        let needed = memory(bytes, bytes / 2 + 1);
        let had = self.room[0].bytes();
        for room in &mut self.room {
            if let Err(Full) = room.add(needed) {
                self.room.iter_mut().for_each(|room| room.shrink(had));
                return Err(Full);
            }
        }
        Ok(())
    }

    /// Takes bytes that were read, and gives the number of messages that have ended with them.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let (joining, messages) = (&mut self.joining, &mut self.messages);
        let mut ended = 0;
        self.decoder.push(bytes, &mut |frame| {
            ended += 1;
            joining.push(frame.bytes, &mut |event| messages.add(event));
        });
        self.fit();
        ended
    }

    /// Takes those lines that have waited long enough for others.
    fn expire(&mut self) {
        let messages = &mut self.messages;
        self.joining.expire(&mut |event| messages.add(event));
        self.fit();
    }

    /// No more is waited for by any line.
    fn end_joining(&mut self) {
        let messages = &mut self.messages;
        self.joining.finish(&mut |event| messages.add(event));
    }

    /// The connection has ended: a message that is not complete is taken as it is.
    fn finish(&mut self) {
        let (joining, messages) = (&mut self.joining, &mut self.messages);
        self.decoder.finish(&mut |frame| {
            joining.push(frame.bytes, &mut |event| messages.add(event));
        });
        self.end_joining();
    }

    /// Gives back room that is not needed.
    fn fit(&mut self) {
        let text = self.decoder.held_bytes() + self.joining.held_bytes();
        let needed = memory(text, 0) + self.messages.memory() + self.aside.memory();
        self.room.iter_mut().for_each(|room| room.shrink(needed));
    }
}

/// Why reading pauses.
enum Pause {
    /// There is a batch.
    Batch,
    /// The connection, or the node, has ended.
    End,
}

struct Connection {
    /// Names its batches, so that one that is sent again is stored once.
    producer: String,
    sequence: u64,
    held: Held,
    patience: Patience,
    api: Api,
}

impl Connection {
    async fn serve(mut self, mut stream: Stream) -> io::Result<()> {
        let mut buffer = vec![0; SYSLOG_READ_BYTES];
        loop {
            let pause = self.fill(&mut stream, &mut buffer).await;
            if let Ok(Pause::Batch) = pause {
                let began = Instant::now();
                self.hand_in().await;
                self.held.joining.pause(began.elapsed());
                continue;
            }
            if self.patience.is_stopped() {
                self.drain(&mut stream, &mut buffer).await;
            }
            self.held.finish();
            self.hand_in().await;
            self.end_aside().await;
            return pause.map(|_| ());
        }
    }

    /// Reads until there is a batch, which is at the latest a moment after its first message is whole.
    async fn fill(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Pause> {
        let mut batch_until = None;
        // A message that never ends would hold its room for ever.
        let mut unfinished_until = self.unfinished_until();
        loop {
            let due = self.held.aside.due();
            let joined = self.held.joining.due();
            let read = tokio::select! {
                biased;
                () = self.patience.stopped() => return Ok(Pause::End),
                () = at(batch_until) => return Ok(Pause::Batch),
                () = at(unfinished_until) => return Ok(Pause::End),
                () = at(due) => {
                    let began = Instant::now();
                    if self.hand_in_due().await {
                        unfinished_until = self.unfinished_until();
                    }
                    self.held.joining.pause(began.elapsed());
                    continue;
                }
                () = at(joined) => {
                    self.held.expire();
                    if !self.held.messages.is_empty() {
                        return Ok(Pause::Batch);
                    }
                    continue;
                }
                read = stream.read(buffer) => read?,
            };
            if read == 0 {
                return Ok(Pause::End);
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            if self.make_room(bytes.len(), unfinished_until).await {
                unfinished_until = self.unfinished_until();
                batch_until = None;
            }
            if self.held.push(bytes) > 0 || unfinished_until.is_none() {
                unfinished_until = self.unfinished_until();
            }
            if self.held.messages.is_full() {
                return Ok(Pause::Batch);
            }
            if batch_until.is_none() && !self.held.messages.is_empty() {
                batch_until = Some(Instant::now() + SYSLOG_BATCH_WAIT);
            }
        }
    }

    /// When the message that is not complete must be; `None` when there is none.
    fn unfinished_until(&self) -> Option<Instant> {
        let unfinished = self.held.decoder.held_bytes() > 0;
        unfinished.then(|| Instant::now() + SYSLOG_UNFINISHED_MAX)
    }

    /// Waits for room for bytes that were read, which are few, until the node or the patience for an
    /// unfinished message ends. True when what was there has been handed in for it.
    async fn make_room(&mut self, bytes: usize, mut unfinished_until: Option<Instant>) -> bool {
        let mut handed_in = false;
        while let Err(Full) = self.held.make_room(bytes) {
            self.held.end_joining();
            if !self.held.messages.is_empty() {
                self.hand_in().await;
                handed_in = true;
                continue;
            }
            let over = async {
                tokio::select! {
                    () = self.patience.stopped() => {}
                    () = at(unfinished_until) => {}
                }
            };
            tokio::select! {
                biased;
                () = over => return handed_in,
                () = sleep(RETRY_AFTER) => {}
            }
            if self.hand_in_due().await {
                unfinished_until = self.unfinished_until();
                handed_in = true;
            }
        }
        handed_in
    }

    /// Reads what has come before the node ended, up to a batch.
    async fn drain(&mut self, stream: &mut Stream, buffer: &mut [u8]) {
        let until = Instant::now() + SYSLOG_BATCH_WAIT;
        while !self.held.messages.is_full()
            && let Ok(Ok(read @ 1..)) = timeout_at(until, stream.read(buffer)).await
        {
            self.held.push(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Stores what is complete, however long that takes while the node runs. Where a service is over its rate
    /// limit, only its messages wait, aside as long as there is room for them.
    async fn hand_in(&mut self) {
        let messages = std::mem::take(&mut self.held.messages);
        if messages.is_empty() {
            return;
        }
        let key = self.next_key();
        if let Outcome::Limited(messages, wait) = self.once(messages, key).await {
            let groups = messages.by_sender();
            if groups.len() == 1 {
                self.put_aside(messages, key, wait);
            } else {
                drop(messages);
                self.hand_in_apart(groups).await;
            }
        }
        // Only now: the room is that of the messages.
        self.held.fit();
        while self.held.aside.is_full() && !self.patience.is_stopped() {
            let due = self.held.aside.due();
            tokio::select! {
                biased;
                () = self.patience.stopped() => {}
                () = at(due) => {
                    self.hand_in_due().await;
                }
            }
        }
    }

    /// Hands in the messages of each sender by themselves: nothing of them was stored.
    async fn hand_in_apart(&mut self, groups: Vec<Messages>) {
        for group in groups {
            let key = self.next_key();
            if let Outcome::Limited(messages, wait) = self.once(group, key).await {
                self.put_aside(messages, key, wait);
            }
        }
    }

    /// Hands in those of the messages aside that are due; false when there are none. That may have taken long,
    /// while nothing was read.
    async fn hand_in_due(&mut self) -> bool {
        let now = Instant::now();
        let mut handed_in = false;
        while let Some(waiting) = self.held.aside.take_due(now) {
            let Waiting { messages, key, .. } = waiting;
            handed_in = true;
            if let Outcome::Limited(messages, wait) = self.once(messages, key).await {
                self.put_aside(messages, key, wait);
            }
        }
        self.held.fit();
        handed_in
    }

    /// The connection, or the node, has ended: hands in all messages aside, however long that takes while the
    /// node runs.
    async fn end_aside(&mut self) {
        while let Some(waiting) = self.held.aside.take_first() {
            let Waiting {
                messages,
                key,
                until,
            } = waiting;
            tokio::select! {
                biased;
                () = self.patience.over() => {}
                () = sleep_until(until) => {}
            }
            if self.patience.is_over() {
                // They were refused, and nobody will send them again.
                let failure = Failure::new(Kind::RateLimited, LIMITED);
                let lost = messages.count() as u64;
                count(&self.api, Way::SyslogTcp, lost, false, &failure);
                continue;
            }
            if let Outcome::Limited(messages, wait) = self.once(messages, key).await {
                self.put_aside(messages, key, wait);
            }
        }
        self.held.fit();
    }

    fn put_aside(&mut self, messages: Messages, key: Key, wait: Duration) {
        self.held.aside.add(Waiting {
            messages,
            key,
            until: Instant::now() + wait,
        });
    }

    async fn once(&mut self, messages: Messages, key: Key) -> Outcome {
        let delivery = Delivery {
            api: &self.api,
            messages,
            key: Some(key),
            way: Way::SyslogTcp,
        };
        delivery.once(&mut self.patience).await
    }

    fn next_key(&mut self) -> Key {
        let gateway = &self.api.gateway;
        let key = gateway.key_of_producer(&self.producer, self.sequence);
        self.sequence += 1;
        key
    }
}

/// Waits until then; for ever when there is no such time.
async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
