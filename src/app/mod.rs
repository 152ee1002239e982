//! The composition root: builds everything from the configuration, runs it, takes it down in order.

mod access;
mod generation;
mod heartbeat;
mod housekeeping;
mod supervise;
mod web;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{SharedClock, between};
use crate::config::Config;
use crate::dedup::Cache;
use crate::deliver::{Shared, SharedHealth, Transport};
use crate::http::{self, Draining, Live, Reload};
use crate::metrics::Metrics;
use crate::notification::ReceiverName;
use crate::store::Admin;
use crate::store::sqlite::{Options, SqliteStore};
use crate::traces::{self, Export, Traces};
pub use access::Reach;
use generation::Generation;
use heartbeat::{HeartbeatTimer, Known};
use housekeeping::Housekeeping;
use web::Web;

/// So many alerts are answered without the store, each for so long. Copies from the peers of an HA pair come within a
/// minute or so; what comes later costs a transaction.
const CACHED_ALERTS: u64 = 100_000;
const CACHED_FOR: Duration = Duration::from_secs(600);
/// Attempts under way at shutdown may take this long. What is cut off then is sent again after the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(45);
/// The server ends its connections in 5 s by itself.
const HTTP_TIMEOUT: Duration = Duration::from_secs(7);
/// So long the last traces may take to be exported.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of the process that routes.yaml does not hold.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the embedded store lives.
    pub data_dir: PathBuf,
    /// The web configuration file: TLS of the listener, and who may connect.
    pub web_config: Option<PathBuf>,
    /// Largest webhook body, in bytes.
    pub max_body: usize,
    /// Most notifications that may wait in the outbox.
    pub max_outbox: u64,
    /// Whom the listener is in reach of.
    pub reach: Reach,
    /// Where traces are exported to.
    pub traces: Option<traces::Settings>,
}

/// Reads the configuration, at start and at each reload. An error is a text for people: every problem of the file.
pub type LoadConfig = Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// A configuration, and the hash of the file it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// A hash of the file.
    pub hash: u64,
}

/// The service.
pub struct App {
    settings: Settings,
    load: LoadConfig,
    store: Arc<SqliteStore>,
    cache: Cache,
    shared: Shared,
    live: Arc<Live>,
    /// What the generation was made of.
    config: Config,
    web: Web,
    generation: Generation,
    housekeeping: Housekeeping,
    /// Notified when receivers may be gone: after a reload, and when all attempts of a generation have ended.
    departures: Arc<Notify>,
    draining: Arc<Draining>,
    reload_sender: mpsc::Sender<Reload>,
    reload_requests: mpsc::Receiver<Reload>,
    /// What exports traces, until it runs.
    export: Option<Export>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl App {
    /// Opens the store and loads the configuration. Nothing is sent yet, and nothing accepted.
    ///
    /// # Errors
    /// If the configuration has problems, or the store cannot be opened.
    pub async fn open(load: LoadConfig, settings: Settings, clock: SharedClock) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let web = Web::open(settings.web_config.as_deref(), clock.clone(), metrics.clone());
        let (Loaded { config, hash }, web) = both(load(), web).map_err(anyhow::Error::msg)?;
        let access = access::access(&config, web.config(), settings.reach).map_err(anyhow::Error::msg)?;
        let cache = Cache::new(CACHED_ALERTS, CACHED_FOR);
        let options = Options { max_outbox: settings.max_outbox, cache: cache.clone() };
        let store = Arc::new(SqliteStore::open(&settings.data_dir, options, clock.now())?);
        let transport = Transport::new().map_err(anyhow::Error::msg)?;
        metrics.config_loaded(hash, clock.now());
        let collector = |settings: &traces::Settings| {
            tracing::info!(collector = settings.origin(), "traces are exported");
            Traces::to(settings, Arc::new(transport.clone()), metrics.clone(), clock.clone())
        };
        let (traces, export) = settings.traces.as_ref().map(collector).unzip();
        let traces = traces.unwrap_or_default();
        let shared = Shared { store: store.clone(), transport, clock, metrics, traces };
        let generation = Generation::new(&config, &shared, None, healths(&*store, &shared.clock).await?);
        let live = Arc::new(Live::new(generation.routing(&config, web.config(), access, None)));
        let (reload_sender, reload_requests) = mpsc::channel(1);
        let housekeeping = Housekeeping::new(shared.clock.clone());
        Ok(Self {
            settings,
            load,
            store,
            cache,
            shared,
            live,
            config,
            web,
            generation,
            housekeeping,
            departures: Arc::default(),
            draining: Arc::default(),
            reload_sender,
            reload_requests,
            export,
        })
    }

