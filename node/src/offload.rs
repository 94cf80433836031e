//! Where CPU work goes, so that async threads never wait for it.
//!
//! In production a fixed number of named threads take jobs in order; a simulation runs each job at
//! once on the caller's thread, which is what keeps it deterministic. A job that panics harms nobody
//! but its caller.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{io, thread};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::limits::OFFLOAD_JOBS_MAX;

type Job = Box<dyn FnOnce() + Send>;

/// A place to run CPU work; cheap to clone.
#[derive(Clone)]
pub struct Offload {
    threads: Option<Arc<Threads>>,
}

/// The job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The job panicked; the panic is in the log.
    #[error("the work stopped with a panic")]
    Panicked,
    /// The threads have ended.
    #[error("the node is shutting down")]
    Ended,
}

impl Offload {
    /// Starts `threads` (at least one) threads named after `name`. They end with the last handle.
    #[expect(
        clippy::disallowed_methods,
        reason = "the pool for work that blocks or computes; its threads end with it"
    )]
    pub fn threads(name: &str, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                ended: false,
            }),
            ready: Condvar::new(),
            slots: Semaphore::new(OFFLOAD_JOBS_MAX),
            width: threads.max(1),
        });
        for i in 0..shared.width {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("{name}-{i}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self {
            threads: Some(Arc::new(Threads(shared))),
        })
    }

    /// Runs every job at once on the caller's thread.
    pub fn inline() -> Self {
        Self { threads: None }
    }

    /// A place whose threads have ended.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        Self {
            threads: Some(Arc::new(Threads(Arc::new(Shared {
                queue: Mutex::new(Queue {
                    jobs: VecDeque::new(),
                    ended: true,
                }),
                ready: Condvar::new(),
                slots: Semaphore::new(1),
                width: 1,
            })))),
        }
    }

    /// How many jobs run at the same time.
    pub fn width(&self) -> usize {
        self.threads.as_ref().map_or(1, |threads| threads.0.width)
    }

    /// Runs `work` and gives its result. Waits while [`OFFLOAD_JOBS_MAX`] jobs are queued.
    ///
    /// A caller that goes away does not stop a job that has begun; one that has not begun is dropped.
    pub async fn run<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let Some(threads) = &self.threads else {
            return catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panicked);
        };
        let _slot = threads.0.slots.acquire().await.map_err(|_| Error::Ended)?;
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            if done.is_closed() {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panicked);
            // A caller that left in the meantime has no use for the result.
            drop(done.send(outcome));
        });
        threads.0.push(job)?;
        result.await.map_err(|_| Error::Ended)?
    }
}

/// The callers' side: dropping the last one ends the threads.
struct Threads(Arc<Shared>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.queue.lock().ended = true;
        self.0.ready.notify_all();
    }
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    slots: Semaphore,
    width: usize,
}

struct Queue {
    jobs: VecDeque<Job>,
    ended: bool,
}

impl Shared {
    fn push(&self, job: Job) -> Result<(), Error> {
        let mut queue = self.queue.lock();
        if queue.ended {
            return Err(Error::Ended);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.ended {
                return None;
            }
            self.ready.wait(&mut queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(offload: Offload) {
        assert_eq!(offload.run(|| 2 + 2).await, Ok(4));
        assert_eq!(
            offload.run(|| panic!("on purpose")).await,
            Err::<(), _>(Error::Panicked)
        );
        assert_eq!(offload.run(|| "still here").await, Ok("still here"));
    }

    #[tokio::test]
    async fn a_panic_harms_only_its_caller() {
        check(Offload::inline()).await;
        check(Offload::threads("test", 2).expect("threads")).await;
    }

    #[tokio::test]
    async fn jobs_run_off_the_callers_thread() {
        let offload = Offload::threads("test", 1).expect("threads");
        let theirs = offload
            .run(|| thread::current().name().map(String::from))
            .await;
        assert_eq!(theirs, Ok(Some("test-0".into())));
    }

    #[tokio::test]
    async fn more_jobs_than_slots_all_finish() {
        let offload = Offload::threads("test", 2).expect("threads");
        let jobs: Vec<_> = (0..2 * OFFLOAD_JOBS_MAX)
            .map(|i| {
                let offload = offload.clone();
                async move { offload.run(move || i).await.expect("no panic") }
            })
            .collect();
        let sum: usize = futures_util::future::join_all(jobs).await.into_iter().sum();
        assert_eq!(sum, OFFLOAD_JOBS_MAX * (2 * OFFLOAD_JOBS_MAX - 1));
    }
}
