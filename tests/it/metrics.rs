//! /metrics and the health of the process, as Prometheus and an orchestrator see them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};
use tokio::io::AsyncWriteExt;

use crate::harness::{Harness, alerts, http, process};
use crate::heartbeat;

const SOON: Duration = Duration::from_secs(10);

/// A life with something of everything in it.
pub async fn eventful() -> Harness {
    let harness = Harness::with_routes(&heartbeat::routes("name: prod, receivers: [oncall]")).await;
    harness.services.pagerduty.behave(Behaviour::answer(500, ""));
    harness.services.grafana.behave(Behaviour::answer(400, "{}"));
    let mut broken = alerts::alert("Broken", "critical");
    broken["startsAt"] = "yesterday".into();
    let marked = alerts::firing(
        &serde_json::json!({ "alertname": "Marked", "severity": "critical", "instance": "label-of-an-alert:9100" }),
        harness.now(),
    );
    harness.accept(&alerts::group("marked-group", &[marked, broken])).await;
    harness.accept(&alerts::one("Deploy", "info")).await;
    harness.accept(&alerts::one("Quiet", "none")).await;
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.accept(&alerts::one_resolved("Unknown", "critical")).await;
    assert_eq!(harness.post_bytes(b"hello".to_vec()).await.0, 400);
    harness.deliver(SOON).await;
    harness
}

