//! README's figures about the disk.

use std::path::Path;

use alertrouter::clock::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use tokio::process::Command;

use super::section;
use crate::harness::process::{Router, debian, run};
use crate::harness::{Folder, Services, alerts, http};

/// What a measurement may differ from what README says, as a share of that.
const TOLERANCE: f64 = 0.25;

/// An alert of the size that README speaks of.
fn alert(number: usize, now: Timestamp) -> Value {
    let labels = json!({
        "alertname": "HighErrorRate", "severity": "warning", "cluster": "eu-1", "namespace": "payments", "job": "api",
        "service": format!("service-{number}"), "instance": format!("10.0.{}.{}:9100", number / 250, number % 250),
    });
    let mut alert = alerts::firing(&labels, now);
    alert["annotations"] = json!({
        "summary": "More than 5 % of requests fail for five minutes",
        "description": "x".repeat(250),
        "runbook_url": "https://runbooks.example/high-error-rate",
    });
    alert
}

/// The size of the database when nothing is in it that nobody needs any more.
async fn size(folder: &Path) -> f64 {
    let copy = folder.join("copy.db");
    let mut sqlite = debian("sqlite3", "sqlite3");
    sqlite.arg("-readonly").arg(folder.join("data/alertrouter.db")).arg(format!("VACUUM INTO '{}'", copy.display()));
    let said = run(sqlite).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let bytes = std::fs::metadata(&copy).unwrap().len();
    std::fs::remove_file(copy).unwrap();
    f64::from(u32::try_from(bytes).unwrap())
}

fn serve(folder: &Path) -> Command {
    crate::harness::process::serve(folder, "127.0.0.1:0", &[])
}

/// Bytes on disk for each of so many alerts: while they wait, and after they were delivered.
async fn bytes_for_each(count: usize, in_a_body: usize) -> (f64, f64) {
    let (services, folder) = (Services::start().await, Folder::in_memory());
    let routes = "receivers:\n  - name: team-slack\n    slack: { webhook_url: SLACK_WEBHOOK_URL }\n    \
                  rate_limit: { rate: 10000/s, burst: 10000, overflow: wait }\nroute: { receivers: [team-slack] }\n";
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(routes)).unwrap();
    services.slack.set_down(true);
    let mut service = Router::from_command(serve(&folder.0)).await;
    let empty = size(&folder.0).await;
    let now = SystemClock::new().now();
    for first in (0..count).step_by(in_a_body) {
        let body: Vec<_> = (first..first + in_a_body).map(|number| alert(number, now)).collect();
        let body = alerts::group(&format!("g{first}"), &body).to_string();
        assert!((700 * in_a_body..1_200 * in_a_body).contains(&body.len()), "{} bytes", body.len());
        assert_eq!(http::post(&service.address, "/webhook", body.into()).await.0, 200);
    }
    let waiting = size(&folder.0).await;
    // Whoever starts again does not wait for a probe.
    assert_eq!(service.process.terminate().await, Some(0));
    services.slack.set_down(false);
    let mut service = Router::from_command(serve(&folder.0)).await;
    service.wait_until_delivered().await;
    let delivered = size(&folder.0).await;
    assert_eq!(service.process.terminate().await, Some(0));
    let each = |bytes: f64| (bytes - empty) / f64::from(u32::try_from(count).unwrap());
    (each(waiting), each(delivered))
}

#[tokio::test]
async fn the_disk_takes_what_readme_says() {
    let table = section("### Size");
    let said: Vec<f64> = table
        .lines()
        .filter_map(|line| line.split('|').nth(2)?.trim().strip_suffix(" KB"))
        .map(|number| number.parse::<f64>().unwrap() * 1_000.0)
        .collect();
    let (one, fifty) = tokio::join!(bytes_for_each(250, 1), bytes_for_each(1_000, 50));
    let measured = [one.0, fifty.0, one.1, fifty.1];
    assert_eq!(said.len(), measured.len(), "{table}");
    for (said, measured) in said.iter().zip(measured) {
        let off = (measured - said).abs() / said;
        assert!(off < TOLERANCE, "README says {said} bytes for each alert; it is {measured:.0}");
    }
}
