//! PagerDuty, through the Events API v2 (developer.pagerduty.com/docs/events-api-v2).
//!
//! An alert is an incident, or a group is (`incident_per`): `trigger` opens it or is noted in it, `resolve` closes it, and a
//! key that never changes keeps the two together. So a request that arrives twice does no harm.

mod details;
mod incident;
mod summary;
#[cfg(test)]
mod tests;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use self::incident::{Incident, Next};
use super::custom::{self, Custom};
use super::describe::{self, Level, Link};
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, judge, text};
use crate::alert::{Alert, Labels, Status};
use crate::notification::{Granularity, Notification, Receipt};

/// `payload.summary`: 1024 characters.
const MAX_SUMMARY: usize = 1024;
/// `payload.source` and the other names; no limit is documented.
const MAX_NAME: usize = 255;
/// The whole event may have 512 KB. Alertmanager takes that for 512,000 bytes, and so do we, with a margin.
const MAX_EVENT: usize = 500_000;
/// So many links and images; no limit is documented, and nobody reads more.
const MAX_LINKS: usize = 12;
const MAX_IMAGES: usize = 5;
/// The annotation that names a picture.
const IMAGE: &str = "image_url";

/// PagerDuty, by its Events API v2.
#[derive(Debug)]
pub struct PagerDuty {
    /// The integration key: 32 characters.
    pub routing_key: SecretString,
    /// The Events API v2 endpoint.
    pub url: String,
    /// What becomes an incident.
    pub incident_per: IncidentPer,
    /// Values of the label `severity` and what they mean, before those that everybody uses are looked at. In lower case.
    pub severity_map: Vec<(String, Level)>,
    /// What the incident is called, in place of the built-in summary.
    pub summary: Custom,
}

/// What becomes an incident of PagerDuty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IncidentPer {
    /// Each alert.
    #[default]
    Alert,
    /// Each group: it is closed when the last alert of it that PagerDuty was told of has ended.
    Group,
}

impl Receiver for PagerDuty {
    fn granularity(&self) -> Granularity {
        match self.incident_per {
            IncidentPer::Alert => Granularity::Alert,
            IncidentPer::Group => Granularity::Group,
        }
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        let mut failed = None;
        let body = match self.incident_per {
            IncidentPer::Alert => {
                let alert = describe::only_alert(notification)?;
                // The one that Alertmanager and amtool show; at most 255 characters are allowed.
                let key = alert.fingerprint.to_string();
                match alert.status {
                    Status::Firing => self.trigger(&key, notification, &[alert], None, &mut failed),
                    Status::Resolved => self.event("resolve", &key),
                }
            }
            IncidentPer::Group => {
                describe::some_alert(notification)?;
                let key = incident::key(&notification.receiver, &notification.group.key);
                let (incident, next) = self.incident(notification);
                match next {
                    Next::Trigger => {
                        let firing = incident::still_firing(notification);
                        self.trigger(&key, notification, &firing, Some(&incident), &mut failed)
                    }
                    Next::Resolve => self.event("resolve", &key),
                    Next::Nothing => return Err(EncodeError("there is nothing to tell PagerDuty".to_owned())),
                }
            }
        };
        let outgoing = Outgoing::json("event", Method::Post, self.url.as_str().into(), &body);
        Ok(Outgoing { template_error: failed, ..outgoing })
    }

    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = words(&body);
        let detail = judge::detail(answer, words.as_deref(), &[&self.routing_key]);
        match answer.status {
            202 => Verdict::Delivered { receipt: self.receipt(notification) },
            400 if words.is_some() => judge::reject(FailureClass::Refused, detail),
            // The API has no other final answer than 400.
            _ => judge::by_foreign_status(answer, detail),
        }
    }

    /// That some alerts of a group have ended and others have not. A trigger would say so, too, and open a new incident
    /// where somebody has closed it by hand: nobody is paged because things get better.
    fn without_request(&self, notification: &Notification) -> Option<Verdict> {
        let told = self.incident_per == IncidentPer::Alert
            || notification.alerts.is_empty()
            || self.incident(notification).1 != Next::Nothing;
        (!told).then(|| Verdict::Delivered { receipt: self.receipt(notification) })
    }
}

impl PagerDuty {
    fn severity(&self, alert: &Alert) -> Level {
        let severity = alert.severity();
        let mapped = self.severity_map.iter().find(|(value, _)| value.eq_ignore_ascii_case(severity));
        mapped.map_or_else(|| Level::of(severity), |(_, level)| *level)
    }

    /// The group's incident once this notification is told, and what that takes.
    fn incident(&self, notification: &Notification) -> (Incident, Next) {
        Incident::after(notification, |alert| self.severity(alert))
    }

    fn receipt(&self, notification: &Notification) -> Option<Receipt> {
        match self.incident_per {
            IncidentPer::Alert => None,
            IncidentPer::Group => self.incident(notification).0.receipt(),
        }
    }

    /// What every event needs.
    fn event(&self, action: &str, key: &str) -> Value {
        json!({ "routing_key": self.routing_key.expose_secret(), "event_action": action, "dedup_key": key })
    }

