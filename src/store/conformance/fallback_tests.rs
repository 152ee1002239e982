//! What falls back, when, and what is remembered of it.

use super::*;
use crate::notification::FallbackFor;

/// Has the next delivery of a receiver fail at `now`; it is due again a second later.
async fn fail(store: &dyn Whole, receiver: &str, now: i64) {
    let leased = store.take(receiver, now).await;
    let again = Outcome::RetryAt { at: at(now + 1), began: at(now), error: "HTTP 503".to_owned() };
    assert_eq!(store.done(leased.lease, again, now).await, Settled::Done);
}

async fn die(store: &dyn Whole, receiver: &str, to: &str, now: i64) -> Settled {
    let leased = store.take(receiver, now).await;
    store.done(leased.lease, dead(receiver, to), now).await
}

/// How many deliveries fall back.
async fn falls_back(store: &dyn Whole, overdue: Overdue) -> usize {
    store.fall_back(overdue).await.unwrap().len()
}

/// Whom a notification was meant for, and why it is told to somebody else.
fn mark(leased: &Leased) -> (&str, &str) {
    let FallbackFor { receiver, reason } = leased.notification.fallback.as_ref().expect("it is marked");
    (receiver.as_str(), reason)
}

/// Delivers everything that is due; the contents of each.
async fn deliver_all(store: &dyn Whole, receiver: &str, now: i64) -> Vec<Vec<(u64, Reason)>> {
    let mut all = Vec::new();
    while let Some(leased) = store.leases(receiver, now).await.leased {
        store.done(leased.lease, DELIVERED, now).await;
        all.push(contents(&leased));
    }
    all
}

pub(in crate::store) async fn a_dead_letter_is_told_to_the_fallback_at_once(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    assert_eq!(die(store, "oncall", "slack", 120).await, Settled::FellBack);
    let told = store.take("slack", 120).await;
    assert_eq!(mark(&told), ("oncall", "HTTP 400"));
    assert_eq!(
        (contents(&told), told.notification.alerts[0].alert.clone()),
        (vec![(1, Reason::First)], firing(1, 100))
    );
    assert_eq!((told.notification.received_at, told.since), (at(110), at(120)), "its own age begins now");
    assert_eq!(store.stats().await.unwrap().receivers["oncall"].dead, 1, "a dead letter it stays");
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(0), 10_000)).await, 0, "it has fallen back");
    store.done(told.lease, DELIVERED, 121).await;
}

pub(in crate::store) async fn what_fails_for_too_long_is_told_once_and_goes_on(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    fail(store, "oncall", 120).await;
    fail(store, "oncall", 200).await;
    assert_eq!(falls_back(store, overdue("oncall", "slack", None, 419)).await, 0);
    let fell_back = store.fall_back(overdue("oncall", "slack", None, 420)).await.unwrap();
    assert_eq!(fell_back.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), ["HTTP 503 for 5m"]);
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(0), 10_000)).await, 0, "once");
    let told = store.take("slack", 420).await;
    assert_eq!(mark(&told), ("oncall", "HTTP 503 for 5m"));
    store.done(told.lease, DELIVERED, 420).await;
    // The delivery itself is tried on, and in the end it is dead without anybody being told again.
    fail(store, "oncall", 430).await;
    assert_eq!(die(store, "oncall", "slack", 86_400).await, Settled::Done);
    assert_eq!(store.pending("slack").await, 0);
    // Or it arrives.
    store.post(vec![firing(2, 90_000)], &["oncall"], 90_000).await;
    fail(store, "oncall", 90_000).await;
    assert_eq!(falls_back(store, overdue("oncall", "slack", None, 90_300)).await, 1);
    assert_eq!(store.deliver("oncall", 90_400).await, [(2, Reason::First)]);
    assert_eq!(store.deliver("slack", 90_400).await, [(2, Reason::First)]);
}

pub(in crate::store) async fn what_waits_behind_a_failing_one_falls_back_by_its_own_age(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![firing(2, 100)], &["slack"], 200).await;
    store.accept(intake("h", vec![firing(3, 100)], &["slack"], 110)).await.unwrap();
    // In a lane of its own, and never tried.
    store.accept(intake("i", vec![firing(4, 100)], &["slack"], 110)).await.unwrap();
    fail(store, "slack", 110).await;
    fail(store, "slack", 110).await;
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 410)).await, 2, "the heads");
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 499)).await, 0);
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 500)).await, 1, "behind one of them");
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 10_000)).await, 0);
    let told = deliver_all(store, "quiet", 500).await;
    assert_eq!(told, [[(1, Reason::First)], [(3, Reason::First)], [(2, Reason::First)]]);
}

