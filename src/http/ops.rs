//! Health, readiness, metrics.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Response, StatusCode, header};

use tokio::sync::oneshot;

use super::error::{text, typed};
use super::{Reload, State};
use crate::metrics::{Counts, Format};

/// A store that does not answer within this is not ready.
const PATIENCE: Duration = Duration::from_secs(5);
/// What Prometheus asks for first.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The process lives.
pub(super) async fn healthy() -> Response<Body> {
    text(StatusCode::OK, "healthy\n")
}

/// The store answers, the configuration is loaded, nothing is shutting down.
pub(super) async fn ready(Extract(state): Extract<State>) -> Response<Body> {
    if state.draining.started() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match tokio::time::timeout(PATIENCE, state.admin.ping()).await {
        Ok(Ok(())) => text(StatusCode::OK, "ready\n"),
        Ok(Err(error)) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

/// Loads routes.yaml again: checked first, then switched. A bad file changes nothing.
pub(super) async fn reload(Extract(state): Extract<State>) -> Response<Body> {
    if state.draining.started() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    let (reply, answer) = oneshot::channel();
    if state.reload.send(Reload(Some(reply))).await.is_err() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match answer.await {
        Ok(Ok(())) => text(StatusCode::OK, "reloaded\n"),
        Ok(Err(problems)) => text(StatusCode::BAD_REQUEST, problems),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
    }
}

/// All metrics, in the OpenMetrics format if the client asks for it.
pub(super) async fn metrics(Extract(state): Extract<State>, headers: HeaderMap) -> Response<Body> {
    let counted = match tokio::time::timeout(PATIENCE, state.admin.stats()).await {
        Ok(Ok(counted)) => Some(counted),
        // The counters are worth having even if the store's counts are not to be had.
        Ok(Err(error)) => {
            tracing::warn!(%error, "the outbox could not be counted");
            None
        }
        Err(_) => {
            tracing::warn!("the outbox could not be counted in time");
            None
        }
    };
    let (routing, now) = (state.live.current(), state.clock.now());
    let receivers = || routing.targets.keys().collect();
    let counts = counted.as_ref().map(|counted| Counts { receivers: receivers(), stats: counted, now });
    let accepted = headers.get_all(header::ACCEPT);
    let is_open = accepted.iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(OPEN_METRICS)));
    let (format, content_type) = if is_open {
        (Format::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        (Format::Classic, "text/plain; version=0.0.4; charset=utf-8")
    };
    match state.metrics.scrape(counts.as_ref(), format) {
        Ok(body) => typed(StatusCode::OK, content_type, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
