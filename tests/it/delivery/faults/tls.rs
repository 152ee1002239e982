//! Certificates, with the real binary and a real authority of its own: whom it does not know, and the wrong name.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{Kind, StandIn, slack};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tokio::process::Command;

use super::FAILED;
use crate::harness::certificates::{self, authority};
use crate::harness::process::{Router, serve};
use crate::harness::wait::{patiently, until};
use crate::harness::{Folder, alerts, http};

/// Makes a certificate for a subject alternative name, by an authority; how a server shows it.
async fn certificate(folder: &Path, name: &str, authority: &str, for_whom: &str) -> Arc<ServerConfig> {
    certificates::certificate(folder, name, authority, for_whom).await;
    let (chain, key) = certificates::read(folder, name);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Takes TLS off in front of a stand-in.
struct Terminator {
    address: String,
    shows: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Terminator {
    fn start(shows: Arc<ServerConfig>, behind: &StandIn) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let behind = behind.url().trim_start_matches("http://").trim_end_matches(slack::PATH).to_owned();
        let shows = Arc::new(Mutex::new(shows));
        let current = shows.clone();
        // It ends with the process of the tests: nobody connects to it after its own.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let config = current.lock().unwrap().clone();
                // A client that does not like the certificate hangs up.
                let _ = pass_on(stream, config, &behind);
            }
        });
        Self { address, shows }
    }

    fn show(&self, config: Arc<ServerConfig>) {
        *self.shows.lock().unwrap() = config;
    }
}

/// One request, and its answer.
fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, behind: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let (mut request, mut bytes) = (Vec::new(), [0; 16 * 1024]);
    let whole = loop {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
            if request.len() >= head.len() + 4 + length.parse::<usize>().unwrap() {
                break text;
            }
        }
    };
    assert!(whole.starts_with("post "), "{whole}");
    let request = String::from_utf8(request).unwrap().replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut service = TcpStream::connect(behind)?;
    service.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    service.read_to_end(&mut answer)?;
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

async fn post(router: &Router, resolved: bool) {
    let now = SystemClock::new().now();
    let mut alert = alerts::firing(&json!({ "alertname": "DiskFull", "severity": "warning" }), now);
    if resolved {
        alert = alerts::resolved(&alert, alertrouter::clock::after(now, std::time::Duration::from_secs(1)));
    }
    let body = alerts::group("disks", &[alert]).to_string();
    let (status, answer) = http::post(&router.address, "/webhook", body.into()).await;
    assert_eq!(status, 200, "{answer}");
}

/// Waits until an attempt has failed with this in its reason.
async fn failed_with(router: &Router, why: &str) {
    let log = || router.process.log();
    until(why, log, async || log().lines().any(|line| line.contains(FAILED) && line.contains(why))).await;
}

#[tokio::test]
async fn a_certificate_with_a_wrong_name_or_from_an_unknown_authority() {
    let (folder, service) = (Folder::new(), StandIn::start(Kind::Slack).await.unwrap());
    let files = &folder.0;
    authority(files, "known").await;
    authority(files, "unknown").await;
    let right = certificate(files, "right", "known", "IP:127.0.0.1").await;
    let wrong_name = certificate(files, "other", "known", "DNS:hooks.other.example").await;
    let wrong_authority = certificate(files, "stranger", "unknown", "IP:127.0.0.1").await;

    let terminator = Terminator::start(wrong_name, &service);
    let file = format!(
        "receivers:\n  - name: team-slack\n    slack: {{ webhook_url: 'https://{}{}' }}\nroute: {{ receivers: [team-slack] }}\n",
        terminator.address,
        slack::PATH
    );
    std::fs::write(files.join("routes.yaml"), file).unwrap();
    let mut command: Command = serve(files, "127.0.0.1:0", &[]);
    command.env("SSL_CERT_FILE", files.join("known.pem"));
    let mut router = Router::from_command(command).await;
    post(&router, false).await;
    post(&router, true).await;
    failed_with(&router, "certificate not valid for name").await;
    terminator.show(wrong_authority);
    failed_with(&router, "UnknownIssuer").await;
    assert_eq!(service.received(), [], "not a byte has got through");
    // The right name by the same authority: it was the names that were looked at.
    terminator.show(right);
    let messages = patiently("both messages", service.wait_for_accepted(2)).await;
    let texts: Vec<_> = messages.iter().map(|message| message.json["text"].as_str().unwrap_or_default()).collect();
    assert!(texts[0].starts_with("[FIRING:1] DiskFull") && texts[1].starts_with("[RESOLVED:1] DiskFull"), "{texts:?}");
    router.wait_until_delivered().await;
    assert_eq!(router.sum("alertrouter_dead_letters").await, 0.0);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    assert!(!router.process.log().contains(slack::PATH), "the path is the credential");
}
