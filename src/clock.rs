//! Time is passed in. Everything that asks for the time or waits for it does so through [`Clock`], so that a test can
//! live through a night in a millisecond.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
pub use jiff::Timestamp;
use tokio::sync::watch;

/// A future that ends when a moment has come.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where the time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The current wall-clock time.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, which never goes back: for pacing, which must not stall for an hour because
    /// somebody set the wall clock back by one.
    fn monotonic(&self) -> Duration;

    /// Ends once `time` has passed, however the wall clock is set meanwhile. To wait for a moment, wait for the time until
    /// then, and look again.
    fn sleep(&self, time: Duration) -> Sleep<'_>;
}

/// A clock shared by the whole process.
pub type SharedClock = Arc<dyn Clock>;

/// `at` plus `by`, or the end of time where that cannot be represented.
#[must_use]
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long `later` is after `earlier`; zero if it is not.
#[must_use]
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `at` cut to whole microseconds, the resolution in which the store keeps times.
///
/// Cutting at the door keeps a time equal to its stored copy; nanoseconds would make every comparison with a stored
/// time a coin toss.
#[must_use]
pub fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// The machine's clock; [`Clock::monotonic`] counts from here.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        to_micros(Timestamp::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
    fn sleep(&self, time: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// A clock that stands still until it is told to move: for tests and simulations.
#[derive(Debug, Clone)]
pub struct ManualClock {
    /// The wall clock, and the time that has really passed.
    time: Arc<watch::Sender<(Timestamp, Duration)>>,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { time: Arc::new(watch::Sender::new((to_micros(start), Duration::ZERO))) }
    }

    /// Lets time pass; everything that slept until then wakes.
    pub fn advance(&self, by: Duration) {
        self.time.send_modify(|(now, passed)| {
            *now = after(*now, by);
            *passed = passed.saturating_add(by);
        });
    }

    /// Sets the wall clock back, as somebody may do with a machine's. No time passes.
    pub fn set_back(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.time.send_modify(|(now, _)| *now = now.checked_sub(by).unwrap_or(Timestamp::MIN));
    }

    /// Sets the wall clock forward, as a machine does that has slept or has asked a time server at last. No time passes.
    pub fn set_forward(&self, by: Duration) {
        self.time.send_modify(|(now, _)| *now = after(*now, by));
    }

    /// How many sleep on it now. Who waits until it is as many as before knows that all have gone back to sleep.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.time.receiver_count()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time.borrow().0
    }

    fn monotonic(&self) -> Duration {
        self.time.borrow().1
    }

    fn sleep(&self, time: Duration) -> Sleep<'_> {
        let end = self.monotonic().saturating_add(time);
        let mut time = self.time.subscribe();
        Box::pin(async move {
            // The sender lives in `self`, so the channel cannot close while this future is polled.
            let _ = time.wait_for(|(_, passed)| *passed >= end).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_never_goes_negative() {
        let at = Timestamp::from_second(100).unwrap();
        assert_eq!(between(at, after(at, Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(between(after(at, Duration::from_secs(3)), at), Duration::ZERO);
    }

    #[tokio::test]
    async fn manual_clock_wakes_those_who_have_slept_enough() {
        let start = Timestamp::from_second(0).unwrap();
        let clock = ManualClock::new(start);
        assert_eq!(clock.sleepers(), 0);
        let mut sleeper = clock.sleep(Duration::from_secs(10));
        clock.set_back(Duration::from_secs(3600));
        clock.advance(Duration::from_secs(9));
        assert!(futures_poll(sleeper.as_mut()).await.is_none());
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_secs(1));
        assert!(futures_poll(sleeper.as_mut()).await.is_some());
        drop(sleeper);
        assert_eq!(clock.sleepers(), 0);
    }

    /// Polls once and says whether the future was ready.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(move |cx| {
            std::task::Poll::Ready(match Pin::new(&mut future).poll(cx) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
