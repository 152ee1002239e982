//! A test file: strict, every problem at once and where it stands.

use super::{Case, steps};
use crate::alert::Labels;
use crate::notification::ReceiverName;
use crate::yaml::problem::{self, Problem};
use crate::yaml::{self, Context, Document, Fields, Limits, Node, Note, Shown, Span, Value, closest, quote};

const PROMTOOL: &str = "tests of rules are run by `promtool test rules`";
const FILE_NOTES: [Note; 2] =
    [Note::Instead("evaluation_interval", PROMTOOL), Note::Instead("group_eval_order", PROMTOOL)];
const CASE_NOTES: [Note; 7] = [
    Note::Instead("interval", PROMTOOL),
    Note::Instead("input_series", PROMTOOL),
    Note::Instead("alert_rule_test", PROMTOOL),
    Note::Instead("promql_expr_test", PROMTOOL),
    Note::Instead("decisions", "decisions are made over time: put it into a step below `steps`"),
    Note::Instead("status", "put it into a step below `steps`"),
    Note::Instead("receiver", "it is a list: `receivers: [NAME]`"),
];

/// A test file that is YAML.
pub struct Draft<'a>(Document<'a>);

/// What the rest of the world says, to hold a test file against.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The names of the receivers of routes.yaml; `None` where that cannot be used, and then they are not looked at.
    pub receivers: Option<&'a [ReceiverName]>,
}

/// Reads the bytes of a test file, and not much more than it may have.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    yaml::read(path, &Limits::GENERATED)
}

/// Parses a test file as far as YAML goes.
///
/// # Errors
/// If it is too large, not UTF-8 or no YAML.
pub fn open(bytes: &[u8]) -> Result<Draft<'_>, Box<Problem>> {
    yaml::parse(bytes, &Limits::GENERATED, Shown::Everything).map(Draft)
}

impl Draft<'_> {
    /// The path of routes.yaml that the file names, relative to its own folder.
    #[must_use]
    pub fn config(&self) -> Option<&str> {
        let Value::Map(entries) = &self.0.root.value else { return None };
        let is_it = |key: &Node| matches!(&key.value, Value::Scalar(text) if text == "config");
        let (_, value) = entries.iter().find(|(key, _)| is_it(key))?;
        if let Value::Scalar(text) = &value.value { Some(text) } else { None }
    }

    /// The tests.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in its order.
    pub fn cases(self, world: &World<'_>) -> Result<Vec<Case>, Vec<Problem>> {
        let Document { mut cx, root } = self.0;
        let cases = if matches!(root.value, Value::Null) {
            cx.error_with(root.span, "the file is empty", "it needs at least `tests`");
            None
        } else {
            file(&mut cx, &root, &Receivers(world.receivers))
        };
        let problems = cx.finish();
        if problem::is_sound(&problems) { Ok(cases.unwrap_or_default()) } else { Err(problems) }
    }
}

/// The receivers of routes.yaml; `None` where they are not known.
pub(super) struct Receivers<'a>(Option<&'a [ReceiverName]>);

impl Receivers<'_> {
    /// The receiver with this name. Reports one that routes.yaml does not have.
    pub(super) fn get(&self, cx: &mut Context<'_>, at: Span, text: &str) -> Option<ReceiverName> {
        let Some(known) = self.0 else { return Some(text.into()) };
        let found = known.iter().find(|name| name.as_str() == text);
        if found.is_none() {
            let message = format!("routes.yaml has no receiver {}", quote(text));
            let hint = if let Some(near) = closest(text, known.iter().map(ReceiverName::as_str)) {
                format!("did you mean {}?", quote(near))
            } else {
                let all: Vec<String> = known.iter().map(|name| quote(name.as_str())).collect();
                format!("it has {}", all.join(", "))
            };
            cx.error_with(at, message, hint);
        }
        found.cloned()
    }

    /// A list of receivers, perhaps an empty one.
    pub(super) fn list(&self, cx: &mut Context<'_>, node: &Node) -> Option<Vec<ReceiverName>> {
        let mut receivers = Vec::new();
        for item in cx.list(node, "`receivers`", "[NAME]")? {
            let Some(text) = cx.text(item, "the name of a receiver") else { continue };
            let Some(name) = self.get(cx, item.span, text) else { continue };
            if receivers.contains(&name) {
                cx.error_with(item.span, format!("the receiver {} is named twice", quote(text)), "remove one of them");
            }
            receivers.push(name);
        }
        Some(receivers)
    }
}

