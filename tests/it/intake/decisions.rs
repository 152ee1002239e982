//! Each row of the table "What is new", from the webhook to what the services have in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use alertrouter::clock::{Timestamp, after};
use serde_json::{Value, json};

use crate::harness::{Harness, ROUTES, alerts, start};

/// A moment of the story, in minutes.
fn minute(minutes: u64) -> Timestamp {
    after(start(), Duration::from_secs(minutes * 60))
}

fn fires(severity: &str, since: u64) -> Value {
    alerts::firing(&json!({ "alertname": "DiskFull", "severity": severity }), minute(since))
}

fn ended(severity: &str, since: u64, at: u64) -> Value {
    alerts::resolved(&fires(severity, since), minute(at))
}

/// The decisions so far: how often each receiver had each reason.
async fn decisions(harness: &Harness) -> BTreeMap<String, u64> {
    let (_, text) = harness.get("/metrics").await;
    let series = text.lines().filter_map(|line| line.strip_prefix("alertrouter_alerts_total{receiver=\""));
    let parse = |line: &str| {
        let (receiver, rest) = line.split_once("\",reason=\"")?;
        let (reason, count) = rest.split_once("\"} ")?;
        Some((format!("{receiver} {reason}"), count.parse().ok()?))
    };
    series.filter_map(parse).collect()
}

