//! A delivery in hand, from its lease to its settlement.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::attempt::attempt;
use super::fallback::FallbackTo;
use super::policy::{self, Next, Tries};
use super::traced;
use super::worker::Shared;
use crate::clock::between;
use crate::metrics::{Outcome as Counted, Stopwatch};
use crate::notification::Notification;
use crate::receiver::{Definition, FailureClass};
use crate::store::{Lease, Leased, Outcome, Settled};
use crate::traces::Span;

/// How long to leave a store alone that does not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What an attempt says about its receiver.
#[derive(Debug)]
pub(super) enum Ended {
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

/// What the worker knows about the wait after an attempt, should it fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// From 0 to 1.
    pub(super) jitter: f64,
    pub(super) longest: Duration,
}

/// One attempt, from the lease to its settlement.
pub(super) async fn deliver(
    shared: Shared,
    definition: Definition,
    fallback: Option<FallbackTo>,
    leased: Leased,
    waits: Waits,
    mut traced: Span,
    stop: CancellationToken,
) -> Ended {
    let Definition { target, service, delivery, .. } = definition;
    let Leased { lease, notification, since, carries, .. } = leased;
    let notification = Arc::new(notification);
    let (took, began, began_at) = (Stopwatch::start(), shared.clock.monotonic(), shared.clock.now());
    let verdict = attempt(service, &notification, &shared.line(), delivery.timeout, traced.within()).await;
    shared.metrics.attempted(&target.name, took);
    let (now, alerts) = (shared.clock.now(), notification.alerts.len());
    let (attempt, max_age, longest_wait) = (notification.attempt, delivery.max_age, waits.longest);
    let tries = Tries { attempt, since, began: began_at, max_age, longest_wait };
    let next = policy::next(verdict, tries, now, waits.jitter);
    traced::ended(&mut traced, &next);
    // Before it is settled: it shows the attempt, and the store may take its time.
    drop(traced);
    let (outcome, counted, ended) = match next {
        Next::Delivered { outcome, asked } => {
            let said = if asked { "delivered" } else { "delivered: the service need not be told" };
            tracing::info!(alerts, notifications = carries.len().max(1), "{said}");
            // A digest is late by all that it carries.
            let own = carries.is_empty().then_some(notification.received_at);
            for received_at in carries.iter().copied().chain(own) {
                shared.metrics.lag(&target.name, between(received_at, now));
            }
            shared.metrics.notifications(&target.name, Counted::Digested, carries.len() as u64);
            (outcome, Counted::Delivered, if asked { Ended::Delivered } else { Ended::NotSent })
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
    let count = if counted == Counted::Dead { carries.len().max(1) } else { 1 };
    shared.metrics.notifications(&target.name, counted, count as u64);
    match (settle(&shared, lease, outcome, &stop).await, &fallback) {
        (Settled::FellBack, Some(to)) => to.was_told(&shared, &target.name, lease.delivery, "it is a dead letter"),
        (Settled::ManyFellBack(count), Some(to)) => to.was_told_of(&shared, &target.name, count, lease.delivery),
        _ => (),
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
pub(super) async fn settle(shared: &Shared, lease: Lease, outcome: Outcome, stop: &CancellationToken) -> Settled {
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
