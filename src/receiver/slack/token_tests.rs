use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::receipt;
use super::thread::Thread;
use super::token::App;
use super::{Slack, Templates};
use crate::alert::Alert;
use crate::clock::{Timestamp, after};
use crate::notification::{Digest, Notification, Reason, Receipt};
use crate::receiver::{Answer, FailureClass, Outgoing, Receiver, Verdict, fixture};
use crate::standin::slack::{API, CHANNEL, CHANNEL_ID, Message, TOKEN, check, plain_text};
use crate::standin::{Kind, Received, Service};

const UPDATE_TEXT: usize = 4000;

fn app() -> Slack {
    let api_url = format!("https://slack.example{API}");
    let (token, channel) = (TOKEN.into(), CHANNEL.to_owned());
    Slack::App(App { token, channel, api_url, templates: Templates::default(), edits: true })
}

fn minute(minute: u64) -> Timestamp {
    after(fixture::at("2026-11-21T19:00:00Z"), Duration::from_mins(minute))
}

fn alert(name: &str, severity: &str, instance: &str) -> Alert {
    let labels = [("alertname", name), ("severity", severity), ("instance", instance), ("service", "checkout")];
    let summary = format!("{instance} is in trouble");
    fixture::alert(&labels, &[("summary", summary.as_str()), ("runbook_url", "https://runbooks.example/x")])
}

fn told(at: u64, alerts: Vec<(Reason, Alert)>) -> Notification {
    let (reasons, alerts): (Vec<_>, Vec<_>) = alerts.into_iter().unzip();
    let mut notification = fixture::of(fixture::group(), alerts, minute(at));
    for (notified, reason) in notification.alerts.iter_mut().zip(reasons) {
        notified.reason = reason;
    }
    notification
}

fn fires(at: u64, reason: Reason, alert: &Alert) -> Notification {
    told(at, vec![(reason, alert.clone())])
}

fn ends(at: u64, alert: &Alert) -> Notification {
    told(at, vec![(Reason::Resolved, fixture::resolved(alert.clone()))])
}

/// Slack, and the lane of one group.
struct Talk {
    slack: Slack,
    service: Service,
    receipt: Option<Receipt>,
    /// The steps of the last notification, each with its body.
    steps: Vec<(&'static str, Value)>,
}

impl Talk {
    fn new() -> Self {
        Self { slack: app(), service: Service::new(Kind::Slack), receipt: None, steps: Vec::new() }
    }

    /// Tells Slack, until there is a final word.
    fn tell(&mut self, notification: &Notification) -> Verdict {
        self.tell_through(notification, |_, answer| answer)
    }

    /// Tells Slack; every answer goes through `change`.
    fn tell_through(&mut self, of: &Notification, change: impl Fn(&'static str, Answer) -> Answer) -> Verdict {
        let notification = Notification { receipt: self.receipt.clone(), ..of.clone() };
        self.steps.clear();
        let mut outgoing = self.slack.encode(&notification).unwrap();
        for _ in 0..4 {
            self.steps.push((outgoing.step, serde_json::from_slice(&outgoing.body).unwrap()));
            let reply = self.service.answer(&received(&outgoing));
            let step = outgoing.step;
            let answer = Answer { step, status: reply.status, retry_after: None, body: reply.body.into() };
            match self.slack.judge(&notification, &change(step, answer)) {
                Verdict::Then(next) => outgoing = next,
                Verdict::Delivered { receipt } => {
                    self.receipt.clone_from(&receipt);
                    return Verdict::Delivered { receipt };
                }
                verdict => return verdict,
            }
        }
        panic!("no end of requests: {:?}", self.steps);
    }

    fn delivers(&mut self, notification: &Notification) {
        let verdict = self.tell(notification);
        assert!(matches!(verdict, Verdict::Delivered { .. }), "{verdict:?}");
    }

    fn messages(&self) -> Vec<Message> {
        let Service::Slack(state) = &self.service else { panic!() };
        state.messages().to_vec()
    }

    fn state(&mut self) -> &mut crate::standin::slack::State {
        let Service::Slack(state) = &mut self.service else { panic!() };
        state
    }

    fn names(&self) -> Vec<&'static str> {
        self.steps.iter().map(|(step, _)| *step).collect()
    }

