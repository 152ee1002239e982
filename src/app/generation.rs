//! What one routes.yaml brings to life: a worker for each receiver. A reload starts a new generation and stops the one
//! before.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::deliver::{Shared, SharedHealth, Worker};
use crate::http::Routing;
use crate::notification::ReceiverName;
use crate::receiver::Definition;

/// The workers of one configuration.
#[derive(Debug)]
pub(super) struct Generation {
    definitions: Vec<Definition>,
    healths: HashMap<ReceiverName, SharedHealth>,
    wakers: HashMap<ReceiverName, Arc<Notify>>,
    workers: TaskTracker,
    stop: CancellationToken,
}

impl Generation {
    /// `before` is the generation that this one replaces. What is known of a receiver's health is taken over by name: a
    /// reload does not mend it.
    pub(super) fn new(config: &Config, shared: &Shared, before: Option<&Self>) -> Self {
        let definitions = config.receivers.clone();
        let names = || definitions.iter().map(|definition| definition.target.name.clone());
        let known = |name: &ReceiverName| before.and_then(|before| before.healths.get(name)).cloned();
        for name in names() {
            shared.metrics.add_receiver(&name);
            if known(&name).is_none() {
                shared.metrics.set_up(&name, true);
            }
        }
        for gone in before.into_iter().flat_map(Self::receivers).filter(|gone| !names().any(|name| name == *gone)) {
            shared.metrics.forget_up(&gone);
        }
        let healths = names().map(|name| (name.clone(), known(&name).unwrap_or_default())).collect();
        let wakers = names().map(|name| (name, Arc::default())).collect();
        Self { definitions, healths, wakers, workers: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// What intake needs to know of the same configuration.
    pub(super) fn routing(&self, config: &Config) -> Routing {
        let targets =
            self.definitions.iter().map(|definition| (definition.target.name.clone(), definition.target.clone()));
        Routing {
            tree: config.tree.clone(),
            targets: Arc::new(targets.collect()),
            ignore_labels: config.ignore_labels.clone(),
            settle: config.settle,
            wakers: self.wakers.clone(),
        }
    }

    pub(super) fn receivers(&self) -> Vec<ReceiverName> {
        self.definitions.iter().map(|definition| definition.target.name.clone()).collect()
    }

    /// Starts the workers; ends when they have ended.
    pub(super) fn run(&self, shared: &Shared) -> impl Future<Output = ()> + use<> {
        // Seeded by the standard library's per-process randomness: peers must not retry in step.
        let seeds = RandomState::new();
        for definition in &self.definitions {
            let name = &definition.target.name;
            let wake = self.wakers.get(name).cloned().unwrap_or_default();
            let health = self.healths.get(name).cloned().unwrap_or_default();
            let worker = Worker::new(shared.clone(), definition.clone(), wake, health, seeds.hash_one(name.as_str()));
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
