//! Who may do what over HTTP: credentials, the roles that go with them, and the decision. Pure: no socket, no file, no clock.
//!
//! **What is asked for.** [`Role::Ingest`] for `/webhook`, [`Role::Admin`] for `/-/reload`, [`Role::Metrics`] for `/metrics`.
//! The probes are open.
//!
//! **What is good for it**, in this order ([`Access::check`]):
//!
//! 1. If there is nothing to present at all (no token, user, certificate rule, and no certificate is required), everybody
//!    may do everything.
//! 2. A verified client certificate of which one name stands in a rule has the roles of that rule, without a header.
//! 3. If there are tokens or users, one of them has to be presented, also where the listener requires a certificate.
//! 4. If a certificate is required and there is nothing else, a verified one may do everything, as with Prometheus.
//!
//! **What it costs.** A token is compared by tags (HMAC under a key made at load), with all of them and in constant time: the
//! tokens themselves are not kept. A password costs its bcrypt once; after that the same credentials are known by their tag,
//! right or wrong, until the configuration changes. The bcrypt is an [`Attempt`], which whoever asked runs where it may block.

mod access;
mod exposure;
mod hash;
mod memory;
mod presented;

use secrecy::SecretString;

pub use access::{Access, Attempt, Decision, Refusal};
pub use exposure::{Advice, Exposure};
pub use hash::{NoHash, PasswordHash};
pub use presented::Presented;

/// What somebody may do. None implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Post alerts to `/webhook`, and nothing else.
    Ingest,
    /// `POST /-/reload`.
    Admin,
    /// `GET /metrics`.
    Metrics,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Admin, Self::Metrics];

    /// As routes.yaml writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

/// `Authorization: Bearer TOKEN`.
#[derive(Debug, Clone)]
pub struct BearerToken {
    /// What has to be presented.
    pub token: SecretString,
    /// What it is good for.
    pub roles: Vec<Role>,
}

/// `Authorization: Basic …`.
#[derive(Debug, Clone)]
pub struct BasicUser {
    /// The user's name.
    pub username: String,
    /// The bcrypt hash of the password: `$2y$10$…`. What is none ([`PasswordHash::parse`]) fits no password.
    pub password_hash: SecretString,
    /// What the user may do.
    pub roles: Vec<Role>,
}

/// A client certificate that the listener has verified against `client_ca_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRule {
    /// One of its subject alternative names: a DNS name or a URI (SPIFFE).
    pub san: String,
    /// What its holder may do.
    pub roles: Vec<Role>,
}

/// All who may authenticate: `auth:` of routes.yaml and `basic_auth_users` of the web configuration file.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Several, so that one can be replaced without a gap.
    pub bearer_tokens: Vec<BearerToken>,
    /// Users with a password.
    pub basic_users: Vec<BasicUser>,
    /// Holders of a client certificate.
    pub client_certificates: Vec<CertificateRule>,
    /// Whether the listener requires and verifies a client certificate: nobody gets in without one.
    pub certificate_required: bool,
}

impl Credentials {
    /// These and what the web configuration file says: its users, who may do everything, as with Prometheus, and whether
    /// the listener requires and verifies certificates.
    ///
    /// # Errors
    /// If a name stands in both files: only one of the two passwords could be meant. In two lines, with the name.
    pub fn with_web(mut self, users: Vec<BasicUser>, certificate_required: bool) -> Result<Self, String> {
        for user in users {
            let BasicUser { username, password_hash, .. } = user;
            if self.basic_users.iter().any(|one| one.username == username) {
                let hint = "hint: remove one of them, or give them different names";
                return Err(format!(
                    "the user {username:?} stands in `auth` of routes.yaml and in --web-config\n{hint}"
                ));
            }
            self.basic_users.push(BasicUser { username, password_hash, roles: Role::ALL.to_vec() });
        }
        self.certificate_required |= certificate_required;
        Ok(self)
    }

    /// Whether nobody has to present anything.
    #[must_use]
    pub fn are_none(&self) -> bool {
        !self.certificate_required && !self.want_a_header() && self.client_certificates.is_empty()
    }

    /// Whether there is anything that goes into a header.
    #[must_use]
    pub fn want_a_header(&self) -> bool {
        !self.bearer_tokens.is_empty() || !self.basic_users.is_empty()
    }
}

/// What a verified client certificate says about its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject alternative names: DNS names and URIs.
    pub sans: Vec<String>,
}

#[cfg(test)]
mod tests;
