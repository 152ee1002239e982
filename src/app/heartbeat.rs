//! The dead man's switch at work: looks after the heartbeats, tells of those that are missing and remembers what it knows.
//!
//! What is told is an ordinary alert, accepted by the store as any other. What the store remembers of the heartbeat is
//! written before it: whoever starts after a crash in between tells it then, and the store drops it if that is not needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alert::{Alert, Fingerprint, Group, Labels, Status};
use crate::clock::{SharedClock, between};
use crate::heartbeat::{Change, Definition, Heartbeat, Moment, Record, Told, Watch};
use crate::http::{Live, Routing, note_decisions};
use crate::metrics::Metrics;
use crate::notification::ReceiverName;
use crate::receiver::text::human;
use crate::store::{Heartbeats, Held, Intake, Routed, Store, StoreError};

/// The `alertname`.
const NAME: &str = "HeartbeatMissing";
/// How often to look whether routes.yaml has heartbeats by now; with any, they say themselves.
const IDLE: Duration = Duration::from_secs(10);
/// How often an alert that still fires is handed to the store, as Alertmanager does: the store knows whether it is time to
/// tell it again, or to tell somebody who has not heard of it.
const AGAIN: Duration = Duration::from_mins(5);

/// Looks after all heartbeats.
pub(super) struct HeartbeatTimer {
    pub(super) store: Arc<dyn Store>,
    pub(super) memory: Arc<dyn Heartbeats>,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: SharedClock,
    pub(super) known: Known,
}

/// What the timer knows.
#[derive(Default)]
pub(super) struct Known {
    watched: BTreeMap<String, Watched>,
    /// What is remembered of those that routes.yaml does not have (any more).
    left: BTreeMap<String, Record>,
    is_loaded: bool,
}

struct Watched {
    watch: Watch,
    receivers: Vec<ReceiverName>,
    /// For how long it was silent before the last beat that ended an alert.
    silent: Duration,
    /// When the alert is to be handed to the store, on the monotonic clock; `None` if there is nothing to tell.
    due: Option<Duration>,
}

impl Watched {
    fn new(definition: &Definition, record: Option<Record>, at: Moment) -> Self {
        // What was told before may not have been written any more, or its end.
        let due = record.as_ref().and_then(|record| record.told).map(|_| at.monotonic);
        Self {
            watch: Watch::new(definition, record, at),
            receivers: definition.receivers.clone(),
            silent: Duration::ZERO,
            due,
        }
    }

    fn follow(&mut self, definition: &Definition, at: Moment) {
        self.watch.follow(definition);
        if self.receivers != definition.receivers {
            self.receivers.clone_from(&definition.receivers);
            if self.watch.is_missing() {
                self.due = Some(at.monotonic);
            }
        }
    }
}

