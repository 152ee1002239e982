//! Any other service: Alertmanager's own webhook, with only the alerts that are new, or whatever a template makes.
//!
//! The body is Alertmanager's, version "4", so that whatever reads its webhooks reads ours, and one more object:
//!
//! ```json
//! {"version": "4", "groupKey": "…", "truncatedAlerts": 0, "receiver": "…", "status": "firing",
//!  "alerts": [{"status": "firing", "labels": {}, "annotations": {}, "startsAt": "…", "endsAt": "…",
//!              "generatorURL": "…", "fingerprint": "…"}],
//!  "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "…",
//!  "notification": {"id": "…", "receiver": "…", "attempt": 1, "receivedAt": "…", "othersFiring": 0,
//!                   "reasons": {"FINGERPRINT": "first"}, "fallback": null, "digest": null}}
//! ```
//!
//! Of what was meant for another receiver, `fallback` says which and why: `{"for": "oncall", "reason": "HTTP 503 for 5m"}`.
//!
//! Of a digest, `digest` says of how many notifications and when the webhook of the oldest came: `{"notifications": 12,
//! "since": "…"}`. Its alerts are those of all of them, each once, in its last state.
//!
//! `notification.id` is also sent as the header `webhook-id`, as Standard Webhooks has it: it is the same over all
//! attempts, so a service that remembers it sees each notification once. With a secret it is signed ([`SigningKey`]).

mod answer;
mod body;
mod signature;

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};

use super::custom::{self, Custom};
use super::describe;
use super::{Answer, EncodeError, Method, Outgoing, Receiver, Verdict};
use crate::clock::Timestamp;
use crate::notification::{Granularity, Notification};

pub(crate) use body::about;
pub use signature::SigningKey;

