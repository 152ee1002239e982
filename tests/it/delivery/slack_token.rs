//! Slack with a token, with the whole app: one message per group, edited in place, over restarts and losses.

use std::sync::Arc;
use std::time::Duration;

use alertrouter::clock::{SharedClock, after};
use alertrouter::standin::slack::{Message, plain_text};
use alertrouter::standin::{Behaviour, Gate};
use serde_json::{Value, json};

use crate::harness::{Harness, alerts};

const SOON: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

const ROUTES: &str = "
receivers:
  - name: team-slack
    slack: { token: SLACK_TOKEN, channel: '#alerts', api_url: SLACK_API_URL }
    fallback: oncall
  - name: oncall
    pagerduty: { url: PAGERDUTY_URL, routing_key: PAGERDUTY_ROUTING_KEY }
route:
  receivers: [team-slack]
";

/// A group of disks; those with a time have resolved by then.
fn disks(all: &[(&str, Option<Duration>)]) -> Value {
    let disk = |(name, ended): &(&str, Option<Duration>)| {
        let labels = json!({ "alertname": "DiskFull", "severity": "warning", "instance": name });
        let firing = alerts::firing(&labels, crate::harness::start());
        match ended {
            Some(ended) => alerts::resolved(&firing, after(crate::harness::start(), *ended)),
            None => firing,
        }
    };
    alerts::group("disks", &all.iter().map(disk).collect::<Vec<_>>())
}

/// The messages of the channel, each by its headline, and below it its replies.
fn channel(harness: &Harness) -> Vec<String> {
    let headline = |message: &Message| {
        let text = plain_text(&message.content);
        let line = text.lines().next().unwrap_or_default();
        if message.thread_ts.is_some() { format!("- {line}") } else { line.to_owned() }
    };
    harness.services.slack.slack_messages().iter().map(headline).collect()
}

async fn tell(harness: &Harness, body: &Value) {
    harness.accept(body).await;
    harness.deliver(SOON).await;
}

