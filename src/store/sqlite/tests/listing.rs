//! What is seen of deliveries afterwards.

use super::Fixture;
use crate::alert::Alert;
use crate::store::Settled;
use crate::store::conformance::{DELIVERED, Words, at, dead, firing};
use crate::store::outbox::{EventKind, Filter, State};

#[tokio::test]
async fn filters_mean_what_they_say() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let odd = Alert { labels: [("alertname", "a \"b\", ü/c")].into_iter().collect(), ..firing(7, 100) };
    store.post(vec![firing(1, 100), firing(2, 100), firing(2, 100)], &["slack"], 110).await; // 1
    store.post(vec![firing(1, 100)], &["oncall"], 120).await; // 2
    store.post(vec![odd.clone()], &["oncall"], 130).await; // 3
    store.post(vec![firing(12, 100)], &["slack"], 140).await; // 4
    store.deliver("slack", 150).await;
    let lease = store.take("oncall", 151).await.lease;
    store.done(lease, DELIVERED, 152).await;
    let lease = store.take("oncall", 960).await.lease;
    assert_eq!(
        fixture.list(|_| ()),
        [(4, State::Ready), (3, State::Leased), (2, State::Delivered), (1, State::Delivered)]
    );
    let ids = |change: fn(&mut Filter)| fixture.list(change).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(|filter| filter.receivers = vec!["slack".to_owned()]), [4, 1]);
    assert_eq!(ids(|filter| filter.receivers = vec!["slack".to_owned(), "oncall".to_owned()]), [4, 3, 2, 1]);
    assert_eq!(ids(|filter| filter.alertnames = vec!["Alert1".to_owned()]), [2, 1]);
    assert_eq!(ids(|filter| filter.alertnames = vec!["Alert2".to_owned()]), [1]);
    assert_eq!(ids(|filter| filter.alertnames = vec!["Alert".to_owned()]), [] as [i64; 0]);
    assert_eq!(ids(|filter| filter.alertnames = vec!["a \"b\", ü/c".to_owned()]), [3]);
    assert_eq!(ids(|filter| filter.from = Some(at(120))), [4, 3, 2]);
    assert_eq!(ids(|filter| filter.until = Some(at(120))), [2, 1]);
    store.done(lease, DELIVERED, 970).await;
    assert_eq!(ids(|filter| filter.alertnames = vec!["a \"b\", ü/c".to_owned()]), [3], "delivered, too");
    let filter = Filter {
        receivers: vec!["slack".to_owned()],
        states: vec![State::Delivered],
        alertnames: Vec::new(),
        from: None,
        until: None,
        now: at(1000),
    };
    let (entries, more) = fixture.reader().deliveries(&filter, 1).unwrap();
    assert_eq!((entries.len(), more), (1, false));
    assert_eq!((&*entries[0].names, entries[0].alerts), (&["Alert1".to_owned(), "Alert2".to_owned()][..], 3));
    let filter = Filter { states: State::ALL.to_vec(), receivers: Vec::new(), ..filter };
    let (entries, more) = fixture.reader().deliveries(&filter, 3).unwrap();
    assert_eq!((entries.len(), more, entries[2].id.0), (3, true, 2));
}

#[tokio::test]
async fn what_cannot_be_read_is_delivered_and_listed_all_the_same() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let lease = store.take("slack", 111).await.lease;
    let backdoor = fixture.backdoor();
    backdoor.execute("UPDATE delivery SET content = CAST(x'7bff22' AS TEXT)", []).unwrap();
    let detail = fixture.reader().delivery(lease.delivery, at(112)).unwrap().unwrap();
    assert!(detail.unreadable.is_some(), "{detail:?}");
    assert_eq!(store.done(lease, DELIVERED, 113).await, Settled::Done);
    assert_eq!(fixture.list(|_| ()), [(lease.delivery.0, State::Delivered)]);
}

#[tokio::test]
async fn the_history_says_when_the_fallback_was_told() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    let lease = store.take("oncall", 111).await.lease;
    assert_eq!(store.done(lease, dead("oncall", "slack"), 112).await, Settled::FellBack);
    let fell_back = (112, EventKind::FellBack, Some("slack: HTTP 400".to_owned()));
    assert_eq!(fixture.events(lease.delivery), [fell_back, (112, EventKind::Dead, Some("HTTP 400".to_owned()))]);
    // It falls back once, also if it dies again.
    fixture.retry(&[lease.delivery], 120);
    let again = store.take("oncall", 121).await.lease;
    assert_eq!(store.done(again, dead("oncall", "slack"), 122).await, Settled::Done);
    let kinds: Vec<_> = fixture.events(lease.delivery).into_iter().map(|(_, what, _)| what).collect();
    assert_eq!(kinds, [EventKind::FellBack, EventKind::Dead, EventKind::Retried, EventKind::Dead]);
}
