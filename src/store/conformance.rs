//! What every store must do. Each case is a function of an empty store; `conformance_tests!` makes tests of them all.

mod departed_tests;
mod digest_tests;
mod fallback_tests;

use std::sync::Arc;
use std::time::Duration;

pub(super) use departed_tests::*;
pub(super) use digest_tests::*;
pub(super) use fallback_tests::*;

use super::*;
use crate::alert::{Fingerprint, Status};
use crate::clock::after;
use crate::notification::{Granularity, Reason};

/// Everything that a store can do.
pub(super) trait Whole: Store + Admin {}
impl<T: Store + Admin> Whole for T {}

/// How many deliveries may wait in a store that is to be tested.
pub(super) const LIMIT: u64 = 20;
pub(super) const REPEAT: Duration = Duration::from_hours(4);
pub(super) const SETTLE: Duration = Duration::from_mins(5);
pub(super) const LEASE: Duration = Duration::from_mins(1);

/// How long deliveries are kept that have ended.
pub(super) const RETENTION: Duration = Duration::from_hours(30 * 24);

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `slack` takes groups, `oncall` alerts and keeps state, `quiet` does not hear of resolves. All of them may fall back.
pub(super) fn targets() -> Arc<Targets> {
    let target = |name: &str, granularity, keeps_state, send_resolved| {
        (name.into(), Target { name: name.into(), granularity, keeps_state, send_resolved, has_fallback: true })
    };
    Arc::new(Targets::from([
        target("slack", Granularity::Group, false, true),
        target("oncall", Granularity::Alert, true, true),
        target("quiet", Granularity::Group, false, false),
    ]))
}

pub(super) fn firing(fingerprint: u64, starts: i64) -> Alert {
    let name = format!("Alert{fingerprint}");
    Alert {
        status: Status::Firing,
        labels: [("alertname", name.as_str())].into_iter().collect(),
        annotations: [("summary", "a \u{1f525} and a \"quote\"")].into_iter().collect(),
        starts_at: Some(at(starts)),
        ends_at: None,
        generator_url: "http://prometheus/graph".to_owned(),
        fingerprint: Fingerprint(fingerprint),
    }
}

pub(super) fn resolved(fingerprint: u64, starts: i64, ends: i64) -> Alert {
    Alert { status: Status::Resolved, ends_at: Some(at(ends)), ..firing(fingerprint, starts) }
}

/// A body of the group `key`, all of whose alerts go to `wants`.
pub(super) fn intake(key: &str, alerts: Vec<Alert>, wants: &[&str], now: i64) -> Intake {
    let wants: Vec<_> = wants.iter().map(|name| (ReceiverName::from(*name), REPEAT)).collect();
    Intake {
        group: Arc::new(Group { key: key.to_owned(), truncated_alerts: 3, ..Group::default() }),
        alerts: alerts.into_iter().map(|alert| Routed { alert, wants: wants.clone() }).collect(),
        targets: targets(),
        settle: SETTLE,
        now: at(now),
        rejected: Vec::new(),
        held: Held::default(),
        traceparent: None,
    }
}

pub(super) fn ask(receiver: &str, now: i64) -> LeaseRequest {
    LeaseRequest {
        receiver: receiver.into(),
        now: at(now),
        until: after(at(now), LEASE),
        ordinary_due_by: None,
        holding: Vec::new(),
    }
}

pub(super) const DELIVERED: Outcome = Outcome::Delivered { receipt: None };

/// An attempt that failed at once, and when the next one is due.
pub(super) fn again_at(second: i64) -> Outcome {
    Outcome::RetryAt { at: at(second), began: at(second), error: "HTTP 503".to_owned() }
}

/// How a delivery for `from` dies whose fallback is `to`.
pub(super) fn dead(from: &str, to: &str) -> Outcome {
    Outcome::Dead { error: "HTTP 400".to_owned(), fallback: Some(fallback(from, to)) }
}

pub(super) fn fallback(from: &str, to: &str) -> Fallback {
    let targets = targets();
    Fallback { to: targets[to].clone(), from_keeps_state: targets[from].keeps_state }
}

/// Asks what of `from` is overdue for `to`, after 5 min. `stuck` is since when nothing gets through.
pub(super) fn overdue(from: &str, to: &str, stuck: Option<i64>, now: i64) -> Overdue {
    Overdue {
        receiver: from.into(),
        fallback: fallback(from, to),
        after: Duration::from_secs(300),
        lasting: " for 5m".to_owned(),
        stuck_since: stuck.map(at),
        now: at(now),
    }
}

/// A receiver of routes.yaml.
pub(super) fn listed(name: &str, fallback: Option<&str>) -> Listed {
    Listed { target: targets()[name].clone(), fallback: fallback.map(ReceiverName::from) }
}

