//! Mail, taken by a real SMTP server in a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use alertrouter::clock::after;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::process::{Process, debian, run};
use crate::harness::{Folder, Harness, alerts, start};
use crate::routes_file::root;

const SOON: Duration = Duration::from_secs(30);
const PASSWORD: &str = "planted-marker";

/// `tests/smtp_server.py`.
struct Server {
    process: Process,
    port: String,
}

impl Server {
    async fn start(arguments: &[&str]) -> Self {
        // Debian's own Python: another one that comes first may not see Debian's packages.
        debian("aiosmtpd", "python3-aiosmtpd");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(root("tests/smtp_server.py")).args(arguments);
        let mut process = Process::start(command);
        let line = process.wait_for("listening on ").await;
        Self { process, port: line.rsplit(':').next().unwrap().to_owned() }
    }

    /// `email: {…}` of routes.yaml, with further keys.
    fn email(&self, host: &str, more: &str) -> String {
        let port = &self.port;
        format!(
            "{{smarthost: '{host}:{port}', from: 'Alerts <alerts@example.org>', to: [oncall@example.org, team@example.org], {more}}}"
        )
    }

    /// The mails it has taken, in order.
    fn mails(&self) -> Vec<Value> {
        let log = self.process.log();
        log.lines()
            .filter_map(|line| line.strip_prefix("received "))
            .map(|mail| serde_json::from_str(mail).unwrap())
            .collect()
    }

    /// Waits until it has taken so many mails.
    async fn wait_for_mails(&mut self, count: usize) -> Vec<Value> {
        crate::harness::wait::until("the mail", || self.process.log(), async || self.mails().len() >= count).await;
        self.mails()
    }
}

/// One receiver `mails` for everything. `rest` are further lines of it.
fn routes(email: &str, rest: &str) -> String {
    format!(
        "receivers:\n- name: mails\n  email: {email}\n  rate_limit: {{rate: 1000/s, burst: 1000}}\n{rest}route: {{receivers: [mails]}}\n"
    )
}

/// A key and a certificate for `name` that nobody but itself vouches for.
struct Certificate {
    folder: Folder,
}

