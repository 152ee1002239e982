//! Alertmanager's webhook, version "4": the only serde of alerts.
//!
//! Tolerant, because a page hangs on it: unknown fields are ignored, missing or odd optional ones get their defaults,
//! and one broken alert does not sink the others of its group. Broken is one whose status, labels or times cannot be
//! read: it is kept for people to look at instead of being guessed. The shape and its history from Alertmanager 0.20 to 0.34
//! are Alertmanager's `notify/webhook` and `template` packages; Grafana and vmalert send copies of it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Alert, Fingerprint, Group, Labels, Status};
use crate::clock::{Timestamp, to_micros};

/// A webhook body, as far as it could be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// What the alerts have in common.
    pub group: Group,
    /// The alerts that could be read, in their order.
    pub alerts: Vec<Alert>,
    /// The alerts that could not.
    pub refused: Vec<Refused>,
    /// The protocol version, where it is neither Alertmanager's "4" nor Grafana's "1": worth a warning.
    pub unknown_version: Option<String>,
}

/// An alert that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the body, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: String,
    /// Its JSON.
    pub content: String,
}

/// A body that can never be read, however often it is sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// Not JSON, not an object, or `alerts` is not a list.
    #[error("the body is not an Alertmanager webhook: {0}")]
    Malformed(String),
    /// There is no alert in it.
    #[error(
        "the body holds no alerts; is a custom `payload` set in Alertmanager's webhook_configs? alertrouter needs the default one"
    )]
    NoAlerts,
    /// None of its alerts can be read.
    #[error("no alert can be read of {count}; the first: {first}")]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
}

/// Reads a webhook body.
///
/// `ignored` are the labels that the fingerprint leaves out. `now` stands in for the end of a resolved alert that does
/// not say when it ended.
///
/// # Errors
/// If no alert can be had from it.
pub fn parse(body: &[u8], ignored: &[String], now: Timestamp) -> Result<Body, BodyError> {
    let wire: WireBody = read_object(body).map_err(BodyError::Malformed)?;
    let count = wire.alerts.as_ref().map_or(0, Vec::len);
    if count == 0 {
        return Err(BodyError::NoAlerts);
    }
    let (mut alerts, mut refused) = (Vec::with_capacity(count), Vec::new());
    for (index, raw) in wire.alerts.unwrap_or_default().into_iter().enumerate() {
        match parse_alert(raw, ignored, now) {
            Ok(alert) => alerts.push(alert),
            Err(reason) => refused.push(Refused { index, reason, content: raw.get().to_owned() }),
        }
    }
    if alerts.is_empty() {
        let first = refused.into_iter().next().map_or_else(String::new, |refused| refused.reason);
        return Err(BodyError::NoneReadable { count, first });
    }
    let group = Group {
        key: wire.group_key,
        receiver: wire.receiver,
        labels: wire.group_labels,
        common_labels: wire.common_labels,
        common_annotations: wire.common_annotations,
        external_url: wire.external_url,
        truncated_alerts: wire.truncated_alerts,
    };
    let unknown_version = Some(wire.version).filter(|version| !matches!(version.as_str(), "" | "4" | "1"));
    Ok(Body { group, alerts, refused, unknown_version })
}

