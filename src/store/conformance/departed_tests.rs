//! What becomes of what waits for a receiver that routes.yaml does not have any more.

use super::*;

/// What became of it: receiver, heir, fell back, dropped, dead.
async fn take_over(store: &dyn Whole, roster: &[(&str, Option<&str>)], now: i64) -> Vec<(String, String, [u64; 3])> {
    let roster = roster.iter().map(|(name, fallback)| listed(name, *fallback)).collect();
    let departed = store.take_over(roster, at(now)).await.unwrap();
    let shown = |Departed { receiver, to, fell_back, dropped, dead }: Departed| {
        let to = to.map_or_else(String::new, |to| to.to_string());
        (receiver.to_string(), to, [fell_back, dropped, dead])
    };
    departed.into_iter().map(shown).collect()
}

fn gone(receiver: &str, to: &str, counts: [u64; 3]) -> (String, String, [u64; 3]) {
    (receiver.to_owned(), to.to_owned(), counts)
}

const ALL: [(&str, Option<&str>); 3] = [("oncall", Some("slack")), ("slack", Some("quiet")), ("quiet", None)];

pub(in crate::store) async fn what_waits_for_a_departed_receiver_goes_to_its_fallback(store: &dyn Whole) {
    assert_eq!(take_over(store, &ALL, 100).await, []);
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    store.post(vec![resolved(1, 100, 120)], &["oncall"], 120).await;
    let counts = gone("oncall", "slack", [2, 1, 0]);
    assert_eq!(take_over(store, &ALL[1..], 130).await, [counts], "the resolve went along with its trigger");
    assert_eq!(store.pending("oncall").await, 0);
    let mut told = Vec::new();
    while let Some(leased) = store.leases("slack", 130).await.leased {
        let fallback = leased.notification.fallback.as_ref().unwrap();
        assert_eq!(fallback.receiver, "oncall".into());
        assert_eq!(fallback.reason, "oncall is no longer in routes.yaml");
        store.done(leased.lease, DELIVERED, 130).await;
        told.extend(contents(&leased));
    }
    assert_eq!(told, [(1, Reason::First), (1, Reason::Resolved), (2, Reason::First)]);
    assert_eq!(take_over(store, &ALL[1..], 190).await, [gone("oncall", "slack", [0; 3])], "and nothing is left");
    assert_eq!(store.stats().await.unwrap().receivers.get("oncall"), None, "not even a dead letter");
    // What turns up late goes the same way.
    store.accept(intake("g", vec![firing(3, 150)], &["oncall"], 190)).await.unwrap();
    assert_eq!(take_over(store, &ALL[1..], 200).await, [gone("oncall", "slack", [1, 0, 0])]);
    // The count of what waits is exact: there is room for so many and not one more.
    let many = |from: u64, to: u64| (from..to).map(|fingerprint| firing(fingerprint, 100)).collect::<Vec<_>>();
    store.accept(intake("g", many(100, 100 + LIMIT - 1), &["oncall"], 200)).await.unwrap();
    assert!(store.accept(intake("g", many(200, 201), &["oncall"], 200)).await.is_err());
    // In a day it is forgotten, but not while anything waits for it.
    store.prune(at(131 + 86_400), RETENTION).await.unwrap();
    assert_eq!(take_over(store, &ALL[1..], 86_600).await, [gone("oncall", "slack", [LIMIT - 1, 0, 0])]);
    store.prune(at(130 + 86_400), RETENTION).await.unwrap();
    assert_eq!(take_over(store, &ALL[1..], 86_600).await, [gone("oncall", "slack", [0; 3])]);
    // A clock that is set back does not make that day longer.
    store.clock_set_back(Duration::from_secs(110), at(20)).await.unwrap();
    store.prune(at(20 + 86_400), RETENTION).await.unwrap();
    assert_eq!(take_over(store, &ALL[1..], 86_600).await.len(), 1);
    store.prune(at(21 + 86_400), RETENTION).await.unwrap();
    assert_eq!(take_over(store, &ALL[1..], 86_600).await, []);
}

pub(in crate::store) async fn without_a_fallback_it_becomes_dead_letters(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    for now in [110, 120, 130] {
        store.post(vec![firing(now, 100)], &["quiet"], i64::try_from(now).unwrap()).await;
    }
    assert_eq!(take_over(store, &ALL[..1], 140).await.len(), 2, "slack and quiet");
    let quiet = store.stats().await.unwrap().receivers["quiet"];
    assert_eq!((quiet.pending, quiet.dead), (0, 3));
    assert_eq!(store.post(vec![firing(110, 100)], &["quiet"], 150).await, [Reason::First], "it was never told");
}

pub(in crate::store) async fn the_next_fallback_that_is_there_inherits(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    store.post(vec![firing(2, 100)], &["slack"], 110).await;
    let counts = [gone("oncall", "quiet", [1, 0, 0]), gone("slack", "quiet", [1, 0, 0])];
    assert_eq!(take_over(store, &ALL[2..], 120).await, counts);
    let told = store.take("quiet", 120).await;
    assert_eq!(told.notification.fallback.unwrap().reason, "oncall is no longer in routes.yaml");
}

pub(in crate::store) async fn what_has_fallen_back_does_not_go_twice(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    let failed = store.take("oncall", 110).await;
    store.done(failed.lease, again_at(110), 110).await;
    assert_eq!(store.fall_back(overdue("oncall", "slack", None, 410)).await.unwrap().len(), 1);
    assert_eq!(take_over(store, &ALL[1..], 420).await, [gone("oncall", "slack", [1, 1, 0])]);
    assert_eq!((store.pending("oncall").await, store.pending("slack").await), (0, 2));
    // Not even to the dead letters, if the fallback is gone with it.
    store.post(vec![firing(3, 400)], &["slack"], 430).await;
    assert_eq!(store.fall_back(overdue("slack", "quiet", Some(0), 1000)).await.unwrap().len(), 3);
    assert_eq!(take_over(store, &ALL[..1], 1000).await, [gone("quiet", "", [0, 0, 3]), gone("slack", "", [0, 3, 0])]);
}