/// Headers, by their names in lower case.
pub type Headers = Vec<(Cow<'static, str>, SecretString)>;

/// Says which notification it is, over all attempts.
const ID: &str = "webhook-id";

/// Any service that takes a POST.
#[derive(Debug, Default)]
pub struct Webhook {
    /// Where to.
    pub url: SecretString,
    /// Further ones; `content-type` replaces the one for JSON.
    pub headers: Headers,
    /// The body, in place of Alertmanager's.
    pub body: Custom,
    /// Each of them signs; without any there is no signature.
    pub keys: Vec<SigningKey>,
}

impl Receiver for Webhook {
    fn granularity(&self) -> Granularity {
        Granularity::Group
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        describe::some_alert(notification)?;
        let mut failed = None;
        let custom = custom::render(&self.body, notification, &mut failed);
        let is_custom = custom.is_some();
        let body = match custom {
            Some(text) => text.into_bytes(),
            None => body::body(notification).map_err(|error| EncodeError(error.to_string()))?,
        };
        let mut outgoing = Outgoing::json("post", Method::Post, self.url.clone(), &serde_json::Value::Null);
        outgoing.body = body.into();
        // The default body is JSON, whatever the template was to become.
        let own = |name: &str| is_custom || name != "content-type";
        for (name, value) in self.headers.iter().filter(|(name, _)| own(name)) {
            outgoing.headers.retain(|(known, _)| known != name);
            outgoing.headers.push((name.clone(), value.clone()));
        }
        outgoing.headers.push((ID.into(), body::id(notification).into()));
        outgoing.template_error = failed;
        Ok(outgoing)
    }

    fn stamp(&self, outgoing: &mut Outgoing, at: Timestamp) {
        let id = outgoing.headers.iter().find(|(name, _)| name == ID).map(|(_, id)| id.expose_secret().to_owned());
        if let Some(id) = id.filter(|_| !self.keys.is_empty()) {
            let signed = signature::headers(&self.keys, &id, at, &outgoing.body);
            outgoing.headers.extend(signed.map(|(name, value)| (name.into(), value.into())));
        }
    }

    fn judge(&self, _notification: &Notification, answer: &Answer) -> Verdict {
        let headers = self.headers.iter().filter(|(name, _)| name != "content-type").map(|(_, value)| value);
        answer::judge(answer, &std::iter::once(&self.url).chain(headers).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    use std::sync::Arc;

    use super::body::id;
    use crate::alert::wire;
    use crate::receiver::{FailureClass, fixture};
    use crate::template::{Escape, Template};

    fn webhook() -> Webhook {
        Webhook { url: "https://hooks.example/x".into(), ..Webhook::default() }
    }

    #[test]
    fn what_reads_alertmanagers_webhooks_reads_ours() {
        let notification = fixture::captured("0.33-mixed");
        let outgoing = webhook().encode(&notification).unwrap();
        let read = wire::parse(&outgoing.body, &[], notification.received_at).unwrap();
        let sent: Vec<_> = notification.alerts.iter().map(|notified| notified.alert.clone()).collect();
        assert_eq!(read.alerts, sent);
        assert_eq!(read.group, *notification.group);
        assert_eq!(read.unknown_version, None);
    }

    #[test]
    fn the_body_is_documented() {
        let outgoing = webhook().encode(&fixture::single()).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_fallback_says_for_whom_and_why() {
        let outgoing = webhook().encode(&fixture::as_fallback(fixture::single())).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body["notification"]).unwrap());
    }

    #[test]
    fn the_id_stays_over_attempts() {
        let mut notification = fixture::single();
        let first = id(&notification);
        notification.attempt = 2;
        assert_eq!(id(&notification), first);
        assert!(!first.contains('.'), "Standard Webhooks signs `id.timestamp.body`");
    }

    fn with(body: &str, headers: Headers) -> Webhook {
        let body = Template::compile("body", body, Escape::Json).unwrap();
        Webhook { headers, body: Some(Arc::new(body)), ..webhook() }
    }

    fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Vec<&'a str> {
        let ours = outgoing.headers.iter().filter(|(known, _)| known == name);
        ours.map(|(_, value)| value.expose_secret()).collect()
    }

    #[test]
    fn a_template_takes_the_place_of_the_body() {
        let headers = vec![("content-type".into(), "application/x+json".into()), ("x-team".into(), "checkout".into())];
        let outgoing = with(r#"{"text": {{ title }}}"#, headers).encode(&fixture::single()).unwrap();
        assert_eq!(outgoing.body, r#"{"text": "[FIRING:1] HighErrorRate"}"#);
        assert_eq!(header(&outgoing, "content-type"), ["application/x+json"]);
        assert_eq!(header(&outgoing, "x-team"), ["checkout"]);
        assert_eq!(outgoing.template_error, None);
    }

    #[test]
    fn the_default_body_takes_the_place_of_what_fails() {
        let headers = vec![("content-type".into(), "application/x+json".into()), ("x-team".into(), "checkout".into())];
        let outgoing = with(r#"{"text": {{ alerts[7].name }}}"#, headers).encode(&fixture::single()).unwrap();
        let plain = webhook().encode(&fixture::single()).unwrap();
        assert_eq!(outgoing.body, plain.body);
        assert_eq!(header(&outgoing, "content-type"), header(&plain, "content-type"));
        assert_eq!(header(&outgoing, "x-team"), ["checkout"]);
        assert_eq!(outgoing.template_error.as_deref(), Some("`body`: line 1: `alerts[7].name` is not always there"));
    }

    #[test]
    fn a_signature_is_of_the_moment_and_of_the_body() {
        let key = || SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let webhook = Webhook { keys: vec![key(), key()], ..webhook() };
        let at = |second| Timestamp::from_second(second).unwrap();
        let signed = |at| {
            let mut outgoing = webhook.encode(&fixture::single()).unwrap();
            webhook.stamp(&mut outgoing, at);
            let said = [ID, "webhook-timestamp", "webhook-signature"].map(|name| header(&outgoing, name).join(","));
            (said, outgoing.body)
        };
        let ([id, time, signature], body) = signed(at(1_795_287_900));
        assert_eq!(time, "1795287900");
        let (one, two) = signature.split_once(' ').unwrap();
        assert_eq!(one, two);
        let ([later_id, _, later], later_body) = signed(at(1_795_287_901));
        assert_eq!((id, body), (later_id, later_body));
        assert_ne!(signature, later);
    }

    #[test]
    fn answers() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        for (status, expected) in [
            (200, None),
            (202, None),
            (204, None),
            (301, Some((true, Unexpected))),
            (400, Some((false, Refused))),
            (401, Some((true, Unauthorized))),
            (404, Some((true, NotFound))),
            (408, Some((true, Timeout))),
            (410, Some((true, NotFound))),
            (425, Some((true, Unavailable))),
            (429, Some((true, RateLimited))),
            (502, Some((true, Unavailable))),
        ] {
            let verdict = webhook().judge(&fixture::single(), &fixture::answer("post", status, ""));
            assert_eq!(fixture::failed(&verdict), expected, "{status}: {verdict:?}");
        }
    }
}
