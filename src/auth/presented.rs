//! What a request presents: its `Authorization` headers (RFC 9110, 11.6.2; RFC 6750; RFC 7617).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretSlice;

/// No credential is longer, in bytes.
const LONGEST: usize = 8 * 1024;
/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request presents. `Debug` shows no password and no token.
pub enum Presented<'a> {
    /// No credential.
    Nothing,
    /// Something that cannot be good for anything: another scheme, two headers, no base64, too long.
    Garbage,
    /// A token.
    Bearer(&'a [u8]),
    /// A user and a password.
    Basic {
        /// Up to the first colon. In any encoding: what is not UTF-8 is nobody's name.
        username: Vec<u8>,
        /// The rest, perhaps empty, perhaps with colons.
        password: SecretSlice<u8>,
    },
}

impl<'a> Presented<'a> {
    /// Reads the values of all `Authorization` headers of a request.
    pub fn read(mut headers: impl Iterator<Item = &'a [u8]>) -> Self {
        let Some(header) = headers.next() else { return Self::Nothing };
        // Of two of them a proxy may have looked at the other one.
        if headers.next().is_some() || header.len() > LONGEST {
            return Self::Garbage;
        }
        let header = header.trim_ascii();
        if header.is_empty() {
            return Self::Nothing;
        }
        let Some(blank) = header.iter().position(|byte| *byte == b' ' || *byte == b'\t') else { return Self::Garbage };
        let (scheme, value) = (&header[..blank], header[blank..].trim_ascii());
        if scheme.eq_ignore_ascii_case(b"bearer") {
            Self::Bearer(value)
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            Self::basic(value).unwrap_or(Self::Garbage)
        } else {
            Self::Garbage
        }
    }

    fn basic(value: &[u8]) -> Option<Self> {
        let mut username = BASE64.decode(value).ok()?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        let password = username[colon + 1..].to_vec().into();
        username[colon..].fill(0);
        username.truncate(colon);
        Some(Self::Basic { username, password })
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Garbage => "Garbage",
            Self::Bearer(_) => "Bearer",
            Self::Basic { .. } => "Basic",
        })
    }
}
