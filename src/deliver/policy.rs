//! When to try again and when to give up: pure.

use std::time::Duration;

use super::attempt::Final;
use crate::clock::{Timestamp, after, between};
use crate::receiver::Failure;
use crate::store::Outcome;

/// However old a delivery is, it gets so many attempts: after a weekend without power the network may come up later than
/// the router.
const FEWEST_ATTEMPTS: u32 = 5;
/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// No two attempts are further apart, unless the service asks for it.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// A service's `Retry-After` is honoured up to this.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// While a receiver is down, it is probed at least this often.
pub(super) const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// How a finished attempt ends in the store, and how it counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The service has it, or need not be told and was not asked.
    Delivered { outcome: Outcome, asked: bool },
    /// There will be another attempt.
    Again {
        outcome: Outcome,
        failure: Failure,
        /// The whole receiver should be left alone for this long, because the service said so.
        pause: Option<Duration>,
    },
    /// Given up.
    Dead {
        /// Why, for those who are told instead.
        error: String,
        failure: Failure,
        /// Whether the service has refused it. Otherwise it is too old, and this attempt has failed like those before.
        refused: bool,
    },
}

/// How long a delivery has been tried, and how long it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    /// Which attempt has ended, from 1.
    pub(super) attempt: u32,
    /// When it was accepted.
    pub(super) since: Timestamp,
    /// When the attempt began.
    pub(super) began: Timestamp,
    /// `retry.max_age`.
    pub(super) max_age: Duration,
    /// The longest wait that the state of the receiver allows.
    pub(super) longest_wait: Duration,
}

/// What follows from a verdict. `jitter` is a random number from 0 to 1.
pub(super) fn next(verdict: Final, tries: Tries, now: Timestamp, jitter: f64) -> Next {
    match verdict {
        Final::Delivered { receipt, asked } => Next::Delivered { outcome: Outcome::Delivered { receipt }, asked },
        Final::Reject { failure } => dead(failure.detail.clone(), failure, true),
        Final::Retry { after: asked, failure } => {
            let age = between(tries.since, now);
            if age >= tries.max_age && tries.attempt >= FEWEST_ATTEMPTS {
                let error = format!("given up after {} s; {}", age.as_secs(), failure.detail);
                return dead(error, failure, false);
            }
            let pause = asked.map(|asked| asked.clamp(FIRST, LONGEST_ASKED));
            let wait = pause.unwrap_or_else(|| backoff(tries.attempt, jitter).min(tries.longest_wait));
            let (at, end) = (after(now, wait), after(tries.since, tries.max_age));
            // One last attempt at the very end beats none.
            let at = if end > now { at.min(end) } else { at };
            let outcome = Outcome::RetryAt { at, began: tries.began, error: failure.detail.clone() };
            Next::Again { outcome, failure, pause }
        }
    }
}

fn dead(error: String, failure: Failure, refused: bool) -> Next {
    Next::Dead { error, failure, refused }
}

/// The wait after the `attempt`th failure in a row: 1 s, doubling, at most 5 min, with a quarter of jitter either way so
/// that those who failed together do not come back together.
pub(super) fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(LONGEST).mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0).min(LONGEST)
}

/// How long to leave a receiver alone that is down, after so many failures in a row.
pub(super) fn probe_wait(failures: u32, jitter: f64) -> Duration {
    backoff(failures, jitter).min(LONGEST_PROBE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::FailureClass;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failure() -> Failure {
        Failure::new(FailureClass::Unavailable, "503")
    }

    fn tries(attempt: u32) -> Tries {
        Tries { attempt, since: at(0), began: at(0), max_age: DAY, longest_wait: LONGEST }
    }

    /// Tries at `now` what was accepted at 0, and gives the time of the next attempt.
    fn again(attempt: u32, asked: Option<u64>, now: i64) -> Option<i64> {
        let verdict = Final::Retry { after: asked.map(Duration::from_secs), failure: failure() };
        match next(verdict, tries(attempt), at(now), 0.5) {
            Next::Again { outcome: Outcome::RetryAt { at, .. }, .. } => Some(at.as_second()),
            _ => None,
        }
    }

    #[test]
    fn waits_double_from_one_second_to_five_minutes() {
        let waits: Vec<_> = (1..=11).map(|attempt| backoff(attempt, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST);
    }

    #[test]
    fn jitter_is_a_quarter_either_way() {
        assert_eq!((backoff(3, 0.0), backoff(3, 1.0)), (Duration::from_secs(3), Duration::from_secs(5)));
    }

    #[test]
    fn the_services_wish_is_honoured_up_to_an_hour() {
        assert_eq!(again(1, Some(30), 100), Some(130));
        assert_eq!(again(9, Some(2), 100), Some(102));
        assert_eq!(again(1, Some(0), 100), Some(101), "a service that says 0 is not hammered");
        assert_eq!(again(1, Some(100_000), 100), Some(3700));
    }

    #[test]
    fn it_is_given_up_after_its_maximum_age_and_not_before_a_last_attempt() {
        assert_eq!(again(50, None, 86_390), Some(86_400));
        assert_eq!(again(51, None, 86_400), None);
    }

    #[test]
    fn what_has_waited_for_days_is_still_tried_some_times() {
        assert_eq!(again(1, None, 200_000), Some(200_001));
        assert_eq!(again(4, None, 200_000), Some(200_008));
        assert_eq!(again(5, None, 200_000), None);
    }

    #[test]
    fn while_the_receiver_is_down_no_wait_is_longer_than_a_probes() {
        let verdict = Final::Retry { after: None, failure: failure() };
        let tries = Tries { longest_wait: LONGEST_PROBE, began: at(90), ..tries(9) };
        let Next::Again { outcome, .. } = next(verdict, tries, at(100), 0.5) else { panic!("it is tried again") };
        assert_eq!(outcome, Outcome::RetryAt { at: at(130), began: at(90), error: "503".to_owned() });
    }

    #[test]
    fn what_can_never_succeed_is_dead_at_once() {
        let verdict = Final::Reject { failure: failure() };
        let next = next(verdict, tries(1), at(1), 0.5);
        assert_eq!(next, Next::Dead { error: "503".to_owned(), failure: failure(), refused: true });
    }
}
