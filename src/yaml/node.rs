//! YAML as a tree of which every part knows where it stands.
//!
//! Serde's derive stops at the first error. Reading into a tree first, with what the parser is lenient about made
//! strict or left to us, is what lets the rest of `config` report every problem at once.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{AliasLimits, DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Spanned, UserMessageFormatter};

/// A stretch of the source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A part of the file. Under an alias or a merge key it is the place of the definition: that is what one must edit.
#[derive(Debug)]
pub(crate) struct Node {
    /// Scalars with their quotes; of maps and lists only the beginning.
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// Any other scalar, as text: what YAML makes of `5` or `true` depends on who asks.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file, with duplicates.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Its kind in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The places of all scalars, keys among them.
    pub(crate) fn scalars(&self, found: &mut Vec<Span>) {
        match &self.value {
            Value::Null => {}
            Value::Scalar(_) => found.push(self.span),
            Value::List(items) => items.iter().for_each(|item| item.scalars(found)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.scalars(found);
                    value.scalars(found);
                }
            }
        }
    }
}

/// Why the file is no YAML. The message repeats nothing from the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    /// Line and column, from 1; the column counts characters.
    pub(crate) at: Option<(u64, u64)>,
}

/// How deep maps and lists may nest: a route below a route takes two levels.
const MAX_DEPTH: usize = 32;

/// Parses `source`, a single document without byte order mark.
pub(crate) fn parse(source: &str, max_nodes: usize) -> Result<Node, SyntaxError> {
    let raw = serde_yaml::from_str_with_options(source, options(max_nodes)).map_err(|error| syntax_error(&error))?;
    Ok(node(source, raw))
}

/// The same for any number of documents. Those that are empty are left out.
pub(crate) fn parse_all(source: &str, max_nodes: usize) -> Result<Vec<Node>, SyntaxError> {
    let all: Result<Vec<Spanned<Raw>>, _> = serde_yaml::from_multiple_with_options(source, options(max_nodes));
    Ok(all.map_err(|error| syntax_error(&error))?.into_iter().map(|raw| node(source, raw)).collect())
}

fn options(max_nodes: usize) -> serde_yaml::Options {
    // Far above any configuration, far below what would hurt: an alias bomb ends here.
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = 50_000;
    serde_yaml::options! {
        // Every level costs stack, here and wherever the tree is walked.
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: max_nodes,
            // One anchor for the labels of a hundred rules is no attack; what all of them repeat is limited below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits,
        // The walker names both places; the parser would stop at the first duplicate.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn syntax_error(error: &serde_yaml::Error) -> SyntaxError {
    let message = without_quotes(&error.render_with_formatter(&UserMessageFormatter));
    SyntaxError { message, at: error.location().map(|at| (at.line(), at.column())) }
}

/// The library's message without place and without what it repeats of the file, which it puts into backquotes.
fn without_quotes(text: &str) -> String {
    let (before, after) = match (text.find('`'), text.rfind('`')) {
        (Some(first), Some(last)) if first < last => (&text[..first], &text[last + 1..]),
        _ => (text, ""),
    };
    let message = before.trim_end().to_owned() + after;
    message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn node(source: &str, raw: Spanned<Raw>) -> Node {
    let at = raw.defined.span();
    let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok()).unwrap_or_default();
    let start = number(at.byte_offset()).min(source.len());
    let span = Span { start, end: (start + number(at.byte_len())).min(source.len()) };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Plain => Value::Scalar(source.get(span.start..span.end).unwrap_or_default().to_owned()),
        Raw::Text(text) => Value::Scalar(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(source, item)).collect()),
        Raw::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (node(source, key), node(source, value))).collect())
        }
    };
    Node { span, value }
}

/// What serde sees.
enum Raw {
    Null,
    /// A number or a boolean, to be taken from the source as it is written there.
    Plain,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Scalar(text) => text.clone(),
            Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{}={}", show(k), show(v))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn keeps_what_was_written() {
        let check =
            |source: &str, expected: &str| assert_eq!(show(&parse(source, 100_000).unwrap()), expected, "{source}");
        check("", "null");
        check("# nothing\n", "null");
        check("a: 012\r\nb: [yes, no, true, 1e400, .nan]\r\n", "{a=012 b=[yes no true 1e400 .nan]}");
        check("a: 1\na: 2", "{a=1 a=2}");
        check("x: &m {a: 1, b: 2}\ny: {<<: *m, b: 3}", "{x={a=1 b=2} y={b=3 a=1}}");
        check("k: 00000000000000000000000000000001", "{k=00000000000000000000000000000001}");
        check("k: |\n  a\n  b\n", "{k=a\nb\n}");
    }

    #[test]
    fn documents_of_one_file_keep_their_places() {
        let source = "# é\na: 1\n---\n# nothing\n---\nb:\n- x\n...\n";
        let all = parse_all(source, 100).unwrap();
        assert_eq!(all.iter().map(show).collect::<Vec<_>>(), ["{a=1}", "{b=[x]}"]);
        let mut scalars = Vec::new();
        all[1].scalars(&mut scalars);
        let texts: Vec<_> = scalars.iter().map(|span| &source[span.start..span.end]).collect();
        assert_eq!(texts, ["b", "x"]);
        assert_eq!(parse_all("a: 1\n---\nb: [", 100).unwrap_err().at, Some((3, 4)));
    }

    #[test]
    fn one_anchor_may_be_used_often() {
        let source = "a: &a {b: c}\nall:\n".to_owned() + &"- *a\n".repeat(2000);
        let Value::Map(entries) = parse(&source, 100_000).unwrap().value else { panic!() };
        assert!(matches!(&entries[1].1.value, Value::List(items) if items.len() == 2000));
    }

    #[test]
    fn syntax_errors_have_a_place() {
        let check = |source: &str, at: (u64, u64), message: &str| {
            let error = parse(source, 100_000).unwrap_err();
            assert_eq!((error.at, error.message.as_str()), (Some(at), message), "{source}");
        };
        check("a:\n\t- x\n", (2, 2), "tabs disallowed within this context (block indentation)");
        check("a: 1\n b: 2\n", (2, 3), "mapping values are not allowed in this context");
        check("a: *nope", (1, 4), "reference to unknown value");
        check("a: 1\n---\nb: 1\n", (3, 1), "only single YAML document expected but multiple found");
        check("a: !secret x", (1, 12), "unsupported tag");
    }

    #[test]
    fn bombs_are_refused() {
        let level =
            |level| format!("a{}: &a{} [{}]\n", level + 1, level + 1, vec![format!("*a{level}"); 10].join(", "));
        let levels: Vec<String> = (0..9).map(level).collect();
        let bomb = "a0: &a0 [x, x]\n".to_owned() + &levels.concat();
        assert!(
            parse(&bomb, 100_000).unwrap_err().message.contains("too large or too complex"),
            "{:?}",
            parse(&bomb, 100_000)
        );
        assert!(parse(&"[".repeat(100_000), 100_000).is_err());
        assert!(parse(&"- ".repeat(100_000), 100_000).is_err());
        assert!(parse(&"{a: ".repeat(100_000), 100_000).is_err());
        assert!(parse(&"? ".repeat(100_000), 100_000).is_err());
        assert!(parse(&(0..5000).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>(), 100_000).is_err());
    }
}
