//! What alerts say, in every message: with the built-in texts and with those of routes.yaml.

use std::collections::HashSet;

use alertrouter::alert::{Group, Status, wire};
use alertrouter::notification::{Notification, Receipt};
use alertrouter::receiver::{Answer, Definition, Receiver, Verdict};

use super::bytes::Bytes;
use super::{checks, notifications, receivers};

/// No body that fits through the intake's limit has less than a thousand times this; more is only slower here.
const MAX_ALERTS: usize = 40;

/// A notification whose labels, annotations, addresses and group are these bytes: every service takes what it is sent, and
/// no value is more than text in it; also in what follows when it ends.
///
/// The first byte is the kind of the notification, the second says which receiver (0: all). Then come fields with 0xFF between
/// them: the addresses of Alertmanager and of the expression, the group key, the reason of a fallback; then `lNAME=VALUE` for a
/// label, `a…` for an annotation, `g…` for a label of the group, `n` for the next alert, which has ended with `r` behind that.
pub fn context(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let (kind, which) = (bytes.byte(), usize::from(bytes.byte()));
    let notification = notification(kind, &mut bytes);
    let all = &*receivers::ALL;
    let asked = if which == 0 { all.iter().collect() } else { vec![&all[which % all.len()]] };
    for receiver in asked {
        told(receiver, &notification);
    }
}

fn notification(kind: u8, bytes: &mut Bytes<'_>) -> Notification {
    let (external_url, source) = (bytes.text(), bytes.text());
    let (key, why) = (bytes.text(), bytes.text());
    let (mut alerts, mut group) = (Vec::new(), Vec::new());
    let (mut status, mut labels, mut annotations) = (Status::Firing, Vec::new(), Vec::new());
    while !bytes.is_empty() && alerts.len() < MAX_ALERTS {
        let field = bytes.text();
        let (first, rest) = field.split_at(field.chars().next().map_or(0, char::len_utf8));
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        let pair = (name.to_owned(), value.to_owned());
        match first {
            "n" => {
                let taken = (std::mem::take(&mut labels), std::mem::take(&mut annotations));
                alerts.push(notifications::alert(status, taken.0, taken.1, &source));
                status = if rest.starts_with('r') { Status::Resolved } else { Status::Firing };
            }
            "a" => annotations.push(pair),
            "g" => group.push(pair),
            _ => labels.push(pair),
        }
    }
    alerts.push(notifications::alert(status, labels, annotations, &source));
    // What nothing identifies is refused at the door, and a body holds each alert once.
    let mut seen = HashSet::new();
    alerts.retain(|alert| !alert.labels.is_empty() && seen.insert(alert.fingerprint));
    if alerts.is_empty() {
        alerts.push(notifications::alert(Status::Firing, vec![("a".to_owned(), "b".to_owned())], Vec::new(), &source));
    }
    let group = Group { key, external_url, labels: notifications::pairs(group), ..Group::default() };
    notifications::notification(kind, group, alerts, &why)
}

/// Tells a receiver of the notification, and then of its end.
fn told(receiver: &Definition, notification: &Notification) {
    let Definition { target, service, .. } = receiver;
    let name = target.name.as_str();
    let first = notifications::for_granularity(notification.clone(), target.granularity);
    let receipt = delivered(name, &**service, &first);
    let end = notifications::resolved(first, receipt);
    assert_eq!(delivered(name, &**service, &end), None, "{name}: nothing is kept of what is over");
}

/// Sends what there is to send to a service that takes it.
fn delivered(name: &str, service: &dyn Receiver, notification: &Notification) -> Option<Receipt> {
    if service.without_request(notification).is_some() {
        return None;
    }
    let mut outgoing = service.encode(notification).expect("there is something to tell");
    let again = service.encode(notification).expect("there is something to tell");
    assert!(outgoing.body == again.body, "{name}: every attempt says the same");
    assert_eq!(outgoing.template_error, None, "{name}");
    if name == "webhook" {
        round_trip(&outgoing.body, notification);
    }
    for _ in 0..3 {
        checks::request(name, &outgoing);
        service.stamp(&mut outgoing, notification.received_at);
        match service.judge(notification, &taken(name, outgoing.step)) {
            Verdict::Delivered { receipt } => return receipt,
            Verdict::Then(next) => outgoing = next,
            verdict => panic!("{name}: {verdict:?}"),
        }
    }
    panic!("{name}: no end of requests")
}

/// What a service says to what it takes.
fn taken(name: &str, step: &'static str) -> Answer {
    let (status, body) = match (name.split('-').next(), step) {
        (Some("slack"), _) if !name.starts_with("slack-app") => (200, "ok"),
        (Some("slack"), "reply") => {
            (200, r#"{"ok":true,"channel":"C0123456789","ts":"1.2","message":{"thread_ts":"1.1"}}"#)
        }
        (Some("slack"), _) => (200, r#"{"ok":true,"channel":"C0123456789","ts":"1.1","message":{}}"#),
        (Some("pagerduty"), _) => (202, r#"{"status":"success"}"#),
        (Some("grafana"), "find") => (200, "[]"),
        (Some("grafana"), _) => (200, r#"{"message":"Annotation added","id":7}"#),
        _ => (200, "ok"),
    };
    Answer { step, status, retry_after: None, body: body.into() }
}

/// What reads Alertmanager's webhooks reads ours.
fn round_trip(body: &[u8], notification: &Notification) {
    let read = wire::parse(body, &[], notification.received_at).expect("our own webhook can be read");
    let sent: Vec<_> = notification.alerts.iter().map(|notified| notified.alert.clone()).collect();
    assert_eq!(read.alerts, sent);
    assert_eq!(
        (&read.group.key, &read.group.external_url),
        (&notification.group.key, &notification.group.external_url)
    );
    assert!(read.refused.is_empty());
}
