//! Certificates and keys: in a file, or in the web configuration itself.

use std::io;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Reading;
use crate::yaml::{Context, Fields, Span, Value, may_be_secret};

/// What a key of `tls_server_config` has brought.
pub(super) struct Pem {
    bytes: Vec<u8>,
    /// Where the file is named.
    pub(super) at: Span,
    /// For messages: the path, or the key that holds it all.
    pub(super) name: String,
}

/// What stands in one of two keys: `inline` holds the thing itself, `file` the path of a file that does. `Ok(None)` if neither is
/// there, an error if one has been reported.
pub(super) fn read(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    (inline, file): (&'static str, &'static str),
    reading: &Reading<'_>,
) -> Result<Option<Pem>, ()> {
    let (text, path) = (fields.value(cx, inline), fields.value(cx, file));
    match (text, path) {
        (None, None) => Ok(None),
        (Some((span, _)), Some(_)) => {
            cx.error_with(span, format!("there is `{file}` as well"), "keep one of the two");
            Err(())
        }
        (Some((span, node)), None) => {
            let Value::Scalar(text) = &node.value else {
                cx.error(node.span, format!("`{inline}` must be PEM, and this is {}", node.kind()));
                return Err(());
            };
            if inline == "key" && reading.others_can_read {
                cx.warn_with(span, "other users can read this file, and the key in it", "chmod o-r, or use `key_file`");
            }
            Ok(Some(Pem { bytes: text.as_bytes().to_vec(), at: span, name: format!("`{inline}`") }))
        }
        (None, Some((_, node))) => {
            let path = cx.text(node, &format!("`{file}`")).ok_or(())?;
            let name = if may_be_secret(path) { "that file".to_owned() } else { path.to_owned() };
            let held = reading.files.read(&reading.base.join(path)).map_err(|error| {
                let special = error.to_string();
                let what = match error.kind() {
                    io::ErrorKind::NotFound => "does not exist",
                    io::ErrorKind::PermissionDenied => "must not be read by this user",
                    io::ErrorKind::FileTooLarge => "is larger than 1 MiB",
                    io::ErrorKind::IsADirectory => "is a directory",
                    io::ErrorKind::InvalidInput => &special,
                    _ => "cannot be read",
                };
                cx.error_with(node.span, format!("{name} {what}"), format!("it must hold `{inline}` as PEM"));
            })?;
            if inline == "key" && held.others_can_read {
                cx.warn_with(node.span, format!("other users can read {name}"), format!("chmod o-r {name}"));
            }
            Ok(Some(Pem { bytes: held.bytes, at: node.span, name }))
        }
    }
}

impl Pem {
    /// The certificates in it, one at least.
    pub(super) fn certificates(&self, cx: &mut Context<'_>) -> Option<Vec<CertificateDer<'static>>> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match read {
            Ok(all) if !all.is_empty() => Some(all),
            Ok(_) => {
                let hint = if self.holds("PRIVATE KEY") {
                    "it holds a key: are the two swapped?"
                } else {
                    "it must be PEM: -----BEGIN CERTIFICATE-----"
                };
                cx.error_with(self.at, format!("there is no certificate in {}", self.name), hint);
                None
            }
            Err(error) => self.broken(cx, &error),
        }
    }

    /// The key in it.
    pub(super) fn key(&self, cx: &mut Context<'_>) -> Option<PrivateKeyDer<'static>> {
        if self.holds("ENCRYPTED") {
            let hint = "nobody is there to type its passphrase: `openssl pkey -in KEY -out NEW` takes it off";
            cx.error_with(self.at, format!("the key in {} is encrypted", self.name), hint);
            return None;
        }
        match PrivateKeyDer::from_pem_slice(&self.bytes) {
            Ok(key) => Some(key),
            Err(pem::Error::NoItemsFound) => {
                let hint = if self.holds("BEGIN CERTIFICATE") {
                    "it holds a certificate: are the two swapped?"
                } else {
                    "it must be PEM: -----BEGIN PRIVATE KEY-----"
                };
                cx.error_with(self.at, format!("there is no key in {}", self.name), hint);
                None
            }
            Err(error) => self.broken(cx, &error),
        }
    }

    /// The library's own words may repeat a line of the file.
    fn broken<T>(&self, cx: &mut Context<'_>, error: &pem::Error) -> Option<T> {
        let what = match error {
            pem::Error::MissingSectionEnd { .. } => "a section has no end",
            pem::Error::IllegalSectionStart { .. } => "a line begins a section and is none",
            _ => "a section is not base64",
        };
        cx.error_with(self.at, format!("{} is no sound PEM: {what}", self.name), "is it whole?");
        None
    }

    fn holds(&self, words: &str) -> bool {
        self.bytes.windows(words.len()).any(|window| window == words.as_bytes())
    }
}
