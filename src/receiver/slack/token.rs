//! The Web API, with the token of a Slack app: `chat.postMessage` and `chat.update`
//! (docs.slack.dev/reference/methods/chat.postmessage, docs.slack.dev/reference/methods/chat.update).
//!
//! A group has one message. It is edited when alerts join or resolve, and a reply in its thread says what has changed. When
//! nothing fires any more it is over: the next alert of the group is a new message. A message that cannot be edited or
//! replied to is replaced by a new one.
//!
//! Everything is said again after a failure: an edit to the same state changes nothing, a reply may be there twice.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::redact::redacted;
use super::super::{Answer, EncodeError, Failure, FailureClass, Method, Outgoing, Verdict, describe, judge};
use super::Templates;
use super::message::message;
use super::receipt::{self, Posted};
use super::thread::Thread;
use super::words::{Meaning, explained, meaning};
use crate::notification::{Notification, Receipt};

const POST: &str = "post";
const UPDATE: &str = "update";
const REPLY: &str = "reply";
/// A message in place of one that cannot be edited or replied to.
const REPLACE: &str = "replace";

/// A Slack app, by its token.
#[derive(Debug)]
pub struct App {
    /// A bot token with the scope `chat:write`.
    pub token: SecretString,
    /// The name or id of a channel that the app may post to, or the id of a person.
    pub channel: String,
    /// <https://slack.com/api>, without a slash at its end.
    pub api_url: String,
    /// What routes.yaml says in its own words.
    pub templates: Templates,
    /// Whether the message of a group is edited. It is not where ends are not told (`send_resolved: false`): it would show
    /// as firing what has long ended.
    pub edits: bool,
}

/// What is known of the group's message.
struct Before {
    thread: Thread,
    /// Where it is, if it can be edited.
    posted: Option<Posted>,
    /// There was none, not even one that cannot be edited.
    is_first: bool,
}

/// An answer that says it has the message.
struct Taken {
    posted: Option<Posted>,
    /// Whether the reply is in the thread; `None` if the answer ended before it would have said so.
    in_thread: Option<bool>,
}

