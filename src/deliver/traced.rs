//! What a trace shows of an attempt and its requests, by OpenTelemetry's conventions for a client. Of an address only host and
//! port: the rest may be the secret.

use secrecy::ExposeSecret;
use url::Url;

use super::policy::Next;
use super::{Transport, TransportError};
use crate::notification::ReceiverName;
use crate::receiver::{Answer, Failure, Method, Outgoing};
use crate::store::Leased;
use crate::traces::{Collector, Posting, Reply, Request, Span, Traces, Within};

/// An attempt.
pub(super) fn attempt(traces: &Traces, receiver: &ReceiverName, leased: &Leased) -> Span {
    let mut span = traces.attempt(receiver.as_str(), leased.traceparent.as_ref(), &leased.links);
    if span.is_seen() {
        let said = &leased.notification;
        span.set("alertrouter.receiver", receiver.as_str());
        span.set("alertrouter.delivery.id", leased.lease.delivery.0);
        span.set("alertrouter.group", said.group.key.as_str());
        span.set("alertrouter.attempt", said.attempt);
        span.set("alertrouter.alerts", said.alerts.len());
        if let Some(fallback) = &said.fallback {
            span.set("alertrouter.fallback_for", fallback.receiver.as_str());
        }
        if said.digest.is_some() {
            span.set("alertrouter.notifications", leased.carries.len());
        }
    }
    span
}

/// How it ended.
pub(super) fn ended(span: &mut Span, next: &Next) {
    let (outcome, failure) = match next {
        Next::Delivered { .. } => ("delivered", None),
        Next::Again { failure, .. } => ("retried", Some(failure)),
        Next::Dead { failure, .. } => ("dead", Some(failure)),
    };
    span.set("alertrouter.outcome", outcome);
    if let Some(Failure { class, detail, .. }) = failure {
        span.fail(class.as_str(), detail);
    }
}

/// A request of it.
pub(super) fn request(attempt: &Within, outgoing: &Outgoing) -> Span {
    let method = match outgoing.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Mail(_) => "MAIL",
    };
    let mut span = attempt.request(method);
    if span.is_seen() {
        if matches!(outgoing.method, Method::Mail(_)) {
            span.set("network.protocol.name", "smtp");
        } else {
            span.set("http.request.method", method);
        }
        span.set("alertrouter.step", outgoing.step);
        if let Ok(url) = Url::parse(outgoing.url.expose_secret()) {
            span.set("server.address", url.host_str().unwrap_or_default());
            if let Some(port) = url.port_or_known_default() {
                span.set("server.port", port);
            }
        }
    }
    span
}

/// What came back.
pub(super) fn answered(mut span: Span, mail: bool, answer: Result<&Answer, &TransportError>) {
    match answer {
        Ok(Answer { status, .. }) => {
            span.set(if mail { "smtp.response.status_code" } else { "http.response.status_code" }, *status);
            if *status >= 400 && span.is_seen() {
                span.fail(status.to_string().as_str(), "");
            }
        }
        Err(error) if span.is_seen() => {
            let failure = error.failure();
            span.fail(failure.class.as_str(), &failure.detail);
        }
        Err(_) => (),
    }
}

/// Traces go out by the client that all receivers share: the same certificates, the same proxies.
impl Collector for Transport {
    fn post(&self, request: Request) -> Posting<'_> {
        Box::pin(async move {
            let Request { url, headers, body, timeout, now } = request;
            let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
            let outgoing = Outgoing { step: "traces", method: Method::Post, url, headers, body, template_error: None };
            let answer = self.send(outgoing, timeout, now).await.map_err(|error| error.to_string())?;
            Ok(Reply { status: answer.status, retry_after: answer.retry_after, body: answer.body })
        })
    }
}