/// Short words for what the cases do.
pub(super) trait Words: Whole {
    /// Posts a body of group `g`; the reasons of its decisions, in their order.
    async fn post(&self, alerts: Vec<Alert>, wants: &[&str], now: i64) -> Vec<Reason> {
        let accepted = self.accept(intake("g", alerts, wants, now)).await.unwrap();
        accepted.decisions.into_iter().map(|(_, decision)| decision.reason()).collect()
    }

    async fn leases(&self, receiver: &str, now: i64) -> LeaseAnswer {
        self.lease(ask(receiver, now)).await.unwrap()
    }

    async fn take(&self, receiver: &str, now: i64) -> Leased {
        self.leases(receiver, now).await.leased.expect("nothing is due")
    }

    async fn done(&self, lease: Lease, outcome: Outcome, now: i64) -> Settled {
        self.settle(lease, outcome, at(now)).await.unwrap()
    }

    /// Delivers the next one; what was in it: fingerprint and reason.
    async fn deliver(&self, receiver: &str, now: i64) -> Vec<(u64, Reason)> {
        let leased = self.take(receiver, now).await;
        assert_eq!(self.done(leased.lease, DELIVERED, now).await, Settled::Done);
        contents(&leased)
    }

    async fn nothing_due(&self, receiver: &str, now: i64) -> Option<Timestamp> {
        let answer = self.leases(receiver, now).await;
        assert!(answer.leased.is_none(), "{answer:?}");
        answer.next_due
    }

    async fn pending(&self, receiver: &str) -> u64 {
        self.stats().await.unwrap().receivers.get(receiver).map_or(0, |stats| stats.pending)
    }
}
impl<T: Whole + ?Sized> Words for T {}

pub(super) fn contents(leased: &Leased) -> Vec<(u64, Reason)> {
    leased.notification.alerts.iter().map(|one| (one.alert.fingerprint.0, one.reason)).collect()
}

/// Tests of all cases; `$open` gives a new empty store with room for [`LIMIT`] deliveries.
macro_rules! conformance_tests {
    ($open:expr) => {
        crate::store::conformance::conformance_tests!($open;
            a_first_copy_is_delivered_and_the_others_are_not, groups_and_alerts_at_a_time,
            a_repeat_keeps_the_later_start, a_resolve_reaches_whoever_was_told,
            send_resolved_false_changes_the_state_only, an_unknown_resolve_reaches_those_who_keep_state,
            a_held_copy_is_released, a_held_copy_is_cancelled_by_its_resolve, a_later_notification_ends_holding,
            an_older_resolve_does_not_cancel_a_later_copy, a_lane_is_strictly_in_order, lanes_do_not_wait_for_each_other,
            the_receipt_of_a_lane, what_is_due_first_goes_first, a_lease_that_ran_out, what_is_still_in_hand, a_receiver_that_is_back,
            a_lease_can_be_settled_once,
            a_released_lease_was_no_attempt, what_died_was_never_told, the_next_due_time, a_full_outbox_takes_nothing,
            pruning_keeps_what_is_needed, orphans_become_dead_letters, a_clock_that_is_set_back_holds_nothing_up, rejected_ones_are_kept, counts,
            a_receiver_that_does_not_exist_is_not_forgotten, it_answers,
            a_dead_letter_is_told_to_the_fallback_at_once, what_fails_for_too_long_is_told_once_and_goes_on,
            what_waits_behind_a_failing_one_falls_back_by_its_own_age, what_waits_for_a_receiver_that_is_stuck_falls_back,
            waiting_for_a_receiver_that_works_is_no_failure, one_alert_falls_back_into_its_group,
            a_clock_set_back_does_not_silence_a_fallback, an_incident_is_closed_although_a_later_word_of_it_is_lost,
            a_group_falls_back_alert_by_alert, a_fallback_of_a_fallback_keeps_who_was_meant,
            who_stood_in_hears_of_the_end, who_knows_in_its_own_right_hears_of_the_end_once,
            who_is_told_late_hears_of_the_end_at_once, who_has_heard_the_whole_is_told_nothing,
            an_end_falls_back_only_where_somebody_has_to_act, a_fallback_without_resolves_is_told_of_none,
            the_copies_of_a_dead_letter_are_told_once_an_hour, a_fallback_that_died_was_never_told, every_episode_falls_back_with_its_end, what_falls_back_ends_holding,
            a_lost_lease_tells_nobody, a_clock_that_is_set_back_keeps_its_age,
            what_waits_for_a_departed_receiver_goes_to_its_fallback, without_a_fallback_it_becomes_dead_letters,
            the_next_fallback_that_is_there_inherits, what_has_fallen_back_does_not_go_twice,
            an_attempt_under_way_is_left_alone, a_held_copy_is_held_on_for_the_fallback,
            a_receiver_that_comes_back_was_never_told, who_was_never_there_is_not_departed,
            what_waits_together_is_one_digest, one_alone_is_left_as_it_is, a_resolve_folds_with_its_firing,
            critical_ones_go_first_and_are_never_folded, a_critical_one_behind_a_digest_makes_it_urgent,
            a_held_copy_that_is_critical_goes_first_when_it_is_released,
            a_held_copy_that_is_released_before_a_critical_one_does_not_hold_it_up, what_cannot_be_folded_is_left,
            a_digest_that_was_not_tried_takes_more, a_digest_that_is_given_up_leaves_dead_letters,
            what_a_failing_digest_carries_falls_back, fallbacks_are_folded_apart,
            a_digest_of_a_departed_receiver_goes_to_its_fallback, a_digest_of_nobody_becomes_dead_letters,
            a_digest_whose_lease_ran_out_is_told_again);
    };
    ($open:expr; $($case:ident),*) => {$(
        #[tokio::test]
        async fn $case() {
            let fixture = $open;
            crate::store::conformance::$case(&fixture.store).await;
        }
    )*};
}
pub(super) use conformance_tests;

