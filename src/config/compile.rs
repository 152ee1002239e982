//! From the tree of the file to what the program uses.

use std::collections::HashSet;
use std::time::Duration;

use super::Config;
use super::auth;
use super::heartbeats;
use super::places;
use super::receivers::{self, Names};
use super::routes;
use super::secret::Secrets;
use crate::route::matcher::Matcher;
use crate::route::{Route, Tree};
use crate::yaml::{Context, Fields, Node, Note, Span, Value, discreet};

const ELSEWHERE: &str = "leave it in alertmanager.yml";
const NOTES: [Note; 7] = [
    Note::Instead("global", "each receiver has its own settings here"),
    Note::Instead("templates", ELSEWHERE),
    Note::Instead("inhibit_rules", ELSEWHERE),
    Note::Instead("mute_time_intervals", ELSEWHERE),
    Note::Instead("time_intervals", ELSEWHERE),
    Note::Instead("groups", "rules belong into a file that Prometheus reads"),
    Note::Instead("routes", "routes stand below `route`, which is the root of the tree"),
];

/// How long a firing copy of an ended episode is held unless the file says otherwise.
const SETTLE: Duration = Duration::from_mins(5);
const MAX_SETTLE: Duration = Duration::from_hours(24);

/// How long deliveries are kept that have ended unless the file says otherwise.
const RETENTION: Duration = Duration::from_hours(30 * 24);
const MIN_RETENTION: Duration = Duration::from_hours(24);
const MAX_RETENTION: Duration = Duration::from_hours(365 * 24);

struct Dedup {
    ignore_labels: Vec<String>,
    settle: Duration,
}

/// Reads the whole file. `None` only if an error was reported.
pub(super) fn config(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<Config> {
    let mut fields = Fields::open(cx, node, node.span, "the file")?;
    let mut names = Names::default();
    let receivers = fields.require(cx, "receivers").map(|node| receivers::receivers(cx, node, secrets, &mut names));
    let root = if fields.has("route") {
        fields.take_with_key(cx, "route").and_then(|(span, node)| routes::root(cx, node, span, &mut names))
    } else {
        fields.require(cx, "route");
        None
    };
    let dedup = match fields.take_with_key(cx, "dedup") {
        Some((span, node)) => dedup(cx, node, span, root.as_ref()),
        None => Some(Dedup { ignore_labels: Vec::new(), settle: SETTLE }),
    };
    let heartbeats = match fields.take(cx, "heartbeats") {
        Some(node) => heartbeats::heartbeats(cx, node, &mut names),
        None => Some(Vec::new()),
    };
    let retention = match fields.take(cx, "retention") {
        Some(node) => retention(cx, node),
        None => Some(RETENTION),
    };
    let auth = match fields.take_with_key(cx, "auth") {
        Some((span, node)) => auth::auth(cx, node, span, secrets).map(Some),
        // A key without a value has been reported: it must not open the door.
        None => Some(None),
    };
    fields.close(cx, &NOTES);
    // A tree with a mistake may be the reason why a receiver seems unused.
    let root = root?;
    names.report_unused(cx);
    let Dedup { ignore_labels, settle } = dedup?;
    let matchers = places::matchers(cx, node);
    let (receivers, heartbeats, retention, auth) = (receivers?, heartbeats?, retention?, auth?);
    Some(Config { tree: Tree { root }, receivers, ignore_labels, settle, auth, heartbeats, retention, matchers })
}

/// How long what has ended is kept.
fn retention(cx: &mut Context<'_>, node: &Node) -> Option<Duration> {
    let duration = cx.duration(node, "`retention`", Duration::ZERO..=Duration::MAX)?;
    let hint = match duration {
        short if short < MIN_RETENTION => "dead letters must still be there when somebody looks for them",
        long if long > MAX_RETENTION => "keep what is older in the logs: the database is no archive",
        _ => return Some(duration),
    };
    cx.error_with(node.span, "`retention` must be between 1d and 1y", hint);
    None
}

fn dedup(cx: &mut Context<'_>, node: &Node, at: Span, root: Option<&Route>) -> Option<Dedup> {
    let mut fields = Fields::open(cx, node, at, "`dedup`")?;
    let ignore_labels = match fields.take(cx, "ignore_labels") {
        Some(node) => {
            let labels = cx.texts(node, "`ignore_labels`", "[prometheus_replica]");
            warn_of_labels(cx, node, root);
            labels
        }
        None => Some(Vec::new()),
    };
    let settle = match fields.take(cx, "settle") {
        Some(node) => cx.duration(node, "`settle`", Duration::ZERO..=MAX_SETTLE),
        None => Some(SETTLE),
    };
    fields.close(cx, &[]);
    Some(Dedup { ignore_labels: ignore_labels?, settle: settle? })
}

/// Warns of labels that are named twice, and of those that decide where an alert goes: of two alerts that differ in such a
/// label only the first would be told, wherever the other belongs.
fn warn_of_labels(cx: &mut Context<'_>, node: &Node, root: Option<&Route>) {
    let Value::List(items) = &node.value else { return };
    let matched: HashSet<&str> =
        root.into_iter().flat_map(Route::walk).flat_map(|route| &route.matchers).map(Matcher::name).collect();
    let mut seen = HashSet::new();
    for item in items {
        let Value::Scalar(label) = &item.value else { continue };
        if !seen.insert(label) {
            cx.warn_with(item.span, format!("the label {} is named twice", discreet(label)), "remove one of them");
        } else if matched.contains(label.as_str()) {
            let message = format!("a route asks for the label {}, which is ignored here", discreet(label));
            let hint = "alerts that differ only in it count as one, although they may belong to different receivers";
            cx.warn_with(item.span, message, hint);
        }
    }
}
