//! Do the matchers ask for labels and alerts that exist?
//!
//! That a label does not exist is hard to know: series bring labels along, Prometheus adds some. So this says only what
//! is right far more often than wrong.

use std::collections::BTreeSet;

use super::problem;
use crate::alert::Labels;
use crate::config::MatcherAt;
use crate::route::matcher::{Matcher, Op};
use crate::rules::{ALERT_NAME, Possible, RuleSet};
use crate::yaml::problem::{Problem, Severity};
use crate::yaml::{closest, plain, quote};

/// Labels that scraping, exporters and `external_labels` usually bring: rules need not mention them.
const USUAL: [&str; 20] = [
    "app",
    "cluster",
    "container",
    "datacenter",
    "dc",
    "env",
    "environment",
    "host",
    "instance",
    "job",
    "monitor",
    "namespace",
    "node",
    "pod",
    "prometheus",
    "region",
    "replica",
    "service",
    "tenant",
    "zone",
];

/// Shorter names are near to too many others.
const MIN_LENGTH: usize = 4;

/// Where the matchers ask for a label or an alert that the rules do not have.
pub(super) fn problems(rules: &RuleSet, matchers: &[MatcherAt]) -> Vec<Problem> {
    if rules.alerts().is_empty() {
        return Vec::new();
    }
    let names: Vec<Labels> = rules.names().map(|name| [(ALERT_NAME, name)].into_iter().collect()).collect();
    let labels = LabelNames::of(rules);
    let wrong = |at: &MatcherAt| {
        let (message, hint) = match at.matcher.name() {
            ALERT_NAME => alert_name(rules, &names, &at.matcher)?,
            _ => labels.missing(&at.matcher)?,
        };
        Some(problem(Severity::Warning, message, &at.place, hint))
    };
    matchers.iter().filter_map(wrong).collect()
}

/// Message and hint for a matcher that asks for alerts by a name that none has.
fn alert_name(rules: &RuleSet, names: &[Labels], matcher: &Matcher) -> Option<(String, String)> {
    let wanted = matcher.value();
    let exists = match matcher.op() {
        Op::Equal => rules.named(wanted).next().is_some(),
        Op::Match => names.iter().any(|labels| matcher.matches(labels)),
        Op::NotEqual | Op::NotMatch => true,
    };
    if exists {
        return None;
    }
    let near = if matcher.op() == Op::Equal { closest(wanted, rules.names().collect::<BTreeSet<_>>()) } else { None };
    let hint = match near {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => "is there a rule file that --rules does not name?".to_owned(),
    };
    Some((format!("no alert of the rules fits {}", plain(&matcher.to_string())), hint))
}

/// The names of labels that the rules know.
struct LabelNames<'r> {
    /// Those that rules set themselves: the ones that people route by.
    set: BTreeSet<&'r str>,
    /// Those, and what expressions are known to carry.
    known: BTreeSet<&'r str>,
    /// Whether some expression may carry any other label.
    open: bool,
}

impl<'r> LabelNames<'r> {
    fn of(rules: &'r RuleSet) -> Self {
        let set = rules.alerts().iter().flat_map(|alert| &alert.labels).map(|label| &*label.name);
        let set: BTreeSet<&str> = set.chain([ALERT_NAME]).collect();
        let (mut known, mut open) = (set.clone(), false);
        for result in rules.alerts().iter().map(|alert| &alert.result) {
            known.extend(result.fixed().map(|(name, _)| name));
            match result.possible() {
                Possible::Closed(names) => known.extend(names.iter().map(String::as_str)),
                Possible::Open => open = true,
            }
        }
        Self { set, known, open }
    }

    /// Message and hint for a matcher whose label no alert seems to have.
    fn missing(&self, matcher: &Matcher) -> Option<(String, String)> {
        let name = matcher.name();
        if self.known.contains(name) || USUAL.contains(&name) {
            return None;
        }
        if name.len() >= MIN_LENGTH
            && let Some(near) = closest(name, self.set.iter().copied())
        {
            return Some((format!("no rule sets a label {}", quote(name)), format!("did you mean {}?", quote(near))));
        }
        // A matcher that also accepts alerts without the label may be meant so.
        let asks = !matcher.matches(&Labels::default());
        (!self.open && asks).then(|| {
            let hint = "if Prometheus adds it (`external_labels`, relabelling), this is fine";
            (format!("no alert of the rules has a label {}", quote(name)), hint.to_owned())
        })
    }
}
