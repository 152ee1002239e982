//! `pagerduty:` of a receiver.

use std::sync::Arc;

use super::templates::{self, Place};
use crate::config::address::url;
use crate::config::secret::Secrets;
use crate::notification::Granularity;
use crate::receiver::Receiver;
use crate::receiver::describe::Level;
use crate::receiver::pagerduty::{IncidentPer, PagerDuty};
use crate::template::Escape;
use crate::yaml::{Context, Fields, Node, Note, Value, discreet};

/// PagerDuty's Events API v2.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// PagerDuty's integration keys have exactly this many characters.
const ROUTING_KEY_LENGTH: usize = 32;

/// Keys that others have, and what to say of them.
pub(super) const NOTES: [Note; 3] = [
    Note::Instead("service_key", "that is the old API; create an Events API v2 integration and use its `routing_key`"),
    Note::Instead("severity", "the label `severity` of each alert says it; map other words with `severity_map`"),
    Note::Instead("region", "accounts of the EU have `url: https://events.eu.pagerduty.com/v2/enqueue`"),
];

pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
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
    let incident_per = match fields.take(cx, "incident_per") {
        Some(node) => incident_per(cx, node),
        None => Some(IncidentPer::default()),
    };
    let severity_map = match fields.take(cx, "severity_map") {
        Some(node) => severity_map(cx, node),
        None => Some(Vec::new()),
    };
    let granularity = match incident_per {
        Some(IncidentPer::Group) => Granularity::Group,
        _ => Granularity::Alert,
    };
    let summary = templates::read(cx, fields, "summary", Place { escape: Escape::Plain, granularity });
    let (incident_per, severity_map, summary) = (incident_per?, severity_map?, summary?);
    Some(Arc::new(PagerDuty { routing_key: routing_key?, url: url?, incident_per, severity_map, summary }))
}

fn incident_per(cx: &mut Context<'_>, node: &Node) -> Option<IncidentPer> {
    match cx.text(node, "`incident_per`")? {
        "alert" => Some(IncidentPer::Alert),
        "group" => Some(IncidentPer::Group),
        _ => {
            cx.error_with(node.span, "unknown `incident_per`", "write `incident_per: alert` or `incident_per: group`");
            None
        }
    }
}

/// Values of the label `severity`, in lower case, and what they are to PagerDuty.
fn severity_map(cx: &mut Context<'_>, node: &Node) -> Option<Vec<(String, Level)>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("`severity_map` must be a map, and this is {}", node.kind());
        cx.error_with(node.span, message, "write `{page: critical, ticket: warning}`");
        return None;
    };
    let (mut map, mut is_sound) = (Vec::with_capacity(entries.len()), true);
    for (key, value) in entries {
        let (name, level) = (cx.text(key, "a severity"), cx.text(value, "PagerDuty's severity"));
        let (Some(name), Some(level)) = (name, level) else {
            is_sound = false;
            continue;
        };
        let Some(level) = PAGERDUTY_SEVERITIES.into_iter().find(|known| known.as_str() == level) else {
            let message = format!("{} is no severity of PagerDuty", discreet(level));
            cx.error_with(value.span, message, "it has `critical`, `error`, `warning` and `info`");
            is_sound = false;
            continue;
        };
        let name = name.to_ascii_lowercase();
        if map.iter().any(|(known, _)| *known == name) {
            let hint = "keep one of them; upper and lower case are the same";
            cx.error_with(key.span, format!("the severity {} is mapped twice", discreet(&name)), hint);
            is_sound = false;
            continue;
        }
        map.push((name, level));
    }
    is_sound.then_some(map)
}

const PAGERDUTY_SEVERITIES: [Level; 4] = [Level::Critical, Level::Error, Level::Warning, Level::Info];
