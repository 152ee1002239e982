//! The places for connections: how many there are, and who gives one up when all are taken.
//!
//! To wait until somebody leaves would leave the choice to those who never do. So whoever comes is let in, in place of the
//! one that is missed least. What decides is what a connection waits for, and what is known of it:
//!
//! 1. one whose last credentials were refused;
//! 2. one of which nothing is known and that waits for its peer, the one that has been there longest, from the address
//!    with most of these;
//! 3. one that is known: half a body that does not get on, then one that is idle, the one that has been so longest.
//!    The former goes before strangers that have just come.
//!
//! A request that is being worked on is never cut off. Nobody loses a place within [`GRACE`], which is what a handshake
//! and a head take over a long way: so a flood is taken in at the pace of the places, not of the machine. Of somebody unknown
//! it begins again with the first answer, and never with a later one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connection::{Doing, Now, Place, Standing};
use crate::metrics::Metrics;

/// So long a connection keeps its place whoever comes.
const GRACE: Duration = Duration::from_millis(500);
/// A body that is there at once takes no longer, even over a long way.
const SLOW_BODY: Duration = Duration::from_secs(2);
/// How soon to look again when everybody is being worked for.
const LOOK: Duration = Duration::from_millis(20);
/// A flood writes a line about itself so often at most.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    inner: Mutex<Inner>,
    metrics: Arc<Metrics>,
    count: usize,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    taken: HashMap<u64, Arc<Place>>,
    evictions: Told,
    failures: Told,
}

/// What may happen often and is told of now and then.
#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    since: u64,
}

impl Told {
    /// It has happened; how often, if it is time to tell of it.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.last.is_some_and(|last| now < last + SAY_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// A place that is taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) place: Arc<Place>,
    id: u64,
    places: Arc<Places>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.lock().taken.remove(&self.id);
        self.places.metrics.connection_closed();
    }
}

impl Places {
    /// So many places.
    pub(super) fn new(count: usize, metrics: Arc<Metrics>) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), inner: Mutex::default(), metrics, count }
    }

    /// A place for `peer`, who is waiting at the door.
    pub(super) async fn enter(self: &Arc<Self>, peer: SocketAddr) -> Seat {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.make_room().await,
        };
        let place = Arc::new(Place::new(peer.ip()));
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.taken.insert(id, place.clone());
        drop(inner);
        self.metrics.connection_opened();
        Seat { place, id, places: self.clone(), _permit: permit }
    }

    /// A connection could not be accepted; most likely there is no file descriptor for it. Somebody may have to go for that,
    /// too.
    pub(super) fn note_failure(&self, error: &std::io::Error) {
        let _ = self.try_evict();
        if let Some(times) = self.lock().failures.count(Instant::now()) {
            tracing::error!(%error, times, "a connection could not be accepted");
        }
    }

    async fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            // The semaphore is never closed, so there always is a permit in the end.
            let permit = self.free.clone().acquire_owned();
            match self.try_evict() {
                // Whoever has to go is woken, and ends.
                Ok(()) => return permit.await.ok(),
                Err(again) => {
                    if let Ok(permit) = timeout_at(again, permit).await {
                        return permit.ok();
                    }
                }
            }
        }
    }

    /// An error says when to try again.
    fn try_evict(&self) -> Result<(), Instant> {
        let now = Instant::now();
        let mut inner = self.lock();
        let victim = choose(inner.taken.iter().map(|(id, place)| (*id, place.network, place.now())), now)?;
        // Its request may have become work since.
        if !inner.taken.get(&victim).is_some_and(|place| place.evict()) {
            return Err(now + LOOK);
        }
        inner.taken.remove(&victim);
        let evictions = inner.evictions.count(now);
        drop(inner);
        self.metrics.connection_evicted();
        if let Some(evictions) = evictions {
            let places = self.count;
            tracing::warn!(
                places,
                evictions,
                "all places for connections are taken; whoever is missed least has to go"
            );
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic between two of its changes is not to be had: none of them can fail.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has to go. An error says when to ask again.
fn choose(taken: impl Iterator<Item = (u64, IpAddr, Now)>, now: Instant) -> Result<u64, Instant> {
    let (mut refused, mut unknown, mut known) = (Vec::new(), Vec::new(), Vec::new());
    let mut crowds = HashMap::<IpAddr, usize>::new();
    for (id, network, state) in taken.filter(|(_, _, state)| state.doing != Doing::Working) {
        match state.standing {
            Standing::Distrusted => refused.push((id, state.since)),
            Standing::Unknown => {
                *crowds.entry(network).or_default() += 1;
                unknown.push((id, state.counts_since(), network));
            }
            Standing::Trusted => known.push((id, state.since, state.doing)),
        }
    }
    let refused = refused.into_iter().min_by_key(|(_, since)| *since);
    let alone = |network: &IpAddr| std::cmp::Reverse(crowds.get(network).copied().unwrap_or_default());
    let unknown = unknown.into_iter().min_by_key(|(_, since, network)| (alone(network), *since));
    let known = known.into_iter().min_by_key(|(_, since, doing)| (worth(*doing, *since, now), *since));
    let strangers = [refused, unknown.map(|(id, since, _)| (id, since))];
    let due = |(_, since): &(u64, Instant)| now >= *since + GRACE;
    if let Some((id, _)) = strangers.iter().flatten().find(|candidate| due(candidate)) {
        return Ok(*id);
    }
    // Half a body that does not get on is worth less than a stranger's first moment, or a few of them who trickle would
    // leave those who come no more than the places that strangers give up.
    if let Some((id, since, Doing::Body)) = known
        && now >= since + SLOW_BODY
    {
        return Ok(id);
    }
    // Nobody else who is known goes while there are strangers.
    let candidate = strangers.into_iter().flatten().min_by_key(|(_, since)| *since);
    match candidate.or(known.map(|(id, since, _)| (id, since))) {
        Some(candidate) if due(&candidate) => Ok(candidate.0),
        Some((_, since)) => Err(since + GRACE),
        None => Err(now + LOOK),
    }
}

/// What it is worth to keep somebody who is known.
fn worth(doing: Doing, since: Instant, now: Instant) -> u8 {
    match doing {
        Doing::Body if now >= since + SLOW_BODY => 0,
        Doing::Body => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
