//! Every metric and label that a rule uses is one that something exports: the header of each rule file lists them, and
//! those of the router are compared with what it serves.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, LabelModifier};

use super::{Packs, Rule, RuleFile, children, selectors};
use crate::metrics::{eventful, families};

/// Labels of the target, which every series has.
const OF_TARGETS: [&str; 3] = ["job", "instance", "pod"];

/// A line `# metric: NAME TYPE label,label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    name: String,
    kind: String,
    labels: BTreeSet<String>,
}

impl Metric {
    /// Its own labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(String::as_str)
    }

    /// The names of its series.
    pub fn series(&self) -> Vec<String> {
        let suffixes: &[&str] = if self.kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}

pub fn header(file: &RuleFile) -> Vec<Metric> {
    let lines = file.text.lines().map_while(|line| line.strip_prefix("# metric: "));
    let metric = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap().to_owned();
        let kind = words.next().unwrap_or_default().to_owned();
        assert!(["counter", "gauge", "histogram"].contains(&&*kind), "{}: {line}", file.name);
        let labels = words.next().into_iter().flat_map(|labels| labels.split(',')).map(str::to_owned).collect();
        Metric { name, kind, labels }
    };
    lines.map(metric).collect()
}

/// What is selected by a rule and by the recording rules that it reads: the labels of the metrics.
pub(super) struct Declared(BTreeSet<String>);

impl Declared {
    pub(super) fn of(packs: &Packs, rule: &Rule) -> Self {
        let mut labels: BTreeSet<String> = OF_TARGETS.iter().map(|&label| label.to_owned()).collect();
        labels.extend(made(&rule.expression));
        let file = packs.rule_files.iter().find(|file| file.name == rule.file).unwrap();
        for selector in selectors(&rule.expression) {
            let name = selector.name.as_ref().unwrap_or_else(|| panic!("{}: {selector} has no name", rule.name));
            if let Some(metric) = header(file).into_iter().find(|metric| metric.series().contains(name)) {
                labels.extend(metric.labels);
                labels.extend(name.ends_with("_bucket").then(|| "le".to_owned()));
            } else if let Some(recorded) = packs.rules.iter().find(|other| !other.alerts && other.name == *name) {
                if recorded.name != rule.name {
                    labels.extend(Self::of(packs, recorded).0);
                }
            } else {
                panic!("{}: {name} is neither recorded nor among the metrics in the header of {}", rule.name, rule.file)
            }
        }
        Self(labels)
    }

    pub(super) fn has(&self, label: &str) -> bool {
        self.0.contains(label)
    }
}

/// Labels that the expression makes itself.
pub fn made(expression: &Expr) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = children(expression).into_iter().flat_map(made).collect();
    if let Expr::Call(call) = expression
        && ["label_replace", "label_join"].contains(&call.func.name)
        && let Some(Expr::StringLiteral(label)) = call.args.args.get(1).map(|it| &**it)
    {
        all.insert(label.val.clone());
    }
    all
}

/// Labels that the expression relies on.
pub fn used(expression: &Expr) -> BTreeSet<String> {
    let of = |modifier: Option<&LabelModifier>| modifier.map(|it| it.labels().labels.clone()).unwrap_or_default();
    let mut all: BTreeSet<String> = children(expression).into_iter().flat_map(used).collect();
    match expression {
        Expr::Aggregate(it) => all.extend(of(it.modifier.as_ref())),
        Expr::Binary(it) => all.extend(of(it.modifier.as_ref().and_then(|it| it.matching.as_ref()))),
        Expr::VectorSelector(it) => all.extend(it.matchers.matchers.iter().map(|it| it.name.clone())),
        Expr::MatrixSelector(it) => all.extend(it.vs.matchers.matchers.iter().map(|it| it.name.clone())),
        _ => {}
    }
    all
}

#[test]
fn every_metric_and_label_is_one_that_is_exported() {
    let packs = Packs::read();
    for rule in &packs.rules {
        let declared = Declared::of(&packs, rule);
        for label in used(&rule.expression) {
            assert!(declared.has(&label), "{}: nothing that it reads has a label {label}", rule.name);
        }
    }
}

#[test]
fn headers_list_what_the_file_uses_and_agree() {
    let packs = Packs::read();
    let mut known = BTreeMap::<String, (String, Metric)>::new();
    for file in &packs.rule_files {
        let rules: Vec<_> = packs.rules.iter().filter(|rule| rule.file == file.name).collect();
        let used: BTreeSet<_> =
            rules.iter().flat_map(|it| selectors(&it.expression)).filter_map(|it| it.name.clone()).collect();
        for metric in header(file) {
            let series = metric.series();
            assert!(series.iter().any(|name| used.contains(name)), "{}: {} is not used", file.name, metric.name);
            let (other, same) = known.entry(metric.name.clone()).or_insert_with(|| (file.name.clone(), metric.clone()));
            assert_eq!(*same, metric, "{other} and {}", file.name);
        }
    }
}

/// Whether a series of the router has a label with a value that is selected.
fn selects_something(text: &str, metric: &str, matcher: &Matcher) -> bool {
    let series = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    let values = series.flat_map(|rest| rest.split('}').next().unwrap().split(','));
    values
        .filter_map(|pair| pair.split_once('='))
        .any(|(name, value)| name == matcher.name && matcher.is_match(value.trim_matches('"')))
}

#[tokio::test]
async fn the_router_serves_what_its_rules_read() {
    let harness = eventful().await;
    let (_, text) = harness.get("/metrics").await;
    harness.finish().await;
    let families = families(&text);
    let packs = Packs::read();
    let own = |name: &str| name.starts_with("alertrouter_") || name.starts_with("process_");
    let mut compared = 0;
    for file in packs.rule_files.iter().filter(|file| file.name.starts_with("alertrouter/")) {
        for metric in header(file).iter().filter(|metric| own(&metric.name)) {
            let served = families.get(&format!("{} {}", metric.name, metric.kind));
            let served = served.unwrap_or_else(|| panic!("the router has no {} {}", metric.kind, metric.name));
            let labels: BTreeSet<&str> =
                served.iter().flat_map(|series| series.split(' ').skip(1)).filter(|it| !it.is_empty()).collect();
            assert_eq!(labels, metric.labels.iter().map(String::as_str).collect(), "{}", metric.name);
            compared += 1;
        }
    }
    assert!(compared > 8, "only {compared} metrics were compared");
    for rule in packs.rules.iter().filter(|rule| rule.file.starts_with("alertrouter/")) {
        for selector in selectors(&rule.expression) {
            let name = selector.name.as_deref().unwrap_or_default();
            let positive = |it: &&Matcher| matches!(it.op, MatchOp::Equal | MatchOp::Re(_));
            for matcher in selector.matchers.matchers.iter().filter(positive) {
                // A code is there once it has been answered with.
                if own(name) && !["job", "code"].contains(&&*matcher.name) {
                    assert!(
                        selects_something(&text, name, matcher),
                        "{}: {name} with {matcher} is not served",
                        rule.name
                    );
                }
            }
        }
    }
}
