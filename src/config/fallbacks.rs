//! `fallback:` and `fallback_after:` of a receiver: who stands in for whom, checked once all receivers are known.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::receivers::no_receiver;
use crate::notification::ReceiverName;
use crate::receiver::Fallback;
use crate::yaml::{Context, Fields, Node, Span, closest, discreet, may_be_secret};

/// `fallback_after` unless the file says otherwise.
const AFTER: Duration = Duration::from_mins(5);
/// What failed once is tried again within seconds.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(24);

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

/// Something is wrong, and it has been reported.
pub(super) struct Mistake;

/// Reads the two keys of the receiver `from`, and notes in `links` what is to be checked later.
pub(super) fn read(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    from: Option<&ReceiverName>,
    links: &mut Vec<Link>,
) -> Result<Option<Fallback>, Mistake> {
    let receiver = match fields.take(cx, "fallback") {
        Some(node) => cx.text(node, "`fallback`").map(|to| {
            let from = from.map(ToString::to_string);
            links.push(Link { from, to: to.to_owned(), span: node.span });
            Some(ReceiverName::from(to))
        }),
        None => Some(None),
    };
    let has_fallback = fields.has("fallback");
    let after = match fields.take_with_key(cx, "fallback_after") {
        Some((span, _)) if !has_fallback => {
            cx.error_with(span, "`fallback_after` without `fallback`", "say who is told then: `fallback: NAME`");
            None
        }
        Some((_, node)) => after(cx, node),
        None => Some(AFTER),
    };
    let (receiver, after) = receiver.zip(after).ok_or(Mistake)?;
    Ok(receiver.map(|receiver| Fallback { receiver, after }))
}

fn after(cx: &mut Context<'_>, node: &Node) -> Option<Duration> {
    let after = cx.duration(node, "`fallback_after`", Duration::ZERO..=Duration::MAX)?;
    let message = "`fallback_after` must be between 10s and 1d";
    if after < SHORTEST {
        let hint = "what has failed once is tried again within seconds; dead letters fall back at once";
        cx.error_with(node.span, message, hint);
    } else if after > LONGEST {
        cx.error_with(node.span, message, "later than that nobody is helped");
    }
    (SHORTEST..=LONGEST).contains(&after).then_some(after)
}

/// Reports fallbacks that do not exist, and those that go in a circle.
pub(super) fn check(cx: &mut Context<'_>, links: &[Link], names: &[&str]) {
    for Link { from, to, span } in links {
        if from.as_deref() == Some(to) {
            let hint = "name another receiver, or remove `fallback`";
            cx.error_with(*span, format!("{} cannot be its own fallback", discreet(to)), hint);
        } else if !names.contains(&to.as_str()) {
            let message = no_receiver(to);
            let others = names.iter().copied().filter(|name| from.as_deref() != Some(name));
            match closest(to, others).map(discreet) {
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
            let names = path[entry..].iter().filter_map(|link| link.from.as_deref()).chain([name]);
            let shown: Vec<&str> = names.map(|name| if may_be_secret(name) { "<redacted>" } else { name }).collect();
            let message = format!("fallbacks go in a circle: {}", shown.join(" → "));
            cx.error_with(first.span, message, "one of them must be the last: remove its `fallback`");
        }
    }
}
