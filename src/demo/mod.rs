//! `alertrouter demo`: the whole service on real sockets, fed with a recorded incident, with stand-ins for the services.

mod incident;
mod oracle;
mod report;
mod services;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, LoadConfig, Loaded, Reach, Settings};
use crate::clock::{Clock, SystemClock, after, between};
use crate::config;
use crate::deliver::Transport;
use crate::receiver::{Method, Outgoing};
use crate::store::Admin;
use incident::Webhook;
use report::{Printer, Totals};
use services::Services;

/// PagerDuty is down from then on, and for so long.
const OUTAGE: (Duration, Duration) = (Duration::from_millis(4500), Duration::from_secs(5));
/// After the last webhook everything has to be delivered within this.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the screen is brought up to date.
const TICK: Duration = Duration::from_millis(50);

/// Runs the demo. With `once` it ends after the incident, without it when `interrupted`.
///
/// Returns whether everything arrived.
///
/// # Errors
/// If the service or a stand-in cannot start.
pub async fn run(once: bool, out: &mut dyn Write, interrupted: impl Future<Output = ()>) -> anyhow::Result<bool> {
    let folder = Folder::new()?;
    let services = Services::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("the demo cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let settings = Settings {
        data_dir: folder.0.join("data"),
        web_config: None,
        max_body: 16 * 1024 * 1024,
        max_outbox: 100_000,
        traces: None,
        reach: Reach::LOOPBACK,
    };
    let app = App::open(loader(services.routes()), settings, Arc::new(SystemClock::new())).await?;
    let (admin, shutdown) = (app.admin(), CancellationToken::new());
    let mut service = JoinSet::new();
    service.spawn(app.run(listener, shutdown.clone()));

    writeln!(out, "The service listens on http://{address}; Slack, PagerDuty and Grafana are stand-ins on loopback.")?;
    writeln!(
        out,
        "Two Alertmanagers report an incident. PagerDuty will be down for {} s of it.\n",
        OUTAGE.1.as_secs()
    )?;
    let mut stage = Stage { out, services: &services, printer: Printer::default(), clock: SystemClock::new() };
    let (webhooks, totals) = stage.play(&address.to_string()).await?;
    stage.wait_until_delivered(&*admin).await?;
    let lost = oracle::lost(&webhooks, &services);
    report::table(stage.out, &totals, &services, &lost)?;
    if !once {
        stage.stay(&address.to_string(), interrupted).await?;
    }
    drop(admin);
    shutdown.cancel();
    while let Some(ended) = service.join_next().await {
        ended??;
    }
    Ok(lost.is_empty() && totals.refused == 0)
}

/// Where it happens.
struct Stage<'a> {
    out: &'a mut dyn Write,
    services: &'a Services,
    printer: Printer,
    clock: SystemClock,
}

impl Stage<'_> {
    /// Replays the recording in its own time.
    async fn play(&mut self, address: &str) -> anyhow::Result<(Vec<Webhook>, Totals)> {
        let transport = Transport::new().map_err(anyhow::Error::msg)?;
        let start = self.clock.now();
        let webhooks = incident::webhooks(start)?;
        let (mut totals, mut is_down) = (Totals::default(), None);
        for webhook in &webhooks {
            loop {
                let since = between(start, self.clock.now());
                self.outage(since, &mut is_down)?;
                self.show()?;
                if since >= webhook.at {
                    break;
                }
                self.clock.sleep(TICK.min(webhook.at.saturating_sub(since))).await;
            }
            let url = SecretString::from(format!("http://{address}/webhook"));
            let request = Outgoing::json("webhook", Method::Post, url, &webhook.body);
            let answer = transport.send(request, Duration::from_secs(10), self.clock.now()).await?;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            totals.add(answer.status, &body);
            let seconds = self.seconds();
            self.printer.webhook(self.out, seconds, webhook, answer.status, &body)?;
        }
        Ok((webhooks, totals))
    }

    fn seconds(&self) -> f64 {
        self.clock.monotonic().as_secs_f64()
    }

    fn outage(&mut self, since: Duration, is_down: &mut Option<bool>) -> anyhow::Result<()> {
        let (begin, length) = OUTAGE;
        let down = since >= begin && since < begin + length;
        if down != is_down.unwrap_or(false) {
            self.services.pagerduty.set_down(down);
            let note = if down { "PagerDuty goes down" } else { "PagerDuty is back" };
            let seconds = self.seconds();
            self.printer.note(self.out, seconds, note)?;
        }
        *is_down = Some(down);
        Ok(())
    }

    fn show(&mut self) -> anyhow::Result<()> {
        for (name, service) in self.services.all() {
            let seconds = self.seconds();
            self.printer.received(self.out, seconds, name, service)?;
        }
        Ok(self.out.flush()?)
    }

    /// Waits until nothing is left in the outbox.
    async fn wait_until_delivered(&mut self, admin: &dyn Admin) -> anyhow::Result<()> {
        let deadline = after(self.clock.now(), PATIENCE);
        loop {
            self.show()?;
            let pending: u64 = admin.stats().await?.receivers.values().map(|receiver| receiver.pending).sum();
            if pending == 0 {
                self.show()?;
                let seconds = self.seconds();
                return Ok(self.printer.flush(self.out, seconds)?);
            }
            if self.clock.now() > deadline {
                writeln!(self.out, "{pending} notifications still wait after {} s", PATIENCE.as_secs())?;
                return Ok(());
            }
            self.clock.sleep(TICK).await;
        }
    }

    /// Shows what else comes, until `interrupted`.
    async fn stay(&mut self, address: &str, interrupted: impl Future<Output = ()>) -> anyhow::Result<()> {
        writeln!(
            self.out,
            "\nThe service stays up until Ctrl-C. Send an alert of your own:\n\n  \
             curl -s http://{address}/webhook -d '{{\"version\":\"4\",\"groupKey\":\"mine\",\"alerts\":[{{\"status\":\"firing\",\
             \"labels\":{{\"alertname\":\"Mine\",\"severity\":\"critical\"}},\"annotations\":{{\"summary\":\"Just trying.\"}}}}]}}'\n  \
             curl -s http://{address}/metrics\n"
        )?;
        tokio::pin!(interrupted);
        loop {
            self.show()?;
            tokio::select! {
                () = &mut interrupted => return Ok(()),
                () = self.clock.sleep(TICK) => (),
            }
        }
    }
}

fn loader(routes: String) -> LoadConfig {
    Box::new(move || {
        let (config, problems) = config::parse(routes.as_bytes(), &config::Options::default(), &config::secret::System);
        let config = config.ok_or_else(|| format!("the demo's routes.yaml: {problems:?}"))?;
        Ok(Loaded { config, hash: 0 })
    })
}

/// A folder for the demo's store, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("alertrouter-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system cleans its temporary folder; a failure here is no reason to fail.
        let _ = std::fs::remove_dir_all(self.path());
    }
}
