//! Whom a listener is in reach of, and whether that fits who has to authenticate.

use std::net::SocketAddr;

use super::Credentials;

/// The listener, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// `--listen`.
    pub address: SocketAddr,
    /// `--allow-unauthenticated`.
    pub allow_unauthenticated: bool,
    /// Whether it speaks TLS.
    pub encrypted: bool,
    /// Whether it asks for client certificates and verifies them (`client_ca_file`).
    pub verifies_certificates: bool,
}

/// What an operator should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Tokens and passwords can be read on their way.
    InTheClear,
    /// `--allow-unauthenticated` does nothing.
    Enforced,
}

impl Advice {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InTheClear => {
                "tokens and passwords travel in the clear: use --web-config (TLS), or listen on 127.0.0.1 behind a proxy that has TLS"
            }
            Self::Enforced => {
                "somebody may authenticate, so everybody has to: --allow-unauthenticated changes nothing; remove it"
            }
        }
    }
}

impl Exposure {
    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        // `::ffff:127.0.0.1` is `127.0.0.1`; `0.0.0.0` and `::` are every address of the machine.
        !self.address.ip().to_canonical().is_loopback()
    }

    /// Whether it may listen with these credentials in force.
    ///
    /// # Errors
    /// If strangers could post, or nobody at all: what to do, in two lines.
    pub fn check(&self, credentials: &Credentials) -> Result<Vec<Advice>, String> {
        if self.is_reachable() && credentials.are_none() && !self.allow_unauthenticated {
            return Err(format!(
                "{} can be reached from other machines, and whoever can post to it can page people\n\
                 hint: say in `auth` of routes.yaml who may post, or listen on 127.0.0.1, or say --allow-unauthenticated \
                 if something in front of it keeps strangers out",
                self.address
            ));
        }
        if !credentials.client_certificates.is_empty() && !self.verifies_certificates {
            return Err("`auth.client_certificates` names client certificates, and the listener asks for none\n\
                 hint: give --web-config a file with `client_ca_file`, or remove `client_certificates`"
                .to_owned());
        }
        let mut advice = Vec::new();
        if self.is_reachable() && !self.encrypted && credentials.want_a_header() {
            advice.push(Advice::InTheClear);
        }
        if self.allow_unauthenticated && !credentials.are_none() {
            advice.push(Advice::Enforced);
        }
        Ok(advice)
    }
}
