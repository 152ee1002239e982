//! README is the page one lands on, and people paste from it at night: what it says is held to what is there.
//!
//! `listed` has every command of it: run in one of the `stories`, or with the reason why not; `commands` holds the list to that. `reference` holds its
//! tables against the schema, the command line and the metrics, `links` what it points at.

mod commands;
mod links;
mod listed;
mod operations;
mod reference;
mod shell;
mod stories;

use crate::routes_file::root;

/// README as it is.
fn readme() -> String {
    std::fs::read_to_string(root("README.md")).unwrap()
}

/// The part below a headline of any level, up to the next one of that level or a higher one.
fn section(headline: &str) -> String {
    let text = readme();
    let level = headline.chars().take_while(|c| *c == '#').count();
    let mut lines = outside_and_inside(&text).skip_while(|(line, code)| *code || *line != headline);
    assert!(lines.next().is_some(), "README has no {headline:?}");
    let ends = |(line, code): &(&str, bool)| {
        let depth = line.chars().take_while(|c| *c == '#').count();
        !code && (1..=level).contains(&depth)
    };
    lines.take_while(|line| !ends(line)).map(|(line, _)| line).collect::<Vec<_>>().join("\n")
}

/// Each line, and whether it stands in a block of code, its fences among it.
fn outside_and_inside(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut inside = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        let code = inside || fence;
        inside ^= fence;
        (line, code)
    })
}

/// A command of README, and what it shows below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Command {
    /// The nearest headline above.
    section: String,
    /// Without the remark at its end; one that goes over several lines has them all.
    text: String,
    shown: Vec<String>,
}

/// Every command of its `sh` blocks, and of those that show a prompt.
fn commands() -> Vec<Command> {
    let text = readme();
    let (mut section, mut language, mut found) = (String::new(), None, Vec::<Command>::new());
    for line in text.lines() {
        let inside = line.trim();
        match (language, inside.strip_prefix("```")) {
            (None, Some(name)) => language = Some(name),
            (Some(_), Some(_)) => language = None,
            (None, None) if line.starts_with('#') => line.trim_start_matches(['#', ' ']).clone_into(&mut section),
            (Some("sh"), None) => shell_line(&mut found, &section, inside),
            (Some("text"), None) if line.starts_with("$ ") => {
                found.push(Command { section: section.clone(), text: line[2..].to_owned(), shown: Vec::new() });
            }
            _ => (),
        }
    }
    found
}

fn shell_line(found: &mut Vec<Command>, section: &str, line: &str) {
    if let Some(last) = found.last_mut().filter(|last| last.section == section && is_open(&last.text)) {
        last.text.push('\n');
        last.text.push_str(without_remark(line));
    } else if let Some(shown) = line.strip_prefix('#') {
        let last = found.last_mut().unwrap_or_else(|| panic!("{line:?} is shown by no command"));
        last.shown.push(shown.strip_prefix(' ').unwrap_or(shown).to_owned());
    } else if !line.is_empty() {
        let text = without_remark(line).to_owned();
        found.push(Command { section: section.to_owned(), text, shown: Vec::new() });
    }
}

/// Whether the next line belongs to it: it ends with a backslash or a pipe, or a quote is open.
fn is_open(command: &str) -> bool {
    command.ends_with('\\') || command.ends_with('|') || command.matches('\'').count() % 2 == 1
}

/// A line without what is said about it at its end.
fn without_remark(line: &str) -> &str {
    line.find("  # ").or_else(|| line.find(" # ")).map_or(line, |at| &line[..at]).trim_end()
}

#[test]
fn lines_become_commands() {
    let mut found = Vec::new();
    for line in ["a b   # why", "# said", "#   more", "c |", "  d", "curl -d '{", "}'", "", "e \\", "  f"] {
        shell_line(&mut found, "s", line.trim_end());
    }
    let texts: Vec<_> = found.iter().map(|command| command.text.as_str()).collect();
    assert_eq!(texts, ["a b", "c |\n  d", "curl -d '{\n}'", "e \\\n  f"]);
    assert_eq!(found[0].shown, ["said", "  more"]);
}
