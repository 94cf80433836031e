//! Group commit for one store.
//!
//! One thread owns the writes of all groups. It drains its inbox up to [`WRITE_BATCH_BYTES_MAX`],
//! writes once, syncs once, then completes the waiters in order. What is submitted meanwhile forms
//! the next batch, so the slower the disk, the larger the batches.
//!
//! Never retries: after a failed write or sync the page cache can no longer be trusted, so the
//! writer refuses everything until the node restarts. Reads continue.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hushlog_record::museum::{Bug, planted};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot, watch};

use crate::Error;
use crate::store::{Batch, Durability, Store};

/// Most bytes of keys and values that one write carries; a single larger batch goes alone.
pub const WRITE_BATCH_BYTES_MAX: usize = 8 << 20;
/// Bytes that may wait in the inbox before [`WriterHandle::room`] makes submitters wait.
pub const INBOX_BYTES_MAX: usize = 32 << 20;
/// How long a sync may go without [`Store::mark`]: what a damaged disk can lose unnoticed.
pub const MARK_INTERVAL: Duration = Duration::from_millis(250);

/// Called once with the outcome of a submission, on the writer's thread: it must not block.
pub type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Owns the writer's thread. Dropping it finishes what was submitted, then refuses the rest.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The way to write: cheap to clone, shared by all groups.
#[derive(Clone)]
pub struct WriterHandle {
    shared: Arc<Shared>,
}

/// Why the writer takes nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The system's words.
    pub reason: String,
    /// Whether the device was full: a restart may write again once there is space.
    pub full: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What the writer has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Submissions taken into a write.
    pub submissions: u64,
    /// Writes to the store.
    pub writes: u64,
    /// Those of them that were synced.
    pub syncs: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Time spent in synced writes, in nanoseconds; zero in the inline mode, which has no clock.
    pub sync_nanos: u64,
    /// How long the write that is under way has taken so far, in nanoseconds; zero if there is none.
    pub busy_nanos: u64,
}

struct Submission {
    batch: Batch,
    durability: Durability,
    done: Done,
}

#[derive(Default)]
struct Inbox {
    queue: VecDeque<Submission>,
    bytes: usize,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Threaded,
    /// In the simulation's own task; each group waits for its simulated sync.
    Paced,
    Inline,
}

/// What the thread finds in its inbox.
enum Next {
    Group(Vec<Submission>),
    /// Nothing came until the mark was due.
    Idle,
    Closed,
}

/// When the next mark is due: some time after the first sync that none has noted yet.
#[derive(Default)]
struct Marked {
    due: Option<Instant>,
}

impl Marked {
    fn due(&self) -> Option<Instant> {
        self.due
    }

    fn on_group(&mut self, submissions: &[Submission]) {
        if submissions
            .iter()
            .any(|submission| submission.durability == Durability::Synced)
        {
            self.due.get_or_insert_with(|| now() + MARK_INTERVAL);
        }
    }
}

struct Shared {
    store: Arc<dyn Store>,
    mode: Mode,
    inbox: Mutex<Inbox>,
    submitted: Condvar,
    /// As `submitted`, for the paced mode.
    woken: Notify,
    drained: Notify,
    failed: watch::Sender<Option<Failure>>,
    /// When the write that is under way began.
    busy_since: Mutex<Option<Instant>>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    submissions: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
    bytes: AtomicU64,
    sync_nanos: AtomicU64,
}

