//! What a fallback is told of an alert that did not reach the receiver it was meant for.
//!
//! Two things count. Somebody hears of every alert that fires. And nobody is left with an incident that nothing closes:
//! whoever is told here that an alert fires is remembered like everybody else who was told, so its resolve finds them;
//! where the resolve has come already, it goes along.
//!
//! *Meant for* is what the receiver that did not get it was told last, delivered or not: it says how the alert stands
//! today. *Own* is what the fallback was told because a route names it, *stood in* what it was told in another's place.
//!
//! | falls back | meant for | the fallback knows | it is told | and remembers |
//! |---|---|---|---|---|
//! | firing, as `first`, and the fallback stood in for the same episode less than an hour ago | | firing | nothing: after a dead letter every copy is a `first` | as before |
//! | firing | fires, or nothing | nothing, resolved, or firing, stood in | it fires | firing, stood in |
//! | firing | resolved since | nothing, firing, stood in, or resolved before this episode | it fires, then it has ended | resolved |
//! | firing | resolved since | resolved, after this episode began | nothing: it has heard the whole of it | as before |
//! | firing | | firing, own | it fires | as before: its own resolve comes, and comes once |
//! | resolved | | firing, stood in, began before this end | it has ended | resolved |
//! | resolved | | firing, stood in, began after this end | nothing: an earlier episode | as before |
//! | resolved | | firing, own | nothing: its own resolve comes or came | as before |
//! | resolved | | resolved | nothing: it has heard | as before |
//! | resolved, late | | nothing | nothing: nobody waits for it | nothing |
//! | resolved, never to be delivered, to a service that keeps incidents | | nothing | it has ended, unless the fallback keeps incidents, too: somebody has to close the other one by hand | nothing |
//! | resolved, never to be delivered, elsewhere | | nothing | nothing | nothing |
//!
//! `send_resolved: false` of the fallback holds on top: what it remembers changes, and it is not told. Whoever is told needs
//! no copy of the same alert that is held for it.

use std::time::Duration;

use super::{Known, ends_later};
use crate::alert::{Alert, Status};
use crate::clock::{Timestamp, between, to_micros};
use crate::notification::Reason;

/// A dead letter was never told, so each further copy of its alert is a `first` and dies anew. The fallback hears of the
/// same episode again after this, not with every copy.
const AGAIN_AFTER: Duration = Duration::from_hours(1);

/// An alert that was not delivered to the receiver it was meant for, and what is known about the two.
#[derive(Debug, Clone, Copy)]
pub struct Missed<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Why it was to be sent.
    pub reason: Reason,
    /// Whether it will never be delivered; else it is only late.
    pub never: bool,
    /// Whether the receiver that it was meant for keeps an incident open until it is told otherwise.
    pub meant_for_keeps_state: bool,
    /// What that receiver was told of the alert last.
    pub meant_for: Option<&'a Known>,
    /// Whether the fallback keeps an incident open until it is told otherwise.
    pub keeps_state: bool,
    /// What the fallback was told of the alert last.
    pub heard: Option<&'a Heard>,
    /// When the fallback last stood in for that receiver with this alert.
    pub stood_in: Option<StoodIn>,
    /// The present.
    pub now: Timestamp,
}

/// What a receiver was told of an alert, and in which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// What it was told.
    pub known: Known,
    /// Whether a route named it. Otherwise it stood in for another receiver.
    pub own: bool,
}

/// That a fallback was told in a receiver's place that an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoodIn {
    /// When the episode began that it was told of.
    pub starts_at: Option<Timestamp>,
    /// When it was told.
    pub at: Timestamp,
}

/// What to tell the fallback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tell {
    /// Whether it is told of the alert as it was to be sent.
    pub alert: bool,
    /// Whether it is told, behind that, that the alert has ended since, and when.
    pub then_ended: Option<Timestamp>,
    /// What it knows of the alert from now on, not by its own right; `None` for what it knew before.
    pub remember: Option<Known>,
}

/// The table above. Pure and total.
#[must_use]
pub fn fall_back(missed: &Missed<'_>) -> Tell {
    match missed.alert.status {
        Status::Firing => fires(missed),
        Status::Resolved => has_ended(missed),
    }
}