pub(super) async fn a_first_copy_is_delivered_and_the_others_are_not(store: &dyn Whole) {
    let accepted = store.accept(intake("g", vec![firing(1, 100)], &["slack"], 110)).await.unwrap();
    assert_eq!(accepted.decisions, [("slack".into(), Decision::Notify(Reason::First))]);
    assert_eq!(accepted.deliveries, [("slack".into(), 1)]);
    let accepted = store.accept(intake("g", vec![firing(1, 100)], &["slack"], 111)).await.unwrap();
    assert_eq!(accepted.decisions, [("slack".into(), Decision::Drop(Reason::Duplicate))]);
    assert_eq!(accepted.deliveries, []);

    let Leased { notification, since, .. } = store.take("slack", 110).await;
    assert_eq!((notification.receiver.as_str(), notification.attempt, notification.receipt), ("slack", 1, None));
    assert_eq!((notification.received_at, since), (at(110), at(110)));
    assert_eq!((notification.group.key.as_str(), notification.group.truncated_alerts), ("g", 3));
    assert_eq!(notification.alerts[0].alert, firing(1, 100));
    assert_eq!(store.nothing_due("slack", 111).await, Some(at(170)), "the lease's end");
}

pub(super) async fn groups_and_alerts_at_a_time(store: &dyn Whole) {
    store.post(vec![firing(2, 100), firing(9, 100)], &["slack"], 110).await;
    store.deliver("slack", 110).await;
    let body = vec![firing(3, 100), firing(2, 100), firing(1, 100), firing(9, 100)];
    let accepted = store.accept(intake("g", body, &["slack", "oncall"], 120)).await.unwrap();
    assert_eq!(accepted.deliveries, [("slack".into(), 1), ("oncall".into(), 4)]);
    let slack = store.take("slack", 120).await;
    assert_eq!(contents(&slack), [(3, Reason::First), (1, Reason::First)], "in the order of the body");
    assert_eq!(slack.notification.others_firing, 2);
    for fingerprint in [3, 2, 1, 9] {
        let oncall = store.take("oncall", 120).await;
        assert_eq!(contents(&oncall), [(fingerprint, Reason::First)]);
        assert_eq!(oncall.notification.others_firing, 0);
    }
    store.nothing_due("oncall", 120).await;
}

pub(super) async fn a_repeat_keeps_the_later_start(store: &dyn Whole) {
    let four_hours = 4 * 3600;
    assert_eq!(store.post(vec![firing(1, 105)], &["slack"], 110).await, [Reason::First]);
    // A peer's copy with an earlier start, then a late resolve of the episode before.
    assert_eq!(store.post(vec![firing(1, 90)], &["slack"], 110 + four_hours).await, [Reason::Repeat]);
    assert_eq!(store.post(vec![resolved(1, 50, 100)], &["slack"], 111 + four_hours).await, [Reason::Stale]);
    assert_eq!(store.post(vec![resolved(1, 105, 106)], &["slack"], 112 + four_hours).await, [Reason::Resolved]);
}

