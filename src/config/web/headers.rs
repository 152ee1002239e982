//! `http_server_config`: HTTP/2, and what is said to browsers.

use crate::yaml::{Context, Fields, Node, Span, Value, quote};

/// Those that Prometheus sends, their names on the wire, and the values they may have if not all do.
const HEADERS: [(&str, &str, &[&str]); 5] = [
    ("Content-Security-Policy", "content-security-policy", &[]),
    ("X-Frame-Options", "x-frame-options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", "x-content-type-options", &["nosniff"]),
    ("X-XSS-Protection", "x-xss-protection", &[]),
    ("Strict-Transport-Security", "strict-transport-security", &[]),
];

/// The headers, or `None` if there is an error.
pub(super) fn http(cx: &mut Context<'_>, node: &Node, at: Span) -> Option<Vec<(&'static str, String)>> {
    let mut fields = Fields::open(cx, node, at, "`http_server_config`")?;
    let mut sound = true;
    if let Some((span, node)) = fields.value(cx, "http2") {
        match cx.boolean(node, "`http2`") {
            Some(true) => {
                cx.warn_with(
                    span,
                    "HTTP/2 is not spoken here",
                    "nothing is lost: every client of it speaks HTTP/1.1 too",
                );
            }
            Some(false) => {}
            None => sound = false,
        }
    }
    let headers = match fields.value(cx, "headers") {
        Some((span, node)) => headers(cx, node, span),
        None => Some(Vec::new()),
    };
    fields.close(cx, &[]);
    headers.filter(|_| sound)
}

fn headers(cx: &mut Context<'_>, node: &Node, at: Span) -> Option<Vec<(&'static str, String)>> {
    let mut fields = Fields::open(cx, node, at, "`headers`")?;
    let (mut all, mut sound) = (Vec::new(), true);
    for (key, name, allowed) in HEADERS {
        let Some((_, node)) = fields.value(cx, key) else { continue };
        // Blank is unset.
        if matches!(&node.value, Value::Scalar(text) if text.trim().is_empty()) {
            continue;
        }
        let Some(value) = cx.text(node, &format!("`{key}`")) else {
            sound = false;
            continue;
        };
        if !allowed.is_empty() && !allowed.contains(&value) {
            let allowed = allowed.iter().map(|value| quote(value)).collect::<Vec<_>>().join(" or ");
            cx.error(node.span, format!("`{key}` must be {allowed}"));
            sound = false;
        } else if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            cx.error(node.span, format!("`{key}` holds characters that cannot be sent in a header"));
            sound = false;
        } else {
            all.push((name, value.to_owned()));
        }
    }
    fields.close(cx, &[]);
    sound.then_some(all)
}
