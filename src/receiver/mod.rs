//! How each service is spoken to. A receiver is two pure functions: what to send ([`Receiver::encode`]) and what the
//! answer means ([`Receiver::judge`]). Retry, time-outs, limits, redaction and metrics are not its business, so that
//! they cannot differ between services.

pub mod custom;
pub mod describe;
pub mod digest;
pub mod email;
pub mod grafana;
pub mod judge;
pub mod markup;
pub mod pagerduty;
pub mod redact;
pub mod slack;
pub mod text;
pub mod webhook;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod fixture;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::clock::Timestamp;
use crate::notification::{Granularity, Notification, Receipt, ReceiverName, Target};

/// A service that notifications are sent to.
pub trait Receiver: Send + Sync + fmt::Debug {
    /// Whether it takes whole groups or single alerts.
    fn granularity(&self) -> Granularity;

    /// Whether it keeps an incident open until it is told otherwise.
    fn keeps_state(&self) -> bool;

    /// The first request for a notification.
    ///
    /// # Errors
    /// If it can never be sent: the delivery becomes a dead letter at once.
    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError>;

    /// Completes a request with what depends on the moment at which it is sent: a signature that is only good for a while.
    fn stamp(&self, _outgoing: &mut Outgoing, _at: Timestamp) {}

    /// What the service's answer means.
    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict;

    /// What becomes of a notification that the service need not be told of; then nothing is sent. `None` for what is sent,
    /// which is nearly everything.
    fn without_request(&self, _notification: &Notification) -> Option<Verdict> {
        None
    }
}

/// The HTTP methods that receivers use; and mail.
#[derive(Debug, Clone)]
pub enum Method {
    /// Look something up.
    Get,
    /// Make something.
    Post,
    /// Change something.
    Patch,
    /// Hand [`Outgoing::body`], a whole message, to a mail server. URL and headers are not looked at.
    Mail(Arc<email::Submission>),
    /// Remove something.
    Delete,
}

/// A request to a service. `Debug` shows neither URL nor header values nor body: any of them may hold a secret.
pub struct Outgoing {
    /// Which of the receiver's requests this is; comes back in [`Answer::step`].
    pub step: &'static str,
    /// The method.
    pub method: Method,
    /// Where to. Some services put their token into the URL.
    pub url: SecretString,
    /// Headers, `content-type` among them. Names are lower case.
    pub headers: Vec<(Cow<'static, str>, SecretString)>,
    /// The body; empty for [`Method::Get`] and [`Method::Delete`].
    pub body: Bytes,
    /// Why a template of routes.yaml could not be rendered, if so: the built-in text has taken its place.
    pub template_error: Option<String>,
}

impl Outgoing {
    /// A POST of JSON, as UTF-8: Slack wants the charset said.
    #[must_use]
    pub fn json(step: &'static str, method: Method, url: SecretString, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".into(), "application/json; charset=utf-8".into())];
        Self { step, method, url, headers, body: body.to_string().into(), template_error: None }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, method, body, .. } = self;
        write!(f, "Outgoing({step}, {method:?}, {} bytes)", body.len())
    }
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// [`Outgoing::step`] of the request.
    pub step: &'static str,
    /// HTTP status; of mail, the SMTP reply code.
    pub status: u16,
    /// The `Retry-After` header, if it was there and could be read (seconds or an HTTP date).
    pub retry_after: Option<Duration>,
    /// The body, cut after 65,536 bytes. Never assume JSON: Slack sends `ok` as text and HTML with a 500.
    pub body: Bytes,
}

/// What to do after an answer.
#[derive(Debug)]
pub enum Verdict {
    /// The service has it.
    Delivered {
        /// What the lane's next notification needs to know; replaces what was there.
        receipt: Option<Receipt>,
    },
    /// A further request is needed before it counts as delivered.
    Then(Outgoing),
    /// Not now: try again later.
    Retry {
        /// The service's own wish, if it had one.
        after: Option<Duration>,
        /// What went wrong.
        failure: Failure,
    },
    /// Never: sending the same again cannot succeed.
    Reject {
        /// What is wrong.
        failure: Failure,
    },
}

/// Why an attempt failed: a closed class for counting, and the service's words for the person who reads the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What happened, in one line, without secrets.
    pub detail: String,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: FailureClass, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into() }
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// No answer: refused, reset, DNS, TLS.
    Network,
    /// No answer in time.
    Timeout,
    /// Too many requests.
    RateLimited,
    /// The service is in trouble (5xx).
    Unavailable,
    /// Credentials are missing, wrong or not allowed to do this.
    Unauthorized,
    /// The channel, hook or key does not exist (any more).
    NotFound,
    /// The service refuses the request itself.
    Refused,
    /// An answer that makes no sense, a redirect among them.
    Unexpected,
    /// The notification cannot be encoded.
    Encode,
}

impl FailureClass {
    /// The log field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unexpected => "unexpected",
            Self::Encode => "encode",
        }
    }
}

/// A notification that can never be sent to this service.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

/// A receiver of routes.yaml, ready to use.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What deduplication and the outbox know of it.
    pub target: Target,
    /// How it is spoken to.
    pub service: Arc<dyn Receiver>,
    /// How deliveries to it are paced and how long they are tried.
    pub delivery: Delivery,
    /// Who is told of what it does not get.
    pub fallback: Option<Fallback>,
}

/// Who is told of what a receiver does not get, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Another receiver of the same file. Following fallbacks never leads back.
    pub receiver: ReceiverName,
    /// Dead letters are told at once, and what failures hold up after this long (`fallback_after`, default 5 min).
    pub after: Duration,
}

/// How deliveries to a receiver are paced and how long they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// One request at a time may take this long (`timeout`, default 10 s).
    pub timeout: Duration,
    /// A delivery that is older becomes a dead letter instead of being tried again (`retry.max_age`, default 24 h).
    pub max_age: Duration,
    /// The pace that the service takes.
    pub rate_limit: RateLimit,
}

/// A token bucket: one notification every `period`, `burst` at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time one notification costs: 1 s for `rate: 1/s`. Never zero.
    pub period: Duration,
    /// How many may go at once.
    pub burst: NonZeroU32,
    /// What becomes of those that exceed it.
    pub overflow: Overflow,
}

/// What becomes of notifications that a rate limit holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// They wait, each for its turn.
    Wait,
    /// Those that wait together are folded into one message; critical ones wait for their turn, which is the next.
    Digest,
}