fn fires(missed: &Missed<'_>) -> Tell {
    let Missed { alert, now, .. } = *missed;
    let starts_at = alert.starts_at.map(to_micros);
    let firing = missed.heard.filter(|heard| heard.known.ends_at.is_none());
    let again = |last: StoodIn| starts_at <= last.starts_at && between(last.at, now) < AGAIN_AFTER;
    if missed.reason == Reason::First && firing.is_some() && missed.stood_in.is_some_and(again) {
        return Tell::default();
    }
    if firing.is_some_and(|heard| heard.own) {
        return Tell { alert: true, ..Tell::default() };
    }
    let ended = missed.meant_for.and_then(|known| known.ends_at).filter(|end| Some(*end) > starts_at);
    let Some(ended) = ended else {
        // The copies of an HA pair need not agree on startsAt.
        let before = firing.and_then(|heard| heard.known.starts_at);
        let remember = Known { starts_at: starts_at.max(before), ends_at: None, notified_at: now };
        return Tell { alert: true, then_ended: None, remember: Some(remember) };
    };
    if missed.heard.and_then(|heard| heard.known.ends_at).is_some_and(|end| Some(end) > starts_at) {
        return Tell::default();
    }
    let remember = Known { starts_at, ends_at: Some(ended), notified_at: now };
    Tell { alert: true, then_ended: Some(ended), remember: Some(remember) }
}

