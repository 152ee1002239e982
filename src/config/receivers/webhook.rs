//! `webhook:` of a receiver.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::templates::{self, Place};
use crate::config::address::check_url;
use crate::config::secret::Secrets;
use crate::notification::Granularity;
use crate::receiver::Receiver;
use crate::receiver::webhook::{Headers, SigningKey, Webhook};
use crate::template::Escape;
use crate::yaml::{Context, Fields, Node, Note, Value, discreet};

/// Keys that others have, and what to say of them.
pub(super) const NOTES: [Note; 3] = [
    Note::Instead("http_config", "write `headers: { authorization: { env: NAME } }`"),
    Note::Instead("payload", "that is `body` here, a template of its own"),
    Note::Instead("url_file", "write `url: { file: PATH }`"),
];

/// Headers that belong to the connection, to the length of the body, or to us.
const NOT_YOURS: [(&str, &str); 14] = [
    ("connection", CONNECTION),
    ("content-encoding", "the body is sent as it is"),
    ("content-length", CONNECTION),
    ("expect", CONNECTION),
    ("host", "it comes from `url`"),
    ("keep-alive", CONNECTION),
    ("proxy-authorization", "a proxy is not set per receiver"),
    ("te", CONNECTION),
    ("trailer", CONNECTION),
    ("transfer-encoding", CONNECTION),
    ("upgrade", CONNECTION),
    ("webhook-id", "it is the notification's"),
    ("webhook-signature", "it is made with `secret`"),
    ("webhook-timestamp", "it is made with `secret`"),
];
const CONNECTION: &str = "it belongs to the connection";

pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let url =
        fields.require(cx, "url").and_then(|node| secrets.read(cx, node, "url", |text| check_url(text).map(drop)));
    let headers = match fields.take(cx, "headers") {
        Some(node) => headers(cx, node, secrets),
        None => Some(Vec::new()),
    };
    let content_type = headers.iter().flatten().find(|(name, _)| name == "content-type");
    let escape = escape(content_type.map(|(_, value)| value.expose_secret()));
    let body = templates::read(cx, fields, "body", Place { escape, granularity: Granularity::Group });
    let keys = match fields.take(cx, "secret") {
        Some(node) => keys(cx, node, secrets),
        None => Some(Vec::new()),
    };
    Some(Arc::new(Webhook { url: url?, headers: headers?, body: body?, keys: keys? }))
}

/// How values are written into a body of this type. Without one it is JSON.
fn escape(content_type: Option<&str>) -> Escape {
    let Some(content_type) = content_type else { return Escape::Json };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Escape::Json,
        "text/html" | "application/xml" | "text/xml" => Escape::Html,
        other if other.ends_with("+json") => Escape::Json,
        other if other.ends_with("+xml") => Escape::Html,
        _ => Escape::Plain,
    }
}

fn headers(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<Headers> {
    let Value::Map(entries) = &node.value else {
        cx.error_with(
            node.span,
            format!("`headers` must be a map, and this is {}", node.kind()),
            "write `NAME: VALUE`",
        );
        return None;
    };
    let mut headers: Headers = Vec::new();
    for (key, value) in entries {
        let name = header_name(cx, key, &headers);
        // Checked all the same: every problem at once.
        let value = header_value(cx, value, secrets, name.as_deref());
        if let (Some(name), Some(value)) = (name, value) {
            headers.push((name.into(), value));
        }
    }
    (headers.len() == entries.len()).then_some(headers)
}

/// In lower case.
fn header_name(cx: &mut Context<'_>, key: &Node, known: &Headers) -> Option<String> {
    let name = cx.text(key, "a header's name")?.to_ascii_lowercase();
    // RFC 9110, 5.6.2: a token.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !name.chars().all(is_token) {
        cx.error_with(key.span, "this is no name of a header", "letters, digits and `-`, as in `x-team`");
        return None;
    }
    if let Some((_, why)) = NOT_YOURS.iter().find(|(header, _)| *header == name) {
        cx.error_with(key.span, format!("the header {} cannot be set", discreet(&name)), *why);
        return None;
    }
    if known.iter().any(|(header, _)| *header == name) {
        let message = format!("the header {} is there already", discreet(&name));
        cx.error_with(key.span, message, "names of headers do not differ by their case");
        return None;
    }
    Some(name)
}

fn header_value(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>, name: Option<&str>) -> Option<SecretString> {
    if matches!(node.value, Value::Null) {
        cx.error_with(node.span, "a header needs a value", "give it one, or remove the header");
        return None;
    }
    if name == Some("content-type") {
        // What it is decides how the template is read, with the secrets at hand or without.
        let text = cx.text(node, "`content-type`")?;
        if !is_field_value(text) {
            cx.error(node.span, "`content-type` must be one line of ASCII");
            return None;
        }
        return Some(text.into());
    }
    secrets.read(cx, node, "headers", |text| {
        if is_field_value(text) { Ok(()) } else { Err("must be one line of ASCII without blanks at its ends") }
    })
}

/// Nothing in it ends the header.
fn is_field_value(text: &str) -> bool {
    text.trim() == text && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

/// One secret, or several while they are being rotated.
fn keys(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<Vec<SigningKey>> {
    let items = match &node.value {
        Value::List(items) if items.is_empty() => {
            cx.error_with(node.span, "`secret` names no secret", "remove the key, or give it one");
            return None;
        }
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let keys: Vec<_> = items.iter().filter_map(|item| key(cx, item, secrets)).collect();
    (keys.len() == items.len()).then_some(keys)
}

fn key(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<SigningKey> {
    let secret = secrets.read(cx, node, "secret", |_| Ok(()))?;
    // Not looked up.
    if secret.expose_secret().is_empty() {
        return Some(SigningKey::unknown());
    }
    match SigningKey::parse(secret.expose_secret()) {
        Ok(key) => Some(key),
        Err(why) => {
            let hint = "make one: `echo whsec_$(openssl rand -base64 32)`";
            cx.error_with(node.span, format!("`secret` {why}"), hint);
            None
        }
    }
}
