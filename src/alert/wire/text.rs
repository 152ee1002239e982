//! Strings of JSON as strangers write them: a broken one is mended instead of being refused, and a number is a text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Broken pieces that are marked with U+FFFD, which is longer than what it stands for; further ones with a question mark,
/// so that mending does not make a body larger.
const MARKED: usize = 65_536;

/// `bytes` as text, and whether it had to be mended: what is no UTF-8 becomes `�`, as Go's encoding/json does it.
pub(super) fn decoded(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    // A byte order mark says nothing of UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), false);
    }
    let (mut text, mut marked) = (String::with_capacity(bytes.len()), 0);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(if marked < MARKED { char::REPLACEMENT_CHARACTER } else { '?' });
            marked += 1;
        }
    }
    (Cow::Owned(text), true)
}

/// A value as text: a string is what it says, a number or a boolean what it looks like, a list or an object its JSON.
/// `None` for null.
pub(super) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(unquoted(raw.get())),
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

/// A string; "" for whatever is none.
pub(super) fn string(raw: &RawValue) -> Cow<'_, str> {
    if raw.get().starts_with('"') { unquoted(raw.get()) } else { Cow::Borrowed("") }
}

/// What a JSON string says. Half of a surrogate pair becomes `�`.
fn unquoted(json: &str) -> Cow<'_, str> {
    let inner = json.get(1..json.len() - 1).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    // As bytes, for serde_json refuses half a pair in a string.
    let Ok(Name(text)) = serde_json::from_str(json) else { return Cow::Borrowed(inner) };
    text
}

/// The name of a field, or of a label.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(decoded(bytes).0)
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Cow::Owned(decoded(bytes).0.into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes).map(Self)
    }
}

/// What is filled from an object, field by field. Of a field that is there twice the last one counts, as in most readers.
pub(super) trait Object<'de> {
    /// Takes one field's value from `fields`.
    fn field<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, fields: &mut A) -> Result<(), A::Error>;
}

/// Fills an [`Object`].
pub(super) struct Fill<'t, T>(pub(super) &'t mut T);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for Fill<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for Fill<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = fields.next_key()? {
            self.0.field(name, &mut fields)?;
        }
        Ok(())
    }
}

/// Fills an [`Object`] from the whole of `json`.
pub(super) fn fill<'de, T: Object<'de>>(json: &'de str, object: &mut T) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Fill(object).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// How many bytes `text` has as JSON, which is how it is stored and sent: a control character has six.
pub(super) fn cost(text: &str) -> usize {
    let each = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(each).sum()
}

/// `text` in at most `max` bytes, with an ellipsis where something is missing; and whether it was cut.
pub(super) fn cut(text: &str, max: usize) -> (Cow<'_, str>, bool) {
    const ELLIPSIS: &str = "…";
    if text.len() <= max {
        return (Cow::Borrowed(text), false);
    }
    let end = text.floor_char_boundary(max.saturating_sub(ELLIPSIS.len()));
    (Cow::Owned(format!("{}{ELLIPSIS}", &text[..end])), true)
}

/// What is said of a stranger's text, in one short line that no terminal obeys: it quotes them, and goes to logs.
pub(super) fn shown(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for this in cut(text, max).0.chars() {
        let escaped = this.escape_debug();
        // Those are escaped for Rust's sake.
        if matches!(this, '"' | '\'' | '\\') || escaped.len() == 1 { out.push(this) } else { out.extend(escaped) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_is_mended_and_does_not_grow_much() {
        for (bytes, expected, mended) in [
            (&b"plain"[..], "plain", false),
            (b"\xef\xbb\xbf{}", "{}", false),
            (b"caf\xe9 \xff\xfe x", "caf\u{fffd} \u{fffd}\u{fffd} x", true),
            (b"\xe2\x82", "\u{fffd}", true),
        ] {
            assert_eq!(decoded(bytes), (expected.into(), mended));
        }
        let bytes = vec![0xff; 1024 * 1024];
        let (text, _) = decoded(&bytes);
        assert_eq!((text.len(), text.ends_with('?')), (1024 * 1024 + 2 * MARKED, true));
    }

    #[test]
    fn values_are_texts() {
        for (json, expected) in [
            (r#""a""#, Some("a")),
            (r#""""#, Some("")),
            (r#""a\n\u00e9\"\\""#, Some("a\né\"\\")),
            (r#""\ud83d\ude42""#, Some("🙂")),
            (r#""a\ud800b""#, Some("a\u{fffd}\u{fffd}\u{fffd}b")),
            (r#""\udc00\u0000""#, Some("\u{fffd}\u{fffd}\u{fffd}\0")),
            ("12345678901234567890.50", Some("12345678901234567890.50")),
            ("true", Some("true")),
            ("null", None),
            (r#"[1, "a"]"#, Some(r#"[1, "a"]"#)),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(scalar(raw).as_deref(), expected, "{json}");
            let only_strings = if json.starts_with('"') { expected.unwrap() } else { "" };
            assert_eq!(string(raw), only_strings, "{json}");
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        let evil = "`a` \"b\" é\u{1b}[2J\u{9b}\n\u{202e}\u{200b}x";
        assert_eq!(shown(evil, 100), r#"`a` "b" é\u{1b}[2J\u{9b}\n\u{202e}\u{200b}x"#);
        assert_eq!(shown(&"é".repeat(20), 10), "ééé…");
    }
}
