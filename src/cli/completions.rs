//! `alertrouter completions`: what a shell needs to complete commands and flags.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

/// For whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that is to complete
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Writes the completion script of `tree`, the whole command line, to `out`.
///
/// # Errors
/// If `out` cannot be written.
pub fn run(args: &Args, mut tree: clap::Command, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    // Not straight to `out`: it panics where that cannot be written.
    clap_complete::generate(args.shell, &mut tree, "alertrouter", &mut script);
    out.write_all(&script)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
