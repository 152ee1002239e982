use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::*;

mod certificates;

/// Made by `openssl`, good for a hundred years: see `tests/fixtures/tls/README.md`.
const FILES: [(&str, &str); 8] = [
    ("server.crt", include_str!("../../../tests/fixtures/tls/server.crt")),
    ("server.key", include_str!("../../../tests/fixtures/tls/server.key")),
    ("rsa.crt", include_str!("../../../tests/fixtures/tls/rsa.crt")),
    ("rsa.pkcs1.key", include_str!("../../../tests/fixtures/tls/rsa.pkcs1.key")),
    ("ed25519.crt", include_str!("../../../tests/fixtures/tls/ed25519.crt")),
    ("ed25519.key", include_str!("../../../tests/fixtures/tls/ed25519.key")),
    ("sec1.key", include_str!("../../../tests/fixtures/tls/sec1.key")),
    ("encrypted.key", include_str!("../../../tests/fixtures/tls/encrypted.key")),
];

const NOW: &str = "2030-01-01T00:00:00Z";
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// A folder in memory; of `world.…` others can read everything.
struct Folder(HashMap<PathBuf, String>);

impl Files for Folder {
    fn read(&self, path: &Path) -> io::Result<Held> {
        let content = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        let others_can_read = path.file_stem().is_some_and(|stem| stem == "world");
        Ok(Held { bytes: content.clone().into_bytes(), others_can_read })
    }
}

fn folder() -> Folder {
    let mut files: HashMap<_, _> =
        FILES.iter().map(|(name, text)| (Path::new("etc").join(name), (*text).to_owned())).collect();
    for (name, text) in [("empty.crt", ""), ("broken.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n")] {
        files.insert(Path::new("etc").join(name), text.to_owned());
    }
    for (name, of) in [("world.key", "server.key"), ("world.crt", "server.crt")] {
        files.insert(Path::new("etc").join(name), files[&Path::new("etc").join(of)].clone());
    }
    Folder(files)
}

fn read_at(text: &str, now: &str, others_can_read: bool) -> (Option<WebConfig>, Vec<String>) {
    let files = folder();
    let reading = Reading { base: Path::new("etc"), files: &files, now: now.parse().unwrap(), others_can_read };
    let (config, problems) = parse(text.as_bytes(), &reading);
    (config, problems.iter().map(|problem| problem.one_line("f")).collect())
}

fn read(text: &str) -> (Option<WebConfig>, Vec<String>) {
    read_at(text, NOW, false)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (config, problems) = read(text);
    assert_eq!(problems, expected, "{text}");
    assert_eq!(config.is_some(), !problems.iter().any(|line| line.contains(": error: ")), "{text}");
}

/// `tls_server_config` with a certificate, a key and further keys.
fn tls(more: &str) -> String {
    format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}")
}

#[test]
fn nothing_is_on_in_an_empty_file() {
    for text in ["", "# nothing\n", "tls_server_config:\nbasic_auth_users:\n", "tls_server_config: {}\n", "{}"] {
        let (config, problems) = read(text);
        let config = config.unwrap();
        assert!(config.tls.is_none() && config.basic_users.is_empty() && problems.is_empty(), "{text}: {problems:?}");
    }
}

#[test]
fn every_kind_of_key_is_taken() {
    for (certificate, key) in [
        ("server.crt", "server.key"),
        ("server.crt", "sec1.key"),
        ("rsa.crt", "rsa.pkcs1.key"),
        ("ed25519.crt", "ed25519.key"),
    ] {
        let (config, problems) = read(&format!("tls_server_config: {{cert_file: {certificate}, key_file: {key}}}"));
        assert_eq!(problems, Vec::<String>::new());
        let validity = config.unwrap().tls.unwrap().validity.unwrap();
        assert!(validity.holds(NOW.parse().unwrap()), "{validity:?}");
    }
}