    /// The channel as a person reads it.
    fn shown(&self) -> String {
        let shown = self.messages().into_iter().map(|message| {
            let color = message.content["attachments"][0]["color"].as_str().unwrap_or_default().to_owned();
            let kind = match (&message.thread_ts, message.is_broadcast) {
                (None, _) => "message".to_owned(),
                (Some(_), false) => "  reply".to_owned(),
                (Some(_), true) => "  reply, also sent to the channel".to_owned(),
            };
            format!("{kind} {color}, edited {}\n{}", message.edits, plain_text(&message.content))
        });
        shown.collect::<Vec<_>>().join("\n")
    }
}

fn received(outgoing: &Outgoing) -> Received {
    use secrecy::ExposeSecret;
    let url = outgoing.url.expose_secret();
    let headers = outgoing.headers.iter();
    Received {
        method: "POST".to_owned(),
        path: url.strip_prefix("https://slack.example").unwrap().to_owned(),
        headers: headers.map(|(name, value)| (name.to_string(), value.expose_secret().to_owned())).collect(),
        body: outgoing.body.clone(),
        json: serde_json::from_slice(&outgoing.body).unwrap(),
        status: None,
        answer: String::new(),
    }
}

/// What Slack would say to an edit to this.
fn check_edit(body: &Value) -> Result<(), &'static str> {
    check(body)?;
    let fits = body["text"].as_str().is_some_and(|text| text.len() <= UPDATE_TEXT);
    if fits && body["blocks"].is_array() && body["attachments"].is_array() { Ok(()) } else { Err("msg_too_long") }
}

#[test]
fn the_life_of_a_group() {
    let mut talk = Talk::new();
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut read = Vec::new();
    for (what, notification, steps) in [
        ("fires", fires(4, Reason::First, &one), &["post"][..]),
        ("another joins", fires(9, Reason::First, &two), &["update", "reply"]),
        ("the first one resolves", ends(31, &one), &["update", "reply"]),
        ("the other one still fires", fires(244, Reason::Repeat, &two), &["update", "reply"]),
        ("and resolves", ends(250, &two), &["update", "reply"]),
    ] {
        talk.delivers(&notification);
        assert_eq!(talk.names(), steps, "{what}");
        read.push(format!("# {what}\n{}", talk.shown()));
    }
    insta::assert_snapshot!(read.join("\n\n"));
    assert_eq!(talk.receipt, None, "it is over");
    talk.delivers(&fires(255, Reason::Refired, &one));
    assert_eq!(talk.names(), ["post"], "what fires now is told anew");
    assert!(talk.state().injections().is_empty());
}

#[test]
fn an_edit_and_its_reply() {
    let mut talk = Talk::new();
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "critical", "db-2"));
    talk.delivers(&fires(4, Reason::First, &one));
    insta::assert_snapshot!(talk.receipt.as_ref().unwrap().0);
    talk.delivers(&fires(9, Reason::First, &two));
    let bodies: Vec<_> = talk.steps.iter().map(|(step, body)| format!("{step} {body:#}")).collect();
    insta::assert_snapshot!(bodies.join("\n"));
}

