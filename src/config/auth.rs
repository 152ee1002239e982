//! `auth:`: who may post alerts, reload and read metrics.

use secrecy::{ExposeSecret, SecretString};

use super::secret::Secrets;
use crate::auth::{BasicUser, BearerToken, CertificateRule, Credentials, NoHash, PasswordHash, Role};
use crate::yaml::{Context, Fields, Node, Note, Span, discreet};

/// A token that can be guessed is none: 16 random bytes in hexadecimal have 32.
const SHORTEST_TOKEN: usize = 16;
const LONGEST_TOKEN: usize = 4096;
const LONGEST_NAME: usize = 255;

const MAKE_TOKEN: &str = "make one: `openssl rand -hex 32`";
const MAKE_HASH: &str = "make one: `htpasswd -nBC 10 \"\" | tr -d ':\\n'`";

const NOTES: [Note; 8] = [
    Note::Instead("bearer_token", "write `bearer_tokens: [{ token: { file: PATH } }]`"),
    Note::Instead("tokens", "write `bearer_tokens: [{ token: { file: PATH } }]`"),
    Note::Instead("basic_auth", "write `basic_users: [{ username: NAME, password_hash: { env: NAME } }]`"),
    Note::Instead("basic_auth_users", "that is for --web-config; write `basic_users` here"),
    Note::Instead("users", "write `basic_users: [{ username: NAME, password_hash: { env: NAME } }]`"),
    Note::Instead("authorization", "that is Alertmanager's side; write `bearer_tokens` here"),
    Note::Instead("client_ca_file", "it stands in the file of --web-config"),
    Note::Instead("certificates", "write `client_certificates: [{ san: NAME }]`"),
];
const TOKEN_NOTES: [Note; 5] = [
    Note::Instead("credentials", "it is called `token` here"),
    Note::Instead("bearer_token", "it is called `token` here"),
    Note::Instead("token_file", "write `token: { file: PATH }`"),
    Note::Instead("credentials_file", "write `token: { file: PATH }`"),
    Note::Instead("role", "it is a list here: `roles: [ingest]`"),
];
const USER_NOTES: [Note; 6] = [
    Note::Instead("password", "only its hash may be here, as `password_hash`: `htpasswd -nBC 10 \"\" | tr -d ':\\n'`"),
    Note::Instead("password_file", "only its hash may be here: `password_hash: { file: PATH }`"),
    Note::Instead("hash", "it is called `password_hash` here"),
    Note::Instead("name", "it is called `username` here"),
    Note::Instead("user", "it is called `username` here"),
    Note::Instead("role", "it is a list here: `roles: [ingest]`"),
];
const RULE_NOTES: [Note; 6] = [
    Note::Instead("cn", "only subject alternative names count: `san`"),
    Note::Instead("common_name", "only subject alternative names count: `san`"),
    Note::Instead("subject", "only subject alternative names count: `san`"),
    Note::Instead("dns", "it is called `san` here"),
    Note::Instead("uri", "it is called `san` here"),
    Note::Instead("role", "it is a list here: `roles: [ingest]`"),
];

/// Reads it; `None` if there is an error anywhere in it.
pub(super) fn auth(cx: &mut Context<'_>, node: &Node, at: Span, secrets: &Secrets<'_>) -> Option<Credentials> {
    let mut fields = Fields::open(cx, node, at, "`auth`")?;
    let given = ["bearer_tokens", "basic_users", "client_certificates"].iter().any(|key| fields.has(key));
    let bearer_tokens = match fields.take(cx, "bearer_tokens") {
        Some(node) => bearer_tokens(cx, node, secrets),
        None => Some(Vec::new()),
    };
    let basic_users = match fields.take(cx, "basic_users") {
        Some(node) => basic_users(cx, node, secrets),
        None => Some(Vec::new()),
    };
    let client_certificates = match fields.take(cx, "client_certificates") {
        Some(node) => client_certificates(cx, node),
        None => Some(Vec::new()),
    };
    fields.close(cx, &NOTES);
    if !given {
        let hint = "add `bearer_tokens`, `basic_users` or `client_certificates`, or remove it: then nobody has to authenticate";
        cx.error_with(at, "`auth` names nobody", hint);
        return None;
    }
    Some(Credentials {
        bearer_tokens: bearer_tokens?,
        basic_users: basic_users?,
        client_certificates: client_certificates?,
        certificate_required: false,
    })
}

