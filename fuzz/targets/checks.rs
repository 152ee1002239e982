//! What a request must be, whatever the alert or the service has said: one that the service takes, to the service that
//! routes.yaml names, in which no value has become markup, a mention, or a header.

use alertrouter::receiver::{Method, Outgoing};
use alertrouter::standin::{pagerduty, slack};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::receivers::SECRET;

/// Mail clients and Gmail's cut are far above; a group of any size stays below.
const MAX_MAIL: usize = 512 * 1024;
/// Grafana: a text, and both of its tags' columns (`receiver::grafana::annotation`).
const MAX_ANNOTATION: usize = 64 * 1024;

/// Holds a request of the receiver of this name to what its service takes.
pub fn request(name: &str, outgoing: &Outgoing) {
    let kind = name.split_once('-').map_or(name, |(kind, _)| kind);
    if let Method::Mail(_) = outgoing.method {
        return mail(&outgoing.body);
    }
    address(name, outgoing);
    for (header, value) in &outgoing.headers {
        let value = value.expose_secret();
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name}: {header} cannot be sent");
        assert!(header.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name}: {header}");
    }
    if let Method::Get | Method::Delete = outgoing.method {
        return assert!(outgoing.body.is_empty(), "{name}");
    }
    let body: Value = serde_json::from_slice(&outgoing.body).expect("the body is JSON");
    match kind {
        "slack" => slack_message(outgoing.step, &body),
        "pagerduty" => {
            assert_eq!(pagerduty::check(&body), <[String; 0]>::default(), "{body}");
            assert!(outgoing.body.len() <= pagerduty::MAX_EVENT);
            for field in ["summary", "source", "component", "group", "class"] {
                plain(body["payload"][field].as_str().unwrap_or_default(), false);
            }
        }
        "grafana" => annotation(&body),
        _ => {}
    }
}

/// The receiver's own service, at the place where it is spoken to.
fn address(name: &str, outgoing: &Outgoing) {
    let url = url::Url::parse(outgoing.url.expose_secret()).expect("the address is one");
    let known: &[&str] = match name {
        "slack" | "slack-texts" => &["https://hooks.slack.example/services/T0/B0/"],
        "slack-app" | "slack-app-texts" => {
            &["https://slack.example/api/chat.postMessage", "https://slack.example/api/chat.update"]
        }
        "grafana" => &[
            "http://grafana.example:3000/base/api/annotations",
            "http://grafana.example:3000/base/apis/annotation.grafana.app/v0alpha1/namespaces/default/annotations",
            "http://grafana.example:3000/base/apis/annotation.grafana.app/v0alpha1/namespaces/default/search?tag=",
        ],
        "grafana-texts" => &[
            "http://grafana.example:3000/api/annotations",
            "http://grafana.example:3000/apis/annotation.grafana.app/v0alpha1/namespaces/default/annotations",
            "http://grafana.example:3000/apis/annotation.grafana.app/v0alpha1/namespaces/default/search?tag=",
        ],
        "pagerduty" | "pagerduty-group" | "pagerduty-texts" => &["https://events.example/v2/enqueue"],
        _ => &["https://hooks.example/"],
    };
    // As it is sent: without what `..` takes away.
    let url = url.as_str();
    assert!(known.iter().any(|place| url.starts_with(place)), "{name} asks {}", url.replace(SECRET, "…"));
    let object = url.split_once("/annotations/").map_or("", |(_, object)| object);
    assert!(!object.contains('/') && object.len() <= 800, "{name} asks for {object}");
}

/// One that Slack takes, in which nothing has become a mention or a link of another kind.
fn slack_message(step: &str, body: &Value) {
    assert_eq!(slack::check(body), Ok(()), "{step}: {body}");
    assert_eq!(slack::injections(body), <[String; 0]>::default(), "{step}: {body}");
    let text = body["text"].as_str().unwrap_or_default();
    assert!(step != "update" || text.len() <= 4000, "{text}");
    let said = body.to_string();
    assert!(!said.contains(SECRET), "the channel sees the token");
    for text in slack_texts(body) {
        entities(text);
        plain(text, true);
    }
}

/// Every text of a message that is mrkdwn.
fn slack_texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let text = fields.get("text").and_then(Value::as_str);
            text.into_iter().chain(fields.values().flat_map(slack_texts)).collect()
        }
        Value::Array(items) => items.iter().flat_map(slack_texts).collect(),
        _ => Vec::new(),
    }
}

