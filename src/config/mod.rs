//! routes.yaml: strict, with every problem at once and where it stands.
//!
//! [`load`] reads a file, [`parse`] a text. The way: YAML to a tree whose every part knows its place (`node`), a walk
//! over it that reports and goes on (`walk`, `fields`, `receivers`, `routes`, `compile`), and what people read of it
//! ([`problem`]).

mod compile;
pub mod duration;
mod fields;
mod node;
pub mod problem;
pub mod rate;
mod receivers;
mod routes;
pub mod secret;
mod source;
mod suggest;
mod walk;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::Span;
use problem::{Place, Problem, Severity};
use secret::SecretSource;
use source::Source;

use crate::receiver::Definition;
use crate::route::Tree;

/// The largest file that is read, in bytes: a routes.yaml of a thousand routes has a tenth of it.
pub const MAX_FILE: usize = 1 << 20;

/// What routes.yaml says, checked and compiled.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who hears of what.
    pub tree: Tree,
    /// All receivers, in the order of the file.
    pub receivers: Vec<Definition>,
    /// `dedup.ignore_labels`: left out of the fingerprint.
    pub ignore_labels: Vec<String>,
    /// `dedup.settle`: how long a firing copy of an ended episode is held.
    pub settle: Duration,
}

/// How to read the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether `{env: …}` and `{file: …}` are looked up. Without it they give an empty secret, so that the
    /// configuration is good for looking at and not for sending.
    pub resolve_secrets: bool,
    /// What a relative `{file: PATH}` is relative to. [`load`] takes the folder of routes.yaml where this is empty.
    pub base: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { resolve_secrets: true, base: PathBuf::new() }
    }
}

impl Options {
    /// For looking at the file on a machine that has not its secrets.
    #[must_use]
    pub fn without_secrets() -> Self {
        Self { resolve_secrets: false, ..Self::default() }
    }
}

/// A file that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What it probably does not mean.
    pub warnings: Vec<Problem>,
    /// A hash of the file's bytes, below 2^48: exact as a metric's value. Stable over versions and machines; it says
    /// whether two replicas read the same file.
    pub source_hash: u64,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read at all.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was read and has errors.
    #[error("{file} has {}", problem::summary(problems))]
    Invalid {
        /// Its name, as it was given.
        file: String,
        /// Everything that is wrong, warnings too, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// Loads a file, with secrets from the environment and the file system.
///
/// # Errors
/// If it cannot be read or has errors.
pub fn load(path: &Path, options: &Options) -> Result<Loaded, ConfigError> {
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than allowed says that there is more.
        File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let mut options = options.clone();
    if options.base.as_os_str().is_empty() {
        path.parent().unwrap_or(Path::new("")).clone_into(&mut options.base);
    }
    match parse(&bytes, &options, &secret::System) {
        (Some(config), warnings) => Ok(Loaded { config, warnings, source_hash: hash(&bytes) }),
        (None, problems) => Err(ConfigError::Invalid { file: path.display().to_string(), problems }),
    }
}

/// Reads the text of a file. There is a [`Config`] exactly if no problem is an error.
pub fn parse(bytes: &[u8], options: &Options, secrets: &dyn SecretSource) -> (Option<Config>, Vec<Problem>) {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(problem) => return (None, vec![problem]),
    };
    let tree = match node::parse(text) {
        Ok(tree) => tree,
        Err(error) => return (None, vec![syntax_problem(text, &error)]),
    };
    let mut cx = walk::Context::new(text, options, secrets);
    cx.source.learn(&tree);
    let config = if matches!(tree.value, node::Value::Null) {
        cx.error_with(tree.span, "the file is empty", "it needs at least `receivers` and `route`");
        None
    } else {
        compile::config(&mut cx, &tree)
    };
    let problems = cx.finish();
    let sound = problems.iter().all(|problem| problem.severity != Severity::Error);
    (config.filter(|_| sound), problems)
}

fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    let problem = |message: String, place, hint: &str| {
        Err(Problem { severity: Severity::Error, message, place, hint: Some(hint.to_owned()) })
    };
    if bytes.len() > MAX_FILE {
        return problem("the file is larger than 1 MiB".to_owned(), None, "is it the right file?");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let valid = error.valid_up_to();
            let text = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let place = Source::new(text).place(Span { start: text.len(), end: text.len() });
            problem("the file is not UTF-8 from here on".to_owned(), Some(place), "save it as UTF-8")
        }
    }
}

/// Nothing is known of a file that is no YAML, so nothing of the line is shown but its punctuation.
fn syntax_problem(text: &str, error: &node::SyntaxError) -> Problem {
    let source = Source::new(text);
    let place = error.at.filter(|(line, _)| *line > 0).map(|(line, column)| {
        let start = source.offset(line, column);
        Place { line: source.line(start), ..source.place(Span { start, end: start }) }
    });
    let tabs = error.message.contains("tab");
    let hint = if tabs { "indent with spaces" } else { "the mistake may be in a line above" };
    let message = format!("cannot be read as YAML: {}", error.message);
    Problem { severity: Severity::Error, message, place, hint: Some(hint.to_owned()) }
}

/// FNV-1a, folded to 48 bits.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash >> 48) ^ (hash & 0xffff_ffff_ffff)
}

#[cfg(test)]
pub(crate) mod tests;
