//! Every command of README: which story runs it, which test, or why none does.

use std::collections::BTreeSet;

use super::listed::How::{As, By, In, Like, Make, Not};
use super::listed::{COMMANDS, How, Story};
use super::{Command, commands, readme};
use crate::delivery::faults::guard::is_a_test;
use crate::routes_file::root;

/// A command is listed whole, or by its beginning and `…`.
fn is_listed_as(command: &str, listed: &str) -> bool {
    listed.strip_suffix('…').map_or(command == listed, |beginning| command.starts_with(beginning))
}

fn how(command: &Command) -> Option<How> {
    let of_section = COMMANDS.iter().find(|(section, _)| *section == command.section)?.1;
    of_section.iter().find(|(listed, _)| is_listed_as(&command.text, listed)).map(|(_, how)| *how)
}

/// The commands of a story, in order; what README shows of those that are examples is its first line.
pub fn of_story(story: Story) -> Vec<Command> {
    let chosen = |mut command: Command| match how(&command) {
        Some(In(of)) if of == story => Some(command),
        Some(Like(of)) if of == story => {
            command.shown.truncate(1);
            command.shown.push("…".to_owned());
            Some(command)
        }
        _ => None,
    };
    commands().into_iter().filter_map(chosen).collect()
}

#[test]
fn every_command_is_run_or_says_why_not() {
    let all = commands();
    assert!(all.len() > 40, "{} commands: they are not found any more", all.len());
    let unknown: Vec<_> = all.iter().filter(|command| how(command).is_none()).collect();
    assert!(unknown.is_empty(), "neither run nor excused (COMMANDS in tests/it/readme/listed.rs):\n{unknown:#?}");
    for (section, listed) in COMMANDS {
        for (text, how) in *listed {
            let there = all.iter().any(|command| command.section == *section && is_listed_as(&command.text, text));
            assert!(there, "README, {section}, has no `{text}` any more");
            match how {
                By(test) => assert!(is_a_test(test), "{test} is no test: {text}"),
                As(file) => assert!(stands_in(file, text), "{file} does not have `{text}`"),
                Make(target) => assert!(targets().contains(*target), "no target {target} in the Makefile: {text}"),
                Not(why) => assert!(!why.is_empty(), "{text}"),
                In(_) | Like(_) => (),
            }
        }
    }
}

/// Whether a file has the command in its comments.
fn stands_in(file: &str, command: &str) -> bool {
    std::fs::read_to_string(root(file)).unwrap().lines().any(|line| {
        let line = line.trim_start_matches(['#', ' ']);
        line.contains(command)
    })
}

/// The targets that somebody may call.
fn targets() -> BTreeSet<String> {
    let makefile = std::fs::read_to_string(root("Makefile")).unwrap();
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    phony.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_target_of_make_that_is_named_is_there() {
    let text = readme();
    let named: BTreeSet<_> = text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()).collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(targets().contains(name), "README names `make {name}`");
    }
    let manifest = std::fs::read_to_string(root("Cargo.toml")).unwrap();
    for bench in text.split("cargo bench --bench ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()) {
        assert!(manifest.contains(&format!("[[bench]]\nname = \"{bench}\"")), "README names the bench {bench}");
    }
}
