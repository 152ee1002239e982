//! What is done every minute: old history goes, a wall clock that was set back is noticed, and what waits for a receiver
//! that is gone goes to its fallback, or becomes a dead letter.
//!
//! Of receivers that were there before it is known that they are gone: what waits for them is given away at once. Names that
//! nobody has ever known may be a slip of the pen that somebody mends, or stand in a database of an older version.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{SharedClock, Timestamp, after, between};
use crate::metrics::{Metrics, Outcome};
use crate::notification::ReceiverName;
use crate::store::{Admin, Departed, Listed, StoreError};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// What waits for a receiver that nobody knows is kept for so long.
const GRACE: Duration = Duration::from_secs(3600);
/// A smaller step of the clock is left alone.
const CLOCK_STEP: Duration = Duration::from_secs(2);
/// So many calls of [`Admin::prune`] are made in a row.
const PRUNES: usize = 100;

/// Remembers when what was done.
#[derive(Debug)]
pub(super) struct Housekeeping {
    clock: SharedClock,
    /// Receivers that were there and are gone.
    departed: Vec<ReceiverName>,
    /// Receivers that something waits for and that nobody knows, and since when that is so, on the monotonic clock: a
    /// reload for another reason does not begin their hour anew.
    unknown: HashMap<ReceiverName, Duration>,
    /// The wall clock and the monotonic one at the last look.
    last: (Timestamp, Duration),
    due_at: Timestamp,
}

impl Housekeeping {
    pub(super) fn new(clock: SharedClock) -> Self {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        Self { clock, departed: Vec::new(), unknown: HashMap::new(), last: (now, monotonic), due_at: now }
    }

    /// Ends when there is something to do.
    pub(super) async fn due(&self) {
        // Whatever the wall clock does, a minute is a minute.
        let wait = between(self.clock.now(), self.due_at).min(EVERY);
        self.clock.sleep(wait).await;
    }

    /// Does what is to be done.
    pub(super) async fn tidy(
        &mut self,
        roster: Vec<Listed>,
        retention: Duration,
        admin: &dyn Admin,
        metrics: &Metrics,
    ) {
        self.due_at = after(self.clock.now(), EVERY);
        if let Err(error) = self.try_to_tidy(roster, retention, admin, metrics).await {
            tracing::warn!(%error, "housekeeping has failed; it is tried again");
        }
    }

    async fn try_to_tidy(
        &mut self,
        roster: Vec<Listed>,
        retention: Duration,
        admin: &dyn Admin,
        metrics: &Metrics,
    ) -> Result<(), StoreError> {
        let looked = (self.clock.now(), self.clock.monotonic());
        if let Some(by) = clock_step(self.last, looked) {
            tracing::warn!(seconds = by.as_secs(), "the clock was set back; what is due is moved with it");
            admin.clock_set_back(by, looked.0).await?;
        }
        self.last = looked;
        self.prune(retention, admin).await?;
        self.take_over(roster.clone(), admin, metrics).await?;
        self.bury(roster, admin, metrics).await
    }

    /// Removes what is older than `retention`, piece by piece, and says which dead letters nobody will look at any more.
    async fn prune(&self, retention: Duration, admin: &dyn Admin) -> Result<(), StoreError> {
        let mut dead: HashMap<ReceiverName, u64> = HashMap::new();
        let mut result = Ok(());
        for _ in 0..PRUNES {
            match admin.prune(self.clock.now(), retention).await {
                Ok(pruned) => {
                    for (receiver, count) in pruned.dead {
                        *dead.entry(receiver).or_default() += count;
                    }
                    if !pruned.more {
                        break;
                    }
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        for (receiver, count) in dead {
            tracing::warn!(%receiver, count, days = retention.as_secs() / 86_400, "dead letters were removed: they are too old");
        }
        result
    }

    /// Gives away what waits for receivers that `roster`, which is in force from now on, does not have any more. Returns
    /// those who were told instead.
    pub(super) async fn take_over(
        &mut self,
        roster: Vec<Listed>,
        admin: &dyn Admin,
        metrics: &Metrics,
    ) -> Result<Vec<ReceiverName>, StoreError> {
        let known: Vec<_> = roster.iter().map(|listed| listed.target.name.clone()).collect();
        let all = admin.take_over(roster, self.clock.now()).await?;
        for departed in all.iter().filter(|departed| !departed.is_untouched()) {
            note(departed, metrics);
        }
        let heirs = all.iter().filter(|departed| departed.fell_back > 0).filter_map(|departed| departed.to.clone());
        let heirs = heirs.collect();
        self.departed = all.into_iter().map(|departed| departed.receiver).collect();
        self.look_for_unknown(&known, admin, metrics).await?;
        Ok(heirs)
    }

    /// Says what waits for receivers that nobody knows.
    async fn look_for_unknown(
        &mut self,
        known: &[ReceiverName],
        admin: &dyn Admin,
        metrics: &Metrics,
    ) -> Result<(), StoreError> {
        let waiting = admin.stats().await?.receivers;
        let is_known = |name: &ReceiverName| known.contains(name) || self.departed.contains(name);
        let is_unknown =
            |name: &ReceiverName| !is_known(name) && waiting.get(name).is_some_and(|counts| counts.pending > 0);
        self.unknown.retain(|name, _| is_unknown(name));
        for name in waiting.keys().filter(|name| is_unknown(name)) {
            let now = self.clock.monotonic();
            if !self.unknown.contains_key(name) {
                self.unknown.insert(name.clone(), now);
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

    /// Turns what waits for receivers that have been unknown for long enough into dead letters.
    async fn bury(&mut self, roster: Vec<Listed>, admin: &dyn Admin, metrics: &Metrics) -> Result<(), StoreError> {
        let now = self.clock.monotonic();
        let (ripe, young): (Vec<_>, Vec<_>) =
            self.unknown.iter().partition(|(_, since)| now.saturating_sub(**since) >= GRACE);
        if ripe.is_empty() {
            return Ok(());
        }
        let known = roster.into_iter().map(|listed| listed.target.name);
        let young = young.into_iter().map(|(name, _)| name.clone());
        let kept = known.chain(young).chain(self.departed.iter().cloned()).collect();
        for (receiver, count) in admin.bury_orphans(kept, self.clock.now()).await? {
            tracing::error!(%receiver, count, "routes.yaml has no such receiver: what waited for it is dead letters");
            metrics.notifications(&receiver, Outcome::Dead, count);
        }
        Ok(())
    }
}

/// Says what became of what waited for a receiver that is gone.
fn note(departed: &Departed, metrics: &Metrics) {
    let Departed { receiver, to, fell_back, dropped, dead } = departed;
    let fallback = to.as_ref().map(tracing::field::display);
    tracing::warn!(
        %receiver,
        fallback,
        fell_back,
        dropped,
        dead,
        "routes.yaml does not have this receiver any more: what waited for it went to its fallback, or is dead letters"
    );
    // With all its series, as long as something is counted for it.
    metrics.add_receiver(receiver);
    metrics.notifications(receiver, Outcome::Fallback, *fell_back);
    metrics.notifications(receiver, Outcome::Dead, *dead);
}

/// By how much the wall clock was set back between two looks at it and at the monotonic one.
fn clock_step(last: (Timestamp, Duration), looked: (Timestamp, Duration)) -> Option<Duration> {
    let expected = after(last.0, looked.1.saturating_sub(last.1));
    Some(between(looked.0, expected)).filter(|by| *by >= CLOCK_STEP)
}
