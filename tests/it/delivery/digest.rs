//! What waits for the rate limit together goes as one message; criticals never do, and go first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alertrouter::clock::after;
use alertrouter::standin::{Behaviour, slack};
use serde_json::Value;

use crate::harness::{self, Harness, ROUTES, alerts};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Slack at its own pace, 1/s with a burst of 5, which the stand-in enforces.
async fn start() -> Harness {
    let routes = ROUTES.replace(
        "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }",
        "slack: { webhook_url: SLACK_WEBHOOK_URL }",
    );
    assert_ne!(routes, ROUTES);
    let harness = Harness::with_routes(&routes).await;
    harness.services.slack.limit_rate(Arc::new(harness.clock.clone()), SECOND, 5);
    harness
}

/// Uses up the burst.
async fn burst(harness: &Harness) {
    for number in 0..5 {
        harness.accept(&alerts::one(&format!("Burst-{number}"), "warning")).await;
    }
    harness.services.slack.wait_for_accepted(5).await;
}

/// Lets the next token come, and returns what Slack shows then.
async fn next_message(harness: &Harness) -> String {
    let slack = &harness.services.slack;
    harness.look().await;
    let before = slack.accepted().len();
    harness.clock.advance(SECOND);
    let messages = slack.wait_for_accepted(before + 1).await;
    slack::plain_text(&messages[before].json)
}

