//! What every receiver owes, whichever service it speaks to.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::custom::Custom;
use super::grafana::Grafana;
use super::pagerduty::{IncidentPer, PagerDuty};
use super::slack::token::App;
use super::slack::{self, Slack};
use super::webhook::{SigningKey, Webhook};
use super::{Answer, Method, Outgoing, Receiver, Verdict, email, fixture};
use crate::notification::{Granularity, Notification};
use crate::standin::{self, Kind, Received, Service};
use crate::template::{Escape, Template};

const CAPTURED: [&str; 11] = [
    "0.25-01-firing-group-of-4",
    "0.25-02-mixed-one-resolved-three-firing",
    "0.25-03-all-resolved",
    "0.25-04-truncated-max_alerts-2-firing",
    "0.25-05-truncated-status-resolved-but-2-hidden-firing",
    "0.25-06-groupkey-escaping",
    "0.25-07-group_by-all-single-alert",
    "0.25-08-no-annotations-missing-group-label",
    "0.33-firing-group-of-5",
    "0.33-mixed",
    "0.34-shape-mixed",
];

const MARKER: &str = "marker0f5ecret0marker0f5ecret000";

/// Every receiver, its secret replaced by `secret`, and the stand-in for its service.
pub(super) fn receivers(secret: Option<&str>) -> Vec<(Box<dyn Receiver>, Option<Kind>)> {
    let path = secret.map_or(standin::slack::PATH.to_owned(), |secret| format!("/services/T0/B0/{secret}"));
    let key = secret.unwrap_or(standin::pagerduty::ROUTING_KEY);
    let token = secret.unwrap_or(standin::grafana::TOKEN);
    let grafana = Grafana {
        url: "http://grafana.example:3000".to_owned(),
        token: token.into(),
        tags: vec!["ops".to_owned(), "x".repeat(600)],
        dashboard_uid: Some("abc".to_owned()),
        panel_id: Some(2),
        namespace: "default".to_owned(),
        text: None,
    };
    let pagerduty = |incident_per| PagerDuty {
        routing_key: key.into(),
        url: format!("https://events.example{}", standin::pagerduty::PATH),
        incident_per,
        severity_map: Vec::new(),
        summary: None,
    };
    let app = App {
        token: secret.unwrap_or(standin::slack::TOKEN).into(),
        channel: standin::slack::CHANNEL.to_owned(),
        api_url: format!("https://slack.example{}", standin::slack::API),
        templates: slack::Templates::default(),
        edits: true,
    };
    let webhook = Webhook {
        url: format!("https://hooks.example/{}", secret.unwrap_or("x")).into(),
        headers: vec![("authorization".into(), format!("Bearer {}", secret.unwrap_or("x")).into())],
        keys: secret.map(|secret| SigningKey::parse(secret).unwrap()).into_iter().collect(),
        ..Webhook::default()
    };
    let slack = Slack::Webhook {
        webhook_url: format!("https://hooks.example{path}").into(),
        templates: slack::Templates::default(),
    };
    vec![
        (Box::new(slack), Some(Kind::Slack)),
        (Box::new(Slack::App(app)), Some(Kind::Slack)),
        (Box::new(pagerduty(IncidentPer::Alert)), Some(Kind::PagerDuty)),
        (Box::new(pagerduty(IncidentPer::Group)), Some(Kind::PagerDuty)),
        (Box::new(grafana), Some(Kind::Grafana)),
        (Box::new(webhook), None),
        (Box::new(super::email::tests::email(secret.unwrap_or("a password"))), None),
    ]
}

