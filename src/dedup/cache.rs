//! The TTL cache in front of the store.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;

use super::{Decision, Known, decide};
use crate::alert::{Alert, Fingerprint};
use crate::clock::Timestamp;
use crate::notification::{ReceiverName, Target};

/// What one receiver is known to have been told of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Who was told.
    pub receiver: ReceiverName,
    /// What it was told.
    pub known: Known,
}

/// Committed facts only: the state of every receiver that was ever told of an alert, by fingerprint.
///
/// A hit may be answered at once, because dropping a copy writes nothing. A miss, an eviction or an empty cache costs a
/// transaction and nothing else. Expiry is lazy, so it is never used as a timer.
#[derive(Debug, Clone)]
pub struct Cache {
    entries: moka::sync::Cache<Fingerprint, Arc<[Remembered]>>,
}

impl Cache {
    /// Room for `capacity` alerts, each kept for `ttl` after it was last written.
    #[must_use]
    pub fn new(capacity: u64, ttl: Duration) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(capacity)
            // Growing costs more than the room: it is done by whoever commits alerts.
            .initial_capacity(usize::try_from(capacity).unwrap_or_default())
            .time_to_live(ttl)
            // The default policy, TinyLFU, refuses newcomers once it is full: it would forget every new alert.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { entries }
    }

    /// Notes what is now committed for an alert: all its receivers. To be called in the order of the commits.
    pub fn insert(&self, fingerprint: Fingerprint, all: Vec<Remembered>) {
        self.entries.insert(fingerprint, all.into());
    }

    /// Forgets an alert, because its state is not plainly told or untold: a copy of it is held, a delivery has died.
    pub fn forget(&self, fingerprint: Fingerprint) {
        self.entries.invalidate(&fingerprint);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// The decisions over one alert, if all of them drop it: for the receivers in `wants`, and for a resolve also for
    /// everybody else who was told. `None` if the store has to be asked.
    pub fn drops<'a>(
        &self,
        alert: &Alert,
        wants: impl Iterator<Item = (&'a Target, Duration)>,
        now: Timestamp,
    ) -> Option<Vec<(ReceiverName, Decision)>> {
        let remembered = self.entries.get(&alert.fingerprint)?;
        let is_told_and_fires = |entry: &Remembered| entry.known.ends_at.is_none();
        if alert.ends_at.is_some() && remembered.iter().any(is_told_and_fires) {
            return None;
        }
        wants
            .map(|(target, repeat_interval)| {
                let known = remembered.iter().find(|entry| entry.receiver == target.name)?;
                match decide(alert, Some(&known.known), repeat_interval, target.keeps_state, now) {
                    drop @ Decision::Drop(_) => Some((target.name.clone(), drop)),
                    Decision::Notify(_) | Decision::Hold => None,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Labels, Status};
    use crate::notification::{Granularity, Reason};

    fn target(name: &str) -> Target {
        let granularity = Granularity::Group;
        Target { name: name.into(), granularity, keeps_state: false, send_resolved: true, has_fallback: false }
    }

    fn alert(fingerprint: u64, ends_at: Option<Timestamp>) -> Alert {
        Alert {
            status: if ends_at.is_some() { Status::Resolved } else { Status::Firing },
            labels: Labels::default(),
            annotations: Labels::default(),
            starts_at: Some(Timestamp::UNIX_EPOCH),
            ends_at,
            generator_url: String::new(),
            fingerprint: Fingerprint(fingerprint),
        }
    }

    fn told(receiver: &str, ends_at: Option<Timestamp>) -> Remembered {
        let known = Known { starts_at: Some(Timestamp::UNIX_EPOCH), ends_at, notified_at: Timestamp::UNIX_EPOCH };
        Remembered { receiver: receiver.into(), known }
    }

    fn cache() -> Cache {
        Cache::new(1000, Duration::from_secs(60))
    }

    fn ask(cache: &Cache, alert: &Alert, receiver: &str) -> Option<usize> {
        let target = target(receiver);
        let wants = [(&target, Duration::from_secs(3600))];
        cache.drops(alert, wants.into_iter(), Timestamp::UNIX_EPOCH).map(|all| all.len())
    }

    #[test]
    fn answers_copies_and_nothing_else() {
        let cache = cache();
        assert_eq!(ask(&cache, &alert(1, None), "slack"), None, "unknown alert");
        cache.insert(Fingerprint(1), vec![told("slack", None)]);
        assert_eq!(ask(&cache, &alert(1, None), "slack"), Some(1), "copy");
        assert_eq!(ask(&cache, &alert(1, None), "oncall"), None, "a receiver that was not told");
        cache.forget(Fingerprint(1));
        assert_eq!(ask(&cache, &alert(1, None), "slack"), None, "forgotten");
    }

    #[test]
    fn a_resolve_is_answered_only_if_nobody_waits_for_it() {
        let cache = cache();
        let ended = Some(Timestamp::from_second(60).unwrap());
        cache.insert(Fingerprint(1), vec![told("slack", ended), told("oncall", None)]);
        assert_eq!(ask(&cache, &alert(1, ended), "slack"), None, "oncall, which no route names, still waits");
        cache.insert(Fingerprint(1), vec![told("slack", ended), told("oncall", ended)]);
        assert_eq!(ask(&cache, &alert(1, ended), "slack"), Some(1));
    }

    #[test]
    fn a_full_cache_keeps_the_newest() {
        let cache = Cache::new(100, Duration::from_secs(60));
        for fingerprint in 0..1000 {
            cache.insert(Fingerprint(fingerprint), vec![told("slack", None)]);
        }
        cache.entries.run_pending_tasks();
        let kept = (900..1000).filter(|&newest| ask(&cache, &alert(newest, None), "slack").is_some()).count();
        assert_eq!(kept, 100);
    }

    #[test]
    fn reasons_are_those_of_the_table() {
        let cache = cache();
        cache.insert(Fingerprint(1), vec![told("slack", None)]);
        let slack = target("slack");
        let wants = [(&slack, Duration::ZERO)];
        let answer = cache.drops(&alert(1, None), wants.into_iter(), Timestamp::UNIX_EPOCH);
        assert_eq!(answer, Some(vec![("slack".into(), Decision::Drop(Reason::Duplicate))]));
    }
}
