//! No secret leaves the process: one marker in every place that can hold one, and a search through every byte that comes out,
//! at trace level, while everything fails that can.

mod commands;
mod files;
mod peers;
mod planted;

use std::path::Path;
use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{Behaviour, Kind, StandIn, Then};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::process::Command;

use crate::harness::process::{Router, Said, alertrouter, run};
use crate::harness::wait::{patiently, until};
use crate::harness::{Folder, alerts, files_under, http};
use crate::traces::collector::{Collector, Instead};
use peers::{Peer, WAYS, certificate};
use planted::{Finder, SECRETS, marker, plant, value};

/// What somebody who posts alerts authenticates with.
const INGEST: &str = "INGEST";
/// What the collector of traces wants to see: in the password and the query of its address, and in a header.
const OTLP: &[&str] = &["OTLP_PASSWORD", "OTLP_QUERY", "OTLP_HEADER"];
/// What an alertmanager.yml that is imported holds.
const IMPORTED: &[&str] = &["IMPORTED_SLACK", "IMPORTED_KEY", "IMPORTED_URL", "IMPORTED_BASIC", "IMPORTED_PASSWORD"];

/// The services, the files and the environment of one test.
struct World {
    folder: Folder,
    routes: String,
    env: Vec<(String, String)>,
    finder: Finder,
    slack: StandIn,
    app: StandIn,
    pagerduty: StandIn,
    grafana: StandIn,
    plain: Peer,
    tls: Peer,
    smtp: Peer,
    collector: Collector,
    /// Bound, so that nobody else gets it, and not listening.
    _closed: TcpSocket,
}

