use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

mod exposed;
mod passwords;

/// Hashes of libxcrypt, cost 4: of `s3cr3tmarker`, of the empty password, of `a:b:c`, of `pässwörd`, of 80 times `x`.
const HASHES: [(&str, &str); 5] = [
    ("s3cr3tmarker", "$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi"),
    ("", "$2y$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq"),
    ("a:b:c", "$2y$04$abcdefghijklmnopqrstuuvWTYyu1fxJ6/TJiND1lHR48TJYvV44K"),
    ("pässwörd", "$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i",
    ),
];
const TOKEN: &str = "s3cr3tmarker-0123456789";
const OTHER: &str = "s3cr3tmarker-9876543210";

fn token(token: &str, roles: &[Role]) -> BearerToken {
    BearerToken { token: token.into(), roles: roles.to_vec() }
}

fn user(name: &str, hash: &str, roles: &[Role]) -> BasicUser {
    BasicUser { username: name.to_owned(), password_hash: hash.into(), roles: roles.to_vec() }
}

fn rule(san: &str, roles: &[Role]) -> CertificateRule {
    CertificateRule { san: san.to_owned(), roles: roles.to_vec() }
}

fn certificate(sans: &[&str]) -> ClientCertificate {
    ClientCertificate { sans: sans.iter().map(|san| (*san).to_owned()).collect() }
}

/// A token each for intake and for the rest, and the users of [`HASHES`], called `user0` and so on.
fn credentials() -> Credentials {
    Credentials {
        bearer_tokens: vec![token(TOKEN, &[Role::Ingest]), token(OTHER, &[Role::Admin, Role::Metrics])],
        basic_users: HASHES
            .iter()
            .enumerate()
            .map(|(at, (_, hash))| user(&format!("user{at}"), hash, &[Role::Ingest]))
            .collect(),
        ..Credentials::default()
    }
}

fn access(credentials: Credentials) -> Arc<Access> {
    Arc::new(Access::new(credentials))
}

fn settle(decision: Decision) -> &'static str {
    match decision {
        Decision::Granted => "granted",
        Decision::Refused(Refusal::Missing) => "missing",
        Decision::Refused(Refusal::Wrong) => "wrong",
        Decision::Refused(Refusal::Role) => "role",
        Decision::Unsure(attempt) => settle(attempt.decide()),
    }
}

fn ask(access: &Arc<Access>, headers: &[&[u8]], role: Role) -> &'static str {
    settle(access.check(Presented::read(headers.iter().copied()), None, role))
}

fn basic(user_and_password: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(user_and_password)).into_bytes()
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Bearer {token}").into_bytes()
}

#[test]
fn without_credentials_everybody_may_do_everything() {
    let access = access(Credentials::default());
    assert!(access.is_open());
    for role in Role::ALL {
        assert_eq!(ask(&access, &[], role), "granted");
        assert_eq!(ask(&access, &[b"Bearer whatever"], role), "granted");
    }
}

#[test]
fn a_token_is_good_for_its_roles_and_no_others() {
    let access = access(credentials());
    let asked = |token: &str| Role::ALL.map(|role| ask(&access, &[&bearer(token)], role));
    assert_eq!(asked(TOKEN), ["granted", "role", "role"]);
    assert_eq!(asked(OTHER), ["role", "granted", "granted"]);
    for wrong in [&TOKEN[1..], &TOKEN[..TOKEN.len() - 1], &TOKEN.to_uppercase(), &format!("{TOKEN}0"), "x", ""] {
        assert_eq!(asked(wrong), ["wrong"; 3], "{wrong}");
    }
    assert_eq!(ask(&access, &[], Role::Ingest), "missing");
}

#[test]
fn a_good_token_costs_no_allocation() {
    let (access, header) = (access(credentials()), bearer(TOKEN));
    let costs = allocation_counter::measure(|| {
        let decision = access.check(Presented::read([&*header].into_iter()), None, Role::Ingest);
        assert!(matches!(decision, Decision::Granted));
    });
    assert_eq!(costs.count_total, 0, "{costs:?}");
}