impl Writer {
    /// Starts the writer's thread on `store`.
    ///
    /// # Errors
    /// [`Error::Open`] if the system gives no thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "the writer blocks on the disk for as long as it lives, and is joined by its owner"
    )]
    pub fn spawn(store: Arc<dyn Store>) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(store, Mode::Threaded));
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hushlog-writer".into())
            .spawn(move || worker.run())
            .map_err(|e| Error::Open {
                path: "".into(),
                reason: format!("no writer thread: {e}"),
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A writer without a thread, for simulation: each submission is written, synced and completed
    /// before [`WriterHandle::submit`] returns.
    pub fn inline(store: Arc<dyn Store>) -> Self {
        Self {
            shared: Arc::new(Shared::new(store, Mode::Inline)),
            thread: None,
        }
    }

    /// A writer without a thread whose syncs take time, for simulation: `pace` says how long the sync
    /// of so many bytes takes. The returned task is the writer's loop; it ends as the thread would.
    /// Dropping it is the end of the process: what was not synced is not acknowledged any more.
    pub fn paced<P>(store: Arc<dyn Store>, pace: P) -> (Self, impl Future<Output = ()> + Send)
    where
        P: FnMut(usize) -> Duration + Send,
    {
        let shared = Arc::new(Shared::new(store, Mode::Paced));
        let worker = Arc::clone(&shared);
        let writer = Self {
            shared,
            thread: None,
        };
        (writer, async move { worker.run_paced(pace).await })
    }

    /// The way to write.
    pub fn handle(&self) -> WriterHandle {
        WriterHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Finishes what was submitted and ends the thread; later submissions get [`Error::Stopped`].
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            // The panic has been reported through `failed`; there is no one left to tell.
            tracing::error!("writer thread ended by a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl WriterHandle {
    /// Queues `batch`; `done` is called when it is written (and synced, if asked), in the order of
    /// submission. Never blocks: await [`room`](Self::room) first, so that the inbox stays bounded.
    pub fn submit(&self, batch: Batch, durability: Durability, done: Done) {
        let submission = Submission {
            batch,
            durability,
            done,
        };
        match self.shared.mode {
            Mode::Threaded | Mode::Paced => self.shared.enqueue(submission),
            Mode::Inline => self.shared.execute_inline(submission),
        }
    }

    /// Writes `batch` and waits until it is done.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Write`] for the failure itself, [`Error::Disabled`] after it,
    /// [`Error::Stopped`] after shutdown.
    pub async fn write(&self, batch: Batch, durability: Durability) -> Result<(), Error> {
        self.room().await;
        let (done, outcome) = oneshot::channel();
        let reply = move |result| {
            // The waiter may have given up; the write stands all the same.
            drop(done.send(result));
        };
        self.submit(batch, durability, Box::new(reply));
        outcome.await.unwrap_or(Err(Error::Stopped))
    }

    /// Waits until less than [`INBOX_BYTES_MAX`] bytes are queued. Each submitter may then exceed
    /// the limit by one batch.
    pub async fn room(&self) {
        loop {
            let drained = self.shared.drained.notified();
            tokio::pin!(drained);
            // Registered before the look, so that a drain in between is not missed.
            drained.as_mut().enable();
            if self.shared.inbox.lock().bytes < INBOX_BYTES_MAX {
                return;
            }
            drained.await;
        }
    }

    /// The reason of the first failed write or sync, once there is one; it never changes back.
    pub fn failed(&self) -> watch::Receiver<Option<Failure>> {
        self.shared.failed.subscribe()
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Reads from the store where that may block: on the runtime's threads for it, or at once in
    /// simulation.
    ///
    /// # Errors
    /// [`Error::Read`] if the read ended by a panic or with its runtime.
    pub async fn read<R, F>(&self, read: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&dyn Store) -> R + Send + 'static,
    {
        if self.shared.mode != Mode::Threaded {
            return Ok(read(&*self.shared.store));
        }
        let store = Arc::clone(&self.shared.store);
        blocking(move || read(&*store)).await
    }

    /// Ends the write that is under way if it waits for room on the disk and may wait for ever: it fails with
    /// [`Error::Full`]. Whether it waited so.
    pub fn give_up_stalled(&self, free: u64) -> bool {
        self.shared.store.give_up_stalled(free)
    }

    /// Tells the store how many bytes are free on its disk.
    pub fn has_room(&self, free: u64) {
        self.shared.store.has_room(free);
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        let busy = *self.shared.busy_since.lock();
        let busy = busy.map_or(0, |since| since.elapsed().as_nanos());
        Stats {
            busy_nanos: u64::try_from(busy).unwrap_or(u64::MAX),
            ..self.shared.counters.read()
        }
    }
}

impl Shared {
    fn new(store: Arc<dyn Store>, mode: Mode) -> Self {
        Self {
            store,
            mode,
            inbox: Mutex::default(),
            submitted: Condvar::new(),
            woken: Notify::new(),
            drained: Notify::new(),
            failed: watch::Sender::new(None),
            busy_since: Mutex::default(),
            counters: Counters::default(),
        }
    }

    fn enqueue(&self, submission: Submission) {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            drop(inbox);
            (submission.done)(Err(self.refusal().unwrap_or(Error::Stopped)));
            return;
        }
        inbox.bytes += submission.batch.bytes();
        inbox.queue.push_back(submission);
        drop(inbox);
        self.submitted.notify_one();
        self.woken.notify_one();
    }

    fn execute_inline(&self, submission: Submission) {
        if self.inbox.lock().closed {
            (submission.done)(Err(Error::Stopped));
            return;
        }
        self.execute(vec![submission]);
    }

    fn close(&self) {
        self.inbox.lock().closed = true;
        self.submitted.notify_all();
        self.woken.notify_one();
    }

    /// The writer's loop: ends when the inbox is closed and empty.
    fn run(&self) {
        let _guard = PanicGuard(self);
        let mut marked = Marked::default();
        loop {
            match self.next_group(marked.due()) {
                Next::Group(submissions) => {
                    marked.on_group(&submissions);
                    self.execute(submissions);
                    self.drained.notify_waiters();
                }
                Next::Idle => {}
                Next::Closed => break,
            }
            if marked.due().is_some_and(|due| due <= now()) {
                self.mark();
                marked = Marked::default();
            }
        }
        self.mark();
    }

    /// The loop of the paced mode: as [`run`](Self::run), but each sync takes simulated time, and what
    /// is written lies in the store unsynced meanwhile.
    async fn run_paced(&self, mut pace: impl FnMut(usize) -> Duration) {
        loop {
            let group = {
                let mut inbox = self.inbox.lock();
                if inbox.queue.is_empty() && inbox.closed {
                    return;
                }
                inbox.take_group()
            };
            if group.is_empty() {
                self.woken.notified().await;
                continue;
            }
            let (batch, durability, dones) = merge(group);
            let bytes = batch.bytes();
            let mut outcome = self.try_write(batch, Durability::Buffered, dones.len());
            if outcome.is_ok() && durability == Durability::Synced {
                tokio::time::sleep(pace(bytes)).await;
                outcome = self.try_write(Batch::new(), Durability::Synced, 0);
            }
            for done in dones {
                done(outcome.clone());
            }
            self.drained.notify_waiters();
        }
    }

    /// Waits for work, until `due` at most, and takes as much as one write may carry.
    fn next_group(&self, due: Option<Instant>) -> Next {
        let mut inbox = self.inbox.lock();
        while inbox.queue.is_empty() {
            if inbox.closed {
                return Next::Closed;
            }
            match due {
                None => self.submitted.wait(&mut inbox),
                Some(due) if self.submitted.wait_until(&mut inbox, due).timed_out() => {
                    return Next::Idle;
                }
                Some(_) => {}
            }
        }
        Next::Group(inbox.take_group())
    }

    /// Notes how far the store is synced, unless writing has failed.
    fn mark(&self) {
        if self.refusal().is_some() {
            return;
        }
        if let Err(error) = self.store.mark() {
            self.disable(&error);
        }
    }

    fn execute(&self, submissions: Vec<Submission>) {
        let (batch, durability, dones) = merge(submissions);
        let outcome = self.try_write(batch, durability, dones.len());
        for done in dones {
            done(outcome.clone());
        }
    }

    fn try_write(
        &self,
        batch: Batch,
        durability: Durability,
        submissions: usize,
    ) -> Result<(), Error> {
        match self.refusal() {
            Some(error) => Err(error),
            None => self.write(batch, durability, submissions),
        }
    }

    fn write(&self, batch: Batch, durability: Durability, submissions: usize) -> Result<(), Error> {
        let bytes = batch.bytes();
        let started = (self.mode == Mode::Threaded).then(now);
        *self.busy_since.lock() = started;
        let mut outcome = self.store.write(batch, durability);
        if planted(Bug::RetriedSync) && outcome.is_err() && durability == Durability::Synced {
            outcome = self.store.write(Batch::new(), durability);
        }
        *self.busy_since.lock() = None;
        match &outcome {
            Ok(()) => self
                .counters
                .observe(submissions, bytes, durability, started),
            Err(error) => self.disable(error),
        }
        outcome
    }

    /// Refuses all later writes; the first reason stays.
    fn disable(&self, error: &Error) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(%error, "writes disabled until restart");
                *failed = Some(Failure {
                    reason: error.to_string(),
                    full: matches!(error, Error::Full(_)),
                });
            }
            first
        });
    }

    fn refusal(&self) -> Option<Error> {
        let failed = self.failed.borrow();
        failed
            .as_ref()
            .map(|failure| Error::Disabled(failure.reason.clone()))
    }
}

