//! Who hears of an alert: Alertmanager's routing tree, whose `receivers` is a list.

pub mod explain;
pub mod matcher;
pub mod plan;
pub mod reach;

use std::time::Duration;

use crate::alert::Labels;
use crate::notification::ReceiverName;
use matcher::Matcher;

/// A place in routes.yaml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    /// From 1; 0 is nowhere, for a route that was not read from a file.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

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
    /// Where it stands: the root at its key, any other at its entry in the list.
    pub at: Position,
}

/// The routing tree of routes.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root, which takes everything: matchers are refused there when the file is loaded, and not asked.
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

    /// The first of its matchers that these labels do not satisfy; `None` if the route matches.
    #[must_use]
    pub fn first_mismatch(&self, labels: &Labels) -> Option<&Matcher> {
        self.matchers.iter().find(|matcher| !matcher.matches(labels))
    }

    /// Hands out the deepest routes that match, of this one, which does, and those below it.
    fn descend<'tree>(&'tree self, labels: &Labels, take: &mut impl FnMut(&'tree Self)) {
        let mut taken = false;
        for child in &self.routes {
            if child.first_mismatch(labels).is_none() {
                child.descend(labels, take);
                taken = true;
                if !child.continues {
                    break;
                }
            }
        }
        if !taken {
            take(self);
        }
    }
}

impl Tree {
    /// Hands the routes that take an alert with these labels to `take`, in tree order: depth first, the first matching
    /// child unless it says `continue`, and the node itself where no child matches (Alertmanager's
    /// `dispatch.Route.Match`). There is always one. Nothing is allocated on the way.
    pub fn for_each_match<'tree>(&'tree self, labels: &Labels, mut take: impl FnMut(&'tree Route)) {
        self.root.descend(labels, &mut take);
    }

    /// The same, collected.
    #[must_use]
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        let mut found = Vec::new();
        self.for_each_match(labels, |route| found.push(route));
        found
    }

    /// Who is told of an alert with these labels, each receiver once and in tree order, with its `repeat_interval`: the
    /// shortest one where several routes name the same receiver (zero, which never repeats, counts as the longest).
    #[must_use]
    pub fn receivers(&self, labels: &Labels) -> Vec<(ReceiverName, Duration)> {
        let mut receivers: Vec<(ReceiverName, Duration)> = Vec::new();
        self.for_each_match(labels, |route| {
            for name in &route.receivers {
                match receivers.iter_mut().find(|(known, _)| known == name) {
                    Some((_, interval)) => *interval = shorter(*interval, route.repeat_interval),
                    None => receivers.push((name.clone(), route.repeat_interval)),
                }
            }
        });
        receivers
    }
}

