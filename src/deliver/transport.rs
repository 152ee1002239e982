//! The one HTTP client, and the door to `mail`. Time-outs, TLS verification, no redirects and redaction are decided here, once.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret;

use super::mail;
use crate::clock::between;
use crate::receiver::{Answer, Failure, FailureClass, Method, Outgoing};

/// An answer is read so far; no service says more that matters.
const MAX_ANSWER: usize = 64 * 1024;

/// No answer was had. Never holds the URL, which may be the secret.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Refused, reset, DNS, TLS.
    #[error("{0}")]
    Network(String),
    /// The request cannot be made: a header value or URL that is none.
    #[error("the request cannot be made: {0}")]
    Invalid(&'static str),
}

impl TransportError {
    /// How it counts and what the log says.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let class = match self {
            Self::Timeout(_) => FailureClass::Timeout,
            Self::Network(_) => FailureClass::Network,
            Self::Invalid(_) => FailureClass::Encode,
        };
        Failure::new(class, self.to_string())
    }
}

/// The client that all receivers share: connections are kept and reused.
#[derive(Clone)]
pub struct Transport {
    client: reqwest::Client,
}

/// A client shows its proxies, and the address of a proxy may hold a password.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    /// A client that follows no redirects (a redirected POST becomes a GET without its body, and the 200 to that is not
    /// a delivery) and verifies certificates, always.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub fn new() -> Result<Self, String> {
        Self::built(|builder| builder)
    }

    /// The same, and the proxies of the environment are not used: for what is on this machine.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub fn without_proxy() -> Result<Self, String> {
        Self::built(reqwest::ClientBuilder::no_proxy)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
    fn built(change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Result<Self, String> {
        // Another part of the process may have chosen already; either choice is ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = change(reqwest::Client::builder())
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("alertrouter/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(Duration::from_mins(1))
            .build()
            .map_err(|error| format!("the HTTP client cannot be made: {}", chain(&error)))?;
        Ok(Self { client })
    }

    /// Sends one request. `now` is needed for a `Retry-After` that is a date.
    ///
    /// # Errors
    /// If there is no answer within `timeout`.
    pub async fn send(&self, outgoing: Outgoing, timeout: Duration, now: Timestamp) -> Result<Answer, TransportError> {
        if let Method::Mail(submission) = &outgoing.method {
            // Boxed, so that those who send nothing but HTTP do not carry the room for it.
            return Box::pin(mail::send(submission, &outgoing.body, timeout)).await;
        }
        let step = outgoing.step;
        let request = self.request(outgoing, timeout)?;
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            if error.is_timeout() { TransportError::Timeout(timeout) } else { TransportError::Network(chain(&error)) }
        };
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), now);
        let mut body = BytesMut::new();
        // With a status in hand, half a body is better than a guess that nothing arrived: the receiver decides whether the
        // status alone says that it has it.
        while body.len() < MAX_ANSWER
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_ANSWER);
        Ok(Answer { step, status, retry_after, body: Bytes::from(body) })
    }

    fn request(&self, outgoing: Outgoing, timeout: Duration) -> Result<reqwest::Request, TransportError> {
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Mail(_) => return Err(TransportError::Invalid("mail is not sent over HTTP")),
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing.headers {
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| TransportError::Invalid("a header value holds control characters"))?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| TransportError::Invalid("a header name holds characters that cannot be sent"))?;
            headers.insert(name, value);
        }
        self.client
            .request(method, outgoing.url.expose_secret())
            .headers(headers)
            .timeout(timeout)
            .body(outgoing.body)
            .build()
            .map_err(|_| TransportError::Invalid("the URL is not valid"))
    }
}

/// An error with its causes, in one line: reqwest's own text says only "error sending request".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// `Retry-After` as seconds or as an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // Some send fractions.
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(between(now, date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-21T20:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("30", Some(30)),
            ("0.4", Some(1)),
            ("Sat, 21 Nov 2026 20:01:00 GMT", Some(60)),
            ("Sat, 21 Nov 2026 19:00:00 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
