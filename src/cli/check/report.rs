//! What `check` found, and the same as JSON.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::config::web::WebConfig;
use crate::rules::{RuleSet, Verdict};
use crate::yaml::problem::{InFile, Problem, tally};

/// Everything that was found.
pub(super) struct Report {
    /// The routes file, as it was given.
    pub(super) file: String,
    /// Its problems.
    pub(super) routes: Vec<Problem>,
    /// Those of the web configuration file, and what it says if it can be used.
    pub(super) web: Option<(InFile, Option<WebConfig>)>,
    /// Those of rule files.
    pub(super) rules: Vec<InFile>,
    /// The rules, if there are any and they can be used, and where their alerts land, if the routes can be used too.
    pub(super) checked: Option<(RuleSet, Option<Verdict>)>,
}

impl Report {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.display().to_string(), routes: Vec::new(), web: None, rules: Vec::new(), checked: None }
    }

    /// Takes what was found in rules and about them.
    pub(super) fn add(&mut self, rules: RuleSet, mut verdict: Option<Verdict>) {
        self.rules = rules.warnings().to_vec();
        if let Some(verdict) = &mut verdict {
            self.routes.append(&mut verdict.routes);
            self.routes.sort_by_key(at);
            for InFile { file, mut problems } in std::mem::take(&mut verdict.rules) {
                match self.rules.iter_mut().find(|known| known.file == file) {
                    Some(known) => known.problems.append(&mut problems),
                    None => self.rules.push(InFile { file, problems }),
                }
            }
            self.rules.iter_mut().for_each(|file| file.problems.sort_by_key(at));
        }
        self.checked = Some((rules, verdict));
    }

    /// Errors and warnings.
    pub(super) fn tally(&self) -> (usize, usize) {
        tally(self.routes.iter().chain(self.others().flat_map(|file| &file.problems)))
    }

    /// What was found in the files beside routes.yaml.
    pub(super) fn others(&self) -> impl Iterator<Item = &InFile> {
        self.web.iter().map(|(file, _)| file).chain(&self.rules)
    }

    /// Writes one JSON object, with a line break at its end.
    pub(super) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let (errors, warnings) = self.tally();
        let others = self.others().flat_map(|file| file.problems.iter().map(|problem| (&*file.file, problem)));
        let all = self.routes.iter().map(|problem| (&*self.file, problem)).chain(others);
        let problems = all.map(|(file, problem)| JsonProblem::new(file, problem)).collect();
        let rules = self.checked.as_ref().map(|(rules, verdict)| JsonRules::new(rules, verdict.as_ref()));
        serde_json::to_writer_pretty(&mut *out, &Json { file: &self.file, errors, warnings, problems, rules })?;
        writeln!(out)
    }
}

/// For sorting; what concerns the file as a whole comes first.
fn at(problem: &Problem) -> Option<(usize, usize)> {
    problem.place.as_ref().map(|place| (place.line, place.column))
}

/// README describes it: a field may be added, none may change.
#[derive(Serialize)]
struct Json<'r> {
    file: &'r str,
    errors: usize,
    warnings: usize,
    problems: Vec<JsonProblem<'r>>,
    rules: Option<JsonRules>,
}

#[derive(Serialize)]
struct JsonProblem<'r> {
    severity: &'static str,
    file: &'r str,
    line: Option<usize>,
    column: Option<usize>,
    end_column: Option<usize>,
    message: &'r str,
    hint: Option<&'r str>,
}

impl<'r> JsonProblem<'r> {
    fn new(file: &'r str, problem: &'r Problem) -> Self {
        let place = problem.place.as_ref();
        Self {
            severity: problem.severity.as_str(),
            file,
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            end_column: place.and_then(|place| place.end_column),
            message: &problem.message,
            hint: problem.hint.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct JsonRules {
    files: usize,
    alerts: usize,
    own_route: Option<usize>,
    default_route: Option<usize>,
    depends: Option<usize>,
}

impl JsonRules {
    fn new(rules: &RuleSet, verdict: Option<&Verdict>) -> Self {
        Self {
            files: rules.files(),
            alerts: rules.alerts().len(),
            own_route: verdict.map(|verdict| verdict.own_route),
            default_route: verdict.map(|verdict| verdict.default_route),
            depends: verdict.map(|verdict| verdict.depends),
        }
    }
}
