//! What of a dead letter is still worth telling when somebody sends it again.
//!
//! A dead letter was never told, so what its receiver knows of an alert it has learnt from another delivery since. In
//! doubt it is told again, but never so that an incident is opened that nothing closes, or a later one closed.
//!
//! | in the dead letter | the receiver knows | it has ended, as anybody else was told | |
//! |---|---|---|---|
//! | firing | nothing, or the end of an earlier episode | no | told again |
//! | firing | nothing, or the end of an earlier episode | yes | has ended |
//! | firing | firing | | told since: its end will find the receiver |
//! | firing | resolved, after this episode began | | has ended |
//! | resolved | nothing | | told again: the incident may still be open |
//! | resolved | firing, by an earlier delivery, and it began before this end | | told again |
//! | resolved | firing, by a later delivery, or it began after this end | | told since: its own end comes behind it |
//! | resolved | resolved | | told since |

use super::{Known, ends_later};
use crate::alert::{Alert, Status};
use crate::clock::{Timestamp, to_micros};

/// What became of an alert since it could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing that its receiver knows of: it is worth telling.
    Nothing,
    /// The receiver was told by another delivery.
    Told,
    /// It has ended, and nothing would close what it opens.
    Ended,
}

/// The table above. Pure and total. `told_before` says whether what the receiver knows is from an earlier delivery: then this
/// one comes behind that. `ended_at` is the latest end that anybody else was told of, or that was itself not
/// delivered.
#[must_use]
pub fn since(alert: &Alert, known: Option<&Known>, told_before: bool, ended_at: Option<Timestamp>) -> Since {
    let began = alert.starts_at.map(to_micros);
    let ended_after = |end: Option<Timestamp>| end.is_some() && end > began;
    match (alert.status, known) {
        (Status::Firing, Some(Known { ends_at: None, .. })) => Since::Told,
        (Status::Firing, known) if ended_after(known.and_then(|known| known.ends_at)) => Since::Ended,
        (Status::Firing, _) if ended_after(ended_at) => Since::Ended,
        (Status::Firing, _) | (Status::Resolved, None) => Since::Nothing,
        (Status::Resolved, Some(known)) => {
            let opened_before = told_before && known.ends_at.is_none() && ends_later(alert, known.starts_at);
            if opened_before { Since::Nothing } else { Since::Told }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::fixture::{alert, at};

    #[test]
    fn the_table() {
        let known = |starts, ends: Option<i64>| {
            Some(Known { starts_at: Some(at(starts)), ends_at: ends.map(at), notified_at: at(500) })
        };
        let (firing, resolved) = (alert(100, None), alert(100, Some(200)));
        for (alert, known, ended_elsewhere, expected) in [
            (&firing, None, None, Since::Nothing),
            (&firing, None, Some(90), Since::Nothing),
            (&firing, None, Some(100), Since::Nothing),
            (&firing, None, Some(200), Since::Ended),
            (&firing, known(100, None), None, Since::Told),
            (&firing, known(50, None), Some(200), Since::Told),
            (&firing, known(50, Some(60)), None, Since::Nothing),
            (&firing, known(50, Some(60)), Some(200), Since::Ended),
            (&firing, known(100, Some(200)), None, Since::Ended),
            (&resolved, None, None, Since::Nothing),
            (&resolved, None, Some(200), Since::Nothing),
            (&resolved, known(200, None), None, Since::Told),
            (&resolved, known(300, None), None, Since::Told),
            (&resolved, known(100, Some(200)), None, Since::Told),
        ] {
            for told_before in [true, false] {
                let found = since(alert, known.as_ref(), told_before, ended_elsewhere.map(at));
                assert_eq!(found, expected, "{alert:?} {known:?} {told_before} {ended_elsewhere:?}");
            }
        }
        let opened = known(100, None);
        assert_eq!(since(&resolved, opened.as_ref(), true, None), Since::Nothing);
        assert_eq!(since(&resolved, opened.as_ref(), false, None), Since::Told);
    }

    #[test]
    fn who_does_not_say_when_it_began_has_ended_with_any_end() {
        let alert = Alert { starts_at: None, ..alert(0, None) };
        assert_eq!(since(&alert, None, false, Some(at(1))), Since::Ended);
        assert_eq!(since(&alert, None, false, None), Since::Nothing);
    }
}
