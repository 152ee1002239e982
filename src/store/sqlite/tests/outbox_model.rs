//! Random lives of a store whose operators send again and give up as they like.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::Fixture;
use crate::alert::Status;
use crate::dedup::fallback::Heard;
use crate::notification::{DeliveryId, ReceiverName};
use crate::store::conformance::{Words, ask, at, firing, fold_request, intake, resolved};
use crate::store::outbox::{Discarded, Filter, Retried, State};
use crate::store::sqlite::writer::IfAbandoned;
use crate::store::sqlite::{Editor, SqliteReader, Wish, open};
use crate::store::{Admin, Lease, Outcome, Settled, Store};

const RECEIVERS: [&str; 2] = ["slack", "oncall"];
const FINGERPRINTS: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    Accept { alerts: Vec<(u64, bool)>, to: [bool; 2] },
    Lease(usize),
    Settle(usize, u8),
    Retry { which: Vec<usize>, force: bool, dry_run: bool },
    Discard(usize),
    Fold(usize),
    Advance(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let alerts = proptest::collection::vec((0..FINGERPRINTS, any::<bool>()), 1..3);
    prop_oneof![
        6 => (alerts, any::<[bool; 2]>()).prop_map(|(alerts, to)| Step::Accept { alerts, to }),
        6 => (0..2_usize).prop_map(Step::Lease),
        6 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::Settle(which, how)),
        4 => (proptest::collection::vec(any::<usize>(), 1..4), prop::bool::weighted(0.1), prop::bool::weighted(0.2))
            .prop_map(|(which, force, dry_run)| Step::Retry { which, force, dry_run }),
        2 => any::<usize>().prop_map(Step::Discard),
        2 => (0..2_usize).prop_map(Step::Fold),
        3 => prop_oneof![Just(1_i64), Just(70), Just(400)].prop_map(Step::Advance),
    ]
}

