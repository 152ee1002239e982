//! The pace that a service takes: a token bucket (governor) on our clock.

use std::time::Duration;

use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::SharedClock;
use crate::receiver::RateLimit;

/// governor asks this for the time.
#[derive(Debug, Clone)]
struct Monotonic(SharedClock);

impl GovernorClock for Monotonic {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.monotonic())
    }
}

/// The rate limit of one receiver.
#[derive(Debug)]
pub(super) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Nanos>>,
    clock: Monotonic,
}

impl Pace {
    pub(super) fn new(limit: RateLimit, clock: SharedClock) -> Self {
        let clock = Monotonic(clock);
        // A period of zero would be no limit at all, which governor cannot express.
        let period = limit.period.max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(limit.burst)).allow_burst(limit.burst);
        Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    /// Takes a token, or says how long until there is one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|full| {
            let wait = Duration::from(full.earliest_possible().duration_since(self.clock.now()));
            // A wait of nothing would spin.
            wait.max(Duration::from_millis(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::receiver::Overflow;

    #[test]
    fn after_the_burst_one_goes_every_period() {
        let clock = ManualClock::new(Timestamp::from_second(1_000_000).unwrap());
        let limit =
            RateLimit { period: Duration::from_secs(1), burst: NonZeroU32::new(5).unwrap(), overflow: Overflow::Wait };
        let pace = Pace::new(limit, Arc::new(clock.clone()));
        assert_eq!((0..5).filter(|_| pace.take().is_ok()).count(), 5);
        let wait = pace.take().unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        clock.advance(wait);
        assert_eq!(pace.take(), Ok(()));
        assert_eq!(pace.take(), Err(Duration::from_secs(1)));
    }
}
