//! Grafana's own schema, by `tests/dashboard_schema.py`.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Dashboard, all, folder};
use crate::harness::Folder;
use crate::harness::process::{Said, run};
use crate::routes_file::root;

async fn check(files: &[std::path::PathBuf]) -> Said {
    let library = root("target/tools/python");
    let there = std::path::Path::new(&library).join("grafana_foundation_sdk").is_dir();
    assert!(there, "run .ci/tools: it installs Grafana's schema");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", library).arg("-B").arg(root("tests/dashboard_schema.py")).args(files);
    run(python).await
}

#[tokio::test]
async fn dashboards_are_what_grafana_reads() {
    let files: Vec<_> = all().iter().map(|dashboard| folder().join(&dashboard.name)).collect();
    let said = check(&files).await;
    assert_eq!((said.code, &*said.out, &*said.err), (Some(0), "", ""));
}

/// What is changed, and what is said of it.
type Mistake = (fn(&mut Value), &'static str);

const MISTAKES: &[Mistake] = &[
    (|it| *it = json!({ "dashboard": it.take() }), "$: the dashboard is wrapped as the API wants it"),
    (|it| it["schemaVersion"] = json!("42"), r#"$.schema_version: "42" is not of type int"#),
    (|it| it["graphTooltip"] = json!(7), "$.graph_tooltip: 7 is none of 0, 1, 2"),
    (|it| it["panel"] = json!([]), "$.panel: Grafana's schema has no such key"),
    (|it| it["panels"] = json!({}), "$"),
    (|it| it["panels"][1]["type"] = json!("graph"), "$.panels[1]: Grafana has no panel of type graph"),
    (|it| it["panels"][1]["id"] = json!("2"), r#"$.panels[1].id: "2" is not of type int"#),
    (
        |it| it["panels"][1]["targets"][0]["instant"] = json!("yes"),
        r#"$.panels[1].targets[0].instant: "yes" is not of type bool"#,
    ),
    (
        |it| it["panels"][1]["targets"][0]["query"] = json!("up"),
        "$.panels[1].targets[0].query: Grafana's schema has no such key",
    ),
    (
        |it| it["panels"][1]["options"]["graphMode"] = json!("lines"),
        r#"$.panels[1].options.graph_mode: "lines" is none of none, line, area"#,
    ),
    (
        |it| it["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] = json!("1"),
        r#"$.panels[1].field_config.defaults.thresholds.steps[1].value: "1" is not of type float"#,
    ),
    (
        |it| it["panels"][1]["fieldConfig"]["overrides"] = json!([{ "matcher": { "id": 1 }, "properties": [] }]),
        "$.panels[1].field_config.overrides[0].matcher.id: 1 is not of type str",
    ),
    (|it| it["templating"]["list"][1]["type"] = json!("list"), r#"$.templating.list[1].type: "list" is none of query"#),
    (|it| it["annotations"]["list"][0]["enable"] = json!(1), "$.annotations.list[0].enable: 1 is not of type bool"),
];

#[tokio::test]
async fn mistakes_are_noticed() {
    let folder = Folder::new();
    let files: Vec<_> = (0..MISTAKES.len()).map(|nth| folder.0.join(format!("{nth}.json"))).collect();
    for ((change, _), file) in MISTAKES.iter().zip(&files) {
        let mut content = Dashboard::named("alertrouter.json").content;
        change(&mut content);
        std::fs::write(file, content.to_string()).unwrap();
    }
    let said = check(&files).await;
    assert_eq!((said.code, &*said.err), (Some(1), ""));
    for ((_, expected), file) in MISTAKES.iter().zip(&files) {
        let of_file = format!("{}: ", file.display());
        let problems: Vec<_> = said.out.lines().filter_map(|line| line.strip_prefix(&of_file)).collect();
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{expected}: {problems:?}");
    }
}
