//! Which build it is: what `--version` says, and how the build script finds out.

use std::path::{Path, PathBuf};

use alertrouter::version;
use tokio::process::Command;

use super::{folder, folder_for, said};
use crate::harness::process::{Router, Said, debian, run};
use crate::harness::{Folder, Services};

#[tokio::test]
async fn the_long_one_says_commit_and_build() {
    let folder = folder(&[]);
    let short = said(&folder, &["-V"]).await;
    assert_eq!((short.code, short.out), (Some(0), format!("alertrouter {}\n", env!("CARGO_PKG_VERSION"))));
    let long = said(&folder, &["--version"]).await;
    assert_eq!((long.code, long.out.as_str()), (Some(0), format!("alertrouter {}\n", version::LONG).as_str()));
    let form = r"^alertrouter \d+\.\d+\.\d+ \((commit ([0-9a-f]{7,12}(-dirty)?|unknown), (\d{4}-\d\d-\d\d, )?)?(debug|release), [a-z0-9_-]+, rustc \d+\.\d+\.\d+\S*\)\n$";
    assert!(regex::Regex::new(form).unwrap().is_match(&long.out), "{}", long.out);
}

#[tokio::test]
async fn the_log_and_the_metrics_say_the_same() {
    let folder = folder_for(&Services::start().await);
    let mut router = Router::start(&folder.0).await;
    let metrics = router.metrics().await;
    let info = metrics.lines().find(|line| line.starts_with("alertrouter_build_info{")).unwrap();
    for (label, value) in
        [("version", version::VERSION), ("revision", version::REVISION), ("rustversion", version::RUSTC)]
    {
        assert!(!value.is_empty() && info.contains(&format!("{label}=\"{value}\"")), "{label} in {info}");
    }
    assert!(info.contains("target_os=\"linux\"") && info.ends_with("} 1"), "{info}");
    assert_eq!(router.process.terminate().await, Some(0));
    let log = router.process.log();
    assert!(log.contains(&format!("alertrouter {}", version::LONG)), "{log}");
}

/// The build script, compiled by itself: cargo would build all that it belongs to.
struct Script(Folder);

impl Script {
    async fn compile() -> Self {
        let folder = Folder::new();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/build.rs");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-name=build", source, "-o"]).arg(folder.0.join("script"));
        let compiled = run(rustc).await;
        assert_eq!(compiled.code, Some(0), "{}", compiled.err);
        Self(folder)
    }

    /// What it says of a crate in `place`.
    async fn of(&self, place: &Path, profile: &str, more: &[(&str, &str)]) -> Said {
        let mut command = Command::new(self.0.0.join("script"));
        // A repository around the temporary folder would be one that the script must not look into, and never does.
        for name in ["ALERTROUTER_COMMIT", "SOURCE_DATE_EPOCH", "GIT_DIR"] {
            command.env_remove(name);
        }
        command.env("PROFILE", profile).env("TARGET", "riscv64gc-unknown-linux-gnu").env("CARGO_PKG_VERSION", "1.2.3");
        command.env("CARGO_MANIFEST_DIR", place).env("RUSTC", rustc_path()).envs(more.iter().copied());
        let said = run(command).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        said
    }

    async fn release(&self, place: &Path) -> Said {
        self.of(place, "release", &[]).await
    }
}

/// Where rustc is, for those who are not given a PATH.
fn rustc_path() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join("rustc")).find(|path| path.is_file()).unwrap()
}

/// The value of `cargo::rustc-env=NAME=`.
fn value<'a>(said: &'a Said, name: &str) -> &'a str {
    let beginning = format!("cargo::rustc-env={name}=");
    said.out.lines().find_map(|line| line.strip_prefix(&beginning)).unwrap_or_else(|| panic!("no {name}: {}", said.out))
}

fn warns(said: &Said, why: &str) -> bool {
    let warnings: Vec<_> = said.out.lines().filter(|line| line.starts_with("cargo::warning=")).collect();
    assert_eq!(value(said, "BUILD_REVISION"), "unknown");
    assert!(value(said, "BUILD_VERSION").starts_with("1.2.3 (commit unknown, release, "), "{}", said.out);
    warnings.len() == 1 && warnings[0].contains(why) && warnings[0].contains("ALERTROUTER_COMMIT")
}

