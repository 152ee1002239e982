//! The incident of a group (`incident_per: group`): which alerts PagerDuty was told of and has not seen the end of.
//!
//! That is the lane's receipt, so it survives a restart. What the group as a whole is said to be (`status`) never counts:
//! Alertmanager says `resolved` of a group whose firing alerts it has cut off (`max_alerts`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;

use crate::alert::{Alert, Level, Status};
use crate::notification::{Notification, Receipt, ReceiverName};

/// What a receipt begins with.
const MARK: &str = "group";
/// Stands for alerts that are not listed.
const MORE: &str = "more";
/// So many alerts are listed: some 25 bytes each, written with every notification of the group.
const MAX_LISTED: usize = 1000;
/// Alertmanager tells of what still fires every 4 hours (`repeat_interval`). Of an alert that nobody has spoken of for
/// longer than this, and that a whole body does not name, the resolve was lost. In minutes.
const LOST: i64 = 24 * 60;

/// The alerts of a group that PagerDuty knows to fire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Incident {
    /// By fingerprint: the minute in which it was last told.
    firing: BTreeMap<u64, i64>,
    /// There are others, which are not listed: too many, or told before groups were incidents.
    more: bool,
    /// The worst of all since it was opened.
    worst: Option<Level>,
    /// It is open, or may be.
    open: bool,
}

/// What has to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Trigger,
    Resolve,
    Nothing,
}

impl Incident {
    /// The incident once PagerDuty has been told of `notification`, and what it has to be told.
    pub(super) fn after(notification: &Notification, severity: impl Fn(&Alert) -> Level) -> (Self, Next) {
        let known = notification.receipt.as_ref().and_then(|receipt| receipt.0.parse::<Self>().ok());
        let was_known = known.is_some();
        let mut incident = known.unwrap_or_default();
        let minute = notification.received_at.as_second().div_euclid(60);
        for alert in notification.alerts.iter().map(|notified| &notified.alert) {
            match alert.status {
                Status::Firing => incident.firing.insert(alert.fingerprint.0, minute),
                Status::Resolved => incident.firing.remove(&alert.fingerprint.0),
            };
        }
        let told = still_firing(notification);
        let worst = told.iter().map(|alert| severity(alert)).max();
        let elsewhere = incident.firing.len() - told.len();
        let others = usize::try_from(notification.others_firing).unwrap_or(usize::MAX);
        let (has_news, truncated) = (!told.is_empty(), notification.group.truncated_alerts > 0);
        // Told before and not listed.
        incident.more |= others > elsewhere;
        incident.worst = incident.worst.max(worst);
        incident.limit();
        if has_news {
            incident.open = true;
            return (incident, Next::Trigger);
        }
        if others == 0 && !truncated {
            // The body shows all of the group, and none of it fires.
            incident.firing.retain(|_, told| minute.saturating_sub(*told) < LOST);
            incident.more = false;
        }
        // Of a group that nothing is known of, what was cut off may fire and have been told.
        let ended = incident.firing.is_empty() && !incident.more && (was_known || !truncated);
        incident.open = was_known && !ended;
        (incident, if ended { Next::Resolve } else { Next::Nothing })
    }

    /// How many fire that PagerDuty was told of.
    pub(super) fn firing(&self) -> usize {
        self.firing.len()
    }

    /// Whether there are others yet.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// The worst since it was opened: an incident does not become less urgent because a milder alert joins.
    pub(super) fn worst(&self) -> Option<Level> {
        self.worst
    }

    /// `group critical more 00000000000000ab@1c9d2e …`; none once it is closed.
    pub(super) fn receipt(&self) -> Option<Receipt> {
        if !self.open {
            return None;
        }
        let mut out = format!("{MARK} {}", self.worst.unwrap_or(Level::Error).as_str());
        if self.more {
            out.push(' ');
            out.push_str(MORE);
        }
        for (fingerprint, minute) in &self.firing {
            // Writing into a String does not fail.
            let _ = write!(out, " {fingerprint:016x}@{minute:x}");
        }
        Some(Receipt(out))
    }

    /// Keeps the receipt small.
    fn limit(&mut self) {
        while self.firing.len() > MAX_LISTED {
            self.firing.pop_last();
            self.more = true;
        }
    }
}

/// The alerts of the notification that fire once all of it is told, each once. In a digest one may have ended meanwhile.
pub(super) fn still_firing(notification: &Notification) -> Vec<&Alert> {
    let mut last: BTreeMap<u64, (usize, &Alert)> = BTreeMap::new();
    for (at, notified) in notification.alerts.iter().enumerate() {
        last.insert(notified.alert.fingerprint.0, (at, &notified.alert));
    }
    let mut firing: Vec<_> = last.into_values().filter(|(_, alert)| alert.status == Status::Firing).collect();
    firing.sort_unstable_by_key(|(at, _)| *at);
    firing.into_iter().map(|(_, alert)| alert).collect()
}

impl FromStr for Incident {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        if words.next() != Some(MARK) {
            return Err(());
        }
        let mut incident = Self { open: true, worst: words.next().map(Level::of), ..Self::default() };
        for word in words {
            if word == MORE {
                incident.more = true;
                continue;
            }
            let (fingerprint, minute) = word.split_once('@').ok_or(())?;
            let fingerprint = u64::from_str_radix(fingerprint, 16).map_err(|_| ())?;
            incident.firing.insert(fingerprint, i64::from_str_radix(minute, 16).map_err(|_| ())?);
        }
        Ok(incident)
    }
}

/// What keeps the events of a group together, in 38 of the 255 characters that are allowed: FNV-1a of 128 bits. A group key
/// can be longer, and so Alertmanager hashes it, too.
pub(super) fn key(receiver: &ReceiverName, group: &str) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = receiver.as_str().bytes().chain([0xff]).chain(group.bytes());
    let hash = bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    });
    format!("group-{hash:032x}")
}
