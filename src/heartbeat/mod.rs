//! The dead man's switch: alerts that must keep arriving. Pure; [`Watch`] decides, the timer in `app` makes it true.
//!
//! Intake notes in a [`Pulse`] what it has heard, the timer looks into it every few seconds.

mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use watch::{Change, Moment, Record, Told, Watch};

use crate::alert::{Alert, Status};
use crate::notification::ReceiverName;
use crate::route::matcher::Matcher;

/// A sender's address is kept up to so many bytes.
const LONGEST_SENDER: usize = 200;

/// An entry of `heartbeats` in routes.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name: a metric label, and the label `heartbeat` of its alert.
    pub name: String,
    /// Which alerts are beats; never empty.
    pub matchers: Vec<Matcher>,
    /// For how long there may be none.
    pub every: Duration,
    /// Who is told then; never empty.
    pub receivers: Vec<ReceiverName>,
}

impl Definition {
    /// The matchers, as Alertmanager writes them.
    #[must_use]
    pub fn selector(&self) -> String {
        let all: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        format!("{{{}}}", all.join(", "))
    }

    /// Changes exactly if silence of before says nothing about silence from now on.
    fn terms(&self) -> String {
        format!("{}s {}", self.every.as_secs_f64(), self.selector())
    }

    /// A resolved alert is none: whatever should always fire has ended.
    fn takes(&self, alert: &Alert) -> bool {
        alert.status == Status::Firing && self.matchers.iter().all(|matcher| matcher.matches(&alert.labels))
    }
}

/// A beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// When its body came, and when it had been taken on the monotonic clock.
    pub at: Moment,
    /// The address of the Alertmanager that sent it, as it calls itself; perhaps empty.
    pub from: String,
}

/// What intake has heard since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The last beat.
    pub beat: Option<Beat>,
    /// Whether a beat came and could not be taken.
    pub refused: bool,
}

/// Where intake notes what it hears of one heartbeat.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Heard>);

impl Pulse {
    /// A beat was taken.
    pub fn beat(&self, at: Moment, sender: &str) {
        let end = (0..=sender.len().min(LONGEST_SENDER)).rev().find(|end| sender.is_char_boundary(*end));
        let from = sender[..end.unwrap_or_default()].to_owned();
        self.lock().beat = Some(Beat { at, from });
    }

    /// A beat came and was answered with 503: it does not count, and neither does the silence around it.
    pub fn refuse(&self) {
        self.lock().refused = true;
    }

    /// What was heard since the last call.
    #[must_use]
    pub fn take(&self) -> Heard {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        // Every change is a single assignment: whoever panicked has left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A heartbeat, and what is heard of it.
#[derive(Debug)]
pub struct Heartbeat {
    /// What routes.yaml says.
    pub definition: Definition,
    /// What is heard. The same after a reload.
    pub pulse: Arc<Pulse>,
}

/// All heartbeats of one routes.yaml.
#[derive(Debug, Default)]
pub struct Heartbeats(Vec<Heartbeat>);

impl Heartbeats {
    /// Those of `definitions`. What was heard under `before`, the routes.yaml that they replace, and not looked at yet, stays.
    #[must_use]
    pub fn new(definitions: &[Definition], before: Option<&Self>) -> Self {
        let known = |name: &str| before?.iter().find(|known| known.definition.name == name);
        let heartbeat = |definition: &Definition| Heartbeat {
            definition: definition.clone(),
            pulse: known(&definition.name).map(|known| known.pulse.clone()).unwrap_or_default(),
        };
        Self(definitions.iter().map(heartbeat).collect())
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Heartbeat> {
        self.0.iter()
    }

    /// The pulses of those of which `alerts` hold a beat.
    #[must_use]
    pub fn among(&self, alerts: &[Alert]) -> Vec<&Pulse> {
        let beats = |heartbeat: &&Heartbeat| alerts.iter().any(|alert| heartbeat.definition.takes(alert));
        self.iter().filter(beats).map(|heartbeat| &*heartbeat.pulse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Fingerprint, Labels};
    use crate::clock::Timestamp;
    use crate::route::matcher;

    fn definition(name: &str, matchers: &str) -> Definition {
        let matchers = matcher::parse(matchers).unwrap().matchers;
        Definition { name: name.to_owned(), matchers, every: Duration::from_secs(300), receivers: vec!["a".into()] }
    }

    fn alert(status: Status, labels: &[(&str, &str)]) -> Alert {
        let labels: Labels = labels.iter().copied().collect();
        Alert {
            status,
            fingerprint: Fingerprint::of(&labels, &[]),
            labels,
            annotations: Labels::default(),
            starts_at: None,
            ends_at: (status == Status::Resolved).then_some(Timestamp::UNIX_EPOCH),
            generator_url: String::new(),
        }
    }

    fn moment(seconds: u64) -> Moment {
        Moment { now: Timestamp::UNIX_EPOCH, monotonic: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_beat_is_an_alert_that_fires_and_fits_all_matchers() {
        let one = definition("one", r#"alertname="Watchdog",cluster=~"eu-.*""#);
        let all = Heartbeats::new(&[one, definition("any", r#"alertname="Watchdog""#)], None);
        let beats = |status, labels: &[(&str, &str)]| {
            let pulses = all.among(&[alert(status, &[("alertname", "Other")]), alert(status, labels)]);
            for pulse in pulses {
                pulse.beat(moment(1), "http://am");
            }
            let heard = |heartbeat: &Heartbeat| heartbeat.pulse.take().beat.map(|_| heartbeat.definition.name.clone());
            all.iter().filter_map(heard).collect::<Vec<_>>().join(",")
        };
        assert_eq!(beats(Status::Firing, &[("alertname", "Watchdog"), ("cluster", "eu-1")]), "one,any");
        assert_eq!(beats(Status::Firing, &[("alertname", "Watchdog"), ("cluster", "us-1")]), "any");
        assert_eq!(beats(Status::Firing, &[("alertname", "Watchdogs")]), "");
        assert_eq!(beats(Status::Resolved, &[("alertname", "Watchdog"), ("cluster", "eu-1")]), "");
    }

    #[test]
    fn what_was_heard_outlives_a_reload_under_the_same_name() {
        let before = Heartbeats::new(&[definition("one", "a=b"), definition("two", "a=c")], None);
        before.iter().for_each(|heartbeat| heartbeat.pulse.beat(moment(1), ""));
        let after = Heartbeats::new(&[definition("three", "a=b"), definition("two", "a=d")], Some(&before));
        let heard: Vec<bool> = after.iter().map(|heartbeat| heartbeat.pulse.take().beat.is_some()).collect();
        assert_eq!(heard, [false, true]);
    }

    #[test]
    fn a_sender_is_cut_to_whole_characters() {
        let pulse = Pulse::default();
        pulse.beat(moment(1), &"é".repeat(150_000));
        assert_eq!(pulse.take().beat.unwrap().from, "é".repeat(100));
        pulse.beat(moment(1), &format!("x{}", "é".repeat(150)));
        assert_eq!(pulse.take().beat.unwrap().from.len(), 199);
    }
}