#[test]
fn a_message_that_is_gone_is_replaced_and_that_is_said() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    talk.state().delete("1795291200.000001");
    talk.delivers(&fires(9, Reason::First, &two));
    assert_eq!(talk.names(), ["update", "replace"]);
    insta::assert_snapshot!(plain_text(&talk.messages()[1].content));
    // From now on it is that one.
    talk.delivers(&ends(31, &one));
    assert_eq!(talk.names(), ["update", "reply"]);
    assert_eq!((talk.messages()[1].edits, talk.messages()[2].thread_ts.as_deref()), (1, Some("1795291200.000002")));
    assert!(plain_text(&talk.messages()[1].content).ends_with("This message takes the place of an earlier one"));
    // And it cannot be edited in turn.
    talk.state().close_edit_window();
    talk.delivers(&ends(32, &two));
    assert_eq!(talk.names(), ["update", "replace"]);
    assert!(plain_text(&talk.messages()[3].content).starts_with("[RESOLVED:2] DiskFull"));
    assert_eq!(talk.receipt, None);
}

#[test]
fn a_message_that_is_deleted_before_its_reply_is_not_edited_again() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    let verdict = talk.tell_through(&fires(9, Reason::First, &two), |step, mut answer| {
        if step == "reply" {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert!(body["message"].as_object_mut().unwrap().remove("thread_ts").is_some());
            answer.body = body.to_string().into();
        }
        answer
    });
    assert!(matches!(verdict, Verdict::Delivered { .. }), "{verdict:?}");
    // The new one shows all of the group.
    talk.delivers(&ends(31, &one));
    assert_eq!(talk.names(), ["post"]);
    let text = plain_text(&talk.messages()[2].content);
    assert!(text.starts_with("[FIRING:1 · RESOLVED:1] DiskFull") && text.contains("takes the place"), "{text}");
    talk.delivers(&ends(32, &two));
    assert_eq!(talk.names(), ["update", "reply"]);
}

#[test]
fn a_message_that_takes_no_replies_is_replaced() {
    let one = alert("DiskFull", "warning", "db-1");
    for word in ["cannot_reply_to_message", "restricted_action_thread_locked", "a_new_word", "is_archived"] {
        let mut talk = Talk::new();
        talk.delivers(&fires(4, Reason::First, &one));
        talk.tell_through(&fires(9, Reason::Repeat, &one), |step, answer| match step {
            "reply" => fixture::answer(step, 200, &json!({"ok": false, "error": word}).to_string()),
            _ => answer,
        });
        assert_eq!(talk.names(), ["update", "reply", "replace"], "{word}");
        let last = plain_text(&talk.messages().last().unwrap().content);
        assert!(last.ends_with(&format!("takes the place of an earlier one (Slack: {word})")), "{last}");
    }
}

#[test]
fn the_channel_never_sees_the_token() {
    let Verdict::Then(next) = judged("update", 200, &no(TOKEN)) else { panic!("nobody is told") };
    let body = String::from_utf8(next.body.to_vec()).unwrap();
    assert!(body.contains("(Slack: `***`)") && !body.contains(TOKEN), "{body}");
}

#[test]
fn an_alert_that_is_there_twice_is_shown_once_in_its_last_state() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    let flap =
        vec![(Reason::First, one.clone()), (Reason::First, two), (Reason::Resolved, fixture::resolved(one.clone()))];
    talk.delivers(&told(4, flap));
    assert!(plain_text(&talk.messages()[0].content).starts_with("[FIRING:1 · RESOLVED:1] DiskFull"));
    talk.delivers(&fires(5, Reason::Refired, &one));
    assert!(plain_text(&talk.messages()[0].content).starts_with("[FIRING:2] DiskFull"));
}

#[test]
fn another_channel_gets_a_message_of_its_own() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    let Slack::App(app) = &mut talk.slack else { panic!() };
    app.channel = CHANNEL_ID.to_owned();
    talk.delivers(&fires(9, Reason::First, &two));
    assert_eq!(talk.names(), ["post"]);
    assert!(plain_text(&talk.messages()[1].content).starts_with("[FIRING:2] DiskFull"), "it tells of both");
}

