//! A receiver that is down is probed, not hammered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::policy;

/// So many failures in a row mean that the receiver is down.
const DOWN_AFTER: u32 = 5;
/// Attempts under way at once while it is up. Each is of another lane, so order does not suffer.
const AT_ONCE: usize = 8;

/// What is known of a receiver's health; clones are the same. It outlives the worker, because a reload of routes.yaml
/// neither mends a receiver nor ends a pause that it asked for.
#[derive(Debug, Clone, Default)]
pub struct SharedHealth(Arc<Mutex<Health>>);

impl SharedHealth {
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
}

impl Health {
    /// The service answered, if only to refuse one delivery.
    pub(super) fn answered(&mut self) {
        *self = Self { asked_until: self.asked_until, ..Self::default() };
    }

    /// An attempt failed in a way that will pass. `asked` is how long the service wants to be left alone.
    pub(super) fn failed(&mut self, asked: Option<Duration>, now: Duration, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
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
            health.failed(None, at(second), 0.5);
        }
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(4))), (true, AT_ONCE, None));
        health.failed(None, at(4), 0.5);
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(4))), (false, 1, Some(at(1))));
        health.failed(None, at(5), 0.5);
        assert_eq!(health.pause(at(5)), Some(at(2)));
        for second in 0..20 {
            health.failed(None, at(1000 + second), 0.5);
        }
        assert_eq!(health.pause(at(1019)), Some(at(30)), "probes are at most 30 s apart");
        assert_eq!(health.longest_wait(), at(30), "and no delivery waits longer");
        health.answered();
        assert_eq!((health.is_up(), health.at_once(), health.pause(at(1020))), (true, AT_ONCE, None));
    }

    #[test]
    fn a_service_that_asks_for_a_pause_gets_it() {
        let mut health = Health::default();
        health.failed(Some(at(30)), at(0), 0.5);
        assert!(health.is_up());
        assert_eq!(health.pause(at(29)), Some(at(1)));
        health.answered();
        assert_eq!(health.pause(at(29)), Some(at(1)), "the answer to an earlier request does not end it");
        assert_eq!(health.pause(at(30)), None);
    }
}
