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
        let _ = writeln!(err, "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
