//! What is read of an X.509 certificate: whose it is and how long it is valid. Whether to trust it is rustls' business.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// How long a certificate is valid (RFC 5280, section 4.1.2.5), both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub from: Timestamp,
    /// `notAfter`.
    pub until: Timestamp,
}

impl Validity {
    /// Whether it is valid at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// The DNS names and URIs among its subject alternative names, as they are written there; of a certificate that cannot be read,
/// none. Names with characters that do not belong into one are left out.
#[must_use]
pub fn names(certificate: &[u8]) -> Vec<String> {
    let certificate = CertificateDer::from(certificate);
    let Ok(read) = EndEntityCert::try_from(&certificate) else { return Vec::new() };
    let names = read.valid_dns_names().chain(read.valid_uri_names());
    // A URI may hold anything until somebody looks.
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())).map(str::to_owned).collect()
}

/// Whether `address` is one of its subject alternative names.
#[must_use]
pub fn is_of(certificate: &[u8], address: IpAddr) -> bool {
    let certificate = CertificateDer::from(certificate);
    let name = ServerName::IpAddress(address.into());
    EndEntityCert::try_from(&certificate).is_ok_and(|read| read.verify_is_valid_for_subject_name(&name).is_ok())
}

/// How long it is valid; `None` if it cannot be read.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, after_version)) = expect(rest, VERSION) {
        rest = after_version;
    }
    // The serial number, the algorithm of the signature, the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of the first element, which must have this tag, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// The tag and the content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; no certificate needs more than three.
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The moment of the first element, and what follows it.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, content, rest) = element(der)?;
    let text = std::str::from_utf8(content).ok()?;
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let digits = match (tag, digits.len()) {
        (UTC_TIME, 12) => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let [year, month, day, hour, minute, second] =
        [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14)];
    let moment = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse();
    // What never ends is written as the last second of 9999, which is a little later than a `Timestamp` can say.
    let never = (year == "9999").then_some(Timestamp::MAX);
    Some((moment.ok().or(never)?, rest))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("../tests/fixtures/tls/server.crt")).unwrap()
    }

    #[test]
    fn names_are_dns_names_and_uris() {
        assert_eq!(names(&certificate()), ["router.example", "*.pods.example", "spiffe://example.org/router"]);
        for (address, expected) in [("192.0.2.1", true), ("2001:db8::1", true), ("192.0.2.2", false)] {
            assert_eq!(is_of(&certificate(), address.parse().unwrap()), expected, "{address}");
        }
        assert!(names(&[0x30, 0]).is_empty());
    }

    #[test]
    fn validity_is_what_openssl_was_told() {
        let Validity { from, until } = validity(&certificate()).unwrap();
        assert_eq!(until.duration_since(from).as_hours(), 36_500 * 24);
        let valid = Validity { from, until };
        let second = jiff::SignedDuration::from_secs(1);
        for (at, expected) in [(from, true), (until, true), (from - second, false), (until + second, false)] {
            assert_eq!(valid.holds(at), expected, "{at}");
        }
    }

    #[test]
    fn times_are_those_of_rfc_5280() {
        let check = |tag: u8, text: &str, expected: Option<&str>| {
            let der = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let expected = expected.map(|expected| expected.parse::<Timestamp>().unwrap());
            assert_eq!(time(&der).map(|(time, _)| time), expected, "{text}");
        };
        check(UTC_TIME, "261128203300Z", Some("2026-11-28T20:33:00Z"));
        check(UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z"));
        check(UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00Z"));
        check(GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00Z"));
        check(UTC_TIME, "261328203300Z", None);
        check(UTC_TIME, "261128203300", None);
        check(UTC_TIME, "2611282033+0Z", None);
        check(GENERALIZED_TIME, "261128203300Z", None);
        check(INTEGER, "261128203300Z", None);
        let never = [&[GENERALIZED_TIME, 15][..], b"99991231235959Z"].concat();
        assert_eq!(time(&never).unwrap().0, Timestamp::MAX);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = validity(&bytes);
        }

        #[test]
        fn a_certificate_that_was_tampered_with_does_not_panic(at in 0_usize..400, byte: u8) {
            let mut der = certificate().to_vec();
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            let _ = (validity(&der), names(&der));
        }
    }
}
