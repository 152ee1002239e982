//! What the Alertmanagers of a case would send: each has its own view of which episodes are under way.

use std::collections::HashMap;
use std::time::Duration;

use super::Sent;
use crate::alert::{Labels, Status};

/// The Alertmanagers of one case. Times count from the start of the case.
#[derive(Debug, Default)]
pub(super) struct Alertmanagers(HashMap<Labels, Episodes>);

/// `startsAt`, and `endsAt` of a resolved alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) starts_at: Duration,
    pub(super) ends_at: Option<Duration>,
}

impl Alertmanagers {
    /// The times of an alert that is sent at `at`.
    pub(super) fn send(&mut self, sent: &Sent, at: Duration) -> Times {
        let episodes = self.0.entry(sent.labels.clone()).or_default();
        match sent.status {
            Status::Firing => episodes.fire(&sent.from, at, sent.starts_at),
            Status::Resolved => episodes.resolve(&sent.from, at, sent.starts_at, sent.ends_at),
        }
    }
}

/// What has become of one alert.
#[derive(Debug, Default)]
struct Episodes {
    /// All of them, in the order in which they were first heard of.
    all: Vec<Episode>,
    /// Which one each Alertmanager still sees firing.
    open: HashMap<String, usize>,
}

#[derive(Debug)]
struct Episode {
    starts_at: Duration,
    /// When any of them has first resolved it.
    ends_at: Option<Duration>,
}

impl Episodes {
    fn fire(&mut self, from: &str, at: Duration, starts_at: Option<Duration>) -> Times {
        let episode = match starts_at {
            Some(starts_at) => self.starting(starts_at),
            None => self.seen(from).unwrap_or_else(|| self.begin(at)),
        };
        self.open.insert(from.to_owned(), episode);
        Times { starts_at: self.all[episode].starts_at, ends_at: None }
    }

    fn resolve(&mut self, from: &str, at: Duration, starts_at: Option<Duration>, ends_at: Option<Duration>) -> Times {
        let ended = ends_at.unwrap_or(at);
        let episode = if let Some(starts_at) = starts_at {
            self.starting(starts_at)
        } else {
            // One that sees nothing firing repeats what was last known; of what nobody ever fired nothing is.
            let last = self.all.len().checked_sub(1);
            self.seen(from).or(last).unwrap_or_else(|| self.begin(at.min(ended)))
        };
        if self.open.get(from) == Some(&episode) {
            self.open.remove(from);
        }
        let Episode { starts_at, ends_at: first } = &mut self.all[episode];
        let first = *first.get_or_insert(ended);
        Times { starts_at: *starts_at, ends_at: Some(ends_at.unwrap_or(first)) }
    }

    /// The episode that an Alertmanager sees firing, else the latest one that any other does.
    fn seen(&self, from: &str) -> Option<usize> {
        let latest = || self.open.values().copied().max_by_key(|episode| (self.all[*episode].starts_at, *episode));
        self.open.get(from).copied().or_else(latest)
    }

    fn starting(&mut self, starts_at: Duration) -> usize {
        let known = self.all.iter().position(|episode| episode.starts_at == starts_at);
        known.unwrap_or_else(|| self.begin(starts_at))
    }

    fn begin(&mut self, starts_at: Duration) -> usize {
        self.all.push(Episode { starts_at, ends_at: None });
        self.all.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is `AT STATUS FROM [starts=N] [ends=N] => STARTS[..ENDS]`, in seconds.
    #[track_caller]
    fn check(lines: &[&str]) {
        let mut alertmanagers = Alertmanagers::default();
        let seconds = |text: &str| Duration::from_secs(text.parse().unwrap());
        for line in lines {
            let (sent, expected) = line.split_once(" => ").unwrap();
            let words: Vec<&str> = sent.split(' ').collect();
            let given = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).map(seconds);
            let sent = Sent {
                status: if words[1] == "firing" { Status::Firing } else { Status::Resolved },
                from: words[2].to_owned(),
                labels: Labels::default(),
                starts_at: given("starts="),
                ends_at: given("ends="),
            };
            let Times { starts_at, ends_at } = alertmanagers.send(&sent, seconds(words[0]));
            let ends = ends_at.map_or_else(String::new, |ends| format!("..{}", ends.as_secs()));
            assert_eq!(format!("{}{ends}", starts_at.as_secs()), expected, "{line} of {lines:#?}");
        }
    }

    #[test]
    fn an_episode_goes_on_until_it_is_resolved() {
        check(&["0 firing a => 0", "9 firing a => 0", "10 resolved a => 0..10", "20 firing a => 20"]);
    }

    #[test]
    fn a_peer_joins_the_episode_and_sees_it_until_its_own_resolve() {
        check(&[
            "0 firing a => 0",
            "5 firing b => 0",
            "10 resolved a => 0..10",
            "11 firing b => 0",
            "12 resolved b => 0..10",
            "13 firing b => 13",
        ]);
    }

    #[test]
    fn a_new_episode_begins_where_no_view_is_left() {
        // `a` has resolved and sees nothing; `b` still sees the first episode, so `a` joins that again.
        check(&["0 firing a => 0", "1 firing b => 0", "10 resolved a => 0..10", "20 firing a => 0"]);
        check(&["0 firing a => 0", "10 resolved a => 0..10", "20 firing b => 20", "21 firing a => 20"]);
    }

    #[test]
    fn a_resolve_of_what_the_sender_does_not_see() {
        check(&["5 resolved a => 5..5", "6 resolved b => 5..5"]);
        check(&["0 firing a => 0", "5 resolved b => 0..5", "6 resolved a => 0..5"]);
        check(&["0 firing a => 0", "5 resolved a => 0..5", "7 resolved a => 0..5", "8 resolved c => 0..5"]);
    }

    #[test]
    fn times_by_hand_win() {
        check(&[
            "10 firing a starts=3 => 3",
            "11 firing b => 3",
            "20 resolved a ends=15 => 3..15",
            "21 resolved b => 3..15",
        ]);
        check(&["10 firing a => 10", "12 resolved b starts=1 ends=2 => 1..2", "13 firing a => 10"]);
        check(&["10 resolved a ends=4 => 4..4", "10 resolved a ends=6 => 4..6"]);
        check(&["10 firing a => 10", "11 firing a starts=11 => 11", "12 firing a => 11", "13 resolved a => 11..13"]);
    }

    #[test]
    fn other_labels_are_another_alert() {
        let mut alertmanagers = Alertmanagers::default();
        for (replica, at) in [("a", 0), ("b", 7), ("a", 9)] {
            let labels = [("replica", replica)].into_iter().collect();
            let (status, from) = (Status::Firing, String::new());
            let sent = Sent { status, from, labels, starts_at: None, ends_at: None };
            let starts_at = alertmanagers.send(&sent, Duration::from_secs(at)).starts_at.as_secs();
            assert_eq!(starts_at, if replica == "a" { 0 } else { 7 });
        }
    }
}
