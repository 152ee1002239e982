//! Rules held against routes: does every alert land on a route of its own, is its severity known, do the matchers ask for
//! labels and alerts that exist.

mod severity;
mod vocabulary;

use severity::Severities;

use super::landing::{Landing, holds, landing, takes};
use super::{ALERT_NAME, AlertingRule, RuleSet};
use crate::alert::Labels;
use crate::config::{Config, MatcherAt};
use crate::route::Route;
use crate::route::matcher::Op;
use crate::yaml::problem::{InFile, Place, Problem, Severity};
use crate::yaml::{closest, plain, quote};

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// How many alerts land on a route of their own for certain.
    pub own_route: usize,
    /// How many land on the root alone for certain.
    pub default_route: usize,
    /// Of how many that depends on labels that only Prometheus knows.
    pub depends: usize,
    /// What is wrong with the rules.
    pub rules: Vec<InFile>,
    /// What is wrong with the routes.
    pub routes: Vec<Problem>,
}

/// Holds `rules` against the routes of `config`, which come from the file of that name.
///
/// An alert that reaches only the root is an error, unless there are no other routes. So is a severity that no route asks
/// for; alerts that a route takes by their name are free in this.
#[must_use]
pub fn check(rules: &RuleSet, config: &Config, routes_file: &str) -> Verdict {
    let mut verdict = Verdict { routes: vocabulary::problems(rules, &config.matchers), ..Verdict::default() };
    let severities = Severities::of(config);
    let nearest = Nearest::of(config, routes_file);
    let taken_by_name = routes_by_name(config);
    for alert in rules.alerts() {
        let known = alert.known();
        let lands = landing(&config.tree, &known);
        match lands {
            Landing::OwnRoute => verdict.own_route += 1,
            Landing::DefaultRoute => verdict.default_route += 1,
            Landing::Depends => verdict.depends += 1,
        }
        let labels: Labels = known.fixed().collect();
        let by_name = taken_by_name.iter().any(|route| takes(route, &labels) == Some(true));
        let severity = severities.as_ref().filter(|_| !by_name).and_then(|all| all.problem(alert));
        // An unknown severity is the reason for where the alert lands: said once.
        let explained = severity.as_ref().is_some_and(|problem| problem.severity == Severity::Error);
        let is_lost = lands == Landing::DefaultRoute && !config.tree.root.routes.is_empty() && !explained;
        let lost = is_lost.then(|| only_default(alert, nearest.hint(&labels)));
        for problem in lost.into_iter().chain(severity) {
            add(&mut verdict.rules, &alert.file, problem);
        }
    }
    verdict
}

/// Adds a problem to its file, which is the last one or a new one; the label of a group counts once for all its alerts.
fn add(files: &mut Vec<InFile>, file: &str, problem: Problem) {
    match files.last_mut() {
        Some(last) if last.file == file => {
            if last.problems.last() != Some(&problem) {
                last.problems.push(problem);
            }
        }
        _ => files.push(InFile { file: file.to_owned(), problems: vec![problem] }),
    }
}

fn only_default(alert: &AlertingRule, hint: String) -> Problem {
    let message = format!("alert {} reaches only the default route", quote(&alert.name));
    problem(Severity::Error, message, &alert.place, hint)
}

fn problem(severity: Severity, message: String, place: &Place, hint: String) -> Problem {
    Problem { severity, message, place: Some(place.clone()), hint: Some(hint) }
}

/// The routes that ask for alerts by name.
fn routes_by_name(config: &Config) -> Vec<&Route> {
    let asks = |route: &&Route| {
        route
            .matchers
            .iter()
            .any(|matcher| matcher.name() == ALERT_NAME && matches!(matcher.op(), Op::Equal | Op::Match))
    };
    config.tree.root.walk().filter(asks).collect()
}

/// The routes directly below the root, with where their matchers stand: who would have taken the alert?
struct Nearest<'c> {
    routes: Vec<&'c [MatcherAt]>,
    file: &'c str,
}

impl<'c> Nearest<'c> {
    fn of(config: &'c Config, file: &'c str) -> Self {
        let mut rest = &config.matchers[..];
        let mut take = |number: usize| {
            let (taken, left) = rest.split_at(number.min(rest.len()));
            rest = left;
            taken
        };
        take(config.tree.root.matchers.len());
        let mut routes = Vec::new();
        for route in &config.tree.root.routes {
            for (depth, route) in route.walk().enumerate() {
                let matchers = take(route.matchers.len());
                if depth == 0 {
                    routes.push(matchers);
                }
            }
        }
        Self { routes, file }
    }

    /// What to do about an alert that none of them takes.
    fn hint(&self, labels: &Labels) -> String {
        let slip = |at: &MatcherAt| {
            at.matcher.op() == Op::Equal && closest(labels.get(at.matcher.name()), [at.matcher.value()]).is_some()
        };
        // Those of which a single matcher fails, and either it looks like a slip or another one fits.
        let near = self.routes.iter().filter_map(|matchers| {
            let mut failing = matchers.iter().filter(|at| holds(&at.matcher, labels) == Some(false));
            let (first, second) = (failing.next()?, failing.next());
            let fits = matchers.iter().any(|at| holds(&at.matcher, labels) == Some(true));
            (second.is_none() && (fits || slip(first))).then_some(first)
        });
        let Some(near) = near.min_by_key(|at| !slip(at)) else {
            return format!("add a route whose matchers fit {labels}");
        };
        let (file, line, name) = (self.file, near.place.line, near.matcher.name());
        let (asks, has) = (plain(&near.matcher.to_string()), labels.get(name));
        format!("nearest is {file}:{line}, which asks for {asks}; here it is {name}={has:?}")
    }
}

#[cfg(test)]
mod tests;