/// What became more.
fn new_ones(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let more = now.iter().filter(|(name, count)| **count > before.get(*name).copied().unwrap_or_default());
    more.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The minute, the alert that comes, the counts of the answer (notifications, duplicates, held), the decisions.
type Step = (u64, Value, [u64; 3], &'static str);

/// Posts the steps, alternately as two Alertmanagers that differ in their address only.
///
/// With `restarts` the service is started anew before each step: what it knows is on disk, and its cache only makes it
/// faster.
async fn tell(steps: &[Step], restarts: bool) -> Harness {
    let mut harness = Harness::start().await;
    for (turn, (at, alert, counts, expected)) in steps.iter().enumerate() {
        if restarts {
            harness.restart().await;
        }
        harness.skip_to(Duration::from_secs(at * 60));
        let before = decisions(&harness).await;
        let mut body = alerts::group("disks", std::slice::from_ref(alert));
        body["externalURL"] = format!("http://alertmanager-{}.example:9093", turn % 2).into();
        let answer = harness.accept(&body).await;
        let [notifications, duplicates, held] = counts;
        let counts = json!({ "alerts": 1, "notifications": notifications, "duplicates": duplicates, "held": held, "rejected": 0 });
        assert_eq!(answer, counts, "step {turn}");
        assert_eq!(new_ones(&before, &decisions(&harness).await), *expected, "step {turn}");
        if *held == 0 {
            harness.deliver(Duration::from_secs(10)).await;
        }
    }
    harness
}

/// PagerDuty's incidents: open or not, and how many triggers.
fn incidents(harness: &Harness) -> Vec<(bool, u32)> {
    harness.services.pagerduty.incidents().iter().map(|incident| (incident.open, incident.triggers)).collect()
}

/// Slack's headlines, without what follows the alert's name.
fn headlines(harness: &Harness) -> Vec<String> {
    harness.slack_texts().iter().map(|text| text.split(':').take(2).collect::<Vec<_>>().join(":")).collect()
}

#[tokio::test]
async fn an_alert_is_told_once_repeated_in_time_and_resolved_once() {
    for restarts in [false, true] {
        let steps = [
            (0, fires("critical", 0), [2, 0, 0], "oncall first, team-slack first"),
            (1, fires("critical", 0), [0, 2, 0], "oncall duplicate, team-slack duplicate"),
            (234, fires("critical", 0), [0, 2, 0], "oncall duplicate, team-slack duplicate"),
            (236, fires("critical", 0), [2, 0, 0], "oncall repeat, team-slack repeat"),
            (237, fires("critical", 0), [0, 2, 0], "oncall duplicate, team-slack duplicate"),
            (300, ended("critical", 0, 299), [2, 0, 0], "oncall resolved, team-slack resolved"),
            (301, ended("critical", 0, 299), [0, 2, 0], "oncall duplicate, team-slack duplicate"),
        ];
        let harness = tell(&steps, restarts).await;
        assert_eq!(incidents(&harness), [(false, 2)]);
        let expected =
            ["[FIRING:1] DiskFull", "[FIRING:1] DiskFull · still firing for 3h 56m", "[RESOLVED:1] DiskFull"];
        assert_eq!(headlines(&harness), expected);
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_new_episode_is_told_and_late_copies_of_the_one_before_are_not() {
    for restarts in [false, true] {
        let steps = [
            (0, fires("critical", 0), [2, 0, 0], "oncall first, team-slack first"),
            (10, fires("critical", 5), [2, 0, 0], "oncall refired, team-slack refired"),
            (11, fires("critical", 0), [0, 2, 0], "oncall duplicate, team-slack duplicate"),
            (12, ended("critical", 0, 4), [0, 2, 0], "oncall stale, team-slack stale"),
            (20, ended("critical", 5, 20), [2, 0, 0], "oncall resolved, team-slack resolved"),
            (30, fires("critical", 25), [2, 0, 0], "oncall refired, team-slack refired"),
        ];
        let harness = tell(&steps, restarts).await;
        assert_eq!(incidents(&harness), [(false, 2), (true, 1)]);
        assert_eq!(harness.services.slack.accepted().len(), 4);
        harness.finish().await;
    }
}

/// An alert that has ended, and then a peer's late view of it.
fn ended_and_held() -> Vec<Step> {
    vec![
        (0, fires("critical", 0), [2, 0, 0], "oncall first, team-slack first"),
        (10, ended("critical", 0, 9), [2, 0, 0], "oncall resolved, team-slack resolved"),
        (11, fires("critical", 0), [0, 0, 2], "oncall held, team-slack held"),
    ]
}

#[tokio::test]
async fn a_held_copy_is_dropped_as_stale_when_its_resolve_follows() {
    for restarts in [false, true] {
        let mut steps = ended_and_held();
        let all = "oncall duplicate, oncall stale, team-slack duplicate, team-slack stale";
        steps.push((12, ended("critical", 0, 9), [0, 2, 0], all));
        let harness = tell(&steps, restarts).await;
        harness.skip_to(Duration::from_secs(3600));
        harness.look().await;
        assert_eq!(incidents(&harness), [(false, 1)]);
        assert_eq!(headlines(&harness), ["[FIRING:1] DiskFull", "[RESOLVED:1] DiskFull"]);
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_held_copy_whose_resolve_does_not_follow_is_told_as_refired() {
    for restarts in [false, true] {
        let mut harness = tell(&ended_and_held(), restarts).await;
        if restarts {
            harness.restart().await;
        }
        let before = decisions(&harness).await;
        harness.skip_to(Duration::from_secs(16 * 60 - 1));
        harness.look().await;
        assert_eq!(incidents(&harness), [(false, 1)], "held for dedup.settle");
        harness.deliver(Duration::from_secs(10)).await;
        assert_eq!(new_ones(&before, &decisions(&harness).await), "oncall refired, team-slack refired");
        assert_eq!(incidents(&harness), [(false, 1), (true, 1)]);
        let refired = ["[FIRING:1] DiskFull", "[RESOLVED:1] DiskFull", "[FIRING:1] DiskFull · fires again"];
        assert_eq!(headlines(&harness), refired);
        harness.finish().await;
    }
}

#[tokio::test]
async fn an_unknown_resolve_is_told_where_state_is_kept() {
    let steps = [
        (10, ended("critical", 0, 9), [1, 1, 0], "oncall unknown_resolved, team-slack unknown_resolved"),
        (11, ended("info", 0, 9), [1, 0, 0], "dashboards unknown_resolved"),
        (12, ended("warning", 0, 9), [0, 1, 0], "team-slack unknown_resolved"),
    ];
    let harness = tell(&steps, false).await;
    let actions: Vec<_> =
        harness.services.pagerduty.accepted().iter().map(|event| event.json["event_action"].clone()).collect();
    assert_eq!(actions, ["resolve"]);
    let annotations = harness.services.grafana.annotations();
    let spans: Vec<_> = annotations.iter().map(|annotation| annotation.time_end - annotation.time).collect();
    assert_eq!(spans, [9 * 60 * 1000], "a region of the whole episode");
    assert_eq!(harness.slack_texts(), Vec::<String>::new());
    harness.finish().await;
}

#[tokio::test]
async fn a_repeat_interval_of_zero_never_repeats_and_a_routes_own_counts() {
    let routes = ROUTES
        .replace("receivers: [dashboards]", "receivers: [dashboards]\n      repeat_interval: 10m")
        .replace("receivers: [oncall, team-slack]", "receivers: [oncall, team-slack]\n      repeat_interval: 0s");
    let harness = Harness::with_routes(&routes).await;
    for severity in ["critical", "info"] {
        harness.accept(&alerts::group(severity, &[fires(severity, 0)])).await;
    }
    harness.deliver(Duration::from_secs(10)).await;
    harness.skip_to(Duration::from_secs(24 * 3600));
    let critical = harness.accept(&alerts::group("critical", &[fires("critical", 0)])).await;
    assert_eq!((critical["notifications"].as_u64(), critical["duplicates"].as_u64()), (Some(0), Some(2)));
    let info = harness.accept(&alerts::group("info", &[fires("info", 0)])).await;
    assert_eq!((info["notifications"].as_u64(), info["duplicates"].as_u64()), (Some(1), Some(0)));
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.services.grafana.annotations().len(), 1, "a repeat changes the annotation that is there");
    harness.finish().await;
}
