//! Routing held against Debian's `amtool config routes test`: the same tree and labels, the same receivers.
//!
//! Trees, labels and matchers are random and made smaller until a difference is easy to read; the message holds the
//! files and the command lines that show it. `PROPTEST_CASES=5000 cargo test --test it routing` looks longer.

pub mod amtool;
mod labels;
mod matchers;
mod tree;
mod trees;

use std::fmt::Debug;
use std::path::Path;

use alertrouter::cli::route::{Args, run};
use alertrouter::config::{Options, parse, secret};
use alertrouter::route::Tree;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner, contextualize_config};

use crate::harness::Folder;

/// What is told of a difference.
type Difference = String;

/// Holds `same` against `cases` random cases. Unlike `proptest!` it shows what `same` says and nothing else.
fn never_differs<S: Strategy>(cases: u32, strategy: &S, same: impl Fn(&S::Value) -> Result<(), Difference>)
where
    S::Value: Debug,
{
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 600, ..Config::default() };
    let mut runner = TestRunner::new(contextualize_config(config));
    match runner.run(strategy, |case| same(&case).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(difference, _)) => panic!("{}", difference.message()),
        Err(error) => panic!("{error}"),
    }
}

/// What `alertrouter route` says: the last line of its standard output, or why it refuses.
fn ours(routes_yaml: &Path, labels: &[String]) -> Result<String, String> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = Args { config: routes_yaml.to_owned(), explain: false, verify: None, labels: labels.to_vec() };
    run(args, &mut out, &mut err).map_err(|error| error.to_string())?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(out), text(err));
    // Warnings, among them those of unused receivers, say nothing about a refusal.
    let error = || err.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    out.lines().last().map(str::to_owned).ok_or_else(error)
}

/// Both files in a folder of their own.
struct Files {
    folder: Folder,
    alertmanager: String,
    routes: String,
}

impl Files {
    fn new(alertmanager: String, routes: String) -> Self {
        let folder = Folder::new();
        std::fs::write(folder.0.join("alertmanager.yml"), &alertmanager).unwrap();
        std::fs::write(folder.0.join("routes.yaml"), &routes).unwrap();
        Self { folder, alertmanager, routes }
    }

    fn amtool(&self, labels: &[String]) -> Result<String, String> {
        amtool::routes_test(&self.folder.0.join("alertmanager.yml"), labels)
    }

    fn ours(&self, labels: &[String]) -> Result<String, String> {
        ours(&self.folder.0.join("routes.yaml"), labels)
    }

    fn tree(&self) -> Option<Tree> {
        let (config, _) = parse(self.routes.as_bytes(), &Options::without_secrets(), &secret::System);
        config.map(|config| config.tree)
    }

    /// Everything that one needs to see the difference oneself.
    fn difference(
        &self,
        labels: &[String],
        amtool: &Result<String, String>,
        ours: &Result<String, String>,
    ) -> Difference {
        let said =
            |said: &Result<String, String>| said.clone().unwrap_or_else(|why| format!("refuses: {}", why.trim()));
        let (arguments, amtool, ours) = (amtool::shell(labels), said(amtool), said(ours));
        let Self { alertmanager, routes, .. } = self;
        format!(
            "different answers\n\
             --- amtool config routes test --config.file alertmanager.yml {arguments}\n{amtool}\n\
             --- alertrouter route --config routes.yaml {arguments}\n{ours}\n\
             --- alertmanager.yml\n{alertmanager}--- routes.yaml\n{routes}---\n"
        )
    }
}
