//! `route:` and the tree below it.

use std::time::Duration;

use super::receivers::{Names, no_receiver};
use crate::notification::ReceiverName;
use crate::route::matcher::{self, Matcher, MatcherProblem, Warning};
use crate::route::{Position, Route, reach};
use crate::yaml::{Context, Fields, Node, Note, Span, Value, closest, discreet, plain};

const GROUPING: &str = "Alertmanager groups alerts before it posts them: leave it in alertmanager.yml";
const INTERVALS: &str = "leave it in alertmanager.yml: what it mutes is never posted";
const MATCHERS: &str = "write `matchers: [name=\"value\"]`, with =~ for a regular expression";

const NOTES: [Note; 8] = [
    Note::Instead("receiver", "it is a list here: `receivers: [NAME]`"),
    Note::Instead("group_by", GROUPING),
    Note::Instead("group_wait", GROUPING),
    Note::Instead("group_interval", GROUPING),
    Note::Instead("mute_time_intervals", INTERVALS),
    Note::Instead("active_time_intervals", INTERVALS),
    Note::Instead("match", MATCHERS),
    Note::Instead("match_re", MATCHERS),
];

const OF_A_ROUTE: &str = "`receivers` of a route";

/// `repeat_interval` where no route says otherwise: Alertmanager's default.
const REPEAT_INTERVAL: Duration = Duration::from_hours(4);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// What a child takes from its parent unless it says otherwise.
#[derive(Clone)]
struct Inherited {
    receivers: Vec<ReceiverName>,
    repeat_interval: Duration,
    /// What every alert satisfies that comes so far.
    given: Vec<Matcher>,
}

/// Reads the tree. `None` if there is an error anywhere in it.
pub(super) fn root(cx: &mut Context<'_>, node: &Node, at: Span, names: &mut Names) -> Option<Route> {
    let mut fields = Fields::open(cx, node, at, "`route`")?;
    fields.at = at;
    let inherited = Inherited { receivers: Vec::new(), repeat_interval: REPEAT_INTERVAL, given: Vec::new() };
    for key in ["matchers", "continue"] {
        if let Some((span, _)) = fields.take_with_key(cx, key) {
            let hint = "put it into a route below `routes`";
            cx.error_with(span, format!("the root takes every alert: it has no `{key}`"), hint);
        }
    }
    // Missing is an error of its own; empty would lose every alert that no route below takes.
    let receivers = fields.require(cx, "receivers").and_then(|node| {
        let receivers = receivers(cx, node, OF_A_ROUTE, names)?;
        if receivers.is_empty() {
            let hint = "to drop alerts on purpose, write `receivers: []` in a route below `routes`";
            cx.error_with(node.span, "`receivers` of the root must not be empty", hint);
        }
        Some(receivers)
    });
    rest(cx, fields, names, inherited, receivers, Vec::new(), false)
}

fn route(cx: &mut Context<'_>, node: &Node, names: &mut Names, inherited: &Inherited) -> Option<Route> {
    let mut fields = Fields::open(cx, node, node.span, "a route")?;
    let matchers = match fields.take(cx, "matchers") {
        Some(node) => matchers(cx, node),
        None => Some(Vec::new()),
    };
    let continues = match fields.take(cx, "continue") {
        Some(node) => cx.boolean(node, "`continue`"),
        None => Some(false),
    };
    let receivers = match fields.take(cx, "receivers") {
        Some(node) => receivers(cx, node, OF_A_ROUTE, names),
        None => Some(inherited.receivers.clone()),
    };
    // Children are read even if their parent is wrong: every problem at once.
    let broken = matchers.is_none() || continues.is_none();
    let (matchers, continues) = (matchers.unwrap_or_default(), continues.unwrap_or_default());
    let route = rest(cx, fields, names, inherited.clone(), receivers, matchers, continues);
    route.filter(|_| !broken)
}

/// What the root and the routes below it have in common.
fn rest(
    cx: &mut Context<'_>,
    mut fields: Fields<'_>,
    names: &mut Names,
    mut inherited: Inherited,
    receivers: Option<Vec<ReceiverName>>,
    matchers: Vec<Matcher>,
    continues: bool,
) -> Option<Route> {
    let (line, column) = cx.source.position(fields.at.start);
    let repeat_interval = match fields.take(cx, "repeat_interval") {
        Some(node) => cx.duration(node, "`repeat_interval`", Duration::ZERO..=YEAR),
        None => Some(inherited.repeat_interval),
    };
    inherited.receivers = receivers.clone().unwrap_or_default();
    inherited.repeat_interval = repeat_interval.unwrap_or_default();
    inherited.given.extend(matchers.iter().cloned());
    let routes = match fields.take(cx, "routes") {
        Some(node) => routes(cx, node, names, &inherited),
        None => Some(Vec::new()),
    };
    fields.close(cx, &NOTES);
    let (receivers, repeat_interval, routes, at) = (receivers?, repeat_interval?, routes?, Position { line, column });
    Some(Route { matchers, receivers, repeat_interval, continues, routes, at })
}

