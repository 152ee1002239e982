//! `alertrouter schema`: the shape of routes.yaml, for editors.

use std::io::Write;
use std::process::ExitCode;

use crate::config::schema::schema;

/// Prints a JSON Schema of routes.yaml (draft 2020-12).
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Writes the schema to `out`.
///
/// # Errors
/// If `out` cannot be written.
pub fn run(_: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    out.write_all(schema().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
