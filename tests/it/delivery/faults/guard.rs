//! README's list of faults is true as long as each line has its test.

use std::collections::BTreeSet;
use std::path::Path;

/// The rows of the table below a headline of README, by cell.
fn table(readme: &str, headline: &str) -> Vec<Vec<String>> {
    let section = readme.split(&format!("\n{headline}\n")).nth(1).unwrap_or_else(|| panic!("no {headline}"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Whether `path::to::test` is a test of `tests/it` or of `src`.
pub fn is_a_test(path: &str) -> bool {
    let (module, name) = path.rsplit_once("::").unwrap_or_else(|| panic!("{path} names no module"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = module.replace("::", "/");
    let files = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
    let places = ["tests/it", "src"].map(|tests| files.clone().map(|file| root.join(tests).join(file)));
    let found = places.into_iter().flatten().find_map(|file| std::fs::read_to_string(file).ok());
    let source = found.unwrap_or_else(|| panic!("{path}: there is no {folder}.rs"));
    let attribute = source.find(&format!("fn {name}(")).map(|at| &source[..at]);
    attribute.is_some_and(|before| {
        let line = before.trim_end().trim_end_matches("async").trim_end().lines().last().unwrap_or_default();
        matches!(line, "#[test]" | "#[tokio::test]") || line.starts_with("#[tokio::test(")
    })
}

#[test]
fn every_line_of_the_table_has_its_test_and_every_test_its_line() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let rows = table(&readme, "### What happens when");
    assert!(rows.len() >= 20, "{} rows", rows.len());
    let mut listed = BTreeSet::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        for test in row[3].split(", ").map(|test| test.trim_matches('`')) {
            assert!(is_a_test(test), "{test} is no test: {row:?}");
            listed.insert(test.to_owned());
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/delivery/faults");
    for file in crate::harness::files_under(&folder) {
        let (module, source) =
            (file.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&file).unwrap());
        for part in source.split("#[tokio::test]\nasync fn ").skip(1) {
            let test = format!("delivery::faults::{module}::{}", part.split('(').next().unwrap());
            assert!(listed.contains(&test), "{test} is in no row");
        }
    }
}