pub(in crate::store) async fn what_waits_for_a_receiver_that_is_stuck_falls_back(store: &dyn Whole) {
    let waiting: Vec<_> = (1..=8).map(|fingerprint| firing(fingerprint, 100)).collect();
    store.post(waiting, &["oncall"], 110).await;
    fail(store, "oncall", 120).await;
    store.post(vec![firing(9, 150)], &["oncall"], 200).await;
    // Most of them were never tried, but they are as old.
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(120), 419)).await, 0);
    let fell_back = store.fall_back(overdue("oncall", "slack", Some(120), 420)).await.unwrap();
    assert_eq!(fell_back.len(), 8);
    assert!(fell_back.iter().all(|one| one.reason == "HTTP 503 for 5m"), "{fell_back:?}");
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(120), 499)).await, 0);
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(120), 500)).await, 1, "by its own age");
    assert_eq!(deliver_all(store, "slack", 500).await.len(), 9);
    assert_eq!(store.pending("oncall").await, 9, "they wait on");
}

pub(in crate::store) async fn waiting_for_a_receiver_that_works_is_no_failure(store: &dyn Whole) {
    // For its rate limit, say.
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    assert_eq!(falls_back(store, overdue("oncall", "slack", None, 100_000)).await, 0);
    // It goes down: what has waited until then has not been held up by that.
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(99_800), 100_000)).await, 0);
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(99_800), 100_100)).await, 2);
    // What is held for its resolve is not due, whoever is down.
    store.post(vec![firing(3, 100)], &["quiet"], 110).await;
    store.post(vec![resolved(3, 100, 200)], &["quiet"], 210).await;
    store.deliver("quiet", 210).await;
    assert_eq!(store.post(vec![firing(3, 100)], &["quiet"], 220).await, [Reason::Held]);
    assert_eq!(falls_back(store, overdue("quiet", "slack", Some(0), 100_000)).await, 0);
}

pub(in crate::store) async fn one_alert_falls_back_into_its_group(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    store.accept(intake("h", vec![firing(3, 100)], &["oncall"], 110)).await.unwrap();
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(0), 1000)).await, 3);
    // Behind what waits in the lane of the group, one after the other; other groups do not wait.
    let (first, other) = (store.take("slack", 1000).await, store.take("slack", 1000).await);
    assert_eq!((contents(&first), contents(&other)), (vec![(1, Reason::First)], vec![(3, Reason::First)]));
    assert_eq!((first.notification.group.key.as_str(), other.notification.group.key.as_str()), ("g", "h"));
    store.nothing_due("slack", 1000).await;
    store.done(first.lease, DELIVERED, 1000).await;
    assert_eq!(store.deliver("slack", 1000).await, [(2, Reason::First)]);
}

pub(in crate::store) async fn a_group_falls_back_alert_by_alert(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100), firing(3, 100)], &["slack"], 110).await;
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 1000)).await, 1);
    // Each in its lane.
    let mut told = Vec::new();
    for _ in 0..3 {
        let leased = store.take("oncall", 1000).await;
        assert_eq!(leased.notification.fallback.as_ref().unwrap().receiver, "slack".into());
        told.extend(contents(&leased));
    }
    told.sort_unstable();
    assert_eq!(told, [(1, Reason::First), (2, Reason::First), (3, Reason::First)]);
}

pub(in crate::store) async fn a_fallback_of_a_fallback_keeps_who_was_meant(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    fail(store, "oncall", 110).await;
    assert_eq!(falls_back(store, overdue("oncall", "slack", None, 410)).await, 1);
    fail(store, "slack", 410).await;
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 709)).await, 0, "its own 5 minutes");
    assert_eq!(falls_back(store, overdue("slack", "quiet", None, 710)).await, 1);
    let told = store.take("quiet", 710).await;
    let reason = "HTTP 503 for 5m; its fallback slack: HTTP 503 for 5m";
    assert_eq!(mark(&told), ("oncall", reason));
    // A dead letter goes on at once.
    deliver_all(store, "oncall", 800).await;
    deliver_all(store, "slack", 800).await;
    store.post(vec![firing(2, 800)], &["oncall"], 800).await;
    assert_eq!(die(store, "oncall", "slack", 801).await, Settled::FellBack);
    assert_eq!(die(store, "slack", "quiet", 801).await, Settled::FellBack);
    store.deliver("quiet", 801).await;
    let told = store.take("quiet", 801).await;
    assert_eq!(mark(&told), ("oncall", "HTTP 400; its fallback slack: HTTP 400"));
}

