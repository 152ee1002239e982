//! What every service is told of an alert, before it is written the way the service wants it.

use std::collections::HashSet;
use std::time::Duration;

use crate::alert::{Alert, Group, Labels, Status};

pub use crate::alert::Level;
use crate::clock::{Timestamp, between};
use crate::notification::{FallbackFor, Notification, Notified};

use super::digest::latest;
use super::{EncodeError, text};

/// A link that a message shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What stands there to click on.
    pub label: &'static str,
    /// Where it leads: from [`text::http_url`].
    pub url: String,
}

/// What the alerts of a message share.
#[derive(Debug)]
pub struct InCommon<'a> {
    /// The labels of all of them: they are said once, at the top.
    pub labels: Vec<(&'a str, &'a str)>,
    /// The summary of those that it is about; empty if they differ.
    pub summary: &'a str,
    /// The links of these.
    pub links: Vec<Link>,
}

impl<'a> InCommon<'a> {
    /// Of alerts of which the first so many fire. It is about these, or about all if none does.
    #[must_use]
    pub fn of(alerts: &[&'a Notified], firing: usize) -> Self {
        let all = || alerts.iter().map(|notified| &notified.alert);
        let subject = || all().take(if firing > 0 { firing } else { alerts.len() });
        let mut summaries = subject().map(summary);
        let summary = summaries.next().filter(|first| summaries.all(|other| other == *first)).unwrap_or("");
        let mut shared = subject().next().map(links).unwrap_or_default();
        for alert in subject().skip(1) {
            let others = links(alert);
            shared.retain(|link| others.contains(link));
        }
        Self { labels: common(all().map(|alert| &alert.labels)), summary, links: shared }
    }
}

/// What fires first, and of that the worst.
pub fn sort(alerts: &mut [&Notified]) {
    alerts.sort_by_key(|notified| {
        let alert = &notified.alert;
        (alert.status == Status::Resolved, std::cmp::Reverse(Level::of(alert.severity())))
    });
}

/// The links of an alert, the most useful first: its runbook, its dashboard, its expression.
#[must_use]
pub fn links(alert: &Alert) -> Vec<Link> {
    [
        ("Runbook", alert.annotations.get("runbook_url")),
        ("Dashboard", alert.annotations.get("dashboard_url")),
        ("Source", &alert.generator_url),
    ]
    .into_iter()
    .filter_map(|(label, url)| Some(Link { label, url: text::http_url(url)? }))
    .collect()
}

/// The link to Alertmanager's form for a new silence of `labels`; none without labels, because that would silence
/// everything.
///
/// The form reads matchers from the `filter` of its fragment (prometheus/alertmanager, `ui/app`).
#[must_use]
pub fn silence(group: &Group, labels: &[(&str, &str)]) -> Option<Link> {
    let base = text::http_url(&group.external_url)?;
    // Encoded they are longer yet.
    if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > text::MAX_URL {
        return None;
    }
    let matchers: Vec<_> =
        labels.iter().map(|(name, value)| format!("{}={}", matcher_name(name), quoted(value))).collect();
    let filter = text::percent_encode(&format!("{{{}}}", matchers.join(",")));
    let url = format!("{}/#/silences/new?filter={filter}", base.trim_end_matches('/'));
    (!labels.is_empty() && url.len() <= text::MAX_URL).then_some(Link { label: "Silence", url })
}

/// Since Alertmanager 0.27 a label name may be any text; one that is no classic name is quoted.
fn matcher_name(name: &str) -> String {
    let classic = name.chars().all(|this| this.is_ascii_alphanumeric() || matches!(this, '_' | ':'));
    if classic && !name.starts_with(|first: char| first.is_ascii_digit()) { name.to_owned() } else { quoted(name) }
}

/// The escapes that both of Alertmanager's matcher parsers know.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The pairs that all of `sets` share, sorted by name.
#[must_use]
pub fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Vec<(&'a str, &'a str)> {
    let mut shared: Vec<_> = sets.next().map_or_else(Vec::new, |first| first.iter().collect());
    for labels in sets {
        shared.retain(|(name, value)| labels.get(name) == *value);
    }
    shared
}

/// What happened, in a sentence: the `summary` annotation, or `message`, which older rules use; empty without either.
#[must_use]
pub fn summary(alert: &Alert) -> &str {
    [alert.annotations.get("summary"), alert.annotations.get("message")]
        .into_iter()
        .find(|text| !text.trim().is_empty())
        .unwrap_or("")
}

/// What to call an alert, in one line and never empty: its `alertname`, or its labels where it has none.
#[must_use]
pub fn name(alert: &Alert) -> String {
    short_name(alert, usize::MAX)
}

/// [`name`] in at most `max` bytes, cut as [`text::cut`] does it.
#[must_use]
pub fn short_name(alert: &Alert, max: usize) -> String {
    let name = text::line(alert.name(), max);
    if name.is_empty() { text::line(&alert.labels, max) } else { name }
}

/// The first two of the names of these alerts, each once: `HighErrorRate, Down and 3 more`.
pub fn names<'a>(alerts: impl Iterator<Item = &'a Alert>) -> String {
    let (mut first, mut seen) = (Vec::new(), HashSet::new());
    for alert in alerts {
        let name = short_name(alert, 80);
        if !seen.contains(&name) {
            first.extend((first.len() < 2).then(|| name.clone()));
            seen.insert(name);
        }
    }
    let more = seen.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// State, counts and names in one line: `[FIRING:2 · RESOLVED:1] HighErrorRate, Down and 3 more`. What fires comes first,
/// the worst of it at the front.
#[must_use]
pub fn headline(notification: &Notification) -> String {
    headline_beyond(notification, 0, 0)
}

/// [`headline`] of so many more firing and resolved ones than the notification has.
#[must_use]
pub fn headline_beyond(notification: &Notification, firing: usize, resolved: usize) -> String {
    let mut alerts: Vec<_> = latest(notification).into_iter().map(|notified| &notified.alert).collect();
    alerts
        .sort_by_cached_key(|alert| (alert.status == Status::Resolved, std::cmp::Reverse(Level::of(alert.severity()))));
    let shown = alerts.iter().filter(|alert| alert.status == Status::Firing).count();
    let state = match (shown + firing, alerts.len() - shown + resolved) {
        (firing, 0) => format!("[FIRING:{firing}]"),
        (0, resolved) => format!("[RESOLVED:{resolved}]"),
        (firing, resolved) => format!("[FIRING:{firing} · RESOLVED:{resolved}]"),
    };
    format!("{state} {}", names(alerts.into_iter()))
}

/// Whom a notification was meant for and why that one did not get it, in one line: `Fallback for oncall: HTTP 503 for 5m`.
/// `None` for one that goes where it was meant to go. In at most `max` bytes.
#[must_use]
pub fn fallback(notification: &Notification, max: usize) -> Option<String> {
    let FallbackFor { receiver, reason } = notification.fallback.as_ref()?;
    Some(text::line(format_args!("Fallback for {receiver}: {reason}"), max))
}

/// How long the alert had been firing when the webhook came, or how long it fired in all; `None` where the sender did
/// not say when it began.
#[must_use]
pub fn lasted(alert: &Alert, received_at: Timestamp) -> Option<Duration> {
    alert.starts_at.map(|starts_at| between(starts_at, alert.ends_at.unwrap_or(received_at)))
}

/// The alert of a notification to a receiver that takes one at a time.
///
/// # Errors
/// If there is not exactly one. That happens where a receiver of routes.yaml became another kind under the same name
/// while notifications of whole groups were waiting: to send the first alert only would lose the others in silence.
pub fn only_alert(notification: &Notification) -> Result<&Alert, EncodeError> {
    match notification.alerts.as_slice() {
        [only] => Ok(&only.alert),
        all => Err(EncodeError(format!(
            "the notification holds {} alerts and the receiver takes one; was it of another kind before?",
            all.len()
        ))),
    }
}

/// That there is something to tell.
///
/// # Errors
/// If there is no alert, which breaks what [`Notification::alerts`] promises.
pub fn some_alert(notification: &Notification) -> Result<(), EncodeError> {
    if notification.alerts.is_empty() { Err(EncodeError("the notification holds no alert".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_prefilled_with_the_labels() {
        let group = Group { external_url: "http://am.example:9093/am/".to_owned(), ..Group::default() };
        let labels = [("alertname", "Down"), ("path.x", "C:\\a \"b\"")];
        let link = silence(&group, &labels).unwrap();
        assert_eq!(
            link.url,
            "http://am.example:9093/am/#/silences/new?filter=%7Balertname%3D%22Down%22%2C%22path.x%22%3D%22C%3A%5C%5Ca%20%5C%22b%5C%22%22%7D"
        );
        assert_eq!(silence(&group, &[]), None, "a silence of everything");
        assert_eq!(silence(&group, &[("a", "x".repeat(3000).as_str())]), None, "a cut matcher would not match");
        let odd = Group { external_url: "javascript:alert(1)".to_owned(), ..Group::default() };
        assert_eq!(silence(&odd, &labels), None);
    }

    #[test]
    fn common_labels_are_those_of_all() {
        let one: Labels = [("a", "1"), ("b", "2")].into_iter().collect();
        let two: Labels = [("a", "1"), ("b", "3")].into_iter().collect();
        assert_eq!(common([&one, &two].into_iter()), [("a", "1")]);
        assert_eq!(common([&one].into_iter()), [("a", "1"), ("b", "2")]);
        assert_eq!(common(std::iter::empty()), []);
    }
}
