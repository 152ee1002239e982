use serde_json::Value;

use std::sync::Arc;

use super::Templates;
use super::message::Texts;
use crate::notification::{Notification, Reason};
use crate::receiver::custom::{Custom, Render};
use crate::receiver::fixture;
use crate::standin::slack::plain_text;
use crate::template::{Escape, Template};

fn message(notification: &Notification) -> Value {
    super::message::message(notification, &Texts::default())
}

/// The message as a person reads it.
fn shown(notification: &Notification) -> String {
    plain_text(&message(notification))
}

fn text_sum(value: &Value) -> usize {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| if name == "text" && value.is_string() { length(value) } else { text_sum(value) })
            .sum(),
        Value::Array(items) => items.iter().map(text_sum).sum(),
        _ => 0,
    }
}

fn length(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

#[test]
fn one_alert() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&message(&fixture::single())).unwrap());
}

#[test]
fn a_mixed_group() {
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&message(&fixture::captured("0.25-02-mixed-one-resolved-three-firing"))).unwrap()
    );
}

#[test]
fn what_is_read() {
    let captured = ["0.25-03-all-resolved", "0.25-05-truncated-status-resolved-but-2-hidden-firing", "0.33-mixed"];
    let mut all: Vec<_> = captured.iter().map(|name| ((*name).to_owned(), fixture::captured(name))).collect();
    let hostile = fixture::hostile().into_iter().filter(|(name, _)| !matches!(*name, "wide" | "emoji" | "many"));
    all.extend(hostile.map(|(name, notification)| (name.to_owned(), notification)));
    let read: Vec<_> = all.iter().map(|(name, notification)| format!("# {name}\n{}", shown(notification))).collect();
    insta::assert_snapshot!(read.join("\n\n"));
}

#[test]
fn a_repeat_says_that_it_is_one() {
    let mut notification = fixture::single();
    notification.received_at = fixture::at("2026-11-21T23:00:01Z");
    notification.alerts[0].reason = Reason::Repeat;
    assert!(shown(&notification).starts_with("[FIRING:1] HighErrorRate · still firing for 4h\n"));
    notification.alerts[0].alert.starts_at = None;
    assert!(shown(&notification).starts_with("[FIRING:1] HighErrorRate · still firing\n"));
    notification.alerts[0].reason = Reason::Refired;
    assert!(shown(&notification).starts_with("[FIRING:1] HighErrorRate · fires again\n"));
}

#[test]
fn a_fallback_says_for_whom_and_why() {
    let message = message(&fixture::as_fallback(fixture::single()));
    insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap());
}

#[test]
fn a_digest() {
    insta::assert_snapshot!(shown(&fixture::storm()));
    let of_a_fallback = shown(&fixture::as_fallback(fixture::storm()));
    assert!(of_a_fallback.contains("Fallback for oncall: HTTP 503"), "{of_a_fallback}");
}

#[test]
fn what_a_digest_does_not_show_is_counted() {
    let alerts =
        (0..500).map(|n| fixture::alert(&[("alertname", &format!("Alert{n:03}")), ("n", &n.to_string())], &[]));
    let mut many = fixture::as_digest(fixture::of(fixture::group(), alerts.collect(), fixture::storm().received_at));
    many.alerts[499].alert = fixture::resolved(many.alerts[499].alert.clone());
    let text = shown(&many);
    assert!(text.contains("Alert019") && !text.contains("Alert020"), "{text}");
    assert!(text.contains("and 480 more kinds: 480 alerts, 479 firing"), "{text}");
}

#[test]
fn what_is_not_shown_is_counted() {
    let (_, mut many) = fixture::hostile().into_iter().find(|(name, _)| *name == "many").unwrap();
    many.others_firing = 3;
    let text = shown(&many);
    for expected in
        ["[FIRING:333 · RESOLVED:167]", "167 more resolved", "3 more of this group were", "left out 12 alerts"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut resolved = fixture::single_resolved();
    resolved.others_firing = 3;
    assert!(shown(&resolved).contains("3 more of this group still fire"));
}

#[test]
fn all_texts_stay_below_what_slack_takes() {
    for (name, notification) in fixture::hostile() {
        let message = self::message(&fixture::as_fallback(notification.clone()));
        let sum = text_sum(&message["blocks"]) + text_sum(&message["attachments"]);
        assert!(sum < 9000, "{name}: {sum}");
        let message = self::message(&fixture::as_digest(fixture::as_hostile_fallback(notification)));
        let sum = text_sum(&message["blocks"]) + text_sum(&message["attachments"]);
        assert!(sum < 9000, "{name}, as a digest: {sum}");
    }
}

#[test]
fn the_colour_is_the_worst_that_fires() {
    for (severities, expected) in [
        (&["info", "critical"][..], "#D00000"),
        (&["warning", "info"], "#F2C744"),
        (&["unheard-of"], "#E8590C"),
        (&["none"], "#439FE0"),
    ] {
        let alerts = severities.iter().map(|severity| fixture::alert(&[("severity", severity)], &[]));
        let notification = fixture::of(fixture::group(), alerts.collect(), fixture::at("2026-11-21T20:00:00Z"));
        assert_eq!(message(&notification)["attachments"][0]["color"], expected);
    }
    assert_eq!(message(&fixture::single_resolved())["attachments"][0]["color"], "#2EB67D");
}

/// A message with these templates.
fn custom(title: &str, text: &str, notification: &Notification) -> Value {
    let template = |key, source: &str| -> Custom {
        (!source.is_empty())
            .then(|| Arc::new(Template::compile(key, source, Escape::Mrkdwn).unwrap()) as Arc<dyn Render>)
    };
    let templates = Templates { title: template("title", title), text: template("text", text) };
    let mut failed = None;
    let texts = templates.render(notification, &mut failed);
    assert_eq!(failed, None);
    super::message::message(notification, &texts)
}

#[test]
fn texts_of_routes_yaml_take_their_places() {
    let title = "{{ commonLabels.service }} & <https://x.example|more>";
    let text = "{% for alert in alerts %}*{{ alert.labels.instance }}* {{ alert.summary }}\n{% endfor %}";
    let single = fixture::single();
    let shown = |title, text, notification| plain_text(&custom(title, text, notification));
    insta::assert_snapshot!(shown(title, text, &single));
    // What must be seen is there whatever they say.
    let mut fallback = fixture::as_fallback(fixture::captured("0.25-04-truncated-max_alerts-2-firing"));
    fallback.others_firing = 2;
    insta::assert_snapshot!(shown(title, text, &fallback));
    // One of them alone leaves the rest as it is.
    let plain = message(&single);
    assert_eq!(custom(title, "", &single)["attachments"], plain["attachments"]);
    assert_eq!(custom("", text, &single)["text"], plain["text"]);
}

#[test]
fn texts_of_routes_yaml_stay_within_the_limits() {
    for (name, notification) in fixture::hostile() {
        let title = "{% for alert in alerts %}{{ alert.labels.alertname }} <{{ alert.generatorURL }}|x> {% endfor %}.";
        let text =
            format!("{title}\n{{% for alert in alerts %}}{{{{ alert.labels }}}}{{{{ alert.summary }}}}{{% endfor %}}");
        let message = custom(title, &text, &notification);
        assert!(text_sum(&message) <= 9500, "{name}: {}", text_sum(&message));
        for attachment in [&message["blocks"], &message["attachments"][0]["blocks"]] {
            for block in attachment.as_array().unwrap() {
                assert!(block["text"]["text"].as_str().is_none_or(|text| text.len() <= 3000), "{name}");
            }
        }
    }
}