/// A lease, its receiver and what is told.
type Handed = (Lease, &'static str, Vec<(u64, Status)>);

struct World {
    reader: SqliteReader,
    fixture: Fixture,
    now: i64,
    leases: Vec<Handed>,
    /// Whether the last thing that arrived was that it fires; unknown once something of it was given up.
    open: BTreeMap<(&'static str, u64), Option<bool>>,
    /// What was sent again by force, of which the end may have been told already: nothing closes what it opens, as the help
    /// says.
    forced: HashSet<(&'static str, u64)>,
}

impl World {
    fn filter(&self, states: &[State]) -> Filter {
        let (receivers, alertnames) = (Vec::new(), Vec::new());
        Filter { receivers, states: states.to_vec(), alertnames, from: None, until: None, now: at(self.now) }
    }

    /// Numbers and states, oldest first.
    fn list(&self, states: &[State]) -> Vec<(DeliveryId, State)> {
        let (entries, _) = self.reader.deliveries(&self.filter(states), usize::MAX).unwrap();
        entries.into_iter().rev().map(|entry| (entry.id, entry.state)).collect()
    }

    /// Whom a delivery tells of what.
    fn tells(&self, id: DeliveryId) -> Vec<(&'static str, u64)> {
        let detail = self.reader.delivery(id, at(self.now)).unwrap().unwrap();
        let receiver = RECEIVERS.into_iter().find(|name| *name == detail.entry.receiver.as_str()).unwrap();
        detail.content.iter().map(|notified| (receiver, notified.alert.fingerprint.0)).collect()
    }

    /// What of a delivery is not known any more, once it is given up.
    fn forget(&mut self, id: DeliveryId) {
        let told = self.tells(id).into_iter().map(|pair| (pair, None));
        self.open.extend(told);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Accept { alerts, to } => {
                let mut body = Vec::new();
                let mut seen = HashSet::new();
                for (fingerprint, fires) in alerts.into_iter().filter(|(fingerprint, _)| seen.insert(*fingerprint)) {
                    let starts = self.now / 1000 * 1000;
                    let end = resolved(fingerprint, starts, self.now);
                    body.push(if fires { firing(fingerprint, starts) } else { end });
                }
                let wants: Vec<_> = RECEIVERS.into_iter().zip(to).filter(|(_, on)| *on).map(|(name, _)| name).collect();
                self.fixture.store.accept(intake("g", body, &wants, self.now)).await.unwrap();
            }
            Step::Lease(receiver) => self.lease(RECEIVERS[receiver]).await,
            Step::Settle(which, how) => self.settle(which, how).await,
            Step::Retry { which, force, dry_run } => self.retry(&which, force, dry_run),
            Step::Discard(which) => self.discard(which),
            Step::Fold(receiver) => {
                self.fixture.store.fold(fold_request(RECEIVERS[receiver], self.now)).await.unwrap();
            }
            Step::Advance(seconds) => self.now += seconds,
        }
    }

    async fn lease(&mut self, receiver: &'static str) {
        if let Some(leased) = self.fixture.store.lease(ask(receiver, self.now)).await.unwrap().leased {
            let alerts = leased.notification.alerts.iter();
            let told = alerts.map(|one| (one.alert.fingerprint.0, one.alert.status)).collect();
            self.leases.push((leased.lease, receiver, told));
        }
    }

    async fn settle(&mut self, which: usize, how: u8) {
        if self.leases.is_empty() {
            return;
        }
        let (lease, receiver, told) = self.leases.remove(which % self.leases.len());
        let outcome = match how {
            0 | 1 => Outcome::Delivered { receipt: None },
            2 => Outcome::Dead { error: "no".to_owned(), fallback: None },
            _ => Outcome::RetryAt { at: at(self.now + 30), began: at(self.now), error: "later".to_owned() },
        };
        if self.fixture.store.done(lease, outcome, self.now).await == Settled::LeaseLost || how > 2 {
            return;
        }
        for (fingerprint, status) in told {
            let open = (how < 2).then_some(status == Status::Firing);
            self.open.insert((receiver, fingerprint), open);
        }
    }

    fn retry(&mut self, which: &[usize], force: bool, dry_run: bool) {
        let before = self.list(&State::ALL);
        if before.is_empty() {
            return;
        }
        let ids: HashSet<_> = which.iter().map(|which| before[which % before.len()].0).collect();
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        let mut editor = Editor::open(&self.fixture.folder.data()).unwrap();
        let wish = Wish { dry_run, force, now: at(self.now) };
        let all = editor.retry(&ids, &ids.iter().copied().collect(), wish).unwrap();
        let after = self.list(&State::ALL);
        for ((id, state), change) in
            ids.iter().map(|id| before.iter().find(|(known, _)| known == id).unwrap()).zip(&all)
        {
            match (state, change) {
                (State::Dead, Retried::Waits(_)) => {
                    let waits = after.iter().any(|(known, now)| known == id && State::WAITING.contains(now));
                    assert!(waits != dry_run, "{after:?}");
                    if force {
                        self.forced.extend(self.tells(*id));
                    }
                }
                (State::Dead, Retried::NothingToTell(_)) => assert!(!force),
                // A late copy of what is told again with it.
                (State::Held, Retried::NothingToTell(_)) => {
                    assert_eq!(after.iter().any(|(known, _)| known == id), dry_run);
                }
                (State::Ready | State::Held, Retried::DueNow)
                | (State::Queued, Retried::InLine | Retried::DueNow)
                | (State::Ready, Retried::InLine)
                // What a digest carries is under way when that is.
                | (State::Leased | State::Queued | State::Ready, Retried::UnderWay)
                | (State::Delivered, Retried::Delivered)
                | (State::Discarded, Retried::Discarded) => {}
                other => panic!("{other:?}"),
            }
        }
        if dry_run {
            assert_eq!(before, after);
        }
    }

    fn discard(&mut self, which: usize) {
        let before = self.list(&State::ALL);
        if before.is_empty() {
            return;
        }
        let (id, state) = before[which % before.len()];
        let mut editor = Editor::open(&self.fixture.folder.data()).unwrap();
        let done = editor.discard(&[id], Wish { dry_run: false, force: false, now: at(self.now) }).unwrap().remove(0);
        match (state, done) {
            (State::Held | State::Queued | State::Ready | State::Dead, Discarded::Done { .. }) => {
                if state != State::Held {
                    self.forget(id);
                }
                assert!(self.list(&[State::Discarded]).contains(&(id, State::Discarded)));
            }
            (State::Ready, Discarded::IsDigest)
            | (State::Leased | State::Queued | State::Ready, Discarded::UnderWay)
            | (State::Delivered, Discarded::Delivered)
            | (State::Discarded, Discarded::Already) => {}
            other => panic!("{other:?}"),
        }
    }

    /// What is counted is what is there.
    async fn check_counts(&self) {
        let store = &self.fixture.store;
        let counts = store.writer.run(1, IfAbandoned::Run, |tx| Ok((tx.counts, open::count(tx.conn)?))).await.unwrap();
        assert_eq!(counts.0, counts.1);
        let stats = store.stats().await.unwrap();
        let sum = |states: &[State]| {
            let (entries, _) = self.reader.deliveries(&self.filter(states), usize::MAX).unwrap();
            // A digest does not count, what it carries does.
            entries.iter().filter(|entry| entry.carries.is_none()).count() as u64
        };
        assert_eq!(stats.receivers.values().map(|receiver| receiver.pending).sum::<u64>(), sum(&State::WAITING));
        assert_eq!(stats.receivers.values().map(|receiver| receiver.dead).sum::<u64>(), sum(&[State::Dead]));
    }

    /// All that waits is delivered, and nobody is left with an incident whose end would not reach him.
    async fn drain(&mut self) {
        self.leases.clear();
        self.now += 10_000;
        for receiver in RECEIVERS {
            loop {
                self.lease(receiver).await;
                if self.leases.is_empty() {
                    break;
                }
                self.settle(0, 0).await;
            }
        }
        assert_eq!(self.list(&State::WAITING), []);
        let open = self.open.iter().filter(|(_, open)| **open == Some(true)).map(|(pair, _)| *pair);
        let open: Vec<_> = open.filter(|pair| !self.forced.contains(pair)).collect();
        for (receiver, fingerprint) in open {
            let name = ReceiverName::from(receiver);
            let work = move |tx: &mut crate::store::sqlite::tx::Tx<'_>| {
                tx.heard(crate::alert::Fingerprint(fingerprint), name.as_str())
            };
            let heard = self.fixture.store.writer.run(1, IfAbandoned::Run, work).await.unwrap();
            let hears_of_its_end = heard.is_some_and(|Heard { known, .. }| known.ends_at.is_none());
            assert!(
                hears_of_its_end,
                "{receiver} {fingerprint} is open, and its resolve would not reach it: {heard:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_operators_do_nothing_is_lost(steps in proptest::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_room(10_000);
            let reader = SqliteReader::open(&fixture.folder.data()).unwrap();
            let (open, forced) = (BTreeMap::new(), HashSet::new());
            let mut world = World { reader, fixture, now: 100_100, leases: Vec::new(), open, forced };
            for step in steps {
                world.step(step).await;
                world.check_counts().await;
            }
            world.drain().await;
        });
    }
}
