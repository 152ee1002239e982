//! What is folded into a digest, what goes before it, and what becomes of it.

use super::*;
use crate::notification::Digest;

/// An alert whose severity is critical.
fn critical(fingerprint: u64, starts: i64) -> Alert {
    let name = format!("Alert{fingerprint}");
    let labels = [("alertname", name.as_str()), ("severity", "page")].into_iter().collect();
    Alert { labels, ..firing(fingerprint, starts) }
}

pub(in crate::store) fn fold_request(receiver: &str, now: i64) -> FoldRequest {
    FoldRequest { receiver: receiver.into(), now: at(now), at_least: 2 }
}

async fn folds(store: &dyn Whole, receiver: &str, now: i64) -> u64 {
    store.fold(fold_request(receiver, now)).await.unwrap().deliveries
}

/// Posts a body of a group of its own.
async fn post(store: &dyn Whole, group: &str, alerts: Vec<Alert>, now: i64) {
    store.accept(intake(group, alerts, &["slack"], now)).await.unwrap();
}

/// Three groups, one alert each, and a digest of them.
async fn three_folded(store: &dyn Whole) {
    for (group, fingerprint) in [("g", 1), ("h", 2), ("i", 3)] {
        post(store, group, vec![firing(fingerprint, 100)], 110 + i64::try_from(fingerprint).unwrap()).await;
    }
    assert_eq!(folds(store, "slack", 120).await, 3);
}

const THREE: [(u64, Reason); 3] = [(1, Reason::First), (2, Reason::First), (3, Reason::First)];

pub(in crate::store) async fn what_waits_together_is_one_digest(store: &dyn Whole) {
    three_folded(store).await;
    assert_eq!(store.pending("slack").await, 3, "a digest is no notification of its own");
    post(store, "g", vec![resolved(1, 100, 125)], 125).await;
    let digest = store.take("slack", 130).await;
    let notification = &digest.notification;
    assert_eq!(notification.digest, Some(Digest { notifications: 3, since: at(111) }));
    assert_eq!(contents(&digest), THREE, "in the order of acceptance");
    assert_eq!((notification.received_at, notification.attempt, digest.since), (at(111), 1, at(113)));
    assert_eq!(digest.carries, [at(111), at(112), at(113)]);
    assert_eq!((notification.group.truncated_alerts, notification.others_firing), (9, 0));
    assert_eq!(store.nothing_due("slack", 130).await, Some(at(190)), "its lanes wait for it");
    assert_eq!(folds(store, "slack", 130).await, 0);
    assert_eq!(store.done(digest.lease, DELIVERED, 131).await, Settled::Done);
    assert_eq!(store.done(digest.lease, DELIVERED, 131).await, Settled::LeaseLost);
    assert_eq!(store.pending("slack").await, 1);
    assert_eq!(store.deliver("slack", 131).await, [(1, Reason::Resolved)]);
    assert_eq!(store.nothing_due("slack", 131).await, None);
    assert_eq!(store.post(vec![firing(2, 100)], &["slack"], 140).await, [Reason::Duplicate], "it was told");
}

pub(in crate::store) async fn one_alone_is_left_as_it_is(store: &dyn Whole) {
    post(store, "g", vec![firing(1, 100), firing(2, 100)], 110).await;
    assert_eq!(folds(store, "slack", 110).await, 0);
    let alone = store.take("slack", 110).await;
    assert_eq!((alone.notification.digest, alone.carries.len()), (None, 0));
    store.done(alone.lease, DELIVERED, 110).await;
    for (group, fingerprint) in [("h", 3), ("i", 4)] {
        post(store, group, vec![firing(fingerprint, 100)], 120).await;
    }
    let few = FoldRequest { at_least: 3, ..fold_request("slack", 120) };
    assert_eq!(store.fold(few).await.unwrap(), Folded::default());
    assert_eq!(store.fold(fold_request("oncall", 120)).await.unwrap(), Folded::default());
    assert_eq!(store.fold(fold_request("slack", 120)).await.unwrap(), Folded { deliveries: 2, more: false });
}

