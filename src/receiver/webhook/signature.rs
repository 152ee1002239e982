//! Signatures as Standard Webhooks has them (github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`):
//! HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::clock::Timestamp;

/// How many random bytes a secret has, by the specification.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that signs. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// The key of a secret: 24 to 64 bytes in base64, with or without `whsec_` in front.
    ///
    /// # Errors
    /// What it is instead; completes a sentence and repeats nothing of it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = STANDARD.decode(encoded).map_err(|_| "is not base64 after `whsec_`")?;
        if !LENGTHS.contains(&bytes.len()) {
            return Err("must be 24 to 64 random bytes in base64");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The key of a secret that was not looked up: for looking at a configuration and not for sending.
    #[must_use]
    pub fn unknown() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &[]))
    }

    /// `v1,…`
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The headers `webhook-timestamp` and `webhook-signature`: one signature for each key, so that keys can be rotated.
pub(super) fn headers(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> [(&'static str, String); 2] {
    let timestamp = at.as_second();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(id, timestamp, body)).collect();
    [("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signatures.join(" "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_documented_vector() {
        let key = SigningKey::parse(SECRET).unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let signed = headers(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signed[0], ("webhook-timestamp", "1614265330".to_owned()));
        assert_eq!(signed[1], ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()));
    }

    #[test]
    fn secrets() {
        let check = |secret: &str, expected: Option<&str>| {
            assert_eq!(SigningKey::parse(secret).err(), expected, "{secret}");
        };
        let base64 = |length: usize| STANDARD.encode(vec![7; length]);
        check(SECRET, None);
        check(SECRET.strip_prefix("whsec_").unwrap(), None);
        check(&base64(64), None);
        check(&base64(23), Some("must be 24 to 64 random bytes in base64"));
        check(&base64(65), Some("must be 24 to 64 random bytes in base64"));
        check("whsec_not base64!", Some("is not base64 after `whsec_`"));
        assert!(!format!("{:?}", SigningKey::parse(SECRET)).contains("MfKQ"));
    }
}
