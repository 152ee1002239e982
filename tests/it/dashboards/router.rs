//! A run of the router through 40 minutes of an incident: its own /metrics, on the clock of the test.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, between};
use alertrouter::standin::Behaviour;
use serde_json::Value;

use super::recording::{Recording, SCRAPE};
use crate::harness::certificates::{ask, authority, certificate_for, client};
use crate::harness::{Folder, Harness, ROUTES, alerts, http, start};

const TARGET: &str = r#"job="alertrouter",instance="10.0.0.3:9096""#;
/// Another one, with TLS; it is taken away after some minutes.
const SECURE: &str = r#"job="alertrouter",instance="10.0.0.4:9096""#;
const SECURE_SCRAPES: u32 = 24;

/// Scrapes of the recording.
const SCRAPES: u32 = 160;
/// While `PagerDuty` is down, which is longer than a fallback waits.
const OUTAGE: std::ops::Range<u32> = 40..72;
const STORM: u32 = 84;
/// While Prometheus says nothing: longer than the heartbeat's 5 minutes.
const SILENCE: std::ops::Range<u32> = 96..128;
const RESTART: u32 = 136;
const RELOAD: u32 = 140;

/// Slack at its usual pace, `PagerDuty` with a fallback, a heartbeat.
fn routes() -> String {
    let unlimited = "slack: { webhook_url: SLACK_WEBHOOK_URL }\n    rate_limit: { rate: 1000/s, burst: 1000 }";
    let routes = ROUTES
        .replace(unlimited, "slack: { webhook_url: SLACK_WEBHOOK_URL }")
        .replace("- name: oncall", "- name: oncall\n    fallback: team-slack");
    format!(
        "{routes}heartbeats: [{{name: prod, every: 5m, matchers: [alertname=Watchdog], receivers: [team-slack]}}]\n"
    )
}

