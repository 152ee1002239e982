//! The web configuration file, `--web-config`: TLS of the listener and who may connect, in the format that Prometheus and
//! its exporters read (prometheus/exporter-toolkit, `docs/web-configuration.md`).
//!
//! Strict as routes.yaml is: every problem at once and where it stands, those of the certificates it names among them. What
//! cannot be done here is an error where to pass over it would let somebody in, and a warning otherwise.

mod files;
mod headers;
mod names;
mod pem;
mod tls;
mod users;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use files::Watched;
pub use files::{Files, Held, Seen, System};

use super::ConfigError;
use crate::auth::BasicUser;
use crate::certificate::Validity;
use crate::yaml::problem::{self, Problem};
use crate::yaml::{self, Context, Document, Fields, Limits, Node, Shown, Value};

/// What the file says.
#[derive(Debug, Clone, Default)]
pub struct WebConfig {
    /// `tls_server_config`; without it the listener speaks plain HTTP.
    pub tls: Option<ServerTls>,
    /// `basic_auth_users`; each may do everything, as with Prometheus.
    pub basic_users: Vec<BasicUser>,
    /// `http_server_config.headers`: sent with every answer. Names in lower case; values can be sent as they are.
    pub headers: Vec<(&'static str, String)>,
}

impl WebConfig {
    /// Whether the certificate of a client says who has connected.
    #[must_use]
    pub fn verifies_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_auth.verifies())
    }

    /// Whether nobody comes in without a client certificate that `client_ca_file` vouches for.
    #[must_use]
    pub fn requires_verified_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::RequireAndVerify)
    }
}

/// `tls_server_config`, with everything it names.
#[derive(Clone)]
pub struct ServerTls {
    /// For the listener.
    pub server: Arc<rustls::ServerConfig>,
    /// `client_auth_type`.
    pub client_auth: ClientAuth,
    /// How long the server's chain of certificates is valid: the shortest of them.
    pub validity: Option<Validity>,
    /// The same for `client_ca_file`.
    pub client_ca_validity: Option<Validity>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the certificates, and above all nothing of the key.
        f.debug_struct("ServerTls").field("client_auth", &self.client_auth).finish_non_exhaustive()
    }
}

/// What a client has to show. The names are those of Go's `crypto/tls`, without their `ClientCert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Nothing, and it is not asked.
    #[default]
    None,
    /// It is asked for a certificate; whatever it shows counts for nothing.
    Request,
    /// It must show a certificate, any at all, which counts for nothing.
    RequireAny,
    /// If it shows a certificate, that must be one of `client_ca_file`.
    VerifyIfGiven,
    /// It must show a certificate of `client_ca_file`.
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that was let in says who has connected.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// A file that was read, with everything it names.
#[derive(Debug)]
pub struct Attempt {
    /// What it says and what it probably does not mean, or why it cannot be used.
    pub result: Result<(WebConfig, Vec<Problem>), ConfigError>,
    /// What was read for it.
    pub seen: Seen,
}

/// Loads a file and the certificates it names; `now` is for those that are not valid.
#[must_use]
pub fn load(path: &Path, now: Timestamp) -> Attempt {
    let files = Watched::default();
    let result = match files.read(path) {
        Ok(held) => {
            let base = path.parent().unwrap_or(Path::new(""));
            let reading = Reading { base, files: &files, now, others_can_read: held.others_can_read };
            match parse(&held.bytes, &reading) {
                (Some(config), warnings) => Ok((config, warnings)),
                (None, problems) => Err(ConfigError::Invalid { file: path.display().to_string(), problems }),
            }
        }
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    Attempt { result, seen: files.seen() }
}

/// How to read the file.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// What relative paths are relative to: the folder of the file.
    pub base: &'a Path,
    /// Where certificates and keys come from.
    pub files: &'a dyn Files,
    /// The present.
    pub now: Timestamp,
    /// Whether users other than its owner and group can read the file itself.
    pub others_can_read: bool,
}

/// Reads the text of a file. There is a [`WebConfig`] exactly if no problem is an error.
#[must_use]
pub fn parse(bytes: &[u8], reading: &Reading<'_>) -> (Option<WebConfig>, Vec<Problem>) {
    let Document { mut cx, root } = match yaml::parse(bytes, &Limits::CONFIGURATION, Shown::WhatIsAllowed) {
        Ok(document) => document,
        Err(problem) => return (None, vec![*problem]),
    };
    // Prometheus takes an empty file: nothing is on.
    let config =
        if matches!(root.value, Value::Null) { Some(WebConfig::default()) } else { file(&mut cx, &root, reading) };
    let problems = cx.finish();
    let sound = problem::is_sound(&problems);
    (config.filter(|_| sound), problems)
}

/// A key without a value is as good as none, as in all files of Prometheus.
fn file(cx: &mut Context<'_>, node: &Node, reading: &Reading<'_>) -> Option<WebConfig> {
    let mut fields = Fields::open(cx, node, node.span, "the file")?;
    let tls = match fields.value(cx, "tls_server_config") {
        Some((span, node)) => tls::tls(cx, node, span, reading),
        None => Ok(None),
    };
    let headers = match fields.value(cx, "http_server_config") {
        Some((span, node)) => headers::http(cx, node, span),
        None => Some(Vec::new()),
    };
    let basic_users = match fields.value(cx, "basic_auth_users") {
        Some((span, node)) => users::users(cx, node, span),
        None => Some(Vec::new()),
    };
    if let Some((span, node)) = fields.value(cx, "rate_limit") {
        rate_limit(cx, node, span);
    }
    fields.close(cx, &[]);
    Some(WebConfig { tls: tls.ok()?, basic_users: basic_users?, headers: headers? })
}

fn rate_limit(cx: &mut Context<'_>, node: &Node, at: yaml::Span) {
    let Some(mut fields) = Fields::open(cx, node, at, "`rate_limit`") else { return };
    let interval = fields.value(cx, "interval").and_then(|(_, node)| cx.text(node, "`interval`"));
    fields.value(cx, "burst").and_then(|(_, node)| cx.integer(node, "`burst`", 0..=i64::MAX));
    fields.close(cx, &[]);
    if interval.is_some_and(|interval| !matches!(interval, "0" | "0s")) {
        let hint = "it would answer 429, and Alertmanager gives up at that: alerts would be lost";
        cx.warn_with(at, "`rate_limit` is not applied here", hint);
    }
}

#[cfg(test)]
mod tests;