#[test]
fn without_ends_and_for_digests_nothing_is_edited() {
    let one = alert("DiskFull", "warning", "db-1");
    let mut talk = Talk::new();
    let Slack::App(app) = &mut talk.slack else { panic!() };
    app.edits = false;
    for at in [4, 9] {
        talk.delivers(&fires(at, Reason::First, &one));
        assert_eq!((talk.names(), &talk.receipt), (vec!["post"], &None));
    }
    let mut talk = Talk::new();
    let digest = Digest { notifications: 2, since: minute(1) };
    talk.delivers(&Notification { digest: Some(digest), ..fires(4, Reason::First, &one) });
    assert_eq!((talk.names(), &talk.receipt), (vec!["post"], &None));
}

#[test]
fn what_nobody_may_miss_is_sent_to_the_channel() {
    let warning = |instance| alert("DiskFull", "warning", instance);
    let one = warning("db-1");
    let later = |notification: Notification| fixture::as_fallback(notification);
    for (what, notification, loud) in [
        ("a reminder", fires(244, Reason::Repeat, &one), true),
        ("joins and is no worse", fires(9, Reason::First, &warning("db-2")), false),
        ("joins and is milder", fires(9, Reason::First, &alert("DiskFull", "info", "db-2")), false),
        ("joins and is worse", fires(9, Reason::First, &alert("DiskFull", "error", "db-2")), true),
        ("joins and is critical", fires(9, Reason::First, &alert("DiskFull", "critical", "db-2")), true),
        ("joins an old message", fires(64, Reason::First, &warning("db-2")), true),
        ("fires again, its end was never told", fires(9, Reason::Refired, &one), true),
        ("resolves", ends(31, &one), false),
        ("resolves after hours", ends(244, &one), false),
        ("a fallback", later(fires(9, Reason::First, &warning("db-2"))), true),
    ] {
        let mut talk = Talk::new();
        talk.delivers(&fires(4, Reason::First, &one));
        talk.delivers(&notification);
        assert_eq!(talk.steps[1].1["reply_broadcast"] == true, loud, "{what}");
        assert_eq!(talk.messages()[1].is_broadcast, loud, "{what}");
    }
}

#[test]
fn a_fallback_stays_marked() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    talk.delivers(&fixture::as_fallback(fires(9, Reason::First, &two)));
    talk.delivers(&ends(31, &one));
    let text = plain_text(&talk.messages()[0].content);
    assert!(text.contains("\nFallback for oncall: HTTP 503"), "{text}");
}

#[test]
fn colours_and_counts_follow() {
    let mut talk = Talk::new();
    let (warning, critical) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "critical", "db-2"));
    for (notification, color, headline) in [
        (fires(4, Reason::First, &warning), "#F2C744", "[FIRING:1] DiskFull"),
        (fires(9, Reason::First, &critical), "#D00000", "[FIRING:2] DiskFull"),
        (ends(31, &critical), "#F2C744", "[FIRING:1 · RESOLVED:1] DiskFull"),
        (fires(40, Reason::Refired, &critical), "#D00000", "[FIRING:2] DiskFull"),
        (ends(41, &critical), "#F2C744", "[FIRING:1 · RESOLVED:1] DiskFull"),
        (ends(42, &warning), "#2EB67D", "[RESOLVED:2] DiskFull"),
    ] {
        talk.delivers(&notification);
        let content = &talk.messages()[0].content;
        assert_eq!(content["attachments"][0]["color"], color, "{headline}");
        assert_eq!(plain_text(content).lines().next(), Some(headline));
    }
}

