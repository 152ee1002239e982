//! Slack's channels. In Alertmanager many receivers share one `api_url` and differ by `channel`; an incoming webhook of a
//! Slack app has one channel and takes no other. So a shared address becomes one for each channel.

use super::global::Global;
use crate::yaml::{Node, Value};

/// Where an address comes from: the same address is the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'n> {
    Literal(&'n str),
    File(&'n str),
}

/// The addresses of the file, each with the channels that it serves.
#[derive(Debug, Default)]
pub(super) struct Channels<'n>(Vec<(Place<'n>, Vec<Option<&'n str>>)>);

impl<'n> Channels<'n> {
    /// Looks at all `slack_configs`.
    pub(super) fn of(integrations: impl Iterator<Item = &'n Node>, global: &Global<'n>) -> Self {
        let mut all = Self::default();
        for node in integrations {
            let global = || place(global.slack_api_url.and_then(text), global.slack_api_url_file.and_then(text));
            let Some(place) = place(field(node, "api_url"), field(node, "api_url_file")).or_else(global) else {
                continue;
            };
            let channel = field(node, "channel");
            match all.0.iter_mut().find(|(known, _)| *known == place) {
                Some((_, channels)) if channels.contains(&channel) => {}
                Some((_, channels)) => channels.push(channel),
                None => all.0.push((place, vec![channel])),
            }
        }
        all
    }

    /// Whether an address serves several channels.
    pub(super) fn share(&self, place: Place<'_>) -> bool {
        self.0.iter().any(|(known, channels)| *known == place && channels.len() > 1)
    }
}

fn place<'n>(literal: Option<&'n str>, file: Option<&'n str>) -> Option<Place<'n>> {
    literal.map(Place::Literal).or(file.map(Place::File))
}

fn field<'n>(node: &'n Node, wanted: &str) -> Option<&'n str> {
    let Value::Map(entries) = &node.value else { return None };
    let is_wanted = |key: &Node| matches!(&key.value, Value::Scalar(key) if key == wanted);
    entries.iter().find(|(key, _)| is_wanted(key)).and_then(|(_, value)| text(value))
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}
