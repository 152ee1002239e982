//! The recorded incident: what two Alertmanagers 0.25 posted over 14 seconds, with their alerts' times moved to now.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::clock::{Timestamp, after};

/// One webhook per line: when it came, in milliseconds from the start, and its body.
const RECORDING: &str = include_str!("incident.jsonl");
/// When the recording began; the times in its bodies are of that evening.
const RECORDED_AT: &str = "2026-11-21T21:29:32.53Z";

/// A webhook of the recording.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) at: Duration,
    pub(super) body: Value,
}

impl Webhook {
    /// Which Alertmanager sent it.
    pub(super) fn sender(&self) -> &str {
        let host = self.body["externalURL"].as_str().unwrap_or_default().trim_start_matches("http://");
        host.split('.').next().unwrap_or_default()
    }

    pub(super) fn alerts(&self) -> &[Value] {
        self.body["alerts"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// The recording, as if it began at `start`.
pub(super) fn webhooks(start: Timestamp) -> anyhow::Result<Vec<Webhook>> {
    let recorded: Timestamp = RECORDED_AT.parse().context("the recording's start")?;
    let shift = start.duration_since(recorded);
    RECORDING.lines().map(|line| read(line, shift)).collect()
}

fn read(line: &str, shift: jiff::SignedDuration) -> anyhow::Result<Webhook> {
    let mut entry: Value = serde_json::from_str(line).context("the recording cannot be read")?;
    let at = Duration::from_millis(entry["ms"].as_u64().context("a webhook without its time")?);
    let mut body = entry["body"].take();
    for alert in body["alerts"].as_array_mut().into_iter().flatten() {
        for name in ["startsAt", "endsAt"] {
            let time: Timestamp =
                alert[name].as_str().unwrap_or_default().parse().context("a time in the recording")?;
            // Go's zero time says that an alert has not ended; it stays.
            if time > after(Timestamp::UNIX_EPOCH, Duration::ZERO) {
                alert[name] = time.checked_add(shift)?.to_string().into();
            }
        }
    }
    Ok(Webhook { at, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_of_two_alertmanagers_and_now() {
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let all = webhooks(start).unwrap();
        let from = |name| all.iter().filter(|webhook| webhook.sender() == name).count();
        assert_eq!((from("alertmanager-a"), from("alertmanager-b")), (57, 57));
        for alert in all.iter().flat_map(Webhook::alerts) {
            let starts: Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
            let since = starts.duration_since(start).as_secs();
            assert!((-60..60).contains(&since), "{alert}");
        }
    }
}