fn shorter(a: Duration, b: Duration) -> Duration {
    if a.is_zero() || (!b.is_zero() && b < a) { b } else { a }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn route(matchers: &str, receivers: &str, repeat: u64, continues: bool, routes: Vec<Route>) -> Route {
        Route {
            matchers: matcher::parse(matchers).unwrap().matchers,
            receivers: receivers.split_whitespace().map(ReceiverName::from).collect(),
            repeat_interval: Duration::from_secs(repeat),
            continues,
            routes,
            at: Position::default(),
        }
    }

    /// Few labels and values, so that much matches.
    pub(crate) fn any_labels() -> impl Strategy<Value = Labels> {
        proptest::collection::vec(("[a-c]", "[xy]{0,2}"), 0..4).prop_map(|pairs| pairs.into_iter().collect())
    }

    /// A tree that is up to four routes deep.
    pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
        let own = || ("([a-c](=|!=|=~|!~)\"(x|y|[.][+]|x[|]y|)\",){0,2}", "([p-s] ){0,2}", 0..3_u64, any::<bool>());
        let leaf =
            own().prop_map(|(matchers, told, repeat, continues)| route(&matchers, &told, repeat, continues, vec![]));
        let children = leaf.prop_recursive(3, 24, 5, move |below| {
            (own(), proptest::collection::vec(below, 0..5)).prop_map(|((matchers, told, repeat, continues), routes)| {
                route(&matchers, &told, repeat, continues, routes)
            })
        });
        let tree = |routes| Tree { root: route("", "root", 5, false, routes) };
        proptest::collection::vec(children, 0..6).prop_map(tree)
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
    fn the_rules_of_the_tree() {
        let leaf = |matchers, receiver, continues| route(matchers, receiver, 1, continues, vec![]);
        let check = |routes: &[Route], labels: &str, expected: &str| {
            let tree = Tree { root: route("", "root", 1, false, routes.to_vec()) };
            let labels: Labels = labels.split_whitespace().filter_map(|label| label.split_once('=')).collect();
            let matching = tree.matching(&labels);
            let told: Vec<&str> = matching.iter().flat_map(|r| &r.receivers).map(ReceiverName::as_str).collect();
            assert_eq!(told.join(" "), expected, "{labels} of {routes:#?}");
        };
        // No route below the root, and none that matches.
        check(&[], "a=1", "root");
        check(&[leaf("a=2", "x", false)], "a=1", "root");
        // The first of several; all of its matchers; none of them is all.
        check(&[leaf("a=1", "x", false), leaf("a=1", "y", false)], "a=1", "x");
        check(&[leaf("a=1,b=1", "x", false), leaf("", "y", false), leaf("a=1", "z", false)], "a=1", "y");
        // A missing label is an empty one.
        check(&[leaf("b!=1", "x", true), leaf("b=\"\"", "y", true), leaf("b=~.*", "z", true)], "a=1", "x y z");
        // `continue` of one that does not match says nothing; of the last one neither.
        check(&[leaf("a=2", "x", true), leaf("a=1", "y", true)], "a=1", "y");
        check(&[leaf("a=1", "x", true), leaf("a=1", "y", false), leaf("a=1", "z", false)], "a=1", "x y");
        // A deeper route takes the place of those above it.
        let deep = || vec![route("b=1", "middle", 1, false, vec![leaf("c=1", "deep", false)])];
        check(&[route("a=1", "top", 1, false, deep())], "a=1", "top");
        check(&[route("a=1", "top", 1, false, deep())], "a=1 b=1", "middle");
        check(&[route("a=1", "top", 1, false, deep())], "a=1 b=1 c=1", "deep");
        check(&[route("a=1", "top", 1, false, deep())], "b=1 c=1", "root");
        // `continue` is for siblings: a child's does not reach its parent's, a parent's does not reach its children.
        let continuing = vec![leaf("b=1", "x", true), leaf("b=1", "y", false), leaf("b=1", "z", false)];
        check(&[route("a=1", "top", 1, false, continuing.clone()), leaf("a=1", "w", false)], "a=1 b=1", "x y");
        check(&[route("a=1", "top", 1, true, continuing), leaf("a=1", "w", false)], "a=1 b=1", "x y w");
        let stopping = vec![leaf("b=1", "x", false), leaf("b=1", "y", false)];
        check(&[route("a=1", "top", 1, true, stopping), leaf("a=1", "w", false)], "a=1 b=1", "x w");
        // Nobody is an answer, too.
        check(&[leaf("a=1", "", false), leaf("a=1", "x", false)], "a=1", "");
        // One receiver by two routes.
        check(&[leaf("a=1", "x", true), leaf("a=1", "x", false)], "a=1", "x x");
    }

    #[test]
    fn nothing_is_allocated_on_the_way() {
        let deep = vec![route("d!~x.*y", "told", 0, true, vec![]), route("", "told", 0, true, vec![])];
        let routes = vec![
            route("a=y", "", 0, false, vec![]),
            route("a!=x", "", 0, false, vec![]),
            route("a=~y|z", "", 0, false, vec![]),
            route("a!~x", "", 0, false, vec![]),
            route("b=~(p.+)+q, missing=\"\"", "told", 0, true, deep),
            route("b!~.*r, a=x", "told", 0, true, vec![]),
        ];
        let tree = Tree { root: route("", "root", 0, false, routes) };
        let labels: Labels = [("a", "x"), ("b", "prefix of q"), ("d", "é")].into_iter().collect();
        let count = || {
            let mut routes = 0;
            tree.for_each_match(&labels, |_| routes += 1);
            routes
        };
        // A regular expression makes its working memory when it is first asked.
        assert_eq!(count(), 3);
        let allocated = allocation_counter::measure(|| assert_eq!(count(), 3));
        assert_eq!(allocated.count_total, 0, "{allocated:?}");
        // The answer is one vector; names are shared.
        let allocated = allocation_counter::measure(|| assert_eq!(tree.receivers(&labels).len(), 1));
        assert_eq!(allocated.count_total, 1, "{allocated:?}");
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
