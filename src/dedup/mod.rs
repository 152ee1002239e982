//! What is new. [`decide`] is the decision table of README, section "What is new"; [`Cache`] answers the commonest
//! case, a copy of something told already, without a transaction; [`fallback`] is the table of what somebody is told in
//! another's place.

mod cache;
pub mod fallback;
#[cfg(test)]
mod fixture;
pub mod retry;

use std::time::Duration;

pub use cache::{Cache, Remembered};

use crate::alert::{Alert, Status};
use crate::clock::{Timestamp, between};
use crate::notification::Reason;

/// The last state of an alert that a receiver was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Firing, or resolved at a time. `Some` exactly if the receiver was told of the resolve.
    pub ends_at: Option<Timestamp>,
    /// When the episode began that it was told of.
    pub starts_at: Option<Timestamp>,
    /// When it was told.
    pub notified_at: Timestamp,
}

/// What to do with an incoming alert for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Tell the receiver, and remember that it was told.
    Notify(Reason),
    /// Nothing to tell, nothing to remember.
    Drop(Reason),
    /// Wait for `dedup.settle`: either its resolve follows, or it is told as [`Reason::Refired`].
    Hold,
}

impl Decision {
    /// The reason, as the metric label has it.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Notify(reason) | Self::Drop(reason) => reason,
            Self::Hold => Reason::Held,
        }
    }
}

/// Decides over one alert for one receiver. Pure and total: the same question has the same answer for ever.
///
/// `repeat_interval` of zero never repeats. `keeps_state` is [`crate::notification::Target::keeps_state`].
#[must_use]
pub fn decide(
    alert: &Alert,
    known: Option<&Known>,
    repeat_interval: Duration,
    keeps_state: bool,
    now: Timestamp,
) -> Decision {
    match (alert.status, known) {
        (Status::Firing, None) => Decision::Notify(Reason::First),
        (Status::Firing, Some(known)) => match known.ends_at {
            None => decide_firing_again(alert, known, repeat_interval, now),
            Some(ended) if alert.starts_at > Some(ended) => Decision::Notify(Reason::Refired),
            Some(_) => Decision::Hold,
        },
        (Status::Resolved, None) if keeps_state => Decision::Notify(Reason::UnknownResolved),
        (Status::Resolved, None) => Decision::Drop(Reason::UnknownResolved),
        (Status::Resolved, Some(Known { ends_at: Some(_), .. })) => Decision::Drop(Reason::Duplicate),
        (Status::Resolved, Some(known)) if ends_later(alert, known.starts_at) => Decision::Notify(Reason::Resolved),
        (Status::Resolved, Some(_)) => Decision::Drop(Reason::Stale),
    }
}

fn decide_firing_again(alert: &Alert, known: &Known, repeat_interval: Duration, now: Timestamp) -> Decision {
    if alert.starts_at > known.starts_at && alert.starts_at > Some(known.notified_at) {
        Decision::Notify(Reason::Refired)
    } else if is_repeat_due(known.notified_at, repeat_interval, now) {
        Decision::Notify(Reason::Repeat)
    } else {
        Decision::Drop(Reason::Duplicate)
    }
}

/// Whether a resolved alert ended after an episode began: whether it is that episode's resolve, or a late copy of an
/// earlier one.
#[must_use]
pub fn ends_later(alert: &Alert, episode_started: Option<Timestamp>) -> bool {
    alert.ends_at > episode_started
}

/// Whether `repeat_interval` counts as reached: 5 %, at most 5 minutes, early. Alertmanager's own repeat lands a little
/// before or after the same moment, and must not be swallowed every second time.
fn is_repeat_due(notified_at: Timestamp, repeat_interval: Duration, now: Timestamp) -> bool {
    let early = (repeat_interval / 20).min(Duration::from_mins(5));
    !repeat_interval.is_zero() && between(notified_at, now) >= repeat_interval.saturating_sub(early)
}

#[cfg(test)]
mod tests {
    use super::fixture::{alert, at};
    use super::*;

    const REPEAT: Duration = Duration::from_secs(4 * 3600);

    fn told(starts: i64, ends: Option<i64>, when: i64) -> Known {
        Known { starts_at: Some(at(starts)), ends_at: ends.map(at), notified_at: at(when) }
    }