/// A question to the outbox.
fn ask<T: rusqlite::types::FromSql>(harness: &Harness, sql: &str) -> Vec<T> {
    let database = rusqlite::Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

async fn outcome(harness: &Harness, outcome: &str) -> f64 {
    harness.metric(&format!(r#"alertrouter_notifications_total{{receiver="team-slack",outcome="{outcome}"}}"#)).await
}

/// No message came faster than Slack takes them, and none could not be read.
fn check_pace(harness: &Harness) {
    let received = harness.services.slack.received();
    assert!(received.iter().all(|message| message.status == Some(200)), "no 429 at all");
    assert_eq!(harness.services.slack.injections(), <Vec<String>>::new());
}

#[tokio::test]
async fn what_waits_together_is_one_message_with_what_has_resolved_meanwhile() {
    let harness = start().await;
    burst(&harness).await;
    for name in ["A", "B", "C"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    for name in ["A", "B", "Burst-0"] {
        harness.accept(&alerts::one_resolved(name, "warning")).await;
    }
    let text = next_message(&harness).await;
    let why = "6 notifications in one message: more came than the rate limit lets through";
    for expected in ["[FIRING:1 · RESOLVED:3] C", why, "3 fired, 2 of them resolved meanwhile; 1 resolved"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    harness.deliver(SECOND).await;
    assert_eq!((outcome(&harness, "digested").await, outcome(&harness, "delivered").await), (6.0, 6.0));
    assert_eq!(harness.metric(r#"alertrouter_rate_limited_total{receiver="team-slack"}"#).await, 6.0);
    // The record of it.
    let digest: Vec<i64> = ask(&harness, "SELECT id FROM delivery WHERE carries = 6 AND state = 'delivered'");
    let told = format!("SELECT count(*) FROM delivery WHERE digest = {} AND state = 'delivered'", digest[0]);
    assert_eq!(ask::<i64>(&harness, &told), [6]);
    // The next one goes by itself when the storm is over.
    harness.pass(MINUTE).await;
    harness.accept(&alerts::one_resolved("C", "warning")).await;
    harness.services.slack.wait_for_accepted(7).await;
    harness.deliver(SECOND).await;
    assert!(harness.slack_texts()[6].starts_with("[RESOLVED:1] C"), "{:?}", harness.slack_texts());
    check_pace(&harness);
    harness.finish().await;
}

#[tokio::test]
async fn one_that_waits_alone_goes_as_itself() {
    let harness = start().await;
    burst(&harness).await;
    harness.accept(&alerts::one("Alone", "warning")).await;
    let text = next_message(&harness).await;
    assert!(text.starts_with("[FIRING:1] Alone") && !text.contains("in one message"), "{text}");
    harness.deliver(SECOND).await;
    assert_eq!(harness.metric(r#"alertrouter_rate_limited_total{receiver="team-slack"}"#).await, 1.0);
    check_pace(&harness);
    harness.finish().await;
}

#[tokio::test]
async fn criticals_overtake_what_waits() {
    let harness = start().await;
    burst(&harness).await;
    for name in ["A", "B", "C"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    // Behind A in its lane, and on their own.
    let critical = [alerts::alert("Behind-A", "critical")];
    harness.accept(&alerts::group("A", &critical)).await;
    for name in ["X", "Y"] {
        harness.accept(&alerts::one(name, "critical")).await;
    }
    // A is urgent by now: it takes all others along, and the way is free.
    let all = [next_message(&harness).await, next_message(&harness).await, next_message(&harness).await];
    let all = [&all[..], &[next_message(&harness).await]].concat();
    let heads: Vec<_> = all
        .iter()
        .map(|text| {
            text.split(':').next().unwrap().to_owned() + text.split(']').nth(1).unwrap_or("").lines().next().unwrap()
        })
        .collect();
    let place = |wanted: &str| {
        heads.iter().position(|head| head.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {heads:?}"))
    };
    assert!(all[place("A, B")].contains("3 notifications in one message"), "{all:?}");
    assert!(place("A, B") < place("Behind-A"), "{heads:?}");
    assert!(place("X") < place("A, B") && place("Y") < place("A, B"), "accepted before it was folded: {heads:?}");
    harness.deliver(SECOND).await;
    // What comes while a storm lasts waits for the next digest; a critical one does not.
    harness.accept(&alerts::one("Later-1", "warning")).await;
    for number in 0..6 {
        harness.accept(&alerts::one(&format!("Later-{}", number + 2), "warning")).await;
    }
    harness.accept(&alerts::one("Z", "critical")).await;
    assert!(next_message(&harness).await.starts_with("[FIRING:1] Z"));
    harness.wait_until(async || harness.pending().await == 7).await;
    harness.deliver(MINUTE).await;
    assert!(harness.slack_texts().last().unwrap().contains("7 notifications in one message"));
    check_pace(&harness);
    harness.finish().await;
}

/// A group of 20 alerts; every fiftieth group has a critical one.
fn group(number: usize) -> Value {
    let start = harness::start();
    let all: Vec<_> = (0..20)
        .map(|which| {
            let severity = match (number % 50, which) {
                (7, 0) => "critical",
                (_, 0..10) => "warning",
                _ => "none-of-the-known",
            };
            let labels = serde_json::json!({
                "alertname": format!("Alert{}", number % 23), "severity": severity, "cluster": "eu-1",
                "instance": format!("host-{number}-{which}"),
            });
            alerts::firing(&labels, start)
        })
        .collect();
    alerts::group(&format!("group-{number}"), &all)
}

/// The numbers before these words in a text.
fn number_before(text: &str, words: &str) -> i64 {
    let Some(at) = text.find(words) else { return 0 };
    let digits = text[..at].trim_end().rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

#[tokio::test]
async fn a_storm_of_ten_thousand_alerts_is_a_handful_of_messages() {
    const GROUPS: usize = 500;
    let harness = start().await;
    let slack = &harness.services.slack;
    let mut posted = 0;
    for second in 1..=60 {
        while posted < GROUPS * second / 60 {
            harness.accept(&group(posted)).await;
            posted += 1;
            // A quarter of it is over before the storm is.
            if posted > 50 && posted.is_multiple_of(4) {
                let mut over = group(posted - 50);
                let end = after(harness::start(), SECOND * u32::try_from(second).unwrap());
                over["alerts"]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .for_each(|alert| *alert = alerts::resolved(alert, end));
                harness.accept(&over).await;
            }
        }
        for _ in 0..4 {
            harness.clock.advance(SECOND / 4);
            harness.look().await;
        }
    }
    harness.deliver(2 * MINUTE).await;
    check_pace(&harness);
    // Every critical is paged.
    let events = harness.pagerduty_events();
    assert_eq!(events.iter().filter(|event| event.starts_with("trigger")).count(), GROUPS / 50);
    let texts: Vec<_> = slack.accepted().iter().map(|message| slack::plain_text(&message.json)).collect();
    let digests: Vec<_> = texts.iter().filter(|text| text.contains("in one message")).collect();
    let single = texts.len() - digests.len();
    assert!(digests.len() <= 4, "{}", digests.len());
    // The burst, and what is critical: it is told by itself, as its end would be.
    assert!(single <= 5 + GROUPS / 50, "{single} of {}", texts.len());
    // What the messages say is what the outbox says.
    let told: Vec<i64> = digests.iter().map(|text| number_before(text, "notifications in one message")).collect();
    let carried: Vec<i64> = ask(&harness, "SELECT carries FROM delivery WHERE carries IS NOT NULL ORDER BY ended_at");
    assert_eq!(told, carried);
    println!("{} messages: {single} single ones, digests of {carried:?} notifications", texts.len());
    let rows = "SELECT count(*) FROM delivery WHERE digest IS NOT NULL GROUP BY digest ORDER BY max(ended_at)";
    assert_eq!(told, ask::<i64>(&harness, rows));
    let waiting = "SELECT count(*) FROM delivery WHERE receiver = 'team-slack' AND state <> 'delivered'";
    assert_eq!(ask::<i64>(&harness, waiting), [0], "nothing is dropped, nothing is dead");
    let fired: i64 = texts
        .iter()
        .map(
            |text| {
                if text.contains("in one message") { number_before(text, "fired") } else { number_before(text, "]") }
            },
        )
        .sum();
    assert_eq!(fired, 20 * i64::try_from(GROUPS).unwrap(), "each alert in one message");
    // Within a lane everything was told in its order.
    let order = "SELECT group_concat(told) FROM (SELECT row.lane, coalesce(digest.ended_at, row.ended_at) AS told
                 FROM delivery AS row LEFT JOIN delivery AS digest ON digest.id = row.digest
                 WHERE row.carries IS NULL ORDER BY row.lane, row.id) GROUP BY lane";
    for lane in ask::<String>(&harness, order) {
        let told: Vec<i64> = lane.split(',').map(|at| at.parse().unwrap()).collect();
        assert!(told.is_sorted(), "{told:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn an_outage_that_ends_drains_at_the_allowed_pace() {
    let harness = start().await;
    let slack = &harness.services.slack;
    slack.set_down(true);
    for number in 0..200 {
        harness.accept(&alerts::one(&format!("Alert-{number}"), "warning")).await;
    }
    for name in ["X", "Y"] {
        harness.accept(&alerts::one(name, "critical")).await;
    }
    harness.pass(60 * MINUTE).await;
    assert_eq!(slack.accepted().len(), 0);
    assert_eq!(harness.metric(r#"alertrouter_receiver_up{receiver="team-slack"}"#).await, 0.0);
    slack.set_down(false);
    harness.deliver(2 * MINUTE).await;
    check_pace(&harness);
    let texts = harness.slack_texts();
    assert!(texts.len() <= 10, "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("notifications in one message")), "{texts:#?}");
    for name in ["X", "Y"] {
        assert!(texts.iter().any(|text| text.starts_with(&format!("[FIRING:1] {name}"))), "{texts:#?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn an_outage_in_a_storm_ends_in_a_few_messages() {
    let harness = start().await;
    let slack = &harness.services.slack;
    burst(&harness).await;
    slack.set_down(true);
    for number in 0..400 {
        harness.accept(&alerts::one(&format!("Alert-{number}"), "warning")).await;
        if number > 20 {
            harness.clock.advance(5 * SECOND);
            harness.look().await;
        }
    }
    slack.set_down(false);
    harness.deliver(2 * MINUTE).await;
    check_pace(&harness);
    let after = harness.slack_texts().split_off(5);
    assert!(after.len() <= 15, "{} {after:#?}", after.len());
    harness.finish().await;
}

#[tokio::test]
async fn a_restart_in_a_storm_loses_nothing() {
    let mut harness = start().await;
    burst(&harness).await;
    for number in 0..20 {
        harness.accept(&alerts::one(&format!("Alert-{number}"), "warning")).await;
    }
    harness.services.slack.behave(Behaviour::answer(500, "rollup_error"));
    harness.look().await;
    harness.clock.advance(SECOND);
    harness.services.slack.wait_for(6).await;
    harness.wait_until(async || outcome(&harness, "retried").await == 1.0).await;
    harness.restart().await;
    assert_eq!(harness.pending().await, 20, "folded, and told to nobody");
    harness.services.slack.limit_rate(Arc::new(harness.clock.clone()), SECOND, 5);
    harness.deliver(MINUTE).await;
    let texts = harness.slack_texts();
    assert_eq!(texts.len(), 6, "{texts:#?}");
    assert!(texts[5].contains("20 notifications in one message"), "{texts:#?}");
    harness.finish().await;
}

#[tokio::test]
async fn a_digest_that_is_refused_is_so_many_dead_letters() {
    let harness = start().await;
    burst(&harness).await;
    for name in ["A", "B", "C"] {
        harness.accept(&alerts::one(name, "warning")).await;
    }
    harness.services.slack.behave(Behaviour::answer(404, "channel_not_found"));
    harness.look().await;
    harness.clock.advance(SECOND);
    harness.services.slack.wait_for(6).await;
    harness.wait_until(async || harness.dead().await == 3).await;
    assert_eq!((outcome(&harness, "dead").await, outcome(&harness, "digested").await), (3.0, 0.0));
    let errors: HashMap<String, usize> = ask::<String>(&harness, "SELECT error FROM delivery WHERE state = 'dead'")
        .into_iter()
        .fold(HashMap::new(), |mut all, error| {
            *all.entry(error).or_default() += 1;
            all
        });
    assert_eq!(errors.into_values().collect::<Vec<_>>(), [3], "one by one, with the service's word");
    // They were never told.
    harness.pass(MINUTE).await;
    let answer = harness.accept(&alerts::one("A", "warning")).await;
    assert_eq!(answer["notifications"], 1);
    harness.deliver(SECOND).await;
    harness.finish().await;
}