pub(super) async fn a_resolve_reaches_whoever_was_told(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack", "oncall"], 110).await;
    // The routes have changed: nobody but `quiet` is named, and `slack` is not there any more.
    let mut body = intake("g", vec![resolved(1, 100, 200)], &["quiet"], 210);
    Arc::make_mut(&mut body.targets).remove("slack");
    let accepted = store.accept(body).await.unwrap();
    let expected = [
        ("quiet".into(), Decision::Drop(Reason::UnknownResolved)),
        ("oncall".into(), Decision::Notify(Reason::Resolved)),
    ];
    assert_eq!(accepted.decisions, expected);
    assert_eq!(store.deliver("oncall", 210).await, [(1, Reason::First)]);
    assert_eq!(store.deliver("oncall", 210).await, [(1, Reason::Resolved)]);
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["oncall"], 220).await, [Reason::Duplicate, Reason::Resolved]);
}

pub(super) async fn send_resolved_false_changes_the_state_only(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["quiet"], 110).await;
    let accepted = store.accept(intake("g", vec![resolved(1, 100, 200)], &["quiet"], 210)).await.unwrap();
    assert_eq!(accepted.decisions, [("quiet".into(), Decision::Notify(Reason::Resolved))]);
    assert_eq!((accepted.deliveries, accepted.unsent), (vec![], vec![("quiet".into(), 1)]));
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["quiet"], 211).await, [Reason::Duplicate]);
    assert_eq!(store.post(vec![firing(1, 300)], &["quiet"], 310).await, [Reason::Refired]);
    assert_eq!(store.deliver("quiet", 310).await, [(1, Reason::First)]);
    assert_eq!(store.deliver("quiet", 310).await, [(1, Reason::Refired)]);
}

pub(super) async fn an_unknown_resolve_reaches_those_who_keep_state(store: &dyn Whole) {
    let reasons = store.post(vec![resolved(1, 100, 200)], &["slack", "oncall"], 210).await;
    assert_eq!(reasons, [Reason::UnknownResolved; 2]);
    assert_eq!(store.deliver("oncall", 210).await, [(1, Reason::UnknownResolved)]);
    store.nothing_due("slack", 210).await;
    assert_eq!(store.post(vec![resolved(1, 100, 200)], &["oncall"], 211).await, [Reason::Duplicate]);
}

/// Told and resolved: another firing copy of the same episode will be held.
async fn an_ended_episode(store: &dyn Whole, receiver: &str) {
    store.post(vec![firing(1, 100)], &[receiver], 110).await;
    store.post(vec![resolved(1, 100, 200)], &[receiver], 210).await;
    store.deliver(receiver, 210).await;
    store.deliver(receiver, 210).await;
}

pub(super) async fn a_held_copy_is_released(store: &dyn Whole) {
    for receiver in ["slack", "oncall"] {
        an_ended_episode(store, receiver).await;
        let accepted = store.accept(intake("g", vec![firing(1, 100)], &[receiver], 300)).await.unwrap();
        assert_eq!(accepted.decisions, [(receiver.into(), Decision::Hold)]);
        assert_eq!(accepted.deliveries, [(receiver.into(), 0)], "to be woken, for there is a new due time");
        assert_eq!(store.post(vec![firing(1, 100)], &[receiver], 400).await, [Reason::Held]);
        assert_eq!(store.pending(receiver).await, 1, "held once");
        assert_eq!(store.nothing_due(receiver, 599).await, Some(at(600)), "the first copy's time");

        let answer = store.leases(receiver, 600).await;
        let leased = answer.leased.unwrap();
        assert_eq!((answer.released, contents(&leased)), (1, vec![(1, Reason::Refired)]));
        assert_eq!((leased.since, leased.notification.received_at), (at(600), at(300)));
        assert_eq!(store.done(leased.lease, DELIVERED, 601).await, Settled::Done);
        assert_eq!(store.post(vec![firing(1, 100)], &[receiver], 602).await, [Reason::Duplicate], "it was told");
        assert_eq!(store.post(vec![resolved(1, 100, 700)], &[receiver], 700).await, [Reason::Resolved]);
        store.deliver(receiver, 700).await;
        store.done(Lease { delivery: DeliveryId(0), token: 0 }, DELIVERED, 0).await;
        // For the next receiver the alert is unknown.
        assert!(store.stats().await.unwrap().receivers.get(receiver).is_none_or(|stats| stats.pending == 0));
    }
}

pub(super) async fn a_held_copy_is_cancelled_by_its_resolve(store: &dyn Whole) {
    an_ended_episode(store, "slack").await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 300).await, [Reason::Held]);
    // Not even if the routes have another receiver for it by now.
    let accepted = store.accept(intake("g", vec![resolved(1, 100, 200)], &["quiet"], 310)).await.unwrap();
    assert_eq!(accepted.cancelled, [("slack".into(), 1)]);
    assert!(accepted.decisions.contains(&("slack".into(), Decision::Drop(Reason::Duplicate))));
    assert_eq!(store.pending("slack").await, 0);
    assert_eq!(store.nothing_due("slack", 10_000).await, None);
}

