//! What an annotation says, whichever API it goes through.

use serde_json::json;

use super::Grafana;
use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::notification::Notification;
use crate::receiver::text::{self, html, html_link, line};
use crate::receiver::{custom, describe, markup};

/// A tag, and each side of its colon, has a column of 100 characters (grafana/grafana, `tag` table).
const MAX_TAG: usize = 100;
/// All tags of an annotation share a column of 500 characters, as JSON (grafana/grafana, `annotation_mig.go`).
pub(super) const MAX_TAGS: usize = 500;
/// Grafana's own limit is that of its database's text column; this is what fits on a screen.
const MAX_SUMMARY: usize = 500;
const MAX_DESCRIPTION: usize = 1500;
const MAX_LABELS: usize = 800;
const MAX_TEXT: usize = 3000;

/// What tells one firing-to-resolved stretch of an alert from the next.
pub(super) fn episode(alert: &Alert) -> String {
    format!("{}-{}", alert.fingerprint, alert.starts_at.map_or(0, Timestamp::as_microsecond))
}

pub(super) fn episode_tag(alert: &Alert) -> String {
    format!("episode:{}", episode(alert))
}

/// The episode first, because without it the annotation could not be found again.
pub(super) fn all_tags(configured: &[String], alert: &Alert) -> Vec<String> {
    let named = [("alertname", alert.name()), ("severity", alert.severity())];
    let named = named.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}:{value}"));
    let wanted = ["alertrouter".to_owned()].into_iter().chain(configured.iter().cloned()).chain(named);
    let mut tags = vec![episode_tag(alert)];
    for tag in wanted {
        let tag = line(&tag, MAX_TAG);
        tags.push(tag);
        if tags[..tags.len() - 1].contains(&tags[tags.len() - 1]) || json!(tags).to_string().len() > MAX_TAGS {
            tags.pop();
        }
    }
    tags
}

/// Epoch milliseconds, never 0, which Grafana takes for absent.
pub(super) fn starts(notification: &Notification, alert: &Alert) -> i64 {
    alert.starts_at.or(alert.ends_at).unwrap_or(notification.received_at).as_millisecond().max(1)
}

/// Epoch milliseconds; `None` while it fires. Later than the start, or it would be no region.
pub(super) fn ends(notification: &Notification, alert: &Alert) -> Option<i64> {
    alert.ends_at.map(|end| end.as_millisecond().max(starts(notification, alert) + 1))
}

impl Grafana {
    /// What the annotation says, and why the template could not be rendered, if so.
    pub(super) fn said(&self, notification: &Notification, alert: &Alert) -> (String, Option<String>) {
        let mut failed = None;
        let text = match custom::render(&self.text, notification, &mut failed) {
            Some(text) => custom_text(notification, &text),
            None => annotation_text(notification, alert),
        };
        (text, failed)
    }
}

/// Grafana shows the text of an annotation as HTML, where a line break is no line break (grafana/grafana,
/// `AnnotationTooltip2.tsx`).
pub(super) fn annotation_text(notification: &Notification, alert: &Alert) -> String {
    let labels: Vec<_> = alert.labels.iter().collect();
    let shown: Vec<_> =
        labels.iter().filter(|(name, _)| *name != "alertname").map(|(n, v)| format!("{n}={v}")).collect();
    let summary = line(describe::summary(alert), MAX_SUMMARY);
    let name = describe::short_name(alert, 200);
    let headline = if summary.is_empty() { name } else { format!("{name}: {summary}") };
    let links: Vec<_> = describe::links(alert)
        .into_iter()
        .chain(describe::silence(&notification.group, &labels))
        .map(|link| html_link(&link.url, link.label))
        .collect();
    let parts = [
        html(&headline, MAX_SUMMARY),
        html(&describe::fallback(notification, MAX_SUMMARY).unwrap_or_default(), MAX_SUMMARY),
        html(text::clean(alert.annotations.get("description")).trim(), MAX_DESCRIPTION),
        html(&line(shown.join(", "), MAX_LABELS), MAX_LABELS),
        links.join(" · "),
        truncation(notification),
    ];
    lines(&parts)
}

/// A text of routes.yaml, and what must be said whatever it says.
fn custom_text(notification: &Notification, text: &str) -> String {
    let fallback = html(&describe::fallback(notification, MAX_SUMMARY).unwrap_or_default(), MAX_SUMMARY);
    lines(&[markup::cut_html(text, MAX_TEXT), fallback, truncation(notification)])
}

fn truncation(notification: &Notification) -> String {
    match notification.group.truncated_alerts {
        0 => String::new(),
        left_out => format!("Alertmanager left out {} of this group (max_alerts)", text::count(left_out, "alert")),
    }
}

fn lines(parts: &[String]) -> String {
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    parts.join("\n").replace('\n', "<br>")
}
