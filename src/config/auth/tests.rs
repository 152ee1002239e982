use std::io;
use std::path::Path;

use crate::auth::{Credentials, Role};
use crate::config::secret::{SecretFile, SecretSource};
use crate::config::{Options, parse};

/// Stands wherever a secret is; must never come out.
const MARK: &str = "s3cr3tmarker";
const HASH: &str = "$2y$10$s3cr3tmarkers3cr3tmarkers3cr3tmarkers3cr3tmarkers3cr3";

struct Fake;

impl SecretSource for Fake {
    fn env(&self, name: &str) -> Option<String> {
        let cost = |cost: &str| HASH.replace("$10$", cost);
        Some(match name {
            "TOKEN" => format!("{MARK}-0123"),
            "SHORT" => MARK.to_owned(),
            "BLANK" => format!("{MARK} and more"),
            "UMLAUT" => format!("{MARK}-äöüäöü"),
            "LONG" => MARK.repeat(1000),
            "HASH" => HASH.to_owned(),
            "PASSWORD" => format!("{MARK}-password"),
            "MD5" => format!("$apr1${MARK}"),
            "EATEN" => "$2y$10".to_owned() + MARK,
            "WHOLE_LINE" => format!("alertmanager:{HASH}"),
            "COST_3" => cost("$03$"),
            "COST_14" => cost("$14$"),
            "COST_16" => cost("$16$"),
            _ => return None,
        })
    }

    fn file(&self, _: &Path) -> io::Result<SecretFile> {
        Ok(SecretFile { content: format!("{MARK}-of-a-file\n"), others_can_read: false })
    }
}

fn read(auth: &str) -> (Option<Credentials>, Vec<String>) {
    read_with(auth, &Options::default())
}

fn read_with(auth: &str, options: &Options) -> (Option<Credentials>, Vec<String>) {
    let receivers = "receivers: [{name: a, webhook: {url: http://x/}}]";
    let text = format!("{receivers}\nroute: {{receivers: [a]}}\nauth:{auth}\n");
    let (config, problems) = parse(text.as_bytes(), options, &Fake);
    for problem in &problems {
        for shown in [problem.one_line("f"), problem.render("f")] {
            assert!(!shown.contains(MARK), "a secret is shown: {shown}");
        }
    }
    let lines = problems.iter().map(|problem| problem.one_line("f")).collect();
    assert_eq!(config.is_none(), problems.iter().any(|problem| problem.one_line("f").contains(": error: ")));
    (config.and_then(|config| config.auth), lines)
}

#[track_caller]
fn check(auth: &str, expected: &[&str]) {
    assert_eq!(read(auth).1, expected, "{auth}");
}

const ALL: &str = "
  bearer_tokens:
    - token: { file: /run/secrets/ingest }
    - token: { env: TOKEN }
      roles: [admin, metrics]
  basic_users:
    - username: alertmanager
      password_hash: { env: HASH }
    - username: Jörg Müller
      password_hash: $2b$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi
      roles: [ingest, metrics, admin]
  client_certificates:
    - san: alertmanager.example
    - san: spiffe://example/prometheus
      roles: [metrics]";

#[test]
fn are_read() {
    let (auth, problems) = read(ALL);
    assert_eq!(problems, Vec::<String>::new());
    let auth = auth.unwrap();
    let tokens: Vec<_> = auth.bearer_tokens.iter().map(|token| token.roles.clone()).collect();
    assert_eq!(tokens, [vec![Role::Ingest], vec![Role::Admin, Role::Metrics]]);
    let users: Vec<_> = auth.basic_users.iter().map(|user| (user.username.as_str(), user.roles.len())).collect();
    assert_eq!(users, [("alertmanager", 1), ("Jörg Müller", 3)]);
    let rules: Vec<_> = auth.client_certificates.iter().map(|rule| rule.san.as_str()).collect();
    assert_eq!(rules, ["alertmanager.example", "spiffe://example/prometheus"]);
    assert!(!auth.certificate_required);
}

#[test]
fn without_its_secrets_the_file_can_be_looked_at_and_opens_nothing() {
    let (auth, problems) = read_with(ALL, &Options::without_secrets());
    assert_eq!(problems, Vec::<String>::new());
    assert!(!auth.unwrap().are_none());
}

#[test]
fn nobody_is_named_by_mistake() {
    let nobody = "`auth` names nobody; add `bearer_tokens`, `basic_users` or `client_certificates`, or remove it: then nobody has to authenticate";
    check(" {}", &[&format!("f:3:1: error: {nobody}")]);
    check("", &["f:3:1: error: `auth` has no value; give it one, or remove the key"]);
    check(" []", &["f:3:7: error: `auth` must be a map, and this is a list"]);
    for key in ["bearer_tokens", "basic_users", "client_certificates"] {
        check(
            &format!(" {{{key}: []}}"),
            &[&format!("f:3:{}: error: `{key}` is empty; name somebody, or remove the key", 10 + key.len())],
        );
    }
    check(" {bearer_tokens: }", &["f:3:8: error: `bearer_tokens` has no value; give it one, or remove the key"]);
}

