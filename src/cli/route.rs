//! `alertrouter route`: which receivers some labels reach, and why.

mod explain;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use super::check::show;
use crate::alert::Labels;
use crate::config::{ConfigError, Options, load};
use crate::route::matcher::{Op, parse_one};
use crate::yaml::plain;
use crate::yaml::problem::summary;

/// Says which receivers an alert with these labels reaches.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file with the routes
    #[arg(long, value_name = "FILE", env = "ALERTROUTER_CONFIG", default_value = "routes.yaml")]
    pub config: PathBuf,
    /// Print the tree, and for each route why it takes the alert or does not
    #[arg(long)]
    pub explain: bool,
    /// The receivers that are expected, in tree order, joined by commas; anything else is a failure
    #[arg(long, value_name = "A,B")]
    pub verify: Option<String>,
    /// Labels as NAME=VALUE
    #[arg(value_name = "LABEL")]
    pub labels: Vec<String>,
}

/// Prints the receivers, joined by commas, as the last line of `out`: what `amtool config routes test` prints. With
/// `--explain` the tree stands above. Secrets need not be there. The exit code is 1 if `--verify` expects others, or if
/// the file has errors.
///
/// # Errors
/// If a label is not written as `NAME=VALUE`, the file cannot be read, or `out` or `err` cannot be written.
pub fn run(args: Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Args { config, explain, verify, labels } = args;
    let labels = parse_labels(&labels)?;
    let loaded = match load(&config, &Options::without_secrets()) {
        Ok(loaded) => loaded,
        Err(ConfigError::Invalid { file, problems }) => {
            show(&problems, &file, err)?;
            writeln!(err, "{file}: {}", summary(&problems))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error @ ConfigError::Read { .. }) => return Err(error.into()),
    };
    let tree = &loaded.config.tree;
    if explain {
        let file = config.display().to_string();
        write!(out, "{}", explain::draw(&file, &labels, &crate::route::explain::explain(tree, &labels)))?;
    }
    let receivers = tree.receivers(&labels);
    let names: Vec<&str> = receivers.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        writeln!(err, "no receiver: the route says `receivers: []`")?;
    }
    let names = names.join(",");
    writeln!(out, "{names}")?;
    if let Some(expected) = verify
        && expected.split(',').map(str::trim).ne(names.split(','))
    {
        let message = format!("{labels} reaches `{names}`, expected `{expected}`");
        writeln!(err, "error: {}", plain(&message))?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// As amtool reads them: each is a matcher with `=`. An empty value is a missing label. Of two with one name amtool takes
/// the later one; it is a slip, and refused here.
fn parse_labels(texts: &[String]) -> anyhow::Result<Labels> {
    let mut pairs = Vec::with_capacity(texts.len());
    for text in texts {
        let matcher = match parse_one(text) {
            Ok(matcher) if matcher.op() == Op::Equal => matcher,
            Ok(_) => bail!("bad label {text:?}: write it as NAME=VALUE"),
            Err(error) => bail!("bad label {text:?}: {error}; write it as NAME=VALUE"),
        };
        pairs.push((matcher.name().to_owned(), matcher.value().to_owned()));
    }
    let all: Labels = pairs.into_iter().collect();
    Ok(all.iter().filter(|(_, value)| !value.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(verify: Option<&str>, labels: &[&str]) -> (ExitCode, String, String) {
        let (code, out, err) = run_with(false, verify, labels);
        // `--explain` changes neither the last line nor the verdict.
        let (explained, more, same) = run_with(true, verify, labels);
        assert_eq!((explained, &same), (code, &err));
        assert!(more.ends_with(&format!("\n\n{out}")), "{more}");
        (code, out, err)
    }

    fn run_with(explain: bool, verify: Option<&str>, labels: &[&str]) -> (ExitCode, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let args = Args { config: "routes.yaml".into(), explain, verify: verify.map(str::to_owned), labels };
        let code = run(args, &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn prints_the_receivers() {
        let check = |labels: &[&str], expected: &str| {
            assert_eq!(route(None, labels), (ExitCode::SUCCESS, format!("{expected}\n"), String::new()));
        };
        check(&["severity=critical", "job=api"], "oncall,team-slack");
        check(&[r#"severity="warning""#], "team-slack");
        check(&["severity = info"], "dashboards");
        check(&["severity="], "team-slack");
        // As amtool: of two the later one counts.
        check(&["severity=info", "severity="], "team-slack");
        check(&[], "team-slack");
    }

    #[test]
    fn verifies() {
        assert_eq!(route(Some("oncall, team-slack"), &["severity=critical"]).0, ExitCode::SUCCESS);
        let (code, out, err) = route(Some("dashboards"), &["severity=critical"]);
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, "oncall,team-slack\n"));
        assert_eq!(err, "error: {severity=\"critical\"} reaches `oncall,team-slack`, expected `dashboards`\n");
    }

    #[test]
    fn refuses_what_is_no_label() {
        let check = |label: &str, expected: &str| {
            assert_eq!(parse_labels(&[label.to_owned()]).unwrap_err().to_string(), expected);
        };
        check(
            "severity",
            r#"bad label "severity": expected one of = != =~ !~ after the label name; write it as NAME=VALUE"#,
        );
        check("a=~b", r#"bad label "a=~b": write it as NAME=VALUE"#);
        check("{a=b}", r#"bad label "{a=b}": unexpected brace; write it as NAME=VALUE"#);
    }
}
