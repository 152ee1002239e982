//! Bodies as Alertmanager 0.25, 0.33 and 0.34 have sent them.

use std::time::Duration;

use crate::harness::{Harness, alerts};

const GROUP_OF_4: &str = "alertmanager-0.25-01-firing-group-of-4.json";
const ONE_RESOLVED: &str = "alertmanager-0.25-02-mixed-one-resolved-three-firing.json";
const ALL_RESOLVED: &str = "alertmanager-0.25-03-all-resolved.json";
const TRUNCATED: &str = "alertmanager-0.25-04-truncated-max_alerts-2-firing.json";
const TRUNCATED_RESOLVED: &str = "alertmanager-0.25-05-truncated-status-resolved-but-2-hidden-firing.json";

const SOON: Duration = Duration::from_secs(10);

/// The open incidents, by the instance in their summary.
fn open_incidents(harness: &Harness) -> Vec<String> {
    let incidents = harness.services.pagerduty.incidents();
    let instance = |summary: &str| summary.split("web-").nth(1).unwrap_or("?").chars().take(2).collect::<String>();
    let mut open: Vec<_> =
        incidents.iter().filter(|incident| incident.open).map(|incident| instance(&incident.summary)).collect();
    open.sort();
    open
}

#[tokio::test]
async fn every_body_is_taken_whole_delivered_and_the_second_time_dropped() {
    // PagerDuty's incidents, Slack's messages, Grafana's annotations.
    for (name, alerts, expected) in [
        (GROUP_OF_4, 4, (4, 1, 0)),
        (ONE_RESOLVED, 4, (3, 1, 0)),
        (ALL_RESOLVED, 3, (0, 0, 0)),
        (TRUNCATED, 2, (2, 1, 0)),
        (TRUNCATED_RESOLVED, 2, (0, 0, 0)),
        ("alertmanager-0.25-06-groupkey-escaping.json", 1, (0, 0, 1)),
        ("alertmanager-0.25-07-group_by-all-single-alert.json", 1, (1, 1, 0)),
        ("alertmanager-0.25-08-no-annotations-missing-group-label.json", 1, (0, 0, 0)),
        ("alertmanager-0.33-firing-group-of-5.json", 5, (5, 1, 0)),
        ("alertmanager-0.33-mixed.json", 5, (2, 1, 0)),
        ("alertmanager-0.34-shape-mixed.json", 4, (3, 1, 0)),
    ] {
        let harness = Harness::start().await;
        let body = alerts::captured(name);
        let answer = harness.accept(&body).await;
        assert_eq!((answer["alerts"].as_u64(), answer["rejected"].as_u64()), (Some(alerts), Some(0)), "{name}");
        harness.deliver(SOON).await;
        let services = &harness.services;
        let found = (
            services.pagerduty.incidents().len(),
            services.slack.accepted().len(),
            services.grafana.annotations().len(),
        );
        assert_eq!(found, expected, "{name}");
        assert_eq!(services.slack.injections(), Vec::<String>::new(), "{name}");
        let again = harness.accept(&body).await;
        assert_eq!((again["notifications"].as_u64(), again["held"].as_u64()), (Some(0), Some(0)), "{name}");
        assert_eq!(harness.dead().await, 0, "{name}");
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_group_lives_from_firing_to_resolved() {
    let harness = Harness::start().await;
    for (name, open) in
        [(GROUP_OF_4, &["00", "01", "02", "03"][..]), (ONE_RESOLVED, &["01", "02", "03"]), (ALL_RESOLVED, &[])]
    {
        harness.accept(&alerts::captured(name)).await;
        harness.deliver(SOON).await;
        assert_eq!(open_incidents(&harness), open, "{name}");
    }
    let texts = harness.slack_texts();
    let states: Vec<_> = texts.iter().filter_map(|text| text.split(']').next()).collect();
    assert_eq!(states, ["[FIRING:4", "[RESOLVED:1", "[RESOLVED:3"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_truncated_group_says_so_and_closes_only_what_it_names() {
    let harness = Harness::start().await;
    harness.accept(&alerts::captured(GROUP_OF_4)).await;
    harness.deliver(SOON).await;
    let body = alerts::captured(TRUNCATED_RESOLVED);
    assert_eq!(body["status"], "resolved", "the group claims to be resolved as a whole");
    harness.accept(&body).await;
    harness.deliver(SOON).await;
    assert_eq!(open_incidents(&harness), ["02", "03"]);
    let messages = harness.services.slack.accepted();
    let said: Vec<_> =
        messages.iter().map(|message| message.json.to_string().contains("left out 2 alerts (max_alerts)")).collect();
    assert_eq!(said, [false, true]);
    harness.finish().await;
}

#[tokio::test]
async fn every_service_mentions_what_max_alerts_has_left_out() {
    let harness = Harness::start().await;
    let mut body = alerts::captured(TRUNCATED);
    body["alerts"][1]["labels"]["severity"] = "info".into();
    harness.accept(&body).await;
    harness.deliver(SOON).await;
    let details = &harness.services.pagerduty.accepted()[0].json["payload"]["custom_details"];
    assert_eq!(details["truncated_alerts"], 2);
    let text = &harness.services.grafana.annotations()[0].text;
    assert!(text.contains("left out 2 alerts of this group"), "{text}");
    let message = harness.services.slack.accepted()[0].json.to_string();
    assert!(message.contains("left out 2 alerts"), "{message}");
    harness.finish().await;
}
