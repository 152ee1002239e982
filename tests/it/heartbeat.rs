//! The dead man's switch: silence is told, once, and its end as well; and nothing is told that is not so.

use std::time::Duration;

use alertrouter::clock::{after, between};
use serde_json::Value;

use crate::harness::{Harness, ROUTES, alerts, start};

const SOON: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(10);
const LONG_STEP: Duration = Duration::from_secs(25);
/// Longer than the timer takes to look.
const A_LOOK: Duration = Duration::from_secs(15);
const UP: &str = r#"alertrouter_heartbeat_up{heartbeat="prod"}"#;
const SILENCE: &str = r#"alertrouter_heartbeat_silence_seconds{heartbeat="prod"}"#;

/// [`ROUTES`] with a heartbeat that has these `keys` besides its matchers. The Watchdog itself goes nowhere.
pub fn routes(keys: &str) -> String {
    format!("{ROUTES}heartbeats:\n  - {{ matchers: [alertname=Watchdog], {keys} }}\n")
}

const PROD: &str = "name: prod, receivers: [oncall, team-slack]";

fn watchdog() -> Value {
    let mut body = alerts::one("Watchdog", "none");
    body["externalURL"] = "http://am-1.example:9093".into();
    body
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

async fn begin(routes: &str) -> Harness {
    let harness = Harness::with_routes(routes).await;
    until_it_listens(&harness).await;
    harness
}

/// What passes before that is no silence.
async fn until_it_listens(harness: &Harness) {
    harness.wait_until(async || harness.get("/metrics").await.1.contains("heartbeat=")).await;
}

/// Lets time pass in steps that are no pause of the machine.
async fn pass(harness: &Harness, time: Duration) {
    let end = after(harness.now(), time);
    let step = if time < minutes(30) { STEP } else { LONG_STEP };
    while harness.now() < end {
        harness.clock.advance(between(harness.now(), end).min(step));
        harness.look().await;
    }
    harness.look().await;
}

/// Lets time pass with a Watchdog every 4 minutes.
async fn live(harness: &Harness, rounds: u32) {
    for _ in 0..rounds {
        harness.accept(&watchdog()).await;
        pass(harness, minutes(4)).await;
    }
}

/// Everything that Slack was told, by the beginnings of its texts; that it was told before is left out.
async fn told(harness: &Harness, expected: &[&str]) {
    harness.deliver(SOON).await;
    let before = regex::Regex::new(" · (fires again|still firing)[^:]*").unwrap();
    let texts: Vec<_> = harness.slack_texts().iter().map(|text| before.replace(text, "").into_owned()).collect();
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.starts_with(expected), "{texts:#?}");
    }
}

const FIRING: &str = "[FIRING:1] HeartbeatMissing: Nothing has been heard of prod for ";
const RESOLVED: &str = "[RESOLVED:1] HeartbeatMissing: prod is heard again after ";

#[tokio::test]
async fn silence_pages_and_a_beat_resolves() {
    let harness = begin(&routes(PROD)).await;
    live(&harness, 5).await;
    assert_eq!(harness.metric(UP).await, 1.0);
    told(&harness, &[]).await;
    // The last beat was 4 minutes ago.
    let silent = harness.metric(SILENCE).await;
    assert!((230.0..=240.0).contains(&silent), "{silent}");
    pass(&harness, minutes(2)).await;
    told(&harness, &[&format!("{FIRING}5m; Alertmanager or Prometheus may be down")]).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing"]);
    assert_eq!(harness.metric(UP).await, 0.0);
    let event = harness.services.pagerduty.accepted().remove(0).json;
    assert_eq!(event["payload"]["severity"], "critical");
    let said = event.to_string();
    let last = after(start(), minutes(16));
    let heard = format!("Last heard at {last:.0} from http://am-1.example:9093");
    for part in [heard.as_str(), r#"alertname=\"Watchdog\""#, "prod"] {
        assert!(said.contains(part) || said.contains(&part.replace('\\', r"\\")), "{part} is not in {said}");
    }
    // Told once, and again after the root's repeat_interval.
    pass(&harness, minutes(200)).await;
    told(&harness, &[FIRING]).await;
    pass(&harness, minutes(45)).await;
    told(&harness, &[FIRING, &format!("{FIRING}4h")]).await;

    harness.accept(&watchdog()).await;
    pass(&harness, A_LOOK).await;
    let silent = format!("{RESOLVED}4h");
    told(&harness, &[FIRING, FIRING, &silent]).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    assert_eq!(harness.metric(UP).await, 1.0);

    // The next time it is told at once, though it ended just now.
    pass(&harness, minutes(5)).await;
    told(&harness, &[FIRING, FIRING, &silent, FIRING]).await;
    harness.finish().await;
}