#[test]
fn versions_suites_and_curves_have_the_names_of_go() {
    check(
        &tls(
            "  min_version: TLS12\n  max_version: TLS13\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [CurveP256, X25519]\n  prefer_server_cipher_suites: false\n",
        ),
        &[],
    );
    check(
        &tls("  min_version: TLS10\n"),
        &["f:4:16: warning: versions before TLS 1.2 are not spoken here; say `TLS12`"],
    );
    check(
        &tls("  max_version: TLS11\n"),
        &["f:4:16: error: versions before TLS 1.2 are not spoken here; say `TLS12` or `TLS13`"],
    );
    check(
        &tls("  min_version: TLS13\n  max_version: TLS12\n"),
        &["f:5:16: error: `max_version` is below `min_version`; no client could connect"],
    );
    check(
        &tls("  min_version: '1.2'\n"),
        &["f:4:16: error: `min_version` must be a version of TLS; write `TLS12` or `TLS13`"],
    );
    check(
        &tls(
            "  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA255]\n",
        ),
        &[
            "f:4:19: warning: this one is always on; `cipher_suites` says what TLS 1.2 may use; remove it",
            "f:4:43: warning: suites with CBC are not spoken here; whoever knows it knows one with GCM; remove it",
            "f:4:79: error: there is no cipher suite `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA255`; did you mean `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`?",
        ],
    );
    let cbc = "f:4:19: warning: suites with CBC are not spoken here; whoever knows it knows one with GCM; remove it";
    check(
        &tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n"),
        &[
            "f:4:18: error: none of these suites is spoken here, so nobody could use TLS 1.2; name one with GCM or CHACHA20, or say `min_version: TLS13`",
            cbc,
        ],
    );
    check(&tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n  min_version: TLS13\n"), &[cbc]);
    check(
        &tls("  curve_preferences: [CurveP521, X448]\n"),
        &[
            "f:4:23: warning: `CurveP521` is not spoken here; whoever knows it knows `CurveP256`; remove it",
            "f:4:34: error: there is no curve `X448`; there are `X25519`, `CurveP256`, `CurveP384`, `CurveP521`",
        ],
    );
    check(
        &tls("  curve_preferences: [CurveP521]\n"),
        &[
            "f:4:22: error: none of these curves is spoken here; name `X25519`, `CurveP256` or `CurveP384`",
            "f:4:23: warning: `CurveP521` is not spoken here; whoever knows it knows `CurveP256`; remove it",
        ],
    );
}

#[test]
fn users_may_do_everything_and_their_hashes_are_never_shown() {
    let (config, problems) = read(&format!("basic_auth_users:\n  prometheus-1: {HASH}\n  am: '{HASH}'\n"));
    let users = config.unwrap().basic_users;
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(users.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["prometheus-1", "am"]);
    assert!(users.iter().all(|user| user.roles.len() == 3));
    assert!(!format!("{users:?}").contains("X0h1gDs"));
    let hint = "`htpasswd -nBC 10 USER` makes one: `$2y$10$…`, 60 characters";
    check(
        &format!("basic_auth_users:\n  am: hunter2\n  am: {HASH}\n  'a:b': {HASH}\n  x: {HASH}0\n  y:\n  am: {HASH}\n"),
        &[
            &format!("f:2:7: error: the password of a user must be a bcrypt hash; {hint}"),
            "f:4:3: error: the name of a user must not contain `:` or control characters: no client can send it",
            &format!("f:5:6: error: the password of a user must be a bcrypt hash; {hint}"),
            &format!("f:6:3: error: the password of a user must be a bcrypt hash; {hint}"),
            "f:7:3: error: this user is named twice; remove one of the two",
        ],
    );
    for cost in ["03", "32", "1", "x0"] {
        let (config, _) = read(&format!("basic_auth_users: {{a: '{}'}}", HASH.replacen("10", cost, 1)));
        assert!(config.is_none(), "{cost}");
    }
    // Neither is what stands in their place.
    let reading =
        Reading { base: Path::new("etc"), files: &folder(), now: NOW.parse().unwrap(), others_can_read: false };
    for text in ["basic_auth_users:\n  am: hunter2\n", "tls_server_config:\n  key: hunter2\n"] {
        for problem in parse(text.as_bytes(), &reading).1 {
            assert!(!problem.render("f").contains("hunter2"), "{}", problem.render("f"));
        }
    }
}

#[test]
fn headers_are_those_of_prometheus() {
    let (config, problems) = read(
        "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=1\n    X-XSS-Protection: ''\n    Content-Security-Policy:\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let expected = [("x-frame-options", "deny"), ("strict-transport-security", "max-age=1")];
    assert_eq!(config.unwrap().headers, expected.map(|(name, value)| (name, value.to_owned())));
    check(
        "http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: never\n    X-XSS-Protection: \"a\\nb\"\n    Server: x\n",
        &[
            "f:2:3: warning: HTTP/2 is not spoken here; nothing is lost: every client of it speaks HTTP/1.1 too",
            "f:4:22: error: `X-Frame-Options` must be `deny` or `sameorigin`",
            "f:5:23: error: `X-XSS-Protection` holds characters that cannot be sent in a header",
            "f:6:5: error: unknown key `Server` in `headers`; it knows `Content-Security-Policy`, `X-Frame-Options`, `X-Content-Type-Options`, `X-XSS-Protection`, `Strict-Transport-Security`",
        ],
    );
}

#[test]
fn every_problem_is_said_at_once() {
    check(
        "tls_server_confg: {}\nrate_limit: {interval: 1s, burst: 5}\ntls_server_config: {cert_file: server.crt, key_files: server.key}\nbasic_auth_users: [a]\n",
        &[
            "f:1:1: error: unknown key `tls_server_confg`; did you mean `tls_server_config`?",
            "f:2:1: warning: `rate_limit` is not applied here; it would answer 429, and Alertmanager gives up at that: alerts would be lost",
            "f:3:1: error: `tls_server_config` needs `key_file`; add `key_file: …`; without TLS, remove `tls_server_config`",
            "f:3:44: error: unknown key `key_files`; did you mean `key_file`?",
            "f:4:1: error: `basic_auth_users` must be a map, and this is a list; write `USER: HASH`",
        ],
    );
    check("rate_limit: {interval: 0s}\n", &[]);
}
