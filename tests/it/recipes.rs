//! The receivers for other services that README shows, held to what those services document.

use std::sync::Arc;

use alertrouter::alert::{Alert, Fingerprint, Group, Labels, Status};
use alertrouter::clock::Timestamp;
use alertrouter::config::{self, secret};
use alertrouter::notification::{DeliveryId, Digest, FallbackFor, Granularity, Notification, Notified, Reason};
use alertrouter::receiver::Definition;
use alertrouter::template::samples;
use serde_json::Value;

use crate::routes_file::routes_of_the_readme;

/// The receiver of this name, as README has it.
fn recipe(name: &str) -> Definition {
    let ours = |block: &String| block.contains(&format!("- name: {name}\n")) && block.contains("body: |");
    let file = routes_of_the_readme().into_iter().find(ours).unwrap_or_else(|| panic!("no recipe for {name}"));
    let (config, problems) = config::parse(file.as_bytes(), &config::Options::without_secrets(), &secret::System);
    assert!(problems.is_empty(), "{problems:?}");
    config.unwrap().receivers.remove(0)
}

const EVIL: &str = "@everyone @here <@123> <!channel> [click](https://evil.example) **b** __u__ `c` ~~s~~ ||x|| # h \
                    \"q\" \\ {{ title }} {% x %} </at><at>all</at> \u{0}\u{202e}\r\n> end";

fn alert(n: usize, text: &str, status: Status) -> Alert {
    let (number, level) = (n.to_string(), ["critical", "warning", "info", text][n % 4]);
    let labels = [("alertname", text), ("instance", text), ("severity", level), ("n", &number)];
    let labels: Labels = labels.into_iter().collect();
    Alert {
        status,
        fingerprint: Fingerprint::of(&labels, &[]),
        labels,
        annotations: [("summary", text), ("runbook_url", "https://runbooks.example/x?a=\"b\"|c")].into_iter().collect(),
        starts_at: Timestamp::from_second(1_795_287_600).ok(),
        ends_at: (status == Status::Resolved).then(|| Timestamp::from_second(1_795_289_400).unwrap()),
        generator_url: format!("https://prometheus.example/graph?g0.expr={}", "x".repeat(1800)),
    }
}

fn notification(alerts: Vec<Alert>) -> Notification {
    let group = Group {
        key: EVIL.to_owned(),
        external_url: "https://alertmanager.example".to_owned(),
        truncated_alerts: 12,
        ..Group::default()
    };
    Notification {
        id: DeliveryId(7),
        receiver: "test".into(),
        group: Arc::new(group),
        alerts: alerts.into_iter().map(|alert| Notified { alert, reason: Reason::First }).collect(),
        others_firing: 3,
        received_at: Timestamp::from_second(1_795_289_500).unwrap(),
        attempt: 1,
        receipt: None,
        fallback: Some(FallbackFor { receiver: EVIL.into(), reason: EVIL.repeat(20) }),
        digest: None,
    }
}

/// Ordinary ones, and those that labels make of it.
fn notifications() -> Vec<Notification> {
    let mut all: Vec<_> = samples::all(Granularity::Group).into_iter().map(|sample| sample.notification).collect();
    for text in [EVIL, &EVIL.repeat(50), &"🙂🏽".repeat(2000), &"\"\\\n".repeat(2000), "@a", "x"] {
        for status in [Status::Firing, Status::Resolved] {
            all.push(notification(vec![alert(0, text, status)]));
            all.push(notification((0..100).map(|n| alert(n, text, status)).collect()));
        }
        let each = |n: usize| alert(n, text, if n.is_multiple_of(2) { Status::Firing } else { Status::Resolved });
        all.push(notification((0..100).map(each).collect()));
    }
    let bare = Alert { starts_at: None, annotations: Labels::default(), ..alert(0, "x", Status::Firing) };
    all.push(notification(vec![bare]));
    all
}

/// What goes out for each of them.
fn bodies(name: &str) -> impl Iterator<Item = (Notification, Value)> + use<> {
    let service = recipe(name).service;
    let body = move |notification: Notification| {
        let outgoing = service.encode(&notification).unwrap();
        assert_eq!(outgoing.template_error, None, "{:?}", notification.alerts[0]);
        let body = serde_json::from_slice(&outgoing.body).unwrap();
        (notification, body)
    };
    notifications().into_iter().map(body)
}

/// UTF-16 units, the largest of what a service may count; never nothing.
fn length(text: &Value) -> usize {
    let length = text.as_str().unwrap_or_else(|| panic!("no text: {text}")).encode_utf16().count();
    assert!(length > 0);
    length
}