fn routes(cx: &mut Context<'_>, node: &Node, names: &mut Names, inherited: &Inherited) -> Option<Vec<Route>> {
    let items = cx.list(node, "`routes`", "- matchers: [name=\"value\"]")?;
    let mut routes: Vec<Route> = Vec::with_capacity(items.len());
    for item in items {
        let Some(route) = route(cx, item, names, inherited) else { continue };
        unreachable(cx, item.span, &route, &routes, &inherited.given);
        routes.push(route);
    }
    (routes.len() == items.len()).then_some(routes)
}

/// Warns if no alert can end at a route: `earlier` are the siblings before it, `above` what holds for all that comes.
fn unreachable(cx: &mut Context<'_>, at: Span, route: &Route, earlier: &[Route], above: &[Matcher]) {
    let above: Vec<&Matcher> = above.iter().collect();
    // That nothing comes at all is said where it begins.
    if reach::contradiction(&above).is_some() {
        return;
    }
    let given: Vec<&Matcher> = above.into_iter().chain(&route.matchers).collect();
    if let Some((one, other)) = reach::contradiction(&given) {
        let [one, other] = [one, other].map(|matcher| plain(&matcher.to_string()));
        let hint = format!("no alert has both {one} and {other}");
        cx.warn_with(at, "this route can never match", hint);
    } else if let Some(first) = earlier.iter().find(|earlier| reach::stops_all(earlier, &given)) {
        let hint = format!("the route in line {} takes all of its alerts first", first.at.line);
        cx.warn_with(at, "this route can never match", hint);
    } else if let Some(child) = route.routes.iter().find(|child| reach::takes_all(child, &given))
        && route.routes.iter().all(|child| child.receivers != route.receivers)
    {
        // Where a child inherits them they have their use.
        let hint = format!("the route in line {} below it takes all of its alerts", child.at.line);
        cx.warn_with(at, "the receivers of this route are never told", hint);
    }
}

/// Reads a list of receivers' names; `what` it is, for messages.
pub(super) fn receivers(cx: &mut Context<'_>, node: &Node, what: &str, names: &mut Names) -> Option<Vec<ReceiverName>> {
    let items = cx.list(node, what, "[NAME]")?;
    let mut receivers = Vec::with_capacity(items.len());
    let mut broken = false;
    for item in items {
        let Some(text) = cx.text(item, "the name of a receiver") else {
            broken = true;
            continue;
        };
        match names.get(text) {
            Some(name) if receivers.contains(&name) => {
                cx.warn_with(
                    item.span,
                    format!("the receiver {} is named twice", discreet(text)),
                    "remove one of them",
                );
            }
            Some(name) => receivers.push(name),
            None => {
                broken = true;
                let message = no_receiver(text);
                match closest(text, names.iter()).map(discreet) {
                    Some(near) => cx.error_with(item.span, message, format!("did you mean {near}?")),
                    None => cx.error_with(item.span, message, "add it to the `receivers` at the top of the file"),
                }
            }
        }
    }
    (!broken).then_some(receivers)
}

/// Reads a list of matchers.
pub(super) fn matchers(cx: &mut Context<'_>, node: &Node) -> Option<Vec<Matcher>> {
    let items = cx.list(node, "`matchers`", "[severity=\"critical\"]")?;
    let mut matchers = Vec::new();
    let mut broken = false;
    for item in items {
        match matchers_of(cx, item) {
            Some(more) => matchers.extend(more),
            None => broken = true,
        }
    }
    (!broken).then_some(matchers)
}

/// One entry of `matchers`, which may hold several.
fn matchers_of(cx: &mut Context<'_>, node: &Node) -> Option<Vec<Matcher>> {
    let Value::Scalar(text) = &node.value else {
        let hint = "write `severity=\"critical\"`, and quote it with '…' where YAML sees something else in it";
        cx.error_with(node.span, format!("a matcher must be a text, and this is {}", node.kind()), hint);
        return None;
    };
    cx.source.show(node.span);
    match matcher::parse(text) {
        Ok(parsed) => {
            cx.source.show_known(node.span);
            let suggestion = || parsed.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            match parsed.warning {
                None => {}
                Some(Warning::ClassicOnly) => cx.warn_with(
                    node.span,
                    "only Alertmanager's classic syntax reads this matcher",
                    format!("write {}", suggestion()),
                ),
                Some(Warning::Disagreement) => cx.warn_with(
                    node.span,
                    "Alertmanager's two syntaxes disagree on this matcher; the classic one is used",
                    format!("it reads {}; write it so that both do", suggestion()),
                ),
            }
            Some(parsed.matchers)
        }
        Err(error) => {
            let span = cx.source.inside(node, error.offset);
            let hint = match error.problem {
                MatcherProblem::BadRegex(_) => "regular expressions are RE2's, as in Alertmanager",
                MatcherProblem::RegexTooLarge => "write it shorter: repetitions multiply",
                MatcherProblem::BadEscape => "a backslash is written twice inside double quotes: \"\\\\d+\"",
                _ => "matchers are written as severity=\"critical\" or job=~\"api|web\"",
            };
            cx.error_with(span, format!("bad matcher: {error}"), hint);
            None
        }
    }
}
