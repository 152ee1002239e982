//! A group as its message shows it, and the replies below that. The message is edited as alerts join and resolve; an edit
//! notifies nobody, so each change is a reply in the thread as well, and what nobody may miss is sent to the channel, too.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::text::mrkdwn_code;
use super::Templates;
use super::blocks::mrkdwn_object;
use super::message::{Beyond, Kept, kept_message, message};
use super::receipt::{Known, MAX_ALERTS};
use crate::alert::{Alert, Group, Level, Status};
use crate::clock::{Timestamp, between};
use crate::notification::{FallbackFor, Notification, Notified, Reason};

/// Whoever looks at the channel has seen the message this long; after that, what joins it is sent to the channel.
const IN_SIGHT: Duration = Duration::from_hours(1);

/// All that the message of a group says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thread {
    /// Firing ones first, the worst of them first; then the resolved ones, the last one first.
    pub(super) alerts: Vec<Known>,
    pub(super) beyond: Beyond,
    /// Whom it was meant for, if any of it came as a fallback.
    pub(super) fallback: Option<FallbackFor>,
    /// Another message of the group was there before and could not be edited.
    pub(super) replaces: bool,
    /// When the channel was last told, by the message itself or by a reply that was sent there.
    pub(super) seen: Timestamp,
}

impl Thread {
    /// The message of a group of which nothing is known.
    pub(super) fn new(received_at: Timestamp) -> Self {
        Self { alerts: Vec::new(), beyond: Beyond::default(), fallback: None, replaces: false, seen: received_at }
    }

    /// The message after this notification.
    pub(super) fn after(&self, notification: &Notification) -> Self {
        let mut next = self.clone();
        // A notification may hold hundreds of thousands of alerts.
        let mut places: HashMap<_, _> =
            next.alerts.iter().enumerate().map(|(place, known)| (known.alert.fingerprint, place)).collect();
        for notified in &notification.alerts {
            let known = Known { alert: notified.alert.clone(), cut: false };
            match places.entry(notified.alert.fingerprint) {
                Entry::Occupied(place) => next.alerts[*place.get()] = known,
                Entry::Vacant(place) => {
                    place.insert(next.alerts.len());
                    next.beyond.take(notified);
                    next.alerts.push(known);
                }
            }
        }
        next.alerts.sort_by_key(|Known { alert, .. }| {
            let level = std::cmp::Reverse(Level::of(alert.severity()));
            (
                alert.status == Status::Resolved,
                (alert.status == Status::Firing).then_some(level),
                alert.ends_at.map(std::cmp::Reverse),
            )
        });
        for Known { alert, .. } in next.alerts.drain(MAX_ALERTS.min(next.alerts.len())..) {
            next.beyond.add(&alert);
        }
        next.fallback = notification.fallback.clone().or(next.fallback);
        if self.is_loud(notification) {
            next.seen = notification.received_at;
        }
        next
    }

    /// Whether nothing of it fires any more.
    pub(super) fn is_over(&self) -> bool {
        self.firing() == 0
    }

    fn firing(&self) -> usize {
        self.firing_alerts().count() + self.beyond.firing
    }

    fn resolved(&self) -> usize {
        self.alerts.len() - self.firing_alerts().count() + self.beyond.resolved
    }

