//! Webhook bodies as Alertmanager sends them.

use std::time::Duration;

use alertrouter::clock::Timestamp;
use serde_json::{Value, json};

/// A firing alert.
pub fn firing(labels: &Value, starts_at: Timestamp) -> Value {
    json!({
        "status": "firing",
        "labels": labels,
        "annotations": { "summary": "Something broke." },
        "startsAt": starts_at.to_string(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up",
        "fingerprint": "0000000000000000",
    })
}

/// A firing alert with a name and a severity, which is all that [`super::ROUTES`] looks at.
pub fn alert(name: &str, severity: &str) -> Value {
    firing(&json!({ "alertname": name, "severity": severity }), super::start())
}

/// A group of one alert, named after it.
pub fn one(name: &str, severity: &str) -> Value {
    group(name, &[alert(name, severity)])
}

/// The resolve of [`one`], a minute after its beginning.
pub fn one_resolved(name: &str, severity: &str) -> Value {
    let ends_at = alertrouter::clock::after(super::start(), Duration::from_secs(60));
    group(name, &[resolved(&alert(name, severity), ends_at)])
}

/// The same alert, resolved.
pub fn resolved(firing: &Value, ends_at: Timestamp) -> Value {
    let mut alert = firing.clone();
    alert["status"] = "resolved".into();
    alert["endsAt"] = ends_at.to_string().into();
    alert
}

/// A group of alerts.
pub fn group(key: &str, alerts: &[Value]) -> Value {
    json!({
        "receiver": "alertrouter",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
    })
}

/// A captured body of `tests/fixtures`.
pub fn captured(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
