//! The message (RFC 5322): its headers, its two parts, and which thread it belongs to.
//!
//! Threads: each mail refers to one id that its group and day share and that no message has, as Alertmanager does it with
//! `threading`. So nothing has to be remembered, a new incident of a later day is a new thread, and one that somebody
//! muted ends. The day is that of the oldest alert in the mail (UTC), so that a resolve after midnight stays with its firing.
//! Gmail wants the same reference and the same subject, and passes over what of a subject stands in square brackets: what
//! changes stands there.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, MultiPart, SinglePart};

use super::page::{Page, Texts};
use super::submission::Submission;
use super::{html, plain};
use crate::alert::{Fingerprint, Labels};
use crate::notification::Notification;
use crate::receiver::EncodeError;

/// What is said of every mail: nobody is to answer it by machine (RFC 3834, and what Exchange obeys). Bounces are not
/// among what it suppresses: somebody has to learn of those.
const AUTOMATIC: [(&str, &str); 2] =
    [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply")];

/// The whole message, in ASCII and with CRLF; the same for every attempt.
pub(super) fn compose(
    submission: &Submission,
    notification: &Notification,
    texts: Texts,
) -> Result<Vec<u8>, EncodeError> {
    let page = Page::of(notification, texts);
    let domain = submission.from.email.domain();
    let id = message_id(notification);
    let sent = u64::try_from(notification.received_at.as_second()).unwrap_or_default();
    let mut builder = Message::builder()
        .from(submission.from.clone())
        .date(UNIX_EPOCH + Duration::from_secs(sent))
        .subject(page.subject())
        .message_id(Some(format!("<{id}@{domain}>")));
    for to in &submission.to {
        builder = builder.to(to.clone());
    }
    if let Some(thread) = thread(notification) {
        let thread = format!("<{thread}@{domain}>");
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let importance = page.is_urgent().then_some(("Importance", "high"));
    for (name, value) in AUTOMATIC.into_iter().chain(importance) {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned()));
    }
    // In quoted-printable `=_` cannot occur, so no text can hold the boundary (RFC 2045, section 6.7).
    let parts = MultiPart::alternative()
        .boundary(format!("=_{id}"))
        .singlepart(part(ContentType::TEXT_PLAIN, plain::render(&page))?)
        .singlepart(part(ContentType::TEXT_HTML, html::render(&page))?);
    let message =
        builder.multipart(parts).map_err(|error| EncodeError(format!("it cannot be made a mail: {error}")))?;
    Ok(message.formatted())
}

fn part(kind: ContentType, text: String) -> Result<SinglePart, EncodeError> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| EncodeError("its text cannot be made a mail".to_owned()))?;
    Ok(SinglePart::builder().header(kind).body(body))
}

/// The part of the Message-ID before the `@`: the same over all attempts, so that servers and clients can tell a copy.
/// Delivery ids start again when the store is new, so the time belongs to it, too.
fn message_id(notification: &Notification) -> String {
    let of = hash(&[("receiver", notification.receiver.as_str()), ("group", &notification.group.key)]);
    format!("{}.{}.{of}", notification.received_at.as_microsecond(), notification.id)
}

/// The part of the thread's id before the `@`. A digest is about many groups and stands alone.
fn thread(notification: &Notification) -> Option<String> {
    let oldest = notification.alerts.iter().filter_map(|notified| notified.alert.starts_at).min();
    let day = oldest.unwrap_or(notification.received_at).strftime("%Y-%m-%d").to_string();
    let of = hash(&[("receiver", notification.receiver.as_str()), ("group", &notification.group.key)]);
    notification.digest.is_none().then(|| format!("group.{day}.{of}"))
}

fn hash(parts: &[(&str, &str)]) -> Fingerprint {
    Fingerprint::of(&parts.iter().copied().collect::<Labels>(), &[])
}
