//! What routes.yaml decides about alerts.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Harness, ROUTES, alerts, start};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn ignored_labels_merge_the_copies_of_several_prometheis() {
    let routes = format!("{ROUTES}\ndedup: {{ ignore_labels: [prometheus_replica, cluster] }}\n");
    let harness = Harness::with_routes(&routes).await;
    let copy = |replica: &str| {
        let labels = json!({ "alertname": "DiskFull", "severity": "critical", "prometheus_replica": replica, "cluster": replica });
        alerts::firing(&labels, start())
    };
    let both = harness.accept(&alerts::group("disks", &[copy("a"), copy("b")])).await;
    let expected = json!({ "alerts": 2, "notifications": 2, "duplicates": 1, "held": 0, "rejected": 0 });
    assert_eq!(both, expected, "of two copies in one body one counts");
    assert_eq!(harness.accept(&alerts::group("disks", &[copy("c")])).await["duplicates"], 2);
    harness.deliver(SOON).await;
    assert_eq!((harness.services.pagerduty.incidents().len(), harness.slack_texts().len()), (1, 1));
    // One of them still fires: the incident stays open.
    harness.skip_to(Duration::from_secs(60));
    let ends_at = harness.now();
    let mixed = [alerts::resolved(&copy("a"), ends_at), copy("b")];
    assert_eq!(harness.accept(&alerts::group("disks", &mixed)).await["notifications"], 0);
    let ended = [alerts::resolved(&copy("a"), ends_at), alerts::resolved(&copy("b"), ends_at)];
    harness.accept(&alerts::group("disks", &ended)).await;
    harness.deliver(SOON).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    harness.finish().await;
}

#[tokio::test]
async fn alerts_dropped_on_purpose_are_counted() {
    let harness = Harness::start().await;
    let group = alerts::group("quiet", &[alerts::alert("A", "none"), alerts::alert("B", "none")]);
    let answer = harness.accept(&group).await;
    let expected = json!({ "alerts": 2, "notifications": 0, "duplicates": 0, "held": 0, "rejected": 0 });
    assert_eq!(answer, expected);
    assert_eq!(harness.metric(r#"alertrouter_notifications_total{receiver="",outcome="dropped"}"#).await, 2.0);
    assert_eq!(harness.stats().await.dedup_entries, 0);
    harness.finish().await;
}

#[tokio::test]
async fn without_send_resolved_the_state_changes_and_nothing_is_sent() {
    let routes = ROUTES.replace("- name: team-slack", "- name: team-slack\n    send_resolved: false");
    let harness = Harness::with_routes(&routes).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    assert!(!harness.services.pagerduty.incidents()[0].open, "the others get the resolve");
    assert_eq!(harness.slack_texts().len(), 1);
    assert_eq!(harness.metric(r#"alertrouter_alerts_total{receiver="team-slack",reason="resolved"}"#).await, 1.0);
    assert_eq!(
        harness.metric(r#"alertrouter_notifications_total{receiver="team-slack",outcome="dropped"}"#).await,
        1.0
    );
    // The state did change: what fires now is a new episode.
    harness.skip_to(Duration::from_secs(300));
    let labels = json!({ "alertname": "DiskFull", "severity": "critical" });
    harness.accept(&alerts::group("DiskFull", &[alerts::firing(&labels, harness.now())])).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.metric(r#"alertrouter_alerts_total{receiver="team-slack",reason="refired"}"#).await, 1.0);
    assert_eq!(harness.slack_texts().len(), 2);
    harness.finish().await;
}

#[tokio::test]
async fn a_resolve_goes_to_whoever_was_told_although_the_routes_have_changed() {
    let harness = Harness::start().await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    // Nobody is on call for criticals any more; the receivers themselves are still there.
    let changed = ROUTES.replace("receivers: [oncall, team-slack]", "receivers: [dashboards]").replace(
        "- matchers: [severity=info]\n      receivers: [dashboards]",
        "- matchers: [severity=page]\n      receivers: [oncall]",
    );
    assert_eq!(harness.reload(&changed).await, (200, "reloaded\n".to_owned()));
    let answer = harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    assert_eq!(answer["notifications"], 3, "those who were told, and the new one, which keeps state");
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events(), ["trigger DiskFull", "resolve DiskFull"]);
    assert_eq!(harness.slack_texts().len(), 2);
    // The same where the routes now drop it on purpose.
    assert_eq!(harness.accept(&alerts::one("Other", "page")).await["notifications"], 1);
    let dropped = changed.replace("receivers: [oncall]", "receivers: []");
    assert_eq!(harness.reload(&dropped).await.0, 200);
    harness.accept(&alerts::one_resolved("Other", "page")).await;
    harness.deliver(SOON).await;
    assert!(harness.services.pagerduty.incidents().iter().all(|incident| !incident.open));
    harness.finish().await;
}
