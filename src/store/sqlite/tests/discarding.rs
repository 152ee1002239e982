//! Giving up on purpose, and that the store notices.

use super::Fixture;
use crate::notification::{DeliveryId, Reason};
use crate::store::conformance::{
    DELIVERED, REPEAT, Words, again_at, at, contents, firing, fold_request, intake, resolved, targets,
};
use crate::store::outbox::{Discarded, EventKind, Retried, State};
use crate::store::{Admin, Settled, Store, StoreError};

#[tokio::test]
async fn what_is_discarded_was_never_told_and_its_lane_goes_on() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let leased = {
        store.post(vec![firing(1, 100)], &["slack"], 110).await;
        store.post(vec![firing(2, 100)], &["slack"], 111).await;
        store.post(vec![firing(3, 100)], &["slack"], 112).await;
        store.take("slack", 113).await.lease
    };
    assert_eq!(fixture.discard(leased.delivery, 114), Discarded::UnderWay);
    assert_eq!(store.done(leased, again_at(500), 115).await, Settled::Done);
    assert_eq!(fixture.discard(leased.delivery, 116), Discarded::Done { resolved: 0 });
    assert_eq!(fixture.discard(DeliveryId(leased.delivery.0 + 1), 116), Discarded::Done { resolved: 0 });
    assert_eq!(store.deliver("slack", 117).await, [(3, Reason::First)]);
    assert_eq!((store.pending("slack").await, fixture.dead().await), (0, 0));
    for fingerprint in [1, 2] {
        assert_eq!(store.post(vec![firing(fingerprint, 100)], &["slack"], 120).await, [Reason::First]);
    }
    let events = fixture.events(leased.delivery);
    assert_eq!(events, [(116, EventKind::Discarded, Some("it was ready".to_owned()))]);
    let dead = fixture.dies("oncall", vec![resolved(4, 100, 200)], 210).await;
    assert_eq!(fixture.dead().await, 1);
    assert_eq!(fixture.discard(dead, 220), Discarded::Done { resolved: 1 });
    assert_eq!(fixture.dead().await, 0);
    assert_eq!(
        fixture.list(|filter| filter.states = vec![State::Discarded]),
        [(dead.0, State::Discarded), (leased.delivery.0 + 1, State::Discarded), (leased.delivery.0, State::Discarded)]
    );
}

#[tokio::test]
async fn what_goes_before_a_discarded_one_counts_as_told() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![firing(2, 100), resolved(1, 100, 200)], &["slack"], 210).await;
    let (end, _) = fixture.list(|filter| filter.states = vec![State::Queued])[0];
    assert_eq!(fixture.discard(DeliveryId(end), 220), Discarded::Done { resolved: 1 });
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 221).await, [Reason::Duplicate], "it is told of that yet");
    assert_eq!(store.deliver("slack", 230).await, [(1, Reason::First)]);
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["slack"], 240).await, [Reason::Resolved]);
    assert_eq!(store.post(vec![firing(2, 100)], &["slack"], 240).await, [Reason::First]);
}

#[tokio::test]
async fn an_attempt_that_comes_back_late_does_not_bring_back_what_was_discarded() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let lease = store.take("slack", 111).await.lease;
    let over = 111 + 61;
    assert_eq!(fixture.list(|filter| filter.now = at(over)), [(lease.delivery.0, State::Ready)]);
    assert_eq!(fixture.discard(lease.delivery, over), Discarded::Done { resolved: 0 });
    assert_eq!(store.done(lease, DELIVERED, over + 1).await, Settled::LeaseLost);
    assert_eq!(fixture.list(|_| ()), [(lease.delivery.0, State::Discarded)]);
}

