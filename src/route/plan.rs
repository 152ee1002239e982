//! Which receivers must hear of which alerts of a body.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::Tree;
use crate::alert::{Alert, Status};
use crate::notification::ReceiverName;

/// What the tree makes of the alerts of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One alert for each fingerprint, in the order of first appearance, with the receivers of its routes and their
    /// `repeat_interval`. An alert that is dropped on purpose is here, too, with no receivers: its resolve must still
    /// reach whoever was told before routes.yaml changed.
    pub alerts: Vec<(Alert, Vec<(ReceiverName, Duration)>)>,
    /// Copies that were merged into another one with the same fingerprint (`dedup.ignore_labels`).
    pub merged: usize,
    /// Alerts that no receiver is to hear of (`receivers: []`).
    pub dropped: usize,
}

/// Routes the alerts of one body. Of several copies with the same fingerprint, a firing one beats resolved ones; among
/// firing ones the earliest `startsAt` wins, among resolved ones the latest `endsAt`: the episode is as long as any of
/// its copies says. Among equals the first one in the body wins. Everybody is told whom the routes name for any of them.
#[must_use]
pub fn plan(tree: &Tree, alerts: Vec<Alert>) -> Plan {
    let total = alerts.len();
    let mut kept: Vec<(Alert, Vec<(ReceiverName, Duration)>)> = Vec::with_capacity(total);
    let mut places = HashMap::with_capacity(total);
    for alert in alerts {
        match places.entry(alert.fingerprint) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                let receivers = tree.receivers(&alert.labels);
                kept.push((alert, receivers));
            }
            Entry::Occupied(place) => {
                if let Some((known, receivers)) = kept.get_mut(*place.get()) {
                    // The copies may differ in a label that `dedup.ignore_labels` names and a route asks for.
                    add(receivers, tree.receivers(&alert.labels));
                    merge(known, alert);
                }
            }
        }
    }
    let (merged, alerts) = (total - kept.len(), kept);
    let dropped = alerts.iter().filter(|(_, receivers)| receivers.is_empty()).count();
    Plan { alerts, merged, dropped }
}

/// Of two routes to one receiver the shorter interval counts; zero, which never repeats, is the longest.
fn add(receivers: &mut Vec<(ReceiverName, Duration)>, more: Vec<(ReceiverName, Duration)>) {
    let length = |repeat: Duration| if repeat.is_zero() { Duration::MAX } else { repeat };
    for (name, repeat) in more {
        match receivers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) if length(repeat) < length(*known) => *known = repeat,
            Some(_) => {}
            None => receivers.push((name, repeat)),
        }
    }
}

/// Leaves in `known` what the two copies say together.
fn merge(known: &mut Alert, mut new: Alert) {
    if beats(&new, known) {
        std::mem::swap(known, &mut new);
    }
    // One replica has resolved and the other still fires: the same episode, which began with the first of them. Else
    // the later start of the other would count as a new episode.
    let overlaps = new.ends_at.is_none() || new.ends_at >= known.starts_at;
    if known.status == Status::Firing && overlaps && new.starts_at.is_some() && new.starts_at < known.starts_at {
        known.starts_at = new.starts_at;
    }
}

