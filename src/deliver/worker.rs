//! One worker for each receiver, so that a broken one delays nobody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Transport;
use super::attempt::Line;
use super::fallback::FallbackTo;
use super::hands::Hands;
use super::health::SharedHealth;
use super::pace::Pace;
use super::storm::Storm;
use super::task::{Ended, STORE_PAUSE, Waits, deliver, settle};
use super::traced;
use crate::clock::{SharedClock, Timestamp, after, between};
use crate::metrics::{Metrics, Outcome as Counted};
use crate::notification::{Reason, ReceiverName};
use crate::receiver::Definition;
use crate::store::{LeaseAnswer, LeaseRequest, Leased, Outcome, Store, StoreError};
use crate::traces::Traces;

/// The outbox is looked into at least this often, whoever forgot to wake us.
const POLL: Duration = Duration::from_secs(5);

/// What all workers share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// The client.
    pub transport: Transport,
    /// The time.
    pub clock: SharedClock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where traces begin.
    pub traces: Traces,
}

impl Shared {
    pub(super) fn line(&self) -> Line {
        let Self { transport, clock, metrics, .. } = self.clone();
        Line { transport, clock, metrics }
    }
}

/// Delivers to one receiver.
#[derive(Debug)]
pub struct Worker {
    pub(super) shared: Shared,
    pub(super) definition: Definition,
    wake: Arc<Notify>,
    pub(super) pace: Pace,
    /// Whether a token is in hand, which is not taken yet. It is given up rather than kept: the service's own bucket fills
    /// while one waits, and does not know that it was meant to be used before.
    pub(super) token: bool,
    /// While more comes than the pace allows; only with `overflow: digest`.
    pub(super) storm: Option<Storm>,
    health: SharedHealth,
    fallback: Option<FallbackTo>,
    /// Spreads retries; seeded once per worker.
    random: fastrand::Rng,
    attempts: JoinSet<Ended>,
    /// The leases of these.
    hands: Hands,
    /// Whether the receiver was down, is back, and the outbox does not know it yet.
    is_back: bool,
}

impl Worker {
    /// A worker that looks into the outbox whenever `wake` is notified. `health` is what is known of the receiver already,
    /// `fallback` who is told of its dead letters.
    #[must_use]
    pub fn new(
        shared: Shared,
        definition: Definition,
        wake: Arc<Notify>,
        health: SharedHealth,
        fallback: Option<FallbackTo>,
        seed: u64,
    ) -> Self {
        let pace = Pace::new(definition.delivery.rate_limit, shared.clock.clone());
        let random = fastrand::Rng::with_seed(seed);
        let (token, is_back) = (false, false);
        let (storm, attempts, hands) = (None, JoinSet::new(), Hands::default());
        Self { shared, definition, wake, pace, token, storm, health, fallback, random, attempts, hands, is_back }
    }

    pub(super) fn name(&self) -> &ReceiverName {
        &self.definition.target.name
    }

