//! E-mail, handed to a mail server over SMTP (RFC 5321).
//!
//! Nothing is kept between mails. Each names the same thread, whose first message never existed, as Alertmanager does it:
//! clients that thread put together what refers to the same id (`message`).

mod html;
mod message;
mod page;
mod plain;
mod submission;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

pub use submission::{Auth, Mailbox, Submission, Tls, Trust, hello_name, host_and_port, mailboxes};

use self::page::Texts;
use super::custom::{self, Custom};
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, describe, judge, text};
use crate::notification::{Granularity, Notification};

/// [`Answer::step`] where the server spoke before it was asked for anything: greeting, EHLO, STARTTLS.
pub const GREETING: &str = "greeting";
/// It spoke about the credentials.
pub const AUTH: &str = "auth";
/// It spoke about the sender.
pub const SENDER: &str = "sender";
/// It refused every recipient.
pub const RECIPIENT: &str = "recipient";
/// It spoke about the message.
pub const MESSAGE: &str = "message";

/// How much of an answer goes into a failure, in bytes.
const MAX_SAID: usize = 300;

/// Mail to some addresses through one server.
#[derive(Debug)]
pub struct Email {
    /// The server, the sender and the recipients.
    pub submission: Arc<Submission>,
    /// What routes.yaml says in its own words.
    pub templates: Templates,
}

/// Texts of routes.yaml, plain. A digest has the built-in text in any case.
#[derive(Debug, Default)]
pub struct Templates {
    /// In place of the first line, and of what the subject says after the state.
    pub title: Custom,
    /// In place of what stands below it.
    pub text: Custom,
}

impl Templates {
    /// What they say of a notification; why one of them cannot goes into `failed`.
    fn render(&self, notification: &Notification, failed: &mut Option<String>) -> Texts {
        if notification.digest.is_some() {
            return Texts::default();
        }
        let title = custom::render(&self.title, notification, failed);
        let text = custom::render(&self.text, notification, failed);
        Texts { title, text }
    }
}

impl Receiver for Email {
    fn granularity(&self) -> Granularity {
        Granularity::Group
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        describe::some_alert(notification)?;
        let mut template_error = None;
        let texts = self.templates.render(notification, &mut template_error);
        Ok(Outgoing {
            step: MESSAGE,
            method: Method::Mail(self.submission.clone()),
            url: self.submission.url().into(),
            headers: Vec::new(),
            body: message::compose(&self.submission, notification, texts)?.into(),
            template_error,
        })
    }

    /// Codes are those of RFC 5321, section 4.2.3, and RFC 4954, section 6. By the first digit 4 may pass and 5 may not;
    /// what is final here is only what is said of this message, its sender, its recipients or the credentials.
    fn judge(&self, _notification: &Notification, answer: &Answer) -> Verdict {
        use FailureClass::{NotFound, Refused, Unauthorized, Unavailable, Unexpected};
        let detail = self.detail(answer);
        match (answer.step, answer.status) {
            (MESSAGE, 200..=299) => Verdict::Delivered { receipt: None },
            (AUTH, 400..=499) => judge::retry(answer, Unauthorized, detail),
            // What the greeting refuses is whoever comes from here, now: a server that starts, a list of bad neighbours.
            (_, 400..=499) | (GREETING, 505..=599) => judge::retry(answer, Unavailable, detail),
            (AUTH, 505..=599) | (_, 530 | 534 | 535 | 538) => judge::reject(Unauthorized, detail),
            (RECIPIENT, 550 | 551 | 553) if !said(answer).starts_with("5.7.") => judge::reject(NotFound, detail),
            (_, 505..=599) => judge::reject(Refused, detail),
            // 500 to 504: the two did not understand each other, which is no word about the message.
            _ => judge::retry(answer, Unexpected, detail),
        }
    }
}

impl Email {
    /// The code and the server's words, in one line and without the password.
    fn detail(&self, answer: &Answer) -> String {
        let said = text::cut(&self.submission.discreet(&said(answer)), MAX_SAID);
        format!("SMTP {} ({}): {said}", answer.status, answer.step).trim_end_matches(": ").to_owned()
    }
}

fn said(answer: &Answer) -> String {
    text::one_line(&String::from_utf8_lossy(&answer.body))
}