/// serde reads a struct from a JSON array too, field by field; nobody sends that, so it is a mistake.
fn read_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    match json.trim_ascii_start().first() {
        Some(b'[') => Err("expected an object, found an array".to_owned()),
        // The text quotes what strangers sent, and goes to logs: one line of it.
        _ => serde_json::from_slice(json).map_err(|error| error.to_string().replace(char::is_control, " ")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBody<'a> {
    #[serde(default, borrow)]
    alerts: Option<Vec<&'a RawValue>>,
    #[serde(default, deserialize_with = "or_default")]
    receiver: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
    #[serde(default, deserialize_with = "or_default")]
    group_key: String,
    #[serde(default, deserialize_with = "or_default")]
    group_labels: Labels,
    #[serde(default, deserialize_with = "or_default")]
    common_labels: Labels,
    #[serde(default, deserialize_with = "or_default")]
    common_annotations: Labels,
    #[serde(default, rename = "externalURL", deserialize_with = "or_default")]
    external_url: String,
    #[serde(default, deserialize_with = "or_default")]
    truncated_alerts: u64,
}

/// An optional field of the wrong type is no reason to lose a page: it counts as absent.
fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAlert {
    status: WireStatus,
    labels: Labels,
    #[serde(default, deserialize_with = "or_default")]
    annotations: Labels,
    #[serde(default)]
    starts_at: Option<String>,
    /// Read only where the alert is resolved: a firing one ends at Go's zero time, or whenever.
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL", deserialize_with = "or_default")]
    generator_url: String,
    #[serde(default, deserialize_with = "or_default")]
    fingerprint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireStatus {
    Firing,
    Resolved,
}

fn parse_alert(raw: &RawValue, ignored: &[String], now: Timestamp) -> Result<Alert, String> {
    let wire: WireAlert = read_object(raw.get().as_bytes())?;
    if wire.labels.is_empty() {
        return Err("it has no labels, so nothing identifies it".to_owned());
    }
    let fingerprint = Fingerprint::of(&wire.labels, ignored);
    wire.into_alert(fingerprint, now)
}

impl WireAlert {
    fn into_alert(self, fingerprint: Fingerprint, now: Timestamp) -> Result<Alert, String> {
        let (status, ends_at) = match self.status {
            // A firing alert carries Go's zero time, or its time-out in Prometheus's future.
            WireStatus::Firing => (Status::Firing, None),
            WireStatus::Resolved => {
                let ends_at = self.ends_at.as_deref().map_or(Ok(None), parse_time)?;
                (Status::Resolved, Some(ends_at.unwrap_or(now)))
            }
        };
        Ok(Alert {
            status,
            labels: self.labels,
            annotations: self.annotations,
            starts_at: self.starts_at.as_deref().map_or(Ok(None), parse_time)?,
            ends_at,
            generator_url: self.generator_url,
            fingerprint,
        })
    }
}

/// A time as RFC 3339 has it. Go's zero time, `0001-01-01T00:00:00Z`, and nothing at all mean absent. One that cannot be
/// read makes the alert broken, for it may be a new episode or an old one.
fn parse_time(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let zero = Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN);
    let at: Timestamp = text.parse().map_err(|_| format!("{text:?} is not a time as RFC 3339 has it"))?;
    Ok(Some(to_micros(at)).filter(|at| *at > zero))
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<Box<str>, Box<str>>::deserialize(deserializer)?;
        Ok(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Alert {
    /// Alertmanager's own shape, so that what reads its webhooks reads ours.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("status", self.status.as_str())?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("annotations", &self.annotations)?;
        map.serialize_entry("startsAt", &Time(self.starts_at))?;
        map.serialize_entry("endsAt", &Time(self.ends_at))?;
        map.serialize_entry("generatorURL", &self.generator_url)?;
        map.serialize_entry("fingerprint", &format_args!("{}", self.fingerprint))?;
        map.end()
    }
}

/// Writes a missing time as Go's zero time.
struct Time(Option<Timestamp>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(at) => serializer.collect_str(&at),
            None => serializer.serialize_str("0001-01-01T00:00:00Z"),
        }
    }
}

