//! Notifications to try templates with, so that mistakes are found before the night.

use std::sync::Arc;

use super::{Template, TemplateError, context, filters};
use crate::alert::{Alert, Fingerprint, Group, Labels, Status};
use crate::clock::{Timestamp, after};
use crate::notification::{DeliveryId, Digest, FallbackFor, Granularity, Notification, Notified, Reason};

/// A sample and what it is a sample of.
#[derive(Debug)]
pub struct Sample {
    /// In words: `a resolved alert`.
    pub of: &'static str,
    /// To be rendered.
    pub notification: Notification,
}

/// The samples for a receiver that takes whole groups or single alerts.
#[must_use]
pub fn all(granularity: Granularity) -> Vec<Sample> {
    let full = |n: usize| alert(n, &TEXTS);
    let bare = || alert(0, &[]);
    let sample = |of, notification| Sample { of, notification };
    let mut samples = vec![
        sample("an alert that fires", of(vec![full(0)])),
        sample("an alert that is resolved", of(vec![resolved(full(0))])),
        sample("an alert without annotations", of(vec![bare()])),
        sample("a fallback", as_fallback(of(vec![full(0)]))),
    ];
    if granularity == Granularity::Group {
        samples.extend([
            sample("several alerts that fire", of((0..4).map(full).collect())),
            sample("alerts of which some are resolved", of(vec![full(0), resolved(full(1)), full(2)])),
            sample("a digest", as_digest(of(vec![full(0), resolved(full(0)), full(1), bare()]))),
            sample("a hundred alerts", of((0..100).map(full).collect())),
        ]);
    }
    samples
}

impl Template {
    /// Renders the template with every sample.
    ///
    /// # Errors
    /// What is wrong with the first sample that cannot be rendered, or that renders to nothing although its alerts have
    /// every label and annotation.
    pub fn check(&self, granularity: Granularity) -> Result<(), TemplateError> {
        self.check_names()?;
        for Sample { of, notification } in all(granularity) {
            // An alert with all labels there are, then one with those of the sample only.
            for missing in ["1", ""] {
                let text = self.text(&notification, missing).map_err(|error| TemplateError {
                    message: format!("{} (with a sample of {of})", error.message),
                    ..error
                })?;
                if !missing.is_empty() && text.trim().is_empty() {
                    let hint = Some("the built-in text would take its place; write an `else`, or `{{ x or title }}`");
                    let message = format!("it renders to nothing (with a sample of {of})");
                    return Err(TemplateError { hint, ..TemplateError::new(message) });
                }
            }
        }
        Ok(())
    }

    /// Looks for names that are none of ours, also where no sample comes by.
    fn check_names(&self) -> Result<(), TemplateError> {
        let Ok(template) = self.environment.get_template(self.key) else { return Ok(()) };
        let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        used.sort();
        for path in used {
            let mut parts = path.split('.');
            let (root, field) = (parts.next().unwrap_or_default(), parts.next());
            let (known, name): (&[&str], &str) = match (root, field) {
                ("alert", Some(field)) => (&context::ALERT, field),
                ("notification", Some(field)) => (&context::NOTIFICATION, field),
                _ => (&context::ROOT, root),
            };
            if !known.contains(&name) && name != "dict" {
                return Err(TemplateError::unknown(template.source(), name));
            }
        }
        Ok(())
    }

    /// What can be named in it, for suggestions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        context::ROOT.into_iter().chain(context::ALERT).chain(context::NOTIFICATION).chain(filters::NAMES)
    }
}

const TEXTS: [(&str, &str); 4] = [
    ("summary", "5xx > 5 % on \"checkout\""),
    ("description", "7.3 % of requests fail\nsince the last deploy; see C:\\logs & <dashboard>"),
    ("runbook_url", "https://runbooks.example/high-error-rate"),
    ("dashboard_url", "https://grafana.example/d/abc?var-service=checkout&from=now-1h"),
];

fn alert(n: usize, annotations: &[(&str, &str)]) -> Alert {
    let instance = format!("web-{n:02}:9100");
    let severity = ["critical", "warning"][n % 2];
    let labels =
        [("alertname", "HighErrorRate"), ("service", "checkout"), ("severity", severity), ("instance", &instance)];
    let labels: Labels = labels.into_iter().collect();
    Alert {
        status: Status::Firing,
        fingerprint: Fingerprint::of(&labels, &[]),
        labels,
        annotations: annotations.iter().copied().collect(),
        starts_at: Some(minute(n % 7)),
        ends_at: None,
        generator_url: "http://prometheus.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
    }
}

fn resolved(alert: Alert) -> Alert {
    Alert { status: Status::Resolved, ends_at: Some(minute(30)), ..alert }
}

/// So many minutes into some evening.
fn minute(minute: usize) -> Timestamp {
    let evening = Timestamp::from_second(1_795_287_600).unwrap_or_default();
    after(evening, std::time::Duration::from_mins(minute as u64))
}

fn of(alerts: Vec<Alert>) -> Notification {
    let labels: Labels = [("alertname", "HighErrorRate"), ("service", "checkout")].into_iter().collect();
    let group = Group {
        key: "{}:{alertname=\"HighErrorRate\", service=\"checkout\"}".to_owned(),
        receiver: "alertrouter".to_owned(),
        common_labels: labels.clone(),
        labels,
        common_annotations: Labels::default(),
        external_url: "http://alertmanager.example:9093".to_owned(),
        truncated_alerts: if alerts.len() > 50 { 12 } else { 0 },
    };
    let notified = |alert: Alert| {
        let reason = if alert.status == Status::Firing { Reason::First } else { Reason::Resolved };
        Notified { alert, reason }
    };
    Notification {
        id: DeliveryId(1),
        receiver: "sample".into(),
        group: Arc::new(group),
        alerts: alerts.into_iter().map(notified).collect(),
        others_firing: 1,
        received_at: minute(31),
        attempt: 1,
        receipt: None,
        fallback: None,
        digest: None,
    }
}

fn as_fallback(notification: Notification) -> Notification {
    let fallback =
        FallbackFor { receiver: "oncall".into(), reason: "HTTP 503: \"no healthy upstream\" for 5m".to_owned() };
    Notification { fallback: Some(fallback), ..notification }
}

fn as_digest(notification: Notification) -> Notification {
    Notification { digest: Some(Digest { notifications: 3, since: minute(20) }), ..notification }
}
