//! What a digest says, before it is written the way a service wants it: how many alerts, of which kinds, what of them is over.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::describe::{self, Level, common};
use super::text::{count, line};
use crate::alert::{Alert, Fingerprint, Status};
use crate::notification::{Digest, Notification, Notified, Reason};

/// So much of a name tells one kind from another, in bytes. Nobody is shown more of it.
const MAX_NAME: usize = 500;

/// How many alerts there are, each counted once, by what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Fired, and that was not told yet.
    pub fired: usize,
    /// Of those: have resolved since, and that was not told either.
    pub resolved_meanwhile: usize,
    /// Were told before, and fire still.
    pub still_firing: usize,
    /// Were told before, and have resolved.
    pub resolved: usize,
}

impl Counts {
    /// All alerts.
    #[must_use]
    pub fn all(&self) -> usize {
        self.fired + self.still_firing + self.resolved
    }

    /// Those that fire by now.
    #[must_use]
    pub fn firing(&self) -> usize {
        self.fired - self.resolved_meanwhile + self.still_firing
    }

    /// As people say it: `12 fired, 9 of them resolved meanwhile; 1 still firing; 3 resolved`.
    #[must_use]
    pub fn said(&self) -> String {
        let meanwhile = match (self.fired, self.resolved_meanwhile) {
            (_, 0) => String::new(),
            (1, _) => " and resolved meanwhile".to_owned(),
            (fired, resolved) if fired == resolved => ", all of them resolved meanwhile".to_owned(),
            (_, resolved) => format!(", {resolved} of them resolved meanwhile"),
        };
        let fired = (self.fired > 0).then(|| format!("{} fired{meanwhile}", self.fired));
        let still = (self.still_firing > 0).then(|| format!("{} still firing", self.still_firing));
        let resolved = (self.resolved > 0).then(|| format!("{} resolved", self.resolved));
        fired.into_iter().chain(still).chain(resolved).collect::<Vec<_>>().join("; ")
    }

    fn add(&mut self, fate: &Fate<'_>) {
        let is_over = fate.last.status == Status::Resolved;
        match (fate.is_new, is_over) {
            (true, _) => {
                self.fired += 1;
                self.resolved_meanwhile += usize::from(is_over);
            }
            (false, true) => self.resolved += 1,
            (false, false) => self.still_firing += 1,
        }
    }
}

/// The alerts that share a name and a severity.
#[derive(Debug)]
pub struct Kind<'a> {
    /// What to call them, in one line of at most 500 bytes.
    pub name: String,
    /// Their `severity` label, in one line; empty if they have none.
    pub severity: String,
    /// How many.
    pub counts: Counts,
    /// In their last state, those that fire by now first, otherwise in the order in which they came.
    pub alerts: Vec<&'a Alert>,
    level: Level,
}

impl<'a> Kind<'a> {
    /// For the first `most` alerts the labels that tell each from the others of its kind; of one that is alone those that are
    /// not among `common_labels`, which are sorted.
    #[must_use]
    pub fn apart(&self, common_labels: &[(&'a str, &'a str)], most: usize) -> Vec<Vec<(&'a str, &'a str)>> {
        let shared = match self.alerts.as_slice() {
            [_] => common_labels.to_vec(),
            all => common(all.iter().map(|alert| &alert.labels)),
        };
        let is_own =
            |pair: &(&str, &str)| !matches!(pair.0, "alertname" | "severity") && shared.binary_search(pair).is_err();
        self.alerts.iter().take(most).map(|alert| alert.labels.iter().filter(is_own).collect()).collect()
    }
}

/// A digest, summed up.
#[derive(Debug)]
pub struct Summary<'a> {
    /// Why there is one, and of how many.
    pub digest: Digest,
    /// How many alerts.
    pub counts: Counts,
    /// Those of which something fires first, then the worst, then the most.
    pub kinds: Vec<Kind<'a>>,
    /// The labels that all alerts share.
    pub labels: Vec<(&'a str, &'a str)>,
    /// The worst level of what fires by now.
    pub worst: Option<Level>,
}

/// What became of one alert in the course of a digest.
struct Fate<'a> {
    last: &'a Alert,
    /// Whether it fired and that was not told before.
    is_new: bool,
}

