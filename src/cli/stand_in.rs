//! `alertrouter stand-in`: a Slack, a PagerDuty and a Grafana that nobody reads but you.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::listen::listen;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::standin::{Kind, Received, StandIn, grafana, pagerduty, slack};

/// Where to listen.
#[derive(Debug, clap::Args)]
pub struct Args {
    // No environment variable: `ALERTROUTER_LISTEN` is the service's, and set in its image.
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9099")]
    listen: SocketAddr,
    /// Listen on an address that is not loopback: whoever reaches it can have lines printed here, and read nothing
    #[arg(long)]
    allow_unauthenticated: bool,
}

/// Listens until SIGTERM or SIGINT, and prints what the services are sent.
///
/// # Errors
/// If the address is taken, or other machines can reach it and nothing says that they may, or `out` cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let is_reachable = !args.listen.ip().to_canonical().is_loopback();
    if is_reachable && !args.allow_unauthenticated {
        bail!(
            "{} can be reached from other machines, and what they send is printed here\n\
             hint: listen on 127.0.0.1, or say --allow-unauthenticated if they may",
            args.listen
        );
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(stand_in(args, out))
}

async fn stand_in(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let signals = || Ok::<_, io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut term, mut int) = signals().context("signals cannot be listened for")?;
    let taken = || format!("cannot listen on {} (--listen)", args.listen);
    let all = StandIn::start_on(listen(args.listen).with_context(taken)?, Kind::Every).with_context(taken)?;
    let clock = SystemClock::new();
    all.keep_slack_limits(&(Arc::new(clock) as _));
    introduce(all.address(), out)?;
    loop {
        out.flush()?;
        tokio::select! {
            came = all.take() => came.iter().try_for_each(|received| show(&all, received, clock.now(), out))?,
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what to write into routes.yaml: a whole file, to be copied as it is.
fn introduce(address: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let mut own = address;
    if own.ip().is_unspecified() {
        own.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    writeln!(
        out,
        "Slack, PagerDuty and Grafana stand-ins, listening on {address}. They refuse what the real ones refuse, and tell nobody.\n\
         A routes.yaml that speaks to them (from another machine or container, by this one's name):\n\n\
         receivers:\n  \
         - name: oncall\n    \
         pagerduty:\n      \
         url: http://{own}{pagerduty_path}\n      \
         routing_key: {key} # any 32 characters\n  \
         - name: team-slack\n    \
         slack:\n      \
         webhook_url: http://{own}{webhook}\n  \
         - name: team-slack-app\n    \
         slack:\n      \
         api_url: http://{own}{api}\n      \
         token: {slack_token}\n      \
         channel: \"{channel}\"\n  \
         - name: dashboards\n    \
         grafana:\n      \
         url: http://{own}\n      \
         token: {grafana_token}\n\n\
         route:\n  \
         receivers: [oncall, team-slack, team-slack-app, dashboards]\n\n\
         What they are sent, by the time of arrival (UTC):\n",
        pagerduty_path = pagerduty::PATH,
        key = pagerduty::ROUTING_KEY,
        webhook = slack::PATH,
        api = slack::API,
        slack_token = slack::TOKEN,
        channel = slack::CHANNEL,
        grafana_token = grafana::TOKEN,
    )
}

/// A line, and what else belongs to it indented below.
fn show(all: &StandIn, received: &Received, at: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let (name, text) = (all.addressee(received).map_or("nobody", Kind::as_str), all.render(received));
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    writeln!(out, "{}  {name:>9} ◀ {first}", at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))?;
    rest.lines().try_for_each(|line| writeln!(out, "{:>37}{line}", ""))
}
