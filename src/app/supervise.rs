//! What the service does while it runs: reloads, certificates, housekeeping, receivers that go.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::generation::Generation;
use super::{App, access, both, web};
use crate::http::Reload;

impl App {
    /// Whoever still asks for a reload is answered at once.
    pub(super) fn refuse_reloads(&mut self) {
        self.reload_requests.close();
        while self.reload_requests.try_recv().is_ok() {}
    }

    /// Reloads and keeps house until `shutdown`.
    pub(super) async fn supervise(&mut self, workers: &TaskTracker, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(Reload(reply)) = self.reload_requests.recv() => {
                    let result = self.reload(workers);
                    if let Err(problems) = &result {
                        tracing::error!(%problems, "routes.yaml was not reloaded; what was there before stays in force");
                    }
                    if let Some(reply) = reply {
                        let _ = reply.send(result);
                    }
                }
                // What it does is done piece by piece in the store: to stop in between loses nothing.
                () = self.housekeeping.due() => {
                    let (roster, retention) = (self.generation.roster(), self.generation.retention());
                    tokio::select! {
                        () = self.housekeeping.tidy(roster, retention, &*self.store, &self.shared.metrics) => (),
                        () = shutdown.cancelled() => return,
                    }
                }
                () = self.web.due() => {
                    tokio::select! {
                        next = self.web.look() => self.take_web(next),
                        () = shutdown.cancelled() => return,
                    }
                }
                () = self.departures.notified() => {
                    tokio::select! {
                        () = self.take_over() => (),
                        () = shutdown.cancelled() => return,
                    }
                }
            }
        }
    }

    pub(super) fn start_workers(&self, workers: &TaskTracker) {
        let (all_ended, departures) = (self.generation.run(&self.shared), self.departures.clone());
        workers.spawn(async move {
            all_ended.await;
            // What a receiver that is gone had in hand until now is left behind.
            departures.notify_one();
        });
    }

    /// Gives away what waits for receivers that are gone.
    async fn take_over(&mut self) {
        let roster = self.generation.roster();
        match self.housekeeping.take_over(roster, &*self.store, &self.shared.metrics).await {
            Ok(heirs) => heirs.iter().for_each(|receiver| self.generation.wake(receiver)),
            Err(error) => tracing::warn!(%error, "receivers that are gone were not looked for; it is tried again"),
        }
    }

    /// Puts a changed web configuration in force, for what connects and for what is asked from now on.
    fn take_web(&mut self, next: Option<web::Next>) {
        let Some(next) = next else { return };
        let access = match access::access(&self.config, next.config(), self.settings.reach) {
            Ok(access) => access,
            Err(problems) => return self.web.refuse_changed(&problems),
        };
        self.web.put_in_force(next);
        let before = self.live.current();
        self.live.replace(self.generation.routing(&self.config, self.web.config(), access, Some(&before)));
        tracing::info!("the web configuration or a certificate has changed and is in force; open connections go on");
    }

    /// Loads routes.yaml and the web configuration, and switches to both or to none. Workers of before finish what they have
    /// in hand; leases keep the two from sending the same delivery.
    fn reload(&mut self, workers: &TaskTracker) -> Result<(), String> {
        let web = self.web.read().inspect_err(|problems| self.web.refuse(problems));
        let (loaded, web) = both((self.load)(), web).inspect_err(|_| self.shared.metrics.config_refused())?;
        let next_web = web.as_ref().map_or(self.web.config(), web::Next::config);
        let access = access::access(&loaded.config, next_web, self.settings.reach)
            .inspect_err(|_| self.shared.metrics.config_refused())?;
        if let Some(web) = web {
            self.web.put_in_force(web);
        }
        let healths = self.generation.healths();
        let next = Generation::new(&loaded.config, &self.shared, Some(&self.generation), healths);
        self.live.replace(next.routing(&loaded.config, self.web.config(), access, Some(&self.live.current())));
        let before = std::mem::replace(&mut self.generation, next);
        before.stop();
        self.start_workers(workers);
        self.shared.metrics.config_loaded(loaded.hash, self.shared.clock.now());
        tracing::info!(receivers = loaded.config.receivers.len(), "routes.yaml reloaded");
        self.config = loaded.config;
        // Not here: it may take long, and whoever asked for the reload waits, and so does a shutdown.
        self.departures.notify_one();
        Ok(())
    }
}
