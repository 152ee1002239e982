//! Health, readiness, metrics.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Response, StatusCode, header};

use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::error::{text, typed};
use super::{Reload, State};
use crate::metrics::{Counts, Format};
use crate::store::StoreError;

/// A store that does not answer within this is not ready.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long its answer holds for whoever asks next.
const READY_FOR: Duration = Duration::from_millis(250);
/// What Prometheus asks for first.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// What the store said when it was last asked whether it can be used. It writes for that, and logs why if it cannot; and
/// anybody may ask, as often as he likes.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Said)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    Nothing,
}

impl Readiness {
    /// What it says now: asked once by all who ask at the same time.
    async fn of(&self, ping: impl Future<Output = Result<(), StoreError>>) -> Said {
        let mut last = self.0.lock().await;
        if let Some((at, said)) = *last
            && at.elapsed() < READY_FOR
        {
            return said;
        }
        let said = match tokio::time::timeout(PATIENCE, ping).await {
            Ok(Ok(())) => Said::Yes,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                Said::No
            }
            Err(_) => Said::Nothing,
        };
        *last = Some((Instant::now(), said));
        said
    }
}

/// The process lives.
pub(super) async fn healthy() -> Response<Body> {
    text(StatusCode::OK, "healthy\n")
}

/// The store answers, the configuration is loaded, nothing is shutting down.
pub(super) async fn ready(Extract(state): Extract<State>) -> Response<Body> {
    if state.draining.started() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match state.readiness.of(state.admin.ping()).await {
        Said::Yes => text(StatusCode::OK, "ready\n"),
        // The words are the store's: for the log, and not for whoever asks.
        Said::No => text(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used; the log says why\n"),
        Said::Nothing => text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_store_is_asked_once_by_all_who_ask_at_about_the_same_time() {
        let (readiness, asked) = (Readiness::default(), AtomicUsize::new(0));
        let ask = |answer: Result<(), StoreError>| {
            readiness.of(async {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                answer
            })
        };
        let broken = || Err(StoreError::Unavailable("the disk is gone".to_owned()));
        assert_eq!(tokio::join!(ask(Ok(())), ask(broken())), (Said::Yes, Said::Yes));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(READY_FOR).await;
        assert_eq!(ask(broken()).await, Said::No);
        assert_eq!((ask(Ok(())).await, asked.load(Ordering::Relaxed)), (Said::No, 2));
        tokio::time::advance(READY_FOR).await;
        assert_eq!(readiness.of(std::future::pending()).await, Said::Nothing);
        // Whoever gives up waiting does not keep the others from asking.
        tokio::time::advance(READY_FOR).await;
        let gone = tokio::time::timeout(PATIENCE / 2, readiness.of(std::future::pending()));
        assert!(gone.await.is_err());
        assert_eq!(ask(Ok(())).await, Said::Yes);
    }
}
