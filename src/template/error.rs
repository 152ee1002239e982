//! What is wrong with a template, for the person who wrote it.

use std::fmt;

use minijinja::{Error, ErrorKind};

use super::context;

/// What is wrong with a template. `Display` is one line: `line 2: undefined value: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong, in one line.
    pub message: String,
    /// Which line of the template, from 1, and which byte of its source, where that is known.
    pub at: Option<(usize, usize)>,
    /// A name that is not known: `lables`.
    pub unknown: Option<String>,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, _)) = self.at {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

impl TemplateError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, unknown: None, hint: None }
    }

    /// A name that is none of ours, in a part of the template that was not rendered.
    pub(super) fn unknown(source: &str, name: &str) -> Self {
        let offset = named_at(source, name).unwrap_or_default();
        Self {
            at: Some((source[..offset].matches('\n').count() + 1, offset)),
            unknown: Some(name.to_owned()),
            ..Self::new(format!("`{name}` is not known"))
        }
    }

    /// MiniJinja's error, its place and its words.
    pub(super) fn of(error: &Error, source: &str) -> Self {
        let range = error.range().filter(|range| source.get(range.clone()).is_some());
        let range = range.map(|range| beginning(source, range.start)..range.end);
        let start =
            range.as_ref().map_or_else(|| start_of_line(source, error.line().unwrap_or(1)), |range| range.start);
        let expression = range.and_then(|range| source.get(range)).unwrap_or_default();
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let word = |at: usize| detail.split(' ').nth(at).unwrap_or_default();
        let unknown = match error.kind() {
            ErrorKind::UndefinedError => unknown_name(expression),
            ErrorKind::UnknownFilter | ErrorKind::UnknownTest => word(1),
            ErrorKind::UnknownFunction => word(0),
            _ => "",
        };
        let message = match error.kind() {
            ErrorKind::UndefinedError if !unknown.is_empty() => format!("`{unknown}` is not known"),
            ErrorKind::UndefinedError => format!("`{}` is not always there", one_line(expression)),
            _ => one_line(&detail),
        };
        let hint = match (error.kind(), unknown) {
            // Left out on purpose.
            (ErrorKind::UnknownFilter, "safe" | "escape" | "e") => {
                Some("what comes out of `{{ }}` is always escaped for the service; write markup outside of it")
            }
            (ErrorKind::UndefinedError, "") => Some("ask for it first: `{% if … %}`"),
            _ => None,
        };
        let offset = start + expression.find(unknown).unwrap_or_default();
        Self {
            message,
            at: (!source.is_empty()).then(|| (source[..offset].matches('\n').count() + 1, offset)),
            unknown: Some(unknown.to_owned()).filter(|name| !name.is_empty()),
            hint,
        }
    }

    /// The same place, other words.
    pub(super) fn says(self, message: &str, hint: &'static str) -> Self {
        Self { message: message.to_owned(), hint: Some(hint), ..self }
    }
}

/// Where a name stands inside of `{{ }}` or `{% %}`.
fn named_at(source: &str, name: &str) -> Option<usize> {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let last = |before: &str, marks: [&str; 2]| marks.into_iter().filter_map(|mark| before.rfind(mark)).max();
    source.match_indices(name).map(|(at, _)| at).find(|at| {
        let (before, after) = (&source[..*at], &source[at + name.len()..]);
        let inside = last(before, ["{{", "{%"]) > last(before, ["}}", "%}"]);
        inside && !word(before.chars().next_back()) && !word(after.chars().next())
    })
}

fn start_of_line(source: &str, line: usize) -> usize {
    let start = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    start.min(source.len())
}

/// Where an expression begins of which MiniJinja names the end: `alerts` of `[1].name`.
fn beginning(source: &str, at: usize) -> usize {
    if !source[at..].starts_with(['.', '[']) {
        return at;
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    source[..at].trim_end_matches(is_part).len()
}

/// `lables` of `alert.lables.job`: the first part after the beginning that is none of ours; "" if all of them are. The
/// beginning itself is known, because unknown ones are found before anything is rendered.
fn unknown_name(expression: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut parts = expression.split(|c: char| !is_name(c)).filter(|part| !part.is_empty()).peekable();
    let first = parts.next();
    match (first, parts.peek()) {
        (Some(only), None) => only,
        _ => parts
            .find(|part| !context::is_known(part) && !part.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or_default(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text that must be JSON.
pub(super) fn check_json(text: &str) -> Result<(), TemplateError> {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else { return Ok(()) };
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = line.floor_char_boundary(error.column().saturating_sub(1));
    let from = line.floor_char_boundary(at.saturating_sub(20));
    let to = line.floor_char_boundary((at + 20).min(line.len()));
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    Err(TemplateError {
        hint: Some("`{{ x }}` is a JSON value with its quotes; join texts inside: `{{ \"a \" ~ x }}`"),
        ..TemplateError::new(format!("it does not become JSON: {reason}, near `{}`", one_line(&line[from..to])))
    })
}
