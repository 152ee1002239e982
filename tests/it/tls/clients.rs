//! Who comes in, and who does not.

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{WEB, server, start};
use crate::harness::certificates::{
    ask, authority, certificate, certificate_for, client, client_with, connect, openssl,
};
use crate::harness::{alerts, http};

#[tokio::test]
async fn alerts_come_in_by_tls_whatever_name_the_client_calls() {
    let folder = server(&format!("{WEB}http_server_config:\n  headers: {{X-Frame-Options: deny}}\n")).await;
    let harness = start(&folder.0).await;
    let body = alerts::one("Quiet", "none").to_string();
    for (version, name) in [(&TLS12, "127.0.0.1"), (&TLS13, "router.example")] {
        let config = client_with(&folder.0, "ca", None, &[version]);
        let mut stream = connect(harness.address(), name, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let length = body.len();
        let head =
            format!("POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""alerts":1"#), "{answer}");
        assert!(answer.contains("\r\nx-frame-options: deny\r\n"), "{answer}");
    }
    // What is not there has the headers, too.
    let answer = ask(harness.address(), &client(&folder.0, "ca", None), "GET", "/nothing").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("\r\nx-frame-options: deny\r\n"), "{answer}");
    harness.finish().await;
}

#[tokio::test]
async fn older_versions_stay_out_where_the_file_says_so() {
    let folder = server(&format!("{WEB}  min_version: TLS13\n")).await;
    let harness = start(&folder.0).await;
    let old = ask(harness.address(), &client_with(&folder.0, "ca", None, &[&TLS12]), "GET", "/-/healthy").await;
    assert!(old.as_ref().is_err_and(|error| error.contains("ProtocolVersion")), "{old:?}");
    let new = ask(harness.address(), &client_with(&folder.0, "ca", None, &[&TLS13]), "GET", "/metrics").await.unwrap();
    assert_eq!(http::metric(&new, r#"alertrouter_tls_handshake_failures_total{reason="protocol"}"#), 1.0);
    harness.finish().await;
}

#[tokio::test]
async fn only_certificates_of_the_authority_with_an_allowed_name_come_in() {
    let more = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n  client_allowed_sans: ['spiffe://example.org/am', 192.0.2.7]\n";
    let folder = server(&format!("{WEB}{more}")).await;
    let files = &folder.0;
    authority(files, "clients").await;
    authority(files, "strangers").await;
    for (name, by, san, days) in [
        ("right", "clients", "DNS:am.example,URI:spiffe://example.org/am", 2),
        ("address", "clients", "IP:192.0.2.7", 2),
        ("other", "clients", "URI:spiffe://example.org/other", 2),
        ("expired", "clients", "URI:spiffe://example.org/am", -1),
        ("stranger", "strangers", "URI:spiffe://example.org/am", 2),
    ] {
        certificate_for(files, name, by, san, days).await;
    }
    let harness = start(files).await;
    let asked = async |own: Option<&str>, path: &str| {
        let mut answers = Vec::new();
        for version in [&TLS12, &TLS13] {
            let config = client_with(files, "ca", own, &[version]);
            answers.push(ask(harness.address(), &config, "GET", path).await);
        }
        answers
    };
    for own in ["right", "address"] {
        for answer in asked(Some(own), "/-/healthy").await {
            assert!(answer.unwrap().ends_with("healthy\n"), "{own}");
        }
    }
    for own in [None, Some("other"), Some("expired"), Some("stranger"), Some("server")] {
        for answer in asked(own, "/-/healthy").await {
            assert!(answer.is_err(), "{own:?}: {answer:?}");
        }
    }
    let metrics = asked(Some("right"), "/metrics").await.remove(0).unwrap();
    let failures = |reason: &str| {
        http::metric(&metrics, &format!("alertrouter_tls_handshake_failures_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!((failures("no_certificate"), failures("bad_certificate")), (2.0, 8.0));
    harness.finish().await;
}

#[tokio::test]
async fn where_no_certificate_is_required_one_of_another_authority_is_still_refused() {
    let more = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n";
    let folder = server(&format!("{WEB}{more}")).await;
    authority(&folder.0, "strangers").await;
    certificate(&folder.0, "stranger", "strangers", "DNS:am.example").await;
    certificate(&folder.0, "right", "ca", "DNS:am.example").await;
    let harness = start(&folder.0).await;
    for (own, comes_in) in [(None, true), (Some("right"), true), (Some("stranger"), false)] {
        let answer = ask(harness.address(), &client(&folder.0, "ca", own), "GET", "/-/healthy").await;
        assert_eq!(answer.is_ok(), comes_in, "{own:?}: {answer:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn where_any_certificate_will_do_there_has_to_be_one() {
    let folder = server(&format!("{WEB}  client_auth_type: RequireAnyClientCert\n")).await;
    authority(&folder.0, "strangers").await;
    certificate(&folder.0, "stranger", "strangers", "DNS:am.example").await;
    let harness = start(&folder.0).await;
    for (own, comes_in) in [(None, false), (Some("stranger"), true)] {
        let answer = ask(harness.address(), &client(&folder.0, "ca", own), "GET", "/-/healthy").await;
        assert_eq!(answer.is_ok(), comes_in, "{own:?}: {answer:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn plain_http_is_told_what_to_do_and_never_400() {
    let folder = server(WEB).await;
    let harness = start(&folder.0).await;
    let answer = http::raw(harness.address(), "POST", "/webhook").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 10\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthis address speaks TLS: use https://\n"), "{answer}");
    // Whatever else it is gets nothing.
    assert_eq!(http::read_to_end(http::connect(harness.address(), b"\0\x01\x02").await).await, "");
    let metrics = ask(harness.address(), &client(&folder.0, "ca", None), "GET", "/metrics").await.unwrap();
    assert_eq!(http::metric(&metrics, r#"alertrouter_tls_handshake_failures_total{reason="no_tls"}"#), 2.0);
    harness.finish().await;
}

#[tokio::test]
async fn keys_of_rsa_and_ed25519_serve_as_well() {
    for algorithm in ["rsa:2048", "ed25519"] {
        let folder = server(WEB).await;
        let own = format!(
            "req -x509 -newkey {algorithm} -nodes -keyout server.key -out server.pem -subj /CN=x -days 2 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        );
        openssl(&folder.0, &own).await;
        let harness = start(&folder.0).await;
        let answer = ask(harness.address(), &client(&folder.0, "server", None), "GET", "/-/healthy").await;
        assert!(answer.as_ref().is_ok_and(|answer| answer.ends_with("healthy\n")), "{algorithm}: {answer:?}");
        harness.finish().await;
    }
}
