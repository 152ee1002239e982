//! `alertrouter serve`: the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{App, LoadConfig, Loaded, Settings};
use crate::clock::SystemClock;
use crate::config::{self, ConfigError};
use crate::http::Reload;
use crate::telemetry::{self, LogFormat};

const NO_SIGNALS: &str = "signals cannot be listened for";

/// Settings of the service; each flag also as an environment variable.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The routes file
    #[arg(long, env = "ALERTROUTER_CONFIG", default_value = "routes.yaml")]
    config: PathBuf,
    /// Address to listen on; port 0 takes a free one and logs it
    #[arg(long, env = "ALERTROUTER_LISTEN", default_value = "127.0.0.1:9096")]
    listen: SocketAddr,
    /// Directory of the embedded store
    #[arg(long, env = "ALERTROUTER_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Largest webhook body in bytes
    #[arg(long, env = "ALERTROUTER_MAX_BODY", default_value_t = 16 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1024..=1 << 30))]
    max_body: u64,
    /// Most notifications that may wait to be delivered; more are answered with 503
    #[arg(long, env = "ALERTROUTER_MAX_OUTBOX", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_outbox: u64,
    /// Listen on an address that is not loopback although nobody has to authenticate
    #[arg(long, env = "ALERTROUTER_ALLOW_UNAUTHENTICATED", value_parser = clap::builder::BoolishValueParser::new())]
    allow_unauthenticated: bool,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,alertrouter::deliver=debug`
    #[arg(long, env = "ALERTROUTER_LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// How log lines look
    #[arg(long, env = "ALERTROUTER_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Runs the service until SIGTERM or SIGINT.
///
/// # Errors
/// If the configuration has problems, the store cannot be opened or the address is taken: nothing is started then.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log_level, args.log_format)?;
    if !args.listen.ip().is_loopback() && !args.allow_unauthenticated {
        anyhow::bail!(
            "{} can be reached from other machines, and whoever can post to it can page people\n\
             hint: listen on 127.0.0.1, or say --allow-unauthenticated if something in front of it keeps strangers out",
            args.listen
        );
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    // Before anything else: a SIGHUP while a large store is opened would end the process. SIGTERM and SIGINT may, until
    // there is something to end in order.
    let hup = signal(SignalKind::hangup()).context(NO_SIGNALS)?;
    let settings = Settings {
        data_dir: args.data_dir,
        max_body: usize::try_from(args.max_body).unwrap_or(usize::MAX),
        max_outbox: args.max_outbox,
    };
    // Before the store is opened: a port in use must not touch the data of whoever uses it.
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {} (--listen)", args.listen))?;
    let app = App::open(loader(args.config), settings, Arc::new(SystemClock::new())).await?;
    let shutdown = CancellationToken::new();
    let signals = watch_signals(hup, shutdown.clone(), app.reloader())?;
    tracing::info!("listening on {}", listener.local_addr().context("the listening socket has no address")?);
    tokio::select! {
        result = app.run(listener, shutdown) => result?,
        () = signals => (),
    }
    Ok(ExitCode::SUCCESS)
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
            Err(error) => {
                let problems = match &error {
                    ConfigError::Invalid { problems, .. } => problems.as_slice(),
                    ConfigError::Read { .. } => &[],
                };
                let lines = problems.iter().map(|problem| problem.one_line(&file));
                Err([error.to_string()].into_iter().chain(lines).collect::<Vec<_>>().join("\n"))
            }
        }
    })
}
