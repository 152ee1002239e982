//! `email:` of a receiver. Names are Alertmanager's where it has them.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::templates::{self, Place};
use crate::config::secret::Secrets;
use crate::notification::Granularity;
use crate::receiver::email::{
    Auth, Email, Mailbox, Submission, Templates, Tls, Trust, hello_name, host_and_port, mailboxes,
};
use crate::receiver::{Overflow, RateLimit, Receiver};
use crate::template::Escape;
use crate::yaml::{Context, Fields, Node, Note, Span, Value, discreet};

/// 20 a minute and 10 at once: never more than 30 in a minute, which is what Exchange Online takes from one sender.
pub(super) const PACE: RateLimit = RateLimit {
    period: Duration::from_secs(3),
    burst: match NonZeroU32::new(10) {
        Some(burst) => burst,
        None => NonZeroU32::MIN,
    },
    overflow: Overflow::Digest,
};

/// What Alertmanager greets with, too.
const HELLO: &str = "localhost";

/// Recipients of one mail that every server takes (RFC 5321, section 4.5.3.1.8).
const MOST: usize = 100;

const AUTH_HINT: &str = "write `auth: {username: …, password: …}`";
const TLS_HINT: &str = "write `tls: starttls`, `tls: tls` or `tls: none`; certificates are verified always, `ca_file` names the authorities to trust";

/// Keys that others have, and what to say of them.
pub(super) const NOTES: [Note; 12] = [
    Note::Instead("auth_username", AUTH_HINT),
    Note::Instead("auth_password", AUTH_HINT),
    Note::Instead("auth_password_file", "write `auth: {username: …, password: {file: …}}`"),
    Note::Instead("require_tls", TLS_HINT),
    Note::Instead("force_implicit_tls", TLS_HINT),
    Note::Instead("tls_config", TLS_HINT),
    Note::Instead("host", "the server is `smarthost: HOST:PORT`"),
    Note::Instead("port", "the server is `smarthost: HOST:PORT`"),
    Note::Instead("subject", "it is the bracketed state and `title`"),
    Note::Instead("html", "both parts of a mail are made of `text`"),
    Note::Instead("headers", "they are alertrouter's own; `title` is in the subject"),
    Note::Instead("threading", "the mails of a group and day are one thread always"),
];

pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let server = fields.require(cx, "smarthost").and_then(|node| smarthost(cx, node));
    let from = fields.require(cx, "from").and_then(|node| {
        let from = addresses(cx, node, "`from`")?;
        let [one] = from.as_slice() else {
            cx.error(node.span, "`from` must be one address");
            return None;
        };
        Some(one.clone())
    });
    let to = fields.require(cx, "to").and_then(|node| recipients(cx, node));
    let hello = match fields.take(cx, "hello") {
        Some(node) => cx.text(node, "`hello`").and_then(|text| {
            let name = hello_name(text);
            if name.is_none() {
                cx.error_with(
                    node.span,
                    "`hello` is not a host name",
                    "write the name of this machine: `router.example.org`",
                );
            }
            name
        }),
        None => Some(HELLO.to_owned()),
    };
    let auth = match fields.take_with_key(cx, "auth") {
        Some((span, node)) => auth(cx, node, span, secrets).map(Some),
        None => Some(None),
    };
    let port = server.as_ref().map_or(0, |(_, port)| *port);
    let has_auth = fields.has("auth");
    let is_here = server.as_ref().is_none_or(|(host, _)| is_loopback(host));
    let tls = match fields.take(cx, "tls") {
        Some(node) => tls(cx, node, has_auth, is_here),
        None => Some(Tls::of_port(port)),
    };
    let place = Place { escape: Escape::Plain, granularity: Granularity::Group };
    let title = templates::read(cx, fields, "title", place);
    let text = templates::read(cx, fields, "text", place);
    let host = server.as_ref().map_or("", |(host, _)| host.as_str());
    let trust = match fields.take_with_key(cx, "ca_file") {
        Some((span, _)) if tls == Some(Tls::None) => {
            cx.error_with(span, "`ca_file` with `tls: none`", "there is no certificate to verify: remove one of them");
            None
        }
        Some((_, node)) if secrets.resolve => ca_file(cx, node, secrets, host).map(Some),
        Some(_) | None => Some(None),
    };
    let ((host, port), from, to, hello, auth, tls, trust) = (server?, from?, to?, hello?, auth?, tls?, trust?);
    let templates = Templates { title: title?, text: text? };
    Some(Arc::new(Email {
        submission: Arc::new(Submission { host, port, tls, trust, hello, auth, from, to }),
        templates,
    }))
}

fn smarthost(cx: &mut Context<'_>, node: &Node) -> Option<(String, u16)> {
    let server = host_and_port(cx.text(node, "`smarthost`")?);
    if server.is_none() {
        cx.error_with(node.span, "`smarthost` must be a host and a port", "write `mail.example.org:587`");
    }
    server
}

