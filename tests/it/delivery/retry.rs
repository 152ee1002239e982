//! What may pass is tried again, not too soon, and shows up once.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use crate::harness::{Harness, ROUTES, alerts};

/// What a receiver has that does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRIED: &str = r#"alertrouter_notifications_total{receiver="team-slack",outcome="retried"}"#;
const PACED: &str = r#"alertrouter_rate_limited_total{receiver="team-slack"}"#;

/// Has one attempt fail, and sees that the next one comes so long after it and not sooner.
async fn tries_again_within(harness: &Harness, behaviour: Behaviour, when: RangeInclusive<u64>) {
    let slack = &harness.services.slack;
    let (shown, hangs) = (format!("{behaviour:?}"), matches!(behaviour, Behaviour::Hang));
    slack.behave(behaviour);
    let (before, retried) = (slack.received().len(), harness.metric(RETRIED).await);
    harness.accept(&alerts::one(&format!("Alert-{before}"), "warning")).await;
    if hangs {
        slack.wait_for(before + 1).await;
        harness.time_out(TIMEOUT).await;
    }
    // Time stands still until the attempt has failed, whatever that takes.
    harness.wait_until(async || harness.metric(RETRIED).await > retried).await;
    harness.look().await;
    harness.clock.advance(Duration::from_millis(when.start() - 1));
    harness.look().await;
    assert_eq!(slack.received().len(), before + 1, "{shown}: too soon");
    harness.clock.advance(Duration::from_millis(when.end() - when.start() + 1));
    slack.wait_for(before + 2).await;
    harness.deliver(Duration::ZERO).await;
    assert_eq!(slack.received().len(), before + 2, "{shown}");
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again_a_second_later() {
    let html = "<!DOCTYPE html><html><title>Server Error | Slack</title></html>";
    let harness = Harness::start().await;
    let misfortunes = [
        Behaviour::answer(500, html),
        Behaviour::answer(503, ""),
        Behaviour::answer(429, ""),
        Behaviour::answer(200, "<html>Please log in to the guest network</html>"),
        Behaviour::ResetConnection,
        Behaviour::Hang,
    ];
    for behaviour in &misfortunes {
        // A second, give or take a quarter of jitter.
        tries_again_within(&harness, behaviour.clone(), 750..=1250).await;
    }
    let delivered = r#"alertrouter_notifications_total{receiver="team-slack",outcome="delivered"}"#;
    assert_eq!(harness.metric(delivered).await, 6.0, "each is delivered once");
    harness.finish().await;
}

#[tokio::test]
async fn the_time_that_a_service_asks_for_is_granted() {
    let harness = Harness::start().await;
    for (asked, granted) in [(30, 30), (1, 1), (0, 1), (100_000, 3600)] {
        tries_again_within(&harness, Behaviour::rate_limited(asked), granted * 1000..=granted * 1000).await;
    }
    let unavailable =
        Behaviour::Answer { status: 503, headers: vec![("retry-after", "20".to_owned())], body: String::new() };
    tries_again_within(&harness, unavailable, 20_000..=20_000).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_pause_that_a_service_asks_for_is_for_all_lanes() {
    let routes = ROUTES.replace(
        "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1/s, burst: 1, overflow: wait }",
    );
    let harness = Harness::with_routes(&routes).await;
    let slack = &harness.services.slack;
    slack.limit_rate(Arc::new(harness.clock.clone()), Duration::from_secs(30), 1);
    harness.accept(&alerts::one("A", "warning")).await;
    harness.deliver(Duration::ZERO).await;
    harness.skip_to(Duration::from_secs(1));
    // B is too early for the service and on its way, C waits for our own pace.
    let gate = Gate::closed();
    slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("B", "warning")).await;
    slack.wait_for(2).await;
    harness.accept(&alerts::one("C", "warning")).await;
    harness.wait_until(async || harness.metric(PACED).await == 1.0).await;
    gate.open();
    harness.wait_until(async || harness.metric(RETRIED).await > 0.0).await;
    harness.pass(Duration::from_secs(28)).await;
    assert_eq!(slack.received().len(), 2, "it asked to be left alone for 29 s");
    harness.deliver(Duration::from_secs(90)).await;
    assert_eq!(harness.slack_texts().len(), 3);
    harness.finish().await;
}

#[tokio::test]
async fn a_success_that_was_under_way_does_not_end_the_pause() {
    let harness = Harness::start().await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("A", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.services.slack.behave(Behaviour::rate_limited(30));
    harness.accept(&alerts::one("B", "warning")).await;
    harness.wait_until(async || harness.metric(RETRIED).await > 0.0).await;
    gate.open();
    harness.wait_until(async || harness.pending().await == 1).await;
    harness.accept(&alerts::one("C", "warning")).await;
    harness.pass(Duration::from_secs(29)).await;
    assert_eq!(harness.slack_texts().len(), 1, "A; the others wait until the pause is over");
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.slack_texts().len(), 3);
    harness.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_nothing_twice_where_state_is_kept() {
    let harness = Harness::start().await;
    harness.services.grafana.behave(Behaviour::LoseAnswer);
    harness.services.pagerduty.behave(Behaviour::LoseAnswer);
    harness.accept(&alerts::one("Deploy", "info")).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.deliver(Duration::from_secs(30)).await;
    assert_eq!(harness.services.grafana.annotations().len(), 1);
    assert_eq!(harness.services.pagerduty.incidents().len(), 1);
    // The same for the resolves.
    harness.services.grafana.behave(Behaviour::LoseAnswer);
    harness.services.pagerduty.behave(Behaviour::LoseAnswer);
    harness.accept(&alerts::one_resolved("Deploy", "info")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    harness.deliver(Duration::from_secs(30)).await;
    let spans: Vec<_> =
        harness.services.grafana.annotations().iter().map(|found| found.time_end - found.time).collect();
    assert_eq!(spans, [60_000], "a region of a minute");
    let open: Vec<_> = harness.services.pagerduty.incidents().iter().map(|incident| incident.open).collect();
    assert_eq!(open, [false]);
    harness.finish().await;
}
