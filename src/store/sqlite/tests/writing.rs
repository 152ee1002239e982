//! The writer: commits are shared, failures are not.

use std::sync::Arc;

use super::{Fixture, cache, open};
use crate::alert::Fingerprint;
use crate::clock::Timestamp;
use crate::dedup::{Cache, Decision, Known, Remembered};
use crate::notification::Reason;
use crate::store::conformance::{
    LIMIT, REPEAT, RETENTION, Words, ask, at, contents, firing, intake, resolved, targets,
};
use crate::store::sqlite::tx::Fact;
use crate::store::sqlite::writer::{IfAbandoned, Writer};
use crate::store::{Admin, Outcome, Settled, Store, StoreError};

/// Keeps the writer busy until the sender is dropped.
fn busy(writer: &Writer) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Result<(), StoreError>> + '_) {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let work = writer.run(1, IfAbandoned::Run, move |_| {
        let _ = wait.recv();
        Ok(())
    });
    (release, work)
}

#[tokio::test]
async fn concurrent_requests_share_a_commit() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.store);
    store.ping().await.unwrap();
    let before = store.commits();
    let mut tasks = tokio::task::JoinSet::new();
    let (release, blocker) = busy(&store.writer);
    let mut blocker = Box::pin(blocker);
    assert!(poll_once(blocker.as_mut()).await.is_none());
    for fingerprint in 0..LIMIT {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            store.accept(intake("g", vec![firing(fingerprint, 100)], &["oncall"], 110)).await.unwrap().deliveries
        });
    }
    tokio::task::yield_now().await;
    drop(release);
    blocker.await.unwrap();
    while let Some(deliveries) = tasks.join_next().await {
        assert_eq!(deliveries.unwrap(), [("oncall".into(), 1)]);
    }
    let commits = store.commits() - before;
    assert!((1..=3).contains(&commits), "{LIMIT} accepts and what they waited for: {commits} commits");
}

/// Polls once; what came of it.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(move |cx| match std::pin::Pin::new(&mut future).poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// Runs all of them in one transaction.
async fn together<A, B, C>(fixture: &Fixture, a: A, b: B, c: C) -> (A::Output, B::Output, C::Output)
where
    A: Future,
    B: Future,
    C: Future,
{
    let (release, blocker) = busy(&fixture.store.writer);
    let mut blocker = Box::pin(blocker);
    assert!(poll_once(blocker.as_mut()).await.is_none());
    // `biased` polls, and so queues, in this order before anything is released.
    let (a, b, c, ()) = tokio::join!(biased; a, b, c, async {
        drop(release);
        // It may be in the same transaction, and fail with it.
        let _ = blocker.await;
    });
    (a, b, c)
}

#[tokio::test]
async fn one_that_fails_does_not_sink_the_others() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let accept = |fingerprint| store.accept(intake("g", vec![firing(fingerprint, 100)], &["oncall"], 110));
    let broken = store.writer.run(1, IfAbandoned::Run, |tx| {
        tx.conn.execute("INSERT INTO lane (id, receiver, key) VALUES (77, 'x', 'x')", [])?;
        tx.counts.waiting += 10;
        let known = Known { ends_at: None, starts_at: None, notified_at: at(110) };
        tx.facts.push(Fact::Told(Fingerprint(9), vec![Remembered { receiver: "oncall".into(), known }]));
        Ok(tx.conn.execute("INSERT INTO delivery (id, lane, state) VALUES (1, 1, 'odd')", []).map(|_| ())?)
    });
    let (first, failed, last) = together(&fixture, accept(1), broken, accept(2)).await;
    assert!(first.is_ok() && last.is_ok());
    assert!(matches!(failed, Err(StoreError::Unavailable(why)) if why.contains("constraint")));
    let lanes: i64 = fixture.backdoor().query_row("SELECT count(*) FROM lane", [], |row| row.get(0)).unwrap();
    assert_eq!(lanes, 2, "what it had written is gone");
    assert_eq!(cached(&fixture.cache, 9), None, "and was never remembered");
    // The count of what waits is exact: there is room for so many and not one more.
    let many: Vec<_> = (10..10 + LIMIT - 2).map(|fingerprint| firing(fingerprint, 100)).collect();
    store.accept(intake("g", many, &["oncall"], 110)).await.unwrap();
    assert!(matches!(accept(5).await, Err(StoreError::Full { pending: LIMIT, .. })));
}

