//! `route:` and the tree below it.

use std::time::Duration;

use super::receivers::Names;
use super::values::{boolean, text, words};
use super::write::{flow, scalar};
use crate::route::matcher::{self, Matcher, MatcherError, MatcherProblem, Op};
use crate::yaml::{Context, Fields, Node, Span, Value, discreet, duration};

/// The default of Alertmanager and of ours.
const REPEAT_INTERVAL: Duration = Duration::from_hours(4);
/// Our longest `repeat_interval`.
const YEAR: Duration = Duration::from_hours(365 * 24);

const NULL: &str = "`null` without quotes is no text in YAML";

const GROUPING: [&str; 3] = ["group_by", "group_wait", "group_interval"];
const INTERVALS: [&str; 2] = ["mute_time_intervals", "active_time_intervals"];

/// A route of the imported file.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Prose above it.
    pub(super) comments: Vec<String>,
    pub(super) matchers: Vec<String>,
    /// `None` inherits.
    pub(super) receivers: Option<Vec<String>>,
    pub(super) continues: bool,
    pub(super) repeat_interval: Option<String>,
    pub(super) routes: Vec<Route>,
}

/// The tree, and what Alertmanager needs to know of it.
pub(super) struct Tree {
    pub(super) root: Route,
    /// The root's own grouping: keys and their YAML.
    pub(super) grouping: Vec<(&'static str, String)>,
    /// Whether a route below the root groups or mutes in a way of its own.
    pub(super) must_stay: bool,
    /// The shortest `repeat_interval` of any route.
    pub(super) shortest: Duration,
}

struct Walk<'a, 'n> {
    names: &'a Names<'n>,
    must_stay: bool,
    shortest: Duration,
}

/// Reads the tree. `None` only if an error was reported.
pub(super) fn import(cx: &mut Context<'_>, node: &Node, at: Span, names: &Names<'_>) -> Option<Tree> {
    let mut fields = Fields::open(cx, node, at, "`route`")?;
    let inherited = if fields.has("repeat_interval") { Duration::MAX } else { REPEAT_INTERVAL };
    let mut walk = Walk { names, must_stay: false, shortest: inherited };
    for key in ["matchers", "match", "match_re"] {
        if let Some((span, node)) = fields.value(cx, key)
            && !matches!(&node.value, Value::Map(entries) if entries.is_empty())
            && !matches!(&node.value, Value::List(items) if items.is_empty())
        {
            let hint = "Alertmanager refuses it, too; put it into a route below `routes`";
            cx.error_with(span, format!("the root takes every alert: it has no `{key}`"), hint);
        }
    }
    if let Some((span, node)) = fields.value(cx, "continue")
        && boolean(cx, node, "continue") == Some(true)
    {
        cx.warn_with(span, "`continue` does nothing at the root", "remove it: a newer Alertmanager refuses it");
    }
    for key in INTERVALS {
        if let Some((span, _)) = fields.value(cx, key) {
            cx.warn_with(span, format!("the root has no `{key}`"), "Alertmanager refuses it, too; it is left out");
        }
    }
    match fields.peek("receiver").map(|(span, node)| (span, &node.value)) {
        Some((span, Value::Null)) => {
            cx.error_with(span, "the root needs a `receiver`", format!("{NULL}: write 'null'"));
        }
        Some((_, Value::Scalar(name))) if name.trim().is_empty() => {
            cx.error_with(at, "the root needs a `receiver`", "name one");
        }
        Some(_) => {}
        None => cx.error_with(at, "the root needs a `receiver`", "add `receiver: …`"),
    }
    let mut grouping = Vec::new();
    for key in GROUPING {
        if let Some((_, node)) = fields.value(cx, key) {
            grouping.extend(shown(cx, node).map(|value| (key, value)));
        }
    }
    let mut root = Route::default();
    walk.rest(cx, fields, &mut root);
    let Walk { must_stay, shortest, .. } = walk;
    drop_at_the_end(cx, node, &mut root);
    // Where the head shows a new root for alertmanager.yml, its grouping stands there.
    if must_stay && !grouping.is_empty() {
        let shown: Vec<_> = grouping.iter().map(|(key, value)| format!("`{key}: {value}`")).collect();
        root.comments.push(format!("Stays in alertmanager.yml: {}.", shown.join(", ")));
    }
    Some(Tree { root, grouping, must_stay, shortest })
}

/// The root of routes.yaml must tell somebody. Where the original's tells nobody, a last route drops what no other takes.
fn drop_at_the_end(cx: &mut Context<'_>, node: &Node, root: &mut Route) {
    if root.receivers.as_ref().is_none_or(|receivers| !receivers.is_empty()) {
        return;
    }
    // What inherited nobody must not inherit the receiver that the root is given.
    for route in root.routes.iter_mut().filter(|route| route.receivers.is_none()) {
        route.receivers = Some(Vec::new());
    }
    if root.routes.iter().any(|route| route.matchers.is_empty() && !route.continues) {
        return;
    }
    let hint = "the last route, `receivers: []`, goes on doing so; remove it to hear of them";
    cx.warn_with(node.span, "what no route takes is dropped: the root's receiver has no integrations", hint);
    let comment = "Drops what no route above takes, as before: the root's receiver had no integrations. Without this \
                   route the root's `receivers` hear of it.";
    root.routes.push(Route { comments: vec![comment.to_owned()], receivers: Some(Vec::new()), ..Route::default() });
}

/// A value for a comment: a text or a list of texts.
fn shown(cx: &mut Context<'_>, node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(text) => {
            cx.source.show(node.span);
            // A duration needs no quotes although it begins with a digit.
            Some(if duration::parse(text).is_ok() { text.clone() } else { scalar(text) })
        }
        Value::List(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| text(cx, item, "an entry").map(str::to_owned)).collect();
            texts.map(|texts| flow(&texts))
        }
        Value::Null | Value::Map(_) => None,
    }
}

