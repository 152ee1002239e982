//! `alertrouter man`: manual pages, made of the same command tree that reads the command line.

mod facts;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::version;
use facts::Facts;

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    output: Option<PathBuf>,
}

/// Writes alertrouter(1) to `out`, or all pages of `tree`, the whole command line, to the directory.
///
/// # Errors
/// If `out` or the directory cannot be written.
pub fn run(args: &Args, tree: clap::Command, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let pages = pages(tree).context("the page cannot be rendered")?;
    match &args.output {
        None => out.write_all(pages.first().map_or(&[], |page| page.text.as_bytes()))?,
        Some(folder) => write_all(&pages, folder)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write_all(pages: &[Page], folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {} (--output)", folder.display()))?;
    for page in pages {
        let path = folder.join(format!("{}.1", page.name));
        fs::write(&path, &page.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A manual page.
struct Page {
    /// `alertrouter-outbox-list`.
    name: String,
    text: String,
}

/// The page of the program, and then of each command.
fn pages(tree: clap::Command) -> io::Result<Vec<Page>> {
    let mut tree = tree.disable_help_subcommand(true);
    tree.build();
    let mut pages = Vec::new();
    let mut left = vec![&tree];
    while let Some(command) = left.pop() {
        pages.push(page(command)?);
        let mut commands: Vec<_> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
        commands.reverse();
        left.extend(commands);
    }
    Ok(pages)
}

/// What the page is called: `alertrouter-outbox-list`.
fn name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &clap::Command) -> io::Result<Page> {
    let name = name(command);
    let facts = Facts::of(name.strip_prefix("alertrouter-").unwrap_or_default());
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"));
    let mut text = Vec::new();
    man.render_name_section(&mut text)?;
    synopsis(command).to_writer(&mut text)?;
    description(command).to_writer(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    rest(command, &facts).to_writer(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // Each part brings the definition of an apostrophe along.
    let lines = text.lines().filter(|line| !APOSTROPHE.contains(line)).map(emphasised);
    let title = format!(".TH {} 1 \"{}\" \"alertrouter {}\"", name.to_uppercase(), version::DATE, version::VERSION);
    let text = APOSTROPHE.iter().map(|line| (*line).to_owned()).chain([title]).chain(lines).collect::<Vec<_>>();
    // An empty line between two line breaks is what clap_mangen writes for some space.
    Ok(Page { name, text: text.join("\n").replace("\n.br\n\n.br\n", "\n.sp\n") + "\n" })
}

/// What the crate `roff` puts before what it renders.
const APOSTROPHE: [&str; 2] = [r".ie \n(.g .ds Aq \(aq", ".el .ds Aq '"];

/// What the help says below its first line, which is the page's name line already.
fn description(command: &clap::Command) -> Roff {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let more = long.strip_prefix(&about).map_or(long.trim(), str::trim);
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    if more.is_empty() {
        roff.text([roman(about + ".")]);
    }
    for (at, paragraph) in more.split("\n\n").enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    roff
}

/// How it is called, in the words of clap's errors: which flags there are follows anyway.
fn synopsis(command: &clap::Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let called = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let rest = usage.trim_start_matches("Usage: ").trim_start_matches(called).trim().to_owned();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(called), roman(" "), italic(rest)]);
    roff
}

/// What clap does not know.
fn rest(command: &clap::Command, facts: &Facts) -> Roff {
    let mut roff = Roff::new();
    list(&mut roff, "EXIT STATUS", facts.exit_status);
    list(&mut roff, "ENVIRONMENT", &[&environment(command)[..], &owned(facts.environment)].concat());
    list(&mut roff, "FILES", facts.files);
    list(&mut roff, "EXAMPLES", facts.examples);
    roff.control("SH", ["SEE ALSO"]);
    let called = command.get_bin_name().unwrap_or_default();
    let above = called.match_indices(' ').map(|(end, _)| format!("{}(1)", called[..end].replace(' ', "-")));
    let pages: Vec<String> = above.chain(facts.see_also.iter().map(|page| (*page).to_owned())).collect();
    roff.text([roman(pages.join(", "))]);
    roff
}

/// Which variables stand for a flag.
fn environment(command: &clap::Command) -> Vec<(String, String)> {
    let of = |argument: &clap::Arg| {
        let variable = argument.get_env()?.to_str()?.to_owned();
        let takes_value = argument.get_action().takes_values();
        let value = if takes_value { "" } else { ", as `true` or `false`" };
        Some((variable, format!("Stands for `--{}`{value}. The flag wins over it.", argument.get_long()?)))
    };
    command.get_arguments().filter_map(of).collect()
}

fn owned(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(term, text)| ((*term).to_owned(), (*text).to_owned())).collect()
}

/// A section of terms and what they mean, if there are any.
fn list<T: AsRef<str>>(roff: &mut Roff, title: &str, entries: &[(T, T)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(term.as_ref())]);
        roff.text([roman(text.as_ref())]);
    }
}

/// A line of roff in which what stands between backticks, as in help texts, is bold; a page has better quotes than those.
fn emphasised(line: &str) -> String {
    if !line.matches('`').count().is_multiple_of(2) {
        return line.to_owned();
    }
    let parts = line.split('`').enumerate();
    parts.map(|(at, part)| if at.is_multiple_of(2) { part.to_owned() } else { format!("\\fB{part}\\fR") }).collect()
}

#[cfg(test)]
mod tests;
