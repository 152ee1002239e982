//! What people read.

use super::refusals::BROKEN;
use super::{folder, folder_for, said, shipped_routes};
use crate::harness::process::{Router, Said};
use crate::harness::{Services, http};

pub(super) fn show(said: &Said) -> String {
    format!("exit code {}\n--- stdout\n{}--- stderr\n{}", said.code.unwrap(), said.out, said.err)
}

#[tokio::test]
async fn help() {
    let folder = folder(&[]);
    for command in [
        "",
        "serve",
        "demo",
        "stand-in",
        "check",
        "route",
        "test",
        "import",
        "send",
        "outbox",
        "rejected",
        "schema",
        "healthcheck",
        "completions",
        "man",
    ] {
        let arguments: Vec<_> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let said = said(&folder, &arguments).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let name = if command.is_empty() { "help".to_owned() } else { format!("help_{command}") };
        insta::assert_snapshot!(name, said.out);
    }
}

#[tokio::test]
async fn check() {
    let folder = folder(&[("broken.yaml", BROKEN), ("routes.yaml", &shipped_routes())]);
    insta::assert_snapshot!("check_broken", show(&said(&folder, &["check", "broken.yaml"]).await));
    insta::assert_snapshot!("check_shipped", show(&said(&folder, &["check"]).await));
    let said = said(&folder, &["check", "--strict", "--no-secrets"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "routes.yaml: 3 receivers, 4 routes, no problems\n"));
}

#[tokio::test]
async fn route() {
    let folder = folder(&[("broken.yaml", BROKEN), ("routes.yaml", &shipped_routes())]);
    let reached = said(&folder, &["route", "severity=critical", "team=search"]).await;
    assert_eq!((reached.code, reached.out.as_str(), reached.err.as_str()), (Some(0), "oncall,team-slack\n", ""));
    let wrong = said(&folder, &["route", "--verify", "dashboards", "severity=warning"]).await;
    insta::assert_snapshot!("route_verify", show(&wrong));
    insta::assert_snapshot!("route_bad_label", show(&said(&folder, &["route", "severity"]).await));
    let why = ["route", "--explain", "--verify", "oncall", "severity=critical", "team=search", "cluster="];
    insta::assert_snapshot!("route_explain", show(&said(&folder, &why).await));
    let broken = said(&folder, &["route", "--config", "broken.yaml", "a=b"]).await;
    assert_eq!((broken.code, broken.out.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn rejected() {
    let folder = folder_for(&Services::start().await);
    let nothing = said(&folder, &["rejected"]).await;
    assert_eq!(nothing.code, Some(1));
    assert_eq!(nothing.err, "error: data/alertrouter.db does not exist; is --data-dir the one of the service?\n");

    let mut router = Router::start(&folder.0).await;
    assert_eq!(said(&folder, &["rejected"]).await.out, "nothing was refused\n");
    let (status, _) = http::post(&router.address, "/webhook", b"{\"half\": \x1b[31m".to_vec()).await;
    assert_eq!(status, 400);
    let group = r#"{"version":"4","groupKey":"g","alerts":[{"status":"on fire","labels":{"alertname":"A"}},
        {"status":"firing","labels":{"alertname":"B","severity":"none"}}]}"#;
    let (status, answer) = http::post(&router.address, "/webhook", group.into()).await;
    assert_eq!((status, &answer["rejected"]), (200, &1.into()), "{answer}");

    // Beside the running service, newest first.
    let shown = said(&folder, &["rejected"]).await;
    let without_times: Vec<_> = shown
        .out
        .lines()
        .map(|line| if line.starts_with(' ') { line } else { line.split_once(' ').unwrap().1 })
        .collect();
    insta::assert_snapshot!("rejected", without_times.join("\n"));
    let lines = said(&folder, &["rejected", "--json", "--limit", "1"]).await.out;
    let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&line["what"], lines.lines().count()), (&"alert".into(), 1), "{lines}");
    assert_eq!(router.process.terminate().await, Some(0));
}
