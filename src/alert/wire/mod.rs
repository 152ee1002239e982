//! Alertmanager's webhook, version "4": the only serde of alerts.
//!
//! Tolerant, because a page hangs on it: unknown fields are ignored, missing or odd optional ones get their defaults,
//! and one broken alert does not sink the others of its group. Broken is one whose status, labels or times cannot be
//! read: it is kept for people to look at instead of being guessed. The shape and its history from Alertmanager 0.20 to 0.34
//! are Alertmanager's `notify/webhook` and `template` packages; Grafana and vmalert send copies of it.
//!
//! Hostile bodies end here, too: whatever is kept of one is within [`limits`], and reading needs little more memory than
//! the body itself. Nothing recurses into what is nested, so its depth is no matter.

pub mod limits;
mod read;
mod stored;
#[cfg(test)]
mod tests;
mod text;

use limits::{Cuts, REASON_BYTES, Truncated};
use read::BodyIn;

use super::{Alert, Group};
use crate::clock::{Timestamp, to_micros};

/// A webhook body, as far as it could be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// What the alerts have in common.
    pub group: Group,
    /// The alerts that could be read, in their order.
    pub alerts: Vec<Alert>,
    /// The first of the alerts that could not: at most [`limits::REFUSED`].
    pub refused: Vec<Refused>,
    /// How many alerts could not be read.
    pub refused_count: usize,
    /// What was over a limit. Alerts that were left out are also among [`Group::truncated_alerts`], so that every message
    /// says so.
    pub cuts: Cuts,
    /// Whether the body was no UTF-8 and had to be mended.
    pub mended: bool,
    /// The protocol version, where it is neither Alertmanager's "4" nor Grafana's "1": worth a warning.
    pub unknown_version: Option<String>,
}

/// An alert that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the body, from 0.
    pub index: usize,
    /// What is wrong with it, in one line.
    pub reason: String,
    /// Its JSON, the first [`limits::REFUSED_BYTES`].
    pub content: String,
}

/// A body that can never be read, however often it is sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// Not JSON, not an object, or `alerts` is not a list.
    #[error("the body is not an Alertmanager webhook: {0}")]
    Malformed(String),
    /// There is no alert in it.
    #[error(
        "the body holds no alerts; is a custom `payload` set in Alertmanager's webhook_configs? alertrouter needs the default one"
    )]
    NoAlerts,
    /// None of its alerts can be read.
    #[error("no alert can be read of {count}; the first: {first}")]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
}

/// Reads a webhook body.
///
/// `ignored` are the labels that the fingerprint leaves out. `now` stands in for the end of a resolved alert that does
/// not say when it ended.
///
/// # Errors
/// If no alert can be had from it.
pub fn parse(body: &[u8], ignored: &[String], now: Timestamp) -> Result<Body, BodyError> {
    let (json, mended) = text::decoded(body);
    let mut read = BodyIn::new(ignored, now);
    text::fill(&json, &mut read).map_err(|error| {
        let what = compression_or_encoding(body).map_or_else(|| error.to_string(), |what| format!("{error}: {what}"));
        BodyError::Malformed(text::shown(&what, REASON_BYTES))
    })?;
    if read.alerts.is_empty() {
        let first = read.refused.into_iter().next().map(|refused| refused.reason);
        let none_readable = |first| BodyError::NoneReadable { count: read.refused_count, first };
        return Err(first.map_or(BodyError::NoAlerts, none_readable));
    }
    read.group.truncated_alerts += read.cuts.count(Truncated::Alerts);
    let unknown_version = Some(read.version).filter(|version| !matches!(version.as_str(), "" | "4" | "1"));
    Ok(Body {
        group: read.group,
        alerts: read.alerts,
        refused: read.refused,
        refused_count: read.refused_count,
        cuts: read.cuts,
        mended,
        unknown_version,
    })
}

/// What a body is that is no JSON for a reason that its sender can do something about.
fn compression_or_encoding(body: &[u8]) -> Option<&'static str> {
    match body {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("it is compressed; send it as it is"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] => Some("it is UTF-16; JSON is UTF-8"),
        _ => None,
    }
}

/// A time as RFC 3339 has it. Go's zero time, `0001-01-01T00:00:00Z`, and nothing at all mean absent. One that cannot be
/// read makes the alert broken, for it may be a new episode or an old one.
fn parse_time(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let zero = Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN);
    let at: Timestamp = text.parse().map_err(|_| format!("{text:?} is not a time as RFC 3339 has it"))?;
    Ok(Some(to_micros(at)).filter(|at| *at > zero))
}
