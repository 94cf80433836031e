//! The runtime that the Raft library runs on: tokio, with randomness that its owner can seed.
//!
//! The library draws election timeouts and the phase of its ticks from its runtime. Inside of
//! [`scope`] every draw depends on the seed alone, so that a simulation repeats itself; tasks spawned
//! inside inherit a seed of their own. (The library's own seeded runtime panics outside of such a
//! scope, where the receiving side of a stream runs.)

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use openraft::impls::TokioRuntime as Tokio;
use openraft::{AsyncRuntime, OptionalSend};
use rand::SeedableRng;
use rand::rngs::SmallRng;

tokio::task_local! {
    static SEED: Cell<u64>;
}

/// The golden ratio's fraction: seeds of children.
const CHILD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The fraction of √2: the next seed of the same task.
const NEXT: u64 = 0x6a09_e667_f3bc_c908;

/// Runs `future` with randomness drawn from `seed`.
pub(crate) async fn scope<F: Future>(seed: u64, future: F) -> F::Output {
    SEED.scope(Cell::new(seed), future).await
}

/// Mixes two numbers into a seed; every bit of either moves half of the result's.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    scatter(scatter(a).wrapping_add(b))
}

fn scatter(number: u64) -> u64 {
    let z = number.wrapping_add(CHILD);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Takes this task's seed and moves it on; nothing outside of a scope.
fn take() -> Option<u64> {
    SEED.try_with(|seed| {
        let taken = seed.get();
        seed.set(mix(taken, NEXT));
        taken
    })
    .ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "only outside of a scope, where the library draws nothing that matters"
)]
fn system_seed() -> u64 {
    rand::random()
}

/// Tokio with seeded randomness.
#[derive(Debug)]
pub(crate) struct Runtime(Tokio);

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Tokio as AsyncRuntime>::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match take() {
            Some(seed) => Tokio::spawn(SEED.scope(Cell::new(mix(seed, CHILD)), future)),
            None => Tokio::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F>(duration: Duration, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        Tokio::is_panic(error)
    }

    fn thread_rng() -> SmallRng {
        SmallRng::seed_from_u64(take().unwrap_or_else(system_seed))
    }

    fn new(threads: usize) -> Self {
        Self(Tokio::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    async fn draws(seed: u64) -> Vec<u64> {
        scope(seed, async {
            let child = Runtime::spawn(async { Runtime::thread_rng().next_u64() });
            let own = Runtime::thread_rng().next_u64();
            let second = Runtime::spawn(async { Runtime::thread_rng().next_u64() });
            vec![own, child.await.unwrap(), second.await.unwrap()]
        })
        .await
    }

    #[tokio::test]
    async fn draws_depend_on_the_seed_and_on_nothing_else() {
        let first = draws(7).await;
        assert_eq!(first, draws(7).await);
        assert_ne!(first, draws(8).await);
        assert_ne!(first[0], first[1]);
        assert_ne!(first[1], first[2]);
    }

    #[tokio::test]
    async fn outside_of_a_scope_there_is_randomness_too() {
        assert_ne!(
            Runtime::thread_rng().next_u64(),
            Runtime::thread_rng().next_u64()
        );
        assert_eq!(Runtime::spawn(async { 5 }).await.unwrap(), 5);
    }
}
