//! Logs: text or JSON on stderr, one span per request and per delivery. And what a panic may say.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{Location, PanicHookInfo};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::yaml::{plain_json, plain_log};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person at a terminal.
    Text,
    /// One JSON object per line, for a log store.
    Json,
}

/// Starts logging. `level` is `error`, `warn`, `info`, `debug` or `trace`, or a filter such as
/// `info,alertrouter::deliver=debug`.
///
/// # Errors
/// If `level` is not such a filter, or logging was started before.
pub fn init(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("--log-level {level:?}: {error}; use error, warn, info, debug or trace"))?;
    let ansi = io::IsTerminal::is_terminal(&io::stderr());
    let writer = move || Tame { format, ansi };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => builder.with_ansi(ansi).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).finish().try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging: {error}"))
}

/// Writes lines to stderr in which nothing is left that a terminal would obey, but for our own colours: labels and what
/// services answer are strangers' words, and somebody reads the log in a terminal one day.
#[derive(Debug)]
struct Tame {
    format: LogFormat,
    ansi: bool,
}

impl Write for Tame {
    /// Gets whole lines, one event each.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut stderr = io::stderr().lock();
        match self.format {
            LogFormat::Json => stderr.write_all(plain_json(&text).as_bytes()),
            LogFormat::Text => stderr.write_all(plain_log(&text, self.ansi).as_bytes()),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// From now on a panic is said in one line: where it was, and its message only if that is a text of the source code. One
/// that is put together when it happens may quote what the code stumbled over, a token among it; no backtrace is shown.
pub fn keep_panics_discreet() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let said = panic_line(info.location(), info.payload());
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{said}");
        } else {
            // Nothing can be done if stderr is gone too.
            let _ = writeln!(io::stderr(), "error: {said}");
        }
    }));
}

fn panic_line(at: Option<&Location<'_>>, payload: &(dyn Any + Send)) -> String {
    let at = at.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let said = payload.downcast_ref::<&'static str>().map_or_else(String::new, |text| format!(": {text}"));
    format!("a bug in alertrouter: panicked at {at}{said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_where_and_quotes_nothing() {
        let line = |payload: Box<dyn Any + Send>| panic_line(None, &*payload);
        assert_eq!(line(Box::new("no room")), "a bug in alertrouter: panicked at an unknown place: no room");
        // What slicing a text in the middle of a character says, for one.
        let quoting = format!("byte index 9 is not a char boundary; it is inside of `{}`", "xoxb-marker");
        assert_eq!(line(Box::new(quoting)), "a bug in alertrouter: panicked at an unknown place");
        let here = panic_line(Some(Location::caller()), &());
        assert!(here.starts_with("a bug in alertrouter: panicked at src/telemetry.rs:"), "{here}");
    }
}