#[test]
fn headers_are_read_as_the_rfcs_have_them() {
    let access = access(credentials());
    let ask = |headers: &[&[u8]]| ask(&access, headers, Role::Ingest);
    let good = bearer(TOKEN);
    let encoded = STANDARD.encode("user2:a:b:c");
    for header in [
        format!("bearer {TOKEN}"),
        format!("BEARER    {TOKEN}"),
        format!("  Bearer\t{TOKEN} \t"),
        format!("bAsIc {encoded}"),
        format!("Basic   {encoded}  "),
        format!("Basic {}", encoded.trim_end_matches('=')),
    ] {
        assert_eq!(ask(&[header.as_bytes()]), "granted", "{header}");
    }
    for header in [b"".as_slice(), b"  "] {
        assert_eq!(ask(&[header]), "missing");
    }
    let long = bearer(&"x".repeat(100_000));
    for header in [
        TOKEN.as_bytes(),
        b"Bearer",
        b"Basic",
        b"Basic !!!",
        b"Basic dXNlcg==",
        b"Digest username=\"a\"",
        b"Bearer \xff\xfe",
        b"Basic \xff",
        &long,
        &basic(":"),
        &basic("user2"),
        format!("Bearer {TOKEN}, Bearer {TOKEN}").as_bytes(),
        format!("Bearer{TOKEN}").as_bytes(),
        format!("Bearer\u{a0}{TOKEN}").as_bytes(),
    ] {
        assert_eq!(ask(&[header]), "wrong", "{}", String::from_utf8_lossy(&header[..header.len().min(60)]));
    }
    assert_eq!(ask(&[&good, &good]), "wrong", "two headers");
    assert_eq!(ask(&[&good, b""]), "wrong", "two headers");
    // ISO 8859-1.
    let latin = [b"user3:p".as_slice(), &[0xe4], b"ssw", &[0xf6], b"rd"].concat();
    assert_eq!(ask(&[format!("Basic {}", STANDARD.encode(latin)).as_bytes()]), "wrong");
}

#[test]
fn a_certificate_has_the_roles_of_its_names() {
    let access = access(Credentials {
        client_certificates: vec![
            rule("alertmanager.example", &[Role::Ingest]),
            rule("spiffe://example/Prometheus", &[Role::Metrics]),
        ],
        ..Credentials::default()
    });
    let asked =
        |sans: &[&str]| Role::ALL.map(|role| settle(access.check(Presented::Nothing, Some(&certificate(sans)), role)));
    assert_eq!(asked(&["AlertManager.Example"]), ["granted", "role", "role"]);
    assert_eq!(asked(&["x", "spiffe://example/Prometheus"]), ["role", "role", "granted"]);
    assert_eq!(asked(&["alertmanager.example", "spiffe://example/Prometheus"]), ["granted", "role", "granted"]);
    for other in ["alertmanager.example.org", "x.alertmanager.example", "*.example", "spiffe://example/prometheus", ""]
    {
        assert_eq!(asked(&[other]), ["role"; 3], "{other}");
    }
    assert_eq!(asked(&[]), ["role"; 3]);
    assert_eq!(ask(&access, &[], Role::Ingest), "missing");
    assert_eq!(ask(&access, &[b"Bearer alertmanager.example"], Role::Ingest), "missing");
}

