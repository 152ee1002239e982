//! What Go calls versions, cipher suites and curves, and what they are here.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use crate::yaml::{Context, Node, Span, closest, quote};

/// Go's `crypto/tls.CipherSuites()` up to TLS 1.2. `None` for those with CBC, which nobody should miss.
const SUITES: [(&str, Option<SupportedCipherSuite>); 10] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Some(cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Some(cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Some(cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Some(cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Some(cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
];

/// Go takes their names and does nothing with them: those of TLS 1.3 are always on.
const TLS13_SUITES: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// `None` for what ring cannot do.
const CURVES: [(&str, Option<&'static dyn SupportedKxGroup>); 4] = [
    ("X25519", Some(kx_group::X25519)),
    ("CurveP256", Some(kx_group::SECP256R1)),
    ("CurveP384", Some(kx_group::SECP384R1)),
    ("CurveP521", None),
];

/// What `cipher_suites` and `max_version` leave: for a provider of rustls.
pub(super) struct Suites {
    /// In the order of the file, those of TLS 1.3 first.
    pub(super) all: Vec<SupportedCipherSuite>,
    /// Whether there is one for TLS 1.2.
    pub(super) has_tls12: bool,
}

impl Suites {
    /// All there are.
    pub(super) fn default() -> Self {
        Self { all: rustls::crypto::ring::ALL_CIPHER_SUITES.to_vec(), has_tls12: true }
    }
}

/// `cipher_suites`. An empty list is none, as with Go.
pub(super) fn suites(cx: &mut Context<'_>, node: &Node) -> Option<Suites> {
    let items = cx.list(node, "`cipher_suites`", "- TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")?;
    if items.is_empty() {
        return Some(Suites::default());
    }
    let mut all: Vec<_> =
        rustls::crypto::ring::ALL_CIPHER_SUITES.iter().copied().filter(|suite| suite.tls13().is_some()).collect();
    let (tls13, mut sound) = (all.len(), true);
    for item in items {
        let Some(name) = cx.text(item, "an entry of `cipher_suites`") else {
            sound = false;
            continue;
        };
        if TLS13_SUITES.contains(&name) {
            cx.warn_with(item.span, "this one is always on", "`cipher_suites` says what TLS 1.2 may use; remove it");
            continue;
        }
        match SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, Some(suite))) => all.push(*suite),
            Some((_, None)) => {
                cx.warn_with(
                    item.span,
                    "suites with CBC are not spoken here",
                    "whoever knows it knows one with GCM; remove it",
                );
            }
            None => {
                unknown(cx, item.span, "cipher suite", name, SUITES.iter().map(|(name, _)| *name));
                sound = false;
            }
        }
    }
    let has_tls12 = all.len() > tls13;
    sound.then_some(Suites { all, has_tls12 })
}

/// `curve_preferences`. An empty list is none, as with Go.
pub(super) fn curves(cx: &mut Context<'_>, node: &Node) -> Option<Vec<&'static dyn SupportedKxGroup>> {
    let items = cx.list(node, "`curve_preferences`", "[X25519, CurveP256]")?;
    let (mut all, mut sound) = (Vec::new(), true);
    for item in items {
        let Some(name) = cx.text(item, "an entry of `curve_preferences`") else {
            sound = false;
            continue;
        };
        match CURVES.iter().find(|(known, _)| *known == name) {
            Some((_, Some(curve))) => all.push(*curve),
            Some((_, None)) => {
                cx.warn_with(
                    item.span,
                    format!("`{name}` is not spoken here"),
                    "whoever knows it knows `CurveP256`; remove it",
                );
            }
            None => {
                unknown(cx, item.span, "curve", name, CURVES.iter().map(|(name, _)| *name));
                sound = false;
            }
        }
    }
    if items.is_empty() {
        return Some(rustls::crypto::ring::ALL_KX_GROUPS.to_vec());
    }
    if sound && all.is_empty() {
        cx.error_with(node.span, "none of these curves is spoken here", "name `X25519`, `CurveP256` or `CurveP384`");
        return None;
    }
    sound.then_some(all)
}

/// The numbers behind `TLS12` and so on: 12, 13.
pub(super) fn number(cx: &mut Context<'_>, node: &Node, key: &str) -> Option<u8> {
    let number = match cx.text(node, key)? {
        "TLS10" => 10,
        "TLS11" => 11,
        "TLS12" => 12,
        "TLS13" => 13,
        _ => {
            cx.error_with(node.span, format!("{key} must be a version of TLS"), "write `TLS12` or `TLS13`");
            return None;
        }
    };
    Some(number)
}

/// The versions of rustls between two numbers.
pub(super) fn versions(least: u8, most: u8) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(12, &version::TLS12), (13, &version::TLS13)];
    all.into_iter().filter(|(number, _)| (least..=most).contains(number)).map(|(_, version)| version).collect()
}

fn unknown(cx: &mut Context<'_>, at: Span, what: &str, name: &str, known: impl Iterator<Item = &'static str> + Clone) {
    let hint = match closest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.map(quote).collect::<Vec<_>>().join(", ")),
    };
    cx.error_with(at, format!("there is no {what} {}", crate::yaml::discreet(name)), hint);
}