#[tokio::test]
async fn a_commit_that_fails_fails_all_and_nothing_is_remembered() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let accept = |fingerprint| store.accept(intake("g", vec![firing(fingerprint, 100)], &["oncall"], 110));
    // A violation that is only found by the commit.
    let spoils = store.writer.run(1, IfAbandoned::Run, |tx| {
        tx.conn.execute_batch("PRAGMA defer_foreign_keys = ON")?;
        tx.conn.execute(
            "INSERT INTO dedup (fingerprint, receiver, notified_at, delivery) VALUES (99, 'x', 0, 4711)",
            [],
        )?;
        Ok(())
    });
    let (first, failed, last) = together(&fixture, accept(1), spoils, accept(2)).await;
    for error in [first.unwrap_err(), failed.unwrap_err(), last.unwrap_err()] {
        assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
    }
    assert_eq!((cached(&fixture.cache, 1), cached(&fixture.cache, 2)), (None, None));
    assert_eq!(store.stats().await.unwrap(), crate::store::Stats::default());
    assert_eq!(store.post(vec![firing(1, 100)], &["oncall"], 110).await, [Reason::First], "and it goes on");
}

#[tokio::test]
async fn a_panic_fails_its_batch_and_no_more() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let accept = |fingerprint| store.accept(intake("g", vec![firing(fingerprint, 100)], &["oncall"], 110));
    let panics = store.writer.run::<(), _>(1, IfAbandoned::Run, |_| panic!("on purpose"));
    let (first, failed, last) = together(&fixture, accept(1), panics, accept(2)).await;
    for error in [first.unwrap_err(), failed.unwrap_err(), last.unwrap_err()] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    assert_eq!(store.post(vec![firing(1, 100)], &["oncall"], 110).await, [Reason::First]);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn nothing_is_leased_for_a_caller_that_has_gone() {
    let fixture = Fixture::new();
    fixture.store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let (release, blocker) = busy(&fixture.store.writer);
    let mut blocker = Box::pin(blocker);
    assert!(poll_once(blocker.as_mut()).await.is_none());
    let mut gone = fixture.store.lease(ask("slack", 110));
    assert!(poll_once(gone.as_mut()).await.is_none());
    drop(gone);
    drop(release);
    blocker.await.unwrap();
    assert_eq!(fixture.store.take("slack", 110).await.notification.attempt, 1);
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let limit = |pages: &'static str| {
        store.writer.run(1, IfAbandoned::Run, move |tx| {
            Ok(tx.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
        })
    };
    limit("1").await.unwrap();
    let many = || (1..=LIMIT).map(|fingerprint| firing(fingerprint, 100)).collect::<Vec<_>>();
    let mut big = many();
    big[0].generator_url = "x".repeat(100_000);
    let error = store.accept(intake("g", big, &["oncall"], 110)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("full")), "{error}");
    assert_eq!(cached(&fixture.cache, 1), None);
    limit("4294967294").await.unwrap();
    assert_eq!(
        store.accept(intake("g", many(), &["oncall"], 110)).await.unwrap().deliveries,
        [("oncall".into(), LIMIT)]
    );
}

/// What the cache alone says to a copy of an alert for `oncall`.
fn cached(cache: &Cache, fingerprint: u64) -> Option<Decision> {
    let targets = targets();
    let wants = [(&targets["oncall"], REPEAT)];
    cache.drops(&firing(fingerprint, 100), wants.into_iter(), at(120)).map(|all| all[0].1)
}

