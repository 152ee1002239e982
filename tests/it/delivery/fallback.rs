//! Who is told of what a receiver does not get, and that nobody is left with an open incident.

use std::time::Duration;

use alertrouter::clock::{after, between};
use alertrouter::standin::{Behaviour, Gate};

use crate::harness::{Harness, ROUTES, alerts, start};

const SOON: Duration = Duration::from_secs(10);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
/// A service that is back is tried within half a minute.
const BACK: Duration = Duration::from_secs(60);

/// Criticals go to PagerDuty alone, whose receiver gets further `keys`.
pub(super) fn paging(keys: &str) -> String {
    ROUTES.replace("- name: oncall", &format!("- name: oncall\n    {keys}")).replace("[oncall, team-slack]", "[oncall]")
}

fn fell_back(receiver: &str) -> String {
    format!("alertrouter_notifications_total{{receiver=\"{receiver}\",outcome=\"fallback\"}}")
}

#[tokio::test]
async fn what_pagerduty_does_not_take_for_five_minutes_is_told_in_slack_as_well() {
    let harness = Harness::with_routes(&paging("fallback: team-slack")).await;
    // Enough for a quarter of an hour, one probe every 30 s.
    for _ in 0..30 {
        harness.services.pagerduty.behave(Behaviour::answer(503, ""));
    }
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.services.pagerduty.wait_for(1).await;
    harness.pass(Duration::from_secs(299)).await;
    assert_eq!(harness.slack_texts(), Vec::<String>::new(), "it may still pass");
    harness.pass(Duration::from_secs(3)).await;
    harness.services.slack.wait_for_accepted(1).await;
    let expected = "[FIRING:1] DiskFull: Something broke. · Fallback for oncall: HTTP 503 for 5m";
    assert_eq!(harness.slack_texts(), [expected]);
    assert_eq!((harness.metric(&fell_back("oncall")).await, harness.dead().await), (1.0, 0));
    // It is told once; PagerDuty is tried on, and hears of everything when it is back.
    harness.deliver(Duration::from_secs(1200)).await;
    assert_eq!((harness.pagerduty_events(), harness.slack_texts().len()), (vec!["trigger DiskFull".to_owned()], 1));
    harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    assert!(!harness.services.pagerduty.incidents()[0].open);
    let texts = harness.slack_texts();
    assert!(texts.len() == 2 && texts[1].starts_with("[RESOLVED:1] DiskFull"), "{texts:?}");
    harness.finish().await;
}

