//! The pace of a service is kept before the service has to say so.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Harness, ROUTES, alerts};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_storm_reaches_slack_at_its_pace_and_whole() {
    // Without `rate_limit`: Slack's default, 1/s with a burst of 5.
    let routes = ROUTES.replace(
        "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "slack: { webhook_url: SLACK_WEBHOOK_URL }",
    );
    assert_ne!(routes, ROUTES);
    let harness = Harness::with_routes(&routes).await;
    let slack = &harness.services.slack;
    slack.limit_rate(Arc::new(harness.clock.clone()), SECOND, 5);
    for number in 0..15 {
        harness.accept(&alerts::one(&format!("Alert-{number}"), "critical")).await;
    }
    // Nobody else is slowed down.
    harness.services.pagerduty.wait_for_accepted(15).await;
    slack.wait_for_accepted(5).await;
    for sent in 5..15 {
        harness.clock.advance(Duration::from_millis(999));
        harness.look().await;
        assert_eq!(slack.received().len(), sent, "one a second after the burst");
        harness.clock.advance(Duration::from_millis(1));
        slack.wait_for_accepted(sent + 1).await;
    }
    assert!(slack.received().iter().all(|message| message.status == Some(200)), "no 429 at all");
    harness.deliver(SECOND).await;
    assert_eq!(harness.slack_texts().len(), 15);
    assert_eq!(harness.metric(r#"alertrouter_rate_limited_total{receiver="team-slack"}"#).await, 10.0);
    assert_eq!(harness.metric(r#"alertrouter_rate_limited_total{receiver="oncall"}"#).await, 0.0);
    harness.finish().await;
}
