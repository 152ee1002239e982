//! `receivers:`: from one name with several integrations to receivers that have one service each.

use std::collections::HashSet;

use super::channels::Channels;
use super::global::Global;
use super::integration::{self, Integration, Receiver};
use super::kind::KINDS;
use super::secret::Variables;
use super::values;
use crate::yaml::{Context, Fields, Node, Rest, Span, Value, closest, discreet, quote};

/// Most bytes of a name of ours.
const LONGEST_NAME: usize = 200;
/// The same where the kind and a number are put behind it.
const LONGEST_STEM: usize = 160;

/// A receiver as the file declares it.
pub(super) struct Declared<'n> {
    name: &'n str,
    span: Span,
    /// `slack` of `slack_configs`, and the integration.
    integrations: Vec<(&'n str, &'n Node)>,
}

/// The file's names, and the receivers of ours that each has become.
pub(super) struct Names<'n>(Vec<(&'n str, Vec<String>)>);

impl Names<'_> {
    /// Ours, in order; none for a receiver that tells nobody. `None` if there is no such receiver.
    pub(super) fn get(&self, name: &str) -> Option<&[String]> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, ours)| ours.as_slice())
    }

    pub(super) fn closest(&self, name: &str) -> Option<&str> {
        closest(name, self.0.iter().map(|(known, _)| *known))
    }
}

/// Reads the list; what is wrong is reported and left out.
pub(super) fn declared<'n>(cx: &mut Context<'_>, node: &'n Node) -> Vec<Declared<'n>> {
    let mut all: Vec<Declared<'n>> = Vec::new();
    for item in cx.list(node, "`receivers`", "- name: …").unwrap_or_default() {
        let Some(declared) = one(cx, item) else { continue };
        if let Some(first) = all.iter().find(|known| known.name == declared.name) {
            let hint = format!("the first one is in line {}; give each its own name", cx.source.line(first.span.start));
            cx.error_with(declared.span, format!("two receivers have the name {}", discreet(declared.name)), hint);
            continue;
        }
        all.push(declared);
    }
    all
}

fn one<'n>(cx: &mut Context<'_>, node: &'n Node) -> Option<Declared<'n>> {
    let mut fields = Fields::open(cx, node, node.span, "a receiver")?;
    let is_null = matches!(fields.peek("name"), Some((_, Node { value: Value::Null, .. })));
    let name = fields.value(cx, "name").and_then(|(_, node)| Some((values::text(cx, node, "name")?, node.span)));
    if name.is_none() {
        let hint = if is_null { "`null` without quotes is no text in YAML: write 'null'" } else { "add `name: …`" };
        cx.error_with(fields.at, "a receiver needs a `name`", hint);
    }
    // What the receiver is called in queries; notifications do not have it.
    fields.value(cx, "labels");
    let mut lists: Vec<(Span, &str, &Node)> = Vec::new();
    for kind in KINDS {
        lists.extend(fields.value(cx, kind.key).map(|(span, node)| (span, kind.stem(), node)));
    }
    for Rest { key, span, value } in fields.rest(cx) {
        match key.and_then(|key| key.strip_suffix("_configs")) {
            Some(stem) => lists.push((span, stem, value)),
            None => super::unknown_key(cx, key, span, "a receiver"),
        }
    }
    lists.sort_by_key(|(span, ..)| *span);
    let mut integrations = Vec::new();
    for (_, stem, node) in lists {
        match &node.value {
            Value::List(items) => integrations.extend(items.iter().map(|item| (stem, item))),
            Value::Null => {}
            _ => {
                let message = format!("`{stem}_configs` must be a list, and this is {}", node.kind());
                cx.error_with(node.span, message, "begin each integration with `- `");
            }
        }
    }
    let (name, span) = name?;
    Some(Declared { name, span, integrations })
}

/// All integrations of a kind.
fn all<'d, 'n>(declared: &'d [Declared<'n>], stem: &'d str) -> impl Iterator<Item = &'n Node> + 'd {
    let integrations = declared.iter().flat_map(|declared| &declared.integrations);
    integrations.filter(move |(known, _)| *known == stem).map(|(_, node)| *node)
}

