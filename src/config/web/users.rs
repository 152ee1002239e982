//! `basic_auth_users`: names and the bcrypt hashes of their passwords.

use crate::auth::{BasicUser, PasswordHash, Role};
use crate::yaml::{Context, Node, Span, Value};

const HINT: &str = "`htpasswd -nBC 10 USER` makes one: `$2y$10$…`, 60 characters";

/// Reads the map; `None` if there is an error anywhere in it.
pub(super) fn users(cx: &mut Context<'_>, node: &Node, at: Span) -> Option<Vec<BasicUser>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("`basic_auth_users` must be a map, and this is {}", node.kind());
        cx.error_with(at, message, "write `USER: HASH`");
        return None;
    };
    let mut users: Vec<BasicUser> = Vec::with_capacity(entries.len());
    let mut sound = true;
    for (name, hash) in entries {
        let user = user(cx, name, hash);
        if let Some(user) = &user
            && users.iter().any(|known| known.username == user.username)
        {
            cx.error_with(name.span, "this user is named twice", "remove one of the two");
            sound = false;
        }
        sound &= user.is_some();
        users.extend(user);
    }
    sound.then_some(users)
}

fn user(cx: &mut Context<'_>, name: &Node, hash: &Node) -> Option<BasicUser> {
    let username = cx.text(name, "the name of a user").map(str::to_owned);
    let username = username.filter(|username| {
        let bad = username.contains(':') || username.chars().any(char::is_control);
        if bad {
            cx.error(name.span, "the name of a user must not contain `:` or control characters: no client can send it");
        }
        !bad
    });
    let Value::Scalar(text) = &hash.value else {
        let at = if hash.span.start == hash.span.end { name.span } else { hash.span };
        cx.error_with(at, "the password of a user must be a bcrypt hash", HINT);
        return None;
    };
    if PasswordHash::parse(text).is_err() {
        cx.error_with(hash.span, "the password of a user must be a bcrypt hash", HINT);
        return None;
    }
    Some(BasicUser { username: username?, password_hash: text.as_str().into(), roles: Role::ALL.to_vec() })
}