#[test]
fn keys_of_others_are_told_apart() {
    check(
        " {bearer_token: x, users: [], bearer_tokns: [], basic_auth_users: {}}",
        &[
            "f:3:1: error: `auth` names nobody; add `bearer_tokens`, `basic_users` or `client_certificates`, or remove it: then nobody has to authenticate",
            "f:3:8: error: unknown key `bearer_token`; write `bearer_tokens: [{ token: { file: PATH } }]`",
            "f:3:25: error: unknown key `users`; write `basic_users: [{ username: NAME, password_hash: { env: NAME } }]`",
            "f:3:36: error: unknown key `bearer_tokns`; did you mean `bearer_tokens`?",
            "f:3:54: error: unknown key `basic_auth_users`; that is for --web-config; write `basic_users` here",
        ],
    );
    check(
        " {basic_users: [{username: a, password: s3cr3tmarker}]}",
        &[
            "f:3:22: error: a user needs `password_hash`; add `password_hash: …`",
            "f:3:36: error: unknown key `password`; only its hash may be here, as `password_hash`: `htpasswd -nBC 10 \"\" | tr -d ':\\n'`",
        ],
    );
    check(
        " {bearer_tokens: [{credentials: s3cr3tmarker}], client_certificates: [{cn: a}]}",
        &[
            "f:3:24: error: a bearer token needs `token`; add `token: …`",
            "f:3:25: error: unknown key `credentials`; it is called `token` here",
            "f:3:76: error: a client certificate needs `san`; add `san: …`",
            "f:3:77: error: unknown key `cn`; only subject alternative names count: `san`",
        ],
    );
}

#[test]
fn tokens_that_can_be_guessed_or_not_be_sent_are_refused() {
    let token = |env: &str| format!(" {{bearer_tokens: [{{token: {{env: {env}}}}}]}}");
    for (env, why) in [
        ("SHORT", "is shorter than 16 characters, which can be guessed; make one: `openssl rand -hex 32`"),
        ("BLANK", "has characters that no header can carry; only ASCII without blanks is safe"),
        ("UMLAUT", "has characters that no header can carry; only ASCII without blanks is safe"),
        ("LONG", "is longer than 4096 characters"),
    ] {
        check(&token(env), &[&format!("f:3:38: error: the environment variable {env} (`token`) {why}")]);
    }
    check(
        " {bearer_tokens: [{token: s3cr3tmarker-0123},\n {token: {env: TOKEN}, roles: [admin]}]}",
        &[
            "f:4:10: error: this token is the one of line 3; give each its own, or one entry all roles; make one: `openssl rand -hex 32`",
        ],
    );
}

#[test]
fn what_is_no_hash_is_said_and_not_shown() {
    let user = |hash: &str| format!(" {{basic_users: [{{username: a, password_hash: {hash}}}]}}");
    let make = "make one: `htpasswd -nBC 10 \"\" | tr -d ':\\n'`";
    for (hash, expected) in [
        ("{env: PASSWORD}", format!("error: `password_hash` is no hash; a password does not belong here; {make}")),
        ("s3cr3tmarker", format!("error: `password_hash` is no hash; a password does not belong here; {make}")),
        ("{env: WHOLE_LINE}", "error: `password_hash` begins with a name; leave out everything before `$2`".to_owned()),
        ("{env: MD5}", format!("error: `password_hash` must be a bcrypt hash, and this is another one; {make}")),
        (
            "{env: EATEN}",
            "error: `password_hash` is a damaged bcrypt hash; it has 60 characters; single quotes keep a shell from replacing its `$`".to_owned(),
        ),
        ("{env: COST_3}", "error: `password_hash` has a cost that bcrypt does not know; a cost of 10 to 12 is usual".to_owned()),
        (
            "{env: COST_16}",
            "error: `password_hash` has a cost of 16 or more: a check takes seconds; a cost of 10 to 12 is usual; what protects a service is a long random password".to_owned(),
        ),
        (
            "{env: COST_14}",
            "warning: `password_hash` has a cost of 14; after each start and reload a check takes a second or more, and others wait for it; 10 to 12 is usual".to_owned(),
        ),
    ] {
        check(&user(hash), &[&format!("f:3:51: {expected}")]);
    }
}

#[test]
fn names_and_roles_are_checked() {
    check(
        " {basic_users: [{username: 'a:b', password_hash: {env: HASH}}, {username: '', password_hash: {env: HASH}},\n {username: a, password_hash: {env: HASH}}, {username: a, password_hash: {env: HASH}}]}",
        &[
            "f:3:33: error: `username` must not contain `:`; in the header the password begins there",
            "f:3:80: error: `username` must not be empty",
            "f:4:56: error: two users have the name `a`; the first one is in line 4; one entry can have several roles",
        ],
    );
    let roles = |roles: &str| format!(" {{client_certificates: [{{san: a, roles: {roles}}}]}}");
    let there_are = "there are `ingest` (post alerts), `admin` (reload) and `metrics`";
    check(&roles("[]"), &["f:3:46: error: `roles` is empty; there are `ingest`, `admin` and `metrics`"]);
    check(&roles("ingest"), &["f:3:46: error: `roles` must be a list, and this is a single value; write `[ingest]`"]);
    check(&roles("[ingest, root]"), &[&format!("f:3:55: error: there is no role `root`; {there_are}")]);
    check(&roles("[ingest, ingest]"), &["f:3:55: error: the role ingest is named twice; remove one of them"]);
    check(
        " {client_certificates: [{san: '*.example'}, {san: 'a b'}, {san: c}, {san: c}]}",
        &[
            "f:3:36: error: `san` must not contain `*`; names are compared as they are: give each certificate an entry of its own",
            "f:3:56: error: `san` must be a DNS name or a URI; as in the certificate: `alertmanager.example`, `spiffe://example/alertmanager`",
            "f:3:80: error: two entries have the same `san`; the first one is in line 3; one entry can have several roles",
        ],
    );
}