#[test]
fn a_required_certificate_is_enough_by_itself_and_not_where_tokens_are() {
    let [some, none] = [Some(certificate(&["a"])), None];
    let alone = access(Credentials { certificate_required: true, ..Credentials::default() });
    assert!(!alone.is_open());
    for role in Role::ALL {
        assert_eq!(settle(alone.check(Presented::Nothing, some.as_ref(), role)), "granted");
        assert_eq!(settle(alone.check(Presented::Nothing, none.as_ref(), role)), "missing");
    }
    let beside = access(Credentials { certificate_required: true, ..credentials() });
    let check = |presented, certificate: &Option<ClientCertificate>| {
        settle(beside.check(presented, certificate.as_ref(), Role::Ingest))
    };
    assert_eq!(check(Presented::Nothing, &some), "missing");
    assert_eq!(check(Presented::Bearer(TOKEN.as_bytes()), &some), "granted");
    assert_eq!(check(Presented::Bearer(b"x"), &some), "wrong");
    assert_eq!(check(Presented::Bearer(TOKEN.as_bytes()), &none), "missing");
}

#[test]
fn users_of_the_web_configuration_file_may_do_everything() {
    let web = || vec![user("web", HASHES[0].1, &[])];
    let both = access(credentials().with_web(web(), false).unwrap());
    for role in Role::ALL {
        assert_eq!(ask(&both, &[&basic("web:s3cr3tmarker")], role), "granted");
    }
    assert_eq!(ask(&both, &[&basic("user0:s3cr3tmarker")], Role::Admin), "role");
    let twice = credentials().with_web(web(), false).unwrap().with_web(web(), false).unwrap_err();
    assert!(twice.starts_with("the user \"web\" stands in `auth` of routes.yaml and in --web-config"), "{twice}");
    assert!(Credentials::default().with_web(Vec::new(), false).unwrap().are_none());
    assert!(!Credentials::default().with_web(Vec::new(), true).unwrap().are_none());
}

#[test]
fn a_rule_saves_the_header_and_a_header_adds_to_the_rule() {
    let rules = vec![rule("a", &[Role::Metrics])];
    let access = access(Credentials { client_certificates: rules, ..credentials() });
    let (a, b) = (certificate(&["a"]), certificate(&["b"]));
    let check = |presented, certificate, role| settle(access.check(presented, certificate, role));
    assert_eq!(check(Presented::Nothing, Some(&a), Role::Metrics), "granted");
    assert_eq!(check(Presented::Nothing, Some(&a), Role::Ingest), "role");
    assert_eq!(check(Presented::Bearer(TOKEN.as_bytes()), Some(&a), Role::Ingest), "granted");
    assert_eq!(check(Presented::Bearer(b"x"), Some(&a), Role::Ingest), "wrong");
    assert_eq!(check(Presented::Nothing, Some(&b), Role::Ingest), "missing");
    assert_eq!(check(Presented::Nothing, None, Role::Metrics), "missing");
}

#[test]
fn nothing_of_a_credential_is_shown() {
    let credentials = credentials();
    let header = basic("s3cr3tmarker:s3cr3tmarker");
    let presented = Presented::read([&*header].into_iter());
    let before = format!("{credentials:?} {presented:?} {:?}", Presented::Bearer(TOKEN.as_bytes()));
    let access = access(credentials);
    let attempt = access.check(presented, None, Role::Ingest);
    let shown = format!("{before} {access:?} {attempt:?} {:?}", PasswordHash::parse(HASHES[0].1));
    for secret in ["s3cr3tmarker", "abcdefghijkl", "0123456789"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_header_is_good_by_accident(headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..3)) {
        let access = access(Credentials { basic_users: Vec::new(), ..credentials() });
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        prop_assert_ne!(ask(&access, &headers, Role::Ingest), "granted");
    }

    #[test]
    fn user_and_password_come_out_as_they_went_in(name in "[^:]{0,10}", password in ".{0,10}") {
        let header = basic(&format!("{name}:{password}"));
        let Presented::Basic { username, password: read } = Presented::read([&*header].into_iter()) else { panic!() };
        prop_assert_eq!(username, name.into_bytes());
        prop_assert_eq!(secrecy::ExposeSecret::expose_secret(&read), password.as_bytes());
    }
}
