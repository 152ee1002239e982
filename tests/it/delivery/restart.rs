//! Shutdown and restart: nothing is lost, and what was delivered is not delivered again.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use crate::harness::{Harness, ROUTES, alerts};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_shutdown_lets_attempts_end_and_the_rest_is_delivered_after_the_restart() {
    let mut harness = Harness::start().await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("Under-way", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.accept(&alerts::one_resolved("Under-way", "warning")).await;
    harness.begin_shutdown();
    harness.wait_until(async || harness.get("/-/ready").await.0 == 503).await;
    assert_eq!(harness.post(&alerts::one("Refused", "warning")).await.0, 503);
    gate.open();
    harness.stop().await;
    let texts = harness.slack_texts();
    assert!(texts.len() == 1 && texts[0].starts_with("[FIRING:1] Under-way"), "{texts:?}");
    harness.launch().await;
    harness.deliver(SOON).await;
    let texts = harness.slack_texts();
    assert!(texts.len() == 2 && texts[1].starts_with("[RESOLVED:1] Under-way"), "{texts:?}");
    assert_eq!(harness.services.slack.received().len(), 2, "nothing is sent twice");
    harness.finish().await;
}

#[tokio::test]
async fn what_waits_survives_a_restart_with_its_order_and_its_state() {
    let mut harness = Harness::start().await;
    harness.services.pagerduty.set_down(true);
    for name in ["A", "B"] {
        harness.accept(&alerts::one(name, "critical")).await;
    }
    harness.accept(&alerts::one_resolved("A", "critical")).await;
    harness.services.slack.wait_for_accepted(3).await;
    harness.wait_until(async || harness.pending().await == 3).await;
    harness.restart().await;
    assert_eq!(harness.pending().await, 3);
    assert_eq!(harness.accept(&alerts::one("B", "critical")).await["duplicates"], 2, "it is remembered");
    harness.restart().await;
    harness.services.pagerduty.set_down(false);
    harness.deliver(Duration::from_secs(60)).await;
    let mut events = harness.pagerduty_events();
    let place = |wanted: &str| events.iter().position(|event| event == wanted);
    assert!(place("trigger A") < place("resolve A"), "{events:?}");
    events.sort();
    assert_eq!(events, ["resolve A", "trigger A", "trigger B"]);
    assert_eq!(harness.slack_texts().len(), 3);
    harness.finish().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_rate_limit() {
    let routes = ROUTES.replace(
        "webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1/h, burst: 1 }",
    );
    let mut harness = Harness::with_routes(&routes).await;
    for name in ["A", "B", "C"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    let waits = r#"alertrouter_rate_limited_total{receiver="team-slack"}"#;
    harness.wait_until(async || harness.metric(waits).await == 1.0).await;
    harness.stop().await;
    assert_eq!(harness.slack_texts().len(), 1);
    harness.launch().await;
    assert_eq!(harness.pending().await, 2);
    harness.skip_to(Duration::from_secs(3600));
    harness.services.slack.wait_for_accepted(2).await;
    harness.wait_until(async || harness.pending().await == 1).await;
    harness.finish_with_pending(1).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_no_page_up() {
    let harness = Harness::start().await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    // Until the next attempt is written down, for a time on the old clock.
    let database = rusqlite::Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let is_postponed = "SELECT count(*) FROM delivery WHERE receiver = 'oncall' AND error IS NOT NULL";
    let postponed = async || database.query_row(is_postponed, [], |row| row.get::<_, i64>(0)).unwrap() == 1;
    harness.wait_until(postponed).await;
    drop(database);
    harness.clock.set_back(Duration::from_secs(3600));
    harness.services.pagerduty.set_down(false);
    harness.deliver(Duration::from_secs(180)).await;
    assert_eq!(harness.pagerduty_events(), ["trigger DiskFull"]);
    harness.finish().await;
}