pub(in crate::store) async fn a_resolve_folds_with_its_firing(store: &dyn Whole) {
    post(store, "g", vec![firing(1, 100)], 110).await;
    post(store, "g", vec![resolved(1, 100, 120)], 120).await;
    post(store, "g", vec![firing(2, 120)], 130).await;
    assert_eq!(folds(store, "slack", 130).await, 3);
    let digest = store.take("slack", 130).await;
    assert_eq!(contents(&digest), [(1, Reason::First), (1, Reason::Resolved), (2, Reason::First)]);
    // What comes behind it is not folded before it has gone.
    post(store, "g", vec![firing(3, 120)], 131).await;
    post(store, "h", vec![firing(4, 120)], 131).await;
    post(store, "i", vec![firing(5, 120)], 131).await;
    assert_eq!(folds(store, "slack", 131).await, 2);
    store.done(digest.lease, DELIVERED, 132).await;
    let second = store.take("slack", 132).await;
    assert_eq!(contents(&second), [(4, Reason::First), (5, Reason::First)]);
    store.done(second.lease, DELIVERED, 132).await;
    assert_eq!(store.deliver("slack", 132).await, [(3, Reason::First)]);
}

pub(in crate::store) async fn critical_ones_go_first_and_are_never_folded(store: &dyn Whole) {
    for (group, fingerprint) in [("a", 1), ("b", 2)] {
        post(store, group, vec![firing(fingerprint, 100)], 110).await;
    }
    post(store, "c", vec![firing(3, 100), critical(4, 100)], 120).await;
    // Behind its like in a lane, and with one behind it.
    post(store, "d", vec![firing(5, 100)], 121).await;
    post(store, "d", vec![critical(6, 100)], 122).await;
    post(store, "d", vec![firing(7, 100)], 123).await;
    let first = store.take("slack", 130).await;
    assert_eq!((contents(&first)[0].0, first.priority), (3, Priority::Critical));
    store.done(first.lease, DELIVERED, 130).await;
    let before = store.take("slack", 130).await;
    assert_eq!((contents(&before)[0].0, before.priority), (5, Priority::Urgent), "it stands in the way of one");
    store.done(before.lease, Outcome::Released, 130).await;
    assert_eq!(folds(store, "slack", 130).await, 3);
    let digest = store.take("slack", 130).await;
    let expected = [(1, Reason::First), (2, Reason::First), (5, Reason::First)];
    assert_eq!((contents(&digest), digest.priority), (expected.to_vec(), Priority::Urgent));
    store.done(digest.lease, DELIVERED, 130).await;
    let second = store.take("slack", 130).await;
    assert_eq!((contents(&second)[0].0, second.priority), (6, Priority::Critical));
    store.done(second.lease, DELIVERED, 130).await;
    assert_eq!(store.deliver("slack", 130).await, [(7, Reason::First)]);
    // The end of a critical one is critical.
    let end = Alert { status: Status::Resolved, ends_at: Some(at(140)), ..critical(4, 100) };
    post(store, "z", vec![firing(8, 100)], 139).await;
    post(store, "c", vec![end], 140).await;
    assert_eq!(store.deliver("slack", 140).await, [(4, Reason::Resolved)]);
}

pub(in crate::store) async fn a_critical_one_behind_a_digest_makes_it_urgent(store: &dyn Whole) {
    three_folded(store).await;
    post(store, "x", vec![critical(8, 100)], 121).await;
    post(store, "h", vec![critical(9, 100)], 122).await;
    let digest = store.take("slack", 130).await;
    assert_eq!((contents(&digest), digest.priority), (THREE.to_vec(), Priority::Urgent), "it is due first");
    store.done(digest.lease, again_at(140), 130).await;
    assert_eq!(store.deliver("slack", 135).await, [(8, Reason::First)]);
    assert_eq!(store.nothing_due("slack", 135).await, Some(at(140)), "order is kept");
    assert_eq!(store.deliver("slack", 140).await, THREE);
    assert_eq!(store.deliver("slack", 140).await, [(9, Reason::First)]);
}

