//! The real plan and the real store, over simulated time.
//!
//! All cases of a file live side by side in one store, as the alerts of one router do: each of their alerts has a
//! fingerprint of its own, and nothing else that the store goes by is shared. Every delivery succeeds at once. A held copy is
//! released when its time has come, as by a worker that sleeps until then.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::alertmanagers::{Alertmanagers, Times};
use super::{Case, Sent, Step};
use crate::alert::{Alert, Fingerprint, Group, Labels};
use crate::clock::{Timestamp, after};
use crate::config::Config;
use crate::notification::{Reason, ReceiverName};
use crate::route::plan::{Plan, plan};
use crate::store::{Accepted, Admin, Held, Intake, LeaseRequest, Leased, Outcome, Routed, Store, StoreError, Targets};

/// When every case begins: 2026-01-01, at midnight.
const START: i64 = 1_767_225_600;
/// A delivery succeeds at once, so any lease is long enough.
const LEASE: Duration = Duration::from_secs(60);
/// How many leases are asked for at a time: they share a commit.
const AT_ONCE: u64 = 256;

/// What came of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Every decision: of what arrived, `stale` for each held copy that it cancelled, and `refired` for each held copy
    /// that came due since the step before.
    pub decisions: Vec<(ReceiverName, Reason)>,
    /// Every delivery.
    pub notified: Vec<ReceiverName>,
}

/// Runs the steps of all `cases` on an empty store. Of each case what came of its steps, in their order.
///
/// # Errors
/// If the store cannot do its work: the disk is full.
pub async fn simulate<S>(config: &Config, cases: &[Case], store: Arc<S>) -> Result<Vec<Vec<Seen>>, StoreError>
where
    S: Store + Admin + 'static,
{
    let targets = config.receivers.iter().map(|receiver| (receiver.target.name.clone(), receiver.target.clone()));
    let runs = cases.iter().map(Run::new).collect();
    let mut simulation = Simulation {
        config,
        targets: Arc::new(targets.collect()),
        store,
        runs,
        owners: Vec::new(),
        next_due: BTreeMap::new(),
    };
    let mut moments = BTreeMap::<Duration, Vec<usize>>::new();
    for (index, case) in cases.iter().enumerate() {
        for step in &case.steps {
            let at = moments.entry(step.at).or_default();
            // A case with several steps at one time takes its turn in several rounds.
            if at.last() != Some(&index) {
                at.push(index);
            }
        }
    }
    for (at, cases) in moments {
        simulation.live(at, cases).await?;
    }
    Ok(simulation.runs.into_iter().map(|run| run.seen).collect())
}

struct Simulation<'a, S> {
    config: &'a Config,
    targets: Arc<Targets>,
    store: Arc<S>,
    /// One for each case.
    runs: Vec<Run<'a>>,
    /// Of each fingerprint the case that it belongs to.
    owners: Vec<usize>,
    /// When a held copy of a receiver comes due.
    next_due: BTreeMap<ReceiverName, Timestamp>,
}

/// A case under way.
struct Run<'a> {
    case: &'a Case,
    /// The step whose turn it is.
    next: usize,
    seen: Vec<Seen>,
    alertmanagers: Alertmanagers,
    /// Its alerts, by the fingerprint that Alertmanager would give them.
    fingerprints: HashMap<Fingerprint, Fingerprint>,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case) -> Self {
        let seen = vec![Seen::default(); case.steps.len()];
        Self { case, next: 0, seen, alertmanagers: Alertmanagers::default(), fingerprints: HashMap::new() }
    }

    fn step(&self) -> Option<&'a Step> {
        self.case.steps.get(self.next)
    }
}

/// Of no consequence here: nobody looks at what has ended.
const RETENTION: Duration = Duration::from_hours(24);

impl<S: Store + Admin + 'static> Simulation<'_, S> {
    /// Everything that happens at one moment, and what came due before.
    async fn live(&mut self, at: Duration, mut cases: Vec<usize>) -> Result<(), StoreError> {
        let now = moment(at);
        // What comes due at the same moment as something arrives goes first.
        while let Some((receiver, due)) = self.due(now) {
            self.deliver(&receiver, due, 1).await?;
        }
        // Long ago ended alerts are forgotten, as by the service.
        while self.store.prune(now, RETENTION).await?.more {}
        loop {
            cases.retain(|case| self.runs[*case].step().is_some_and(|step| step.at == at));
            if cases.is_empty() {
                return Ok(());
            }
            self.round(now, &cases).await?;
            for case in &cases {
                self.runs[*case].next += 1;
            }
        }
    }

    fn due(&self, now: Timestamp) -> Option<(ReceiverName, Timestamp)> {
        let first = self.next_due.iter().filter(|(_, due)| **due <= now).min_by_key(|(_, due)| **due);
        first.map(|(receiver, due)| (receiver.clone(), *due))
    }

