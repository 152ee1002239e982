//! `POST /webhook`: read, plan, commit, and only then 200.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::{Extension, body::HttpBody};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tracing::Instrument;

use super::error::{HttpError, json};
use super::serve::Peer;
use super::{Routing, State};
use crate::alert::{Alert, Status, wire};
use crate::clock::Timestamp;
use crate::dedup::Decision;
use crate::metrics::{Outcome, Stopwatch};
use crate::notification::{Reason, ReceiverName};
use crate::route::plan::{Plan, plan};
use crate::store::{Accepted, Intake, Rejected, RejectedWhat, Routed};

/// An answer comes within 8 s whatever happens inside: Alertmanager gives a group at least 10.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// So much of what was refused is kept.
const KEPT: usize = 64 * 1024;

/// The counts of the answer, over all receivers.
#[derive(Debug, Default)]
struct Counts {
    alerts: usize,
    notifications: usize,
    duplicates: usize,
    held: usize,
    rejected: usize,
}

pub(super) async fn webhook(
    Extract(state): Extract<State>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let took = Stopwatch::start();
    let peer = peer.map(|Extension(Peer(peer))| tracing::field::display(peer));
    let sender = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("webhook", peer, sender, group = tracing::field::Empty);
    let deadline = Instant::now() + ANSWER_WITHIN;
    let result = take(&state, body, deadline).instrument(span.clone()).await;
    let response = match result {
        Ok(counts) => json(
            StatusCode::OK,
            &serde_json::json!({
                "alerts": counts.alerts,
                "notifications": counts.notifications,
                "duplicates": counts.duplicates,
                "held": counts.held,
                "rejected": counts.rejected,
            }),
        ),
        Err(error) => {
            span.in_scope(|| tracing::warn!(status = error.status().as_u16(), %error, "webhook refused"));
            error.response()
        }
    };
    state.metrics.webhook(response.status().as_u16(), took);
    response
}

async fn take(state: &State, body: Body, deadline: Instant) -> Result<Counts, HttpError> {
    if state.draining.started() {
        return Err(HttpError::Unavailable("alertrouter is shutting down".to_owned()));
    }
    let bytes = match read(body, state.max_body, deadline).await? {
        Read::Whole(bytes) => bytes,
        Read::TooLarge(beginning) => {
            let error = HttpError::TooLarge { limit: state.max_body };
            keep_body(state, &error, beginning, deadline).await;
            return Err(error);
        }
    };
    let now = state.clock.now();
    let routing = state.live.current();
    let body = match wire::parse(&bytes, &routing.ignore_labels, now) {
        Ok(body) => body,
        Err(error) => {
            let error = HttpError::BadBody(error.to_string());
            keep_body(state, &error, cut(&bytes), deadline).await;
            return Err(error);
        }
    };
    drop(bytes);
    tracing::Span::current().record("group", &body.group.key);
    if let Some(version) = &body.unknown_version {
        tracing::warn!(version, "unknown version of the webhook; reading it as version 4");
    }
    accept(state, &routing, body, now, deadline).await
}

async fn accept(
    state: &State,
    routing: &Routing,
    body: wire::Body,
    now: Timestamp,
    deadline: Instant,
) -> Result<Counts, HttpError> {
    let firing = body.alerts.iter().filter(|alert| alert.status == Status::Firing).count();
    let resolved = body.alerts.len() - firing;
    let received = body.alerts.len() + body.refused.len();
    let rejected = body.refused.iter().map(|refused| kept(refused, now)).collect();
    let refused = body.refused.len();
    let Plan { alerts, merged, dropped } = plan(&routing.tree, body.alerts);
    let accepted = if let Some(copies) = all_dropped(state, routing, &alerts, refused, now) {
        copies
    } else {
        let intake = Intake {
            group: body.group.into(),
            alerts: alerts.into_iter().map(|(alert, wants)| Routed { alert, wants }).collect(),
            targets: routing.targets.clone(),
            settle: routing.settle,
            now,
            rejected,
        };
        commit(state, routing, intake, deadline).await?
    };
    // Counted once they are taken: what is answered with 503 comes again.
    body.refused.iter().for_each(|refused| note_refused(state, refused));
    state.metrics.alerts_received(Status::Firing, firing as u64);
    state.metrics.alerts_received(Status::Resolved, resolved as u64);
    if dropped > 0 {
        state.metrics.dropped_by_route(dropped as u64);
    }
    let mut counts = count(state, &accepted);
    counts.alerts = received;
    counts.duplicates += merged;
    counts.rejected = refused;
    if counts.notifications + counts.held + refused > 0 {
        let Counts { alerts, notifications, duplicates, held, rejected } = counts;
        tracing::info!(alerts, notifications, duplicates, held, rejected, "accepted");
    } else {
        tracing::debug!(alerts = counts.alerts, duplicates = counts.duplicates, "accepted, nothing new");
    }
    Ok(counts)
}

