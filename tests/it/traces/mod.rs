//! What a trace shows of a webhook and of all that comes of it. Nothing here starts the log: a trace does not come from it.

pub mod collector;
mod outages;

use std::time::Duration;

use alertrouter::receiver::{Method, Outgoing};
use alertrouter::standin::Behaviour;
use alertrouter::traces::Settings;
use serde_json::Value;

use crate::harness::{self, Harness, ROUTES, alerts, http};
use crate::heartbeat;
use collector::{CLIENT, Collector, INTERNAL, SERVER, Seen};

const SOON: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";
/// What Alertmanager 0.30 and later send; an older one sends none.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The service, and a collector that its traces go to.
async fn start(routes: &str, env: &[(&str, &str)]) -> (Harness, Collector) {
    let collector = Collector::start().await;
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::read(&collector.url(), env).unwrap();
    (Harness::with(routes, |all| all.traces = settings).await, collector)
}

/// Criticals go to PagerDuty alone, whose receiver gets further `keys`.
fn paging(keys: &str) -> String {
    ROUTES.replace("- name: oncall", &format!("- name: oncall\n    {keys}")).replace("[oncall, team-slack]", "[oncall]")
}

/// Posts a body with these headers; the answer's status.
async fn post(address: &str, body: &Value, headers: &[(&'static str, &str)]) -> u16 {
    let url = format!("http://{address}/webhook").into();
    let mut request = Outgoing::json("test", Method::Post, url, body);
    request.headers.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    http::try_send(request).await.unwrap().status
}

/// Posts a body that has to be taken.
async fn accept(harness: &Harness, body: &Value, headers: &[(&'static str, &str)]) {
    assert_eq!(post(harness.address(), body, headers).await, 200);
}

/// Waits for so many spans of a name.
async fn wait_for(harness: &Harness, collector: &Collector, name: &str, count: usize) -> Vec<Seen> {
    harness.pass_until(MINUTE, async || collector.named(name).len() >= count).await;
    collector.named(name)
}

/// Ends a test; all that was exported has to be as the protocol wants it.
async fn finish(harness: Harness, collector: &Collector) {
    harness.finish().await;
    assert_eq!(collector.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn a_webhook_its_steps_and_each_attempt_are_one_trace_which_the_sender_began() {
    let env = [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")];
    let (harness, collector) = start(ROUTES, &env).await;
    let headers = [("traceparent", TRACEPARENT), ("tracestate", "vendor=a"), ("user-agent", "Alertmanager/0.30.0")];
    accept(&harness, &alerts::one("DiskFull", "critical"), &headers).await;
    harness.deliver(SOON).await;
    wait_for(&harness, &collector, "deliver oncall", 1).await;
    wait_for(&harness, &collector, "deliver team-slack", 1).await;
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE && span.error.is_none()), "{spans:#?}");

    let webhook = collector.one("POST /webhook");
    assert_eq!((webhook.parent.as_str(), webhook.kind, webhook.state.as_str()), (SENDER, SERVER, "vendor=a"));
    webhook.shows(&[
        ("http.request.method", "POST"),
        ("http.route", "/webhook"),
        ("url.path", "/webhook"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "Alertmanager/0.30.0"),
        ("alertrouter.group", "DiskFull"),
        ("alertrouter.alerts", "1"),
        ("alertrouter.notifications", "2"),
        ("alertrouter.duplicates", "0"),
    ]);
    for (name, expected) in [
        ("service.name", "alertrouter"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.language", "rust"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(webhook.resource[name], expected, "{name}");
    }
    for step in ["plan", "commit", "deliver oncall", "deliver team-slack"] {
        let span = collector.one(step);
        assert_eq!((&span.parent, span.kind), (&webhook.id, INTERNAL), "{step}");
    }
    collector.one("commit").shows(&[("alertrouter.deliveries", "2")]);
    check_attempt(&harness, &collector);
    harness
        .pass_until(MINUTE, async || {
            harness.metric("alertrouter_trace_spans_exported_total").await == collector.count()
        })
        .await;
    finish(harness, &collector).await;
}

/// The one attempt at PagerDuty, and its one request.
fn check_attempt(harness: &Harness, collector: &Collector) {
    let attempt = collector.one("deliver oncall");
    attempt.shows(&[
        ("alertrouter.receiver", "oncall"),
        ("alertrouter.group", "DiskFull"),
        ("alertrouter.attempt", "1"),
        ("alertrouter.alerts", "1"),
        ("alertrouter.outcome", "delivered"),
    ]);
    let id: i64 = attempt.get("alertrouter.delivery.id").parse().unwrap();
    assert!(id > 0);
    let requests = collector.named("POST");
    let request = requests.iter().find(|request| request.parent == attempt.id).unwrap();
    assert_eq!((requests.len(), request.kind), (2, CLIENT));
    let url = harness.services.pagerduty.url();
    request.shows(&[
        ("http.request.method", "POST"),
        ("server.address", "127.0.0.1"),
        ("server.port", url.split([':', '/']).nth(4).unwrap()),
        ("http.response.status_code", "202"),
    ]);
    assert!(!request.attributes.contains_key("url.full"), "the rest of an address may be the secret");
}

#[tokio::test]
async fn each_attempt_shows_how_it_ended() {
    let (harness, collector) = start(&paging(""), &[]).await;
    let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no key"]}"#;
    harness.services.pagerduty.behave(Behaviour::answer(500, ""));
    harness.services.pagerduty.behave(Behaviour::ResetConnection);
    harness.services.pagerduty.behave(Behaviour::answer(400, refused));
    accept(&harness, &alerts::one("DiskFull", "critical"), &[("traceparent", TRACEPARENT)]).await;
    harness.deliver(MINUTE).await;
    let attempts = wait_for(&harness, &collector, "deliver oncall", 3).await;
    let said = |span: &Seen| {
        let text = |name| span.attributes.get(name).cloned().unwrap_or_default();
        (text("alertrouter.attempt"), text("alertrouter.outcome"), text("error.type"))
    };
    let expected = [("1", "retried", "unavailable"), ("2", "retried", "network"), ("3", "dead", "refused")];
    let expected = expected.map(|(attempt, outcome, class)| (attempt.to_owned(), outcome.to_owned(), class.to_owned()));
    assert_eq!(attempts.iter().map(said).collect::<Vec<_>>(), expected);
    assert!(attempts.iter().all(|attempt| attempt.trace == TRACE));
    assert_eq!(attempts[2].error.as_deref(), Some("HTTP 400: Event object is invalid: no key"));
    let statuses = collector.named("POST").into_iter().map(|request| {
        let status = request.attributes.get("http.response.status_code").cloned();
        (status.unwrap_or_default(), request.get("error.type").to_owned())
    });
    let expected = [("500", "500"), ("", "network"), ("400", "400")];
    let expected = expected.map(|(status, class)| (status.to_owned(), class.to_owned()));
    assert_eq!(statuses.collect::<Vec<_>>(), expected);
    assert_eq!(harness.dead().await, 1);
    finish(harness, &collector).await;
}

#[tokio::test]
async fn without_a_traceparent_that_is_one_a_trace_begins() {
    let (harness, collector) = start(ROUTES, &[]).await;
    let good = ("traceparent", TRACEPARENT);
    let headers: [&[(&'static str, &str)]; 5] = [
        &[],
        &[("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        &[("traceparent", "hello")],
        &[("tracestate", "vendor=a")],
    ];
    for (number, headers) in headers.iter().enumerate() {
        accept(&harness, &alerts::one(&format!("Alert-{number}"), "warning"), headers).await;
    }
    // Twice is not once. The client of the others would send one of them only.
    let body = alerts::one("Twice", "warning").to_string();
    let twice = format!("traceparent: {TRACEPARENT}\r\ntraceparent: {TRACEPARENT}\r\n");
    let length = body.len();
    let request = format!(
        "POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{twice}content-length: {length}\r\n\r\n{body}"
    );
    let answer = http::read_to_end(http::connect(harness.address(), request.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let webhooks = wait_for(&harness, &collector, "POST /webhook", 6).await;
    let mut traces: Vec<_> = webhooks.iter().map(|span| span.trace.clone()).collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 6, "each a trace of its own");
    assert!(webhooks.iter().all(|span| span.trace != TRACE && span.parent.is_empty() && span.state.is_empty()));
    // And the one that is one, of a later version.
    let later = format!("cc{}-more", &TRACEPARENT[2..]);
    accept(&harness, &alerts::one("Later", "warning"), &[("traceparent", &later)]).await;
    accept(&harness, &alerts::one("Good", "warning"), &[good]).await;
    let webhooks = wait_for(&harness, &collector, "POST /webhook", 8).await;
    assert!(webhooks[6..].iter().all(|span| span.trace == TRACE && span.parent == SENDER), "{webhooks:#?}");
    harness.deliver(SOON).await;
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_sender_decides_for_his_own_traces_only_and_others_not_at_all() {
    let routes = format!("{ROUTES}auth:\n  bearer_tokens: [{{ token: {} }}]\n", "t".repeat(32));
    let (harness, collector) = start(&routes, &[]).await;
    let bearer = format!("Bearer {}", "t".repeat(32));
    let unsampled = format!("{}00", &TRACEPARENT[..TRACEPARENT.len() - 2]);
    let credential = ("authorization", bearer.as_str());
    // Not sampled, and so are its attempts.
    accept(&harness, &alerts::one("Unseen", "warning"), &[credential, ("traceparent", &unsampled)]).await;
    harness.deliver(SOON).await;
    // Not let in.
    let stranger = [("traceparent", TRACEPARENT)];
    assert_eq!(post(harness.address(), &alerts::one("Stranger", "warning"), &stranger).await, 401);
    accept(&harness, &alerts::one("Seen", "warning"), &[credential]).await;
    harness.deliver(SOON).await;
    let attempts = wait_for(&harness, &collector, "deliver team-slack", 1).await;
    assert_eq!(attempts[0].get("alertrouter.group"), "Seen");
    assert_eq!(collector.one("POST /webhook").get("alertrouter.group"), "Seen");
    assert!(collector.spans().iter().all(|span| span.trace != TRACE), "{:#?}", collector.spans());
    assert_eq!(harness.slack_texts().len(), 2);
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_sampler_decides_what_begins_here() {
    let (harness, collector) = start(ROUTES, &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
    accept(&harness, &alerts::one("Unseen", "warning"), &[]).await;
    accept(&harness, &alerts::one("Seen", "warning"), &[("traceparent", TRACEPARENT)]).await;
    harness.deliver(SOON).await;
    wait_for(&harness, &collector, "deliver team-slack", 1).await;
    assert_eq!(collector.one("POST /webhook").get("alertrouter.group"), "Seen");
    assert_eq!(collector.one("deliver team-slack").get("alertrouter.group"), "Seen");
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_fallback_is_seen_in_the_trace_of_what_it_stands_in_for() {
    let (harness, collector) = start(&paging("fallback: team-slack"), &[]).await;
    harness.services.pagerduty.behave(Behaviour::answer(400, "{}"));
    accept(&harness, &alerts::one("DiskFull", "critical"), &[("traceparent", TRACEPARENT)]).await;
    harness.services.slack.wait_for_accepted(1).await;
    harness.deliver(SOON).await;
    let attempt = wait_for(&harness, &collector, "deliver team-slack", 1).await.remove(0);
    assert_eq!((attempt.trace.as_str(), &attempt.parent), (TRACE, &collector.one("POST /webhook").id));
    assert_eq!(attempt.get("alertrouter.fallback_for"), "oncall");
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_held_copy_keeps_its_trace_until_it_goes() {
    let (harness, collector) = start(ROUTES, &[]).await;
    accept(&harness, &alerts::one("Flapping", "critical"), &[]).await;
    accept(&harness, &alerts::one_resolved("Flapping", "critical"), &[]).await;
    harness.deliver(SOON).await;
    // A late copy of what has ended.
    accept(&harness, &alerts::one("Flapping", "critical"), &[("traceparent", TRACEPARENT)]).await;
    assert_eq!(wait_for(&harness, &collector, "POST /webhook", 3).await[2].get("alertrouter.held"), "2");
    harness.deliver(MINUTE * 10).await;
    let attempts = wait_for(&harness, &collector, "deliver oncall", 3).await;
    assert_eq!(attempts[2].trace, TRACE);
    finish(harness, &collector).await;
}

#[tokio::test]
async fn what_a_receiver_leaves_behind_keeps_its_trace() {
    let (harness, collector) = start(&paging("fallback: team-slack"), &[]).await;
    accept(&harness, &alerts::one("Flapping", "critical"), &[]).await;
    accept(&harness, &alerts::one_resolved("Flapping", "critical"), &[]).await;
    harness.deliver(SOON).await;
    accept(&harness, &alerts::one("Flapping", "critical"), &[("traceparent", TRACEPARENT)]).await;
    let without = ROUTES.replace("[oncall, team-slack]", "[team-slack]").replace("- name: oncall", "- name: other");
    assert_eq!(harness.reload(&without).await.0, 200);
    harness.deliver(MINUTE * 10).await;
    let attempts = wait_for(&harness, &collector, "deliver team-slack", 1).await;
    let attempt = attempts.last().unwrap();
    assert_eq!((attempt.trace.as_str(), attempt.get("alertrouter.fallback_for")), (TRACE, "oncall"));
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_digest_is_linked_to_what_it_carries() {
    let routes = ROUTES.replace(
        "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "slack: { webhook_url: SLACK_WEBHOOK_URL }",
    );
    let (harness, collector) = start(&routes, &[]).await;
    for number in 0..45 {
        accept(&harness, &alerts::one(&format!("Storm-{number}"), "warning"), &[]).await;
    }
    harness.deliver(MINUTE * 2).await;
    wait_for(&harness, &collector, "POST /webhook", 45).await;
    let webhooks: Vec<_> = collector.named("POST /webhook").into_iter().map(|span| span.trace).collect();
    harness
        .pass_until(MINUTE, async || collector.named("deliver team-slack").iter().any(|span| !span.links.is_empty()))
        .await;
    let digest = collector.named("deliver team-slack").into_iter().find(|span| !span.links.is_empty()).unwrap();
    assert_eq!((digest.links.len(), digest.parent.as_str()), (32, ""), "as many as a span has");
    assert!(digest.links.iter().all(|trace| webhooks.contains(trace)) && !webhooks.contains(&digest.trace));
    let carried: usize = digest.get("alertrouter.notifications").parse().unwrap();
    assert!(carried > 32, "{carried}");
    finish(harness, &collector).await;
}

#[tokio::test]
async fn what_no_webhook_set_off_begins_a_trace() {
    let (harness, collector) = start(&heartbeat::routes("name: prod, receivers: [oncall], every: 5m"), &[]).await;
    harness.pass_until(MINUTE * 60, async || !harness.pagerduty_events().is_empty()).await;
    harness.deliver(SOON).await;
    let attempt = wait_for(&harness, &collector, "deliver oncall", 1).await.remove(0);
    assert_eq!((attempt.parent.as_str(), collector.named("POST /webhook").len()), ("", 0));
    finish(harness, &collector).await;
}

#[tokio::test]
async fn what_strangers_say_is_kept_short() {
    let (harness, collector) = start(ROUTES, &[]).await;
    let long = "k\u{e9}".repeat(4000);
    let alert =
        alerts::firing(&serde_json::json!({ "alertname": "L".repeat(4000), "severity": "warning" }), harness::start());
    let state = format!("vendor={}", "x".repeat(600));
    let agent = "a".repeat(4000);
    let headers = [("traceparent", TRACEPARENT), ("tracestate", state.as_str()), ("user-agent", agent.as_str())];
    harness.services.slack.behave(Behaviour::answer(500, &"e".repeat(4000)));
    accept(&harness, &alerts::group(&long, &[alert]), &headers).await;
    harness.deliver(MINUTE).await;
    wait_for(&harness, &collector, "deliver team-slack", 2).await;
    let spans = collector.spans();
    for span in &spans {
        let error = span.error.iter();
        for text in span.attributes.values().chain(error).chain([&span.name, &span.state]) {
            assert!(text.chars().count() <= 257, "{}: {text}", span.name);
        }
        assert_eq!(span.state, "");
    }
    assert_eq!(collector.one("POST /webhook").get("alertrouter.group").chars().count(), 257);
    finish(harness, &collector).await;
}