fn has_ended(missed: &Missed<'_>) -> Tell {
    let Missed { alert, now, .. } = *missed;
    match missed.heard {
        Some(Heard { known, own: false }) if known.ends_at.is_none() && ends_later(alert, known.starts_at) => {
            let ends_at = Some(alert.ends_at.map_or(now, to_micros));
            let remember = Known { starts_at: alert.starts_at.map(to_micros), ends_at, notified_at: now };
            Tell { alert: true, then_ended: None, remember: Some(remember) }
        }
        Some(_) => Tell::default(),
        None => {
            // Of an incident that was opened nobody knows whether it is one that we have opened.
            let left_open = missed.never && missed.meant_for_keeps_state && missed.reason == Reason::Resolved;
            Tell { alert: left_open && !missed.keeps_state, ..Tell::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::fixture::{alert, at};

    fn known(starts: i64, ends: Option<i64>) -> Known {
        Known { starts_at: Some(at(starts)), ends_at: ends.map(at), notified_at: at(110) }
    }

    fn own(starts: i64, ends: Option<i64>) -> Heard {
        Heard { known: known(starts, ends), own: true }
    }

    fn stood_in(starts: i64, ends: Option<i64>) -> Heard {
        Heard { known: known(starts, ends), own: false }
    }

    const NOW: i64 = 1000;

    /// What is told of an alert that is late: it, then its end.
    fn told(alert: &Alert, meant_for: impl Into<Option<Known>>, heard: impl Into<Option<Heard>>) -> Tell {
        fall_back(&Missed {
            alert,
            reason: if alert.status == Status::Firing { Reason::First } else { Reason::Resolved },
            never: false,
            meant_for_keeps_state: true,
            meant_for: meant_for.into().as_ref(),
            keeps_state: false,
            heard: heard.into().as_ref(),
            stood_in: None,
            now: at(NOW),
        })
    }

    fn remembered(starts: i64, ends: Option<i64>) -> Known {
        Known { notified_at: at(NOW), ..known(starts, ends) }
    }

    const NOTHING: Tell = Tell { alert: false, then_ended: None, remember: None };

    #[test]
    fn what_fires_is_told_and_remembered() {
        let alert = alert(100, None);
        for meant_for in [None, Some(known(100, None)), Some(known(100, Some(90)))] {
            let ended = [stood_in(50, Some(60)), own(100, Some(200)), own(50, Some(60))];
            for heard in [None, Some(stood_in(100, None))].into_iter().chain(ended.map(Some)) {
                let expected = Tell { alert: true, then_ended: None, remember: Some(remembered(100, None)) };
                assert_eq!(told(&alert, meant_for, heard), expected, "{meant_for:?} {heard:?}");
            }
        }
        assert_eq!(
            told(&alert, None, stood_in(105, None)).remember,
            Some(remembered(105, None)),
            "the later start is kept"
        );
    }

    #[test]
    fn what_has_ended_meanwhile_is_told_with_its_end() {
        let alert = alert(100, None);
        let known_to = [stood_in(100, None), stood_in(50, Some(60)), own(50, Some(100))];
        for heard in [None].into_iter().chain(known_to.map(Some)) {
            let expected = Tell { alert: true, then_ended: Some(at(200)), remember: Some(remembered(100, Some(200))) };
            assert_eq!(told(&alert, known(100, Some(200)), heard), expected, "{heard:?}");
        }
    }

    #[test]
    fn who_has_heard_of_the_end_is_not_told_of_the_beginning() {
        for heard in [own(100, Some(200)), stood_in(100, Some(200)), own(300, Some(400))] {
            assert_eq!(told(&alert(100, None), known(100, Some(200)), heard), NOTHING, "{heard:?}");
        }
    }

    #[test]
    fn who_knows_in_its_own_right_is_told_and_keeps_its_own_state() {
        for meant_for in [None, Some(known(100, None)), Some(known(100, Some(200)))] {
            let expected = Tell { alert: true, ..NOTHING };
            assert_eq!(told(&alert(100, None), meant_for, own(100, None)), expected, "{meant_for:?}");
            assert_eq!(told(&alert(100, Some(200)), meant_for, own(100, None)), NOTHING, "its own resolve comes");
        }
    }

    #[test]
    fn an_end_reaches_who_stood_in() {
        let expected = Tell { alert: true, then_ended: None, remember: Some(remembered(100, Some(200))) };
        assert_eq!(told(&alert(100, Some(200)), None, stood_in(100, None)), expected);
        assert_eq!(told(&alert(100, Some(200)), None, stood_in(200, None)), NOTHING, "of an earlier episode");
        assert_eq!(told(&alert(100, Some(200)), None, stood_in(100, Some(200))), NOTHING, "it has heard");
        assert_eq!(told(&alert(100, Some(200)), None, own(100, Some(200))), NOTHING, "it has heard");
    }

    #[test]
    fn an_end_that_nobody_waits_for_is_told_only_where_an_incident_stays_open() {
        let alert = alert(100, Some(200));
        for (reason, never, meant_for_keeps_state, keeps_state, expected) in [
            (Reason::Resolved, true, true, false, true),
            (Reason::Resolved, false, true, false, false),
            (Reason::Resolved, true, false, false, false),
            (Reason::Resolved, true, true, true, false),
            (Reason::UnknownResolved, true, true, false, false),
        ] {
            let missed = Missed {
                alert: &alert,
                reason,
                never,
                meant_for_keeps_state,
                meant_for: Some(&known(100, Some(200))),
                keeps_state,
                heard: None,
                stood_in: None,
                now: at(NOW),
            };
            assert_eq!(fall_back(&missed), Tell { alert: expected, ..NOTHING }, "{missed:?}");
        }
    }

    #[test]
    fn the_copies_of_a_dead_letter_are_told_once_an_hour() {
        let check = |reason, starts, heard: Option<Heard>, now, expected| {
            let missed = Missed {
                alert: &alert(starts, None),
                reason,
                never: true,
                meant_for_keeps_state: true,
                meant_for: None,
                keeps_state: false,
                heard: heard.as_ref(),
                stood_in: Some(StoodIn { starts_at: Some(at(100)), at: at(110) }),
                now: at(now),
            };
            assert_eq!(fall_back(&missed).alert, expected, "{missed:?}");
        };
        for heard in [stood_in(100, None), own(100, None)].map(Some) {
            check(Reason::First, 100, heard, 3709, false);
            check(Reason::First, 90, heard, 3709, false);
            check(Reason::First, 100, heard, 3710, true);
            check(Reason::First, 101, heard, 120, true);
            check(Reason::Repeat, 100, heard, 120, true);
            check(Reason::Refired, 100, heard, 120, true);
        }
        // It fires although its end was told, or nobody knows: in doubt, somebody is told.
        check(Reason::First, 100, Some(stood_in(100, Some(200))), 300, true);
        check(Reason::First, 100, None, 300, true);
    }
}
