//! One attempt without the outbox, watched: `alertrouter send`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Transport;
use super::attempt::{Final, Line, attempt};
use crate::clock::{SharedClock, Timestamp};
use crate::metrics::Metrics;
use crate::notification::{Granularity, Notification, Receipt};
use crate::receiver::{Answer, Definition, EncodeError, Failure, Method, Outgoing, Receiver, Verdict, judge};
use crate::traces::Within;

/// What was asked and answered, and what it means.
#[derive(Debug)]
pub struct Trial {
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// What came of them.
    pub end: End,
}

/// A request of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` or `PATCH`.
    pub method: &'static str,
    /// Scheme, host and port: the rest of a URL may be the secret.
    pub to: String,
    /// Why a template could not be rendered, if so: the built-in text was sent.
    pub template_error: Option<String>,
    /// Status and first words of the answer, without what the request's URL and headers hold; `None` if there was none.
    pub answer: Option<String>,
}

/// How a trial ended.
#[derive(Debug)]
pub enum End {
    /// The service has it.
    Accepted {
        /// For the next notification of the same lane.
        receipt: Option<Receipt>,
    },
    /// Not now: the service would be tried again.
    NotNow(Failure),
    /// Never: it would be a dead letter.
    Refused(Failure),
}

/// Sends a notification to a receiver, once. Nothing is stored, and no rate limit is waited for.
pub async fn trial(
    definition: &Definition,
    notification: Notification,
    transport: &Transport,
    clock: &SharedClock,
) -> Trial {
    let watched = Arc::new(Watched { service: definition.service.clone(), seen: Mutex::default() });
    let (notification, timeout) = (Arc::new(notification), definition.delivery.timeout);
    // Nobody reads these.
    let metrics = Arc::new(Metrics::new());
    let line = Line { transport: transport.clone(), clock: clock.clone(), metrics };
    let end = match attempt(watched.clone(), &notification, &line, timeout, Within::default()).await {
        Final::Delivered { receipt, .. } => End::Accepted { receipt },
        Final::Retry { failure, .. } => End::NotNow(failure),
        Final::Reject { failure } => End::Refused(failure),
    };
    let requests = std::mem::take(&mut watched.seen().requests);
    Trial { requests, end }
}

/// A receiver, and what goes through it.
#[derive(Debug)]
struct Watched {
    service: Arc<dyn Receiver>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Request>,
    /// What the last of them must keep to itself.
    secrets: Vec<SecretString>,
}

/// What a request to a mail server is called.
const MAIL: &str = "MAIL";

/// `https://hooks.slack.com`, `smtp://mail.example:587`: what of an address is no secret.
fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

impl Watched {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, outgoing: &Outgoing) {
        let method = match &outgoing.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Mail(_) => MAIL,
        };
        let to = Url::parse(outgoing.url.expose_secret()).map(|url| origin(&url));
        let mut seen = self.seen();
        seen.secrets = outgoing.headers.iter().map(|(_, value)| value.clone()).collect();
        seen.secrets.push(outgoing.url.clone());
        if let Method::Mail(submission) = &outgoing.method {
            seen.secrets.extend(submission.auth.iter().map(|auth| auth.password.clone()));
        }
        seen.requests.push(Request {
            method,
            to: to.unwrap_or_else(|_| "an address that is none".to_owned()),
            template_error: outgoing.template_error.clone(),
            answer: None,
        });
    }
}

impl Receiver for Watched {
    fn granularity(&self) -> Granularity {
        self.service.granularity()
    }

    fn keeps_state(&self) -> bool {
        self.service.keeps_state()
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        let outgoing = self.service.encode(notification)?;
        self.note(&outgoing);
        Ok(outgoing)
    }

    fn without_request(&self, notification: &Notification) -> Option<Verdict> {
        self.service.without_request(notification)
    }

    fn stamp(&self, outgoing: &mut Outgoing, at: Timestamp) {
        self.service.stamp(outgoing, at);
    }

    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        let verdict = self.service.judge(notification, answer);
        let mut seen = self.seen();
        let secrets: Vec<&SecretString> = seen.secrets.iter().collect();
        let said = match &verdict {
            // In the service's own words, without any of its secrets.
            Verdict::Retry { failure, .. } | Verdict::Reject { failure } => failure.detail.clone(),
            Verdict::Delivered { .. } | Verdict::Then(_) => judge::detail(answer, None, &secrets),
        };
        if let Some(last) = seen.requests.last_mut() {
            // A mail server has codes of its own.
            let said = if last.method == MAIL { said.replacen("HTTP ", "SMTP ", 1) } else { said };
            last.answer = Some(said);
        }
        drop(seen);
        if let Verdict::Then(next) = &verdict {
            self.note(next);
        }
        verdict
    }
}
