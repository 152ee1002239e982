//! Digests in SQLite: many at once, what a crash leaves, what cannot be read, what an older version left behind.

use super::super::lease::{self, Ended};
use super::super::writer::IfAbandoned;
use super::{Fixture, Folder, cache, open};
use crate::notification::{Lane, Reason};
use crate::store::conformance::{
    DELIVERED, RETENTION, Words, at, contents, dead, firing, fold_request, intake, listed, overdue, resolved,
};
use crate::store::{Admin, Folded, Priority, Settled, Store};

/// More than two pieces.
const MANY: u64 = 1200;

/// So many groups wait for `slack`, each with a resolve behind its firing, all folded.
async fn with_many() -> Fixture {
    let fixture = Fixture::with_room(100_000);
    for fingerprint in 1..=MANY / 2 {
        let group = format!("group {fingerprint}");
        for alert in [firing(fingerprint, 100), resolved(fingerprint, 100, 120)] {
            fixture.store.accept(intake(&group, vec![alert], &["slack"], 110)).await.unwrap();
        }
    }
    let folded = fixture.store.fold(fold_request("slack", 120)).await.unwrap();
    assert_eq!(folded, Folded { deliveries: MANY, more: false });
    fixture
}

fn count(fixture: &Fixture, what: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM delivery WHERE {what}");
    fixture.backdoor().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
}

