//! How much memory the bodies of webhooks may take together, whoever sends them.
//!
//! A body costs memory twice: its bytes while it arrives, and some times as much while it is handled. Both are shared out.
//! Small bodies, which is what pages are, have a share of their own, and never wait for large ones.
//!
//! While it arrives, a large body takes of its share what has come, and no more: so a sender that announces much and sends
//! little takes little from others. Where the share is used up, senders are not read from until there is room, and one of
//! them at a time is let through to its end, so that they never all wait for each other. One that has room and is slow
//! gives way to those that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::HttpError;

/// Up to this size a body is small: a hundred alerts or so.
pub(super) const SMALL: usize = 64 * 1024;
/// What arrives beyond that is counted in pieces of this size.
const PIECE: usize = 64 * 1024;
/// Bytes of large bodies that may have arrived and wait for the rest, beside the one that is let through.
const ARRIVING: usize = 8 * 1024 * 1024;
/// Bytes of small bodies that are handled at once.
const SMALL_HANDLED: usize = 4 * 1024 * 1024;
/// The same of large ones: at least one of them, of whatever size.
const LARGE_HANDLED: usize = 16 * 1024 * 1024;
/// What is handled is counted in units of this size.
const UNIT: usize = 1024;
/// A large body may take this long to arrive, and as much again for each [`PACE`] bytes, before it gives way.
const GRACE: Duration = Duration::from_secs(1);
const PACE: usize = 1024 * 1024;

/// The shares.
#[derive(Debug)]
pub struct Room {
    arriving: Arc<Semaphore>,
    let_through: Arc<Semaphore>,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_units: usize,
    /// How many bodies wait for room to arrive.
    wanted: AtomicUsize,
}

impl Room {
    /// Room for bodies of at most `max_body` bytes.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        let large_units = units(LARGE_HANDLED.max(max_body));
        Self {
            arriving: Arc::new(Semaphore::new(ARRIVING / PIECE)),
            let_through: Arc::new(Semaphore::new(1)),
            small: Arc::new(Semaphore::new(units(SMALL_HANDLED))),
            large: Arc::new(Semaphore::new(large_units)),
            large_units,
            wanted: AtomicUsize::new(0),
        }
    }

    /// The share of a body that begins to arrive.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        Arrival { room: self, pieces: None, let_through: None, began: Instant::now(), waited: Duration::ZERO }
    }

    /// Room to handle a whole body of `size` bytes; to be held until nothing of it is in memory any more.
    ///
    /// # Errors
    /// If there is none until the deadline.
    pub(super) async fn handle(&self, size: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, HttpError> {
        let share = if size <= SMALL { &self.small } else { &self.large };
        let wanted = u32::try_from(units(size).clamp(1, self.large_units)).unwrap_or(u32::MAX);
        timeout_at(deadline, Arc::clone(share).acquire_many_owned(wanted))
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(no_room)
    }
}

/// What a body that arrives has of the room.
#[derive(Debug)]
pub(super) struct Arrival<'r> {
    room: &'r Room,
    pieces: Option<OwnedSemaphorePermit>,
    let_through: Option<OwnedSemaphorePermit>,
    began: Instant,
    /// How long it had to wait for room, which is not its sender's fault.
    waited: Duration,
}