#[test]
fn of_a_large_group_the_rest_is_counted_until_all_of_it_has_resolved() {
    let all: Vec<_> =
        (0..250).map(|n| alert("DiskFull", if n < 3 { "critical" } else { "info" }, &format!("db-{n}"))).collect();
    let mut talk = Talk::new();
    let (first, rest) = all.split_at(130);
    talk.delivers(&told(4, first.iter().map(|alert| (Reason::First, alert.clone())).collect()));
    talk.delivers(&told(9, rest.iter().map(|alert| (Reason::First, alert.clone())).collect()));
    let text = plain_text(&talk.messages()[0].content);
    assert!(text.starts_with("[FIRING:250] DiskFull") && text.contains("and 240 more firing"), "{text}");
    assert!(talk.receipt.as_ref().unwrap().0.len() < 100_000);
    // One that is only counted is not counted twice.
    talk.delivers(&fires(14, Reason::Repeat, &all[249]));
    assert!(plain_text(&talk.messages()[0].content).starts_with("[FIRING:250] DiskFull"));
    for (at, some) in all.chunks(100).enumerate() {
        let resolved = some.iter().map(|alert| (Reason::Resolved, fixture::resolved(alert.clone())));
        talk.delivers(&told(31 + at as u64, resolved.collect()));
        let left = 250 - 100 * (at + 1).min(2) - if at == 2 { 50 } else { 0 };
        let headline =
            if left > 0 { format!("[FIRING:{left} · RESOLVED:{}]", 250 - left) } else { "[RESOLVED:250]".to_owned() };
        let text = plain_text(&talk.messages()[0].content);
        assert!(text.starts_with(&headline), "{headline}: {text}");
    }
    assert_eq!(talk.receipt, None);
}

#[test]
fn others_that_still_fire_are_those_that_the_message_does_not_show() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    // Five others were told before there was a message: by an incoming webhook, for instance.
    talk.delivers(&Notification { others_firing: 5, ..fires(4, Reason::First, &one) });
    let text = plain_text(&talk.messages()[0].content);
    assert!(text.contains("5 more of this group were already firing"), "{text}");
    talk.delivers(&Notification { others_firing: 6, ..fires(9, Reason::First, &two) });
    let text = plain_text(&talk.messages()[0].content);
    assert!(text.contains("5 more of this group were already firing"), "{text}");
    assert!(plain_text(&talk.messages()[1].content).starts_with("1 joined · 7 firing now\n"));
    talk.delivers(&Notification { others_firing: 6, ..ends(31, &one) });
    let reply = plain_text(&talk.messages()[2].content);
    assert!(reply.starts_with("1 resolved · 6 firing now, 1 resolved\n"), "{reply}");
}

#[test]
fn no_silence_is_offered_for_labels_that_are_not_all_known() {
    let mut one = alert("DiskFull", "warning", "db-1");
    let many: Vec<_> = (0..40).map(|n| (format!("label_{n:02}"), "x".repeat(60))).collect();
    let labels = one.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    one.labels = labels.chain(many).collect();
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    talk.delivers(&fires(9, Reason::First, &alert("DiskFull", "warning", "db-2")));
    let text = talk.messages()[0].content.to_string();
    assert!(text.contains("label_00") && !text.contains("|Silence>"), "{text}");
}

#[test]
fn a_retry_says_the_same_again() {
    let (one, two) = (alert("DiskFull", "warning", "db-1"), alert("DiskFull", "warning", "db-2"));
    let mut talk = Talk::new();
    talk.delivers(&fires(4, Reason::First, &one));
    let join = fires(9, Reason::First, &two);
    let verdict = talk.tell_through(&join, |step, answer| match step {
        "reply" => fixture::answer(step, 429, ""),
        _ => answer,
    });
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    let before = talk.messages();
    talk.delivers(&Notification { attempt: 2, ..join });
    assert_eq!(talk.names(), ["update", "reply"]);
    assert_eq!(talk.messages()[0].content, before[0].content, "the edit is the same");
    assert_eq!(talk.messages()[0].edits, 2);
}

