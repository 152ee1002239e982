//! `alertrouter test`: unit tests for routes.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use regex::Regex;

use crate::clock::Timestamp;
use crate::config::{self, Config, ConfigError};
use crate::dedup::Cache;
use crate::notification::ReceiverName;
use crate::routetest::coverage::{Coverage, Reached};
use crate::routetest::file::{self, World};
use crate::routetest::judge::judge;
use crate::routetest::report::{self, FileReport, Tested};
use crate::routetest::simulate::{Seen, simulate};
use crate::routetest::{Case, junit};
use crate::rules::{self, RuleSet};
use crate::store::sqlite::{self, SqliteStore};
use crate::yaml::problem::InFile;
use crate::yaml::{plain, plain_lines};

/// Runs tests of routes.yaml.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files with tests
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The file with the routes, for tests that do not name one as `config`
    #[arg(long, value_name = "FILE", env = "ALERTROUTER_CONFIG", default_value = "routes.yaml")]
    pub config: PathBuf,
    /// Write the results as JUnit XML, too
    #[arg(long, value_name = "OUT")]
    pub junit: Option<PathBuf>,
    /// Say which routes no test reaches; with a number, fail if fewer than so many percent are reached
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "0",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub coverage: Option<u8>,
    /// Run only the tests whose name matches a regular expression, anywhere in it
    #[arg(long, value_name = "REGEX")]
    pub run: Option<Regex>,
}

/// Runs the tests. Failures go to `err`, everything else to `out`. The exit code is 1 if a test fails, a file cannot be
/// used, or too few routes are reached; 2 if `--run` and `--coverage` with a number are given together.
///
/// # Errors
/// If no store can be made in the temporary folder, or `out`, `err` or the JUnit file cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.run.is_some() && args.coverage.is_some_and(|percent| percent > 0) {
        writeln!(err, "error: --run leaves tests out, so --coverage=PERCENT cannot ask for enough; use one of them")?;
        return Ok(ExitCode::from(2));
    }
    let mut session = Session { args, routes: Vec::new(), rules: HashMap::new() };
    let mut reports = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let name = path.display().to_string();
        writeln!(out, "Unit Testing:  {}", plain(&name))?;
        let report = FileReport { tests: session.test(path)?, name };
        if report.tests.as_ref().is_ok_and(Vec::is_empty) {
            writeln!(out, "  no tests\n")?;
        } else if report.has_passed() {
            writeln!(out, "  SUCCESS\n")?;
        } else {
            write!(err, "  FAILED:\n{}\n", plain_lines(&report.failures()))?;
        }
        reports.push(report);
    }
    let mut has_passed = reports.iter().all(FileReport::has_passed);
    if let Some(percent) = args.coverage {
        has_passed &= session.coverage(percent, out, err)?;
    }
    let nothing_ran = reports.iter().all(|report| report.tests.as_ref().is_ok_and(Vec::is_empty));
    if nothing_ran {
        writeln!(err, "error: no test has a name that --run matches")?;
    }
    writeln!(out, "{}", report::summary(&reports))?;
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::render(&reports))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(if has_passed && !nothing_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the files of one call have in common.
struct Session<'a> {
    args: &'a Args,
    /// Every routes.yaml that was asked for.
    routes: Vec<Routes>,
    /// What was loaded from these paths, or why that cannot be used.
    rules: HashMap<Vec<PathBuf>, Rc<Result<RuleSet, Vec<String>>>>,
}

struct Routes {
    /// To know it again, however it is named.
    path: PathBuf,
    name: String,
    /// What it says, or why it cannot be used.
    config: Result<Config, Vec<String>>,
    reached: Reached,
}