pub(in crate::store) async fn who_stood_in_hears_of_the_end(store: &dyn Whole) {
    for (receiver, to, alert) in [("oncall", "slack", 1), ("slack", "oncall", 2)] {
        store.post(vec![firing(alert, 100)], &[receiver], 110).await;
        assert_eq!(falls_back(store, overdue(receiver, to, Some(0), 1000)).await, 1);
        assert_eq!(store.post(vec![firing(alert, 100)], &[to], 1001).await, [Reason::Duplicate], "it knows");
        // The routes do not name it, and it is remembered all the same.
        let accepted = store.accept(intake("g", vec![resolved(alert, 100, 1100)], &[receiver], 1100)).await.unwrap();
        let resolved = |name: &str| (name.into(), Decision::Notify(Reason::Resolved));
        assert_eq!(accepted.decisions, [resolved(receiver), resolved(to)]);
        let both = [(alert, Reason::First), (alert, Reason::Resolved)];
        assert_eq!(deliver_all(store, to, 1100).await.concat(), both);
        // The resolve that waits here as well finds that it has been told.
        assert_eq!(falls_back(store, overdue(receiver, to, Some(0), 10_000)).await, 0);
        assert_eq!(deliver_all(store, receiver, 10_000).await.concat(), both, "and here everything arrives, too");
    }
}

pub(in crate::store) async fn who_knows_in_its_own_right_hears_of_the_end_once(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack", "oncall"], 110).await;
    assert_eq!(store.deliver("oncall", 110).await, [(1, Reason::First)]);
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 1000)).await, 1);
    let told = store.take("oncall", 1000).await;
    assert_eq!((contents(&told), told.notification.fallback.is_some()), (vec![(1, Reason::First)], true));
    // Whatever becomes of that one, what it knows is its own.
    store.done(told.lease, Outcome::Dead { error: String::new(), fallback: None }, 1000).await;
    store.post(vec![resolved(1, 100, 1100)], &["slack", "oncall"], 1100).await;
    assert_eq!(store.deliver("oncall", 1100).await, [(1, Reason::Resolved)]);
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 10_000)).await, 0, "no second resolve");
    store.nothing_due("oncall", 10_000).await;
}

pub(in crate::store) async fn who_is_told_late_hears_of_the_end_at_once(store: &dyn Whole) {
    // It began and ended while the receiver was down; nobody will say again that it is over.
    store.post(vec![firing(1, 100), firing(2, 100)], &["slack"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 450)).await, 1);
    let told = deliver_all(store, "oncall", 450).await.concat();
    assert_eq!(told, [(1, Reason::First), (1, Reason::Resolved), (2, Reason::First)]);
    // The receiver is back before the resolve falls back, and if it does not come back: it has been told.
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 10_000)).await, 0);
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["slack", "oncall"], 460).await, [Reason::Duplicate; 2]);

    // To a group it is two messages.
    store.post(vec![firing(3, 100), firing(4, 100)], &["quiet"], 500).await;
    store.post(vec![resolved(3, 100, 510)], &["quiet"], 510).await;
    assert_eq!(falls_back(store, overdue("quiet", "slack", Some(0), 900)).await, 1);
    store.deliver("slack", 900).await;
    store.deliver("slack", 900).await;
    let told = deliver_all(store, "slack", 900).await;
    assert_eq!(told, [vec![(3, Reason::First), (4, Reason::First)], vec![(3, Reason::Resolved)]]);
}

pub(in crate::store) async fn who_has_heard_the_whole_is_told_nothing(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack", "oncall"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["slack", "oncall"], 210).await;
    assert_eq!(deliver_all(store, "oncall", 210).await.len(), 2);
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 1000)).await, 0, "it would open an incident");
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 10_000)).await, 0);
    // It fires again for the one only: that is news for the other.
    store.post(vec![firing(1, 300)], &["slack"], 310).await;
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 10_000)).await, 1);
    assert_eq!(deliver_all(store, "oncall", 10_000).await, [[(1, Reason::Refired)]]);
}