#[tokio::test]
async fn what_a_digest_carries_can_be_given_up_until_it_is_sent() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for fingerprint in 1..4 {
        let group = format!("g{fingerprint}");
        store.accept(intake(&group, vec![firing(fingerprint, 100)], &["slack"], 110)).await.unwrap();
    }
    store.fold(fold_request("slack", 120)).await.unwrap();
    let digest = DeliveryId(4);
    let carried = |id| fixture.reader().delivery(DeliveryId(id), at(121)).unwrap().unwrap().entry.digest;
    assert_eq!((carried(1), carried(3)), (Some(digest), Some(digest)));
    let number = || fixture.reader().delivery(digest, at(121)).unwrap().map(|detail| detail.entry.carries);
    assert_eq!(number(), Some(Some(3)));
    assert_eq!(fixture.discard(digest, 121), Discarded::IsDigest);
    assert_eq!(fixture.discard(DeliveryId(2), 121), Discarded::Done { resolved: 0 });
    assert_eq!((number(), carried(2), store.pending("slack").await), (Some(Some(2)), None, 2));
    let leased = store.take("slack", 122).await;
    assert_eq!(contents(&leased), [(1, Reason::First), (3, Reason::First)]);
    assert_eq!(fixture.discard(DeliveryId(1), 123), Discarded::UnderWay);
    assert_eq!(store.done(leased.lease, again_at(500), 124).await, Settled::Done);
    assert_eq!(fixture.retry(&[DeliveryId(1)], 125), [Retried::DueNow]);
    assert_eq!(store.done(store.take("slack", 126).await.lease, DELIVERED, 127).await, Settled::Done);
    let told = fixture.list(|filter| filter.alertnames = vec!["Alert1".to_owned()]);
    assert_eq!((told, carried(1)), (vec![(1, State::Delivered)], Some(digest)));
    // The last one of a digest takes it away.
    for fingerprint in 5..7 {
        let group = format!("g{fingerprint}");
        store.accept(intake(&group, vec![firing(fingerprint, 100)], &["slack"], 210)).await.unwrap();
    }
    store.fold(fold_request("slack", 220)).await.unwrap();
    for id in [5, 6] {
        assert_eq!(fixture.discard(DeliveryId(id), 230), Discarded::Done { resolved: 0 });
    }
    assert_eq!(fixture.list(|filter| filter.states = State::WAITING.to_vec()), []);
    assert!(fixture.reader().delivery(DeliveryId(7), at(231)).unwrap().is_none());
}

#[tokio::test]
async fn a_critical_one_that_is_sent_again_goes_first() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let labels = [("alertname", "Alert1"), ("severity", "critical")].into_iter().collect();
    let critical = crate::alert::Alert { labels, ..firing(1, 100) };
    let id = fixture.dies("slack", vec![critical], 110).await;
    for fingerprint in 2..4 {
        let group = format!("g{fingerprint}");
        store.accept(intake(&group, vec![firing(fingerprint, 100)], &["slack"], 111)).await.unwrap();
    }
    fixture.retry(&[id], 120);
    assert_eq!(store.deliver("slack", 121).await, [(1, Reason::First)], "before what was due earlier");
}

#[tokio::test]
async fn the_writer_notices_what_others_have_done() {
    let fixture = Fixture::with_room(2);
    let store = &fixture.store;
    let id = fixture.dies("slack", vec![firing(1, 100)], 110).await;
    store.post(vec![firing(2, 100)], &["slack"], 120).await;
    fixture.retry(&[id], 130);
    let full = store.accept(intake("g", vec![firing(3, 100)], &["slack"], 140)).await;
    assert!(matches!(full, Err(StoreError::Full { pending: 2, limit: 2 })), "{full:?}");
    fixture.discard(id, 150);
    assert_eq!(store.post(vec![firing(3, 100)], &["slack"], 160).await, [Reason::First]);
    // What the cache knew of an alert that was told and is not any more.
    let copy = firing(3, 100);
    let targets = targets();
    let wants = || [(&targets["slack"], REPEAT)].into_iter();
    assert!(fixture.cache.drops(&copy, wants(), at(161)).is_some());
    let (newest, _) = fixture.list(|_| ())[0];
    fixture.discard(DeliveryId(newest), 170);
    store.ping().await.unwrap();
    assert!(fixture.cache.drops(&copy, wants(), at(171)).is_none());
    assert_eq!(store.post(vec![copy], &["slack"], 172).await, [Reason::First]);
}

#[tokio::test]
async fn held_copies_are_counted_after_others_have_written() {
    let fixture = Fixture::with_room(1);
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.deliver("slack", 111).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    store.deliver("slack", 211).await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 220).await, [Reason::Held]);
    let (held, _) = fixture.list(|filter| filter.states = vec![State::Held])[0];
    assert_eq!(fixture.discard(DeliveryId(held), 230), Discarded::Done { resolved: 0 });
    assert_eq!(store.pending("slack").await, 0);
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 240).await, [Reason::Held], "there is room again");
    assert_eq!(store.post(vec![resolved(1, 100, 300)], &["slack"], 310).await, [Reason::Duplicate]);
    assert_eq!(store.pending("slack").await, 0, "a resolve still finds what is held");
}
