//! Values of labels that attack whoever reads them, through every receiver: nothing of them may be obeyed, by a service or by
//! a person's program.

use serde_json::Value;

use super::contract::{deliver, receivers};
use super::{Method, Receiver, Verdict, fixture};
use crate::alert::{Group, Labels};
use crate::notification::{Granularity, Notification};
use crate::standin::{Kind, Service};

/// What each of them attacks stands in its name.
pub(super) const ATTACKS: [(&str, &str); 26] = [
    ("mention of all", "<!channel> <!here> <!everyone> @channel @here @everyone"),
    ("mention of one", "<@U0123456> <#C0123456> <!subteam^S0123456|ops>"),
    ("Slack's link", "<http://evil.example|https://bank.example> <mailto:x@evil.example|mail>"),
    ("Slack's link begun", "<http://evil.example/"),
    ("Slack's formatting", "*bold* _it_ ~no~ ```code``` > quote"),
    ("entities", "&lt;!channel&gt; &amp;lt; &#60;script&#62;"),
    ("HTML", "</td></table><script src=//evil.example></script><img src=x onerror=alert(1)>"),
    ("an attribute", "\" onmouseover=\"alert(1)\" x='"),
    ("a comment", "<!-- --><![CDATA[ ]]>"),
    ("Markdown", "[click](http://evil.example) ![x](http://evil.example/x.png)"),
    ("a template", "{{ 7*7 }} {% for x in range(99999999) %}{{ x }}{% endfor %} ${7*7} {{ alerts }}"),
    ("Go's template", "{{ define \"x\" }}{{ template \"x\" . }}{{ end }}"),
    ("a terminal's colours", "\u{1b}[2J\u{1b}[31mroot\u{1b}[0m"),
    ("a terminal's title", "\u{1b}]0;owned\u{7} \u{1b}]8;;http://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\"),
    ("C1 controls", "\u{9b}2J\u{9d}0;owned\u{9c}\u{85}\u{90}"),
    ("the direction", "\u{202e}gpj.exe\u{202c} \u{2066}x\u{2069} \u{200f}\u{61c}"),
    ("what is not seen", "a\u{200b}b\u{feff}c\u{ad}d\u{2060}e\u{fff9}f\u{fffa}g\u{fffb}"),
    ("a second line of a log", "ok\n2026-11-21T20:00:00Z ERROR alertrouter: owned\r\nINFO x"),
    ("a header", "x\r\nBcc: evil@evil.example\r\n\r\n<b>owned</b>"),
    ("the end of a mail", "\r\n.\r\nMAIL FROM:<evil@evil.example>\r\n"),
    ("a script for a link", "javascript:alert(document.cookie)"),
    ("data for a link", "data:text/html;base64,PHNjcmlwdD4="),
    ("a path", "../../../../etc/passwd\0.txt"),
    ("a formula", "=HYPERLINK(\"http://evil.example\",\"x\")+cmd|' /C calc'!A0"),
    ("SQL", "'; DROP TABLE delivery; --"),
    ("NUL", "a\0b\u{1}\u{7f}"),
];

const BAD_LINKS: [&str; 8] = [
    "javascript:alert(1)",
    " JaVaScRiPt:alert(1)//http://x.example",
    "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "//evil.example/x",
    "\u{1}javascript:alert(1)",
    "https://user:password@evil.example/\"><script>\r\nBcc: x",
];

/// A notification whose every word is `evil`, and whose links are `link`.
fn attack(evil: &str, link: &str) -> Notification {
    let named = format!("x {evil}");
    let labels = [("alertname", evil), ("severity", evil), ("instance", evil), ("job", evil), (&named, evil)];
    let annotations = [
        ("summary", evil),
        ("description", evil),
        ("message", evil),
        (&*named, evil),
        ("runbook_url", link),
        ("dashboard_url", link),
        ("image_url", link),
    ];
    let mut alert = fixture::alert(&labels, &annotations);
    link.clone_into(&mut alert.generator_url);
    let set: Labels = labels.into_iter().collect();
    let group = Group {
        key: evil.to_owned(),
        receiver: evil.to_owned(),
        common_annotations: set.clone(),
        common_labels: set.clone(),
        labels: set,
        external_url: link.to_owned(),
        truncated_alerts: 3,
    };
    fixture::of(group, vec![alert], fixture::at("2026-11-21T20:00:00Z"))
}

fn attacks() -> impl Iterator<Item = (String, Notification)> {
    let texts = ATTACKS.into_iter().map(|(name, evil)| (name.to_owned(), attack(evil, evil)));
    let links = BAD_LINKS.into_iter().map(|link| (format!("the link {link:?}"), attack("Links", link)));
    let whole = texts.chain(links);
    whole.flat_map(|(name, one)| {
        let fallback = fixture::as_hostile_fallback(one.clone());
        let digest = fixture::as_digest(one.clone());
        [(name.clone(), one), (format!("{name}, as a fallback"), fallback), (format!("{name}, in a digest"), digest)]
    })
}

/// What a program would obey that shows it.
fn is_obeyed(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\n' || directs || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

/// Every text of a JSON body, with the name of its field; names themselves, too.
fn texts<'v>(field: &'v str, value: &'v Value, found: &mut Vec<(&'v str, &'v str)>) {
    match value {
        Value::String(text) => found.push((field, text)),
        Value::Array(all) => all.iter().for_each(|value| texts(field, value, found)),
        Value::Object(all) => {
            for (name, value) in all {
                found.push(("", name));
                texts(name, value, found);
            }
        }
        _ => {}
    }
}

const LINKS: [&str; 6] = ["url", "href", "src", "client_url", "title_link", "source_url"];

fn check_json(body: &[u8], about: &str) {
    let json: Value = serde_json::from_slice(body).unwrap();
    let mut found = Vec::new();
    texts("", &json, &mut found);
    assert!(found.len() > 3, "{about}");
    for (field, text) in found {
        assert!(!text.contains(is_obeyed), "{about}: {field}: {text:?}");
        if LINKS.contains(&field) {
            assert!(text.starts_with("http://") || text.starts_with("https://"), "{about}: {field}: {text:?}");
            assert!(!text.contains(['"', '<', '>', '|', ' ', '\n']) && !text.contains("password"), "{about}: {text:?}");
        }
    }
}

fn check_mail(message: &[u8], about: &str) {
    const HEADERS: [&str; 14] = [
        "From",
        "Date",
        "Subject",
        "Message-ID",
        "To",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "Importance",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "",
    ];
    let message = std::str::from_utf8(message).unwrap();
    assert!(!message.replace("\r\n", "\n").contains(|c: char| !matches!(c, ' '..='~' | '\n')), "{about}");
    assert!(!message.split("\r\n").any(|line| line == "."), "{about}: the end of the mail in its middle");
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    for line in head.split("\r\n") {
        let name = if line.starts_with([' ', '\t']) { "" } else { line.split(':').next().unwrap() };
        assert!(HEADERS.contains(&name), "{about}: {line:?}");
    }
    let text = decoded(body);
    assert!(!text.contains(is_obeyed), "{about}: {text:?}");
    let html = &text[text.find("<!DOCTYPE html>").unwrap()..];
    for tag in ["<script", "<img", "<!--", "<b>owned"] {
        assert!(!html.contains(tag), "{about}: {tag}");
    }
    for (at, _) in html.match_indices("href=\"") {
        assert!(html[at + 6..].starts_with("http"), "{about}: {:?}", html.get(at..at + 60));
    }
}

/// Quoted-printable.
fn decoded(body: &str) -> String {
    let (body, mut bytes) = (body.replace("=\r\n", "").replace("\r\n", "\n"), Vec::new());
    let mut rest = body.as_bytes();
    while let [first, ..] = rest {
        let hex = rest.get(1..3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let Some(byte) = hex.filter(|_| *first == b'=') {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(*first);
            rest = &rest[1..];
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn nothing_that_a_label_says_is_obeyed() {
    for (receiver, kind) in receivers(None) {
        let takes = |one: &Notification| receiver.granularity() == Granularity::Group || one.digest.is_none();
        for (name, notification) in attacks().filter(|(_, one)| takes(one)) {
            check(&*receiver, kind, &notification, &format!("{receiver:?}: {name}"));
        }
    }
}

fn check(receiver: &dyn Receiver, kind: Option<Kind>, notification: &Notification, about: &str) {
    let outgoing = receiver.encode(notification).unwrap();
    match (&outgoing.method, kind) {
        (Method::Mail(_), _) => check_mail(&outgoing.body, about),
        (_, Some(kind)) => {
            check_json(&outgoing.body, about);
            let mut service = Service::new(kind);
            let verdict = deliver(receiver, notification, &mut service);
            assert!(matches!(verdict, Verdict::Delivered { .. }), "{about}: {verdict:?}");
            if let Service::Slack(state) = &service {
                assert_eq!(state.injections(), <&[String]>::default(), "{about}");
            }
        }
        // A program reads it, and gets every label as it is.
        (_, None) => {
            let json: Value = serde_json::from_slice(&outgoing.body).unwrap();
            assert_eq!(json["alerts"][0]["labels"]["alertname"], notification.alerts[0].alert.name(), "{about}");
        }
    }
}