impl<'de> Deserialize<'de> for Alert {
    /// Reads back what [`Serialize`] wrote, its fingerprint included. Bodies from outside go through [`parse`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireAlert::deserialize(deserializer)?;
        let fingerprint = wire.fingerprint.parse().map_err(serde::de::Error::custom)?;
        wire.into_alert(fingerprint, Timestamp::UNIX_EPOCH).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T20:00:00Z".parse().unwrap()
    }

    fn captured() -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let bodies: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("alertmanager-"))
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        assert!(bodies.len() >= 11, "the captured bodies are gone");
        bodies
    }

    #[test]
    fn captured_bodies_are_read_whole_and_fingerprints_are_alertmanagers() {
        for (file, text) in captured() {
            let body = parse(text.as_bytes(), &[], now()).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let alerts = json["alerts"].as_array().unwrap();
            assert_eq!((body.alerts.len(), body.refused.len()), (alerts.len(), 0), "{file}");
            assert_eq!(body.group.key, json["groupKey"], "{file}");
            assert_eq!(body.group.truncated_alerts, json["truncatedAlerts"], "{file}");
            for (alert, json) in body.alerts.iter().zip(alerts) {
                assert_eq!(alert.fingerprint.to_string(), json["fingerprint"], "{file}");
                assert_eq!(alert.status.as_str(), json["status"], "{file}");
                assert_eq!(alert.ends_at.is_some(), alert.status == Status::Resolved, "{file}");
            }
        }
    }

    #[test]
    fn an_alert_survives_being_written_and_read() {
        for (file, text) in captured() {
            for mut alert in parse(text.as_bytes(), &[], now()).unwrap().alerts {
                alert.fingerprint = Fingerprint(alert.fingerprint.0 ^ 1);
                let written = serde_json::to_string(&alert).unwrap();
                assert_eq!(serde_json::from_str::<Alert>(&written).unwrap(), alert, "{file}");
            }
        }
    }

    #[test]
    fn missing_and_odd_optional_fields_get_their_defaults() {
        let text = r#"{"alerts":[{"status":"firing","labels":{"alertname":"A","empty":""},"annotations":null}],
            "groupLabels":7,"truncatedAlerts":"x","future":{}}"#;
        let body = parse(text.as_bytes(), &[], now()).unwrap();
        assert_eq!(body.group, Group::default());
        assert_eq!(body.alerts[0].labels.to_string(), r#"{alertname="A"}"#);
        assert_eq!((body.alerts[0].starts_at, body.alerts[0].ends_at), (None, None));
    }

    #[test]
    fn a_resolve_that_does_not_say_when_ended_now() {
        let text = r#"{"alerts":[{"status":"resolved","labels":{"a":"b"},"endsAt":"0001-01-01T00:00:00Z"}]}"#;
        assert_eq!(parse(text.as_bytes(), &[], now()).unwrap().alerts[0].ends_at, Some(now()));
    }

    #[test]
    fn a_firing_alert_ends_whenever() {
        for ends in ["", "soon", "9999-12-31T23:59:59Z", "2026-11-21T19:00:00Z"] {
            let text =
                format!(r#"{{"alerts":[{{"status":"firing","labels":{{"a":"b"}},"startsAt":"","endsAt":"{ends}"}}]}}"#);
            let alert = &parse(text.as_bytes(), &[], now()).unwrap().alerts[0];
            assert_eq!((alert.starts_at, alert.ends_at), (None, None), "{ends}");
        }
    }

    #[test]
    fn times_with_an_offset_are_the_same_moment() {
        let text =
            r#"{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-22T04:00:00.123456789+08:00"}]}"#;
        let starts = parse(text.as_bytes(), &[], now()).unwrap().alerts[0].starts_at;
        assert_eq!(starts, Some("2026-11-21T20:00:00.123456Z".parse().unwrap()));
    }

    #[test]
    fn broken_alerts_are_left_out_with_the_reason() {
        let good = r#"{"status":"firing","labels":{"alertname":"Good"}}"#;
        for (broken, reason) in [
            (r#"{"status":"maybe","labels":{"a":"b"}}"#, "unknown variant `maybe`"),
            (r#"{"labels":{"a":"b"}}"#, "missing field `status`"),
            (r#"{"status":"firing"}"#, "missing field `labels`"),
            (r#"{"status":"firing","labels":{"a":1}}"#, "invalid type: integer `1`"),
            (r#"{"status":"firing","labels":{}}"#, "no labels"),
            (r#"{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"}"#, "\"yesterday\" is not a time"),
            ("7", "invalid type: integer `7`"),
            ("null", "invalid type: null"),
        ] {
            let text = format!(r#"{{"version":"4","alerts":[{broken},{good}]}}"#);
            let body = parse(text.as_bytes(), &[], now()).unwrap();
            assert_eq!(body.alerts[0].name(), "Good", "{broken}");
            let refused = &body.refused[0];
            assert_eq!((refused.index, refused.content.as_str()), (0, broken));
            assert!(refused.reason.contains(reason), "{broken}: {}", refused.reason);
        }
    }

    #[test]
    fn bodies_that_can_never_be_read_say_why() {
        for (text, expected) in [
            ("", "EOF"),
            ("hello", "expected value"),
            ("[]", "expected an object, found an array"),
            ("{\"alerts\":[[\"firing\",{\"a\":\"b\"}]]}", "no alert can be read of 1"),
            ("{}", "holds no alerts"),
            (r#"{"alerts":[]}"#, "holds no alerts"),
            (r#"{"alerts":{}}"#, "invalid type: map"),
            (r#"{"alerts":[7,8]}"#, "no alert can be read of 2"),
            ("{\"alerts\":[\"\u{fffd}", "EOF"),
        ] {
            let error = parse(text.as_bytes(), &[], now()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_unknown_version_is_read_and_reported() {
        let body = |version| {
            let text = format!(r#"{{"version":{version},"alerts":[{{"status":"firing","labels":{{"a":"b"}}}}]}}"#);
            parse(text.as_bytes(), &[], now()).unwrap().unknown_version
        };
        assert_eq!((body("\"4\""), body("\"1\""), body("7")), (None, None, None));
        assert_eq!(body("\"5\""), Some("5".to_owned()));
    }
}
