//! What can never be read: answered with 4xx, counted, and kept for whoever looks into it.

use std::time::Duration;

use alertrouter::store::RejectedWhat;
use alertrouter::store::sqlite::SqliteReader;
use serde_json::{Value, json};

use crate::harness::{Harness, ROUTES, alerts, http};

const KEPT: usize = 64 * 1024;

#[tokio::test]
async fn bodies_that_can_never_be_read_are_answered_with_400_and_kept() {
    let harness = Harness::start().await;
    let bodies: [(&[u8], &str); 11] = [
        (b"", "EOF"),
        (b"hello", "expected value"),
        (b"{\"alerts\":[", "EOF"),
        (b"[]", "expected an object"),
        (b"\"alerts\"", "invalid type"),
        (b"null", "invalid type"),
        (b"{}", "holds no alerts"),
        (b"{\"alerts\":[]}", "holds no alerts"),
        (b"{\"alerts\":{\"status\":\"firing\"}}", "invalid type"),
        (b"{\"alerts\":[7,null,[]]}", "no alert can be read of 3"),
        (b"{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"a\":\"\0\"}}]}", "control character"),
    ];
    for (body, reason) in &bodies {
        let shown = String::from_utf8_lossy(body);
        let (status, answer) = harness.post_bytes(body.to_vec()).await;
        assert_eq!(status, 400, "{shown}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{shown}: {answer}");
    }
    let kept = harness.rejected().await;
    let contents: Vec<_> = kept.iter().rev().map(|rejected| rejected.content.as_slice()).collect();
    assert_eq!(contents, bodies.map(|(body, _)| body));
    assert!(kept.iter().all(|rejected| rejected.what == RejectedWhat::Body && rejected.at == harness.now()));
    assert_eq!(harness.metric(r#"alertrouter_rejected_total{what="body"}"#).await, 11.0);
    assert_eq!(harness.metric(r#"alertrouter_webhooks_total{code="400"}"#).await, 11.0);
    // What `alertrouter rejected` reads, beside the running service.
    let read = SqliteReader::open(harness.data_dir()).unwrap().rejected(2).unwrap();
    assert_eq!(read, kept[..2]);
    harness.finish().await;
}

#[tokio::test]
async fn one_broken_alert_does_not_sink_the_others() {
    let harness = Harness::start().await;
    let broken_ones = [
        ("startsAt", json!("yesterday at noon"), "is not a time"),
        ("status", json!("melting"), "unknown status `melting`"),
        ("labels", json!(["alertname"]), "invalid type: sequence"),
        ("labels", json!({}), "no labels"),
    ];
    for (turn, (field, value, reason)) in broken_ones.iter().enumerate() {
        let mut broken = alerts::alert("Broken", "critical");
        broken[*field] = value.clone();
        let good = |which| alerts::alert(&format!("Good-{which}-{turn}"), "critical");
        let answer = harness.accept(&alerts::group("mixed", &[good("a"), broken.clone(), good("b")])).await;
        let expected = json!({ "alerts": 3, "notifications": 4, "duplicates": 0, "held": 0, "rejected": 1 });
        assert_eq!(answer, expected, "{field}: {value}");
        harness.deliver(Duration::from_secs(10)).await;
        assert_eq!(harness.services.pagerduty.incidents().len(), 2 * (turn + 1), "{field}: {value}");
        let kept = &harness.rejected().await[0];
        assert_eq!(kept.what, RejectedWhat::Alert);
        assert!(kept.reason.contains(reason), "{field}: {value}: {}", kept.reason);
        assert_eq!(serde_json::from_slice::<Value>(&kept.content).unwrap(), broken);
    }
    assert_eq!(harness.metric(r#"alertrouter_rejected_total{what="alert"}"#).await, 4.0);
    assert_eq!(harness.metric(r#"alertrouter_rejected_total{what="body"}"#).await, 0.0);
    harness.finish().await;
}

#[tokio::test]
async fn odd_optional_fields_and_unknown_versions_cost_no_alert() {
    let harness = Harness::start().await;
    let changes = [
        ("version", json!("5")),
        ("version", json!(4)),
        ("groupKey", Value::Null),
        ("groupLabels", json!("none")),
        ("commonAnnotations", json!([1, 2])),
        ("truncatedAlerts", json!("many")),
        ("externalURL", json!({})),
        ("status", json!(17)),
        ("invented", json!({ "by": "the future" })),
    ];
    for (turn, (field, value)) in changes.iter().enumerate() {
        let mut body = alerts::one(&format!("Odd-{turn}"), "warning");
        body[*field] = value.clone();
        let answer = harness.accept(&body).await;
        assert_eq!((&answer["notifications"], &answer["rejected"]), (&json!(1), &json!(0)), "{field}: {value}");
    }
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.slack_texts().len(), changes.len());
    harness.finish().await;
}

/// A body of this many bytes that could be read otherwise.
fn body_of(bytes: usize) -> Vec<u8> {
    let mut body = alerts::one("Large", "warning");
    body["padding"] = "".into();
    let missing = bytes - body.to_string().len();
    body["padding"] = "x".repeat(missing).into();
    body.to_string().into()
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_with_413_and_its_beginning_kept() {
    for (limit, size, kept_bytes) in
        [(1000, 1001, 1001), (70_000, 100_000, KEPT), (16 * 1024 * 1024, 17 * 1024 * 1024, KEPT)]
    {
        let harness = Harness::with(ROUTES, |settings| settings.max_body = limit).await;
        let body = body_of(size);
        let (status, answer) = harness.post_bytes(body.clone()).await;
        assert_eq!(status, 413, "{answer}");
        let hint = format!("larger than {limit} bytes (--max-body); set max_alerts");
        assert!(answer["error"].as_str().unwrap().contains(&hint), "{answer}");
        let kept = harness.rejected().await;
        assert_eq!((kept.len(), kept[0].what), (1, RejectedWhat::Body));
        assert!(kept[0].content == body[..kept_bytes], "{} bytes were kept", kept[0].content.len());
        assert_eq!(harness.metric(r#"alertrouter_webhooks_total{code="413"}"#).await, 1.0);
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let harness = Harness::with(ROUTES, |settings| settings.max_body = 1000).await;
    assert_eq!(harness.post_bytes(body_of(1000)).await.0, 200);
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.slack_texts().len(), 1);
    harness.finish().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_what_there_is() {
    let harness = Harness::start().await;
    for (method, path, status, said) in [
        ("GET", "/", "404", "POST /webhook"),
        ("POST", "/webhook/", "404", "POST /webhook"),
        ("GET", "/api/v2/alerts", "404", "POST /webhook"),
        ("GET", "/webhook", "405", "/webhook does not take GET"),
        ("PUT", "/webhook", "405", "/webhook does not take PUT"),
        ("GET", "/-/reload", "405", "/-/reload does not take GET"),
        ("POST", "/metrics", "405", "/metrics does not take POST"),
        ("DELETE", "/-/healthy", "405", "/-/healthy does not take DELETE"),
    ] {
        let answer = http::raw(harness.address(), method, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
        assert!(answer.contains(said), "{method} {path}: {answer}");
    }
    assert_eq!(harness.rejected().await.len(), 0);
    harness.finish().await;
}
