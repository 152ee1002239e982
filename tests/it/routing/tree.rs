//! Random trees: as data, as an alertmanager.yml, as a routes.yaml.

use std::fmt::Write as _;

use alertrouter::route::matcher::Op;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::amtool::{matcher, yaml};

/// Few names, so that most matchers find their label.
const NAMES: &[&str] = &["a", "b", "severity", "x:y", "_1"];

/// What labels hold and matchers compare with. What comes first is tried first when a difference is made smaller.
const VALUES: &[&str] = &[
    "", "a", "b", "ab", "A", "aa", "é", "É", "日本", "a b", " a", "a ", "a\nb", "\n", "a\n", "a\"b", "\"", "a\\b",
    "\\", "\\n", "a,b", ",", "{a}", "{", "}", "a=b", "=", "~a", "!a", "'", "`", "1", "42", "٤٢", "a.b", "axb", "a_1",
    "\t", "a\r", "\r", "\u{b}", "\u{212a}", "k", "s", "ſ", "#", "a: b", "-", "a|b", "\u{a0}", "α", "🙂", "\u{1}",
    "\u{7f}", "\u{85}", "\u{feff}", "@a", "$", "^", "a*",
];

/// Regular expressions of which each asks for something that RE2 has and others have otherwise. The differences that
/// `route::matcher::pattern` documents are left out: nested repetitions of more than 1000, `(?<name>…)`, `\pl`, `a)(b`.
#[rustfmt::skip]
const REGEXES: &[&str] = &[
    "a", "a|b", "", ".", ".*", ".+", "a.*", ".*b", "a?", "(a|b)+", "(?:a|)b?", "a||b", "|", "()", "(?:)", "^", "$",
    "^a$", "^a|b$", "a^", "$a", r"\Aa\z", r"\z", r"a\b.*", r".*\bb", r"\B", r"a\Bb", r"\b", r"\d+", r"\D+", r"\w+",
    r"\W", r"\W+", r"\s", r"\s+", r"\S+", r"[\d.]+", r"[^\d]", r"[^\w]+", r"[\s,]+", "(?i)A", "(?i:a)b?", "(?i)é",
    "(?i)K", "(?i)s", "(?-i)a", "(?i)[k-l]", r"(?i)\w", "[ab]", "[^a]", "[^a]*", "[a-c]+", "[]a]", "[^]a]", "[a-]",
    "[-a]", "[[]", "[a&&b]", "[a~~b]", "[+--]", "[[:alpha:]]+", "[[:^digit:]]", "[[:word:]]+", "[[:space:]]",
    "[[:^alpha:]a]+", "(?s).*", "(?s)a.b", "(?s:.)", "a.b", "(?m)^a$", r"(?m)a$\nb", "(?m)^b", "(?ms)^a.b$", "a\\nb",
    "a\nb", r"\x61", r"\x{e9}", r"\pL+", r"\PL", r"\p{Greek}", r"\p{^Greek}", r"\p{Lu}", r"[\p{L}\d]+", r"[\pL]+",
    r"\Qa.b\E", r"\Q\E", r"\Qa|b\E|\Q{\E", "a{2}", "a{1,2}", "a{0,}", "a{,2}", "a{", "a{,", "{", "}", "a}", "]",
    r"\{a\}", "é", ".é?", "日本", "[é日]+", r"\.", r"a\.b", r"\-", r"\<a\>", r"\'", r"\`", r"\#", r"\ ", r"\,", "\"",
    r"\\", "a\\\\b", "(?U)a+", "a*?", "a??", "a{1}?", ".{2}", ".{1,3}", r"(?P<x>a)", r"\101", r"\0", r"\07", r"\t",
    r"\v", r"\f", r"\a", r"\r", "a b", " a", "a ", "#", "a: b", ",", "a,b", "(a),(b)", "~a", "'", "-|@a", r"\$",
    r"\^", r"a\*",
];

