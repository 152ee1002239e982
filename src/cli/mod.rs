//! The commands, one file each.

pub mod check;
pub mod demo;
pub mod import;
pub mod rejected;
pub mod route;
pub mod schema;
pub mod serve;
pub mod test;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::yaml::plain_lines;

/// Alertmanager webhook receiver and alert router
#[derive(Debug, Parser)]
#[command(name = "alertrouter", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Args),
    /// Watch a recorded incident flow through the real service, with stand-ins for Slack, PagerDuty and Grafana
    Demo(demo::Args),
    /// Report every problem of a routes file
    Check(check::Args),
    /// Say which receivers a set of labels reaches
    Route(route::Args),
    /// Run tests of a routes file: who is told of which alert, and what is new over time
    Test(test::Args),
    /// Turn an alertmanager.yml into a routes file
    Import(import::Args),
    /// List bodies and alerts that were refused
    Rejected(rejected::Args),
    /// Print a JSON Schema of routes.yaml, for editors
    Schema(schema::Args),
}

/// Runs the command that the process was started with. Usage errors exit with 2, everything else that fails with 1.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let result = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args, &mut out),
        Command::Check(args) => check::run(args, &mut out, &mut err),
        Command::Route(args) => route::run(args, &mut out, &mut err),
        Command::Test(args) => test::run(&args, &mut out, &mut err),
        Command::Import(args) => import::run(&args, &mut out, &mut err),
        Command::Rejected(args) => rejected::run(&args, &mut out),
        Command::Schema(args) => schema::run(&args, &mut out),
    };
    result.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            // Whoever read us, `head` for instance, has seen enough.
            return ExitCode::SUCCESS;
        }
        // Nothing can be done if stderr is gone too.
        let _ = writeln!(err, "error: {}", plain_lines(&in_words(&error)));
        ExitCode::FAILURE
    })
}

/// What failed and why; a cause that is told already is not repeated.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
        words.push_str("the output could not be written");
    }
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.ends_with(&cause) {
            words = words + ": " + &cause;
        }
    }
    words
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, load};

    #[test]
    fn errors_are_told_once_and_plainly() {
        let missing = load("no\u{1b}where.yaml".as_ref(), &Options::default()).unwrap_err().into();
        let expected = "cannot read no\\u{1b}where.yaml: No such file or directory (os error 2)";
        assert_eq!(plain_lines(&in_words(&missing)), expected);
        let wrapped = anyhow::Error::new(io::Error::other("why")).context("what");
        assert_eq!(in_words(&wrapped), "what: why");
        let full = io::Error::from_raw_os_error(28).into();
        assert!(in_words(&full).starts_with("the output could not be written: No space left"), "{}", in_words(&full));
    }
}
