//! What an answer means where a service has no words of its own: plain HTTP.

use secrecy::SecretString;

use super::redact::redacted;
use super::{Answer, Failure, FailureClass, Verdict, text};

/// How much of an answer's body goes into a failure, in bytes.
const MAX_SAID: usize = 300;

/// What a status means that the service gave no meaning of its own.
///
/// Whatever may be temporary is tried again: a retry too many costs a request, a retry too few costs a page. A success
/// that the receiver did not recognise is one of these: somebody else answered, a proxy's login page for one.
#[must_use]
pub fn by_status(answer: &Answer, detail: String) -> Verdict {
    use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
    match answer.status {
        408 => retry(answer, Timeout, detail),
        429 => retry(answer, RateLimited, detail),
        425 | 500..=599 => retry(answer, Unavailable, detail),
        // A proxy in front of the service, under maintenance or asking for a login: it may pass.
        300..=399 => retry(answer, Unexpected, format!("{detail} (redirects are not followed)")),
        // That is the proxy's word, never the service's.
        407 => retry(answer, Unauthorized, detail),
        401 | 403 => reject(Unauthorized, detail),
        404 | 410 => reject(NotFound, detail),
        400..=499 => reject(Refused, detail),
        _ => retry(answer, Unexpected, detail),
    }
}

/// What a status means that did not come in the service's own words: a proxy or firewall in between has spoken, and may
/// speak differently in a minute. Only what is said of the request itself is final.
#[must_use]
pub fn by_foreign_status(answer: &Answer, detail: String) -> Verdict {
    match (answer.status, by_status(answer, detail)) {
        (400, verdict) if !is_page(answer) => verdict,
        (413 | 414 | 415 | 422, verdict) => verdict,
        (_, Verdict::Reject { failure }) => Verdict::Retry { after: answer.retry_after, failure },
        (_, verdict) => verdict,
    }
}

/// Try again, when the service wishes it if it said so.
#[must_use]
pub fn retry(answer: &Answer, class: FailureClass, detail: String) -> Verdict {
    Verdict::Retry { after: answer.retry_after, failure: Failure::new(class, detail) }
}

/// Never try again.
#[must_use]
pub fn reject(class: FailureClass, detail: String) -> Verdict {
    Verdict::Reject { failure: Failure::new(class, detail) }
}

/// The status and what the service said, in one line and without `secrets`.
///
/// `words` are the service's own where they could be found in the body; without them the body itself is shown, unless
/// it is a page of HTML, which says nothing in its first line.
#[must_use]
pub fn detail(answer: &Answer, words: Option<&str>, secrets: &[&SecretString]) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let said = match words {
        Some(words) => words,
        // Whatever else it says, it may quote the password that the environment has for it.
        None if answer.status == 407 => "a proxy wants other credentials",
        None if is_page(answer) => "an HTML page",
        None => &body,
    };
    let said = redacted(&text::one_line(said), secrets);
    let said = text::cut(&said, MAX_SAID);
    if said.is_empty() { format!("HTTP {}", answer.status) } else { format!("HTTP {}: {said}", answer.status) }
}

/// Whether the body is a page for people.
fn is_page(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { step: "post", status, retry_after: Some(Duration::from_secs(7)), body: body.into() }
    }

    #[test]
    fn what_may_be_temporary_is_tried_again() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        for (status, again, class) in [
            (100, true, Unexpected),
            (200, true, Unexpected),
            (302, true, Unexpected),
            (400, false, Refused),
            (401, false, Unauthorized),
            (403, false, Unauthorized),
            (404, false, NotFound),
            (407, true, Unauthorized),
            (408, true, Timeout),
            (410, false, NotFound),
            (413, false, Refused),
            (422, false, Refused),
            (425, true, Unavailable),
            (429, true, RateLimited),
            (500, true, Unavailable),
            (503, true, Unavailable),
            (599, true, Unavailable),
        ] {
            match by_status(&answer(status, ""), String::new()) {
                Verdict::Retry { after, failure } => {
                    assert_eq!((again, failure.class), (true, class), "{status}");
                    assert_eq!(after, Some(Duration::from_secs(7)), "{status}");
                }
                Verdict::Reject { failure } => assert_eq!((again, failure.class), (false, class), "{status}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_detail_is_one_line_without_secrets() {
        let secret = SecretString::from("https://hooks.example/services/T0/B0/marker-of-a-token");
        for (body, expected) in [
            ("", "HTTP 500"),
            ("rollup\nerror", "HTTP 500: rollup error"),
            ("  <!DOCTYPE html><title>x", "HTTP 500: an HTML page"),
            ("no route to /services/T0/B0/marker-of-a-token!", "HTTP 500: no route to /***/T0/B0/***!"),
            ("https://hooks.example/services/T0/B0/marker-of-a-token", "HTTP 500: ***"),
        ] {
            assert_eq!(detail(&answer(500, body), None, &[&secret]), expected);
        }
        let proxy = answer(407, "Proxy-Authorization: Basic bWFya2VyOm9mIGEgcHJveHk=");
        assert_eq!(detail(&proxy, None, &[&secret]), "HTTP 407: a proxy wants other credentials");
        let secret = SecretString::from("https://somebody:marker-of-a-password@hooks.example/");
        assert_eq!(detail(&answer(401, "bad: marker-of-a-password"), None, &[&secret]), "HTTP 401: bad: ***");
    }
}