#[tokio::test]
async fn whatever_fires_and_fits_beats_even_if_it_is_a_copy_or_goes_nowhere() {
    // To Slack, where all but the first copy are dropped, mostly by the cache.
    let routes = routes(PROD).replace("    - matchers: [severity=none]\n      receivers: []\n", "");
    let harness = begin(&routes).await;
    for _ in 0..6 {
        harness.accept(&watchdog()).await;
        pass(&harness, minutes(4)).await;
    }
    told(&harness, &["[FIRING:1] Watchdog"]).await;
    // Its end is no beat, and neither is another alert, or one that is broken.
    harness.accept(&alerts::one_resolved("Watchdog", "none")).await;
    harness.accept(&alerts::one("Other", "none")).await;
    let mut broken = alerts::alert("Watchdog", "none");
    broken["startsAt"] = "yesterday".into();
    assert_eq!(
        harness.accept(&alerts::group("broken", &[broken, alerts::alert("Other", "none")])).await["rejected"],
        1
    );
    pass(&harness, minutes(2)).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_router_that_has_just_started_waits_and_one_that_was_never_told_says_so() {
    let mut harness = begin(&routes(PROD)).await;
    live(&harness, 1).await;
    pass(&harness, Duration::from_secs(50)).await;
    harness.stop().await;
    harness.skip_to(minutes(60));
    harness.launch().await;
    until_it_listens(&harness).await;
    pass(&harness, Duration::from_secs(290)).await;
    told(&harness, &[]).await;
    pass(&harness, A_LOOK).await;
    told(&harness, &[&format!("{FIRING}9m")]).await;
    harness.finish().await;

    let harness = begin(&routes(PROD)).await;
    pass(&harness, minutes(6)).await;
    told(&harness, &[&format!("{FIRING}5m")]).await;
    let said = harness.services.pagerduty.accepted().remove(0).json.to_string();
    assert!(said.contains(&format!("Never heard since {:.0}", start())), "{said}");
    harness.finish().await;
}

#[tokio::test]
async fn a_restart_while_it_is_missing_neither_repeats_nor_forgets() {
    let mut harness = begin(&routes(PROD)).await;
    pass(&harness, minutes(6)).await;
    told(&harness, &[FIRING]).await;
    for _ in 0..3 {
        harness.restart().await;
        until_it_listens(&harness).await;
        pass(&harness, minutes(6)).await;
        assert_eq!(harness.metric(UP).await, 0.0);
    }
    told(&harness, &[FIRING]).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing"]);
    harness.restart().await;
    until_it_listens(&harness).await;
    harness.accept(&watchdog()).await;
    pass(&harness, A_LOOK).await;
    told(&harness, &[FIRING, RESOLVED]).await;
    harness.restart().await;
    until_it_listens(&harness).await;
    harness.accept(&watchdog()).await;
    pass(&harness, minutes(4)).await;
    told(&harness, &[FIRING, RESOLVED]).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing", "resolve HeartbeatMissing"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_router_that_restarts_every_few_minutes_tells_as_well() {
    let mut harness = begin(&routes(PROD)).await;
    for _ in 0..4 {
        pass(&harness, Duration::from_secs(145)).await;
        told(&harness, &[]).await;
        harness.restart().await;
        until_it_listens(&harness).await;
    }
    pass(&harness, minutes(1)).await;
    told(&harness, &[&format!("{FIRING}10m")]).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_reload_that_removes_or_renames_it_resolves_and_other_receivers_are_told() {
    let harness = begin(&routes("name: prod, receivers: [team-slack]")).await;
    pass(&harness, minutes(6)).await;
    told(&harness, &[FIRING]).await;
    // PagerDuty joins.
    assert_eq!(harness.reload(&routes(PROD)).await.0, 200);
    pass(&harness, A_LOOK).await;
    told(&harness, &[FIRING]).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing"]);
    // A new name is a new heartbeat.
    assert_eq!(harness.reload(&routes(&PROD.replace("prod", "production"))).await.0, 200);
    pass(&harness, A_LOOK).await;
    let gone = "[RESOLVED:1] HeartbeatMissing: routes.yaml does not have the heartbeat prod any more";
    told(&harness, &[FIRING, gone]).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    let (_, metrics) = harness.get("/metrics").await;
    assert!(!metrics.contains(r#"heartbeat="prod""#) && metrics.contains(r#"heartbeat="production""#), "{metrics}");
    // None at all.
    pass(&harness, minutes(5)).await;
    told(&harness, &[FIRING, gone, &FIRING.replace("prod", "production")]).await;
    assert_eq!(harness.reload(ROUTES).await.0, 200);
    pass(&harness, A_LOOK).await;
    assert!(harness.services.pagerduty.incidents().iter().all(|incident| !incident.open));
    assert_eq!(harness.slack_texts().len(), 4);
    harness.finish().await;
}

#[tokio::test]
async fn what_was_removed_while_the_router_was_down_is_resolved_at_the_start() {
    let mut harness = begin(&routes(PROD)).await;
    pass(&harness, minutes(6)).await;
    told(&harness, &[FIRING]).await;
    harness.write_routes(ROUTES);
    harness.restart().await;
    pass(&harness, A_LOOK).await;
    told(&harness, &[FIRING, "[RESOLVED:1] HeartbeatMissing: routes.yaml does not have"]).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    harness.finish().await;
}

#[tokio::test]
async fn another_every_takes_effect_without_a_false_alarm() {
    let harness = begin(&routes(PROD)).await;
    live(&harness, 2).await;
    assert_eq!(harness.reload(&routes(&format!("{PROD}, every: 2m"))).await.0, 200);
    pass(&harness, Duration::from_secs(110)).await;
    told(&harness, &[]).await;
    pass(&harness, Duration::from_secs(30)).await;
    told(&harness, &[&format!("{FIRING}2m")]).await;
    harness.accept(&watchdog()).await;
    pass(&harness, A_LOOK).await;
    assert_eq!(harness.reload(&routes(&format!("{PROD}, every: 20m"))).await.0, 200);
    pass(&harness, minutes(19)).await;
    told(&harness, &[FIRING, RESOLVED]).await;
    pass(&harness, minutes(2)).await;
    told(&harness, &[FIRING, RESOLVED, &format!("{FIRING}20m")]).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_false_alarm_and_keeps_the_true_one() {
    let harness = begin(&routes(PROD)).await;
    harness.accept(&watchdog()).await;
    pass(&harness, minutes(2)).await;
    harness.clock.set_back(minutes(60));
    pass(&harness, Duration::from_secs(170)).await;
    told(&harness, &[]).await;
    pass(&harness, A_LOOK).await;
    told(&harness, &[FIRING]).await;
    harness.accept(&watchdog()).await;
    pass(&harness, A_LOOK).await;
    told(&harness, &[FIRING, RESOLVED]).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    pass(&harness, minutes(5)).await;
    told(&harness, &[FIRING, RESOLVED, FIRING]).await;
    assert!(between(harness.now(), start()) > Duration::ZERO, "the clock was set back");
    harness.finish().await;
}

#[tokio::test]
async fn a_beat_that_is_answered_with_503_does_not_count() {
    // The outbox takes nothing: a Watchdog that is new there is refused.
    let routes = routes(PROD).replace("    - matchers: [severity=none]\n      receivers: []\n", "");
    let harness = Harness::with(&routes, |settings| settings.max_outbox = 0).await;
    assert_eq!(harness.post(&watchdog()).await.0, 503);
    pass(&harness, minutes(4)).await;
    let silent = harness.metric(SILENCE).await;
    assert!(silent > 200.0, "{silent}: it was no beat");
    assert_eq!(harness.metric(UP).await, 1.0);
    assert_eq!(harness.post(&watchdog()).await.0, 503);
    pass(&harness, Duration::from_secs(290)).await;
    assert_eq!(harness.metric(UP).await, 1.0, "whoever was refused is not dead");
    pass(&harness, A_LOOK + STEP).await;
    assert_eq!(harness.metric(UP).await, 0.0);
    harness.finish().await;
}

#[tokio::test]
async fn what_the_store_could_not_take_is_told_after_the_restart() {
    let routes = routes("name: prod, receivers: [oncall]");
    let mut harness = Harness::with(&routes, |settings| settings.max_outbox = 1).await;
    until_it_listens(&harness).await;
    harness.services.slack.set_down(true);
    harness.accept(&alerts::one("Fills", "warning")).await;
    pass(&harness, minutes(6)).await;
    assert_eq!((harness.metric(UP).await, harness.pending().await), (0.0, 1));
    harness.restart().await;
    harness.services.slack.set_down(false);
    harness.deliver(minutes(2)).await;
    pass(&harness, A_LOOK).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events(), ["trigger HeartbeatMissing"]);
    harness.finish().await;
}
