//! One worker for each receiver, so that a broken one delays nobody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Transport;
use super::attempt::attempt;
use super::fallback::FallbackTo;
use super::health::SharedHealth;
use super::pace::Pace;
use super::policy::{self, Next, Tries};
use crate::clock::{SharedClock, Timestamp, after, between};
use crate::metrics::{Metrics, Outcome as Counted, Stopwatch};
use crate::notification::{Notification, Reason, ReceiverName};
use crate::receiver::{Definition, FailureClass};
use crate::store::{Lease, LeaseAnswer, LeaseRequest, Leased, Outcome, Settled, Store, StoreError};

/// The outbox is looked into at least this often, whoever forgot to wake us.
const POLL: Duration = Duration::from_secs(5);
/// How long to leave a store alone that does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

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
}

/// Delivers to one receiver.
#[derive(Debug)]
pub struct Worker {
    shared: Shared,
    definition: Definition,
    wake: Arc<Notify>,
    pace: Pace,
    health: SharedHealth,
    fallback: Option<FallbackTo>,
    /// Spreads retries; seeded once per worker.
    random: fastrand::Rng,
    attempts: JoinSet<Ended>,
}

/// What an attempt says about its receiver.
#[derive(Debug)]
enum Ended {
    /// The service took it.
    Delivered,
    /// The service answers, if only to refuse it for good.
    Answered,
    /// It does not, or only to say that it cannot now.
    Failed {
        pause: Option<Duration>,
        /// On the monotonic clock.
        began: Duration,
    },
    /// It was not asked.
    NotSent,
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
        Self { shared, definition, wake, pace, health, fallback, random, attempts: JoinSet::new() }
    }

    fn name(&self) -> &ReceiverName {
        &self.definition.target.name
    }

    /// Works until `stop`; then leases nothing more, and returns when the attempts under way have ended.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.reap();
            if self.attempts.len() >= self.health.lock().at_once() {
                self.wait(None, &stop).await;
            } else if let Some(pause) = self.pause() {
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
        // Register for the wake-up before looking: what is accepted in between must not wait for the poll.
        let wake = self.wake.clone();
        let woken = wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let now = self.shared.clock.now();
        match self.lease(now).await {
            Ok(LeaseAnswer { leased: Some(leased), .. }) => self.start(leased, stop).await,
            Ok(LeaseAnswer { next_due, .. }) => {
                self.health.lock().drained(self.shared.clock.monotonic());
                let time = next_due.map_or(POLL, |at| between(now, at).min(POLL));
                tokio::select! {
                    () = woken => (),
                    () = self.wait(Some(time), stop) => (),
                }
            }
            Err(error) => {
                tracing::error!(receiver = %self.name(), %error, "the outbox cannot be read; trying again");
                self.wait(Some(STORE_PAUSE), stop).await;
            }
        }
    }

    async fn lease(&self, now: Timestamp) -> Result<LeaseAnswer, StoreError> {
        let delivery = &self.definition.delivery;
        // Long enough for the rate limit, a few requests and their time-outs; a lease that runs out too early sends twice.
        let length = delivery.rate_limit.period + delivery.timeout * 5 + Duration::from_mins(1);
        let ask = LeaseRequest { receiver: self.name().clone(), now, until: after(now, length) };
        let answer = self.shared.store.lease(ask).await?;
        if answer.released > 0 {
            self.shared.metrics.decided(self.name(), Reason::Refired, answer.released);
        }
        if answer.buried > 0 {
            self.shared.metrics.notifications(self.name(), Counted::Dead, answer.buried);
        }
        Ok(answer)
    }

    /// Waits for the rate limit and starts the attempt.
    async fn start(&mut self, leased: Leased, stop: &CancellationToken) {
        let mut waited = false;
        while let Err(wait) = self.pace.take() {
            if !waited {
                waited = true;
                self.shared.metrics.rate_limited(self.name());
            }
            self.wait_out(wait, stop).await;
            if stop.is_cancelled() {
                break;
            }
        }
        self.reap();
        if stop.is_cancelled() || self.pause().is_some() {
            settle(&self.shared, leased.lease, Outcome::Released, stop).await;
            return;
        }
        let span = tracing::info_span!(
            "delivery",
            id = %leased.lease.delivery,
            receiver = %self.name(),
            group = leased.notification.group.key,
            attempt = leased.notification.attempt,
        );
        let waits = Waits { jitter: self.random.f64(), longest: self.health.lock().longest_wait() };
        let (definition, fallback) = (self.definition.clone(), self.fallback.clone());
        let task = deliver(self.shared.clone(), definition, fallback, leased, waits, stop.clone());
        self.attempts.spawn(task.instrument(span));
    }

    /// Waits for all of `time` or until `stop`, whatever ends meanwhile.
    async fn wait_out(&mut self, time: Duration, stop: &CancellationToken) {
        let clock = self.shared.clock.clone();
        let end = clock.monotonic().saturating_add(time);
        while !stop.is_cancelled() && clock.monotonic() < end {
            self.wait(Some(end.saturating_sub(clock.monotonic())), stop).await;
        }
    }

    /// Waits until an attempt ends, `time` has passed, or `stop`.
    async fn wait(&mut self, time: Option<Duration>, stop: &CancellationToken) {
        let clock = self.shared.clock.clone();
        tokio::select! {
            () = stop.cancelled() => (),
            () = clock.sleep(time.unwrap_or_default()), if time.is_some() => (),
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
            Err(error) => tracing::error!(receiver = %self.name(), %error, "an attempt ended in a bug"),
        }
        let is_up = health.is_up();
        drop(health);
        self.shared.metrics.set_up(self.name(), is_up);
        match (was_up, is_up) {
            (true, false) => {
                tracing::warn!(receiver = %self.name(), "receiver is down; probing one delivery at a time");
            }
            (false, true) => tracing::info!(receiver = %self.name(), "receiver is up again"),
            _ => (),
        }
    }
}

