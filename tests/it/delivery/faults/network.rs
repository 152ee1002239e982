//! No connection, or none that holds.

use alertrouter::standin::{Behaviour, Kind, StandIn, slack};
use tokio::net::TcpSocket;

use super::{FAILED, Fate, Log, SOON, To, Trials, arrived_once, counted, is_up, routes, said};
use crate::harness::{Harness, alerts};

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer() {
    let mut trials = Trials::start("timeout: 30s").await;
    for to in To::ALL {
        let Fate { name, why } = trials.one(to, Behaviour::ResetConnection).await;
        assert!(why.len() == 1 && why[0].starts_with("error sending request: "), "{why:?}");
        arrived_once(&trials.harness, to, &name);
    }
    trials.harness.finish().await;
}

/// Has two alerts wait for an address where nothing answers, until the receiver counts as down.
async fn wait_for_nobody(harness: &Harness) {
    for name in ["A", "B"] {
        harness.accept(&alerts::one(name, "warning")).await;
        harness.accept(&alerts::one_resolved(name, "warning")).await;
    }
    harness.pass_until(SOON, async || !is_up(harness, To::Slack).await).await;
    assert_eq!((harness.pending().await, harness.dead().await), (4, 0));
}

/// The reasons that the log gives for what failed.
fn reasons(log: &Log) -> Vec<String> {
    let mut reasons: Vec<_> = log.lines(FAILED).iter().map(|line| said(line)).collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

#[tokio::test]
async fn a_connection_that_is_refused() {
    let log = Log::capture();
    // Bound, so that nobody else gets it, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}{}", socket.local_addr().unwrap(), slack::PATH);
    let harness = Harness::with_routes(&routes("timeout: 30s").replace("SLACK_WEBHOOK_URL", &url)).await;
    wait_for_nobody(&harness).await;
    let reasons = reasons(&log);
    assert!(reasons.len() == 1 && reasons[0].contains("Connection refused"), "{reasons:?}");
    assert!(!log.text().contains(slack::PATH), "the path is the credential");
    let back = StandIn::start_on(socket.listen(64).unwrap(), Kind::Slack).unwrap();
    harness.deliver(SOON).await;
    check_order(&back);
    assert!(is_up(&harness, To::Slack).await);
    harness.finish().await;
}

/// Both alerts have arrived, each before its end.
fn check_order(slack: &StandIn) {
    for name in ["A", "B"] {
        let texts = slack.accepted();
        let texts = texts.iter().map(|message| message.json["text"].as_str().unwrap_or_default());
        let of_alert: Vec<_> =
            texts.filter(|text| text.contains(&format!("] {name}:"))).map(|text| &text[..5]).collect();
        assert_eq!(of_alert, ["[FIRI", "[RESO"], "{name}");
    }
}

#[tokio::test]
async fn a_name_that_dns_does_not_know() {
    let log = Log::capture();
    // No label of a name may have more than 63 bytes: no resolver, and no provider's search page, ever finds it.
    let url = format!("http://{}.invalid/services/T0/B0/marker-of-a-token", "x".repeat(64));
    let harness = Harness::with_routes(&routes("timeout: 30s").replace("SLACK_WEBHOOK_URL", &url)).await;
    wait_for_nobody(&harness).await;
    let reasons = reasons(&log);
    assert!(reasons.len() == 1 && reasons[0].contains("dns error: "), "{reasons:?}");
    assert!(!log.text().contains("marker-of-a-token"), "{}", log.text());
    // Somebody mends the name in routes.yaml.
    assert_eq!(harness.reload(&routes("timeout: 30s")).await.0, 200);
    harness.deliver(SOON).await;
    check_order(&harness.services.slack);
    assert!(is_up(&harness, To::Slack).await);
    assert_eq!(counted(&harness, To::Slack, "dead").await, 0.0);
    harness.finish().await;
}