fn file(cx: &mut Context<'_>, root: &Node, receivers: &Receivers<'_>) -> Option<Vec<Case>> {
    let mut fields = Fields::open(cx, root, root.span, "the file")?;
    if let Some(node) = fields.take(cx, "config") {
        cx.text(node, "`config`");
    }
    let tests = fields.require(cx, "tests");
    fields.close(cx, &FILE_NOTES);
    let items = cx.list(tests?, "`tests`", "- name: …")?;
    if items.is_empty() {
        cx.error_with(tests?.span, "`tests` must not be empty", "a file that tests nothing would always pass");
    }
    let mut names: Vec<(String, Span)> = Vec::new();
    let cases = items.iter().filter_map(|item| case(cx, item, receivers, &mut names));
    Some(cases.collect())
}

fn case(cx: &mut Context<'_>, node: &Node, receivers: &Receivers<'_>, names: &mut Vec<(String, Span)>) -> Option<Case> {
    let mut fields = Fields::open(cx, node, node.span, "a test")?;
    let name = fields.require(cx, "name").and_then(|node| name(cx, node, names));
    let labels = fields.require(cx, "labels").and_then(|node| {
        let labels: Labels = labels(cx, node)?.into_iter().collect();
        not_empty(cx, node.span, &labels)
    });
    let expected = fields.take(cx, "receivers").map(|node| receivers.list(cx, node));
    let steps = match fields.take_with_key(cx, "steps") {
        Some((at, node)) => steps::steps(cx, node, at, labels.as_ref(), receivers),
        None => Some(Vec::new()),
    };
    let asks = |key| fields.has(key);
    let expects_nothing = !asks("receivers")
        && match &steps {
            Some(steps) => steps.iter().all(|step| step.receivers.is_none() && step.decisions.is_none()),
            // What is wrong with them is said already.
            None => false,
        };
    if expects_nothing {
        let hint = if asks("steps") {
            "give at least one step `receivers` or `decisions`"
        } else {
            "add `receivers: [NAME]`, or `receivers: []` where nobody is to be told"
        };
        cx.error_with(node.span, "this test expects nothing", hint);
    }
    fields.close(cx, &CASE_NOTES);
    Some(Case {
        name: name?,
        at: cx.source.position(node.span.start),
        labels: labels?,
        receivers: expected.flatten(),
        steps: steps?,
    })
}

fn name(cx: &mut Context<'_>, node: &Node, names: &mut Vec<(String, Span)>) -> Option<String> {
    let text = cx.text(node, "`name`")?;
    if text.chars().any(char::is_control) {
        cx.error_with(node.span, "`name` must be one line without control characters", "it is the line of a report");
        return None;
    }
    if let Some((_, first)) = names.iter().find(|(known, _)| known == text) {
        let hint = format!("the first one is in line {}; give each its own name", cx.source.line(first.start));
        cx.error_with(node.span, format!("two tests have the name {}", quote(text)), hint);
        return None;
    }
    names.push((text.to_owned(), node.span));
    Some(text.to_owned())
}

/// Label names and values. An empty value stays: it removes the label that it overrides.
pub(super) fn labels(cx: &mut Context<'_>, node: &Node) -> Option<Vec<(String, String)>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("`labels` must be a map, and this is {}", node.kind());
        cx.error_with(node.span, message, "write `{ alertname: HighErrorRate, severity: critical }`");
        return None;
    };
    let mut labels: Vec<(String, String)> = Vec::with_capacity(entries.len());
    let mut is_sound = true;
    for (key, value) in entries {
        let (problem, at) = match (&key.value, &value.value) {
            (Value::Scalar(name), Value::Scalar(value)) if !name.is_empty() => {
                if !labels.iter().any(|(known, _)| known == name) {
                    labels.push((name.clone(), value.clone()));
                    continue;
                }
                (format!("the label {} is given twice", quote(name)), key.span)
            }
            (Value::Scalar(name), Value::Null) if !name.is_empty() => {
                (format!("the label {} has no value", quote(name)), key.span)
            }
            (Value::Scalar(name), _) if !name.is_empty() => (
                format!("the value of {} must be a single value, and this is {}", quote(name), value.kind()),
                value.span,
            ),
            _ => ("a label must have a name".to_owned(), key.span),
        };
        is_sound = false;
        cx.error(at, problem);
    }
    is_sound.then_some(labels)
}

/// Labels without the empty ones, which count as absent; something must be left.
pub(super) fn not_empty(cx: &mut Context<'_>, at: Span, labels: &Labels) -> Option<Labels> {
    let labels: Labels = labels.iter().filter(|(_, value)| !value.is_empty()).collect();
    if labels.is_empty() {
        cx.error_with(at, "an alert has at least one label", "write `labels: { alertname: HighErrorRate }`");
        return None;
    }
    Some(labels)
}
