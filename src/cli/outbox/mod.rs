//! `alertrouter outbox`: what waits, what is dead and why; send it again, give it up.

mod change;
mod list;
mod report;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::receiver::text;
use crate::store::outbox::{Filter, State};
use crate::yaml::{duration, plain};

/// Looks into the outbox, and changes it; also beside a running service.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What waits and what is dead, one line each, newest first
    ///
    /// Without `--state` it shows what waits and what is dead.
    List(list::Args),
    /// All that is known of one notification: its alerts, its errors, its history
    ///
    /// Of one that was delivered, the names of its alerts are kept and not what they said.
    Show(show::Args),
    /// Send dead letters again, and what waits for its time now
    ///
    /// Name them by number, by filters, or all dead letters by `--all`. If one of the numbers does not exist or cannot be changed,
    /// none is. A running service tries within 5 s. An alert that its receiver was told of since, or that has ended since, is left
    /// out unless `--force` is given: what it opened, nothing would close.
    Retry(change::RetryArgs),
    /// Give dead letters up for good, or what waits
    ///
    /// Name them by number, by filters, or all dead letters by `--all`. If one of the numbers does not exist or cannot be changed,
    /// none is. What is discarded is kept as history and never sent; what a waiting one would have told counts as never told.
    Discard(change::DiscardArgs),
}

/// Where the outbox is.
#[derive(Debug, clap::Args)]
struct Place {
    /// Directory of the embedded store; it may be in use by a running service
    #[arg(long, value_name = "DIR", env = "ALERTROUTER_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Which notifications are meant.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Filters {
    /// Only for this receiver; may be given several times
    #[arg(long, value_name = "NAME")]
    receiver: Vec<String>,
    /// Only in this state; may be given several times
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<StateArg>,
    /// Only with an alert of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    alertname: Vec<String>,
    /// Only if the webhook came longer ago than this, as Prometheus writes durations: 30m, 1d12h
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    older_than: Option<Duration>,
    /// Only if it came more recently than this
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    newer_than: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StateArg {
    /// A firing copy of an ended episode waits for `dedup.settle`
    Held,
    /// Waits behind another one of its lane
    Queued,
    /// Waits for its time, or for its receiver
    Ready,
    /// Is being sent
    Leased,
    /// All of these
    Waiting,
    /// The service has it
    Delivered,
    /// Given up: a dead letter
    Dead,
    /// Given up on purpose
    Discarded,
    /// Every state
    All,
}

impl StateArg {
    fn states(self) -> &'static [State] {
        match self {
            Self::Held => &[State::Held],
            Self::Queued => &[State::Queued],
            Self::Ready => &[State::Ready],
            Self::Leased => &[State::Leased],
            Self::Waiting => &State::WAITING,
            Self::Delivered => &[State::Delivered],
            Self::Dead => &[State::Dead],
            Self::Discarded => &[State::Discarded],
            Self::All => &State::ALL,
        }
    }
}

impl Filters {
    /// The filter; `default` are the states that are meant if none is given.
    fn filter(&self, default: &[State], now: Timestamp) -> Filter {
        let mut states: Vec<State> = self.state.iter().flat_map(|state| state.states()).copied().collect();
        if states.is_empty() {
            states.extend(default);
        }
        let all = State::ALL.into_iter().filter(|state| states.contains(state));
        let ago = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        Filter {
            receivers: self.receiver.clone(),
            states: all.collect(),
            alertnames: self.alertname.clone(),
            from: self.newer_than.map(ago),
            until: self.older_than.map(ago),
            now,
        }
    }

    fn is_empty(&self) -> bool {
        let Self { receiver, state, alertname, older_than, newer_than } = self;
        receiver.is_empty() && state.is_empty() && alertname.is_empty() && older_than.is_none() && newer_than.is_none()
    }
}

fn read_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// Runs the subcommand. The exit code is 1 if a notification that was named does not exist or cannot be changed, 2 if the
/// arguments do not say which are meant.
///
/// # Errors
/// If the store cannot be read or changed, or `out` cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let clock = SystemClock::new();
    match &args.command {
        Command::List(args) => list::run(args, clock.now(), out),
        Command::Show(args) => show::run(args, clock.now(), out, err),
        Command::Retry(args) => change::retry(args, &clock, out, err),
        Command::Discard(args) => change::discard(args, &clock, out, err),
    }
}

/// A stranger's text in one line that a terminal does not obey, cut to so many characters.
fn shown(text: &str, most: usize) -> String {
    let line = plain(&text::one_line(text));
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A time in UTC, to the second.
fn moment(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