#[tokio::test]
async fn a_dead_letter_is_told_at_once() {
    let harness = Harness::with_routes(&paging("fallback: team-slack")).await;
    let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no <key>"]}"#;
    harness.services.pagerduty.behave(Behaviour::answer(400, refused));
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.services.slack.wait_for_accepted(1).await;
    harness.deliver(Duration::ZERO).await;
    let text = harness.slack_texts().remove(0);
    assert!(text.ends_with(" · Fallback for oncall: HTTP 400: Event object is invalid: no &lt;key&gt;"), "{text}");
    assert_eq!((harness.dead().await, harness.metric(&fell_back("oncall")).await), (1, 1.0));
    // The next copy is a first one for PagerDuty, and nothing new for Slack.
    harness.services.pagerduty.behave(Behaviour::answer(400, refused));
    assert_eq!(harness.accept(&alerts::one("DiskFull", "critical")).await["notifications"], 1);
    harness.deliver(SOON).await;
    assert_eq!((harness.dead().await, harness.slack_texts().len()), (2, 1));
    // PagerDuty has never heard of it; Slack is told of its end.
    harness.accept(&alerts::one_resolved("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    assert!(harness.slack_texts()[1].starts_with("[RESOLVED:1] DiskFull"), "{:?}", harness.slack_texts());
    assert_eq!(harness.services.pagerduty.incidents().len(), 0);
    harness.finish().await;
}

#[tokio::test]
async fn what_fires_again_after_its_end_was_told_too_early_is_told_again() {
    let routes = ROUTES.replace("- name: team-slack", "- name: team-slack\n    fallback: oncall");
    let harness = Harness::with_routes(&routes).await;
    let fires = async || {
        harness.services.slack.behave(Behaviour::answer(410, "channel_is_archived"));
        harness.accept(&alerts::one("DiskFull", "warning")).await;
        harness.deliver(SOON).await;
    };
    fires().await;
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events(), ["trigger DiskFull", "resolve DiskFull"]);
    // With the startsAt of before: for Slack, which has never heard of it, a first one again.
    fires().await;
    assert_eq!(harness.pagerduty_events().len(), 3, "it fires, so no incident may show that it does not");
    fires().await;
    assert_eq!(harness.pagerduty_events().len(), 3, "one more dead letter of the same");
    harness.accept(&alerts::one_resolved("DiskFull", "warning")).await;
    harness.deliver(SOON).await;
    assert_eq!(harness.pagerduty_events()[2..], ["trigger DiskFull", "resolve DiskFull"]);
    assert_eq!((harness.dead().await, harness.slack_texts().len()), (3, 0));
    harness.finish().await;
}

#[tokio::test]
async fn a_receiver_that_is_down_hides_no_page_behind_its_probe() {
    let harness = Harness::with_routes(&paging("fallback: team-slack\n    fallback_after: 2m")).await;
    harness.services.pagerduty.set_down(true);
    for number in 0..30 {
        harness.accept(&alerts::one(&format!("Alert-{number:02}"), "critical")).await;
    }
    harness.services.pagerduty.wait_for_turned_away(5).await;
    harness.pass(Duration::from_secs(118)).await;
    assert_eq!(harness.slack_texts().len(), 0);
    harness.accept(&alerts::one("Late", "critical")).await;
    harness.pass(Duration::from_secs(5)).await;
    harness.services.slack.wait_for_accepted(30).await;
    let mut texts = harness.slack_texts();
    texts.sort();
    for (number, text) in texts.iter().enumerate() {
        assert!(text.starts_with(&format!("[FIRING:1] Alert-{number:02}")), "{text}");
        assert!(text.contains(" · Fallback for oncall: ") && text.ends_with(" for 2m"), "{text}");
    }
    harness.pass(Duration::from_secs(110)).await;
    assert_eq!(harness.slack_texts().len(), 30, "the last one is younger");
    harness.pass(Duration::from_secs(10)).await;
    harness.services.slack.wait_for_accepted(31).await;
    assert_eq!((harness.pending().await, harness.metric(&fell_back("oncall")).await), (31, 31.0));
    harness.services.pagerduty.set_down(false);
    harness.deliver(BACK).await;
    assert_eq!((harness.services.pagerduty.incidents().len(), harness.slack_texts().len()), (31, 31));
    harness.finish().await;
}

/// PagerDuty takes one a second, behaves like this at first, and so many alerts wait for it; after 50 s they fall back.
async fn with_backlog(count: usize, behaviours: impl IntoIterator<Item = Behaviour>) -> Harness {
    let routes = paging("fallback: team-slack\n    fallback_after: 50s");
    let routes = routes.replacen("1000/s, burst: 1000", "1/s, burst: 1", 1);
    let harness = Harness::with_routes(&routes).await;
    behaviours.into_iter().for_each(|behaviour| harness.services.pagerduty.behave(behaviour));
    for number in 0..count {
        harness.accept(&alerts::one(&format!("Alert-{number:03}"), "critical")).await;
    }
    harness
}

#[tokio::test]
async fn who_takes_every_second_delivery_hides_no_page_that_it_has_not_been_asked_to_take() {
    const ALL: u32 = 150;
    let open = Gate::closed();
    open.open();
    let every_second = (0..40).flat_map(|_| [Behaviour::answer(503, ""), Behaviour::Wait(open.clone())]);
    let harness = with_backlog(ALL as usize, every_second).await;
    harness.pass(Duration::from_secs(60)).await;
    harness.wait_until(async || harness.metric(&fell_back("oncall")).await >= f64::from(ALL - 35)).await;
    let delivered = harness.services.pagerduty.incidents().len();
    assert!((20..=35).contains(&delivered), "{delivered} have got through");
    harness.deliver(FIVE_MINUTES).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), ALL as usize);
    harness.finish().await;
}

#[tokio::test]
async fn a_single_failure_does_not_let_a_backlog_fall_back_that_waits_for_the_rate_limit() {
    let harness = with_backlog(100, [Behaviour::answer(503, "")]).await;
    harness.deliver(Duration::from_secs(200)).await;
    assert_eq!(harness.services.pagerduty.incidents().len(), 100);
    assert_eq!(harness.metric(&fell_back("oncall")).await, 1.0, "the one that failed, and was tried again behind them");
    harness.finish().await;
}

