//! Somebody on the way to the mail server who cannot break TLS, and answers for the server before it begins.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::certificates::{authority, certificate, read};
use crate::harness::{Folder, Harness, alerts};

/// What a client would take for the answers to EHLO, MAIL, RCPT, DATA and the message, if it took them for the server's.
const INJECTED: &str = "250-mail.example\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n";

/// Reads a line; `None` at the end.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let (mut text, mut stream) = (String::new(), BufReader::with_capacity(1, stream));
    (stream.read_line(&mut text).await.ok()? > 0).then_some(text)
}

/// The plain part of a conversation, as somebody in between makes it look, and the server's own, which takes no mail.
async fn converse(mut stream: TcpStream, injected: &str, server: Arc<ServerConfig>) -> Option<()> {
    stream.write_all(b"220 mail.example\r\n").await.ok()?;
    while let Some(said) = line(&mut stream).await {
        if said.starts_with("STARTTLS") {
            stream.write_all(format!("220 go\r\n{injected}").as_bytes()).await.ok()?;
            return refuse(TlsAcceptor::from(server).accept(stream).await.ok()?).await;
        }
        stream.write_all(b"250-mail.example\r\n250 STARTTLS\r\n").await.ok()?;
    }
    None
}

async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
    while let Some(said) = line(&mut stream).await {
        let answer =
            if said.starts_with("EHLO") { "250 mail.example\r\n" } else { "450 4.3.0 the server said this\r\n" };
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
    Some(())
}

/// What is told of an alert that such a server gets.
async fn told(injected: &'static str) -> String {
    let folder = Folder::new();
    authority(&folder.0, "ca").await;
    certificate(&folder.0, "server", "ca", "DNS:localhost").await;
    let (chain, key) = read(&folder.0, "server");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(stream, injected, config.clone()).await;
        }
    });
    let ca = folder.0.join("ca.pem").display().to_string();
    let harness = Harness::with_routes(&format!(
        "receivers:
- name: mails
  email: {{smarthost: 'localhost:{port}', from: a@example.org, to: b@example.org, ca_file: {ca}}}
  fallback: chat
  fallback_after: 10s
- name: chat
  slack: {{webhook_url: SLACK_WEBHOOK_URL}}
route: {{receivers: [mails]}}
"
    ))
    .await;
    harness.accept(&alerts::one("DiskFull", "critical")).await;
    let retried = r#"alertrouter_notifications_total{receiver="mails",outcome="retried"}"#;
    harness.wait_until(async || harness.metric(retried).await >= 1.0).await;
    harness.pass_until(Duration::from_secs(60), async || !harness.slack_texts().is_empty()).await;
    let said = harness.slack_texts().join("\n");
    harness.wait_until(async || harness.pending().await == 1).await;
    harness.finish_with_pending(1).await;
    server.abort();
    said
}

#[tokio::test]
async fn what_is_said_for_the_mail_server_before_tls_begins_counts_for_nothing() {
    let said = told(INJECTED).await;
    assert!(said.contains("Fallback for mails: ") && !said.contains("450"), "{said}");
}

#[tokio::test]
async fn without_it_the_server_is_heard() {
    let said = told("").await;
    assert!(said.contains("the server said this"), "{said}");
}
