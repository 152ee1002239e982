//! `completions`: a real shell completes what people type.

use std::process::Stdio;

use tokio::process::Command;

use super::{folder, said};
use crate::harness::Folder;
use crate::harness::process::{debian, run};

/// What is typed, word by word, and what it becomes. (The value of an argument without a flag is the last: fish does not
/// complete it.)
const TYPED: &[(&[&str], &str)] = &[
    (&["ser"], "serve"),
    (&["serve", "--log-f"], "--log-format"),
    (&["serve", "--log-format", "j"], "json"),
    (&["outbox", "ret"], "retry"),
    (&["outbox", "list", "--state", "disc"], "discarded"),
    (&["completions", "elv"], "elvish"),
];

/// A folder with the script for a shell, named as that shell looks for it.
async fn script(shell: &str, name: &str) -> Folder {
    let folder = folder(&[]);
    let script = said(&folder, &["completions", shell]).await;
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
    std::fs::write(folder.0.join(name), script.out).unwrap();
    folder
}

/// Runs `code` in a shell in that folder; what it prints.
async fn print(mut shell: Command, folder: &Folder, code: &str, words: &[&str]) -> String {
    shell.arg(code).args(words).current_dir(&folder.0).env("HOME", &folder.0).env("TERM", "dumb");
    let said = run(shell).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}: {}", said.out);
    said.out
}

#[tokio::test]
async fn bash_completes() {
    let folder = script("bash", "script").await;
    // As bash calls the function: the command, the word to complete, the word before it.
    let code = r#"
        source ./script
        function=$(complete -p alertrouter | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
        COMP_WORDS=(alertrouter "$@") COMP_CWORD=$#
        "$function" alertrouter "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    for (words, expected) in TYPED {
        let mut bash = debian("bash", "bash");
        bash.args(["--norc", "--noprofile", "-c"]);
        assert_eq!(print(bash, &folder, code, &[&["-"], *words].concat()).await.trim(), *expected, "{words:?}");
    }
}

#[tokio::test]
async fn fish_completes() {
    let folder = script("fish", "script").await;
    for (words, expected) in &TYPED[..TYPED.len() - 1] {
        let mut fish = debian("fish", "fish");
        fish.args(["--no-config", "-c"]);
        let found = print(fish, &folder, "source ./script; complete -C \"alertrouter $argv\"", words).await;
        // Each with its description behind a tab.
        let found: Vec<&str> = found.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(found, [*expected], "{words:?}");
    }
}

#[tokio::test]
async fn zsh_completes() {
    let folder = script("zsh", "_alertrouter").await;
    // zsh completes at a terminal only, so one zsh gives another a terminal, waits for its prompt, and presses the key. What
    // never comes is waited for until `run` ends it.
    let code = r#"
        zmodload zsh/zpty
        zpty inner zsh -f -i
        zpty -w inner 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; PS1="at ""your service> "'
        zpty -r inner said '*at your service> *'
        zpty -n -w inner "alertrouter ${*:2}"$'\t'
        zpty -r inner said "*${1}*"
        print -r -- "${said##*service> }"
        zpty -d inner"#;
    for (words, expected) in TYPED {
        let mut zsh = debian("zsh", "zsh");
        zsh.args(["-f", "-c"]);
        let found = print(zsh, &folder, code, &[&["-", *expected], *words].concat()).await;
        let line = [&["alertrouter"], &words[..words.len() - 1], &[*expected]].concat().join(" ");
        assert!(found.contains(&line), "{words:?}: {found:?}");
    }
}

#[tokio::test]
async fn the_others_know_every_command() {
    // elvish and PowerShell are not started: what they complete was not seen.
    for shell in ["elvish", "powershell"] {
        let script = said(&folder(&[]), &["completions", shell]).await;
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
        for word in ["serve", "healthcheck", "completions", "retry", "--log-format", "--allow-unauthenticated"] {
            assert!(script.out.contains(word), "{word} is missing for {shell}");
        }
    }
}

#[tokio::test]
async fn a_shell_that_is_not_known_is_an_error() {
    let folder = folder(&[]);
    let unknown = said(&folder, &["completions", "tcsh"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert!(unknown.err.starts_with("error: invalid value 'tcsh' for '<SHELL>'\n"), "{}", unknown.err);
    assert!(unknown.err.contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{}", unknown.err);
    assert_eq!(said(&folder, &["completions"]).await.code, Some(2));
    // A full disk is one line, not a panic.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = super::command(&folder.0, &["completions", "bash"]);
    let child = command.stdout(full).stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.starts_with("error: the output could not be written"), "{err}");
}
