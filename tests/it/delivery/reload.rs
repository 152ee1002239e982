//! routes.yaml changes while something is under way.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use super::departed::without_oncall;
use crate::harness::{Harness, ROUTES, alerts};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_broken_file_is_refused_with_every_problem_and_changes_nothing() {
    let harness = Harness::start().await;
    let broken =
        ROUTES.replace("- name: dashboards", "- nmae: dashboards").replace("[oncall, team-slack]", "[onccall]");
    let (status, said) = harness.reload(&broken).await;
    assert_eq!(status, 400);
    for problem in ["routes.yaml:9:", "nmae", "routes.yaml:16:", "onccall"] {
        assert!(said.contains(problem), "{problem} is not in\n{said}");
    }
    assert_eq!(harness.metric("alertrouter_config_last_reload_successful").await, 0.0);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.accept(&alerts::one("Deploy", "info")).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 1);
    assert_eq!(harness.services.grafana.annotations().len(), 1);
    harness.skip_to(Duration::from_secs(60));
    assert_eq!(harness.reload(&without_oncall()).await.0, 200);
    assert_eq!(harness.metric("alertrouter_config_last_reload_successful").await, 1.0);
    harness.accept(&alerts::one("Other", "critical")).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 1, "the new routes are in force");
    harness.finish().await;
}

#[tokio::test]
async fn an_attempt_under_way_survives_a_reload_and_is_not_made_twice() {
    let harness = Harness::start().await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.services.slack.wait_for(1).await;
    assert_eq!(harness.reload(ROUTES).await.0, 200);
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.pass(SOON).await;
    assert_eq!(harness.services.slack.received().len(), 1, "its lane is in order across generations");
    gate.open();
    harness.deliver(SOON).await;
    let texts = harness.slack_texts();
    assert!(texts.len() == 2 && texts[1].starts_with("[RESOLVED:1]"), "{texts:?}");
    harness.finish().await;
}

#[tokio::test]
async fn a_reload_does_not_mend_a_receiver_that_is_down() {
    const UP: &str = r#"alertrouter_receiver_up{receiver="oncall"}"#;
    let harness = Harness::start().await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.pass_until(Duration::from_secs(120), async || harness.metric(UP).await == 0.0).await;
    assert_eq!(harness.reload(ROUTES).await.0, 200);
    let tried = harness.services.pagerduty.turned_away();
    let again = async || harness.services.pagerduty.turned_away() > tried;
    harness.pass_until(Duration::from_secs(120), again).await;
    harness.look().await;
    assert_eq!(harness.metric(UP).await, 0.0);
    harness.services.pagerduty.set_down(false);
    harness.deliver(Duration::from_secs(120)).await;
    assert_eq!(harness.metric(UP).await, 1.0);
    harness.finish().await;
}

#[tokio::test]
async fn a_pause_that_a_service_asked_for_outlives_a_reload() {
    let harness = Harness::start().await;
    harness.services.slack.behave(Behaviour::rate_limited(600));
    harness.accept(&alerts::one("First", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.look().await;
    assert_eq!(harness.reload(ROUTES).await.0, 200);
    harness.accept(&alerts::one("Second", "warning")).await;
    harness.pass(Duration::from_secs(500)).await;
    assert_eq!(harness.services.slack.received().len(), 1);
    harness.deliver(Duration::from_secs(200)).await;
    assert_eq!(harness.services.slack.received().len(), 3);
    harness.finish().await;
}
