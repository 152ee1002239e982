//! `payload.custom_details`: what helps the person who opens the incident, in whatever room there is.
//!
//! What is too long is cut, the longest texts first: step by step nothing may be longer than half of before. Only then
//! pairs of labels and annotations are left out, and last all of an alert but its name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::MAX_NAME;
use super::incident::Incident;
use crate::alert::{Alert, Labels, Status};
use crate::notification::Notification;
use crate::receiver::{describe, text};

/// The longest text at first, and the shortest that one is cut to before anything is left out: bytes.
const LONGEST: usize = 16_384;
const SHORTEST: usize = 16;
/// How many pairs a set keeps, once texts cannot be cut any more.
const PAIRS: [usize; 4] = [200, 50, 10, 3];
/// What the name of an alert has at least.
const NAME: usize = 64;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Bytes of a text.
    text: usize,
    /// Pairs of a set.
    pairs: usize,
}

/// From all that there is to what is short.
fn cuts() -> impl Iterator<Item = Cut> {
    let texts = std::iter::successors(Some(LONGEST), |text| Some(text / 2)).take_while(|text| *text >= SHORTEST);
    let texts = texts.map(|text| Cut { text, pairs: usize::MAX });
    texts.chain(PAIRS.map(|pairs| Cut { text: 4 * SHORTEST, pairs })).chain([Cut { text: SHORTEST, pairs: 1 }])
}

/// The first that fits into `room` bytes.
fn fitting(room: usize, mut all: impl Iterator<Item = Value>) -> Option<Value> {
    // The key of the details and what stands around them.
    let room = room.saturating_sub(64);
    all.find(|details| details.to_string().len() <= room)
}

/// The cuts that may fit: those that would be far over are not tried, which with 16 MB of alerts saves seconds.
fn hopeful(alerts: &[&Alert], room: usize) -> impl Iterator<Item = Cut> {
    // Quotation marks, colons and commas.
    const PAIR: usize = 6;
    const ALERT: usize = 40;
    let size_of = |(name, value): (&str, &str)| name.len() + value.len();
    let sets: Vec<Vec<usize>> = alerts
        .iter()
        .flat_map(|alert| [&alert.labels, &alert.annotations])
        .map(|labels| labels.iter().map(size_of).collect())
        .collect();
    let around = alerts.len() * ALERT;
    let size = move |cut: Cut| {
        let set = |set: &Vec<usize>| set.iter().take(cut.pairs).map(|size| PAIR + (*size).min(cut.text)).sum::<usize>();
        around + sets.iter().map(set).sum::<usize>()
    };
    // Twice, because what is no text is left out.
    cuts().filter(move |cut| around <= room && size(*cut) <= room.saturating_mul(2))
}

/// Those of one alert.
pub(super) fn of_alert(notification: &Notification, alert: &Alert, room: usize) -> Value {
    let with = |cut: Cut| {
        let mut details = around(notification, cut);
        details["labels"] = object(&alert.labels, cut);
        details["annotations"] = object(&alert.annotations, cut);
        let runbook = alert.annotations.get("runbook_url");
        if !runbook.is_empty() {
            // As it stands, even where it is no address that can be linked.
            details["runbook"] = text::line(runbook, cut.text).into();
        }
        details
    };
    fitting(room, hopeful(&[alert], room).map(with)).unwrap_or_else(|| json!({ "name": shown_name(alert, NAME) }))
}

/// Those of several alerts, or of one that joins others.
pub(super) fn of_group(
    notification: &Notification,
    firing: &[&Alert],
    incident: Option<&Incident>,
    room: usize,
) -> Value {
    let resolved: Vec<&Alert> = notification.with_status(Status::Resolved).collect();
    let about = |cut: Cut| {
        let mut details = around(notification, cut);
        if let Some(incident) = incident {
            details["firing"] = incident.firing().max(firing.len()).into();
        }
        details
    };
    let whole = |cut: Cut| {
        let mut details = about(cut);
        details["alerts"] = firing.iter().map(|alert| shown(alert, cut)).collect();
        if !resolved.is_empty() {
            details["resolved"] = resolved.iter().map(|alert| Value::from(line(alert, cut))).collect();
        }
        details
    };
    let (least, ended) = (Cut { text: SHORTEST, pairs: 1 }, |details: &mut Value| {
        if !resolved.is_empty() {
            details["resolved"] = resolved.len().into();
        }
    });
    let lines = [Cut { text: 4 * NAME, pairs: 1 }, Cut { text: NAME, pairs: 1 }].map(|cut| {
        let mut details = about(least);
        details["alerts"] = firing.iter().map(|alert| Value::from(line(alert, cut))).collect();
        ended(&mut details);
        details
    });
    let counted = || {
        let mut details = about(least);
        details["alerts"] = counts(firing, room / 2);
        ended(&mut details);
        details
    };
    fitting(room, hopeful(firing, room).map(whole)).or_else(|| fitting(room, lines.into_iter())).unwrap_or_else(counted)
}

/// What is said once, whatever the number of alerts.
fn around(notification: &Notification, cut: Cut) -> Value {
    let group = &notification.group;
    let mut details = json!({ "group": object(&group.labels, cut) });
    if let Some(fallback) = describe::fallback(notification, cut.text.max(NAME)) {
        details["fallback"] = fallback.into();
    }
    if notification.others_firing > 0 {
        details["others_firing"] = notification.others_firing.into();
    }
    if group.truncated_alerts > 0 {
        details["truncated_alerts"] = group.truncated_alerts.into();
    }
    details
}

/// One alert of several.
fn shown(alert: &Alert, cut: Cut) -> Value {
    let mut shown = json!({
        "name": shown_name(alert, cut.text.clamp(NAME, MAX_NAME)),
        "labels": object(&alert.labels, cut),
        "annotations": object(&alert.annotations, cut),
    });
    if let Some(at) = alert.starts_at {
        shown["since"] = at.to_string().into();
    }
    if let Some(url) = text::http_url(&alert.generator_url).filter(|url| url.len() <= cut.text) {
        shown["source"] = url.into();
    }
    shown
}

/// One alert of many: `HighErrorRate on web-00:9100`.
fn line(alert: &Alert, cut: Cut) -> String {
    let (name, max) = (shown_name(alert, cut.text.clamp(NAME, MAX_NAME)), cut.text.max(NAME));
    match text::line(alert.labels.get("instance"), max) {
        source if source.is_empty() => name,
        source => text::cut(&format!("{name} on {source}"), max),
    }
}

/// How many alerts there are of each name, in at most `room` bytes.
fn counts(firing: &[&Alert], room: usize) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for alert in firing {
        *counts.entry(shown_name(alert, NAME)).or_default() += 1;
    }
    let (mut shown, mut size) = (Map::new(), 0);
    let all = counts.len();
    for (name, count) in counts {
        let entry = Value::from(name.as_str()).to_string().len() + 24;
        if size + entry > room {
            shown.insert("…".to_owned(), format!("{} more names", all - shown.len()).into());
            break;
        }
        size += entry;
        shown.insert(name, count.into());
    }
    shown.into()
}

fn shown_name(alert: &Alert, max: usize) -> String {
    describe::short_name(alert, max)
}

fn object(labels: &Labels, cut: Cut) -> Value {
    let mut object: Map<_, _> = labels
        .iter()
        .take(cut.pairs)
        .map(|(name, value)| (text::line(name, MAX_NAME), text::clean_cut(value, cut.text).into()))
        .collect();
    if labels.len() > cut.pairs {
        object.insert("…".to_owned(), format!("{} more", labels.len() - cut.pairs).into());
    }
    object.into()
}