/// Where the first integration of a kind stands.
pub(super) fn first(declared: &[Declared<'_>], stem: &str) -> Option<Span> {
    all(declared, stem).next().map(|node| node.span)
}

/// Makes receivers of ours. Each integration becomes one, in the order of the file.
pub(super) fn import<'n>(
    cx: &mut Context<'_>,
    declared: &[Declared<'n>],
    global: &Global<'n>,
    variables: &mut Variables,
) -> (Vec<Receiver>, Names<'n>) {
    let mut taken: HashSet<String> = declared.iter().map(|declared| declared.name.to_owned()).collect();
    let channels = Channels::of(all(declared, "slack"), global);
    let (mut receivers, mut names) = (Vec::new(), Vec::new());
    for Declared { name, span, integrations } in declared {
        let ours = our_names(name, integrations, &mut taken);
        if ours.len() == 1 && ours[0] != *name {
            let message = format!("the name {} is not taken here", discreet(name));
            let hint =
                format!("the receiver is called {}: printable, at most {LONGEST_NAME} bytes", discreet(&ours[0]));
            cx.warn_with(*span, message, hint);
        }
        for (number, ((stem, node), ours)) in integrations.iter().zip(&ours).enumerate() {
            let kind = KINDS.into_iter().find(|kind| kind.stem() == *stem);
            let part = Integration { kind, stem, original: name, name: ours, global, channels: &channels };
            let Some(mut receiver) = integration::import(cx, node, &part, variables) else { continue };
            if number == 0 && integrations.len() > 1 {
                let count = integrations.len();
                receiver
                    .comments
                    .insert(0, format!("{} had {count} integrations; a receiver has one here.", quote(name)));
            }
            receivers.push(receiver);
        }
        names.push((*name, ours));
    }
    (receivers, Names(names))
}

/// One name for each integration: the receiver's own for a single one, else with the kind behind it.
fn our_names(name: &str, integrations: &[(&str, &Node)], taken: &mut HashSet<String>) -> Vec<String> {
    let mut free = |wanted: String| {
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or_default();
        taken.insert(free.clone());
        free
    };
    match integrations {
        [_] if usable(name, LONGEST_NAME) == name => vec![name.to_owned()],
        [_] => vec![free(usable(name, LONGEST_STEM))],
        several => several.iter().map(|(stem, _)| free(format!("{}-{stem}", usable(name, LONGEST_STEM)))).collect(),
    }
}

/// The name as we take one: printable, without blanks at its ends, not too long.
fn usable(name: &str, longest: usize) -> String {
    let printable: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let trimmed = printable.trim();
    let end = trimmed.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= longest).last();
    trimmed[..end.unwrap_or_default()].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_taken_twice() {
        let node = Node { span: Span { start: 0, end: 0 }, value: Value::Null };
        let check = |name: &str, kinds: &[&str], taken: &[&str], expected: &[&str]| {
            let mut taken: HashSet<String> = taken.iter().map(|name| (*name).to_owned()).collect();
            taken.insert(name.to_owned());
            let integrations: Vec<_> = kinds.iter().map(|kind| (*kind, &node)).collect();
            assert_eq!(our_names(name, &integrations, &mut taken), expected);
        };
        check("a", &[], &[], &[]);
        check("a", &["slack"], &["a-slack"], &["a"]);
        check("a", &["slack", "pagerduty", "slack"], &[], &["a-slack", "a-pagerduty", "a-slack-2"]);
        check("a", &["slack", "slack"], &["a-slack"], &["a-slack-2", "a-slack-3"]);
        check(" a\tb ", &["slack"], &["a_b"], &["a_b-2"]);
        check(&"é".repeat(100), &["slack"], &[], &["é".repeat(100).as_str()]);
        check(&"é".repeat(101), &["slack"], &[], &["é".repeat(80).as_str()]);
        check(
            &"é".repeat(101),
            &["slack", "jira"],
            &[],
            &[&*("é".repeat(80) + "-slack"), &*("é".repeat(80) + "-jira")],
        );
    }
}
