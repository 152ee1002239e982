//! `alertrouter outbox list`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{Filters, Format, Place, shown};
use crate::clock::{Timestamp, between};
use crate::receiver::text::{count, human};
use crate::store::outbox::{Entry, State};
use crate::store::sqlite::SqliteReader;
use crate::yaml::plain_json;

/// What is of interest at night: what waits and what is dead.
const DEFAULT: [State; 5] = [State::Held, State::Queued, State::Ready, State::Leased, State::Dead];

/// What to list.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filters: Filters,
    /// Most notifications to list, newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(args: &Args, now: Timestamp, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let reader = SqliteReader::open(&args.place.data_dir)?;
    let (entries, more) = reader.deliveries(&args.filters.filter(&DEFAULT, now), args.limit)?;
    match args.format {
        Format::Json => {
            let deliveries = entries.iter().map(|entry| Json::new(entry, now)).collect();
            let json = serde_json::to_string_pretty(&List { deliveries, more })?;
            writeln!(out, "{}", plain_json(&json))
        }
        Format::Text if entries.is_empty() && args.filters.is_empty() => {
            writeln!(out, "nothing waits, nothing is dead")
        }
        Format::Text if entries.is_empty() => writeln!(out, "nothing in the outbox is like that"),
        Format::Text => table(&entries, more, now, out),
    }
    .and_then(|()| out.flush())
    .context("the output could not be written")?;
    Ok(ExitCode::SUCCESS)
}

fn table(entries: &[Entry], more: bool, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let head = ["ID", "RECEIVER", "STATE", "AGE", "ATTEMPTS", "ALERTS", "LAST ERROR"].map(str::to_owned);
    let lines = entries.iter().map(|entry| {
        [
            entry.id.to_string(),
            shown(entry.receiver.as_str(), 30),
            state(entry),
            human(between(entry.received_at, now)),
            entry.attempts.to_string(),
            alerts(entry),
            entry.error.as_deref().map(|error| shown(error, 80)).unwrap_or_default(),
        ]
    });
    let all: Vec<_> = [head].into_iter().chain(lines).collect();
    let width = |column: usize| all.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3, 4, 5, 6].map(width);
    for line in &all {
        let cells = line.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
            // Numbers to the right.
            0 | 4 => format!("{cell:>width$}"),
            _ => format!("{cell:width$}"),
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    if more {
        writeln!(out, "these are the newest; --limit shows more")?;
    }
    Ok(())
}

/// `queued in digest 17`.
fn state(entry: &Entry) -> String {
    match entry.digest {
        Some(digest) => format!("{} in digest {digest}", entry.state.as_str()),
        None => entry.state.as_str().to_owned(),
    }
}

/// `DiskFull, NodeDown (7)`: the first names, and how many alerts there are if not one.
pub(super) fn alerts(entry: &Entry) -> String {
    const NAMED: usize = 3;
    let named =
        entry.names.iter().take(NAMED).map(|name| if name.is_empty() { "?".to_owned() } else { shown(name, 40) });
    let more = (entry.names.len() > NAMED).then(|| "…".to_owned());
    if let Some(carries) = entry.carries {
        return format!("a digest of {}", count(carries, "notification"));
    }
    let text = named.chain(more).collect::<Vec<_>>().join(", ");
    if entry.alerts > 1 { format!("{text} ({})", entry.alerts) } else { text }
}

/// README describes it: a field may be added, none may change.
#[derive(Serialize)]
struct List<'e> {
    deliveries: Vec<Json<'e>>,
    more: bool,
}

/// A delivery as JSON; times are in UTC.
#[derive(Serialize)]
pub(super) struct Json<'e> {
    id: i64,
    receiver: &'e str,
    state: &'static str,
    received_at: String,
    age_seconds: u64,
    since: String,
    due_at: Option<String>,
    ended_at: Option<String>,
    attempts: u32,
    error: Option<&'e str>,
    alertnames: &'e [String],
    alerts: u64,
    fallback_for: Option<JsonFallback<'e>>,
    digest: Option<i64>,
    carries: Option<u64>,
}

#[derive(Serialize)]
struct JsonFallback<'e> {
    receiver: &'e str,
    reason: &'e str,
}

impl<'e> Json<'e> {
    pub(super) fn new(entry: &'e Entry, now: Timestamp) -> Self {
        Self {
            id: entry.id.0,
            receiver: entry.receiver.as_str(),
            state: entry.state.as_str(),
            received_at: entry.received_at.to_string(),
            age_seconds: between(entry.received_at, now).as_secs(),
            since: entry.since.to_string(),
            due_at: State::WAITING.contains(&entry.state).then(|| entry.due_at.to_string()),
            ended_at: entry.ended_at.map(|at| at.to_string()),
            attempts: entry.attempts,
            error: entry.error.as_deref(),
            alertnames: &entry.names,
            alerts: entry.alerts,
            fallback_for: entry
                .fallback_for
                .as_ref()
                .map(|mark| JsonFallback { receiver: mark.receiver.as_str(), reason: &mark.reason }),
            digest: entry.digest.map(|digest| digest.0),
            carries: entry.carries,
        }
    }
}
