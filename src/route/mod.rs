//! Who hears of an alert: Alertmanager's routing tree, whose `receivers` is a list.

pub mod matcher;
pub mod plan;

use std::time::Duration;

use crate::alert::Labels;
use crate::notification::ReceiverName;
use matcher::Matcher;

/// A node of the tree, with everything it inherits already filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// All of them have to match.
    pub matchers: Vec<Matcher>,
    /// Who is told; empty to drop on purpose.
    pub receivers: Vec<ReceiverName>,
    /// How long until a still firing alert is told again; zero for never.
    pub repeat_interval: Duration,
    /// Whether the siblings after this one are tried although this one matched.
    pub continues: bool,
    /// Children, in order.
    pub routes: Vec<Route>,
}

/// The routing tree of routes.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root, which matches everything.
    pub root: Route,
}

impl Route {
    /// Itself and everything below, depth first: the order of the file.
    pub fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(next.routes.iter().rev());
            Some(next)
        })
    }

    /// Adds the deepest routes that match; says whether this one did.
    fn collect<'tree>(&'tree self, labels: &Labels, found: &mut Vec<&'tree Self>) -> bool {
        if !self.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return false;
        }
        let before = found.len();
        for child in &self.routes {
            if child.collect(labels, found) && !child.continues {
                break;
            }
        }
        if found.len() == before {
            found.push(self);
        }
        true
    }
}

impl Tree {
    /// The routes that take an alert with these labels, in tree order: depth first, the first matching child unless it
    /// says `continue`, and the node itself where no child matches (Alertmanager's `dispatch.Route.Match`). Never empty.
    #[must_use]
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        let mut found = Vec::new();
        // The root takes everything; a root with matchers is refused when the file is loaded.
        if !self.root.collect(labels, &mut found) {
            found.push(&self.root);
        }
        found
    }

    /// Who is told of an alert with these labels, each receiver once and in tree order, with its `repeat_interval`: the
    /// shortest one where several routes name the same receiver (zero, which never repeats, counts as the longest).
    #[must_use]
    pub fn receivers(&self, labels: &Labels) -> Vec<(ReceiverName, Duration)> {
        let mut receivers: Vec<(ReceiverName, Duration)> = Vec::new();
        for route in self.matching(labels) {
            for name in &route.receivers {
                match receivers.iter_mut().find(|(known, _)| known == name) {
                    Some((_, interval)) => *interval = shorter(*interval, route.repeat_interval),
                    None => receivers.push((name.clone(), route.repeat_interval)),
                }
            }
        }
        receivers
    }
}

fn shorter(a: Duration, b: Duration) -> Duration {
    if a.is_zero() || (!b.is_zero() && b < a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(matchers: &str, receivers: &str, repeat: u64, continues: bool, routes: Vec<Route>) -> Route {
        Route {
            matchers: matcher::parse(matchers).unwrap().matchers,
            receivers: receivers.split_whitespace().map(ReceiverName::from).collect(),
            repeat_interval: Duration::from_secs(repeat),
            continues,
            routes,
        }
    }

    #[test]
    fn routes_as_alertmanager_does() {
        let database = vec![route("severity=critical", "dba-page", 60, false, vec![])];
        let tree = Tree {
            root: route(
                "",
                "default",
                3600,
                false,
                vec![
                    route("audit=yes", "audit default", 0, true, vec![]),
                    route("service=db", "dba", 600, true, database),
                    route("severity=critical", "page dba", 30, false, vec![]),
                    route("severity=~critical|none", "", 60, false, vec![]),
                ],
            ),
        };
        let check = |labels: &[(&str, &str)], expected: &[(&str, u64)]| {
            let labels: Labels = labels.iter().copied().collect();
            let receivers = tree.receivers(&labels);
            let got: Vec<_> = receivers.iter().map(|(name, repeat)| (name.as_str(), repeat.as_secs())).collect();
            assert_eq!(got, expected, "{labels}");
        };
        check(&[], &[("default", 3600)]);
        // Nothing after the route that continues matches, and the root is not asked again.
        check(&[("audit", "yes")], &[("audit", 0), ("default", 0)]);
        // The child replaces its parent; `continue` is the parent's.
        check(&[("service", "db"), ("severity", "critical")], &[("dba-page", 60), ("page", 30), ("dba", 30)]);
        check(&[("service", "db")], &[("dba", 600)]);
        check(&[("severity", "critical")], &[("page", 30), ("dba", 30)]);
        check(&[("severity", "none")], &[]);
        let order: Vec<_> = tree.root.walk().map(|route| route.receivers.len()).collect();
        assert_eq!(order, [1, 2, 1, 1, 2, 0]);
    }

    #[test]
    fn zero_is_the_longest_interval() {
        let check = |a, b, expected| {
            let [a, b, expected] = [a, b, expected].map(Duration::from_secs);
            assert_eq!((shorter(a, b), shorter(b, a)), (expected, expected));
        };
        check(0, 5, 5);
        check(5, 9, 5);
        check(0, 0, 0);
    }
}
