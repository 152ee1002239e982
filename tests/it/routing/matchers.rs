//! Random matchers: which of them amtool takes, how it reads them and what they match.
//!
//! Debian's amtool has the classic parser only. What only our UTF-8 parser reads, amtool has to refuse.

use std::fmt::Write as _;

use alertrouter::alert::Labels;
use alertrouter::route::matcher::{Matcher, Parsed, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::amtool::{self, matcher, yaml};
use super::tree::awkward_regex;
use super::{Difference, never_differs};
use crate::harness::Folder;

#[test]
fn matchers_are_read_as_amtool_reads_them() {
    never_differs(60, &vec(any_matchers(), 1..24), |texts| same(texts));
}

/// Mostly what people write, with what they get wrong.
fn any_matchers() -> impl Strategy<Value = String> {
    let names =
        prop_oneof![12 => select(&["a", "b", "x:y", "_1"]), 1 => select(&["", "1a", "é", "\"a\"", "a b", "a.b"])];
    let ops = prop_oneof![20 => select(&["=", "!=", "=~", "!~"]), 1 => select(&["", "==", "=!", "~", "!", "= ="])];
    let values = prop_oneof![
        3 => "[ab.1|]{0,3}",
        3 => "\"[ab.1| ,{}=~!'é]{0,4}\"",
        3 => "\"([ab, é}]|\\\\[\\\\\"nbx1]){0,3}\"",
        1 => "[ab={}~!'\\\\\"n.|*é -]{0,4}",
        1 => "\"[ab\\\\n\"x,{}= é\n.|*'~]{0,5}\"?",
        1 => awkward_regex(),
        2 => awkward_regex().prop_map(|regex| matcher("", "", &regex)),
    ];
    let space = || prop_oneof![20 => Just(""), 1 => select(&[" ", "\t", "\n", "\r", "\u{b}", "\u{a0}", "\u{85}"])];
    let one = (space(), names, space(), ops, space(), values, space())
        .prop_map(|(s1, name, s2, op, s3, value, s4)| [s1, name, s2, op, s3, &value, s4].concat());
    let separator = || prop_oneof![20 => Just(","), 1 => select(&["", " ", ",,", "},{", "} "])];
    let last = prop_oneof![3 => Just(""), 1 => Just(","), 1 => separator()];
    let several = (one.clone(), vec((separator(), one), 0..2), last).prop_map(|(first, more, last)| {
        let more: String = more.iter().flat_map(|(separator, one)| [*separator, one]).collect();
        format!("{first}{more}{last}")
    });
    let braces = prop_oneof![
        8 => select(&[("", ""), ("{", "}")]),
        1 => select(&[("{", ""), ("", "}"), ("{{", "}}"), (" {", "} "), ("{,", "")]),
    ];
    let written = (braces, several).prop_map(|((open, close), text)| format!("{open}{text}{close}"));
    prop_oneof![8 => written, 1 => "[ab=~!{},\"\\\\ \né_:1.|-]{0,10}"]
}

fn same(texts: &[String]) -> Result<(), Difference> {
    let mut taken = Vec::new();
    for text in texts {
        match parse(text) {
            Ok(Parsed { matchers, classic: true, .. }) => taken.push((text, matchers)),
            ours => refused(text, &ours)?,
        }
    }
    let folder = Folder::new();
    let config = folder.0.join("alertmanager.yml");
    std::fs::write(&config, file(taken.iter().map(|(text, _)| text.as_str()))).unwrap();
    let shown =
        amtool::routes_show(&config).map_err(|why| format!("amtool refuses one of these:\n{taken:#?}\n{why}"))?;
    for (n, (text, matchers)) in taken.iter().enumerate() {
        let line = line(n, matchers);
        if !shown.lines().any(|shown| shown.ends_with(&line)) {
            return Err(format!("amtool reads {text:?} otherwise than {line}:\n{shown}"));
        }
    }
    let empty = [None].into_iter();
    empty.chain(taken.iter().map(Some)).try_for_each(|of| {
        let matchers = of.map(|(_, matchers)| matchers.as_slice()).unwrap_or_default();
        same_match(&config, &taken, matchers)
    })
}

/// Holds `taken` against labels that equal what some of the matchers compare with.
fn same_match(
    config: &std::path::Path,
    taken: &[(&String, Vec<Matcher>)],
    matchers: &[Matcher],
) -> Result<(), Difference> {
    let labels: Labels = matchers.iter().map(|matcher| (matcher.name(), matcher.value())).collect();
    let arguments: Vec<String> = labels.iter().map(|(name, value)| matcher(name, "=", value)).collect();
    let matched = |(n, (_, matchers)): (usize, &(&String, Vec<Matcher>))| {
        matchers.iter().all(|matcher| matcher.matches(&labels)).then(|| format!("r{n}"))
    };
    let names: Vec<String> = taken.iter().enumerate().filter_map(matched).collect();
    let ours = if names.is_empty() { "none".to_owned() } else { names.join(",") };
    let amtool = amtool::routes_test(config, &arguments);
    if amtool.as_ref() == Ok(&ours) {
        return Ok(());
    }
    Err(format!("{labels} matches {ours}, to amtool {amtool:?} of\n{taken:#?}"))
}

/// The classic parser refuses it here, so amtool must.
fn refused(text: &str, ours: &impl std::fmt::Debug) -> Result<(), Difference> {
    let folder = Folder::new();
    let config = folder.0.join("alertmanager.yml");
    std::fs::write(&config, file([text].into_iter())).unwrap();
    match amtool::routes_show(&config) {
        Err(why) if why.contains("yaml:") => Err(format!("{text:?} did not reach amtool's parser: {why}")),
        Err(_) => Ok(()),
        Ok(shown) => Err(format!("only amtool reads {text:?}, here {ours:?}:\n{shown}")),
    }
}

/// A route for each text, all of which are asked.
fn file<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let (mut routes, mut receivers) = (String::new(), String::new());
    for (n, text) in texts.enumerate() {
        let _ = writeln!(routes, "  - {{matchers: [{}], receiver: r{n}, continue: true}}", yaml(text));
        let _ = write!(receivers, ", {{name: r{n}}}");
    }
    format!("route:\n  receiver: none\n  routes:\n{routes}receivers: [{{name: none}}{receivers}]\n")
}

/// The end of a route's line as amtool prints it.
fn line(n: usize, matchers: &[Matcher]) -> String {
    let mut sorted: Vec<&Matcher> = matchers.iter().collect();
    sorted.sort_by_key(|matcher| (matcher.name(), matcher.value(), matcher.op()));
    let matchers = match sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",") {
        none if none.is_empty() => "default-route".to_owned(),
        all => format!("{{{all}}}"),
    };
    format!(" {matchers}  continue: true  receiver: r{n}")
}
