//! `email_configs`, with what they inherit from `smtp_…` of `global`.

use super::global::Smtp;
use super::integration::{Integration, Service, Taken};
use super::secret::{Variables, variable_name};
use super::service::{Given, holds};
use super::values::{boolean, text, words};
use super::write::{flow, scalar};
use crate::yaml::{Context, Fields, Node, Rest, Span, Value};

/// The port where TLS begins at once, in Alertmanager as here.
const SUBMISSIONS: u16 = 465;

pub(super) fn email<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Service {
    let global = &part.global.email;
    let to = inherited(cx, fields, "to", None);
    let smarthost = inherited(cx, fields, "smarthost", global.smarthost);
    let from = inherited(cx, fields, "from", global.from);
    let hello = inherited(cx, fields, "hello", global.hello);
    let plain = is(cx, fields, "require_tls", global.require_tls) == Some(false);
    let implicit = is(cx, fields, "force_implicit_tls", global.force_implicit_tls);
    let tls_config = fields.value(cx, "tls_config").or(global.tls_config);

    let to = addresses(to, "it has no `to`", "to")?;
    let from = addresses(from, "there is neither `from` nor `smtp_from`", "from")?;
    let [from] = from.as_slice() else { return Err("its `from` is not one address".to_owned()) };
    let smarthost = smarthost.ok_or("there is neither `smarthost` nor `smtp_smarthost`")?;
    let number =
        smarthost.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
    let number: u16 =
        number.filter(|number| *number > 0).ok_or("its `smarthost` does not end in the number of a port")?;
    let auth = auth(cx, fields, part, variables)?;

    let mut taken = Taken {
        service: "email",
        keys: vec![("smarthost", scalar(smarthost)), ("from", scalar(from))],
        comments: Vec::new(),
    };
    taken.keys.push(("to", if let [only] = to.as_slice() { scalar(only) } else { flow(&to) }));
    let in_plain_text = plain && !implicit.unwrap_or(number == SUBMISSIONS);
    if let Some((_, at)) = auth.as_ref().filter(|_| in_plain_text) {
        let hint = "a password is never sent in plain text here: the server has to offer STARTTLS";
        cx.warn_with(*at, "`require_tls: false` is not taken over", hint);
        taken.comments.push(format!("Was `require_tls: false`; {hint}."));
    }
    let tls = match (implicit.unwrap_or(number == SUBMISSIONS), in_plain_text && auth.is_none()) {
        (true, _) => "tls",
        (false, true) => "none",
        (false, false) => "starttls",
    };
    taken.keys.extend(auth.map(|(auth, _)| ("auth", auth)));
    if tls != if number == SUBMISSIONS { "tls" } else { "starttls" } {
        taken.keys.push(("tls", tls.to_owned()));
    }
    taken.keys.extend(hello.filter(|hello| *hello != "localhost").map(|hello| ("hello", scalar(hello))));
    if let Some((span, node)) = tls_config.filter(|_| tls != "none") {
        authorities(cx, node, span, &mut taken);
    }
    Ok(taken)
}

/// The integration's own value, or that of `global`.
fn inherited<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    key: &'static str,
    global: Option<&'n Node>,
) -> Option<&'n str> {
    let own = fields.value(cx, key).and_then(|(_, node)| text(cx, node, key));
    own.or_else(|| text(cx, global?, key))
}

fn is(cx: &mut Context<'_>, fields: &mut Fields<'_>, key: &'static str, global: Option<&Node>) -> Option<bool> {
    let node = fields.value(cx, key).map(|(_, node)| node).or(global)?;
    boolean(cx, node, key)
}

/// The parts of a list with commas. Whether each is an address is for `check` to say; what is none for certain is not
/// taken over.
fn addresses(text: Option<&str>, missing: &str, key: &str) -> Result<Vec<String>, String> {
    let text = text.ok_or(missing)?;
    if text.contains("{{") {
        return Err(format!("its `{key}` is a template; each address needs a receiver of its own"));
    }
    // A comma in quotation marks belongs to a name.
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let all: Vec<String> = parts.map(|part| part.trim().to_owned()).collect();
    let is_address = |part: &String| part.contains('@') && !part.chars().any(char::is_control);
    if all.iter().all(is_address) { Ok(all) } else { Err(format!("its `{key}` is no address")) }
}

/// Who is asking, as `{ username: …, password: … }`, and where the user name stands.
fn auth<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Result<Option<(String, Span)>, String> {
    let Smtp { auth_username, auth_password, auth_password_file, has_secret, .. } = part.global.email;
    let node = fields.value(cx, "auth_username").map(|(_, node)| node).or(auth_username);
    let username = node.and_then(|node| text(cx, node, "auth_username"));
    let own = Given::read(cx, fields, "auth_password", "auth_password_file");
    let mut cram = has_secret;
    for key in ["auth_secret", "auth_secret_file"] {
        cram |= fields.value(cx, key).is_some();
    }
    let (Some(username), Some(node)) = (username, node) else { return Ok(None) };
    let (name, holds) = match own {
        Some(_) => (variable_name(&[part.name, "smtp password"]), holds("auth_password", part)),
        None => ("SMTP_AUTH_PASSWORD".to_owned(), "`smtp_auth_password` of `global`".to_owned()),
    };
    match own.or_else(|| Given::of(cx, auth_password, auth_password_file, "smtp_auth_password")) {
        Some(password) => {
            let password = password.yaml(cx, variables, &name, &holds);
            Ok(Some((format!("{{ username: {}, password: {password} }}", scalar(username)), node.span)))
        }
        None if cram => Err("CRAM-MD5 (`auth_secret`) is not supported, a password is".to_owned()),
        None => Err("there is an `auth_username` without a password".to_owned()),
    }
}

/// Takes over whom to trust, and says what else is left out.
fn authorities(cx: &mut Context<'_>, node: &Node, span: Span, taken: &mut Taken) {
    let Some(mut fields) = Fields::open(cx, node, span, "`tls_config`") else { return };
    if let Some((_, node)) = fields.value(cx, "ca_file")
        && let Some(path) = text(cx, node, "ca_file")
    {
        taken.keys.push(("ca_file", scalar(path)));
    }
    let said = |rest: &Rest<'_>| {
        !matches!(&rest.value.value, Value::Null)
            && !matches!(&rest.value.value, Value::Scalar(text) if text == "false")
    };
    let rest: Vec<_> = fields.rest(cx).into_iter().filter(said).filter_map(|rest| rest.key).collect();
    if !rest.is_empty() {
        let hint = "certificates are verified always, by the authorities of the system or of `ca_file`";
        let verb = if rest.len() == 1 { "has" } else { "have" };
        cx.warn_with(span, format!("{} of `tls_config` {verb} no counterpart", words(&rest)), hint);
        taken.comments.push(format!("Left out: {} of `tls_config`; {hint}.", words(&rest)));
    }
}
