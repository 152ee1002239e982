//! `payload.summary`: what is read out on the phone.

use super::incident::Incident;
use super::{MAX_NAME, MAX_SUMMARY, name};
use crate::alert::Alert;
use crate::notification::Notification;
use crate::receiver::{describe, text};

/// So many of a group's alerts are named.
const NAMED: usize = 5;

/// `HighErrorRate: 5xx > 5% on web-00:9100 (checkout)`.
pub(super) fn of_alert(notification: &Notification, alert: &Alert) -> String {
    // What follows is short and tells one incident from the next, so the sentence gives way to it.
    let said = text::line(describe::summary(alert), MAX_SUMMARY / 2);
    let mut out = describe::short_name(alert, MAX_NAME);
    if !said.is_empty() {
        out.push_str(": ");
        out.push_str(&said);
    }
    if let Some(source) = name(&alert.labels, &["instance"]).filter(|source| !names_host(&out, source)) {
        out.push_str(" on ");
        out.push_str(&source);
    }
    with_place(notification, out)
}

/// `3 alerts fire: HighErrorRate on web-00:9100, web-01:9100, web-02:9100 (checkout)`, with what is new first.
pub(super) fn of_group(notification: &Notification, firing: &[&Alert], incident: Option<&Incident>) -> String {
    let all = incident.map_or(firing.len(), Incident::firing).max(firing.len());
    let at_least = if incident.is_some_and(Incident::has_more) { "at least " } else { "" };
    let mut out = format!("{at_least}{}", text::count(all as u64, "alert"));
    out.push_str(if all == 1 { " fires: " } else { " fire: " });
    let mut last = None;
    for (at, alert) in firing.iter().take(NAMED).enumerate() {
        let named = describe::short_name(alert, MAX_NAME / 2);
        let source = name(&alert.labels, &["instance"]).map(|source| text::cut(&source, MAX_NAME / 4));
        let is_same = last.as_ref() == Some(&named);
        out.push_str(if at > 0 { ", " } else { "" });
        match source {
            Some(source) if is_same => out.push_str(&source),
            Some(source) => out.extend([&*named, " on ", &*source]),
            None => out.push_str(&named),
        }
        last = Some(named);
    }
    if firing.len() > NAMED {
        out = format!("{out} and {} more", firing.len() - NAMED);
    }
    with_place(notification, out)
}

/// With what the group is about, as far as it was not said yet, and whom a fallback was meant for.
fn with_place(notification: &Notification, mut out: String) -> String {
    let place: Vec<_> = notification
        .group
        .labels
        .iter()
        .filter(|(name, _)| !matches!(*name, "alertname" | "severity"))
        .map(|(_, value)| text::line(value, MAX_SUMMARY))
        .filter(|value| !out.contains(value.as_str()))
        .collect();
    if !place.is_empty() {
        out = format!("{out} ({})", place.join(", "));
    }
    marked(notification, &out)
}

/// A text of routes.yaml.
pub(super) fn of_routes_yaml(notification: &Notification, text: &str) -> String {
    marked(notification, &text::line(text, MAX_SUMMARY))
}

/// A summary within its limit, and what must stand there whatever else does.
fn marked(notification: &Notification, out: &str) -> String {
    match &notification.fallback {
        // Whoever is woken by it has to know that it is not theirs.
        Some(fallback) => {
            let meant_for = format!(" [fallback for {}]", text::line(&fallback.receiver, MAX_NAME));
            text::cut(out, MAX_SUMMARY - meant_for.len()) + &meant_for
        }
        None => text::cut(out, MAX_SUMMARY),
    }
}

/// Whether a sentence names an instance already, with its port or without.
fn names_host(said: &str, instance: &str) -> bool {
    said.contains(instance) || instance.split_once(':').is_some_and(|(host, _)| !host.is_empty() && said.contains(host))
}
