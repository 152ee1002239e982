//! What people read: as `promtool test rules` has it.

use std::fmt::Write as _;

use super::Case;
use super::coverage::Coverage;
use super::judge::Failure;
use crate::yaml::problem::count;

/// What became of a test file.
#[derive(Debug)]
pub struct FileReport {
    /// Its name, as it was given.
    pub name: String,
    /// Its tests, or what says why there are none: each in one or several lines.
    pub tests: Result<Vec<Tested>, Vec<String>>,
}

/// What became of a test.
#[derive(Debug)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// Line and column in the file, both from 1.
    pub at: (usize, usize),
    /// What does not hold.
    pub failures: Vec<Failure>,
}

impl Tested {
    /// A test, and what of it does not hold.
    #[must_use]
    pub fn new(case: &Case, failures: Vec<Failure>) -> Self {
        Self { name: case.name.clone(), at: case.at, failures }
    }
}

impl FileReport {
    /// Whether every test has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        matches!(&self.tests, Ok(tests) if tests.iter().all(|test| test.failures.is_empty()))
    }

    /// What has failed, in lines; empty if nothing has.
    #[must_use]
    pub fn failures(&self) -> String {
        let mut text = String::new();
        match &self.tests {
            Err(problems) => {
                for line in problems.join("\n").trim_end().lines() {
                    let indented = if line.is_empty() { String::new() } else { format!("    {line}") };
                    let _ = writeln!(text, "{indented}");
                }
            }
            Ok(tests) => {
                for test in tests.iter().filter(|test| !test.failures.is_empty()) {
                    let (line, column) = test.at;
                    let _ = writeln!(text, "    {}:{line}:{column}: {}", self.name, test.name);
                    for failure in &test.failures {
                        let _ = writeln!(text, "      {failure}");
                        for line in details(failure) {
                            let _ = writeln!(text, "        {line}");
                        }
                    }
                }
            }
        }
        text
    }
}

/// Expected, got, and why.
pub(super) fn details(failure: &Failure) -> [String; 3] {
    let Failure { expected, got, because, .. } = failure;
    [format!("exp: {expected}"), format!("got: {got}"), format!("because {because}")]
}

/// `3 files, 41 tests, 2 failed`, and how many files could not be used if any could not.
#[must_use]
pub fn summary(files: &[FileReport]) -> String {
    let tests = || files.iter().filter_map(|file| file.tests.as_ref().ok()).flatten();
    let failed = tests().filter(|test| !test.failures.is_empty()).count();
    let mut text = format!("{}, {}, {failed} failed", count(files.len(), "file"), count(tests().count(), "test"));
    let unusable = files.iter().filter(|file| file.tests.is_err()).count();
    if unusable > 0 {
        let _ = write!(text, ", {} could not be run", count(unusable, "file"));
    }
    text
}

/// The coverage of a routes.yaml, in lines. `of` is its name where there are several.
#[must_use]
pub fn coverage(coverage: &Coverage, of: Option<&str>) -> String {
    let Coverage { reached, total, missed, not_counted } = coverage;
    let of = of.map_or_else(String::new, |file| format!(" of {file}"));
    let mut text = format!("coverage{of}: {reached} of {} ({} %)\n", count(*total, "route"), coverage.percent());
    for route in missed {
        let _ = writeln!(text, "  not reached: {route}");
    }
    if *not_counted > 0 {
        let verb = if *not_counted == 1 { "is" } else { "are" };
        let _ = writeln!(text, "  {} can never take an alert and {verb} not counted", count(*not_counted, "route"));
    }
    text
}
