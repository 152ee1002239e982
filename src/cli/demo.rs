//! `alertrouter demo`: the recorded incident.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use crate::demo;

/// How to run the demo.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after the incident instead of staying up for your own alerts
    #[arg(long)]
    once: bool,
}

/// Runs the demo.
///
/// # Errors
/// If the service or a stand-in cannot start.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    let interrupted = async {
        // If the signal cannot be listened for, it does what it does by default: it ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let all_arrived = runtime.block_on(demo::run(args.once, out, interrupted))?;
    Ok(if all_arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
