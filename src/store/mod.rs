//! The outbox and the memory of what was told: the only seam between accepted and delivered.
//!
//! A delivery is a row whose state machine stands in the schema:
//!
//! ```text
//!            ┌─ held ──(settle time over)──┐
//! accept ────┤                             ├─▶ queued ──(first of its lane)──▶ ready ──▶ delivered
//!            └─────────────────────────────┘                                   │ ▲ └───▶ dead
//!                                                                              └─┘ again at
//! ```
//!
//! `queued` waits behind another delivery of its lane; at most one delivery of a lane is `ready`, and only that one can
//! be leased. A lease keeps two workers from sending the same row; correctness does not need it, because a settle with a
//! lost lease changes nothing.
//!
//! A critical delivery goes before all that are not, and so does whatever stands before it in its lane: *urgent*.
//!
//! A *digest* is a delivery that carries others, which wait together for the rate limit ([`Store::fold`]). Each of them stays
//! in its lane and in its state, and cannot be leased: so whatever comes later stays behind it. When the digest arrives, all of
//! them are delivered, and remember which digest told them; when it is given up, each of them is a dead letter of its own, and
//! the digest is gone. Critical ones are never folded.
//!
//! What a receiver with a fallback does not get is told to the fallback by a delivery of its own, once, written in the
//! transaction that notes it. What the fallback is told is the table of [`crate::dedup::fallback`]. The first delivery
//! goes on as before.

mod codec;
#[cfg(test)]
mod conformance;
mod heartbeats;
pub mod outbox;
pub mod sqlite;

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use heartbeats::Heartbeats;

use crate::alert::{Alert, Group};
use crate::clock::Timestamp;
use crate::dedup::Decision;
use crate::notification::{DeliveryId, Notification, Receipt, ReceiverName, Target, TraceParent};

/// The answer of a store; boxed, so that the store can be chosen at run time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What the pipeline needs of a store.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Applies the dedup decisions and writes the outbox rows of one webhook body, all or nothing. When it returns,
    /// everything is on disk.
    fn accept(&self, intake: Intake) -> Answer<'_, Accepted>;

    /// Hands out the oldest delivery of the receiver that is due, if there is one. Held rows whose time has come are
    /// released first.
    fn lease(&self, ask: LeaseRequest) -> Answer<'_, LeaseAnswer>;

    /// Folds what waits for the receiver and is not critical into a digest, of each lane what comes before the first critical
    /// one; nothing of a lane whose first is leased, whose service has left a [`Receipt`], or whose digest still waits. It
    /// adds to a digest that was not tried yet. One delivery alone is left as it is.
    fn fold(&self, ask: FoldRequest) -> Answer<'_, Folded>;

    /// A receiver that was down is back: what has failed is due at once, so that what waits goes in the order of its age and
    /// not in the order of the probes.
    fn recovered(&self, receiver: ReceiverName, now: Timestamp) -> Answer<'_, ()>;

    /// Ends a lease.
    fn settle(&self, lease: Lease, outcome: Outcome, now: Timestamp) -> Answer<'_, Settled>;

    /// Tells the fallback of everything that failures have held up for too long. Returns what it was told of.
    fn fall_back(&self, overdue: Overdue) -> Answer<'_, Vec<FellBack>>;
}

/// What operators need of a store, apart from the pipeline.
pub trait Admin: Send + Sync {
    /// Whether it answers: for `/-/ready`.
    fn ping(&self) -> Answer<'_, ()>;

    /// Counts for `/metrics`.
    fn stats(&self) -> Answer<'_, Stats>;

    /// Keeps a body or an alert that was refused: the newest 1000, the first 65,536 bytes of each.
    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Answer<'_, ()>;

    /// What was refused, newest first.
    fn rejected(&self, limit: usize) -> Answer<'_, Vec<Rejected>>;

    /// Removes what is no longer needed, and gives back the room that it took: deliveries that ended longer ago than
    /// `retention`, dead letters among them, and states of ended alerts. A bounded amount a call, so that it never holds up an
    /// alert: [`Pruned::more`] says that there is more.
    fn prune(&self, now: Timestamp, retention: Duration) -> Answer<'_, Pruned>;

    /// The wall clock was set back by `by`, to `now`: what was due at a time that has become far away again is due as soon
    /// as it was before.
    fn clock_set_back(&self, by: Duration, now: Timestamp) -> Answer<'_, ()>;

    /// Notes the receivers of the routes.yaml that is in force from now on, and gives away what waits for those before it
    /// that are gone: to the next of their fallbacks that is still there, at once, and without one to the dead letters.
    /// Held copies are held on for the fallback. A delivery whose attempt is under way is left alone, and so are those
    /// behind it in its lane: the next call finds them. Returns all that are gone, also those that nothing waited for.
    ///
    /// It changes nothing if nothing has changed, so it can be called at any time.
    fn take_over(&self, roster: Vec<Listed>, now: Timestamp) -> Answer<'_, Vec<Departed>>;