#[tokio::test]
async fn waiting_for_the_rate_limit_is_no_failure() {
    let routes = ROUTES.replace(
        "webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1/h, burst: 1, overflow: wait }\n    fallback: oncall",
    );
    let harness = Harness::with_routes(&routes).await;
    for name in ["A", "B", "C"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    harness.services.slack.wait_for_accepted(1).await;
    harness.pass(Duration::from_secs(3500)).await;
    assert_eq!((harness.slack_texts().len(), harness.metric(&fell_back("team-slack")).await), (1, 0.0));
    assert_eq!(harness.services.pagerduty.received().len(), 0);
    harness.skip_to(Duration::from_secs(3600));
    harness.services.slack.wait_for_accepted(2).await;
    harness.wait_until(async || harness.pending().await == 1).await;
    harness.finish_with_pending(1).await;
}

#[tokio::test]
async fn a_pause_that_a_service_asks_for_holds_everything_up() {
    let routes = ROUTES.replace("- name: team-slack", "- name: team-slack\n    fallback: oncall");
    let harness = Harness::with_routes(&routes).await;
    harness.services.slack.behave(Behaviour::rate_limited(3600));
    harness.accept(&alerts::one("A", "warning")).await;
    harness.services.slack.wait_for(1).await;
    harness.look().await;
    harness.accept(&alerts::one("B", "warning")).await;
    harness.pass(FIVE_MINUTES + SOON).await;
    harness.services.pagerduty.wait_for_accepted(2).await;
    assert_eq!((harness.slack_texts().len(), harness.metric(&fell_back("team-slack")).await), (0, 2.0));
    harness.deliver(Duration::from_secs(3600)).await;
    assert_eq!(harness.slack_texts().len(), 2);
    harness.finish().await;
}

#[tokio::test]
async fn a_fallback_that_fails_has_a_fallback_itself() {
    let routes = paging("fallback: team-slack")
        .replace("- name: team-slack", "- name: team-slack\n    fallback: dashboards\n    fallback_after: 1m");
    let harness = Harness::with_routes(&routes).await;
    harness.services.pagerduty.set_down(true);
    harness.services.slack.behave(Behaviour::answer(410, "channel_is_archived"));
    harness.accept(&alerts::one("A", "critical")).await;
    harness.pass(FIVE_MINUTES + SOON).await;
    harness.services.grafana.wait_for_accepted(1).await;
    let text = harness.services.grafana.annotations()[0].text.clone();
    assert!(text.contains("<br>Fallback for oncall: "), "{text}");
    assert!(text.contains(" for 5m; its fallback team-slack: HTTP 410: channel_is_archived"), "{text}");
    // Slack is down, too: it has a minute of its own.
    harness.services.slack.set_down(true);
    harness.accept(&alerts::one("B", "critical")).await;
    harness.pass(FIVE_MINUTES + Duration::from_secs(50)).await;
    assert_eq!(harness.services.grafana.accepted().len(), 1);
    harness.pass(Duration::from_secs(20)).await;
    harness.services.grafana.wait_for_accepted(2).await;
    assert_eq!(harness.metric(&fell_back("oncall")).await, 2.0);
    assert_eq!(harness.metric(&fell_back("team-slack")).await, 2.0);
    // Everybody who was told hears of the ends, and those who were not as well.
    harness.services.slack.set_down(false);
    harness.services.pagerduty.set_down(false);
    for name in ["A", "B"] {
        harness.accept(&alerts::one_resolved(name, "critical")).await;
    }
    harness.deliver(BACK).await;
    assert!(harness.services.pagerduty.incidents().iter().all(|incident| !incident.open));
    assert!(harness.services.grafana.annotations().iter().all(|annotation| annotation.time_end > annotation.time));
    assert_eq!(harness.pagerduty_events().len(), 4);
    harness.finish().await;
}

#[tokio::test]
async fn an_incident_that_was_opened_in_slacks_place_is_closed() {
    let routes = ROUTES.replace("- name: team-slack", "- name: team-slack\n    fallback: oncall");
    let harness = Harness::with_routes(&routes).await;
    harness.services.slack.set_down(true);
    // A and B in one group; B has ended before anybody could be told of it.
    let both = ["A", "B"].map(|name| alerts::alert(name, "warning"));
    harness.accept(&alerts::group("disks", &both)).await;
    let ends_at = after(start(), Duration::from_secs(60));
    harness.accept(&alerts::group("disks", &[alerts::resolved(&both[1], ends_at)])).await;
    harness.pass(FIVE_MINUTES + SOON).await;
    harness.services.pagerduty.wait_for_accepted(3).await;
    let mut events = harness.pagerduty_events();
    events.sort();
    assert_eq!(events, ["resolve B", "trigger A", "trigger B"]);
    let open = || harness.services.pagerduty.incidents().iter().filter(|incident| incident.open).count();
    assert_eq!(open(), 1);
    let summary = harness.services.pagerduty.incidents()[0].summary.clone();
    assert!(summary.ends_with("[fallback for team-slack]"), "{summary}");
    // Slack comes back and gets everything; the resolve reaches PagerDuty, which no route names.
    harness.services.slack.set_down(false);
    harness.deliver(BACK).await;
    assert_eq!((harness.slack_texts().len(), open()), (2, 1));
    harness.accept(&alerts::group("disks", &[alerts::resolved(&both[0], harness.now())])).await;
    harness.deliver(SOON).await;
    assert_eq!((harness.slack_texts().len(), open()), (3, 0));
    assert_eq!(harness.services.pagerduty.accepted().len(), 4);
    harness.finish().await;
}

#[tokio::test]
async fn who_is_named_by_the_routes_as_well_is_told_twice_and_resolved_once() {
    let routes = ROUTES.replace("- name: oncall", "- name: oncall\n    fallback: team-slack");
    let harness = Harness::with_routes(&routes).await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("A", "critical")).await;
    harness.pass(FIVE_MINUTES + SOON).await;
    harness.accept(&alerts::one_resolved("A", "critical")).await;
    harness.pass(FIVE_MINUTES + SOON).await;
    harness.services.pagerduty.set_down(false);
    harness.deliver(BACK).await;
    let texts: Vec<_> =
        harness.slack_texts().iter().map(|text| (text[..5].to_owned(), text.contains("Fallback"))).collect();
    let expected = [("[FIRI", false), ("[FIRI", true), ("[RESO", false)];
    assert_eq!(texts, expected.map(|(text, fallback)| (text.to_owned(), fallback)));
    assert_eq!(harness.pagerduty_events(), ["trigger A", "resolve A"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_restart_neither_forgets_nor_repeats() {
    let mut harness = Harness::with_routes(&paging("fallback: team-slack")).await;
    harness.services.pagerduty.set_down(true);
    for number in 0..12 {
        harness.accept(&alerts::one(&format!("Alert-{number:02}"), "critical")).await;
    }
    harness.services.pagerduty.wait_for_turned_away(5).await;
    harness.pass(Duration::from_secs(250)).await;
    let (turned_away, stopped) = (harness.services.pagerduty.turned_away(), harness.now());
    harness.restart().await;
    // That it is down has to be found out anew.
    let is_down = async || harness.services.pagerduty.turned_away() >= turned_away + 5;
    harness.pass_until(Duration::from_secs(40), is_down).await;
    // What has never been tried is as old as what has.
    harness.pass(Duration::from_secs(45).saturating_sub(between(stopped, harness.now()))).await;
    assert_eq!(harness.slack_texts().len(), 0);
    harness.pass(SOON).await;
    harness.services.slack.wait_for_accepted(12).await;
    harness.restart().await;
    harness.pass(Duration::from_secs(600)).await;
    assert_eq!((harness.slack_texts().len(), harness.pending().await), (12, 12));
    // Whom it was told it remembers.
    harness.accept(&alerts::one_resolved("Alert-00", "critical")).await;
    harness.services.slack.wait_for_accepted(13).await;
    harness.services.pagerduty.set_down(false);
    harness.deliver(BACK).await;
    assert_eq!(harness.services.pagerduty.incidents().iter().filter(|incident| incident.open).count(), 11);
    assert_eq!(harness.slack_texts().len(), 13);
    harness.finish().await;
}
