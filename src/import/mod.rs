//! From alertmanager.yml to routes.yaml.
//!
//! [`import`] is pure: the text of one file becomes the text of the other and a list of problems. It walks the file
//! as `config` walks routes.yaml, but where that is strict, this is patient: it may come from a newer Alertmanager or from
//! an old one. What has no counterpart becomes a comment and a warning; an error is only what leaves open who hears of
//! what.
//!
//! The imported tree reaches the same receivers as the original. What cannot be imported is a placeholder
//! (`integration`), so that this holds for it, too, and so that `check` fails until somebody has looked at it.

mod channels;
mod email;
mod global;
mod integration;
mod kind;
mod receivers;
mod render;
mod routes;
mod secret;
mod service;
mod slack_app;
#[cfg(test)]
mod tests;
mod values;
mod write;

pub use secret::Variable;

use global::Global;
use integration::Receiver;
use render::Parts;
use routes::Tree;
use secret::Variables;

use crate::yaml::problem::{Problem, is_sound};
use crate::yaml::{self, Context, Document, Fields, Limits, Node, Rest, Shown, Span, Value};

/// How to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the imported file calls the original.
    pub file: String,
    /// Whether secrets that stand in the file are copied. Otherwise each becomes an environment variable.
    pub keep_secrets: bool,
}

/// A file that could be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of routes.yaml.
    pub text: String,
    /// The environment variables that it asks for.
    pub variables: Vec<Variable>,
}

/// Imports the text of an alertmanager.yml. There is an [`Imported`] exactly if no problem is an error. No problem holds a
/// secret.
#[must_use]
pub fn import(bytes: &[u8], options: &Options) -> (Option<Imported>, Vec<Problem>) {
    let Document { mut cx, root } = match yaml::parse(bytes, &Limits::GENERATED, Shown::WhatIsAllowed) {
        Ok(document) => document,
        Err(problem) => return (None, vec![*problem]),
    };
    let imported = file(&mut cx, &root, options);
    let problems = cx.finish();
    let sound = is_sound(&problems);
    (imported.filter(|_| sound), problems)
}

const ONE_INCIDENT: &str = "one incident for each alert here, for each group in Alertmanager";

/// Reads the whole file. `None` only if an error was reported.
fn file(cx: &mut Context<'_>, root: &Node, options: &Options) -> Option<Imported> {
    if matches!(root.value, Value::Null) {
        cx.error_with(root.span, "the file is empty", "it needs at least `receivers` and `route`");
        return None;
    }
    let mut fields = Fields::open(cx, root, root.span, "the file")?;
    let global = match fields.value(cx, "global") {
        Some((span, node)) => global::read(cx, node, span),
        None => Global::default(),
    };
    let declared = match fields.value(cx, "receivers") {
        Some((_, node)) => receivers::declared(cx, node),
        None => Vec::new(),
    };
    let mut variables = Variables::new(options.keep_secrets);
    let (mut receivers, names) = receivers::import(cx, &declared, &global, &mut variables);
    let tree = if let Some((span, node)) = fields.value(cx, "route") {
        routes::import(cx, node, span, &names)
    } else {
        cx.error_with(fields.at, "the file has no `route`", "is it an alertmanager.yml?");
        None
    };
    let mut comments = global.comments;
    comments.extend(elsewhere(cx, &mut fields));
    unknown_keys(cx, fields, "the file");
    if receivers.iter().any(|receiver| receiver.service == "pagerduty")
        && let Some(span) = receivers::first(&declared, "pagerduty")
    {
        cx.warn_with(span, ONE_INCIDENT, "an alert that joins a group opens an incident of its own");
        comments.push(format!("PagerDuty: {ONE_INCIDENT}."));
    }
    let mut tree = tree?;
    somebody_at_the_root(&mut tree, &mut receivers, &mut variables);
    let variables = variables.finish();
    let text = render::render(&Parts { options, comments, receivers, tree, variables: &variables });
    Some(Imported { text, variables })
}

/// What stands at the top of the file and is not for us.
fn elsewhere(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Vec<String> {
    let mut comments = Vec::new();
    if let Some((span, _)) = fields.value(cx, "templates") {
        let hint = "messages are alertrouter's own";
        cx.warn_with(span, "`templates` has no counterpart", hint);
        comments.push(format!("Left out: `templates`; {hint}."));
    }
    let stays = ["inhibit_rules", "time_intervals", "mute_time_intervals", "tracing", "event_recorder"];
    let stays: Vec<&str> = stays.into_iter().filter(|key| fields.value(cx, key).is_some()).collect();
    if !stays.is_empty() {
        let verb = if stays.len() == 1 { "stays" } else { "stay" };
        comments.push(format!("{} {verb} in alertmanager.yml.", values::words(&stays)));
    }
    comments
}

/// Our root must tell somebody, even where a route below it takes every alert.
fn somebody_at_the_root(tree: &mut Tree, receivers: &mut Vec<Receiver>, variables: &mut Variables) {
    if tree.root.receivers.as_ref().is_none_or(|receivers| !receivers.is_empty()) {
        return;
    }
    if receivers.is_empty() {
        let url = variables.placeholder("nobody", "any address: nothing is ever sent to it");
        receivers.push(Receiver {
            name: "nobody".to_owned(),
            comments: vec!["TODO: the original tells nobody, and there must be a receiver.".to_owned()],
            service: "webhook",
            keys: vec![("url", url)],
            ..Receiver::default()
        });
    }
    tree.root.receivers = receivers.first().map(|receiver| vec![receiver.name.clone()]);
    tree.root.comments.push("No alert stays with the root: the last route drops what is left.".to_owned());
}

/// Warns of every key that is known to nobody here.
fn unknown_keys(cx: &mut Context<'_>, fields: Fields<'_>, what: &str) {
    for Rest { key, span, .. } in fields.rest(cx) {
        unknown_key(cx, key, span, what);
    }
}

fn unknown_key(cx: &mut Context<'_>, key: Option<&str>, span: Span, what: &str) {
    let name = key.map(|key| format!(" `{key}`")).unwrap_or_default();
    let hint = "it is left out; is it a slip, or from a newer Alertmanager?";
    cx.warn_with(span, format!("unknown key{name} in {what}"), hint);
}