/// What the worker knows about the wait after an attempt, should it fail.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// From 0 to 1.
    jitter: f64,
    longest: Duration,
}

/// One attempt, from the lease to its settlement.
async fn deliver(
    shared: Shared,
    definition: Definition,
    fallback: Option<FallbackTo>,
    leased: Leased,
    waits: Waits,
    stop: CancellationToken,
) -> Ended {
    let Definition { target, service, delivery, .. } = definition;
    let Leased { lease, notification, since } = leased;
    let notification = Arc::new(notification);
    let (took, began, began_at) = (Stopwatch::start(), shared.clock.monotonic(), shared.clock.now());
    let verdict = attempt(service, &notification, &shared.transport, delivery.timeout, &shared.clock).await;
    shared.metrics.attempted(&target.name, took);
    let (now, alerts) = (shared.clock.now(), notification.alerts.len());
    let (attempt, max_age, longest_wait) = (notification.attempt, delivery.max_age, waits.longest);
    let tries = Tries { attempt, since, began: began_at, max_age, longest_wait };
    let (outcome, counted, ended) = match policy::next(verdict, tries, now, waits.jitter) {
        Next::Delivered(outcome) => {
            tracing::info!(alerts, "delivered");
            shared.metrics.lag(&target.name, between(notification.received_at, now));
            (outcome, Counted::Delivered, Ended::Delivered)
        }
        Next::Again { outcome, failure, pause } => {
            tracing::warn!(alerts, class = failure.class.as_str(), why = failure.detail, "failed; will try again");
            (outcome, Counted::Retried, Ended::Failed { pause, began })
        }
        Next::Dead { error, failure, refused } => {
            let (class, why) = (failure.class.as_str(), failure.detail);
            tracing::error!(alerts, names = names(&notification), class, why, "given up: a dead letter");
            let ended = match failure.class {
                FailureClass::Encode => Ended::NotSent,
                _ if refused => Ended::Answered,
                _ => Ended::Failed { pause: None, began },
            };
            let fallback = fallback.as_ref().map(|to| to.of(&target));
            (Outcome::Dead { error, fallback }, Counted::Dead, ended)
        }
    };
    // Counted before it is settled: whoever waits for an empty outbox then finds the counts complete.
    shared.metrics.notifications(&target.name, counted, 1);
    if let (Settled::FellBack, Some(to)) = (settle(&shared, lease, outcome, &stop).await, &fallback) {
        to.was_told(&shared, &target.name, lease.delivery, "it is a dead letter");
    }
    ended
}

/// Whom the log of a dead letter speaks of: the first few alerts with their state and labels.
fn names(notification: &Notification) -> String {
    const SHOWN: usize = 5;
    let shown = notification.alerts.iter().take(SHOWN).map(|notified| {
        let text = format!("{} {}", notified.alert.status, notified.alert.labels);
        text.chars().take(300).collect()
    });
    let more = (notification.alerts.len() > SHOWN).then(|| "…".to_owned());
    shown.chain(more).collect::<Vec<String>>().join("; ")
}

/// Notes how an attempt ended, and does not give up while the store is in trouble: what is not noted is sent again.
async fn settle(shared: &Shared, lease: Lease, outcome: Outcome, stop: &CancellationToken) -> Settled {
    loop {
        match shared.store.settle(lease, outcome.clone(), shared.clock.now()).await {
            Ok(settled) => {
                if settled == Settled::LeaseLost {
                    tracing::warn!(delivery = %lease.delivery, "the lease ran out under way; may be sent twice");
                }
                return settled;
            }
            Err(error) if stop.is_cancelled() => {
                tracing::error!(delivery = %lease.delivery, %error, "the outcome could not be noted; may be sent twice");
                return Settled::LeaseLost;
            }
            Err(error) => tracing::error!(delivery = %lease.delivery, %error, "the outcome is not noted yet"),
        }
        tokio::select! {
            () = stop.cancelled() => (),
            () = shared.clock.sleep(STORE_PAUSE) => (),
        }
    }
}
