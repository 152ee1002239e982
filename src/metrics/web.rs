//! The web configuration file, its certificates, and connections that did not come about. Without `--web-config` none of it is
//! there.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Word;
use crate::clock::Timestamp;

/// Why a TLS handshake failed. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// The client does not speak TLS; plain HTTP, mostly.
    NoTls,
    /// The client has no certificate, and it must have one.
    NoCertificate,
    /// The client's certificate is not let in: the authority, the time, the name.
    BadCertificate,
    /// The client refuses: it does not know our authority, or the name is not the one that it called.
    Refused,
    /// No version or cipher suite in common, or broken messages.
    Protocol,
    /// The connection ended.
    Interrupted,
}

impl HandshakeFailure {
    const ALL: [Self; 6] =
        [Self::NoTls, Self::NoCertificate, Self::BadCertificate, Self::Refused, Self::Protocol, Self::Interrupted];

    /// As in the metric and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTls => "no_tls",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Interrupted => "interrupted",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: Word,
}

/// What became of the file.
#[derive(Debug, Clone, Copy, Default)]
struct File {
    /// Whether the one on disk is in force.
    is_in_force: bool,
    /// When it was last loaded, in seconds; `None` if there is no such file.
    loaded_at: Option<f64>,
    failures: u64,
}

/// Series that are not there without a file.
#[derive(Debug, Clone, Default)]
struct FileCollector(Arc<Mutex<File>>);

impl FileCollector {
    fn change(&self, change: impl FnOnce(&mut File)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Collector for FileCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let File { is_in_force, loaded_at, failures } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(loaded_at) = loaded_at else { return Ok(()) };
        let successful = ConstGauge::new(i64::from(is_in_force));
        let (name, help) = (
            "web_config_last_reload_successful",
            "Whether the web configuration file and its certificates, as they are now, are in force.",
        );
        successful.encode(encoder.encode_descriptor(name, help, None, successful.metric_type())?)?;
        let timestamp = ConstGauge::new(loaded_at);
        let (name, help) = ("web_config_last_reload_success_timestamp_seconds", "When they were last loaded.");
        timestamp.encode(encoder.encode_descriptor(name, help, None, timestamp.metric_type())?)?;
        let failures = ConstCounter::new(failures);
        let (name, help) = (
            "web_config_reload_failures",
            "Changes of the web configuration file or its certificates that could not be used.",
        );
        failures.encode(encoder.encode_descriptor(name, help, None, failures.metric_type())?)
    }
}

#[derive(Debug, Default)]
pub(super) struct WebMetrics {
    file: FileCollector,
    expiry: Family<CertificateLabels, Gauge<f64, AtomicU64>>,
    handshake_failures: Family<FailureLabels, Counter>,
}

impl WebMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.file.clone()));
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the first certificate of the chain in force ends",
            self.expiry.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS connections that did not come about",
            self.handshake_failures.clone(),
        );
    }
}

impl Metrics {
    /// The web configuration file was loaded. The times are the ends of the server's certificate and of the authority of client
    /// certificates, as far as there are any.
    pub fn web_config_loaded(&self, now: Timestamp, server: Option<Timestamp>, client_ca: Option<Timestamp>) {
        self.web.file.change(|file| {
            file.is_in_force = true;
            file.loaded_at = Some(now.as_duration().as_secs_f64());
        });
        for (certificate, end) in [("server", server), ("client_ca", client_ca)] {
            let labels = CertificateLabels { certificate: Word(certificate) };
            match end {
                Some(end) => {
                    self.web.expiry.get_or_create(&labels).set(end.as_duration().as_secs_f64());
                }
                None => {
                    self.web.expiry.remove(&labels);
                }
            }
        }
        if server.is_some() {
            for failure in HandshakeFailure::ALL {
                let _ = self.web.handshake_failures.get_or_create(&labels(failure));
            }
        }
    }

    /// It has changed and could not be loaded; the one before stays in force.
    pub fn web_config_refused(&self) {
        self.web.file.change(|file| {
            file.is_in_force = false;
            file.failures += 1;
        });
    }

    /// A change that was refused was taken back: what is on disk is in force again.
    pub fn web_config_restored(&self) {
        self.web.file.change(|file| file.is_in_force = true);
    }

    /// A TLS connection did not come about.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.web.handshake_failures.get_or_create(&labels(failure)).inc();
    }
}

fn labels(failure: HandshakeFailure) -> FailureLabels {
    FailureLabels { reason: Word(failure.as_str()) }
}
