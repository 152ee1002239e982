//! `overflow: digest`: what waits for the rate limit together goes as one message.
//!
//! A storm begins when a notification finds no token. From then on only what is urgent is sent one by one; all that waits
//! besides is folded as soon as there is a token, and then again every [`BETWEEN`]: a message each second would be kept to
//! the pace and read by nobody. The storm is over when no more waits than can go at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::task::settle;
use super::worker::Worker;
use crate::clock::Timestamp;
use crate::receiver::Overflow;
use crate::store::{FoldRequest, LeaseAnswer, Leased, Outcome, Priority, StoreError};

/// How far apart the digests of a storm are. A digest that is full is followed by the next as the pace allows.
const BETWEEN: Duration = Duration::from_secs(30);

/// A storm.
#[derive(Debug)]
pub(super) struct Storm {
    /// On the monotonic clock.
    digest_due: Duration,
    /// When the last digest was folded. What was due before and can still be leased is what cannot be folded.
    folded_at: Timestamp,
    /// Whether there was a digest.
    has_folded: bool,
    /// How many that will be folded count as rate limited already.
    counted: u64,
}

impl Storm {
    /// Until then nothing but what is urgent is to be sent.
    pub(super) fn until(&self, now: Duration) -> Duration {
        self.digest_due.saturating_sub(now)
    }
}

impl Worker {
    /// Takes what goes next. What is urgent only because a critical one waits behind it does not take a token of its own if
    /// it can go in a digest: that takes the critical one's way free at once.
    pub(super) async fn next(&mut self, now: Timestamp, stop: &CancellationToken) -> Result<LeaseAnswer, StoreError> {
        let answer = self.lease(now, self.ordinary_due_by()).await?;
        let Some(leased) = answer.leased.as_ref().filter(|_| self.storm.is_some() && self.token) else {
            return Ok(answer);
        };
        if leased.priority != Priority::Urgent || leased.notification.digest.is_some() {
            return Ok(answer);
        }
        settle(&self.shared, leased.lease, Outcome::Released, stop).await;
        self.fold(now).await?;
        self.lease(now, self.ordinary_due_by()).await
    }

    /// What cannot be folded has its turn after a digest, not before.
    fn ordinary_due_by(&self) -> Option<Timestamp> {
        let folded_at = self.storm.as_ref()?.folded_at;
        // Not what came at the same moment, but after it.
        let before = folded_at.checked_sub(Duration::from_micros(1)).unwrap_or(Timestamp::MIN);
        Some(if self.digest_is_due() { Timestamp::MIN } else { before })
    }

    /// Whether it is time for a digest.
    pub(super) fn digest_is_due(&self) -> bool {
        let now = self.shared.clock.monotonic();
        self.storm.as_ref().is_some_and(|storm| storm.digest_due <= now)
    }

    /// Folds what waits, once there is a token. What is urgent gets that first, so this looks again before.
    pub(super) async fn digest(&mut self, now: Timestamp, stop: &CancellationToken) -> Result<(), StoreError> {
        if self.token {
            return self.fold(now).await;
        }
        self.wait_for_token(stop).await;
        Ok(())
    }

    async fn fold(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(storm) = &self.storm else { return Ok(()) };
        let limit = self.definition.delivery.rate_limit;
        // As many as have gathered tokens since the last digest can go one by one.
        let tokens = BETWEEN.as_nanos().checked_div(limit.period.as_nanos()).unwrap_or(u128::MAX);
        let gathered = limit.burst.get().min(u32::try_from(tokens).unwrap_or(u32::MAX));
        let at_least = if storm.has_folded { gathered.saturating_add(1).max(2) } else { 2 };
        let ask = FoldRequest { receiver: self.name().clone(), now, at_least };
        let folded = self.shared.store.fold(ask).await?;
        let monotonic = self.shared.clock.monotonic();
        let Some(storm) = &mut self.storm else { return Ok(()) };
        if folded.deliveries == 0 {
            self.storm = None;
            return Ok(());
        }
        let counted = std::mem::take(&mut storm.counted);
        storm.has_folded = true;
        storm.folded_at = now;
        storm.digest_due = if folded.more { monotonic } else { monotonic.saturating_add(BETWEEN) };
        tracing::info!(receiver = %self.name(), notifications = folded.deliveries, "folded into a digest");
        self.shared.metrics.rate_limited(self.name(), folded.deliveries.saturating_sub(counted));
        Ok(())
    }

    /// Gives back what finds no token, and waits for one: meanwhile something may come that goes first.
    pub(super) async fn hold_back(&mut self, leased: Leased, stop: &CancellationToken) {
        settle(&self.shared, leased.lease, Outcome::Released, stop).await;
        let can_fold = leased.priority < Priority::Critical && leased.notification.digest.is_none();
        if can_fold && self.definition.delivery.rate_limit.overflow == Overflow::Digest {
            let digest_due = self.shared.clock.monotonic();
            let begins = Storm { digest_due, folded_at: Timestamp::MIN, has_folded: false, counted: 0 };
            self.storm.get_or_insert(begins).counted += 1;
        }
        if leased.notification.digest.is_none() {
            self.shared.metrics.rate_limited(self.name(), 1);
        }
        self.wait_for_token(stop).await;
    }

    async fn wait_for_token(&mut self, stop: &CancellationToken) {
        while let Err(wait) = self.pace.take() {
            self.wait_out(wait, stop).await;
            if stop.is_cancelled() {
                return;
            }
        }
        self.token = true;
    }
}
