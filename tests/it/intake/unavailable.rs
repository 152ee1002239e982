//! What may pass is a 503 with `Retry-After`: Alertmanager takes everything else for final.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};
use rusqlite::Connection;

use crate::harness::{Harness, ROUTES, alerts, http};

const SOON: Duration = Duration::from_secs(10);

/// Posts a body that has to be refused for now; what was said.
async fn refused_for_now(harness: &Harness, body: &serde_json::Value) -> String {
    let answer = http::post_for_answer(harness.address(), "/webhook", body.to_string().into()).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(5))), "{text}");
    text
}

#[tokio::test]
async fn a_full_outbox_refuses_what_adds_to_it_until_there_is_room() {
    let harness = Harness::with(ROUTES, |settings| settings.max_outbox = 2).await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    for name in ["A", "B"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    let said = refused_for_now(&harness, &alerts::one("C", "warning")).await;
    assert!(said.contains("the outbox is full: 2 deliveries wait, the limit is 2"), "{said}");
    // Two alerts that need one row more than there is room for: all or nothing.
    refused_for_now(&harness, &alerts::one("D", "critical")).await;
    // A copy adds nothing.
    assert_eq!(harness.accept(&alerts::one("A", "warning")).await["duplicates"], 1);
    gate.open();
    harness.deliver(SOON).await;
    // Nothing of what was refused is remembered.
    assert_eq!(harness.accept(&alerts::one("C", "warning")).await["notifications"], 1);
    harness.deliver(SOON).await;
    assert_eq!(harness.accept(&alerts::one("D", "critical")).await["notifications"], 2);
    harness.deliver(SOON).await;
    assert_eq!(harness.slack_texts().len(), 4);
    assert_eq!(harness.metric(r#"alertrouter_webhooks_total{code="503"}"#).await, 2.0);
    harness.finish().await;
}

#[tokio::test]
async fn a_store_that_fails_refuses_and_forgets() {
    let harness = Harness::start().await;
    let database = Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let fail = "CREATE TRIGGER broken BEFORE INSERT ON delivery BEGIN SELECT raise(ABORT, 'the disk is gone'); END";
    database.execute_batch(fail).unwrap();
    let body = alerts::one("DiskFull", "critical");
    let said = refused_for_now(&harness, &body).await;
    assert!(said.contains("the store is not available") && said.contains("the disk is gone"), "{said}");
    database.execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(harness.accept(&body).await["notifications"], 2, "it is not taken for a copy of what was refused");
    harness.deliver(SOON).await;
    assert_eq!((harness.services.pagerduty.incidents().len(), harness.slack_texts().len()), (1, 1));
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_answered_as_ever() {
    let harness = Harness::start().await;
    let database = Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let fail = "CREATE TRIGGER broken BEFORE INSERT ON rejected BEGIN SELECT raise(ABORT, 'the disk is gone'); END";
    database.execute_batch(fail).unwrap();
    assert_eq!(harness.post_bytes(b"hello".to_vec()).await.0, 400);
    // An alert that was refused has to be kept before its body is answered with 200.
    let mut broken = alerts::alert("Broken", "warning");
    broken["startsAt"] = "yesterday".into();
    refused_for_now(&harness, &alerts::group("mixed", &[broken, alerts::alert("Good", "warning")])).await;
    harness.finish().await;
}

#[tokio::test]
async fn while_shutting_down_nothing_is_accepted() {
    let mut harness = Harness::start().await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("A", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.begin_shutdown();
    harness.wait_until(async || harness.get("/-/ready").await.0 == 503).await;
    let said = refused_for_now(&harness, &alerts::one("B", "warning")).await;
    assert!(said.contains("shutting down"), "{said}");
    let (status, text) = http::post_text(harness.address(), "/-/reload", Vec::new()).await;
    assert_eq!((status, text.as_str()), (503, "shutting down\n"));
    assert_eq!(harness.get("/-/healthy").await.0, 200);
    gate.open();
    harness.restart().await;
    assert_eq!(harness.accept(&alerts::one("B", "warning")).await["notifications"], 1);
    harness.deliver(SOON).await;
    assert_eq!(harness.slack_texts().len(), 2);
    harness.finish().await;
}
