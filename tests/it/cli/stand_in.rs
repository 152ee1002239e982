//! `stand-in`: Slack, PagerDuty and Grafana on one address, for whoever tries routes.yaml.

use std::path::Path;

use serde_json::json;

use super::{command, folder, said};
use crate::harness::Folder;
use crate::harness::http::{self, post_text};
use crate::harness::process::Process;
use crate::stack::shipped::address;

/// Starts one, with the routes.yaml that it prints in the folder; its address.
async fn start(folder: &Path) -> (Process, String) {
    let mut process = Process::start_talking(command(folder, &["stand-in", "--listen", "127.0.0.1:0"]));
    let address = address(&mut process).await;
    process.wait_for("by the time of arrival").await;
    let log = process.log();
    let (_, routes) = log.split_once("\n\n").unwrap();
    let (routes, _) = routes.split_once("\nWhat they are sent").unwrap();
    std::fs::write(folder.join("routes.yaml"), routes).unwrap();
    (process, address)
}

/// What it has printed of what came, with stars for digits and without the times.
fn shown(process: &Process) -> String {
    let log = process.log();
    let (_, came) = log.split_once("(UTC):\n\n").unwrap();
    let time = regex::Regex::new(r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").unwrap();
    time.replace_all(came, "TIME").replace(|c: char| c.is_ascii_digit(), "*")
}

#[tokio::test]
async fn what_it_says_to_write_into_routes_yaml_works() {
    let folder = Folder::new();
    let (mut stand_in, _) = start(&folder.0).await;
    let check = said(&folder, &["check", "--strict"]).await;
    assert_eq!((check.code, check.out.as_str()), (Some(0), "routes.yaml: 4 receivers, 1 route, no problems\n"));
    for receiver in ["oncall", "team-slack", "team-slack-app", "dashboards"] {
        let sent = said(&folder, &["send", receiver, "--resolve"]).await;
        assert_eq!((sent.code, sent.err.as_str()), (Some(0), ""), "{}", sent.out);
    }
    stand_in.wait_for("annotation 1 now").await;
    // Whether the test began in the same minute is chance.
    let since = regex::Regex::new(r" \(\*m\)").unwrap();
    insta::assert_snapshot!("stand_in_shown", since.replace_all(&shown(&stand_in), ""));
    assert_eq!(stand_in.terminate().await, Some(0), "{}", stand_in.log());

    let (mut stand_in, _) = start(&folder.0).await;
    stand_in.signal("INT").await;
    assert_eq!(stand_in.wait().await, Some(0), "{}", stand_in.log());
}

#[tokio::test]
async fn it_refuses_what_they_refuse_and_shows_no_secret_of_an_address() {
    let folder = Folder::new();
    let (mut stand_in, address) = start(&folder.0).await;
    let hook = "/services/T00000000/B00000000/standinstandinstandin000";
    let message = || json!({ "text": "hello" }).to_string().into_bytes();
    for (path, status, word) in [
        ("/services/T1/B1/s3cr3t", 404, "no_service"),
        ("/api/chat.postMessage", 200, "not_authed"),
        ("/v2/enqueue", 400, "Event object is invalid"),
        ("/v2/other", 404, "Not Found"),
        ("/api/annotations", 401, "Unauthorized"),
        ("/apis/annotation.grafana.app/v0alpha1/namespaces/default/annotations", 401, "Unauthorized"),
        ("/hooks/s3cr3t?key=s3cr3t", 404, "none of the services has this path"),
        ("/api", 404, "no_service"),
    ] {
        let answer = post_text(&address, path, message()).await;
        assert!(answer.0 == status && answer.1.contains(word), "{path}: {answer:?}");
    }
    stand_in.wait_for("POST /hooks…").await;
    assert!(!stand_in.log().contains("s3cr3t"), "{}", stand_in.log());

    // Slack takes a burst of 5, and then one a second.
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(http::post_for_answer(&address, hook, message()).await);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    stand_in.wait_for("answered 429").await;

    // Nothing that a terminal obeys comes through.
    let event = json!({ "routing_key": "0".repeat(32), "event_action": "trigger", "dedup_key": "k",
        "payload": { "summary": "a\u{1b}[31m\u{202e}b\rc", "source": "s", "severity": "info" } });
    assert_eq!(post_text(&address, "/v2/enqueue", event.to_string().into()).await.0, 202);
    let line = stand_in.wait_for("TRIGGER info").await;
    assert!(line.ends_with("TRIGGER info: a[31mbc"), "{line:?}");
    assert_eq!(stand_in.terminate().await, Some(0));
}

#[tokio::test]
async fn it_says_that_it_is_well_and_nothing_of_being_asked() {
    let folder = Folder::new();
    let (mut stand_in, address) = start(&folder.0).await;
    let url = format!("http://{address}/-/healthy");
    let asked = said(&folder, &["healthcheck", "--url", &url]).await;
    assert_eq!((asked.code, asked.out.as_str(), asked.err.as_str()), (Some(0), "", ""));
    http::get(&address, "/end").await;
    stand_in.wait_for("GET /end…").await;
    assert!(!stand_in.log().contains("healthy"), "{}", stand_in.log());
    assert_eq!(stand_in.terminate().await, Some(0));
}

#[tokio::test]
async fn it_listens_beyond_loopback_only_if_told_to() {
    let folder = folder(&[]);
    let refused = said(&folder, &["stand-in", "--listen", "0.0.0.0:0"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!(refused.err, @r"
    error: 0.0.0.0:0 can be reached from other machines, and what they send is printed here
    hint: listen on 127.0.0.1, or say --allow-unauthenticated if they may
    ");
    let arguments = ["stand-in", "--listen", "0.0.0.0:0", "--allow-unauthenticated"];
    let mut stand_in = Process::start_talking(command(&folder.0, &arguments));
    let address = address(&mut stand_in).await;
    // What it says to write can be used from this machine.
    let port = address.strip_prefix("0.0.0.0:").unwrap();
    stand_in.wait_for(&format!("url: http://127.0.0.1:{port}/v2/enqueue")).await;

    let taken = said(&folder, &["stand-in", "--listen", &format!("127.0.0.1:{port}")]).await;
    assert_eq!(taken.code, Some(1));
    let expected =
        format!("error: cannot listen on 127.0.0.1:{port} (--listen): Address already in use (os error 98)\n");
    assert_eq!(taken.err, expected);
    assert_eq!(said(&folder, &["stand-in", "--listen", "nowhere"]).await.code, Some(2));
    assert_eq!(stand_in.terminate().await, Some(0));
}
