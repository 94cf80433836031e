//! CPU time of the calling thread, for the benchmark's figures by stage.
//!
//! Never used to decide anything.

use nix::time::{ClockId, clock_gettime};

/// CPU time of this thread since `start`.
pub(crate) struct ThreadCpu(u64);

impl ThreadCpu {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// Nanoseconds of CPU time since the start; 0 where the system does not tell.
    pub(crate) fn nanos(&self) -> u64 {
        now().saturating_sub(self.0)
    }
}

fn now() -> u64 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) else {
        return 0;
    };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}
