//! routes.yaml: strict, with every problem at once and where it stands.
//!
//! [`load`] reads a file, [`parse`] a text: a walk over the tree of [`crate::yaml`] that reports and goes on.

mod address;
mod auth;
mod compile;
mod fallbacks;
mod heartbeats;
mod places;
mod rate;
mod receivers;
mod routes;
pub mod schema;
pub mod secret;
pub mod web;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use places::MatcherAt;
use secret::{SecretSource, Secrets};

use crate::auth::Credentials;
use crate::heartbeat;
use crate::receiver::Definition;
use crate::route::Tree;
use crate::yaml::problem::{self, Problem};
use crate::yaml::{self, Document, Limits, Shown};

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
    /// `auth`: who may post alerts, reload and read metrics.
    pub auth: Option<Credentials>,
    /// The alerts that must keep arriving.
    pub heartbeats: Vec<heartbeat::Definition>,
    /// `retention`: how long deliveries are kept that have ended, dead letters among them.
    pub retention: Duration,
    /// Every matcher of the tree and where it stands, in the order of [`crate::route::Route::walk`].
    pub matchers: Vec<MatcherAt>,
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

impl ConfigError {
    /// Everything that is wrong, a line each: for logs and answers.
    #[must_use]
    pub fn every_problem(&self) -> String {
        let (file, problems) = match self {
            Self::Invalid { file, problems } => (file.as_str(), problems.as_slice()),
            Self::Read { .. } => ("", &[][..]),
        };
        let lines = problems.iter().map(|problem| problem.one_line(file));
        [self.to_string()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }
}

/// Loads a file, with secrets from the environment and the file system.
///
/// # Errors
/// If it cannot be read or has errors.
pub fn load(path: &Path, options: &Options) -> Result<Loaded, ConfigError> {
    let read = yaml::read(path, &Limits::CONFIGURATION);
    let bytes = read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
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
    let Document { mut cx, root } = match yaml::parse(bytes, &Limits::CONFIGURATION, Shown::WhatIsAllowed) {
        Ok(document) => document,
        Err(problem) => return (None, vec![*problem]),
    };
    let config = if matches!(root.value, yaml::Value::Null) {
        cx.error_with(root.span, "the file is empty", "it needs at least `receivers` and `route`");
        None
    } else {
        let secrets = Secrets { source: secrets, resolve: options.resolve_secrets, base: &options.base };
        compile::config(&mut cx, &root, &secrets)
    };
    let problems = cx.finish();
    let sound = problem::is_sound(&problems);
    (config.filter(|_| sound), problems)
}

/// FNV-1a, folded to 48 bits.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash >> 48) ^ (hash & 0xffff_ffff_ffff)
}

#[cfg(test)]
pub(crate) mod tests;