impl Session<'_> {
    /// What became of the tests of a file, or the lines that say why it cannot be used.
    fn test(&mut self, path: &Path) -> anyhow::Result<Result<Vec<Tested>, Vec<String>>> {
        let args = self.args;
        let (mut cases, routes) = match self.read(path) {
            Ok(read) => read,
            Err(lines) => return Ok(Err(lines)),
        };
        let config = match &routes.config {
            Ok(config) => config,
            Err(lines) => return Ok(Err(lines.clone())),
        };
        if let Some(regex) = &args.run {
            cases.retain(|case| regex.is_match(&case.name));
        }
        let seen = live(config, &cases)?;
        for case in &cases {
            routes.reached.add(&config.tree, case);
        }
        let judge = |(case, seen): (&Case, &Vec<Seen>)| Tested::new(case, judge(case, seen, config, &routes.name));
        Ok(Ok(cases.iter().zip(&seen).map(judge).collect()))
    }

    /// The tests of a file, and what they are about; or the lines that say why there are none.
    fn read(&mut self, path: &Path) -> Result<(Vec<Case>, &mut Routes), Vec<String>> {
        let args = self.args;
        let name = path.display().to_string();
        // `--coverage 50` is read as a file of that name.
        let percent = args.coverage == Some(0) && name.parse::<u8>().is_ok();
        let hint = if percent { format!("; did you mean --coverage={name}?") } else { String::new() };
        let bytes = file::read(path).map_err(|error| vec![format!("cannot read {name}: {error}{hint}")])?;
        let draft = file::open(&bytes).map_err(|problem| vec![problem.render(&name)])?;
        let beside = |file: &str| path.parent().unwrap_or(Path::new("")).join(file);
        let rules = self.rules(draft.rule_files().into_iter().map(beside));
        let own = draft.config().map(beside);
        let routes = self.routes(own.as_deref().unwrap_or(&args.config));
        let names = routes.config.as_ref().ok().map(receivers);
        let world = World { routes: &routes.name, receivers: names.as_deref(), rules: (*rules).as_ref().ok() };
        let cases = draft.cases(&world);
        let problems = cases.as_ref().err().into_iter().flatten().map(|problem| problem.render(&name) + "\n");
        // What is wrong with the routes can wait: which ones are meant may be what is wrong here.
        let why_no_routes = routes.config.as_ref().err().filter(|_| cases.is_ok()).into_iter().flatten().cloned();
        let why_no_rules = (*rules).as_ref().err().into_iter().flatten().cloned();
        let lines: Vec<String> = problems.chain(why_no_routes).chain(why_no_rules).collect();
        match cases {
            Ok(cases) if lines.is_empty() => Ok((cases, routes)),
            _ => Err(lines),
        }
    }

    /// A routes.yaml, which is read once.
    fn routes(&mut self, path: &Path) -> &mut Routes {
        let key = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let at = self.routes.iter().position(|routes| routes.path == key).unwrap_or_else(|| {
            let name = shown(path);
            let config = match config::load(path, &config::Options::without_secrets()) {
                Ok(loaded) => Ok(loaded.config),
                Err(ConfigError::Invalid { problems, .. }) => {
                    Err(problems.iter().map(|problem| problem.one_line(&name)).collect())
                }
                Err(ConfigError::Read { source, .. }) => {
                    let hint = "name the routes file with --config, or with `config` in the test file";
                    Err(vec![format!("cannot read {name}: {source}; {hint}")])
                }
            };
            self.routes.push(Routes { path: key, name, config, reached: Reached::default() });
            self.routes.len() - 1
        });
        &mut self.routes[at]
    }

    /// The rules at these paths, which are read once.
    fn rules(&mut self, paths: impl Iterator<Item = PathBuf>) -> Rc<Result<RuleSet, Vec<String>>> {
        let paths: Vec<PathBuf> = paths.map(|path| shown(&path).into()).collect();
        let load = |paths: &Vec<PathBuf>| {
            let render = |file: InFile| {
                let name = file.file;
                file.problems.into_iter().map(move |problem| problem.render(&name) + "\n")
            };
            Rc::new(rules::load(paths).map_err(|error| error.problems.into_iter().flat_map(render).collect()))
        };
        Rc::clone(self.rules.entry(paths).or_insert_with_key(load))
    }

    /// Says how much of each routes.yaml was reached, and whether that is enough.
    fn coverage(&self, percent: u8, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<bool> {
        let usable: Vec<(&Routes, &Config)> =
            self.routes.iter().filter_map(|routes| Some((routes, routes.config.as_ref().ok()?))).collect();
        let mut is_enough = true;
        for (routes, config) in &usable {
            let coverage = Coverage::of(&config.tree, &routes.reached, &routes.name);
            let name = (usable.len() > 1).then_some(routes.name.as_str());
            writeln!(out, "{}", report::coverage(&coverage, name))?;
            if !coverage.is_at_least(percent) {
                is_enough = false;
                writeln!(
                    err,
                    "error: {} % of the routes of {} are reached, and --coverage={percent} asks for more",
                    coverage.percent(),
                    routes.name
                )?;
            }
        }
        Ok(is_enough)
    }
}

fn receivers(config: &Config) -> Vec<ReceiverName> {
    config.receivers.iter().map(|receiver| receiver.target.name.clone()).collect()
}

/// A path as people would write it: relative if it is below the working folder.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let relative = || Some(path.canonicalize().ok()?.strip_prefix(here.ok()?).ok()?.to_owned());
    let shown = relative().unwrap_or_else(|| path.to_owned());
    if shown.as_os_str().is_empty() { ".".to_owned() } else { shown.display().to_string() }
}

/// What comes of the steps of these cases, in a store of their own.
fn live(config: &Config, cases: &[Case]) -> anyhow::Result<Vec<Vec<Seen>>> {
    if cases.iter().all(|case| case.steps.is_empty()) {
        return Ok(vec![Vec::new(); cases.len()]);
    }
    let folder = Folder::new()?;
    // Nobody asks the cache: the store itself is what is tested.
    let options = sqlite::Options::new(Cache::new(0, Duration::ZERO));
    let store = Arc::new(SqliteStore::open(&folder.0, options, Timestamp::UNIX_EPOCH)?);
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("the runtime cannot start")?;
    runtime.block_on(simulate(config, cases, store)).context("the store of the simulation has failed")
}

/// A folder for the store of a simulation, removed when that ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("alertrouter-test-{:016x}", fastrand::u64(..)));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made, and tests with steps need it", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system cleans its temporary folder; a failure here is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
