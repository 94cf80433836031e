//! So many bytes a second at most, for all that share it.
//!
//! Takes first and waits afterwards: a piece that is larger than a second's share only takes longer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Longest time that may be made up for after nobody took anything.
const BURST: Duration = Duration::from_millis(250);

/// A pace; a cheap clone.
#[derive(Clone)]
pub(crate) struct Pace {
    /// Bytes a second; 0 for no limit.
    rate: u64,
    /// When all that was taken is paid for.
    paid_at: Arc<Mutex<Instant>>,
}

impl Pace {
    /// So many bytes a second; 0 for as many as there are.
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate,
            paid_at: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Takes so many bytes, and waits until they are within the rate.
    pub(crate) async fn take(&self, bytes: u64) {
        if self.rate == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let until = {
            let mut paid_at = self.paid_at.lock();
            let earliest = Instant::now().checked_sub(BURST);
            let from = earliest.map_or(*paid_at, |earliest| earliest.max(*paid_at));
            *paid_at = from + cost;
            *paid_at
        };
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_that_share_it_take_the_rate_together() {
        let pace = Pace::new(1_000);
        let began = Instant::now();
        let takers = (0..4).map(|_| {
            let pace = pace.clone();
            async move {
                for _ in 0..10 {
                    pace.take(100).await;
                }
            }
        });
        futures_util::future::join_all(takers).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(4) - BURST, "{took:?}");
        assert!(took <= Duration::from_secs(4) + BURST, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_not_saved_up() {
        let pace = Pace::new(1_000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        pace.take(2_000).await;
        assert!(began.elapsed() >= Duration::from_secs(2) - BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let pace = Pace::new(0);
        let began = Instant::now();
        pace.take(u64::MAX).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
