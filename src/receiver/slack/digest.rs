//! The message for a digest: why it is one, how many alerts, and a line for each kind of them.
//!
//! Under the same limits as any other message; the budgets below stay under 9,000 bytes in sum.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::describe::{self, Link};
use super::super::digest::{Kind, Summary};
use super::super::text::{self, count, mrkdwn};
use super::blocks::{codes, color, date, join_links, mrkdwn_object, section};
use crate::notification::Notification;

/// How many kinds are shown at most, and what they may take together. The first one is always shown.
const MAX_SHOWN: usize = 20;
const KINDS_BUDGET: usize = 5400;
/// What one section may take: a text object takes 3000 characters.
const SECTION_BUDGET: usize = 2800;
/// How many alerts of a kind are shown by name.
const MAX_NAMED: usize = 3;
const MAX_NAME: usize = 120;
const MAX_LABELS: usize = 600;
/// The labels of one alert.
const MAX_OWN_LABELS: usize = 150;

/// The message for a digest.
pub(super) fn message(notification: &Notification, summary: &Summary<'_>) -> Value {
    let headline = mrkdwn(&headline(summary), 300);
    let why = summary.why();
    let fallback = describe::fallback(notification, 408).map(|fallback| mrkdwn(&fallback, 400));
    let notice = [Some(headline.clone()), Some(why.clone()), fallback.clone()];
    let notice: Vec<_> = notice.into_iter().flatten().collect();
    let mut head = vec![format!("*{headline}*")];
    head.extend(fallback);
    head.push(format!("{why}, since {}", date(summary.digest.since)));
    head.push(summary.counts.said());
    head.push(codes(summary.labels.iter().copied().filter(|(name, _)| *name != "alertname"), MAX_LABELS));
    head.retain(|line| !line.is_empty());
    let alertmanager = text::http_url(&notification.group.external_url).map(|url| Link { label: "Alertmanager", url });
    let mut blocks = vec![section(&head.join("\n"))];
    if let Some(link) = alertmanager {
        blocks.push(section(&join_links([link].iter(), text::MAX_URL + 50, text::MAX_URL + 50)));
    }
    json!({
        "text": notice.join(" · "),
        "blocks": blocks,
        "attachments": [{ "color": color(summary.worst), "blocks": details(notification, summary) }],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// `[FIRING:22 · RESOLVED:12] HighErrorRate, DiskFull and 4 more`, not yet escaped.
fn headline(summary: &Summary<'_>) -> String {
    let firing = summary.counts.firing();
    let state = match (firing, summary.counts.all() - firing) {
        (firing, 0) => format!("[FIRING:{firing}]"),
        (0, resolved) => format!("[RESOLVED:{resolved}]"),
        (firing, resolved) => format!("[FIRING:{firing} · RESOLVED:{resolved}]"),
    };
    let mut seen = HashSet::new();
    let names: Vec<_> = summary.kinds.iter().map(|kind| kind.name.as_str()).filter(|name| seen.insert(*name)).collect();
    let more = names.len().saturating_sub(2);
    let names: Vec<_> = names.into_iter().take(2).map(|name| text::cut(name, 80)).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{state} {}{more}", names.join(", "))
}

/// The kinds, and what of them is not shown.
fn details(notification: &Notification, summary: &Summary<'_>) -> Vec<Value> {
    let (mut sections, mut used, mut shown) = (vec![String::new()], 0, 0);
    for kind in summary.kinds.iter().take(MAX_SHOWN) {
        let line = line(kind, summary);
        if shown > 0 && used + line.len() > KINDS_BUDGET {
            break;
        }
        used += line.len() + 1;
        shown += 1;
        match sections.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= SECTION_BUDGET => {
                last.push_str(if last.is_empty() { "" } else { "\n" });
                last.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    let mut blocks: Vec<_> = sections.iter().filter(|text| !text.is_empty()).map(|text| section(text)).collect();
    let notes = notes(notification, &summary.kinds[shown..]);
    if !notes.is_empty() {
        blocks.push(json!({ "type": "context", "elements": [mrkdwn_object(&notes.join("\n"))] }));
    }
    blocks
}

/// What is not shown, so that nobody takes the message for all there is.
fn notes(notification: &Notification, hidden: &[Kind<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    if !hidden.is_empty() {
        let alerts: usize = hidden.iter().map(|kind| kind.counts.all()).sum();
        let firing: usize = hidden.iter().map(|kind| kind.counts.firing()).sum();
        let of = count(alerts as u64, "alert");
        let kinds = if hidden.len() == 1 { "kind" } else { "kinds" };
        notes.push(format!("and {} more {kinds}: {of}, {firing} firing", hidden.len()));
    }
    let truncated = notification.group.truncated_alerts;
    if truncated > 0 {
        notes.push(format!("Alertmanager left out {} (max_alerts)", count(truncated, "alert")));
    }
    notes
}

/// One kind: its name, its severity, how many, and the first of them by what tells them apart.
fn line(kind: &Kind<'_>, summary: &Summary<'_>) -> String {
    let severity = mrkdwn(&kind.severity, 60);
    let head = [format!("*{}*", mrkdwn(&kind.name, MAX_NAME)), severity, kind.counts.said()];
    let head: Vec<_> = head.into_iter().filter(|part| !part.is_empty()).collect();
    let apart = kind.apart(&summary.labels, MAX_NAMED);
    let mut named: Vec<_> = apart.iter().map(|labels| codes(labels.iter().copied(), MAX_OWN_LABELS)).collect();
    named.retain(|labels| !labels.is_empty());
    if named.is_empty() {
        return head.join(" · ");
    }
    let more = kind.alerts.len() - named.len();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}\n      {}{more}", head.join(" · "), named.join(", "))
}
