//! The log: JSON that says which request and which delivery it speaks of, and no credentials, whatever goes wrong.

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{Behaviour, Kind, StandIn, grafana, pagerduty, slack};
use serde_json::{Value, json};

use super::{folder, folder_for};
use crate::harness::process::Router;
use crate::harness::wait::patiently;
use crate::harness::{Services, alerts, http};

async fn post(router: &Router, group: &str, severity: &str) {
    let labels = json!({ "alertname": group, "severity": severity });
    let group = alerts::group(group, &[alerts::firing(&labels, SystemClock::new().now())]);
    let (status, answer) = http::post(&router.address, "/webhook", group.to_string().into()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn json_lines_say_what_they_speak_of() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    services.slack.behave(Behaviour::answer(500, "oops"));
    let mut router = Router::start_with(&folder.0, "127.0.0.1:0", &["--log-format", "json"]).await;
    post(&router, "a group", "warning").await;
    patiently("a second attempt", services.slack.wait_for_accepted(1)).await;
    router.wait_until_delivered().await;
    assert_eq!(http::post(&router.address, "/webhook", b"{".to_vec()).await.0, 400);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());

    let log = router.process.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = |message: &str| {
        lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("no {message:?} in\n{log}"))
    };
    let accepted = &line("accepted")["span"];
    assert_eq!((&accepted["name"], &accepted["group"]), (&"webhook".into(), &"a group".into()), "{accepted}");
    assert!(accepted["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{accepted}");
    assert_eq!(line("webhook refused")["span"]["name"], "webhook");
    for (message, attempt) in [("failed; will try again", 1), ("delivered", 2)] {
        let span = &line(message)["span"];
        let expected = json!({ "name": "delivery", "id": "1", "receiver": "team-slack", "group": "a group",
            "attempt": attempt });
        assert_eq!(*span, expected, "{message}");
    }
}

/// Receivers that fail in every way; one of them speaks TLS to a service that does not.
const ROUTES: &str = "
receivers:
  - name: pagerduty
    pagerduty: { url: PAGERDUTY_URL, routing_key: PAGERDUTY_ROUTING_KEY }
    timeout: 300ms
  - name: slack
    slack: { webhook_url: SLACK_WEBHOOK_URL }
    timeout: 300ms
    rate_limit: { rate: 100/s, burst: 100 }
  - name: grafana
    grafana: { url: GRAFANA_URL, token: GRAFANA_TOKEN }
    timeout: 300ms
  - name: webhook
    webhook: { url: 'http://WEBHOOK_USER:WEBHOOK_PASSWORD@WEBHOOK_ADDRESS/WEBHOOK_PATH?key=WEBHOOK_QUERY' }
    timeout: 300ms
  - name: no-tls
    slack: { webhook_url: NO_TLS_URL }
route: { receivers: [pagerduty, slack, grafana, webhook, no-tls] }
";

const SLACK_TOKEN: &str = "standinstandinstandin000";

/// What none of them may show.
const SECRETS: &[&str] = &[
    pagerduty::ROUTING_KEY,
    SLACK_TOKEN,
    grafana::TOKEN,
    "WEBHOOK_USER",
    "WEBHOOK_PASSWORD",
    "WEBHOOK_PATH",
    "WEBHOOK_QUERY",
];

/// Fails in six ways, and repeats in its answers what it was sent.
fn misbehave(service: &StandIn, secrets: &[&str]) {
    let echo = format!("I do not like {}", secrets.join(" or "));
    service.behave(Behaviour::ResetConnection);
    service.behave(Behaviour::answer(500, &echo));
    service.behave(Behaviour::answer(400, &json!({ "message": echo, "errors": [echo] }).to_string()));
    service.behave(Behaviour::answer(302, &echo));
    service.behave(Behaviour::answer(401, &echo));
    service.behave(Behaviour::Hang);
}

#[tokio::test]
async fn no_credential_is_ever_logged() {
    assert!(slack::PATH.ends_with(SLACK_TOKEN));
    let services = Services::start().await;
    let webhook = StandIn::start(Kind::Grafana).await.unwrap();
    let file = services
        .fill_in(ROUTES)
        .replace("NO_TLS_URL", &services.slack.url().replace("http:", "https:"))
        .replace("WEBHOOK_ADDRESS", webhook.url().strip_prefix("http://").unwrap());
    let folder = folder(&[("routes.yaml", &file)]);
    misbehave(&services.pagerduty, &SECRETS[..1]);
    misbehave(&services.slack, &[slack::PATH, SLACK_TOKEN]);
    misbehave(&services.grafana, &SECRETS[2..3]);
    misbehave(&webhook, &SECRETS[3..]);
    let all = [&services.pagerduty, &services.slack, &services.grafana, &webhook];
    let mut router = Router::start_with(&folder.0, "127.0.0.1:0", &["--log-level", "trace"]).await;
    for group in ["one", "two", "three", "four", "five", "six"] {
        post(&router, group, "critical").await;
    }
    for service in all {
        patiently("six attempts", service.wait_for(6)).await;
        service.set_down(true);
    }
    post(&router, "last", "critical").await;
    for service in all {
        patiently("an attempt in vain", service.wait_for_turned_away(1)).await;
    }
    let metrics = router.metrics().await;
    // The file holds all of them, and now has mistakes beside them.
    std::fs::write(folder.0.join("routes.yaml"), file.replace("timeout:", "tiemout:")).unwrap();
    let (status, problems) = http::post_text(&router.address, "/-/reload", Vec::new()).await;
    assert_eq!(status, 400);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());

    let log = router.process.log();
    let fails = |receiver: &str, how: &str| {
        let receiver = format!("receiver={receiver} ");
        log.lines().any(|line| line.contains("WARN") && line.contains(&receiver) && line.contains(how))
    };
    assert!(log.contains("TRACE") && log.contains("given up: a dead letter"), "{log}");
    assert!(fails("no-tls", "network"), "{log}");
    for receiver in ["pagerduty", "slack", "grafana", "webhook"] {
        let all = ["connection closed", "HTTP 500: I do not like", "no answer within"].map(|how| fails(receiver, how));
        assert_eq!(all, [true; 3], "{receiver} did not fail in every way:\n{log}");
    }
    // Errors of deliveries are kept in the store, too.
    let files = std::fs::read_dir(folder.0.join("data")).unwrap();
    let stored: Vec<_> =
        files.map(|file| String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned()).collect();
    assert!(stored.iter().any(|file| file.contains("I do not like ***")), "the store keeps no errors");
    for secret in SECRETS {
        for text in [&log, &metrics, &problems].into_iter().chain(&stored) {
            let shown: Vec<_> = text.lines().filter(|line| line.contains(secret)).take(3).collect();
            assert!(shown.is_empty(), "{secret} in {shown:?}");
        }
    }
}