impl App {
    pub(super) fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        describe::some_alert(notification)?;
        if !self.keeps_message(notification) {
            let mut failed = None;
            let body = message(notification, &self.templates.render(notification, &mut failed));
            return Ok(Outgoing { template_error: failed, ..self.post(POST, body) });
        }
        let Before { thread, posted, is_first } = self.before(notification);
        let after = Thread { replaces: thread.replaces || !is_first && posted.is_none(), ..thread.after(notification) };
        let mut failed = None;
        let body = after.message(notification, None, &self.templates, &mut failed);
        let outgoing = match posted {
            Some(posted) => self.update(&posted, body),
            None => self.post(POST, body),
        };
        Ok(Outgoing { template_error: failed, ..outgoing })
    }

    pub(super) fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let word = said.as_ref().filter(|said| said["ok"] == false).and_then(|said| said["error"].as_str());
        let words = said.as_ref().zip(word).map(|(said, word)| explained(word, said));
        let detail = judge::detail(answer, words.as_deref(), &[&self.token]);
        match (answer.status, word) {
            // In trouble or too fast, whatever it says.
            (408 | 425 | 429 | 500..=599, _) => judge::by_foreign_status(answer, detail),
            (_, Some(word)) => self.refused(notification, answer, word, detail),
            (200..=299, None) => match taken(answer, said.as_ref()) {
                Some(taken) => self.taken(notification, answer.step, &taken),
                None => judge::by_foreign_status(answer, detail),
            },
            _ => judge::by_foreign_status(answer, detail),
        }
    }

    fn taken(&self, notification: &Notification, step: &'static str, taken: &Taken) -> Verdict {
        if !self.keeps_message(notification) {
            return Verdict::Delivered { receipt: None };
        }
        let Before { thread, posted, is_first } = self.before(notification);
        let after = thread.after(notification);
        match (step, posted) {
            (UPDATE, Some(posted)) => {
                let mut failed = None;
                let body = after.reply(&thread, notification, &self.templates, &mut failed);
                Verdict::Then(Outgoing { template_error: failed, ..self.reply(&posted, body) })
            }
            (REPLY, posted) => {
                // Without a thread Slack has sent the reply to the channel: the message was deleted. The next change is a
                // new message then.
                let posted = posted.filter(|_| taken.in_thread != Some(false));
                Verdict::Delivered { receipt: self.receipt(&after, posted.as_ref()) }
            }
            (step, _) => {
                let replaces = thread.replaces || !is_first || step == REPLACE;
                let after = Thread { replaces, seen: notification.received_at, ..after };
                Verdict::Delivered { receipt: self.receipt(&after, taken.posted.as_ref()) }
            }
        }
    }

    /// What follows from one of Slack's words. In doubt somebody is told: by a new message if it is the old one that is in
    /// the way.
    fn refused(&self, notification: &Notification, answer: &Answer, word: &str, detail: String) -> Verdict {
        let goes_on = matches!(answer.step, UPDATE | REPLY) && self.keeps_message(notification);
        match meaning(word) {
            // The whole workspace sends too much: a second would not help.
            Meaning::Passing(class) if word == "message_limit_exceeded" => {
                let after = answer.retry_after.or(Some(Duration::from_mins(1)));
                Verdict::Retry { after, failure: Failure::new(class, detail) }
            }
            Meaning::Passing(class) => judge::retry(answer, class, detail),
            Meaning::NotEditable | Meaning::NoReplies | Meaning::Channel(_) | Meaning::Unknown if goes_on => {
                let after = Thread { replaces: true, ..self.before(notification).thread.after(notification) };
                let mut failed = None;
                // The channel is to see no more of it than the log.
                let word = redacted(word, &[&self.token]);
                let body = after.message(notification, Some(&word), &self.templates, &mut failed);
                Verdict::Then(Outgoing { template_error: failed, ..self.post(REPLACE, body) })
            }
            Meaning::Setup(class) | Meaning::Channel(class) => judge::reject(class, detail),
            Meaning::Bug | Meaning::NoReplies => judge::reject(FailureClass::Refused, detail),
            Meaning::NotEditable | Meaning::Unknown => judge::retry(answer, FailureClass::Unexpected, detail),
        }
    }

    /// Whether the message is one that will be edited. A digest is not: it stands for many groups.
    fn keeps_message(&self, notification: &Notification) -> bool {
        self.edits && notification.digest.is_none()
    }

    fn before(&self, notification: &Notification) -> Before {
        match receipt::read(notification.receipt.as_ref(), &self.channel) {
            Some((thread, posted)) => Before { thread, posted, is_first: false },
            None => Before { thread: Thread::new(notification.received_at), posted: None, is_first: true },
        }
    }

    fn receipt(&self, thread: &Thread, posted: Option<&Posted>) -> Option<Receipt> {
        (!thread.is_over()).then(|| receipt::write(thread, &self.channel, posted))
    }

    fn post(&self, step: &'static str, mut body: Value) -> Outgoing {
        body["channel"] = self.channel.as_str().into();
        self.request(step, "chat.postMessage", &body)
    }

    fn reply(&self, to: &Posted, mut body: Value) -> Outgoing {
        body["channel"] = to.channel.as_str().into();
        body["thread_ts"] = to.ts.as_str().into();
        self.request(REPLY, "chat.postMessage", &body)
    }

    /// Blocks and attachments are both there, or Slack would keep the old ones; blocks have no id, so that each edit gets
    /// new ones.
    fn update(&self, at: &Posted, mut body: Value) -> Outgoing {
        if let Some(body) = body.as_object_mut() {
            body.retain(|key, _| !key.starts_with("unfurl_"));
        }
        body["channel"] = at.channel.as_str().into();
        body["ts"] = at.ts.as_str().into();
        // Unlike a post, an edit would look for names and channels in the text.
        body["parse"] = "none".into();
        self.request(UPDATE, "chat.update", &body)
    }

    fn request(&self, step: &'static str, method: &str, body: &Value) -> Outgoing {
        let url = format!("{}/{method}", self.api_url.trim_end_matches('/')).into();
        let mut outgoing = Outgoing::json(step, Method::Post, url, body);
        outgoing.headers.push(("authorization".into(), format!("Bearer {}", self.token.expose_secret()).into()));
        outgoing
    }
}

/// What an answer says of the message; `None` if it does not say that Slack has it.
///
/// An answer that broke off is read as far as it goes: after `"ok":true` Slack has the message, and sending it again would
/// show it twice.
fn taken(answer: &Answer, said: Option<&Value>) -> Option<Taken> {
    if let Some(said) = said {
        let text = |key: &str| said[key].as_str().unwrap_or_default();
        return (said["ok"] == true).then(|| Taken {
            posted: Posted::new(text("channel"), text("ts")),
            in_thread: Some(said["message"]["thread_ts"].is_string()),
        });
    }
    let text = String::from_utf8_lossy(&answer.body);
    // The fields of the message itself come later.
    let rest = text.trim_start().strip_prefix("{\"ok\":true")?;
    let (head, _) = rest.split_once("\"message\"").unwrap_or((rest, ""));
    let field = |key: &str| head.split_once(&format!("\"{key}\":\""))?.1.split_once('"').map(|(value, _)| value);
    let posted = Posted::new(field("channel").unwrap_or_default(), field("ts").unwrap_or_default());
    Some(Taken { posted, in_thread: None })
}
