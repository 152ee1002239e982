//! `alertrouter check`: every problem of routes.yaml, and of the rule files whose alerts it routes.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Report;

use crate::clock::{Clock, SystemClock};
use crate::config::web::{self, ClientAuth, WebConfig};
use crate::config::{Config, ConfigError, Options, load};
use crate::rules::{self, RuleSet, Verdict};
use crate::yaml::plain;
use crate::yaml::problem::{InFile, Problem, Severity, count, summary};

/// How many problems are shown as text.
const MOST_SHOWN: usize = 100;

/// Says everything that is wrong with routes.yaml, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to check
    #[arg(value_name = "FILE", default_value = "routes.yaml")]
    pub file: PathBuf,
    /// Rule files of Prometheus, or folders of them, whose alerts the routes must know; may be given several times
    #[arg(long, value_name = "DIR")]
    pub rules: Vec<PathBuf>,
    /// The web configuration file, with the certificates that it names
    #[arg(long, value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Fail on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Do not look up environment variables and secret files
    #[arg(long)]
    pub no_secrets: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How problems are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As rustc does, on stderr, with a summary
    Text,
    /// One JSON object on stdout
    Json,
}

/// Checks the files. As text, problems and the summary of a file that cannot be used go to `err`, the summary of a
/// usable one to `out`; as JSON, all goes to `out`. The exit code is 1 on errors, and with `--strict` on warnings.
///
/// # Errors
/// If `out` or `err` cannot be written, or, as text, the file cannot be read.
pub fn run(args: Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Args { file, rules, web_config, strict, no_secrets, format } = args;
    let options = if no_secrets { Options::without_secrets() } else { Options::default() };
    let mut report = Report::new(&file);
    let config = match load(&file, &options) {
        Ok(loaded) => {
            report.routes = loaded.warnings;
            Some(loaded.config)
        }
        Err(ConfigError::Invalid { problems, .. }) => {
            report.routes = problems;
            None
        }
        Err(error @ ConfigError::Read { .. }) if format == Format::Text => return Err(error.into()),
        Err(error) => {
            report.routes = vec![unreadable(&error)];
            None
        }
    };
    if let Some(path) = web_config {
        check_web(&path, &mut report);
    }
    check_rules(&rules, config.as_ref(), &file, &mut report);
    match format {
        Format::Text => text(&report, config.as_ref(), out, err)?,
        Format::Json => report.json(out)?,
    }
    let (errors, warnings) = report.tally();
    Ok(if errors > 0 || (strict && warnings > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn unreadable(error: &ConfigError) -> Problem {
    Problem { severity: Severity::Error, message: error.to_string(), place: None, hint: None }
}

fn check_web(path: &Path, report: &mut Report) {
    let (config, problems) = match web::load(path, SystemClock::new().now()).result {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(ConfigError::Invalid { problems, .. }) => (None, problems),
        Err(error @ ConfigError::Read { .. }) => (None, vec![unreadable(&error)]),
    };
    report.web = Some((InFile { file: path.display().to_string(), problems }, config));
}

fn check_rules(paths: &[PathBuf], config: Option<&Config>, file: &Path, report: &mut Report) {
    if paths.is_empty() {
        return;
    }
    match rules::load(paths) {
        Ok(rules) => {
            let verdict = config.map(|config| rules::check(&rules, config, &file.display().to_string()));
            let is_empty = rules.alerts().is_empty();
            report.add(rules, verdict);
            if is_empty {
                report.rules.push(no_alert(paths));
            }
        }
        Err(error) => report.rules = error.problems,
    }
}

/// A check of nothing finds nothing; that is mostly a wrong path.
fn no_alert(paths: &[PathBuf]) -> InFile {
    let file = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let message = format!("no alert in {file}: nothing to check");
    let hint = Some("name files or folders that have rules with `alert`".to_owned());
    InFile { file, problems: vec![Problem { severity: Severity::Warning, message, place: None, hint }] }
}

fn text(report: &Report, config: Option<&Config>, out: &mut dyn Write, err: &mut dyn Write) -> std::io::Result<()> {
    let name = &plain(&report.file);
    let routes = report.routes.iter().map(|problem| (&*report.file, problem));
    let others = report.others().flat_map(|file| file.problems.iter().map(|problem| (&*file.file, problem)));
    show_some(routes.chain(others), err)?;
    match config {
        Some(config) => {
            let receivers = count(config.receivers.len(), "receiver");
            let routes = count(config.tree.root.walk().count(), "route");
            writeln!(out, "{name}: {receivers}, {routes}, {}", summary(&report.routes))?;
        }
        None => writeln!(err, "{name}: {}", summary(&report.routes))?,
    }
    match &report.web {
        Some((InFile { file, problems }, Some(web))) => {
            writeln!(out, "{}: {}, {}", plain(file), in_words(web), summary(problems))?;
        }
        Some((InFile { file, problems }, None)) => writeln!(err, "{}: {}", plain(file), summary(problems))?,
        None => {}
    }
    let said = summary(report.rules.iter().flat_map(|file| &file.problems));
    match &report.checked {
        Some((rules, Some(verdict))) => writeln!(out, "rules: {}", landings(rules, verdict, &said)),
        Some((rules, None)) => writeln!(err, "rules: {}, not routed: {name} has errors", rules::describe(rules)),
        None if report.rules.is_empty() => Ok(()),
        None => writeln!(err, "rules: {said}"),
    }
}

/// `TLS, client certificates required, 1 user`.
fn in_words(web: &WebConfig) -> String {
    let tls = web.tls.as_ref().map_or("no TLS", |tls| match tls.client_auth {
        ClientAuth::None => "TLS",
        ClientAuth::Request => "TLS, client certificates asked for and not verified",
        ClientAuth::RequireAny => "TLS, any client certificate required",
        ClientAuth::VerifyIfGiven => "TLS, client certificates verified where there is one",
        ClientAuth::RequireAndVerify => "TLS, client certificates required",
    });
    format!("{tls}, {}", count(web.basic_users.len(), "user"))
}

/// `12 alerts in 3 files: 10 land on a route of their own, 2 depend on labels that only Prometheus knows`.
fn landings(rules: &RuleSet, verdict: &Verdict, said: &str) -> String {
    let all = [
        (verdict.own_route, "lands on a route of its own", "land on a route of their own"),
        (verdict.default_route, "reaches only the default route", "reach only the default route"),
        (
            verdict.depends,
            "depends on labels that only Prometheus knows",
            "depend on labels that only Prometheus knows",
        ),
    ];
    let parts: Vec<String> = all
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{number} {}", if *number == 1 { one } else { many }))
        .collect();
    let colon = if parts.is_empty() { "" } else { ": " };
    let said = if said == "no problems" { String::new() } else { format!("; {said}") };
    format!("{}{colon}{}{said}", rules::describe(rules), parts.join(", "))
}

/// Writes problems as rustc does, with a blank line after each.
///
/// # Errors
/// If `err` cannot be written.
pub fn show(problems: &[Problem], file: &str, err: &mut dyn Write) -> std::io::Result<()> {
    show_some(problems.iter().map(|problem| (file, problem)), err)
}

/// The same for problems of several files. Nobody reads more than [`MOST_SHOWN`]; JSON has them all.
fn show_some<'p>(problems: impl Iterator<Item = (&'p str, &'p Problem)>, err: &mut dyn Write) -> std::io::Result<()> {
    let mut left = 0;
    for (at, (file, problem)) in problems.enumerate() {
        if at < MOST_SHOWN { writeln!(err, "{}\n", problem.render(file))? } else { left += 1 }
    }
    if left > 0 { writeln!(err, "and {left} more\n") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::folder;

    fn args(file: &Path, strict: bool, no_secrets: bool) -> Args {
        Args { file: file.to_owned(), rules: Vec::new(), web_config: None, strict, no_secrets, format: Format::Text }
    }

    fn check(files: &[(&str, &str)], strict: bool, no_secrets: bool) -> (ExitCode, String, String) {
        let folder = folder(files);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = args(&folder.path().join("routes.yaml"), strict, no_secrets);
        let code = run(args, &mut out, &mut err).unwrap();
        let place = folder.path().display().to_string() + "/";
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&place, "");
        (code, text(out), text(err))
    }

    const PLAIN: &str = "receivers:
  - {name: a, webhook: {url: {file: secret}}}
  - {name: b, webhook: {url: http://localhost/}}
route: {receivers: [a], routes: [{matchers: [x=y]}]}
";

    #[test]
    fn says_what_it_found() {
        let (code, out, err) = check(&[("routes.yaml", PLAIN), ("secret", "http://localhost:1/\n")], false, false);
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        assert_eq!(out, "routes.yaml: 2 receivers, 2 routes, 1 warning\n");
        assert!(err.starts_with("warning: no route uses the receiver `b`"), "{err}");
        let (code, ..) = check(&[("routes.yaml", PLAIN), ("secret", "http://localhost:1/\n")], true, false);
        assert_eq!(code, ExitCode::FAILURE);
    }

    #[test]
    fn without_secrets_their_absence_is_fine() {
        let (code, out, err) = check(&[("routes.yaml", PLAIN)], false, false);
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(err.contains("the file secret does not exist") && err.ends_with("1 error, 1 warning\n"), "{err}");
        assert_eq!(check(&[("routes.yaml", PLAIN)], false, true).0, ExitCode::SUCCESS);
    }

    #[test]
    fn the_shipped_file_is_fine() {
        let args = args("routes.yaml".as_ref(), true, true);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(args, &mut out, &mut err).unwrap(), ExitCode::SUCCESS);
        assert_eq!(String::from_utf8(out).unwrap(), "routes.yaml: 3 receivers, 4 routes, no problems\n");
    }

    #[test]
    fn rules_without_an_alert_are_a_warning() {
        let record = "groups: [{name: g, rules: [{record: a, expr: b}]}]";
        let folder = folder(&[("routes.yaml", PLAIN), ("rules.yaml", record)]);
        let mut args = args(&folder.path().join("routes.yaml"), true, true);
        args.rules = vec![folder.path().join("rules.yaml")];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(args, &mut out, &mut err).unwrap(), ExitCode::FAILURE);
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("warning: no alert in ") && err.contains("rules.yaml: nothing to check"), "{err}");
    }

    #[test]
    fn a_hundred_problems_are_enough() {
        let names = (0..150).map(|number| format!("n{number}")).collect::<Vec<_>>().join(", ");
        let text = format!("{}\ndedup: {{{names}}}\n", PLAIN.trim_end());
        let (code, _, err) = check(&[("routes.yaml", &text)], false, true);
        assert_eq!((code, err.matches("error: ").count()), (ExitCode::FAILURE, 99), "{err}");
        assert!(err.ends_with("\nand 51 more\n\nroutes.yaml: 150 errors, 1 warning\n"), "{err}");
    }

    #[test]
    fn a_missing_file_is_one_line() {
        let args = args("nowhere.yaml".as_ref(), false, false);
        let error = run(args, &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read nowhere.yaml: No such file or directory (os error 2)");
    }
}
