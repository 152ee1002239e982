//! The web configuration file in force, and what becomes of it on disk: certificates are renewed while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::certificate::Validity;
use crate::clock::SharedClock;
use crate::config::web::{self, Attempt, Seen, ServerTls, WebConfig};
use crate::http::{Tls, TlsSettings};
use crate::metrics::Metrics;

/// How often the files are looked at. They are small, and certificates are renewed days before they end.
const EVERY: Duration = Duration::from_secs(10);

/// The file in force. Without `--web-config` nothing is on, and nothing happens.
pub(super) struct Web {
    path: Option<PathBuf>,
    config: WebConfig,
    seen: Seen,
    tls: Option<Arc<Tls>>,
    /// Why the files as they are now are not in force, as it was logged.
    refused: Option<String>,
    /// The next look, on the monotonic clock.
    due_at: Duration,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

/// What was read and can be put in force.
pub(super) struct Next {
    config: WebConfig,
    seen: Seen,
    /// What the file probably does not mean, a line each.
    warnings: Vec<String>,
}

impl Next {
    /// What the file says.
    pub(super) fn config(&self) -> &WebConfig {
        &self.config
    }

    /// It is said once, when it comes into force: what is refused is read again every few seconds.
    fn say(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

impl Web {
    /// Loads the file. The error is every problem of it.
    pub(super) fn open(path: Option<&Path>, clock: SharedClock, metrics: Arc<Metrics>) -> Result<Self, String> {
        let (config, seen) = match path {
            Some(path) => {
                let next = read(path, &clock)?;
                next.say();
                let (tls, users) = (next.config.tls.is_some(), next.config.basic_users.len());
                tracing::info!(tls, users, "the web configuration is in force");
                (next.config, next.seen)
            }
            None => Default::default(),
        };
        let tls = config.tls.as_ref().map(|tls| Arc::new(Tls::new(settings(tls), metrics.clone(), clock.clone())));
        let due_at = clock.monotonic() + EVERY;
        let web = Self { path: path.map(Path::to_owned), config, seen, tls, refused: None, due_at, clock, metrics };
        web.count();
        Ok(web)
    }

    /// What the file says.
    pub(super) fn config(&self) -> &WebConfig {
        &self.config
    }

    /// For the listener.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Reads the file again. The error is every problem of it, and nothing changes. Without a file there is nothing to read.
    pub(super) fn read(&self) -> Result<Option<Next>, String> {
        let Some(path) = &self.path else { return Ok(None) };
        let next = read(path, &self.clock)?;
        let refuse = |why: &str| Err(format!("{}: {why}", path.display()));
        if next.config.tls.is_some() != self.config.tls.is_some() {
            return refuse("TLS is switched on or off at a start only; restart for that");
        }
        // Taken at a start, where there is nothing better.
        let holds = |config: &WebConfig| {
            let validity = config.tls.as_ref().and_then(|tls| tls.validity);
            validity.is_none_or(|validity: Validity| validity.holds(self.clock.now()))
        };
        if !holds(&next.config) && holds(&self.config) {
            return refuse("the new certificate is not valid now, and the one in force is");
        }
        Ok(Some(next))
    }

    /// From now on `next` is in force for new connections. The caller takes over what of it concerns requests.
    pub(super) fn put_in_force(&mut self, next: Next) {
        if let (Some(tls), Some(new)) = (&self.tls, &next.config.tls) {
            tls.replace(settings(new));
        }
        next.say();
        Next { config: self.config, seen: self.seen, .. } = next;
        self.refused = None;
        self.count();
    }

    /// A reload has failed because of this file.
    pub(super) fn refuse(&mut self, problems: &str) {
        self.metrics.web_config_refused();
        self.refused = Some(problems.to_owned());
    }

    /// What has changed cannot be used: said once, and looked at again.
    pub(super) fn refuse_changed(&mut self, problems: &str) {
        if self.refused.as_deref() != Some(problems) {
            tracing::error!(%problems, "the web configuration or a certificate has changed and cannot be used; the one before stays in force, and the files are looked at again");
            self.refuse(problems);
        }
    }

    /// Ends when it is time for a look.
    pub(super) async fn due(&self) {
        if self.path.is_none() {
            return std::future::pending().await;
        }
        self.clock.sleep(self.due_at.saturating_sub(self.clock.monotonic())).await;
    }

    /// Looks whether anything has changed; if so, and if it can be used, that is what comes back. What cannot be used is
    /// looked at again: a new certificate beside the old key is half of a change.
    pub(super) async fn look(&mut self) -> Option<Next> {
        self.due_at = self.clock.monotonic() + EVERY;
        let seen = self.seen.clone();
        // A file system that hangs must not hold up reloads and the shutdown.
        let changed = tokio::task::spawn_blocking(move || seen.has_changed()).await.unwrap_or(false);
        if !changed {
            if self.refused.take().is_some() {
                self.metrics.web_config_restored();
                tracing::info!("the web configuration is as it was before; it has been in force all along");
            }
            return None;
        }
        match self.read() {
            Ok(next) => next,
            Err(problems) => {
                self.refuse_changed(&problems);
                None
            }
        }
    }

    fn count(&self) {
        if self.path.is_some() {
            let tls = self.config.tls.as_ref();
            let end = |validity: Option<Validity>| validity.map(|validity| validity.until);
            let server = end(tls.and_then(|tls| tls.validity));
            let client_ca = end(tls.and_then(|tls| tls.client_ca_validity));
            self.metrics.web_config_loaded(self.clock.now(), server, client_ca);
        }
    }
}

fn settings(tls: &ServerTls) -> TlsSettings {
    TlsSettings { server: tls.server.clone(), verifies_clients: tls.client_auth.verifies() }
}

fn read(path: &Path, clock: &SharedClock) -> Result<Next, String> {
    let Attempt { result, seen } = web::load(path, clock.now());
    let (config, warnings) = result.map_err(|error| error.every_problem())?;
    let file = path.display().to_string();
    let warnings = warnings.iter().map(|warning| warning.one_line(&file)).collect();
    Ok(Next { config, seen, warnings })
}
