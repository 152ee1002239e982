//! Slack, through an incoming webhook.
//!
//! The webhook answers a success with `ok` as plain text and a failure with a word as plain text
//! (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). It tells no message id, so a message cannot be
//! changed later: a resolve is a new message.

mod blocks;
mod message;
#[cfg(test)]
mod tests;

use secrecy::SecretString;

use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, describe, judge};
use crate::notification::{Granularity, Notification};

/// Slack, by an incoming webhook.
#[derive(Debug)]
pub struct Slack {
    /// The incoming webhook; its path is the token.
    pub webhook_url: SecretString,
}

impl Receiver for Slack {
    fn granularity(&self) -> Granularity {
        Granularity::Group
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        describe::some_alert(notification)?;
        let body = message::message(notification);
        Ok(Outgoing::json("post", Method::Post, self.webhook_url.clone(), &body))
    }

    fn judge(&self, _notification: &Notification, answer: &Answer) -> Verdict {
        let body = String::from_utf8_lossy(&answer.body);
        let word = body.trim();
        let detail = judge::detail(answer, None, &[&self.webhook_url]);
        match (answer.status, class_of(word)) {
            (200, _) if word == "ok" => Verdict::Delivered { receipt: None },
            // In trouble or too fast, whatever it says.
            (408 | 425 | 429 | 500..=599, _) | (_, None) => judge::by_foreign_status(answer, detail),
            (_, Some(FailureClass::Unavailable)) => judge::retry(answer, FailureClass::Unavailable, detail),
            (_, Some(class)) => judge::reject(class, detail),
        }
    }
}

/// What Slack's words mean (docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks and the webhook
/// page's table of errors); `None` for a word that is not known.
fn class_of(word: &str) -> Option<FailureClass> {
    Some(match word {
        "rollup_error" => FailureClass::Unavailable,
        "invalid_token" | "action_prohibited" | "posting_to_general_channel_denied" | "team_disabled" => {
            FailureClass::Unauthorized
        }
        "channel_not_found"
        | "channel_is_archived"
        | "user_not_found"
        | "no_active_hooks"
        | "no_service"
        | "no_service_id"
        | "no_team" => FailureClass::NotFound,
        "invalid_payload"
        | "no_text"
        | "too_many_attachments"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "missing_text_or_fallback_or_attachments" => FailureClass::Refused,
        _ => return None,
    })
}

#[cfg(test)]
mod judge_tests {
    use super::*;
    use crate::receiver::fixture;

    #[test]
    fn answers() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        let slack = Slack { webhook_url: "https://hooks.example/services/T0/B0/x".into() };
        for (status, body, expected) in [
            (200, "ok", None),
            (200, "ok\n", None),
            (200, "<html>Please log in</html>", Some((true, Unexpected))),
            (200, "", Some((true, Unexpected))),
            (200, "invalid_token", Some((false, Unauthorized))),
            (204, "", Some((true, Unexpected))),
            (302, "", Some((true, Unexpected))),
            (400, "invalid_payload", Some((false, Refused))),
            (400, "no_text", Some((false, Refused))),
            (400, "too_many_attachments", Some((false, Refused))),
            (400, "user_not_found", Some((false, NotFound))),
            (400, "something_new", Some((false, Refused))),
            (403, "action_prohibited", Some((false, Unauthorized))),
            (403, "invalid_token", Some((false, Unauthorized))),
            (403, "team_disabled", Some((false, Unauthorized))),
            (404, "channel_not_found", Some((false, NotFound))),
            (404, "no_service", Some((false, NotFound))),
            (404, "no_active_hooks", Some((false, NotFound))),
            (404, "<html>", Some((true, NotFound))),
            (408, "", Some((true, Timeout))),
            (410, "channel_is_archived", Some((false, NotFound))),
            (429, "", Some((true, RateLimited))),
            (500, "rollup_error", Some((true, Unavailable))),
            (500, "no_service", Some((true, Unavailable))),
            (500, "<html><title>Server Error | Slack</title>", Some((true, Unavailable))),
            (503, "", Some((true, Unavailable))),
        ] {
            let verdict = slack.judge(&fixture::single(), &fixture::answer("post", status, body));
            assert_eq!(fixture::failed(&verdict), expected, "{status} {body}: {verdict:?}");
        }
    }
}
