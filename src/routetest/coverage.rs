//! Which routes no case reaches.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::Case;
use super::site::{Site, sites};
use crate::alert::Labels;
use crate::notification::ReceiverName;
use crate::route::matcher::Matcher;
use crate::route::{Route, Tree, reach};

/// Which routes of a tree the cases reach. A route is meant by its place in the order of the file.
#[derive(Debug, Default)]
pub struct Reached(HashSet<usize>);

impl Reached {
    /// Notes where the alerts of a case end: the one that its own `receivers` ask about, and what its steps send.
    pub fn add(&mut self, tree: &Tree, case: &Case) {
        let asked = case.receivers.iter().map(|_| &case.labels);
        let sent = case.steps.iter().filter_map(|step| step.sent.as_ref()).map(|sent| &sent.labels);
        let mut different: Vec<&Labels> = asked.chain(sent).collect();
        different.dedup();
        for labels in different {
            let matching = tree.matching(labels);
            let ends = |route: &Route| matching.iter().any(|end| std::ptr::eq(*end, route));
            self.0.extend(tree.root.walk().enumerate().filter(|(_, route)| ends(route)).map(|(at, _)| at));
        }
    }
}

/// How much of a tree is reached.
#[derive(Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Routes that can take an alert and are reached.
    pub reached: usize,
    /// Routes that can take an alert.
    pub total: usize,
    /// The others of these, each in one line: where it stands and whom it names.
    pub missed: Vec<String>,
    /// Routes that no alert can end at.
    pub not_counted: usize,
}

impl Coverage {
    /// Compares what is reached with what could be. `file` is the name of routes.yaml.
    #[must_use]
    pub fn of(tree: &Tree, reached: &Reached, file: &str) -> Self {
        let (able, unable): (Vec<_>, Vec<_>) =
            sites(tree, file).into_iter().enumerate().partition(|(_, site)| can_take(site));
        let (hit, missed): (Vec<_>, Vec<_>) = able.into_iter().partition(|(at, _)| reached.0.contains(at));
        let missed = missed.iter().map(|(_, site)| line(site)).collect::<Vec<_>>();
        Self { reached: hit.len(), total: hit.len() + missed.len(), missed, not_counted: unable.len() }
    }

    /// In whole percent, never rounded up.
    #[must_use]
    pub fn percent(&self) -> usize {
        // Some route takes what no other does, so there is one.
        self.reached * 100 / self.total.max(1)
    }

    /// Whether at least so many percent are reached.
    #[must_use]
    pub fn is_at_least(&self, percent: u8) -> bool {
        self.reached * 100 >= self.total * usize::from(percent)
    }
}

fn line(site: &Site<'_>) -> String {
    let receivers = site.route().map_or(&[][..], |route| &route.receivers);
    let names: Vec<&str> = receivers.iter().map(ReceiverName::as_str).collect();
    let mut line = site.to_string();
    let _ = write!(line, " to [{}]", names.join(", "));
    line
}

/// Whether any alert can end at a route: its matchers and those above it do not exclude each other, no route before it
/// takes all that could come, on the way down to it, and none of its children takes all that does come.
fn can_take(site: &Site<'_>) -> bool {
    let mut given: Vec<&Matcher> = Vec::new();
    for pair in site.path().windows(2) {
        let [parent, child] = pair else { continue };
        given.extend(&child.matchers);
        let mut earlier = parent.routes.iter().take_while(|route| !std::ptr::eq(*route, *child));
        if earlier.any(|route| reach::stops_all(route, &given)) {
            return false;
        }
    }
    let is_free = |route: &Route| !route.routes.iter().any(|child| reach::takes_all(child, &given));
    reach::contradiction(&given).is_none() && site.route().is_some_and(is_free)
}
