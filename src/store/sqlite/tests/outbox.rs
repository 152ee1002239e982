//! Looking at deliveries, sending dead letters again, giving up: beside the store, as a command does it.

use std::collections::HashSet;

use super::{Fixture, open_with_room};
use crate::alert::Alert;
use crate::notification::{DeliveryId, Reason};
use crate::store::conformance::{DELIVERED, Words, again_at, at, contents, firing, listed, resolved};
use crate::store::outbox::{Discarded, EventKind, Filter, LeftOut, Retried, State};
use crate::store::sqlite::{Editor, SqliteReader, Wish};
use crate::store::{Admin, Outcome, Settled};

fn gave_up() -> Outcome {
    Outcome::Dead { error: "HTTP 404: no_service".to_owned(), fallback: None }
}

fn wish(now: i64) -> Wish {
    Wish { dry_run: false, force: false, now: at(now) }
}

impl Fixture {
    fn editor(&self) -> Editor {
        let editor = Editor::open(&self.folder.data()).unwrap();
        assert!(editor.is_beside_service());
        editor
    }

    fn retry_with(&self, ids: &[DeliveryId], wish: Wish) -> Vec<Retried> {
        self.editor().retry(ids, &ids.iter().copied().collect::<HashSet<_>>(), wish).unwrap()
    }

    pub(super) fn retry(&self, ids: &[DeliveryId], now: i64) -> Vec<Retried> {
        self.retry_with(ids, wish(now))
    }

    pub(super) fn discard(&self, id: DeliveryId, now: i64) -> Discarded {
        self.editor().discard(&[id], wish(now)).unwrap().remove(0)
    }

    pub(super) fn reader(&self) -> SqliteReader {
        SqliteReader::open(&self.folder.data()).unwrap()
    }

    /// Number and state of those that the filter lets through, newest first.
    pub(super) fn list(&self, change: impl FnOnce(&mut Filter)) -> Vec<(i64, State)> {
        let mut filter = Filter {
            receivers: Vec::new(),
            states: State::ALL.to_vec(),
            alertnames: Vec::new(),
            from: None,
            until: None,
            now: at(1000),
        };
        change(&mut filter);
        let (entries, more) = self.reader().deliveries(&filter, 100).unwrap();
        assert!(!more);
        entries.into_iter().map(|entry| (entry.id.0, entry.state)).collect()
    }

    pub(super) fn events(&self, id: DeliveryId) -> Vec<(i64, EventKind, Option<String>)> {
        let events = self.reader().delivery(id, at(1000)).unwrap().unwrap().events;
        events.into_iter().map(|event| (event.at.as_second(), event.what, event.note)).collect()
    }

    /// Accepts alerts for a receiver and gives them up at once.
    pub(super) async fn dies(&self, receiver: &str, alerts: Vec<Alert>, now: i64) -> DeliveryId {
        self.store.post(alerts, &[receiver], now).await;
        let leased = self.store.take(receiver, now).await;
        assert_eq!(self.store.done(leased.lease, gave_up(), now).await, Settled::Done);
        leased.lease.delivery
    }

    pub(super) async fn dead(&self) -> u64 {
        self.store.stats().await.unwrap().receivers.values().map(|receiver| receiver.dead).sum()
    }
}

fn told(told: u64) -> LeftOut {
    LeftOut { told, ended: 0 }
}

fn ended(ended: u64) -> LeftOut {
    LeftOut { told: 0, ended }
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_again_counts_as_told() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let id = fixture.dies("slack", vec![firing(1, 100), firing(2, 100)], 110).await;
    assert_eq!(fixture.retry(&[id], 500), [Retried::Waits(LeftOut::default())]);
    assert_eq!((fixture.dead().await, store.pending("slack").await), (0, 1));
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 501).await, [Reason::Duplicate]);
    let leased = store.take("slack", 510).await;
    assert_eq!(contents(&leased), [(1, Reason::First), (2, Reason::First)]);
    assert_eq!(leased.lease.delivery, id);
    assert_eq!(leased.notification.attempt, 2, "an earlier attempt may have arrived");
    assert_eq!((leased.since, leased.notification.received_at), (at(500), at(110)), "its age counts anew");
    assert_eq!(store.done(leased.lease, DELIVERED, 511).await, Settled::Done);
    assert_eq!(store.post(vec![resolved(1, 100, 600)], &["slack"], 610).await, [Reason::Resolved]);
    let events = fixture.events(id);
    let error = Some("HTTP 404: no_service".to_owned());
    assert_eq!(events, [(110, EventKind::Dead, error), (500, EventKind::Retried, None)]);
}

