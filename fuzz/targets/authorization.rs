//! `Authorization` headers, and who gets in with them.

use std::sync::{Arc, LazyLock};

use alertrouter::auth::{
    Access, BasicUser, BearerToken, CertificateRule, ClientCertificate, Credentials, Decision, PasswordHash, Presented,
    Role,
};

use super::bytes::Bytes;

const TOKEN: &str = "5ecret-0123456789";
/// The password of `user` is `a:b:c`.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuvWTYyu1fxJ6/TJiND1lHR48TJYvV44K";
/// `user:a:b:c` in base64, which some clients write without all of the padding.
const BASIC: [&[u8]; 3] = [b"dXNlcjphOmI6Yw==", b"dXNlcjphOmI6Yw=", b"dXNlcjphOmI6Yw"];
const SAN: &str = "router.example";

static ACCESS: LazyLock<Arc<Access>> = LazyLock::new(|| {
    Arc::new(Access::new(Credentials {
        bearer_tokens: vec![BearerToken { token: TOKEN.into(), roles: vec![Role::Ingest] }],
        basic_users: vec![BasicUser {
            username: "user".to_owned(),
            password_hash: HASH.into(),
            roles: vec![Role::Metrics],
        }],
        client_certificates: vec![CertificateRule { san: SAN.to_owned(), roles: vec![Role::Admin] }],
        ..Credentials::default()
    }))
});

/// Whatever is presented: exactly the credentials get in, for what they are good for, the second time as the first. The first
/// byte says what is asked for and whether there is a certificate (4), whose name follows up to 0xFF; then the headers, with 0xFF
/// between them.
pub fn authorization(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let first = bytes.byte();
    let role = Role::ALL[usize::from(first & 3) % Role::ALL.len()];
    let certificate = (first & 4 != 0).then(|| ClientCertificate { sans: vec![bytes.text()] });
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        headers.push(bytes.field());
    }
    let _ = PasswordHash::parse(&String::from_utf8_lossy(headers.first().copied().unwrap_or_default()));
    let by_name = role == Role::Admin
        && certificate.iter().any(|certificate| certificate.sans.iter().any(|san| san.eq_ignore_ascii_case(SAN)));
    let expected = by_name || is_good(&headers, role);
    for _ in 0..2 {
        let presented = Presented::read(headers.iter().copied());
        let shown = format!("{presented:?}");
        assert!(["Nothing", "Garbage", "Bearer", "Basic"].contains(&shown.as_str()), "{shown}");
        let decision = match ACCESS.check(presented, certificate.as_ref(), role) {
            Decision::Unsure(attempt) => attempt.decide(),
            decision => decision,
        };
        assert_eq!(
            matches!(decision, Decision::Granted),
            expected,
            "{headers:?} {certificate:?} {role:?}: {decision:?}"
        );
    }
}

/// Whether these are the token or the user and the password, and that is good for it.
fn is_good(headers: &[&[u8]], role: Role) -> bool {
    let [header] = headers else { return false };
    let header = header.trim_ascii();
    let Some(end) = header.iter().position(|byte| matches!(byte, b' ' | b'\t')) else { return false };
    let (scheme, value) = (header[..end].to_ascii_lowercase(), header[end..].trim_ascii());
    match (&*scheme, role) {
        (b"bearer", Role::Ingest) => value == TOKEN.as_bytes(),
        (b"basic", Role::Metrics) => BASIC.contains(&value),
        _ => false,
    }
}
