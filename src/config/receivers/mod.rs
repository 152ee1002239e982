//! `receivers:` and what stands below it; each service has its own file.

mod delivery;
mod email;
mod grafana;
mod pagerduty;
mod slack;
mod templates;
mod webhook;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::fallbacks::{self, Link};
use super::secret::Secrets;
use crate::notification::{ReceiverName, Target};
use crate::receiver::{Definition, Overflow, RateLimit, Receiver};
use crate::yaml::{Context, Fields, Node, Note, Span, Value, discreet, may_be_secret};

/// The receivers' names: known even where the rest of the receiver is wrong, so that one mistake is not reported twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Vec<Known>,
    fallbacks: Vec<Link>,
}

#[derive(Debug)]
struct Known {
    name: ReceiverName,
    span: Span,
    used: bool,
}

impl Names {
    /// The receiver with this name; from now on it counts as used.
    pub(super) fn get(&mut self, name: &str) -> Option<ReceiverName> {
        let known = self.known.iter_mut().find(|known| known.name.as_str() == name)?;
        known.used = true;
        Some(known.name.clone())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|known| known.name.as_str())
    }

    /// Warns of every receiver that no route names, and no receiver that is used as its fallback.
    pub(super) fn report_unused(&mut self, cx: &mut Context<'_>) {
        let mut used: Vec<ReceiverName> =
            self.known.iter().filter(|known| known.used).map(|known| known.name.clone()).collect();
        while let Some(name) = used.pop() {
            for link in self.fallbacks.iter().filter(|link| link.from.as_deref() == Some(name.as_str())) {
                let to = self.known.iter_mut().find(|known| known.name.as_str() == link.to && !known.used);
                used.extend(to.map(|known| {
                    known.used = true;
                    known.name.clone()
                }));
            }
        }
        for Known { name, span, .. } in self.known.iter().filter(|known| !known.used) {
            let message = format!("no route uses the receiver {}", discreet(name.as_str()));
            cx.warn_with(*span, message, "name it in `receivers` of a route, or remove it");
        }
    }
}

/// What to say of a name that no receiver has; it may be a secret that belongs elsewhere.
pub(super) fn no_receiver(name: &str) -> String {
    if may_be_secret(name) {
        return "there is no receiver with that name".to_owned();
    }
    format!("there is no receiver {}", discreet(name))
}

/// Reads the list; a receiver with a mistake is left out.
pub(super) fn receivers(
    cx: &mut Context<'_>,
    node: &Node,
    secrets: &Secrets<'_>,
    names: &mut Names,
) -> Vec<Definition> {
    let Some(items) = cx.list(node, "`receivers`", "- name: …") else { return Vec::new() };
    if items.is_empty() {
        cx.error(node.span, "`receivers` must name at least one receiver");
    }
    let definitions = items.iter().filter_map(|item| receiver(cx, item, secrets, names)).collect();
    let all: Vec<&str> = names.iter().collect();
    fallbacks::check(cx, &names.fallbacks, &all);
    definitions
}

fn receiver(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>, names: &mut Names) -> Option<Definition> {
    let mut fields = Fields::open(cx, node, node.span, "a receiver")?;
    let name = fields.require(cx, "name").and_then(|node| name(cx, node, names));
    let service = service(cx, &mut fields, secrets);
    let send_resolved = match fields.take(cx, "send_resolved") {
        Some(node) => cx.boolean(node, "`send_resolved`"),
        None => Some(true),
    };
    let fallback = fallbacks::read(cx, &mut fields, name.as_ref(), &mut names.fallbacks);
    let default = service.as_ref().map_or(DEFAULT_PACE, |service| service.pace);
    // What opens incidents has to hear of each alert by itself.
    let can_fold = service.as_ref().is_none_or(|service| !service.receiver.keeps_state());
    let delivery = delivery::read(cx, &mut fields, default, can_fold);
    if let (Some(Service { edits: true, .. }), Some(delivery)) = (&service, &delivery) {
        slack::check_pace(cx, &fields, delivery.rate_limit);
    }
    fields.close(cx, &[]);

    let (name, Service { receiver, .. }, fallback) = (name?, service?, fallback.ok()?);
    let target = Target {
        name,
        granularity: receiver.granularity(),
        keeps_state: receiver.keeps_state(),
        send_resolved: send_resolved?,
        has_fallback: fallback.is_some(),
    };
    Some(Definition { target, service: receiver, delivery: delivery?, fallback })
}

