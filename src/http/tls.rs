//! TLS of the listener: the configuration in force, which a reload replaces while connections go on.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::ClientCertificate;
use crate::certificate;
use crate::clock::SharedClock;
use crate::metrics::{HandshakeFailure, Metrics};

/// The first byte of every connection that speaks TLS: a record with a handshake in it.
const HANDSHAKE: u8 = 22;
/// For those who speak plain HTTP. Never 400: Alertmanager gives up at that, and once its URL is mended the alert still counts.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    retry-after: 10\r\nconnection: close\r\n\r\nthis address speaks TLS: use https://\n";
/// So much of what they send is read, so that they get to the answer.
const MOST_IGNORED: u64 = 1 << 20;
/// One warning for each kind of failure in so long.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What the handshake needs.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate, its key, and what is asked of clients.
    pub server: Arc<ServerConfig>,
    /// Whether a client certificate that `server` lets in is verified, so that it says who has connected.
    pub verifies_clients: bool,
}

/// The settings in force; each handshake takes those that are at its beginning.
#[derive(Debug)]
pub struct Tls {
    settings: RwLock<TlsSettings>,
    metrics: Arc<Metrics>,
    log: Log,
}

impl Tls {
    /// Starts with `settings`. Failures are counted in `metrics`; `clock` keeps them from filling the log.
    #[must_use]
    pub fn new(settings: TlsSettings, metrics: Arc<Metrics>, clock: SharedClock) -> Self {
        Self { settings: RwLock::new(settings), metrics, log: Log { clock, last: Mutex::default() } }
    }

    /// From now on new connections get `settings`; those that are open go on as they are.
    pub fn replace(&self, settings: TlsSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Does the handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Arc<ClientCertificate>>)> {
        // A poisoned lock guards plain data, which is whole in any case.
        let TlsSettings { server, verifies_clients } =
            self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let peer = stream.peer_addr()?;
        let mut first = [0];
        if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE] {
            self.failed(HandshakeFailure::NoTls, peer, &"it does not speak TLS; does its URL begin with https://?");
            if first[0].is_ascii_uppercase() {
                refuse_plain_http(stream).await?;
            }
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS"));
        }
        let stream = TlsAcceptor::from(server).accept(stream).await.inspect_err(|error| {
            self.failed(why(error), peer, error);
        })?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).filter(|_| verifies_clients);
        let certificate = shown.map(|shown| Arc::new(ClientCertificate { sans: certificate::names(shown) }));
        Ok((stream, certificate))
    }
}

/// Says so in words that whoever has written the wrong URL finds in the log of the sender.
async fn refuse_plain_http(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_HTTP).await?;
    stream.shutdown().await?;
    // What is not read when a socket is closed resets it, and the answer may be lost with it.
    tokio::io::copy(&mut stream.take(MOST_IGNORED), &mut tokio::io::sink()).await?;
    Ok(())
}

/// What kind of failure an error of the handshake is.
fn why(error: &io::Error) -> HandshakeFailure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return HandshakeFailure::Interrupted;
    };
    match error {
        rustls::Error::NoCertificatesPresented => HandshakeFailure::NoCertificate,
        rustls::Error::InvalidCertificate(_) => HandshakeFailure::BadCertificate,
        rustls::Error::AlertReceived(_) => HandshakeFailure::Refused,
        _ => HandshakeFailure::Protocol,
    }
}

impl Tls {
    /// Counts a failure. Each kind of them is a warning once a minute: whoever is locked out is to be found, and whoever knocks
    /// without end must not fill a disk.
    fn failed(&self, failure: HandshakeFailure, peer: SocketAddr, error: &dyn Display) {
        self.metrics.handshake_failed(failure);
        let reason = failure.as_str();
        // Health checks of load balancers hang up like this.
        if failure != HandshakeFailure::Interrupted && self.log.is_due(failure) {
            tracing::warn!(%peer, reason, %error, "no TLS connection came about; others for this reason in the next minute are counted only");
        }
    }
}

/// When each kind of failure was last logged, on the monotonic clock.
#[derive(Debug)]
struct Log {
    clock: SharedClock,
    last: Mutex<HashMap<HandshakeFailure, Duration>>,
}

impl Log {
    fn is_due(&self, failure: HandshakeFailure) -> bool {
        let now = self.clock.monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.get(&failure).is_none_or(|last| now.saturating_sub(*last) >= LOG_EVERY);
        if is_due {
            last.insert(failure, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::config::web::{self, Reading, System};

    const FOLDER: &str = "tests/fixtures/tls";

    fn tls(auth: &str) -> Tls {
        let ca = if auth.contains("Verify") { ", client_ca_file: ca.crt" } else { "" };
        let text = format!(
            "tls_server_config: {{cert_file: listener.crt, key_file: listener.key, client_auth_type: {auth}{ca}}}"
        );
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let reading = Reading { base: Path::new(FOLDER), files: &System, now, others_can_read: false };
        let (config, problems) = web::parse(text.as_bytes(), &reading);
        let tls = config.unwrap_or_else(|| panic!("{problems:?}")).tls.unwrap();
        let settings = TlsSettings { server: tls.server, verifies_clients: tls.client_auth.verifies() };
        Tls::new(settings, Arc::default(), Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)))
    }

    /// What is known of a client that shows a certificate, or none.
    async fn known(auth: &str, shows: bool) -> io::Result<Option<Arc<ClientCertificate>>> {
        let file = |name: &str| Path::new(FOLDER).join(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = if shows {
            let chain = vec![CertificateDer::from_pem_file(file("client.crt")).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(file("client.key")).unwrap()).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("router.example").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (accepted, tls) = (listener.accept().await.unwrap().0, tls(auth));
        let (_, taken) = tokio::join!(connector.connect(name, stream), tls.accept(accepted));
        taken.map(|(_, certificate)| certificate)
    }

    #[tokio::test]
    async fn only_a_verified_certificate_says_who_has_connected() {
        let sans = ["am.example", "spiffe://example.org/am"].map(str::to_owned).to_vec();
        let expected = Some(Arc::new(ClientCertificate { sans }));
        for (auth, shown, not_shown) in [
            ("NoClientCert", Some(None), Some(None)),
            ("RequestClientCert", Some(None), Some(None)),
            ("RequireAnyClientCert", Some(None), None),
            ("VerifyClientCertIfGiven", Some(expected.clone()), Some(None)),
            ("RequireAndVerifyClientCert", Some(expected.clone()), None),
        ] {
            assert_eq!(known(auth, true).await.ok(), shown, "{auth}");
            assert_eq!(known(auth, false).await.ok(), not_shown, "{auth}");
        }
    }

    #[test]
    fn one_failure_of_each_kind_is_logged_in_a_minute() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let log = Log { clock: Arc::new(clock.clone()), last: Mutex::default() };
        assert!(log.is_due(HandshakeFailure::NoTls) && !log.is_due(HandshakeFailure::NoTls));
        assert!(log.is_due(HandshakeFailure::Refused));
        clock.advance(LOG_EVERY);
        assert!(log.is_due(HandshakeFailure::NoTls) && !log.is_due(HandshakeFailure::NoTls));
    }
}
