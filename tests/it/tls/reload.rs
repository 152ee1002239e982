//! A changed file: what it changes, for whom, and when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, after, between};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{WEB, server, start};
use crate::harness::certificates::{ask, authority, certificate, certificate_for, client, connect};
use crate::harness::{Harness, ROUTES, alerts, http};

/// Longer than from one look at the files to the next.
const A_LOOK: Duration = Duration::from_secs(11);

/// The certificate that a new connection is shown.
async fn shown(harness: &Harness, config: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = connect(harness.address(), "127.0.0.1", config).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// How a further connection of a client comes about.
async fn handshake(harness: &Harness, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let stream = connect(harness.address(), "127.0.0.1", config).await.unwrap();
    stream.get_ref().1.handshake_kind()
}

async fn metric(harness: &Harness, config: &Arc<ClientConfig>, name: &str) -> f64 {
    let text = ask(harness.address(), config, "GET", "/metrics").await.unwrap();
    http::metric(&text, &format!("alertrouter_{name}"))
}

const SUCCESSFUL: &str = "web_config_last_reload_successful";
const FAILURES: &str = "web_config_reload_failures_total";
const EXPIRY: &str = r#"certificate_expiry_timestamp_seconds{certificate="server"}"#;

fn copy(folder: &Path, from: &str, to: &str) {
    std::fs::copy(folder.join(from), folder.join(to)).unwrap();
}

#[tokio::test]
async fn a_request_under_way_goes_through_and_new_connections_see_the_new_certificate() {
    let folder = server(WEB).await;
    certificate(&folder.0, "renewed", "ca", "IP:127.0.0.1").await;
    let harness = start(&folder.0).await;
    let config = client(&folder.0, "ca", None);
    let first = shown(&harness, &config).await;
    ask(harness.address(), &config, "GET", "/-/healthy").await.unwrap();
    assert_eq!(handshake(&harness, &config).await, Some(HandshakeKind::Resumed));

    // Half a request.
    let mut stream = connect(harness.address(), "127.0.0.1", &config).await.unwrap();
    let body = alerts::one("Quiet", "none").to_string();
    let head = format!("POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let (now, later) = body.split_at(body.len() / 2);
    stream.write_all((head.clone() + now).as_bytes()).await.unwrap();

    copy(&folder.0, "renewed.pem", "server.pem");
    copy(&folder.0, "renewed.key", "server.key");
    let reloaded = ask(harness.address(), &config, "POST", "/-/reload").await.unwrap();
    assert!(reloaded.starts_with("HTTP/1.1 200 ") && reloaded.ends_with("reloaded\n"), "{reloaded}");
    // A session of before is none of the new certificate's.
    assert_eq!(handshake(&harness, &config).await, Some(HandshakeKind::Full));
    let second = shown(&harness, &config).await;
    assert_ne!(first, second);

    // The other half, and one more on the same connection.
    let mut answer = vec![0; 15];
    stream.write_all(later.as_bytes()).await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200 OK");
    let last = head.replace("host: x", "host: x\r\nconnection: close") + &body;
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200 OK") && rest.matches(r#""alerts":1"#).count() == 2, "{rest}");
    harness.finish().await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_every_problem_of_both_files_is_in_the_answer() {
    let folder = server(WEB).await;
    let harness = start(&folder.0).await;
    let config = client(&folder.0, "ca", None);
    let reload = async || ask(harness.address(), &config, "POST", "/-/reload").await.unwrap();
    std::fs::write(
        folder.0.join("web.yml"),
        format!("{WEB}  min_version: TLS11\n  max_version: TLS11\nheaders: {{}}\n"),
    )
    .unwrap();
    let answer = reload().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for problem in [
        "web.yml:5:16: error: versions before TLS 1.2 are not spoken here; say `TLS12` or `TLS13`",
        "web.yml:6:1: error: unknown key `headers` in the file; it knows `tls_server_config`",
    ] {
        assert!(answer.contains(problem), "{answer}");
    }
    harness.write_routes("receivers: 5\n");
    let answer = reload().await;
    assert!(answer.contains("routes.yaml:1:12: error: ") && answer.contains("web.yml:6:1: error: "), "{answer}");
    assert_eq!(metric(&harness, &config, SUCCESSFUL).await, 0.0);
    assert_eq!(metric(&harness, &config, "config_last_reload_successful").await, 0.0);

    // Neither is put in force without the other.
    std::fs::write(
        folder.0.join("web.yml"),
        format!("{WEB}http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"),
    )
    .unwrap();
    let answer = reload().await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("x-frame-options"), "{answer}");
    assert_eq!(metric(&harness, &config, SUCCESSFUL).await, 0.0);
    harness.write_routes(ROUTES);
    let answer = reload().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(ask(harness.address(), &config, "GET", "/").await.unwrap().contains("x-frame-options: deny"));
    assert_eq!(metric(&harness, &config, SUCCESSFUL).await, 1.0);

    for (web, why) in
        [("", "TLS is switched on or off at a start only"), ("tls_server_config: [", "cannot be read as YAML")]
    {
        std::fs::write(folder.0.join("web.yml"), web).unwrap();
        let answer = reload().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(why), "{answer}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_noticed_and_half_of_one_waits_for_the_other_half() {
    let folder = server(WEB).await;
    // As Kubernetes mounts a secret: a link to a folder, which is replaced as a whole.
    for (version, days) in [("one", 2), ("two", 20), ("expired", -1)] {
        std::fs::create_dir(folder.0.join(version)).unwrap();
        certificate_for(&folder.0, "server", "ca", "IP:127.0.0.1", days).await;
        for file in ["server.pem", "server.key"] {
            copy(&folder.0, file, &format!("{version}/{file}"));
        }
    }
    let link = |version: &str| {
        std::os::unix::fs::symlink(version, folder.0.join("next")).unwrap();
        std::fs::rename(folder.0.join("next"), folder.0.join("tls")).unwrap();
    };
    link("one");
    std::fs::write(folder.0.join("web.yml"), WEB.replace("server.", "tls/server.")).unwrap();
    let harness = start(&folder.0).await;
    // Certificates were made by the machine's clock.
    let machine = after(SystemClock::new().now(), Duration::from_secs(60));
    harness.clock.set_forward(between(harness.now(), machine));
    let config = client(&folder.0, "ca", None);
    let first = shown(&harness, &config).await;
    let expiry = metric(&harness, &config, EXPIRY).await;

    link("two");
    harness.clock.advance(A_LOOK);
    harness.wait_until(async || shown(&harness, &config).await != first).await;
    let second = shown(&harness, &config).await;
    // 18 days, and what it took to make the second.
    let later = metric(&harness, &config, EXPIRY).await - expiry - 18.0 * 86_400.0;
    assert!((0.0..600.0).contains(&later), "{later}");

    // A new certificate beside the old key.
    copy(&folder.0, "one/server.pem", "two/server.pem");
    harness.clock.advance(A_LOOK);
    harness.wait_until(async || metric(&harness, &config, SUCCESSFUL).await == 0.0).await;
    assert_eq!(shown(&harness, &config).await, second);
    copy(&folder.0, "one/server.key", "two/server.key");
    harness.clock.advance(A_LOOK);
    harness.wait_until(async || metric(&harness, &config, SUCCESSFUL).await == 1.0).await;
    assert_eq!(shown(&harness, &config).await, first);
    // However often it was looked at meanwhile.
    assert_eq!(metric(&harness, &config, FAILURES).await, 1.0);

    // One that nobody would take does not replace one that is good.
    link("expired");
    harness.clock.advance(A_LOOK);
    harness.wait_until(async || metric(&harness, &config, FAILURES).await == 2.0).await;
    assert_eq!(shown(&harness, &config).await, first);
    link("two");
    harness.clock.advance(A_LOOK);
    harness.wait_until(async || metric(&harness, &config, SUCCESSFUL).await == 1.0).await;
    harness.finish().await;
}

#[tokio::test]
async fn who_was_let_in_by_an_authority_that_is_gone_has_to_come_again_and_is_refused() {
    let auth = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let folder = server(&format!("{WEB}{auth}")).await;
    for name in ["clients", "others"] {
        authority(&folder.0, name).await;
    }
    certificate(&folder.0, "old", "clients", "DNS:am.example").await;
    certificate(&folder.0, "new", "others", "DNS:am.example").await;
    let harness = start(&folder.0).await;
    // Each remembers sessions, and would go on with one if it were let.
    let (old, new) = (client(&folder.0, "ca", Some("old")), client(&folder.0, "ca", Some("new")));
    assert!(ask(harness.address(), &old, "GET", "/-/healthy").await.is_ok());
    assert_eq!(handshake(&harness, &old).await, Some(HandshakeKind::Full));
    assert!(ask(harness.address(), &new, "GET", "/-/healthy").await.is_err());
    copy(&folder.0, "others.pem", "clients.pem");
    assert!(ask(harness.address(), &old, "POST", "/-/reload").await.unwrap().ends_with("reloaded\n"));
    assert!(ask(harness.address(), &old, "GET", "/-/healthy").await.is_err());
    assert!(ask(harness.address(), &new, "GET", "/-/healthy").await.is_ok());
    harness.finish().await;
}
