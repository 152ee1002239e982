//! PagerDuty's Events API v2: what it refuses (its `OpenAPI` description and developer.pagerduty.com), and the incidents
//! that the events make.

use serde_json::{Value, json};

use super::exchange::{Received, Reply};
use super::forget;
use crate::clock::Timestamp;

/// The endpoint's path.
pub const PATH: &str = "/v2/enqueue";

/// A key of the right length. Any other of that length is taken too, as by the real service, which answers before it
/// looks.
pub const ROUTING_KEY: &str = "5tandin05tandin05tandin05tandin0";

/// The largest event, in bytes.
pub const MAX_EVENT: usize = 512_000;

/// An incident. A key that was resolved and triggers again makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The integration it came through.
    pub routing_key: String,
    /// What keeps its events together.
    pub dedup_key: String,
    /// Not resolved yet.
    pub open: bool,
    /// How many events triggered it.
    pub triggers: u32,
    /// The newest trigger's summary.
    pub summary: String,
    /// The newest trigger's severity.
    pub severity: String,
}

/// What PagerDuty remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    incidents: Vec<Incident>,
    /// How many events came without a key.
    keyless: usize,
}

impl State {
    pub(super) fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    pub(super) fn answer(&mut self, received: &Received) -> Reply {
        if received.path != PATH || received.method != "POST" {
            return Reply::json(404, &json!({ "status": "not found", "message": "Not Found" }));
        }
        if received.body.len() > MAX_EVENT {
            return refused(413, "Event object is too large", &["Size of the event exceeds 512 KB".to_owned()]);
        }
        if !received.is_json() || !received.json.is_object() {
            let body = json!({ "status": "Unrecognized object", "message": "Event object format is unrecognized",
                "errors": ["JSON parse error"] });
            return Reply::json(400, &body);
        }
        let errors = check(&received.json);
        if !errors.is_empty() {
            return refused(400, "Event object is invalid", &errors);
        }
        let key = self.take(&received.json);
        Reply::json(202, &json!({ "status": "success", "message": "Event processed", "dedup_key": key }))
    }

    fn take(&mut self, event: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let routing_key = text(&event["routing_key"]);
        let mut dedup_key = text(&event["dedup_key"]);
        if dedup_key.is_empty() {
            self.keyless += 1;
            dedup_key = format!("standin-{}", self.keyless);
        }
        let mut open = self.incidents.iter_mut().filter(|incident| incident.open);
        let known = open.find(|known| known.routing_key == routing_key && known.dedup_key == dedup_key);
        let (summary, severity) = (text(&event["payload"]["summary"]), text(&event["payload"]["severity"]));
        match (event["event_action"].as_str(), known) {
            (Some("trigger"), Some(incident)) => {
                incident.triggers += 1;
                (incident.summary, incident.severity) = (summary, severity);
            }
            (Some("trigger"), None) => {
                let dedup_key = dedup_key.clone();
                self.incidents.push(Incident { routing_key, dedup_key, open: true, triggers: 1, summary, severity });
                forget(&mut self.incidents);
            }
            (Some("resolve"), Some(incident)) => incident.open = false,
            // An acknowledgement, or a resolve of what is not open: dropped.
            _ => {}
        }
        dedup_key
    }

    /// What the person on call sees.
    pub(super) fn render(&self, received: &Received) -> String {
        let event = &received.json;
        let key = event["dedup_key"].as_str().unwrap_or_default();
        let payload = |field: &str| event["payload"][field].as_str().unwrap_or_default().to_owned();
        let last = self.incidents.iter().rev().find(|incident| incident.dedup_key == key);
        match event["event_action"].as_str() {
            Some("trigger") => {
                let links: Vec<_> =
                    event["links"].as_array().into_iter().flatten().filter_map(|link| link["text"].as_str()).collect();
                format!(
                    "TRIGGER {}: {}\n  source {} · key {key}\n  {}",
                    payload("severity"),
                    payload("summary"),
                    payload("source"),
                    links.join(" · ")
                )
                .trim_end()
                .to_owned()
            }
            Some("resolve") => {
                let summary = last.map_or("(no such incident)", |incident| incident.summary.as_str());
                format!("RESOLVE {summary}\n  key {key}")
            }
            other => format!("{} {key}", other.unwrap_or("event")),
        }
    }
}

fn refused(status: u16, message: &str, errors: &[String]) -> Reply {
    Reply::json(status, &json!({ "status": "invalid event", "message": message, "errors": errors }))
}

/// What PagerDuty would find wrong with this event. Only the sentence about the routing key is PagerDuty's own; the
/// others are not documented.
#[must_use]
pub fn check(event: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let mut require = |holds: bool, error: &str| {
        if !holds {
            errors.push(error.to_owned());
        }
    };
    let within = |value: &Value, min: usize, max: usize| {
        value.as_str().is_some_and(|text| (min..=max).contains(&text.chars().count()))
    };
    let action = event["event_action"].as_str().unwrap_or_default();
    let payload = &event["payload"];
    require(within(&event["routing_key"], 32, 32), "Length of 'routing_key' is incorrect (should be 32 characters)");
    require(matches!(action, "trigger" | "acknowledge" | "resolve"), "'event_action' is missing or invalid");
    let keyless = action == "trigger" && event["dedup_key"].is_null();
    require(keyless || within(&event["dedup_key"], 1, 255), "'dedup_key' is missing, blank or longer than 255");
    if action == "trigger" {
        require(within(&payload["summary"], 1, 1024), "'payload.summary' is missing, blank or longer than 1024");
        require(within(&payload["source"], 1, usize::MAX), "'payload.source' is missing or blank");
        let severity = payload["severity"].as_str().unwrap_or_default();
        require(
            matches!(severity, "critical" | "error" | "warning" | "info"),
            "'payload.severity' is invalid (must be one of: 'critical', 'warning', 'error' or 'info')",
        );
        let timestamp = &payload["timestamp"];
        let is_time = timestamp.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok());
        require(timestamp.is_null() || is_time, "'payload.timestamp' is invalid");
    }
    for field in ["component", "group", "class"] {
        require(payload[field].is_null() || payload[field].is_string(), "a name of 'payload' is no string");
    }
    let details = &payload["custom_details"];
    require(details.is_null() || details.is_object(), "'payload.custom_details' is no object");
    for link in event["links"].as_array().into_iter().flatten() {
        let href = link["href"].as_str().unwrap_or_default();
        require(href.starts_with("http://") || href.starts_with("https://"), "'links' holds one without 'href'");
    }
    for image in event["images"].as_array().into_iter().flatten() {
        let src = image["src"].as_str().unwrap_or_default();
        require(src.starts_with("https://"), "'images' holds one whose 'src' is not HTTPS");
    }
    errors
}