/// One address or several, in a text.
fn addresses(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Vec<Mailbox>> {
    let found = mailboxes(cx.text(node, what)?);
    if found.is_none() {
        let hint = "write `user@example.org` or `Name <user@example.org>`, in ASCII";
        cx.error_with(node.span, format!("{what} is no address"), hint);
    }
    found
}

/// `to`: a text, as Alertmanager has it, or a list.
fn recipients(cx: &mut Context<'_>, node: &Node) -> Option<Vec<Mailbox>> {
    let all = match &node.value {
        Value::List(items) => {
            let read: Vec<_> = items.iter().map(|item| addresses(cx, item, "an entry of `to`")).collect();
            read.into_iter().collect::<Option<Vec<_>>>()?.concat()
        }
        _ => addresses(cx, node, "`to`")?,
    };
    if all.is_empty() {
        cx.error_with(node.span, "`to` must name at least one address", "write `to: user@example.org`");
        return None;
    }
    if all.len() > MOST {
        cx.error_with(node.span, format!("`to` has more than {MOST} addresses"), "use a mailing list");
        return None;
    }
    let again = (1..all.len()).find(|at| all[..*at].iter().any(|one| one.email == all[*at].email));
    if let Some(at) = again {
        cx.error_with(node.span, format!("`to` names {} twice", discreet(all[at].email.as_ref())), "remove one");
        return None;
    }
    Some(all)
}

fn auth(cx: &mut Context<'_>, node: &Node, at: Span, secrets: &Secrets<'_>) -> Option<Auth> {
    let mut fields = Fields::open(cx, node, at, "`auth`")?;
    fields.at = at;
    let fits = |text: &str| if text.contains(['\0', '\r', '\n']) { Err("must be one line") } else { Ok(()) };
    let username = fields.require(cx, "username").and_then(|node| {
        let text = cx.text(node, "`username`")?;
        if let Err(error) = fits(text) {
            cx.error(node.span, format!("`username` {error}"));
            return None;
        }
        Some(text.to_owned())
    });
    let password = fields.require(cx, "password").and_then(|node| secrets.read(cx, node, "password", fits));
    fields.close(cx, &[Note::Instead("secret", "CRAM-MD5 is not supported: write `password`")]);
    Some(Auth { username: username?, password: password? })
}

fn tls(cx: &mut Context<'_>, node: &Node, has_auth: bool, is_here: bool) -> Option<Tls> {
    match cx.text(node, "`tls`")? {
        "starttls" => Some(Tls::StartTls),
        "tls" => Some(Tls::Implicit),
        "none" if has_auth => {
            let hint = "write `tls: starttls`, or remove `auth`";
            cx.error_with(node.span, "`tls: none` would send the password in plain text", hint);
            None
        }
        "none" => {
            if !is_here {
                let hint = "write `tls: starttls` if the server offers it";
                cx.warn_with(node.span, "`tls: none` sends mail in plain text to another machine", hint);
            }
            Some(Tls::None)
        }
        _ => {
            cx.error_with(node.span, "unknown `tls`", "write `starttls`, `tls` or `none`");
            None
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Authorities in PEM.
fn ca_file(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>, host: &str) -> Option<Trust> {
    let path = cx.text(node, "`ca_file`")?;
    let trust = match secrets.source.file(&secrets.base.join(path)) {
        Ok(file) => Submission::trusting(host, &file.content),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => "does not exist",
            io::ErrorKind::PermissionDenied => "must not be read by this user",
            io::ErrorKind::FileTooLarge => "is larger than 64 KiB",
            _ => "cannot be read",
        }),
    };
    let hint = "it must hold the certificates of the authorities to trust, in PEM";
    trust.map_err(|error| cx.error_with(node.span, format!("the file of `ca_file` {error}"), hint)).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::secret::{SecretFile, SecretSource, System};
    use crate::config::{self, Config, Options};

    /// One password, and files that hold no certificate.
    struct Fake;

    impl SecretSource for Fake {
        fn env(&self, name: &str) -> Option<String> {
            (name == "SMTP_PASSWORD").then(|| "s3cr3tmarker".to_owned())
        }

        fn file(&self, path: &Path) -> std::io::Result<SecretFile> {
            let content = match path.to_str() {
                Some("empty.pem") => "nothing here\n",
                Some("broken.pem") => "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                _ => return Err(std::io::ErrorKind::NotFound.into()),
            };
            Ok(SecretFile { content: content.to_owned(), others_can_read: true })
        }
    }

    fn read(email: &str) -> (Option<Config>, Vec<String>) {
        let text = format!("receivers:\n- name: a\n  email: {{{email}}}\nroute: {{receivers: [a]}}\n");
        let (config, problems) = config::parse(text.as_bytes(), &Options::default(), &Fake);
        let shown: String = problems.iter().map(|problem| problem.render("f")).collect();
        assert!(!shown.contains("s3cr3tmarker"), "{shown}");
        (config, problems.iter().map(|problem| problem.one_line("f")).collect())
    }

    const FINE: &str = "smarthost: 'mx.example:587', from: a@example.org, to: b@example.org";

    #[track_caller]
    fn check(email: &str, expected: &[&str]) {
        assert_eq!(read(email).1, expected, "{email}");
    }

    #[test]
    fn what_is_fine() {
        for email in [
            FINE,
            "smarthost: 'mx.example:465', from: 'Alerts <a@example.org>', to: [b@example.org, 'C <c@example.org>'], hello: router.example.org",
            "smarthost: 'localhost:25', from: a@example.org, to: 'b@example.org, c@example.org', tls: none",
            "smarthost: '[::1]:2525', from: a@example.org, to: b@example.org, tls: none",
            "smarthost: 'mx.example:587', from: a@example.org, to: b@example.org, auth: {username: a, password: {env: SMTP_PASSWORD}}",
        ] {
            check(email, &[]);
        }
    }

    #[test]
    fn how_it_is_delivered_by_default() {
        let config = read(FINE).0.unwrap();
        let pace = config.receivers[0].delivery.rate_limit;
        assert_eq!((pace.period.as_secs(), pace.burst.get()), (3, 10));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_with_its_place() {
        check(
            "to: []",
            &[
                "f:3:3: error: `email` needs `smarthost`; add `smarthost: …`",
                "f:3:3: error: `email` needs `from`; add `from: …`",
                "f:3:15: error: `to` must name at least one address; write `to: user@example.org`",
            ],
        );
        check(
            "smarthost: mx.example, from: 'a@example.org, b@example.org', to: [b@example.org, nobody]",
            &[
                "f:3:22: error: `smarthost` must be a host and a port; write `mail.example.org:587`",
                "f:3:40: error: `from` must be one address",
                "f:3:92: error: an entry of `to` is no address; write `user@example.org` or `Name <user@example.org>`, in ASCII",
            ],
        );
        check(
            "smarthost: 'mx.example:25', from: a@example.org, to: 'b@example.org, B <b@example.org>', hello: 'a b', tls: maybe",
            &[
                "f:3:64: error: `to` names `b@example.org` twice; remove one",
                "f:3:107: error: `hello` is not a host name; write the name of this machine: `router.example.org`",
                "f:3:119: error: unknown `tls`; write `starttls`, `tls` or `none`",
            ],
        );
        check(
            &format!("{FINE}, auth: {{username: a}}, tls: none"),
            &[
                "f:3:80: error: `auth` needs `password`; add `password: …`",
                "f:3:106: error: `tls: none` would send the password in plain text; write `tls: starttls`, or remove `auth`",
            ],
        );
        check(
            &format!("{FINE}, tls: none"),
            &[
                "f:3:85: warning: `tls: none` sends mail in plain text to another machine; write `tls: starttls` if the server offers it",
            ],
        );
        for (file, error) in [
            ("gone.pem", "does not exist"),
            ("empty.pem", "holds no certificate in PEM"),
            ("broken.pem", "holds a certificate that cannot be read"),
        ] {
            let said = format!(
                "f:3:89: error: the file of `ca_file` {error}; it must hold the certificates of the authorities to trust, in PEM"
            );
            check(&format!("{FINE}, ca_file: {file}"), &[&said]);
        }
        check(
            "smarthost: 'localhost:25', from: a@example.org, to: b@example.org, tls: none, ca_file: x",
            &["f:3:89: error: `ca_file` with `tls: none`; there is no certificate to verify: remove one of them"],
        );
    }

    #[test]
    fn keys_of_alertmanager_are_pointed_to_ours() {
        check(
            &format!("{FINE}, auth_username: a, auth_password: s3cr3tmarker, require_tls: false"),
            &[
                "f:3:80: error: unknown key `auth_username`; write `auth: {username: …, password: …}`",
                "f:3:98: error: unknown key `auth_password`; write `auth: {username: …, password: …}`",
                "f:3:127: error: unknown key `require_tls`; write `tls: starttls`, `tls: tls` or `tls: none`; certificates are verified always, `ca_file` names the authorities to trust",
            ],
        );
    }

    #[test]
    fn without_secrets_no_file_is_looked_at() {
        let text =
            format!("receivers: [{{name: a, email: {{{FINE}, ca_file: gone.pem}}}}]\nroute: {{receivers: [a]}}\n");
        let (config, problems) = config::parse(text.as_bytes(), &Options::without_secrets(), &System);
        assert!(config.is_some() && problems.is_empty(), "{problems:?}");
    }
}
