//! `send`: a real notification by the real binary, to the stand-ins.

use alertrouter::standin::{Behaviour, grafana, pagerduty};

use super::output::show;
use super::{command, folder, folder_for, said, shipped_routes};
use crate::harness::process::{Router, Said, run};
use crate::harness::{Services, http};

/// What was said, with the ports of the stand-ins as names.
fn shown(said: &Said, services: &Services) -> String {
    let mut text = show(said);
    for (service, name) in
        [(&services.slack, "SLACK"), (&services.pagerduty, "PAGERDUTY"), (&services.grafana, "GRAFANA")]
    {
        let url = service.url();
        let host = url.split('/').nth(2).unwrap();
        text = text.replace(host, name);
    }
    for secret in [pagerduty::ROUTING_KEY, grafana::TOKEN] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[tokio::test]
async fn a_test_arrives_and_is_marked() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    let slack = said(&folder, &["send", "team-slack"]).await;
    insta::assert_snapshot!("send_slack", shown(&slack, &services));
    let message = services.slack.accepted()[0].json.to_string();
    assert!(message.contains("AlertrouterTest") && message.contains("Test of alertrouter"), "{message}");

    let oncall = said(&folder, &["send", "oncall", "--resolve", "--severity", "critical"]).await;
    insta::assert_snapshot!("send_pagerduty", shown(&oncall, &services));
    let events = services.pagerduty.accepted();
    assert_eq!(
        (&events[0].json["event_action"], &events[1].json["event_action"]),
        (&"trigger".into(), &"resolve".into())
    );
    assert_eq!(events[0].json["payload"]["severity"], "critical");
    assert_eq!(events[0].json["dedup_key"], events[1].json["dedup_key"]);
    assert!(services.pagerduty.incidents().iter().all(|incident| !incident.open));

    let grafana = said(&folder, &["send", "dashboards", "--resolve"]).await;
    insta::assert_snapshot!("send_grafana", shown(&grafana, &services));
    assert_eq!(services.grafana.annotations().len(), 1, "one region, because the second knows the first's id");
    assert!(!folder.0.join("data").exists(), "no store is touched");
}

#[tokio::test]
async fn what_is_refused_says_why_and_keeps_secrets() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    let path = services.slack.url().splitn(4, '/').nth(3).unwrap().to_owned();
    services.slack.behave(Behaviour::answer(404, "no_service"));
    services.slack.behave(Behaviour::answer(500, &format!("cannot POST /{path}")));
    let refused = said(&folder, &["send", "team-slack", "--resolve"]).await;
    insta::assert_snapshot!("send_refused", shown(&refused, &services));
    assert_eq!(services.slack.received().len(), 1, "what did not fire does not end");
    let not_now = said(&folder, &["send", "team-slack"]).await;
    assert_eq!(not_now.code, Some(1));
    let secret = path.rsplit('/').next().unwrap();
    assert!(!(not_now.out + &not_now.err).contains(secret));
    services.pagerduty.set_down(true);
    let down = said(&folder, &["send", "oncall"]).await;
    assert_eq!(down.code, Some(1));
    assert!(down.out.contains(": no answer") && down.err.contains("the service would try again"), "{down:?}");
}

#[tokio::test]
async fn an_echo_of_the_request_shows_no_key() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    let echo = format!(r#"{{"status":"success","message":"got {}","dedup_key":"1"}}"#, pagerduty::ROUTING_KEY);
    services.pagerduty.behave(Behaviour::answer(202, &echo));
    let said = said(&folder, &["send", "oncall"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("got ***"), "{}", shown(&said, &services));
}

#[tokio::test]
async fn who_is_not_there() {
    let folder = folder_for(&Services::start().await);
    let near = said(&folder, &["send", "onclal"]).await;
    let error = "error: routes.yaml has no receiver `onclal`; did you mean `oncall`?\n";
    assert_eq!((near.code, near.out.as_str(), near.err.as_str()), (Some(1), "", error));
    let far = said(&folder, &["send", "the-whole-company"]).await;
    assert!(far.err.ends_with("it has oncall, team-slack, dashboards\n"), "{}", far.err);
    assert_eq!(said(&folder, &["send"]).await.code, Some(2));
}

#[tokio::test]
async fn secrets_come_from_where_routes_yaml_says() {
    let services = Services::start().await;
    let folder = folder(&[("routes.yaml", &shipped_routes())]);
    let missing = said(&folder, &["send", "team-slack"]).await;
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(missing.err.contains("SLACK_WEBHOOK_URL") && missing.err.contains("routes.yaml:"), "{}", missing.err);
    let mut send = command(&folder.0, &["send", "team-slack"]);
    send.env("SLACK_WEBHOOK_URL", services.slack.url()).env("PAGERDUTY_ROUTING_KEY", pagerduty::ROUTING_KEY);
    send.env("GRAFANA_TOKEN", grafana::TOKEN);
    let arrived = run(send).await;
    assert_eq!((arrived.code, services.slack.accepted().len()), (Some(0), 1), "{arrived:?}");
}

#[tokio::test]
async fn it_works_beside_the_service() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    let mut router = Router::start(&folder.0).await;
    assert_eq!(said(&folder, &["send", "team-slack"]).await.code, Some(0));
    assert_eq!(services.slack.accepted().len(), 1);
    assert_eq!(http::sum(&router.metrics().await, "alertrouter_dedup_entries"), 0.0);
    assert_eq!(router.process.terminate().await, Some(0));
}
