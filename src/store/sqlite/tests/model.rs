//! Random lives of a store, held against a model that is too simple to be wrong: what a receiver must hear of an alert
//! is a queue of reasons, whatever happens in between.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::{Folder, cache};
use crate::alert::{Alert, Status};
use crate::clock::{Timestamp, after};
use crate::dedup::fallback::{self as table, Heard, Missed, StoodIn, Tell};
use crate::dedup::{Cache, Decision, Known, decide, ends_later};
use crate::notification::{DeliveryId, Notified, Reason, ReceiverName};
use crate::store::conformance::{
    DELIVERED, LEASE, REPEAT, SETTLE, again_at, ask, at, contents, dead, firing, fold_request, intake, overdue,
    resolved, targets,
};
use crate::store::sqlite::open::DATABASE;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Accepted, Admin, Intake, Lease, Outcome, Overdue, Priority, Settled, Store, codec};

const RECEIVERS: [&str; 3] = ["slack", "oncall", "quiet"];
/// Who is told instead of whom.
const FALLBACKS: [(&str, &str); 2] = [("slack", "oncall"), ("oncall", "quiet")];
const FINGERPRINTS: u64 = 4;
/// The one whose severity is critical.
const CRITICAL: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    Accept { alerts: Vec<(u64, Option<i64>, i64)>, wants: Vec<bool> },
    Lease(usize),
    Settle(usize, u8),
    FallBack(usize),
    Fold(usize),
    Advance(i64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    // When it began, and if it is resolved how long it took.
    let ends = prop_oneof![Just(None), prop_oneof![Just(Some(5)), Just(Some(400))]];
    let alert = (0..FINGERPRINTS, ends, prop_oneof![Just(0_i64), Just(60), Just(500)]);
    let alerts = proptest::collection::vec(alert, 1..4);
    prop_oneof![
        6 => (alerts, proptest::collection::vec(any::<bool>(), 3)).prop_map(|(alerts, wants)| Step::Accept { alerts, wants }),
        6 => (0..3_usize).prop_map(Step::Lease),
        6 => (any::<usize>(), 0..6_u8).prop_map(|(which, how)| Step::Settle(which, how)),
        2 => (0..FALLBACKS.len()).prop_map(Step::FallBack),
        3 => (0..3_usize).prop_map(Step::Fold),
        4 => prop_oneof![Just(1_i64), Just(45), Just(400), Just(15_000)].prop_map(Step::Advance),
        1 => Just(Step::Crash),
    ]
}

/// An alert, and how long it took if it is over.
fn alert(fingerprint: u64, starts: i64, lasted: Option<i64>) -> Alert {
    let mut alert = match lasted {
        None => firing(fingerprint, starts),
        Some(lasted) => resolved(fingerprint, starts, starts + lasted),
    };
    if fingerprint == CRITICAL {
        alert.labels = [("alertname", "Alert3"), ("severity", "critical")].into_iter().collect();
    }
    alert
}

