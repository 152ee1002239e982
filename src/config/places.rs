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

#[cfg(test)]
mod tests {
    use crate::config::{Options, parse, secret};

    #[test]
    fn are_the_matchers_of_the_tree_in_its_order() {
        let file = "receivers: [{name: a, webhook: {url: http://x/}}]
route:
  receivers: [a]
  routes:
  - routes: &below
    - matchers: [b=1, 'c=\"2\", d!~\"3|4\"']
    - {matchers: ['{e=~\"5\"}']}
    matchers: &both [a=0]
    continue: true
  - matchers: []
  - {matchers: *both, routes: *below}
";
        let (config, problems) = parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
        let config = config.unwrap_or_else(|| panic!("{problems:?}"));
        let of_tree: Vec<_> = config.tree.root.walk().flat_map(|route| &route.matchers).collect();
        let of_file: Vec<_> = config.matchers.iter().map(|at| &at.matcher).collect();
        assert_eq!(of_file, of_tree);
        let places: Vec<_> = config.matchers.iter().map(|at| (at.place.line, at.place.column)).collect();
        let once = [(8, 22), (6, 18), (6, 23), (6, 23), (7, 19)];
        assert_eq!(places, [once, once].concat());
    }
}
