//! Answers that are none, or the wrong ones.

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, Timestamp, after};
use alertrouter::deliver::Transport;
use alertrouter::receiver::{Method, Outgoing};
use alertrouter::standin::{Behaviour, Then};
use serde_json::json;

use super::{SOON, To, Trials, counted, routes, whole};
use crate::harness::{Harness, alerts};

/// What these time-outs cost is real time, and what is answered at once has to be within it.
const TIMEOUT: &str = "timeout: 1s";
const WITHOUT_HASTE: &str = "timeout: 30s";
/// Many times what is read of an answer, and more than any socket buffers.
const GIBIBYTE: u64 = 1 << 30;
const TEN_MEGABYTES: u64 = 10_000_000;

#[tokio::test]
async fn rate_limited_without_retry_after() {
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    for to in To::ALL {
        trials.arrives_once(to, Behaviour::answer(429, ""), "HTTP 429").await;
    }
    trials.harness.finish().await;
}

/// A service asks to be left alone for 45 s and is.
async fn is_left_alone(harness: &Harness, to: To, behaviour: Behaviour) {
    let service = to.service(&harness.services);
    service.behave(behaviour);
    harness.accept(&alerts::one("First", to.severity())).await;
    harness.wait_until(async || counted(harness, to, "retried").await == 1.0).await;
    // It asked for itself, not for one message: nothing else is sent meanwhile.
    harness.accept(&alerts::one("Second", to.severity())).await;
    harness.look().await;
    harness.clock.advance(Duration::from_millis(44_999));
    harness.look().await;
    assert_eq!(service.received().len(), 1, "{to:?}: too soon");
    // A date has no fractions of a second.
    harness.clock.advance(Duration::from_millis(1001));
    harness.wait_until(async || service.received().len() > 1).await;
    harness.deliver(SOON).await;
    assert_eq!((counted(harness, to, "delivered").await, counted(harness, to, "retried").await), (2.0, 1.0));
}

