//! `alertrouter outbox retry` and `discard`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ArgGroup;

use super::report::{self, Report};
use super::{Filters, Place};
use crate::clock::{Clock, SystemClock};
use crate::notification::DeliveryId;
use crate::store::StoreError;
use crate::store::outbox::{Discarded, Retried, State};
use crate::store::sqlite::{Editor, SqliteReader, Wish};

/// Between two transactions beside a service: its alerts go first.
const PAUSE: Duration = Duration::from_millis(50);

const FILTERS: [&str; 5] = ["receiver", "state", "alertname", "older_than", "newer_than"];

/// Which ones are meant, and how.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("which").args(["ids", "all"]).args(FILTERS).required(true).multiple(true)))]
struct Which {
    #[command(flatten)]
    place: Place,
    /// Their numbers, as `list` prints them
    #[arg(value_name = "ID", conflicts_with_all = FILTERS, conflicts_with = "all")]
    ids: Vec<i64>,
    #[command(flatten)]
    filters: Filters,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What to send again.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    which: Which,
    /// Also alerts that their receiver was told of since, or that have ended since; what they open may have to be closed
    /// by hand
    #[arg(long)]
    force: bool,
}

/// What to give up.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) fn retry(
    args: &RetryArgs,
    clock: &SystemClock,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let force = args.force;
    let work = |editor: &mut Editor, ids: &[DeliveryId], together: &HashSet<DeliveryId>, dry_run| {
        editor.retry(ids, together, Wish { dry_run, force, now: clock.now() })
    };
    change(&args.which, clock, out, err, work)
}

pub(super) fn discard(
    args: &DiscardArgs,
    clock: &SystemClock,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let work = |editor: &mut Editor, ids: &[DeliveryId], _: &HashSet<DeliveryId>, dry_run| {
        editor.discard(ids, Wish { dry_run, force: false, now: clock.now() })
    };
    change(&args.which, clock, out, err, work)
}

/// What came of a wish.
pub(super) trait Change: Sized {
    /// Why a notification that was named cannot be changed: then none of those that were named is.
    fn refusal(&self) -> Option<String>;
    /// Says what was done to all.
    fn report(all: &[(DeliveryId, Self)], report: &Report, out: &mut dyn Write) -> io::Result<()>;
}

fn change<T: Change>(
    which: &Which,
    clock: &SystemClock,
    out: &mut dyn Write,
    err: &mut dyn Write,
    mut work: impl FnMut(&mut Editor, &[DeliveryId], &HashSet<DeliveryId>, bool) -> Result<Vec<T>, StoreError>,
) -> anyhow::Result<ExitCode> {
    let filter = which.filters.filter(&[State::Dead], clock.now());
    if filter.states.iter().any(|state| matches!(state, State::Delivered | State::Discarded)) {
        writeln!(err, "error: what was delivered or discarded cannot be changed; --state may be dead or waiting")?;
        return Ok(ExitCode::from(2));
    }
    let mut editor = Editor::open(&which.place.data_dir)?;
    let mut ids: Vec<_> = which.ids.iter().copied().map(DeliveryId).collect();
    if ids.is_empty() {
        let (entries, _) = SqliteReader::open(&which.place.data_dir)?.deliveries(&filter, usize::MAX)?;
        ids = entries.into_iter().map(|entry| entry.id).collect();
    }
    // In the order of acceptance.
    ids.sort_unstable();
    ids.dedup();
    let together = ids.iter().copied().collect();
    let mut in_pieces = |editor: &mut Editor, dry_run: bool| -> anyhow::Result<Vec<(DeliveryId, T)>> {
        let mut all = Vec::with_capacity(ids.len());
        for piece in ids.chunks(Editor::AT_ONCE) {
            if !all.is_empty() && editor.is_beside_service() {
                pause(clock)?;
            }
            all.extend(piece.iter().copied().zip(work(editor, piece, &together, dry_run)?));
        }
        Ok(all)
    };
    if !which.ids.is_empty() {
        let tried = in_pieces(&mut editor, true)?;
        let refused = tried.iter().filter_map(|(id, change)| Some(format!("notification {id} {}", change.refusal()?)));
        let refused: Vec<_> = refused.collect();
        for line in &refused {
            writeln!(err, "error: {line}")?;
        }
        if !refused.is_empty() {
            writeln!(err, "nothing was changed")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let all = in_pieces(&mut editor, which.dry_run)?;
    let report = Report { dry_run: which.dry_run, beside_service: editor.is_beside_service() };
    if all.is_empty() {
        writeln!(out, "nothing in the outbox is like that")?;
    } else {
        T::report(&all, &report, out)?;
    }
    out.flush().context("the output could not be written")?;
    Ok(ExitCode::SUCCESS)
}

fn pause(clock: &SystemClock) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.context("the runtime cannot start")?.block_on(clock.sleep(PAUSE));
    Ok(())
}

impl Change for Retried {
    fn refusal(&self) -> Option<String> {
        Some(match self {
            Self::Waits(_) | Self::NothingToTell(_) | Self::DueNow | Self::InLine | Self::UnderWay => return None,
            Self::Delivered => "was delivered".to_owned(),
            Self::Discarded => "was discarded on purpose".to_owned(),
            Self::NoReceiver(name) => format!("is for {name}, which routes.yaml does not have; put it back and reload"),
            Self::Unreadable(why) => format!("cannot be read: {why}"),
            Self::Missing => "does not exist".to_owned(),
        })
    }

    fn report(all: &[(DeliveryId, Self)], report: &Report, out: &mut dyn Write) -> io::Result<()> {
        report::retried(all, report, out)
    }
}

impl Change for Discarded {
    fn refusal(&self) -> Option<String> {
        Some(match self {
            Self::Done { .. } => return None,
            Self::UnderWay => "is being sent right now; try again".to_owned(),
            Self::Delivered => "was delivered".to_owned(),
            Self::IsDigest => "is a digest; discard what it carries".to_owned(),
            Self::Already => "was discarded before".to_owned(),
            Self::Missing => "does not exist".to_owned(),
        })
    }

    fn report(all: &[(DeliveryId, Self)], report: &Report, out: &mut dyn Write) -> io::Result<()> {
        report::discarded(all, report, out)
    }
}
