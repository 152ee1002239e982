//! What `retry` and `discard` have done, in a few lines however much it was.

use std::io::{self, Write};

use super::shown;
use crate::notification::DeliveryId;
use crate::receiver::text::count;
use crate::store::outbox::{Discarded, LeftOut, Retried};

/// How it was done.
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) beside_service: bool,
}

impl Report {
    /// `3 dead letters wait again`, and what follows from that.
    fn begin(&self, said: &str, then: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.dry_run {
            writeln!(out, "would be: {said} (--dry-run changes nothing)")
        } else {
            writeln!(out, "{said}{then}")
        }
    }
}

/// Says what came of `retry`.
pub(super) fn retried(all: &[(DeliveryId, Retried)], report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let waits = |change: &Retried| matches!(change, Retried::Waits(_));
    let then = if report.beside_service {
        "; the service tries within seconds, unless their receiver is down or at its rate limit"
    } else {
        "; the service sends them when it runs"
    };
    let many = number(all, waits);
    if many > 0 {
        report.begin(&format!("{} {} again", count(many, "dead letter"), verb(many, "waits", "wait")), then, out)?;
    }
    let due = number(all, |change| *change == Retried::DueNow);
    if due > 0 {
        report.begin(&format!("{} {} due now", count(due, "notification"), verb(due, "is", "are")), then, out)?;
    }
    left_alone(all, why_not_retried, out)?;
    let mut gone: Vec<_> = all
        .iter()
        .filter_map(|(_, change)| if let Retried::NoReceiver(name) = change { Some(name) } else { None })
        .collect();
    gone.sort();
    for receiver in gone.chunk_by(|a, b| a == b) {
        let (many, name) = (receiver.len() as u64, shown(receiver[0].as_str(), 200));
        let hint = "put it back and reload, or discard them";
        writeln!(
            out,
            "left alone: {} for {name}, which routes.yaml does not have; {hint}",
            count(many, "notification")
        )?;
    }
    left_out(all, out)
}

/// Says which alerts were not sent again, and why.
fn left_out(all: &[(DeliveryId, Retried)], out: &mut dyn Write) -> io::Result<()> {
    let sums = all.iter().fold(LeftOut::default(), |sum, (_, change)| match change {
        Retried::Waits(left) | Retried::NothingToTell(left) => {
            LeftOut { told: sum.told + left.told, ended: sum.ended + left.ended }
        }
        _ => sum,
    });
    if sums == LeftOut::default() {
        return Ok(());
    }
    let part = |n: u64, one: &str, many: &str| (n > 0).then(|| format!("{} {}", count(n, "alert"), verb(n, one, many)));
    let parts =
        [part(sums.told, "was told since", "were told since"), part(sums.ended, "has ended since", "have ended since")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    writeln!(out, "left out: {}; --force sends them all the same", parts.join(", "))
}

/// Says what came of `discard`.
pub(super) fn discarded(all: &[(DeliveryId, Discarded)], report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let done = number(all, |change| matches!(change, Discarded::Done { .. }));
    if done > 0 {
        let said = format!("{} {} discarded", count(done, "notification"), verb(done, "is", "are"));
        report.begin(&said, "; `list --state discarded` still has them", out)?;
    }
    let resolved = all.iter().map(|(_, change)| if let Discarded::Done { resolved } = change { *resolved } else { 0 });
    let resolved: u64 = resolved.sum();
    if resolved > 0 {
        let hint = "an incident that they were to close stays open until somebody closes it";
        writeln!(out, "{} of them had ended: {hint}", count(resolved, "alert"))?;
    }
    left_alone(all, why_not_discarded, out)
}

fn number<T>(all: &[(DeliveryId, T)], is: impl Fn(&T) -> bool) -> u64 {
    all.iter().filter(|(_, change)| is(change)).count() as u64
}

fn verb<'a>(n: u64, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// `left alone: 2 notifications, being sent right now (17, 18)`, for each reason.
fn left_alone<T>(
    all: &[(DeliveryId, T)],
    why: impl Fn(&T) -> Option<&'static str>,
    out: &mut dyn Write,
) -> io::Result<()> {
    const NAMED: usize = 10;
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (id, change) in all {
        let Some(why) = why(change) else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) => ids.push(id.to_string()),
            None => reasons.push((why, vec![id.to_string()])),
        }
    }
    for (why, ids) in reasons {
        let more = if ids.len() > NAMED { ", …" } else { "" };
        let named = ids[..ids.len().min(NAMED)].join(", ");
        writeln!(out, "left alone: {}, {why} ({named}{more})", count(ids.len() as u64, "notification"))?;
    }
    Ok(())
}

fn why_not_retried(change: &Retried) -> Option<&'static str> {
    match change {
        // These are said otherwise.
        Retried::Waits(_) | Retried::DueNow | Retried::NoReceiver(_) => None,
        Retried::NothingToTell(_) => Some("nothing in them is left to tell"),
        Retried::InLine => Some("waiting behind another one of the lane"),
        Retried::UnderWay => Some("being sent right now"),
        Retried::Delivered => Some("delivered meanwhile"),
        Retried::Discarded | Retried::Missing => Some("discarded or gone meanwhile"),
        Retried::Unreadable(_) => Some("unreadable"),
    }
}

fn why_not_discarded(change: &Discarded) -> Option<&'static str> {
    match change {
        Discarded::Done { .. } => None,
        Discarded::UnderWay => Some("being sent right now; try again"),
        Discarded::IsDigest => Some("a digest; what it carries can be discarded"),
        Discarded::Delivered => Some("delivered meanwhile"),
        Discarded::Already | Discarded::Missing => Some("discarded or gone meanwhile"),
    }
}
