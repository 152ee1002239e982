//! Single values of the file, read as Alertmanager's parser reads them (YAML 1.1), and words for messages.

use crate::yaml::{Context, Node, Value};

/// A text that is no secret: it may be shown. An empty one counts as absent.
pub(super) fn text<'n>(cx: &mut Context<'_>, node: &'n Node, key: &str) -> Option<&'n str> {
    let text = secret(cx, node, key)?;
    cx.source.show(node.span);
    Some(text)
}

/// A text that may be a secret. An empty one counts as absent.
pub(super) fn secret<'n>(cx: &mut Context<'_>, node: &'n Node, key: &str) -> Option<&'n str> {
    match &node.value {
        Value::Scalar(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Value::Null => None,
        Value::List(_) | Value::Map(_) => {
            cx.error(node.span, format!("`{key}` must be a single value, and this is {}", node.kind()));
            None
        }
    }
}

/// `true` or `false` in all the spellings of YAML 1.1.
pub(super) fn boolean(cx: &mut Context<'_>, node: &Node, key: &str) -> Option<bool> {
    match text(cx, node, key)?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => {
            cx.error(node.span, format!("`{key}` must be true or false"));
            None
        }
    }
}

/// Keys for a sentence: `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
pub(super) fn words(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A value of the file for a comment: cut where it is very long.
pub(super) fn shorten(text: &str) -> String {
    let cut: String = text.chars().take(160).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}