/// The entries of a list that must have some; `None` if one of them could not be read.
fn entries<'n, T>(
    cx: &mut Context<'_>,
    node: &'n Node,
    what: &str,
    example: &str,
    mut read: impl FnMut(&mut Context<'_>, &'n Node) -> Option<T>,
) -> Option<Vec<T>> {
    let items = cx.list(node, what, example)?;
    if items.is_empty() {
        cx.error_with(node.span, format!("{what} is empty"), "name somebody, or remove the key");
        return None;
    }
    let read: Vec<_> = items.iter().filter_map(|item| read(cx, item)).collect();
    (read.len() == items.len()).then_some(read)
}

fn bearer_tokens(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<Vec<BearerToken>> {
    let mut others: Vec<(SecretString, Span)> = Vec::new();
    entries(cx, node, "`bearer_tokens`", "- token: { file: PATH }", |cx, node| {
        let mut fields = Fields::open(cx, node, node.span, "a bearer token")?;
        let token = fields.require(cx, "token").and_then(|node| token(cx, node, secrets, &mut others));
        let roles = roles(cx, &mut fields);
        fields.close(cx, &TOKEN_NOTES);
        Some(BearerToken { token: token?, roles: roles? })
    })
}

fn token(
    cx: &mut Context<'_>,
    node: &Node,
    secrets: &Secrets<'_>,
    others: &mut Vec<(SecretString, Span)>,
) -> Option<SecretString> {
    let token = secrets.read(cx, node, "token", |text| {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has characters that no header can carry; only ASCII without blanks is safe");
        }
        match text.len() {
            0..SHORTEST_TOKEN => {
                Err("is shorter than 16 characters, which can be guessed; make one: `openssl rand -hex 32`")
            }
            SHORTEST_TOKEN..=LONGEST_TOKEN => Ok(()),
            _ => Err("is longer than 4096 characters"),
        }
    })?;
    let text = token.expose_secret();
    let is_it = |(other, _): &&(SecretString, Span)| other.expose_secret() == text && !text.is_empty();
    if let Some((_, first)) = others.iter().find(is_it) {
        let message = format!("this token is the one of line {}", cx.source.line(first.start));
        cx.error_with(node.span, message, format!("give each its own, or one entry all roles; {MAKE_TOKEN}"));
        return None;
    }
    others.push((token.clone(), node.span));
    Some(token)
}

fn basic_users(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<Vec<BasicUser>> {
    let mut taken: Vec<(&str, Span)> = Vec::new();
    entries(cx, node, "`basic_users`", "- username: NAME", |cx, node| {
        let mut fields = Fields::open(cx, node, node.span, "a user")?;
        let username = fields.require(cx, "username").and_then(|node| username(cx, node, &mut taken));
        let hash = fields.require(cx, "password_hash").and_then(|node| password_hash(cx, node, secrets));
        let roles = roles(cx, &mut fields);
        fields.close(cx, &USER_NOTES);
        Some(BasicUser { username: username?.to_owned(), password_hash: hash?, roles: roles? })
    })
}

fn username<'n>(cx: &mut Context<'_>, node: &'n Node, taken: &mut Vec<(&'n str, Span)>) -> Option<&'n str> {
    let text = cx.text(node, "`username`")?;
    if text.contains(':') {
        cx.error_with(node.span, "`username` must not contain `:`", "in the header the password begins there");
        return None;
    }
    if text.chars().any(char::is_control) || text.len() > LONGEST_NAME {
        cx.error(node.span, "`username` must be printable and at most 255 bytes long");
        return None;
    }
    if let Some((_, first)) = taken.iter().find(|(name, _)| *name == text) {
        let hint =
            format!("the first one is in line {}; one entry can have several roles", cx.source.line(first.start));
        cx.error_with(node.span, format!("two users have the name {}", discreet(text)), hint);
        return None;
    }
    taken.push((text, node.span));
    Some(text)
}