#[test]
fn the_first_request_depends_on_what_is_known() {
    let mut talk = Talk::new();
    let notification = fires(4, Reason::First, &alert("DiskFull", "warning", "db-1"));
    talk.delivers(&notification);
    let good = talk.receipt.unwrap().0;
    let version = good.replacen("\"v\":1", "\"v\":2", 1);
    let channel = good.replace(CHANNEL_ID, "");
    for (receipt, expected) in [
        (good.as_str(), "update"),
        ("", "post"),
        ("ok", "post"),
        ("[]", "post"),
        ("{}", "post"),
        (&good[..good.len() - 1], "post"),
        (&version, "post"),
        (&channel, "post"),
        (&good.replace("1795291200.000001", "not an id"), "post"),
        (&good.replace("1795291200.000001", &"1".repeat(1000)), "post"),
        // Grafana's: the receiver was another one.
        ("0000000000000001-5 41", "post"),
    ] {
        let notification = Notification { receipt: Some(Receipt(receipt.to_owned())), ..notification.clone() };
        assert_eq!(app().encode(&notification).unwrap().step, expected, "{receipt}");
    }
}

#[test]
fn what_is_kept_is_what_the_message_shows() {
    for (name, notification) in fixture::hostile() {
        let thread = Thread::new(notification.received_at).after(&notification);
        let written = receipt::write(&thread, CHANNEL, None);
        assert!(written.0.len() < 100_000, "{name}: {}", written.0.len());
        let (read, posted) = receipt::read(Some(&written), CHANNEL).unwrap();
        assert_eq!(posted, None);
        let count = |thread: &Thread| thread.alerts.len() + thread.beyond.firing + thread.beyond.resolved;
        assert_eq!(count(&read), count(&thread), "{name}: nothing is lost count of");
        assert_eq!(read.is_over(), thread.is_over(), "{name}");
        // What was read is written as it was, so that a message does not change by being kept.
        assert_eq!(receipt::write(&read, CHANNEL, None).0.len(), written.0.len(), "{name}");
    }
}

#[test]
fn slack_takes_whatever_the_labels_hold_again_and_again() {
    for (name, notification) in fixture::hostile() {
        let notification = fixture::as_hostile_fallback(notification);
        let mut talk = Talk::new();
        let mut again = notification.clone();
        for notified in again.alerts.iter_mut().filter(|notified| notified.reason != Reason::Resolved) {
            notified.reason = Reason::Repeat;
        }
        let mut over = notification.clone();
        for notified in &mut over.alerts {
            (notified.alert, notified.reason) = (fixture::resolved(notified.alert.clone()), Reason::Resolved);
        }
        let other = fires(4, Reason::First, &alert("DiskFull", "critical", "db-1"));
        let other = Notification { group: notification.group.clone(), ..other };
        for next in [&notification, &other, &again, &over] {
            talk.delivers(next);
            assert!(talk.names().len() <= 2, "{name}: {:?}", talk.names());
        }
        assert_eq!(talk.state().injections(), <&[String]>::default(), "{name}");
    }
}

/// What follows from an answer, with a message that can be edited.
fn judged(step: &'static str, status: u16, body: &str) -> Verdict {
    static KNOWN: LazyLock<Option<Receipt>> = LazyLock::new(|| {
        let mut talk = Talk::new();
        talk.delivers(&fixture::single());
        talk.receipt
    });
    let notification = Notification { receipt: KNOWN.clone(), ..fixture::single() };
    app().judge(&notification, &fixture::answer(step, status, body))
}

fn no(word: &str) -> String {
    json!({"ok": false, "error": word}).to_string()
}

