//! The build script: says which commit and which build this is, for `alertrouter --version` and `alertrouter_build_info`.
//!
//! Only a release build asks git, and is built again when the commit or a tracked file changes. A debug build says that it is
//! one: it would be built again, and every test linked again, for each commit.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "cargo tells a build script everything in its environment")]

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where there is no git, an image or an archive of the sources, this says the commit, and `SOURCE_DATE_EPOCH` its date.
const COMMIT: &str = "ALERTROUTER_COMMIT";
/// As many digits of the commit as are shown.
const DIGITS: usize = 12;

/// A commit, as it is shown.
struct Commit {
    /// With `-dirty` if it is not what was built.
    revision: String,
    /// When it was made. When it was built is nowhere: the same commit gives the same bytes.
    date: Option<String>,
}

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let is_release = variable("PROFILE") == "release";
    let commit = match (told(), is_release) {
        (Err(why), _) => return println!("cargo::error={why}"),
        (Ok(Some(commit)), _) => Some(commit),
        (Ok(None), false) => None,
        (Ok(None), true) => {
            let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
            asked(&folder).map_or_else(
                |why| {
                    unknown(&folder, &why);
                    None
                },
                Some,
            )
        }
    };
    let rustc = rustc();
    let mut parts = Vec::new();
    match &commit {
        Some(Commit { revision, date }) => {
            parts.push(format!("commit {revision}"));
            parts.extend(date.clone());
        }
        None if is_release => parts.push("commit unknown".to_owned()),
        None => (),
    }
    parts.extend([variable("PROFILE"), variable("TARGET"), format!("rustc {rustc}")]);
    let (revision, date) = commit.map_or_else(
        || ("unknown".to_owned(), String::new()),
        |Commit { revision, date }| (revision, date.unwrap_or_default()),
    );
    // Not named `ALERTROUTER_…`: cargo hands them on to what it runs, which would take them for settings.
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    println!("cargo::rustc-env=BUILD_DATE={date}");
    println!("cargo::rustc-env=BUILD_RUSTC={rustc}");
    println!("cargo::rustc-env=BUILD_VERSION={} ({})", variable("CARGO_PKG_VERSION"), parts.join(", "));
}

/// Says that git did not say the commit, and why.
fn unknown(folder: &Path, why: &str) {
    println!("cargo::warning=alertrouter --version will not know its commit: {why}; {COMMIT} can say it");
    // What makes git refuse (it is not installed, the folder is another user's) is set right outside of the folder, where
    // cargo sees no change: it is asked again each time, by a path that does not exist.
    if folder.join(".git").exists() {
        println!("cargo::rerun-if-changed=.git/{COMMIT}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// `1.95.0`.
fn rustc() -> String {
    let said = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("--version").output().ok());
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.split(' ').nth(1).unwrap_or("unknown").trim().to_owned()
}

/// The commit that the environment says, if it does.
fn told() -> Result<Option<Commit>, String> {
    let said = variable(COMMIT);
    if said.is_empty() {
        return Ok(None);
    }
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let digits = said.strip_suffix("-dirty").unwrap_or(&said);
    if !(7..=64).contains(&digits.len()) || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!(
            "{COMMIT}={said:?} is no commit: it takes 7 to 64 of 0-9a-f, as `git rev-parse HEAD` prints"
        ));
    }
    let revision = format!("{}{}", &digits[..digits.len().min(DIGITS)], &said[digits.len()..]);
    // 0 is what those say who do not know.
    let seconds = variable("SOURCE_DATE_EPOCH").parse().ok().filter(|seconds| *seconds > 0);
    Ok(Some(Commit { revision, date: seconds.map(date) }))
}

/// The commit that git says is in `folder`; or why that is not known.
fn asked(folder: &Path) -> Result<Commit, String> {
    // Cargo's registry, or a copy in somebody's own project: the commit there is another program's.
    if !git(folder, &["rev-parse", "--show-prefix"])?.trim().is_empty() {
        return Err("the folder lies in another project's repository".to_owned());
    }
    let head = git(folder, &["rev-list", "--max-count=1", "--format=%ct", "HEAD"])?;
    let mut words = head.split_whitespace().skip(1);
    let (id, seconds) = (words.next().unwrap_or_default(), words.next().and_then(|seconds| seconds.parse().ok()));
    let digits = id.get(..DIGITS).ok_or_else(|| format!("git says {head:?}"))?;
    let changes = git(folder, &["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])?;
    // A worktree keeps them elsewhere. A path that does not exist is asked for again each time.
    let places = git(folder, &["rev-parse", "--git-path", "HEAD", "--git-path", "logs/HEAD"])?;
    let tracked = git(folder, &["ls-files", "-z"])?;
    for path in places.lines().chain(tracked.split_terminator('\0')) {
        println!("cargo::rerun-if-changed={path}");
    }
    let dirty = if changes.is_empty() { "" } else { "-dirty" };
    Ok(Commit { revision: format!("{digits}{dirty}"), date: seconds.map(date) })
}

/// What git says; or why it does not.
fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("LC_ALL", "C");
    // A hook of git that builds is given these, and they may speak of another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => "git is not installed".to_owned(),
        _ => format!("git cannot be run: {error}"),
    })?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| "git says what is not UTF-8".to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("git says {:?}", said.lines().next().unwrap_or("nothing").trim()))
}

/// The day of a Unix time in seconds, in UTC: `2026-11-28`. (The civil calendar, counted from the 1st of March 0000.)
fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
