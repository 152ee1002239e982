//! The files and examples that people copy.

use alertrouter::config::{self, secret};
use alertrouter::import;
use alertrouter::yaml::problem::Severity;

use crate::harness::Folder;
use crate::harness::process::{alertrouter, debian, run};
use crate::routing::amtool;

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

#[test]
fn the_shipped_alertmanager_yml_sends_the_routers_own_pages_past_it() {
    let config = root("deploy/alertmanager/alertmanager.yml");
    for (labels, receiver) in [
        (["alertname=AlertrouterDown", "severity=critical"], "oncall-direct"),
        (["alertname=AlertrouterDeliveriesFailing", "severity=warning"], "alertrouter"),
        (["alertname=Watchdog", "severity=info"], "alertrouter"),
        (["alertname=LLMHighErrorRatio", "severity=critical"], "alertrouter"),
    ] {
        let reached = amtool::routes_test(config.as_ref(), &labels.map(str::to_owned));
        assert_eq!(reached.as_deref(), Ok(receiver), "{labels:?}");
    }
}

/// The fenced blocks of a language, without the indentation of the list they may stand in.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
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

/// The examples of a routes.yaml.
pub fn routes_of_the_readme() -> Vec<String> {
    let routes = examples(&Example::RoutesYaml);
    assert!(!routes.is_empty(), "the examples are gone");
    routes
}

/// What a YAML example is.
#[derive(Debug, PartialEq, Eq)]
enum Example {
    RoutesYaml,
    RouteTest,
    AlertmanagerYml,
    PrometheusYml,
    WebYml,
    /// A file of somebody's CI: `readme_ci` runs it.
    Ci,
    /// Of a collector, which is not here.
    Collector,
}

/// The YAML example of the README that begins with this line.
pub fn example(first_line: &str) -> String {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let found = blocks(&readme, "yaml").into_iter().find(|block| block.lines().next() == Some(first_line));
    found.unwrap_or_else(|| panic!("README has no example that begins with {first_line}"))
}

/// The YAML examples of the README.
fn examples(wanted: &Example) -> Vec<String> {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let kind = |block: &String| match () {
        () if block.starts_with("# .git") => Example::Ci,
        () if block.starts_with("# otel-collector.yaml") => Example::Collector,
        () if block.contains("scrape_configs:") => Example::PrometheusYml,
        () if block.contains("tls_server_config:") => Example::WebYml,
        () if block.contains("_configs:") => Example::AlertmanagerYml,
        () if block.lines().any(|line| line == "tests:") => Example::RouteTest,
        () => Example::RoutesYaml,
    };
    blocks(&readme, "yaml").into_iter().filter(|block| kind(block) == *wanted).collect()
}

#[tokio::test]
async fn the_route_tests_of_the_readme_pass() {
    let tests = examples(&Example::RouteTest);
    assert!(!tests.is_empty());
    // They are about the example that its section begins with, which they name as their neighbour.
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let whole = &blocks(readme.split("\n## routes.yaml\n").nth(1).unwrap(), "yaml")[0];
    let rules = "groups: [{name: g, rules: [{alert: HighErrorRate, expr: a > 1, labels: {severity: critical}}]}]";
    for (number, test) in tests.iter().enumerate() {
        let folder = Folder::new();
        std::fs::write(folder.0.join("routes.yaml"), whole).unwrap();
        for (name, text) in [("tests/routes.test.yaml", test.as_str()), ("rules/example.rules.yaml", rules)] {
            let path = folder.0.join(name);
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        // The first one is a whole example, the next shows one thing more.
        let coverage = if number == 0 { "--coverage=100" } else { "--coverage" };
        let mut command = alertrouter();
        command.current_dir(&folder.0).args(["test", coverage, "tests/routes.test.yaml"]);
        let said = run(command).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}\n{test}", said.out);
    }
}

/// What `make routes` runs, so that `cargo test` says it too.
#[tokio::test]
async fn the_shipped_routes_do_what_they_promise() {
    let mut command = alertrouter();
    command.current_dir(root("")).args(["test", "--coverage=100", "tests/routes.test.yaml"]);
    let said = run(command).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.contains("\ncoverage: 4 of 4 routes (100 %)\n"), "{}", said.out);
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

#[tokio::test]
async fn the_explanation_in_the_readme_is_what_is_printed() {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let blocks = blocks(&readme, "text");
    let (line, expected) =
        blocks.iter().filter(|block| block.starts_with("$ ")).find_map(|block| block.split_once('\n')).unwrap();
    let arguments = line.strip_prefix("$ alertrouter ").unwrap();
    let mut command = alertrouter();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments.split(' '));
    assert_eq!(run(command).await.out, format!("{expected}\n"));
}
