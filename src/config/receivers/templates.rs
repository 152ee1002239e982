//! Keys whose value is a template: compiled, and tried with samples.

use std::sync::Arc;

use crate::notification::Granularity;
use crate::receiver::custom::Custom;
use crate::template::{Escape, Template, TemplateError};
use crate::yaml::{Context, Fields, Node, Span, closest};

/// What the service makes of a template's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) escape: Escape,
    /// What the receiver takes, and so the samples.
    pub(super) granularity: Granularity,
}

/// Reads a template, if there is one. `None` if it is wrong, which is reported.
pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, key: &'static str, place: Place) -> Option<Custom> {
    let Some(node) = fields.take(cx, key) else { return Some(None) };
    let source = cx.text(node, &format!("`{key}`"))?;
    let compiled = Template::compile(key, source, place.escape);
    match compiled.and_then(|template| template.check(place.granularity).map(|()| template)) {
        Ok(template) => Some(Some(Arc::new(template))),
        Err(error) => {
            report(cx, node, key, &error);
            None
        }
    }
}

fn report(cx: &mut Context<'_>, node: &Node, key: &str, error: &TemplateError) {
    let TemplateError { message, at, unknown, hint } = error;
    let span = at.map_or(node.span, |(_, offset)| {
        let first = cx.source.inside(node, offset);
        let last = unknown.as_ref().map_or(first, |name| cx.source.inside(node, offset + name.len().saturating_sub(1)));
        Span { start: first.start, end: last.end.max(first.end) }
    });
    let message = match at {
        // The reader cannot tell where in the file that is.
        Some((line, offset)) if span == node.span && *offset > 0 => format!("line {line} of `{key}`: {message}"),
        _ => format!("`{key}`: {message}"),
    };
    let near = unknown.as_deref().map(|name| match closest(name, Template::names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "README.md lists what a template knows".to_owned(),
    });
    match hint.map(str::to_owned).or(near) {
        Some(hint) => cx.error_with(span, message, hint),
        None => cx.error(span, message),
    }
}
