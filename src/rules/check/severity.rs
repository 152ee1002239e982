//! Do the routes know the severities of the rules?

use super::problem;
use crate::alert::Labels;
use crate::config::Config;
use crate::route::matcher::{Matcher, Op};
use crate::rules::{AlertingRule, LabelValue, Possible};
use crate::yaml::problem::{Problem, Severity};
use crate::yaml::{closest, plain, quote};

const SEVERITY: &str = "severity";

/// The matchers of the tree that ask for a severity.
pub(super) struct Severities<'c> {
    matchers: Vec<&'c Matcher>,
    /// The values that they name, in their order: those of `=`, and of `=~` where it lists plain words.
    named: Vec<&'c str>,
}

impl<'c> Severities<'c> {
    /// `None` if no matcher asks for one: then there is nothing to compare with.
    pub(super) fn of(config: &'c Config) -> Option<Self> {
        let all = config.matchers.iter().map(|at| &at.matcher);
        let asks = |matcher: &&Matcher| matcher.name() == SEVERITY && matches!(matcher.op(), Op::Equal | Op::Match);
        let matchers: Vec<&Matcher> = all.filter(asks).collect();
        let mut named = Vec::new();
        for value in matchers.iter().flat_map(|matcher| values(matcher)) {
            if !named.contains(&value) {
                named.push(value);
            }
        }
        (!matchers.is_empty()).then_some(Self { matchers, named })
    }

    /// What is wrong with the severity of an alert.
    pub(super) fn problem(&self, alert: &AlertingRule) -> Option<Problem> {
        let label = alert.label(SEVERITY);
        match label.map(|label| (&label.value, &label.place)) {
            Some((LabelValue::Templated, _)) => None,
            Some((LabelValue::Static(value), place)) if !value.is_empty() => (!self.know(value)).then(|| {
                let message = format!("severity {} is known to no route", quote(value));
                problem(Severity::Error, message, place, self.hint(value))
            }),
            // From the expression.
            None if alert.result.get(SEVERITY).is_some() => None,
            None if matches!(alert.result.possible(), Possible::Closed(names) if names.contains(SEVERITY)) => None,
            _ if self.know("") => None,
            _ => {
                let message = format!("alert {} has no severity", quote(&alert.name));
                let hint = format!("the routes choose by it: {}", self.list());
                Some(problem(Severity::Warning, message, &alert.place, hint))
            }
        }
    }

    fn know(&self, value: &str) -> bool {
        let labels: Labels = [(SEVERITY, value)].into_iter().collect();
        self.matchers.iter().any(|matcher| matcher.matches(&labels))
    }

    fn hint(&self, value: &str) -> String {
        match closest(value, self.named.iter().copied()) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => format!("the routes know {}", self.list()),
        }
    }

    fn list(&self) -> String {
        if self.named.is_empty() {
            return self.matchers.iter().map(|matcher| plain(&matcher.to_string())).collect::<Vec<_>>().join(", ");
        }
        self.named.iter().map(|value| quote(value)).collect::<Vec<_>>().join(", ")
    }
}

/// The values that a matcher names.
fn values(matcher: &Matcher) -> Vec<&str> {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    match (matcher.op(), matcher.value()) {
        (Op::Equal, value) if !value.is_empty() => vec![value],
        (Op::Match, words) if words.split('|').all(plain) => words.split('|').collect(),
        _ => Vec::new(),
    }
}
