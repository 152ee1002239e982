//! Random lives in which everything meets: digests, fallbacks, receipts, operators, receivers that go, clocks that are set
//! back, crashes. No lane is ever stuck, nothing urgent waits behind what is not, and all that waits can be delivered.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::{Fixture, cache, open_with_room};
use crate::alert::Alert;
use crate::notification::{DeliveryId, Receipt};
use crate::store::conformance::{
    DELIVERED, RETENTION, Words, again_at, ask, at, dead, firing, fold_request, intake, listed, overdue, resolved,
};
use crate::store::sqlite::open;
use crate::store::sqlite::writer::IfAbandoned;
use crate::store::{Admin, Lease, LeaseRequest, Outcome, Store};

const RECEIVERS: [&str; 3] = ["slack", "oncall", "quiet"];
/// Who stands in for whom.
const FALLBACK: [usize; 3] = [2, 0, 1];

/// What must hold at any time, as rows that must not be there.
const NEVER: [(&str, &str); 5] = [
    (
        "a lane is stuck",
        "SELECT id FROM delivery AS one WHERE state = 'queued' AND NOT EXISTS (
             SELECT 1 FROM delivery AS first WHERE first.lane = one.lane AND first.state = 'ready')",
    ),
    (
        "it is carried by nothing",
        "SELECT id FROM delivery AS one WHERE digest IS NOT NULL AND state IN ('queued', 'ready') AND NOT EXISTS (
             SELECT 1 FROM delivery AS its WHERE its.id = one.digest AND its.carries IS NOT NULL AND its.ended_at IS NULL)",
    ),
    (
        "it carries nothing, or does not know how much",
        "SELECT id FROM delivery AS its WHERE carries IS NOT NULL AND ended_at IS NULL AND carries <> (
             SELECT count(*) FROM delivery AS one WHERE one.digest = its.id AND one.state IN ('queued', 'ready'))
             OR carries = 0",
    ),
    (
        "a critical one waits behind what is not urgent",
        "SELECT first.id FROM delivery AS one JOIN delivery AS first ON first.lane = one.lane AND first.state = 'ready'
         WHERE one.state = 'queued' AND one.critical = 1 AND (first.urgent = 0 OR EXISTS (
             SELECT 1 FROM delivery AS its WHERE its.id = first.digest AND its.urgent = 0))",
    ),
    (
        "a critical one, or one of a lane with a receipt, is folded",
        "SELECT one.id FROM delivery AS one JOIN lane ON lane.id = one.lane
         WHERE one.digest IS NOT NULL AND one.state IN ('queued', 'ready')
             AND (one.critical = 1 OR lane.receipt IS NOT NULL)",
    ),
];

/// What is done: which of the things below, and two numbers.
type Step = (u8, usize, usize);

fn step() -> impl Strategy<Value = Step> {
    // Mostly what is done all the time.
    (prop_oneof![6 => 0..12_u8, 1 => 12..22_u8], 0..1000_usize, 0..1000_usize)
}

struct World {
    fixture: Fixture,
    now: i64,
    /// With their receivers.
    leases: Vec<(Lease, usize)>,
}

impl World {
    fn alert(&self, number: usize) -> Alert {
        let (fingerprint, starts) = ((number % 6) as u64, self.now / 1000 * 1000);
        let alert = if (number / 6).is_multiple_of(2) {
            firing(fingerprint, starts)
        } else {
            resolved(fingerprint, starts, self.now)
        };
        let severity = if fingerprint == 0 { "critical" } else { "warning" };
        let labels = alert.labels.iter().chain([("severity", severity)]).collect();
        Alert { labels, ..alert }
    }

    fn any_delivery(&self, which: usize) -> Option<DeliveryId> {
        let all = self.fixture.list(|filter| filter.now = at(self.now));
        (!all.is_empty()).then(|| DeliveryId(all[which % all.len()].0))
    }

