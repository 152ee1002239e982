//! PagerDuty with one incident for each group.

use std::time::Duration;

use alertrouter::standin::Behaviour;

use crate::harness::{Harness, ROUTES, alerts};

const SOON: Duration = Duration::from_secs(30);

fn routes() -> String {
    ROUTES.replace("pagerduty: {", "pagerduty: { incident_per: group,")
}

#[tokio::test]
async fn a_group_is_one_incident_until_its_last_alert_has_ended() {
    let mut harness = Harness::with_routes(&routes()).await;
    let [a, b] = ["A", "B"].map(|name| alerts::alert(name, "critical"));
    let ended = |alert: &serde_json::Value| {
        alerts::resolved(alert, alertrouter::clock::after(crate::harness::start(), Duration::from_secs(60)))
    };
    harness.accept(&alerts::group("g", std::slice::from_ref(&a))).await;
    harness.deliver(SOON).await;
    // An answer is lost: what is sent again changes nothing.
    harness.services.pagerduty.behave(Behaviour::LoseAnswer);
    harness.accept(&alerts::group("g", &[a.clone(), b.clone()])).await;
    harness.deliver(SOON).await;
    let incidents = harness.services.pagerduty.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0].open && incidents[0].summary.starts_with("2 alerts fire: B"), "{incidents:?}");
    harness.restart().await;
    let sent = harness.services.pagerduty.accepted().len();
    harness.accept(&alerts::group("g", &[ended(&a), b.clone()])).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.services.pagerduty.accepted().len(), sent, "nobody is told that it gets better");
    harness.restart().await;
    // Cut off by `max_alerts`, and the status of the group says `resolved`: the alerts that were told count.
    let mut last = alerts::group("g", &[ended(&b)]);
    (last["status"], last["truncatedAlerts"]) = ("resolved".into(), 3.into());
    harness.services.pagerduty.behave(Behaviour::LoseAnswer);
    harness.accept(&last).await;
    harness.deliver(SOON).await;
    let incidents = harness.services.pagerduty.incidents();
    assert_eq!((incidents.len(), incidents[0].open), (1, false), "{incidents:?}");
    // The next one is a new incident.
    let mut again = a.clone();
    again["startsAt"] = alertrouter::clock::after(crate::harness::start(), Duration::from_secs(120)).to_string().into();
    harness.accept(&alerts::group("g", &[again])).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 2);
    harness.finish().await;
}

#[tokio::test]
async fn a_group_that_was_told_alert_by_alert_is_not_closed_too_early() {
    let harness = Harness::start().await;
    let [a, b, c] = ["A", "B", "C"].map(|name| alerts::alert(name, "critical"));
    let ended = |alert: &serde_json::Value| {
        alerts::resolved(alert, alertrouter::clock::after(crate::harness::start(), Duration::from_secs(60)))
    };
    harness.accept(&alerts::group("g", &[a.clone(), b.clone()])).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 2);
    assert_eq!(harness.reload(&routes()).await.0, 200);
    harness.accept(&alerts::group("g", &[a.clone(), b.clone(), c.clone()])).await;
    harness.deliver(SOON).await;
    let group = || harness.services.pagerduty.incidents()[2].clone();
    assert_eq!(group().summary, "at least 1 alert fires: C");
    harness.accept(&alerts::group("g", &[a.clone(), ended(&b), ended(&c)])).await;
    harness.deliver(SOON).await;
    assert!(group().open, "A fires");
    harness.accept(&alerts::group("g", &[ended(&a)])).await;
    harness.deliver(SOON).await;
    assert!(!group().open);
    let open: Vec<_> = harness.services.pagerduty.incidents().into_iter().filter(|incident| incident.open).collect();
    assert_eq!(open.len(), 2, "as README says, those of before are closed by hand");
    harness.finish().await;
}

#[tokio::test]
async fn what_pagerduty_need_not_be_told_does_not_show_that_it_works() {
    let harness = Harness::with_routes(&routes()).await;
    let [a, b] = ["A", "B"].map(|name| alerts::alert(name, "critical"));
    harness.accept(&alerts::group("g", &[a.clone(), b.clone()])).await;
    harness.deliver(SOON).await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    let is_up = async || harness.metric(r#"alertrouter_receiver_up{receiver="oncall"}"#).await == 1.0;
    harness.pass_until(Duration::from_secs(120), async || !is_up().await).await;
    let ended = alerts::resolved(&a, alertrouter::clock::after(crate::harness::start(), Duration::from_secs(60)));
    harness.accept(&alerts::group("g", &[ended, b])).await;
    // DiskFull is what waits.
    harness.pass_until(Duration::from_secs(120), async || harness.pending().await == 1).await;
    assert!(!is_up().await, "it has not been asked");
    harness.services.pagerduty.set_down(false);
    harness.deliver(Duration::from_secs(60)).await;
    assert!(is_up().await);
    harness.finish().await;
}
