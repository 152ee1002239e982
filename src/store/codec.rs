//! How a notification's content is kept in a row: JSON in Alertmanager's own words, with a format version.
//!
//! An alert is encoded once per body, however many receivers hear of it, and outside the store's transaction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::alert::{Alert, Group, Labels};
use crate::notification::{Notified, Reason};

/// The version that is written. A reader knows it and all before it.
const FORMAT: u32 = 1;

/// A piece of JSON that is ready to be put into a larger one.
pub(super) type Piece = Box<RawValue>;

/// What a row holds of a notification; the rest of it is columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// [`crate::notification::Notification::group`].
    pub group: Arc<Group>,
    /// [`crate::notification::Notification::alerts`].
    pub alerts: Vec<Notified>,
    /// [`crate::notification::Notification::others_firing`].
    pub others_firing: u32,
}

/// Encodes an alert.
pub(super) fn encode_alert(alert: &Alert) -> serde_json::Result<Piece> {
    to_raw_value(alert)
}

/// Encodes a group.
pub(super) fn encode_group(group: &Group) -> serde_json::Result<Piece> {
    to_raw_value(&GroupOut {
        group_key: &group.key,
        receiver: &group.receiver,
        group_labels: &group.labels,
        common_labels: &group.common_labels,
        common_annotations: &group.common_annotations,
        external_url: &group.external_url,
        truncated_alerts: group.truncated_alerts,
    })
}

/// Puts the pieces together.
pub(super) fn encode<'a>(
    group: &RawValue,
    alerts: impl Iterator<Item = (Reason, &'a RawValue)>,
    others_firing: u32,
) -> serde_json::Result<String> {
    let alerts = alerts.map(|(reason, alert)| EntryOut { reason: reason.as_str(), alert }).collect();
    serde_json::to_string(&ContentOut { format: FORMAT, others_firing, group, alerts })
}

/// Reads back what [`encode`] wrote; the error says in one line why that cannot be done.
pub(super) fn decode(json: &[u8]) -> Result<Content, String> {
    let head: Head = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if head.format != FORMAT {
        return Err(format!("its format is {}, this version of alertrouter knows {FORMAT}", head.format));
    }
    let stored: ContentIn = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if stored.alerts.is_empty() {
        return Err("there is no alert in it".to_owned());
    }
    let alerts = stored
        .alerts
        .into_iter()
        .map(|entry| match Reason::from_label(&entry.reason) {
            Some(reason) => Ok(Notified { alert: entry.alert, reason }),
            None => Err(format!("unknown reason {:?}", entry.reason)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Content { group: Arc::new(stored.group.into()), alerts, others_firing: stored.others_firing })
}

#[derive(Serialize)]
struct ContentOut<'a> {
    format: u32,
    others_firing: u32,
    group: &'a RawValue,
    alerts: Vec<EntryOut<'a>>,
}

#[derive(Serialize)]
struct EntryOut<'a> {
    reason: &'static str,
    alert: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupOut<'a> {
    group_key: &'a str,
    receiver: &'a str,
    group_labels: &'a Labels,
    common_labels: &'a Labels,
    common_annotations: &'a Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    truncated_alerts: u64,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct ContentIn {
    others_firing: u32,
    group: GroupIn,
    alerts: Vec<EntryIn>,
}

#[derive(Deserialize)]
struct EntryIn {
    reason: String,
    alert: Alert,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupIn {
    group_key: String,
    receiver: String,
    group_labels: Labels,
    common_labels: Labels,
    common_annotations: Labels,
    #[serde(rename = "externalURL")]
    external_url: String,
    truncated_alerts: u64,
}

impl From<GroupIn> for Group {
    fn from(stored: GroupIn) -> Self {
        Self {
            key: stored.group_key,
            receiver: stored.receiver,
            labels: stored.group_labels,
            common_labels: stored.common_labels,
            common_annotations: stored.common_annotations,
            external_url: stored.external_url,
            truncated_alerts: stored.truncated_alerts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::wire;
    use crate::clock::Timestamp;

    #[test]
    fn captured_bodies_survive_being_written_and_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let mut read = 0;
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.is_file()) {
            let Ok(body) = wire::parse(&std::fs::read(&file).unwrap(), &[], Timestamp::UNIX_EPOCH) else { continue };
            let pieces: Vec<_> = body.alerts.iter().map(|alert| encode_alert(alert).unwrap()).collect();
            let group = encode_group(&body.group).unwrap();
            let entries = pieces.iter().map(|piece| (Reason::Repeat, &**piece));
            let content = decode(encode(&group, entries, 7).unwrap().as_bytes()).unwrap();
            assert_eq!(*content.group, body.group, "{}", file.display());
            assert_eq!(content.others_firing, 7);
            let expected: Vec<_> =
                body.alerts.into_iter().map(|alert| Notified { alert, reason: Reason::Repeat }).collect();
            assert_eq!(content.alerts, expected, "{}", file.display());
            read += 1;
        }
        assert!(read >= 11, "the captured bodies are gone");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let group = encode_group(&Group::default()).unwrap();
        let empty = encode(&group, std::iter::empty(), 0).unwrap();
        let odd = empty.replace(r#""alerts":[]"#, r#""alerts":[{"reason":"whim","alert":ALERT}]"#).replace(
            "ALERT",
            r#"{"status":"firing","labels":{"a":"b"},"annotations":{},"generatorURL":"","fingerprint":"0000000000000001"}"#,
        );
        for (json, expected) in [
            ("", "EOF"),
            ("nonsense", "expected ident"),
            ("{}", "missing field `format`"),
            (r#"{"format":2,"shape":"of the future"}"#, "its format is 2, this version of alertrouter knows 1"),
            (r#"{"format":1}"#, "missing field"),
            (&empty, "no alert in it"),
            (&odd, "unknown reason \"whim\""),
        ] {
            let error = decode(json.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        assert!(decode(b"\xff\xfe").is_err());
    }
}
