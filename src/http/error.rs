//! Answers that are not 200.
//!
//! Alertmanager tries again after a 5xx and after nothing else: 429 and every other 4xx are final to it, and a redirect
//! turns its POST into a GET (prometheus/alertmanager, `notify/util.go`). So whatever may pass is a 503.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode, Uri, header};

/// How soon the sender should come back after a 503.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Why a request was not answered with 200.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The body can never be read.
    #[error("{0}")]
    BadBody(String),
    /// The body is larger than `--max-body`.
    #[error(
        "the body is larger than {limit} bytes (--max-body); set max_alerts in Alertmanager's webhook_configs or group by more labels"
    )]
    TooLarge {
        /// `--max-body`.
        limit: usize,
    },
    /// Not now.
    #[error("{0}; try again")]
    Unavailable(String),
}

impl HttpError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = json(self.status(), &serde_json::json!({ "error": self.to_string() }));
        if matches!(self, Self::Unavailable(_)) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        response
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    typed(status, "application/json", format!("{body}\n"))
}

/// A text answer.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", body.into())
}

/// An answer of a content type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

pub(super) async fn not_found(uri: Uri) -> Response<Body> {
    let known = "POST /webhook, GET /-/healthy, GET /-/ready, POST /-/reload, GET /metrics";
    text(StatusCode::NOT_FOUND, format!("nothing is served at {}; there are {known}\n", uri.path().escape_debug()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response<Body> {
    text(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}\n", uri.path().escape_debug()))
}
