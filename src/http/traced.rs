//! What a trace shows of a webhook, by OpenTelemetry's conventions for a server of HTTP.

use axum::http::{HeaderMap, StatusCode, header};

use super::connection::Connection;
use super::error::HttpError;
use super::intake::Counts;
use crate::store::Accepted;
use crate::traces::{Span, Traces};

/// The request, in the sender's trace if it says that it is in one. Only of those who were let in, so nobody else can add to
/// a trace.
pub(super) fn webhook(traces: &Traces, headers: &HeaderMap, connection: Option<&Connection>) -> Span {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Two are none: nobody could say which is meant.
    let parent = text("traceparent").filter(|_| headers.get_all("traceparent").iter().count() == 1);
    let mut span = traces.request("POST /webhook", parent, text("tracestate"));
    if span.is_seen() {
        span.set("http.request.method", "POST");
        span.set("http.route", "/webhook");
        span.set("url.path", "/webhook");
        if let Some(agent) = text(header::USER_AGENT.as_str()) {
            span.set("user_agent.original", agent);
        }
        if let Some(connection) = connection {
            span.set("url.scheme", if connection.secure { "https" } else { "http" });
            span.set("client.address", connection.peer.ip().to_string().as_str());
        }
    }
    span
}

/// How it was answered. Only what is our own doing is an error of the span.
pub(super) fn answered(span: &mut Span, status: StatusCode, error: Option<&HttpError>) {
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() && span.is_seen() {
        let why = error.map(ToString::to_string).unwrap_or_default();
        span.fail(status.as_str(), &why);
    }
}

/// What became of its alerts.
pub(super) fn counted(span: &mut Span, counts: &Counts) {
    let Counts { alerts, notifications, duplicates, held, rejected } = *counts;
    for (name, count) in [
        ("alertrouter.alerts", alerts),
        ("alertrouter.notifications", notifications),
        ("alertrouter.duplicates", duplicates),
        ("alertrouter.held", held),
        ("alertrouter.rejected", rejected),
    ] {
        span.set(name, count);
    }
}

/// What was committed: how many deliveries can go.
pub(super) fn committed(mut span: Span, result: Result<&Accepted, &HttpError>) {
    match result {
        Ok(accepted) => {
            let deliveries: u64 = accepted.deliveries.iter().map(|(_, count)| count).sum();
            span.set("alertrouter.deliveries", i64::try_from(deliveries).unwrap_or(i64::MAX));
        }
        Err(error) if span.is_seen() => span.fail("store", &error.to_string()),
        Err(_) => (),
    }
}