#[tokio::test]
async fn what_was_told_since_is_left_out() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let both = fixture.dies("slack", vec![firing(1, 100), firing(2, 100)], 110).await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 120).await, [Reason::First]);
    store.deliver("slack", 121).await;
    let one = fixture.dies("slack", vec![firing(3, 100)], 130).await;
    store.post(vec![firing(3, 100)], &["slack"], 140).await;
    store.deliver("slack", 141).await;
    let waits = vec![Retried::Waits(told(1)), Retried::NothingToTell(told(1))];
    assert_eq!(fixture.retry_with(&[both, one], Wish { dry_run: true, ..wish(200) }), waits);
    assert_eq!((fixture.dead().await, fixture.events(both).len()), (2, 1), "nothing was changed");
    assert_eq!(fixture.retry(&[both, one], 200), waits);
    assert_eq!(store.deliver("slack", 201).await, [(2, Reason::First)]);
    assert_eq!(fixture.dead().await, 1);
    let note = fixture.events(both)[1].2.clone();
    assert_eq!(note.as_deref(), Some("without 1 that were told since"));

    let force = Wish { force: true, ..wish(300) };
    assert_eq!(fixture.retry_with(&[one], force), [Retried::Waits(LeftOut::default())]);
    assert_eq!(store.deliver("slack", 301).await, [(3, Reason::First)]);
    assert_eq!(store.post(vec![resolved(3, 100, 400)], &["slack"], 410).await, [Reason::Resolved]);
}

#[tokio::test]
async fn no_incident_is_opened_that_nobody_closes() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    // The end came while the beginning was dead; whoever keeps incidents is told of it.
    let id = fixture.dies("oncall", vec![firing(1, 100)], 110).await;
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["oncall"], 210).await, [Reason::UnknownResolved]);
    assert_eq!(fixture.retry(&[id], 220), [Retried::NothingToTell(ended(1))]);
    store.deliver("oncall", 221).await;
    assert_eq!(fixture.retry(&[id], 222), [Retried::NothingToTell(ended(1))]);
    // Somebody else was told of the end: to this one it was not known, so nothing was noted.
    let id = fixture.dies("slack", vec![firing(2, 100)], 110).await;
    store.post(vec![firing(2, 100)], &["quiet"], 110).await;
    store.deliver("quiet", 111).await;
    store.post(vec![resolved(2, 100, 200)], &["slack", "quiet"], 210).await;
    assert_eq!(fixture.retry(&[id], 220), [Retried::NothingToTell(ended(1))]);
    // The same alert fires again meanwhile, which says nothing of the episode that died.
    let later = fixture.dies("slack", vec![firing(2, 300)], 310).await;
    assert_eq!(
        fixture.retry(&[id, later], 320),
        [Retried::NothingToTell(ended(1)), Retried::Waits(LeftOut::default())]
    );
}

#[tokio::test]
async fn a_beginning_and_its_end_that_both_died_go_together() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["oncall"], 210).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let leased = store.take("oncall", 220).await;
        store.done(leased.lease, gave_up(), 220).await;
        ids.push(leased.lease.delivery);
    }
    assert_eq!(fixture.retry(&ids[..1], 300), [Retried::NothingToTell(ended(1))], "its end is dead, too");
    assert_eq!(fixture.retry(&ids, 300), [Retried::Waits(LeftOut::default()), Retried::Waits(LeftOut::default())]);
    assert_eq!(store.deliver("oncall", 301).await, [(1, Reason::First)]);
    assert_eq!(store.deliver("oncall", 302).await, [(1, Reason::Resolved)]);
    // An end whose alert was told again since: it would go in front of that, and leave it open.
    let end = fixture.dies("oncall", vec![resolved(3, 100, 200)], 310).await;
    assert_eq!(store.post(vec![firing(3, 100)], &["oncall"], 311).await, [Reason::First]);
    assert_eq!(fixture.retry(&[end], 312), [Retried::NothingToTell(told(1))]);
    store.deliver("oncall", 313).await;
    // The end alone: what it closes may be open.
    store.post(vec![firing(2, 100)], &["oncall"], 310).await;
    store.deliver("oncall", 311).await;
    let end = fixture.dies("oncall", vec![resolved(2, 100, 200)], 320).await;
    assert_eq!(fixture.retry(&[end], 330), [Retried::Waits(LeftOut::default())]);
    assert_eq!(store.deliver("oncall", 331).await, [(2, Reason::Resolved)]);
}

#[tokio::test]
async fn it_goes_back_to_its_place_in_its_lane() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let first = fixture.dies("slack", vec![firing(1, 100)], 110).await;
    store.post(vec![firing(2, 100)], &["slack"], 120).await;
    store.post(vec![firing(3, 100)], &["slack"], 121).await;
    fixture.retry(&[first], 130);
    for expected in [1, 2, 3] {
        assert_eq!(store.deliver("slack", 140).await, [(expected, Reason::First)]);
    }
    // What was tried already may have arrived: it keeps its place.
    let dead = fixture.dies("slack", vec![firing(4, 100)], 150).await;
    store.post(vec![firing(5, 100)], &["slack"], 151).await;
    let leased = store.take("slack", 152).await;
    assert_eq!(fixture.retry(&[dead], 153), [Retried::Waits(LeftOut::default())]);
    assert_eq!(fixture.retry(&[dead, leased.lease.delivery], 153), [Retried::InLine, Retried::UnderWay]);
    assert_eq!(store.done(leased.lease, again_at(160), 154).await, Settled::Done);
    assert_eq!(fixture.reader().delivery(dead, at(155)).unwrap().unwrap().ahead, 1);
    assert_eq!(store.nothing_due("slack", 155).await, Some(at(160)));
    assert_eq!(fixture.retry(&[leased.lease.delivery], 156), [Retried::DueNow]);
    assert_eq!(store.deliver("slack", 156).await, [(5, Reason::First)]);
    assert_eq!(store.deliver("slack", 156).await, [(4, Reason::First)]);
    assert_eq!(fixture.events(leased.lease.delivery), [(156, EventKind::DueNow, None)]);
}

