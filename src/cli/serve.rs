//! `alertrouter serve`: the service.

use std::env::VarError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::descriptors;
use super::listen::listen;
use crate::app::{App, LoadConfig, Loaded, Reach, Settings};
use crate::clock::SystemClock;
use crate::config;
use crate::http::Reload;
use crate::telemetry::{self, LogFormat};
use crate::traces;
use crate::version;

/// So long what is still running when all is done, or when somebody does not want to wait, may take to end.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

const NO_SIGNALS: &str = "signals cannot be listened for";

/// Settings of the service; each flag also as an environment variable.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The routes file
    #[arg(long, value_name = "FILE", env = "ALERTROUTER_CONFIG", default_value = "routes.yaml")]
    config: PathBuf,
    /// Address to listen on; port 0 takes a free one and logs it
    #[arg(long, value_name = "ADDRESS", env = "ALERTROUTER_LISTEN", default_value = "127.0.0.1:9096")]
    listen: SocketAddr,
    /// Directory of the embedded store
    #[arg(long, value_name = "DIR", env = "ALERTROUTER_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// TLS and who may connect, in a file as Prometheus' `--web.config.file` reads it
    #[arg(long, env = "ALERTROUTER_WEB_CONFIG", value_name = "FILE")]
    web_config: Option<PathBuf>,
    /// Largest webhook body in bytes
    #[arg(long, value_name = "BYTES", env = "ALERTROUTER_MAX_BODY", default_value_t = 16 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1024..=1 << 30))]
    max_body: u64,
    /// Most notifications that may wait to be delivered; more are answered with 503
    #[arg(long, value_name = "N", env = "ALERTROUTER_MAX_OUTBOX", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_outbox: u64,
    /// Listen on an address that is not loopback although routes.yaml has no `auth`
    #[arg(long, env = "ALERTROUTER_ALLOW_UNAUTHENTICATED", value_parser = clap::builder::BoolishValueParser::new())]
    allow_unauthenticated: bool,
    /// Export traces over OTLP (HTTP) to this OpenTelemetry collector, such as `http://otel-collector:4318`
    #[arg(long, env = "ALERTROUTER_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    otlp_endpoint: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,alertrouter::deliver=debug`
    #[arg(long, value_name = "LEVEL", env = "ALERTROUTER_LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "ALERTROUTER_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Runs the service until SIGTERM or SIGINT.
///
/// # Errors
/// If the configuration has problems, the store cannot be opened or the address is taken: nothing is started then.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log_level, args.log_format)?;
    descriptors::raise();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    to_the_end(runtime, serve(args))
}

/// Runs `served`, and then waits a little for what it has left behind. Not for all of it: a name that is looked up holds its
/// thread for as long as the resolver likes, half a minute and more, and the next start would wait for that.
pub(super) fn to_the_end<T>(runtime: Runtime, served: impl Future<Output = T>) -> T {
    let result = runtime.block_on(served);
    runtime.shutdown_timeout(LEFT_BEHIND);
    result
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    // Before anything else: a SIGHUP while a large store is opened would end the process. SIGTERM and SIGINT may, until
    // there is something to end in order.
    let hup = signal(SignalKind::hangup()).context(NO_SIGNALS)?;
    let settings = Settings {
        traces: traces_settings(args.otlp_endpoint.as_deref())?,
        data_dir: args.data_dir,
        web_config: args.web_config,
        max_body: usize::try_from(args.max_body).unwrap_or(usize::MAX),
        max_outbox: args.max_outbox,
        reach: Reach { address: args.listen, allow_unauthenticated: args.allow_unauthenticated },
    };
    // Before the store is opened: a port in use must not touch the data of whoever uses it.
    let listener = listen(args.listen).with_context(|| format!("cannot listen on {} (--listen)", args.listen))?;
    let app = App::open(loader(args.config), settings, Arc::new(SystemClock::new())).await?;
    let shutdown = CancellationToken::new();
    let signals = watch_signals(hup, shutdown.clone(), app.reloader())?;
    tracing::info!("alertrouter {}", version::LONG);
    tracing::info!("listening on {}", listener.local_addr().context("the listening socket has no address")?);
    tokio::select! {
        result = app.run(listener, shutdown) => result?,
        () = signals => (),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where traces go. An empty address is none: that is how a variable is left out where files are made of templates.
#[expect(clippy::disallowed_methods, reason = "OpenTelemetry's own variables are no flags of ours")]
fn traces_settings(endpoint: Option<&str>) -> anyhow::Result<Option<traces::Settings>> {
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.trim().is_empty()) else { return Ok(None) };
    // What is not text is refused as what it looks like, and not passed over.
    let variable = |name: &str| match std::env::var(name) {
        Ok(text) => Some(text),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(text)) => Some(text.to_string_lossy().into_owned()),
    };
    let settings = traces::Settings::read(endpoint, variable).map_err(anyhow::Error::msg)?;
    if settings.is_none() {
        tracing::info!("no traces are exported: OTEL_SDK_DISABLED is true");
    }
    Ok(settings)
}

/// Turns SIGTERM and SIGINT into a shutdown and SIGHUP into a reload. Ends at a second SIGTERM or SIGINT: whoever asks
/// twice does not want to wait for the attempts under way.
fn watch_signals(
    mut hup: Signal,
    shutdown: CancellationToken,
    reload: tokio::sync::mpsc::Sender<Reload>,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).context(NO_SIGNALS)?;
    let mut int = signal(SignalKind::interrupt()).context(NO_SIGNALS)?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => (),
                _ = int.recv() => (),
                _ = hup.recv() => {
                    // A reload that is already asked for will read the newest file.
                    let _ = reload.try_send(Reload(None));
                    continue;
                }
            }
            if shutdown.is_cancelled() {
                return;
            }
            shutdown.cancel();
        }
    })
}

/// Reads routes.yaml at start and at each reload. Its error is every problem of the file, as `check` shows them.
fn loader(path: PathBuf) -> LoadConfig {
    Box::new(move || {
        let file = path.display().to_string();
        match config::load(&path, &config::Options::default()) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!("{}", warning.one_line(&file));
                }
                Ok(Loaded { config: loaded.config, hash: loaded.source_hash })
            }
            Err(error) => Err(error.every_problem()),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_hangs_does_not_hold_up_the_end() {
        let (release, never) = mpsc::channel::<()>();
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
            let result = to_the_end(runtime, async {
                let (started, running) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    started.send(()).unwrap();
                    never.recv()
                });
                running.await.unwrap();
                "served"
            });
            done.send(result)
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Ok("served"));
        drop(release);
    }
}
