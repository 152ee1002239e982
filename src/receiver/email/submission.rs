//! Which server mail is handed to, from whom and to whom. What is written in routes.yaml is read here, too: it takes what
//! SMTP takes.

use std::fmt;

pub use lettre::message::Mailbox;
use lettre::message::Mailboxes;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use secrecy::SecretString;

use crate::receiver::redact::redacted;

/// Authorities to trust.
pub type Trust = TlsParameters;

/// The port where TLS begins at once (RFC 8314, section 3.3).
const SUBMISSIONS: u16 = 465;

/// How the connection is secured. There is nothing in between: a server that does not offer it is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It begins in plain text and goes on with TLS before anything is said that matters.
    StartTls,
    /// It begins with TLS.
    Implicit,
    /// Not at all.
    None,
}

impl Tls {
    /// What a port stands for where nobody says otherwise.
    #[must_use]
    pub fn of_port(port: u16) -> Self {
        if port == SUBMISSIONS { Self::Implicit } else { Self::StartTls }
    }
}

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// A server, a sender and recipients.
#[derive(Clone)]
pub struct Submission {
    /// A name, or an address without brackets. Its certificate has to be for it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether and how the connection is secured.
    pub tls: Tls,
    /// The only authorities that are trusted; `None` for those of the system.
    pub trust: Option<Trust>,
    /// What it is greeted with.
    pub hello: String,
    /// The credentials, if it wants any.
    pub auth: Option<Auth>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients; never empty.
    pub to: Vec<Mailbox>,
}

impl Submission {
    /// The server's address, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls == Tls::Implicit { "smtps" } else { "smtp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// What the server says, without the password that it was told.
    #[must_use]
    pub fn discreet(&self, said: &str) -> String {
        let passwords: Vec<_> = self.auth.iter().map(|auth| &auth.password).collect();
        redacted(said, &passwords)
    }

    /// How certificates are verified.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub fn tls_parameters(&self) -> Result<TlsParameters, String> {
        let system = || TlsParameters::new(self.host.clone()).map_err(|error| error.to_string());
        self.trust.clone().map_or_else(system, Ok)
    }

    /// To trust the authorities of a PEM file and no others, for the server `host`.
    ///
    /// # Errors
    /// If there is none, or one that cannot be read. The error completes a sentence.
    pub fn trusting(host: &str, pem: &str) -> Result<Trust, &'static str> {
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err("holds no certificate in PEM");
        }
        let broken = |_| "holds a certificate that cannot be read";
        let certificates = Certificate::from_pem(pem.as_bytes()).map_err(broken)?;
        let builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
        builder.add_root_certificate(certificates).build().map_err(broken)
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submission({}, {} recipients)", self.url(), self.to.len())
    }
}

/// `HOST:PORT`, as Alertmanager writes a smarthost; `[::1]:25` where the host is an address with colons.
#[must_use]
pub fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().ok().map(|_| inside)?,
        None => host,
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (!host.is_empty() && host.chars().all(is_host)).then(|| (host.to_owned(), port))
}

/// What a server may be greeted with: a name, or an address in brackets (RFC 5321, section 4.1.1.1).
#[must_use]
pub fn hello_name(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    (!text.is_empty() && text.len() <= 255 && text.chars().all(is_name)).then(|| text.to_owned())
}

/// Addresses as they stand in a header: `a@example.org`, `Name <a@example.org>`, several with commas between them.
///
/// ASCII only: what else there may be needs SMTPUTF8 all the way to the mailbox.
#[must_use]
pub fn mailboxes(text: &str) -> Option<Vec<Mailbox>> {
    let all: Vec<Mailbox> = text.parse::<Mailboxes>().ok()?.into();
    let count = |text: &str| text.matches('@').count();
    // The parser passes over what it does not understand behind an address.
    let whole = all.iter().map(|one| count(&one.to_string())).sum::<usize>() == count(text) && !text.contains(';');
    let plain = |one: &Mailbox| one.email.to_string().is_ascii();
    (!all.is_empty() && whole && all.iter().all(plain) && !text.contains(char::is_control)).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smarthost_is_a_host_and_a_port() {
        let check = |text: &str, expected: Option<(&str, u16)>| {
            let got = host_and_port(text);
            assert_eq!(got.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{text}");
        };
        check("mail.example:587", Some(("mail.example", 587)));
        check("[2001:db8::1]:25", Some(("2001:db8::1", 25)));
        check("10.0.0.1:465", Some(("10.0.0.1", 465)));
        for wrong in
            ["mail.example", "mail.example:", "mail.example:0", "mail.example:70000", ":25", "[x]:25", "a b:25"]
        {
            check(wrong, None);
        }
        check("smtp://mail.example:25", None);
    }

    #[test]
    fn addresses_are_checked() {
        let check = |text: &str, expected: &[&str]| {
            let got: Vec<_> = mailboxes(text).unwrap_or_default().iter().map(|one| one.email.to_string()).collect();
            assert_eq!(got, expected, "{text}");
        };
        check("a@example.org", &["a@example.org"]);
        check("On Call <oncall@example.org>", &["oncall@example.org"]);
        check("Ünï <a@example.org>", &["a@example.org"]);
        check("\"Call, On\" <a@example.org>, b@example.org", &["a@example.org", "b@example.org"]);
        check("root@localhost", &["root@localhost"]);
        for wrong in [
            "",
            "a",
            "a@",
            "@b",
            "a@b@c",
            "a b@example.org",
            "a@example.org b@example.org",
            "a@example.org;b@example.org",
            "a@example.org, ",
            "a@example.org, b",
            "<a@example.org",
            "ü@example.org",
            "a@exämple.org",
            "a@example.org\r\nBcc: b@example.org",
            "{{ .X }}",
        ] {
            check(wrong, &[]);
        }
    }

    #[test]
    fn the_url_holds_no_credentials() {
        assert_eq!(hello_name("relay-1.example.org").as_deref(), Some("relay-1.example.org"));
        assert_eq!(hello_name("a b"), None);
        assert_eq!(hello_name("a\r\nMAIL"), None);
        assert_eq!(
            (Tls::of_port(465), Tls::of_port(587), Tls::of_port(25)),
            (Tls::Implicit, Tls::StartTls, Tls::StartTls)
        );
    }
}
