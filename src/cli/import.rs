//! `alertrouter import`: an alertmanager.yml becomes a routes.yaml.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::check::show;
use crate::config::{self, secret};
use crate::import::{Imported, Options, Variable, import};
use crate::yaml::problem::{Problem, is_sound, summary};
use crate::yaml::{self, Limits};

/// Turns an alertmanager.yml into a routes.yaml that reaches the same receivers.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The alertmanager.yml; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the output file
    #[arg(long, requires = "output")]
    force: bool,
    /// Copy secrets that stand in the file instead of asking for an environment variable for each
    #[arg(long)]
    keep_secrets: bool,
}

/// Imports a file. The routes.yaml goes to `out` or to `--output`; problems, and the environment variables to set, go to
/// `err`. The exit code is 1 if the file has errors: nothing is written then. It is 1, too, if `check` would refuse what
/// was written.
///
/// # Errors
/// If the file cannot be read, the output exists already or cannot be written, or `out` or `err` cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let is_stdin = args.file == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let limits = &Limits::GENERATED;
    let read = if is_stdin { yaml::read_from(io::stdin().lock(), limits) } else { yaml::read(&args.file, limits) };
    let bytes = read.with_context(|| format!("cannot read {name}"))?;
    let (imported, problems) = import(&bytes, &Options { file: name.clone(), keep_secrets: args.keep_secrets });
    show(&problems, &name, err)?;
    let Some(Imported { text, variables }) = imported else {
        writeln!(err, "{name}: {}", summary(&problems))?;
        return Ok(ExitCode::FAILURE);
    };
    match &args.output {
        Some(path) => write_file(path, &text, args)?,
        None => out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the output could not be written")?,
    }
    writeln!(err, "{name}: {}", summary(&problems))?;
    list(&variables, err)?;
    let wrong = refused(&text);
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let output = args.output.as_ref().map_or_else(|| "the output".to_owned(), |path| path.display().to_string());
    show(&wrong, &output, err)?;
    writeln!(err, "{output}: {}", summary(&wrong))?;
    Ok(ExitCode::FAILURE)
}

/// What `check` would find in the imported file: a secret that was copied and is none, or a file near the limits.
fn refused(text: &str) -> Vec<Problem> {
    let (_, problems) = config::parse(text.as_bytes(), &config::Options::without_secrets(), &secret::System);
    if is_sound(&problems) { Vec::new() } else { problems }
}

fn write_file(path: &Path, text: &str, args: &Args) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!args.force).create(true).truncate(true);
    #[cfg(unix)]
    if args.keep_secrets {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists\nhint: --force overwrites it", path.display())
        }
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// The environment variables to set, and what each has to hold.
fn list(variables: &[Variable], err: &mut dyn Write) -> io::Result<()> {
    let titles = [(false, "environment variables to set:"), (true, "placeholders to replace (TODO in the file):")];
    for (is_placeholder, title) in titles {
        let some: Vec<_> = variables.iter().filter(|variable| variable.is_placeholder == is_placeholder).collect();
        let width = some.iter().map(|variable| variable.name.len()).max().unwrap_or_default();
        if !some.is_empty() {
            writeln!(err, "\n{title}")?;
        }
        for Variable { name, holds, .. } in some {
            writeln!(err, "  {name:width$}  {holds}")?;
        }
    }
    Ok(())
}