impl Walk<'_, '_> {
    fn route(&mut self, cx: &mut Context<'_>, node: &Node) -> Option<Route> {
        let mut fields = Fields::open(cx, node, node.span, "a route")?;
        let mut route = Route { matchers: matchers(cx, &mut fields), ..Route::default() };
        if let Some((_, node)) = fields.value(cx, "continue") {
            route.continues = boolean(cx, node, "continue").unwrap_or_default();
        }
        if let Some((span, Node { value: Value::Null, .. })) = fields.peek("receiver") {
            let hint = format!("{NULL}: write 'null' if that is the receiver's name");
            cx.warn_with(span, "this route inherits its receiver", hint);
        }
        self.stays(cx, &mut fields, &mut route);
        self.rest(cx, fields, &mut route);
        Some(route)
    }

    /// What Alertmanager goes on doing for this route.
    fn stays(&mut self, cx: &mut Context<'_>, fields: &mut Fields<'_>, route: &mut Route) {
        let mut keys: Vec<(Span, &str, String)> = Vec::new();
        for key in GROUPING.into_iter().chain(INTERVALS) {
            if let Some((span, node)) = fields.value(cx, key) {
                keys.push((span, key, shown(cx, node).unwrap_or_default()));
            }
        }
        let Some(first) = keys.iter().map(|(span, ..)| *span).min() else { return };
        self.must_stay = true;
        let names: Vec<&str> = keys.iter().map(|(_, key, _)| *key).collect();
        let mutes = INTERVALS.iter().any(|key| names.contains(key));
        let hint = if mutes {
            "Alertmanager goes on muting only if this route stays in alertmanager.yml; what another route posts by \
             `continue` is told nevertheless"
        } else {
            "Alertmanager goes on grouping so only if this route stays in alertmanager.yml"
        };
        let verb = if names.len() == 1 { "stays" } else { "stay" };
        cx.warn_with(first, format!("{} of this route {verb} in Alertmanager", words(&names)), hint);
        let shown: Vec<_> = keys.iter().map(|(_, key, value)| format!("`{key}: {value}`")).collect();
        route.comments.push(format!("Stays in alertmanager.yml: {}.", shown.join(", ")));
    }

    /// What the root and the routes below it have in common.
    fn rest(&mut self, cx: &mut Context<'_>, mut fields: Fields<'_>, route: &mut Route) {
        if let Some((_, node)) = fields.value(cx, "receiver") {
            route.receivers = self.receiver(cx, node);
        }
        if let Some((_, node)) = fields.value(cx, "repeat_interval") {
            route.repeat_interval = self.repeat_interval(cx, node);
        }
        if let Some((span, _)) = fields.value(cx, "labels") {
            let hint = "only Alertmanager's own templates see them";
            cx.warn_with(span, "`labels` of a route have no counterpart", hint);
            route.comments.push(format!("Left out: `labels`; {hint}."));
        }
        if let Some((_, node)) = fields.value(cx, "routes") {
            for item in cx.list(node, "`routes`", "- receiver: …").unwrap_or_default() {
                route.routes.extend(self.route(cx, item));
            }
        }
        super::unknown_keys(cx, fields, "a route");
    }

