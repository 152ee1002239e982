//! Certificates of the listener and of clients.

use alertrouter::certificate as x509;

/// A certificate: reading ends, and whoever is named is named in plain text.
pub fn certificate(bytes: &[u8]) {
    if let Some(validity) = x509::validity(bytes) {
        assert!(validity.holds(validity.from) == (validity.from <= validity.until));
    }
    for name in x509::names(bytes) {
        assert!(name.is_ascii() && !name.contains(|c: char| c.is_ascii_control()), "{name:?}");
    }
}