#[tokio::test]
async fn what_cannot_be_sent_again_says_why() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let gone = fixture.dies("quiet", vec![firing(1, 100)], 110).await;
    let broken = fixture.dies("slack", vec![firing(2, 100)], 110).await;
    let discarded = fixture.dies("slack", vec![firing(3, 100)], 110).await;
    fixture.discard(discarded, 120);
    store.post(vec![firing(4, 100)], &["oncall"], 110).await;
    let delivered = store.take("oncall", 110).await.lease;
    store.done(delivered, DELIVERED, 111).await;
    store.take_over(vec![listed("slack", None), listed("oncall", None)], at(120)).await.unwrap();
    fixture.backdoor().execute("UPDATE delivery SET content = '{\"format\":1' WHERE id = ?1", [broken.0]).unwrap();
    let all = fixture.retry(&[gone, broken, discarded, delivered.delivery, DeliveryId(99)], 130);
    assert_eq!(all[0], Retried::NoReceiver("quiet".into()));
    assert!(matches!(&all[1], Retried::Unreadable(why) if why.contains("EOF")), "{all:?}");
    assert_eq!(all[2..], [Retried::Discarded, Retried::Delivered, Retried::Missing]);
    let all = [discarded, delivered.delivery, DeliveryId(99)].map(|id| fixture.discard(id, 130));
    assert_eq!(all, [Discarded::Already, Discarded::Delivered, Discarded::Missing]);
}

#[tokio::test]
async fn a_held_copy_can_be_told_now() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.deliver("slack", 111).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    store.deliver("slack", 211).await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 220).await, [Reason::Held]);
    let (held, _) = fixture.list(|filter| filter.states = vec![State::Held])[0];
    assert_eq!(fixture.retry(&[DeliveryId(held)], 230), [Retried::DueNow]);
    assert_eq!(store.deliver("slack", 231).await, [(1, Reason::Refired)]);
}

#[tokio::test]
async fn a_held_copy_of_what_is_told_again_with_it_goes() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.deliver("slack", 111).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    let end = store.take("slack", 211).await.lease;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 220).await, [Reason::Held]);
    assert_eq!(store.done(end, gave_up(), 221).await, Settled::Done);
    let (held, _) = fixture.list(|filter| filter.states = vec![State::Held])[0];
    let all = fixture.retry(&[end.delivery, DeliveryId(held)], 230);
    assert_eq!(all, [Retried::Waits(LeftOut::default()), Retried::NothingToTell(told(1))]);
    assert_eq!(store.deliver("slack", 231).await, [(1, Reason::Resolved)]);
    assert_eq!(store.nothing_due("slack", 1000).await, None);
    assert_eq!(fixture.retry(&[DeliveryId(held)], 240), [Retried::Missing]);
}

#[tokio::test]
async fn without_a_service_the_directory_is_locked_meanwhile() {
    let fixture = Fixture::new();
    let id = fixture.dies("slack", vec![firing(1, 100)], 110).await;
    fixture.store.post(vec![firing(2, 100)], &["oncall"], 120).await;
    let killed = fixture.store.take("oncall", 121).await.lease;
    let crashed = fixture.folder.crashed();
    let mut editor = Editor::open(&crashed.data()).unwrap();
    assert!(!editor.is_beside_service());
    let open = || Editor::open(&crashed.data()).unwrap().is_beside_service();
    assert!(open(), "nobody else can begin");
    // Whoever held the lease is dead.
    assert_eq!(editor.discard(&[killed.delivery], wish(122)).unwrap(), [Discarded::Done { resolved: 0 }]);
    assert_eq!(editor.retry(&[id], &HashSet::new(), wish(123)).unwrap(), [Retried::Waits(LeftOut::default())]);
    drop(editor);
    let store = open_with_room(&crashed.data(), &fixture.cache, 10);
    assert_eq!(store.deliver("slack", 130).await, [(1, Reason::First)]);
}

#[tokio::test]
async fn it_makes_nothing() {
    let folder = super::Folder::new();
    let error = Editor::open(&folder.data()).unwrap_err();
    assert!(error.to_string().ends_with("alertrouter.db does not exist; is --data-dir the one of the service?"));
    assert!(!folder.data().exists());
    let fixture = Fixture::new();
    let crashed = fixture.folder.crashed();
    rusqlite::Connection::open(crashed.data().join("alertrouter.db"))
        .unwrap()
        .pragma_update(None, "user_version", 1)
        .unwrap();
    let error = Editor::open(&crashed.data()).unwrap_err().to_string();
    assert!(error.contains("start the service once with this version"), "{error}");
}
