//! `tls_server_config`: from the names of files to what rustls needs.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};

use super::names::{self, Suites};
use super::pem::{self, Pem};
use super::verify::Verifier;
use super::{ClientAuth, Reading, ServerTls};
use crate::certificate::{Validity, validity};
use crate::yaml::{Context, Fields, Node, Span, closest, discreet};

/// What Go calls them. `RequireClientCert` is an older name that Prometheus still takes.
const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ("RequireClientCert", ClientAuth::RequireAny),
];

/// Reads the map; nothing if it is empty, an error if one has been reported.
pub(super) fn tls(cx: &mut Context<'_>, node: &Node, at: Span, reading: &Reading<'_>) -> Result<Option<ServerTls>, ()> {
    if matches!(&node.value, crate::yaml::Value::Map(entries) if entries.is_empty()) {
        return Ok(None);
    }
    let mut fields = Fields::open(cx, node, at, "`tls_server_config`").ok_or(())?;
    let own = own(cx, &mut fields, reading);
    let clients = clients(cx, &mut fields, reading);
    let protocol = protocol(cx, &mut fields);
    fields.close(cx, &[]);
    let (Some(own), Some(clients), Some(protocol)) = (own, clients, protocol) else { return Err(()) };
    let validity = own.validity;
    let (client_auth, client_ca_validity) = (clients.auth, clients.validity);
    match server(own, clients, protocol) {
        Ok(server) => Ok(Some(ServerTls { server: Arc::new(server), client_auth, validity, client_ca_validity })),
        Err(error) => {
            cx.error(at, format!("TLS cannot be set up: {error}"));
            Err(())
        }
    }
}

/// The certificate that is shown to clients.
struct Own {
    certified: CertifiedKey,
    validity: Option<Validity>,
}

fn own(cx: &mut Context<'_>, fields: &mut Fields<'_>, reading: &Reading<'_>) -> Option<Own> {
    let chain = pem::read(cx, fields, ("cert", "cert_file"), reading);
    let key = pem::read(cx, fields, ("key", "key_file"), reading);
    for (given, name) in [(&chain, "cert_file"), (&key, "key_file")] {
        if let Ok(None) = given {
            let hint = format!("add `{name}: …`; without TLS, remove `tls_server_config`");
            cx.error_with(fields.at, format!("`tls_server_config` needs `{name}`"), hint);
        }
    }
    let (chain, key) = (chain.ok().flatten(), key.ok().flatten());
    let certificates = chain.as_ref().and_then(|pem| pem.certificates(cx));
    let signing = key.as_ref().and_then(|pem| {
        let key = pem.key(cx)?;
        let loaded = default_provider().key_provider.load_private_key(key);
        if loaded.is_err() {
            let hint = "what is: ECDSA with P-256 or P-384, Ed25519, RSA with 2048 to 4096 bits";
            cx.error_with(
                pem.at,
                format!("the key in {} is broken or of a kind that is not supported", pem.name),
                hint,
            );
        }
        loaded.ok()
    });
    let (chain, key) = (chain?, key?);
    let validity = certificates.as_ref().and_then(|all| shortest(cx, &chain, all, reading.now, SERVER));
    let certified = CertifiedKey::new(certificates?, signing?);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Some(Own { certified, validity }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let hint = format!("the first certificate in {} must be the one that was made for it", chain.name);
            cx.error_with(key.at, format!("the key in {} does not belong to the certificate", key.name), hint);
            None
        }
        Err(error) => {
            cx.error(chain.at, format!("the certificate in {} cannot be used: {error}", chain.name));
            None
        }
    }
}

/// What follows from a certificate that is not valid.
const SERVER: &str = "nobody who verifies it can connect: renew it";
const CLIENT_CA: &str = "renew it, and what it has signed";