impl<'a> Summary<'a> {
    /// Sums up a notification; `None` if it is no digest.
    #[must_use]
    pub fn of(notification: &'a Notification) -> Option<Self> {
        let digest = notification.digest?;
        let fates = fates(&notification.alerts);
        let (mut counts, mut kinds, mut places) = (Counts::default(), Vec::<Kind<'a>>::new(), HashMap::new());
        for fate in &fates {
            counts.add(fate);
            let name = (describe::short_name(fate.last, MAX_NAME), fate.last.severity());
            let place = *places.entry(name).or_insert_with_key(|(name, severity)| {
                let (name, level) = (name.clone(), Level::of(severity));
                kinds.push(Kind {
                    name,
                    severity: line(severity, MAX_NAME),
                    counts: Counts::default(),
                    alerts: Vec::new(),
                    level,
                });
                kinds.len() - 1
            });
            kinds[place].counts.add(fate);
            kinds[place].alerts.push(fate.last);
        }
        for kind in &mut kinds {
            kind.alerts.sort_by_key(|alert| alert.status == Status::Resolved);
        }
        kinds.sort_by(|one, other| {
            let rank = |kind: &Kind<'_>| (kind.counts.firing() == 0, Reverse(kind.level), Reverse(kind.counts.all()));
            rank(one).cmp(&rank(other)).then_with(|| one.name.cmp(&other.name))
        });
        let worst = kinds.iter().filter(|kind| kind.counts.firing() > 0).map(|kind| kind.level).max();
        let labels = common(fates.iter().map(|fate| &fate.last.labels));
        Some(Self { digest, counts, kinds, labels, worst })
    }

    /// Why this is one message, in a sentence without a full stop.
    #[must_use]
    pub fn why(&self) -> String {
        let notifications = count(u64::from(self.digest.notifications), "notification");
        format!("{notifications} in one message: more came than the rate limit lets through")
    }
}

/// The alerts of a notification; of a digest, in which one alert can be there several times, its latest state.
#[must_use]
pub fn latest(notification: &Notification) -> Vec<&Notified> {
    let all = &notification.alerts;
    if notification.digest.is_none() {
        return all.iter().collect();
    }
    let last: HashMap<_, _> =
        all.iter().enumerate().map(|(place, notified)| (notified.alert.fingerprint, place)).collect();
    let is_last = |place: usize, alert: &Alert| last.get(&alert.fingerprint) == Some(&place);
    all.iter().enumerate().filter(|(place, notified)| is_last(*place, &notified.alert)).map(|(_, one)| one).collect()
}

/// Each alert of a notification once, in its last state, in the order in which they first came.
#[must_use]
pub fn last_words(notification: &Notification) -> Vec<&Alert> {
    fates(&notification.alerts).into_iter().map(|fate| fate.last).collect()
}

/// Each alert once, in the order in which they first came, with its last word.
fn fates(all: &[Notified]) -> Vec<Fate<'_>> {
    let (mut fates, mut places) = (Vec::<Fate<'_>>::new(), HashMap::<Fingerprint, usize>::new());
    for Notified { alert, reason } in all {
        let is_new = alert.status == Status::Firing && *reason != Reason::Repeat;
        let known = places.get(&alert.fingerprint).and_then(|place| fates.get_mut(*place));
        if let Some(fate) = known {
            fate.last = alert;
            fate.is_new |= is_new;
        } else {
            places.insert(alert.fingerprint, fates.len());
            fates.push(Fate { last: alert, is_new });
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::receiver::fixture;

    #[test]
    fn counts_are_said_as_people_say_them() {
        for (fired, resolved_meanwhile, still_firing, resolved, expected) in [
            (12, 9, 0, 0, "12 fired, 9 of them resolved meanwhile"),
            (1, 1, 0, 2, "1 fired and resolved meanwhile; 2 resolved"),
            (2, 2, 0, 0, "2 fired, all of them resolved meanwhile"),
            (3, 0, 1, 1, "3 fired; 1 still firing; 1 resolved"),
            (0, 0, 0, 4, "4 resolved"),
        ] {
            assert_eq!(Counts { fired, resolved_meanwhile, still_firing, resolved }.said(), expected);
        }
    }

    #[test]
    fn an_alert_counts_once_by_its_last_word() {
        let storm = fixture::storm();
        let summary = Summary::of(&storm).unwrap();
        let expected = Counts { fired: 31, resolved_meanwhile: 9, still_firing: 1, resolved: 3 };
        assert_eq!((summary.counts, summary.worst), (expected, Some(Level::Error)));
        let kinds: Vec<_> = summary
            .kinds
            .iter()
            .map(|kind| format!("{} {} {}", kind.name, kind.severity, kind.counts.said()))
            .collect();
        let expected = [
            "DatabaseDown error 1 fired",
            "HighErrorRate warning 12 fired, 8 of them resolved meanwhile",
            "DiskFull warning 1 still firing",
            "PodRestarts info 17 fired",
            "BackupLate warning 3 resolved",
            "Flap warning 1 fired and resolved meanwhile",
        ];
        assert_eq!(kinds, expected, "what fires first, then the worst, then the most");
        assert_eq!(summary.labels, [("cluster", "eu-1")]);
        let apart = summary.kinds[1].apart(&summary.labels, 3);
        assert_eq!(apart[0], [("instance", "web-08")], "one that fires, by what tells it apart");
        assert_eq!(summary.kinds[0].apart(&summary.labels, 3), [[("instance", "db-1")]]);
        assert!(Summary::of(&fixture::single()).is_none());
    }

    proptest! {
        #[test]
        fn counts_add_up(words in proptest::collection::vec((0..9_u8, any::<bool>(), 0..3_u8), 1..60)) {
            let mut digest = fixture::storm();
            digest.alerts = words
                .into_iter()
                .map(|(which, is_over, reason)| {
                    let alert = fixture::alert(
                        &[("alertname", ["A", "B", "C"][usize::from(which % 3)]), ("n", &which.to_string())],
                        &[],
                    );
                    let alert = if is_over { fixture::resolved(alert) } else { alert };
                    let reason = [Reason::First, Reason::Repeat, Reason::Refired][usize::from(reason)];
                    Notified { alert, reason }
                })
                .collect();
            let summary = Summary::of(&digest).unwrap();
            let mut last = HashMap::new();
            for Notified { alert, .. } in &digest.alerts {
                last.insert(alert.fingerprint, alert.status);
            }
            prop_assert_eq!(summary.counts.all(), last.len());
            prop_assert_eq!(summary.counts.firing(), last.values().filter(|status| **status == Status::Firing).count());
            for part in [Counts::all, Counts::firing] {
                prop_assert_eq!(summary.kinds.iter().map(|kind| part(&kind.counts)).sum::<usize>(), part(&summary.counts));
            }
            prop_assert_eq!(summary.kinds.iter().map(|kind| kind.alerts.len()).sum::<usize>(), last.len());
        }
    }
}