/// Everything the receivers may be told, as each of them takes it.
fn notifications(receiver: &dyn Receiver) -> Vec<(String, Notification)> {
    let captured = CAPTURED.iter().map(|name| ((*name).to_owned(), fixture::captured(name)));
    let hostile = fixture::hostile().into_iter().map(|(name, hostile)| (name.to_owned(), hostile));
    let fallback =
        |(name, notification)| (format!("{name}, as a fallback"), fixture::as_hostile_fallback(notification));
    let whole = captured.chain(hostile).flat_map(|both| [both.clone(), fallback(both)]);
    if receiver.granularity() == Granularity::Group {
        let storm = [("storm".to_owned(), fixture::storm())];
        let digest = |(name, notification)| (format!("{name}, as a digest"), fixture::as_digest(notification));
        return whole.flat_map(|both| [both.clone(), digest(both)]).chain(storm).collect();
    }
    let single = |(name, whole): (String, Notification)| {
        let alerts: Vec<_> = whole.alerts.iter().take(20).cloned().collect();
        alerts.into_iter().map(move |alert| (name.clone(), Notification { alerts: vec![alert], ..whole.clone() }))
    };
    whole.flat_map(single).collect()
}

/// The request as the service receives it.
pub(super) fn received(outgoing: &Outgoing) -> Received {
    let url = url::Url::parse(outgoing.url.expose_secret()).unwrap();
    let method = match outgoing.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Mail(_) => "MAIL",
        Method::Delete => "DELETE",
    };
    Received {
        method: method.to_owned(),
        path: url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
        headers: outgoing
            .headers
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), value.expose_secret().to_owned()))
            .collect(),
        body: outgoing.body.clone(),
        json: serde_json::from_slice(&outgoing.body).unwrap_or_default(),
        status: None,
        answer: String::new(),
    }
}

/// Talks to the service until the receiver has a final word.
pub(super) fn deliver(receiver: &dyn Receiver, notification: &Notification, service: &mut Service) -> Verdict {
    if let Some(verdict) = receiver.without_request(notification) {
        return verdict;
    }
    let mut outgoing = receiver.encode(notification).unwrap();
    for _ in 0..4 {
        let reply = service.answer(&received(&outgoing));
        let answer = Answer { step: outgoing.step, status: reply.status, retry_after: None, body: reply.body.into() };
        match receiver.judge(notification, &answer) {
            Verdict::Then(next) => outgoing = next,
            verdict => return verdict,
        }
    }
    panic!("no end of requests");
}

#[test]
fn services_take_whatever_the_labels_hold() {
    for (receiver, kind) in receivers(None) {
        let Some(kind) = kind else { continue };
        for (name, notification) in notifications(&*receiver) {
            for attempt in [1, 2] {
                let mut service = Service::new(kind);
                let notification = Notification { attempt, ..notification.clone() };
                let verdict = deliver(&*receiver, &notification, &mut service);
                assert!(matches!(verdict, Verdict::Delivered { .. }), "{kind:?} {name}: {verdict:?}");
                if let Service::Slack(state) = &service {
                    assert_eq!(state.injections(), <&[String]>::default(), "{name}");
                }
            }
        }
    }
}

/// Receivers whose texts all come from templates.
fn templated() -> Vec<(Box<dyn Receiver>, Kind)> {
    let custom = |key, source, escape| -> Custom { Some(Arc::new(Template::compile(key, source, escape).unwrap())) };
    let text = "{% for a in alerts %}{{ a.generatorURL | link(a.name) }} {{ a.labels }} {{ a.summary }}\n{% endfor %}";
    let templates = || slack::Templates {
        title: custom("title", "{{ alert.name }} {{ alert.labels.instance }}.", Escape::Mrkdwn),
        text: custom("text", text, Escape::Mrkdwn),
    };
    let slack = Slack::Webhook {
        webhook_url: format!("https://hooks.example{}", standin::slack::PATH).into(),
        templates: templates(),
    };
    let app = App {
        token: standin::slack::TOKEN.into(),
        channel: standin::slack::CHANNEL.to_owned(),
        api_url: format!("https://slack.example{}", standin::slack::API),
        templates: templates(),
        edits: true,
    };
    let pagerduty = PagerDuty {
        routing_key: standin::pagerduty::ROUTING_KEY.into(),
        url: format!("https://events.example{}", standin::pagerduty::PATH),
        incident_per: IncidentPer::Alert,
        severity_map: Vec::new(),
        summary: custom("summary", "{{ alert.name }} {{ alert.annotations.description }}.", Escape::Plain),
    };
    let grafana = Grafana {
        url: "http://grafana.example:3000".to_owned(),
        token: standin::grafana::TOKEN.into(),
        tags: Vec::new(),
        dashboard_uid: None,
        panel_id: None,
        namespace: "default".to_owned(),
        text: custom("text", "<b>{{ alert.name }}</b> {{ alert.labels }} {{ alert.summary }}", Escape::Html),
    };
    let app = Box::new(Slack::App(app));
    vec![
        (Box::new(slack), Kind::Slack),
        (app, Kind::Slack),
        (Box::new(pagerduty), Kind::PagerDuty),
        (Box::new(grafana), Kind::Grafana),
    ]
}