/// Each family with its type, and the labels of its series.
pub fn families(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.clone_into(&mut family);
            found.entry(family.clone()).or_default();
        } else if !line.starts_with('#') {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split('=').next());
            found.get_mut(&family).unwrap().insert(format!("{name} {}", labels.collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

#[tokio::test]
async fn names_types_and_labels() {
    let harness = eventful().await;
    let (status, text) = harness.get("/metrics").await;
    assert_eq!(status, 200);
    let lines = families(&text).into_iter().flat_map(|(family, series)| {
        let series = series.into_iter().map(|series| format!("  {}", series.trim_end()));
        [family].into_iter().chain(series).collect::<Vec<_>>()
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    harness.finish().await;
}

#[tokio::test]
async fn labels_are_receivers_and_closed_sets_only() {
    let harness = eventful().await;
    let (_, text) = harness.get("/metrics").await;
    let mut values = BTreeMap::<&str, BTreeSet<&str>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        for label in labels.split('}').next().unwrap().split(',') {
            let (name, value) = label.split_once('=').unwrap();
            values.entry(name).or_default().insert(value.trim_matches('"'));
        }
    }
    for word in ["label-of-an-alert", "Marked", "marked-group", "DiskFull", "alertname"] {
        assert!(!text.contains(word), "{word} is in\n{text}");
    }
    values.remove("le");
    for of_the_build in ["version", "revision", "rustversion", "target_os", "target_arch"] {
        assert_eq!(values.remove(of_the_build).map(|values| values.len()), Some(1), "{of_the_build}");
    }
    insta::assert_debug_snapshot!(values);
    harness.finish().await;
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let harness = eventful().await;
    let (_, text) = harness.get("/metrics").await;
    let mut promtool = process::debian("promtool", "prometheus");
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    harness.finish().await;
}

#[tokio::test]
async fn prometheus_gets_open_metrics_because_it_asks_for_it() {
    let harness = eventful().await;
    let asked = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, content_type, last) in [
        (asked, "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
    ] {
        let head = format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
        let answer = http::read_to_end(http::connect(harness.address(), head.as_bytes()).await).await;
        assert!(answer.contains(&format!("content-type: {content_type}\r\n")), "{answer}");
        assert!(answer.ends_with(last) && answer.contains("# EOF") == (last == "# EOF\n"), "{answer}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_happened_is_counted() {
    let harness = eventful().await;
    let (_, text) = harness.get("/metrics").await;
    for (series, expected) in [
        (r#"webhooks_total{code="200"}"#, 7.0),
        (r#"webhooks_total{code="400"}"#, 1.0),
        ("webhook_duration_seconds_count", 8.0),
        (r#"alerts_received_total{status="firing"}"#, 5.0),
        (r#"alerts_received_total{status="resolved"}"#, 2.0),
        (r#"rejected_total{what="alert"}"#, 1.0),
        (r#"rejected_total{what="body"}"#, 1.0),
        (r#"alerts_total{receiver="oncall",reason="first"}"#, 1.0),
        (r#"alerts_total{receiver="oncall",reason="unknown_resolved"}"#, 1.0),
        (r#"alerts_total{receiver="team-slack",reason="first"}"#, 2.0),
        (r#"alerts_total{receiver="team-slack",reason="duplicate"}"#, 1.0),
        (r#"alerts_total{receiver="team-slack",reason="resolved"}"#, 1.0),
        (r#"alerts_total{receiver="team-slack",reason="unknown_resolved"}"#, 1.0),
        (r#"notifications_total{receiver="oncall",outcome="delivered"}"#, 2.0),
        (r#"notifications_total{receiver="oncall",outcome="retried"}"#, 1.0),
        (r#"notifications_total{receiver="oncall",outcome="dead"}"#, 0.0),
        (r#"notifications_total{receiver="team-slack",outcome="delivered"}"#, 3.0),
        (r#"notifications_total{receiver="dashboards",outcome="delivered"}"#, 0.0),
        (r#"notifications_total{receiver="dashboards",outcome="dead"}"#, 1.0),
        (r#"notifications_total{receiver="",outcome="dropped"}"#, 1.0),
        (r#"notification_duration_seconds_count{receiver="oncall"}"#, 3.0),
        (r#"notification_lag_seconds_count{receiver="oncall"}"#, 2.0),
        (r#"notification_lag_seconds_count{receiver="dashboards"}"#, 0.0),
        (r#"outbox_pending{receiver="oncall"}"#, 0.0),
        (r#"outbox_oldest_seconds{receiver="oncall"}"#, 0.0),
        (r#"dead_letters{receiver="dashboards"}"#, 1.0),
        (r#"receiver_up{receiver="dashboards"}"#, 1.0),
        // Marked at two receivers, DiskFull at one, Unknown at PagerDuty.
        ("dedup_entries", 4.0),
        ("config_last_reload_successful", 1.0),
        ("config_hash", 1.0),
    ] {
        let found = http::metric(&text, &format!("alertrouter_{series}"));
        assert!((found - expected).abs() < f64::EPSILON, "{series} is {found}, not {expected}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_waits_is_counted_with_its_age_and_its_lag() {
    let harness = Harness::start().await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.skip_to(Duration::from_secs(40));
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    assert_eq!(harness.metric(r#"alertrouter_outbox_pending{receiver="team-slack"}"#).await, 2.0);
    assert_eq!(harness.metric(r#"alertrouter_outbox_oldest_seconds{receiver="team-slack"}"#).await, 40.0);
    gate.open();
    harness.deliver(Duration::ZERO).await;
    let lag = "alertrouter_notification_lag_seconds";
    assert_eq!(harness.metric(&format!("{lag}_sum{{receiver=\"team-slack\"}}")).await, 40.0);
    assert_eq!(harness.metric(&format!("{lag}_count{{receiver=\"team-slack\"}}")).await, 2.0);
    harness.finish().await;
}

#[tokio::test]
async fn ready_means_that_alerts_can_be_taken_and_healthy_that_the_process_lives() {
    let harness = Harness::start().await;
    assert_eq!(harness.get("/-/healthy").await, (200, "healthy\n".to_owned()));
    assert_eq!(harness.get("/-/ready").await, (200, "ready\n".to_owned()));
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.begin_shutdown();
    harness.wait_until(async || harness.get("/-/ready").await == (503, "shutting down\n".to_owned())).await;
    assert_eq!(harness.get("/-/healthy").await, (200, "healthy\n".to_owned()));
    // The last counts before the end can still be scraped.
    assert_eq!(harness.metric(r#"alertrouter_webhooks_total{code="200"}"#).await, 1.0);
    gate.open();
    harness.wait_until(async || harness.services.slack.accepted().len() == 1).await;
    harness.finish_in_shutdown().await;
}
