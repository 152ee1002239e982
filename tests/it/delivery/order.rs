//! Who gets what, and in which order.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use crate::harness::{Harness, alerts};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn alerts_reach_who_the_routes_name_and_nobody_else() {
    // PagerDuty's events, Slack's messages, Grafana's requests.
    for (severity, expected) in
        [("critical", [1, 1, 0]), ("warning", [0, 1, 0]), ("info", [0, 0, 1]), ("none", [0, 0, 0]), ("odd", [0, 1, 0])]
    {
        let harness = Harness::start().await;
        harness.accept(&alerts::one("DiskFull", severity)).await;
        harness.deliver(SOON).await;
        let services = [&harness.services.pagerduty, &harness.services.slack, &harness.services.grafana];
        assert_eq!(services.map(|service| service.received().len()), expected, "{severity}");
        assert_eq!(services.map(|service| service.accepted().len()), expected, "{severity}");
        harness.finish().await;
    }
}

#[tokio::test]
async fn within_a_lane_everything_goes_in_order_however_often_it_fails() {
    let harness = Harness::start().await;
    for _ in 0..3 {
        harness.services.pagerduty.behave(Behaviour::answer(500, "{}"));
    }
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    harness.deliver(Duration::from_secs(60)).await;
    let events = harness.services.pagerduty.received();
    let seen: Vec<_> =
        events.iter().map(|event| (event.json["event_action"].as_str().unwrap(), event.status.unwrap())).collect();
    let expected = [("trigger", 500), ("trigger", 500), ("trigger", 500), ("trigger", 202), ("resolve", 202)];
    assert_eq!(seen, expected);
    assert!(!harness.services.pagerduty.incidents()[0].open);
    harness.finish().await;
}

#[tokio::test]
async fn lanes_and_receivers_do_not_wait_for_each_other() {
    let harness = Harness::start().await;
    let (chat, pager) = (Gate::closed(), Gate::closed());
    harness.services.slack.behave(Behaviour::Wait(chat.clone()));
    harness.accept(&alerts::one("First", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.services.pagerduty.behave(Behaviour::Wait(pager.clone()));
    harness.accept(&alerts::one("Second", "critical")).await;
    harness.services.pagerduty.wait_for(1).await;
    harness.accept(&alerts::one("Third", "critical")).await;
    harness.accept(&alerts::one_resolved("First", "warning")).await;
    // Neither the lanes that hang nor the receiver of one hold up anybody else.
    harness.services.slack.wait_for_accepted(2).await;
    harness.services.pagerduty.wait_for_accepted(1).await;
    harness.look().await;
    assert_eq!(harness.pagerduty_events(), ["trigger Third"]);
    assert!(!harness.slack_texts().iter().any(|text| text.contains("First")), "its lane hangs");
    chat.open();
    pager.open();
    harness.deliver(SOON).await;
    let texts = harness.slack_texts();
    let first: Vec<_> = texts.iter().filter(|text| text.contains("First")).map(|text| &text[..5]).collect();
    assert_eq!(first, ["[FIRI", "[RESO"]);
    harness.finish().await;
}

#[tokio::test]
async fn what_joins_a_group_is_told_and_the_rest_of_it_counted() {
    let harness = Harness::start().await;
    let all = ["A", "B", "C"].map(|name| alerts::alert(name, "warning"));
    harness.accept(&alerts::group("disks", &all[..2])).await;
    harness.accept(&alerts::group("disks", &all)).await;
    harness.deliver(SOON).await;
    let messages = harness.services.slack.accepted();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].json["text"].as_str().unwrap().starts_with("[FIRING:2] A, B"), "{}", messages[0].json);
    assert!(messages[1].json["text"].as_str().unwrap().starts_with("[FIRING:1] C"), "{}", messages[1].json);
    let rest = "2 more of this group were already firing";
    assert!(messages[1].json.to_string().contains(rest), "{}", messages[1].json);
    harness.finish().await;
}

#[tokio::test]
async fn a_webhook_speaks_alertmanagers_language() {
    // Whatever reads Alertmanager's webhooks reads ours: another router, for one.
    let second = Harness::start().await;
    let routes = format!(
        "receivers: [{{ name: next, webhook: {{ url: 'http://{}/webhook' }} }}]\nroute: {{ receivers: [next] }}",
        second.address()
    );
    let first = Harness::with_routes(&routes).await;
    first.accept(&alerts::one("DiskFull", "critical")).await;
    first.deliver(SOON).await;
    second.deliver(SOON).await;
    first.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    first.deliver(SOON).await;
    second.deliver(SOON).await;
    assert_eq!(second.pagerduty_events(), ["trigger DiskFull", "resolve DiskFull"]);
    assert_eq!(first.metric(r#"alertrouter_notifications_total{receiver="next",outcome="delivered"}"#).await, 2.0);
    first.finish().await;
    second.finish().await;
}
