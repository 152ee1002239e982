//! Fallbacks in SQLite: many at once, all or nothing, what a crash leaves, what cannot be read.

use super::super::fallback::{BEHIND, CARRIED, FAILED};
use super::{Fixture, cache, open};
use crate::notification::Reason;
use crate::store::conformance::{DELIVERED, Words, at, contents, dead, firing, intake, listed, overdue, resolved};
use crate::store::{Admin, Departed, Outcome, Settled, Store};

const MANY: u64 = 170;

/// So many alerts wait for `oncall`, each with its resolve behind it.
async fn with_many() -> Fixture {
    let fixture = Fixture::with_room(10_000);
    fixture.store.take_over(vec![listed("oncall", Some("slack")), listed("slack", None)], at(100)).await.unwrap();
    let alerts = |alert: &dyn Fn(u64) -> crate::alert::Alert| (1..=MANY).map(alert).collect::<Vec<_>>();
    let triggers = alerts(&|fingerprint| firing(fingerprint, 100));
    fixture.store.accept(intake("g", triggers, &["oncall"], 110)).await.unwrap();
    let ends = alerts(&|fingerprint| resolved(fingerprint, 100, 120));
    fixture.store.accept(intake("g", ends, &["oncall"], 120)).await.unwrap();
    fixture
}

/// What `slack` is told: each alert fires and then has ended.
async fn check_told(fixture: &Fixture, now: i64) {
    let mut told = std::collections::BTreeMap::<u64, Vec<Reason>>::new();
    while let Some(leased) = fixture.store.leases("slack", now).await.leased {
        for (fingerprint, reason) in contents(&leased) {
            told.entry(fingerprint).or_default().push(reason);
        }
        fixture.store.done(leased.lease, DELIVERED, now).await;
    }
    assert_eq!(told.len() as u64, MANY);
    assert!(told.values().all(|reasons| *reasons == [Reason::First, Reason::Resolved]), "{told:?}");
}

#[tokio::test]
async fn many_fall_back_in_pieces() {
    let fixture = with_many().await;
    let commits = fixture.store.commits();
    let fell_back = fixture.store.fall_back(overdue("oncall", "slack", Some(110), 1000)).await.unwrap();
    assert_eq!(fell_back.len() as u64, MANY, "the resolves go with their triggers");
    assert!(fixture.store.commits() - commits > 3, "alerts get in between");
    assert_eq!(fixture.store.fall_back(overdue("oncall", "slack", Some(110), 9000)).await.unwrap(), []);
    check_told(&fixture, 1000).await;
    assert_eq!(fixture.store.pending("oncall").await, 2 * MANY);
}