/// How long the one is valid that ends first. Warns of what is not valid: to end with it would be to deliver nothing either.
fn shortest(
    cx: &mut Context<'_>,
    pem: &Pem,
    certificates: &[CertificateDer<'_>],
    now: Timestamp,
    hint: &str,
) -> Option<Validity> {
    let all: Vec<Validity> = certificates.iter().filter_map(|certificate| validity(certificate)).collect();
    if let Some(expired) = all.iter().find(|validity| validity.until < now) {
        cx.warn_with(pem.at, format!("a certificate in {} has expired at {}", pem.name, expired.until), hint);
    }
    if let Some(early) = all.iter().find(|validity| validity.from > now) {
        let message = format!("a certificate in {} is not valid before {}", pem.name, early.from);
        cx.warn_with(pem.at, message, "wait until then, or look at this machine's clock");
    }
    let from = all.iter().map(|validity| validity.from).max()?;
    let until = all.iter().map(|validity| validity.until).min()?;
    Some(Validity { from, until })
}

/// What clients have to show.
struct Clients {
    auth: ClientAuth,
    /// What `client_ca_file` holds.
    authorities: Option<RootCertStore>,
    validity: Option<Validity>,
    allowed_sans: Vec<String>,
}

fn clients(cx: &mut Context<'_>, fields: &mut Fields<'_>, reading: &Reading<'_>) -> Option<Clients> {
    let auth = match fields.value(cx, "client_auth_type") {
        Some((span, node)) => client_auth(cx, node).map(|auth| (auth, span)),
        None => Some((ClientAuth::None, fields.at)),
    };
    let authorities = pem::read(cx, fields, ("client_ca", "client_ca_file"), reading);
    let (mut validity, mut given) = (None, None);
    let authorities = authorities.and_then(|pem| {
        let Some(pem) = pem else { return Ok(None) };
        given = Some(pem.at);
        let certificates = pem.certificates(cx).ok_or(())?;
        validity = shortest(cx, &pem, &certificates, reading.now, CLIENT_CA);
        store(cx, &pem, certificates).map(Some).ok_or(())
    });
    let sans = match fields.value(cx, "client_allowed_sans") {
        Some((span, node)) => allowed_sans(cx, node).map(|sans| (sans, Some(span))),
        None => Some((Vec::new(), None)),
    };
    let ((auth, at), (allowed_sans, sans_at)) = (auth?, sans?);
    let mut sound = true;
    if let Some(at) = given.filter(|_| auth == ClientAuth::None) {
        let hint = "add `client_auth_type: RequireAndVerifyClientCert`";
        cx.error_with(at, "no client is asked for a certificate of this authority", hint);
        sound = false;
    }
    if auth.verifies() && matches!(authorities, Ok(None)) {
        let hint = "name the authority whose certificates are let in";
        cx.error_with(at, "there is nothing to verify client certificates with: `client_ca_file` is missing", hint);
        sound = false;
    }
    if let Some(at) = sans_at.filter(|_| !matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify)) {
        let hint = "add `client_auth_type: RequireAndVerifyClientCert`";
        cx.error_with(at, "`client_allowed_sans` would let in whoever shows no certificate", hint);
        sound = false;
    }
    if matches!(auth, ClientAuth::Request | ClientAuth::RequireAny) {
        let hint = "anybody can make one, so it counts for nothing; say `RequireAndVerifyClientCert`";
        cx.warn_with(at, "client certificates are asked for and not verified", hint);
    }
    Some(Clients { auth, authorities: authorities.ok()?, validity, allowed_sans }).filter(|_| sound)
}

fn client_auth(cx: &mut Context<'_>, node: &Node) -> Option<ClientAuth> {
    let name = cx.text(node, "`client_auth_type`")?;
    let known = CLIENT_AUTH.iter().find(|(known, _)| *known == name).map(|(_, auth)| *auth);
    if known.is_none() {
        let hint = match closest(name, CLIENT_AUTH.iter().map(|(known, _)| *known)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "to let in only those with a certificate of `client_ca_file`: `RequireAndVerifyClientCert`".to_owned()
            }
        };
        cx.error_with(node.span, format!("there is no `client_auth_type` {}", discreet(name)), hint);
    }
    known
}

fn store(cx: &mut Context<'_>, pem: &Pem, certificates: Vec<CertificateDer<'static>>) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    let mut sound = true;
    for (at, certificate) in certificates.into_iter().enumerate() {
        if let Err(error) = store.add(certificate) {
            cx.error(pem.at, format!("certificate {} in {} cannot be used: {error}", at + 1, pem.name));
            sound = false;
        }
    }
    sound.then_some(store)
}

