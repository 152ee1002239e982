//! PagerDuty, through the Events API v2 (developer.pagerduty.com/docs/events-api-v2).
//!
//! One alert is one incident: `trigger` opens it or is noted in it, `resolve` closes it, and the alert's fingerprint
//! keeps the two together. So a request that arrives twice does no harm.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::describe::{self, Level};
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, judge, text};
use crate::alert::{Alert, Labels, Status};
use crate::notification::{Granularity, Notification};

/// `payload.summary`: 1024 characters.
const MAX_SUMMARY: usize = 1024;
/// `payload.source` and the other names; no limit is documented.
const MAX_NAME: usize = 255;
/// The whole event may have 512 KB. Alertmanager takes that for 512,000 bytes, and so do we, with a margin.
const MAX_EVENT: usize = 500_000;
/// How `custom_details` is cut, from generous to what always fits: bytes of a value, pairs of a set.
const DETAILS: [(usize, usize); 3] = [(8192, 200), (1024, 100), (128, 50)];

/// PagerDuty, by its Events API v2.
#[derive(Debug)]
pub struct PagerDuty {
    /// The integration key: 32 characters.
    pub routing_key: SecretString,
    /// The Events API v2 endpoint.
    pub url: String,
}

impl Receiver for PagerDuty {
    fn granularity(&self) -> Granularity {
        Granularity::Alert
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        let alert = describe::only_alert(notification)?;
        let body = match alert.status {
            Status::Firing => self.trigger(notification, alert),
            Status::Resolved => self.event("resolve", alert),
        };
        Ok(Outgoing::json("event", Method::Post, self.url.as_str().into(), &body))
    }

    fn judge(&self, _notification: &Notification, answer: &Answer) -> Verdict {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = words(&body);
        let detail = judge::detail(answer, words.as_deref(), &[&self.routing_key]);
        match answer.status {
            202 => Verdict::Delivered { receipt: None },
            400 if words.is_some() => judge::reject(FailureClass::Refused, detail),
            // The API has no other final answer than 400.
            _ => judge::by_foreign_status(answer, detail),
        }
    }
}

impl PagerDuty {
    /// What every event needs. `dedup_key` may have 255 characters and is the fingerprint, so that it is the one that
    /// Alertmanager and amtool show.
    fn event(&self, action: &str, alert: &Alert) -> Value {
        json!({
            "routing_key": self.routing_key.expose_secret(),
            "event_action": action,
            "dedup_key": alert.fingerprint.to_string(),
        })
    }

    fn trigger(&self, notification: &Notification, alert: &Alert) -> Value {
        let mut event = self.event("trigger", alert);
        let labels: Vec<_> = alert.labels.iter().collect();
        let links: Vec<_> = describe::links(alert)
            .into_iter()
            .chain(describe::silence(&notification.group, &labels))
            .map(|link| json!({ "href": link.url, "text": link.label }))
            .collect();
        event["client"] = "alertrouter".into();
        if let Some(url) = text::http_url(&notification.group.external_url) {
            event["client_url"] = url.into();
        }
        if !links.is_empty() {
            event["links"] = links.into();
        }
        event["payload"] = payload(notification, alert);
        for (value, pairs) in DETAILS {
            event["payload"]["custom_details"] = details(notification, alert, value, pairs);
            if event.to_string().len() <= MAX_EVENT {
                break;
            }
        }
        event
    }
}

fn payload(notification: &Notification, alert: &Alert) -> Value {
    let mut payload = json!({
        "summary": summary(notification, alert),
        "source": name(&alert.labels, SOURCES).unwrap_or_else(|| "Alertmanager".to_owned()),
        "severity": Level::of(alert.severity()).as_str(),
        "timestamp": alert.starts_at.unwrap_or(notification.received_at).to_string(),
    });
    for (field, names) in [("component", COMPONENTS), ("group", GROUPS), ("class", &["alertname"])] {
        if let Some(name) = name(&alert.labels, names) {
            payload[field] = name.into();
        }
    }
    payload
}

