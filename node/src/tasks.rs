//! Every long-lived task of a node: its name, what its end means, and how all are joined.
//!
//! Nothing else in the project spawns. A task ends when its token is cancelled; what it does when it
//! panics or fails is its policy.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{TASK_RESTART_PAUSE, TASK_RESTART_PAUSE_MAX};

/// What it means when a task panics or returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The node cannot go on: it is told through [`Tasks::fatal`].
    Fatal,
    /// Nobody but the task is concerned; it is logged.
    Isolated,
}

/// The node's tasks; cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    tracker: TaskTracker,
    stop: CancellationToken,
    fatal: watch::Sender<Option<String>>,
    running: Mutex<BTreeMap<u64, String>>,
    next: AtomicU64,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// No task yet.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                tracker: TaskTracker::new(),
                stop: CancellationToken::new(),
                fatal: watch::Sender::new(None),
                running: Mutex::new(BTreeMap::new()),
                next: AtomicU64::new(0),
            }),
        }
    }

    /// The token that asks every task to end. A child of it ends one task earlier than the rest.
    pub fn stop_token(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// The reason why the node cannot go on, once there is one. The first reason stays.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.inner.fatal.subscribe()
    }

    /// States that the node cannot go on.
    pub fn fail(&self, reason: String) {
        tracing::error!(reason, "the node cannot go on");
        self.inner.fatal.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(reason);
            }
            is_first
        });
    }

    /// Starts a task. It should end soon after [`stop_token`](Self::stop_token) is cancelled.
    pub fn spawn<E>(
        &self,
        name: impl Into<String>,
        policy: Policy,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::fmt::Display,
    {
        let name = name.into();
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.running.lock().insert(number, name.clone());
        let tasks = self.clone();
        self.inner.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            tasks.inner.running.lock().remove(&number);
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tasks.on_failure(&name, policy, &error.to_string()),
                Err(_) => tasks.on_failure(&name, policy, "it panicked"),
            }
        });
    }

    /// Starts a task that is made anew, after a growing pause, whenever it panics or fails.
    pub fn spawn_restarting<E, T>(
        &self,
        name: impl Into<String>,
        mut make: impl FnMut() -> T + Send + 'static,
    ) where
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send,
    {
        let name = name.into();
        let stop = self.stop_token();
        let label = name.clone();
        let supervised = async move {
            let mut pause = TASK_RESTART_PAUSE;
            loop {
                let began = Instant::now();
                let reason = match AssertUnwindSafe(make()).catch_unwind().await {
                    Ok(Ok(())) => return Ok::<(), String>(()),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it panicked".into(),
                };
                if began.elapsed() > TASK_RESTART_PAUSE_MAX {
                    pause = TASK_RESTART_PAUSE;
                }
                tracing::error!(
                    task = label,
                    reason,
                    ?pause,
                    "task ended, starting it again"
                );
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(TASK_RESTART_PAUSE_MAX);
            }
        };
        self.spawn(name, Policy::Isolated, supervised);
    }

    /// Asks every task to end and waits for them, at most `patience`.
    /// Gives the names of those that did not end.
    pub async fn shutdown(&self, patience: Duration) -> Vec<String> {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(patience, self.inner.tracker.wait())
            .await
            .is_ok()
        {
            return Vec::new();
        }
        self.inner.running.lock().values().cloned().collect()
    }

    fn on_failure(&self, name: &str, policy: Policy, reason: &str) {
        match policy {
            Policy::Fatal => self.fail(format!("task {name} ended: {reason}")),
            Policy::Isolated => tracing::error!(task = name, reason, "task ended"),
        }
    }
}

/// Does some work unless the node stops first, which ends the work where it is; whether it was done.
pub async fn unless_stopped(stop: &CancellationToken, work: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = work => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_fatal_reason_stays() {
        let tasks = Tasks::new();
        let mut fatal = tasks.fatal();
        tasks.spawn("harmless", Policy::Isolated, async { Err("broken") });
        tasks.spawn("vital", Policy::Fatal, async { Err("no disk") });
        fatal.changed().await.expect("a reason");
        tasks.fail("later".into());
        assert_eq!(fatal.borrow().as_deref(), Some("task vital ended: no disk"));
        assert!(tasks.shutdown(Duration::from_secs(1)).await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_a_vital_task_is_fatal() {
        let tasks = Tasks::new();
        let mut fatal = tasks.fatal();
        tasks.spawn("vital", Policy::Fatal, async {
            if true {
                panic!("on purpose");
            }
            Ok::<(), String>(())
        });
        fatal.changed().await.expect("a reason");
        assert_eq!(
            fatal.borrow().as_deref(),
            Some("task vital ended: it panicked")
        );
    }

    #[tokio::test]
    async fn a_restarting_task_is_made_again_until_it_ends_well() {
        let tasks = Tasks::new();
        let (sender, mut runs) = watch::channel(0);
        tasks.spawn_restarting("worker", move || {
            sender.send_modify(|runs| *runs += 1);
            let run = *sender.borrow();
            async move { if run < 4 { Err("not yet") } else { Ok(()) } }
        });
        runs.wait_for(|runs| *runs == 4).await.expect("four runs");
        assert!(tasks.shutdown(Duration::from_secs(1)).await.is_empty());
    }

    #[tokio::test]
    async fn shutdown_names_the_task_that_hangs() {
        let tasks = Tasks::new();
        let stop = tasks.stop_token();
        tasks.spawn("polite", Policy::Isolated, async move {
            stop.cancelled().await;
            Ok::<(), String>(())
        });
        tasks.spawn(
            "deaf",
            Policy::Isolated,
            std::future::pending::<Result<(), String>>(),
        );
        assert_eq!(tasks.shutdown(Duration::from_millis(20)).await, ["deaf"]);
    }
}
