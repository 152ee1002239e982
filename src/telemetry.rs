//! Logs: text or JSON on stderr, one span per request and per delivery.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).finish().try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging: {error}"))
}