pub(in crate::store) async fn a_held_copy_that_is_critical_goes_first_when_it_is_released(store: &dyn Whole) {
    let end = |fingerprint| Alert { status: Status::Resolved, ends_at: Some(at(200)), ..critical(fingerprint, 100) };
    post(store, "g", vec![critical(1, 100)], 110).await;
    post(store, "g", vec![end(1)], 210).await;
    store.deliver("slack", 210).await;
    store.deliver("slack", 210).await;
    post(store, "g", vec![critical(1, 100)], 300).await;
    post(store, "h", vec![firing(2, 100)], 310).await;
    post(store, "g", vec![firing(3, 100)], 310).await;
    let first = store.take("slack", 600).await;
    assert_eq!((contents(&first)[0].0, first.priority), (3, Priority::Urgent), "it stands in the way");
    store.done(first.lease, DELIVERED, 600).await;
    assert_eq!(store.deliver("slack", 600).await, [(1, Reason::Refired)]);
    assert_eq!(store.deliver("slack", 600).await, [(2, Reason::First)]);
}

pub(in crate::store) async fn a_held_copy_that_is_released_before_a_critical_one_does_not_hold_it_up(
    store: &dyn Whole,
) {
    post(store, "g", vec![firing(1, 100)], 110).await;
    post(store, "g", vec![resolved(1, 100, 200)], 210).await;
    store.deliver("slack", 210).await;
    store.deliver("slack", 210).await;
    post(store, "h", vec![firing(2, 100)], 220).await;
    post(store, "g", vec![firing(1, 100)], 300).await;
    post(store, "g", vec![firing(3, 100)], 310).await;
    post(store, "g", vec![critical(4, 100)], 320).await;
    for (fingerprint, reason, priority) in [
        (3, Reason::First, Priority::Urgent),
        (1, Reason::Refired, Priority::Urgent),
        (4, Reason::First, Priority::Critical),
        (2, Reason::First, Priority::Ordinary),
    ] {
        let next = store.take("slack", 600).await;
        assert_eq!((contents(&next), next.priority), (vec![(fingerprint, reason)], priority));
        store.done(next.lease, DELIVERED, 600).await;
    }
}

pub(in crate::store) async fn what_cannot_be_folded_is_left(store: &dyn Whole) {
    // One whose message can be updated, and one that is under way with another behind it.
    post(store, "r", vec![firing(1, 100)], 110).await;
    let first = store.take("slack", 110).await;
    store.done(first.lease, Outcome::Delivered { receipt: Some(Receipt("C1/2".to_owned())) }, 110).await;
    post(store, "r", vec![firing(2, 100)], 111).await;
    post(store, "w", vec![firing(3, 100)], 109).await;
    let under_way = store.take("slack", 109).await;
    post(store, "w", vec![firing(4, 100)], 112).await;
    assert_eq!(folds(store, "slack", 120).await, 0);
    post(store, "x", vec![firing(5, 100)], 113).await;
    post(store, "y", vec![firing(6, 100)], 114).await;
    assert_eq!(folds(store, "slack", 120).await, 2);
    // In a storm what comes later waits for the next digest, and what cannot be folded does not.
    post(store, "z", vec![firing(7, 100)], 121).await;
    let in_storm = |now| LeaseRequest { ordinary_due_by: Some(at(120)), ..ask("slack", now) };
    let digest = store.lease(in_storm(122)).await.unwrap().leased.unwrap();
    assert_eq!(contents(&digest), [(5, Reason::First), (6, Reason::First)]);
    let left = store.lease(in_storm(122)).await.unwrap().leased.unwrap();
    assert_eq!((contents(&left), left.notification.receipt.is_some()), (vec![(2, Reason::First)], true));
    assert!(store.lease(in_storm(122)).await.unwrap().leased.is_none());
    store.done(digest.lease, again_at(300), 122).await;
    store.done(left.lease, DELIVERED, 122).await;
    store.done(under_way.lease, DELIVERED, 122).await;
    let next = store.lease(in_storm(122)).await.unwrap().leased.unwrap();
    assert_eq!(contents(&next), [(4, Reason::First)], "its lane came free");
    store.done(next.lease, DELIVERED, 122).await;
    let answer = store.lease(in_storm(122)).await.unwrap();
    assert_eq!((answer.leased.is_none(), answer.next_due), (true, Some(at(300))), "the digest's");
    assert_eq!(
        store.lease(in_storm(300)).await.unwrap().leased.unwrap().carries.len(),
        2,
        "it does not wait for another"
    );
}

