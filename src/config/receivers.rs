//! `receivers:` and what stands below it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::address::{check_url, url};
use super::fallbacks::{self, Link};
use super::rate;
use super::secret::Secrets;
use crate::notification::{ReceiverName, Target};
use crate::receiver::grafana::Grafana;
use crate::receiver::pagerduty::PagerDuty;
use crate::receiver::slack::Slack;
use crate::receiver::webhook::Webhook;
use crate::receiver::{Definition, Delivery, RateLimit, Receiver};
use crate::yaml::{Context, Fields, Node, Note, Span, discreet, may_be_secret};

/// PagerDuty's Events API v2.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// PagerDuty's integration keys have exactly this many characters.
const ROUTING_KEY_LENGTH: usize = 32;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

const RECEIVER_NOTES: [Note; 1] = [Note::Later("email")];
const SLACK_NOTES: [Note; 4] = [
    Note::Later("token"),
    Note::Later("channel"),
    Note::Later("api_url"),
    Note::Instead("url", "Slack's address is `webhook_url`"),
];
const PAGERDUTY_NOTES: [Note; 3] = [
    Note::Later("incident_per"),
    Note::Later("severity_map"),
    Note::Instead("service_key", "that is the old API; create an Events API v2 integration and use its `routing_key`"),
];
const WEBHOOK_NOTES: [Note; 3] = [Note::Later("headers"), Note::Later("body"), Note::Later("secret")];

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
    let delivery = delivery(cx, &mut fields, default);
    fields.close(cx, &RECEIVER_NOTES);

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

/// How it is delivered; `default` is the service's pace.
fn delivery(cx: &mut Context<'_>, fields: &mut Fields<'_>, default: RateLimit) -> Option<Delivery> {
    let timeout = match fields.take(cx, "timeout") {
        Some(node) => cx.duration(node, "`timeout`", Duration::from_millis(100)..=Duration::from_mins(5)),
        None => Some(10 * SECOND),
    };
    let max_age = match fields.take(cx, "retry") {
        Some(node) => retry(cx, node, fields.at),
        None => Some(DAY),
    };
    let rate_limit = match fields.take(cx, "rate_limit") {
        Some(node) => rate_limit(cx, node, fields.at, default),
        None => Some(default),
    };
    Some(Delivery { timeout: timeout?, max_age: max_age?, rate_limit: rate_limit? })
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
}

/// One notification every `1 / per_second`, `burst` at once.
const fn pace(per_second: u32, burst: u32) -> RateLimit {
    let burst = match NonZeroU32::new(burst) {
        Some(burst) => burst,
        None => NonZeroU32::MIN,
    };
    RateLimit { period: Duration::from_millis(1000 / per_second as u64), burst }
}

const DEFAULT_PACE: RateLimit = pace(10, 20);

