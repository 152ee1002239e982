//! What is given up, when, and that it counts as never told.

use std::time::Duration;

use alertrouter::standin::Behaviour;

use crate::harness::{Harness, ROUTES, alerts};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_can_never_succeed_is_given_up_at_once() {
    let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no"]}"#;
    for (receiver, severity, behaviour) in [
        ("oncall", "critical", Behaviour::answer(400, refused)),
        ("team-slack", "warning", Behaviour::answer(410, "channel_is_archived")),
        ("team-slack", "warning", Behaviour::answer(404, "no_service")),
        ("team-slack", "warning", Behaviour::answer(403, "invalid_token")),
        ("dashboards", "info", Behaviour::answer(401, r#"{"message":"Unauthorized"}"#)),
    ] {
        let harness = Harness::start().await;
        let service = match receiver {
            "oncall" => &harness.services.pagerduty,
            "team-slack" => &harness.services.slack,
            _ => &harness.services.grafana,
        };
        service.behave(behaviour.clone());
        harness.accept(&alerts::one("DiskFull", severity)).await;
        harness.deliver(SOON).await;
        assert_eq!((service.received().len(), harness.dead().await), (1, 1), "{behaviour:?}");
        let outcome =
            |outcome| format!("alertrouter_notifications_total{{receiver=\"{receiver}\",outcome=\"{outcome}\"}}");
        assert_eq!(harness.metric(&outcome("dead")).await, 1.0);
        assert_eq!(harness.metric(&outcome("retried")).await, 0.0);
        let up = format!("alertrouter_receiver_up{{receiver=\"{receiver}\"}}");
        assert_eq!(harness.metric(&up).await, 1.0, "it did answer");
        // A dead letter was never told.
        let answer = harness.accept(&alerts::one("DiskFull", severity)).await;
        assert_eq!(answer["notifications"], 1, "{behaviour:?}");
        let first = format!("alertrouter_alerts_total{{receiver=\"{receiver}\",reason=\"first\"}}");
        assert_eq!(harness.metric(&first).await, 2.0);
        harness.deliver(SOON).await;
        assert_eq!((service.accepted().len(), harness.dead().await), (1, 1), "{behaviour:?}");
        harness.finish().await;
    }
}

#[tokio::test]
async fn what_a_proxy_says_in_between_is_not_final() {
    let redirect = Behaviour::Answer {
        status: 302,
        headers: vec![("location", "http://127.0.0.1:9/login".to_owned())],
        body: String::new(),
    };
    let harness = Harness::start().await;
    for (at, behaviour) in [
        redirect,
        Behaviour::answer(403, "<html>blocked</html>"),
        Behaviour::answer(407, ""),
        Behaviour::answer(404, ""),
    ]
    .into_iter()
    .enumerate()
    {
        for service in [&harness.services.pagerduty, &harness.services.slack] {
            service.behave(behaviour.clone());
        }
        harness.accept(&alerts::one(&format!("DiskFull{at}"), "critical")).await;
        harness.deliver(SOON).await;
    }
    for service in [&harness.services.pagerduty, &harness.services.slack] {
        assert_eq!((service.received().len(), service.accepted().len()), (8, 4), "{service:?}");
    }
    assert_eq!(harness.dead().await, 0);
    harness.finish().await;
}

#[tokio::test]
async fn a_dead_letter_holds_up_neither_its_lane_nor_its_group() {
    let harness = Harness::start().await;
    harness.services.slack.behave(Behaviour::answer(400, "invalid_payload"));
    harness.accept(&alerts::group("disks", &[alerts::alert("A", "warning")])).await;
    harness.accept(&alerts::group("disks", &[alerts::alert("B", "warning")])).await;
    harness.deliver(SOON).await;
    let texts = harness.slack_texts();
    assert!(texts.len() == 1 && texts[0].contains("[FIRING:1] B"), "{texts:?}");
    harness.finish().await;
}

/// PagerDuty, given up after a minute.
fn impatient() -> String {
    ROUTES.replace("- name: oncall", "- name: oncall\n    retry: { max_age: 1m }")
}

#[tokio::test]
async fn what_fails_for_too_long_is_given_up() {
    let harness = Harness::with_routes(&impatient()).await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.services.pagerduty.wait_for_turned_away(1).await;
    harness.pass(Duration::from_secs(59)).await;
    assert_eq!(harness.dead().await, 0);
    harness.pass_until(SOON, async || harness.dead().await == 1).await;
    assert!(harness.services.pagerduty.turned_away() >= 4, "it was tried all the time");
    harness.services.pagerduty.set_down(false);
    assert_eq!(harness.accept(&alerts::one("DiskFull", "critical")).await["notifications"], 1);
    harness.deliver(Duration::from_secs(60)).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 1);
    harness.finish().await;
}

#[tokio::test]
async fn a_receiver_does_not_count_as_up_because_something_was_given_up() {
    let harness = Harness::with_routes(&impatient()).await;
    harness.services.pagerduty.set_down(true);
    for name in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"] {
        harness.accept(&alerts::one(name, "critical")).await;
    }
    let up = r#"alertrouter_receiver_up{receiver="oncall"}"#;
    harness.pass_until(SOON, async || harness.metric(up).await == 0.0).await;
    while harness.dead().await < 10 {
        harness.pass(Duration::from_secs(20)).await;
        assert_eq!(harness.metric(up).await, 0.0, "it has not answered once");
    }
    harness.finish().await;
}

#[tokio::test]
async fn dead_letters_are_removed_after_the_retention() {
    let harness = Harness::with_routes(&format!("{ROUTES}\nretention: 2d\n")).await;
    harness.services.pagerduty.behave(Behaviour::answer(400, r#"{"message":"Event object is invalid"}"#));
    harness.accept(&alerts::one("A", "critical")).await;
    harness.wait_until(async || harness.dead().await == 1).await;
    harness.skip_to(Duration::from_secs(47 * 3600));
    harness.pass(Duration::from_secs(120)).await;
    assert_eq!(harness.dead().await, 1, "somebody may look at it");
    harness.skip_to(Duration::from_secs(49 * 3600));
    harness.wait_until(async || harness.dead().await == 0).await;
    harness.finish().await;
}
