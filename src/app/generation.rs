//! What one routes.yaml brings to life: a worker for each receiver, and a timer for each that has a fallback. A reload
//! starts a new generation and stops the one before.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Access;
use crate::config::Config;
use crate::config::web::WebConfig;
use crate::deliver::{FallbackTimer, FallbackTo, Shared, SharedHealth, Worker};
use crate::heartbeat::Heartbeats;
use crate::http::Routing;
use crate::notification::ReceiverName;
use crate::receiver::Definition;
use crate::store::Listed;

/// The workers of one configuration.
#[derive(Debug)]
pub(super) struct Generation {
    definitions: Vec<Definition>,
    retention: Duration,
    healths: HashMap<ReceiverName, SharedHealth>,
    wakers: HashMap<ReceiverName, Arc<Notify>>,
    workers: TaskTracker,
    stop: CancellationToken,
}

impl Generation {
    /// `before` is the generation that this one replaces. `healths` is what is known of the receivers' health already: a
    /// reload does not mend a receiver.
    pub(super) fn new(
        config: &Config,
        shared: &Shared,
        before: Option<&Self>,
        mut healths: HashMap<ReceiverName, SharedHealth>,
    ) -> Self {
        let definitions = config.receivers.clone();
        let names = || definitions.iter().map(|definition| definition.target.name.clone());
        for name in names() {
            shared.metrics.add_receiver(&name);
            if before.is_none_or(|before| !before.healths.contains_key(&name)) {
                shared.metrics.set_up(&name, true);
            }
        }
        for gone in before.into_iter().flat_map(Self::receivers).filter(|gone| !names().any(|name| name == *gone)) {
            shared.metrics.forget_up(&gone);
        }
        let healths = names().map(|name| (name.clone(), healths.remove(&name).unwrap_or_default())).collect();
        let wakers = names().map(|name| (name, Arc::default())).collect();
        let (retention, workers, stop) = (config.retention, TaskTracker::new(), CancellationToken::new());
        Self { definitions, retention, healths, wakers, workers, stop }
    }

    /// What is known of the receivers' health; it goes on changing.
    pub(super) fn healths(&self) -> HashMap<ReceiverName, SharedHealth> {
        self.healths.clone()
    }

    /// What intake needs to know of the same configuration and of the web configuration; `before` is what it knew until now.
    pub(super) fn routing(
        &self,
        config: &Config,
        web: &WebConfig,
        access: Access,
        before: Option<&Routing>,
    ) -> Routing {
        let targets =
            self.definitions.iter().map(|definition| (definition.target.name.clone(), definition.target.clone()));
        Routing {
            tree: config.tree.clone(),
            targets: Arc::new(targets.collect()),
            ignore_labels: config.ignore_labels.clone(),
            settle: config.settle,
            access: Arc::new(access),
            headers: web.headers.clone(),
            heartbeats: Heartbeats::new(&config.heartbeats, before.map(|before| &before.heartbeats)),
            wakers: self.wakers.clone(),
        }
    }

    fn receivers(&self) -> Vec<ReceiverName> {
        self.definitions.iter().map(|definition| definition.target.name.clone()).collect()
    }

    /// How long deliveries are kept that have ended.
    pub(super) fn retention(&self) -> Duration {
        self.retention
    }

    /// The receivers and their fallbacks, as the store has to know them.
    pub(super) fn roster(&self) -> Vec<Listed> {
        let listed = |definition: &Definition| Listed {
            target: definition.target.clone(),
            fallback: definition.fallback.as_ref().map(|fallback| fallback.receiver.clone()),
        };
        self.definitions.iter().map(listed).collect()
    }

    /// Wakes a receiver's worker.
    pub(super) fn wake(&self, receiver: &ReceiverName) {
        if let Some(waker) = self.wakers.get(receiver) {
            waker.notify_one();
        }
    }

    /// The fallback of a receiver.
    fn fallback(&self, definition: &Definition) -> Option<FallbackTo> {
        let fallback = definition.fallback.as_ref()?;
        let target =
            self.definitions.iter().map(|other| &other.target).find(|other| other.name == fallback.receiver)?;
        let wake = self.wakers.get(&target.name).cloned().unwrap_or_default();
        Some(FallbackTo { target: target.clone(), after: fallback.after, wake })
    }

    /// Starts the workers; ends when they have ended.
    pub(super) fn run(&self, shared: &Shared) -> impl Future<Output = ()> + use<> {
        // Seeded by the standard library's per-process randomness: peers must not retry in step.
        let seeds = RandomState::new();
        for definition in &self.definitions {
            let name = &definition.target.name;
            let wake = self.wakers.get(name).cloned().unwrap_or_default();
            let health = self.healths.get(name).cloned().unwrap_or_default();
            let (fallback, seed) = (self.fallback(definition), seeds.hash_one(name.as_str()));
            if let Some(to) = fallback.clone() {
                let timer = FallbackTimer::new(shared.clone(), definition.target.clone(), to, health.clone());
                self.workers.spawn(timer.run(self.stop.clone()));
            }
            let worker = Worker::new(shared.clone(), definition.clone(), wake, health, fallback, seed);
            self.workers.spawn(worker.run(self.stop.clone()));
        }
        self.workers.close();
        let workers = self.workers.clone();
        async move { workers.wait().await }
    }

    /// Lets the workers end once their attempts under way have ended.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}
