//! How a stand-in misbehaves on command, and the pace it enforces.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{SharedClock, Timestamp, after, between};

/// What a stand-in does with the next request instead of its work.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers this, and the request has no effect.
    Answer {
        /// The status.
        status: u16,
        /// Headers, such as `retry-after`.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Never answers.
    Hang,
    /// Closes the connection without an answer; the request has no effect.
    ResetConnection,
    /// Does its work and then closes the connection without an answer: what a time-out may hide.
    LoseAnswer,
    /// Waits for the gate, then does its work.
    Wait(Gate),
    /// Begins to answer, and does not end as it should. With a 2xx it has done its work; else the request has no effect.
    Begin {
        /// The status.
        status: u16,
        /// The beginning of the body; what follows of it are spaces.
        body: String,
        /// How it goes on.
        then: Then,
    },
    /// Does its work and sends the answer one byte at a time, status line and headers as well, each so long after the one
    /// before.
    ByteByByte(Duration),
}

/// How an answer goes on that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The connection breaks, and more was announced.
    BreaksOff,
    /// So many bytes more, as fast as they are taken.
    Pours(u64),
    /// A byte at a time, each so long after the one before, until the other side has had enough; at most 10,000.
    Trickles(Duration),
}

impl Behaviour {
    /// An answer without headers.
    #[must_use]
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// A 429 that asks for a pause of this many seconds.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        Self::come_back(429, seconds.to_string())
    }

    /// A status with a `Retry-After` in these words.
    #[must_use]
    pub fn come_back(status: u16, retry_after: impl Into<String>) -> Self {
        Self::Answer { status, headers: vec![("retry-after", retry_after.into())], body: String::new() }
    }
}

/// Holds requests back until it is opened; clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        // The sender lives in `self`, so the channel cannot close.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// A pace that a stand-in enforces.
pub(super) struct Limit {
    clock: SharedClock,
    period: Duration,
    burst: u32,
    /// When the bucket is full again.
    full_at: Timestamp,
}

impl Limit {
    /// Takes a request, or says how long it is too early.
    /// A full bucket.
    pub(super) fn new(clock: SharedClock, period: Duration, burst: u32) -> Self {
        Self { full_at: clock.now(), clock, period, burst }
    }

    pub(super) fn take(&mut self) -> Result<(), Duration> {
        let now = self.clock.now();
        let early = between(now, self.full_at).saturating_sub(self.period * self.burst.saturating_sub(1));
        if early.is_zero() {
            self.full_at = after(self.full_at.max(now), self.period);
            Ok(())
        } else {
            Err(early)
        }
    }
}
