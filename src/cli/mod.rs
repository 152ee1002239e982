//! The commands, one file each.

pub mod check;
pub mod completions;
pub mod demo;
mod descriptors;
pub mod healthcheck;
pub mod import;
mod listen;
pub mod man;
pub mod outbox;
pub mod rejected;
pub mod route;
pub mod schema;
pub mod send;
pub mod serve;
pub mod stand_in;
pub mod test;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::telemetry;
use crate::version;
use crate::yaml::plain_lines;

/// Durable, deduplicating alert router behind Prometheus Alertmanager
///
/// Alertmanager posts its webhooks to it; it drops the copies, decides by routes.yaml who hears of what is new, writes that down
/// before it answers, and delivers it to PagerDuty, Slack, Grafana, mail and webhooks until each has it.
#[derive(Debug, Parser)]
#[command(name = "alertrouter", version = version::VERSION, long_version = version::LONG, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the service
    ///
    /// Takes webhooks on `/webhook`, and answers 200 when what is new is on disk. SIGTERM and SIGINT end it in order: attempts under
    /// way end, everything else waits on disk; a second one does not wait for the attempts. SIGHUP loads routes.yaml and the web
    /// configuration again; a file with errors changes nothing.
    Serve(serve::Args),
    /// Watch a recorded incident flow through the real service, with stand-ins for Slack, PagerDuty and Grafana
    ///
    /// The incident was recorded from a pair of Alertmanagers: duplicates, a storm, an outage of PagerDuty, resolves. It prints what
    /// each service was sent and ends with a table of what came in and what arrived. Everything is on loopback, nobody is told.
    Demo(demo::Args),
    /// Listen as Slack, PagerDuty and Grafana would, and print what they are sent: to try your own routes.yaml
    StandIn(stand_in::Args),
    /// Report every problem of a routes file
    ///
    /// Nothing is started and nobody is told. Secrets are looked up, and not shown.
    Check(check::Args),
    /// Say which receivers a set of labels reaches
    ///
    /// The last line of the output has their names, joined by commas, as `amtool config routes test` prints them. Secrets need not
    /// be there.
    Route(route::Args),
    /// Run tests of a routes file: who is told of which alert, and what is new over time
    ///
    /// The tests stand in files of their own. They run the service's own decisions over simulated time; nothing is sent.
    Test(test::Args),
    /// Turn an alertmanager.yml into a routes file
    ///
    /// It reaches the same receivers by the same tree. What has no counterpart is a placeholder, which `check` refuses until somebody
    /// has looked at it. A secret becomes an environment variable; those to set are printed on standard error.
    Import(import::Args),
    /// Send one test notification to a receiver and show its answer
    ///
    /// It goes as the service would send it: same file, same secrets, same judgement of the answer. The store is not touched, so it
    /// works beside a running service.
    Send(send::Args),
    /// What waits to be delivered, what is dead and why; send it again, give it up
    ///
    /// It works beside a running service, as the user of that service.
    Outbox(outbox::Args),
    /// List bodies and alerts that were refused
    ///
    /// Newest first; the newest 1000 are kept, 64 KiB of each. It works beside a running service, as the user of that service.
    Rejected(rejected::Args),
    /// Print a JSON Schema of routes.yaml, for editors
    ///
    /// With it an editor completes and checks the file as it is written. It is draft 2020-12.
    Schema(schema::Args),
    /// Ask a running service whether it is well, as containers do
    ///
    /// It says nothing if the answer is a 2xx. No proxy is used.
    Healthcheck(healthcheck::Args),
    /// Print a script that lets a shell complete commands and flags
    ///
    /// It knows commands, flags, and the values of those that take one of a few; files and directories are completed as such.
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    ///
    /// The page is roff, for `man -l` to read. It says what `--help` says, with exit codes, variables, files and examples.
    Man(man::Args),
}

/// Runs the command that the process was started with. Usage errors exit with 2, everything else that fails with 1.
#[must_use]
pub fn main() -> ExitCode {
    telemetry::keep_panics_discreet();
    let cli = Cli::parse();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let result = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args, &mut out),
        Command::StandIn(args) => stand_in::run(&args, &mut out),
        Command::Check(args) => check::run(args, &mut out, &mut err),
        Command::Route(args) => route::run(args, &mut out, &mut err),
        Command::Test(args) => test::run(&args, &mut out, &mut err),
        Command::Import(args) => import::run(&args, &mut out, &mut err),
        Command::Send(args) => send::run(&args, &mut out, &mut err),
        Command::Outbox(args) => outbox::run(&args, &mut out, &mut err),
        Command::Rejected(args) => rejected::run(&args, &mut out),
        Command::Schema(args) => schema::run(&args, &mut out),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command(), &mut out),
        Command::Man(args) => man::run(&args, Cli::command(), &mut out),
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