    /// Opens an incident, or is noted in it: with these alerts of the notification, which fire. `incident` is the group's.
    /// Why the template cannot be used goes into `failed`.
    fn trigger(
        &self,
        key: &str,
        notification: &Notification,
        firing: &[&Alert],
        incident: Option<&Incident>,
        failed: &mut Option<String>,
    ) -> Value {
        let mut event = self.event("trigger", key);
        event["client"] = "alertrouter".into();
        if let Some(url) = text::http_url(&notification.group.external_url) {
            event["client_url"] = url.into();
        }
        let links = links(notification, firing);
        if !links.is_empty() {
            event["links"] = links.into();
        }
        let images = images(firing);
        if !images.is_empty() {
            event["images"] = images.into();
        }
        let level = match incident {
            Some(incident) => incident.worst(),
            None => firing.iter().map(|alert| self.severity(alert)).max(),
        };
        event["payload"] = payload(notification, firing, level.unwrap_or(Level::Error));
        let custom = custom::render(&self.summary, notification, failed);
        let summary = custom.map(|text| summary::of_routes_yaml(notification, &text));
        let summary = summary.unwrap_or_else(|| match (incident, firing) {
            (None, [only]) => summary::of_alert(notification, only),
            (Some(incident), [only]) if incident.firing() == 1 && !incident.has_more() => {
                summary::of_alert(notification, only)
            }
            _ => summary::of_group(notification, firing, incident),
        });
        event["payload"]["summary"] = summary.into();
        let room = MAX_EVENT.saturating_sub(event.to_string().len());
        event["payload"]["custom_details"] = match (incident, firing) {
            (None, [only]) => details::of_alert(notification, only, room),
            _ => details::of_group(notification, firing, incident, room),
        };
        event
    }
}

/// All but the summary and the details.
fn payload(notification: &Notification, firing: &[&Alert], level: Level) -> Value {
    let shared = describe::common(firing.iter().map(|alert| &alert.labels));
    let labels: Labels = notification.group.labels.iter().chain(shared).collect();
    let first = firing.first().map(|alert| &alert.labels);
    let source = name(&labels, SOURCES).or_else(|| name(first?, SOURCES));
    let began = firing.iter().filter_map(|alert| alert.starts_at).min();
    let mut payload = json!({
        "source": source.unwrap_or_else(|| "Alertmanager".to_owned()),
        "severity": level.as_str(),
        "timestamp": began.unwrap_or(notification.received_at).to_string(),
    });
    for (field, names) in [("component", COMPONENTS), ("group", GROUPS), ("class", &["alertname"])] {
        if let Some(name) = name(&labels, names) {
            payload[field] = name.into();
        }
    }
    payload
}

/// Labels that name the affected system, the most exact first.
const SOURCES: &[&str] = &["instance", "pod", "node", "host", "hostname", "job", "service", "cluster"];
/// Labels that name the broken part of it.
const COMPONENTS: &[&str] = &["component", "service", "app", "container", "job"];
/// Labels that name what it belongs to.
const GROUPS: &[&str] = &["cluster", "namespace", "environment", "env", "team"];

/// The first of these labels that says something.
fn name(labels: &Labels, names: &[&str]) -> Option<String> {
    names.iter().map(|name| text::line(labels.get(name), MAX_NAME)).find(|value| !value.is_empty())
}

/// Runbooks, dashboards and sources, each address once, and the silence of all of the alerts.
fn links(notification: &Notification, firing: &[&Alert]) -> Vec<Value> {
    let mut links: Vec<Link> = Vec::new();
    for link in firing.iter().flat_map(|alert| describe::links(alert)) {
        if links.len() < MAX_LINKS - 1 && !links.contains(&link) {
            links.push(link);
        }
    }
    let shared = describe::common(firing.iter().map(|alert| &alert.labels));
    links.extend(describe::silence(&notification.group, &shared));
    links.into_iter().map(|link| json!({ "href": link.url, "text": link.label })).collect()
}

/// The pictures that the alerts name. PagerDuty takes HTTPS only.
fn images(firing: &[&Alert]) -> Vec<Value> {
    let mut images: Vec<Map<String, Value>> = Vec::new();
    for alert in firing {
        let Some(src) = text::http_url(alert.annotations.get(IMAGE)).filter(|src| src.starts_with("https://")) else {
            continue;
        };
        if images.len() >= MAX_IMAGES || images.iter().any(|image| image["src"] == src) {
            continue;
        }
        let alt = describe::short_name(alert, MAX_NAME);
        let mut image = Map::from_iter([("src".to_owned(), src.into()), ("alt".to_owned(), alt.into())]);
        let dashboard = describe::links(alert).into_iter().find(|link| link.label != "Runbook");
        image.extend(dashboard.map(|link| ("href".to_owned(), link.url.into())));
        images.push(image);
    }
    images.into_iter().map(Value::from).collect()
}

/// PagerDuty's own words: `Event object is invalid: Length of 'routing_key' is incorrect`.
fn words(body: &Value) -> Option<String> {
    let message = body["message"].as_str()?;
    let errors: Vec<_> = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(if errors.is_empty() { message.to_owned() } else { format!("{message}: {}", errors.join("; ")) })
}