#[derive(Debug, Clone)]
pub struct Matcher {
    name: &'static str,
    op: &'static str,
    value: String,
    style: Style,
}

/// How a matcher is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Quoted,
    Spaced,
    /// Without quotes, if the value allows it.
    Bare,
    /// With single backslashes, as only the classic syntax has it, if the value allows it.
    Backslashes,
}

/// A route.
#[derive(Debug, Clone)]
pub struct Node {
    /// Which receiver; `None` for its parent's.
    receiver: Option<u8>,
    entries: Vec<Entry>,
    /// What amtool reads as `match` or `match_re`.
    deprecated: Vec<Matcher>,
    continues: bool,
    routes: Vec<Self>,
}

/// One entry of `matchers`.
#[derive(Debug, Clone)]
struct Entry {
    matchers: Vec<Matcher>,
    braces: bool,
    trailing_comma: bool,
}

/// A label as an argument: `name="value"`.
pub fn any_label() -> impl Strategy<Value = String> {
    (select(NAMES), any_value()).prop_map(|(name, value)| matcher(name, "=", value))
}

/// Often one of a few, so that much is equal.
fn any_value() -> impl Strategy<Value = &'static str> {
    prop_oneof![select(&VALUES[..4]), select(VALUES)]
}

/// A root and up to four levels below it.
pub fn any_tree() -> impl Strategy<Value = Node> {
    let leaf = any_route(Just(Vec::new()).boxed());
    let below = leaf.prop_recursive(3, 24, 4, |below| any_route(vec(below, 0..5).boxed()));
    vec(below, 0..6).prop_map(|routes| Node {
        receiver: Some(0),
        entries: Vec::new(),
        deprecated: Vec::new(),
        continues: false,
        routes,
    })
}

fn any_route(routes: BoxedStrategy<Vec<Node>>) -> impl Strategy<Value = Node> {
    let receiver = proptest::option::weighted(0.7, 1..6_u8);
    (receiver, vec(any_entry(), 0..3), vec(any_matcher(), 0..2), any::<bool>(), routes).prop_map(
        |(receiver, entries, mut deprecated, continues, routes)| {
            // A map has each name once, and takes no colon in it.
            deprecated.retain(|matcher| matcher.op.starts_with('=') && !matcher.name.contains(':'));
            Node { receiver, entries, deprecated, continues, routes }
        },
    )
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (vec(any_matcher(), 0..3), any::<bool>(), any::<bool>()).prop_map(|(matchers, braces, trailing_comma)| Entry {
        matchers,
        braces,
        trailing_comma,
    })
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let equal = (select(&["=", "!="][..]), any_value().prop_map(str::to_owned));
    let regex = prop_oneof![4 => select(REGEXES).prop_map(str::to_owned), 1 => any_regex()];
    let regex = (select(&["=~", "!~"][..]), regex);
    let styles = [Style::Quoted, Style::Spaced, Style::Bare, Style::Backslashes];
    (select(NAMES), prop_oneof![equal, regex], select(styles.to_vec())).prop_map(|(name, (op, value), style)| Matcher {
        name,
        op,
        value,
        style,
    })
}

/// One that can be read: `matchers` holds the others against amtool.
fn any_regex() -> impl Strategy<Value = String> {
    let readable = |regex: &String| alertrouter::route::matcher::Matcher::new("a", Op::Match, regex.as_str()).is_ok();
    awkward_regex().prop_filter("is no regular expression", readable)
}

/// Any text that may be one, without what only one of the two takes.
pub fn awkward_regex() -> impl Strategy<Value = String> {
    r"[ab.|*+?()\[\]^$\\dwsbQEpL{},1n:i-]{1,7}".prop_filter("a documented difference", |regex| {
        let mut depth = 0;
        let balanced = regex.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        });
        let name = regex.split("\\p").nth(1).map(|name| name.trim_start_matches(['{', '^']));
        balanced && !regex.contains("(?<") && name.is_none_or(|name| name.starts_with('L'))
    })
}

