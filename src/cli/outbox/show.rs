//! `alertrouter outbox show`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::list::{self, Json};
use super::{Format, Place, moment, shown};
use crate::alert::{Alert, Labels};
use crate::clock::{Timestamp, between};
use crate::notification::{DeliveryId, Notified};
use crate::receiver::text::{count, human};
use crate::store::outbox::{Detail, Entry, Event, EventKind, FellBack, State};
use crate::store::sqlite::SqliteReader;
use crate::yaml::plain_json;

/// Nobody reads more of one text.
const MOST: usize = 2000;

/// Which notification to show.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Its number, as `list` prints it
    #[arg(value_name = "ID")]
    id: i64,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(args: &Args, now: Timestamp, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let found = SqliteReader::open(&args.place.data_dir)?.delivery(DeliveryId(args.id), now)?;
    let Some(detail) = found else {
        writeln!(err, "error: there is no notification {} in the outbox", args.id)?;
        return Ok(ExitCode::FAILURE);
    };
    match args.format {
        Format::Text => text(&detail, now, out),
        Format::Json => {
            let json = serde_json::to_string_pretty(&JsonDetail::new(&detail, now))?;
            writeln!(out, "{}", plain_json(&json))
        }
    }
    .and_then(|()| out.flush())
    .context("the output could not be written")?;
    Ok(ExitCode::SUCCESS)
}

fn text(detail: &Detail, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let entry = &detail.entry;
    for (name, value) in facts(detail, now) {
        writeln!(out, "{name:13} {value}")?;
    }
    if let Some(why) = &detail.unreadable {
        writeln!(out, "\nits content cannot be read: {}", shown(why, MOST))?;
    } else if entry.state == State::Delivered {
        let names = list::alerts(entry);
        let names = if names.is_empty() { "not known".to_owned() } else { names };
        writeln!(out, "alerts        {names}; what they said is not kept once it is delivered")?;
    }
    for notified in &detail.content {
        alert(notified, now, out)?;
    }
    if !detail.events.is_empty() {
        writeln!(out, "\nhistory")?;
    }
    for Event { at, what, note } in &detail.events {
        let note = note.as_deref().map(|note| format!(": {}", shown(note, MOST))).unwrap_or_default();
        writeln!(out, "  {}  {}{note}", moment(*at), words(*what))?;
    }
    Ok(())
}

fn words(what: EventKind) -> &'static str {
    match what {
        EventKind::Dead => "given up",
        EventKind::Retried => "sent again by hand",
        EventKind::DueNow => "made due by hand",
        EventKind::Discarded => "discarded by hand",
        EventKind::FellBack => "its fallback was told",
    }
}

fn facts(detail: &Detail, now: Timestamp) -> Vec<(&'static str, String)> {
    let entry = &detail.entry;
    let ago = |at: Timestamp| format!("{} ({} ago)", moment(at), human(between(at, now)));
    let mut facts = vec![
        ("notification", entry.id.to_string()),
        ("receiver", shown(entry.receiver.as_str(), MOST)),
        ("state", state(detail)),
        ("lane", shown(&detail.lane, MOST)),
        ("received", ago(entry.received_at)),
    ];
    if entry.since != entry.received_at {
        facts.push(("waits since", ago(entry.since)));
    }
    match entry.state {
        State::Held => facts.push(("released", until(entry.due_at, now))),
        State::Ready => facts.push(("next attempt", until(entry.due_at, now))),
        State::Queued | State::Leased => {}
        State::Delivered => facts.extend(entry.ended_at.map(|at| ("delivered", ago(at)))),
        State::Dead | State::Discarded => facts.extend(entry.ended_at.map(|at| ("given up", ago(at)))),
    }
    facts.push(("attempts", attempts(entry)));
    facts.extend(detail.failing_since.map(|at| ("failing since", ago(at))));
    facts.extend(entry.error.as_deref().map(|error| ("last error", shown(error, MOST))));
    if let Some(mark) = &entry.fallback_for {
        facts.push(("stands in for", shown(&format!("{}: {}", mark.receiver, mark.reason), MOST)));
    }
    facts.extend(entry.digest.map(|digest| ("in digest", digest.to_string())));
    facts.extend(entry.carries.map(|carries| ("digest of", count(carries, "notification").into_owned())));
    let fallback = detail.fallback.map(|fallback| match fallback {
        FellBack::NotYet => "not told yet",
        FellBack::NothingToTell => "was looked at, and there was nothing to tell",
        FellBack::Told => "was told",
    });
    facts.extend(fallback.map(|words| ("its fallback", words.to_owned())));
    if !detail.group.is_empty() {
        facts.push(("group", shown(&detail.group.to_string(), MOST)));
    }
    facts
}

