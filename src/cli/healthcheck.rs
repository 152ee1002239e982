//! `alertrouter healthcheck`: for containers, which have no other program to ask with.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::serve::to_the_end;
use crate::clock::{Clock, SystemClock};
use crate::deliver::Transport;
use crate::receiver::{Method, Outgoing};

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to ask for; with TLS the name of the certificate, which `SSL_CERT_FILE` may vouch for
    #[arg(
        long,
        value_name = "URL",
        env = "ALERTROUTER_HEALTHCHECK_URL",
        default_value = "http://127.0.0.1:9096/-/healthy"
    )]
    url: String,
    /// How many seconds the answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Asks, and says nothing if the answer is a 2xx. No proxy is used.
///
/// # Errors
/// If it is any other, or there is none in time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let transport = Transport::without_proxy().map_err(anyhow::Error::msg)?;
    let request = Outgoing {
        step: "healthcheck",
        method: Method::Get,
        url: args.url.clone().into(),
        headers: Vec::new(),
        body: Vec::new().into(),
        template_error: None,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
    let asked = transport.send(request, Duration::from_secs(args.timeout), SystemClock::new().now());
    // A name that is looked up for longer than `--timeout` does not hold up the end.
    let answer = to_the_end(runtime, asked).map_err(|error| anyhow!("it is not well: {error}"))?;
    if (200..300).contains(&answer.status) {
        return Ok(ExitCode::SUCCESS);
    }
    let said = String::from_utf8_lossy(&answer.body);
    Err(anyhow!("it is not well: HTTP {} {}", answer.status, said.lines().next().unwrap_or_default()))
}
