//! SIGTERM, SIGINT, SIGHUP.

use std::fs::OpenOptions;
use std::io::Write;

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{Behaviour, Gate};
use serde_json::json;
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::{folder, folder_for};
use crate::harness::process::{Process, Router, serve};
use crate::harness::wait::patiently;
use crate::harness::{ROUTES, Services, alerts, http};

/// Posts an alert of this severity; it has to be taken.
async fn post(router: &Router, name: &str, severity: &str) {
    let labels = json!({ "alertname": name, "severity": severity });
    let group = alerts::group(name, &[alerts::firing(&labels, SystemClock::new().now())]);
    let (status, answer) = http::post(&router.address, "/webhook", group.to_string().into()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn either_signal_ends_it_with_0() {
    let folder = folder_for(&Services::start().await);
    for signal in ["TERM", "INT"] {
        let mut router = Router::start(&folder.0).await;
        assert_eq!(http::get(&router.address, "/-/ready").await.0, 200);
        router.process.signal(signal).await;
        assert_eq!(router.process.wait().await, Some(0), "{signal}: {}", router.process.log());
        assert!(router.process.log().contains("stopped"), "{}", router.process.log());
    }
}

/// A pipe in the place of routes.yaml stops the start half way.
#[tokio::test]
async fn a_hangup_while_it_starts_is_a_reload_too() {
    let services = Services::start().await;
    let folder = folder(&[]);
    let pipe = folder.0.join("routes.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    let open = async || {
        let pipe = pipe.clone();
        let opened = spawn_blocking(move || OpenOptions::new().write(true).open(pipe).unwrap());
        patiently("somebody who reads routes.yaml", opened).await.unwrap()
    };
    let routes = services.fill_in(ROUTES);

    let mut process = Process::start(serve(&folder.0, "127.0.0.1:0", &[]));
    let mut reader = open().await;
    process.signal("HUP").await;
    reader.write_all(routes.as_bytes()).unwrap();
    drop(reader);
    process.wait_for("listening on").await;
    open().await.write_all(routes.as_bytes()).unwrap();
    process.wait_for("routes.yaml reloaded").await;
    assert_eq!(process.terminate().await, Some(0), "{}", process.log());
}

#[tokio::test]
async fn the_attempt_under_way_ends_and_a_second_signal_does_not_wait_for_it() {
    let services = Services::start().await;
    let folder = folder_for(&services);
    let gate = Gate::closed();
    services.slack.behave(Behaviour::Wait(gate.clone()));
    let mut router = Router::start(&folder.0).await;
    post(&router, "Slow", "warning").await;
    patiently("an attempt", services.slack.wait_for(1)).await;
    router.process.signal("TERM").await;
    router.process.wait_for("shutting down").await;
    assert_eq!(http::get(&router.address, "/-/ready").await.0, 503);
    assert_eq!(http::post(&router.address, "/webhook", b"{}".to_vec()).await.0, 503);
    gate.open();
    assert_eq!(router.process.wait().await, Some(0), "{}", router.process.log());
    assert!(router.process.log().contains("delivered"), "{}", router.process.log());

    services.slack.behave(Behaviour::Hang);
    let mut router = Router::start(&folder.0).await;
    post(&router, "Hangs", "warning").await;
    patiently("an attempt", services.slack.wait_for(2)).await;
    router.process.signal("TERM").await;
    router.process.wait_for("shutting down").await;
    router.process.signal("INT").await;
    assert_eq!(router.process.wait().await, Some(0), "{}", router.process.log());

    assert!(!router.process.log().contains("no answer within"), "it waited for the attempt: {}", router.process.log());

    // What was cut off is sent by the next.
    let mut router = Router::start(&folder.0).await;
    patiently("the next attempt", services.slack.wait_for_accepted(2)).await;
    router.wait_until_delivered().await;
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}

#[tokio::test]
async fn hangup_reloads_a_good_file_and_keeps_the_old_one_of_a_bad() {
    const SUCCESS: &str = "alertrouter_config_last_reload_successful";
    let services = Services::start().await;
    let folder = folder_for(&services);
    let path = folder.0.join("routes.yaml");
    let mut router = Router::start(&folder.0).await;

    std::fs::write(&path, services.fill_in(&ROUTES.replace("severity=info", "severity=page"))).unwrap();
    router.process.signal("HUP").await;
    router.process.wait_for("routes.yaml reloaded").await;
    post(&router, "ToGrafana", "page").await;
    patiently("an annotation", services.grafana.wait_for_accepted(1)).await;

    std::fs::write(&path, "receivers: []\nroute: { recievers: [a] }\n").unwrap();
    router.process.signal("HUP").await;
    router.process.wait_for("was not reloaded").await;
    router.process.wait_for("did you mean `receivers`").await;
    assert_eq!(http::metric(&router.metrics().await, SUCCESS), 0.0);
    post(&router, "ToGrafanaToo", "page").await;
    patiently("an annotation", async {
        while services.grafana.annotations().len() < 2 {
            services.grafana.wait_for_accepted(services.grafana.accepted().len() + 1).await;
        }
    })
    .await;

    // The same over HTTP: every problem in the answer.
    let (status, problems) = http::post_text(&router.address, "/-/reload", Vec::new()).await;
    assert_eq!(status, 400);
    assert!(problems.lines().count() > 2 && problems.contains("routes.yaml:2:10: error: "), "{problems}");
    std::fs::write(&path, services.fill_in(ROUTES)).unwrap();
    assert_eq!(http::post_text(&router.address, "/-/reload", Vec::new()).await.0, 200);
    assert_eq!(http::metric(&router.metrics().await, SUCCESS), 1.0);
    router.wait_until_delivered().await;
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}