#[test]
fn every_word() {
    use FailureClass::{NotFound, RateLimited, Refused, Unauthorized, Unavailable, Unexpected};
    // What each word means for the message itself, and whether an edit or a reply goes on with a new message.
    for (words, expected, goes_on) in [
        (
            "internal_error fatal_error service_unavailable request_timeout team_added_to_org org_login_required \
             external_channel_migrating update_failed",
            (true, Unavailable),
            false,
        ),
        ("ratelimited rate_limited message_limit_exceeded", (true, RateLimited), false),
        (
            "invalid_auth not_authed account_inactive token_revoked token_expired missing_scope no_permission \
             not_allowed_token_type access_denied accesslimited ekm_access_denied enterprise_is_restricted \
             team_access_not_granted two_factor_setup_required messages_tab_disabled app_access_restricted team_not_found",
            (false, Unauthorized),
            false,
        ),
        ("channel_not_found not_in_channel is_archived", (false, NotFound), true),
        (
            "restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel",
            (false, Unauthorized),
            true,
        ),
        (
            "invalid_blocks invalid_blocks_format msg_blocks_too_long msg_too_long invalid_attachments \
             too_many_attachments attachment_payload_limit_exceeded no_text invalid_arguments invalid_arg_name \
             invalid_array_arg invalid_json json_not_object invalid_charset invalid_post_type missing_post_type \
             invalid_form_data invalid_metadata_format invalid_metadata_schema metadata_too_large \
             markdown_text_conflict",
            (false, Refused),
            false,
        ),
        (
            "cannot_reply_to_message restricted_action_non_threadable_channel restricted_action_thread_locked",
            (false, Refused),
            true,
        ),
        ("message_not_found cant_update_message edit_window_closed block_mismatch", (true, Unexpected), true),
        ("is_inactive streaming_state_conflict", (true, Unexpected), true),
        ("a_word_of_next_year", (true, Unexpected), true),
    ] {
        for word in words.split_whitespace() {
            for step in ["post", "replace"] {
                assert_eq!(fixture::failed(&judged(step, 200, &no(word))), Some(expected), "{step} {word}");
            }
            for step in ["update", "reply"] {
                let verdict = judged(step, 200, &no(word));
                if goes_on {
                    let Verdict::Then(outgoing) = &verdict else { panic!("{step} {word}: {verdict:?}") };
                    assert_eq!(outgoing.step, "replace", "{step} {word}");
                } else {
                    assert_eq!(fixture::failed(&verdict), Some(expected), "{step} {word}");
                }
            }
        }
    }
}

