//! Who is let in, and what the others see.

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::process::{Router, debian, run, serve};
use crate::harness::wait::until;
use crate::harness::{Folder, Harness, ROUTES, Services, alerts, http};
use crate::routes_file::{blocks, root};

const INGEST: &str = "ingest-s3cr3tmarker-0123";
const ADMIN: &str = "admin-s3cr3tmarker-0123";
const PASSWORD: &str = "s3cr3tmarker";
/// Of [`PASSWORD`], with a cost of 4.
pub const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi";

/// [`ROUTES`] with a token for intake, one for the rest, and a user for intake.
fn routes() -> String {
    format!(
        "{ROUTES}
auth:
  bearer_tokens: [{{token: {INGEST}}}, {{token: {ADMIN}, roles: [admin, metrics]}}]
  basic_users: [{{username: alertmanager, password_hash: {HASH}}}]
"
    )
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn basic(user_and_password: &str) -> String {
    use base64::Engine as _;
    format!("authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(user_and_password))
}

/// A request with these header lines; the whole answer.
async fn ask(address: &str, line: &str, headers: &str, body: &str) -> String {
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    http::read_to_end(http::connect(address, request.as_bytes()).await).await
}

/// The same, while time flies: answers to strangers are held.
async fn ask_in_time(harness: &Harness, line: &str, headers: &str) -> String {
    let body = if line.starts_with("POST /webhook") { alerts::one("A", "none").to_string() } else { String::new() };
    in_time(harness, ask(harness.address(), line, headers, &body)).await
}

async fn in_time<T>(harness: &Harness, coming: impl Future<Output = T>) -> T {
    tokio::pin!(coming);
    loop {
        tokio::select! {
            it = &mut coming => return it,
            () = harness.look() => harness.clock.advance(Duration::from_millis(100)),
        }
    }
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(answer)
}

#[tokio::test]
async fn each_address_asks_for_its_role_and_the_probes_for_none() {
    let harness = Harness::with_routes(&routes()).await;
    let all = ["POST /webhook", "POST /-/reload", "GET /metrics", "GET /-/healthy", "GET /-/ready"];
    let none = String::new();
    let table = [
        (bearer(INGEST), ["200", "403", "403", "200", "200"]),
        (basic(&format!("alertmanager:{PASSWORD}")), ["200", "403", "403", "200", "200"]),
        (bearer(ADMIN), ["403", "200", "200", "200", "200"]),
        (none.clone(), ["401", "401", "401", "200", "200"]),
        (bearer("ingest-s3cr3tmarker-0124"), ["401", "401", "401", "200", "200"]),
        (basic("alertmanager:x"), ["401", "401", "401", "200", "200"]),
        (basic(&format!("nobody:{PASSWORD}")), ["401", "401", "401", "200", "200"]),
        (bearer(INGEST) + &bearer(INGEST), ["401", "401", "401", "200", "200"]),
    ];
    let mut refusals = Vec::new();
    for (headers, expected) in &table {
        for (line, expected) in all.iter().zip(expected) {
            let answer = ask_in_time(&harness, line, headers).await;
            assert_eq!(status(&answer), *expected, "{line} {headers}: {answer}");
            if *expected == "401" {
                let lines = answer.lines().filter(|line| !line.starts_with("date: "));
                refusals.push(lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    refusals.dedup();
    insta::assert_snapshot!(refusals.join("\n---\n"), @r#"
    HTTP/1.1 401 Unauthorized
    content-type: text/plain; charset=utf-8
    www-authenticate: Bearer realm="alertrouter"
    www-authenticate: Basic realm="alertrouter", charset="UTF-8"
    connection: close
    content-length: 54

    not authenticated: the credential is missing or wrong
    "#);
    let metrics = ask_in_time(&harness, "GET /metrics", &bearer(ADMIN)).await;
    let refused = |reason: &str, role: &str| {
        http::metric(&metrics, &format!("alertrouter_requests_refused_total{{reason=\"{reason}\",role=\"{role}\"}}"))
    };
    assert_eq!(
        [("missing", "ingest"), ("wrong", "ingest"), ("role", "ingest"), ("role", "metrics"), ("busy", "ingest")]
            .map(|(reason, role)| refused(reason, role)),
        [1.0, 4.0, 1.0, 2.0, 0.0]
    );
    assert!(!metrics.contains(r#"code="401""#), "a flood of them must not hide what is answered with 5xx");
    harness.finish().await;
}

#[tokio::test]
async fn a_token_is_changed_without_a_gap() {
    let harness = Harness::with_routes(&routes()).await;
    let post = async |token: &str| status(&ask_in_time(&harness, "POST /webhook", &bearer(token)).await).to_owned();
    let reload = async |routes: &str| {
        harness.write_routes(routes);
        let answer = ask_in_time(&harness, "POST /-/reload", &bearer(ADMIN)).await;
        assert_eq!(status(&answer), "200", "{answer}");
    };
    let new = "ingest-s3cr3tmarker-9876";
    assert_eq!([post(INGEST).await, post(new).await], ["200", "401"]);
    let both = routes().replace(&format!("{{token: {INGEST}}}"), &format!("{{token: {INGEST}}}, {{token: {new}}}"));
    reload(&both).await;
    assert_eq!([post(INGEST).await, post(new).await], ["200", "200"]);
    reload(&routes().replace(INGEST, new)).await;
    assert_eq!([post(INGEST).await, post(new).await], ["401", "200"]);
    // A file that cannot be read opens nothing.
    harness.write_routes(&routes().replace("bearer_tokens", "bearer_tokns"));
    let answer = ask_in_time(&harness, "POST /-/reload", &bearer(ADMIN)).await;
    assert!(status(&answer) == "400" && answer.contains("did you mean `bearer_tokens`?"), "{answer}");
    assert_eq!([post("x").await, post(new).await], ["401", "200"]);
    harness.finish().await;
}

#[tokio::test]
async fn who_fails_again_waits_and_who_is_known_beside_him_does_not() {
    let harness = Harness::with_routes(&routes()).await;
    let address = harness.address().to_owned();
    let body = alerts::one("A", "none").to_string();
    let post = async |headers: String| status(&ask(&address, "POST /webhook", &headers, &body).await).to_owned();
    assert_eq!(post(bearer("wrong")).await, "401", "the first is answered at once");
    let waits = post(bearer("wrong"));
    tokio::pin!(waits);
    // No time passes, so it is not answered; the others are.
    for headers in [bearer(INGEST), basic(&format!("alertmanager:{PASSWORD}")), bearer(INGEST)] {
        tokio::select! {
            biased;
            answer = &mut waits => panic!("answered before its time: {answer}"),
            answer = post(headers) => assert_eq!(answer, "200"),
        }
    }
    harness.clock.advance(Duration::from_millis(250));
    assert_eq!(waits.await, "401");
    harness.finish().await;
}

#[tokio::test]
async fn a_right_password_gets_in_among_a_hundred_wrong_ones() {
    let harness = Harness::with_routes(&routes()).await;
    let head = |headers: &str| format!("POST /webhook HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n");
    let mut strangers = Vec::new();
    for number in 0..100 {
        // All at once, each with another guess.
        let guess = head(&basic(&format!("alertmanager:guess-{number}")));
        strangers.push(http::connect(harness.address(), guess.as_bytes()).await);
    }
    let body = alerts::one("A", "none").to_string();
    let good = basic(&format!("alertmanager:{PASSWORD}"));
    for _ in 0..2 {
        // No time passes on the clock: nobody can have waited for it.
        let answer = ask(harness.address(), "POST /webhook", &good, &body).await;
        assert_eq!(status(&answer), "200", "{answer}");
    }
    drop(strangers);
    harness.finish().await;
}

#[tokio::test]
async fn a_large_body_without_a_credential_is_thrown_away_and_its_sender_sees_why() {
    let harness = Harness::with_routes(&routes()).await;
    let mut stream = TcpStream::connect(harness.address()).await.unwrap();
    let head = "POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 16000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1_000_000];
    for _ in 0..16 {
        stream.write_all(&piece).await.expect("the connection was closed while it was still sending");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "401", "{answer}");
    // Who asks before it sends need not send.
    let head = "POST /webhook HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 16000000\r\n\r\n";
    let asked = async { http::read_to_end(http::connect(harness.address(), head.as_bytes()).await).await };
    let answer = in_time(&harness, asked).await;
    assert_eq!(status(&answer), "401", "{answer}");
    // Who never sends what he announced is not waited for: 3 s.
    let answer = ask_in_time(&harness, "POST /-/reload", "content-length: 10\r\n").await;
    assert!(["400", "401"].contains(&status(&answer)), "{answer}");
    assert_eq!(harness.rejected().await, []);
    harness.finish().await;
}

#[tokio::test]
async fn a_web_page_can_neither_post_nor_reload() {
    // Also where nobody has to authenticate: on a laptop.
    let harness = Harness::start().await;
    let body = alerts::one("A", "none").to_string();
    for line in ["POST /webhook", "POST /-/reload", "GET /metrics"] {
        for headers in [
            "origin: http://evil.example\r\n",
            "origin: null\r\n",
            "origin: http://127.0.0.1:9096\r\n",
            "sec-fetch-site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
        ] {
            let answer = ask(harness.address(), line, headers, &body).await;
            assert_eq!(status(&answer), "403", "{line} {headers}");
            assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        }
        for headers in ["", "sec-fetch-site: none\r\n", "user-agent: Alertmanager/0.25.0\r\n"] {
            assert_eq!(status(&ask(harness.address(), line, headers, &body).await), "200", "{line} {headers}");
        }
    }
    let preflight = ask(harness.address(), "OPTIONS /webhook", "origin: http://evil.example\r\n", "").await;
    assert!(!preflight.to_ascii_lowercase().contains("access-control"), "{preflight}");
    harness.finish().await;
}

#[tokio::test]
async fn beyond_loopback_it_starts_with_auth_says_who_was_refused_and_keeps_its_door_closed() {
    let services = Services::start().await;
    let folder = Folder::new();
    let write = |routes: &str| std::fs::write(folder.0.join("routes.yaml"), services.fill_in(routes)).unwrap();
    write(&routes());
    let mut router = Router::from_command(serve(&folder.0, "0.0.0.0:0", &[])).await;
    let address = router.address.replace("0.0.0.0", "127.0.0.1");
    assert!(router.process.log().contains("tokens and passwords travel in the clear"), "{}", router.process.log());

    // Nobody waits for these answers.
    let mut open = Vec::new();
    for number in 0..12 {
        let headers = if number % 2 == 0 { bearer("s3cr3tmarker-typed") } else { basic("s3cr3tmarker:typed") };
        let head = format!("POST /webhook?s3cr3tmarker HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n");
        open.push(http::connect(&address, head.as_bytes()).await);
    }
    let metrics = async || ask(&address, "GET /metrics", &bearer(ADMIN), "").await;
    let counted = r#"alertrouter_requests_refused_total{reason="wrong",role="ingest"}"#;
    until("12 refusals", || router.process.log(), async || http::metric(&metrics().await, counted) == 12.0).await;
    let log = router.process.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("request refused")).collect();
    assert_eq!(lines.len(), 5, "{log}");
    for line in lines {
        assert!(line.contains("peer=127.0.0.1:") && line.contains("path=\"/webhook\""), "{line}");
        assert!(line.contains("reason=\"wrong\""), "{line}");
    }
    assert!(!log.contains("s3cr3tmarker") && !metrics().await.contains("s3cr3tmarker"), "{log}");

    // Nobody opens the door by a slip.
    write(ROUTES);
    router.process.signal("HUP").await;
    router.process.wait_for("was not reloaded").await;
    assert!(router.process.log().contains("say in `auth` of routes.yaml who may post"), "{}", router.process.log());
    assert_eq!(status(&ask(&address, "GET /metrics", &bearer(ADMIN), "").await), "200");
    let metrics = metrics().await;
    assert_eq!(http::metric(&metrics, "alertrouter_config_last_reload_successful"), 0.0);
    drop(open);
    assert_eq!(router.process.terminate().await, Some(0));
}

/// The section of README about this, with the addresses and files of a test in the place of its own.
pub struct Readme {
    pub folder: Folder,
    section: String,
}

impl Readme {
    pub fn new() -> Self {
        let text = std::fs::read_to_string(root("README.md")).unwrap();
        let section = text.split("\n## Who may post\n").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
        let folder = Folder::new();
        let file = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
        file("alertrouter-ingest", INGEST);
        file("alertrouter-admin", ADMIN);
        file("alertrouter-token", INGEST);
        file("alertrouter-password", PASSWORD);
        file("admin-header", &format!("authorization: Bearer {ADMIN}\n"));
        Self { folder, section }
    }

    fn in_place(&self, text: &str, router: &str) -> String {
        let folder = self.folder.0.display().to_string();
        let mut text = text.replace("alertrouter.example:9096", router);
        for path in ["/run/secrets", "/etc/alertmanager", "/etc/prometheus", "/etc/alertrouter"] {
            text = text.replace(path, &folder);
        }
        text
    }

    /// The example of `auth`, before `routes`.
    pub fn routes(&self, routes: &str) -> String {
        let examples = blocks(&self.section, "yaml");
        let example = examples.iter().find(|block| block.starts_with("auth:")).unwrap();
        let auth = example.split("receivers:").next().unwrap();
        self.in_place(auth, "") + routes
    }

    /// The receivers of its examples for alertmanager.yml.
    pub fn alertmanager_receivers(&self, router: &str) -> String {
        let examples = blocks(&self.section, "yaml");
        let examples = examples.iter().filter_map(|block| block.strip_prefix("# alertmanager.yml\nreceivers:\n"));
        let receivers: Vec<_> = examples.map(|block| self.in_place(block, router)).collect();
        assert_eq!(receivers.len(), 2, "a new example wants a route in the test");
        receivers.join("\n")
    }

    pub async fn start(&self, listen: &str) -> Router {
        let mut command = serve(&self.folder.0, listen, &[]);
        command.env("ALERTMANAGER_PASSWORD_HASH", HASH);
        Router::from_command(command).await
    }
}

#[tokio::test]
async fn what_readme_has_for_curl_and_prometheus_works() {
    let services = Services::start().await;
    let readme = Readme::new();
    let text = readme.routes(&services.fill_in(ROUTES));
    std::fs::write(readme.folder.0.join("routes.yaml"), text).unwrap();
    let mut router = readme.start("127.0.0.1:0").await;

    let line = blocks(&readme.section, "sh").into_iter().find(|block| block.starts_with("curl ")).unwrap();
    let mut shell = debian("sh", "dash");
    debian("curl", "curl");
    shell.args(["-c", &readme.in_place(&line, &router.address)]);
    let said = run(shell).await;
    assert_eq!((said.out.as_str(), said.code), ("reloaded\n", Some(0)), "{}", said.err);

    let examples = blocks(&readme.section, "yaml");
    let example = examples.iter().find(|block| block.starts_with("# prometheus.yml")).unwrap();
    std::fs::write(readme.folder.0.join("prometheus.yml"), readme.in_place(example, &router.address)).unwrap();
    let mut promtool = debian("promtool", "prometheus");
    promtool.args(["check", "config"]).arg(readme.folder.0.join("prometheus.yml"));
    let said = run(promtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    // What that sends.
    assert_eq!(status(&ask(&router.address, "GET /metrics", &bearer(ADMIN), "").await), "200");
    let alert = alerts::firing(&json!({ "alertname": "A", "severity": "none" }), SystemClock::new().now());
    let body = alerts::group("g", &[alert]).to_string();
    assert_eq!(status(&ask(&router.address, "POST /webhook", &bearer(INGEST), &body).await), "200");
    assert_eq!(router.process.terminate().await, Some(0));
}
