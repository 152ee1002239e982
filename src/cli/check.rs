//! `alertrouter check`: every problem of routes.yaml.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{ConfigError, Options, load};
use crate::yaml::problem::{Problem, count, summary};

/// Says everything that is wrong with routes.yaml, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to check
    #[arg(value_name = "FILE", default_value = "routes.yaml")]
    pub file: PathBuf,
    /// Fail on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Do not look up environment variables and secret files
    #[arg(long)]
    pub no_secrets: bool,
}

/// Checks the file. Problems go to `err`, the summary of a usable file to `out`. The exit code is 1 on errors, and with
/// `--strict` on warnings.
///
/// # Errors
/// If the file cannot be read, or `out` or `err` cannot be written.
pub fn run(args: Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Args { file, strict, no_secrets } = args;
    let options = if no_secrets { Options::without_secrets() } else { Options::default() };
    let name = file.display().to_string();
    match load(&file, &options) {
        Ok(loaded) => {
            show(&loaded.warnings, &name, err)?;
            let receivers = count(loaded.config.receivers.len(), "receiver");
            let routes = count(loaded.config.tree.root.walk().count(), "route");
            writeln!(out, "{name}: {receivers}, {routes}, {}", summary(&loaded.warnings))?;
            Ok(if strict && !loaded.warnings.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(ConfigError::Invalid { problems, .. }) => {
            show(&problems, &name, err)?;
            writeln!(err, "{name}: {}", summary(&problems))?;
            Ok(ExitCode::FAILURE)
        }
        Err(error @ ConfigError::Read { .. }) => Err(error.into()),
    }
}

/// Writes problems as rustc does, with a blank line after each.
///
/// # Errors
/// If `err` cannot be written.
pub fn show(problems: &[Problem], file: &str, err: &mut dyn Write) -> std::io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(err, "{}\n", problem.render(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::folder;

    fn check(files: &[(&str, &str)], strict: bool, no_secrets: bool) -> (ExitCode, String, String) {
        let folder = folder(files);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = Args { file: folder.path().join("routes.yaml"), strict, no_secrets };
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
        let args = Args { file: "routes.yaml".into(), strict: true, no_secrets: true };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(args, &mut out, &mut err).unwrap(), ExitCode::SUCCESS);
        assert_eq!(String::from_utf8(out).unwrap(), "routes.yaml: 3 receivers, 4 routes, no problems\n");
    }

    #[test]
    fn a_missing_file_is_one_line() {
        let args = Args { file: "nowhere.yaml".into(), strict: false, no_secrets: false };
        let error = run(args, &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read nowhere.yaml: No such file or directory (os error 2)");
    }
}
