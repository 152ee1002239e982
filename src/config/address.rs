//! Addresses of services.

use url::Url;

use crate::yaml::{Context, Node, Value};

/// An address that is no secret, without a slash at its end.
pub(super) fn url(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let Value::Scalar(text) = &node.value else {
        cx.text(node, what)?;
        return None;
    };
    let checked = check_url(text).and_then(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        if bare { Ok(url) } else { Err("must not hold a user name or password") }
    });
    match checked {
        Ok(url) if url.query().is_none() => cx.source.show_known(node.span),
        Ok(_) => {}
        Err(error) => {
            cx.error_with(node.span, format!("{what} {error}"), "an address begins with http:// or https://");
            return None;
        }
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// An absolute http or https address. The error repeats nothing of it.
pub(super) fn check_url(text: &str) -> Result<Url, &'static str> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must not contain blanks or line breaks");
    }
    let url = Url::parse(text).map_err(|_| "is not an address")?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(host)) if !host.is_empty() => Ok(url),
        ("http" | "https", _) => Err("has no host"),
        _ => Err("must be an http or https address"),
    }
}
