//! Pages say all that the command tree says.

use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

/// Each command with its arguments, as clap reads them.
fn commands() -> Vec<clap::Command> {
    let mut tree = Cli::command().disable_help_subcommand(true);
    tree.build();
    let mut all = Vec::new();
    let mut left = vec![tree];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        all.push(command);
    }
    all
}

fn page_of<'a>(pages: &'a [Page], command: &clap::Command) -> &'a Page {
    let name = name(command);
    pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("{name} has no page"))
}

/// As it is written in roff.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

#[test]
fn every_command_has_a_page_with_every_flag_value_and_variable() {
    let pages = pages(Cli::command()).unwrap();
    let commands = commands();
    assert_eq!(pages.len(), commands.len());
    assert!(commands.len() >= 16 && pages[0].name == "alertrouter");
    for command in &commands {
        let Page { name, text } = page_of(&pages, command);
        for below in command.get_subcommands() {
            let line = format!("{}(1)", escaped(&super::name(below)));
            assert!(text.contains(&line), "{name} lacks {line}");
        }
        for argument in command.get_arguments() {
            let long = argument.get_long().map(|long| escaped(&format!("\\fB--{long}")));
            let names = argument.get_value_names().filter(|_| argument.is_positional());
            let value = names.map(|names| format!("\\fI{}\\fR", escaped(&names.join(" "))));
            let variable = argument.get_env().map(|name| format!("\\fB{}\\fR", name.display()));
            let values = argument.get_possible_values();
            let values = values
                .iter()
                .map(|value| escaped(value.get_name()))
                .filter(|_| argument.get_num_args().is_some_and(|n| n.takes_values()));
            for expected in long.into_iter().chain(value).chain(variable).chain(values) {
                assert!(text.contains(&expected), "{name} lacks {expected}:\n{text}");
            }
        }
    }
}

#[test]
fn every_page_has_the_sections_that_one_looks_for() {
    for Page { name, text } in pages(Cli::command()).unwrap() {
        let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let order = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "COMMANDS",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
            "\"SEE ALSO\"",
        ];
        let sorted: Vec<&str> = order.into_iter().filter(|title| titles.contains(title)).collect();
        assert_eq!(titles, sorted, "{name}");
        for needed in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "\"SEE ALSO\""] {
            assert!(titles.contains(&needed), "{name} lacks {needed}");
        }
        assert!(!text.contains('`'), "{name} has a backtick that is none of a pair:\n{text}");
    }
}

#[test]
fn facts_are_about_commands_that_exist() {
    // A command that was renamed would silently lose what is said of it.
    let source = include_str!("facts.rs");
    let of = source.split("match command {").nth(1).unwrap().split("_ => COMMON").next().unwrap();
    let quoted: Vec<&str> =
        of.split('"').skip(1).step_by(2).filter(|word| !word.is_empty() && *word != "outbox").collect();
    let known: Vec<String> = commands().iter().map(name).collect();
    assert!(quoted.len() > 8, "{quoted:?}");
    for word in quoted {
        assert!(known.contains(&format!("alertrouter-{word}")), "{word} is no command");
    }
}

#[test]
fn what_stands_between_backticks_is_bold() {
    assert_eq!(emphasised("as `list` and `show`"), "as \\fBlist\\fR and \\fBshow\\fR");
    assert_eq!(emphasised("one ` alone"), "one ` alone");
}
