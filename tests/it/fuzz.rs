//! The corpora of the fuzz targets, as plain tests; and that what only the fuzzer builds has not been forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::files_under;

#[path = "../../fuzz/targets/mod.rs"]
mod targets;

/// Each target runs in every test run, so its corpus is small: what the fuzzer finds besides stays out of the tree.
const MOST_FILES: usize = 40;
const MOST_BYTES: usize = 64 * 1024;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap()
}

/// Runs a target over its corpus.
fn run(name: &str, target: fn(&[u8])) {
    let files = files_under(&root("fuzz/corpus").join(name));
    assert!((11..=MOST_FILES).contains(&files.len()), "the corpus of {name} has {} files", files.len());
    let mut sum = 0;
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        sum += bytes.len();
        std::panic::catch_unwind(|| target(&bytes)).unwrap_or_else(|_| panic!("{} fails", path.display()));
    }
    assert!(sum <= MOST_BYTES, "the corpus of {name} has {sum} bytes");
}

/// A test for each target, and the names of all of them.
macro_rules! run {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name), targets::$name);
            }
        )*

        const HERE: &[&str] = &[$(stringify!($name)),*];
    };
}

run!(answers, authorization, body, certificate, config, context, matcher, template, web_config);

#[test]
fn every_target_is_built_has_a_corpus_and_runs_here() {
    let here: BTreeSet<String> = HERE.iter().map(|name| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let manifest = read("fuzz/Cargo.toml");
    let built: BTreeSet<String> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|bin| bin.split("name = \"").nth(1)?.split('"').next().map(str::to_owned))
        .collect();
    assert_eq!(built, here, "fuzz/Cargo.toml, and `run!` in this file");
    assert_eq!(stems("fuzz/fuzz_targets"), here);
    assert_eq!(stems("fuzz/corpus"), here);
    for name in here {
        let call = format!("targets::{name}(bytes)");
        assert!(read(&format!("fuzz/fuzz_targets/{name}.rs")).contains(&call), "{name} fuzzes something else");
    }
}

/// Name, and versions, of every package of a lock file.
fn locked(path: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = read(path);
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    for package in text.split("[[package]]").skip(1) {
        let field = |key: &str| {
            let value =
                package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
            value.unwrap_or_default().to_owned()
        };
        all.entry(field("name")).or_default().insert(field("version"));
    }
    all
}

#[test]
fn the_fuzzer_builds_what_is_shipped() {
    let (ours, fuzz) = (locked("Cargo.lock"), locked("fuzz/Cargo.lock"));
    assert!(ours.len() > 100 && fuzz.len() > 100);
    // What only the fuzzer needs.
    let own = ["alertrouter-fuzz", "arbitrary", "jobserver", "libfuzzer-sys"];
    let update = "run `cargo metadata --manifest-path fuzz/Cargo.toml > /dev/null` and commit fuzz/Cargo.lock";
    for (name, versions) in fuzz.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        let shipped = ours.get(name).cloned().unwrap_or_default();
        assert!(
            versions.is_subset(&shipped),
            "{name} is {versions:?} in fuzz/Cargo.lock and {shipped:?} here: {update}"
        );
    }
    for dependency in dependencies(&read("Cargo.toml")) {
        assert!(fuzz.contains_key(&dependency), "{dependency} is not in fuzz/Cargo.lock: {update}");
    }
}

/// The packages that are named under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let (_, section) = manifest.split_once("[dependencies]\n").unwrap();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let package = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        let renamed = value.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next());
        Some(renamed.unwrap_or(name).to_owned())
    };
    let all: Vec<_> = lines.filter_map(package).collect();
    assert!(all.len() > 20, "{all:?}");
    all
}
