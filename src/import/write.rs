//! How YAML and its comments are written: the same input always gives the same text, one thing a line where it is long.

use std::fmt::Write as _;

/// Where lines of prose are broken, and lists spread over several lines.
const WIDTH: usize = 110;

/// A file as it grows, line by line.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A line of YAML, indented by so many blanks.
    pub(super) fn line(&mut self, indent: usize, line: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Prose as a comment. Whatever comes from the file stays on its line.
    pub(super) fn comment(&mut self, indent: usize, prose: &str) {
        self.hanging(indent, "# ", "# ", prose);
    }

    /// The same as an item of a list: its later lines are indented below its text.
    pub(super) fn item(&mut self, indent: usize, mark: &str, prose: &str) {
        let below = format!("# {}", " ".repeat(mark.chars().count()));
        self.hanging(indent, &format!("# {mark}"), &below, prose);
    }

    fn hanging(&mut self, indent: usize, first: &str, below: &str, prose: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in prose.split(' ') {
            if !empty && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(indent, &harmless(line.trim_end()));
                below.clone_into(&mut line);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(indent, &harmless(line.trim_end()));
    }

    /// A line of YAML that is only shown.
    pub(super) fn shown(&mut self, indent: usize, line: &str) {
        let comment = format!("#   {line}");
        self.line(indent, &harmless(comment.trim_end()));
    }

    /// `key: [a, b]`, or one item a line where that is too long or hard to read.
    pub(super) fn list(&mut self, indent: usize, first: &str, key: &str, items: &[String]) {
        let flow = format!("{first}{key}: {}", flow(items));
        let is_short = items.len() < 2 || !items.iter().any(|item| item.contains('"'));
        if is_short && indent + flow.chars().count() <= WIDTH || items.is_empty() {
            return self.line(indent, &flow);
        }
        self.line(indent, &format!("{first}{key}:"));
        for item in items {
            self.line(indent + first.len() + 2, &format!("- {}", scalar(item)));
        }
    }
}

/// `[a, b]`.
pub(super) fn flow(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", "))
}

/// A text that may stand in a comment: on one line, and nothing that a terminal would obey.
fn harmless(text: &str) -> String {
    let escape = |c: char| if is_printable(c) { vec![c] } else { c.escape_unicode().collect() };
    text.chars().flat_map(escape).collect()
}

/// Whether YAML takes the character as it is, on one line.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// What YAML 1.1 or 1.2 reads as something else than text.
const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// A text as YAML: plain where nobody could take it for anything else, also inside of `[…]`; else in quotes.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+@=~!|^$*()\\?\"< >".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    if begins && text.chars().all(is_plain) && !text.ends_with(' ') && !WORDS.contains(&&*text.to_ascii_lowercase()) {
        return text.to_owned();
    }
    if text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            c => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Limits, Shown, Value, parse};

    #[test]
    fn quotes_only_what_needs_it() {
        let check = |text: &str, expected: &str| assert_eq!(scalar(text), expected);
        check("team-x", "team-x");
        check("severity=\"critical\"", "severity=\"critical\"");
        check("a=~\"b|c.*\\\\d+\"", "a=~\"b|c.*\\\\d+\"");
        check("/run/secrets/x", "/run/secrets/x");
        check("", "''");
        check("null", "'null'");
        check("No", "'No'");
        check("24x7", "'24x7'");
        check("a: b", "'a: b'");
        check("a #b", "'a #b'");
        check("it's", "'it''s'");
        check("[a]", "'[a]'");
        check("größe", "'größe'");
        check("a\nb\u{7}\"", "\"a\\nb\\U00000007\\\"\"");
    }

    #[test]
    fn prose_is_broken_and_stays_a_comment() {
        let mut page = Page::default();
        page.item(2, "- ", &format!("{} {} end\nroute: x", "a".repeat(60), "b".repeat(60)));
        let expected = format!("  # - {}\n  #   {} end\\u{{a}}route: x\n", "a".repeat(60), "b".repeat(60));
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn lists_are_spread_where_they_are_long() {
        let mut page = Page::default();
        let items = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        page.list(0, "- ", "matchers", &items(&["a=\"b\""]));
        page.list(0, "- ", "matchers", &items(&["a=\"b\"", "c=\"d\""]));
        page.list(2, "", "receivers", &items(&["a", "b"]));
        page.list(2, "", "receivers", &items(&["a".repeat(60).as_str(), "b".repeat(60).as_str()]));
        page.list(2, "", "receivers", &[]);
        insta::assert_snapshot!(page.finish(), @r#"
        - matchers: [a="b"]
        - matchers:
            - a="b"
            - c="d"
          receivers: [a, b]
          receivers:
            - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            - bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
          receivers: []
        "#);
    }

    proptest! {
        #[test]
        fn is_read_back(texts in proptest::collection::vec(r#"[ -~\t\n\r]{0,12}|\PC{0,8}|[a-z"'\\:#,\[\]{}&*!|>%@`\u{85}\u{2028}\u{feff}-]{1,10}"#, 1..4)) {
            let mut page = Page::default();
            page.comment(0, &texts.concat());
            page.list(0, "", "x", &texts);
            page.line(0, &format!("y: {}", flow(&texts)));
            let text = page.finish();
            let document = parse(text.as_bytes(), &Limits::GENERATED, Shown::WhatIsAllowed);
            let Value::Map(entries) = document.unwrap_or_else(|problem| panic!("{problem:?}\n{text}")).root.value else { panic!("{text}") };
            for (_, list) in &entries {
                let Value::List(items) = &list.value else { panic!("{text}") };
                let got: Vec<_> = items.iter().map(|item| match &item.value {
                    Value::Scalar(text) => text.as_str(),
                    other => panic!("{other:?} in {text}"),
                }).collect();
                prop_assert_eq!(got, texts.iter().map(String::as_str).collect::<Vec<_>>(), "{}", &text);
            }
        }
    }
}