async fn git(place: &Path, arguments: &[&str]) -> String {
    let mut git = debian("git", "git");
    git.arg("-C").arg(place).args(["-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always"]);
    // Neither what the machine sets nor what a hook of git would.
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_DIR");
    git.env("GIT_COMMITTER_DATE", "2026-11-28T23:30:00-0500");
    let said = run({
        git.args(arguments);
        git
    })
    .await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out.trim().to_owned()
}

/// A repository with one commit; and that commit.
async fn repository(place: &Path) -> String {
    std::fs::create_dir_all(place.join("vendor/inner")).unwrap();
    std::fs::write(place.join("file"), "1").unwrap();
    std::fs::write(place.join("vendor/inner/file"), "1").unwrap();
    git(place, &["init", "--quiet"]).await;
    git(place, &["add", "."]).await;
    git(place, &["commit", "--quiet", "--message=m"]).await;
    git(place, &["rev-parse", "HEAD"]).await
}

#[tokio::test]
async fn a_release_build_names_its_commit() {
    let (script, folder) = (Script::compile().await, Folder::new());
    let place = folder.0.join("repository");
    let commit = repository(&place).await;
    let clean = script.release(&place).await;
    assert_eq!(value(&clean, "BUILD_REVISION"), &commit[..12]);
    // The day in UTC, wherever the committer was.
    assert_eq!(value(&clean, "BUILD_DATE"), "2026-11-29");
    let rustc = value(&clean, "BUILD_RUSTC");
    let expected =
        format!("1.2.3 (commit {}, 2026-11-29, release, riscv64gc-unknown-linux-gnu, rustc {rustc})", &commit[..12]);
    assert_eq!(value(&clean, "BUILD_VERSION"), expected);
    assert!(rustc.starts_with("1."), "{rustc}");
    for path in [".git/HEAD", ".git/logs/HEAD", "file", "vendor/inner/file"] {
        assert!(clean.out.contains(&format!("cargo::rerun-if-changed={path}\n")), "{path}: {}", clean.out);
    }

    // What git does not track is no part of it.
    std::fs::write(place.join("notes"), "mine").unwrap();
    assert_eq!(value(&script.release(&place).await, "BUILD_REVISION"), &commit[..12]);
    std::fs::write(place.join("file"), "2").unwrap();
    assert_eq!(value(&script.release(&place).await, "BUILD_REVISION"), format!("{}-dirty", &commit[..12]));
    git(&place, &["checkout", "--quiet", "file"]).await;

    // Also where git keeps things elsewhere, knows no history, or was told of another repository.
    git(&place, &["worktree", "add", "--quiet", "../worktree"]).await;
    let worktree = script.release(&folder.0.join("worktree")).await;
    assert_eq!(value(&worktree, "BUILD_REVISION"), &commit[..12]);
    let head = worktree
        .out
        .lines()
        .find_map(|line| line.strip_prefix("cargo::rerun-if-changed=").filter(|path| path.ends_with("/HEAD")));
    assert!(Path::new(head.unwrap()).is_file(), "{}", worktree.out);
    git(&place, &["commit", "--quiet", "--allow-empty", "--message=m2"]).await;
    let url = format!("file://{}", place.display());
    git(&folder.0, &["clone", "--quiet", "--depth=1", &url, "shallow"]).await;
    let shallow = script.release(&folder.0.join("shallow")).await;
    assert_eq!(value(&shallow, "BUILD_REVISION"), &git(&place, &["rev-parse", "HEAD"]).await[..12]);
    let other = folder.0.join("shallow/.git");
    let hooked = script.of(&folder.0.join("worktree"), "release", &[("GIT_DIR", other.to_str().unwrap())]).await;
    assert_eq!(value(&hooked, "BUILD_REVISION"), &commit[..12]);
}

