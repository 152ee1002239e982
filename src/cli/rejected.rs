//! `alertrouter rejected`: what was refused.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::store::sqlite::SqliteReader;
use crate::yaml::{plain, plain_json};

/// Which store to read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the embedded store; it may be in use by a running service
    #[arg(long, value_name = "DIR", env = "ALERTROUTER_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Most entries to show, newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Lists what was refused, newest first.
///
/// # Errors
/// If the store cannot be read.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let all = SqliteReader::open(&args.data_dir)?.rejected(args.limit)?;
    if all.is_empty() && !args.json {
        writeln!(out, "nothing was refused")?;
    }
    for rejected in all {
        let content = String::from_utf8_lossy(&rejected.content);
        let what = rejected.what.as_str();
        if args.json {
            let (at, reason) = (rejected.at.to_string(), rejected.reason);
            let line = serde_json::json!({ "at": at, "what": what, "reason": reason, "content": content });
            writeln!(out, "{}", plain_json(&line.to_string()))?;
        } else {
            let beginning: String = content.chars().take(2000).collect();
            writeln!(out, "{}  {what}  {}\n    {}", rejected.at, plain(&rejected.reason), plain(&beginning))?;
        }
    }
    out.flush().context("the output could not be written")?;
    Ok(ExitCode::SUCCESS)
}
