//! What goes over the wire: a request as it was received, and its answer.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::behaviour::Then;

/// A request that a stand-in received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Bytes,
    /// The body as JSON; `Null` where it is none.
    pub json: Value,
    /// The status it was answered with; `None` where it was not, or not yet.
    pub status: Option<u16>,
    /// The body it was answered with.
    pub answer: String,
}

impl Received {
    /// The value of a header; "" without it.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Whether the service took it. Slack's Web API says no with a 200.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let refused = || serde_json::from_str::<Value>(&self.answer).is_ok_and(|answer| answer["ok"] == false);
        self.status.is_some_and(|status| (200..300).contains(&status)) && !refused()
    }

    /// Whether its body has this text in it.
    pub(super) fn contains(&self, part: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(part)
    }

    pub(super) fn is_json(&self) -> bool {
        self.header("content-type").starts_with("application/json")
    }
}

/// What a service answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// How the body goes on, where it does not end there.
    pub(crate) then: Option<Then>,
}

impl Reply {
    /// An answer that ends where it should.
    pub(super) fn new(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Self {
        Self { status, headers, body, then: None }
    }

    /// To a request that came so much too early.
    pub(super) fn too_early(early: Duration) -> Self {
        let seconds = early.as_secs() + u64::from(early.subsec_nanos() > 0);
        Self::new(429, vec![("retry-after", seconds.to_string())], String::new())
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self::new(status, vec![("content-type", "text/plain".to_owned())], body.to_owned())
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }
}