    /// Works until `stop`; then leases nothing more, and returns when the attempts under way have ended.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.reap();
            if self.attempts.len() >= self.health.lock().at_once() || self.hands.are_full() {
                self.token = false;
                self.wait(None, &stop).await;
            } else if let Some(pause) = self.pause() {
                self.token = false;
                self.wait(Some(pause), &stop).await;
            } else {
                self.look(&stop).await;
            }
        }
        // What these say of the receiver is for the worker that follows to find out.
        while self.attempts.join_next().await.is_some() {}
    }

    /// Takes in what has ended meanwhile, so that the next attempt knows of a service that asked for a pause.
    fn reap(&mut self) {
        while let Some(ended) = self.attempts.try_join_next() {
            self.ended(ended);
        }
    }

    /// Takes what is due, or waits for it.
    async fn look(&mut self, stop: &CancellationToken) {
        if std::mem::take(&mut self.is_back) {
            let recovered = self.shared.store.recovered(self.name().clone(), self.shared.clock.now());
            if let Err(error) = recovered.await {
                tracing::warn!(receiver = %self.name(), %error, "what waits goes in the order of its last attempts");
            }
        }
        // Register for the wake-up before looking: what is accepted in between must not wait for the poll.
        let wake = self.wake.clone();
        let woken = wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let (now, began) = (self.shared.clock.now(), self.shared.clock.monotonic());
        let looked = match self.next(now, stop).await {
            Ok(LeaseAnswer { leased: Some(leased), .. }) => {
                self.start(leased, stop).await;
                Ok(())
            }
            Ok(_) if self.digest_is_due() => self.digest(now, stop).await,
            Ok(LeaseAnswer { next_due, .. }) => {
                self.token = false;
                let monotonic = self.shared.clock.monotonic();
                let storm = self.storm.as_ref().map(|storm| storm.until(monotonic));
                if storm.is_none() {
                    self.health.lock().drained(monotonic);
                }
                // As of the look, which may have taken a slow store a while: what has come due meanwhile is not late for it.
                let due = next_due.map(|at| between(now, at).saturating_sub(monotonic.saturating_sub(began)));
                let time = due.into_iter().chain(storm).chain([POLL]).min();
                tokio::select! {
                    () = woken => (),
                    () = self.wait(time, stop) => (),
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::error!(receiver = %self.name(), %error, "the outbox cannot be read; trying again");
            self.token = false;
            self.wait(Some(STORE_PAUSE), stop).await;
        }
    }

    /// Takes what is due; of what is neither urgent nor a digest only what was due by then.
    pub(super) async fn lease(
        &self,
        now: Timestamp,
        ordinary_due_by: Option<Timestamp>,
    ) -> Result<LeaseAnswer, StoreError> {
        let delivery = &self.definition.delivery;
        // Long enough for the rate limit, a few requests and their time-outs; a lease that runs out too early sends twice.
        let length = delivery.rate_limit.period + delivery.timeout * 5 + Duration::from_mins(1);
        let (until, holding) = (after(now, length), self.hands.leases());
        let ask = LeaseRequest { receiver: self.name().clone(), now, until, ordinary_due_by, holding };
        let answer = self.shared.store.lease(ask).await?;
        if answer.released > 0 {
            self.shared.metrics.decided(self.name(), Reason::Refired, answer.released);
        }
        if answer.buried > 0 {
            self.shared.metrics.notifications(self.name(), Counted::Dead, answer.buried);
        }
        Ok(answer)
    }

    /// Starts the attempt, if the rate limit allows it.
    async fn start(&mut self, leased: Leased, stop: &CancellationToken) {
        if !std::mem::take(&mut self.token) && self.pace.take().is_err() {
            return self.hold_back(leased, stop).await;
        }
        self.reap();
        if stop.is_cancelled() || self.pause().is_some() {
            settle(&self.shared, leased.lease, Outcome::Released, stop).await;
            return;
        }
        let traced = traced::attempt(&self.shared.traces, self.name(), &leased);
        let span = tracing::info_span!(
            "delivery",
            id = %leased.lease.delivery,
            receiver = %self.name(),
            group = leased.notification.group.key,
            attempt = leased.notification.attempt,
            trace_id = traced.trace_id().map(tracing::field::display),
        );
        let waits = Waits { jitter: self.random.f64(), longest: self.health.lock().longest_wait() };
        let (definition, fallback) = (self.definition.clone(), self.fallback.clone());
        let hand = self.hands.take(leased.lease, leased.size);
        let task = deliver(self.shared.clone(), definition, fallback, leased, waits, traced, stop.clone());
        let task = async move {
            let ended = task.await;
            drop(hand);
            ended
        };
        self.attempts.spawn(task.instrument(span));
    }

    /// Waits for all of `time` or until `stop`, whatever ends meanwhile.
    pub(super) async fn wait_out(&mut self, time: Duration, stop: &CancellationToken) {
        let clock = self.shared.clock.clone();
        let end = clock.monotonic().saturating_add(time);
        while !stop.is_cancelled() && clock.monotonic() < end {
            self.wait(Some(end.saturating_sub(clock.monotonic())), stop).await;
        }
    }

    /// Waits until an attempt ends, `time` has passed, or `stop`.
    async fn wait(&mut self, time: Option<Duration>, stop: &CancellationToken) {
        let clock = self.shared.clock.clone();
        let passed = async {
            match time {
                Some(time) => clock.sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => (),
            () = passed => (),
            Some(ended) = self.attempts.join_next() => self.ended(ended),
        }
    }

    /// How long the receiver is to be left alone yet.
    fn pause(&self) -> Option<Duration> {
        self.health.lock().pause(self.shared.clock.monotonic())
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let jitter = self.random.f64();
        let mut health = self.health.lock();
        let was_up = health.is_up();
        match ended {
            Ok(Ended::Delivered) => health.delivered(self.shared.clock.monotonic()),
            Ok(Ended::Answered) => health.answered(),
            Ok(Ended::Failed { pause, began }) => {
                health.failed(pause, began, self.shared.clock.monotonic(), jitter);
            }
            Ok(Ended::NotSent) => {}
            // Its lease runs out and it is tried again.
            Err(error) => {
                tracing::error!(receiver = %self.name(), panicked = error.is_panic(), "an attempt ended in a bug");
            }
        }
        let is_up = health.is_up();
        drop(health);
        self.shared.metrics.set_up(self.name(), is_up);
        match (was_up, is_up) {
            (true, false) => {
                tracing::warn!(receiver = %self.name(), "receiver is down; probing one delivery at a time");
            }
            (false, true) => {
                self.is_back = true;
                tracing::info!(receiver = %self.name(), "receiver is up again");
            }
            _ => (),
        }
    }
}