pub(super) async fn a_later_notification_ends_holding(store: &dyn Whole) {
    an_ended_episode(store, "slack").await;
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 300).await, [Reason::Held]);
    let accepted = store.accept(intake("g", vec![firing(1, 305)], &["slack"], 310)).await.unwrap();
    assert_eq!(accepted.decisions, [("slack".into(), Decision::Notify(Reason::Refired))]);
    assert_eq!(accepted.cancelled, [], "it was not stale");
    assert_eq!(store.deliver("slack", 310).await, [(1, Reason::Refired)]);
    assert_eq!(store.nothing_due("slack", 10_000).await, None);
}

pub(super) async fn an_older_resolve_does_not_cancel_a_later_copy(store: &dyn Whole) {
    an_ended_episode(store, "slack").await;
    store.post(vec![firing(1, 100)], &["slack"], 300).await;
    store.post(vec![firing(1, 190)], &["slack"], 310).await;
    store.post(vec![resolved(1, 100, 150)], &["slack"], 320).await;
    assert_eq!(store.deliver("slack", 600).await, [(1, Reason::Refired)]);
}

pub(super) async fn a_lane_is_strictly_in_order(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![resolved(1, 100, 120)], &["slack"], 120).await;
    store.post(vec![firing(2, 100)], &["slack"], 130).await;
    let first = store.take("slack", 200).await;
    assert_eq!(contents(&first), [(1, Reason::First)]);
    store.nothing_due("slack", 200).await;
    let retry = again_at(300);
    assert_eq!(store.done(first.lease, retry, 201).await, Settled::Done);
    assert_eq!(store.nothing_due("slack", 299).await, Some(at(300)), "the others wait behind it");
    let again = store.take("slack", 300).await;
    assert_eq!((contents(&again), again.notification.attempt), (vec![(1, Reason::First)], 2));
    assert_eq!(again.since, at(110));
    store.done(again.lease, Outcome::Dead { error: "410".to_owned(), fallback: None }, 301).await;
    assert_eq!(store.deliver("slack", 301).await, [(1, Reason::Resolved)]);
    assert_eq!(store.deliver("slack", 301).await, [(2, Reason::First)]);
}

pub(super) async fn lanes_do_not_wait_for_each_other(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100)], &["oncall"], 110).await;
    store.accept(intake("g", vec![firing(1, 100)], &["slack"], 110)).await.unwrap();
    store.accept(intake("h", vec![firing(3, 100)], &["slack"], 110)).await.unwrap();
    let mut leases = Vec::new();
    for receiver in ["oncall", "oncall", "slack", "slack"] {
        leases.push(store.take(receiver, 110).await.lease);
    }
    store.nothing_due("oncall", 110).await;
    for lease in leases.into_iter().rev() {
        assert_eq!(store.done(lease, DELIVERED, 111).await, Settled::Done);
    }
    assert_eq!(store.pending("slack").await + store.pending("oncall").await, 0);
}

pub(super) async fn the_receipt_of_a_lane(store: &dyn Whole) {
    let receipt = |text: &str| Some(Receipt(text.to_owned()));
    for (now, expected, left) in [(110, None, "one"), (120, Some("one"), "two"), (130, Some("two"), "")] {
        let fingerprint = u64::try_from(now).unwrap();
        store.post(vec![firing(fingerprint, 100)], &["slack"], now).await;
        let leased = store.take("slack", now).await;
        assert_eq!(leased.notification.receipt, expected.and_then(receipt));
        let receipt = receipt(left).filter(|receipt| !receipt.0.is_empty());
        store.done(leased.lease, Outcome::Delivered { receipt }, now).await;
    }
    store.post(vec![firing(1, 100)], &["slack"], 140).await;
    assert_eq!(store.take("slack", 140).await.notification.receipt, None, "none replaces the last one");
}

pub(super) async fn what_is_due_first_goes_first(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["oncall"], 110).await;
    let first = store.take("oncall", 110).await;
    store.post(vec![firing(3, 100)], &["oncall"], 130).await;
    store.post(vec![firing(2, 100)], &["oncall"], 120).await;
    store.post(vec![firing(4, 100)], &["oncall"], 130).await;
    store.done(first.lease, again_at(125), 110).await;
    for fingerprint in [2, 1, 3, 4] {
        assert_eq!(contents(&store.take("oncall", 130).await)[0].0, fingerprint);
    }
}

