//! Where an alert lands of which only some labels are known: routing with three values.

use super::Known;
use crate::alert::Labels;
use crate::route::matcher::Matcher;
use crate::route::{Route, Tree};

/// Where an alert lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Landing {
    /// On a route below the root, whatever the labels that are not known.
    OwnRoute,
    /// On the root alone, whatever the labels that are not known.
    DefaultRoute,
    /// It cannot be said: labels decide that are not known.
    Depends,
}

/// Where an alert lands that has the fixed labels of `known`. Any other label counts as unknown, also one that its rule
/// cannot give: Prometheus may add it.
#[must_use]
pub fn landing(tree: &Tree, known: &Known) -> Landing {
    let labels: Labels = known.fixed().collect();
    let mut landing = Landing::DefaultRoute;
    // Where a child of the root matches, it or something below it takes the alert, and the root does not.
    for child in &tree.root.routes {
        match takes(child, &labels) {
            Some(true) => return Landing::OwnRoute,
            Some(false) => {}
            None => landing = Landing::Depends,
        }
    }
    landing
}

/// Whether the route's own matchers all hold; `None` if that depends on labels that are not known.
pub(super) fn takes(route: &Route, labels: &Labels) -> Option<bool> {
    let mut certain = true;
    for matcher in &route.matchers {
        match holds(matcher, labels) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => certain = false,
        }
    }
    certain.then_some(true)
}

/// Whether a matcher holds; `None` if its label is not among `labels`.
pub(super) fn holds(matcher: &Matcher, labels: &Labels) -> Option<bool> {
    (!labels.get(matcher.name()).is_empty()).then(|| matcher.matches(labels))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::rules::tests::config;

    #[test]
    fn lands_on_what_is_certain() {
        let tree = config(
            "
  - matchers: [team=db]
    continue: true
    routes: [{matchers: [severity=critical]}]
  - matchers: [severity=critical, zone=~\"a|b\"]
  - matchers: [severity!=critical, alertname=Watchdog]
",
        )
        .tree;
        let check = |labels: &[(&str, &str)], expected| {
            let known = labels.iter().fold(Known::open(), |known, (name, value)| known.with(name, value));
            assert_eq!(landing(&tree, &known), expected, "{labels:?}");
            // A closed set says no more: Prometheus may add labels.
            let closed = labels.iter().fold(Known::empty(), |known, (name, value)| known.with(name, value));
            assert_eq!(landing(&tree, &closed), expected, "{labels:?}");
        };
        check(&[], Landing::Depends);
        check(&[("team", "db")], Landing::OwnRoute);
        check(&[("team", "web")], Landing::Depends);
        check(&[("team", "web"), ("severity", "info")], Landing::Depends);
        check(&[("team", "web"), ("severity", "info"), ("alertname", "X")], Landing::DefaultRoute);
        check(&[("team", "web"), ("severity", "info"), ("alertname", "Watchdog")], Landing::OwnRoute);
        check(&[("team", "web"), ("severity", "critical")], Landing::Depends);
        check(&[("team", "web"), ("severity", "critical"), ("zone", "c")], Landing::DefaultRoute);
        check(&[("team", "web"), ("severity", "critical"), ("zone", "b")], Landing::OwnRoute);
    }

    /// Routes as text: matchers over few labels and values, so that they often meet the alert.
    fn routes() -> impl Strategy<Value = String> {
        let values = proptest::sample::select(&["x", "y", "", "x|y", ".*"][..]);
        let matcher = ("[abc]", "=|!=|=~|!~", values).prop_map(|(name, op, value)| format!("{name}{op}\"{value}\""));
        let route = (proptest::collection::vec(matcher, 0..3), any::<bool>());
        let level = |depth: usize| {
            move |routes: Vec<((Vec<String>, bool), String)>| {
                let mut text = String::new();
                let indent = " ".repeat(depth);
                for ((matchers, continues), below) in routes {
                    let matchers = matchers.iter().map(|matcher| format!("'{matcher}'")).collect::<Vec<_>>().join(", ");
                    let _ = write!(text, "\n{indent}- matchers: [{matchers}]\n{indent}  continue: {continues}");
                    if !below.is_empty() {
                        let _ = write!(text, "\n{indent}  routes:{below}");
                    }
                }
                text
            }
        };
        let leaves = proptest::collection::vec((route.clone(), Just(String::new())), 0..3).prop_map(level(6));
        proptest::collection::vec((route, leaves), 0..4).prop_map(level(2))
    }

    proptest! {
        #[test]
        fn agrees_with_the_tree_for_every_completion(
            routes in routes(),
            labels in proptest::collection::vec(prop_oneof![Just(None), "[xyz]".prop_map(Some)], 3),
        ) {
            let tree = config(&routes).tree;
            let named = ["a", "b", "c"].into_iter().zip(&labels);
            let known = named.clone().fold(Known::open(), |known, (name, value)| match value {
                Some(value) => known.with(name, value),
                None => known,
            });
            let verdict = landing(&tree, &known);
            // Every unknown label takes every value, also none.
            for choice in 0..64_usize {
                let value = |at: usize, known: &Option<String>| match known {
                    Some(value) => value.clone(),
                    None => ["", "x", "y", "z"][choice >> (2 * at) & 3].to_owned(),
                };
                let complete: Labels = named.clone().enumerate().map(|(at, (name, label))| (name, value(at, label))).collect();
                let only_root = tree.matching(&complete).iter().all(|route| std::ptr::eq(*route, &raw const tree.root));
                match verdict {
                    Landing::OwnRoute => prop_assert!(!only_root, "{complete} reaches the root alone"),
                    Landing::DefaultRoute => prop_assert!(only_root, "{complete} reaches a route of its own"),
                    Landing::Depends => {}
                }
            }
        }
    }
}