/// No controls, and nothing that turns the direction of writing around.
pub fn plain(text: &str, may_have_lines: bool) {
    let is_bad = |c: char| {
        c.is_control() && !(may_have_lines && c == '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(is_bad), "{text:?}");
}

/// Every `&` begins an entity, so none was cut and nothing is read twice.
fn entities(text: &str) {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.iter().any(|entity| text[at..].starts_with(entity)), "{}", &text[at..]);
    }
}

/// HTML in which every tag is one of ours and is closed.
fn markup(html: &str, single: &[&str]) {
    entities(html);
    let (mut open, mut rest) = (Vec::new(), html);
    while let Some((_, tail)) = rest.split_once('<') {
        let (tag, after) = tail.split_once('>').expect("a tag ends");
        assert!(!tag.contains('<'), "{tag}");
        let name = tag.split(' ').next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None if single.contains(&name) => {}
            None => {
                let known = ["a", "b", "body", "div", "head", "html", "p", "table", "td", "title", "tr"];
                assert!(known.contains(&name), "<{tag}>");
                let is_web = |link: &str| link.starts_with("http://") || link.starts_with("https://");
                let target = tag.strip_prefix("a href=\"").and_then(|link| link.strip_suffix('"'));
                assert!(name != "a" || target.is_some_and(|link| is_web(link) && !link.contains('"')), "<{tag}>");
                assert!(!tag.contains(" on"), "<{tag}>");
                open.push(name);
            }
        }
        rest = after;
    }
    assert!(!rest.contains('>') && open.is_empty(), "{open:?} {rest}");
}

/// Either API's annotation: `spec` is the newer one's.
fn annotation(body: &Value) {
    assert!(body.to_string().len() <= MAX_ANNOTATION);
    let said = if body["spec"].is_object() { &body["spec"] } else { body };
    let text = said["text"].as_str().expect("there is a text");
    plain(text, true);
    markup(text, &["br"]);
    let tags = said["tags"].as_array().expect("there are tags");
    assert!(said["tags"].to_string().len() <= 500, "{said}");
    for tag in tags.iter().map(|tag| tag.as_str().expect("tags are texts")) {
        assert!((1..=100).contains(&tag.len()), "{tag}");
        plain(tag, false);
    }
    let time = |field: &str| said[field].as_i64();
    assert!(time("time").is_none_or(|begin| begin > 0), "{said}");
    assert!(time("time").zip(time("timeEnd")).is_none_or(|(begin, end)| end > begin), "{said}");
}

/// The headers of every mail, those that are there always first.
const HEADERS: [&str; 12] = [
    "From",
    "To",
    "Date",
    "Subject",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
    "In-Reply-To",
    "References",
    "Importance",
];

/// A message as RFC 5322 has it, with our headers and two parts.
fn mail(message: &[u8]) {
    assert!(message.is_ascii() && message.len() <= MAX_MAIL, "{} bytes", message.len());
    let message = String::from_utf8_lossy(message);
    for line in message.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    let (head, rest) = message.split_once("\r\n\r\n").expect("the headers end");
    let names: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').expect("a line of the head is a header").0)
        .collect();
    for (place, name) in HEADERS.iter().enumerate() {
        let count = names.iter().filter(|known| *known == name).count();
        assert!(count == 1 || count == 0 && place >= 9, "{name} {count} times: {head}");
    }
    assert!(names.iter().all(|name| HEADERS.contains(name)), "{names:?}");
    let to = head.split("\r\n").find(|line| line.starts_with("To: ")).unwrap_or_default();
    assert!(to.matches('@').count() <= 2 && to.contains("oncall@example.org"), "{to}");
    let (_, boundary) = head.split_once("boundary=\"").expect("there are parts");
    let delimiter = format!("--{}", boundary.split('"').next().unwrap_or_default());
    let parts: Vec<&str> = rest.split(&delimiter).collect();
    assert_eq!((parts.len(), parts[3].trim_end()), (4, "--"), "the parts are two");
    for (part, kind) in parts[1..3].iter().zip(["text/plain", "text/html"]) {
        let (head, body) = part.split_once("\r\n\r\n").expect("a part has a head");
        assert!(head.contains(kind) && head.contains("quoted-printable"), "{head}");
        let text = String::from_utf8(decoded(body)).expect("a part is UTF-8");
        plain(&text.replace("\r\n", "\n"), true);
        if kind == "text/html" {
            markup(&text, &["!DOCTYPE", "meta"]);
        }
    }
}

/// Quoted-printable (RFC 2045, section 6.7), undone.
fn decoded(text: &str) -> Vec<u8> {
    let text = text.replace("=\r\n", "");
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'=') {
            out.push(byte);
            rest = &tail[2..];
        } else {
            assert_ne!(*first, b'=', "{text}");
            out.push(*first);
            rest = tail;
        }
    }
    out
}
