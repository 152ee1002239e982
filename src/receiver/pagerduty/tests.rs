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

/// An alert of the group `g`.
fn member(n: u64, status: Status) -> Alert {
    let labels = [("alertname", "Disk"), ("instance", &*format!("db-{n}:9100")), ("severity", "warning")];
    let mut alert = fixture::alert(&labels, &[("summary", &format!("disk {n} is full"))]);
    alert.fingerprint = Fingerprint(n);
    if status == Status::Resolved { fixture::resolved(alert) } else { alert }
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

fn told(fires: &[u64], ended: &[u64], others: u32, truncated: u64) -> Body {
    Body { fires: fires.to_vec(), ended: ended.to_vec(), others, truncated, hour: 0 }
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

/// Tells PagerDuty of one body after the other; what it is sent of each.
fn story(bodies: &[Body]) -> String {
    let (pagerduty, mut receipt, mut lines) = (per_group(), None, Vec::new());
    for body in bodies {
        let notification = body.notification(receipt.take());
        let (verdict, event) = if let Some(verdict) = pagerduty.without_request(&notification) {
            (verdict, json!({"event_action": "nothing"}))
        } else {
            let answer = fixture::answer("event", 202, r#"{"status":"success"}"#);
            (pagerduty.judge(&notification, &answer), sent(&pagerduty, &notification))
        };
        let Verdict::Delivered { receipt: next } = verdict else { panic!("{verdict:?}") };
        receipt = next;
        lines.push(event["event_action"].as_str().unwrap().to_owned());
    }
    lines.extend(receipt.map(|_| "open".to_owned()));
    lines.join(" ")
}

#[test]
fn an_incident_of_a_group_is_closed_with_the_last_of_its_alerts() {
    for (what, bodies, expected) in [
        ("all at once", vec![told(&[1, 2], &[], 0, 0), told(&[], &[1, 2], 0, 0)], "trigger resolve"),
        (
            "one by one, and one joins",
            vec![
                told(&[1], &[], 0, 0),
                told(&[2], &[], 1, 0),
                told(&[], &[1], 1, 0),
                told(&[3], &[2], 0, 0),
                told(&[], &[3], 0, 0),
            ],
            "trigger trigger nothing trigger resolve",
        ),
        ("not while one fires", vec![told(&[1, 2], &[], 0, 0), told(&[], &[1], 1, 0)], "trigger nothing open"),
        (
            "a peer that has not heard of the other one does not close it",
            vec![told(&[1, 2], &[], 0, 0), told(&[], &[1], 0, 0), told(&[], &[2], 0, 0)],
            "trigger nothing resolve",
        ),
        (
            "a resolve that was lost does not hold it open for ever",
            vec![
                told(&[1, 2], &[], 0, 0),
                told(&[1], &[], 0, 0).after_hours(24),
                told(&[], &[1], 0, 0).after_hours(25),
            ],
            "trigger trigger resolve",
        ),
        (
            "but nothing is taken for lost while the body says that others fire, or was cut",
            vec![
                told(&[1, 2], &[], 0, 0),
                told(&[1, 3], &[], 0, 0).after_hours(24),
                told(&[], &[1], 1, 0).after_hours(25),
                told(&[], &[3], 0, 1).after_hours(26),
            ],
            "trigger trigger nothing nothing open",
        ),
        (
            "what was cut off closes nothing, and was never told",
            vec![told(&[1, 2], &[], 0, 7), told(&[], &[1], 0, 8), told(&[], &[2], 0, 7)],
            "trigger nothing resolve",
        ),
    ] {
        assert_eq!(story(&bodies), expected, "{what}");
    }
}

#[test]
fn what_is_not_known_of_a_group_holds_its_incident_open() {
    for (what, bodies, expected) in [
        ("unknown ends are told, as for an alert", vec![told(&[], &[1], 0, 0)], "resolve"),
        (
            "unless others may fire",
            vec![told(&[], &[1], 1, 0), told(&[], &[2], 0, 3), told(&[], &[3], 0, 0)],
            "nothing nothing resolve",
        ),
        (
            "what was told before groups were incidents holds it open",
            vec![told(&[3], &[], 2, 0), told(&[], &[3], 2, 0), told(&[], &[1], 1, 0), told(&[], &[2], 0, 0)],
            "trigger nothing nothing resolve",
        ),
        (
            "a new incident after the end",
            vec![told(&[1], &[], 0, 0), told(&[], &[1], 0, 0), told(&[1], &[], 0, 0)],
            "trigger resolve trigger open",
        ),
        (
            "an unknown one that ends changes nothing",
            vec![told(&[1], &[], 0, 0), told(&[], &[9], 1, 0)],
            "trigger nothing open",
        ),
    ] {
        assert_eq!(story(&bodies), expected, "{what}");
    }
}

#[test]
fn a_group_has_one_key_at_a_receiver() {
    let keys: Vec<Value> = [told(&[1], &[], 0, 0), told(&[2], &[], 1, 0), told(&[], &[1], 0, 0)]
        .iter()
        .map(|body| sent(&per_group(), &body.notification(None))["dedup_key"].clone())
        .collect();
    assert_eq!(keys, vec![keys[0].clone(); 3]);
    assert_eq!(keys[0], "group-099e448697b48276cdaa286730ddb4bc");
    let other = Notification { receiver: "other".into(), ..told(&[1], &[], 0, 0).notification(None) };
    assert_ne!(sent(&per_group(), &other)["dedup_key"], keys[0]);
}

#[test]
fn a_group_is_read_at_a_glance() {
    let mut notification =
        told(&[1, 2, 3], &[4], 2, 5).notification(Some(Receipt("group critical 0000000000000009@1".to_owned())));
    notification.alerts[0].alert.annotations =
        [("summary", "disk is full"), ("image_url", "https://x.example/1.png"), ("runbook_url", "https://x.example/r")]
            .into_iter()
            .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&sent(&per_group(), &notification)).unwrap());
    for (body, receipt, expected) in [
        (told(&[1], &[], 0, 0), None, "Disk: disk 1 is full on db-1:9100 (checkout)"),
        (told(&[1, 2], &[], 0, 0), None, "2 alerts fire: Disk on db-1:9100, db-2:9100 (checkout)"),
        (
            told(&[2], &[1], 0, 0),
            Some("group warning 0000000000000001@1 0000000000000003@1"),
            "2 alerts fire: Disk on db-2:9100 (checkout)",
        ),
        (told(&[2], &[], 1, 0), None, "at least 1 alert fires: Disk on db-2:9100 (checkout)"),
        (
            told(&[1, 2, 3, 4, 5, 6, 7], &[], 0, 0),
            None,
            "7 alerts fire: Disk on db-1:9100, db-2:9100, db-3:9100, db-4:9100, db-5:9100 and 2 more (checkout)",
        ),
    ] {
        let notification = body.notification(receipt.map(|text| Receipt(text.to_owned())));
        assert_eq!(sent(&per_group(), &notification)["payload"]["summary"], expected);
    }
}

#[test]
fn an_incident_does_not_become_less_urgent() {
    let receipt = Receipt("group critical 0000000000000009@1".to_owned());
    let event = sent(&per_group(), &told(&[1], &[], 1, 0).notification(Some(receipt)));
    assert_eq!(event["payload"]["severity"], "critical", "although the new one is a warning");
}

#[test]
fn a_receipt_stays_small_and_never_closes_what_it_does_not_list() {
    let all: Vec<u64> = (0..5000).collect();
    let notification = told(&all, &[], 0, 0).notification(None);
    let receipt = per_group().receipt(&notification).unwrap();
    assert!(receipt.0.len() < 30_000, "{}", receipt.0.len());
    let event = sent(&per_group(), &notification);
    assert!(event["payload"]["summary"].as_str().unwrap().starts_with("at least 5000 alerts fire: "), "{event}");
    assert_eq!(event["payload"]["custom_details"]["alerts"].as_array().unwrap().len(), 5000, "each has its name");
    // All that are listed end, the others fire.
    let ended = told(&all[..1000], &[], 0, 0).fires;
    let next = told(&[], &ended, 4000, 0).notification(Some(receipt));
    assert!(per_group().without_request(&next).is_some(), "left open");
    let receipt = per_group().receipt(&next);
    assert_eq!(receipt.as_ref().map(|receipt| &*receipt.0), Some("group warning more"));
    let last = told(&[], &all[1000..], 0, 0).notification(receipt);
    assert_eq!(sent(&per_group(), &last)["event_action"], "resolve");
}

#[test]
fn an_unreadable_receipt_counts_as_none() {
    for text in ["", "group", "group critical", "group critical 1", "group x 1@2 more", "v2 1@2", "group critical zz@1"]
    {
        let notification = told(&[1], &[], 0, 0).notification(Some(Receipt(text.to_owned())));
        assert_eq!(sent(&per_group(), &notification)["event_action"], "trigger", "{text}");
    }
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
fn the_longest_texts_are_cut_first() {
    // Half a megabyte of one description; all the rest is short.
    let mut notification = sized(&[(3, 2, 9), (3, 2, 9), (3, 2, 9)]);
    notification.alerts[1].alert.annotations =
        [("description", &*"x".repeat(600_000)), ("summary", "short")].into_iter().collect();
    let event = sent(&per_group(), &notification);
    let alerts = &event["payload"]["custom_details"]["alerts"];
    assert_eq!(alerts[0]["annotations"]["description"].as_str(), Some("\"x\\\"x\\\"x\\"));
    assert_eq!(alerts[1]["annotations"]["summary"], "short");
    assert_eq!(alerts[1]["annotations"]["description"].as_str().unwrap().len(), 16_384);
    // Forty of them have to become shorter, and nothing else does.
    let long = "y".repeat(30_000);
    let mut notification = sized(&[(3, 2, 90); 40]);
    for notified in &mut notification.alerts {
        notified.alert.annotations = [("description", &*long), ("summary", "short")].into_iter().collect();
    }
    let event = sent(&per_group(), &notification);
    let alerts = event["payload"]["custom_details"]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 40);
    for alert in alerts {
        assert_eq!(alert["annotations"]["description"].as_str().unwrap().len(), 8192, "{alert}");
        assert_eq!(alert["labels"]["label_0"].as_str().unwrap().len(), 90);
    }
}

#[test]
fn a_thousand_labels_keep_their_names() {
    let wide = fixture::hostile().into_iter().find(|(name, _)| *name == "wide").unwrap().1;
    let event = body(&wide);
    let details = &event["payload"]["custom_details"];
    let whole = (4000, 4000);
    let labels = |key: &str| details[key].as_object().unwrap().len();
    assert_eq!((labels("labels"), labels("annotations")), whole, "texts are cut, pairs are not left out");
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
fn alerts_too_many_to_be_named_one_by_one_are_counted() {
    // More than could be named one by one: 20,000 of 500 names.
    let mut notification = sized(&[(60, 0, 0); 500]);
    let more: Vec<Notified> = (0..20_000)
        .map(|n| {
            let mut alert = notification.alerts[n % 500].alert.clone();
            alert.fingerprint = Fingerprint(n as u64);
            Notified { alert, reason: Reason::First }
        })
        .collect();
    notification.alerts = more;
    let event = sent(&per_group(), &notification);
    assert_eq!(named(&event), 20_000);
}

/// Every kind of event that there is. With `PAGERDUTY_CORPUS=FOLDER` they are also written there, a file each, to be held
/// against PagerDuty's own description.
#[test]
fn a_corpus_of_events() {
    let mut corpus: Vec<(String, Value)> = Vec::new();
    let singles = [
        ("trigger", fixture::single()),
        ("resolve", fixture::single_resolved()),
        ("fallback", fixture::as_fallback(fixture::single())),
    ];
    corpus.extend(singles.map(|(name, notification)| (name.to_owned(), body(&notification))));
    for (name, notification) in fixture::hostile() {
        for (kind, notification) in
            [("hostile", notification.clone()), ("hostile fallback", fixture::as_hostile_fallback(notification))]
        {
            if per_group().without_request(&notification).is_none() {
                corpus.push((format!("{kind} group {name}"), sent(&per_group(), &notification)));
            }
            let alerts = vec![notification.alerts[0].clone()];
            corpus.push((format!("{kind} {name}"), body(&Notification { alerts, ..notification })));
        }
    }
    let groups = [
        ("group", told(&[1, 2, 3], &[4], 2, 5)),
        ("group resolve", told(&[], &[1, 2], 0, 0)),
        ("group huge", told(&(0..3000).collect::<Vec<_>>(), &[], 0, 0)),
    ];
    corpus.extend(groups.map(|(name, told)| (name.to_owned(), sent(&per_group(), &told.notification(None)))));
    corpus.push(("group of long texts".to_owned(), sent(&per_group(), &sized(&[(200, 10, 3000); 60]))));
    let images = [("image_url", "https://x.example/1.png"), ("dashboard_url", "https://x.example/d")];
    let alert = fixture::alert(&[("alertname", "A"), ("severity", "page")], &images);
    let pictured = fixture::of(fixture::group(), vec![alert], fixture::at("2026-11-21T20:00:00Z"));
    corpus.push(("image".to_owned(), body(&pictured)));
    let mut mapped = pagerduty();
    mapped.severity_map = vec![("page".to_owned(), Level::Info)];
    corpus.push(("mapped severity".to_owned(), sent(&mapped, &pictured)));
    assert!(corpus.len() > 50, "{}", corpus.len());
    if let Some(folder) = std::env::var_os("PAGERDUTY_CORPUS") {
        for (name, event) in corpus {
            fs::write(Path::new(&folder).join(name.replace(' ', "-") + ".json"), event.to_string()).unwrap();
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
