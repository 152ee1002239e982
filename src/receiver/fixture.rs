//! Notifications for tests: from captured webhook bodies, from a few labels, and as hostile as they come.

use std::sync::Arc;

use super::{Answer, FailureClass, Verdict};
use crate::alert::{Alert, Fingerprint, Group, Labels, Status, wire};
use crate::clock::Timestamp;
use crate::notification::{DeliveryId, Digest, FallbackFor, Notification, Notified, Reason};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Every alert of a captured body, as the first notification of its group, four minutes after the first alert began.
pub(crate) fn captured(name: &str) -> Notification {
    let path = format!("{}/tests/fixtures/alertmanager-{name}.json", env!("CARGO_MANIFEST_DIR"));
    let body = wire::parse(&std::fs::read(path).unwrap(), &[], at("2026-11-21T20:00:00Z")).unwrap();
    let started = body.alerts.iter().filter_map(|alert| alert.starts_at).min().unwrap();
    let received_at = crate::clock::after(started, std::time::Duration::from_mins(4));
    of(body.group, body.alerts, received_at)
}

/// A notification of these alerts.
pub(crate) fn of(group: Group, alerts: Vec<Alert>, received_at: Timestamp) -> Notification {
    let alerts = alerts.into_iter().map(|alert| {
        let reason = if alert.status == Status::Firing { Reason::First } else { Reason::Resolved };
        Notified { alert, reason }
    });
    Notification {
        id: DeliveryId(7),
        receiver: "test".into(),
        group: Arc::new(group),
        alerts: alerts.collect(),
        others_firing: 0,
        received_at,
        attempt: 1,
        receipt: None,
        fallback: None,
        digest: None,
    }
}

/// A firing alert with these labels and annotations.
pub(crate) fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Alert {
    let labels: Labels = labels.iter().copied().collect();
    Alert {
        status: Status::Firing,
        fingerprint: Fingerprint::of(&labels, &[]),
        labels,
        annotations: annotations.iter().copied().collect(),
        starts_at: Some(at("2026-11-21T19:00:00.5Z")),
        ends_at: None,
        generator_url: "http://prom.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
    }
}

/// The same alert, over at 19:30.
pub(crate) fn resolved(mut alert: Alert) -> Alert {
    alert.status = Status::Resolved;
    alert.ends_at = Some(at("2026-11-21T19:30:00Z"));
    alert
}

/// The group of [`single`].
pub(crate) fn group() -> Group {
    let labels: Labels = [("alertname", "HighErrorRate"), ("service", "checkout")].into_iter().collect();
    Group {
        key: "{}:{alertname=\"HighErrorRate\", service=\"checkout\"}".to_owned(),
        receiver: "hook".to_owned(),
        common_labels: labels.clone(),
        labels,
        common_annotations: Labels::default(),
        external_url: "http://am.example:9093".to_owned(),
        truncated_alerts: 0,
    }
}

/// An ordinary alert that fires.
pub(crate) fn single() -> Notification {
    let alert = alert(
        &[
            ("alertname", "HighErrorRate"),
            ("service", "checkout"),
            ("severity", "critical"),
            ("instance", "web-00:9100"),
            ("job", "node"),
        ],
        &[
            ("summary", "5xx > 5%"),
            ("description", "5xx at 7.3%\nsince the last deploy"),
            ("runbook_url", "https://runbooks.example/high-error-rate"),
            ("dashboard_url", "https://grafana.example/d/abc?var-x=1&y=2"),
        ],
    );
    of(group(), vec![alert], at("2026-11-21T19:04:00.5Z"))
}

/// Its resolve.
pub(crate) fn single_resolved() -> Notification {
    let firing = single().alerts.remove(0).alert;
    of(group(), vec![resolved(firing)], at("2026-11-21T19:31:00Z"))
}

/// What a storm leaves in a digest: alerts that fired, of which some have ended meanwhile, one that fires still, and the ends
/// of others that were told before.
pub(crate) fn storm() -> Notification {
    let labels = |name: &str, severity: &str, instance: &str| {
        alert(
            &[("alertname", name), ("severity", severity), ("cluster", "eu-1"), ("instance", instance)],
            &[("summary", "Something broke.")],
        )
    };
    let of_kind = |name: &str, severity: &str, host: &str, count: usize| -> Vec<Alert> {
        (0..count).map(|number| labels(name, severity, &format!("{host}-{number:02}"))).collect()
    };
    let errors = of_kind("HighErrorRate", "warning", "web", 12);
    let flap = labels("Flap", "warning", "lb-1");
    let mut alerts = errors.clone();
    alerts.extend(of_kind("PodRestarts", "info", "pod", 17));
    alerts.push(flap.clone());
    alerts.extend(errors.into_iter().take(8).map(resolved));
    alerts.extend(of_kind("BackupLate", "warning", "nas", 3).into_iter().map(resolved));
    alerts.push(labels("DatabaseDown", "error", "db-1"));
    alerts.push(resolved(flap));
    let mut digest = of(group(), alerts, at("2026-11-21T19:04:00.5Z"));
    digest.alerts.push(Notified { alert: labels("DiskFull", "warning", "db-2"), reason: Reason::Repeat });
    digest.digest = Some(Digest { notifications: 40, since: digest.received_at });
    digest
}

