//! What is printed: the incident as it happens, and the table at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::Value;

use super::incident::Webhook;
use super::services::Services;
use crate::standin::StandIn;

/// Sums over the answers to the webhooks.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) webhooks: u64,
    pub(super) refused: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Takes in the answer to a webhook.
    pub(super) fn add(&mut self, status: u16, answer: &Value) {
        self.webhooks += 1;
        self.refused += u64::from(status != 200);
        for name in ["alerts", "notifications", "duplicates", "held", "rejected"] {
            *self.counts.entry(name).or_default() += answer[name].as_u64().unwrap_or(0);
        }
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

/// Prints the incident as it happens: the first of a kind in full, the others counted.
#[derive(Debug, Default)]
pub(super) struct Printer {
    /// Kinds that were shown in full.
    seen: BTreeSet<String>,
    /// Further ones since the last flush, by kind: the first of them, and how many.
    more: BTreeMap<String, (String, usize)>,
    /// How many requests of each stand-in were printed.
    printed: BTreeMap<&'static str, usize>,
}

impl Printer {
    /// Prints what `service` has received since the last call.
    pub(super) fn received(
        &mut self,
        out: &mut dyn Write,
        seconds: f64,
        name: &'static str,
        service: &StandIn,
    ) -> io::Result<()> {
        let printed = *self.printed.entry(name).or_default();
        let all = service.received();
        let new = all.iter().skip(printed).take_while(|request| request.status.is_some());
        for request in new {
            *self.printed.entry(name).or_default() += 1;
            let text = service.render(request);
            let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
            // Digits differ from message to message of a storm; what is left is its kind.
            let kind = format!("{name:>14} ◀ {}", first.replace(|c: char| c.is_ascii_digit(), ""));
            self.event(out, seconds, kind, &format!("{name:>14} ◀ {first}"), rest)?;
        }
        Ok(())
    }

    /// Prints a webhook and its answer.
    pub(super) fn webhook(
        &mut self,
        out: &mut dyn Write,
        seconds: f64,
        sent: &Webhook,
        status: u16,
        answer: &Value,
    ) -> io::Result<()> {
        let (what, decided) = (what(sent), decided(answer));
        let label = |name: &str| sent.body["groupLabels"][name].as_str().unwrap_or("?");
        let line = format!(
            "{:>14} ▶ {} in {}: {what} → {status}, {decided}",
            sent.sender(),
            label("alertname"),
            label("service")
        );
        let kind = format!("{:>14} ▶ {}: {what} → {status}, {decided}", sent.sender(), label("alertname"));
        self.event(out, seconds, kind, &line, "")
    }

    /// Prints something that happened by itself.
    pub(super) fn note(&mut self, out: &mut dyn Write, seconds: f64, note: &str) -> io::Result<()> {
        self.flush(out, seconds)?;
        writeln!(out, "{seconds:5.1} s  {note}")
    }

    fn event(&mut self, out: &mut dyn Write, seconds: f64, kind: String, line: &str, rest: &str) -> io::Result<()> {
        if !self.seen.insert(kind.clone()) {
            self.more.entry(kind).or_insert_with(|| (line.to_owned(), 0)).1 += 1;
            return Ok(());
        }
        self.flush(out, seconds)?;
        writeln!(out, "{seconds:5.1} s  {line}")?;
        rest.lines().try_for_each(|line| writeln!(out, "{:>27}{line}", ""))
    }

    /// Prints how many more of each kind there were.
    pub(super) fn flush(&mut self, out: &mut dyn Write, seconds: f64) -> io::Result<()> {
        let more = std::mem::take(&mut self.more);
        more.into_values().try_for_each(|(line, count)| match count {
            1 => writeln!(out, "{seconds:5.1} s  {line}"),
            _ => writeln!(out, "{seconds:5.1} s  {line}   (and {} more like it)", count - 1),
        })
    }
}

fn what(sent: &Webhook) -> String {
    let alerts = sent.alerts();
    let resolved = alerts.iter().filter(|alert| alert["status"] == "resolved").count();
    match (alerts.len() - resolved, resolved) {
        (firing, 0) => format!("{firing} firing"),
        (0, resolved) => format!("{resolved} resolved"),
        (firing, resolved) => format!("{firing} firing, {resolved} resolved"),
    }
}

fn decided(answer: &Value) -> String {
    match (answer["notifications"].as_u64().unwrap_or(0), answer["duplicates"].as_u64().unwrap_or(0)) {
        (told, 0) => format!("{told} to tell"),
        (0, copies) => format!("{copies} dropped as duplicates"),
        (told, copies) => format!("{told} to tell, {copies} dropped as duplicates"),
    }
}

/// The table at the end.
pub(super) fn table(out: &mut dyn Write, totals: &Totals, services: &Services, lost: &[String]) -> io::Result<()> {
    writeln!(out, "\n{:<46} {:>6}", "webhooks from 2 Alertmanagers", totals.webhooks)?;
    writeln!(out, "{:<46} {:>6}", "alerts in", totals.count("alerts"))?;
    writeln!(out, "{:<46} {:>6}", "alerts to tell, over all receivers", totals.count("notifications"))?;
    writeln!(out, "{:<46} {:>6}", "duplicates dropped, over all receivers", totals.count("duplicates"))?;
    for (name, service) in services.all() {
        let received = service.received();
        let refused = received.iter().filter(|request| !request.is_accepted()).count() + service.turned_away();
        let note =
            if refused > 0 { format!("   ({refused} attempts failed and were made again)") } else { String::new() };
        let delivered = received.len() - received.iter().filter(|request| !request.is_accepted()).count();
        writeln!(out, "{:<46} {delivered:>6}{note}", format!("delivered to {name}, messages"))?;
    }
    let open = services.pagerduty.incidents().iter().filter(|incident| incident.open).count();
    writeln!(out, "{:<46} {open:>6}", "PagerDuty incidents left open")?;
    writeln!(out, "{:<46} {:>6}", "lost", lost.len())?;
    for alert in lost {
        writeln!(out, "    {alert}")?;
    }
    Ok(())
}
