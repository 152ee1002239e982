//! Whether everything arrived, judged from the recording and from what the services took: the router is not asked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::incident::Webhook;
use super::services::Services;
use crate::standin::StandIn;

/// What has to have arrived.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    receiver: &'static str,
    name: String,
    /// The label value that tells it from the others of its name.
    which: String,
    fingerprint: String,
    status: String,
}

fn expected(webhooks: &[Webhook]) -> BTreeSet<Expected> {
    let mut all = BTreeSet::new();
    for alert in webhooks.iter().flat_map(Webhook::alerts) {
        let label = |name: &str| alert["labels"][name].as_str();
        let receivers: &[&'static str] = match label("severity") {
            Some("critical") => &["PagerDuty", "Slack"],
            Some("info") => &["Grafana"],
            _ => &["Slack"],
        };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        for receiver in receivers {
            all.insert(Expected {
                receiver,
                name: text(label("alertname")),
                which: text(label("instance").or(label("model")).or(label("version"))),
                fingerprint: text(alert["fingerprint"].as_str()),
                status: text(alert["status"].as_str()),
            });
        }
    }
    all
}

/// What of `webhooks` cannot be found in what the services took.
pub(super) fn lost(webhooks: &[Webhook], services: &Services) -> Vec<String> {
    let of = |name: &str| services.all().into_iter().find(|(known, _)| *known == name).map(|(_, service)| service);
    expected(webhooks)
        .into_iter()
        .filter(|wanted| !of(wanted.receiver).is_some_and(|service| has_taken(service, wanted)))
        .map(|wanted| format!("{}: {} {} {}", wanted.receiver, wanted.name, wanted.which, wanted.status))
        .collect()
}

fn has_taken(service: &StandIn, wanted: &Expected) -> bool {
    service.accepted().iter().any(|request| {
        let text = request.json.to_string();
        // A resolve to PagerDuty holds nothing but the key, which is the fingerprint.
        let is_meant =
            text.contains(&wanted.fingerprint) || (text.contains(&wanted.name) && text.contains(&wanted.which));
        is_meant && speaks_of(&request.json, &wanted.status)
    })
}

/// Whether a request tells of this state.
fn speaks_of(request: &Value, status: &str) -> bool {
    if let Some(action) = request["event_action"].as_str() {
        return action == if status == "firing" { "trigger" } else { "resolve" };
    }
    if let Some(text) = request["text"].as_str().filter(|_| request.get("attachments").is_some()) {
        return text.to_lowercase().contains(status);
    }
    // An annotation is posted when the alert fires, and gets its end when it resolves.
    request.get("timeEnd").is_some() == (status == "resolved")
}