/// How many alerts a notification is about: in a digest one can be there several times.
fn distinct(notification: &Notification) -> usize {
    notification
        .alerts
        .iter()
        .map(|notified| notified.alert.fingerprint)
        .collect::<std::collections::HashSet<_>>()
        .len()
}

#[test]
fn the_largest_digest_is_not_too_much_for_a_recipe() {
    for name in ["teams", "discord", "telegram"] {
        let alerts = (0..20_000).map(|n| alert(n, "x", Status::Firing)).collect();
        let digest = Digest { notifications: 10_000, since: Timestamp::from_second(1_795_289_400).unwrap() };
        let storm = Notification { digest: Some(digest), fallback: None, ..notification(alerts) };
        let outgoing = recipe(name).service.encode(&storm).unwrap();
        assert_eq!(outgoing.template_error, None, "{name}");
    }
}

#[test]
fn microsoft_teams() {
    for (notification, body) in bodies("teams") {
        // 28 KB, counted as UTF-16.
        let size = body.to_string().encode_utf16().count() * 2;
        assert!(size <= 28 * 1024, "{size} bytes");
        assert_eq!((&body["type"], body["attachments"].as_array().unwrap().len()), (&"message".into(), 1));
        let attachment = &body["attachments"][0];
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        let card = &attachment["content"];
        assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.2".into()));
        assert_eq!(card["msteams"]["entities"], Value::Null, "they would be mentions");
        let blocks = card["body"].as_array().unwrap();
        assert!(blocks.len() > distinct(&notification).min(10), "{card}");
        for block in blocks {
            assert_eq!(block["type"], "RichTextBlock", "a TextBlock reads Markdown");
            for run in block["inlines"].as_array().unwrap() {
                assert_eq!(run["type"], "TextRun");
                length(&run["text"]);
                let color = run["color"].as_str();
                assert!(
                    color.is_none_or(|color| ["Attention", "Warning", "Accent", "Good"].contains(&color)),
                    "{color:?}"
                );
            }
        }
        let actions = card["actions"].as_array().unwrap();
        assert!(actions.len() <= 6);
        for action in actions {
            assert_eq!(action["type"], "Action.OpenUrl");
            length(&action["title"]);
            assert!(action["url"].as_str().unwrap().starts_with("http"), "{action}");
        }
    }
}

/// What of a text Discord would still read as Markdown.
fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(this) = chars.next() {
        if this == '\\' { chars.next().map(drop).unwrap_or_default() } else { out.push(this) }
    }
    out
}

#[test]
fn discord() {
    for (notification, body) in bodies("discord") {
        assert_eq!(body["allowed_mentions"], serde_json::json!({ "parse": [] }));
        assert!(length(&body["content"]) <= 2000);
        let embeds = body["embeds"].as_array().unwrap();
        assert!(embeds.len() == distinct(&notification).min(5), "at most 10");
        let mut total = 0;
        let mut texts = vec![&body["content"]];
        for embed in embeds {
            let (title, description) = (length(&embed["title"]), length(&embed["description"]));
            assert!(title <= 256 && description <= 4096, "{title} {description}");
            assert!(embed["color"].as_u64().is_some_and(|color| color <= 0xff_ffff), "{embed}");
            total += title + description;
            texts.extend([&embed["title"], &embed["description"]]);
        }
        assert!(total <= 6000, "{total}");
        for text in texts {
            let read = without_escapes(text.as_str().unwrap());
            assert!(!read.contains(['*', '_', '`', '~', '|', '[', ']', '<', '#']), "{read}");
        }
    }
}

#[test]
fn telegram() {
    for (_, body) in bodies("telegram") {
        assert!(body["chat_id"].is_string() && body["link_preview_options"]["is_disabled"] == true);
        assert_eq!(body["parse_mode"], Value::Null, "plain text has no markup");
        assert!(length(&body["text"]) <= 4096, "{}", length(&body["text"]));
        let text = body["text"].as_str().unwrap();
        assert!(text.split('@').skip(1).all(|after| after.starts_with('\u{2060}')), "{text}");
        assert!(!text.trim().is_empty());
    }
}

#[test]
fn a_hundred_alerts_are_counted() {
    for (name, left_out) in [("teams", "90 more alerts"), ("discord", "95 more alerts"), ("telegram", "90 more alerts")]
    {
        let many = bodies(name).find(|(notification, _)| notification.alerts.len() == 100).unwrap();
        let text = many.1.to_string();
        assert!(text.contains(left_out) && text.contains("12 "), "{text}");
    }
}