    /// The next step of each of these cases.
    async fn round(&mut self, now: Timestamp, cases: &[usize]) -> Result<(), StoreError> {
        let mut intakes = Vec::with_capacity(cases.len());
        for case in cases {
            if let Some(Step { sent: Some(sent), at, .. }) = self.runs[*case].step() {
                let alert = self.alert(*case, sent, *at);
                let (store, intake) = (Arc::clone(&self.store), self.intake(*case, alert, now));
                let case = *case;
                intakes.push(async move { Ok((case, store.accept(intake).await?)) });
            }
        }
        let mut woken = BTreeMap::<ReceiverName, u64>::new();
        for (case, accepted) in together(intakes).await? {
            let Accepted { decisions, deliveries, cancelled, unsent: _ } = accepted;
            let run = &mut self.runs[case];
            let seen = &mut run.seen[run.next].decisions;
            seen.extend(decisions.into_iter().map(|(receiver, decision)| (receiver, decision.reason())));
            for (receiver, count) in cancelled {
                (0..count).for_each(|_| seen.push((receiver.clone(), Reason::Stale)));
            }
            for (receiver, count) in deliveries {
                *woken.entry(receiver).or_default() += count;
            }
        }
        for (receiver, count) in woken {
            self.deliver(&receiver, now, count).await?;
        }
        Ok(())
    }

    fn alert(&mut self, case: usize, sent: &Sent, at: Duration) -> Alert {
        let run = &mut self.runs[case];
        let Times { starts_at, ends_at } = run.alertmanagers.send(sent, at);
        let alertmanagers = Fingerprint::of(&sent.labels, &self.config.ignore_labels);
        let fingerprint = *run.fingerprints.entry(alertmanagers).or_insert_with(|| {
            self.owners.push(case);
            Fingerprint(self.owners.len() as u64 - 1)
        });
        Alert {
            status: sent.status,
            labels: sent.labels.clone(),
            annotations: Labels::default(),
            starts_at: Some(moment(starts_at)),
            ends_at: ends_at.map(moment),
            generator_url: String::new(),
            fingerprint,
        }
    }

    fn intake(&self, case: usize, alert: Alert, now: Timestamp) -> Intake {
        let Plan { alerts, .. } = plan(&self.config.tree, vec![alert]);
        Intake {
            group: Arc::new(Group { key: case.to_string(), ..Group::default() }),
            alerts: alerts.into_iter().map(|(alert, wants)| Routed { alert, wants }).collect(),
            targets: Arc::clone(&self.targets),
            settle: self.config.settle,
            now,
            rejected: Vec::new(),
            held: Held::default(),
            traceparent: None,
        }
    }

    /// Delivers everything of a receiver that is due, of which `expected` is known.
    async fn deliver(&mut self, receiver: &ReceiverName, now: Timestamp, expected: u64) -> Result<(), StoreError> {
        let mut expected = expected.max(1);
        loop {
            let ask = || LeaseRequest {
                receiver: receiver.clone(),
                now,
                until: after(now, LEASE),
                ordinary_due_by: None,
                holding: Vec::new(),
            };
            let asked = (0..expected.min(AT_ONCE)).map(|_| {
                let (store, ask) = (Arc::clone(&self.store), ask());
                async move { store.lease(ask).await }
            });
            let answers = together(asked).await?;
            let next_due = answers.iter().filter_map(|answer| answer.next_due).max();
            let leased: Vec<Leased> = answers.into_iter().filter_map(|answer| answer.leased).collect();
            if leased.is_empty() {
                // Nothing is leased any more, so what comes next is a held copy, and later than now.
                match next_due.filter(|due| *due > now) {
                    Some(due) => self.next_due.insert(receiver.clone(), due),
                    None => self.next_due.remove(receiver),
                };
                return Ok(());
            }
            expected = expected.saturating_sub(leased.len() as u64).max(1);
            for leased in &leased {
                self.note(leased, now);
            }
            let delivered = leased.into_iter().map(|leased| {
                let store = Arc::clone(&self.store);
                async move { store.settle(leased.lease, Outcome::Delivered { receipt: None }, now).await }
            });
            together(delivered).await?;
        }
    }

    /// Notes a delivery at the step of its case whose turn it is; what comes due after the last step is nobody's.
    fn note(&mut self, leased: &Leased, now: Timestamp) {
        let notification = &leased.notification;
        let receiver = &notification.receiver;
        for notified in &notification.alerts {
            let owner = usize::try_from(notified.alert.fingerprint.0).ok().and_then(|at| self.owners.get(at));
            let Some(run) = owner.map(|case| &mut self.runs[*case]) else { continue };
            let Some(seen) = run.seen.get_mut(run.next) else { continue };
            seen.notified.push(receiver.clone());
            // With `dedup.settle: 0s` a copy is held and released at once.
            let was_held = notification.received_at < now || seen.decisions.contains(&(receiver.clone(), Reason::Held));
            if was_held {
                seen.decisions.push((receiver.clone(), notified.reason));
            }
        }
    }
}

fn moment(at: Duration) -> Timestamp {
    after(Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH), at)
}

/// Runs everything at the same time and returns the results in order. The store commits together what waits together.
async fn together<T, F>(work: impl IntoIterator<Item = F>) -> Result<Vec<T>, StoreError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (index, work) in work.into_iter().enumerate() {
        tasks.spawn(async move { (index, work.await) });
    }
    let mut results = BTreeMap::new();
    while let Some(ended) = tasks.join_next().await {
        let (index, result) = ended.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        results.insert(index, result?);
    }
    Ok(results.into_values().collect())
}