/// Reads one service's part; the key's place is where to say what is missing.
type Read = fn(&mut Context<'_>, &mut Fields<'_>, &Secrets<'_>) -> Option<Arc<dyn Receiver>>;

/// Key, its name in messages, how to read it, its default pace, notes.
const SERVICES: [(&str, &str, Read, RateLimit, &[Note]); 4] = [
    ("slack", "`slack`", slack, pace(1, 5), &SLACK_NOTES),
    ("pagerduty", "`pagerduty`", pagerduty, pace(2, 20), &PAGERDUTY_NOTES),
    ("grafana", "`grafana`", grafana, DEFAULT_PACE, &[]),
    ("webhook", "`webhook`", webhook, DEFAULT_PACE, &WEBHOOK_NOTES),
];

fn service(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Service> {
    let mut found: Option<(&str, Option<Service>)> = None;
    // `email:` is reported as not supported; that nothing else is there then goes without saying.
    let mut given = fields.has("email");
    for (key, what, read, pace, notes) in SERVICES {
        given |= fields.has(key);
        let Some((span, node)) = fields.take_with_key(cx, key) else { continue };
        let mut service = Fields::open(cx, node, span, what);
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
            found = Some((key, receiver.map(|receiver| Service { receiver, pace })));
        }
    }
    if !given {
        cx.error_with(fields.at, "a receiver needs a service", "add `slack`, `pagerduty`, `grafana` or `webhook`");
    }
    found.and_then(|(_, service)| service)
}

fn slack(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let node = fields.require(cx, "webhook_url")?;
    let webhook_url = secrets.read(cx, node, "webhook_url", |text| check_url(text).map(drop))?;
    Some(Arc::new(Slack { webhook_url }))
}

fn pagerduty(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let routing_key = fields.require(cx, "routing_key").and_then(|node| {
        secrets.read(cx, node, "routing_key", |text| {
            let fits = text.len() == ROUTING_KEY_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if fits { Ok(()) } else { Err("is not a PagerDuty integration key: these have 32 letters and digits") }
        })
    });
    let url = match fields.take(cx, "url") {
        Some(node) => url(cx, node, "`url`"),
        None => Some(PAGERDUTY_URL.to_owned()),
    };
    Some(Arc::new(PagerDuty { routing_key: routing_key?, url: url? }))
}

fn grafana(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let url = fields.require(cx, "url").and_then(|node| url(cx, node, "`url`"));
    let token = fields.require(cx, "token").and_then(|node| {
        secrets.read(cx, node, "token", |text| {
            let fits = text.bytes().all(|byte| byte.is_ascii_graphic());
            if fits { Ok(()) } else { Err("has characters that cannot be sent in a header") }
        })
    });
    let tags = match fields.take(cx, "tags") {
        Some(node) => cx.texts(node, "`tags`", "[deploy, alerts]"),
        None => Some(Vec::new()),
    };
    let dashboard_uid = match fields.take(cx, "dashboard_uid") {
        Some(node) => cx.text(node, "`dashboard_uid`").map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let has_dashboard = fields.has("dashboard_uid");
    let panel_id = match fields.take_with_key(cx, "panel_id") {
        Some((span, _)) if !has_dashboard => {
            cx.error_with(span, "`panel_id` without `dashboard_uid`", "a panel belongs to a dashboard: name both");
            None
        }
        Some((_, node)) => cx.integer(node, "`panel_id`", 1..=i64::MAX).map(Some),
        None => Some(None),
    };
    let (dashboard_uid, panel_id) = (dashboard_uid?, panel_id?);
    Some(Arc::new(Grafana { url: url?, token: token?, tags: tags?, dashboard_uid, panel_id }))
}

fn webhook(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let node = fields.require(cx, "url")?;
    let url = secrets.read(cx, node, "url", |text| check_url(text).map(drop))?;
    Some(Arc::new(Webhook { url }))
}

fn retry(cx: &mut Context<'_>, node: &Node, at: Span) -> Option<Duration> {
    let mut fields = Fields::open(cx, node, at, "`retry`")?;
    let max_age = match fields.take(cx, "max_age") {
        Some(node) => cx.duration(node, "`max_age`", SECOND..=30 * DAY),
        None => Some(DAY),
    };
    fields.close(cx, &[]);
    max_age
}

fn rate_limit(cx: &mut Context<'_>, node: &Node, at: Span, default: RateLimit) -> Option<RateLimit> {
    let mut fields = Fields::open(cx, node, at, "`rate_limit`")?;
    let period = match fields.take(cx, "rate") {
        Some(node) => rate::rate(cx, node),
        None => Some(default.period),
    };
    let burst = match fields.take(cx, "burst") {
        Some(node) => cx.integer(node, "`burst`", 1..=10_000).and_then(|number| u32::try_from(number).ok()),
        None => Some(default.burst.get()),
    };
    if let Some(node) = fields.take(cx, "overflow") {
        match cx.text(node, "`overflow`") {
            None | Some("wait") => {}
            Some("digest") => {
                cx.error_with(node.span, "`overflow: digest` is not supported yet", "write `overflow: wait`");
            }
            Some(_) => cx.error_with(node.span, "unknown `overflow`", "write `overflow: wait`"),
        }
    }
    fields.close(cx, &[]);
    Some(RateLimit { period: period?, burst: NonZeroU32::new(burst?)? })
}