impl World {
    async fn start() -> Self {
        let folder = Folder::new();
        let shows = certificate(&folder.0).await;
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let standin = async |kind| StandIn::start(kind).await.unwrap();
        let (slack, app) = (standin(Kind::Slack).await, standin(Kind::Slack).await);
        let (pagerduty, grafana) = (standin(Kind::PagerDuty).await, standin(Kind::Grafana).await);
        let (plain, tls) = (Peer::http(None).await, Peer::http(Some(shows.clone())).await);
        let smtp = Peer::smtp(shows).await;
        let host = |standin: &StandIn| standin.url().split('/').nth(2).unwrap().to_owned();
        let peers = [
            ("SLACK", host(&slack)),
            ("APP", host(&app)),
            ("PAGERDUTY", host(&pagerduty)),
            ("GRAFANA", host(&grafana)),
            ("PLAIN", plain.address.clone()),
            ("TLS", tls.address.clone()),
            ("NAMED", tls.address.replace("127.0.0.1", "localhost")),
            ("SMTP", smtp.address.clone()),
            ("CLOSED", closed.local_addr().unwrap().to_string()),
            // No label of a name may have more than 63 bytes.
            ("NOBODY", "x".repeat(64)),
        ];
        let (routes, env) = plant(&folder.0, &peers);
        let words = SECRETS.iter().map(|(word, ..)| *word).chain(IMPORTED.iter().chain(OTLP).copied()).chain([INGEST]);
        let world = Self {
            folder,
            routes,
            env,
            finder: Finder::new(words),
            slack,
            app,
            pagerduty,
            grafana,
            plain,
            tls,
            smtp,
            collector: Collector::start().await,
            _closed: closed,
        };
        let failures = [500, 401, 400, 302].map(Instead::Answer);
        world.collector.then(failures.into_iter().chain([Instead::Reject(1), Instead::Hang]));
        misbehave(&world.slack, &value("SLACK_HOOK", &peers), (200, "ok"));
        misbehave(&world.app, &value("SLACK_TOKEN", &peers), (200, r#"{"ok":true,"ts":"1.2","channel":"C1"}"#));
        misbehave(&world.pagerduty, &value("ROUTING_KEY", &peers), (202, r#"{"status":"success"}"#));
        misbehave(&world.grafana, &value("GRAFANA_TOKEN", &peers), (200, r#"{"id":1,"message":"Annotation added"}"#));
        world
    }

    fn path(&self) -> &Path {
        &self.folder.0
    }

    /// The binary, in the folder, with the environment that routes.yaml wants.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = alertrouter();
        command
            .current_dir(self.path())
            .env("SSL_CERT_FILE", "authority.pem")
            .env_remove("SSL_CERT_DIR")
            .envs(self.env.iter().cloned());
        command.args(arguments);
        command
    }

    /// Runs a command, which may say anything but a secret.
    async fn say(&self, arguments: &[&str]) -> Said {
        let said = run(self.command(arguments)).await;
        self.finder.none_in(&arguments.join(" "), format!("{}\n{}", said.out, said.err));
        said
    }

    /// `serve` at trace level; what it writes to stdout goes into a file.
    async fn serve(&self, format: &str) -> Router {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" >stdout.txt", "sh", env!("CARGO_BIN_EXE_alertrouter")])
            .current_dir(self.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "trace", "--log-format", format]);
        command.env("SSL_CERT_FILE", "authority.pem").env_remove("SSL_CERT_DIR").env("RUST_BACKTRACE", "1");
        command.envs(self.env.iter().cloned());
        let [password, query, header] = [0, 1, 2].map(|at| marker(OTLP[at]));
        let endpoint = format!("http://somebody:{password}@{}?key={query}", self.collector.address());
        command.env("ALERTROUTER_OTLP_ENDPOINT", endpoint);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={header}"));
        command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "500").env("OTEL_BSP_SCHEDULE_DELAY", "100");
        Router::from_command(command).await
    }
}

/// Whatever a service does in place of its work, with the secret in its words.
fn misbehave(service: &StandIn, secret: &str, success: (u16, &str)) {
    let echo =
        format!("bad token {secret}, in short {}…, sent as {}", &secret[..secret.len() - 9], STANDARD.encode(secret));
    let begin = |then| Behaviour::Begin { status: 500, body: echo.clone(), then };
    let location = vec![("location", secret.to_owned())];
    let ok = || Behaviour::answer(success.0, success.1);
    for behaviour in [
        Behaviour::answer(500, &format!("<html>{echo}")),
        Behaviour::answer(400, &json!({ "status": "invalid", "message": echo, "errors": [echo] }).to_string()),
        Behaviour::answer(403, &echo),
        ok(),
        Behaviour::Answer { status: 429, headers: vec![("retry-after", "0".to_owned())], body: echo.clone() },
        Behaviour::Hang,
        ok(),
        Behaviour::ResetConnection,
        Behaviour::Answer { status: 302, headers: location, body: echo.clone() },
        begin(Then::BreaksOff),
        ok(),
        begin(Then::Trickles(Duration::from_millis(20))),
        Behaviour::answer(200, &json!({ "ok": false, "error": echo, "message": echo }).to_string()),
        Behaviour::ByteByByte(Duration::from_millis(10)),
        ok(),
    ] {
        service.behave(behaviour);
    }
}

/// So many of them have to be seen. On a busy machine a receiver may be down by then, and what is left comes late.
const BEHAVIOURS: usize = 10;

async fn post(router: &Router, group: &str) {
    let labels = json!({ "alertname": group, "severity": "warning" });
    let body = alerts::group(group, &[alerts::firing(&labels, SystemClock::new().now())]).to_string();
    let token = marker(INGEST);
    let request = format!(
        "POST /webhook HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = http::read_to_end(http::connect(&router.address, request.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Everything that can be asked over HTTP, with a credential that is refused or not needed.
async fn ask_everything(world: &World, router: &Router) {
    let token = marker(INGEST);
    let basic = STANDARD.encode(format!("prometheus:{token}"));
    let broken = world.routes.replace("timeout:", "tiemout:").replace("- name: grafana\n", "- name:\n");
    std::fs::write(world.path().join("routes.yaml"), broken).unwrap();
    for (method, path, body) in [
        ("GET", "/metrics", ""),
        ("GET", "/-/ready", ""),
        ("GET", "/-/healthy", ""),
        ("POST", "/-/reload", ""),
        ("POST", "/webhook", "{"),
        ("PUT", "/webhook", "{}"),
        ("GET", "/nowhere", ""),
    ] {
        for credential in [format!("Bearer {token}"), format!("Basic {basic}")] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {credential}\r\ncontent-length: {}",
                body.len()
            );
            let request = format!("{head}\r\nconnection: close\r\n\r\n{body}");
            let answer = http::read_to_end(http::connect(&router.address, request.as_bytes()).await).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
            world.finder.none_in(path, answer);
        }
    }
    std::fs::write(world.path().join("routes.yaml"), &world.routes).unwrap();
}

/// Waits until each service has misbehaved in each of its ways.
async fn everything_fails(world: &World, router: &Router) {
    let log = || router.process.log();
    for service in [&world.slack, &world.app, &world.pagerduty, &world.grafana] {
        let all = format!("everything that {service:?} may do");
        patiently(&all, service.wait_for(BEHAVIOURS)).await;
    }
    // Two receivers share one of them.
    until("every answer", log, async || {
        world.plain.requests() >= 2 * WAYS && world.tls.requests() >= WAYS && world.smtp.requests() > 4
    })
    .await;
    let said = |receiver: &str, words: &str| {
        let receiver = format!("receiver={receiver} ");
        log().lines().any(|line| line.contains(&receiver) && line.contains(words))
    };
    until("every failure", log, async || {
        let failures = [
            ("wrong-name", "certificate"),
            ("no-name", "dns error"),
            ("refused", "Connection refused"),
            ("mail", "535"),
            ("mail", "a recipient was refused"),
        ];
        failures.iter().all(|(receiver, words)| said(receiver, words))
    })
    .await;
}

#[tokio::test]
async fn no_secret_leaves_the_service_whatever_fails() {
    let world = World::start().await;
    let mut router = world.serve("text").await;
    for group in 0..WAYS + 3 {
        post(&router, &format!("group-{group}")).await;
    }
    everything_fails(&world, &router).await;
    ask_everything(&world, &router).await;
    let id = router.process.child.id().unwrap();
    world.finder.none_in("the process's arguments", std::fs::read(format!("/proc/{id}/cmdline")).unwrap());
    for arguments in [["outbox", "list", "--state=all"].as_slice(), &["outbox", "list", "--format=json"], &["rejected"]]
    {
        let said = world.say(arguments).await;
        assert!(said.code == Some(0) && !said.out.is_empty(), "{said:?}");
    }
    let dead = world.say(&["outbox", "list", "--format=json", "--state=dead"]).await;
    let dead: serde_json::Value = serde_json::from_str(&dead.out).unwrap();
    let id = dead["deliveries"][0]["id"].to_string();
    assert_eq!(world.say(&["outbox", "show", &id]).await.code, Some(0));

    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    let log = router.process.log();
    assert!(
        log.contains("***") && log.contains("TRACE") && log.contains(" h2::") && log.contains(" rustls::"),
        "it was not at trace level"
    );
    assert!(world.tls.http2() >= WAYS, "HTTP/2 was not spoken");
    world.finder.none_in("the log", log);

    // Once more as JSON, with everything down.
    for service in [&world.slack, &world.app, &world.pagerduty, &world.grafana] {
        service.set_down(true);
    }
    let mut router = world.serve("json").await;
    post(&router, "last").await;
    patiently("an attempt in vain", world.pagerduty.wait_for_turned_away(1)).await;
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    assert!(router.process.log().contains(r#""level":"TRACE""#));
    world.finder.none_in("the JSON log", router.process.log());
    // What the collector was sent; it is shown its own secrets, in the head, and nobody else's.
    let exported = world.collector.requests();
    for (head, body) in &exported {
        world.finder.none_in("a trace", body);
        let shown = world.finder.find(head.as_bytes());
        assert!(shown.iter().all(|found| found.starts_with("OTLP_")), "{shown:?}");
        assert!(head.contains(&marker("OTLP_HEADER")) && head.contains("authorization"), "{head}");
    }
    let spans = world.collector.spans();
    let errors: Vec<_> = spans.iter().filter_map(|span| span.error.as_deref()).collect();
    assert!(exported.len() > 6 && errors.iter().any(|error| error.contains("***")), "{errors:?}");
    world.finder.none_in("stdout", std::fs::read(world.path().join("stdout.txt")).unwrap());
    let stored = files_under(&world.path().join("data"));
    assert!(stored.len() >= 2, "{stored:?}");
    for file in stored {
        world.finder.none_in(&file.display().to_string(), std::fs::read(&file).unwrap());
    }
}