pub(in crate::store) async fn a_digest_that_was_not_tried_takes_more(store: &dyn Whole) {
    three_folded(store).await;
    post(store, "j", vec![firing(4, 100)], 130).await;
    assert_eq!(folds(store, "slack", 130).await, 0, "two are asked for");
    let any = FoldRequest { at_least: 1, ..fold_request("slack", 130) };
    assert_eq!(store.fold(any.clone()).await.unwrap().deliveries, 1);
    let digest = store.take("slack", 130).await;
    assert_eq!((digest.carries.len(), digest.since), (4, at(130)));
    store.done(digest.lease, Outcome::Released, 130).await;
    let digest = store.take("slack", 130).await;
    assert_eq!(digest.notification.attempt, 1);
    store.done(digest.lease, again_at(131), 130).await;
    post(store, "k", vec![firing(5, 100)], 131).await;
    assert_eq!(store.fold(any).await.unwrap().deliveries, 0, "its text may have arrived");
    assert_eq!(store.deliver("slack", 131).await.len(), 4);
    assert_eq!(store.deliver("slack", 131).await, [(5, Reason::First)]);
}

pub(in crate::store) async fn a_digest_that_is_given_up_leaves_dead_letters(store: &dyn Whole) {
    three_folded(store).await;
    post(store, "h", vec![resolved(2, 100, 125)], 125).await;
    let digest = store.take("slack", 130).await;
    assert_eq!(store.done(digest.lease, dead("slack", "quiet"), 131).await, Settled::ManyFellBack(3));
    let stats = store.stats().await.unwrap().receivers;
    assert_eq!((stats["slack"].dead, stats["slack"].pending, stats["quiet"].pending), (3, 1, 3));
    assert_eq!(store.deliver("slack", 131).await, [(2, Reason::Resolved)], "its lane goes on");
    for (fingerprint, reason) in THREE {
        let told = store.take("quiet", 131).await;
        assert_eq!(contents(&told), [(fingerprint, reason)], "each falls back on its own, in order");
        assert_eq!(told.notification.fallback.as_ref().unwrap().reason, "HTTP 400");
        store.done(told.lease, DELIVERED, 131).await;
    }
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 140).await, [Reason::First], "it was never told");
    assert_eq!(store.done(digest.lease, DELIVERED, 141).await, Settled::LeaseLost);
}

pub(in crate::store) async fn what_a_failing_digest_carries_falls_back(store: &dyn Whole) {
    three_folded(store).await;
    post(store, "h", vec![critical(9, 100)], 121).await;
    let digest = store.take("slack", 130).await;
    store.done(digest.lease, again_at(130), 130).await;
    assert_eq!(store.stats().await.unwrap().receivers["slack"].failing_since, Some(at(130)));
    let overdue = |now| overdue("slack", "quiet", None, now);
    assert_eq!(store.fall_back(overdue(429)).await.unwrap(), []);
    let fell_back = store.fall_back(overdue(430)).await.unwrap();
    assert_eq!(fell_back.len(), 4, "and what waits behind it");
    assert!(fell_back.iter().all(|one| one.reason == "HTTP 503 for 5m"), "{fell_back:?}");
    assert_eq!(store.fall_back(overdue(1000)).await.unwrap(), [], "once");
    assert_eq!(store.pending("quiet").await, 4);
    // It arrives after all.
    assert_eq!(store.deliver("slack", 1000).await, THREE);
    assert_eq!(store.deliver("slack", 1000).await, [(9, Reason::First)]);
    assert_eq!(store.nothing_due("slack", 1000).await, None);
}

