//! A receiver that is down is probed, not hammered. One that takes only a part of what it is sent counts as up, and as
//! failing: what it has not been asked to take yet must not wait for ever behind what it refuses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::policy;

/// So many failures in a row mean that the receiver is down.
const DOWN_AFTER: u32 = 5;
/// So many deliveries in a row mean that it does not fail any more.
const WORKS_AFTER: u32 = 5;
/// Attempts under way at once while it is up. Each is of another lane, so order does not suffer.
const AT_ONCE: usize = 8;

/// What is known of a receiver's health; clones are the same. It outlives the worker, because a reload of routes.yaml
/// neither mends a receiver nor ends a pause that it asked for.
#[derive(Debug, Clone, Default)]
pub struct SharedHealth(Arc<Mutex<Health>>);

impl SharedHealth {
    /// Of a receiver that the process finds failing when it starts, and for how long. `now` is monotonic.
    #[must_use]
    pub fn failing_for(before: Duration, now: Duration) -> Self {
        let failing = Some(Failing { since: now, before, failures: 0, delivered: 0 });
        Self(Arc::new(Mutex::new(Health { failing, ..Health::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Health> {
        // Plain numbers, whole in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the last attempts say about a receiver.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: u32,
    /// The service's own wish, kept whatever else it answers meanwhile. On the monotonic clock: a wall clock that is set
    /// back must not make a pause of seconds one of hours.
    asked_until: Duration,
    /// Between two probes, on the same clock.
    probe_at: Duration,
    /// Until it works again.
    failing: Option<Failing>,
}

/// How long attempts have failed, if not each of them.
#[derive(Debug, Clone, Copy)]
struct Failing {
    /// When the first of them began, on the monotonic clock.
    since: Duration,
    /// What to add to that: how long they had failed when the process started.
    before: Duration,
    /// How many have failed since the process started.
    failures: u32,
    /// How many deliveries in a row it has taken since.
    delivered: u32,
}

impl Health {
    /// The service took a delivery.
    pub(super) fn delivered(&mut self, now: Duration) {
        self.answered();
        // While it wants to be left alone nothing gets through, whatever it says to an earlier request.
        if self.asked_until <= now {
            self.failing.iter_mut().for_each(|failing| failing.delivered += 1);
            self.failing = self.failing.filter(|failing| failing.delivered < WORKS_AFTER);
        }
    }

    /// The service refused a delivery for good. It is there, which says little about what it would take.
    pub(super) fn answered(&mut self) {
        *self = Self { asked_until: self.asked_until, failing: self.failing, ..Self::default() };
    }

    /// Nothing is left that it could be asked to take now: whatever waits has failed itself, which its delivery knows.
    pub(super) fn drained(&mut self, now: Duration) {
        if self.is_up() && self.asked_until <= now {
            self.failing = None;
        }
    }

    /// An attempt that began at `began` failed in a way that will pass. `asked` is how long the service wants to be left
    /// alone.
    pub(super) fn failed(&mut self, asked: Option<Duration>, began: Duration, now: Duration, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let first = Failing { since: began, before: Duration::ZERO, failures: 0, delivered: 0 };
        let failing = self.failing.get_or_insert(first);
        (failing.failures, failing.delivered) = (failing.failures.saturating_add(1), 0);
        if let Some(asked) = asked {
            self.asked_until = self.asked_until.max(now.saturating_add(asked));
        }
        if !self.is_up() {
            self.probe_at = now.saturating_add(policy::probe_wait(self.failures - DOWN_AFTER + 1, jitter));
        }
    }

    /// Whether fewer than 5 attempts in a row have failed.
    pub(super) fn is_up(&self) -> bool {
        self.failures < DOWN_AFTER
    }

    /// How many attempts may be under way: one while it is down.
    pub(super) fn at_once(&self) -> usize {
        if self.is_up() { AT_ONCE } else { 1 }
    }

    /// For how long what waits cannot count on getting through, if it cannot: the receiver is down, wants to be left alone,
    /// or fails again and again, whatever it takes in between. A single failure is no reason.
    pub(super) fn stuck_for(&self, now: Duration) -> Option<Duration> {
        let failing = self.failing?;
        let stuck = !self.is_up() || self.asked_until > now || failing.failures >= DOWN_AFTER;
        stuck.then(|| now.saturating_sub(failing.since).saturating_add(failing.before))
    }

    /// How long nothing should be sent yet.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        let pause = self.asked_until.max(self.probe_at).saturating_sub(now);
        (!pause.is_zero()).then_some(pause)
    }

    /// No delivery is postponed for longer than this while the receiver is down: a page must not wait five minutes for a
    /// service that has been back for four.
    pub(super) fn longest_wait(&self) -> Duration {
        if self.is_up() { policy::LONGEST } else { policy::LONGEST_PROBE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn five_failures_in_a_row_leave_one_probe_at_a_time() {
        let mut health = Health::default();
        for second in 0..4 {
            health.failed(None, at(second), at(second), 0.5);
        }
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(4))), (true, AT_ONCE, None));
        health.failed(None, at(4), at(4), 0.5);
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(4))), (false, 1, Some(at(1))));
        health.failed(None, at(5), at(5), 0.5);
        assert_eq!(health.pause(at(5)), Some(at(2)));
        for second in 0..20 {
            health.failed(None, at(1000 + second), at(1000 + second), 0.5);
        }
        assert_eq!(health.pause(at(1019)), Some(at(30)), "probes are at most 30 s apart");
        assert_eq!(health.longest_wait(), at(30), "and no delivery waits longer");
        health.delivered(at(1020));
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(1020))), (true, AT_ONCE, None));
    }

    #[test]
    fn a_service_that_asks_for_a_pause_gets_it() {
        let mut health = Health::default();
        health.failed(Some(at(30)), at(0), at(0), 0.5);
        assert!(health.is_up());
        assert_eq!(health.pause(at(29)), Some(at(1)));
        health.delivered(at(1));
        assert_eq!(health.pause(at(29)), Some(at(1)), "the answer to an earlier request does not end it");
        assert_eq!(health.pause(at(30)), None);
    }

    fn failing(times: u64) -> Health {
        let mut health = Health::default();
        for second in 10..10 + times {
            health.failed(None, at(second), at(second + 1), 0.5);
        }
        health
    }

    #[test]
    fn nothing_gets_through_while_it_is_down() {
        assert_eq!(failing(4).stuck_for(at(20)), None, "others may get through");
        assert_eq!(failing(5).stuck_for(at(20)), Some(at(10)), "since the first attempt began");
    }

    #[test]
    fn nothing_gets_through_while_it_wants_to_be_left_alone() {
        let mut health = Health::default();
        health.failed(Some(at(30)), at(21), at(21), 0.5);
        assert_eq!(health.stuck_for(at(30)), Some(at(9)));
        for _ in 0..10 {
            health.delivered(at(30));
        }
        health.drained(at(30));
        assert_eq!(health.stuck_for(at(40)), Some(at(19)), "whatever it says to earlier requests");
        assert_eq!(health.stuck_for(at(51)), None, "the pause is over, and it was one failure");
    }

    #[test]
    fn one_that_takes_every_second_delivery_fails() {
        let mut health = Health::default();
        for second in 0..4 {
            health.failed(None, at(second), at(second), 0.5);
            health.delivered(at(second));
        }
        assert_eq!(health.stuck_for(at(4)), None);
        health.failed(None, at(4), at(4), 0.5);
        assert!(health.is_up(), "it is not probed");
        for successes in 0..5 {
            assert_eq!(health.stuck_for(at(60)), Some(at(60)), "{successes} in a row");
            health.delivered(at(60));
        }
        assert_eq!(health.stuck_for(at(60)), None, "it works");
    }

    #[test]
    fn a_refusal_does_not_show_that_it_works() {
        let mut health = failing(5);
        for _ in 0..10 {
            health.answered();
        }
        assert_eq!((health.is_up(), health.stuck_for(at(60))), (true, Some(at(50))));
    }

    #[test]
    fn a_single_failure_holds_nothing_up() {
        let mut health = failing(1);
        assert_eq!(health.stuck_for(at(1000)), None);
        for _ in 0..5 {
            health.delivered(at(1000));
        }
        for _ in 0..4 {
            health.failed(None, at(1001), at(1001), 0.5);
        }
        assert_eq!(health.stuck_for(at(2000)), None, "it is forgotten once five have got through");
    }

    #[test]
    fn nothing_that_waits_has_failed_unless_it_is_down() {
        let mut health = failing(5);
        health.drained(at(60));
        assert_eq!(health.stuck_for(at(60)), Some(at(50)), "it is down");
        health.delivered(at(60));
        health.drained(at(60));
        assert_eq!(health.stuck_for(at(60)), None);
    }

    #[test]
    fn a_receiver_that_was_failing_before_the_start_fails_on() {
        let health = SharedHealth::failing_for(at(200), at(3));
        let mut health = health.lock();
        assert_eq!(health.stuck_for(at(4)), None, "it may work again");
        for _ in 0..5 {
            health.failed(None, at(4), at(4), 0.5);
        }
        assert_eq!(health.stuck_for(at(5)), Some(at(202)));
    }
}
