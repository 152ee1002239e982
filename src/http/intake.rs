//! `POST /webhook`: read, plan, commit, and only then 200.

use std::collections::HashMap;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Response, StatusCode, header};
use tokio::time::Instant;
use tracing::Instrument;

use super::arrive::{KEPT, Read, read};
use super::connection::Connection;
use super::error::{HttpError, json};
use super::{Routing, State, traced};
use crate::alert::wire::limits::Truncated;
use crate::alert::{Alert, Status, wire};
use crate::clock::Timestamp;
use crate::dedup::Decision;
use crate::heartbeat::Moment;
use crate::metrics::{Metrics, Outcome, Stopwatch};
use crate::notification::{Reason, ReceiverName};
use crate::route::plan::{Plan, plan};
use crate::store::{Accepted, Held, Intake, Rejected, RejectedWhat, Routed};
use crate::traces::Span;

/// An answer comes within 8 s whatever happens inside: Alertmanager gives a group at least 10.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// So many refused alerts of a body have a line of their own in the log.
const LOGGED: usize = 10;

/// What a sender can make the log say as often as he likes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// A webhook was answered with this status.
    Refused(u16),
    /// An alert was refused.
    Alert,
    /// Something of a body was left out or cut.
    Cut,
}

/// The counts of the answer, over all receivers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) alerts: usize,
    pub(super) notifications: usize,
    pub(super) duplicates: usize,
    pub(super) held: usize,
    pub(super) rejected: usize,
}

pub(super) async fn webhook(
    Extract(state): Extract<State>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let took = Stopwatch::start();
    let connection = connection.map(|Extension(connection)| connection);
    let mut traced = traced::webhook(&state.traces, &headers, connection.as_ref());
    let peer = connection.map(|connection| tracing::field::display(connection.peer));
    let trace_id = traced.trace_id().map(tracing::field::display);
    let sender = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("webhook", peer, sender, group = tracing::field::Empty, trace_id);
    let deadline = Instant::now() + ANSWER_WITHIN;
    let result = take(&state, body, deadline, &mut traced).instrument(span.clone()).await;
    let error = result.as_ref().err();
    traced::answered(&mut traced, error.map_or(StatusCode::OK, HttpError::status), error);
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
            let status = error.status().as_u16();
            if let Some(left_out) = state.log.has_room(Said::Refused(status), state.clock.monotonic()) {
                let left_out = (left_out > 0).then_some(left_out);
                span.in_scope(|| tracing::warn!(status, %error, left_out, "webhook refused"));
            }
            error.response()
        }
    };
    state.metrics.webhook(response.status().as_u16(), took);
    response
}

async fn take(state: &State, body: Body, deadline: Instant, traced: &mut Span) -> Result<Counts, HttpError> {
    if state.draining.started() {
        return Err(HttpError::Unavailable("alertrouter is shutting down".to_owned()));
    }
    let arrived = match read(body, state, deadline).await? {
        Read::Whole(arrived) => arrived,
        Read::TooLarge(beginning) => {
            let error = HttpError::TooLarge { limit: state.max_body };
            keep_body(state, &error, &beginning, deadline).await;
            return Err(error);
        }
    };
    let held = Held::of(state.room.handle(arrived.bytes.len(), deadline).await?);
    let now = state.clock.now();
    let routing = state.live.current();
    let body = match wire::parse(&arrived.bytes, &routing.ignore_labels, now) {
        Ok(body) => body,
        Err(error) => {
            let error = HttpError::BadBody(error.to_string());
            keep_body(state, &error, &arrived.bytes, deadline).await;
            return Err(error);
        }
    };
    drop(arrived);
    tracing::Span::current().record("group", &body.group.key);
    traced.set("alertrouter.group", body.group.key.as_str());
    if let Some(version) = &body.unknown_version {
        tracing::warn!(version, "unknown version of the webhook; reading it as version 4");
    }
    if body.mended {
        tracing::warn!("the body is not UTF-8; what is broken in it is shown as \u{fffd}");
    }
    accept(state, &routing, body, held, (now, deadline), traced).await
}

