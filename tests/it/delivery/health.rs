//! A receiver that is down is probed, delays nobody else, and gets everything once it is back.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use crate::harness::{Harness, alerts};

const UP: &str = r#"alertrouter_receiver_up{receiver="oncall"}"#;

#[tokio::test]
async fn after_five_failures_one_probe_at_a_time_until_one_succeeds() {
    let harness = Harness::start().await;
    harness.services.pagerduty.set_down(true);
    let names: Vec<_> = (0..20).map(|number| format!("Alert-{number:02}")).collect();
    for name in &names {
        harness.accept(&alerts::one(name, "critical")).await;
        harness.accept(&alerts::one_resolved(name, "critical")).await;
    }
    harness.pass_until(Duration::from_secs(10), async || harness.metric(UP).await == 0.0).await;
    // Whoever else is told has been told.
    harness.services.slack.wait_for_accepted(40).await;
    harness.wait_until(async || harness.pending().await == 40).await;
    harness.pass(Duration::from_secs(60)).await;
    let before = harness.services.pagerduty.turned_away();
    harness.pass(Duration::from_secs(300)).await;
    let probes = harness.services.pagerduty.turned_away() - before;
    assert!((9..=15).contains(&probes), "{probes} probes in 5 min, at most 30 s apart");
    assert_eq!(harness.metric(UP).await, 0.0);
    harness.services.pagerduty.set_down(false);
    // A probe that takes its time is alone.
    let gate = Gate::closed();
    harness.services.pagerduty.behave(Behaviour::Wait(gate.clone()));
    harness.pass_until(Duration::from_secs(40), async || !harness.services.pagerduty.received().is_empty()).await;
    harness.pass(Duration::from_secs(60)).await;
    assert_eq!(harness.services.pagerduty.received().len(), 1);
    gate.open();
    harness.wait_until(async || harness.metric(UP).await == 1.0).await;
    harness.deliver(Duration::from_secs(300)).await;
    let events = harness.pagerduty_events();
    assert_eq!(events.len(), 40);
    for name in &names {
        let of_alert: Vec<_> = events.iter().filter(|event| event.ends_with(name.as_str())).collect();
        assert_eq!(of_alert, [&format!("trigger {name}"), &format!("resolve {name}")]);
    }
    assert!(harness.services.pagerduty.incidents().iter().all(|incident| !incident.open && incident.triggers == 1));
    harness.finish().await;
}

#[tokio::test]
async fn a_page_does_not_wait_minutes_for_a_service_that_is_back() {
    let harness = Harness::start().await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.services.pagerduty.wait_for_turned_away(1).await;
    harness.pass(Duration::from_secs(1200)).await;
    harness.services.pagerduty.set_down(false);
    harness.deliver(Duration::from_secs(40)).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 1);
    harness.finish().await;
}
