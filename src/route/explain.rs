//! Why an alert goes where it goes: the whole tree, with what became of each route.
//!
//! It asks route by route, the way Alertmanager's documentation tells it, and is written apart from
//! [`Tree::for_each_match`], which only hands out the answer: a property holds the two together.

use std::time::Duration;

use super::matcher::Matcher;
use super::{Route, Tree, shorter};
use crate::alert::Labels;
use crate::notification::ReceiverName;

/// A route and what became of it, and of all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The route.
    pub route: &'a Route,
    /// What became of it.
    pub outcome: Outcome<'a>,
    /// The same for its children, in order.
    pub below: Vec<Self>,
}

/// What became of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It matches, and no route below it does: its receivers are told.
    Takes,
    /// It matches, and so does a route below it, which takes the alert in its place.
    PassesOn,
    /// It does not match.
    Mismatch {
        /// The first of its matchers that does not.
        matcher: &'a Matcher,
        /// The value of the label that it asks for; "" if the alert has no such label.
        value: &'a str,
    },
    /// It was not asked, because a sibling before it matched and does not `continue`.
    NotAsked {
        /// That sibling.
        after: &'a Route,
        /// Whether it would have matched.
        would_match: bool,
    },
    /// It was not asked, because a route above it does not match or was not asked.
    Unreached,
}

/// A receiver that is told, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// Who.
    pub receiver: &'a ReceiverName,
    /// How long until it is told again; zero for never: the shortest of the routes.
    pub repeat_interval: Duration,
    /// The routes that name it, in tree order.
    pub routes: Vec<&'a Route>,
}

/// What became of each route for an alert with these labels.
#[must_use]
pub fn explain<'a>(tree: &'a Tree, labels: &'a Labels) -> Explanation<'a> {
    entered(&tree.root, labels)
}

/// A route that matches.
fn entered<'a>(route: &'a Route, labels: &'a Labels) -> Explanation<'a> {
    let mut below = Vec::with_capacity(route.routes.len());
    let (mut outcome, mut last) = (Outcome::Takes, None);
    for child in &route.routes {
        let mismatch = child.first_mismatch(labels);
        let passed_by = match (last, mismatch) {
            (Some(after), _) => Outcome::NotAsked { after, would_match: mismatch.is_none() },
            (None, Some(matcher)) => Outcome::Mismatch { matcher, value: labels.get(matcher.name()) },
            (None, None) => {
                below.push(entered(child, labels));
                outcome = Outcome::PassesOn;
                last = (!child.continues).then_some(child);
                continue;
            }
        };
        below.push(Explanation { route: child, outcome: passed_by, below: unreached(child) });
    }
    Explanation { route, outcome, below }
}

fn unreached(route: &Route) -> Vec<Explanation<'_>> {
    let explain = |route| Explanation { route, outcome: Outcome::Unreached, below: unreached(route) };
    route.routes.iter().map(explain).collect()
}

