//! Alerts and labels as they are written: into the outbox, and to whoever reads Alertmanager's webhooks. What is read here is
//! what was written here; bodies from outside go through [`super::parse`].

use std::collections::BTreeMap;

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse_time;
use crate::alert::{Alert, Labels, Status};
use crate::clock::Timestamp;

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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredAlert::deserialize(deserializer)?;
        let time = |text: String| parse_time(&text).map_err(D::Error::custom);
        Ok(Self {
            ends_at: match stored.status {
                StoredStatus::Firing => None,
                StoredStatus::Resolved => Some(time(stored.ends_at)?.unwrap_or(Timestamp::UNIX_EPOCH)),
            },
            status: match stored.status {
                StoredStatus::Firing => Status::Firing,
                StoredStatus::Resolved => Status::Resolved,
            },
            labels: stored.labels,
            annotations: stored.annotations,
            starts_at: time(stored.starts_at)?,
            generator_url: stored.generator_url,
            fingerprint: stored.fingerprint.parse().map_err(D::Error::custom)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredAlert {
    status: StoredStatus,
    labels: Labels,
    annotations: Labels,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredStatus {
    Firing,
    Resolved,
}
