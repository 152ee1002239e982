//! What PagerDuty is told, and that it would take it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::alert::{Fingerprint, Group};
use crate::notification::{Notified, Reason};
use crate::receiver::fixture;
use crate::standin::pagerduty::{MAX_EVENT as STANDIN_MAX, check};
use crate::template::{Escape, Template};

mod groups;
mod sizes;

fn pagerduty() -> PagerDuty {
    PagerDuty {
        routing_key: "0123456789abcdef0123456789abcdef".into(),
        url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
        incident_per: IncidentPer::Alert,
        severity_map: Vec::new(),
        summary: None,
    }
}

fn per_group() -> PagerDuty {
    PagerDuty { incident_per: IncidentPer::Group, ..pagerduty() }
}

fn sent(pagerduty: &PagerDuty, notification: &Notification) -> Value {
    let body = pagerduty.encode(notification).unwrap().body;
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert!(body.len() <= MAX_EVENT && body.len() <= STANDIN_MAX, "{} bytes", body.len());
    assert_eq!(check(&event), <[String; 0]>::default(), "{event}");
    event
}

fn body(notification: &Notification) -> Value {
    sent(&pagerduty(), notification)
}

/// An alert of the group `g`.
fn member(n: u64, status: Status) -> Alert {
    let labels = [("alertname", "Disk"), ("instance", &*format!("db-{n}:9100")), ("severity", "warning")];
    let mut alert = fixture::alert(&labels, &[("summary", &format!("disk {n} is full"))]);
    alert.fingerprint = Fingerprint(n);
    if status == Status::Resolved { fixture::resolved(alert) } else { alert }
}

fn told(fires: &[u64], ended: &[u64], others: u32, truncated: u64) -> Body {
    Body { fires: fires.to_vec(), ended: ended.to_vec(), others, truncated, hour: 0 }
}

/// Alerts of one group with texts of these lengths.
fn sized(sizes: &[(usize, usize, usize)]) -> Notification {
    let alerts = sizes.iter().enumerate().map(|(n, (name, pairs, text))| {
        let text = "\"x\\".repeat(text / 3);
        let names: Vec<String> = (0..*pairs).map(|pair| format!("label_{pair}")).collect();
        let name = format!("{n}{}", "N".repeat(*name));
        let mut labels = vec![("alertname", &*name)];
        labels.extend(names.iter().map(|name| (&**name, &*text)));
        fixture::alert(&labels, &[("description", &text), ("summary", &text)])
    });
    fixture::of(fixture::group(), alerts.collect(), fixture::at("2026-11-21T20:00:00Z"))
}