pub(in crate::store) async fn an_end_falls_back_only_where_somebody_has_to_act(store: &dyn Whole) {
    for alert in 1..=4 {
        store.post(vec![firing(alert, 100)], &["oncall", "slack"], 110).await;
    }
    deliver_all(store, "oncall", 110).await;
    deliver_all(store, "slack", 110).await;
    store.post(vec![resolved(1, 100, 200)], &["oncall", "slack"], 210).await;
    assert_eq!(falls_back(store, overdue("oncall", "quiet", Some(0), 1000)).await, 0, "late: it will be closed yet");
    assert_eq!(falls_back(store, overdue("slack", "quiet", Some(0), 1000)).await, 0);
    // Nobody closes it any more, unless somebody is told; `quiet` does not hear of resolves.
    let lease = store.take("oncall", 1000).await.lease;
    assert_eq!(store.done(lease, dead("oncall", "quiet"), 1000).await, Settled::Done);
    store.deliver("slack", 1000).await;
    for (alert, receiver, to, expected) in
        [(2, "oncall", "slack", Settled::Done), (3, "slack", "oncall", Settled::Done)]
    {
        store.post(vec![resolved(alert, 100, 2000)], &["oncall", "slack"], 2000).await;
        assert_eq!(die(store, receiver, to, 2000).await, expected, "it has its own resolve");
        deliver_all(store, to, 2000).await;
    }
    store.post(vec![firing(5, 100)], &["oncall"], 3000).await;
    deliver_all(store, "oncall", 3000).await;
    store.post(vec![resolved(5, 100, 3100)], &["oncall"], 3100).await;
    assert_eq!(die(store, "oncall", "slack", 3100).await, Settled::FellBack);
    let told = store.take("slack", 3100).await;
    assert_eq!((contents(&told), told.notification.fallback.is_some()), (vec![(5, Reason::Resolved)], true));
    // That is no memory of the alert.
    assert_eq!(store.post(vec![firing(5, 100)], &["slack"], 3200).await, [Reason::First]);
}

pub(in crate::store) async fn a_fallback_without_resolves_is_told_of_none(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["oncall"], 210).await;
    assert_eq!(falls_back(store, overdue("oncall", "quiet", Some(0), 1000)).await, 2);
    assert_eq!(deliver_all(store, "quiet", 1000).await.concat(), [(1, Reason::First), (2, Reason::First)]);
    let accepted = store.accept(intake("g", vec![resolved(2, 100, 1100)], &[], 1100)).await.unwrap();
    assert_eq!(accepted.unsent, [("quiet".into(), 1)]);
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["quiet"], 1100).await, [Reason::Duplicate]);
}

pub(in crate::store) async fn the_copies_of_a_dead_letter_are_told_once_an_hour(store: &dyn Whole) {
    // Slack knows it in its own right, too; that makes no difference.
    store.post(vec![firing(1, 100)], &["oncall", "slack"], 110).await;
    store.deliver("slack", 110).await;
    assert_eq!(die(store, "oncall", "slack", 110).await, Settled::FellBack);
    for now in [200, 300, 3709] {
        assert_eq!(store.post(vec![firing(1, 100)], &["oncall"], now).await, [Reason::First]);
        assert_eq!(die(store, "oncall", "slack", now).await, Settled::Done, "{now}");
    }
    store.post(vec![firing(1, 100)], &["oncall"], 3710).await;
    assert_eq!(die(store, "oncall", "slack", 3710).await, Settled::FellBack);
    store.post(vec![firing(1, 100)], &["oncall"], 3720).await;
    assert_eq!(die(store, "oncall", "quiet", 3720).await, Settled::FellBack, "another fallback has not heard of it");
    store.post(vec![firing(1, 3725)], &["oncall"], 3730).await;
    assert_eq!(die(store, "oncall", "slack", 3730).await, Settled::FellBack, "another episode");
    assert_eq!(deliver_all(store, "slack", 3730).await.len(), 3);
}

pub(in crate::store) async fn a_fallback_that_died_was_never_told(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    die(store, "oncall", "slack", 110).await;
    let told = store.take("slack", 110).await;
    store.done(told.lease, Outcome::Dead { error: "HTTP 404".to_owned(), fallback: None }, 111).await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack", "oncall"], 120).await, [Reason::First; 2]);
    store.deliver("slack", 120).await;
    assert_eq!(die(store, "oncall", "slack", 120).await, Settled::FellBack, "it has not stood in yet");
}

pub(in crate::store) async fn every_episode_falls_back_with_its_end(store: &dyn Whole) {
    // It fires, ends and fires again while the receiver is down.
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    store.post(vec![firing(1, 300)], &["slack"], 310).await;
    for (now, expected) in [(410, Reason::First), (510, Reason::Resolved), (610, Reason::Refired)] {
        assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), now)).await, 1);
        assert_eq!(store.deliver("oncall", now).await, [(1, expected)]);
    }
    store.post(vec![resolved(1, 300, 700)], &[], 710).await;
    assert_eq!(store.deliver("oncall", 710).await, [(1, Reason::Resolved)]);
    // Or the receiver is back in between: then the end of the second episode is the end of the first.
    store.post(vec![firing(2, 1000)], &["slack"], 1010).await;
    store.post(vec![resolved(2, 1000, 1100)], &["slack"], 1110).await;
    store.post(vec![firing(2, 1200)], &["slack"], 1210).await;
    assert_eq!(falls_back(store, overdue("slack", "oncall", Some(0), 1310)).await, 1);
    deliver_all(store, "slack", 1320).await;
    store.post(vec![resolved(2, 1200, 1300)], &["slack"], 1330).await;
    let told = deliver_all(store, "oncall", 1330).await;
    assert_eq!(told.concat(), [(2, Reason::First), (2, Reason::Resolved)]);
}

