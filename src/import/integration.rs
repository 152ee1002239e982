//! One integration becomes one receiver.

use std::time::Duration;

use super::channels::Channels;
use super::email;
use super::global::Global;
use super::kind::Kind;
use super::secret::Variables;
use super::service;
use super::values::{self, shorten, words};
use super::write::scalar;
use crate::yaml::{Context, Fields, Node, Rest, Span, Value, discreet, duration, quote};

/// A receiver of the imported file.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) name: String,
    /// Prose above its service.
    pub(super) comments: Vec<String>,
    /// What stood in the place of a placeholder, line by line.
    pub(super) stub: Vec<String>,
    pub(super) service: &'static str,
    pub(super) keys: Keys,
    /// `send_resolved: false`, and why.
    pub(super) no_resolves: Option<String>,
    pub(super) timeout: Option<String>,
}

/// What is known of an integration before it is read.
pub(super) struct Integration<'i, 'n> {
    /// `None` for one that this version has never heard of.
    pub(super) kind: Option<Kind>,
    /// `slack` of `slack_configs`.
    pub(super) stem: &'i str,
    /// The receiver's name in the file, and the one that it gets.
    pub(super) original: &'i str,
    pub(super) name: &'i str,
    pub(super) global: &'i Global<'n>,
    pub(super) channels: &'i Channels<'n>,
}

/// The keys of a service and their YAML.
pub(super) type Keys = Vec<(&'static str, String)>;

/// What a service takes over.
pub(super) struct Taken {
    pub(super) service: &'static str,
    pub(super) keys: Keys,
    pub(super) comments: Vec<String>,
}

/// What has become of an integration, before what all of them have in common; or why it cannot be taken over.
pub(super) type Service = Result<Taken, String>;

/// Reads it. `None` only if an error was reported.
pub(super) fn import(
    cx: &mut Context<'_>,
    node: &Node,
    part: &Integration<'_, '_>,
    variables: &mut Variables,
) -> Option<Receiver> {
    let mut fields = Fields::open(cx, node, node.span, "an integration")?;
    let mut receiver = Receiver { name: part.name.to_owned(), ..Receiver::default() };
    let label = part.kind.map_or(part.stem, |kind| kind.label);
    receiver.no_resolves = match fields.value(cx, "send_resolved") {
        Some((_, node)) => (!values::boolean(cx, node, "send_resolved")?).then(String::new),
        None if part.kind.is_none_or(|kind| kind.sends_resolved) => None,
        None => Some(format!(" # Alertmanager's default for {label}")),
    };
    let service = match part.stem {
        "slack" => service::slack(cx, &mut fields, part, variables),
        "pagerduty" => service::pagerduty(cx, &mut fields, part, variables),
        "webhook" => service::webhook(cx, &mut fields, part, variables),
        "email" => email::email(cx, &mut fields, part, variables),
        _ => Err(service::unsupported(part)),
    };
    match service {
        Ok(Taken { service, keys, comments }) => {
            (receiver.service, receiver.keys, receiver.comments) = (service, keys, comments);
            receiver.timeout = timeout(cx, &mut fields);
            left_out(cx, fields, part, &mut receiver);
        }
        Err(why) => stand_in(cx, node, part, &why, variables, &mut receiver),
    }
    Some(receiver)
}

/// `timeout`, where it is one that we take. Go writes durations with fractions, too, and without a unit in nanoseconds.
fn timeout(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<String> {
    let (span, node) = fields.value(cx, "timeout")?;
    let text = values::text(cx, node, "timeout")?;
    let range = Duration::from_millis(100)..=Duration::from_mins(5);
    if duration::parse(text).is_ok_and(|timeout| range.contains(&timeout)) {
        return Some(text.to_owned());
    }
    if !text.starts_with('0') {
        cx.warn_with(span, "this `timeout` is not taken over", "here it is from 100ms to 5m, and 10s by default");
    }
    None
}

/// Says which keys have no counterpart.
fn left_out(cx: &mut Context<'_>, fields: Fields<'_>, part: &Integration<'_, '_>, receiver: &mut Receiver) {
    let (mut keys, mut first): (Vec<&str>, Option<Span>) = (Vec::new(), None);
    let mut values = Vec::new();
    for Rest { key, span, value } in fields.rest(cx) {
        let Some(key) = key else {
            super::unknown_key(cx, None, span, "an integration");
            continue;
        };
        match &value.value {
            Value::Null => continue,
            Value::Scalar(number) if key == "max_alerts" && number == "0" => continue,
            Value::Scalar(text) if part.kind.is_some_and(|kind| kind.shown.contains(&key)) => {
                cx.source.show(value.span);
                values.push(format!("`{key}: {}`", scalar(&shorten(text))));
            }
            _ => values.push(format!("`{key}`")),
        }
        first.get_or_insert(span);
        keys.push(key);
    }
    let Some(first) = first else { return };
    let hint = service::hint(part.stem, &keys);
    let verb = if keys.len() == 1 { "has" } else { "have" };
    cx.warn_with(first, format!("{} {verb} no counterpart", words(&keys)), &hint);
    receiver.comments.push(format!("Left out: {}; {hint}.", values.join(", ")));
}

/// A webhook without an address, so that the routes stay what they were and nobody overlooks it.
fn stand_in(
    cx: &mut Context<'_>,
    node: &Node,
    part: &Integration<'_, '_>,
    why: &str,
    variables: &mut Variables,
    receiver: &mut Receiver,
) {
    let holds = format!("whatever takes the place of `{}_configs` of the receiver {}", part.stem, quote(part.original));
    let url = variables.placeholder(part.name, &holds);
    let message = format!("`{}_configs` cannot be imported: {why}", part.stem);
    let hint = format!("{} is a placeholder for it: `check` fails until that is replaced", discreet(part.name));
    cx.warn_with(node.span, message, hint);
    receiver.comments.push(format!("TODO: {why}. Here stood:"));
    receiver.stub = stub(cx, node, part);
    receiver.service = "webhook";
    receiver.keys = vec![("url", url)];
}

/// What stood there, without what may be a secret.
fn stub(cx: &mut Context<'_>, node: &Node, part: &Integration<'_, '_>) -> Vec<String> {
    let shown = part.kind.map_or(&[][..], |kind| kind.shown);
    let mut lines = vec![format!("{}_configs:", part.stem)];
    let mut add = |line: String| lines.push(format!("{} {line}", if lines.len() == 1 { "  -" } else { "   " }));
    let Value::Map(entries) = &node.value else { return lines };
    let mut given = Vec::new();
    for (key, value) in entries {
        let (span, Value::Scalar(key)) = (key.span, &key.value) else { continue };
        if !key.chars().all(|c| c.is_ascii_alphabetic() || c == '_') || key.len() > 32 {
            continue;
        }
        cx.source.show(span);
        given.push(key.as_str());
        match &value.value {
            Value::Scalar(text) if shown.contains(&key.as_str()) => {
                cx.source.show(value.span);
                add(format!("{key}: {}", scalar(&shorten(text))));
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => add(format!("{key}: …")),
            Value::Null => {}
        }
    }
    if part.stem == "email" {
        for (key, value) in part.global.smtp.iter().filter(|(key, _)| !given.contains(key)) {
            add(format!("{key}: {} # of `global`", scalar(&shorten(value))));
        }
    }
    lines
}