    /// Turns everything that waits for a receiver that is not in `known` into a dead letter: it cannot be delivered, and
    /// must not be forgotten in silence. An attempt under way may still end well: its delivery is left alone. Returns the
    /// number of each receiver's dead letters.
    fn bury_orphans(&self, known: Vec<ReceiverName>, now: Timestamp) -> Answer<'_, Vec<(ReceiverName, u64)>>;
}

/// All receivers by name: whom a resolve may have to reach, whatever the routes say by now.
pub type Targets = HashMap<ReceiverName, Target>;

/// One webhook body, routed.
#[derive(Debug, Clone)]
pub struct Intake {
    /// What its alerts have in common.
    pub group: Arc<Group>,
    /// Its alerts, each fingerprint once, with who wants to hear of them.
    pub alerts: Vec<Routed>,
    /// All receivers there are.
    pub targets: Arc<Targets>,
    /// How long a firing copy of an ended episode is held (`dedup.settle`).
    pub settle: Duration,
    /// When the body was received.
    pub now: Timestamp,
    /// Alerts of the body that were refused; kept with it.
    pub rejected: Vec<Rejected>,
    /// What the caller gives away until the body is no longer in memory, be it that it still waits when nobody waits for
    /// the answer any more.
    pub held: Held,
    /// Where its webhook stands in a trace; kept with what is written.
    pub traceparent: Option<TraceParent>,
}

/// Something that is dropped with what it came with: a share of the memory that bodies may take.
#[derive(Clone, Default)]
pub struct Held(Option<Arc<dyn Any + Send + Sync>>);

impl Held {
    /// Holds it.
    pub fn of(share: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(share)))
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Held" } else { "Held(nothing)" })
    }
}

/// An alert, and the receivers that the routes name for it.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The alert.
    pub alert: Alert,
    /// Receivers with the `repeat_interval` of the route that named them; each receiver once.
    pub wants: Vec<(ReceiverName, Duration)>,
}

/// What became of an [`Intake`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// One decision per alert and receiver.
    pub decisions: Vec<(ReceiverName, Decision)>,
    /// Deliveries that were written and can go, by receiver: whom to wake. A receiver for which copies were only held is
    /// here with a count of 0, for it has something new to wait for.
    pub deliveries: Vec<(ReceiverName, u64)>,
    /// Resolves that changed the state and were not sent because of `send_resolved: false`, by receiver.
    pub unsent: Vec<(ReceiverName, u64)>,
    /// Held copies that a resolve of this body has cancelled: they count as `stale`.
    pub cancelled: Vec<(ReceiverName, u64)>,
}

/// Asks for work of one receiver.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Whose deliveries.
    pub receiver: ReceiverName,
    /// The present.
    pub now: Timestamp,
    /// When the lease ends if it is not settled.
    pub until: Timestamp,
    /// What the caller still has in hand: leases that have run out meanwhile are renewed.
    pub holding: Vec<Lease>,
    /// Of what is neither urgent nor a digest only what was due by then; `None` for all that is due.
    pub ordinary_due_by: Option<Timestamp>,
}

/// Asks for what waits for one receiver to be folded.
#[derive(Debug, Clone)]
pub struct FoldRequest {
    /// Whose deliveries.
    pub receiver: ReceiverName,
    /// The present.
    pub now: Timestamp,
    /// If fewer could be folded nothing is. More than 500 count as 500.
    pub at_least: u32,
}

/// The answer to a [`FoldRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// How many deliveries were folded.
    pub deliveries: u64,
    /// Whether the digest is full, and there is more to fold once it has gone.
    pub more: bool,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug)]
pub struct LeaseAnswer {
    /// The delivery, if one is due.
    pub leased: Option<Leased>,
    /// Where none is due: when the next one will be.
    pub next_due: Option<Timestamp>,
    /// How many held copies were released by this call: they count as `refired`.
    pub released: u64,
    /// How many deliveries could not be read and are dead letters now.
    pub buried: u64,
}

/// A delivery in hand.
#[derive(Debug)]
pub struct Leased {
    /// Proof that it is ours.
    pub lease: Lease,
    /// What to send.
    pub notification: Notification,
    /// When it was accepted into the outbox, or released from being held: what `retry.max_age` counts from. Of a digest when
    /// the last was that it carries: nothing is given up before its time.
    pub since: Timestamp,
    /// What it goes before.
    pub priority: Priority,
    /// Of a digest: when the webhook of each came that it carries. Empty for any other delivery.
    pub carries: Vec<Timestamp>,
    /// How large it is in the store, in bytes: about as much memory as it takes.
    pub size: usize,
    /// Where the webhook that it came of stands in a trace.
    pub traceparent: Option<TraceParent>,
    /// Of a digest: the same of the first [`LINKS`] that it carries and that have one.
    pub links: Vec<TraceParent>,
}