#[test]
fn services_take_whatever_templates_make_of_it() {
    for (receiver, kind) in templated() {
        for (name, notification) in notifications(&*receiver).into_iter().step_by(3) {
            assert_eq!(receiver.encode(&notification).unwrap().template_error, None, "{kind:?} {name}");
            let mut service = Service::new(kind);
            let verdict = deliver(&*receiver, &notification, &mut service);
            assert!(matches!(verdict, Verdict::Delivered { .. }), "{kind:?} {name}: {verdict:?}");
            if let Service::Slack(state) = &service {
                assert_eq!(state.injections(), <&[String]>::default(), "{name}");
            }
        }
    }
}

#[test]
fn encoding_is_deterministic() {
    for (receiver, _) in receivers(None) {
        for (name, notification) in notifications(&*receiver) {
            if receiver.without_request(&notification).is_some() {
                continue;
            }
            let (one, two) = (receiver.encode(&notification).unwrap(), receiver.encode(&notification).unwrap());
            assert!(one.body == two.body, "{receiver:?} {name}");
            assert_eq!(one.url.expose_secret(), two.url.expose_secret(), "{receiver:?} {name}");
        }
    }
}

#[test]
fn no_secret_is_shown() {
    let echo = format!("bad path /services/T0/B0/{MARKER} or key {MARKER}");
    let bodies = [
        echo.clone(),
        format!(r#"{{"message":"{echo}","errors":["{echo}"],"status":"x"}}"#),
        format!(r#"{{"ok":false,"error":"{echo}","response_metadata":{{"messages":["{echo}"]}}}}"#),
        format!(r#"{{"message":"{echo}","code":10015}}"#),
        format!("<html>{echo}</html>"),
        format!("{} {MARKER}", "x".repeat(285)),
    ];
    for (receiver, _) in receivers(Some(MARKER)) {
        let notification = fixture::single();
        let outgoing = receiver.encode(&notification).unwrap();
        let mut shown = vec![format!("{receiver:?}"), format!("{outgoing:?}")];
        for step in [outgoing.step, "update", "reply", "replace", email::AUTH, email::RECIPIENT, email::GREETING] {
            for status in [100, 200, 201, 302, 400, 401, 403, 404, 408, 410, 422, 429, 500, 535, 550] {
                for body in &bodies {
                    let answer = fixture::answer(step, status, body);
                    shown.push(format!("{:?}", receiver.judge(&notification, &answer)));
                }
            }
        }
        for text in shown {
            assert!(!text.contains(&MARKER[..8]), "{text}");
        }
    }
}

#[test]
fn what_may_be_temporary_is_never_given_up() {
    for (receiver, _) in receivers(None) {
        for mut notification in [fixture::single(), fixture::single_resolved()] {
            for attempt in [1, 2] {
                notification.attempt = attempt;
                let step = receiver.encode(&notification).unwrap().step;
                for status in [408, 429, 500, 502, 503, 504] {
                    for body in ["", "<html>", "no_service", r#"{"message":"x"}"#] {
                        let verdict = receiver.judge(&notification, &fixture::answer(step, status, body));
                        assert!(matches!(verdict, Verdict::Retry { .. }), "{receiver:?} {status}: {verdict:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_notification_without_alerts_is_an_error_and_no_panic() {
    for (receiver, _) in receivers(None) {
        let empty = Notification { alerts: Vec::new(), ..fixture::single() };
        assert!(receiver.encode(&empty).is_err(), "{receiver:?}");
        let _ = receiver.judge(&empty, &fixture::answer("post", 200, "ok"));
    }
}
