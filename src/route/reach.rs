//! Which routes no alert can reach, by what is written. Only what is certain is said: `false` means that one cannot tell.

use super::Route;
use super::matcher::{Matcher, Op};
use crate::alert::Labels;

/// Two of these matchers that no alert satisfies together: one says what a label is, the other that it is not that.
#[must_use]
pub fn contradiction<'m>(given: &[&'m Matcher]) -> Option<(&'m Matcher, &'m Matcher)> {
    given.iter().filter(|matcher| matcher.op() == Op::Equal).find_map(|says| {
        let other = given.iter().find(|other| other.name() == says.name() && !holds(other, says.value()))?;
        Some((*says, *other))
    })
}

/// Whether a route matches whatever satisfies all of `given`.
#[must_use]
pub fn takes_all(route: &Route, given: &[&Matcher]) -> bool {
    route.matchers.iter().all(|matcher| is_implied(matcher, given))
}

/// Whether no alert that satisfies `given` gets past this route to the siblings after it.
#[must_use]
pub fn stops_all(route: &Route, given: &[&Matcher]) -> bool {
    !route.continues && takes_all(route, given)
}

fn is_implied(wanted: &Matcher, given: &[&Matcher]) -> bool {
    if wanted.op() == Op::Match && wanted.value() == ".*" {
        return true;
    }
    given.iter().filter(|matcher| matcher.name() == wanted.name()).any(|matcher| {
        // What is given says the value, or it excludes the one value that is not wanted.
        *matcher == wanted
            || (matcher.op() == Op::Equal && holds(wanted, matcher.value()))
            || (wanted.op() == Op::NotEqual && !holds(matcher, wanted.value()))
    })
}

/// Whether the matcher's label may have this value; an empty one means that it is missing.
fn holds(matcher: &Matcher, value: &str) -> bool {
    let labels: Labels = Some((matcher.name(), value)).filter(|(_, value)| !value.is_empty()).into_iter().collect();
    matcher.matches(&labels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::Tree;
    use crate::route::tests::{any_labels, any_tree, route};

    #[test]
    fn what_is_certain() {
        let check = |given: &str, wanted: &str, expected: bool| {
            let given = route(given, "", 0, false, vec![]);
            let given: Vec<&Matcher> = given.matchers.iter().collect();
            let taker = route(wanted, "", 0, false, vec![]);
            assert_eq!(takes_all(&taker, &given), expected, "{given:?} {wanted}");
        };
        check("s=critical", "s=~\"critical|warning\"", true);
        check("s=info", "s=~\"critical|warning\"", false);
        check("x=y", "x!=\"\"", true);
        check("x=\"\"", "x!=\"\"", false);
        check("x=~\".+\"", "x!=\"\"", true);
        check("x=~\"a|b\"", "x!=c", true);
        check("x=~\"a|b\"", "x!=a", false);
        check("x=y,z=1", "z!~\"2|3\",x=y", true);
        check("x=y", "z=1", false);
        check("", "x=~\".*\"", true);
        check("x=~\"a|b\"", "x=~\"b|a\"", false);
        check("x=~\"a|b\"", "x=~\"a|b\"", true);
        check("x=y", "", true);
    }

    #[test]
    fn what_excludes_each_other() {
        let check = |given: &str, expected: bool| {
            let given = route(given, "", 0, false, vec![]);
            let given: Vec<&Matcher> = given.matchers.iter().collect();
            assert_eq!(contradiction(&given).is_some(), expected, "{given:?}");
        };
        check("a=1,a=2", true);
        check("a=1,a!=1", true);
        check("a=1,a=~\"2|3\"", true);
        check("a=\"\",a!=\"\"", true);
        check("a=1,b=2,a=~\".+\"", false);
        // Nobody is that clever.
        check("a=~\"1\",a=~\"2\"", false);
    }

    /// The path down to each route, in the order of the file.
    fn paths(tree: &Tree) -> Vec<Vec<&Route>> {
        let mut all = vec![vec![&tree.root]];
        let mut at = 0;
        while at < all.len() {
            let path = all[at].clone();
            all.extend(path[path.len() - 1].routes.iter().map(|child| path.iter().copied().chain([child]).collect()));
            at += 1;
        }
        all
    }

    proptest! {
        #[test]
        fn no_alert_proves_it_wrong(tree in any_tree(), labels in any_labels()) {
            let matching = tree.matching(&labels);
            for path in paths(&tree) {
                let given: Vec<&Matcher> = path.iter().flat_map(|route| &route.matchers).collect();
                let [.., parent, own] = path[..] else { continue };
                let mut earlier = parent.routes.iter().take_while(|route| !std::ptr::eq(*route, own));
                let never = contradiction(&given).is_some()
                    || earlier.any(|route| stops_all(route, &given))
                    || own.routes.iter().any(|child| takes_all(child, &given));
                prop_assert!(!never || !matching.iter().any(|end| std::ptr::eq(*end, own)), "{own:?} {labels}");
            }
        }
    }
}
