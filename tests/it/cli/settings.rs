//! Each setting of `serve` as an environment variable.

use serde_json::{Value, json};

use super::{command, folder};
use crate::harness::process::{Router, run};
use crate::harness::{ROUTES, Services, alerts, http, start};

#[tokio::test]
async fn every_environment_variable_counts() {
    let services = Services::start().await;
    services.slack.set_down(true);
    let folder = folder(&[("other.yaml", &services.fill_in(ROUTES))]);
    let mut serve = command(&folder.0, &["serve"]);
    serve.envs([
        ("ALERTROUTER_CONFIG", "other.yaml"),
        ("ALERTROUTER_LISTEN", "0.0.0.0:0"),
        ("ALERTROUTER_ALLOW_UNAUTHENTICATED", "1"),
        ("ALERTROUTER_DATA_DIR", "elsewhere"),
        ("ALERTROUTER_MAX_BODY", "2048"),
        ("ALERTROUTER_MAX_OUTBOX", "1"),
        ("ALERTROUTER_LOG_LEVEL", "debug"),
        ("ALERTROUTER_LOG_FORMAT", "json"),
    ]);
    let mut router = Router::from_command(serve).await;
    let address = router.address.replace("0.0.0.0", "127.0.0.1");
    let post = async |body: &Value| http::post(&address, "/webhook", body.to_string().into()).await;

    let group = |name: &str| {
        let alert = alerts::firing(&json!({ "alertname": name, "severity": "warning" }), start());
        alerts::group(name, &[alert])
    };
    assert_eq!(post(&group("First")).await.0, 200);
    assert_eq!(post(&group("Second")).await.0, 503, "the outbox takes one");
    assert_eq!(post(&group(&"long".repeat(600))).await.0, 413);
    assert!(folder.0.join("elsewhere/alertrouter.db").exists());
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    let lines: Vec<Value> = router
        .process
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "{lines:?}");

    let mut rejected = command(&folder.0, &["rejected"]);
    rejected.env("ALERTROUTER_DATA_DIR", "elsewhere");
    let said = run(rejected).await;
    assert!(said.out.contains("  body  "), "{said:?}");
    let mut route = command(&folder.0, &["route", "severity=info"]);
    route.env("ALERTROUTER_CONFIG", "other.yaml");
    assert_eq!(run(route).await.out, "dashboards\n");
}