pub(in crate::store) async fn what_falls_back_ends_holding(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![resolved(1, 100, 200)], &["slack"], 210).await;
    deliver_all(store, "slack", 210).await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack", "oncall"], 300).await, [Reason::Held, Reason::First]);
    assert_eq!(die(store, "oncall", "slack", 310).await, Settled::FellBack);
    assert_eq!(store.deliver("slack", 310).await, [(1, Reason::First)]);
    assert_eq!(store.nothing_due("slack", 10_000).await, None, "it has heard that it fires");
    store.post(vec![resolved(1, 100, 400)], &[], 400).await;
    assert_eq!(store.deliver("slack", 400).await, [(1, Reason::Resolved)]);
}

pub(in crate::store) async fn a_lost_lease_tells_nobody(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    let lost = store.take("oncall", 110).await;
    let again = store.take("oncall", 170).await;
    assert_eq!(store.done(lost.lease, dead("oncall", "slack"), 171).await, Settled::LeaseLost);
    store.nothing_due("slack", 171).await;
    assert_eq!(store.done(again.lease, DELIVERED, 172).await, Settled::Done);
    // What is under way is told of all the same, if it has failed for long enough before.
    store.post(vec![firing(2, 200)], &["oncall"], 200).await;
    fail(store, "oncall", 200).await;
    let under_way = store.take("oncall", 495).await;
    assert_eq!(falls_back(store, overdue("oncall", "slack", None, 500)).await, 1);
    assert_eq!(store.done(under_way.lease, dead("oncall", "slack"), 501).await, Settled::Done, "told already");
    assert_eq!(deliver_all(store, "slack", 501).await, [[(2, Reason::First)]]);
}

pub(in crate::store) async fn a_clock_that_is_set_back_keeps_its_age(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 9000).await;
    fail(store, "oncall", 9010).await;
    // A minute later it is 3670 instead of 9070.
    store.clock_set_back(Duration::from_secs(5400), at(3670)).await.unwrap();
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(3610), 3909)).await, 0);
    assert_eq!(falls_back(store, overdue("oncall", "slack", Some(3610), 3910)).await, 2);
}

pub(in crate::store) async fn a_clock_set_back_does_not_silence_a_fallback(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 9000).await;
    assert_eq!(die(store, "oncall", "slack", 9000).await, Settled::FellBack);
    store.deliver("slack", 9000).await;
    store.clock_set_back(Duration::from_secs(5400), at(3600)).await.unwrap();
    for (now, expected) in [(7199, Settled::Done), (7200, Settled::FellBack)] {
        store.post(vec![firing(1, 100)], &["oncall"], now).await;
        assert_eq!(die(store, "oncall", "slack", now).await, expected, "at {now}");
    }
}

pub(in crate::store) async fn an_incident_is_closed_although_a_later_word_of_it_is_lost(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    assert_eq!(die(store, "slack", "oncall", 110).await, Settled::FellBack);
    assert_eq!(store.deliver("oncall", 110).await, [(1, Reason::First)]);
    store.post(vec![firing(1, 100)], &["slack"], 4000).await;
    assert_eq!(die(store, "slack", "oncall", 4000).await, Settled::FellBack, "again after an hour");
    let lost = store.take("oncall", 4000).await;
    store.done(lost.lease, Outcome::Dead { error: "HTTP 400".to_owned(), fallback: None }, 4000).await;
    store.post(vec![resolved(1, 100, 4100)], &["slack"], 4100).await;
    assert_eq!(store.deliver("oncall", 4100).await, [(1, Reason::Resolved)]);
    // Whom nothing of it has reached is not told of its end.
    store.post(vec![firing(2, 100)], &["slack"], 5000).await;
    assert_eq!(die(store, "slack", "quiet", 5000).await, Settled::FellBack);
    let lost = store.take("quiet", 5000).await;
    store.done(lost.lease, Outcome::Dead { error: "HTTP 400".to_owned(), fallback: None }, 5000).await;
    store.post(vec![resolved(2, 100, 5100)], &["slack"], 5100).await;
    assert_eq!(store.pending("quiet").await, 0);
}
