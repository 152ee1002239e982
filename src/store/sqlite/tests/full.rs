//! SQLite's own "database or disk is full", by a limit on its pages.

use super::Fixture;
use crate::store::conformance::{ask, at, firing, intake};
use crate::store::sqlite::writer::IfAbandoned;
use crate::store::{Admin, Outcome, Settled, Store, StoreError};

/// From now on the database may have so many pages; SQLite takes what it has as the least.
async fn limit(fixture: &Fixture, pages: i64) {
    let work = move |tx: &mut crate::store::sqlite::tx::Tx<'_>| {
        Ok(tx.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
    };
    fixture.store.writer.run(1, IfAbandoned::Run, work).await.unwrap();
}

#[tokio::test]
async fn what_is_full_takes_nothing_and_forgets_nothing() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    limit(&fixture, 1).await;
    let mut taken = 0;
    let error = loop {
        // Each in a lane of its own and long enough to fill pages.
        let group = format!("{taken}-{}", "x".repeat(2000));
        match store.accept(intake(&group, vec![firing(taken, 100)], &["oncall"], 110)).await {
            Ok(accepted) => assert_eq!(accepted.deliveries.len(), 1),
            Err(error) => break error,
        }
        taken += 1;
        assert!(taken < 1000, "the limit is none");
    };
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("database or disk is full")), "{error}");
    // What needs no room goes on: a delivery is leased and settled.
    let leased = store.lease(ask("oncall", 120)).await.unwrap().leased.unwrap();
    let settled = store.settle(leased.lease, Outcome::Delivered { receipt: None }, at(121)).await.unwrap();
    assert_eq!(settled, Settled::Done);
    limit(&fixture, 1_000_000).await;
    let group = format!("{taken}-{}", "x".repeat(2000));
    let accepted = store.accept(intake(&group, vec![firing(taken, 100)], &["oncall"], 130)).await.unwrap();
    assert_eq!(accepted.deliveries.len(), 1, "nothing of what was refused is remembered");
    let pending = store.stats().await.unwrap().receivers.values().map(|counts| counts.pending).sum::<u64>();
    assert_eq!(pending, taken, "all that was taken, less the one delivered, and the last");
}
