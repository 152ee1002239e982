//! YAML files as people write them: every part knows its place, and every problem is reported at once.
//!
//! `parse` makes a `Document`: the tree of the file (`node`) and a `Context` (`walk`) that collects what is
//! wrong while the tree is walked; `Fields` takes the entries of a map and reports the rest. What people read of it is
//! a [`problem::Problem`]. What the files mean is the business of those who walk.

pub mod duration;
mod fields;
mod node;
mod plain;
pub mod problem;
mod source;
mod suggest;
mod walk;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub(crate) use fields::{Fields, Note, Rest};
pub(crate) use node::{Node, Span, Value};
pub(crate) use plain::may_be_secret;
pub use plain::{plain, plain_json, plain_lines, plain_log};
use problem::{Place, Problem, Severity};
pub(crate) use source::Shown;
use source::Source;
pub(crate) use suggest::closest;
pub(crate) use walk::{Context, discreet, quote};

/// How large a file may be. Far above what people write, far below what would hurt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In bytes.
    bytes: usize,
    /// Maps, lists and scalars together.
    nodes: usize,
}

impl Limits {
    /// A configuration: a routes.yaml of a thousand routes has a tenth of it.
    pub(crate) const CONFIGURATION: Self = Self { bytes: 1 << 20, nodes: 100_000 };
    /// Rule files and tests may be generated.
    pub(crate) const GENERATED: Self = Self { bytes: 8 << 20, nodes: 1_000_000 };
}

/// A file that is YAML, to be walked.
pub(crate) struct Document<'a> {
    /// Collects what is wrong.
    pub(crate) cx: Context<'a>,
    pub(crate) root: Node,
}

/// A file of any number of YAML documents, to be walked.
pub(crate) struct Documents<'a> {
    /// Collects what is wrong.
    pub(crate) cx: Context<'a>,
    /// Those that are not empty.
    pub(crate) roots: Vec<Node>,
}

/// Reads a file, and not much more of it than it may have: [`parse`] refuses one that is too large.
pub(crate) fn read(path: &Path, limits: &Limits) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limits)
}

/// The same, from something that is open already.
pub(crate) fn read_from(source: impl Read, limits: &Limits) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed says that there is more.
    source.take(limits.bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Parses the text of a file.
pub(crate) fn parse<'a>(bytes: &'a [u8], limits: &Limits, shown: Shown) -> Result<Document<'a>, Box<Problem>> {
    let text = decode(bytes, limits, shown)?;
    let root = node::parse(text, limits.nodes).map_err(|error| Box::new(syntax_problem(text, &error, shown)))?;
    let mut source = Source::new(text, shown);
    source.learn(std::slice::from_ref(&root));
    Ok(Document { cx: Context::new(source), root })
}

/// Parses the text of a file that may hold several documents.
pub(crate) fn parse_all<'a>(bytes: &'a [u8], limits: &Limits, shown: Shown) -> Result<Documents<'a>, Box<Problem>> {
    let text = decode(bytes, limits, shown)?;
    let roots = node::parse_all(text, limits.nodes).map_err(|error| Box::new(syntax_problem(text, &error, shown)))?;
    let mut source = Source::new(text, shown);
    source.learn(&roots);
    Ok(Documents { cx: Context::new(source), roots })
}

fn decode<'a>(bytes: &'a [u8], limits: &Limits, shown: Shown) -> Result<&'a str, Box<Problem>> {
    let problem = |message: String, place, hint: &str| {
        Err(Box::new(Problem { severity: Severity::Error, message, place, hint: Some(hint.to_owned()) }))
    };
    if bytes.len() > limits.bytes {
        let message = format!("the file is larger than {} MiB", limits.bytes >> 20);
        return problem(message, None, "is it the right file?");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let valid = error.valid_up_to();
            let text = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let place = Source::new(text, shown).place(Span { start: text.len(), end: text.len() });
            problem("the file is not UTF-8 from here on".to_owned(), Some(place), "save it as UTF-8")
        }
    }
}

/// Nothing is known of a file that is no YAML, so of one with secrets nothing of the line is shown but its punctuation.
fn syntax_problem(text: &str, error: &node::SyntaxError, shown: Shown) -> Problem {
    let source = Source::new(text, shown);
    let place = error.at.filter(|(line, _)| *line > 0).map(|(line, column)| {
        let start = source.offset(line, column);
        Place { line: source.line(start), ..source.place(Span { start, end: start }) }
    });
    let says = |words: &str| error.message.contains(words);
    let hint = if says("tab") {
        Some("indent with spaces")
    } else if says("too complex") {
        Some("use fewer aliases, or nest less deeply")
    } else if says("multiple found") {
        Some("remove `---` and what follows it")
    } else if says("unsupported tag") || says("unknown value") || place.as_ref().is_some_and(|place| place.line == 1) {
        None
    } else {
        Some("the mistake may be in a line above")
    };
    let message = format!("cannot be read as YAML: {}", error.message);
    Problem { severity: Severity::Error, message, place, hint: hint.map(str::to_owned) }
}