#[tokio::test]
async fn the_cache_knows_what_is_committed_and_plain() {
    let fixture = Fixture::new();
    let (store, cache) = (&fixture.store, &fixture.cache);
    let duplicate = Some(Decision::Drop(Reason::Duplicate));
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    assert_eq!((cached(cache, 1), cached(cache, 2)), (duplicate, duplicate));
    let dead = store.take("oncall", 110).await;
    assert_eq!(contents(&dead), [(1, Reason::First)]);
    store.done(dead.lease, Outcome::Dead { error: String::new(), fallback: None }, 110).await;
    assert_eq!((cached(cache, 1), cached(cache, 2)), (None, duplicate), "a dead letter was never told");

    store.post(vec![resolved(2, 100, 111)], &["oncall"], 112).await;
    let at_end = cache.drops(&resolved(2, 100, 111), [(&targets()["oncall"], REPEAT)].into_iter(), at(120));
    assert_eq!(at_end.map(|all| all[0].1), duplicate);
    store.post(vec![firing(2, 100)], &["oncall"], 113).await;
    let held = cache.drops(&resolved(2, 100, 111), [(&targets()["oncall"], REPEAT)].into_iter(), at(120));
    assert_eq!(held, None, "its resolve must come through");
    store.deliver("oncall", 500).await;
    store.deliver("oncall", 500).await;
    assert_eq!(cached(cache, 2), None, "released");
    store.post(vec![firing(2, 100)], &["oncall"], 501).await;
    assert_eq!(cached(cache, 2), duplicate, "a copy reads it in again");
    store.prune(at(1_000_000_000), RETENTION).await.unwrap();
    assert_eq!(cached(cache, 2), None, "pruned");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_becomes_a_dead_letter() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for fingerprint in 1..=4 {
        store.post(vec![firing(fingerprint, 100)], &["slack"], 110).await;
    }
    let backdoor = fixture.backdoor();
    backdoor.execute("UPDATE delivery SET content = 'nonsense' WHERE id = 1", []).unwrap();
    backdoor.execute("UPDATE delivery SET content = CAST(x'fffe' AS TEXT) WHERE id = 2", []).unwrap();
    backdoor.execute("UPDATE delivery SET content = '{\"format\":9}' WHERE id = 3", []).unwrap();
    assert_eq!(store.deliver("slack", 110).await, [(4, Reason::First)]);
    assert_eq!(store.stats().await.unwrap().receivers["slack"].dead, 3);
    let error: String = backdoor.query_row("SELECT error FROM delivery WHERE id = 3", [], |row| row.get(0)).unwrap();
    assert_eq!(error, "delivery 3 cannot be read: its format is 9, this version of alertrouter knows 1");
    assert_eq!(store.post(vec![firing(3, 100)], &["slack"], 120).await, [Reason::First], "it was never told");
}

#[tokio::test]
async fn many_at_once_are_all_stored_once() {
    let fixture = Fixture::new();
    drop(fixture.store);
    let options = super::Options { max_outbox: 10_000, cache: cache() };
    let store = super::SqliteStore::open(&fixture.folder.data(), options, Timestamp::UNIX_EPOCH).unwrap();
    let store = Arc::new(store);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..40 {
        let store = Arc::clone(&store);
        // Each alert comes from two members of a pair.
        tasks.spawn(async move { store.post(vec![firing(task / 2, 100)], &["slack", "oncall"], 110).await });
    }
    let mut firsts = 0;
    while let Some(reasons) = tasks.join_next().await {
        firsts += reasons.unwrap().into_iter().filter(|reason| *reason == Reason::First).count();
    }
    assert_eq!(firsts, 40);
    assert_eq!(store.stats().await.unwrap().dedup_entries, 40);
}

#[tokio::test]
async fn dropping_finishes_what_is_queued() {
    let fixture = Fixture::new();
    let store = fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let lease = store.take("slack", 110).await.lease;
    let (release, blocker) = busy(&store.writer);
    let mut blocker = Box::pin(blocker);
    assert!(poll_once(blocker.as_mut()).await.is_none());
    // Its caller goes, but what it tells has happened.
    let mut settle = store.settle(lease, crate::store::conformance::DELIVERED, at(111));
    assert!(poll_once(settle.as_mut()).await.is_none());
    drop((settle, blocker, release));
    drop(store);
    let wal = fixture.folder.data().join("alertrouter.db-wal");
    assert!(wal.metadata().map_or(0, |file| file.len()) == 0, "the log is in the database");
    let store = open(&fixture.folder.data(), &cache());
    assert_eq!(store.settle(lease, Outcome::Released, at(112)).await.unwrap(), Settled::LeaseLost);
    assert_eq!(store.nothing_due("slack", 1_000).await, None);
}
