//! Bodies that are odd, broken or too much: they cost no page, and not much of anything else.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Harness, alerts, http, start};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_is_over_a_limit_is_cut_or_refused_and_everybody_else_is_told() {
    let harness = Harness::start().await;
    let mut long = alerts::alert("Long", "critical");
    long["annotations"] = json!({ "description": "long ".repeat(200_000), "summary": "It is long." });
    let many: serde_json::Map<_, _> = (0..2000).map(|n| (format!("l{n}"), "x".into())).collect();
    let many = alerts::firing(&many.into(), start());
    let group = alerts::group("limits", &[many, long, alerts::alert("Good", "critical")]);
    let answer = harness.accept(&group).await;
    assert_eq!((&answer["alerts"], &answer["rejected"]), (&json!(3), &json!(1)), "{answer}");
    harness.deliver(SOON).await;
    let names: Vec<_> =
        harness.services.pagerduty.incidents().iter().map(|incident| incident.summary.clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name.contains("It is long.")), "{names:?}");
    let rejected = &harness.rejected().await[0];
    assert!(rejected.reason.contains("more than 1000 labels"), "{}", rejected.reason);
    for (what, expected) in [("annotations", 1.0), ("alerts", 0.0), ("links", 0.0), ("group", 0.0)] {
        let series = format!(r#"alertrouter_truncated_total{{what="{what}"}}"#);
        assert_eq!(harness.metric(&series).await, expected, "{what}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn odd_values_of_labels_and_broken_text_cost_no_page() {
    let harness = Harness::start().await;
    let odd = [
        json!({ "alertname": "Numbers", "severity": "critical", "code": 500, "up": false, "none": null }),
        json!({ "alertname": "Lists", "severity": "critical", "tags": ["a", { "b": [1] }] }),
    ];
    let odd = odd.map(|labels| alerts::firing(&labels, start()));
    assert_eq!(harness.accept(&alerts::group("odd", &odd)).await["rejected"], 0);
    let text = alerts::one("Umlaut BYTE", "critical").to_string();
    let (before, after) = text.split_once("BYTE").unwrap();
    let bytes = [before.as_bytes(), b"\xfc", after.replace("BYTE", "").as_bytes()].concat();
    let bytes = [b"\xef\xbb\xbf", bytes.as_slice()].concat();
    let (status, answer) = harness.post_bytes(bytes).await;
    assert_eq!((status, &answer["notifications"]), (200, &json!(2)), "{answer}");
    let twice = alerts::one("Twice", "critical").to_string();
    let twice = twice.replacen(r#""severity":"critical""#, r#""severity":"info","severity":"critical""#, 1);
    assert_eq!(harness.post_bytes(twice.into()).await.1["notifications"], 2, "the last one counts");
    harness.deliver(SOON).await;
    let classes: Vec<_> = harness.pagerduty_events();
    assert_eq!(classes, ["trigger Numbers", "trigger Lists", "trigger Umlaut \u{fffd}", "trigger Twice"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_flood_of_refused_bodies_is_counted_and_not_kept_whole() {
    let harness = Harness::start().await;
    assert_eq!(harness.post_bytes(b"the first".to_vec()).await.0, 400);
    for _ in 0..102 {
        assert_eq!(harness.post_bytes(b"flood".to_vec()).await.0, 400);
    }
    assert_eq!(harness.rejected().await.len(), 100);
    assert_eq!(harness.metric(r#"alertrouter_rejected_total{what="body"}"#).await, 103.0);
    assert_eq!(harness.metric("alertrouter_rejected_not_kept_total").await, 3.0);
    // A broken alert is still answered for, and copies beside it still need no disk.
    let mut broken = alerts::alert("Broken", "warning");
    broken["startsAt"] = "yesterday".into();
    let group = alerts::group("mixed", &[broken, alerts::alert("Good", "warning")]);
    assert_eq!(harness.accept(&group).await["rejected"], 1);
    assert_eq!(harness.accept(&group).await["duplicates"], 1);
    harness.deliver(SOON).await;
    // With time there is room again.
    harness.pass(Duration::from_secs(11)).await;
    assert_eq!(harness.post_bytes(b"the last".to_vec()).await.0, 400);
    let kept = harness.rejected().await;
    assert_eq!((kept.len(), kept[0].content.as_slice()), (101, &b"the last"[..]));
    assert_eq!(kept[100].content, b"the first");
    harness.finish().await;
}

#[tokio::test]
async fn who_announces_much_and_sends_little_keeps_nobody_out() {
    let harness = Harness::start().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let head = b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 16777216\r\n\r\n";
        let beginning = [&head[..], &vec![b' '; 100_000]].concat();
        slow.push(http::connect(harness.address(), &beginning).await);
    }
    let mut large = alerts::one("Large", "warning");
    large["padding"] = "x".repeat(8 * 1024 * 1024).into();
    assert_eq!(harness.accept(&large).await["notifications"], 1);
    assert_eq!(harness.accept(&alerts::one("Small", "warning")).await["notifications"], 1);
    drop(slow);
    harness.deliver(SOON).await;
    assert_eq!(harness.slack_texts().len(), 2);
    harness.finish().await;
}