fn name(cx: &mut Context<'_>, node: &Node, names: &mut Names) -> Option<ReceiverName> {
    let text = cx.text(node, "`name`")?;
    if text.chars().any(char::is_control) || text.trim() != text || text.len() > 200 {
        cx.error(node.span, "`name` must be printable, at most 200 bytes long, and neither begin nor end with a blank");
        return None;
    }
    if let Some(first) = names.known.iter().find(|known| known.name.as_str() == text) {
        let hint = format!("the first one is in line {}; give each its own name", cx.source.line(first.span.start));
        cx.error_with(node.span, format!("two receivers have the name {}", discreet(text)), hint);
        return None;
    }
    let name = ReceiverName::from(text);
    names.known.push(Known { name: name.clone(), span: node.span, used: false });
    Some(name)
}

struct Service {
    receiver: Arc<dyn Receiver>,
    /// The pace that the service takes unless the file says otherwise.
    pace: RateLimit,
    /// It is a Slack whose messages are edited.
    edits: bool,
}

/// One notification every `1 / per_second`, `burst` at once.
const fn pace(per_second: u32, burst: u32) -> RateLimit {
    let burst = match NonZeroU32::new(burst) {
        Some(burst) => burst,
        None => NonZeroU32::MIN,
    };
    RateLimit { period: Duration::from_millis(1000 / per_second as u64), burst, overflow: Overflow::Wait }
}

/// Slack's.
const FOLDING_PACE: RateLimit = RateLimit { overflow: Overflow::Digest, ..pace(1, 5) };

const DEFAULT_PACE: RateLimit = pace(10, 20);

/// Reads one service's part; the key's place is where to say what is missing.
type Read = fn(&mut Context<'_>, &mut Fields<'_>, &Secrets<'_>) -> Option<Arc<dyn Receiver>>;

/// Key, its name in messages, how to read it, its default pace, notes.
const SERVICES: [(&str, &str, Read, RateLimit, &[Note]); 5] = [
    ("slack", "`slack`", slack::read, FOLDING_PACE, &slack::NOTES),
    ("pagerduty", "`pagerduty`", pagerduty::read, pace(2, 20), &pagerduty::NOTES),
    ("grafana", "`grafana`", grafana::read, DEFAULT_PACE, &grafana::NOTES),
    ("webhook", "`webhook`", webhook::read, DEFAULT_PACE, &webhook::NOTES),
    ("email", "`email`", email::read, email::PACE, &email::NOTES),
];

/// Whether resolves are sent, before it is read with the rest.
fn sends_resolved(fields: &Fields<'_>) -> bool {
    let given = fields.peek("send_resolved").map(|(_, node)| &node.value);
    !matches!(given, Some(Value::Scalar(text)) if text == "false")
}

fn service(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Service> {
    let mut found: Option<(&str, Option<Service>)> = None;
    let mut given = false;
    for (key, what, mut read, mut pace, notes) in SERVICES {
        given |= fields.has(key);
        let Some((span, node)) = fields.take_with_key(cx, key) else { continue };
        let mut service = Fields::open(cx, node, span, what);
        let edits = key == "slack" && service.as_ref().is_some_and(slack::has_token) && sends_resolved(fields);
        if edits {
            (pace, read) = (slack::PACE, slack::read_with_edits);
        }
        let receiver = service.as_mut().and_then(|fields| {
            fields.at = span;
            read(cx, fields, secrets)
        });
        if let Some(fields) = service {
            fields.close(cx, notes);
        }
        if let Some((first, _)) = &found {
            let message = format!("a receiver has one service, and this one has `{first}` already");
            cx.error_with(span, message, format!("put `{key}` into a receiver of its own"));
        } else {
            found = Some((key, receiver.map(|receiver| Service { receiver, pace, edits })));
        }
    }
    if !given {
        cx.error_with(
            fields.at,
            "a receiver needs a service",
            "add `slack`, `pagerduty`, `grafana`, `webhook` or `email`",
        );
    }
    found.and_then(|(_, service)| service)
}