pub(super) async fn a_lease_that_ran_out(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let lost = store.take("slack", 110).await;
    assert_eq!(store.nothing_due("slack", 169).await, Some(at(170)));
    let again = store.take("slack", 170).await;
    assert_eq!((again.notification.id, again.notification.attempt), (lost.notification.id, 2));
    for outcome in [DELIVERED, Outcome::Dead { error: String::new(), fallback: None }, again_at(0), Outcome::Released] {
        assert_eq!(store.done(lost.lease, outcome, 171).await, Settled::LeaseLost);
    }
    assert_eq!(store.nothing_due("slack", 171).await, Some(at(230)), "nothing was changed");
    // Late, but nobody else has it: what was sent need not be sent again.
    assert_eq!(store.done(again.lease, DELIVERED, 10_000).await, Settled::Done);
    assert_eq!(store.nothing_due("slack", 10_000).await, None);
}

pub(super) async fn what_is_still_in_hand(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    store.post(vec![firing(1, 100), firing(2, 100)], &["slack"], 110).await;
    let first = store.take("slack", 110).await;
    // Its lease ran out long ago, and whoever asks says that it has it still.
    let holding = |lease, now| LeaseRequest { holding: vec![lease], ..ask("slack", now) };
    for now in [200, 4000] {
        let answer = store.lease(holding(first.lease, now)).await.unwrap();
        assert!(answer.leased.is_none(), "neither it nor what comes after it");
        assert_eq!(answer.next_due, Some(at(now + 60)), "renewed");
    }
    assert_eq!(store.done(first.lease, DELIVERED, 4001).await, Settled::Done);
    // A lease that was lost to somebody else is not had again by saying so.
    let second = store.take("slack", 4002).await;
    let third = store.take("slack", 5000).await;
    assert_eq!(third.notification.id, second.notification.id);
    let answer = store.lease(holding(second.lease, 6000)).await.unwrap();
    assert_eq!(answer.leased.map(|leased| leased.notification.id), Some(second.notification.id));
}

pub(super) async fn a_receiver_that_is_back(store: &dyn Whole) {
    for (fingerprint, now) in [(1, 110), (2, 120), (3, 130)] {
        store.post(vec![firing(fingerprint, 100)], &["oncall"], now).await;
    }
    // The oldest was probed last.
    for (fingerprint, due) in [(1, 180), (2, 160)] {
        let leased = store.take("oncall", 130).await;
        assert_eq!(contents(&leased)[0].0, fingerprint);
        store.done(leased.lease, again_at(due), 150).await;
    }
    store.recovered("oncall".into(), at(151)).await.unwrap();
    for fingerprint in [1, 2, 3] {
        assert_eq!(contents(&store.take("oncall", 151).await)[0].0, fingerprint);
    }
}

pub(super) async fn a_lease_can_be_settled_once(store: &dyn Whole) {
    for (fingerprint, outcome) in [
        (1, DELIVERED),
        (2, Outcome::Dead { error: String::new(), fallback: None }),
        (3, again_at(110)),
        (4, Outcome::Released),
    ] {
        store.post(vec![firing(fingerprint, 100)], &["oncall"], 110).await;
        let lease = store.take("oncall", 110).await.lease;
        assert_eq!(store.done(lease, outcome.clone(), 111).await, Settled::Done);
        assert_eq!(store.done(lease, outcome, 111).await, Settled::LeaseLost);
        if let Some(left) = store.leases("oncall", 112).await.leased {
            store.done(left.lease, DELIVERED, 112).await;
        }
    }
}

pub(super) async fn a_released_lease_was_no_attempt(store: &dyn Whole) {
    store.post(vec![firing(1, 100)], &["slack"], 110).await;
    for _ in 0..3 {
        let leased = store.take("slack", 110).await;
        assert_eq!(leased.notification.attempt, 1);
        store.done(leased.lease, Outcome::Released, 110).await;
    }
}

pub(super) async fn what_died_was_never_told(store: &dyn Whole) {
    store.post(vec![firing(1, 100), firing(2, 100)], &["slack", "oncall"], 110).await;
    let dead = store.take("slack", 110).await;
    store.done(dead.lease, Outcome::Dead { error: "channel_not_found".to_owned(), fallback: None }, 120).await;
    let reasons = store.post(vec![firing(1, 100)], &["slack", "oncall"], 130).await;
    assert_eq!(reasons, [Reason::First, Reason::Duplicate]);
    // A copy that was told since is not forgotten with the one that died.
    store.post(vec![firing(3, 100)], &["slack"], 140).await;
    store.post(vec![firing(3, 200)], &["slack"], 210).await;
    store.deliver("slack", 210).await;
    let dead = store.take("slack", 210).await;
    assert_eq!(contents(&dead), [(3, Reason::First)]);
    store.done(dead.lease, Outcome::Dead { error: "late".to_owned(), fallback: None }, 211).await;
    assert_eq!(store.post(vec![firing(3, 200)], &["slack"], 212).await, [Reason::Duplicate]);
    assert_eq!(store.stats().await.unwrap().receivers["slack"].dead, 2);
}

