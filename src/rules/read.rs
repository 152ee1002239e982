//! One file: from its text to its alerts.

use std::sync::Arc;

use super::find::Candidate;
use super::known::Known;
use super::{ALERT_NAME, AlertingRule, Label, LabelValue, error, expression};
use crate::yaml::problem::Problem;
use crate::yaml::{self, Context, Documents, Fields, Limits, Node, Shown, Value, plain, quote};

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) alerts: Vec<AlertingRule>,
    pub(super) problems: Vec<Problem>,
    pub(super) is_rule_file: bool,
}

/// Reads a file, which `file` is called.
pub(super) fn file(candidate: &Candidate, file: &Arc<str>) -> Read {
    match yaml::read(&candidate.path, &Limits::GENERATED) {
        Ok(bytes) => text(&bytes, file, candidate.named),
        Err(why) => Read { problems: vec![error(format!("cannot be read: {why}"), None)], ..Read::default() },
    }
}

/// Reads the text of a file. One that is no YAML is an error only if it was `named` or says `groups`: in a folder there
/// may be templates and whatever else ends in `.yaml`.
pub(super) fn text(bytes: &[u8], file: &Arc<str>, named: bool) -> Read {
    let Documents { mut cx, roots } = match yaml::parse_all(bytes, &Limits::GENERATED, Shown::Everything) {
        Ok(documents) => documents,
        Err(_) if !named && !bytes.windows(6).any(|part| part == b"groups") => return Read::default(),
        Err(problem) => return Read { problems: vec![*problem], ..Read::default() },
    };
    let mut all = Vec::new();
    for (at, root) in roots.iter().enumerate() {
        groups_of(&mut cx, root, at == 0, &mut all);
    }
    let is_rule_file = !all.is_empty();
    let mut alerts = Vec::new();
    for node in all.into_iter().flatten() {
        let Some(items) = cx.list(node, "`groups`", "groups: [{name: …, rules: […]}]") else { continue };
        for item in items {
            group(&mut cx, item, file, &mut alerts);
        }
    }
    Read { alerts, problems: cx.finish(), is_rule_file }
}

/// Finds `groups` in a document: where Prometheus has it, or in the objects of its operator (`VMRule` is the twin of
/// Victoria Metrics), also in what `kubectl get -o yaml` prints. One without a value is kept as `None`.
fn groups_of<'n>(cx: &mut Context<'_>, root: &'n Node, is_first: bool, found: &mut Vec<Option<&'n Node>>) {
    let kind = get(root, "kind").and_then(|(_, kind)| scalar(kind));
    match kind {
        Some("PrometheusRule" | "VMRule") => {
            let spec = get(root, "spec").map(|(_, spec)| spec);
            found.push(spec.and_then(|spec| get(spec, "groups")).and_then(|(_, groups)| present(groups)));
        }
        Some("List" | "PrometheusRuleList" | "VMRuleList") => {
            if let Some((_, Node { value: Value::List(items), .. })) = get(root, "items") {
                for item in items {
                    groups_of(cx, item, true, found);
                }
            }
        }
        // Grafana's own alerts have `groups`, too, and a version that Prometheus would refuse.
        _ if get(root, "apiVersion").is_none() => {
            let Some((key, groups)) = get(root, "groups") else { return };
            found.push(present(groups));
            if !is_first {
                let hint = "put these groups into a file of their own";
                cx.warn_with(key.span, "Prometheus reads only the first document of a file", hint);
            }
        }
        _ => {}
    }
}

fn get<'n>(node: &'n Node, wanted: &str) -> Option<(&'n Node, &'n Node)> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| scalar(key) == Some(wanted)).map(|(key, value)| (key, value))
}

fn scalar(node: &Node) -> Option<&str> {
    if let Value::Scalar(text) = &node.value { Some(text) } else { None }
}

fn present(node: &Node) -> Option<&Node> {
    Some(node).filter(|node| !matches!(node.value, Value::Null))
}

