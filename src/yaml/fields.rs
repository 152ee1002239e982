//! The entries of a map: the known ones are taken, the rest is reported.

use super::node::{Node, Span, Value};
use super::suggest::closest;
use super::walk::Context;

/// What to say of a key that is not known at its place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Note {
    /// Known elsewhere: the key and what to do instead.
    Instead(&'static str, &'static str),
}

/// The entries of a map. [`Fields::close`] reports those that nobody asked for.
pub(crate) struct Fields<'n> {
    /// What the map is, for messages: "a receiver", "`slack`".
    what: &'static str,
    /// Where to say that something is missing.
    pub(crate) at: Span,
    entries: Vec<Entry<'n>>,
    asked: Vec<&'static str>,
}

/// An entry that nobody asked for.
pub(crate) struct Rest<'n> {
    /// `None` if it may be a secret that lost its key.
    pub(crate) key: Option<&'n str>,
    /// The key's place.
    pub(crate) span: Span,
    pub(crate) value: &'n Node,
}

struct Entry<'n> {
    key: &'n str,
    span: Span,
    value: &'n Node,
}

impl<'n> Fields<'n> {
    /// Reads a map; reports keys that are no text, and duplicates.
    pub(crate) fn open(cx: &mut Context<'_>, node: &'n Node, at: Span, what: &'static str) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            let span = if node.span.start == node.span.end { at } else { node.span };
            cx.error(span, format!("{what} must be a map, and this is {}", node.kind()));
            return None;
        };
        let mut entries: Vec<Entry<'n>> = Vec::with_capacity(map.len());
        for (key, value) in map {
            let Value::Scalar(text) = &key.value else {
                cx.error(key.span, format!("a key must be a word, and this is {}", key.kind()));
                continue;
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                let hint = format!("it was first given in line {}", cx.source.line(first.span.start));
                let name = if is_word(text) { format!(" `{text}`") } else { String::new() };
                if is_word(text) {
                    cx.source.show(key.span);
                }
                cx.error_with(key.span, format!("duplicate key{name}"), hint);
                continue;
            }
            entries.push(Entry { key: text, span: key.span, value });
        }
        Some(Self { what, at, entries, asked: Vec::new() })
    }

    /// The key's place and value, if it is there. A key without a value is reported and counts as absent.
    pub(crate) fn take_with_key(&mut self, cx: &mut Context<'_>, key: &'static str) -> Option<(Span, &'n Node)> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        cx.source.show(entry.span);
        if matches!(entry.value.value, Value::Null) {
            cx.error_with(entry.span, format!("`{key}` has no value"), "give it one, or remove the key");
            return None;
        }
        Some((entry.span, entry.value))
    }

    /// The value, if it is there.
    pub(crate) fn take(&mut self, cx: &mut Context<'_>, key: &'static str) -> Option<&'n Node> {
        self.take_with_key(cx, key).map(|(_, value)| value)
    }

    /// The value, if there is one: a key without a value is as good as none, as in Prometheus' own files.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.value).filter(|value| !matches!(value.value, Value::Null))
    }

    /// Keys that are known and none of our business.
    pub(crate) fn skip(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    /// The value, which must be there.
    pub(crate) fn require(&mut self, cx: &mut Context<'_>, key: &'static str) -> Option<&'n Node> {
        if !self.has(key) {
            self.asked.push(key);
            cx.error_with(self.at, format!("{} needs `{key}`", self.what), format!("add `{key}: …`"));
            return None;
        }
        self.take(cx, key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The key's place and value. A key without a value counts as absent: for files of others, who read it so.
    pub(crate) fn value(&mut self, cx: &mut Context<'_>, key: &'static str) -> Option<(Span, &'n Node)> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        cx.source.show(entry.span);
        (!matches!(entry.value.value, Value::Null)).then_some((entry.span, entry.value))
    }

    /// The key's place and value, perhaps none, for a look: the key stays one that nobody asked for.
    pub(crate) fn peek(&self, key: &str) -> Option<(Span, &'n Node)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some((entry.span, entry.value))
    }

    /// What nobody asked for, in the order of the file: for files that may hold more than we know.
    pub(crate) fn rest(self, cx: &mut Context<'_>) -> Vec<Rest<'n>> {
        let asked = self.asked;
        let rest = self.entries.into_iter().filter(|entry| !asked.contains(&entry.key)).map(|entry| {
            let key = is_word(entry.key).then_some(entry.key);
            if key.is_some() {
                cx.source.show(entry.span);
            }
            Rest { key, span: entry.span, value: entry.value }
        });
        rest.collect()
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn close(self, cx: &mut Context<'_>, notes: &[Note]) {
        for entry in &self.entries {
            if !self.asked.contains(&entry.key) {
                self.unknown(cx, entry, notes);
            }
        }
    }

    /// Reports the keys that look like a slip of one that was asked for, and passes over the others: for files of which
    /// other programs know more than we do.
    pub(crate) fn close_if_near(self, cx: &mut Context<'_>) {
        let near = |key: &str| is_word(key) && closest(key, self.asked.iter().copied()).is_some();
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.key) && near(entry.key)) {
            self.unknown(cx, entry, &[]);
        }
    }

    fn unknown(&self, cx: &mut Context<'_>, entry: &Entry<'_>, notes: &[Note]) {
        let Entry { key, span, value } = *entry;
        if !is_word(key) {
            // It may be a secret that lost its key.
            cx.error(span, format!("unknown key in {}", self.what));
            return;
        }
        cx.source.show(span);
        for note in notes {
            let Note::Instead(name, hint) = *note;
            if name == key {
                return cx.error_with(span, format!("unknown key `{key}`"), hint);
            }
        }
        let Some(near) = closest(key, self.asked.iter().copied()) else {
            let known = self.asked.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            return cx.error_with(span, format!("unknown key `{key}` in {}", self.what), format!("it knows {known}"));
        };
        cx.error_with(span, format!("unknown key `{key}`"), format!("did you mean `{near}`?"));
        // The value helps to see what was meant; it is shown only if it can be no secret.
        if OPEN_KEYS.contains(&near) {
            let mut scalars = Vec::new();
            value.scalars(&mut scalars);
            for span in scalars {
                cx.source.show(span);
            }
        }
    }
}

/// Keys of which no value ever holds a secret.
const OPEN_KEYS: [&str; 8] =
    ["name", "matchers", "continue", "repeat_interval", "send_resolved", "rate_limit", "timeout", "settle"];

/// Whether a key looks like one, and not like a secret in its place.
fn is_word(key: &str) -> bool {
    key.len() <= 32 && key.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'))
}
