//! `grafana:` of a receiver.

use std::sync::Arc;

use super::templates::{self, Place};
use crate::config::address::url;
use crate::config::secret::Secrets;
use crate::notification::Granularity;
use crate::receiver::Receiver;
use crate::receiver::grafana::Grafana;
use crate::template::Escape;
use crate::yaml::{Context, Fields, Node, Note};

/// The namespace of the organisation 1, which is the only one on most Grafanas.
const DEFAULT_NAMESPACE: &str = "default";

/// Keys that others have, and what to say of them.
pub(super) const NOTES: [Note; 0] = [];

pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    let url = fields.require(cx, "url").and_then(|node| url(cx, node, "`url`"));
    let token = fields.require(cx, "token").and_then(|node| {
        secrets.read(cx, node, "token", |text| {
            let fits = text.bytes().all(|byte| byte.is_ascii_graphic());
            if fits { Ok(()) } else { Err("has characters that cannot be sent in a header") }
        })
    });
    let tags = match fields.take(cx, "tags") {
        Some(node) => cx.texts(node, "`tags`", "[deploy, alerts]"),
        None => Some(Vec::new()),
    };
    let dashboard_uid = match fields.take(cx, "dashboard_uid") {
        Some(node) => cx.text(node, "`dashboard_uid`").map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let has_dashboard = fields.has("dashboard_uid");
    let panel_id = match fields.take_with_key(cx, "panel_id") {
        Some((span, _)) if !has_dashboard => {
            cx.error_with(span, "`panel_id` without `dashboard_uid`", "a panel belongs to a dashboard: name both");
            None
        }
        Some((_, node)) => cx.integer(node, "`panel_id`", 1..=i64::MAX).map(Some),
        None => Some(None),
    };
    let namespace = match fields.take(cx, "namespace") {
        Some(node) => namespace(cx, node),
        None => Some(DEFAULT_NAMESPACE.to_owned()),
    };
    let text = templates::read(cx, fields, "text", Place { escape: Escape::Html, granularity: Granularity::Alert });
    let (dashboard_uid, panel_id, namespace, text) = (dashboard_uid?, panel_id?, namespace?, text?);
    Some(Arc::new(Grafana { url: url?, token: token?, tags: tags?, dashboard_uid, panel_id, namespace, text }))
}

/// The organisation, as Grafana's newer API names it.
fn namespace(cx: &mut Context<'_>, node: &Node) -> Option<String> {
    let text = cx.text(node, "`namespace`")?;
    let numbered = text.strip_prefix("org-").or_else(|| text.strip_prefix("stacks-"));
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if text == DEFAULT_NAMESPACE || numbered.is_some_and(is_number) {
        return Some(text.to_owned());
    }
    let hint = "write `default`, `org-2` for organisation 2, or `stacks-123` for a stack of Grafana Cloud";
    cx.error_with(node.span, "`namespace` is not one of Grafana's", hint);
    None
}
