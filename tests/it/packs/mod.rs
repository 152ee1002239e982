//! What promtool does not see in the rule packs: rules/ and its tests, read as data.

mod equivalent;
mod form;
mod metrics;
mod mutants;
mod mutations;
mod runbooks;
mod slice;
mod tested;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;

use crate::harness::files_under;

pub use metrics::{header, made, used};

/// A rule, alerting or recording.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Below rules/: `llm/slo.rules.yaml`.
    pub file: String,
    group: String,
    /// Of the alert, or of the recorded series.
    pub name: String,
    alerts: bool,
    expression: Expr,
    /// As it stands in the file.
    source: Value,
}

impl Rule {
    pub fn text(&self, key: &str) -> &str {
        self.source[key].as_str().unwrap_or_default()
    }

    /// `labels` or `annotations`.
    fn map(&self, key: &str) -> BTreeMap<String, String> {
        let pairs = self.source[key].as_object().into_iter().flatten();
        pairs.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
    }

    /// Whether it is true whatever Prometheus knows, as the watchdog's.
    fn always_fires(&self) -> bool {
        selectors(&self.expression).is_empty()
    }

    /// Whether what this selects is, or may be, what the rule makes.
    fn makes(&self, selector: &VectorSelector) -> bool {
        if !self.alerts {
            return selector.name.as_ref() == Some(&self.name);
        }
        let name_fits = || selector.matchers.find_matchers("alertname").iter().all(|it| it.is_match(&self.name));
        selector.name.as_deref() == Some("ALERTS") && name_fits()
    }
}

/// A rule file.
#[derive(Debug)]
pub struct RuleFile {
    pub name: String,
    text: String,
    content: Value,
}

/// A file of tests.
#[derive(Debug)]
pub struct TestFile {
    name: String,
    content: Value,
    /// Below rules/.
    rule_files: Vec<String>,
}

impl TestFile {
    fn tests(&self) -> &[Value] {
        self.content["tests"].as_array().expect("tests")
    }
}

/// Everything in rules/.
#[derive(Debug)]
pub struct Packs {
    rules: Vec<Rule>,
    pub rule_files: Vec<RuleFile>,
    test_files: Vec<TestFile>,
}

impl Packs {
    pub fn read() -> Self {
        let (mut rule_files, mut test_files) = (Vec::new(), Vec::new());
        for path in files_under(&folder()) {
            let name = path.strip_prefix(folder()).unwrap().display().to_string();
            let read = || {
                let text = std::fs::read_to_string(&path).unwrap();
                let content: Value =
                    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("rules/{name}: {error}"));
                (text, content)
            };
            if name.ends_with(".rules.yaml") {
                let (text, content) = read();
                rule_files.push(RuleFile { name, text, content });
            } else if name.ends_with(".test.yaml") {
                let (_, content) = read();
                let rule_files = strings(&content["rule_files"]).map(|file| below_rules(&path, file)).collect();
                test_files.push(TestFile { name, content, rule_files });
            }
        }
        let rules = rule_files.iter().flat_map(rules_of).collect();
        Self { rules, rule_files, test_files }
    }

    pub fn alerts(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.alerts)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// A path of `rule_files`, which is relative to the test, below rules/.
fn below_rules(test: &Path, file: &str) -> String {
    let path = test.parent().unwrap().join(file);
    let path = path.canonicalize().unwrap_or_else(|_| panic!("{}: there is no {file}", test.display()));
    path.strip_prefix(folder().canonicalize().unwrap()).expect("a file of rules/").display().to_string()
}

fn rules_of(file: &RuleFile) -> Vec<Rule> {
    let groups = file.content["groups"].as_array().expect("groups");
    let of_group = |group: &Value| {
        let rules = group["rules"].as_array().expect("rules").clone();
        let name = group["name"].as_str().expect("a name").to_owned();
        rules.into_iter().map(move |rule| (name.clone(), rule))
    };
    let rule = |(group, source): (String, Value)| {
        let (alert, record) = (source["alert"].as_str(), source["record"].as_str());
        let name = alert.or(record).expect("an alert or a record").to_owned();
        let expression = source["expr"].as_str().expect("an expression");
        let expression = parser::parse(expression).unwrap_or_else(|error| panic!("{name}: {error}"));
        Rule { file: file.name.clone(), group, alerts: alert.is_some(), name, expression, source }
    };
    groups.iter().flat_map(of_group).map(rule).collect()
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text"))
}

/// Everything an expression selects.
pub fn selectors(expression: &Expr) -> Vec<&VectorSelector> {
    match expression {
        Expr::VectorSelector(selector) => vec![selector],
        Expr::MatrixSelector(range) => vec![&range.vs],
        _ => children(expression).into_iter().flat_map(selectors).collect(),
    }
}

/// The parts of an expression that are expressions.
fn children(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Aggregate(it) => it.param.iter().chain([&it.expr]).map(|it| &**it).collect(),
        Expr::Unary(it) => vec![&it.expr],
        Expr::Binary(it) => vec![&it.lhs, &it.rhs],
        Expr::Paren(it) => vec![&it.expr],
        Expr::Subquery(it) => vec![&it.expr],
        Expr::Call(it) => it.args.args.iter().map(|it| &**it).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// The same parts, to be changed.
fn children_mut(expression: &mut Expr) -> Vec<&mut Expr> {
    match expression {
        Expr::Aggregate(it) => it.param.iter_mut().chain([&mut it.expr]).map(|it| &mut **it).collect(),
        Expr::Unary(it) => vec![&mut it.expr],
        Expr::Binary(it) => vec![&mut it.lhs, &mut it.rhs],
        Expr::Paren(it) => vec![&mut it.expr],
        Expr::Subquery(it) => vec![&mut it.expr],
        Expr::Call(it) => it.args.args.iter_mut().map(|it| &mut **it).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}
