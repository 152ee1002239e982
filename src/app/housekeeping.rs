//! What is done every minute: old history goes, a wall clock that was set back is noticed, and what waits for a receiver
//! that is gone becomes a dead letter in the end.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{SharedClock, Timestamp, after, between};
use crate::metrics::{Metrics, Outcome};
use crate::notification::ReceiverName;
use crate::store::{Admin, StoreError};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// A receiver that routes.yaml does not name may be a slip of the pen that somebody mends: what waits for it is kept
/// for so long.
const GRACE: Duration = Duration::from_secs(3600);
/// A smaller step of the clock is left alone.
const CLOCK_STEP: Duration = Duration::from_secs(2);
/// One call of [`Admin::prune`] removes at most about so many rows, and so many calls are made in a row.
const PRUNED_AT_ONCE: usize = 1000;
const PRUNES: usize = 100;

/// Remembers when what was done.
#[derive(Debug)]
pub(super) struct Housekeeping {
    clock: SharedClock,
    /// Receivers that something waits for and routes.yaml does not name, and since when that is so, on the monotonic
    /// clock: a reload for another reason does not begin their hour anew.
    gone: HashMap<ReceiverName, Duration>,
    /// The wall clock and the monotonic one at the last look.
    last: (Timestamp, Duration),
    due_at: Timestamp,
}

impl Housekeeping {
    pub(super) fn new(clock: SharedClock) -> Self {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        Self { clock, gone: HashMap::new(), last: (now, monotonic), due_at: now }
    }

    /// Ends when there is something to do.
    pub(super) async fn due(&self) {
        // Whatever the wall clock does, a minute is a minute.
        let wait = between(self.clock.now(), self.due_at).min(EVERY);
        self.clock.sleep(wait).await;
    }

    /// Does what is to be done.
    pub(super) async fn tidy(&mut self, known: Vec<ReceiverName>, admin: &dyn Admin, metrics: &Metrics) {
        self.due_at = after(self.clock.now(), EVERY);
        if let Err(error) = self.try_to_tidy(known, admin, metrics).await {
            tracing::warn!(%error, "housekeeping has failed; it is tried again");
        }
    }

    async fn try_to_tidy(
        &mut self,
        known: Vec<ReceiverName>,
        admin: &dyn Admin,
        metrics: &Metrics,
    ) -> Result<(), StoreError> {
        let looked = (self.clock.now(), self.clock.monotonic());
        if let Some(by) = clock_step(self.last, looked) {
            tracing::warn!(seconds = by.as_secs(), "the clock was set back; what is due is moved with it");
            admin.clock_set_back(by, looked.0).await?;
        }
        self.last = looked;
        for _ in 0..PRUNES {
            if admin.prune(self.clock.now()).await? < PRUNED_AT_ONCE {
                break;
            }
        }
        self.look_for_gone(&known, admin, metrics).await?;
        self.bury(known, admin, metrics).await
    }

    /// Says what waits for receivers that routes.yaml does not name.
    pub(super) async fn look_for_gone(
        &mut self,
        known: &[ReceiverName],
        admin: &dyn Admin,
        metrics: &Metrics,
    ) -> Result<(), StoreError> {
        let waiting = admin.stats().await?.receivers;
        let is_gone =
            |name: &ReceiverName| !known.contains(name) && waiting.get(name).is_some_and(|counts| counts.pending > 0);
        self.gone.retain(|name, _| is_gone(name));
        for name in waiting.keys().filter(|name| is_gone(name)) {
            let now = self.clock.monotonic();
            if !self.gone.contains_key(name) {
                self.gone.insert(name.clone(), now);
                // With all its series, so that the counter of dead letters is seen to rise from zero.
                metrics.add_receiver(name);
                tracing::error!(
                    receiver = %name,
                    pending = waiting[name].pending,
                    "notifications wait for a receiver that routes.yaml does not have; in {} min they become dead letters",
                    GRACE.as_secs() / 60
                );
            }
        }
        Ok(())
    }

    /// Turns what waits for receivers that have been gone for long enough into dead letters.
    async fn bury(&mut self, known: Vec<ReceiverName>, admin: &dyn Admin, metrics: &Metrics) -> Result<(), StoreError> {
        let now = self.clock.monotonic();
        let (ripe, young): (Vec<_>, Vec<_>) =
            self.gone.iter().partition(|(_, since)| now.saturating_sub(**since) >= GRACE);
        if ripe.is_empty() {
            return Ok(());
        }
        let kept = known.into_iter().chain(young.into_iter().map(|(name, _)| name.clone())).collect();
        for (receiver, count) in admin.bury_orphans(kept, self.clock.now()).await? {
            tracing::error!(%receiver, count, "routes.yaml has no such receiver: what waited for it is dead letters");
            metrics.notifications(&receiver, Outcome::Dead, count);
        }
        Ok(())
    }
}

/// By how much the wall clock was set back between two looks at it and at the monotonic one.
fn clock_step(last: (Timestamp, Duration), looked: (Timestamp, Duration)) -> Option<Duration> {
    let expected = after(last.0, looked.1.saturating_sub(last.1));
    Some(between(looked.0, expected)).filter(|by| *by >= CLOCK_STEP)
}
