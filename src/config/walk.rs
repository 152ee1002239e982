//! Walking the tree: every helper reports what is wrong and lets the walk go on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use super::duration;
use super::node::{Node, Span, Value};
use super::problem::{Problem, Severity};
use super::secret::SecretSource;
use super::source::Source;
use super::{Options, rate};

/// What the walk knows and finds.
pub(super) struct Context<'a> {
    pub(super) source: Source<'a>,
    pub(super) options: &'a Options,
    pub(super) secrets: &'a dyn SecretSource,
    found: Vec<Found>,
}

struct Found {
    severity: Severity,
    span: Span,
    message: String,
    hint: Option<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, options: &'a Options, secrets: &'a dyn SecretSource) -> Self {
        Self { source: Source::new(text), options, secrets, found: Vec::new() }
    }

    pub(super) fn error(&mut self, span: Span, message: impl Display) {
        let found = Found { severity: Severity::Error, span, message: message.to_string(), hint: None };
        self.found.push(found);
    }

    pub(super) fn error_with(&mut self, span: Span, message: impl Display, hint: impl Display) {
        let hint = Some(hint.to_string());
        self.found.push(Found { severity: Severity::Error, span, message: message.to_string(), hint });
    }

    pub(super) fn warn_with(&mut self, span: Span, message: impl Display, hint: impl Display) {
        let hint = Some(hint.to_string());
        self.found.push(Found { severity: Severity::Warning, span, message: message.to_string(), hint });
    }

    /// Everything that was found, in the order of the file. What an alias repeats is said once.
    pub(super) fn finish(mut self) -> Vec<Problem> {
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
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let Value::Scalar(text) = &node.value else {
            self.error(node.span, format!("{what} must be a single value, and this is {}", node.kind()));
            return None;
        };
        self.source.show(node.span);
        if text.trim().is_empty() {
            self.error(node.span, format!("{what} must not be empty"));
            return None;
        }
        Some(text)
    }

    /// A list, perhaps an empty one. `example` is how one would write it.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> Option<&'n [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        let message = format!("{what} must be a list, and this is {}", node.kind());
        self.error_with(node.span, message, format!("write `{example}`"));
        None
    }

    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match self.text(node, what)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.error(node.span, format!("{what} must be true or false"));
                None
            }
        }
    }

    pub(super) fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.text(node, what)?.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let most = range.end();
            let upper = if *most == i64::MAX { String::new() } else { format!(" and at most {most}") };
            self.error(node.span, format!("{what} must be a whole number of at least {}{upper}", range.start()));
        }
        number
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
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

    /// What one notification costs.
    pub(super) fn rate(&mut self, node: &Node) -> Option<Duration> {
        let period = rate::period(self.text(node, "`rate`")?);
        if period.is_none() {
            let hint = "rates are written as `1/s`, `30/m` or `100/h`, from 1 to 10000";
            self.error_with(node.span, "`rate` must be a number per second, minute or hour", hint);
        }
        period
    }

    /// An address that is no secret, without a slash at its end.
    pub(super) fn url(&mut self, node: &Node, what: &str) -> Option<String> {
        let Value::Scalar(text) = &node.value else {
            self.text(node, what)?;
            return None;
        };
        let checked = check_url(text).and_then(|url| {
            let bare = url.username().is_empty() && url.password().is_none();
            if bare { Ok(url) } else { Err("must not hold a user name or password") }
        });
        match checked {
            Ok(url) if url.query().is_none() => self.source.show(node.span),
            Ok(_) => {}
            Err(error) => {
                self.error_with(node.span, format!("{what} {error}"), "an address begins with http:// or https://");
                return None;
            }
        }
        Some(text.trim_end_matches('/').to_owned())
    }
}

/// An absolute http or https address. The error repeats nothing of it.
pub(super) fn check_url(text: &str) -> Result<Url, &'static str> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must not contain blanks or line breaks");
    }
    let url = Url::parse(text).map_err(|_| "is not an address")?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) if !host.is_empty() => Ok(url),
        ("http" | "https", _) => Err("has no host"),
        _ => Err("must be an http or https address"),
    }
}

/// `text` for a message: in backquotes, cut, without anything that a terminal would obey.
pub(super) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    let dots = if text.chars().nth(40).is_some() { "…" } else { "" };
    format!("`{cut}{dots}`")
}
