//! The steps of a case.

use std::time::Duration;

use super::file::{World, labels, not_empty};
use super::{Decisions, Sent, Step};
use crate::alert::{Labels, Status};
use crate::notification::Reason;
use crate::yaml::{Context, Fields, Node, Note, Span, Value, closest, duration, quote};

const STEP_NOTES: [Note; 3] = [
    Note::Instead("name", "only a test has a name"),
    Note::Instead("alertname", "it is one of the `labels`"),
    Note::Instead("decision", "write `decisions: REASON`"),
];

/// What a step says of an alert, and is of no use where none arrives.
const OF_AN_ALERT: [&str; 4] = ["from", "labels", "starts_at", "ends_at"];
const MOST: Duration = Duration::from_hours(365 * 24);

/// Reads `steps`. `None` if nothing can be said of them; a step with a mistake is left out.
pub(super) fn steps(
    cx: &mut Context<'_>,
    node: &Node,
    at: Span,
    of_case: Option<&Labels>,
    world: &World<'_>,
) -> Option<Vec<Step>> {
    let items = cx.list(node, "`steps`", "- { at: 0s, status: firing, decisions: first }")?;
    if items.is_empty() {
        cx.error_with(at, "`steps` must not be empty", "remove it where nothing happens over time");
        return None;
    }
    let mut steps: Vec<Step> = Vec::with_capacity(items.len());
    let mut latest = Duration::ZERO;
    let mut is_whole = true;
    for item in items {
        let Some(step) = step(cx, item, &mut latest, of_case, world) else {
            is_whole = false;
            continue;
        };
        steps.push(step);
    }
    // With a step missing, nothing can be said of what the rest expects.
    is_whole.then_some(steps)
}

fn step(
    cx: &mut Context<'_>,
    node: &Node,
    latest: &mut Duration,
    of_case: Option<&Labels>,
    world: &World<'_>,
) -> Option<Step> {
    let mut fields = Fields::open(cx, node, node.span, "a step")?;
    let at = fields.require(cx, "at").and_then(|node| {
        let at = cx.duration(node, "`at`", Duration::ZERO..=MOST)?;
        if at < *latest {
            let hint = format!("the step before it is at {}", duration::show(*latest));
            cx.error_with(node.span, "`at` goes back in time", hint);
        }
        *latest = at.max(*latest);
        Some(at)
    });
    let sent = sent(cx, &mut fields, of_case);
    let expected = fields.take(cx, "receivers").map(|node| world.receivers(cx, node));
    let decisions = fields.take(cx, "decisions").map(|node| decisions(cx, node, world));
    fields.close(cx, &STEP_NOTES);
    Some(Step { at: at?, sent: sent?, receivers: flat(expected)?, decisions: flat(decisions)? })
}

/// What is absent is fine, what is there and wrong is not.
#[expect(clippy::option_option, reason = "absent, wrong and there are three things")]
fn flat<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

/// What arrives. The outer `None` means that something is wrong with it.
#[expect(clippy::option_option, reason = "nothing arrives, something arrives, and it is wrong are three things")]
fn sent(cx: &mut Context<'_>, fields: &mut Fields<'_>, of_case: Option<&Labels>) -> Option<Option<Sent>> {
    let status = fields.take(cx, "status").map(|node| status(cx, node));
    if status.is_none() {
        let mut is_sound = true;
        for key in OF_AN_ALERT {
            if let Some((at, _)) = fields.take_with_key(cx, key) {
                is_sound = false;
                let hint = "add `status: firing` or `status: resolved`; without it only time passes";
                cx.error_with(at, format!("`{key}` needs a `status`"), hint);
            }
        }
        return is_sound.then_some(None);
    }
    let from = match fields.take(cx, "from") {
        Some(node) => cx.text(node, "`from`").map(str::to_owned),
        None => Some(String::new()),
    };
    let labels = match fields.take(cx, "labels") {
        Some(node) => labels(cx, node).and_then(|own| {
            let all = of_case?.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(own);
            not_empty(cx, node.span, &all.collect())
        }),
        None => of_case.cloned(),
    };
    let mut time = |key, what| match fields.take(cx, key) {
        Some(node) => cx.duration(node, what, Duration::ZERO..=MOST).map(|time| Some((time, node.span))),
        None => Some(None),
    };
    let (starts_at, ends_at) = (time("starts_at", "`starts_at`"), time("ends_at", "`ends_at`"));
    let (status, starts_at, ends_at) = (status??, starts_at?, ends_at?);
    if let Some((ends_at, at)) = ends_at {
        if status == Status::Firing {
            cx.error_with(at, "an alert that fires has no `ends_at`", "it belongs to `status: resolved`");
        } else if starts_at.is_some_and(|(starts_at, _)| ends_at < starts_at) {
            cx.error(at, "`ends_at` is before `starts_at`");
        }
    }
    let time = |time: Option<(Duration, Span)>| time.map(|(time, _)| time);
    Some(Some(Sent { status, from: from?, labels: labels?, starts_at: time(starts_at), ends_at: time(ends_at) }))
}

fn status(cx: &mut Context<'_>, node: &Node) -> Option<Status> {
    match cx.text(node, "`status`")? {
        "firing" => Some(Status::Firing),
        "resolved" => Some(Status::Resolved),
        _ => {
            cx.error_with(node.span, "`status` must be firing or resolved", "leave it out where only time passes");
            None
        }
    }
}

/// A reason, a list of reasons, or a map of receivers to these.
fn decisions(cx: &mut Context<'_>, node: &Node, world: &World<'_>) -> Option<Decisions> {
    let Value::Map(entries) = &node.value else { return reasons(cx, node).map(Decisions::All) };
    let mut each: Vec<(crate::notification::ReceiverName, Vec<Reason>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = cx.text(key, "the name of a receiver").and_then(|text| world.receiver(cx, key.span, text));
        let reasons = reasons(cx, value);
        let (Some(name), Some(reasons)) = (name, reasons) else { continue };
        if each.iter().any(|(known, _)| *known == name) {
            cx.error_with(key.span, format!("the receiver {} is named twice", quote(name.as_str())), REASONS_HINT);
        }
        each.push((name, reasons));
    }
    (each.len() == entries.len()).then_some(Decisions::Each(each))
}

const REASONS_HINT: &str = "write `[duplicate, stale]` where two things are decided at once";

fn reasons(cx: &mut Context<'_>, node: &Node) -> Option<Vec<Reason>> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        cx.error_with(
            node.span,
            "a list of reasons must not be empty",
            "write `decisions: {}` where nothing is decided",
        );
        return None;
    }
    let reasons: Vec<Reason> = items.iter().filter_map(|item| reason(cx, item)).collect();
    (reasons.len() == items.len()).then_some(reasons)
}

fn reason(cx: &mut Context<'_>, node: &Node) -> Option<Reason> {
    let text = cx.text(node, "a reason")?;
    let reason = Reason::from_label(text);
    if reason.is_none() {
        let known = Reason::ALL.map(Reason::as_str);
        let hint = match closest(text, known) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => format!("reasons are {}", known.map(quote).join(", ")),
        };
        cx.error_with(node.span, format!("there is no reason {}", quote(text)), hint);
    }
    reason
}