    fn firing_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().map(|known| &known.alert).filter(|alert| alert.status == Status::Firing)
    }

    fn worst(&self) -> Option<Level> {
        self.firing_alerts().map(|alert| Level::of(alert.severity())).chain(self.beyond.worst).max()
    }

    /// Whether the channel has to be told, and not only who follows the thread: a reminder, a fallback, and an alert that
    /// joins if it is critical, worse than what fires, or if the message has been out of sight for long.
    pub(super) fn is_loud(&self, notification: &Notification) -> bool {
        let joins_loudly = |notified: &Notified| {
            let (alert, level) = (&notified.alert, Level::of(notified.alert.severity()));
            alert.status == Status::Firing
                && (notified.reason == Reason::Repeat
                    || level == Level::Critical
                    || Some(level) > self.worst()
                    // It is shown as firing, so its end was never told: this is another time.
                    || self.firing_alerts().any(|known| known.fingerprint == alert.fingerprint)
                    || between(self.seen, notification.received_at) >= IN_SIGHT)
        };
        notification.fallback.is_some() || notification.alerts.iter().any(joins_loudly)
    }

    /// How many more of the group fire that the message does not know of: they were told in another way.
    fn others(&self, notification: &Notification) -> u32 {
        let is_told =
            |alert: &Alert| notification.alerts.iter().any(|told| told.alert.fingerprint == alert.fingerprint);
        let known = self.firing_alerts().filter(|alert| !is_told(alert)).count() + self.beyond.firing;
        notification.others_firing.saturating_sub(u32::try_from(known).unwrap_or(u32::MAX))
    }

    /// The message, written for `notification`, which is the last one that it shows. `why` is Slack's word for why the one
    /// before could not be edited; why a template cannot be used goes into `failed`.
    pub(super) fn message(
        &self,
        notification: &Notification,
        why: Option<&str>,
        templates: &Templates,
        failed: &mut Option<String>,
    ) -> Value {
        let mut whole = notification.clone();
        whole.fallback.clone_from(&self.fallback);
        let joined =
            |fingerprint| notification.alerts.iter().find(|notified| notified.alert.fingerprint == fingerprint);
        whole.others_firing = self.others(notification);
        if self.alerts.iter().any(|known| known.cut && known.alert.status == Status::Firing) {
            // A silence of the labels that are left would be wider than what is shown.
            whole.group = Arc::new(Group { external_url: String::new(), ..Group::clone(&whole.group) });
        }
        let notified = |known: &Known| {
            let reason = match (joined(known.alert.fingerprint), known.alert.status) {
                (Some(notified), _) => notified.reason,
                (None, Status::Firing) => Reason::First,
                (None, Status::Resolved) => Reason::Resolved,
            };
            Notified { alert: known.alert.clone(), reason }
        };
        whole.alerts = self.alerts.iter().map(notified).collect();
        let texts = templates.render(&whole, failed);
        kept_message(&whole, &texts, &Kept { beyond: self.beyond, note: self.replaces.then(|| note(why)) })
    }

    /// The reply that says what has changed: the notification as it would be sent on its own, below a line that counts.
    /// `self` is the group after it.
    pub(super) fn reply(
        &self,
        before: &Self,
        notification: &Notification,
        templates: &Templates,
        failed: &mut Option<String>,
    ) -> Value {
        let count =
            |fits: fn(Reason) -> bool| notification.alerts.iter().filter(|notified| fits(notified.reason)).count();
        let changes = [
            (count(|reason| reason == Reason::First), "joined"),
            (count(|reason| reason == Reason::Refired), "again"),
            (count(|reason| reason == Reason::Repeat), "still firing"),
            (count(|reason| matches!(reason, Reason::Resolved | Reason::UnknownResolved)), "resolved"),
        ];
        let changes = changes.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
        let changes = changes.collect::<Vec<_>>().join(", ");
        let others = usize::try_from(self.others(notification)).unwrap_or(usize::MAX);
        let now = match (self.firing().saturating_add(others), self.resolved()) {
            (0, _) => "nothing fires any more".to_owned(),
            (firing, 0) => format!("{firing} firing now"),
            (firing, resolved) => format!("{firing} firing now, {resolved} resolved"),
        };
        let mut reply = message(notification, &templates.render(notification, failed));
        let line = json!({ "type": "context", "elements": [mrkdwn_object(&format!("{changes} · {now}"))] });
        if let Some(blocks) = reply["blocks"].as_array_mut() {
            blocks.insert(0, line);
        }
        if before.is_loud(notification) {
            reply["reply_broadcast"] = true.into();
        }
        reply
    }
}

impl Beyond {
    /// Counts an alert that is no longer known by itself.
    pub(super) fn add(&mut self, alert: &Alert) {
        match alert.status {
            Status::Firing => {
                self.firing += 1;
                self.worst = self.worst.max(Some(Level::of(alert.severity())));
            }
            Status::Resolved => self.resolved += 1,
        }
    }

    /// An alert that was not known by itself is, from now on: it may have been counted.
    fn take(&mut self, notified: &Notified) {
        match notified.reason {
            Reason::Refired => self.resolved = self.resolved.saturating_sub(1),
            Reason::Repeat | Reason::Resolved | Reason::UnknownResolved => self.firing = self.firing.saturating_sub(1),
            _ => {}
        }
        if self.firing == 0 {
            self.worst = None;
        }
    }
}

fn note(why: Option<&str>) -> String {
    let why = why.map(|word| format!(" (Slack: {})", mrkdwn_code(word, 60))).unwrap_or_default();
    format!("This message takes the place of an earlier one{why}")
}
