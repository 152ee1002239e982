//! Rule files, as Prometheus and its operator read them, and whether routes.yaml knows what to do with their alerts.
//!
//! [`load`] finds and reads the files: alerts, their labels and where they stand. It is no second promtool: it reports
//! what keeps it from reading, and leaves the rest (durations, templates, PromQL) to `promtool check rules`. What an
//! expression says about the labels of its result is [`Known`]; where an alert with such labels lands is [`landing`]; and
//! [`check()`] puts it all together for `alertrouter check --rules`.

mod check;
mod expression;
mod find;
mod known;
pub mod landing;
mod promql;
mod read;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use check::{Verdict, check};
pub use known::{Known, Possible};

use crate::alert::Labels;
use crate::yaml::problem::{self, InFile, Place, Problem, Severity, count};

/// The label that Prometheus gives every alert.
pub const ALERT_NAME: &str = "alertname";

/// The value of a label in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelValue {
    /// As it is written. Empty, it takes the label away.
    Static(String),
    /// It contains `{{`: only Prometheus knows what comes out, which may be nothing.
    Templated,
}

/// A label that a rule, or its group, sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// What it is set to.
    pub value: LabelValue,
    /// Where the value stands.
    pub place: Place,
}

/// A rule with `alert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertingRule {
    /// The value of `alert`.
    pub name: String,
    /// Its labels and those of its group, sorted by name, each name once.
    pub labels: Vec<Label>,
    /// The name of the file, as it was given or found.
    pub file: Arc<str>,
    /// Where the name stands.
    pub place: Place,
    /// What is known of the labels of its expression's result.
    pub result: Known,
}

impl AlertingRule {
    /// A label that the rule sets.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name == name)
    }

    /// What is known of the labels of its alerts: the expression's result, the rule's labels over it, the alert's name.
    #[must_use]
    pub fn known(&self) -> Known {
        let over = |known: Known, label: &Label| match &label.value {
            LabelValue::Static(value) => known.with(&label.name, value),
            LabelValue::Templated => known.with_any(&label.name),
        };
        self.labels.iter().fold(self.result.clone(), over).with(ALERT_NAME, &self.name)
    }

    /// The labels that its alerts have whatever the expression gives: the alert's name and what the rule sets to a
    /// text.
    #[must_use]
    pub fn static_labels(&self) -> Labels {
        let set = self.labels.iter().filter_map(|label| match &label.value {
            LabelValue::Static(value) if !value.is_empty() => Some((&*label.name, &**value)),
            _ => None,
        });
        set.chain([(ALERT_NAME, &*self.name)]).collect()
    }
}

/// Everything that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    alerts: Vec<AlertingRule>,
    by_name: HashMap<String, Vec<usize>>,
    files: usize,
    warnings: Vec<InFile>,
}

impl RuleSet {
    /// All alerting rules, in the order of the files.
    #[must_use]
    pub fn alerts(&self) -> &[AlertingRule] {
        &self.alerts
    }

    /// The alerting rules of that name: there may be several, with different labels.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &AlertingRule> {
        self.by_name.get(name).into_iter().flatten().filter_map(|at| self.alerts.get(*at))
    }

    /// The names of all alerting rules, each once, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many rule files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// What was found in them that does not keep them from being used.
    #[must_use]
    pub fn warnings(&self) -> &[InFile] {
        &self.warnings
    }
}

/// Rule files that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules have {}", problem::summary(.problems.iter().flat_map(|file| &file.problems)))]
pub struct RulesError {
    /// Everything that is wrong, warnings too.
    pub problems: Vec<InFile>,
}

/// Reads rule files: each path is a file, or a folder that is searched for `*.yaml`, `*.yml` and `*.rules` at any depth,
/// without hidden entries. Files in folders that hold no rules (tests for promtool, other YAML) are passed over; a path
/// without any rule file is an error, and so is a file that is no YAML, unless it never says `groups`. No file is read
/// twice.
///
/// # Errors
/// If anything is wrong with any of the files.
pub fn load(paths: &[PathBuf]) -> Result<RuleSet, RulesError> {
    let (mut alerts, mut files, mut problems) = (Vec::new(), 0, Vec::new());
    let mut seen = find::Seen::default();
    for path in paths {
        let found = find::files(path, &mut seen);
        let mut any = found.known_before || !found.problems.is_empty();
        problems.extend(found.problems);
        for candidate in found.files {
            // Found in `.`, it is called what people call it.
            let name = candidate.path.strip_prefix(".").unwrap_or(&candidate.path);
            let file: Arc<str> = name.display().to_string().into();
            let read = read::file(&candidate, &file);
            any |= read.is_rule_file || !read.problems.is_empty();
            files += usize::from(read.is_rule_file);
            alerts.extend(read.alerts);
            problems.extend(in_file(&file, read.problems));
        }
        if !any {
            problems.extend(in_file(&path.display().to_string(), vec![no_rules(path)]));
        }
    }
    if !problems.iter().all(|file| problem::is_sound(&file.problems)) {
        return Err(RulesError { problems });
    }
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, alert) in alerts.iter().enumerate() {
        let alert: &AlertingRule = alert;
        by_name.entry(alert.name.clone()).or_default().push(at);
    }
    Ok(RuleSet { alerts, by_name, files, warnings: problems })
}

fn in_file(file: &str, problems: Vec<Problem>) -> Option<InFile> {
    (!problems.is_empty()).then(|| InFile { file: file.to_owned(), problems })
}

fn no_rules(path: &std::path::Path) -> Problem {
    let hint = "rule files are *.yaml, *.yml or *.rules and have `groups`, or are PrometheusRule objects";
    error(format!("no rule file in {}", path.display()), Some(hint))
}

/// An error with the file as a whole.
fn error(message: String, hint: Option<&str>) -> Problem {
    Problem { severity: Severity::Error, message, place: None, hint: hint.map(str::to_owned) }
}

/// `12 alerts in 3 files`.
#[must_use]
pub fn describe(rules: &RuleSet) -> String {
    format!("{} in {}", count(rules.alerts.len(), "alert"), count(rules.files, "file"))
}

#[cfg(test)]
mod tests;
