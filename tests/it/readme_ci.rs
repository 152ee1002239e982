//! The CI files of the README. Teams copy them, so what they run is run here, in a copy made as README says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::Folder;
use crate::harness::process::{Said, alertrouter, debian, run};
use crate::routes_file::{blocks, root};

/// Lines that bring a program onto the runner: the only ones that are not run here.
const INSTALLS: [&str; 6] = [
    "sudo apt-get update",
    "sudo apt-get install -y --no-install-recommends prometheus",
    "command -v alertrouter || rustup toolchain install stable --profile minimal",
    r#"command -v alertrouter || cargo install --locked --git "$ALERTROUTER_REPOSITORY" --rev "$ALERTROUTER_REVISION" alertrouter"#,
    r#"test -x .tools/bin/alertrouter || cargo install --locked --root .tools --git "$ALERTROUTER_REPOSITORY" --rev "$ALERTROUTER_REVISION" alertrouter"#,
    r#"export PATH="$PWD/.tools/bin:$PATH""#,
];
/// Steps that are no command lines.
const USES: [&str; 2] = ["actions/checkout@v4", "actions/cache@v4"];

/// What stays of the packs' tests in the copy: the others take half a minute, and `make rules` runs them.
const TESTS: &str = "noise-budgets.test.yaml";

/// Changes that must not pass, and the line that stops them.
const BREAKS: [(&str, &str, &str, &str); 4] = [
    ("rules/llm/llm.rules.yaml", "absent(up{", "absent(up{{", "promtool check"),
    ("rules/alertrouter/noise.rules.yaml", ") > 5", ") > 6", "promtool test"),
    ("rules/llm/slo.rules.yaml", "severity: critical", "severity: page", "alertrouter check"),
    ("routes.yaml", "receivers: [oncall, team-slack]", "receivers: [team-slack]", "alertrouter test"),
];

/// An example of the README, by the name in its first line.
fn example(name: &str) -> Value {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let found = blocks(&readme, "yaml").into_iter().find(|block| block.starts_with(&format!("# {name}\n")));
    serde_yaml::from_str(&found.unwrap_or_else(|| panic!("{name} is gone"))).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Every line that a runner of the workflow would run.
fn github() -> Vec<String> {
    let workflow = example(".github/workflows/rules.yaml");
    let jobs = workflow["jobs"].as_object().unwrap();
    let mut lines = Vec::new();
    for step in jobs.values().flat_map(|job| job["steps"].as_array().unwrap()) {
        match step.get("uses") {
            Some(action) => assert!(USES.contains(&text(action)), "{action}"),
            None => lines.extend(text(&step["run"]).lines().map(str::to_owned)),
        }
    }
    lines
}

/// Every line that a runner of the pipeline would run.
fn gitlab() -> Vec<String> {
    let pipeline = example(".gitlab-ci.yml");
    let jobs = pipeline.as_object().unwrap().iter().filter(|(name, _)| *name != "variables");
    let scripts = jobs.flat_map(|(_, job)| [job.get("before_script"), Some(&job["script"])]).flatten();
    scripts.flat_map(|script| script.as_array().unwrap()).map(|line| text(line).to_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if !from.to_string_lossy().ends_with(".test.yaml") {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// The repository of a team.
fn repository() -> Folder {
    let folder = Folder::new();
    copy(root("rules").as_ref(), &folder.0.join("rules"));
    std::fs::create_dir(folder.0.join("tests")).unwrap();
    for file in ["routes.yaml", "tests/routes.test.yaml", &format!("rules/tests/{TESTS}")] {
        std::fs::copy(root(file), folder.0.join(file)).unwrap();
    }
    folder
}

/// A line as a runner's shell takes it, with the alertrouter under test where CI has the one it has built.
async fn shell(folder: &Folder, line: &str) -> Said {
    let binary = alertrouter().as_std().get_program().to_owned();
    let mut path = vec![Path::new(&binary).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut shell = Command::new("sh");
    shell.args(["-ec", line]).current_dir(&folder.0).env("PATH", std::env::join_paths(path).unwrap());
    run(shell).await
}

#[tokio::test]
async fn the_ci_files_of_the_readme_pass_and_can_fail() {
    drop(debian("promtool", "prometheus"));
    let [github, gitlab] = [github(), gitlab()].map(|lines| lines.into_iter().collect::<BTreeSet<_>>());
    let installs: BTreeSet<String> = INSTALLS.map(str::to_owned).into();
    let all = &github | &gitlab;
    assert_eq!(&installs - &all, BTreeSet::new(), "an exemption that nobody needs");
    let lines = &all - &installs;
    assert_eq!((&github - &installs, &gitlab - &installs), (lines.clone(), lines.clone()), "the two check the same");

    let folder = repository();
    for line in &lines {
        let said = shell(&folder, line).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line}\n{}", said.out);
    }

    assert_eq!(lines.len(), BREAKS.len(), "each line has a change that it stops");
    for (file, from, to, by) in BREAKS {
        let folder = repository();
        let path = folder.0.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let line = lines.iter().find(|line| line.starts_with(by)).unwrap();
        let said = shell(&folder, line).await;
        assert_eq!(said.code, Some(1), "{line} lets {to:?} pass in {file}\n{}{}", said.out, said.err);
    }
}
