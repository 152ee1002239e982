//! `fallback:` and `fallback_after:` of a receiver: who stands in for whom, checked once all receivers are known.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::yaml::{Context, Fields, Span, closest, quote};

/// `fallback_after` unless the file says otherwise.
const AFTER: Duration = Duration::from_mins(5);
/// What failed once is tried again within seconds.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(24);

/// What a receiver says of its fallback.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The name and where it stands, if it is given.
    pub(super) to: Option<(String, Span)>,
    /// `fallback_after`.
    pub(super) after: Duration,
}

/// Reads the two keys; whether the name is one is not known yet. `None` if there is a mistake.
pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Wish> {
    let to = match fields.take(cx, "fallback") {
        Some(node) => cx.text(node, "`fallback`").map(|text| Some((text.to_owned(), node.span))),
        None => Some(None),
    };
    let has_fallback = fields.has("fallback");
    let after = match fields.take_with_key(cx, "fallback_after") {
        Some((span, _)) if !has_fallback => {
            cx.error_with(span, "`fallback_after` without `fallback`", "say who is told then: `fallback: NAME`");
            None
        }
        Some((_, node)) => cx.duration(node, "`fallback_after`", Duration::ZERO..=LONGEST).and_then(|after| {
            if after < SHORTEST {
                let hint = "what has failed once is tried again within seconds; dead letters fall back at once";
                cx.error_with(node.span, "`fallback_after` must be between 10s and 1d", hint);
            }
            (after >= SHORTEST).then_some(after)
        }),
        None => Some(AFTER),
    };
    Some(Wish { to: to?, after: after? })
}

/// A receiver's `fallback`, as it stands in the file.
#[derive(Debug)]
pub(super) struct Link {
    /// Whose it is; `None` if that has no proper name.
    pub(super) from: Option<String>,
    /// The name of the fallback.
    pub(super) to: String,
    /// Where that stands.
    pub(super) span: Span,
}

/// Reports fallbacks that do not exist, and those that go in a circle.
pub(super) fn check(cx: &mut Context<'_>, links: &[Link], names: &[&str]) {
    for Link { from, to, span } in links {
        if from.as_deref() == Some(to) {
            let hint = "name another receiver, or remove `fallback`";
            cx.error_with(*span, format!("{} cannot be its own fallback", quote(to)), hint);
        } else if !names.contains(&to.as_str()) {
            let message = format!("there is no receiver {}", quote(to));
            let others = names.iter().copied().filter(|name| from.as_deref() != Some(name));
            match closest(to, others).map(quote) {
                Some(near) => cx.error_with(*span, message, format!("did you mean {near}?")),
                None => cx.error_with(*span, message, "add it to the `receivers`, or remove `fallback`"),
            }
        }
    }
    report_circles(cx, links);
}

/// Reports each circle once, at one of its links. A receiver that is its own fallback is reported already.
fn report_circles(cx: &mut Context<'_>, links: &[Link]) {
    let next: HashMap<&str, &Link> = links.iter().filter_map(|link| Some((link.from.as_deref()?, link))).collect();
    let mut done = HashSet::new();
    for start in links.iter().filter_map(|link| link.from.as_deref()) {
        let mut path = Vec::new();
        let mut name = start;
        while let Some(link) = next.get(name).filter(|_| done.insert(name)) {
            path.push(*link);
            name = &link.to;
        }
        // The path ends where it has no further link, or where it has been before: perhaps on this very walk.
        let Some(entry) = path.iter().position(|link| link.from.as_deref() == Some(name)) else { continue };
        if let [first, _, ..] = &path[entry..] {
            let shown: Vec<&str> = path[entry..].iter().filter_map(|link| link.from.as_deref()).chain([name]).collect();
            let message = format!("fallbacks go in a circle: {}", shown.join(" → "));
            cx.error_with(first.span, message, "one of them must be the last: remove its `fallback`");
        }
    }
}