fn password_hash(cx: &mut Context<'_>, node: &Node, secrets: &Secrets<'_>) -> Option<SecretString> {
    let text = secrets.read(cx, node, "password_hash", |_| Ok(()))?;
    // Not looked up.
    if text.expose_secret().is_empty() {
        return Some(text);
    }
    let (what, hint) = match PasswordHash::parse(text.expose_secret()) {
        Ok(hash) if hash.cost() >= PasswordHash::ABSURD => (
            "`password_hash` has a cost of 16 or more: a check takes seconds",
            "a cost of 10 to 12 is usual; what protects a service is a long random password",
        ),
        Ok(hash) => {
            if hash.cost() > PasswordHash::EASY {
                let message = format!("`password_hash` has a cost of {}", hash.cost());
                let hint = "after each start and reload a check takes a second or more, and others wait for it; 10 to 12 is usual";
                cx.warn_with(node.span, message, hint);
            }
            return Some(text);
        }
        Err(NoHash::Plain) => ("`password_hash` is no hash; a password does not belong here", MAKE_HASH),
        Err(NoHash::WithName) => ("`password_hash` begins with a name", "leave out everything before `$2`"),
        Err(NoHash::OtherHash) => ("`password_hash` must be a bcrypt hash, and this is another one", MAKE_HASH),
        Err(NoHash::Damaged) => (
            "`password_hash` is a damaged bcrypt hash",
            "it has 60 characters; single quotes keep a shell from replacing its `$`",
        ),
        Err(NoHash::Cost) => ("`password_hash` has a cost that bcrypt does not know", "a cost of 10 to 12 is usual"),
    };
    cx.error_with(node.span, what, hint);
    None
}

fn client_certificates(cx: &mut Context<'_>, node: &Node) -> Option<Vec<CertificateRule>> {
    let mut taken: Vec<(&str, Span)> = Vec::new();
    entries(cx, node, "`client_certificates`", "- san: NAME", |cx, node| {
        let mut fields = Fields::open(cx, node, node.span, "a client certificate")?;
        let san = fields.require(cx, "san").and_then(|node| san(cx, node, &mut taken));
        let roles = roles(cx, &mut fields);
        fields.close(cx, &RULE_NOTES);
        Some(CertificateRule { san: san?.to_owned(), roles: roles? })
    })
}

fn san<'n>(cx: &mut Context<'_>, node: &'n Node, taken: &mut Vec<(&'n str, Span)>) -> Option<&'n str> {
    let text = cx.text(node, "`san`")?;
    cx.source.show(node.span);
    if text.contains('*') {
        let hint = "names are compared as they are: give each certificate an entry of its own";
        cx.error_with(node.span, "`san` must not contain `*`", hint);
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.len() > 2048 {
        let hint = "as in the certificate: `alertmanager.example`, `spiffe://example/alertmanager`";
        cx.error_with(node.span, "`san` must be a DNS name or a URI", hint);
        return None;
    }
    if let Some((_, first)) = taken.iter().find(|(san, _)| *san == text) {
        let hint =
            format!("the first one is in line {}; one entry can have several roles", cx.source.line(first.start));
        cx.error_with(node.span, "two entries have the same `san`", hint);
        return None;
    }
    taken.push((text, node.span));
    Some(text)
}

/// `roles`, or what nearly everybody needs.
fn roles(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Vec<Role>> {
    let Some(node) = fields.take(cx, "roles") else {
        // A key without a value has been reported.
        return Some(vec![Role::Ingest]);
    };
    let items = cx.list(node, "`roles`", "[ingest]")?;
    if items.is_empty() {
        cx.error_with(node.span, "`roles` is empty", "there are `ingest`, `admin` and `metrics`");
        return None;
    }
    let mut roles = Vec::new();
    for item in items {
        let text = cx.text(item, "a role")?;
        let Some(role) = Role::ALL.into_iter().find(|role| role.as_str() == text) else {
            let hint = "there are `ingest` (post alerts), `admin` (reload) and `metrics`";
            cx.error_with(item.span, format!("there is no role {}", discreet(text)), hint);
            return None;
        };
        if roles.contains(&role) {
            cx.error_with(item.span, format!("the role {} is named twice", role.as_str()), "remove one of them");
            return None;
        }
        roles.push(role);
    }
    Some(roles)
}

#[cfg(test)]
mod tests;