fn group(cx: &mut Context<'_>, node: &Node, file: &Arc<str>, alerts: &mut Vec<AlertingRule>) {
    let Some(mut fields) = Fields::open(cx, node, node.span, "a group") else { return };
    if let Some(name) = fields.require(cx, "name") {
        cx.text(name, "`name`");
    }
    let shared = fields.optional("labels").map(|node| labels(cx, node)).unwrap_or_default();
    if let Some(rules) = fields.optional("rules").and_then(|node| cx.list(node, "`rules`", "- alert: NAME")) {
        alerts.extend(rules.iter().filter_map(|node| rule(cx, node, file, &shared)));
    }
    fields.skip(&["interval", "limit", "query_offset"]);
    fields.close_if_near(cx);
}

/// Reads a rule; gives the alert, if it is one.
fn rule(cx: &mut Context<'_>, node: &Node, file: &Arc<str>, shared: &[Label]) -> Option<AlertingRule> {
    let mut fields = Fields::open(cx, node, node.span, "a rule")?;
    let [alert, record] = ["alert", "record"].map(|key| (fields.has(key), fields.take_with_key(cx, key)));
    let name = match (alert, record) {
        ((false, _), (false, _)) => {
            cx.error_with(node.span, "a rule needs `alert` or `record`", "add `alert: NAME`");
            None
        }
        ((true, _), (true, record)) => {
            let span = record.map_or(node.span, |(key, _)| key);
            cx.error_with(span, "a rule has either `alert` or `record`", "make two rules of it");
            None
        }
        ((_, alert), (_, record)) => {
            if let Some((_, name)) = record {
                cx.text(name, "`record`");
            }
            alert.and_then(|(_, node)| Some((node, cx.text(node, "`alert`")?)))
        }
    };
    let query = fields.require(cx, "expr").and_then(|node| Some((node, cx.text(node, "`expr`")?)));
    let own = fields.optional("labels").map(|node| labels(cx, node)).unwrap_or_default();
    fields.skip(&["for", "keep_firing_for", "annotations"]);
    fields.close_if_near(cx);
    let ((at, name), (expr, query)) = (name?, query?);
    let result = expression::labels(query).unwrap_or_else(|why| {
        let message = format!("this expression cannot be read here: {}", plain(&why));
        cx.warn_with(expr.span, message, "its labels count as unknown; ask `promtool check rules` whether it is right");
        Known::open()
    });
    let mut labels = own;
    let missing = |label: &&Label| labels.iter().all(|own| own.name != label.name);
    let inherited: Vec<Label> = shared.iter().filter(missing).cloned().collect();
    labels.extend(inherited);
    // Prometheus overwrites it with the name of the rule.
    labels.retain(|label| label.name != ALERT_NAME);
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    Some(AlertingRule { name: name.to_owned(), labels, file: file.clone(), place: cx.source.place(at.span), result })
}

fn labels(cx: &mut Context<'_>, node: &Node) -> Vec<Label> {
    let Value::Map(entries) = &node.value else {
        cx.error_with(
            node.span,
            format!("`labels` must be a map, and this is {}", node.kind()),
            "write `severity: warning`",
        );
        return Vec::new();
    };
    let mut labels: Vec<Label> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Some(name) = scalar(key) else {
            cx.error(key.span, format!("a key must be a word, and this is {}", key.kind()));
            continue;
        };
        let text = match &value.value {
            Value::Null => "",
            Value::Scalar(text) => text,
            Value::List(_) | Value::Map(_) => {
                let message = format!("the label {} must be a single value, and this is {}", quote(name), value.kind());
                cx.error(value.span, message);
                continue;
            }
        };
        if labels.iter().any(|label| label.name == name) {
            cx.error_with(key.span, format!("duplicate label {}", quote(name)), "remove one of them");
            continue;
        }
        let span = if text.is_empty() { key.span } else { value.span };
        let value = if text.contains("{{") { LabelValue::Templated } else { LabelValue::Static(text.to_owned()) };
        labels.push(Label { name: name.to_owned(), value, place: cx.source.place(span) });
    }
    labels
}