pub(in crate::store) async fn fallbacks_are_folded_apart(store: &dyn Whole) {
    for (group, fingerprint) in [("g", 1), ("h", 2)] {
        let body = intake(group, vec![firing(fingerprint, 100)], &["oncall"], 110);
        store.accept(body).await.unwrap();
    }
    for _ in 0..2 {
        let leased = store.take("oncall", 110).await;
        store.done(leased.lease, dead("oncall", "slack"), 111).await;
    }
    post(store, "i", vec![firing(3, 100)], 112).await;
    post(store, "g", vec![firing(4, 100)], 112).await;
    post(store, "j", vec![firing(5, 100)], 112).await;
    assert_eq!(folds(store, "slack", 120).await, 4);
    let mut told = Vec::new();
    for _ in 0..2 {
        let digest = store.take("slack", 120).await;
        let meant_for = digest.notification.fallback.as_ref().map(|fallback| fallback.receiver.to_string());
        told.push((meant_for, contents(&digest).iter().map(|(fingerprint, _)| *fingerprint).collect::<Vec<_>>()));
        store.done(digest.lease, DELIVERED, 120).await;
    }
    told.sort();
    assert_eq!(told, [(None, vec![3, 5]), (Some("oncall".to_owned()), vec![1, 2])]);
    assert_eq!(store.deliver("slack", 120).await, [(4, Reason::First)], "behind one of the others");
}

pub(in crate::store) async fn a_digest_of_a_departed_receiver_goes_to_its_fallback(store: &dyn Whole) {
    let all = [listed("slack", Some("quiet")), listed("quiet", None)];
    store.take_over(all.to_vec(), at(100)).await.unwrap();
    three_folded(store).await;
    let under_way = store.take("slack", 130).await;
    let departed = store.take_over(all[1..].to_vec(), at(131)).await.unwrap();
    assert_eq!(departed.iter().map(|one| (one.fell_back, one.dead)).collect::<Vec<_>>(), [(0, 0)], "under way");
    store.done(under_way.lease, again_at(140), 132).await;
    let departed = store.take_over(all[1..].to_vec(), at(133)).await.unwrap();
    assert_eq!(departed.iter().map(|one| (one.fell_back, one.dead)).collect::<Vec<_>>(), [(3, 0)]);
    assert_eq!((store.pending("slack").await, store.pending("quiet").await), (0, 3));
    assert_eq!(store.deliver("quiet", 133).await, [(1, Reason::First)]);
    assert_eq!(store.done(under_way.lease, DELIVERED, 134).await, Settled::LeaseLost);
}

pub(in crate::store) async fn a_digest_of_nobody_becomes_dead_letters(store: &dyn Whole) {
    three_folded(store).await;
    let under_way = store.take("slack", 130).await;
    post(store, "z", vec![firing(4, 100)], 131).await;
    let buried = store.bury_orphans(vec!["oncall".into()], at(131)).await.unwrap();
    assert_eq!(buried, [("slack".into(), 1)], "an attempt under way may still end well");
    store.done(under_way.lease, again_at(140), 132).await;
    let buried = store.bury_orphans(vec!["oncall".into()], at(133)).await.unwrap();
    assert_eq!(buried, [("slack".into(), 3)]);
    let stats = store.stats().await.unwrap().receivers;
    assert_eq!((stats["slack"].dead, stats["slack"].pending), (4, 0));
}

pub(in crate::store) async fn a_digest_whose_lease_ran_out_is_told_again(store: &dyn Whole) {
    three_folded(store).await;
    let lost = store.take("slack", 130).await;
    let again = store.take("slack", 190).await;
    assert_eq!((contents(&again), again.notification.attempt), (THREE.to_vec(), 2));
    for outcome in [DELIVERED, dead("slack", "quiet"), again_at(0), Outcome::Released] {
        assert_eq!(store.done(lost.lease, outcome, 191).await, Settled::LeaseLost);
    }
    assert_eq!(store.pending("slack").await, 3);
    assert_eq!(store.done(again.lease, DELIVERED, 10_000).await, Settled::Done);
    assert_eq!(store.pending("slack").await, 0);
}
