//! Slack, through an incoming webhook or with the token of an app.
//!
//! The webhook answers a success with `ok` as plain text and a failure with a word as plain text
//! (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). It tells no message id, so a message cannot be
//! changed later: a resolve is a new message. With a token, the message of a group is kept up to date: [`token`].

mod blocks;
mod digest;
mod message;
mod receipt;
#[cfg(test)]
mod tests;
mod thread;
pub mod token;
#[cfg(test)]
mod token_tests;
mod words;

use secrecy::SecretString;

use super::custom::{self, Custom};
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, describe, judge};
use crate::notification::{Granularity, Notification};

/// Slack.
#[derive(Debug)]
pub enum Slack {
    /// By an incoming webhook.
    Webhook {
        /// Its address; the path is the token.
        webhook_url: SecretString,
        /// What routes.yaml says in its own words.
        templates: Templates,
    },
    /// By the Web API.
    App(token::App),
}

/// Texts of routes.yaml, in mrkdwn. A digest has the built-in text in any case.
#[derive(Debug, Default)]
pub struct Templates {
    /// In place of the headline.
    pub title: Custom,
    /// In place of what stands below it.
    pub text: Custom,
}

impl Templates {
    /// What they say of a notification; why one of them cannot goes into `failed`.
    fn render(&self, notification: &Notification, failed: &mut Option<String>) -> message::Texts {
        if notification.digest.is_some() {
            return message::Texts::default();
        }
        let title = custom::render(&self.title, notification, failed);
        let text = custom::render(&self.text, notification, failed);
        message::Texts { title, text }
    }
}

impl Receiver for Slack {
    fn granularity(&self) -> Granularity {
        Granularity::Group
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Webhook { webhook_url, templates } => {
                describe::some_alert(notification)?;
                let mut template_error = None;
                let body = message::message(notification, &templates.render(notification, &mut template_error));
                let outgoing = Outgoing::json("post", Method::Post, webhook_url.clone(), &body);
                Ok(Outgoing { template_error, ..outgoing })
            }
            Self::App(app) => app.encode(notification),
        }
    }

    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        match self {
            Self::Webhook { webhook_url, .. } => judge_webhook(answer, webhook_url),
            Self::App(app) => app.judge(notification, answer),
        }
    }
}

fn judge_webhook(answer: &Answer, webhook_url: &SecretString) -> Verdict {
    let body = String::from_utf8_lossy(&answer.body);
    let word = body.trim();
    let detail = judge::detail(answer, None, &[webhook_url]);
    match (answer.status, class_of(word)) {
        (200, _) if word == "ok" => Verdict::Delivered { receipt: None },
        // In trouble or too fast, whatever it says.
        (408 | 425 | 429 | 500..=599, _) | (_, None) => judge::by_foreign_status(answer, detail),
        (_, Some(FailureClass::Unavailable)) => judge::retry(answer, FailureClass::Unavailable, detail),
        (_, Some(class)) => judge::reject(class, detail),
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
        let slack = Slack::Webhook {
            webhook_url: "https://hooks.example/services/T0/B0/x".into(),
            templates: Templates::default(),
        };
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