/// Labels that name the affected system, the most exact first.
const SOURCES: &[&str] = &["instance", "pod", "node", "host", "hostname", "job", "service", "cluster"];
/// Labels that name the broken part of it.
const COMPONENTS: &[&str] = &["component", "service", "app", "container", "job"];
/// Labels that name what it belongs to.
const GROUPS: &[&str] = &["cluster", "namespace", "environment", "env", "team"];

/// The first of these labels that says something.
fn name(labels: &Labels, names: &[&str]) -> Option<String> {
    names.iter().map(|name| text::cut(&text::one_line(labels.get(name)), MAX_NAME)).find(|value| !value.is_empty())
}

/// What is read out on the phone: `HighErrorRate: 5xx > 5% on web-00:9100 (checkout)`.
fn summary(notification: &Notification, alert: &Alert) -> String {
    let said = text::one_line(describe::summary(alert));
    let mut out = text::cut(&describe::name(alert), MAX_NAME);
    if !said.is_empty() {
        out.push_str(": ");
        // What follows is short and tells one incident from the next, so the sentence gives way to it.
        out.push_str(&text::cut(&said, MAX_SUMMARY / 2));
    }
    if let Some(source) = name(&alert.labels, &["instance"]).filter(|source| !names_host(&out, source)) {
        out.push_str(" on ");
        out.push_str(&source);
    }
    let place: Vec<_> = notification
        .group
        .labels
        .iter()
        .filter(|(name, _)| !matches!(*name, "alertname" | "severity"))
        .map(|(_, value)| text::one_line(value))
        .filter(|value| !out.contains(value.as_str()))
        .collect();
    if !place.is_empty() {
        out = format!("{out} ({})", place.join(", "));
    }
    match &notification.fallback {
        // Whoever is woken by it has to know that it is not theirs.
        Some(fallback) => {
            let meant_for =
                format!(" [fallback for {}]", text::cut(&text::one_line(fallback.receiver.as_str()), MAX_NAME));
            text::cut(&out, MAX_SUMMARY - meant_for.len()) + &meant_for
        }
        None => text::cut(&out, MAX_SUMMARY),
    }
}

/// Whether a sentence names an instance already, with its port or without.
fn names_host(said: &str, instance: &str) -> bool {
    said.contains(instance) || instance.split_once(':').is_some_and(|(host, _)| !host.is_empty() && said.contains(host))
}

/// What helps the person who opens the incident.
fn details(notification: &Notification, alert: &Alert, value: usize, pairs: usize) -> Value {
    let group = &notification.group;
    let mut details = json!({
        "labels": object(&alert.labels, value, pairs),
        "annotations": object(&alert.annotations, value, pairs),
        "group": object(&group.labels, value, pairs),
    });
    let runbook = alert.annotations.get("runbook_url");
    if !runbook.is_empty() {
        // As it stands, even where it is no address that can be linked.
        details["runbook"] = text::cut(&text::one_line(runbook), value).into();
    }
    if let Some(fallback) = describe::fallback(notification) {
        details["fallback"] = text::cut(&fallback, value).into();
    }
    if notification.others_firing > 0 {
        details["others_firing"] = notification.others_firing.into();
    }
    if group.truncated_alerts > 0 {
        details["truncated_alerts"] = group.truncated_alerts.into();
    }
    details
}

fn object(labels: &Labels, value: usize, pairs: usize) -> Value {
    let mut object: Map<_, _> = labels
        .iter()
        .take(pairs)
        .map(|(name, text)| (text::cut(name, MAX_NAME), text::cut(&text::clean(text), value).into()))
        .collect();
    if labels.len() > pairs {
        object.insert("…".to_owned(), format!("{} more", labels.len() - pairs).into());
    }
    object.into()
}

