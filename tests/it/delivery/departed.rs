//! What becomes of what waits for a receiver that is removed from routes.yaml.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use super::fallback::paging;
use crate::harness::{Harness, ROUTES, alerts};

const SOON: Duration = Duration::from_secs(10);
const FALLBACK: &str = r#"alertrouter_notifications_total{receiver="oncall",outcome="fallback"}"#;
const DEAD: &str = r#"alertrouter_notifications_total{receiver="oncall",outcome="dead"}"#;

/// Without PagerDuty.
pub(super) fn without_oncall() -> String {
    let start = ROUTES.find("  - name: oncall").unwrap();
    let end = ROUTES.find("  - name: team-slack").unwrap();
    format!("{}{}", &ROUTES[..start], &ROUTES[end..]).replace("[oncall, team-slack]", "[team-slack]")
}

/// PagerDuty is down, and a page and its resolve wait for it; another page, too.
async fn with_pages_waiting(routes: &str) -> Harness {
    let harness = Harness::with_routes(routes).await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("A", "critical")).await;
    harness.accept(&alerts::one_resolved("A", "critical")).await;
    harness.accept(&alerts::one("B", "critical")).await;
    harness.services.pagerduty.wait_for_turned_away(2).await;
    harness.pass_until(SOON, async || harness.pending().await == 3).await;
    harness
}

/// What Slack was told in the place of `oncall`.
fn told_instead(harness: &Harness) -> Vec<String> {
    let mut texts = harness.slack_texts();
    texts.retain(|text| text.ends_with(" · Fallback for oncall: oncall is no longer in routes.yaml"));
    texts.into_iter().map(|text| text.split(':').take(2).collect::<Vec<_>>().join(":")).collect()
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_gone_goes_to_its_fallback_at_once() {
    let harness = with_pages_waiting(&paging("fallback: team-slack")).await;
    assert_eq!(harness.reload(&without_oncall()).await.0, 200);
    harness.services.slack.wait_for_accepted(3).await;
    harness.deliver(Duration::ZERO).await;
    let mut told = told_instead(&harness);
    told.sort();
    assert_eq!(told, ["[FIRING:1] A", "[FIRING:1] B", "[RESOLVED:1] A"]);
    let place = |what: &str| harness.slack_texts().iter().position(|text| text.starts_with(what));
    assert!(place("[FIRING:1] A") < place("[RESOLVED:1] A"), "{:?}", harness.slack_texts());
    // The resolve of the one went along with it.
    assert_eq!((harness.dead().await, harness.metric(FALLBACK).await, harness.metric(DEAD).await), (0, 2.0, 0.0));
    // Whoever was told of the other hears of its end.
    harness.accept(&alerts::one_resolved("B", "critical")).await;
    harness.deliver(SOON).await;
    assert!(harness.slack_texts()[3].starts_with("[RESOLVED:1] B"), "{:?}", harness.slack_texts());
    harness.finish().await;
}

#[tokio::test]
async fn without_a_fallback_it_becomes_dead_letters_at_once() {
    let harness = with_pages_waiting(&paging("timeout: 5s")).await;
    assert_eq!(harness.reload(&without_oncall()).await.0, 200);
    harness.wait_until(async || harness.dead().await == 3).await;
    assert_eq!((harness.metric(FALLBACK).await, harness.metric(DEAD).await), (0.0, 3.0));
    assert_eq!(harness.metric(r#"alertrouter_dead_letters{receiver="oncall"}"#).await, 3.0);
    // It comes back, and nothing of it was ever told.
    harness.services.pagerduty.set_down(false);
    assert_eq!(harness.reload(&paging("timeout: 5s")).await.0, 200);
    assert_eq!(harness.accept(&alerts::one("B", "critical")).await["notifications"], 1);
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events(), ["trigger B"]);
    harness.finish().await;
}

#[tokio::test]
async fn at_a_start_it_is_the_same() {
    for (keys, told, dead) in [("fallback: team-slack", 3, 0), ("timeout: 5s", 0, 3)] {
        let mut harness = with_pages_waiting(&paging(keys)).await;
        harness.stop().await;
        harness.write_routes(&without_oncall());
        harness.launch().await;
        harness.deliver(SOON).await;
        assert_eq!((told_instead(&harness).len(), harness.dead().await), (told, dead), "{keys}");
        harness.finish().await;
    }
}

#[tokio::test]
async fn an_attempt_under_way_may_end_well() {
    let harness = Harness::with_routes(&paging("fallback: team-slack")).await;
    let gate = Gate::closed();
    harness.services.pagerduty.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("A", "critical")).await;
    harness.services.pagerduty.wait_for(1).await;
    assert_eq!(harness.reload(&without_oncall()).await.0, 200);
    harness.pass(SOON).await;
    assert_eq!((harness.pending().await, harness.slack_texts().len()), (1, 0), "it may yet arrive");
    gate.open();
    harness.deliver(SOON).await;
    assert_eq!((harness.pagerduty_events(), harness.slack_texts().len()), (vec!["trigger A".to_owned()], 0));
    harness.finish().await;
}

#[tokio::test]
async fn an_attempt_under_way_that_fails_is_the_last() {
    let harness = Harness::with_routes(&paging("fallback: team-slack\n    timeout: 500ms")).await;
    harness.services.pagerduty.behave(Behaviour::Hang);
    harness.accept(&alerts::one("A", "critical")).await;
    harness.services.pagerduty.wait_for(1).await;
    assert_eq!(harness.reload(&without_oncall()).await.0, 200);
    // No time passes on the clock: as soon as the attempt has ended.
    harness.services.slack.wait_for_accepted(1).await;
    harness.deliver(SOON).await;
    assert_eq!(told_instead(&harness), ["[FIRING:1] A"]);
    assert_eq!((harness.services.pagerduty.received().len(), harness.metric(FALLBACK).await), (1, 1.0));
    harness.finish().await;
}

#[tokio::test]
async fn what_nobody_knows_the_receiver_of_is_kept_for_an_hour() {
    let mut harness = with_pages_waiting(&paging("fallback: team-slack")).await;
    harness.stop().await;
    // As a version before this one leaves it.
    let database = rusqlite::Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    database.execute("DELETE FROM receiver", []).unwrap();
    drop(database);
    harness.write_routes(&without_oncall());
    harness.launch().await;
    harness.pass(SOON).await;
    harness.skip_to(Duration::from_secs(3000));
    harness.pass(SOON).await;
    assert_eq!((harness.pending().await, harness.dead().await), (3, 0), "a slip of the pen can still be mended");
    harness.skip_to(Duration::from_secs(3700));
    harness.deliver(Duration::from_secs(120)).await;
    assert_eq!((harness.dead().await, harness.metric(DEAD).await), (3, 3.0));
    harness.finish().await;
}
