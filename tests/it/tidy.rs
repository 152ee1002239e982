//! Reads the sources and holds what ARCHITECTURE.md promises: who may know whom, how long a file may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::files_under;

/// Module, and the modules of ours that it may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("alert", &["clock"]),
    ("auth", &[]),
    ("certificate", &[]),
    ("clock", &[]),
    ("notification", &["alert", "clock"]),
    ("route", &["alert", "notification"]),
    ("heartbeat", &["alert", "clock", "notification", "route"]),
    ("dedup", &["alert", "clock", "notification"]),
    ("receiver", &["alert", "clock", "notification"]),
    ("template", &["alert", "clock", "notification", "receiver"]),
    ("store", &["alert", "clock", "dedup", "heartbeat", "notification"]),
    ("yaml", &[]),
    ("config", &["auth", "certificate", "heartbeat", "notification", "receiver", "route", "template", "yaml"]),
    ("import", &["route", "yaml"]),
    ("rules", &["alert", "config", "route", "yaml"]),
    ("routetest", &["alert", "clock", "config", "notification", "route", "rules", "store", "yaml"]),
    ("metrics", &["alert", "auth", "clock", "notification", "store", "version"]),
    ("telemetry", &["yaml"]),
    ("traces", &["clock", "metrics", "notification"]),
    ("version", &[]),
    ("deliver", &["clock", "metrics", "notification", "receiver", "store", "traces"]),
    (
        "http",
        &[
            "alert",
            "auth",
            "certificate",
            "clock",
            "dedup",
            "heartbeat",
            "metrics",
            "notification",
            "route",
            "store",
            "traces",
        ],
    ),
    ("standin", &["clock", "receiver"]),
    (
        "app",
        &[
            "alert",
            "auth",
            "certificate",
            "clock",
            "config",
            "dedup",
            "deliver",
            "heartbeat",
            "http",
            "metrics",
            "notification",
            "receiver",
            "store",
            "traces",
        ],
    ),
    ("demo", &["app", "clock", "config", "deliver", "receiver", "standin", "store"]),
    (
        "cli",
        &[
            "alert",
            "app",
            "auth",
            "clock",
            "config",
            "deliver",
            "demo",
            "http",
            "import",
            "notification",
            "receiver",
            "route",
            "dedup",
            "demo",
            "http",
            "notification",
            "route",
            "routetest",
            "rules",
            "standin",
            "store",
            "telemetry",
            "traces",
            "version",
            "yaml",
        ],
    ),
];

/// Crate, and where alone it may be named.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("reqwest", &["src/deliver/transport.rs"]),
    ("lettre", &["src/receiver/email/", "src/deliver/mail"]),
    ("axum", &["src/http/", "src/standin/"]),
    ("hyper", &["src/http/", "src/standin/"]),
    ("rusqlite", &["src/store/sqlite/"]),
    ("serde_yaml", &["src/yaml/"]),
    ("regex", &["src/route/", "src/cli/test.rs"]),
    ("regex_syntax", &["src/route/"]),
    ("promql_parser", &["src/rules/"]),
    ("minijinja", &["src/template/"]),
    ("rustix", &["src/cli/descriptors.rs"]),
    ("rustls", &["src/certificate.rs", "src/http/tls", "src/config/web", "src/deliver/", "src/main.rs", "src/app/"]),
    ("webpki", &["src/certificate.rs"]),
    ("tokio_rustls", &["src/http/tls"]),
    ("ring", &["src/auth/access.rs", "src/receiver/webhook/signature.rs"]),
    (
        "base64",
        &["src/auth/hash.rs", "src/auth/presented.rs", "src/receiver/redact.rs", "src/receiver/webhook/signature.rs"],
    ),
    ("bcrypt", &["src/auth/hash.rs"]),
    ("subtle", &["src/auth/"]),
    ("governor", &["src/deliver/pace.rs"]),
    ("moka", &["src/dedup/cache.rs"]),
    ("prometheus_client", &["src/metrics/"]),
    ("opentelemetry", &["src/traces/"]),
    ("opentelemetry_sdk", &["src/traces/"]),
    ("opentelemetry_proto", &["src/traces/export.rs"]),
    ("prost", &["src/traces/export.rs"]),
    ("percent_encoding", &["src/traces/settings.rs"]),
    ("clap", &["src/cli/", "src/telemetry.rs"]),
    ("clap_complete", &["src/cli/completions.rs"]),
    ("clap_mangen", &["src/cli/man"]),
    ("anyhow", &["src/app/", "src/cli/", "src/demo/", "src/telemetry.rs"]),
    (
        "tokio",
        &[
            "src/app/",
            "src/cli/",
            "src/clock.rs",
            "src/demo/",
            "src/deliver/",
            "src/http/",
            "src/routetest/simulate.rs",
            "src/standin/",
            "src/store/",
            "src/traces/export.rs",
        ],
    ),
];

const LONGEST_FILE: usize = 300;