/// PagerDuty's own words: `Event object is invalid: Length of 'routing_key' is incorrect`.
fn words(body: &Value) -> Option<String> {
    let message = body["message"].as_str()?;
    let errors: Vec<_> = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(if errors.is_empty() { message.to_owned() } else { format!("{message}: {}", errors.join("; ")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::fixture;

    fn pagerduty() -> PagerDuty {
        PagerDuty {
            routing_key: "0123456789abcdef0123456789abcdef".into(),
            url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
        }
    }

    fn body(notification: &Notification) -> Value {
        serde_json::from_slice(&pagerduty().encode(notification).unwrap().body).unwrap()
    }

    #[test]
    fn a_resolve_has_the_key_of_its_trigger_and_nothing_else() {
        let (trigger, resolve) = (body(&fixture::single()), body(&fixture::single_resolved()));
        assert_eq!(trigger["dedup_key"], resolve["dedup_key"]);
        assert_eq!(resolve.as_object().unwrap().len(), 3, "{resolve}");
        insta::assert_snapshot!(serde_json::to_string_pretty(&trigger).unwrap());
    }

    #[test]
    fn a_fallback_says_for_whom_and_why() {
        let event = body(&fixture::as_fallback(fixture::single()));
        assert_eq!(
            event["payload"]["summary"],
            "HighErrorRate: 5xx > 5% on web-00:9100 (checkout) [fallback for oncall]"
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap());
        // It is the same incident, whoever is told of it, and so is its end.
        assert_eq!(event["dedup_key"], body(&fixture::single())["dedup_key"]);
        assert_eq!(body(&fixture::as_fallback(fixture::single_resolved())), body(&fixture::single_resolved()));
    }

    #[test]
    fn summaries_say_what_broke_and_where_once() {
        let place = [("alertname", "HighErrorRate"), ("instance", "web-00:9100"), ("service", "checkout")];
        for (labels, summary, expected) in [
            (&place[..], "5xx > 5%", "HighErrorRate: 5xx > 5% on web-00:9100 (checkout)"),
            (&place[..], "5xx > 5% on web-00", "HighErrorRate: 5xx > 5% on web-00 (checkout)"),
            (&place[..], "checkout fails", "HighErrorRate: checkout fails on web-00:9100"),
            (&place[..1], "", "HighErrorRate (checkout)"),
            (&[("job", "node")], "down", "{job=\"node\"}: down (HighErrorRate, checkout)"),
        ] {
            let alert = fixture::alert(labels, &[("summary", summary)]);
            let mut group = fixture::group();
            if labels.len() == 1 && labels[0].0 == "job" {
                group.labels = [("name", "HighErrorRate"), ("service", "checkout")].into_iter().collect();
            }
            let notification = fixture::of(group, vec![alert], fixture::at("2026-11-21T20:00:00Z"));
            assert_eq!(body(&notification)["payload"]["summary"], expected);
        }
    }

    #[test]
    fn answers() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        for (status, expected) in [
            (202, None),
            (200, Some((true, Unexpected))),
            (302, Some((true, Unexpected))),
            (400, Some((false, Refused))),
            (401, Some((true, Unauthorized))),
            (403, Some((true, Unauthorized))),
            (404, Some((true, NotFound))),
            (408, Some((true, Timeout))),
            (413, Some((false, Refused))),
            (429, Some((true, RateLimited))),
            (500, Some((true, Unavailable))),
            (504, Some((true, Unavailable))),
        ] {
            let verdict = pagerduty().judge(&fixture::single(), &fixture::answer("event", status, ""));
            assert_eq!(fixture::failed(&verdict), expected, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_pagerdutys_words() {
        let answer = r#"{"status":"invalid event","message":"Event object is invalid",
            "errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#;
        let Verdict::Reject { failure } = pagerduty().judge(&fixture::single(), &fixture::answer("event", 400, answer))
        else {
            panic!("not refused")
        };
        assert_eq!(
            failure.detail,
            "HTTP 400: Event object is invalid: Length of 'routing_key' is incorrect (should be 32 characters)"
        );
    }
}