/// An alert for a receiver.
type Pair = (&'static str, u64);

/// A lease that was handed out, and whether it can still be settled.
struct Handed {
    lease: Lease,
    receiver: &'static str,
    lanes: Vec<u64>,
    alerts: Vec<Notified>,
    until: Timestamp,
    is_valid: bool,
}

struct World {
    store: Option<SqliteStore>,
    folder: Folder,
    cache: Cache,
    now: i64,
    /// What was told last, in which role, and the number of the telling.
    known: BTreeMap<Pair, (Heard, u64)>,
    /// By whom it was meant for and who was told, and the number of the telling.
    stood_in: BTreeMap<(&'static str, Pair), (StoodIn, u64)>,
    /// Due time and startsAt.
    held: BTreeMap<Pair, (Timestamp, Timestamp)>,
    /// What must be told, in this order, and the number of the telling.
    to_tell: HashMap<Pair, VecDeque<(Reason, u64)>>,
    /// Whether the last thing that arrived was that it fires; only as long as nothing died on the way.
    open: BTreeMap<Pair, Option<bool>>,
    handed: Vec<Handed>,
    again_at: HashMap<DeliveryId, (&'static str, Timestamp)>,
    tellings: u64,
}

impl World {
    fn new() -> Self {
        let (folder, cache) = (Folder::new(), cache());
        Self {
            store: Some(Self::open(&folder, &cache)),
            folder,
            cache,
            now: 100_000,
            known: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            held: BTreeMap::new(),
            to_tell: HashMap::new(),
            open: BTreeMap::new(),
            handed: Vec::new(),
            again_at: HashMap::new(),
            tellings: 0,
        }
    }

    fn open(folder: &Folder, cache: &Cache) -> SqliteStore {
        let options = Options { max_outbox: 100_000, cache: cache.clone() };
        SqliteStore::open(&folder.data(), options, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Accept { alerts, wants } => self.accept(&alerts, &wants).await,
            Step::Lease(receiver) => {
                self.lease(RECEIVERS[receiver]).await;
            }
            Step::Settle(which, how) => self.settle(which, how).await,
            Step::FallBack(which) => self.fall_back(FALLBACKS[which]).await,
            Step::Fold(receiver) => self.fold(RECEIVERS[receiver]).await,
            Step::Advance(seconds) => self.now += seconds,
            Step::Crash => {
                let copy = self.folder.crashed();
                self.store = None;
                self.folder = copy;
                self.cache = cache();
                self.store = Some(Self::open(&self.folder, &self.cache));
                // Nobody is left who could settle anything.
                self.handed.clear();
            }
        }
    }

    async fn accept(&mut self, alerts: &[(u64, Option<i64>, i64)], wants: &[bool]) {
        let wants: Vec<&str> = RECEIVERS.into_iter().zip(wants).filter(|(_, on)| **on).map(|(name, _)| name).collect();
        let mut body: Vec<Alert> = Vec::new();
        for &(fingerprint, lasted, ago) in alerts {
            // An alert stays in its group, or nothing could be said of the order.
            let same_group = body.first().is_none_or(|first| first.fingerprint.0 % 2 == fingerprint % 2);
            if same_group && body.iter().all(|alert| alert.fingerprint.0 != fingerprint) {
                let starts = self.now - ago;
                body.push(alert(fingerprint, starts, lasted));
            }
        }
        let key = if body[0].fingerprint.0.is_multiple_of(2) { "even" } else { "odd" };
        let intake = intake(key, body, &wants, self.now);
        let expected = self.expect(&intake);
        let mut accepted = self.store().accept(intake).await.unwrap();
        for tallies in [&mut accepted.unsent, &mut accepted.cancelled] {
            tallies.sort();
        }
        let sorted = |mut decisions: Vec<(ReceiverName, Decision)>| {
            decisions.sort_by_key(|(name, decision)| (name.clone(), decision.reason()));
            decisions
        };
        assert_eq!(sorted(accepted.decisions), sorted(expected.decisions));
        assert_eq!((accepted.unsent, accepted.cancelled), (expected.unsent, expected.cancelled));
    }

    /// What the store must answer; takes note of what follows from it.
    fn expect(&mut self, intake: &Intake) -> Accepted {
        let mut expected = Accepted::default();
        let (mut unsent, mut cancelled) = (BTreeMap::new(), BTreeMap::new());
        let now = at(self.now);
        for routed in &intake.alerts {
            let alert = &routed.alert;
            for receiver in RECEIVERS {
                let pair = (receiver, alert.fingerprint.0);
                let known = self.known.get(&pair).map(|(heard, _)| heard.known);
                let wanted = routed.wants.iter().any(|(name, _)| name.as_str() == receiver);
                let waits = known.is_some_and(|known| known.ends_at.is_none()) || self.held.contains_key(&pair);
                let concerned = wanted || (alert.status == Status::Resolved && waits);
                if !concerned {
                    continue;
                }
                let target = &intake.targets[receiver];
                let repeat = if wanted { REPEAT } else { Duration::ZERO };
                let decision = decide(alert, known.as_ref(), repeat, target.keeps_state, now);
                expected.decisions.push((receiver.into(), decision));
                let starts_at = alert.starts_at.unwrap();
                if let Some(&(_, starts)) = self.held.get(&pair)
                    && ends_later(alert, Some(starts))
                {
                    self.held.remove(&pair);
                    *cancelled.entry(receiver).or_insert(0) += 1;
                }
                match decision {
                    Decision::Notify(reason) => {
                        self.held.remove(&pair);
                        let kept = known.filter(|_| reason == Reason::Repeat).and_then(|known| known.starts_at);
                        let starts_at = Some(starts_at).max(kept);
                        self.tellings += 1;
                        let state = Known { ends_at: alert.ends_at, starts_at, notified_at: now };
                        self.known.insert(pair, (Heard { known: state, own: true }, self.tellings));
                        if alert.status == Status::Resolved && !target.send_resolved {
                            *unsent.entry(receiver).or_insert(0) += 1;
                        } else {
                            self.to_tell.entry(pair).or_default().push_back((reason, self.tellings));
                        }
                    }
                    Decision::Hold => {
                        let held = self.held.entry(pair).or_insert((after(now, SETTLE), starts_at));
                        held.1 = held.1.max(starts_at);
                    }
                    Decision::Drop(_) => {}
                }
            }
        }
        let tallies = |tallies: BTreeMap<&str, u64>| {
            let mut all: Vec<_> = tallies.into_iter().map(|(name, count)| (name.into(), count)).collect();
            all.sort();
            all
        };
        (expected.unsent, expected.cancelled) = (tallies(unsent), tallies(cancelled));
        expected
    }

    async fn lease(&mut self, receiver: &'static str) -> bool {
        let now = at(self.now);
        let due: Vec<Pair> = self
            .held
            .iter()
            .filter(|(pair, held)| pair.0 == receiver && held.0 <= now)
            .map(|(pair, _)| *pair)
            .collect();
        for pair in &due {
            let (_, starts) = self.held.remove(pair).unwrap();
            self.tellings += 1;
            let state = Known { ends_at: None, starts_at: Some(starts), notified_at: now };
            self.known.insert(*pair, (Heard { known: state, own: true }, self.tellings));
            self.to_tell.entry(*pair).or_default().push_back((Reason::Refired, self.tellings));
        }
        let answer = self.store().lease(ask(receiver, self.now)).await.unwrap();
        assert_eq!(answer.released, due.len() as u64);
        let Some(leased) = answer.leased else {
            assert_eq!(answer.next_due, self.next_due(receiver));
            return false;
        };
        let told = contents(&leased);
        let lane = |fingerprint: u64| if receiver == "oncall" { fingerprint } else { fingerprint % 2 };
        let lanes: Vec<u64> = told.iter().map(|(fingerprint, _)| lane(*fingerprint)).collect();
        let live = |handed: &Handed| handed.is_valid && handed.until > now;
        let in_lane =
            |handed: &&Handed| handed.receiver == receiver && handed.lanes.iter().any(|lane| lanes.contains(lane));
        assert!(!self.handed.iter().filter(in_lane).any(live), "two live leases in a lane");
        let is_critical = told.iter().any(|(fingerprint, _)| *fingerprint == CRITICAL);
        assert_eq!(leased.priority == Priority::Critical, is_critical);
        let first = "receiver = ?1 AND critical = 1 AND state = 'ready' AND lease_until IS NULL AND due_at <= ?2";
        let micros = now.as_microsecond();
        if leased.priority == Priority::Ordinary {
            assert_eq!(self.count(first, (receiver, micros)), 0, "a critical one goes first");
        }
        assert_eq!(leased.notification.digest.is_some(), !leased.carries.is_empty());
        assert!(leased.carries.is_empty() || !is_critical, "a critical one is never folded");
        for earlier in self.handed.iter_mut().filter(|handed| handed.lease.delivery == leased.lease.delivery) {
            earlier.is_valid = false;
        }
        let mut seen: HashMap<u64, usize> = HashMap::new();
        for (fingerprint, reason) in &told {
            // Of a digest more than the first.
            let place = seen.entry(*fingerprint).or_default();
            let next = self.to_tell[&(receiver, *fingerprint)].get(*place).map(|(reason, _)| *reason);
            assert_eq!(next, Some(*reason), "out of order");
            *place += 1;
        }
        assert!(self.again_at.remove(&leased.lease.delivery).is_none_or(|(_, at)| at <= now), "too early");
        let (lease, until, alerts) = (leased.lease, after(now, LEASE), leased.notification.alerts);
        self.handed.push(Handed { lease, receiver, lanes, alerts, until, is_valid: true });
        true
    }

    fn next_due(&self, receiver: &str) -> Option<Timestamp> {
        let held = self.held.iter().filter(|(pair, _)| pair.0 == receiver).map(|(_, held)| held.0);
        let leased = self.handed.iter().filter(|handed| handed.is_valid && handed.receiver == receiver);
        let again = self.again_at.values().filter(|again| again.0 == receiver).map(|again| again.1);
        held.chain(leased.map(|handed| handed.until)).chain(again).min()
    }

    async fn settle(&mut self, which: usize, how: u8) {
        if self.handed.is_empty() {
            return;
        }
        let now = self.now;
        let which = which % self.handed.len();
        let handed = &self.handed[which];
        let (lease, receiver, is_valid) = (handed.lease, handed.receiver, handed.is_valid);
        let fallback = FALLBACKS.into_iter().find(|(from, _)| *from == receiver).map(|(_, to)| to);
        let outcome = match how {
            0..3 => DELIVERED,
            3 => fallback.map_or(Outcome::Dead { error: String::new(), fallback: None }, |to| dead(receiver, to)),
            4 => again_at(now + 30),
            _ => Outcome::Released,
        };
        let is_digest = self.count("id = ?1 AND carries IS NOT NULL", [lease.delivery.0]) == 1;
        // Each delivery, and whether its fallback was told before.
        let parts: Vec<_> = self.parts(lease.delivery, is_digest);
        let settled = self.store().settle(lease, outcome.clone(), at(now)).await.unwrap();
        if !is_valid {
            assert_eq!(settled, Settled::LeaseLost);
            return;
        }
        let alerts = self.handed[which].alerts.clone();
        assert_eq!(parts.iter().flat_map(|(alerts, _)| alerts.clone()).collect::<Vec<_>>(), alerts);
        self.handed[which].is_valid = false;
        let died = matches!(outcome, Outcome::Dead { .. });
        let mut told = 0;
        if matches!(outcome, Outcome::Delivered { .. } | Outcome::Dead { .. }) {
            for (alerts, is_sent) in parts {
                if let Some(to) = fallback.filter(|_| died && !is_sent) {
                    told += u64::from(self.tell((receiver, to), &alerts, true));
                }
                self.ended(receiver, alerts, died);
            }
        }
        assert_eq!(
            settled,
            match told {
                told if is_digest && died => Settled::ManyFellBack(told),
                0 => Settled::Done,
                _ => Settled::FellBack,
            }
        );
        if let Outcome::RetryAt { at, .. } = outcome {
            self.again_at.insert(lease.delivery, (receiver, at));
        }
    }

    /// What becomes of these alerts is certain.
    fn ended(&mut self, receiver: &'static str, alerts: Vec<Notified>, died: bool) {
        for Notified { alert, reason } in alerts {
            let pair = (receiver, alert.fingerprint.0);
            let (expected, telling) = self.to_tell.get_mut(&pair).unwrap().pop_front().unwrap();
            assert_eq!(reason, expected);
            let open = self.open.entry(pair).or_insert(Some(false));
            *open = open.filter(|_| !died).map(|_| alert.status == Status::Firing);
            if died {
                self.known.retain(|known, (_, last)| *known != pair || *last != telling);
                self.stood_in.retain(|(_, known), (_, last)| *known != pair || *last != telling);
            }
        }
    }

    /// Folds what waits. What was to be tried again at a time goes with the digest, at once.
    async fn fold(&mut self, receiver: &'static str) {
        let takes_more = self.count("receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL", [receiver]) > 0;
        let folded = self.store().fold(fold_request(receiver, self.now)).await.unwrap();
        assert!((folded.deliveries != 1 || takes_more) && !folded.more);
        let (again_at, handed) = (std::mem::take(&mut self.again_at), std::mem::take(&mut self.handed));
        let is_folded = |id: &DeliveryId| self.count("id = ?1 AND digest IS NOT NULL", [id.0]) == 1;
        let again_at = again_at.into_iter().filter(|(id, _)| !is_folded(id)).collect();
        // A lease of what is folded had run out. Who still settles it then is seen where everything meets.
        let handed = handed.into_iter().filter(|handed| !is_folded(&handed.lease.delivery)).collect();
        (self.again_at, self.handed) = (again_at, handed);
    }

    fn count(&self, what: &str, parameters: impl rusqlite::Params) -> i64 {
        let database = rusqlite::Connection::open(self.folder.data().join(DATABASE)).unwrap();
        let sql = format!("SELECT count(*) FROM delivery WHERE {what}");
        database.query_row(&sql, parameters, |row| row.get(0)).unwrap()
    }

    /// The alerts of a delivery, or of each that a digest carries, and whether its fallback was told of them.
    fn parts(&self, id: DeliveryId, is_digest: bool) -> Vec<(Vec<Notified>, bool)> {
        let database = rusqlite::Connection::open(self.folder.data().join(DATABASE)).unwrap();
        let those = if is_digest { "digest = ?1" } else { "id = ?1" };
        let sql = format!(
            "SELECT content, fallback IS 'sent' FROM delivery WHERE {those} AND state IN ('queued', 'ready') ORDER BY id"
        );
        let mut statement = database.prepare(&sql).unwrap();
        let rows = statement.query_map([id.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
        let decoded = |content: String| codec::decode(content.as_bytes()).unwrap().alerts;
        rows.map(Result::unwrap).map(|(content, is_sent)| (decoded(content), is_sent)).collect()
    }

    /// The alerts of each delivery of which this is so, in the order in which they fall back. Which deliveries wait is the
    /// store's word; that nothing of what they tell is lost is seen elsewhere.
    fn waiting(&self, what: &str, parameter: impl rusqlite::ToSql) -> Vec<Vec<Notified>> {
        let database = rusqlite::Connection::open(self.folder.data().join(DATABASE)).unwrap();
        let sql =
            format!("SELECT content FROM delivery WHERE {what} AND state IN ('queued', 'ready') ORDER BY since, id");
        let mut statement = database.prepare(&sql).unwrap();
        let rows = statement.query_map([parameter], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|content| codec::decode(content.unwrap().as_bytes()).unwrap().alerts).collect()
    }

    /// The receiver takes nothing, and its fallback is told of all that waits.
    async fn fall_back(&mut self, (from, to): (&'static str, &'static str)) {
        let waiting = self.waiting("receiver = ?1 AND fallback = 'open'", from);
        let told = waiting.iter().map(|alerts| usize::from(self.tell((from, to), alerts, false))).sum::<usize>();
        let overdue = Overdue { after: Duration::ZERO, ..overdue(from, to, Some(0), self.now) };
        assert_eq!(self.store().fall_back(overdue).await.unwrap().len(), told);
    }

    /// What a fallback is told of a delivery; returns whether that is anything.
    fn tell(&mut self, (from, to): (&'static str, &'static str), alerts: &[Notified], never: bool) -> bool {
        let (targets, now) = (targets(), at(self.now));
        let mut any = false;
        for Notified { alert, reason } in alerts {
            let (pair, fires) = ((to, alert.fingerprint.0), alert.status == Status::Firing);
            let heard = |pair| self.known.get(&pair).map(|(heard, _)| *heard);
            let Tell { alert: told, then_ended, remember } = table::fall_back(&Missed {
                alert,
                reason: *reason,
                never,
                meant_for_keeps_state: targets[from].keeps_state,
                meant_for: heard((from, alert.fingerprint.0)).map(|heard| heard.known).as_ref(),
                keeps_state: targets[to].keeps_state,
                heard: heard(pair).as_ref(),
                stood_in: self.stood_in.get(&(from, pair)).map(|(stood_in, _)| *stood_in),
                now,
            });
            let hears_ends = targets[to].send_resolved;
            // Its own number, even if nothing is sent: nothing that dies takes it back.
            self.tellings += 1;
            if told && (fires || hears_ends) {
                any = true;
                self.held.remove(&pair);
                self.to_tell.entry(pair).or_default().push_back((*reason, self.tellings));
                if fires {
                    let stood_in = StoodIn { starts_at: alert.starts_at, at: now };
                    self.stood_in.insert((from, pair), (stood_in, self.tellings));
                }
            }
            if then_ended.is_some() && hears_ends {
                self.tellings += 1;
                self.to_tell.entry(pair).or_default().push_back((Reason::Resolved, self.tellings));
            }
            if let Some(known) = remember {
                self.known.insert(pair, (Heard { known, own: false }, self.tellings));
            }
        }
        any
    }

    /// The cache answers nothing that the model would not.
    fn check_cache(&self) {
        let targets = targets();
        for fingerprint in 0..FINGERPRINTS {
            let starts = self.now - 60;
            for alert in [alert(fingerprint, starts, None), alert(fingerprint, starts, Some(50))] {
                for receiver in RECEIVERS {
                    let wants = [(&targets[receiver], REPEAT)];
                    let Some(dropped) = self.cache.drops(&alert, wants.into_iter(), at(self.now)) else { continue };
                    let known = self.known.get(&(receiver, fingerprint)).map(|(heard, _)| &heard.known);
                    let decision = decide(&alert, known, REPEAT, targets[receiver].keeps_state, at(self.now));
                    assert_eq!(dropped, [(receiver.into(), decision)]);
                    for other in RECEIVERS {
                        let pair = (other, fingerprint);
                        assert!(!self.held.contains_key(&pair), "a held copy must be seen by the store");
                        let fires = self.known.get(&pair).is_some_and(|(heard, _)| heard.known.ends_at.is_none());
                        assert!(alert.status == Status::Firing || !fires, "somebody waits for this resolve");
                    }
                }
            }
        }
    }

    /// Everything that was decided to be told is told in the end.
    async fn drain(&mut self) {
        let stats = self.store().stats().await.unwrap();
        assert_eq!(stats.dedup_entries, self.known.len() as u64);
        self.now += 100_000;
        for receiver in RECEIVERS {
            while self.lease(receiver).await {
                self.settle(self.handed.len() - 1, 0).await;
            }
            assert_eq!(self.next_due(receiver), None);
        }
        // Nobody is left with an incident that nothing closes.
        for (pair, _) in self.open.iter().filter(|(pair, open)| **open == Some(true) && pair.0 != "quiet") {
            let hears_of_its_end = self.known.get(pair).is_some_and(|(heard, _)| heard.known.ends_at.is_none());
            assert!(hears_of_its_end, "{pair:?} is open, and its resolve would not reach it");
        }
        let left: Vec<_> = self.to_tell.iter().filter(|(_, queue)| !queue.is_empty()).collect();
        assert!(left.is_empty(), "lost: {left:?}");
        let stats = self.store().stats().await.unwrap();
        assert!(stats.receivers.values().all(|stats| stats.pending == 0), "{stats:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_order_is_kept(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await;
                world.check_cache();
            }
            world.drain().await;
        });
    }
}
