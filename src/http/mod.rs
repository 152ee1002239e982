//! The HTTP side: intake and operations. Thin handlers; it knows neither receivers nor deliveries.

mod arrive;
mod connection;
mod error;
mod guard;
mod headers;
mod intake;
mod keep;
mod log;
mod ops;
mod patience;
mod places;
mod room;
mod serve;
mod tls;
mod traced;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::{Notify, mpsc, oneshot};

use guard::{Doorman, Guard};
pub use intake::note_decisions;
pub use keep::Keep;
pub use log::Log;
pub use ops::Readiness;
pub use room::Room;
pub use serve::serve;
pub use tls::{Tls, TlsSettings};

use crate::auth::{Access, Role};
use crate::clock::SharedClock;
use crate::dedup::Cache;
use crate::heartbeat::Heartbeats;
use crate::metrics::Metrics;
use crate::notification::ReceiverName;
use crate::route::Tree;
use crate::store::{Accepted, Admin, Store, Targets};
use crate::traces::Traces;

/// What the handlers work with.
#[derive(Clone)]
pub struct State {
    /// Where accepted alerts go.
    pub store: Arc<dyn Store>,
    /// The same store, for readiness and counts.
    pub admin: Arc<dyn Admin>,
    /// Answers copies without the store.
    pub cache: Cache,
    /// What routes.yaml says about alerts, until the next reload.
    pub live: Arc<Live>,
    /// Asks for a reload.
    pub reload: mpsc::Sender<Reload>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where traces begin.
    pub traces: Traces,
    /// The time.
    pub clock: SharedClock,
    /// `--max-body`, in bytes.
    pub max_body: usize,
    /// How much memory bodies may take together.
    pub room: Arc<Room>,
    /// How much of what is refused is kept.
    pub keep: Arc<Keep>,
    /// What was said of refused bodies and alerts.
    pub log: Arc<Log<intake::Said>>,
    /// What the store has said of itself.
    pub readiness: Arc<Readiness>,
    /// Set while the process shuts down: nothing more is accepted.
    pub draining: Arc<Draining>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("live", &self.live).finish_non_exhaustive()
    }
}

/// The part of routes.yaml that decides about alerts.
#[derive(Debug)]
pub struct Routing {
    /// Who hears of what.
    pub tree: Tree,
    /// All receivers.
    pub targets: Arc<Targets>,
    /// `dedup.ignore_labels`.
    pub ignore_labels: Vec<String>,
    /// `dedup.settle`.
    pub settle: Duration,
    /// The alerts that must keep arriving.
    pub heartbeats: Heartbeats,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Sent with every answer: names in lower case, and their values.
    pub headers: Vec<(&'static str, String)>,
    /// Woken when something is written for a receiver. The wake-up carries no data, so nothing is lost with it.
    pub wakers: HashMap<ReceiverName, Arc<Notify>>,
}

impl Routing {
    /// Wakes everybody for whom something was written.
    pub fn wake(&self, accepted: &Accepted) {
        for (receiver, _) in &accepted.deliveries {
            if let Some(waker) = self.wakers.get(receiver) {
                waker.notify_one();
            }
        }
    }
}

/// The routing in force. A request takes it once and keeps it, so a reload never changes the rules half way.
#[derive(Debug)]
pub struct Live(RwLock<Arc<Routing>>);

impl Live {
    /// Starts with `routing`.
    #[must_use]
    pub fn new(routing: Routing) -> Self {
        Self(RwLock::new(Arc::new(routing)))
    }

    /// What is in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Routing> {
        // A poisoned lock guards a plain pointer, which is whole in any case.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on `routing` is in force.
    pub fn replace(&self, routing: Routing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routing);
    }
}

/// A wish to load routes.yaml again. The answer says what is wrong with the file, every problem of it.
#[derive(Debug)]
pub struct Reload(pub Option<oneshot::Sender<Result<(), String>>>);

/// Whether the process is shutting down.
#[derive(Debug, Default)]
pub struct Draining(AtomicBool);

impl Draining {
    /// From now on nothing is accepted.
    pub fn start(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn started(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// All addresses and their handlers.
pub fn router(state: State) -> Router {
    let doorman = Arc::new(Doorman::default());
    let guard = |role| {
        let guard = Guard { state: state.clone(), doorman: doorman.clone(), role };
        from_fn_with_state(Arc::new(guard), guard::guard)
    };
    Router::new()
        .route("/webhook", post(intake::webhook).layer(guard(Role::Ingest)))
        .route("/-/healthy", get(ops::healthy))
        .route("/-/ready", get(ops::ready))
        .route("/-/reload", post(ops::reload).layer(guard(Role::Admin)))
        .route("/metrics", get(ops::metrics).layer(guard(Role::Metrics)))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        // The intake counts the bytes itself: a refused body is kept.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state.clone(), connection::trust_in_the_open))
        .with_state(state)
}
