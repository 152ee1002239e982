//! Walking the tree: every helper reports what is wrong and lets the walk go on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration;
use super::node::{Node, Span, Value};
use super::plain::{may_be_secret, plain};
use super::problem::{Problem, Severity};
use super::source::Source;

/// What the walk knows and finds.
pub(crate) struct Context<'a> {
    pub(crate) source: Source<'a>,
    found: Vec<Found>,
}

struct Found {
    severity: Severity,
    span: Span,
    message: String,
    hint: Option<String>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(source: Source<'a>) -> Self {
        Self { source, found: Vec::new() }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Display) {
        let found = Found { severity: Severity::Error, span, message: message.to_string(), hint: None };
        self.found.push(found);
    }

    pub(crate) fn error_with(&mut self, span: Span, message: impl Display, hint: impl Display) {
        let hint = Some(hint.to_string());
        self.found.push(Found { severity: Severity::Error, span, message: message.to_string(), hint });
    }

    pub(crate) fn warn_with(&mut self, span: Span, message: impl Display, hint: impl Display) {
        let hint = Some(hint.to_string());
        self.found.push(Found { severity: Severity::Warning, span, message: message.to_string(), hint });
    }

    /// Everything that was found, in the order of the file. What an alias repeats is said once.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|found| (found.span.start, found.severity));
        let source = &self.source;
        let problem = |Found { severity, span, message, hint }| Problem {
            severity,
            message,
            place: Some(source.place(span)),
            hint,
        };
        let mut problems: Vec<Problem> = self.found.into_iter().map(problem).collect();
        problems.dedup();
        problems
    }

    /// A scalar that is no secret.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let Value::Scalar(text) = &node.value else {
            self.error(node.span, format!("{what} must be a single value, and this is {}", node.kind()));
            return None;
        };
        // As it is read: an escape in double quotes hides what it looks like.
        if !may_be_secret(text) {
            self.source.show(node.span);
        }
        if text.trim().is_empty() {
            self.error(node.span, format!("{what} must not be empty"));
            return None;
        }
        Some(text)
    }

    /// A list, perhaps an empty one. `example` is how one would write it.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> Option<&'n [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        let message = format!("{what} must be a list, and this is {}", node.kind());
        self.error_with(node.span, message, format!("write `{example}`"));
        None
    }

    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match self.text(node, what)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.error(node.span, format!("{what} must be true or false"));
                None
            }
        }
    }

    pub(crate) fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.text(node, what)?.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let most = range.end();
            let upper = if *most == i64::MAX { String::new() } else { format!(" and at most {most}") };
            self.error(node.span, format!("{what} must be a whole number of at least {}{upper}", range.start()));
        }
        number
    }

    pub(crate) fn duration(&mut self, node: &Node, what: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = match duration::parse(self.text(node, what)?) {
            Ok(duration) => duration,
            Err(error) => {
                self.error_with(
                    node.span,
                    format!("{what}: {error}"),
                    "durations are written as `30s`, `4h` or `1d12h`",
                );
                return None;
            }
        };
        if !range.contains(&duration) {
            let [least, most] = [range.start(), range.end()].map(|limit| duration::show(*limit));
            self.error(node.span, format!("{what} must be between {least} and {most}"));
            return None;
        }
        Some(duration)
    }

    /// A list of texts, none of them empty.
    pub(crate) fn texts(&mut self, node: &Node, what: &str, example: &str) -> Option<Vec<String>> {
        let items = self.list(node, what, example)?;
        let what = format!("an entry of {what}");
        let texts: Vec<String> = items.iter().filter_map(|item| self.text(item, &what).map(str::to_owned)).collect();
        (texts.len() == items.len()).then_some(texts)
    }
}

/// As [`quote`], for what stands in a file with secrets: nothing of what looks like one.
pub(crate) fn discreet(text: &str) -> String {
    if may_be_secret(text) { "`<redacted>`".to_owned() } else { quote(text) }
}

/// `text` for a message: in backquotes, cut, without anything that a terminal would obey.
pub(crate) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    let cut = plain(&cut);
    let dots = if text.chars().nth(40).is_some() { "…" } else { "" };
    format!("`{cut}{dots}`")
}