#[test]
fn every_status() {
    use FailureClass::{NotFound, RateLimited, Refused, Unauthorized, Unavailable, Unexpected};
    for step in ["post", "replace", "update", "reply"] {
        for (status, body, expected) in [
            (200, "", (true, Unexpected)),
            (200, "ok", (true, Unexpected)),
            (200, "<html>Please log in</html>", (true, Unexpected)),
            (200, "{}", (true, Unexpected)),
            (200, r#"{"ok":false}"#, (true, Unexpected)),
            (200, r#"{"ok":"true"}"#, (true, Unexpected)),
            (302, "", (true, Unexpected)),
            (403, "<html>blocked</html>", (true, Unauthorized)),
            (404, "", (true, NotFound)),
            (407, "", (true, Unauthorized)),
            (413, "", (false, Refused)),
            (429, "", (true, RateLimited)),
            (429, r#"{"ok":false,"error":"ratelimited"}"#, (true, RateLimited)),
            (500, "<html><title>Server Error | Slack</title>", (true, Unavailable)),
            (503, r#"{"ok":false,"error":"invalid_auth"}"#, (true, Unavailable)),
        ] {
            assert_eq!(fixture::failed(&judged(step, status, body)), Some(expected), "{step} {status} {body}");
        }
    }
    let verdict = judged("post", 200, &no("message_limit_exceeded"));
    assert!(
        matches!(verdict, Verdict::Retry { after: Some(wait), .. } if wait == Duration::from_mins(1)),
        "{verdict:?}"
    );
    let scope = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"channels:read"}"#;
    assert!(
        format!("{:?}", judged("post", 200, scope)).contains("missing_scope (needs chat:write, has channels:read)")
    );
}

#[test]
fn an_answer_that_breaks_off_says_what_it_says() {
    let notification = fixture::single();
    for (body, delivered, posted) in [
        (r#"{"ok":true,"channel":"C1","ts":"1.2","message":{"ts":"1.2","text":"a long"#, true, Some(("C1", "1.2"))),
        (r#"{"ok":true,"channel":"C1","ts":"1.2","#, true, Some(("C1", "1.2"))),
        (r#"{"ok":true,"channel":"C1","t"#, true, None),
        (r#"{"ok":true"#, true, None),
        (r#"{"ok":true,"message":{"channel":"C9","ts":"9.9","#, true, None),
        (r#"{"ok":true}"#, true, None),
        (r#"{"ok":true,"channel":"C1","ts":""}"#, true, None),
        (r#"{"ok":tr"#, false, None),
        (r#"{"ok":false,"err"#, false, None),
    ] {
        let verdict = app().judge(&notification, &fixture::answer("post", 200, body));
        let Verdict::Delivered { receipt } = verdict else {
            assert!(!delivered, "{body}: {verdict:?}");
            continue;
        };
        assert!(delivered, "{body}");
        let (_, found) = receipt::read(receipt.as_ref(), CHANNEL).unwrap();
        assert_eq!(found.as_ref().map(|at| (at.channel.as_str(), at.ts.as_str())), posted, "{body}");
    }
}

/// A receipt of anything.
fn any_receipt() -> impl Strategy<Value = String> {
    let text = "\\PC{0,20}|[<>&*_~` \n\u{1f642}a\u{0}\u{202e}]{0,80}|(long <b> & ){300}";
    let alert = (text, text, "[0-9a-f]{16}|x", any::<Option<i64>>(), any::<Option<i64>>(), any::<bool>()).prop_map(
        |(name, value, fingerprint, starts, ends, cut)| {
            json!({
                "fingerprint": fingerprint, "starts": starts, "ends": ends, "cut": cut, "generator": value,
                "labels": { "alertname": name, "severity": value, name.clone(): value },
                "annotations": { "summary": value, "description": name, "runbook_url": format!("https://x.example/{value}") },
            })
        },
    );
    let head = (any::<i32>(), any::<u32>(), any::<u32>(), any::<bool>(), text, prop::option::of(text));
    (head, prop::collection::vec(alert, 0..30), 1usize..8).prop_map(|(head, alerts, times)| {
        let (seen, firing, resolved, replaces, text, worst) = head;
        let alerts: Vec<_> = std::iter::repeat_n(alerts, times).flatten().collect();
        let fallback = replaces.then(|| json!({ "receiver": text, "reason": text.repeat(5) }));
        json!({
            "v": 1, "configured": CHANNEL, "channel": "C1", "ts": "1.2", "seen": seen, "replaces": replaces,
            "fallback": fallback, "firing": firing, "resolved": resolved, "worst": worst, "alerts": alerts,
        })
        .to_string()
    })
}

static HOSTILE: LazyLock<[Notification; 2]> = LazyLock::new(|| {
    ["evil", "many"].map(|name| fixture::hostile().into_iter().find(|(known, _)| *known == name).unwrap().1)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_was_kept_the_message_fits(receipt in any_receipt(), many in prop::bool::weighted(0.2)) {
        let notification = Notification { receipt: Some(Receipt(receipt)), ..HOSTILE[usize::from(many)].clone() };
        let outgoing = app().encode(&notification).unwrap();
        prop_assert_eq!(outgoing.step, "update", "it is a receipt that can be read");
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        prop_assert_eq!(check_edit(&body), Ok(()));
        prop_assert_eq!(crate::standin::slack::injections(&body), Vec::<String>::new());
        let gone = fixture::answer("update", 200, r#"{"ok":false,"error":"<!channel> _gone_"}"#);
        let Verdict::Then(replacement) = app().judge(&notification, &gone) else { panic!() };
        let body: Value = serde_json::from_slice(&replacement.body).unwrap();
        prop_assert_eq!(check_edit(&body), Ok(()));
        prop_assert_eq!(crate::standin::slack::injections(&body), Vec::<String>::new());
        let ok = fixture::answer("reply", 200, r#"{"ok":true,"ts":"1.3","message":{"thread_ts":"1.2"}}"#);
        if let Verdict::Delivered { receipt: Some(receipt) } = app().judge(&notification, &ok) {
            prop_assert!(receipt.0.len() < 100_000, "{}", receipt.0.len());
        }
    }
}
