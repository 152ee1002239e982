//! What of the tests can notice a change of one rule.
//!
//! promtool evaluates every rule of a file at every step of a test, and a mutant is one changed rule. So only what can
//! make a difference is run: the assertions on what the rule makes, or on what is made of that; the rules that those
//! need; the series that those read.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser;
use promql_parser::util::parse_duration;
use serde_json::{Value, json};

use super::{Packs, Rule, TestFile, mutations, selectors, strings};

/// One test of promtool, cut to what a rule has to do with.
#[derive(Debug)]
pub(super) struct Slice {
    /// `rules/tests/llm.test.yaml: the name of the test`.
    pub(super) name: String,
    /// The test file, with one test; its rules are in `RULES`.
    pub(super) test: Value,
    /// Which rules it needs, by their place in [`Packs::rules`].
    needed: BTreeSet<usize>,
    /// About how much work it is.
    pub(super) cost: u64,
}

impl Slice {
    /// A rule file with the rules that the test needs, one of them in the words of `instead`.
    pub(super) fn rules(&self, packs: &Packs, changed: usize, instead: &Value) -> Value {
        let mut groups: Vec<Value> = Vec::new();
        for &at in &self.needed {
            let rule = &packs.rules[at];
            let source = if at == changed { instead.clone() } else { mutations::printed(rule) };
            match groups.last_mut() {
                Some(group) if group["name"] == *rule.group => group["rules"].as_array_mut().unwrap().push(source),
                _ => groups.push(group(packs, rule, source)),
            }
        }
        json!({ "groups": groups })
    }
}

fn group(packs: &Packs, rule: &Rule, first: Value) -> Value {
    let file = packs.rule_files.iter().find(|file| file.name == rule.file).unwrap();
    let mut all = file.content["groups"].as_array().unwrap().iter();
    let mut group = all.find(|group| group["name"] == *rule.group).unwrap().clone();
    group["rules"] = vec![first].into();
    group
}

/// The slices for a rule, the cheapest first.
pub(super) fn of(packs: &Packs, changed: usize) -> Vec<Slice> {
    let loads_it = |file: &&TestFile| file.rule_files.contains(&packs.rules[changed].file);
    let tests = packs.test_files.iter().filter(loads_it).flat_map(|file| file.tests().iter().map(move |it| (file, it)));
    let mut all: Vec<_> = tests.filter_map(|(file, test)| cut(packs, file, test, changed)).collect();
    all.sort_by_key(|slice| slice.cost);
    all
}

fn cut(packs: &Packs, file: &TestFile, test: &Value, changed: usize) -> Option<Slice> {
    let loaded: BTreeSet<usize> =
        (0..packs.rules.len()).filter(|at| file.rule_files.contains(&packs.rules[*at].file)).collect();
    let affected = closure(&loaded, BTreeSet::from([changed]), |rule, of| reads(&packs.rules[rule], &packs.rules[of]));

    let mut kept = test.clone();
    let (mut needed, mut metrics, mut end) = (BTreeSet::new(), BTreeSet::new(), Duration::ZERO);
    let mut keep = |check: &Value, about: BTreeSet<usize>| {
        let keep = !about.is_disjoint(&affected);
        if keep {
            needed.extend(about);
            end = end.max(moment(check));
        }
        keep
    };
    retain(&mut kept, "alert_rule_test", |check| {
        let named = |at: &usize| packs.rules[*at].alerts && check["alertname"] == *packs.rules[*at].name;
        keep(check, loaded.iter().copied().filter(named).collect())
    });
    retain(&mut kept, "promql_expr_test", |check| {
        let expression = parser::parse(check["expr"].as_str().unwrap()).unwrap();
        let reads = selectors(&expression);
        let made = |at: &usize| reads.iter().any(|selector| packs.rules[*at].makes(selector));
        let kept = keep(check, loaded.iter().copied().filter(made).collect());
        if kept {
            metrics.extend(reads.iter().filter_map(|selector| selector.name.clone()));
        }
        kept
    });
    if needed.is_empty() {
        return None;
    }
    let needed = closure(&loaded, needed, |rule, of| reads(&packs.rules[of], &packs.rules[rule]));
    let read = needed.iter().flat_map(|at| selectors(&packs.rules[*at].expression));
    metrics.extend(read.filter_map(|selector| selector.name.clone()));
    retain(&mut kept, "input_series", |series| {
        let series = series["series"].as_str().unwrap();
        metrics.contains(series.split('{').next().unwrap().trim())
    });

    let groups: BTreeSet<&str> = needed.iter().map(|at| &*packs.rules[*at].group).collect();
    let order: Vec<&str> = strings(&file.content["group_eval_order"]).filter(|it| groups.contains(it)).collect();
    let interval = file.content["evaluation_interval"].as_str().unwrap_or("1m");
    let steps = end.as_secs() / parse_duration(interval).unwrap().as_secs().max(1);
    let series = kept["input_series"].as_array().map_or(0, Vec::len);
    let cost = steps * (1 + needed.len() as u64) + steps * series as u64 / 4;
    let name = format!("rules/{}: {}", file.name, test["name"].as_str().unwrap_or_default());
    let test = json!({
        "rule_files": [RULES], "evaluation_interval": interval, "group_eval_order": order, "tests": [kept],
    });
    Some(Slice { name, test, needed, cost })
}

/// How a slice's test calls its rules; the test itself replaces it.
pub(super) const RULES: &str = "RULES";

/// When a check looks; the parser knows no duration of 0.
fn moment(check: &Value) -> Duration {
    parse_duration(check["eval_time"].as_str().unwrap_or_default()).unwrap_or_default()
}

/// Whether the rule reads what the other one makes.
fn reads(rule: &Rule, of: &Rule) -> bool {
    selectors(&rule.expression).into_iter().any(|selector| of.makes(selector))
}

/// `from`, and whatever is reached from there.
fn closure(all: &BTreeSet<usize>, from: BTreeSet<usize>, leads: impl Fn(usize, usize) -> bool) -> BTreeSet<usize> {
    let mut found = from;
    loop {
        let is_new = |at: &usize| !found.contains(at) && found.iter().any(|of| leads(*at, *of));
        let more: Vec<usize> = all.iter().copied().filter(is_new).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn retain(test: &mut Value, key: &str, mut keep: impl FnMut(&Value) -> bool) {
    if let Some(list) = test.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| keep(item));
    }
}