pub(super) async fn the_next_due_time(store: &dyn Whole) {
    assert_eq!(store.nothing_due("slack", 100).await, None);
    an_ended_episode(store, "slack").await;
    store.post(vec![firing(1, 100)], &["slack"], 300).await;
    assert_eq!(store.nothing_due("slack", 300).await, Some(at(600)), "held");
    store.accept(intake("h", vec![firing(2, 290)], &["slack"], 300)).await.unwrap();
    let leased = store.take("slack", 300).await;
    assert_eq!(store.nothing_due("slack", 300).await, Some(at(360)), "leased");
    store.done(leased.lease, again_at(350), 300).await;
    assert_eq!(store.nothing_due("slack", 300).await, Some(at(350)), "again at");
    assert_eq!(store.nothing_due("oncall", 300).await, None, "other receivers");
}

pub(super) async fn a_full_outbox_takes_nothing(store: &dyn Whole) {
    an_ended_episode(store, "slack").await;
    let many = |from| (from..from + LIMIT - 1).map(|fingerprint| firing(fingerprint, 100)).collect::<Vec<_>>();
    store.post(many(100), &["oncall"], 110).await;
    let pair = || intake("g", vec![firing(7, 100), firing(8, 100)], &["oncall"], 120);
    let error = store.accept(pair()).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { pending, limit: LIMIT } if pending == LIMIT - 1), "{error}");
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 300).await, [Reason::Held], "the last place");
    let hold = intake("g", vec![firing(9, 100)], &["slack"], 300);
    assert!(matches!(store.accept(hold).await, Err(StoreError::Full { pending: LIMIT, .. })));
    // What adds nothing is taken, and so is what removes as much as it adds.
    assert_eq!(store.post(vec![firing(100, 100)], &["oncall"], 300).await, [Reason::Duplicate]);
    assert_eq!(store.post(vec![firing(1, 305)], &["slack"], 310).await, [Reason::Refired]);
    assert_eq!(store.pending("slack").await + store.pending("oncall").await, LIMIT);
    // Nothing of what was refused was stored.
    for _ in 0..2 {
        store.deliver("oncall", 310).await;
    }
    let accepted = store.accept(pair()).await.unwrap();
    assert!(accepted.decisions.iter().all(|(_, decision)| *decision == Decision::Notify(Reason::First)));
    assert_eq!(accepted.deliveries, [("oncall".into(), 2)]);
}

pub(super) async fn pruning_keeps_what_is_needed(store: &dyn Whole) {
    let (hour, day) = (3600, 24 * 3600);
    store.post(vec![firing(1, 100), firing(2, 100)], &["slack"], 1000).await;
    store.post(vec![resolved(1, 100, 1500)], &["slack"], 2000).await;
    store.post(vec![firing(3, 100)], &["oncall"], 2000).await;
    store.post(vec![firing(4, 100)], &["quiet"], 2000).await;
    store.deliver("slack", 2000).await;
    store.deliver("slack", 2000).await;
    let dead = store.take("oncall", 2000).await;
    store.done(dead.lease, Outcome::Dead { error: "x".to_owned(), fallback: None }, 2000).await;
    let (rows, dead) = (async |now| store.prune(at(now), RETENTION).await.unwrap().rows, "oncall".into());
    assert_eq!(rows(2000 + 120 * hour).await, 0);
    assert_eq!(rows(2001 + 120 * hour).await, 1, "the ended alert");
    assert_eq!(rows(2000 + 30 * day).await, 0);
    let pruned = store.prune(at(2001 + 30 * day), RETENTION).await.unwrap();
    assert_eq!(
        (pruned.rows, pruned.dead, pruned.more),
        (5, vec![(dead, 1)], false),
        "three deliveries and their lanes"
    );
    assert_eq!(rows(1000 + 90 * day).await, 0);
    assert_eq!(rows(2001 + 90 * day).await, 2, "alerts that nobody has heard of");
    assert_eq!(rows(2001 + 900 * day).await, 0);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.dedup_entries, stats.receivers.get("oncall"), stats.receivers["quiet"].pending), (0, None, 1));
    assert_eq!(store.post(vec![resolved(1, 100, 1500)], &["slack"], 2000).await, [Reason::UnknownResolved]);
}

