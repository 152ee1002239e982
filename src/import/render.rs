//! The imported file as text.

use super::Options;
use super::integration::Receiver;
use super::routes::{Route, Tree};
use super::secret::Variable;
use super::write::{Page, scalar};
use crate::yaml::duration;

/// Everything that the text is made of.
pub(super) struct Parts<'a> {
    pub(super) options: &'a Options,
    /// What has no place of its own below.
    pub(super) comments: Vec<String>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) tree: Tree,
    pub(super) variables: &'a [Variable],
}

/// The text of routes.yaml.
pub(super) fn render(parts: &Parts<'_>) -> String {
    let mut page = Page::default();
    header(&mut page, parts);
    page.line(0, "receivers:");
    for (number, receiver) in parts.receivers.iter().enumerate() {
        if number > 0 {
            page.blank();
        }
        self::receiver(&mut page, receiver);
    }
    page.blank();
    page.line(0, "route:");
    route(&mut page, 2, &parts.tree.root, true);
    page.finish()
}

fn header(page: &mut Page, parts: &Parts<'_>) {
    let Parts { options, tree, .. } = parts;
    page.comment(0, &format!("Made by `alertrouter import` from {}.", options.file));
    page.line(0, "#");
    page.comment(0, "What to do next:");
    page.line(0, "#");
    page.item(0, "1. ", &to_fill_in(parts));
    page.item(
        0,
        "2. ",
        "Point Alertmanager here. It goes on grouping, inhibiting and muting; it no longer decides who hears of what. In \
         alertmanager.yml, this takes the place of all receivers:",
    );
    alertmanager(page, tree);
    for comment in &parts.comments {
        page.line(0, "#");
        page.comment(0, comment);
    }
    page.blank();
}

/// What is missing in the file.
fn to_fill_in(parts: &Parts<'_>) -> String {
    let has = |placeholders: bool| parts.variables.iter().any(|variable| variable.is_placeholder == placeholders);
    let mut sentences = Vec::new();
    if has(true) {
        sentences.push(
            "Look for TODO below. What could not be imported is a webhook without an address, which keeps its place in \
             the routes: `alertrouter check` fails until its variable is set or it is replaced. Leave to Alertmanager for \
             now what cannot be done otherwise.",
        );
    }
    if parts.options.keep_secrets {
        sentences.push("This file holds secrets: let nobody else read it.");
    }
    if has(false) {
        sentences.push("Set the environment variables that `{ env: … }` names: those secrets were not copied.");
    }
    sentences.push("Then `alertrouter check` it, and ask it: `alertrouter route severity=critical`.");
    sentences.join(" ")
}

/// What alertmanager.yml has to say from now on.
fn alertmanager(page: &mut Page, tree: &Tree) {
    page.line(0, "#");
    for line in [
        "     receivers:",
        "       - name: alertrouter",
        "         webhook_configs:",
        "           - url: http://127.0.0.1:9096/webhook",
        "             send_resolved: true",
    ] {
        page.line(0, &format!("#{line}"));
    }
    page.line(0, "#");
    if tree.must_stay {
        page.item(
            0,
            "   ",
            "and the routes stay, because some of them group or mute in a way of their own (see \"Stays in \
             alertmanager.yml\" below): write `receiver: alertrouter` at the root and remove `receiver` from all routes \
             below it. Then alerts are grouped and muted as before.",
        );
    } else {
        page.item(0, "   ", "and this of the routes:");
        page.line(0, "#");
        page.line(0, "#     route:");
        page.line(0, "#       receiver: alertrouter");
        for (key, value) in &tree.grouping {
            page.line(0, &format!("#       {key}: {value}"));
        }
        let shortest = duration::show(tree.shortest);
        page.line(0, &format!("#       repeat_interval: {shortest} # the shortest one of this file, which decides"));
        page.line(0, "#");
        page.item(
            0,
            "   ",
            "One `group_by` groups everything now: what must not wait for something else needs a label in it that tells \
             them apart, as `severity` does.",
        );
    }
}

fn receiver(page: &mut Page, receiver: &Receiver) {
    page.line(2, &format!("- name: {}", scalar(&receiver.name)));
    for comment in &receiver.comments {
        page.comment(4, comment);
    }
    for line in &receiver.stub {
        page.shown(4, line);
    }
    page.line(4, &format!("{}:", receiver.service));
    for (key, value) in &receiver.keys {
        page.line(6, &format!("{key}: {value}"));
    }
    if let Some(why) = &receiver.no_resolves {
        page.line(4, &format!("send_resolved: false{why}"));
    }
    if let Some(timeout) = &receiver.timeout {
        page.line(4, &format!("timeout: {timeout}"));
    }
}

/// The keys of a route; the first one of a child follows a dash.
fn route(page: &mut Page, indent: usize, route: &Route, is_root: bool) {
    let mut first = if is_root { "" } else { "- " };
    let inside = |first: &str| if is_root || !first.is_empty() { indent } else { indent + 2 };
    for comment in &route.comments {
        page.comment(indent, comment);
    }
    let inherits = route.receivers.is_none() && !route.continues && route.repeat_interval.is_none();
    if !route.matchers.is_empty() || (inherits && !is_root) {
        page.list(inside(first), first, "matchers", &route.matchers);
        first = "";
    }
    if let Some(receivers) = &route.receivers {
        page.list(inside(first), first, "receivers", receivers);
        first = "";
    }
    if route.continues {
        page.line(inside(first), &format!("{first}continue: true"));
        first = "";
    }
    if let Some(interval) = &route.repeat_interval {
        page.line(inside(first), &format!("{first}repeat_interval: {interval}"));
        first = "";
    }
    if !route.routes.is_empty() {
        let indent = inside(first);
        page.line(indent, &format!("{first}routes:"));
        for child in &route.routes {
            self::route(page, indent + 2, child, false);
        }
    }
}