/// Posts a body that has to be taken. By hand: a client of the product reads the system's certificates each time.
async fn accept(harness: &Harness, body: &Value) {
    let (text, address) = (body.to_string(), harness.address());
    let head =
        format!("POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    let answer = http::read_to_end(http::connect(address, (head + &text).as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// What happens before the scrape of this number.
async fn happens(harness: &mut Harness, scrape: u32) {
    if !SILENCE.contains(&scrape) && scrape.is_multiple_of(8) {
        accept(harness, &alerts::one("Watchdog", "none")).await;
    }
    // A new alert every two minutes, and copies of it in between.
    accept(harness, &alerts::one(&format!("DiskFull-{}", scrape / 8), "warning")).await;
    let other = match scrape % 10 {
        0 => Some(alerts::one(&format!("ApiDown-{scrape}"), "critical")),
        3 => Some(alerts::one(&format!("Deploy-{scrape}"), "info")),
        // After seven minutes.
        8 if scrape > 28 => Some(alerts::one_resolved(&format!("ApiDown-{}", scrape - 28), "critical")),
        _ => None,
    };
    if let Some(body) = other {
        accept(harness, &body).await;
    }
    match scrape {
        20 => assert_eq!(harness.post_bytes(b"hello".to_vec()).await.0, 400),
        24 => {
            let page = "POST /webhook HTTP/1.1\r\nhost: x\r\norigin: http://evil.example\r\nconnection: close\r\n\r\n";
            let answer = http::read_to_end(http::connect(harness.address(), page.as_bytes()).await).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        }
        STORM => {
            for number in 0..30 {
                accept(harness, &alerts::one(&format!("Storm-{number}"), "warning")).await;
            }
        }
        RESTART => harness.restart().await,
        RELOAD => assert_eq!(harness.reload(&routes()).await.0, 200),
        // What a channel that is gone says; whatever is sent next is given up.
        150 => harness.services.slack.behave(Behaviour::answer(404, "no_service")),
        _ => {}
    }
    harness.services.pagerduty.set_down(OUTAGE.contains(&scrape));
}

/// Lets the workers do what they can do now.
async fn settle(harness: &Harness) {
    for _ in 0..10 {
        harness.look().await;
        if harness.pending().await == 0 {
            return;
        }
    }
}

/// A router that has a certificate, and what it needs.
async fn secure(folder: &Path) -> Harness {
    authority(folder, "ca").await;
    certificate_for(folder, "server", "ca", "IP:127.0.0.1", 90).await;
    let web = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    std::fs::write(folder.join("web.yml"), web).unwrap();
    Harness::with(ROUTES, |settings| settings.web_config = Some(folder.join("web.yml"))).await
}

/// Samples of the text of /metrics. Times of the machine's clock are moved to that of the recording, which begins at 0;
/// the process is that of the test, so it began when the service did.
fn add(recording: &mut Recording, target: &str, text: &str, began: Duration) {
    let machine = SystemClock::new().now().as_duration().as_secs_f64();
    recording.add(target, "up", &1);
    for line in text.lines().filter(|line| line.starts_with("alertrouter_") || line.starts_with("process_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let at = |zero: f64| (value.parse::<f64>().unwrap() - zero).to_string();
        let value = match series.split('{').next().unwrap_or_default() {
            "process_start_time_seconds" => began.as_secs().to_string(),
            "alertrouter_certificate_expiry_timestamp_seconds" => at(machine),
            name if name.ends_with("_timestamp_seconds") => at(start().as_duration().as_secs_f64()),
            _ => value.to_owned(),
        };
        recording.add(target, series, &value);
    }
}

pub(super) async fn recorded() -> Recording {
    let (folder, data) = (Folder::new(), Folder::in_memory());
    let mut harness = Harness::with(&routes(), |settings| settings.data_dir = data.0.join("data")).await;
    let secure = secure(&folder.0).await;
    // What passes before the heartbeats are looked at is no silence.
    harness.wait_until(async || harness.get("/metrics").await.1.contains("heartbeat=")).await;
    let client = client(&folder.0, "ca", None);
    let (mut recording, mut began) = (Recording::default(), Duration::ZERO);
    for scrape in 0..SCRAPES {
        happens(&mut harness, scrape).await;
        settle(&harness).await;
        recording.scrape();
        if scrape == RESTART {
            // It was down when Prometheus looked.
            began = between(start(), harness.now());
            recording.add(TARGET, "up", &0);
        } else {
            add(&mut recording, TARGET, &http::raw(harness.address(), "GET", "/metrics").await, began);
        }
        if scrape < SECURE_SCRAPES {
            let answer = ask(secure.address(), &client, "GET", "/metrics").await.unwrap();
            add(&mut recording, SECURE, &answer, Duration::ZERO);
        }
        harness.clock.advance(SCRAPE);
        settle(&harness).await;
    }
    harness.deliver(Duration::from_secs(600)).await;
    harness.finish().await;
    secure.finish().await;
    recording
}

/// The recording is worth something only if what it is made for has happened.
pub(super) fn check(recording: &Recording) {
    let raised: BTreeSet<_> = recording.raised().collect();
    for series in [
        r#"alertrouter_alerts_total{receiver="team-slack",reason="duplicate"}"#,
        r#"alertrouter_dead_letters{receiver="team-slack"}"#,
        r#"alertrouter_notifications_total{receiver="oncall",outcome="retried"}"#,
        r#"alertrouter_notifications_total{receiver="oncall",outcome="fallback"}"#,
        r#"alertrouter_notifications_total{receiver="team-slack",outcome="digested"}"#,
        r#"alertrouter_rate_limited_total{receiver="team-slack"}"#,
        r#"alertrouter_heartbeat_silence_seconds{heartbeat="prod"}"#,
        r#"alertrouter_rejected_total{what="body"}"#,
        r#"alertrouter_requests_refused_total{reason="browser",role="ingest"}"#,
    ] {
        let (name, labels) = series.split_once('{').unwrap();
        assert!(raised.contains(&*format!("{name}{{{TARGET},{labels}")), "{series} never rose in {raised:#?}");
    }
    let fell: BTreeSet<_> = recording.fell().collect();
    for series in ["receiver_up{TARGET,receiver=\"oncall\"}", "heartbeat_up{TARGET,heartbeat=\"prod\"}"] {
        let series = format!("alertrouter_{}", series.replace("TARGET", TARGET));
        assert!(fell.contains(&*series), "{series} never fell");
    }
}
