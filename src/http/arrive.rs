//! A body on its way in: no faster than there is room for it, and no more of it than may be.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::State;
use super::error::HttpError;
use super::room::{Arrival, SMALL};

/// So much of what was refused is kept.
pub(super) const KEPT: usize = 64 * 1024;
/// How often a body that arrives slowly is asked whether it is in the way.
const LOOK: Duration = Duration::from_millis(250);

/// What arrived.
pub(super) enum Read<'r> {
    /// All of it.
    Whole(Arrived<'r>),
    /// The first [`KEPT`] bytes of a body over the limit.
    TooLarge(Vec<u8>),
}

/// A body, and the room that it takes.
pub(super) struct Arrived<'r> {
    pub(super) bytes: Vec<u8>,
    _room: Arrival<'r>,
}

/// Reads a body. One that is too large is read on for a while and thrown away, so that its sender gets to see the
/// answer instead of a broken connection.
pub(super) async fn read(mut body: Body, state: &State, deadline: Instant) -> Result<Read<'_>, HttpError> {
    let limit = state.max_body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).min(limit);
    let (mut bytes, mut room) = (Vec::with_capacity(announced.min(SMALL)), state.room.arrival());
    let mut total = 0_usize;
    loop {
        let frame = match next_frame(&mut body, &room, total, deadline).await {
            Ok(frame) => frame,
            Err(_) if total > limit => break,
            Err(error) => return Err(error),
        };
        let Some(data) = frame else { break };
        total = total.saturating_add(data.len());
        if total <= limit {
            room.grow(total, deadline).await?;
            if total > bytes.capacity() && total <= announced {
                // Memory that nothing was written to is none.
                bytes.reserve_exact(announced - bytes.len());
            }
            bytes.extend_from_slice(&data);
        } else {
            bytes.extend_from_slice(&data[..data.len().min(KEPT.saturating_sub(bytes.len()))]);
            bytes.truncate(KEPT);
            bytes.shrink_to_fit();
            room = state.room.arrival();
        }
        if total > limit.saturating_mul(4) {
            break;
        }
    }
    if total > limit {
        bytes.truncate(KEPT);
        return Ok(Read::TooLarge(bytes));
    }
    Ok(Read::Whole(Arrived { bytes, _room: room }))
}

/// The next bytes of a body; `None` at its end.
async fn next_frame(
    body: &mut Body,
    room: &Arrival<'_>,
    total: usize,
    deadline: Instant,
) -> Result<Option<bytes::Bytes>, HttpError> {
    loop {
        if room.gives_way(total) {
            return Err(HttpError::Unavailable(
                "the body arrived too slowly while others waited for its room".to_owned(),
            ));
        }
        let until = if total > SMALL { deadline.min(Instant::now() + LOOK) } else { deadline };
        match tokio::time::timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                // Trailers are of no interest.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(error))) => return Err(HttpError::Unavailable(format!("the body broke off: {error}"))),
            Err(_) if Instant::now() >= deadline => {
                return Err(HttpError::Unavailable("the body did not arrive in time".to_owned()));
            }
            Err(_) => {}
        }
    }
}