impl Inbox {
    fn take_group(&mut self) -> Vec<Submission> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.queue.front() {
            let size = next.batch.bytes();
            if !group.is_empty() && bytes + size > WRITE_BATCH_BYTES_MAX {
                break;
            }
            bytes += size;
            group.extend(self.queue.pop_front());
        }
        self.bytes -= bytes;
        group
    }
}

/// One batch of all submissions in order; synced if any of them asks for it.
fn merge(submissions: Vec<Submission>) -> (Batch, Durability, Vec<Done>) {
    let mut batch = Batch::new();
    let mut durability = Durability::Buffered;
    let mut dones = Vec::with_capacity(submissions.len());
    for submission in submissions {
        batch.append(submission.batch);
        if submission.durability == Durability::Synced {
            durability = Durability::Synced;
        }
        dones.push(submission.done);
    }
    (batch, durability, dones)
}

/// If the thread unwinds, nobody is left waiting and nobody believes that writing goes on.
struct PanicGuard<'a>(&'a Shared);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.0
            .disable(&Error::Write("the writer thread panicked".into()));
        self.0.close();
        let waiting = std::mem::take(&mut self.0.inbox.lock().queue);
        for submission in waiting {
            (submission.done)(Err(self.0.refusal().unwrap_or(Error::Stopped)));
        }
        self.0.drained.notify_waiters();
    }
}

impl Counters {
    fn observe(
        &self,
        submissions: usize,
        bytes: usize,
        durability: Durability,
        started: Option<Instant>,
    ) {
        self.submissions
            .fetch_add(submissions as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if durability == Durability::Synced {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            let nanos = started.map_or(0, |started| started.elapsed().as_nanos());
            self.sync_nanos
                .fetch_add(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn read(&self) -> Stats {
        Stats {
            submissions: self.submissions.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            sync_nanos: self.sync_nanos.load(Ordering::Relaxed),
            busy_nanos: 0,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the store is read off the async threads"
)]
async fn blocking<R: Send + 'static>(
    read: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Error::Read(error.to_string()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "times the disk on a thread without a runtime; simulation uses the inline mode"
)]
fn now() -> Instant {
    Instant::now()
}
