//! Another process has locked the database: a backup, somebody with a shell.

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{Behaviour, Gate};
use rusqlite::Connection;

use super::{Log, SOON, To, arrived_once, counted, routes};
use crate::harness::wait::until;
use crate::harness::{Harness, alerts, http};

/// A connection as another process has one.
fn connect(harness: &Harness) -> Connection {
    Connection::open(harness.data_dir().join("alertrouter.db")).unwrap()
}

fn lock(database: &Connection) {
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
}

fn unlock(database: &Connection) {
    database.execute_batch("ROLLBACK").unwrap();
}

/// Waits until the log has a line like this. The harness' own waiting asks the store, which does not answer now.
async fn logged(log: &Log, part: &str) {
    until(part, || log.text(), async || !log.lines(part).is_empty()).await;
}

#[tokio::test]
async fn locked_during_intake() {
    let harness = Harness::with_routes(&routes("timeout: 30s")).await;
    let (database, body) = (connect(&harness), alerts::one("DiskFull", "warning"));
    lock(&database);
    let clock = SystemClock::new();
    let answer = http::post_for_answer(harness.address(), "/webhook", body.to_string().into()).await;
    assert!(clock.monotonic() < Duration::from_secs(8), "{:?}", clock.monotonic());
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(5))), "{said}");
    assert!(said.contains("the store is not available") && said.contains("database is locked"), "{said}");
    let (status, said) = harness.get("/-/ready").await;
    // Whoever asks there may be a stranger; the log has the reason.
    assert_eq!((status, said.as_str()), (503, "the store cannot be used; the log says why\n"));
    assert_eq!(harness.get("/-/healthy").await.0, 200, "a restart would not help");
    assert_eq!(harness.metric(r#"alertrouter_webhooks_total{code="503"}"#).await, 1.0);
    unlock(&database);
    assert_eq!(harness.accept(&body).await["notifications"], 1, "nothing of what was refused is remembered");
    assert_eq!(harness.accept(&body).await["duplicates"], 1);
    harness.wait_until(async || harness.get("/-/ready").await.0 == 200).await;
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.deliver(SOON).await;
    arrived_once(&harness, To::Slack, "DiskFull");
    harness.finish().await;
}

#[tokio::test]
async fn a_short_lock_is_waited_for() {
    let harness = Harness::with_routes(&routes("timeout: 30s")).await;
    let database = connect(&harness);
    lock(&database);
    let body = alerts::one("DiskFull", "warning");
    let (answer, ()) = tokio::join!(harness.post(&body), async {
        // The webhook is under way by then.
        assert_eq!(harness.get("/-/healthy").await.0, 200);
        unlock(&database);
    });
    assert_eq!(answer.0, 200, "{}", answer.1);
    harness.deliver(SOON).await;
    assert_eq!(harness.slack_texts().len(), 1);
    harness.finish().await;
}

#[tokio::test]
async fn locked_during_settle() {
    let log = Log::capture();
    let harness = Harness::with_routes(&routes("timeout: 30s")).await;
    let gate = Gate::closed();
    harness.services.slack.behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.services.slack.wait_for(1).await;
    let database = connect(&harness);
    lock(&database);
    gate.open();
    logged(&log, "the outcome is not noted yet").await;
    // Longer than any lease: what is in hand stays in hand.
    harness.clock.advance(Duration::from_secs(3600));
    let noted = || log.lines("the outcome is not noted yet").len();
    until("another try", || log.text(), async || noted() >= 2).await;
    assert_eq!(harness.services.slack.received().len(), 1, "its lane waits");
    unlock(&database);
    harness.deliver(SOON).await;
    arrived_once(&harness, To::Slack, "DiskFull");
    assert_eq!(harness.services.slack.received().len(), 2, "nothing is sent twice");
    assert_eq!(counted(&harness, To::Slack, "delivered").await, 2.0);
    harness.finish().await;
}

#[tokio::test]
async fn locked_while_something_is_due() {
    let log = Log::capture();
    let harness = Harness::with_routes(&routes("timeout: 30s")).await;
    // Slack has asked for a pause, so that this waits.
    harness.services.slack.behave(Behaviour::rate_limited(30));
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.wait_until(async || counted(&harness, To::Slack, "retried").await == 1.0).await;
    harness.look().await;
    let database = connect(&harness);
    lock(&database);
    harness.clock.advance(Duration::from_secs(31));
    logged(&log, "the outbox cannot be read; trying again").await;
    assert_eq!(harness.services.slack.received().len(), 1);
    unlock(&database);
    harness.deliver(SOON).await;
    arrived_once(&harness, To::Slack, "DiskFull");
    assert_eq!(harness.services.slack.received().len(), 3);
    harness.finish().await;
}

#[tokio::test]
async fn what_comes_due_while_the_store_is_slow_is_sent_at_once_then() {
    let harness = Harness::with_routes(&routes("timeout: 30s")).await;
    for _ in 0..4 {
        harness.services.slack.behave(Behaviour::answer(500, "no_service"));
    }
    harness.accept(&alerts::one("DiskFull", "warning")).await;
    harness.pass_until(SOON, async || counted(&harness, To::Slack, "retried").await == 4.0).await;
    harness.look().await;
    let database = connect(&harness);
    lock(&database);
    // The worker looks after 5 s whatever happens, and the next attempt is due after 6 to 10.
    harness.clock.advance(Duration::from_secs(5));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    harness.clock.advance(Duration::from_secs(20));
    unlock(&database);
    harness.wait_until(async || harness.services.slack.accepted().len() == 1).await;
    harness.deliver(SOON).await;
    harness.finish().await;
}