pub(in crate::store) async fn an_attempt_under_way_is_left_alone(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    store.post(vec![resolved(1, 100, 120)], &["oncall"], 120).await;
    let under_way = store.take("oncall", 120).await;
    let nothing = || gone("oncall", "slack", [0; 3]);
    assert_eq!(take_over(store, &ALL[1..], 125).await, [nothing()], "nor what is behind it in its lane");
    // It ends well: the end of it is nothing that the fallback has to hear, except that nobody closes the incident.
    assert_eq!(store.done(under_way.lease, DELIVERED, 130).await, Settled::Done);
    assert_eq!(take_over(store, &ALL[1..], 131).await, [gone("oncall", "slack", [1, 0, 0])]);
    assert_eq!(store.deliver("slack", 131).await, [(1, Reason::Resolved)]);
    // It fails.
    store.accept(intake("g", vec![firing(2, 100)], &["oncall"], 200)).await.unwrap();
    let under_way = store.take("oncall", 200).await;
    assert_eq!(take_over(store, &ALL[1..], 201).await, [nothing()]);
    assert_eq!(store.done(under_way.lease, again_at(202), 202).await, Settled::Done);
    assert_eq!(take_over(store, &ALL[1..], 203).await, [gone("oncall", "slack", [1, 0, 0])]);
    assert_eq!(store.deliver("slack", 203).await, [(2, Reason::First)]);
    // It never ends: when its lease is over, nobody can settle it any more.
    store.accept(intake("g", vec![firing(3, 100)], &["oncall"], 300)).await.unwrap();
    let hangs = store.take("oncall", 300).await;
    assert_eq!(take_over(store, &ALL[1..], 359).await, [nothing()]);
    assert_eq!(take_over(store, &ALL[1..], 360).await, [gone("oncall", "slack", [1, 0, 0])]);
    assert_eq!(store.done(hangs.lease, DELIVERED, 361).await, Settled::LeaseLost);
    assert_eq!(store.deliver("slack", 361).await, [(3, Reason::First)]);
}

/// Told and resolved, and now another firing copy of it.
async fn hold(store: &dyn Whole, alert: u64, receivers: &[&str]) {
    store.post(vec![firing(alert, 100)], receivers, 110).await;
    store.post(vec![resolved(alert, 100, 200)], receivers, 210).await;
    for receiver in receivers {
        while let Some(leased) = store.leases(receiver, 210).await.leased {
            store.done(leased.lease, DELIVERED, 210).await;
        }
    }
    assert!(store.post(vec![firing(alert, 100)], receivers, 300).await.iter().all(|reason| *reason == Reason::Held));
}

pub(in crate::store) async fn a_held_copy_is_held_on_for_the_fallback(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    hold(store, 1, &["oncall"]).await;
    hold(store, 2, &["oncall"]).await;
    hold(store, 3, &["oncall", "slack"]).await;
    hold(store, 4, &["quiet"]).await;
    let counts = gone("oncall", "slack", [2, 1, 0]);
    assert_eq!(take_over(store, &ALL[1..], 310).await, [counts], "of the third slack holds a copy itself");
    assert_eq!(store.nothing_due("slack", 599).await, Some(at(600)), "the time of the copy");
    // The resolve of one follows: it was a late copy.
    let accepted = store.accept(intake("g", vec![resolved(1, 100, 200)], &[], 400)).await.unwrap();
    assert_eq!(accepted.cancelled, [("slack".into(), 1)]);
    assert_eq!(accepted.decisions, [("slack".into(), Decision::Drop(Reason::Duplicate))]);
    // The others fire.
    let own = store.take("slack", 600).await;
    assert_eq!((contents(&own), own.notification.fallback), (vec![(3, Reason::Refired)], None));
    store.done(own.lease, DELIVERED, 600).await;
    let inherited = store.take("slack", 600).await;
    assert_eq!((contents(&inherited), inherited.notification.fallback.is_some()), (vec![(2, Reason::Refired)], true));
    store.done(inherited.lease, DELIVERED, 600).await;
    // And their ends reach who was told.
    store.post(vec![resolved(2, 100, 700), resolved(3, 100, 700)], &[], 700).await;
    assert_eq!(store.deliver("slack", 700).await, [(2, Reason::Resolved), (3, Reason::Resolved)]);
    // Without a fallback it is a dead letter like any other.
    assert_eq!(take_over(store, &ALL[1..2], 700).await[1], gone("quiet", "", [0, 0, 1]));
}

pub(in crate::store) async fn a_receiver_that_comes_back_was_never_told(store: &dyn Whole) {
    take_over(store, &ALL, 100).await;
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    take_over(store, &ALL[1..], 120).await;
    assert_eq!(take_over(store, &ALL, 130).await, []);
    assert_eq!(store.post(vec![firing(1, 100)], &["oncall"], 140).await, [Reason::First]);
    assert_eq!(take_over(store, &ALL, 150).await, []);
    assert_eq!(store.deliver("oncall", 150).await, [(1, Reason::First)]);
    assert_eq!(store.deliver("slack", 150).await, [(1, Reason::First)]);
}

pub(in crate::store) async fn who_was_never_there_is_not_departed(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    assert_eq!(take_over(store, &ALL[1..], 120).await, []);
    assert_eq!(store.pending("oncall").await, 1, "it may be a slip of the pen");
}
