//! The files and examples that people copy.

use alertrouter::config::problem::Severity;
use alertrouter::config::{self, secret};

use crate::harness::process::{alertrouter, debian, run};

fn root(name: &str) -> String {
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

#[test]
fn every_routes_yaml_of_the_readme_is_read() {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let all = blocks(&readme, "yaml");
    // The others are for Alertmanager.
    let routes: Vec<_> = all.iter().filter(|block| !block.contains("webhook_configs")).collect();
    assert!(!routes.is_empty(), "{all:?}");
    for block in routes {
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

#[tokio::test]
async fn the_explanation_in_the_readme_is_what_is_printed() {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let blocks = blocks(&readme, "text");
    let (line, expected) = blocks.iter().find_map(|block| block.split_once('\n')).unwrap();
    let arguments = line.strip_prefix("$ alertrouter ").unwrap();
    let mut command = alertrouter();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments.split(' '));
    assert_eq!(run(command).await.out, format!("{expected}\n"));
}
