//! What a receiver does not get in time is told to its fallback.
//!
//! Dead letters are the worker's, which settles them. What only waits is looked at here, by a timer of its own: a worker
//! may itself be waiting, for the rate limit, for the next probe or for an attempt that hangs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Shared, SharedHealth};
use crate::clock::Timestamp;
use crate::metrics::Outcome as Counted;
use crate::notification::{DeliveryId, ReceiverName, Target};
use crate::receiver::text::human;
use crate::store::{Fallback, Overdue};

/// How often it is looked at what is overdue.
const EVERY: Duration = Duration::from_secs(1);

/// The fallback of a receiver.
#[derive(Debug, Clone)]
pub struct FallbackTo {
    /// Who is told instead.
    pub target: Target,
    /// What is told after this long ([`crate::receiver::Fallback::after`]).
    pub after: Duration,
    /// Wakes its worker.
    pub wake: Arc<Notify>,
}

impl FallbackTo {
    /// As the store has to know it, as the fallback of `receiver`.
    pub(super) fn of(&self, receiver: &Target) -> Fallback {
        Fallback { to: self.target.clone(), from_keeps_state: receiver.keeps_state }
    }

    /// Notes that it was told of a delivery.
    pub(super) fn was_told(&self, shared: &Shared, receiver: &ReceiverName, delivery: DeliveryId, why: &str) {
        tracing::warn!(%receiver, %delivery, fallback = %self.target.name, why, "the fallback is told");
        shared.metrics.notifications(receiver, Counted::Fallback, 1);
        self.wake.notify_one();
    }

    /// Notes that it was told of so many that a digest carried, which is given up.
    pub(super) fn was_told_of(&self, shared: &Shared, receiver: &ReceiverName, count: u64, digest: DeliveryId) {
        if count > 0 {
            tracing::warn!(%receiver, %digest, count, fallback = %self.target.name, "the fallback is told of a dead digest");
            shared.metrics.notifications(receiver, Counted::Fallback, count);
            self.wake.notify_one();
        }
    }
}

/// Looks after what waits too long for one receiver.
#[derive(Debug)]
pub struct FallbackTimer {
    shared: Shared,
    receiver: Target,
    fallback: FallbackTo,
    health: SharedHealth,
}

impl FallbackTimer {
    /// The timer of `receiver`, whose worker shares `health`.
    #[must_use]
    pub fn new(shared: Shared, receiver: Target, fallback: FallbackTo, health: SharedHealth) -> Self {
        Self { shared, receiver, fallback, health }
    }

    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            // A storm falls back in many pieces, each of them whole in the store: whoever comes next goes on from there.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.look() => (),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.clock.sleep(EVERY) => (),
            }
        }
    }

    async fn look(&self) {
        let (now, monotonic) = (self.shared.clock.now(), self.shared.clock.monotonic());
        let stuck_for = self.health.lock().stuck_for(monotonic);
        let overdue = Overdue {
            receiver: self.receiver.name.clone(),
            fallback: self.fallback.of(&self.receiver),
            after: self.fallback.after,
            lasting: format!(" for {}", human(self.fallback.after)),
            stuck_since: stuck_for.map(|time| now.checked_sub(time).unwrap_or(Timestamp::MIN)),
            now,
        };
        match self.shared.store.fall_back(overdue).await {
            Ok(all) => {
                for fell_back in all {
                    self.fallback.was_told(&self.shared, &self.receiver.name, fell_back.delivery, &fell_back.reason);
                }
            }
            Err(error) => {
                tracing::error!(receiver = %self.receiver.name, %error, "what is overdue cannot be looked at; trying again");
            }
        }
    }
}
