//! Random labels on the command line: which of them amtool takes, and how it reads them.

use alertrouter::route::matcher::{Op, parse_one};
use proptest::prelude::*;
use proptest::sample::select;

use super::amtool::{matcher, yaml};
use super::{Difference, Files, never_differs};

#[test]
fn labels_are_read_as_amtool_reads_them() {
    never_differs(300, &any_label(), |label| same(label));
}

/// A name is never quoted: only our UTF-8 parser reads that.
fn any_label() -> impl Strategy<Value = String> {
    let name = prop_oneof![3 => "(a|x:y|_1)", 1 => "[a1_: \t\n{,]{1,3}"];
    let op = prop_oneof![4 => Just("="), 1 => select(vec!["!=", "=~", "!~", "==", " =", "= ", "=\n", "~", ""])];
    let value = prop_oneof![
        "[ab.{}, =~!'`é日-]{0,5}",
        "\"([ab, é{}=]|\\\\[\\\\\"nbx1u]){0,4}\"",
        "[ab={}~!'\\\\\"n,é \n\t-]{0,5}",
        "\"[ab\\\\n\"x,{}= é\n.|*'~]{0,5}\"? ?",
    ];
    (name, op, value).prop_map(|(name, op, value)| format!("{name}{op}{value}"))
}

fn same(argument: &str) -> Result<(), Difference> {
    let read = parse_one(argument).ok().filter(|label| label.op() == Op::Equal);
    // The classic parser takes any value, but not any name.
    let expressible = read.as_ref().filter(|label| is_classic(label.name()));
    let label = expressible.map_or_else(|| "a=b".to_owned(), |label| matcher(label.name(), "=", label.value()));
    let files = Files::new(
        format!(
            "route: {{receiver: other, routes: [{{matchers: [{}], receiver: same}}]}}\n\
             receivers: [{{name: other}}, {{name: same}}]\n",
            yaml(&label)
        ),
        format!(
            "receivers: [{{name: other, webhook: {{url: http://x/}}}}, {{name: same, webhook: {{url: http://x/}}}}]\n\
             route: {{receivers: [other], routes: [{{matchers: [{}], receivers: [same]}}]}}\n",
            yaml(&label)
        ),
    );
    let arguments = [argument.to_owned()];
    let (amtool, ours) = (files.amtool(&arguments), files.ours(&arguments));
    let expected = match (read.is_some(), expressible.is_some()) {
        (true, true) => (amtool.as_deref(), ours.as_deref()) == (Ok("same"), Ok("same")),
        (true, false) => amtool.is_err() && ours.is_ok(),
        (false, _) => amtool.is_err() && ours.is_err(),
    };
    if expected { Ok(()) } else { Err(files.difference(&arguments, &amtool, &ours)) }
}

fn is_classic(name: &str) -> bool {
    let first = |c: char| c == '_' || c == ':' || c.is_ascii_alphabetic();
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}