    fn receiver(&self, cx: &mut Context<'_>, node: &Node) -> Option<Vec<String>> {
        let name = text(cx, node, "receiver")?;
        if let Some(ours) = self.names.get(name) {
            return Some(ours.to_vec());
        }
        let message = format!("there is no receiver {}", discreet(name));
        match self.names.closest(name).map(discreet) {
            Some(near) => cx.error_with(node.span, message, format!("did you mean {near}?")),
            None => cx.error_with(node.span, message, "add it to `receivers`"),
        }
        None
    }

    fn repeat_interval(&mut self, cx: &mut Context<'_>, node: &Node) -> Option<String> {
        let interval = cx.duration(node, "`repeat_interval`", Duration::ZERO..=Duration::MAX)?;
        if interval.is_zero() {
            cx.error_with(node.span, "`repeat_interval` must be longer than 0s", "Alertmanager refuses it, too");
            return None;
        }
        self.shortest = self.shortest.min(interval);
        if interval > YEAR {
            cx.warn_with(node.span, "`repeat_interval` is a year at most here", "`0s` never repeats");
            return Some("1y".to_owned());
        }
        text(cx, node, "repeat_interval").map(str::to_owned)
    }
}

/// `matchers` as they are written, then `match` and `match_re`: all of them have to match.
fn matchers(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Vec<String> {
    let mut all = Vec::new();
    if let Some((_, node)) = fields.value(cx, "matchers") {
        for item in cx.list(node, "`matchers`", "[severity=\"critical\"]").unwrap_or_default() {
            all.extend(written(cx, item));
        }
    }
    for (key, what, op) in [("match", "`match`", Op::Equal), ("match_re", "`match_re`", Op::Match)] {
        let Some((span, node)) = fields.value(cx, key) else { continue };
        // Says what is wrong with the map and its keys; the labels' names are not ours to know.
        Fields::open(cx, node, span, what);
        if let Value::Map(entries) = &node.value {
            all.extend(entries.iter().filter_map(|(name, value)| pair(cx, name, op, value)));
        }
    }
    all
}

/// One entry of `matchers`, which may hold several or none.
fn written(cx: &mut Context<'_>, node: &Node) -> Option<String> {
    let Value::Scalar(text) = &node.value else {
        let hint = "write `severity=\"critical\"`, and quote it with '…' where YAML sees something else in it";
        cx.error_with(node.span, format!("a matcher must be a text, and this is {}", node.kind()), hint);
        return None;
    };
    cx.source.show(node.span);
    let parsed = matcher::parse(text);
    if parsed.is_ok() {
        cx.source.show_known(node.span);
    }
    match parsed {
        Ok(parsed) if parsed.matchers.is_empty() => None,
        Ok(parsed) => {
            // The end of a block is white space; elsewhere it can have a meaning, as in "{a=b} ".
            let trimmed = text.trim_end();
            let same = matcher::parse(trimmed).is_ok_and(|again| again == parsed);
            Some(if same { trimmed } else { text }.to_owned())
        }
        Err(error) => {
            let span = cx.source.inside(node, error.offset);
            bad_matcher(cx, span, &error);
            None
        }
    }
}

/// One entry of `match` or `match_re`.
fn pair(cx: &mut Context<'_>, name: &Node, op: Op, value: &Node) -> Option<String> {
    let text = |node: &Node| match &node.value {
        Value::Scalar(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::List(_) | Value::Map(_) => None,
    };
    cx.source.show(name.span);
    cx.source.show(value.span);
    if text(value).is_none() {
        cx.error(value.span, format!("a label must be a single value, and this is {}", value.kind()));
    }
    if op == Op::Match && matches!(value.value, Value::Null) {
        cx.error(name.span, "a regular expression is missing here; Alertmanager refuses it, too");
        return None;
    }
    let (label, text) = (text(name)?, text(value)?);
    if label.is_empty() {
        cx.error(name.span, "a label needs a name");
        return None;
    }
    match Matcher::new(label, op, text) {
        Ok(matcher) => Some(matcher.to_string()),
        Err(problem) => {
            bad_matcher(cx, value.span, &MatcherError { problem, offset: 0 });
            None
        }
    }
}

fn bad_matcher(cx: &mut Context<'_>, span: Span, error: &MatcherError) {
    let hint = match error.problem {
        MatcherProblem::BadRegex(_) => "regular expressions are RE2's, as in Alertmanager",
        MatcherProblem::RegexTooLarge => "it is larger than alertrouter takes; write it shorter",
        _ => "matchers are written as severity=\"critical\" or job=~\"api|web\"",
    };
    cx.error_with(span, format!("bad matcher: {error}"), hint);
}
