//! The corpora of the fuzz targets, as plain tests.

use std::path::Path;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Runs a target over its corpus.
fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        std::panic::catch_unwind(|| target(&bytes)).unwrap_or_else(|_| panic!("{} fails", path.display()));
        count += 1;
    }
    assert!(count > 10, "the corpus of {name} has only {count} files");
}

#[test]
fn matcher() {
    run("matcher", targets::matcher);
}

#[test]
fn config() {
    run("config", targets::config);
}

#[test]
fn every_target_runs_here() {
    let targets = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets")).unwrap();
    let mut names: Vec<String> =
        targets.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["config", "matcher"], "add the new target to this file");
}