    async fn step(&mut self, (what, one, two): Step) {
        let (receiver, store, now) = (RECEIVERS[one % 3], &self.fixture.store, self.now);
        match what {
            0..4 => {
                let group = ["g", "h", "i"][two % 3];
                let mut alerts = vec![self.alert(one / 3)];
                alerts.extend(Some(self.alert(two / 3)).filter(|other| other.fingerprint != alerts[0].fingerprint));
                let wants = if two.is_multiple_of(2) { &RECEIVERS[one % 3..=one % 3] } else { &RECEIVERS[..2] };
                // It may be full.
                let _ = store.accept(intake(group, alerts, wants, now)).await;
            }
            4..7 => {
                let holding = self.leases.iter().filter(|(_, of)| *of == one % 3).map(|(lease, _)| *lease).collect();
                let ordinary_due_by = (two.is_multiple_of(4)).then(|| at(now - 10));
                let ask = LeaseRequest { holding, ordinary_due_by, ..ask(receiver, now) };
                let leased = store.lease(ask).await.unwrap().leased;
                self.leases.extend(leased.map(|leased| (leased.lease, one % 3)));
            }
            7..10 if !self.leases.is_empty() => {
                let (lease, of) = self.leases.remove(one % self.leases.len());
                let outcome = match two % 6 {
                    0 => DELIVERED,
                    1 => Outcome::Delivered { receipt: Some(Receipt("r".to_owned())) },
                    2 => dead(RECEIVERS[of], RECEIVERS[FALLBACK[of]]),
                    3 => Outcome::Dead { error: "no".to_owned(), fallback: None },
                    4 => again_at(now + 30),
                    _ => Outcome::Released,
                };
                store.done(lease, outcome, now).await;
            }
            10.. => self.step_of_others((what, one, two)).await,
            _ => self.now += 70,
        }
    }

    /// What is not intake, a lease or its end.
    async fn step_of_others(&mut self, (what, one, two): Step) {
        let (receiver, store, now) = (RECEIVERS[one % 3], &self.fixture.store, self.now);
        match what {
            10..12 => {
                store.fold(fold_request(receiver, now)).await.unwrap();
            }
            12 => {
                let stuck = (two.is_multiple_of(2)).then_some(now - 400);
                store.fall_back(overdue(receiver, RECEIVERS[FALLBACK[one % 3]], stuck, now)).await.unwrap();
            }
            13 => {
                let ids: HashSet<_> = [one, two].into_iter().filter_map(|which| self.any_delivery(which)).collect();
                let mut ids: Vec<_> = ids.into_iter().collect();
                ids.sort_unstable();
                self.fixture.retry(&ids, now);
            }
            14 => {
                if let Some(id) = self.any_delivery(one) {
                    self.fixture.discard(id, now);
                }
            }
            15 => {
                let roster = (0..3).filter(|other| two.is_multiple_of(2) || *other != one % 3);
                let roster = roster.map(|name| listed(RECEIVERS[name], Some(RECEIVERS[FALLBACK[name]]))).collect();
                store.take_over(roster, at(now)).await.unwrap();
            }
            16 => {
                self.now -= 500;
                store.clock_set_back(Duration::from_secs(500), at(self.now)).await.unwrap();
            }
            17 => {
                let folder = self.fixture.folder.crashed();
                let store = open_with_room(&folder.data(), &cache(), 60);
                self.fixture = Fixture { store, cache: cache(), folder };
                self.leases.clear();
            }
            18 => {
                store.recovered(receiver.into(), at(now)).await.unwrap();
                store.prune(at(now), RETENTION).await.unwrap();
            }
            19 => {
                let known = (0..3).filter(|other| two % 3 > 0 || *other != one % 3).map(|name| RECEIVERS[name].into());
                store.bury_orphans(known.collect(), at(now)).await.unwrap();
            }
            _ => self.now += [1, 70, 400][one % 3],
        }
    }

    async fn check(&self) {
        let store = &self.fixture.store;
        let counts = store.writer.run(1, IfAbandoned::Run, |tx| Ok((tx.counts, open::count(tx.conn)?))).await.unwrap();
        assert_eq!(counts.0, counts.1);
        let backdoor = self.fixture.backdoor();
        for (what, select) in NEVER {
            let found: Vec<i64> = backdoor
                .prepare(select)
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(found, [0; 0], "{what}");
        }
    }

    /// All that waits is delivered.
    async fn drain(&mut self) {
        self.now += 10_000;
        let store = &self.fixture.store;
        for receiver in RECEIVERS {
            while let Some(leased) = store.leases(receiver, self.now).await.leased {
                store.done(leased.lease, DELIVERED, self.now).await;
            }
            assert_eq!((store.pending(receiver).await, store.nothing_due(receiver, self.now).await), (0, None));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_stuck_whatever_meets(steps in proptest::collection::vec(step(), 20..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World { fixture: Fixture::with_room(60), now: 100_100, leases: Vec::new() };
            for step in steps {
                world.step(step).await;
                world.check().await;
            }
            world.drain().await;
        });
    }
}