impl Arrival<'_> {
    /// Room for `size` bytes in all.
    ///
    /// # Errors
    /// If there is none until the deadline.
    pub(super) async fn grow(&mut self, size: usize, deadline: Instant) -> Result<(), HttpError> {
        if size <= SMALL || self.let_through.is_some() {
            return Ok(());
        }
        let held = self.pieces.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = u32::try_from((size - SMALL).div_ceil(PIECE).saturating_sub(held)).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&self.room.arriving).try_acquire_many_owned(wanted) {
            self.add(more);
            return Ok(());
        }
        let began = Instant::now();
        let _waits = Waits::new(&self.room.wanted);
        let (arriving, let_through) = (Arc::clone(&self.room.arriving), Arc::clone(&self.room.let_through));
        let room = async {
            tokio::select! {
                biased;
                Ok(more) = arriving.acquire_many_owned(wanted) => self.add(more),
                Ok(alone) = let_through.acquire_owned() => self.let_through = Some(alone),
                else => std::future::pending().await,
            }
        };
        timeout_at(deadline, room).await.map_err(|_| no_room())?;
        self.waited += began.elapsed();
        Ok(())
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.pieces {
            Some(pieces) => pieces.merge(more),
            pieces => *pieces = Some(more),
        }
    }

    /// Whether it takes room and is so slow that others should have it.
    pub(super) fn gives_way(&self, size: usize) -> bool {
        let takes_room = self.pieces.is_some() || self.let_through.is_some();
        takes_room && self.room.wanted.load(Ordering::Relaxed) > 0 && {
            let pace = u32::try_from(size / PACE).unwrap_or(u32::MAX);
            self.began.elapsed().saturating_sub(self.waited) > GRACE.saturating_mul(pace.saturating_add(1))
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS)
}

fn no_room() -> HttpError {
    HttpError::Unavailable("other bodies take all the memory that there is for them".to_owned())
}

/// Counted for as long as it lives.
struct Waits<'c>(&'c AtomicUsize);

impl<'c> Waits<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BODY: usize = 16 * 1024 * 1024;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(8)
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_for_large_ones() {
        let room = Room::new(MAX_BODY);
        let _large = room.handle(MAX_BODY, soon()).await.unwrap();
        let small = room.handle(SMALL, soon()).await;
        assert!(small.is_ok() && room.handle(0, soon()).await.is_ok());
        let began = Instant::now();
        assert!(room.handle(SMALL + 1, soon()).await.is_err());
        assert_eq!(began.elapsed(), Duration::from_secs(8));
        let mut arrival = room.arrival();
        arrival.grow(SMALL, soon()).await.unwrap();
        assert!(arrival.pieces.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_body_of_whatever_size_can_be_handled() {
        for max_body in [1000, MAX_BODY, 100 * MAX_BODY] {
            let room = Room::new(max_body);
            assert!(room.handle(max_body, soon()).await.is_ok());
            assert!(room.handle(max_body * 2, soon()).await.is_ok(), "its permits are back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_wait_for_each_other_come_to_an_end() {
        let room = Room::new(MAX_BODY);
        let mut arrivals = [(); 3].map(|()| room.arrival());
        for arrival in &mut arrivals[..2] {
            arrival.grow(SMALL + ARRIVING / 2, soon()).await.unwrap();
        }
        let [first, second, third] = &mut arrivals;
        // All of it is taken, and one of those that want more is let through.
        first.grow(MAX_BODY, soon()).await.unwrap();
        assert!(first.let_through.is_some());
        assert!(third.grow(SMALL + 1, Instant::now() + Duration::from_secs(1)).await.is_err());
        assert_eq!(room.wanted.load(Ordering::Relaxed), 0);
        let next = async { second.grow(MAX_BODY, soon()).await.unwrap() };
        let end = async {
            tokio::task::yield_now().await;
            first.pieces = None;
            first.let_through = None;
        };
        tokio::join!(next, end);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_gives_way_only_to_those_that_wait() {
        let room = Room::new(MAX_BODY);
        let mut slow = room.arrival();
        slow.grow(SMALL + ARRIVING, soon()).await.unwrap();
        let mut alone = room.arrival();
        alone.grow(SMALL + 1, soon()).await.unwrap();
        assert!(alone.let_through.is_some());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(!slow.gives_way(SMALL + 1), "nobody wants the room");
        let mut waiting = room.arrival();
        let (grown, slow_gave_way) = tokio::join!(waiting.grow(SMALL + 1, soon()), async {
            tokio::task::yield_now().await;
            let (few, many) = (slow.gives_way(SMALL + 1), slow.gives_way(8 * PACE));
            drop(slow);
            (few, many)
        });
        assert!(grown.is_ok());
        assert_eq!(slow_gave_way, (true, false), "8 MiB in 3 s are fast enough");
    }
}