#[tokio::test]
async fn many_are_folded_and_ended_in_pieces() {
    let fixture = with_many().await;
    let store = &fixture.store;
    store.accept(intake("group 1", vec![firing(1, 130)], &["slack"], 130)).await.unwrap();
    let digest = store.take("slack", 130).await;
    assert_eq!(digest.notification.alerts.len() as u64, MANY);
    let commits = store.commits();
    assert_eq!(store.done(digest.lease, DELIVERED, 131).await, Settled::Done);
    assert!(store.commits() - commits > 2, "alerts get in between");
    let told = format!("digest = {} AND state = 'delivered' AND content IS NULL", digest.lease.delivery);
    assert_eq!((count(&fixture, &told), store.pending("slack").await), (MANY, 1));
    assert_eq!(store.deliver("slack", 131).await, [(1, Reason::Refired)]);
    // The history goes, and the digest's lane with it.
    while store.prune(at(131 + 100 * 24 * 3600), RETENTION).await.unwrap().rows > 0 {}
    assert_eq!(count(&fixture, "1"), 0);
    let lanes = "SELECT count(*) FROM lane";
    assert_eq!(fixture.backdoor().query_row(lanes, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn what_a_digest_has_told_is_not_told_again_after_a_crash() {
    let fixture = with_many().await;
    let digest = fixture.store.take("slack", 130).await;
    let lease = digest.lease;
    let first = fixture.store.writer.run(1, IfAbandoned::Run, move |tx| lease::settle(tx, lease, &DELIVERED, at(131)));
    assert!(matches!(first.await.unwrap(), Ended::Told));
    let crashed = fixture.folder.crashed();
    let store = open(&crashed.data(), &cache());
    assert!(store.pending("slack").await > 0, "not ended yet");
    assert_eq!(store.done(lease, DELIVERED, 140).await, Settled::LeaseLost);
    while store.pending("slack").await > 0 {
        assert!(store.leases("slack", 140).await.leased.is_none(), "and not sent again");
    }
    let times = "SELECT count(DISTINCT ended_at) FROM delivery WHERE ended_at IS NOT NULL";
    let backdoor = rusqlite::Connection::open(crashed.data().join(super::super::open::DATABASE)).unwrap();
    assert_eq!(backdoor.query_row(times, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "when it was told");
    assert_eq!(store.nothing_due("slack", 10_000).await, None);
    // The room that it took is free again.
    drop(store);
    let store = open(&crashed.data(), &cache());
    store.accept(intake("x", vec![firing(9999, 150)], &["slack"], 150)).await.unwrap();
}

#[tokio::test]
async fn a_digest_that_is_given_up_in_pieces_survives_a_crash_between_them() {
    let fixture = with_many().await;
    let lease = fixture.store.take("slack", 130).await.lease;
    let outcome = dead("slack", "quiet");
    let first = fixture.store.writer.run(1, IfAbandoned::Run, move |tx| lease::settle(tx, lease, &outcome, at(131)));
    let Ended::Partly(_) = first.await.unwrap() else { panic!("there is more") };
    let store = open(&fixture.folder.crashed().data(), &cache());
    let stats = store.stats().await.unwrap().receivers["slack"];
    assert_eq!(stats.pending + stats.dead, MANY);
    let again = store.take("slack", 140).await;
    assert_eq!(again.carries.len() as u64, stats.pending, "what is left is told");
    store.done(again.lease, DELIVERED, 141).await;
    assert_eq!(store.nothing_due("slack", 10_000).await, None);
}

#[tokio::test]
async fn what_cannot_be_read_does_not_sink_its_digest() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for fingerprint in 1..=3 {
        let group = format!("group {fingerprint}");
        store.accept(intake(&group, vec![firing(fingerprint, 100)], &["slack"], 110)).await.unwrap();
    }
    store.fold(fold_request("slack", 120)).await.unwrap();
    fixture.backdoor().execute("UPDATE delivery SET content = 'nonsense' WHERE id = 2", []).unwrap();
    let answer = store.leases("slack", 120).await;
    let digest = answer.leased.unwrap();
    assert_eq!((answer.buried, contents(&digest)), (1, vec![(1, Reason::First), (3, Reason::First)]));
    assert_eq!(digest.notification.digest.unwrap().notifications, 2);
    store.done(digest.lease, crate::store::conformance::again_at(130), 120).await;
    // Nothing of it can be read: it is no digest any more.
    fixture.backdoor().execute("UPDATE delivery SET content = 'nonsense' WHERE id IN (1, 3)", []).unwrap();
    assert_eq!(store.leases("slack", 130).await.buried, 2);
    assert_eq!(store.nothing_due("slack", 130).await, None);
    assert_eq!((count(&fixture, "state = 'dead'"), count(&fixture, "carries IS NOT NULL")), (3, 0));
    let stats = store.stats().await.unwrap().receivers["slack"];
    assert_eq!((stats.pending, stats.dead), (0, 3));
}

#[tokio::test]
async fn a_receiver_that_gets_a_fallback_has_one_for_what_is_folded() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let mut bodies =
        [intake("g", vec![firing(1, 100)], &["slack"], 110), intake("h", vec![firing(2, 100)], &["slack"], 110)];
    for body in &mut bodies {
        std::sync::Arc::make_mut(&mut body.targets).get_mut("slack").unwrap().has_fallback = false;
        store.accept(body.clone()).await.unwrap();
    }
    store.fold(fold_request("slack", 120)).await.unwrap();
    store.take_over(vec![listed("slack", Some("quiet")), listed("quiet", None)], at(121)).await.unwrap();
    assert_eq!(store.fall_back(overdue("slack", "quiet", Some(0), 1000)).await.unwrap().len(), 2);
    assert_eq!(store.deliver("slack", 1000).await.len(), 2);
}

#[test]
fn no_group_can_be_in_the_lane_of_a_digest() {
    let receiver = "slack".into();
    let lane = Lane::of_digest(&receiver, crate::notification::DeliveryId(7));
    let group = crate::alert::Group { key: lane.key.clone(), ..Default::default() };
    assert_ne!(Lane::of_group(&receiver, &group), lane);
}

#[tokio::test]
async fn what_an_older_version_left_waiting_has_its_priority() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    let old = rusqlite::Connection::open(folder.data().join(super::super::open::DATABASE)).unwrap();
    old.execute_batch(include_str!("../migrations/0001-outbox-and-dedup.sql")).unwrap();
    old.execute_batch(include_str!("../migrations/0002-fallback.sql")).unwrap();
    old.execute_batch("PRAGMA application_id = 0x616c7274; PRAGMA user_version = 2").unwrap();
    old.execute_batch(
        "INSERT INTO lane (id, receiver, key) VALUES (1, 'slack', 'g'), (2, 'slack', 'h'), (3, 'slack', 'i')",
    )
    .unwrap();
    // As it is written: of three lanes the last has a critical one behind another, and one cannot be read.
    let fixture = Fixture::new();
    let mut page = firing(1, 100);
    page.labels = [("alertname", "Page"), ("severity", "PAGE")].into_iter().collect();
    for alert in [firing(2, 100), page] {
        fixture.store.accept(intake("g", vec![alert], &["slack"], 110)).await.unwrap();
    }
    let written: Vec<String> = {
        let backdoor = fixture.backdoor();
        let mut statement = backdoor.prepare("SELECT content FROM delivery ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for (lane, state, content) in [
        (1, "ready", written[0].as_str()),
        (2, "ready", "nonsense"),
        (3, "ready", &written[0]),
        (3, "queued", &written[1]),
        (3, "queued", &written[0]),
    ] {
        let insert = "INSERT INTO delivery (lane, receiver, state, received_at, since, due_at, content)
                      VALUES (?1, 'slack', ?2, 0, 0, 0, ?3)";
        old.execute(insert, (lane, state, content)).unwrap();
    }
    drop(old);
    let store = open(&folder.data(), &cache());
    let mut priorities = Vec::new();
    while let Some(leased) = store.leases("slack", 110).await.leased {
        priorities.push(leased.priority);
        store.done(leased.lease, DELIVERED, 110).await;
    }
    assert_eq!(priorities, [Priority::Urgent, Priority::Critical, Priority::Ordinary, Priority::Ordinary]);
    assert_eq!(store.stats().await.unwrap().receivers["slack"].dead, 1);
}
