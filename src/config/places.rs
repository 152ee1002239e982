//! Where the matchers of the tree stand.

use crate::route::matcher::{self, Matcher};
use crate::yaml::problem::Place;
use crate::yaml::{Context, Node, Value};

/// A matcher of the tree, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherAt {
    /// The matcher.
    pub matcher: Matcher,
    /// The entry of `matchers` that it stands in, perhaps with others.
    pub place: Place,
}

/// All matchers of a file without errors, in the order of [`crate::route::Route::walk`]: it reads again what was read for
/// the tree, which has no use for places.
pub(super) fn matchers(cx: &Context<'_>, file: &Node) -> Vec<MatcherAt> {
    let mut waiting: Vec<&Node> = get(file, "route").into_iter().collect();
    let mut found = Vec::new();
    while let Some(route) = waiting.pop() {
        for node in items(get(route, "matchers")) {
            let Value::Scalar(text) = &node.value else { continue };
            let place = cx.source.place(node.span);
            let matchers = matcher::parse(text).map(|parsed| parsed.matchers).unwrap_or_default();
            found.extend(matchers.into_iter().map(|matcher| MatcherAt { matcher, place: place.clone() }));
        }
        waiting.extend(items(get(route, "routes")).iter().rev());
    }
    found
}

fn get<'n>(node: &'n Node, wanted: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    let is_wanted = |key: &Node| matches!(&key.value, Value::Scalar(text) if text == wanted);
    entries.iter().find(|(key, _)| is_wanted(key)).map(|(_, value)| value)
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