/// The same alerts in a digest of so many notifications.
pub(crate) fn as_digest(notification: Notification) -> Notification {
    let digest = Some(Digest { notifications: u32::MAX, since: notification.received_at });
    Notification { digest, ..notification }
}

/// The same, as the fallback of a receiver that does not answer.
pub(crate) fn as_fallback(notification: Notification) -> Notification {
    let reason = "HTTP 503: no <healthy> upstream & *more* for 5m".to_owned();
    Notification { fallback: Some(FallbackFor { receiver: "oncall".into(), reason }), ..notification }
}

/// The same, as the fallback of a receiver whose name and service say whatever they like.
pub(crate) fn as_hostile_fallback(notification: Notification) -> Notification {
    let evil = "<!channel> <https://evil.example|x> </a><script>\u{202e}\u{0}\r\n> *b* `c` ";
    let receiver = evil.repeat(3).as_str().into();
    Notification { fallback: Some(FallbackFor { receiver, reason: evil.repeat(500) }), ..notification }
}

fn annotations(text: &str) -> [(&str, &str); 3] {
    [("summary", text), ("description", text), ("message", text)]
}

/// What labels may do to us, by name. Every one holds at least one alert.
pub(crate) fn hostile() -> Vec<(&'static str, Notification)> {
    let when = at("2026-11-21T20:00:00Z");
    let long = "long ".repeat(2048);
    let emoji = "🙂🏽‍♀️".repeat(600);
    let lines = "&<>\n".repeat(3000);
    let one = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
        of(Group::default(), vec![alert(labels, annotations)], when)
    };
    let evil = "<!channel> <@U1> <https://evil.example|click> *bold* _it_ `code` ~no~ &amp; </a><script>x</script>";
    let bad_links = [("runbook_url", "javascript:alert(1)"), ("dashboard_url", "https://x.example/|y> <!here>")];
    let many: Vec<_> = (0..500)
        .map(|n| {
            let host = format!("host-{n}");
            let alert = alert(
                &[("alertname", evil), ("instance", &host), ("x", if n < 40 { &long } else { "x" })],
                &annotations(evil),
            );
            if n % 3 == 0 { resolved(alert) } else { alert }
        })
        .collect();
    let truncated = Group { truncated_alerts: 12, external_url: "http://am.example".to_owned(), ..Group::default() };
    let mut wide = alert(&[("alertname", "Wide")], &[]);
    let names: Vec<_> = (0..4000).map(|n| (format!("label_{n}"), "\"\\".repeat(100))).collect();
    wide.labels = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    wide.annotations = wide.labels.clone();
    let mut bare = alert(&[("a", "b")], &[]);
    (bare.starts_at, bare.generator_url) = (None, format!("http://x.example/{}", "y".repeat(5000)));
    vec![
        ("evil", one(&[("alertname", evil), ("instance", evil), ("severity", evil)], &annotations(evil))),
        ("links", one(&[("alertname", "Links"), ("severity", "page")], &bad_links)),
        ("long", one(&[("alertname", &long), ("instance", &long), ("job", &long)], &annotations(&long))),
        ("emoji", one(&[("alertname", &emoji), ("instance", &emoji)], &annotations(&emoji))),
        ("lines", one(&[("alertname", &lines), ("instance", &lines)], &annotations(&lines))),
        ("controls", one(&[("alertname", "\u{0}\u{1b}[31m\u{7f}"), ("b", "\r\n\t")], &annotations("\u{1b}]0;x\u{7}"))),
        ("empty", one(&[("alertname", "Empty")], &annotations(""))),
        ("blank", one(&[("alertname", "  "), ("job", "\u{1}")], &annotations(" \n "))),
        ("many", of(truncated, many, when)),
        ("wide", of(Group::default(), vec![wide], when)),
        ("bare", of(Group::default(), vec![bare.clone()], when)),
        ("bare resolved", of(Group::default(), vec![resolved(bare)], when)),
    ]
}

/// An answer without `Retry-After`.
pub(crate) fn answer(step: &'static str, status: u16, body: &str) -> Answer {
    Answer { step, status, retry_after: None, body: body.as_bytes().to_vec().into() }
}

/// What a verdict says of a failure: whether to try again, and its class. `None` for a delivery.
pub(crate) fn failed(verdict: &Verdict) -> Option<(bool, FailureClass)> {
    match verdict {
        Verdict::Delivered { .. } => None,
        Verdict::Retry { failure, .. } => Some((true, failure.class)),
        Verdict::Reject { failure } => Some((false, failure.class)),
        Verdict::Then(next) => panic!("wants a further request: {next:?}"),
    }
}
