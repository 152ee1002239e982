//! `alertrouter send`: one test notification through a real receiver.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::check::show;
use crate::alert::{Alert, Fingerprint, Group, Labels, Status};
use crate::clock::{SharedClock, SystemClock, Timestamp};
use crate::config::{Config, ConfigError, Options, load};
use crate::deliver::Transport;
use crate::deliver::trial::{End, Request, trial};
use crate::notification::{DeliveryId, Notification, Notified, Reason, Receipt};
use crate::receiver::{Definition, Failure};
use crate::yaml::problem::summary;
use crate::yaml::{closest, may_be_secret, plain};

/// The name of the alert that is sent.
const ALERTNAME: &str = "AlertrouterTest";
/// It began so long ago: a service that draws it has something to draw.
const BEGAN: Duration = Duration::from_secs(60);

/// Sends one test notification to a receiver, as the service would, and shows the answer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The receiver's name in routes.yaml
    #[arg(value_name = "RECEIVER")]
    receiver: String,
    /// The file with the receivers
    #[arg(long, value_name = "FILE", env = "ALERTROUTER_CONFIG", default_value = "routes.yaml")]
    config: PathBuf,
    /// Send that it fires, then that it has ended
    #[arg(long)]
    resolve: bool,
    /// The severity of the test; what the service makes of it may wake somebody
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    severity: String,
}

/// Sends it, and says on `out` where it goes and what was answered. The exit code is 1 if it was not accepted, if there is
/// no such receiver, or if routes.yaml has errors. The store is not touched.
///
/// # Errors
/// If the file cannot be read, nothing can be sent from here, or `out` or `err` cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let config = match load(&args.config, &Options::default()) {
        Ok(loaded) => loaded.config,
        Err(ConfigError::Invalid { file, problems }) => {
            show(&problems, &file, err)?;
            writeln!(err, "{file}: {}", summary(&problems))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error @ ConfigError::Read { .. }) => return Err(error.into()),
    };
    let Some(definition) = config.receivers.iter().find(|known| known.target.name.as_str() == args.receiver) else {
        writeln!(err, "error: {}", no_receiver(args, &config))?;
        return Ok(ExitCode::FAILURE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot start")?;
    let transport = Transport::new().map_err(anyhow::Error::msg)?;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let test = Test { definition, severity: &args.severity, ignore_labels: &config.ignore_labels, now: clock.now() };
    let mut receipt = None;
    for status in [Status::Firing, Status::Resolved] {
        if status == Status::Resolved && !args.resolve {
            break;
        }
        writeln!(out, "{}", test.headline(status))?;
        out.flush()?;
        let tried = runtime.block_on(trial(definition, test.notification(status, receipt), &transport, &clock));
        for request in &tried.requests {
            answered(request, out)?;
        }
        match tried.end {
            End::Accepted { receipt: left } => receipt = left,
            End::NotNow(failure) => return refused(&args.receiver, &failure, "the service would try again", out, err),
            End::Refused(failure) => return refused(&args.receiver, &failure, "it would be a dead letter", out, err),
        }
        writeln!(out, "  accepted")?;
    }
    if args.resolve && !definition.target.send_resolved {
        writeln!(out, "routes.yaml says `send_resolved: false`: the service would not send that it has ended")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn no_receiver(args: &Args, config: &Config) -> String {
    let names = || config.receivers.iter().map(|known| known.target.name.as_str());
    let hint = match closest(&args.receiver, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
    };
    let (file, name) = (args.config.display().to_string(), &args.receiver);
    plain(&format!("{file} has no receiver `{name}`; {hint}"))
}

/// Says what was asked, and what was answered.
fn answered(Request { method, to, template_error, answer }: &Request, out: &mut dyn Write) -> io::Result<()> {
    let to = if may_be_secret_host(to) { "a secret address" } else { to };
    let answer = answer.as_deref().map_or("no answer".to_owned(), discreet);
    writeln!(out, "  {method} {}: {}", plain(to), plain(&answer))?;
    if let Some(why) = template_error {
        writeln!(out, "  a template could not be rendered, the built-in text was sent: {}", plain(why))?;
    }
    Ok(())
}

fn refused(
    receiver: &str,
    failure: &Failure,
    then: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    out.flush()?;
    writeln!(err, "error: {receiver} did not accept it: {}; {then}", plain(&failure.detail))?;
    Ok(ExitCode::FAILURE)
}

/// Some services put their token into the name of a host.
fn may_be_secret_host(to: &str) -> bool {
    let host = to.split_once("://").map_or(to, |(_, host)| host);
    may_be_secret(host)
}

/// What a service says, without words that look like a key: it may quote what was sent to it.
fn discreet(said: &str) -> String {
    let words = said.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ':' | '='));
    let hide = |word: &str| {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ':' | '='));
        if may_be_secret(bare) { word.replacen(bare, "***", 1) } else { word.to_owned() }
    };
    words.map(hide).collect()
}

/// What is sent.
struct Test<'a> {
    definition: &'a Definition,
    severity: &'a str,
    ignore_labels: &'a [String],
    now: Timestamp,
}

impl Test<'_> {
    fn headline(&self, status: Status) -> String {
        let name = &self.definition.target.name;
        match status {
            Status::Firing => {
                format!("{name}: a test alert fires (alertname={ALERTNAME}, severity={})", plain(self.severity))
            }
            Status::Resolved => format!("{name}: it has ended"),
        }
    }

    fn notification(&self, status: Status, receipt: Option<Receipt>) -> Notification {
        let name = self.definition.target.name.as_str();
        let labels: Labels =
            [("alertname", ALERTNAME), ("receiver", name), ("severity", self.severity)].into_iter().collect();
        let annotations: Labels = [
            ("summary", "Test of alertrouter: nothing is wrong"),
            (
                "description",
                "Somebody has run `alertrouter send` to see whether this gets through. Nothing has to be done.",
            ),
        ]
        .into_iter()
        .collect();
        let ends_at = (status == Status::Resolved).then_some(self.now);
        let alert = Alert {
            status,
            fingerprint: Fingerprint::of(&labels, self.ignore_labels),
            labels: labels.clone(),
            annotations: annotations.clone(),
            starts_at: Some(self.now.checked_sub(BEGAN).unwrap_or(self.now)),
            ends_at,
            generator_url: String::new(),
        };
        let group = Group {
            key: format!("alertrouter send {name}"),
            receiver: "alertrouter".to_owned(),
            labels: [("alertname", ALERTNAME)].into_iter().collect(),
            common_labels: labels,
            common_annotations: annotations,
            ..Group::default()
        };
        // A service that remembers the number of a notification must not take this one for an earlier test.
        let id = self.now.as_microsecond() + i64::from(status == Status::Resolved);
        Notification {
            id: DeliveryId(id),
            receiver: self.definition.target.name.clone(),
            group: Arc::new(group),
            alerts: vec![Notified {
                alert,
                reason: if status == Status::Firing { Reason::First } else { Reason::Resolved },
            }],
            others_firing: 0,
            received_at: self.now,
            attempt: 1,
            receipt,
            fallback: None,
            digest: None,
        }
    }
}