/// So many traces a digest is linked to; one that carries more is found by the others' own.
pub const LINKS: usize = 32;

/// What a delivery goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// It waits for its turn.
    Ordinary,
    /// A critical one waits behind it in its lane, or behind one that it carries.
    Urgent,
    /// One of its alerts is critical.
    Critical,
}

/// Proof that a delivery was handed to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Changes with every lease of it.
    pub token: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The service has it.
    Delivered {
        /// Replaces the lane's receipt.
        receipt: Option<Receipt>,
    },
    /// Try again at a time.
    RetryAt {
        /// When.
        at: Timestamp,
        /// When the attempt that has failed began.
        began: Timestamp,
        /// Why.
        error: String,
    },
    /// Given up: a dead letter. What it would have told counts as never told.
    Dead {
        /// Why.
        error: String,
        /// Who is told instead, unless that has happened already.
        fallback: Option<Fallback>,
    },
    /// Not attempted after all: as if it had not been leased.
    Released,
}

/// A receiver's fallback, as the store has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Who is told instead.
    pub to: Target,
    /// [`Target::keeps_state`] of the receiver that is not told.
    pub from_keeps_state: bool,
}

/// Asks for everything to fall back that failures have held up for too long: an attempt that failed, of the delivery
/// itself or of the one in front of it in its lane, or a receiver that nothing gets through to. Waiting for the rate limit
/// of a receiver that works is no failure.
#[derive(Debug, Clone)]
pub struct Overdue {
    /// Whose deliveries.
    pub receiver: ReceiverName,
    /// Who is told instead.
    pub fallback: Fallback,
    /// For how long they must have been held up (`fallback_after`).
    pub after: Duration,
    /// The same, as people say it: ends the reason.
    pub lasting: String,
    /// Since when nothing gets through to the receiver, if nothing does.
    pub stuck_since: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

/// A delivery that its receiver's fallback was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FellBack {
    /// The delivery that was held up.
    pub delivery: DeliveryId,
    /// Why, as the fallback is told.
    pub reason: String,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many rows.
    pub rows: usize,
    /// How many of them were dead letters, by receiver.
    pub dead: Vec<(ReceiverName, u64)>,
    /// How many pages the file has become shorter by.
    pub pages: usize,
    /// There is more to remove.
    pub more: bool,
}

/// A receiver of the routes.yaml in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The receiver.
    pub target: Target,
    /// Its fallback.
    pub fallback: Option<ReceiverName>,
}

/// A receiver that routes.yaml does not have any more, and what became of what waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// Its name.
    pub receiver: ReceiverName,
    /// Who is told instead; `None` if it had no fallback that is still there.
    pub to: Option<ReceiverName>,
    /// How many deliveries went there.
    pub fell_back: u64,
    /// How many were dropped, because whoever is told instead has heard of them, or need not.
    pub dropped: u64,
    /// How many became dead letters.
    pub dead: u64,
}

impl Departed {
    /// Whether nothing of it was given away.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.fell_back + self.dropped + self.dead == 0
    }
}

/// Whether a settle took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did.
    Done,
    /// It did, and the fallback is told.
    FellBack,
    /// It was a digest that was given up, and the fallback is told of so many that it carried.
    ManyFellBack(u64),
    /// The lease had ended and somebody else has the delivery: nothing was changed.
    LeaseLost,
}

/// Counts for `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// By receiver; receivers with nothing to count are left out.
    pub receivers: HashMap<ReceiverName, ReceiverStats>,
    /// How many alert states are remembered.
    pub dedup_entries: u64,
}

/// Counts of one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Deliveries that wait, held ones among them.
    pub pending: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
    /// Since when the longest of the failures has lasted that a delivery meets.
    pub failing_since: Option<Timestamp>,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// When.
    pub at: Timestamp,
    /// A body or an alert.
    pub what: RejectedWhat,
    /// Why, in one line.
    pub reason: String,
    /// Its bytes, cut to 65,536.
    pub content: Vec<u8>,
}

/// What was refused. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectedWhat {
    /// A whole body.
    Body,
    /// One alert of a body whose others were taken.
    Alert,
}

impl RejectedWhat {
    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Alert => "alert",
        }
    }
}

/// The machinery broke. Whatever the caller must tell apart on a good day is a variant of an answer instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot take anything now: the disk is full, the database does not answer.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The outbox is at its limit.
    #[error("the outbox is full: {pending} deliveries wait, the limit is {limit}")]
    Full {
        /// How many wait.
        pending: u64,
        /// How many may.
        limit: u64,
    },
    /// The store could not be opened.
    #[error("{0}")]
    Open(String),
    /// A row cannot be read back.
    #[error("delivery {delivery} cannot be read: {why}")]
    Corrupt {
        /// Which row.
        delivery: DeliveryId,
        /// Why.
        why: String,
    },
}