impl Certificate {
    async fn of(name: &str) -> Self {
        let folder = Folder::new();
        let mut openssl = debian("openssl", "openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(folder.0.join("key.pem")).arg("-out").arg(folder.0.join("cert.pem"));
        let made = run(openssl).await;
        assert_eq!(made.code, Some(0), "{}", made.err);
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.0.join(name);
        path.display().to_string()
    }

    async fn server(&self, tls: &str, more: &[&str]) -> Server {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        Server::start(&[&["--tls", tls, "--cert", &cert, "--key", &key], more].concat()).await
    }
}

fn series(outcome: &str) -> String {
    format!("alertrouter_notifications_total{{receiver=\"mails\",outcome=\"{outcome}\"}}")
}

#[tokio::test]
async fn a_group_is_one_thread_of_sound_mails() {
    let mut server = Server::start(&[]).await;
    let harness = Harness::with_routes(&routes(&server.email("127.0.0.1", "tls: none"), "")).await;
    let labels = json!({"alertname": "Größe <b>&", "severity": "critical", "evil": "x\r\n.\r\nMAIL FROM:<evil@example.org>\r\nBcc: evil@example.org"});
    let mut firing = alerts::firing(&labels, start());
    firing["annotations"]["description"] = ".\n..\nFrom here\n\nlast line".into();
    harness.accept(&alerts::group("disks", std::slice::from_ref(&firing))).await;
    harness.deliver(SOON).await;
    harness
        .accept(&alerts::group("disks", &[alerts::resolved(&firing, after(start(), Duration::from_secs(60)))]))
        .await;
    harness.accept(&alerts::one("Other", "warning")).await;
    harness.deliver(SOON).await;
    let mails = server.wait_for_mails(3).await;
    for mail in &mails {
        assert_eq!(mail["defects"], json!([]), "{mail:#}");
        assert_eq!(mail["is_ascii"], true);
        assert_eq!(mail["parts"], json!(["multipart/alternative", "text/plain", "text/html"]));
        assert_eq!(
            (&mail["from"], &mail["to"]),
            (&json!("alerts@example.org"), &json!(["oncall@example.org", "team@example.org"]))
        );
        assert_eq!(mail["headers"]["To"], "oncall@example.org, team@example.org");
        assert_eq!(mail["headers"]["Bcc"], Value::Null);
        assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
    }
    let of =
        |name: &str| mails.iter().map(|mail| mail["headers"][name].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut subjects = of("Subject");
    subjects.sort();
    assert_eq!(
        subjects,
        ["[FIRING:1, Größe <b>&] alerts", "[FIRING:1, Other] alerts", "[RESOLVED:1, Größe <b>&] alerts"]
    );
    let threads: Vec<_> = mails
        .iter()
        .map(|mail| {
            (mail["headers"]["Subject"].as_str().unwrap().contains("Other"), mail["headers"]["In-Reply-To"].clone())
        })
        .collect();
    for (is_other, thread) in &threads {
        assert_eq!(threads[0].1 == *thread, !is_other, "{threads:?}");
    }
    assert_eq!(of("In-Reply-To"), of("References"));
    let mut ids = of("Message-ID");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);

    let (text, html) = (mails[0]["text"].as_str().unwrap(), mails[0]["html"].as_str().unwrap());
    // Dots at the beginning of a line come through as they were.
    assert!(text.starts_with("Something broke.\n1 firing · Größe <b>& · critical\n"), "{text}");
    assert!(text.contains("\n  .\n  ..\n  From here\n"), "{text}");
    assert!(
        html.contains("<p style=\"margin:4px 0 0;white-space:pre-wrap\">.\n..\nFrom here\n\nlast line</p>"),
        "{html}"
    );
    assert!(html.contains("Größe &lt;b&gt;&amp;"), "{html}");
    harness.finish().await;
}

#[tokio::test]
async fn starttls_and_a_password_with_a_private_authority() {
    let certificate = Certificate::of("DNS:localhost").await;
    for (tls, ours) in [("starttls", "starttls"), ("tls", "tls")] {
        let login = format!("router:{PASSWORD}");
        let mut server = certificate.server(tls, &["--login", &login]).await;
        let (ca, auth) = (certificate.path("cert.pem"), format!("{{username: router, password: {PASSWORD}}}"));
        let email =
            server.email("localhost", &format!("tls: {ours}, ca_file: {ca}, auth: {auth}, hello: router.example.org"));
        let harness = Harness::with_routes(&routes(&email, "")).await;
        harness.accept(&alerts::one("DiskFull", "critical")).await;
        harness.deliver(SOON).await;
        let mail = server.wait_for_mails(1).await.remove(0);
        assert_eq!(
            (&mail["tls"], &mail["user"], &mail["hello"]),
            (&json!(true), &json!("router"), &json!("router.example.org")),
            "{mail:#}"
        );
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_final_and_the_fallback_is_told() {
    let certificate = Certificate::of("DNS:localhost").await;
    let login = format!("router:{PASSWORD}");
    let server = certificate.server("starttls", &["--login", &login]).await;
    let ca = certificate.path("cert.pem");
    let email =
        server.email("localhost", &format!("ca_file: {ca}, auth: {{username: router, password: wrong-{PASSWORD}}}"));
    let chat = "  fallback: chat\n- name: chat\n  slack: {webhook_url: SLACK_WEBHOOK_URL}\n";
    let harness = Harness::with_routes(&routes(&email, chat)).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    assert_eq!((harness.dead().await, server.mails().len()), (1, 0));
    let said = harness.slack_texts().join("\n");
    assert!(said.contains("Fallback for mails: SMTP 535 (auth): ") && !said.contains(PASSWORD), "{said}");
    harness.finish().await;
}

/// Nothing is sent, it is tried again, and the fallback says why.
async fn fails(server: &Server, email: &str, rest: &str, why: &str) {
    let chat = format!(
        "{rest}  fallback: chat\n  fallback_after: 10s\n- name: chat\n  slack: {{webhook_url: SLACK_WEBHOOK_URL}}\n"
    );
    let harness = Harness::with_routes(&routes(email, &chat)).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    // Another process answers, or a time-out of real time ends: no time passes on the harness' clock until then.
    harness.wait_until(async || harness.metric(&series("retried")).await >= 1.0).await;
    harness.pass_until(Duration::from_secs(300), async || !harness.slack_texts().is_empty()).await;
    let said = harness.slack_texts().join("\n");
    assert!(said.contains(why), "{said}");
    assert_eq!((harness.dead().await, server.mails().len()), (0, 0));
    // That of the fallback is settled.
    harness.wait_until(async || harness.pending().await == 1).await;
    harness.finish_with_pending(1).await;
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let server = Server::start(&[]).await;
    fails(&server, &server.email("localhost", ""), "", "the server does not offer STARTTLS").await;
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_refused() {
    let wrong_name = Certificate::of("DNS:mail.example").await;
    let ca = wrong_name.path("cert.pem");
    for tls in ["starttls", "tls"] {
        let server = wrong_name.server(tls, &[]).await;
        let email = server.email("localhost", &format!("tls: {tls}, ca_file: {ca}"));
        fails(&server, &email, "", "not valid for name").await;
        // The system does not know this authority.
        fails(&server, &server.email("localhost", &format!("tls: {tls}")), "", "certificate").await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = Server::start(&["--hang"]).await;
    let email = server.email("127.0.0.1", "tls: none");
    fails(&server, &email, "  timeout: 200ms\n", "no answer within 200ms").await;
    // One that takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let email = format!("{{smarthost: '{address}', from: a@example.org, to: b@example.org, tls: none}}");
    fails(&server, &email, "  timeout: 200ms\n", "no answer within 200ms").await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let mut server = Server::start(&[
        "--rcpt",
        "450 4.2.0 greylisted",
        "--rcpt",
        "450 4.2.0 greylisted",
        "--data",
        "451 4.3.0 later",
    ])
    .await;
    let harness = Harness::with_routes(&routes(&server.email("127.0.0.1", "tls: none"), "")).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    for failures in [1.0, 2.0] {
        // Another process answers: no time passes on the harness' clock until it has.
        harness.wait_until(async || harness.metric(&series("retried")).await == failures).await;
        harness.pass(Duration::from_secs(5)).await;
    }
    harness.deliver(Duration::ZERO).await;
    assert_eq!(server.wait_for_mails(1).await.len(), 1);
    assert_eq!((harness.metric(&series("retried")).await, harness.dead().await), (2.0, 0));
    harness.finish().await;
}

#[tokio::test]
async fn who_is_unknown_is_not_written_to_for_a_day() {
    let refuse = ["--refuse", "oncall@example.org=550 5.1.1 unknown", "--refuse", "team@example.org=550 5.1.1 unknown"];
    let server = Server::start(&refuse).await;
    let harness = Harness::with_routes(&routes(&server.email("127.0.0.1", "tls: none"), "")).await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    harness.deliver(SOON).await;
    assert_eq!((harness.dead().await, harness.metric(&series("retried")).await), (1, 0.0));
    harness.finish().await;
}

#[tokio::test]
async fn one_refused_recipient_does_not_keep_it_from_the_others() {
    for refusal in ["oncall@example.org=550 5.1.1 unknown", "oncall@example.org=452 4.2.2 over quota"] {
        let mut server = Server::start(&["--refuse", refusal]).await;
        let harness = Harness::with_routes(&routes(&server.email("127.0.0.1", "tls: none"), "")).await;
        harness.accept(&alerts::one("DiskFull", "critical")).await;
        harness.deliver(SOON).await;
        let mails = server.wait_for_mails(1).await;
        assert_eq!((mails.len(), &mails[0]["to"]), (1, &json!(["team@example.org"])), "{refusal}");
        assert_eq!(harness.metric(&series("delivered")).await, 1.0);
        harness.finish().await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_until_it_is_back() {
    let server = Server::start(&[]).await;
    // Bound, so that nobody else gets it, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let email = format!("{{smarthost: '{address}', from: a@example.org, to: b@example.org, tls: none}}");
    fails(&server, &email, "", "refused").await;
}