fn beats(new: &Alert, known: &Alert) -> bool {
    match (new.status, known.status) {
        (Status::Firing, Status::Resolved) => true,
        (Status::Resolved, Status::Firing) => false,
        // A copy that says when it began beats one that does not.
        (Status::Firing, Status::Firing) => match (new.starts_at, known.starts_at) {
            (Some(new), Some(known)) => new < known,
            (new, known) => new.is_some() && known.is_none(),
        },
        (Status::Resolved, Status::Resolved) => new.ends_at > known.ends_at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Position, Route, matcher};
    use super::*;
    use crate::alert::{Fingerprint, Labels};
    use crate::clock::Timestamp;

    fn tree() -> Tree {
        let route = |matchers: &str, receivers: &[&str], routes| Route {
            matchers: matcher::parse(matchers).unwrap().matchers,
            receivers: receivers.iter().map(|name| ReceiverName::from(*name)).collect(),
            repeat_interval: Duration::from_mins(1),
            continues: false,
            routes,
            at: Position::default(),
        };
        let children = vec![route("severity=critical", &["page", "chat"], vec![]), route("severity=none", &[], vec![])];
        Tree { root: route("", &["chat"], children) }
    }

    fn alert(status: Status, severity: &str, fingerprint: u64, starts: Option<i64>, ends: i64) -> Alert {
        let at = |second| Timestamp::from_second(second).unwrap();
        Alert {
            status,
            labels: [("severity", severity)].into_iter().collect(),
            annotations: Labels::default(),
            starts_at: starts.map(at),
            ends_at: (status == Status::Resolved).then(|| at(ends)),
            generator_url: String::new(),
            fingerprint: Fingerprint(fingerprint),
        }
    }

    #[test]
    fn merges_the_copies_of_an_alert() {
        let (firing, resolved) = (Status::Firing, Status::Resolved);
        let check = |copies: &[(Status, Option<i64>, i64)], winner: usize, starts: Option<i64>| {
            let alerts: Vec<Alert> = copies.iter().map(|(s, from, to)| alert(*s, "x", 1, *from, *to)).collect();
            let planned = plan(&tree(), alerts.clone());
            assert_eq!(planned.alerts.len(), 1);
            let starts_at = starts.map(|second| Timestamp::from_second(second).unwrap());
            assert_eq!(planned.alerts[0].0, Alert { starts_at, ..alerts[winner].clone() }, "{copies:?}");
            assert_eq!(planned.merged, copies.len() - 1);
        };
        check(&[(resolved, Some(1), 9), (firing, Some(5), 0)], 1, Some(1));
        check(&[(firing, Some(5), 0), (resolved, Some(1), 9)], 0, Some(1));
        check(&[(firing, Some(5), 0), (resolved, Some(1), 3)], 0, Some(5));
        check(&[(firing, Some(5), 0), (firing, Some(4), 0), (firing, Some(6), 0)], 1, Some(4));
        check(&[(firing, None, 0), (firing, Some(4), 0)], 1, Some(4));
        check(&[(firing, Some(4), 0), (firing, None, 0)], 0, Some(4));
        check(&[(resolved, Some(1), 5), (resolved, Some(1), 9), (resolved, Some(1), 7)], 1, Some(1));
    }

    #[test]
    fn keeps_what_it_drops() {
        let planned = plan(&tree(), vec![alert(Status::Resolved, "none", 1, None, 1)]);
        assert_eq!((planned.alerts.len(), planned.dropped, planned.merged), (1, 1, 0));
    }

    prop_compose! {
        fn any_alert()(firing: bool, severity in "critical|none|x", fingerprint in 0u64..4,
                       starts in proptest::option::of(0i64..4), ends in 0i64..4) -> Alert {
            alert(if firing { Status::Firing } else { Status::Resolved }, &severity, fingerprint, starts, ends)
        }
    }

    proptest! {
        #[test]
        fn is_total_and_deterministic(alerts in proptest::collection::vec(any_alert(), 0..12)) {
            let planned = plan(&tree(), alerts.clone());
            prop_assert_eq!(&planned, &plan(&tree(), alerts.clone()));
            prop_assert_eq!(planned.alerts.len() + planned.merged, alerts.len());
            for alert in &alerts {
                let of = planned.alerts.iter().filter(|(kept, _)| kept.fingerprint == alert.fingerprint).count();
                prop_assert_eq!(of, 1);
            }
            // Planning the plan again changes no alert.
            let merged: Vec<_> = planned.alerts.iter().map(|(alert, _)| alert.clone()).collect();
            let again: Vec<_> = plan(&tree(), merged.clone()).alerts.into_iter().map(|(alert, _)| alert).collect();
            prop_assert_eq!(again, merged);
            // Whoever wants one of the copies is told.
            for alert in &alerts {
                let (_, told) = planned.alerts.iter().find(|(kept, _)| kept.fingerprint == alert.fingerprint).unwrap();
                for (name, _) in tree().receivers(&alert.labels) {
                    prop_assert!(told.iter().any(|(known, _)| *known == name));
                }
            }
        }

        #[test]
        fn label_order_is_irrelevant(mut pairs in proptest::collection::vec(("[a-z]{1,3}", "[a-z]{0,3}"), 0..6)) {
            pairs.push(("severity".to_owned(), "critical".to_owned()));
            pairs.sort();
            pairs.dedup_by(|a, b| a.0 == b.0);
            let forward: Labels = pairs.clone().into_iter().collect();
            let backward: Labels = pairs.into_iter().rev().collect();
            prop_assert_eq!(tree().receivers(&forward), tree().receivers(&backward));
        }
    }
}