impl HeartbeatTimer {
    /// Works until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.look() => (),
            }
            let waits = self.known.watched.values().map(|watched| watched.watch.wait());
            let wait = waits.min().unwrap_or(IDLE);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep(wait) => (),
            }
        }
        // What is found now is told after the next start.
        let (routing, at) = (self.live.current(), Moment::of(&*self.clock));
        for heartbeat in routing.heartbeats.iter() {
            let Some(watched) = self.known.watched.get_mut(&heartbeat.definition.name) else { continue };
            watched.watch.look(heartbeat.pulse.take(), at);
            if let Err(error) = keep(&*self.memory, &heartbeat.definition.name, &mut watched.watch).await {
                tracing::warn!(heartbeat = heartbeat.definition.name, %error, "for how long it was silent is not kept");
            }
        }
    }

    async fn look(&mut self) {
        let routing = self.live.current();
        if let Err(error) = self.follow(&routing).await {
            tracing::error!(%error, "heartbeats cannot be looked after; trying again");
        }
        for heartbeat in routing.heartbeats.iter() {
            if let Err(error) = self.look_at(&routing, heartbeat).await {
                let name = &heartbeat.definition.name;
                tracing::error!(heartbeat = name, %error, "the store does not take what is known of it; trying again");
            }
        }
    }

    /// Takes over what is remembered, and what routes.yaml says by now.
    async fn follow(&mut self, routing: &Routing) -> Result<(), StoreError> {
        if !self.known.is_loaded {
            self.known.left = self.memory.heartbeats().await?.into_iter().collect();
            self.known.is_loaded = true;
        }
        let at = Moment::of(&*self.clock);
        let Known { watched, left, .. } = &mut self.known;
        let is_gone = |name: &String| !routing.heartbeats.iter().any(|heartbeat| heartbeat.definition.name == *name);
        for name in watched.keys().filter(|name| is_gone(name)).cloned().collect::<Vec<_>>() {
            self.metrics.forget_heartbeat(&name);
            left.extend(watched.remove(&name).map(|gone| (name, gone.watch.record().clone())));
        }
        for Heartbeat { definition, .. } in routing.heartbeats.iter() {
            if let Some(known) = watched.get_mut(&definition.name) {
                known.follow(definition, at);
            } else {
                let record = left.remove(&definition.name);
                watched.insert(definition.name.clone(), Watched::new(definition, record, at));
            }
        }
        while let Some((name, record)) = self.known.left.pop_first() {
            if let Err(error) = self.leave(routing, &name, &record).await {
                self.known.left.insert(name, record);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends what is open of a heartbeat that routes.yaml does not have any more, and forgets it.
    async fn leave(&self, routing: &Routing, name: &str, record: &Record) -> Result<(), StoreError> {
        if let Some(told) = record.told {
            let was_open = told.ended.is_none();
            let told = told.end(self.clock.now());
            // The same end if it has to be told once more.
            self.memory.keep_heartbeat(name.to_owned(), Record { told: Some(told), ..record.clone() }).await?;
            let summary = format!("routes.yaml does not have the heartbeat {name} any more");
            self.accept(routing, name, alert(name, told, &[("summary", summary)]), Vec::new()).await?;
            if was_open {
                tracing::warn!(heartbeat = name, "it is missing, and routes.yaml does not have it any more: resolved");
            }
        }
        self.memory.forget_heartbeat(name.to_owned()).await
    }

    async fn look_at(&mut self, routing: &Routing, heartbeat: &Heartbeat) -> Result<(), StoreError> {
        let (name, at) = (&heartbeat.definition.name, Moment::of(&*self.clock));
        let Some(watched) = self.known.watched.get_mut(name) else { return Ok(()) };
        let silent_before = watched.watch.record().silent;
        let change = watched.watch.look(heartbeat.pulse.take(), at);
        let silent = watched.watch.record().silent;
        match change {
            None => {}
            Some(Change::Missing) => {
                tracing::error!(heartbeat = name, silent = human(silent), "nothing is heard of it any more");
                watched.due = Some(at.monotonic);
            }
            Some(Change::Returned) => {
                tracing::warn!(heartbeat = name, silent = human(silent_before), "it is heard again");
                watched.due = Some(at.monotonic);
                watched.silent = silent_before;
            }
        }
        let is_missing = watched.watch.is_missing();
        self.metrics.heartbeat(name, !is_missing, silent);
        if watched.watch.is_to_be_kept() {
            keep(&*self.memory, name, &mut watched.watch).await?;
        }
        let is_due = watched.due.is_some_and(|due| due <= at.monotonic);
        let Some(told) = watched.watch.record().told.filter(|_| is_due) else { return Ok(()) };
        let repeat = routing.tree.root.repeat_interval;
        let (texts, wants) = if is_missing {
            let wants = heartbeat.definition.receivers.iter().map(|receiver| (receiver.clone(), repeat)).collect();
            (missing(&heartbeat.definition, watched.watch.record()), wants)
        } else {
            (returned(name, told, watched.silent), Vec::new())
        };
        self.accept(routing, name, alert(name, told, &texts), wants).await?;
        if let Some(watched) = self.known.watched.get_mut(name) {
            let again = if repeat.is_zero() { AGAIN } else { AGAIN.min(repeat) };
            watched.due = is_missing.then_some(at.monotonic + again);
        }
        Ok(())
    }

    /// Hands an alert to the store, as intake does.
    async fn accept(&self, routing: &Routing, name: &str, alert: Alert, wants: Wants) -> Result<(), StoreError> {
        let group = Group {
            key: format!("alertrouter/heartbeat/{name}"),
            receiver: "alertrouter".to_owned(),
            labels: alert.labels.clone(),
            common_labels: alert.labels.clone(),
            common_annotations: alert.annotations.clone(),
            ..Group::default()
        };
        let intake = Intake {
            group: Arc::new(group),
            alerts: vec![Routed { alert, wants }],
            targets: routing.targets.clone(),
            settle: routing.settle,
            now: self.clock.now(),
            rejected: Vec::new(),
            held: Held::default(),
            traceparent: None,
        };
        let accepted = self.store.accept(intake).await?;
        routing.wake(&accepted);
        note_decisions(&self.metrics, &accepted);
        Ok(())
    }
}

/// Who is to hear of an alert, and how often again.
type Wants = Vec<(ReceiverName, Duration)>;

async fn keep(memory: &dyn Heartbeats, name: &str, watch: &mut Watch) -> Result<(), StoreError> {
    memory.keep_heartbeat(name.to_owned(), watch.record().clone()).await?;
    watch.was_kept();
    Ok(())
}

fn alert(name: &str, told: Told, annotations: &[(&str, String)]) -> Alert {
    let labels: Labels = [("alertname", NAME), ("heartbeat", name), ("severity", "critical")].into_iter().collect();
    Alert {
        status: if told.ended.is_none() { Status::Firing } else { Status::Resolved },
        // Of all labels: `dedup.ignore_labels` is about copies, and of this there are none.
        fingerprint: Fingerprint::of(&labels, &[]),
        labels,
        annotations: annotations.iter().map(|(name, text)| (*name, text.as_str())).collect(),
        starts_at: Some(told.started),
        ends_at: told.ended,
        generator_url: String::new(),
    }
}

fn missing(definition: &Definition, record: &Record) -> [(&'static str, String); 2] {
    let Definition { name, .. } = definition;
    let summary = format!(
        "Nothing has been heard of {name} for {}; Alertmanager or Prometheus may be down, so other alerts may not arrive either",
        human(record.silent)
    );
    let awaited = definition.selector();
    let description = match &record.heard {
        Some((at, from)) if from.is_empty() => {
            format!("Last heard at {at:.0}. Awaited is a firing alert with {awaited}.")
        }
        Some((at, from)) => format!("Last heard at {at:.0} from {from}. Awaited is a firing alert with {awaited}."),
        None => format!(
            "Never heard since {:.0}. Awaited is a firing alert with {awaited}: is there one, and does Alertmanager send it here?",
            record.since
        ),
    };
    [("summary", summary), ("description", description)]
}

fn returned(name: &str, told: Told, listened: Duration) -> [(&'static str, String); 2] {
    // The router may have been away for a part of it, and somebody may have set the clock back.
    let silent = told.ended.map(|ended| between(told.started, ended)).unwrap_or_default().max(listened);
    let summary = format!("{name} is heard again after {} of silence", human(silent));
    let description = "Alerts that fired and ended meanwhile may never arrive.".to_owned();
    [("summary", summary), ("description", description)]
}
