//! Label matchers, in both of Alertmanager's syntaxes.
//!
//! Alertmanager 0.27 brought a parser for UTF-8 label names and kept the old one: by default it asks both
//! (`matcher/compat`, "fallback mode", still the default in 0.34). [`parse`] does the same, so that a matcher means here
//! what it means there.

mod classic;
mod error;
mod literal;
mod pattern;
mod utf8;

use std::fmt;

pub use error::{MatcherError, MatcherProblem};
use literal::Pattern;

use crate::alert::Labels;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Match,
    /// `!~`
    NotMatch,
}

impl Op {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Match => "=~",
            Self::NotMatch => "!~",
        }
    }
}

/// A label matcher. Two are equal if they are written the same.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Box<str>,
    op: Op,
    value: Box<str>,
    /// Present exactly if `op` compares with a regular expression.
    pattern: Option<Pattern>,
}

impl Matcher {
    /// A matcher; a regular expression is compiled anchored at both ends.
    ///
    /// # Errors
    /// If the value is not a regular expression that Alertmanager and we understand, or a too large one.
    pub fn new(name: impl Into<Box<str>>, op: Op, value: impl Into<Box<str>>) -> Result<Self, MatcherProblem> {
        let (name, value) = (name.into(), value.into());
        let pattern = match op {
            Op::Equal | Op::NotEqual => None,
            Op::Match | Op::NotMatch => Some(pattern::compile(&value)?),
        };
        Ok(Self { name, op, value, pattern })
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// What it compares with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `labels` satisfy it. A missing label has the value "".
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name);
        let is_match = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.op {
            Op::Equal => value == &*self.value,
            Op::NotEqual => value != &*self.value,
            Op::Match => is_match(),
            Op::NotMatch => !is_match(),
        }
    }

    fn key(&self) -> (&str, &str, Op) {
        (&self.name, &self.value, self.op)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// As Alertmanager writes it (`labels.Matcher.String`); [`parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() || self.name.contains(utf8::is_reserved) {
            utf8::quote(&self.name, f)?;
            f.write_str(self.op.as_str())?;
            return utf8::quote(&self.value, f);
        }
        write!(f, "{}{}\"", self.name, self.op.as_str())?;
        for c in self.value.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// What [`parse`] read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The matchers, in order.
    pub matchers: Vec<Matcher>,
    /// What a future Alertmanager will read differently.
    pub warning: Option<Warning>,
    /// Whether the classic parser reads it, the only one that Alertmanager had before 0.27.
    pub classic: bool,
}

/// A string that only the classic parser reads, or that the two parsers read differently. Alertmanager takes the
/// classic reading of both and has announced that it will stop doing so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// Only the classic parser accepts it.
    ClassicOnly,
    /// Both accept it and disagree on what it says.
    Disagreement,
}

/// What a parser found: a matcher that is not compiled yet, and where its value begins.
#[derive(Debug, PartialEq, Eq)]
struct Raw {
    name: String,
    op: Op,
    value: String,
    value_at: usize,
}

/// Reads a string of comma-separated matchers, with or without braces: one entry of a `matchers:` list.
///
/// # Errors
/// If neither syntax allows it. The error is the one of the syntax that got further in meaning: a bad regular
/// expression beats bad syntax, and UTF-8 syntax, which is here to stay, beats the classic one.
pub fn parse(input: &str) -> Result<Parsed, MatcherError> {
    fallback(compile(utf8::parse(input)), compile(classic::parse(input)))
}

/// Reads a single matcher, as amtool reads its arguments: neither braces nor a second matcher.
///
/// # Errors
/// As [`parse`].
pub fn parse_one(input: &str) -> Result<Matcher, MatcherError> {
    let classic = compile(classic::parse_one(input).map(|raw| vec![raw]));
    let parsed = fallback(compile(utf8::parse_one(input).map(|raw| vec![raw])), classic)?;
    parsed.matchers.into_iter().next().ok_or_else(|| MatcherProblem::ExpectedName.at(0))
}

fn fallback(
    utf8: Result<Vec<Matcher>, MatcherError>,
    classic: Result<Vec<Matcher>, MatcherError>,
) -> Result<Parsed, MatcherError> {
    let (matchers, warning, classic) = match (utf8, classic) {
        (Ok(matchers), Err(_)) => (matchers, None, false),
        (Err(_), Ok(matchers)) => (matchers, Some(Warning::ClassicOnly), true),
        (Ok(utf8), Ok(classic)) if utf8 == classic => (utf8, None, true),
        (Ok(_), Ok(matchers)) => (matchers, Some(Warning::Disagreement), true),
        (Err(_), Err(error)) if error.problem.is_regex() => return Err(error),
        (Err(error), Err(_)) => return Err(error),
    };
    Ok(Parsed { matchers, warning, classic })
}

fn compile(raw: Result<Vec<Raw>, MatcherError>) -> Result<Vec<Matcher>, MatcherError> {
    let compile = |Raw { name, op, value, value_at }| Matcher::new(name, op, value).map_err(|e| e.at(value_at));
    raw?.into_iter().map(compile).collect()
}

#[cfg(test)]
mod tests;
