//! Signed webhooks, with the reference library of Standard Webhooks as the judge.

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, Timestamp, after};
use alertrouter::config::{self, secret};
use alertrouter::notification::Granularity;
use alertrouter::receiver::Outgoing;
use alertrouter::standin::Behaviour;
use alertrouter::template::samples;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::process::run;
use crate::harness::{Harness, alerts};
use crate::routes_file::root;

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What the library says of each of these requests: `ok`, or the name of its error.
async fn verified(requests: &[Value]) -> Vec<String> {
    const PROGRAM: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
for request in json.loads(sys.argv[1]):
    try:
        Webhook(request['secret']).verify(request['body'].encode(), request['headers'])
        print('ok')
    except WebhookVerificationError as error:
        print(error)
";
    let library = root("target/tools/python");
    assert!(std::path::Path::new(&library).join("standardwebhooks").is_dir(), "run .ci/tools: it installs the library");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", library).args(["-c", PROGRAM, &json!(requests).to_string()]);
    let said = run(python).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out.lines().map(str::to_owned).collect()
}

/// The first request of a receiver with these keys, sent at this time.
fn sent(keys: &str, at: Timestamp) -> Outgoing {
    let file = format!("receivers: [{{name: a, webhook: {{url: 'http://x/', {keys}}}}}]\nroute: {{receivers: [a]}}\n");
    let (config, problems) = config::parse(file.as_bytes(), &config::Options::default(), &secret::System);
    let service = config.unwrap_or_else(|| panic!("{problems:?}")).receivers.remove(0).service;
    let sample = samples::all(Granularity::Group).remove(4);
    let mut outgoing = service.encode(&sample.notification).unwrap();
    service.stamp(&mut outgoing, at);
    outgoing
}

fn request(secret: &str, outgoing: &Outgoing) -> Value {
    let headers = outgoing.headers.iter().map(|(name, value)| (name.as_ref(), value.expose_secret()));
    let headers: std::collections::BTreeMap<&str, &str> = headers.collect();
    json!({ "secret": secret, "headers": headers, "body": String::from_utf8_lossy(&outgoing.body) })
}

#[tokio::test]
async fn the_reference_library_takes_them() {
    let now = SystemClock::default().now();
    let one = sent(&format!("secret: {NEW}"), now);
    let both = sent(&format!("secret: [{NEW}, {OLD}], body: '{{\"é\": {{{{ title }}}}}}'"), now);
    let late = sent(&format!("secret: {NEW}"), after(now, Duration::from_secs(3600)));
    let mut changed = request(NEW, &one);
    changed["body"] = "{}".into();
    let said = verified(&[
        request(NEW, &one),
        request(NEW, &both),
        request(OLD, &both),
        request(OLD, &one),
        request(OTHER, &both),
        changed,
        request(NEW, &late),
    ])
    .await;
    assert_eq!(
        said,
        [
            "ok",
            "ok",
            "ok",
            "No matching signature found",
            "No matching signature found",
            "No matching signature found",
            "Message timestamp too new"
        ]
    );
}

#[test]
fn nothing_is_signed_without_a_secret() {
    let outgoing = sent("headers: {x-team: checkout}", Timestamp::UNIX_EPOCH);
    let names: Vec<_> = outgoing.headers.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(names, ["content-type", "x-team", "webhook-id"]);
}

#[tokio::test]
async fn each_attempt_is_signed_anew_under_the_same_id() {
    // The stand-in for Slack takes what this template makes.
    let routes = format!(
        "receivers:\n  - name: hook\n    webhook:\n      url: SLACK_WEBHOOK_URL\n      secret: {NEW}\n      \
         headers: {{ X-Team: checkout }}\n      body: '{{\"text\": {{{{ title }}}}}}'\nroute:\n  receivers: [hook]\n"
    );
    let harness = Harness::with_routes(&routes).await;
    let hook = &harness.services.slack;
    // The signed time is in whole seconds, and the router's own pause may be shorter than one.
    hook.behave(Behaviour::come_back(503, "2"));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.deliver(Duration::from_secs(10)).await;
    let received = hook.received();
    let [first, second] = &received[..] else { panic!("{} requests", received.len()) };
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    let times = [first, second].map(|received| received.header("webhook-timestamp").parse::<i64>().unwrap());
    assert!(times[0] < times[1], "{times:?}");
    assert_ne!(first.header("webhook-signature"), second.header("webhook-signature"));
    assert!(second.header("webhook-signature").starts_with("v1,"));
    assert_eq!(
        (second.header("x-team"), second.header("content-type")),
        ("checkout", "application/json; charset=utf-8")
    );
    assert_eq!(second.json, json!({ "text": "[FIRING:1] DiskFull" }));
    harness.finish().await;
}

#[tokio::test]
async fn a_template_that_fails_at_night_is_counted_and_the_message_still_goes_out() {
    let routes = "receivers:\n  - name: team-slack\n    slack:\n      webhook_url: SLACK_WEBHOOK_URL\n      \
                  title: '{{ alert.labels.number | default(\"1\", true) | int }} of them'\nroute:\n  receivers: [team-slack]\n";
    let harness = Harness::with_routes(routes).await;
    let failures = r#"alertrouter_template_failures_total{receiver="team-slack"}"#;
    let mut counted = alerts::one("Counted", "warning");
    counted["alerts"][0]["labels"]["number"] = "12".into();
    harness.accept(&counted).await;
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.metric(failures).await, 0.0);
    let mut odd = alerts::one("Odd", "warning");
    odd["alerts"][0]["labels"]["number"] = "many".into();
    harness.services.slack.behave(Behaviour::answer(503, ""));
    harness.accept(&odd).await;
    harness.deliver(Duration::from_secs(10)).await;
    let received = harness.services.slack.received();
    assert_eq!(received.len(), 3, "one attempt failed");
    assert_eq!(received[0].json["text"], "12 of them");
    assert!(received[2].json["text"].as_str().unwrap().starts_with("[FIRING:1] Odd"), "{}", received[2].json["text"]);
    assert_eq!(harness.metric(failures).await, 1.0, "once for the notification, not for each attempt");
    harness.finish().await;
}
