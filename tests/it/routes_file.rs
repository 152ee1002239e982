//! The files and examples that people copy.

use alertrouter::config::{self, secret};
use alertrouter::import;
use alertrouter::yaml::problem::Severity;

use crate::harness::process::{debian, run};

/// A file of the project.
pub fn root(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn alertmanager_takes_the_shipped_alertmanager_yml() {
    let mut amtool = debian("amtool", "prometheus-alertmanager");
    amtool.args(["check-config", &root("deploy/alertmanager/alertmanager.yml")]);
    let said = run(amtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}

/// The fenced blocks of a language, without the indentation of the list they may stand in.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start() == format!("```{language}") {
            let inside = lines.by_ref().take_while(|line| line.trim() != "```");
            found.push(inside.map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

/// The examples of a routes.yaml; the other YAML of the README is for Alertmanager.
pub fn routes_of_the_readme() -> Vec<String> {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let routes: Vec<_> =
        blocks(&readme, "yaml").into_iter().filter(|block| !block.contains("webhook_configs")).collect();
    assert!(!routes.is_empty(), "the examples are gone");
    routes
}

#[test]
fn every_routes_yaml_of_the_readme_is_read() {
    for block in routes_of_the_readme() {
        // A part of a file, as in the section of a receiver, becomes a whole one.
        let whole = if block.contains("route:") {
            block.clone()
        } else {
            panic!("an example that is no whole file; teach this test what to add to it:\n{block}")
        };
        let (config, problems) = config::parse(whole.as_bytes(), &config::Options::without_secrets(), &secret::System);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        assert!(config.is_some() && errors.is_empty(), "{errors:?}\n{block}");
        assert!(problems.is_empty(), "{problems:?}\n{block}");
    }
}

#[test]
fn the_import_of_the_readme_is_real() {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let all = blocks(&readme, "yaml");
    let at = all.iter().position(|block| block.starts_with("global:")).expect("the example is gone");
    let options = import::Options { file: "alertmanager.yml".to_owned(), keep_secrets: false };
    let (imported, problems) = import::import(all[at].as_bytes(), &options);
    let text = imported.unwrap_or_else(|| panic!("{problems:?}")).text;
    let (_, below) = text.split_once("\n\n").unwrap();
    assert_eq!(all[at + 1], below.trim_end());
}