#[tokio::test]
async fn a_group_has_one_message_over_a_restart() {
    let mut harness = Harness::with_routes(ROUTES).await;
    tell(&harness, &disks(&[("a", None)])).await;
    tell(&harness, &disks(&[("a", None), ("b", None)])).await;
    assert_eq!(channel(&harness), ["[FIRING:2] DiskFull", "- 1 joined · 2 firing now"]);
    harness.restart().await;
    tell(&harness, &disks(&[("a", Some(MINUTE)), ("b", None)])).await;
    assert_eq!(channel(&harness)[0], "[FIRING:1 · RESOLVED:1] DiskFull");
    harness.restart().await;
    tell(&harness, &disks(&[("a", Some(MINUTE)), ("b", Some(MINUTE))])).await;
    let replies =
        ["1 joined · 2 firing now", "1 resolved · 1 firing now, 1 resolved", "1 resolved · nothing fires any more"];
    let expected: Vec<_> = replies.iter().map(|reply| format!("- {reply}")).collect();
    let shown = channel(&harness);
    assert_eq!((shown[0].as_str(), &shown[1..]), ("[RESOLVED:2] DiskFull", &expected[..]));
    let message = &harness.services.slack.slack_messages()[0];
    assert_eq!((message.edits, &message.content["attachments"][0]["color"]), (3, &json!("#2EB67D")));
    // The next time is another message.
    harness.skip_to(MINUTE * 10);
    let again =
        alerts::firing(&json!({ "alertname": "DiskFull", "severity": "warning", "instance": "a" }), harness.now());
    tell(&harness, &alerts::group("disks", &[again])).await;
    assert_eq!(channel(&harness)[4], "[FIRING:1] DiskFull · fires again");
    assert!(harness.services.slack.injections().is_empty());
    harness.finish().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_edited_is_replaced() {
    let harness = Harness::with_routes(ROUTES).await;
    let slack = &harness.services.slack;
    tell(&harness, &disks(&[("a", None)])).await;
    slack.delete_slack_message(&slack.slack_messages()[0].ts);
    tell(&harness, &disks(&[("a", None), ("b", None)])).await;
    assert_eq!(channel(&harness), ["[FIRING:1] DiskFull", "[FIRING:2] DiskFull"]);
    let said = plain_text(&slack.slack_messages()[1].content);
    assert!(said.ends_with("takes the place of an earlier one (Slack: message_not_found)"), "{said}");
    slack.close_slack_edit_window();
    tell(&harness, &disks(&[("a", Some(MINUTE)), ("b", None)])).await;
    assert_eq!(channel(&harness)[2..], ["[FIRING:1 · RESOLVED:1] DiskFull"]);
    let said = plain_text(&slack.slack_messages()[2].content);
    assert!(said.ends_with("(Slack: edit_window_closed)"), "{said}");
    // Deleted between the edit and the reply, which then is a message of the channel.
    let gate = Gate::closed();
    let open = Gate::closed();
    open.open();
    slack.behave(Behaviour::Wait(open));
    slack.behave(Behaviour::Wait(gate.clone()));
    let before = slack.received().len();
    harness.accept(&disks(&[("a", Some(MINUTE)), ("b", None), ("c", None)])).await;
    slack.wait_for(before + 2).await;
    slack.delete_slack_message(&slack.slack_messages()[2].ts);
    gate.open();
    harness.deliver(SOON).await;
    assert_eq!(channel(&harness)[3..], ["1 joined · 2 firing now, 1 resolved"]);
    tell(&harness, &disks(&[("a", Some(MINUTE)), ("b", Some(MINUTE)), ("c", None)])).await;
    assert_eq!(channel(&harness)[4..], ["[FIRING:1 · RESOLVED:2] DiskFull"]);
    assert_eq!((harness.dead().await, harness.pagerduty_events().len()), (0, 0));
    harness.finish().await;
}

#[tokio::test]
async fn a_429_in_the_edit_or_in_the_reply_is_waited_out_and_nothing_is_lost() {
    for in_reply in [false, true] {
        let harness = Harness::with_routes(ROUTES).await;
        let slack = &harness.services.slack;
        tell(&harness, &disks(&[("a", None)])).await;
        if in_reply {
            let open = Gate::closed();
            open.open();
            slack.behave(Behaviour::Wait(open));
        }
        slack.behave(Behaviour::rate_limited(30));
        let before = slack.received().len();
        harness.accept(&disks(&[("a", None), ("b", None)])).await;
        slack.wait_for(before + 1 + usize::from(in_reply)).await;
        // Other groups wait, too: the limit is the app's.
        let retried = r#"alertrouter_notifications_total{receiver="team-slack",outcome="retried"}"#;
        harness.wait_until(async || harness.metric(retried).await == 1.0).await;
        harness.accept(&alerts::one("Other", "warning")).await;
        harness.pass(Duration::from_secs(29)).await;
        assert_eq!(slack.received().len(), before + 1 + usize::from(in_reply), "it is left alone");
        harness.deliver(SOON).await;
        let mut shown = channel(&harness);
        shown.sort();
        assert_eq!(shown, ["- 1 joined · 2 firing now", "[FIRING:1] Other", "[FIRING:2] DiskFull"], "{in_reply}");
        assert_eq!(slack.slack_messages()[0].edits, 1 + usize::from(in_reply), "an edit is done again");
        harness.finish().await;
    }
}

#[tokio::test]
async fn what_slack_refuses_with_a_200_is_a_dead_letter_and_the_fallback_is_told() {
    for word in
        ["channel_not_found", "not_in_channel", "is_archived", "invalid_auth", "missing_scope", "invalid_blocks"]
    {
        let harness = Harness::with_routes(ROUTES).await;
        let slack = &harness.services.slack;
        slack.behave(Behaviour::answer(200, &json!({ "ok": false, "error": word }).to_string()));
        tell(&harness, &disks(&[("a", None)])).await;
        assert_eq!((slack.received().len(), harness.dead().await), (1, 1), "{word}");
        assert_eq!(harness.pagerduty_events(), ["trigger DiskFull"], "{word}");
        let up = r#"alertrouter_receiver_up{receiver="team-slack"}"#;
        assert_eq!(harness.metric(up).await, 1.0, "it did answer");
        harness.finish().await;
    }
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again() {
    let harness = Harness::with_routes(ROUTES).await;
    let slack = &harness.services.slack;
    tell(&harness, &disks(&[("a", None)])).await;
    for misfortune in [
        Behaviour::answer(500, "<!DOCTYPE html><html><title>Server Error | Slack</title></html>"),
        Behaviour::answer(429, ""),
        Behaviour::answer(200, "<html>Please log in to the guest network</html>"),
        Behaviour::answer(200, r#"{"ok":false,"error":"fatal_error"}"#),
        Behaviour::ResetConnection,
    ] {
        slack.behave(misfortune);
    }
    harness.accept(&disks(&[("a", None), ("b", None)])).await;
    harness.deliver(Duration::from_secs(60)).await;
    assert_eq!(channel(&harness), ["[FIRING:2] DiskFull", "- 1 joined · 2 firing now"]);
    assert_eq!(harness.dead().await, 0);
    harness.finish().await;
}

#[tokio::test]
async fn a_wrong_token_or_channel_is_told_in_slacks_words() {
    for (wrong, why) in [
        (ROUTES.replace("SLACK_TOKEN", "xoxb-wrong"), "invalid_auth"),
        (ROUTES.replace("#alerts", "#other"), "channel_not_found"),
    ] {
        let harness = Harness::with_routes(&wrong).await;
        tell(&harness, &disks(&[("a", None)])).await;
        assert_eq!(harness.services.slack.received()[0].answer, format!(r#"{{"error":"{why}","ok":false}}"#));
        assert_eq!(harness.dead().await, 1);
        harness.finish().await;
    }
}

#[tokio::test]
async fn changes_go_out_in_order_however_often_the_replies_fail() {
    let harness = Harness::with_routes(ROUTES).await;
    let slack = &harness.services.slack;
    for _ in 0..3 {
        slack.behave(Behaviour::answer(503, ""));
    }
    let names = ["a", "b", "c", "d"];
    for end in 1..=names.len() {
        let all: Vec<_> = names[..end].iter().map(|name| (*name, None)).collect();
        harness.accept(&disks(&all)).await;
    }
    harness.deliver(MINUTE).await;
    let replies = [2, 3, 4].map(|firing| format!("- 1 joined · {firing} firing now"));
    let shown = channel(&harness);
    assert_eq!((shown[0].as_str(), &shown[1..]), ("[FIRING:4] DiskFull", &replies[..]));
    harness.finish().await;
}

#[tokio::test]
async fn the_default_pace_keeps_slacks_limits() {
    let harness = Harness::with_routes(ROUTES).await;
    let slack = &harness.services.slack;
    let clock: SharedClock = Arc::new(harness.clock.clone());
    slack.keep_slack_limits(&clock);
    let names: Vec<_> = (0..60).map(|number| format!("db-{number}")).collect();
    for end in 1..=names.len() {
        let all: Vec<_> = names[..end].iter().map(|name| (name.as_str(), None)).collect();
        harness.accept(&disks(&all)).await;
    }
    harness.deliver(Duration::from_secs(90)).await;
    assert!(slack.received().iter().all(|request| request.status == Some(200)), "no 429 at all");
    assert_eq!(channel(&harness).len(), 60, "a message and 59 replies");
    harness.finish().await;
}

#[tokio::test]
async fn where_ends_are_not_told_each_notification_is_a_message() {
    let harness = Harness::with_routes(&ROUTES.replace("fallback: oncall", "send_resolved: false")).await;
    tell(&harness, &disks(&[("a", None)])).await;
    tell(&harness, &disks(&[("a", None), ("b", None)])).await;
    tell(&harness, &disks(&[("a", Some(MINUTE)), ("b", Some(MINUTE))])).await;
    tell(&harness, &disks(&[("c", None)])).await;
    assert_eq!(channel(&harness), ["[FIRING:1] DiskFull"; 3]);
    harness.finish().await;
}

#[tokio::test]
async fn from_a_webhook_to_a_token_and_to_another_channel() {
    let webhook = "{ webhook_url: SLACK_WEBHOOK_URL }";
    let token = "{ token: SLACK_TOKEN, channel: '#alerts', api_url: SLACK_API_URL }";
    let mut harness = Harness::with_routes(&ROUTES.replace(token, webhook)).await;
    tell(&harness, &disks(&[("a", None)])).await;
    harness.write_routes(ROUTES);
    harness.restart().await;
    tell(&harness, &disks(&[("a", None), ("b", None)])).await;
    let message = &harness.services.slack.slack_messages()[0];
    let text = plain_text(&message.content);
    assert!(text.starts_with("[FIRING:1] DiskFull") && text.contains("1 more of this group were already"), "{text}");
    assert_eq!(harness.reload(&ROUTES.replace("#alerts", "C0STANDIN00")).await.0, 200);
    tell(&harness, &disks(&[("a", None), ("b", Some(MINUTE))])).await;
    assert_eq!(channel(&harness)[1..], ["[RESOLVED:1] DiskFull"]);
    harness.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_may_show_a_reply_twice_and_never_an_edit() {
    for (in_reply, replies) in [(false, 1), (true, 2)] {
        let harness = Harness::with_routes(ROUTES).await;
        let slack = &harness.services.slack;
        tell(&harness, &disks(&[("a", None)])).await;
        if in_reply {
            let open = Gate::closed();
            open.open();
            slack.behave(Behaviour::Wait(open));
        }
        slack.behave(Behaviour::LoseAnswer);
        tell(&harness, &disks(&[("a", None), ("b", None)])).await;
        let shown = channel(&harness);
        assert_eq!((shown[0].as_str(), shown.len()), ("[FIRING:2] DiskFull", 1 + replies), "{in_reply}");
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_fallback_joins_the_thread_of_its_group_and_the_channel_sees_it() {
    let routes = ROUTES
        .replace("fallback: oncall", "send_resolved: true")
        .replace("- name: oncall", "- name: oncall\n    fallback: team-slack")
        .replace("route:\n  receivers: [team-slack]", "route:\n  receivers: [oncall]");
    let harness = Harness::with_routes(&routes).await;
    let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no"]}"#;
    for all in [&[("a", None)][..], &[("a", None), ("b", None)]] {
        // Each alert is refused on its own; the fallback is told of each once.
        for _ in all {
            harness.services.pagerduty.behave(Behaviour::answer(400, refused));
        }
        tell(&harness, &disks(all)).await;
    }
    let messages = harness.services.slack.slack_messages();
    let first = plain_text(&messages[0].content);
    assert!(first.contains("Fallback for oncall: HTTP 400: Event object is invalid"), "{first}");
    assert!(messages[1..].iter().all(|reply| reply.thread_ts.as_ref() == Some(&messages[0].ts) && reply.is_broadcast));
    assert_eq!(messages.len(), 2, "{:?}", channel(&harness));
    harness.finish().await;
}

#[tokio::test]
async fn a_template_that_fails_counts_once_for_each_notification() {
    let title = "title: 'now {% if alert.labels.shard %}{{ alert.labels.shard | int }}{% endif %}',";
    let routes = ROUTES.replace("channel: '#alerts',", &format!("channel: '#alerts', {title}"));
    let harness = Harness::with_routes(&routes).await;
    let disk = |name: &str| {
        let labels = json!({ "alertname": "DiskFull", "severity": "warning", "instance": name, "shard": "blue" });
        alerts::firing(&labels, crate::harness::start())
    };
    let failures = async || harness.metric(r#"alertrouter_template_failures_total{receiver="team-slack"}"#).await;
    tell(&harness, &alerts::group("disks", &[disk("a")])).await;
    assert_eq!((channel(&harness), failures().await), (vec!["[FIRING:1] DiskFull".to_owned()], 1.0));
    // An edit and a reply.
    tell(&harness, &alerts::group("disks", &[disk("a"), disk("b")])).await;
    assert_eq!((channel(&harness).len(), failures().await), (2, 2.0));
    harness.finish().await;
}