struct Source {
    path: String,
    /// Without the tests at its end, without comments.
    code: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut paths = files_under(&root().join("src"));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(paths.len() > 30, "the sources are not where they were");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        // `#[cfg(test)] mod tests;` stands among the other modules; only `mod tests {` begins the end.
        let tests = regex::Regex::new(r"(?m)^#\[cfg\(test\)\]\nmod \w+ \{").unwrap();
        let end = tests.find(&text).map_or(text.len(), |tests| tests.start());
        let code = text[..end]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//") && !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        Source { path: path.strip_prefix(root()).unwrap().display().to_string(), code }
    };
    // Files that only tests see are not held to the rules.
    let for_tests = |path: &str| {
        ["tests", "conformance", "contract", "fixture", "model"]
            .iter()
            .any(|word| Path::new(path).file_stem().is_some_and(|stem| stem.to_str().unwrap().contains(word)))
    };
    paths.into_iter().map(read).filter(|source| !for_tests(&source.path)).collect()
}

fn module(path: &str) -> &str {
    path.strip_prefix("src/").unwrap().split('/').next().unwrap().trim_end_matches(".rs")
}

/// The modules that a line of code names as `crate::module`, also in `crate::{a, b}`.
fn named(line: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut all = BTreeSet::new();
    for part in line.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(list) => all.extend(list.split(',').map(|item| word(item.trim()))),
            None => all.extend([word(part)]),
        }
    }
    all.retain(|name| !name.is_empty());
    all
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = module(&source.path).to_owned();
        if matches!(module.as_str(), "main" | "lib" | "build") {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module `{module}` is not in the table", source.path));
            continue;
        };
        for name in source.code.iter().flat_map(|line| named(line)) {
            if name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: `{module}` must not know `{name}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn crates_are_named_only_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in ONLY_IN {
            let (used, imported) = (format!("{name}::"), format!("use {name};"));
            let names_it = |line: &String| {
                let at = line.find(&used);
                let whole =
                    at.is_some_and(|at| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                whole || line.contains(&imported)
            };
            if source.code.iter().any(names_it) && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: {name} belongs in {places:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_code_of_ours_is_unsafe() {
    // The attribute holds for the crate whose root it stands in; the lint of Cargo.toml holds for all that cargo builds here.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs", "src/build.rs", "tests/it/main.rs"]
        .iter()
        .map(|path| root().join(path))
        .collect();
    roots.extend(["benches", "fuzz/fuzz_targets"].iter().flat_map(|folder| files_under(&root().join(folder))));
    assert!(roots.len() >= 9, "{roots:?}");
    for path in roots {
        let text = std::fs::read_to_string(&path).unwrap();
        // The macro of a fuzz target exports a C function, which the compiler calls unsafe.
        let expected = if path.starts_with(root().join("fuzz")) { "#![no_main]" } else { "#![forbid(unsafe_code)]" };
        assert!(text.lines().any(|line| line == expected), "{} lacks {expected}", path.display());
    }
    let word = concat!("uns", "afe ");
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for path in
            files_under(&root().join(folder)).iter().filter(|path| path.extension().is_some_and(|end| end == "rs"))
        {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(!text.contains(&format!("{word}{{")) && !text.contains(&format!("{word}fn")), "{}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.code.len() > LONGEST_FILE)
        .map(|source| format!("{}: {} lines of code", source.path, source.code.len()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines:\n{}", long.join("\n"));
}

#[test]
fn every_module_stands_in_the_map() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (module, _) in MAY_KNOW {
        assert!(map.contains(&format!("`{module}`")) || map.contains(&format!("`{module}/`")), "{module} is missing");
    }
}

#[test]
fn every_receiver_has_its_section_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    // Whatever implements the trait is a receiver; it is named by its file or its folder.
    let receivers: BTreeSet<String> = sources()
        .into_iter()
        // One that watches another.
        .filter(|source| source.path != "src/deliver/trial.rs")
        .filter(|source| source.code.iter().any(|line| line.starts_with("impl Receiver for ")))
        .map(|source| {
            let path = source.path.trim_start_matches("src/receiver/").trim_end_matches(".rs").to_owned();
            path.trim_end_matches("/mod").to_owned()
        })
        .collect();
    assert!(receivers.len() >= 4, "{receivers:?}");
    for receiver in receivers {
        assert!(readme.contains(&format!("### {receiver}")), "{receiver} has no section");
    }
}

#[test]
fn a_clone_stands_alone() {
    // Paths of the place where this was written would break everywhere else.
    let folders = ["src", "tests", "deploy", "rules", "benches", "fuzz/corpus", "fuzz/fuzz_targets", ".ci"];
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "Cargo.toml", "routes.yaml"]
            .iter()
            .map(|file| root().join(file))
            .collect();
    files.extend(folders.iter().flat_map(|folder| files_under(&root().join(folder))));
    let outside = [concat!("../sha", "red"), concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for path in outside {
            assert!(!text.contains(path), "{} names {path}", file.display());
        }
    }
}
