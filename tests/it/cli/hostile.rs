//! Labels and bodies that attack whoever reads them: a terminal that shows the log, the outbox or what was refused.

use alertrouter::standin::Behaviour;
use serde_json::{Value, json};

use super::{folder_for, said};
use crate::harness::process::Router;
use crate::harness::{Services, alerts, http, start};

/// A terminal's colours, title and link; C1 controls; lines of a log; the direction of writing; what is not seen.
const EVIL: &str = "e\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}]8;;http://evil.example\u{1b}\\ \u{9b}31m\u{9d}x\u{9c}\u{85}\
    \r\nERROR owned\u{2028}\u{202e}gpj\u{2066}\u{200b}\u{feff}\u{0}\u{7f} {{ 7*7 }} <!channel> '\"\\";

fn is_obeyed(c: char) -> bool {
    let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\n' || directs || matches!(c, '\u{200b}' | '\u{feff}')
}

/// That no terminal obeys any of it.
fn check(what: &str, text: &str) {
    assert!(text.contains("gpj"), "{what} does not show it:\n{text}");
    let line = text.lines().find(|line| line.contains(is_obeyed) || line.starts_with("ERROR owned"));
    assert_eq!(line, None, "{what}");
}

/// A group whose every word is evil, an alert of which is refused.
fn body() -> Vec<u8> {
    let labels = json!({ "alertname": EVIL, "severity": "critical", "instance": EVIL, (EVIL): EVIL });
    let mut alert = alerts::firing(&labels, start());
    alert["annotations"] = json!({ "summary": EVIL, "runbook_url": "javascript:alert(1)", (EVIL): EVIL });
    alert["generatorURL"] = EVIL.into();
    let mut refused = alerts::alert(EVIL, "warning");
    refused["startsAt"] = EVIL.into();
    let mut group = alerts::group(EVIL, &[alert, refused]);
    for field in ["receiver", "externalURL", "version"] {
        group[field] = EVIL.into();
    }
    group["groupLabels"] = labels;
    group.to_string().into()
}

#[tokio::test]
async fn no_terminal_obeys_what_strangers_wrote() {
    for format in ["text", "json"] {
        let services = Services::start().await;
        let folder = folder_for(&services);
        for service in [&services.slack, &services.pagerduty] {
            service.behave(Behaviour::answer(400, EVIL));
        }
        let flags = ["--log-level", "trace,hyper=info,hyper_util=info", "--log-format", format];
        let mut router = Router::start_with(&folder.0, "127.0.0.1:0", &flags).await;
        let (status, answer) = http::post_text(&router.address, "/webhook", body()).await;
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = http::post_text(&router.address, "/webhook", format!("{{\"{EVIL}\" 7").into()).await;
        assert_eq!(status, 400);
        assert!(!answer.contains(is_obeyed), "{answer}");
        // Not only said, but settled: before that, a list shows no error.
        router.wait_until_delivered().await;
        router.process.wait_for("given up: a dead letter").await;
        let unknown = http::raw(&router.address, "GET", "/\u{9b}gpj").await;
        assert!(!unknown.replace('\r', "").contains(is_obeyed), "{unknown:?}");
        let metrics = router.metrics().await;
        assert!(!metrics.contains("gpj") && !metrics.contains(is_obeyed), "{metrics}");

        let outbox = said(&folder, &["outbox", "list", "--state", "all"]).await.out;
        check("outbox list", &outbox);
        let listed = said(&folder, &["outbox", "list", "--state", "all", "--format", "json"]).await.out;
        check("outbox list as JSON", &listed);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed["deliveries"][0]["alertnames"][0], EVIL, "JSON says what came");
        let id = listed["deliveries"][0]["id"].to_string();
        check("outbox show", &said(&folder, &["outbox", "show", &id]).await.out);
        check("outbox show as JSON", &said(&folder, &["outbox", "show", &id, "--format", "json"]).await.out);
        check("rejected", &said(&folder, &["rejected"]).await.out);
        let rejected = said(&folder, &["rejected", "--json"]).await.out;
        check("rejected as JSON", &rejected);
        assert!(rejected.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{rejected}");
        let wrong =
            said(&folder, &["route", "--explain", "--verify", &EVIL.replace('\0', ""), "gpj=\u{9b}\u{1b}x"]).await;
        check("route", &format!("{}{}", wrong.out, wrong.err));

        assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
        let log = router.process.log();
        check("the log", &log);
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        assert!(format == "text" || log.lines().all(is_json), "{log}");
    }
}