#[tokio::test]
async fn rate_limited_with_seconds() {
    let harness = Harness::with_routes(&routes(WITHOUT_HASTE)).await;
    for to in To::ALL {
        is_left_alone(&harness, to, Behaviour::come_back(429, "45")).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn rate_limited_with_a_date() {
    let harness = Harness::with_routes(&routes(WITHOUT_HASTE)).await;
    for to in To::ALL {
        let date = after(harness.now(), Duration::from_secs(46)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        is_left_alone(&harness, to, Behaviour::come_back(429, date)).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_page_of_html() {
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    let page = "<!DOCTYPE html><html><title>Server Error | Slack</title></html>";
    for to in To::ALL {
        trials.arrives_once(to, Behaviour::answer(500, page), "HTTP 500: an HTML page").await;
    }
    trials.harness.finish().await;
}

#[tokio::test]
async fn a_success_that_is_none() {
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    let mut requests = 0;
    for (to, body, why) in [
        (To::Slack, r#"{"ok":false,"error":"fatal_error"}"#, r#"HTTP 200: {"ok":false,"error":"fatal_error"}"#),
        (To::Slack, r#"{"ok":true}"#, r#"HTTP 200: {"ok":true}"#),
        (To::Slack, "okay", "HTTP 200: okay"),
        (To::Slack, "", "HTTP 200"),
        (To::Slack, "<html>Please log in to the guest network</html>", "HTTP 200: an HTML page"),
        (To::PagerDuty, "<html>Please log in to the guest network</html>", "HTTP 200: an HTML page"),
        (To::PagerDuty, r#"{"status":"success"}"#, r#"HTTP 200: {"status":"success"}"#),
        (To::Grafana, r#"{"message":"Annotation added"}"#, "HTTP 200: Annotation added"),
        (To::Grafana, "<html>Please log in to the guest network</html>", "HTTP 200: an HTML page"),
    ] {
        trials.is_tried_again(to, Behaviour::answer(200, body), why).await;
        requests += 3;
    }
    let services = &trials.harness.services;
    // Twice Grafana was asked first whether it has the annotation already.
    let sent = To::ALL.map(|to| to.service(services).received().len());
    assert_eq!((sent, sent.iter().sum::<usize>()), ([15, 6, 8], requests + 2));
    trials.harness.finish().await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_answer() {
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    let breaks = |status, body: &str| Behaviour::Begin { status, body: body.to_owned(), then: Then::BreaksOff };
    // Slack has it and has not said so to the end: rather twice than never.
    let fate = trials.is_tried_again(To::Slack, breaks(200, "o"), "HTTP 200: o").await;
    assert_eq!(trials.told_slack(&fate.name), ["[FIRI", "[FIRI", "[RESO"]);
    // The whole word came; to PagerDuty the status says it.
    trials.is_no_failure(To::Slack, breaks(200, "ok")).await;
    trials.is_no_failure(To::PagerDuty, breaks(202, r#"{"sta"#)).await;
    // Grafana has made an annotation and its id is lost: it is found again.
    let half = r#"{"message":"Annotation a"#;
    trials.arrives_once(To::Grafana, breaks(200, half), &format!("HTTP 200: {half}")).await;
    for to in To::ALL {
        trials.arrives_once(to, breaks(503, "busy"), "HTTP 503: busy").await;
    }
    trials.harness.finish().await;
}

/// What each service says when it takes something.
const SUCCESS: [(To, u16, &str); 3] =
    [(To::Slack, 200, "ok"), (To::PagerDuty, 202, ""), (To::Grafana, 200, r#"{"id":1,"message":"Annotation added"}"#)];

#[tokio::test]
async fn an_answer_that_never_ends() {
    let mut trials = Trials::start(TIMEOUT).await;
    let trickles = |status, body: &str| {
        let then = Then::Trickles(Duration::from_millis(10));
        Behaviour::Begin { status, body: body.to_owned(), then }
    };
    for (to, status, body) in SUCCESS {
        // After the time-out what has come by then counts.
        trials.is_no_failure(to, trickles(status, body)).await;
        let poured = to.service(&trials.harness.services).wait_for_poured(1).await;
        assert!(poured[0] < 10_000, "the connection was closed after the time-out, not when the trickle ended");
        trials.arrives_once(to, trickles(500, "oh"), "HTTP 500: oh").await;
    }
    trials.harness.finish().await;
}

#[tokio::test]
async fn an_answer_without_measure() {
    for bytes in [TEN_MEGABYTES, GIBIBYTE] {
        let mut trials = Trials::start(WITHOUT_HASTE).await;
        let pours = |status, body: &str| Behaviour::Begin { status, body: body.to_owned(), then: Then::Pours(bytes) };
        for (to, status, body) in SUCCESS {
            trials.is_no_failure(to, pours(status, body)).await;
            let poured = to.service(&trials.harness.services).wait_for_poured(1).await;
            assert!(poured[0] < GIBIBYTE / 8, "{} bytes were taken", poured[0]);
        }
        trials.arrives_once(To::Slack, pours(500, "<html>"), "HTTP 500: an HTML page").await;
        trials.harness.finish().await;
    }
}

#[tokio::test]
async fn of_an_answer_64_kib_are_read_and_no_byte_is_waited_for_after_that() {
    let harness = Harness::start().await;
    let slack = &harness.services.slack;
    slack.behave(Behaviour::Begin { status: 500, body: "oh".to_owned(), then: Then::Pours(GIBIBYTE) });
    let transport = Transport::new().unwrap();
    let request = Outgoing::json("post", Method::Post, slack.url().into(), &json!({ "text": "hello" }));
    let clock = SystemClock::new();
    let answer = transport.send(request, Duration::from_secs(60), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (500, 64 * 1024));
    slack.wait_for_poured(1).await;
    assert!(clock.monotonic() < Duration::from_secs(30), "long before the time-out");
    harness.finish().await;
}

#[tokio::test]
async fn headers_that_come_byte_by_byte() {
    let mut trials = Trials::start(TIMEOUT).await;
    // Some hundred bytes at 20 ms each.
    let slow = Behaviour::ByteByByte(Duration::from_millis(20));
    let why = "no answer within 1s";
    // It has done its work, and nobody can know that.
    let fate = trials.is_tried_again(To::Slack, slow.clone(), why).await;
    assert_eq!(trials.told_slack(&fate.name), ["[FIRI", "[FIRI", "[RESO"]);
    trials.arrives_once(To::PagerDuty, slow.clone(), why).await;
    trials.arrives_once(To::Grafana, slow, why).await;
    trials.harness.finish().await;
    // Slow, and in time.
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    trials.is_no_failure(To::Slack, Behaviour::ByteByByte(Duration::from_millis(1))).await;
    trials.harness.finish().await;
}

#[tokio::test]
async fn silence() {
    let mut trials = Trials::start(WITHOUT_HASTE).await;
    for to in To::ALL {
        trials.arrives_once(to, Behaviour::Hang, "no answer within 30s").await;
    }
    trials.harness.finish().await;
}

#[tokio::test]
async fn to_a_webhook_every_2xx_is_a_success() {
    let routes = "
receivers:
  - name: team-slack
    webhook: { url: SLACK_WEBHOOK_URL }
    rate_limit: { rate: 1000/s, burst: 1000 }
route: { receivers: [team-slack] }
";
    let harness = Harness::with_routes(routes).await;
    let slack = &harness.services.slack;
    let begin = |status, then| Behaviour::Begin { status, body: String::new(), then };
    for (number, (behaviour, retried)) in [
        (Behaviour::answer(204, ""), 0.0),
        (Behaviour::answer(200, "<html>Please log in to the guest network</html>"), 0.0),
        (begin(202, Then::BreaksOff), 0.0),
        (begin(200, Then::Pours(GIBIBYTE)), 0.0),
        (Behaviour::answer(429, ""), 1.0),
        (Behaviour::answer(500, "<html>"), 2.0),
        (begin(503, Then::BreaksOff), 3.0),
        (Behaviour::answer(302, ""), 4.0),
    ]
    .into_iter()
    .enumerate()
    {
        slack.behave(behaviour.clone());
        // What it is sent otherwise is nothing to Slack's stand-in.
        if retried > 0.0 {
            slack.behave(Behaviour::answer(200, ""));
        }
        harness.accept(&alerts::one(&format!("Alert-{number}"), "warning")).await;
        harness.deliver(SOON).await;
        assert_eq!(counted(&harness, To::Slack, "retried").await, retried, "{behaviour:?}");
        assert_eq!(counted(&harness, To::Slack, "delivered").await, whole(number + 1), "{behaviour:?}");
    }
    harness.finish().await;
}