/// The cache's answer, if every alert of the body is a copy of something committed.
fn all_dropped(
    state: &State,
    routing: &Routing,
    alerts: &[(Alert, Vec<(ReceiverName, Duration)>)],
    refused: usize,
    now: Timestamp,
) -> Option<Accepted> {
    if refused > 0 {
        return None;
    }
    let mut decisions = Vec::new();
    for (alert, wants) in alerts {
        let targets = wants.iter().filter_map(|(name, repeat)| Some((routing.targets.get(name)?, *repeat)));
        decisions.extend(state.cache.drops(alert, targets, now)?);
    }
    Some(Accepted { decisions, ..Accepted::default() })
}

async fn commit(state: &State, routing: &Routing, intake: Intake, deadline: Instant) -> Result<Accepted, HttpError> {
    match tokio::time::timeout_at(deadline, state.store.accept(intake)).await {
        Ok(Ok(accepted)) => {
            for (receiver, _) in &accepted.deliveries {
                if let Some(waker) = routing.wakers.get(receiver) {
                    waker.notify_one();
                }
            }
            Ok(accepted)
        }
        Ok(Err(error)) => Err(HttpError::Unavailable(error.to_string())),
        // It may still be committed: then the sender's next try is a copy of it.
        Err(_) => Err(HttpError::Unavailable("the store did not answer in time".to_owned())),
    }
}

/// Feeds the metrics and sums up for the answer.
fn count(state: &State, accepted: &Accepted) -> Counts {
    let mut counts = Counts::default();
    let mut by_reason = HashMap::<(&ReceiverName, Reason), u64>::new();
    for (receiver, decision) in &accepted.decisions {
        match decision {
            Decision::Notify(_) => counts.notifications += 1,
            Decision::Drop(_) => counts.duplicates += 1,
            Decision::Hold => counts.held += 1,
        }
        *by_reason.entry((receiver, decision.reason())).or_default() += 1;
    }
    for (receiver, cancelled) in &accepted.cancelled {
        *by_reason.entry((receiver, Reason::Stale)).or_default() += cancelled;
    }
    for ((receiver, reason), count) in by_reason {
        state.metrics.decided(receiver, reason, count);
    }
    for (receiver, unsent) in &accepted.unsent {
        state.metrics.notifications(receiver, Outcome::Dropped, *unsent);
    }
    counts
}

fn note_refused(state: &State, refused: &wire::Refused) {
    state.metrics.rejected(RejectedWhat::Alert);
    tracing::warn!(index = refused.index, why = refused.reason, "alert refused; see `alertrouter rejected`");
}

fn kept(refused: &wire::Refused, now: Timestamp) -> Rejected {
    let content = cut(refused.content.as_bytes());
    Rejected { at: now, what: RejectedWhat::Alert, reason: refused.reason.clone(), content }
}

/// Keeps a body that is answered with 4xx. That it could not be kept does not change the answer.
async fn keep_body(state: &State, error: &HttpError, content: Vec<u8>, deadline: Instant) {
    state.metrics.rejected(RejectedWhat::Body);
    let rejected = Rejected { at: state.clock.now(), what: RejectedWhat::Body, reason: error.to_string(), content };
    match tokio::time::timeout_at(deadline, state.admin.keep_rejected(vec![rejected])).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::warn!(%error, "a refused body could not be kept"),
        Err(_) => tracing::warn!("a refused body could not be kept in time"),
    }
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(KEPT)].to_vec()
}

enum Read {
    Whole(Vec<u8>),
    /// The first [`KEPT`] bytes of a body over the limit.
    TooLarge(Vec<u8>),
}

/// Reads a body. One that is too large is read on for a while and thrown away, so that its sender gets to see the
/// answer instead of a broken connection.
async fn read(mut body: Body, limit: usize, deadline: Instant) -> Result<Read, HttpError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(announced.min(limit));
    let mut total = 0_usize;
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(frame) => frame,
            Err(_) if total > limit => break,
            Err(_) => return Err(HttpError::Unavailable("the body did not arrive in time".to_owned())),
        };
        let Some(frame) = frame else { break };
        let data = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(_) if total > limit => break,
            Err(error) => return Err(HttpError::Unavailable(format!("the body broke off: {error}"))),
        };
        total = total.saturating_add(data.len());
        if total <= limit || bytes.len() < KEPT {
            bytes.extend_from_slice(&data);
        }
        if total > limit.saturating_mul(4) {
            break;
        }
    }
    if total > limit {
        bytes.truncate(KEPT);
        return Ok(Read::TooLarge(bytes));
    }
    Ok(Read::Whole(bytes))
}