    /// Where wishes for a reload go (SIGHUP).
    #[must_use]
    pub fn reloader(&self) -> mpsc::Sender<Reload> {
        self.reload_sender.clone()
    }

    /// The store's administration.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        self.store.clone()
    }

    /// Accepts and delivers until `shutdown`. Then refuses with 503, lets the attempts under way end, answers what was
    /// asked, and closes the store. What was not delivered waits on disk for the next start.
    ///
    /// # Errors
    /// If the store could not be closed properly; nothing is lost even then.
    pub async fn run(mut self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        // The workers of this generation and of those before it.
        let workers = TaskTracker::new();
        let (server, stop_http) = (TaskTracker::new(), CancellationToken::new());
        let (exporter, stop_export) = (TaskTracker::new(), CancellationToken::new());
        if let Some(export) = self.export.take() {
            exporter.spawn(export.run(stop_export.clone()));
        }
        server.spawn(http::serve(listener, self.web.tls(), self.state(), stop_http.clone()));
        self.start_workers(&workers);
        let deaf = CancellationToken::new();
        workers.spawn(self.heartbeats().run(deaf.clone()));
        self.supervise(&workers, &shutdown).await;
        tracing::info!("shutting down: nothing more is accepted");
        self.draining.start();
        deaf.cancel();
        self.refuse_reloads();
        self.generation.stop();
        // Until the attempts under way have ended, whoever posts is still answered: with 503.
        workers.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, workers.wait()).await.is_err() {
            tracing::warn!("some attempts did not end in time; they are made again after the next start");
        }
        stop_http.cancel();
        server.close();
        let _ = tokio::time::timeout(HTTP_TIMEOUT, server.wait()).await;
        self.close().await?;
        // Last, when all spans have ended, and nothing else waits for a collector that hangs.
        stop_export.cancel();
        exporter.close();
        if tokio::time::timeout(EXPORT_TIMEOUT, exporter.wait()).await.is_err() {
            tracing::warn!("the last traces could not be exported in time, and are lost");
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Closes the store, unless a task that did not end in time still holds it: then it closes when that ends.
    async fn close(self) -> anyhow::Result<()> {
        let Self { store, shared, .. } = self;
        drop(shared);
        if let Some(store) = Arc::into_inner(store) {
            tokio::task::spawn_blocking(move || store.close()).await?.context("the store was not closed properly")?;
        }
        Ok(())
    }

    fn state(&self) -> http::State {
        http::State {
            store: self.store.clone(),
            admin: self.store.clone(),
            cache: self.cache.clone(),
            live: self.live.clone(),
            reload: self.reload_sender.clone(),
            metrics: self.shared.metrics.clone(),
            traces: self.shared.traces.clone(),
            clock: self.shared.clock.clone(),
            max_body: self.settings.max_body,
            room: http::Room::new(self.settings.max_body).into(),
            keep: Arc::default(),
            log: Arc::default(),
            readiness: Arc::default(),
            draining: self.draining.clone(),
        }
    }

    fn heartbeats(&self) -> HeartbeatTimer {
        HeartbeatTimer {
            store: self.store.clone(),
            memory: self.store.clone(),
            live: self.live.clone(),
            metrics: self.shared.metrics.clone(),
            clock: self.shared.clock.clone(),
            known: Known::default(),
        }
    }
}

/// Both, or what is wrong with either.
fn both<A, B>(a: Result<A, String>, b: Result<B, String>) -> Result<(A, B), String> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) => Err(format!("{a}\n{b}")),
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
    }
}

/// What the store knows of the receivers' health: since when they fail.
async fn healths(admin: &dyn Admin, clock: &SharedClock) -> anyhow::Result<HashMap<ReceiverName, SharedHealth>> {
    let (now, monotonic) = (clock.now(), clock.monotonic());
    let receivers = admin.stats().await?.receivers.into_iter();
    let failing = receivers.filter_map(|(name, counts)| {
        let failing_for = between(counts.failing_since?, now);
        Some((name, SharedHealth::failing_for(failing_for, monotonic)))
    });
    Ok(failing.collect())
}