#[tokio::test]
async fn where_git_does_not_know_it_says_so() {
    let (script, folder) = (Script::compile().await, Folder::new());
    let place = folder.0.join("repository");
    repository(&place).await;
    // A vendored copy: the commit is another program's.
    let vendored = script.release(&place.join("vendor/inner")).await;
    assert!(warns(&vendored, "another project's repository"), "{}", vendored.out);
    let archive = script.of(&script.0.0, "release", &[("GIT_CEILING_DIRECTORIES", "/")]).await;
    assert!(warns(&archive, "not a git repository"), "{}", archive.out);
    // Where there is a repository, git is asked again once it can answer; a copy without one is not built each time.
    let asks_again = |said: &Said| said.out.contains("cargo::rerun-if-changed=.git/ALERTROUTER_COMMIT\n");
    assert!(!asks_again(&vendored) && !asks_again(&archive), "{} {}", vendored.out, archive.out);
    let nothing = folder.0.join("nothing");
    std::fs::create_dir_all(&nothing).unwrap();
    let without_git = script.of(&place, "release", &[("PATH", nothing.to_str().unwrap())]).await;
    assert!(warns(&without_git, "git is not installed") && asks_again(&without_git), "{}", without_git.out);
    // git's own switch for its tests: the folder is somebody else's, as a mounted one is.
    let foreign =
        [("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")];
    let refused = script.of(&place, "release", &foreign).await;
    assert!(warns(&refused, "dubious ownership") && asks_again(&refused), "{}", refused.out);
}

#[tokio::test]
async fn the_environment_says_it_where_there_is_no_git() {
    let (script, folder) = (Script::compile().await, Folder::new());
    let of = async |commit: &str, epoch: &str| {
        script.of(&folder.0, "release", &[("ALERTROUTER_COMMIT", commit), ("SOURCE_DATE_EPOCH", epoch)]).await
    };
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (epoch, date) in [
        ("1795910400", "2026-11-29"),
        ("951782400", "2000-02-29"),
        ("951868800", "2000-03-01"),
        ("4107542399", "2100-02-28"),
        ("4107542400", "2100-03-01"),
        ("86399", "1970-01-01"),
        ("0", ""),
        ("", ""),
    ] {
        let said = of(commit, epoch).await;
        assert_eq!((value(&said, "BUILD_REVISION"), value(&said, "BUILD_DATE")), ("0123456789ab", date), "{epoch}");
    }
    assert_eq!(value(&of("0123456", "0").await, "BUILD_REVISION"), "0123456");
    let dirty = of("0123456789abcdef-dirty", "0").await;
    assert!(value(&dirty, "BUILD_VERSION").starts_with("1.2.3 (commit 0123456789ab-dirty, release, "), "{}", dirty.out);
    for wrong in ["main", "trunkish", "012345", "0123456\u{e9}", "0123456;", "0123456-clean"] {
        let said = of(wrong, "0").await;
        assert!(said.out.contains("cargo::error=ALERTROUTER_COMMIT="), "{wrong}: {}", said.out);
        assert!(said.out.contains("git rev-parse HEAD") && !said.out.contains("rustc-env"), "{wrong}: {}", said.out);
    }
}

#[tokio::test]
async fn a_debug_build_is_not_made_again_for_a_commit() {
    let (script, folder) = (Script::compile().await, Folder::new());
    repository(&folder.0).await;
    let said = script.of(&folder.0, "debug", &[]).await;
    let watched: Vec<_> = said.out.lines().filter(|line| line.starts_with("cargo::rerun-if-")).collect();
    assert_eq!(watched, ["cargo::rerun-if-changed=src/build.rs", "cargo::rerun-if-env-changed=ALERTROUTER_COMMIT"]);
    assert_eq!(value(&said, "BUILD_REVISION"), "unknown");
    assert!(
        value(&said, "BUILD_VERSION").starts_with("1.2.3 (debug, riscv64gc-unknown-linux-gnu, rustc 1."),
        "{}",
        said.out
    );
    let told = script.of(&folder.0, "debug", &[("ALERTROUTER_COMMIT", "0123456789abcdef")]).await;
    assert!(value(&told, "BUILD_VERSION").starts_with("1.2.3 (commit 0123456789ab, debug, "), "{}", told.out);
}