    #[track_caller]
    fn check(alert: &Alert, known: impl Into<Option<Known>>, now: i64, expected: Decision) {
        assert_eq!(decide(alert, known.into().as_ref(), REPEAT, false, at(now)), expected);
    }

    #[test]
    fn firing_and_nothing_known_is_first() {
        check(&alert(100, None), None, 110, Decision::Notify(Reason::First));
    }

    #[test]
    fn firing_later_than_the_known_start_and_the_last_notification_is_refired() {
        check(&alert(300, None), told(100, None, 110), 310, Decision::Notify(Reason::Refired));
    }

    #[test]
    fn firing_later_than_the_known_start_but_not_than_the_notification_is_a_duplicate() {
        // A copy whose startsAt moved while the first was under way: two Prometheis never agree on it exactly.
        check(&alert(105, None), told(100, None, 110), 120, Decision::Drop(Reason::Duplicate));
        check(&alert(110, None), told(100, None, 110), 120, Decision::Drop(Reason::Duplicate));
    }

    #[test]
    fn firing_within_the_repeat_interval_is_a_duplicate() {
        check(&alert(100, None), told(100, None, 110), 110 + 13_000, Decision::Drop(Reason::Duplicate));
    }

    #[test]
    fn repeat_interval_counts_as_reached_five_minutes_early() {
        let due = 110 + 4 * 3600 - 300;
        check(&alert(100, None), told(100, None, 110), due - 1, Decision::Drop(Reason::Duplicate));
        check(&alert(100, None), told(100, None, 110), due, Decision::Notify(Reason::Repeat));
    }

    #[test]
    fn a_short_repeat_interval_counts_as_reached_five_percent_early() {
        let known = told(100, None, 100);
        let decide = |now| decide(&alert(100, None), Some(&known), Duration::from_secs(100), false, at(now));
        assert_eq!(decide(194), Decision::Drop(Reason::Duplicate));
        assert_eq!(decide(195), Decision::Notify(Reason::Repeat));
    }

    #[test]
    fn a_repeat_interval_of_zero_never_repeats() {
        let known = told(100, None, 100);
        let decision = decide(&alert(100, None), Some(&known), Duration::ZERO, false, at(1_000_000_000));
        assert_eq!(decision, Decision::Drop(Reason::Duplicate));
    }

    #[test]
    fn firing_after_the_known_end_is_refired() {
        check(&alert(201, None), told(100, Some(200), 205), 210, Decision::Notify(Reason::Refired));
    }

    #[test]
    fn firing_copy_of_an_ended_episode_is_held() {
        check(&alert(100, None), told(100, Some(200), 205), 210, Decision::Hold);
        check(&alert(200, None), told(100, Some(200), 205), 210, Decision::Hold);
    }

    #[test]
    fn resolve_of_the_known_episode_is_told() {
        check(&alert(100, Some(200)), told(100, None, 110), 210, Decision::Notify(Reason::Resolved));
    }

    #[test]
    fn resolve_of_an_earlier_episode_is_stale() {
        check(&alert(100, Some(200)), told(300, None, 310), 320, Decision::Drop(Reason::Stale));
        check(&alert(100, Some(300)), told(300, None, 310), 320, Decision::Drop(Reason::Stale));
    }

    #[test]
    fn second_resolve_is_a_duplicate() {
        check(&alert(100, Some(200)), told(100, Some(200), 205), 210, Decision::Drop(Reason::Duplicate));
    }

    #[test]
    fn unknown_resolve_is_told_only_where_state_is_kept() {
        let decide = |keeps_state| decide(&alert(100, Some(200)), None, REPEAT, keeps_state, at(210));
        assert_eq!(decide(true), Decision::Notify(Reason::UnknownResolved));
        assert_eq!(decide(false), Decision::Drop(Reason::UnknownResolved));
    }

    #[test]
    fn an_alert_without_a_start_is_never_taken_for_a_new_episode() {
        let mut copy = alert(0, None);
        copy.starts_at = None;
        check(&copy, told(100, None, 110), 500, Decision::Drop(Reason::Duplicate));
        check(&copy, told(100, Some(200), 205), 500, Decision::Hold);
        check(&copy, None, 500, Decision::Notify(Reason::First));
    }
}