fn state(detail: &Detail) -> String {
    let words = match detail.entry.state {
        State::Held => "held: a firing copy of an ended episode; its resolve cancels it".to_owned(),
        State::Queued => format!("queued: {} of its lane go before it", detail.ahead),
        State::Ready => "ready: waits for its time, or for its receiver".to_owned(),
        State::Leased => "leased: it is being sent".to_owned(),
        State::Delivered => "delivered".to_owned(),
        State::Dead => "dead: `retry` sends it again, `discard` gives it up for good".to_owned(),
        State::Discarded => "discarded: it was given up on purpose".to_owned(),
    };
    words.replace("queued: 1 of its lane go", "queued: 1 of its lane goes")
}

fn until(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "due now".to_owned() } else { format!("{} (in {})", moment(at), human(between(now, at))) }
}

fn attempts(entry: &Entry) -> String {
    if entry.attempts == 0 { "none".to_owned() } else { entry.attempts.to_string() }
}

fn alert(Notified { alert, reason }: &Notified, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let name = if alert.name().is_empty() { "an alert without a name".to_owned() } else { shown(alert.name(), MOST) };
    let times = match (alert.starts_at, alert.ends_at) {
        (Some(start), Some(end)) => format!(", from {} to {}", moment(start), moment(end)),
        (Some(start), None) => format!(", since {} ({} ago)", moment(start), human(between(start, now))),
        (None, Some(end)) => format!(", until {}", moment(end)),
        (None, None) => String::new(),
    };
    writeln!(out, "\n{} {name}{times} ({reason})", alert.status)?;
    for (what, pairs) in [("labels", &alert.labels), ("annotations", &alert.annotations)] {
        if !pairs.is_empty() {
            writeln!(out, "  {what}")?;
        }
        for (name, value) in pairs.iter() {
            writeln!(out, "    {}: {}", shown(name, MOST), shown(value, MOST))?;
        }
    }
    if !alert.generator_url.is_empty() {
        writeln!(out, "  source\n    {}", shown(&alert.generator_url, MOST))?;
    }
    Ok(())
}

/// README describes it: a field may be added, none may change.
#[derive(Serialize)]
struct JsonDetail<'d> {
    #[serde(flatten)]
    entry: Json<'d>,
    lane: &'d str,
    ahead: u64,
    failing_since: Option<String>,
    leased_until: Option<String>,
    fallback: Option<&'static str>,
    group_labels: &'d Labels,
    unreadable: Option<&'d str>,
    content: Vec<JsonAlert<'d>>,
    events: Vec<JsonEvent<'d>>,
}

#[derive(Serialize)]
struct JsonAlert<'d> {
    reason: &'static str,
    alert: &'d Alert,
}

#[derive(Serialize)]
struct JsonEvent<'d> {
    at: String,
    what: &'static str,
    note: Option<&'d str>,
}

impl<'d> JsonDetail<'d> {
    fn new(detail: &'d Detail, now: Timestamp) -> Self {
        let event = |event: &'d Event| JsonEvent {
            at: event.at.to_string(),
            what: event.what.as_str(),
            note: event.note.as_deref(),
        };
        Self {
            entry: Json::new(&detail.entry, now),
            lane: &detail.lane,
            ahead: detail.ahead,
            failing_since: detail.failing_since.map(|at| at.to_string()),
            leased_until: detail.leased_until.map(|at| at.to_string()),
            fallback: detail.fallback.map(|fallback| match fallback {
                FellBack::NotYet => "not_yet",
                FellBack::NothingToTell => "nothing_to_tell",
                FellBack::Told => "told",
            }),
            group_labels: &detail.group,
            unreadable: detail.unreadable.as_deref(),
            content: detail
                .content
                .iter()
                .map(|Notified { alert, reason }| JsonAlert { reason: reason.as_str(), alert })
                .collect(),
            events: detail.events.iter().map(event).collect(),
        }
    }
}