#[test]
fn what_was_told_is_not_read_again_every_second() {
    let fixture = Fixture::new();
    let backdoor = fixture.backdoor();
    let plan = |select: &str| -> Vec<String> {
        let mut statement = backdoor.prepare(&format!("EXPLAIN QUERY PLAN {select}")).unwrap();
        let steps = statement.query_map(("oncall", 1, 50), |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    };
    // Nothing is sorted, and the outermost loop is over open deliveries that are old enough.
    assert_eq!(plan(FAILED), ["SEARCH delivery USING INDEX delivery_failing_open (receiver=? AND failing_since<?)"]);
    assert_eq!(
        plan(BEHIND),
        [
            "SEARCH behind USING INDEX delivery_queued_open (receiver=? AND since<?)",
            "SCALAR SUBQUERY 1",
            "SEARCH delivery USING COVERING INDEX delivery_failing (receiver=? AND failing_since<?)",
            "SEARCH head USING INDEX delivery_one_ready (lane=?)",
            "SEARCH digest USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        ]
    );
    assert_eq!(
        plan(CARRIED),
        [
            "SEARCH digest USING INDEX delivery_digests (receiver=?)",
            "SEARCH carried USING COVERING INDEX delivery_carried_open (digest=?)",
        ]
    );
}

#[tokio::test]
async fn many_that_wait_for_nobody_go_in_pieces_and_in_order() {
    let fixture = with_many().await;
    let departed = fixture.store.take_over(vec![listed("slack", None)], at(130)).await.unwrap();
    let to = Some("slack".into());
    let expected = Departed { receiver: "oncall".into(), to, fell_back: MANY, dropped: MANY, dead: 0 };
    assert_eq!(departed, [expected]);
    check_told(&fixture, 130).await;
    let backdoor = fixture.backdoor();
    let left = "SELECT (SELECT count(*) FROM delivery WHERE receiver = 'oncall')
                     + (SELECT count(*) FROM lane WHERE receiver = 'oncall')";
    assert_eq!(backdoor.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn a_delivery_and_its_fallback_are_written_together_or_not_at_all() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    let backdoor = fixture.backdoor();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON delivery WHEN NEW.receiver = 'slack'
                  BEGIN SELECT RAISE(ABORT, 'on purpose'); END";
    backdoor.execute_batch(refuse).unwrap();
    let leased = store.take("oncall", 110).await;
    assert!(store.settle(leased.lease, dead("oncall", "slack"), at(120)).await.is_err());
    assert!(store.fall_back(overdue("oncall", "slack", Some(0), 10_000)).await.is_err());
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.receivers["oncall"].pending, stats.receivers["oncall"].dead), (1, 0));
    backdoor.execute_batch("DROP TRIGGER refuse").unwrap();
    let reasons = store.post(vec![firing(1, 100)], &["oncall", "slack"], 120).await;
    assert_eq!(reasons, [Reason::Duplicate, Reason::First], "nothing of it is remembered");
}

#[tokio::test]
async fn what_fell_back_before_a_crash_does_not_fall_back_after_it() {
    let fixture = Fixture::new();
    let roster = || vec![listed("oncall", Some("slack")), listed("slack", None)];
    fixture.store.take_over(roster(), at(100)).await.unwrap();
    fixture.store.post(vec![firing(1, 100), firing(2, 100), firing(3, 100)], &["oncall"], 110).await;
    let failing = [fixture.store.take("oncall", 110).await, fixture.store.take("oncall", 110).await];
    for failed in failing {
        let again = Outcome::RetryAt { at: at(500), began: at(110), error: "HTTP 503".to_owned() };
        fixture.store.done(failed.lease, again, 110).await;
    }
    assert_eq!(fixture.store.fall_back(overdue("oncall", "slack", None, 410)).await.unwrap().len(), 2);
    let again = fixture.store.take("oncall", 420).await;
    assert_eq!(fixture.store.done(again.lease, dead("oncall", "slack"), 420).await, Settled::FellBack, "the third");

    let folder = fixture.folder.crashed();
    let store = open(&folder.data(), &cache());
    let stats = store.stats().await.unwrap().receivers;
    assert_eq!((stats["slack"].pending, stats["oncall"].pending, stats["oncall"].dead), (3, 2, 1));
    assert_eq!(stats["oncall"].failing_since, Some(at(110)));
    assert_eq!(store.fall_back(overdue("oncall", "slack", Some(0), 10_000)).await.unwrap(), []);
    let told = store.take("slack", 420).await.notification.fallback.unwrap();
    assert_eq!((told.receiver.as_str(), told.reason.as_str()), ("oncall", "HTTP 503 for 5m"));
    // Who was there before the crash is known.
    let departed = store.take_over(vec![listed("slack", None)], at(500)).await.unwrap();
    assert_eq!(departed.iter().map(|departed| departed.dropped).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn what_cannot_be_read_does_not_fall_back_and_is_not_forgotten() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.take_over(vec![listed("oncall", Some("slack")), listed("slack", None)], at(100)).await.unwrap();
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    fixture.backdoor().execute("UPDATE delivery SET content = 'nonsense' WHERE id = 1", []).unwrap();
    assert_eq!(store.fall_back(overdue("oncall", "slack", Some(0), 10_000)).await.unwrap().len(), 1);
    let departed = store.take_over(vec![listed("slack", None)], at(10_000)).await.unwrap();
    assert_eq!((departed[0].fell_back, departed[0].dropped, departed[0].dead), (0, 1, 1));
}
