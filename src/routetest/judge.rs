//! What was expected against what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::simulate::Seen;
use super::site::who_takes;
use super::{Case, Decisions, Step};
use crate::config::Config;
use crate::notification::{Reason, ReceiverName};
use crate::yaml::duration;

/// An expectation that does not hold. Every text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When; `None` where the case asks whom the routes name.
    pub at: Option<Duration>,
    /// `receivers` or `decisions`.
    pub what: &'static str,
    /// As the test has it.
    pub expected: String,
    /// What came instead.
    pub got: String,
    /// Why.
    pub because: String,
}

impl fmt::Display for Failure {
    /// Which expectation: `at 15s: receivers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "at {}: ", duration::show(at))?;
        }
        f.write_str(self.what)
    }
}

/// What of a case does not hold. `seen` is what came of its steps, `file` the name of routes.yaml.
#[must_use]
pub fn judge(case: &Case, seen: &[Seen], config: &Config, file: &str) -> Vec<Failure> {
    let mut failures = Vec::new();
    if let Some(expected) = &case.receivers {
        let got: Vec<ReceiverName> = config.tree.receivers(&case.labels).into_iter().map(|(name, _)| name).collect();
        if sorted(expected) != sorted(&got) {
            failures.push(Failure {
                at: None,
                what: "receivers",
                expected: list(expected),
                got: list(&got),
                because: who_takes(&config.tree, file, &case.labels),
            });
        }
    }
    for (step, seen) in case.steps.iter().zip(seen) {
        let decided = by_receiver(&seen.decisions);
        if let Some(expected) = &step.receivers
            && sorted(expected) != sorted(&seen.notified)
        {
            let mut got = seen.notified.clone();
            got.sort();
            got.dedup();
            failures.push(Failure {
                at: Some(step.at),
                what: "receivers",
                expected: list(expected),
                got: list(&got),
                because: why(step, &decided, config, file),
            });
        }
        if let Some(expected) = &step.decisions
            && !holds(expected, &decided)
        {
            failures.push(Failure {
                at: Some(step.at),
                what: "decisions",
                expected: expected.to_string(),
                got: map(&decided),
                because: routes(step, config, file).unwrap_or_else(|| NOTHING_ARRIVED.to_owned()),
            });
        }
    }
    failures
}

const NOTHING_ARRIVED: &str = "nothing arrives at this step: only what was held can come due";

type Decided = BTreeMap<ReceiverName, Vec<Reason>>;

fn by_receiver<'a>(all: impl IntoIterator<Item = &'a (ReceiverName, Reason)>) -> Decided {
    let mut decided = Decided::new();
    for (receiver, reason) in all {
        decided.entry(receiver.clone()).or_default().push(*reason);
    }
    for reasons in decided.values_mut() {
        reasons.sort();
    }
    decided
}

fn holds(expected: &Decisions, decided: &Decided) -> bool {
    let in_order = |reasons: &[Reason]| {
        let mut reasons = reasons.to_vec();
        reasons.sort();
        reasons
    };
    match expected {
        Decisions::All(reasons) => {
            let reasons = in_order(reasons);
            !decided.is_empty() && decided.values().all(|decided| *decided == reasons)
        }
        Decisions::Each(each) => {
            let each: Decided = each.iter().map(|(name, reasons)| (name.clone(), in_order(reasons))).collect();
            each == *decided
        }
    }
}

fn sorted(names: &[ReceiverName]) -> Vec<&ReceiverName> {
    let mut names: Vec<&ReceiverName> = names.iter().collect();
    names.sort();
    names.dedup();
    names
}

/// Why somebody was notified at a step, or was not: the routes that took what arrived, and what was decided then.
fn why(step: &Step, decided: &Decided, config: &Config, file: &str) -> String {
    let decisions = if decided.is_empty() { "nothing is decided".to_owned() } else { pairs(decided) };
    match routes(step, config, file) {
        Some(routes) => format!("{routes}; {decisions}"),
        None if decided.is_empty() => NOTHING_ARRIVED.to_owned(),
        None => decisions,
    }
}

fn routes(step: &Step, config: &Config, file: &str) -> Option<String> {
    step.sent.as_ref().map(|sent| who_takes(&config.tree, file, &sent.labels))
}

fn list(names: &[ReceiverName]) -> String {
    let names: Vec<&str> = names.iter().map(ReceiverName::as_str).collect();
    format!("[{}]", names.join(", "))
}

fn map(decided: &Decided) -> String {
    if decided.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs(decided)) }
}

fn pairs<'a>(decided: impl IntoIterator<Item = (&'a ReceiverName, &'a Vec<Reason>)>) -> String {
    let pairs: Vec<String> =
        decided.into_iter().map(|(name, reasons)| format!("{name}: {}", one_or_more(reasons))).collect();
    pairs.join(", ")
}

fn one_or_more(reasons: &[Reason]) -> String {
    match reasons {
        [reason] => reason.to_string(),
        reasons => format!("[{}]", reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ")),
    }
}

impl fmt::Display for Decisions {
    /// As the test has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(reasons) => f.write_str(&one_or_more(reasons)),
            Self::Each(each) if each.is_empty() => f.write_str("{}"),
            Self::Each(each) => write!(f, "{{ {} }}", pairs(each.iter().map(|(name, reasons)| (name, reasons)))),
        }
    }
}