fn allowed_sans(cx: &mut Context<'_>, node: &Node) -> Option<Vec<String>> {
    let sans = cx.texts(node, "`client_allowed_sans`", "[alertmanager.example.org]")?;
    if sans.is_empty() {
        cx.error_with(
            node.span,
            "`client_allowed_sans` is empty: no client has such a name",
            "name one, or remove the key",
        );
        return None;
    }
    if sans.iter().any(|san| san.contains('@') && !san.contains("://")) {
        let hint = "name a DNS name, an address or a URI of the certificate";
        cx.error_with(node.span, "e-mail addresses in certificates are not looked at here", hint);
        return None;
    }
    // `::1` is written in many ways.
    let plain = |san: String| san.parse::<std::net::IpAddr>().map_or(san, |address| address.to_string());
    Some(sans.into_iter().map(plain).collect())
}

/// What may be spoken.
struct Protocol {
    least: u8,
    most: u8,
    suites: Suites,
    curves: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
    prefer_server: bool,
}

fn protocol(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Protocol> {
    let mut number = |cx: &mut Context<'_>, key: &'static str, default| match fields.value(cx, key) {
        Some((_, node)) => names::number(cx, node, &format!("`{key}`")).map(|number| (number, Some(node.span))),
        None => Some((default, None)),
    };
    let (least, most) = (number(cx, "min_version", 12), number(cx, "max_version", 13));
    let suites = match fields.value(cx, "cipher_suites") {
        Some((_, node)) => names::suites(cx, node).map(|suites| (suites, Some(node.span))),
        None => Some((Suites::default(), None)),
    };
    let curves = match fields.value(cx, "curve_preferences") {
        Some((_, node)) => names::curves(cx, node),
        None => Some(rustls::crypto::ring::ALL_KX_GROUPS.to_vec()),
    };
    let prefer_server = match fields.value(cx, "prefer_server_cipher_suites") {
        Some((_, node)) => cx.boolean(node, "`prefer_server_cipher_suites`"),
        None => Some(true),
    };
    let ((least, least_at), (most, most_at)) = (least?, most?);
    if let Some(at) = least_at.filter(|_| least < 12) {
        cx.warn_with(at, "versions before TLS 1.2 are not spoken here", "say `TLS12`");
    }
    if let Some(at) = most_at.filter(|_| most < 12) {
        cx.error_with(at, "versions before TLS 1.2 are not spoken here", "say `TLS12` or `TLS13`");
        return None;
    }
    if let Some(at) = most_at.or(least_at).filter(|_| most < least) {
        cx.error_with(at, "`max_version` is below `min_version`", "no client could connect");
        return None;
    }
    let (suites, suites_at) = suites?;
    if let Some(at) = suites_at.filter(|_| least <= 12 && !suites.has_tls12) {
        let hint = "name one with GCM or CHACHA20, or say `min_version: TLS13`";
        cx.error_with(at, "none of these suites is spoken here, so nobody could use TLS 1.2", hint);
        return None;
    }
    Some(Protocol { least, most, suites, curves: curves?, prefer_server: prefer_server? })
}

fn server(own: Own, clients: Clients, protocol: Protocol) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let Protocol { least, most, suites, curves, prefer_server } = protocol;
    let provider = CryptoProvider { cipher_suites: suites.all, kx_groups: curves, ..default_provider() };
    let provider = Arc::new(provider);
    let versions = names::versions(least, most);
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
    let asks = clients.auth != ClientAuth::None;
    let builder = if asks {
        let authority = match clients.authorities.filter(|_| clients.auth.verifies()) {
            Some(store) => Some(WebPkiClientVerifier::builder_with_provider(store.into(), provider.clone()).build()?),
            None => None,
        };
        let verifier = Verifier::new(clients.auth, authority, clients.allowed_sans, provider);
        builder.with_client_cert_verifier(Arc::new(verifier))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = prefer_server;
    if asks {
        // A session that is taken up again is not verified again: it would outlive the certificate and its authority.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = Ticketer::new()?;
    }
    Ok(config)
}