pub(super) async fn orphans_become_dead_letters(store: &dyn Whole) {
    an_ended_episode(store, "slack").await;
    store.post(vec![firing(1, 100)], &["slack"], 300).await;
    store.post(vec![firing(2, 100)], &["slack"], 300).await;
    store.post(vec![firing(3, 100)], &["slack"], 300).await;
    let leased = store.take("slack", 300).await;
    store.post(vec![firing(4, 100)], &["oncall"], 300).await;
    let buried = store.bury_orphans(vec!["oncall".into(), "quiet".into()], at(310)).await.unwrap();
    assert_eq!(buried, [("slack".into(), 2)], "the attempt under way may still end well");
    assert_eq!(store.bury_orphans(vec!["oncall".into()], at(310)).await.unwrap(), []);
    assert_eq!(store.done(leased.lease, DELIVERED, 311).await, Settled::Done);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.receivers["slack"].pending, stats.receivers["slack"].dead), (0, 2));
    assert_eq!(store.post(vec![firing(3, 100)], &["slack"], 320).await, [Reason::First], "it was never told");
    assert_eq!(store.deliver("oncall", 320).await, [(4, Reason::First)]);
}

pub(super) async fn a_clock_that_is_set_back_holds_nothing_up(store: &dyn Whole) {
    store.post(vec![firing(1, 3500)], &["oncall"], 9000).await;
    store.post(vec![firing(2, 3500)], &["slack"], 9000).await;
    let retried = store.take("slack", 9000).await;
    store.done(retried.lease, again_at(9030), 9000).await;
    store.post(vec![firing(3, 3500)], &["quiet"], 3590).await;
    let under_way = store.take("quiet", 3600).await;
    // An hour and a half back, to 3600; the lease was given after that, and before anybody had noticed.
    store.clock_set_back(Duration::from_secs(5400), at(3600)).await.unwrap();
    assert!(store.leases("quiet", 3610).await.leased.is_none(), "its attempt is under way");
    assert_eq!(store.done(under_way.lease, DELIVERED, 3611).await, Settled::Done);
    assert_eq!(store.deliver("oncall", 3600).await, [(1, Reason::First)]);
    assert_eq!(store.nothing_due("slack", 3629).await, Some(at(3630)));
    assert_eq!(store.deliver("slack", 3630).await, [(2, Reason::First)]);
    assert_eq!(
        store.post(vec![firing(1, 3700)], &["oncall"], 3710).await,
        [Reason::Refired],
        "told at 3600, not at 9000"
    );
}

pub(super) async fn rejected_ones_are_kept(store: &dyn Whole) {
    let rejected = |second: i64, what, length| Rejected {
        at: at(second),
        what,
        reason: format!("no. {second}"),
        content: vec![0xff; length],
    };
    let mut body = intake("g", vec![firing(1, 100)], &["slack"], 110);
    body.rejected = vec![rejected(1, RejectedWhat::Alert, 10)];
    store.accept(body).await.unwrap();
    store.keep_rejected(vec![rejected(2, RejectedWhat::Body, 65_537)]).await.unwrap();
    let expected = [rejected(2, RejectedWhat::Body, 65_536), rejected(1, RejectedWhat::Alert, 10)];
    assert_eq!(store.rejected(10).await.unwrap(), expected);
    store.keep_rejected((3..=1005).map(|n| rejected(n, RejectedWhat::Body, 1)).collect()).await.unwrap();
    let all = store.rejected(usize::MAX).await.unwrap();
    assert_eq!((all.len(), all[0].at, all[999].at), (1000, at(1005), at(6)));
    assert_eq!(store.rejected(2).await.unwrap().len(), 2);
}

pub(super) async fn counts(store: &dyn Whole) {
    assert_eq!(store.stats().await.unwrap(), Stats::default());
    an_ended_episode(store, "slack").await;
    store.post(vec![firing(1, 100)], &["slack"], 300).await;
    store.post(vec![firing(2, 290)], &["slack", "oncall"], 310).await;
    store.post(vec![firing(3, 290)], &["slack"], 320).await;
    store.take("oncall", 320).await;
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.dedup_entries, 4);
    // The held copy, of 300, is not late before it is due.
    let slack = ReceiverStats { pending: 3, oldest: Some(at(310)), ..ReceiverStats::default() };
    let oncall = ReceiverStats { pending: 1, oldest: Some(at(310)), ..ReceiverStats::default() };
    assert_eq!(stats.receivers, HashMap::from([("slack".into(), slack), ("oncall".into(), oncall)]));
}

pub(super) async fn a_receiver_that_does_not_exist_is_not_forgotten(store: &dyn Whole) {
    assert_eq!(store.post(vec![firing(1, 100)], &["typo"], 110).await, [Reason::First]);
    assert_eq!(store.pending("typo").await, 1);
}

pub(super) async fn it_answers(store: &dyn Whole) {
    store.ping().await.unwrap();
}
