//! What operators see of deliveries and do to them, apart from the pipeline.

use crate::alert::Labels;
use crate::clock::Timestamp;
use crate::notification::{DeliveryId, FallbackFor, Notified, ReceiverName};

/// How a delivery stands, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A firing copy of an ended episode waits for `dedup.settle`.
    Held,
    /// Waits behind another one of its lane.
    Queued,
    /// Is the first of its lane and waits for its time, or for its receiver.
    Ready,
    /// Is being sent.
    Leased,
    /// The service has it.
    Delivered,
    /// Given up: a dead letter.
    Dead,
    /// Given up on purpose.
    Discarded,
}

impl State {
    /// Every state, in the order of a delivery's life.
    pub const ALL: [Self; 7] =
        [Self::Held, Self::Queued, Self::Ready, Self::Leased, Self::Delivered, Self::Dead, Self::Discarded];
    /// Those of what is still to be sent.
    pub const WAITING: [Self; 4] = [Self::Held, Self::Queued, Self::Ready, Self::Leased];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

/// Which deliveries are meant. A list that is empty leaves nothing out.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of these receivers.
    pub receivers: Vec<String>,
    /// In these states.
    pub states: Vec<State>,
    /// With an alert of one of these names.
    pub alertnames: Vec<String>,
    /// Whose webhook came at this time or later.
    pub from: Option<Timestamp>,
    /// Whose webhook came at this time or earlier.
    pub until: Option<Timestamp>,
    /// The present: it says which leases have run out.
    pub now: Timestamp,
}

/// A delivery, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: DeliveryId,
    /// Who is told.
    pub receiver: ReceiverName,
    /// How it stands.
    pub state: State,
    /// When its webhook came.
    pub received_at: Timestamp,
    /// When it was accepted, released from being held, or last retried by hand.
    pub since: Timestamp,
    /// Of what waits: not to be sent (or released) before this.
    pub due_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, or why it was given up.
    pub error: Option<String>,
    /// The names of its alerts, each once, in their order. Empty where that cannot be read.
    pub names: Vec<String>,
    /// How many alerts it has.
    pub alerts: u64,
    /// Whom it was meant for, if not for its receiver.
    pub fallback_for: Option<FallbackFor>,
    /// The digest that it goes out with, or went out with.
    pub digest: Option<DeliveryId>,
    /// Of a digest: how many notifications go out with it.
    pub carries: Option<u64>,
}

/// What became of a delivery whose receiver has a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FellBack {
    /// The fallback is told if it is held up for too long.
    NotYet,
    /// There was nothing to tell.
    NothingToTell,
    /// The fallback was told.
    Told,
}

/// All that is known of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// In short.
    pub entry: Entry,
    /// The key of its lane: a group key, or a fingerprint.
    pub lane: String,
    /// How many others of its lane go before it.
    pub ahead: u64,
    /// Whether its fallback was told; `None` without one.
    pub fallback: Option<FellBack>,
    /// When the first attempt of a row of failures began.
    pub failing_since: Option<Timestamp>,
    /// Until when it is leased.
    pub leased_until: Option<Timestamp>,
    /// The labels that its group is made by.
    pub group: Labels,
    /// Its alerts. Empty once it is delivered.
    pub content: Vec<Notified>,
    /// Why they cannot be read, if so.
    pub unreadable: Option<String>,
    /// What was rare in its life, in order.
    pub events: Vec<Event>,
}

/// Something rare in the life of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: EventKind,
    /// More of it, in one line.
    pub note: Option<String>,
}

/// What is noted of a delivery. Not its attempts: they are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It became a dead letter.
    Dead,
    /// A dead letter was sent again by hand.
    Retried,
    /// What waited for its time was made due by hand.
    DueNow,
    /// It was given up by hand.
    Discarded,
    /// Its fallback was told.
    FellBack,
}

impl EventKind {
    const ALL: [Self; 5] = [Self::Dead, Self::Retried, Self::DueNow, Self::Discarded, Self::FellBack];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Retried => "retried",
            Self::DueNow => "due_now",
            Self::Discarded => "discarded",
            Self::FellBack => "fell_back",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What came of a wish to send a delivery again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// A dead letter that waits again.
    Waits(LeftOut),
    /// Nothing of a dead letter is worth telling any more; it stays one. Or of a held copy, which is gone.
    NothingToTell(LeftOut),
    /// It waited for its time, and is due now.
    DueNow,
    /// It waits behind others of its lane.
    InLine,
    /// It is being sent.
    UnderWay,
    /// It was delivered.
    Delivered,
    /// It was given up on purpose.
    Discarded,
    /// Routes.yaml does not have its receiver.
    NoReceiver(ReceiverName),
    /// Its content cannot be read, for this reason.
    Unreadable(String),
    /// There is none with this number.
    Missing,
}

/// Alerts of a dead letter that are not sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Their receiver was told since.
    pub told: u64,
    /// They have ended since.
    pub ended: u64,
}

/// What came of a wish to give a delivery up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discarded {
    /// It is given up. So many of its alerts had ended: whatever they would have closed stays open.
    Done {
        /// Alerts that had ended.
        resolved: u64,
    },
    /// It is being sent.
    UnderWay,
    /// It stands for others, which can be given up.
    IsDigest,
    /// It was delivered.
    Delivered,
    /// It was given up before.
    Already,
    /// There is none with this number.
    Missing,
}
