//! What a crash leaves behind.

use super::{Fixture, Folder, cache, open};
use crate::notification::{Reason, Receipt};
use crate::store::conformance::{DELIVERED, LIMIT, RETENTION, Words, at, contents, firing, intake, resolved};
use crate::store::sqlite::SqliteStore;
use crate::store::{Admin, Outcome, Settled, Store, StoreError};

/// The same store after a crash. Both parts must live as long as it is used.
fn crash(fixture: &Fixture) -> (SqliteStore, Folder) {
    let folder = fixture.folder.crashed();
    (open(&folder.data(), &cache()), folder)
}

#[tokio::test]
async fn what_was_answered_is_there() {
    let fixture = Fixture::new();
    fixture.store.post(vec![firing(1, 100)], &["slack"], 110).await;
    fixture.store.post(vec![resolved(1, 100, 120)], &["slack"], 120).await;
    fixture.store.post(vec![firing(1, 100)], &["slack"], 130).await;
    let (store, _folder) = crash(&fixture);
    assert_eq!(store.stats().await.unwrap(), fixture.store.stats().await.unwrap());
    assert_eq!(store.post(vec![resolved(1, 100, 90)], &["slack"], 140).await, [Reason::Duplicate]);
    assert_eq!(store.deliver("slack", 140).await, [(1, Reason::First)]);
    assert_eq!(store.deliver("slack", 140).await, [(1, Reason::Resolved)]);
    assert_eq!(store.deliver("slack", 430).await, [(1, Reason::Refired)]);
}

#[tokio::test]
async fn leases_end_and_attempts_are_remembered() {
    let fixture = Fixture::new();
    fixture.store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let lost = fixture.store.take("slack", 110).await;
    let (store, _folder) = crash(&fixture);
    assert_eq!(store.settle(lost.lease, DELIVERED, at(111)).await.unwrap(), Settled::LeaseLost);
    let again = store.take("slack", 111).await;
    assert_eq!((contents(&again), again.notification.attempt), (contents(&lost), 2));
    assert_ne!(again.lease, lost.lease);
}

#[tokio::test]
async fn the_limit_counts_what_was_there_before() {
    let fixture = Fixture::new();
    let many: Vec<_> = (1..LIMIT).map(|fingerprint| firing(fingerprint, 100)).collect();
    fixture.store.accept(intake("g", many, &["oncall"], 110)).await.unwrap();
    fixture.store.take("oncall", 110).await;
    fixture.store.post(vec![firing(100, 100)], &["slack"], 110).await;
    let (store, _folder) = crash(&fixture);
    let one_more = store.accept(intake("g", vec![firing(200, 100)], &["slack"], 110)).await;
    assert!(matches!(one_more, Err(StoreError::Full { pending: LIMIT, .. })));
}

#[tokio::test]
async fn receipts_and_ids_go_on() {
    let fixture = Fixture::new();
    fixture.store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let first = fixture.store.take("slack", 110).await;
    let receipt = Some(Receipt("C1:17".to_owned()));
    fixture.store.done(first.lease, Outcome::Delivered { receipt: receipt.clone() }, 110).await;
    fixture.store.prune(at(1_000_000), RETENTION).await.unwrap();
    let (store, _folder) = crash(&fixture);
    store.post(vec![firing(2, 100)], &["slack"], 120).await;
    let second = store.take("slack", 120).await;
    assert_eq!(second.notification.receipt, receipt);
    assert!(second.notification.id > first.notification.id, "an id is never used twice");
}