/// The names of the alerts in the details, whatever their form, with how many they stand for.
fn named(event: &Value) -> usize {
    match &event["payload"]["custom_details"]["alerts"] {
        Value::Array(alerts) => alerts.iter().filter(|alert| alert.is_string() || alert["name"].is_string()).count(),
        Value::Object(counts) => {
            assert!(counts.get("…").is_none(), "{}", event["payload"]["custom_details"]["alerts"]);
            counts.values().filter_map(Value::as_u64).map(|count| usize::try_from(count).unwrap()).sum()
        }
        other => panic!("{other}"),
    }
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
    assert_eq!(event["payload"]["summary"], "HighErrorRate: 5xx > 5% on web-00:9100 (checkout) [fallback for oncall]");
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

#[test]
fn severities_are_mapped_before_the_words_that_everybody_uses() {
    let mut pagerduty = pagerduty();
    pagerduty.severity_map = vec![("page".to_owned(), Level::Warning), ("sev-1".to_owned(), Level::Critical)];
    for (severity, expected) in
        [("page", "warning"), ("PAGE", "warning"), ("Sev-1", "critical"), ("crit", "critical"), ("other", "error")]
    {
        let notification = fixture::of(
            fixture::group(),
            vec![fixture::alert(&[("alertname", "A"), ("severity", severity)], &[])],
            fixture::at("2026-11-21T20:00:00Z"),
        );
        assert_eq!(sent(&pagerduty, &notification)["payload"]["severity"], expected, "{severity}");
    }
}

#[test]
fn pictures_are_shown_if_they_come_by_https() {
    for (image, expected) in [
        ("https://grafana.example/render/1.png", Some("https://grafana.example/render/1.png")),
        ("http://grafana.example/render/1.png", None),
        ("javascript:alert(1)", None),
        ("", None),
    ] {
        let annotations = [("image_url", image), ("dashboard_url", "https://grafana.example/d/1")];
        let alert = fixture::alert(&[("alertname", "A")], &annotations);
        let event = body(&fixture::of(fixture::group(), vec![alert], fixture::at("2026-11-21T20:00:00Z")));
        assert_eq!(event["images"][0]["src"].as_str(), expected);
        assert_eq!(event.get("images").is_some(), expected.is_some(), "no empty list: {event}");
        if expected.is_some() {
            let image = json!({"src": image, "alt": "A", "href": "https://grafana.example/d/1"});
            assert_eq!(event["images"], json!([image]));
        }
    }
}

/// What a body is about: who fires anew, who has ended, how many others fire, how many were cut off.
#[derive(Debug, Clone)]
struct Body {
    fires: Vec<u64>,
    ended: Vec<u64>,
    others: u32,
    truncated: u64,
    hour: i64,
}

impl Body {
    fn after_hours(self, hour: i64) -> Self {
        Self { hour, ..self }
    }

    fn notification(&self, receipt: Option<Receipt>) -> Notification {
        let alerts = self.fires.iter().map(|n| member(*n, Status::Firing));
        let alerts = alerts.chain(self.ended.iter().map(|n| member(*n, Status::Resolved))).collect();
        let group = Group { truncated_alerts: self.truncated, ..fixture::group() };
        let received_at = fixture::at("2026-11-21T20:00:00Z") + jiff::SignedDuration::from_hours(self.hour);
        Notification { others_firing: self.others, receipt, ..fixture::of(group, alerts, received_at) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn never_too_large_and_always_valid(
        sizes in prop::collection::vec((0usize..200, 0usize..8, 0usize..3000), 1..12),
        times in 1usize..10,
        truncated in 0u64..3,
    ) {
        let mut notification = sized(&sizes.repeat(times));
        Arc::make_mut(&mut notification.group).truncated_alerts = truncated;
        let event = sent(&per_group(), &notification);
        prop_assert_eq!(named(&event), notification.alerts.len());
        for notified in notification.alerts.iter().take(3) {
            sent(&pagerduty(), &Notification { alerts: vec![notified.clone()], ..notification.clone() });
        }
    }

    /// Whatever is delivered in which order: the incident is open exactly while an alert that PagerDuty was told of fires.
    #[test]
    fn the_incident_follows_its_alerts(steps in prop::collection::vec((0u64..6, any::<bool>()), 1..40)) {
        let (pagerduty, mut receipt, mut open) = (per_group(), None, false);
        let mut firing: BTreeSet<u64> = BTreeSet::new();
        for (n, fires) in steps {
            if firing.contains(&n) == fires {
                continue;
            }
            if fires { firing.insert(n); } else { firing.remove(&n); }
            let others = u32::try_from(firing.len()).unwrap() - u32::from(fires);
            let (new, ended) = if fires { (vec![n], vec![]) } else { (vec![], vec![n]) };
            let notification = told(&new, &ended, others, 0).notification(receipt);
            if pagerduty.without_request(&notification).is_none() {
                open = sent(&pagerduty, &notification)["event_action"] == "trigger";
            }
            receipt = pagerduty.receipt(&notification);
            prop_assert_eq!(open, !firing.is_empty());
            prop_assert_eq!(receipt.is_some(), open);
        }
    }
}

#[test]
fn a_summary_of_routes_yaml_takes_the_place_of_ours() {
    let summary = |source: &str, notification: &Notification| {
        let template = Template::compile("summary", source, Escape::Plain).unwrap();
        let pagerduty = PagerDuty { summary: Some(std::sync::Arc::new(template)), ..pagerduty() };
        let outgoing = pagerduty.encode(notification).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        (body["payload"]["summary"].as_str().unwrap_or_default().to_owned(), outgoing.template_error)
    };
    let (single, resolved) = (fixture::single(), fixture::single_resolved());
    let source = "{{ alert.labels.service }}\n<b> {{ alert.summary }}";
    assert_eq!(summary(source, &single), ("checkout <b> 5xx > 5%".to_owned(), None));
    let fallback = fixture::as_fallback(single.clone());
    assert_eq!(summary(source, &fallback).0, "checkout <b> 5xx > 5% [fallback for oncall]");
    let long = summary("{{ 'é' * 5000 }}", &fallback).0;
    assert!(long.len() <= MAX_SUMMARY && long.ends_with("… [fallback for oncall]"), "{long}");
    let (text, error) = summary("{{ alerts[7].name }}", &single);
    assert!(text.starts_with("HighErrorRate: 5xx > 5%") && error.is_some(), "{text} {error:?}");
    assert_eq!(summary("{{ alerts[7].name }}", &resolved), (String::new(), None), "a resolve has no summary");
}