async fn accept(
    state: &State,
    routing: &Routing,
    mut body: wire::Body,
    held: Held,
    (now, deadline): (Timestamp, Instant),
    traced: &mut Span,
) -> Result<Counts, HttpError> {
    let firing = body.alerts.iter().filter(|alert| alert.status == Status::Firing).count();
    let resolved = body.alerts.len() - firing;
    let left_out = usize::try_from(body.cuts.count(Truncated::Alerts)).unwrap_or(usize::MAX);
    let refused = body.refused_count + left_out;
    let received = body.alerts.len() + refused;
    let rejected = to_keep(state, &body, now);
    let kept = rejected.len();
    let beats = routing.heartbeats.among(&body.alerts);
    let sender = if beats.is_empty() { String::new() } else { body.group.external_url.clone() };
    let planning = traced.step("plan");
    let Plan { alerts, merged, dropped } = plan(&routing.tree, std::mem::take(&mut body.alerts));
    drop(planning);
    // What was refused has to be on disk, too, before the answer.
    let copies = if kept == 0 { all_dropped(state, routing, &alerts, now) } else { None };
    let accepted = if let Some(copies) = copies {
        copies
    } else {
        let intake = Intake {
            group: std::mem::take(&mut body.group).into(),
            alerts: alerts.into_iter().map(|(alert, wants)| Routed { alert, wants }).collect(),
            targets: routing.targets.clone(),
            settle: routing.settle,
            now,
            rejected,
            held,
            traceparent: traced.traceparent(),
        };
        let step = traced.step("commit");
        let committed = commit(state, routing, intake, deadline).await;
        traced::committed(step, committed.as_ref());
        committed.inspect_err(|_| beats.iter().for_each(|pulse| pulse.refuse()))?
    };
    for pulse in beats {
        pulse.beat(Moment::of(&*state.clock), &sender);
    }
    // Counted once they are taken: what is answered with 503 comes again.
    note_refused(state, &body, kept);
    state.metrics.alerts_received(Status::Firing, firing as u64);
    state.metrics.alerts_received(Status::Resolved, resolved as u64);
    if dropped > 0 {
        state.metrics.dropped_by_route(dropped as u64);
    }
    let mut counts = count(state, &accepted);
    counts.alerts = received;
    counts.duplicates += merged;
    counts.rejected = refused;
    traced::counted(traced, &counts);
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
    now: Timestamp,
) -> Option<Accepted> {
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
            routing.wake(&accepted);
            Ok(accepted)
        }
        Ok(Err(error)) => Err(HttpError::Unavailable(error.to_string())),
        // It may still be committed: then the sender's next try is a copy of it.
        Err(_) => Err(HttpError::Unavailable("the store did not answer in time".to_owned())),
    }
}

/// Feeds the metrics, and sums up for the answer.
fn count(state: &State, accepted: &Accepted) -> Counts {
    note_decisions(&state.metrics, accepted);
    let mut counts = Counts::default();
    for (_, decision) in &accepted.decisions {
        match decision {
            Decision::Notify(_) => counts.notifications += 1,
            Decision::Drop(_) => counts.duplicates += 1,
            Decision::Hold => counts.held += 1,
        }
    }
    counts
}

/// Feeds the metrics with what was decided.
pub fn note_decisions(metrics: &Metrics, accepted: &Accepted) {
    let mut by_reason = HashMap::<(&ReceiverName, Reason), u64>::new();
    for (receiver, decision) in &accepted.decisions {
        *by_reason.entry((receiver, decision.reason())).or_default() += 1;
    }
    for (receiver, cancelled) in &accepted.cancelled {
        *by_reason.entry((receiver, Reason::Stale)).or_default() += cancelled;
    }
    for ((receiver, reason), count) in by_reason {
        metrics.decided(receiver, reason, count);
    }
    for (receiver, unsent) in &accepted.unsent {
        metrics.notifications(receiver, Outcome::Dropped, *unsent);
    }
}

/// What of the alerts that were refused is kept.
fn to_keep(state: &State, body: &wire::Body, now: Timestamp) -> Vec<Rejected> {
    if body.refused.is_empty() {
        return Vec::new();
    }
    let count = state.keep.take(body.refused.len(), state.clock.monotonic());
    let keep = |refused: &wire::Refused| {
        let content = refused.content.clone().into_bytes();
        Rejected { at: now, what: RejectedWhat::Alert, reason: refused.reason.clone(), content }
    };
    body.refused.iter().take(count).map(keep).collect()
}

/// Counts and logs what was refused, and what was over a limit.
fn note_refused(state: &State, body: &wire::Body, kept: usize) {
    state.metrics.truncated(&body.cuts);
    let [alerts, annotations, links, group] = Truncated::ALL.map(|what| body.cuts.count(what));
    let has_room = |what| state.log.has_room(what, state.clock.monotonic());
    if alerts + annotations + links + group > 0
        && let Some(left_out) = has_room(Said::Cut)
    {
        let left_out = (left_out > 0).then_some(left_out);
        tracing::warn!(
            alerts,
            annotations,
            links,
            group,
            left_out,
            "the body is over limits: what is over them is cut or left out"
        );
    }
    if body.refused_count == 0 {
        return;
    }
    state.metrics.rejected(RejectedWhat::Alert, body.refused_count);
    state.metrics.not_kept(body.refused_count - kept);
    // Of the bodies that were said nothing of, the metrics speak.
    if has_room(Said::Alert).is_none() {
        return;
    }
    for refused in body.refused.iter().take(LOGGED) {
        tracing::warn!(index = refused.index, why = refused.reason, "alert refused; see `alertrouter rejected`");
    }
    if body.refused_count > LOGGED || kept < body.refused_count {
        tracing::warn!(refused = body.refused_count, kept, "not all alerts that were refused are logged or kept");
    }
}

/// Keeps a body that is answered with 4xx. That it could not be kept does not change the answer.
async fn keep_body(state: &State, error: &HttpError, body: &[u8], deadline: Instant) {
    state.metrics.rejected(RejectedWhat::Body, 1);
    if state.keep.take(1, state.clock.monotonic()) == 0 {
        state.metrics.not_kept(1);
        return;
    }
    let content = body[..body.len().min(KEPT)].to_vec();
    let rejected = Rejected { at: state.clock.now(), what: RejectedWhat::Body, reason: error.to_string(), content };
    match tokio::time::timeout_at(deadline, state.admin.keep_rejected(vec![rejected])).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::warn!(%error, "a refused body could not be kept"),
        Err(_) => tracing::warn!("a refused body could not be kept in time"),
    }
}
