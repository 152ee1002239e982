//! deploy/docker/Dockerfile, read as text: it is not built here.

use std::path::Path;

use tokio::process::Command;

use super::kubernetes::{OVERLAYS, Rendered};
use super::{read, text, yaml};
use crate::harness::process::{alertrouter, run};
use crate::harness::{Folder, files_under};
use crate::routes_file::root;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The lines of an instruction, joined, without the instruction.
fn instruction(name: &str) -> String {
    let dockerfile = read("deploy/docker/Dockerfile").replace("\\\n", "");
    let found: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix(&format!("{name} "))).collect();
    let last = found.last().unwrap_or_else(|| panic!("no {name}"));
    last.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn its_versions_are_those_of_the_crate() {
    let labels = instruction("LABEL");
    assert!(labels.contains(&format!("org.opencontainers.image.version=\"{VERSION}\"")), "{labels}");
    let dockerfile = read("deploy/docker/Dockerfile");
    let compiler = format!("FROM rust:{}.", env!("CARGO_PKG_RUST_VERSION"));
    assert!(dockerfile.contains(&compiler), "it is not built by the compiler that Cargo.toml asks for: {compiler}");
    // Both stages know the commit: the binary, and the label.
    assert_eq!(dockerfile.matches("\nARG ALERTROUTER_COMMIT=\"\"\n").count(), 2);
    assert!(labels.contains("org.opencontainers.image.revision=\"${ALERTROUTER_COMMIT}\""), "{labels}");
}

#[tokio::test]
async fn the_pod_runs_this_image() {
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        let image = text(rendered.container(), "/image").to_owned();
        assert!(
            image.ends_with(&format!("/alertrouter:{VERSION}")) || image == format!("alertrouter:{VERSION}"),
            "{image}"
        );
        // Its entry point is the program, so the manifest gives arguments and no command.
        assert_eq!(rendered.container().get("command"), None, "{overlay}");
        let volume = instruction("VOLUME");
        assert_eq!(text(rendered.mount("data"), "/mountPath"), volume, "{overlay}");
        assert!(instruction("ENV").contains(&format!("SQLITE_TMPDIR={volume}")), "/tmp would have to be writable");
    }
}

/// What Docker is told to run are a program that is installed there, and commands that it has.
#[tokio::test]
async fn it_runs_commands_that_the_binary_has() {
    let words = |text: &str| -> Vec<String> { serde_json::from_value(yaml(text)).unwrap() };
    let program = words(&instruction("ENTRYPOINT"));
    let dockerfile = read("deploy/docker/Dockerfile");
    assert!(dockerfile.contains(&format!("target/release/alertrouter /image{}", program[0])), "{program:?}");
    let health = instruction("HEALTHCHECK");
    let (options, asks) = health.split_once(" CMD ").unwrap();
    let asks = words(asks);
    assert_eq!(asks[..1], program[..], "{options}");
    for command in [&asks[1..], &words(&instruction("CMD"))] {
        let mut help = alertrouter();
        help.args(command).arg("--help");
        let said = run(help).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{command:?}");
    }
    let mut serve = alertrouter();
    serve.args(["serve", "--help"]);
    let help = run(serve).await.out;
    for setting in instruction("ENV").split(' ').filter_map(|one| one.split_once('=')) {
        // SQLite's and glibc's.
        let is_for_others = ["SQLITE_TMPDIR", "MALLOC_MMAP_THRESHOLD_"].contains(&setting.0);
        assert!(is_for_others || help.contains(setting.0), "serve knows no {}", setting.0);
    }
}

/// `benches/siege.rs` measures with it that large bodies take a sixth of the memory.
#[test]
fn the_image_and_the_unit_give_memory_back() {
    let setting = "MALLOC_MMAP_THRESHOLD_=131072";
    assert!(instruction("ENV").split(' ').any(|one| one == setting), "{}", instruction("ENV"));
    let unit = read("deploy/systemd/alertrouter.service");
    assert!(unit.lines().any(|line| line == format!("Environment={setting}")), "{unit}");
}

/// The sources that are let into the build are all that cargo looks for.
#[tokio::test]
async fn it_is_built_from_all_that_is_needed() {
    let folder = Folder::new();
    let ignore = read("deploy/docker/Dockerfile.dockerignore");
    let patterns: Vec<_> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(patterns[0], "*", "everything is left out first");
    for pattern in &patterns[1..] {
        let name = pattern.strip_prefix('!').unwrap_or_else(|| panic!("teach this test {pattern}"));
        let from = root(name);
        let files = if Path::new(&from).is_dir() { files_under(from.as_ref()) } else { vec![from.into()] };
        for file in files {
            let to = folder.0.join(file.strip_prefix(root("")).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(file, to).unwrap();
        }
    }
    // As the Dockerfile does; without a network, and for this machine alone.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&folder.0).args(["fetch", "--locked", "--offline", "--target", "host-tuple"]);
    let said = run(cargo).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&folder.0).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let said = run(cargo).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let packages = serde_json::from_str::<serde_json::Value>(&said.out).unwrap();
    let ours =
        packages["packages"].as_array().unwrap().iter().find(|package| package["name"] == "alertrouter").unwrap();
    for target in ours["targets"].as_array().unwrap() {
        let source = text(target, "/src_path");
        assert!(Path::new(source).is_file(), "{source} is not let in");
    }
    assert!(folder.0.join(".ci/release").is_file(), "what builds it is not let in");
    // What the compiler reads beside the sources.
    let included = regex::Regex::new(r#"include_(?:str|bytes)!\("([^"]+)"\)"#).unwrap();
    let tests = regex::Regex::new(r"(?m)^#\[cfg\(test\)\]\nmod \w+ \{").unwrap();
    for file in files_under(&folder.0.join("src")).iter().filter(|file| !file.to_string_lossy().contains("tests")) {
        let Ok(source) = std::fs::read_to_string(file) else { continue };
        for found in included.captures_iter(tests.split(&source).next().unwrap()) {
            let path = file.parent().unwrap().join(&found[1]);
            assert!(path.is_file(), "{}: {} is not let in", file.display(), &found[1]);
        }
    }
}
