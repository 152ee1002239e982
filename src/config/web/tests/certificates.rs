//! Certificates: the server's, and those of clients.

use super::*;

#[test]
fn certificates_may_stand_in_the_file_itself() {
    let indented = |name: &str| {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name).unwrap();
        text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n") + "\n"
    };
    let text = format!("tls_server_config:\n  cert: |\n{}  key: |\n{}", indented("server.crt"), indented("server.key"));
    let (config, problems) = read(&text);
    assert!(config.unwrap().tls.is_some() && problems.is_empty(), "{problems:?}");
    let (config, problems) = read_at(&text, NOW, true);
    assert!(config.is_some());
    let line = text.lines().position(|line| line == "  key: |").unwrap() + 1;
    assert_eq!(
        problems,
        [format!(
            "f:{line}:3: warning: other users can read this file, and the key in it; chmod o-r, or use `key_file`"
        )]
    );
    check(&tls("  cert: x\n"), &["f:4:3: error: there is `cert_file` as well; keep one of the two"]);
}

#[test]
fn what_is_wrong_with_a_certificate_or_a_key_is_said() {
    let pair =
        |certificate: &str, key: &str| format!("tls_server_config: {{cert_file: {certificate}, key_file: {key}}}");
    check(
        &pair("server.crt", "ed25519.key"),
        &[
            "f:1:54: error: the key in ed25519.key does not belong to the certificate; the first certificate in server.crt must be the one that was made for it",
        ],
    );
    check(
        &pair("server.key", "server.crt"),
        &[
            "f:1:32: error: there is no certificate in server.key; it holds a key: are the two swapped?",
            "f:1:54: error: there is no key in server.crt; it holds a certificate: are the two swapped?",
        ],
    );
    check(
        &pair("nowhere.crt", "encrypted.key"),
        &[
            "f:1:32: error: nowhere.crt does not exist; it must hold `cert` as PEM",
            "f:1:55: error: the key in encrypted.key is encrypted; nobody is there to type its passphrase: `openssl pkey -in KEY -out NEW` takes it off",
        ],
    );
    check(
        &pair("empty.crt", "world.key"),
        &[
            "f:1:32: error: there is no certificate in empty.crt; it must be PEM: -----BEGIN CERTIFICATE-----",
            "f:1:53: warning: other users can read world.key; chmod o-r world.key",
        ],
    );
    check(
        &pair("broken.crt", "server.key"),
        &["f:1:32: error: broken.crt is no sound PEM: a section has no end; is it whole?"],
    );
    // Certificates are for everybody.
    check(&pair("world.crt", "server.key"), &[]);
    check(
        "tls_server_config: {min_version: TLS13}",
        &[
            "f:1:1: error: `tls_server_config` needs `cert_file`; add `cert_file: …`; without TLS, remove `tls_server_config`",
            "f:1:1: error: `tls_server_config` needs `key_file`; add `key_file: …`; without TLS, remove `tls_server_config`",
        ],
    );
}

#[test]
fn a_certificate_that_is_not_valid_is_a_warning() {
    let (config, problems) = read_at(&tls(""), "2300-01-01T00:00:00Z", false);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.starts_with("f:2:14: warning: a certificate in server.crt has expired at 21"), "{problem}");
    assert!(problem.ends_with("; nobody who verifies it can connect: renew it"), "{problem}");
    // A start goes on with it: what waits is delivered, and heartbeats tell that nothing comes in.
    assert!(config.unwrap().tls.is_some());
    let (_, problems) = read_at(&tls(""), "2001-01-01T00:00:00Z", false);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.starts_with("f:2:14: warning: a certificate in server.crt is not valid before 2"), "{problem}");
    assert!(problem.ends_with("; wait until then, or look at this machine's clock"), "{problem}");
}

#[test]
fn client_certificates_are_those_of_go() {
    let auth = |name: &str| format!("  client_auth_type: {name}\n");
    let with_ca = |name: &str| tls(&(auth(name) + "  client_ca_file: rsa.crt\n"));
    let read = |text: &str| {
        let (config, problems) = read(text);
        (
            config.map(|config| (config.tls.as_ref().unwrap().client_auth, config.requires_verified_certificate())),
            problems,
        )
    };
    let sound =
        |text: &str, expected, required| assert_eq!(read(text), (Some((expected, required)), Vec::new()), "{text}");
    sound(&tls(""), ClientAuth::None, false);
    sound(&tls(&auth("NoClientCert")), ClientAuth::None, false);
    sound(&with_ca("VerifyClientCertIfGiven"), ClientAuth::VerifyIfGiven, false);
    sound(&with_ca("RequireAndVerifyClientCert"), ClientAuth::RequireAndVerify, true);
    let unverified = "f:4:3: warning: client certificates are asked for and not verified; anybody can make one, so it counts for nothing; say `RequireAndVerifyClientCert`";
    for (name, expected) in [
        ("RequestClientCert", ClientAuth::Request),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        ("RequireClientCert", ClientAuth::RequireAny),
    ] {
        let (config, problems) = read(&tls(&auth(name)));
        assert_eq!((config, problems), (Some((expected, false)), vec![unverified.to_owned()]));
        assert!(!expected.verifies());
    }
    check(
        &tls("  client_ca_file: rsa.crt\n"),
        &[
            "f:4:19: error: no client is asked for a certificate of this authority; add `client_auth_type: RequireAndVerifyClientCert`",
        ],
    );
    check(
        &tls(&auth("RequireAndVerifyClientCert")),
        &[
            "f:4:3: error: there is nothing to verify client certificates with: `client_ca_file` is missing; name the authority whose certificates are let in",
        ],
    );
    check(
        &tls(&auth("RequireAndVerifyClientCerts")),
        &[
            "f:4:21: error: there is no `client_auth_type` `RequireAndVerifyClientCerts`; did you mean `RequireAndVerifyClientCert`?",
        ],
    );
}

#[test]
fn allowed_names_need_a_certificate_that_must_be_shown() {
    let with = |auth: &str, sans: &str| {
        tls(&format!("  client_auth_type: {auth}\n  client_ca_file: rsa.crt\n  client_allowed_sans: {sans}\n"))
    };
    check(&with("RequireAndVerifyClientCert", "[alertmanager.example.org, 'spiffe://example.org/am', '::1']"), &[]);
    check(
        &with("VerifyClientCertIfGiven", "[a]"),
        &[
            "f:6:3: error: `client_allowed_sans` would let in whoever shows no certificate; add `client_auth_type: RequireAndVerifyClientCert`",
        ],
    );
    check(
        &with("RequireAndVerifyClientCert", "[oncall@example.org]"),
        &[
            "f:6:24: error: e-mail addresses in certificates are not looked at here; name a DNS name, an address or a URI of the certificate",
        ],
    );
    check(
        &with("RequireAndVerifyClientCert", "[]"),
        &["f:6:24: error: `client_allowed_sans` is empty: no client has such a name; name one, or remove the key"],
    );
}