impl<'a> Explanation<'a> {
    /// Itself and everything below, depth first: the order of the file.
    pub fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(next.below.iter().rev());
            Some(next)
        })
    }

    /// Who is told, each receiver once and in tree order.
    #[must_use]
    pub fn told(&self) -> Vec<Told<'a>> {
        let mut all: Vec<Told<'a>> = Vec::new();
        for route in self.walk().filter(|step| step.outcome == Outcome::Takes).map(|step| step.route) {
            for receiver in &route.receivers {
                match all.iter_mut().find(|told| told.receiver == receiver) {
                    Some(told) => {
                        told.repeat_interval = shorter(told.repeat_interval, route.repeat_interval);
                        told.routes.push(route);
                    }
                    None => {
                        all.push(Told { receiver, repeat_interval: route.repeat_interval, routes: vec![route] });
                    }
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{any_labels, any_tree, route};
    use super::*;

    fn tree() -> Tree {
        let database = vec![
            route("severity=critical", "dba page", 60, false, vec![]),
            route("severity=warning", "", 60, false, vec![route("x=y", "dba", 60, false, vec![])]),
        ];
        let children = vec![
            route("audit=yes, team!=web", "audit", 0, true, vec![]),
            route("service=db", "dba", 600, true, database),
            route("severity=critical", "page", 30, false, vec![]),
            route("severity=~critical|none", "chat", 60, false, vec![route("x=y", "dba", 60, false, vec![])]),
            route("severity=warning", "chat", 60, false, vec![]),
        ];
        Tree { root: route("", "chat", 3600, false, children) }
    }

    /// One word for each route, in the order of the file.
    fn words(labels: &[(&str, &str)]) -> Vec<String> {
        let (tree, labels) = (tree(), labels.iter().copied().collect());
        let explanation = explain(&tree, &labels);
        let word = |step: &Explanation<'_>| match step.outcome {
            Outcome::Takes => "takes".to_owned(),
            Outcome::PassesOn => "passes".to_owned(),
            Outcome::Mismatch { matcher, value } => format!("{matcher}: {value}"),
            Outcome::NotAsked { after, would_match } => {
                let after = after.matchers.first().map(ToString::to_string).unwrap_or_default();
                format!("after {after}{}", if would_match { "!" } else { "" })
            }
            Outcome::Unreached => "unreached".to_owned(),
        };
        explanation.walk().map(word).collect()
    }

    #[test]
    fn every_route_has_its_outcome() {
        let check = |labels: &[(&str, &str)], expected: &[&str]| assert_eq!(words(labels), expected, "{labels:?}");
        let (not_db, not_critical) = (r#"service="db": "#, r#"severity="critical": "#);
        check(
            &[],
            &[
                "takes",
                r#"audit="yes": "#,
                not_db,
                "unreached",
                "unreached",
                "unreached",
                not_critical,
                r#"severity=~"critical|none": "#,
                "unreached",
                r#"severity="warning": "#,
            ],
        );
        // The first matcher that does not match is named, not the first one.
        check(
            &[("audit", "yes"), ("team", "web"), ("severity", "warning"), ("x", "y")],
            &[
                "passes",
                r#"team!="web": web"#,
                not_db,
                "unreached",
                "unreached",
                "unreached",
                r#"severity="critical": warning"#,
                r#"severity=~"critical|none": warning"#,
                "unreached",
                "takes",
            ],
        );
        // `continue` goes on to the siblings of the route that says so, not to its children's.
        let after = r#"after severity="critical""#;
        check(
            &[("audit", "yes"), ("service", "db"), ("severity", "critical")],
            &[
                "passes",
                "takes",
                "passes",
                "takes",
                after,
                "unreached",
                "takes",
                &format!("{after}!"),
                "unreached",
                after,
            ],
        );
    }

    #[test]
    fn says_who_is_told_and_by_which_routes() {
        let (tree, labels) = (tree(), [("service", "db"), ("severity", "critical")].into_iter().collect());
        let explanation = explain(&tree, &labels);
        let told: Vec<_> = explanation
            .told()
            .into_iter()
            .map(|told| (told.receiver.as_str(), told.repeat_interval.as_secs(), told.routes.len()))
            .collect();
        assert_eq!(told, [("dba", 60, 1), ("page", 30, 2)]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_tree(tree in any_tree(), labels in any_labels()) {
            let explanation = explain(&tree, &labels);
            let takes: Vec<&Route> =
                explanation.walk().filter(|step| step.outcome == Outcome::Takes).map(|step| step.route).collect();
            let matching = tree.matching(&labels);
            prop_assert!(takes.len() == matching.len() && takes.iter().zip(&matching).all(|(a, b)| std::ptr::eq(*a, *b)));
            // Every route has a line, in the order of the file.
            let order = explanation.walk().map(|step| std::ptr::from_ref(step.route));
            prop_assert!(order.eq(tree.root.walk().map(std::ptr::from_ref)));
            let told: Vec<_> =
                explanation.told().into_iter().map(|told| (told.receiver.clone(), told.repeat_interval)).collect();
            prop_assert_eq!(told, tree.receivers(&labels));
        }
    }
}
