//! What every service is told of an alert, before it is written the way the service wants it.

use std::time::Duration;

use crate::alert::{Alert, Group, Labels};
use crate::clock::{Timestamp, between};
use crate::notification::{FallbackFor, Notification};

use super::{EncodeError, text};

/// How bad an alert is, on the scale that the services share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody has to act.
    Info,
    /// Somebody has to act soon.
    Warning,
    /// Something is broken.
    Error,
    /// Somebody has to act now.
    Critical,
}

impl Level {
    /// The level that a `severity` label names. An unknown or missing one is an error: a word that nobody mapped must
    /// neither wake everybody nor go unseen.
    #[must_use]
    pub fn of(severity: &str) -> Self {
        match severity.to_ascii_lowercase().as_str() {
            "critical" | "crit" | "page" | "fatal" | "emergency" | "disaster" | "p1" => Self::Critical,
            "warning" | "warn" | "medium" | "minor" | "p3" => Self::Warning,
            "info" | "informational" | "information" | "notice" | "none" | "debug" | "low" | "p4" | "p5" => Self::Info,
            // error, err, high, major, p2 and whatever else.
            _ => Self::Error,
        }
    }

    /// PagerDuty's word, which is the field's too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// A link that a message shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What stands there to click on.
    pub label: &'static str,
    /// Where it leads: from [`text::http_url`].
    pub url: String,
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
    let name = text::one_line(alert.name());
    if name.is_empty() { text::one_line(&alert.labels.to_string()) } else { name }
}

/// Whom a notification was meant for and why that one did not get it, in one line: `Fallback for oncall: HTTP 503 for 5m`.
/// `None` for one that goes where it was meant to go.
#[must_use]
pub fn fallback(notification: &Notification) -> Option<String> {
    let FallbackFor { receiver, reason } = notification.fallback.as_ref()?;
    Some(text::one_line(&format!("Fallback for {receiver}: {reason}")))
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
    fn severities_people_use_have_a_level() {
        for (severity, expected) in [
            ("critical", Level::Critical),
            ("PAGE", Level::Critical),
            ("error", Level::Error),
            ("high", Level::Error),
            ("Warn", Level::Warning),
            ("warning", Level::Warning),
            ("info", Level::Info),
            ("none", Level::Info),
            ("", Level::Error),
            ("sev-unknown", Level::Error),
        ] {
            assert_eq!(Level::of(severity), expected, "{severity}");
        }
    }

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