impl Matcher {
    fn text(&self) -> String {
        let Self { name, op, value, style } = self;
        // What would be cut, end the matcher or be an escape; `=` and `~` would become the operator's.
        let special = |c: char| c.is_control() || ",\"{}\\".contains(c);
        let ends = |text: &str| text.trim() != text || text.starts_with('~');
        // Before anything else a backslash stands for itself.
        let escapes = |text: &str| ["\\\\", "\\n", "\\\"", "\""].iter().any(|escape| text.contains(escape));
        match style {
            Style::Spaced => format!("  {} ", matcher(name, &format!(" {op}\t"), value)),
            Style::Bare if !value.contains(special) && !ends(value) => format!("{name}{op}{value}"),
            Style::Backslashes if !escapes(value) && !value.ends_with('\\') => format!("{name}{op}\"{value}\""),
            _ => matcher(name, op, value),
        }
    }
}

impl Node {
    fn matchers(&self) -> Vec<String> {
        let text = |entry: &Entry| {
            let all: Vec<String> = entry.matchers.iter().map(Matcher::text).collect();
            let comma = if entry.trailing_comma && !all.is_empty() { "," } else { "" };
            let (open, close) = if entry.braces { ("{", "}") } else { ("", "") };
            format!("{open}{}{comma}{close}", all.join(","))
        };
        self.entries.iter().map(text).collect()
    }

    pub fn alertmanager_yml(&self) -> String {
        let mut file = "route:\n".to_owned();
        self.write(&mut file, 1, &|node, file, indent| {
            if let Some(receiver) = node.receiver {
                let _ = writeln!(file, "{indent}receiver: r{receiver}");
            }
            write_matchers(file, indent, &node.matchers());
            for (key, op) in [("match", "="), ("match_re", "=~")] {
                let of_kind = node.deprecated.iter().filter(|matcher| matcher.op == op);
                let pairs: Vec<String> = of_kind.map(|m| format!("{}: {}", m.name, yaml(&m.value))).collect();
                if !pairs.is_empty() {
                    let _ = writeln!(file, "{indent}{key}: {{{}}}", pairs.join(", "));
                }
            }
        });
        file + "receivers: [{name: r0}, {name: r1}, {name: r2}, {name: r3}, {name: r4}, {name: r5}]\n"
    }

    pub fn routes_yaml(&self) -> String {
        let mut file = "receivers:\n".to_owned();
        for receiver in 0..6 {
            let _ = writeln!(file, "- {{name: r{receiver}, webhook: {{url: 'http://127.0.0.1:9/'}}}}");
        }
        file.push_str("route:\n");
        self.write(&mut file, 1, &|node, file, indent| {
            if let Some(receiver) = node.receiver {
                let _ = writeln!(file, "{indent}receivers: [r{receiver}]");
            }
            let deprecated = node.deprecated.iter().map(|m| matcher(m.name, m.op, &m.value));
            write_matchers(file, indent, &[node.matchers(), deprecated.collect()].concat());
        });
        file
    }

    /// What the two files have in common; `own` writes what they have not.
    fn write(&self, file: &mut String, depth: usize, own: &dyn Fn(&Self, &mut String, &str)) {
        let indent = "  ".repeat(depth);
        own(self, file, &indent);
        if self.continues {
            let _ = writeln!(file, "{indent}continue: true");
        }
        if !self.routes.is_empty() {
            let _ = writeln!(file, "{indent}routes:");
        }
        for route in &self.routes {
            let _ = writeln!(file, "{indent}- # a route");
            route.write(file, depth + 1, own);
        }
    }
}

fn write_matchers(file: &mut String, indent: &str, matchers: &[String]) {
    // At the root our file refuses even an empty list.
    if !matchers.is_empty() {
        let matchers: Vec<String> = matchers.iter().map(|item| yaml(item)).collect();
        let _ = writeln!(file, "{indent}matchers: [{}]", matchers.join(", "));
    }
}
