//! A shell on a machine of its own: a home, the program on its path, and something on loopback wherever README names a
//! service or a fixed address.

use std::ffi::OsString;
use std::path::PathBuf;

use tokio::process::Command as Process;

use super::Command;
use crate::harness::Folder;
use crate::harness::process::{Said, alertrouter, run};

pub struct Shell {
    pub home: Folder,
    /// Where it is; a command may go elsewhere.
    pub at: PathBuf,
    path: OsString,
    env: Vec<(String, String)>,
    /// What holds for later commands, too.
    before: Vec<String>,
    instead: Vec<(String, String)>,
}

impl Shell {
    pub fn new() -> Self {
        let home = Folder::new();
        let bin = home.0.join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(alertrouter().as_std().get_program(), bin.join("alertrouter")).unwrap();
        let others = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&others))).unwrap();
        let at = home.0.clone();
        Self { home, at, path, env: Vec::new(), before: Vec::new(), instead: Vec::new() }
    }

    /// Something of this machine where README has something of its own.
    pub fn instead(&mut self, of: &str, put: &str) {
        self.instead.push((of.to_owned(), put.to_owned()));
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn in_place(&self, text: &str) -> String {
        self.instead.iter().fold(text.to_owned(), |text, (of, put)| text.replace(of, put))
    }

    /// Writes a file where it is.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.at.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The command as a process of its own.
    pub fn process(&self, script: &str) -> Process {
        let mut process = alertrouter_environment(Process::new("sh"));
        process.args(["-ec", script]).current_dir(&self.at).env("HOME", &self.home.0).env("PATH", &self.path);
        process.envs(self.env.iter().map(|(name, value)| (name, value)));
        process
    }

    /// Runs a command as somebody would who types `input` into it.
    pub async fn run(&mut self, command: &str, input: &str) -> Said {
        let (typed, left) = (self.home.0.join(".typed"), self.home.0.join(".left"));
        std::fs::write(&typed, input).unwrap();
        let command = self.in_place(command);
        let before = self.before.join("\n");
        let (shown, then) = (typed.display(), left.display());
        let said = run(self.process(&format!("exec <'{shown}'\n{before}\n{command}\npwd >'{then}'"))).await;
        if said.code == Some(0) {
            self.at = std::fs::read_to_string(&left).unwrap().trim_end().into();
            if command.starts_with("umask ") {
                self.before.push(command);
            }
        }
        said
    }

    /// Runs a command of README, which has to succeed, and to say what README shows, if it shows anything. `…` there stands
    /// for whatever there is.
    pub async fn expect(&mut self, command: &Command, input: &str) -> Said {
        let said = self.run(&command.text, input).await;
        assert_eq!(said.code, Some(0), "{}\n{}{}", command.text, said.out, said.err);
        let shown: Vec<String> = command.shown.iter().map(|line| self.in_place(line)).collect();
        if let Some(wrong) = differs(&shown, &said) {
            panic!("{}\nREADME shows {wrong:?}; it says\n{}{}", command.text, said.out, said.err);
        }
        said
    }
}

/// The first line that was not said, if one was not.
fn differs(shown: &[String], said: &Said) -> Option<String> {
    let lines: Vec<_> = said.out.lines().chain(said.err.lines()).filter(|line| !line.is_empty()).collect();
    for (number, line) in shown.iter().enumerate() {
        if line.trim() == "…" {
            return None;
        }
        let is_so = lines.get(number).is_some_and(|said| fits(line, said));
        if !is_so {
            return Some(line.clone());
        }
    }
    (!shown.is_empty() && shown.len() < lines.len()).then(|| "nothing more".to_owned())
}

/// Whether a line is what is shown, with anything in place of each `…`. Columns are as wide as what is in them.
fn fits(shown: &str, said: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<_> = words(shown).split('…').map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", parts.join(".*"))).unwrap().is_match(&words(said))
}

fn alertrouter_environment(mut process: Process) -> Process {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALERTROUTER_")) {
        process.env_remove(name);
    }
    process
}

#[test]
fn what_is_shown_is_compared_line_by_line() {
    let said = Said { code: Some(0), out: "a 1\n  b\n".to_owned(), err: String::new() };
    let differs = |shown: &[&str]| differs(&shown.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), &said);
    assert_eq!(differs(&["a …", "  b"]), None);
    assert_eq!(differs(&["a 1", "…"]), None);
    assert_eq!(differs(&[]), None);
    assert_eq!(differs(&["a 2", "  b"]).as_deref(), Some("a 2"));
    assert_eq!(differs(&["a 1"]).as_deref(), Some("nothing more"));
    assert_eq!(differs(&["a 1", "  b", "c"]).as_deref(), Some("c"));
}
