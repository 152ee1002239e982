//! `alertrouter test`.

use super::output::show;
use super::{folder, said, shipped_routes};
use crate::harness::Folder;

/// A routes file with a nested route, a route that goes on, and one that drops.
const ROUTES: &str = r#"receivers:
  - name: oncall
    pagerduty: { routing_key: { env: PAGERDUTY_ROUTING_KEY } }
  - name: team-slack
    slack: { webhook_url: { env: SLACK_WEBHOOK_URL } }
  - name: audit
    webhook: { url: http://localhost:1/ }
route:
  receivers: [team-slack]
  routes:
    - matchers: [audit="yes"]
      receivers: [audit]
      continue: true
    - matchers: [severity="critical"]
      receivers: [oncall, team-slack]
      routes:
        - matchers: [env=~"dev|test"]
          receivers: []
    - matchers: [severity="warning"]
"#;

const PASSES: &str = "tests:
  - name: criticals page
    labels: { alertname: Down, severity: critical }
    receivers: [team-slack, oncall]
  - name: criticals of test systems are dropped
    labels: { alertname: Down, severity: critical, env: test }
    receivers: []
  - name: an HA pair pages once
    labels: { alertname: Down, severity: critical, audit: yes }
    receivers: [audit, oncall, team-slack]
    steps:
      - { at: 0s, status: firing, from: am-1, receivers: [audit, oncall, team-slack], decisions: first }
      - { at: 15s, status: firing, from: am-2, receivers: [], decisions: duplicate }
      - { at: 1h, status: resolved, from: am-2, decisions: resolved }
";

const FAILS: &str = "tests:
  - name: criticals page
    labels: { alertname: Down, severity: warning }
    receivers: [oncall, team-slack]
  - name: this one passes
    labels: { alertname: Down }
    receivers: [team-slack]
  - name: over time
    labels: { alertname: Down, severity: critical }
    steps:
      - { at: 0s, status: firing, from: am-1, receivers: [oncall, team-slack], decisions: first }
      - { at: 15s, status: firing, from: am-2, receivers: [team-slack], decisions: { team-slack: first } }
      - { at: 4h, status: firing, from: am-1, receivers: [], decisions: duplicate }
      - { at: 6h, decisions: refired }
";

const BROKEN: &str = "tests:
  - name: a
    labels: { alertname: Down }
    recievers: [oncal]
    steps: [{ at: 0s, status: firing, receivers: [oncal], decisions: fist }]
";

fn files() -> Folder {
    folder(&[("routes.yaml", ROUTES), ("passes.yaml", PASSES), ("fails.yaml", FAILS), ("broken.yaml", BROKEN)])
}

#[tokio::test]
async fn says_what_has_passed_and_what_has_not() {
    let folder = files();
    let passed = said(&folder, &["test", "passes.yaml"]).await;
    assert_eq!(passed.code, Some(0));
    insta::assert_snapshot!("test_passes", show(&passed));
    let failed = said(&folder, &["test", "passes.yaml", "fails.yaml", "broken.yaml", "nowhere.yaml"]).await;
    assert_eq!(failed.code, Some(1));
    insta::assert_snapshot!("test_fails", show(&failed));
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let (folder, temporary) = (files(), folder(&[]));
    let mut command = super::command(&folder.0, &["test", "passes.yaml"]);
    command.env("TMPDIR", &temporary.0);
    assert_eq!(crate::harness::process::run(command).await.code, Some(0));
    assert_eq!(std::fs::read_dir(&temporary.0).unwrap().count(), 0);
    // Cases that only ask the routes need no store.
    let mut command = super::command(&folder.0, &["test", "--run", "^criticals", "passes.yaml"]);
    command.env("TMPDIR", temporary.0.join("nowhere"));
    let without = crate::harness::process::run(command).await;
    assert_eq!((without.code, without.err.as_str()), (Some(0), ""));
    let mut command = super::command(&folder.0, &["test", "passes.yaml"]);
    command.env("TMPDIR", temporary.0.join("nowhere"));
    let with = crate::harness::process::run(command).await;
    assert_eq!((with.code, with.err.lines().count()), (Some(1), 1), "{}", with.err);
    assert!(with.err.contains("cannot be made, and tests with steps need it: No such file"), "{}", with.err);
}

#[tokio::test]
async fn finds_routes_yaml() {
    let routes = shipped_routes();
    let test = "tests: [{ name: a, labels: { severity: info }, receivers: [dashboards] }]";
    let folder = folder(&[("other.yaml", &routes), ("plain.yaml", test)]);
    std::fs::create_dir(folder.0.join("tests")).unwrap();
    let beside = format!("config: ../other.yaml\n{test}");
    std::fs::write(folder.0.join("tests/beside.yaml"), &beside).unwrap();
    // What the file says wins.
    for arguments in [&["test", "tests/beside.yaml"][..], &["test", "--config", "nowhere.yaml", "tests/beside.yaml"]] {
        assert_eq!(said(&folder, arguments).await.code, Some(0));
    }
    assert_eq!(said(&folder, &["test", "--config", "other.yaml", "plain.yaml"]).await.code, Some(0));
    let mut command = super::command(&folder.0, &["test", "plain.yaml"]);
    command.env("ALERTROUTER_CONFIG", "other.yaml");
    assert_eq!(crate::harness::process::run(command).await.code, Some(0));
    let missing = said(&folder, &["test", "plain.yaml"]).await;
    assert_eq!(missing.code, Some(1));
    assert_eq!(
        missing.err,
        "  FAILED:\n    cannot read routes.yaml: No such file or directory (os error 2); name the routes file with \
         --config, or with `config` in the test file\n\n"
    );
    std::fs::write(folder.0.join("routes.yaml"), routes.replace("matchers: [", "matchers: [=")).unwrap();
    let bad = said(&folder, &["test", "plain.yaml"]).await;
    assert_eq!((bad.code, bad.err.matches("routes.yaml:").count()), (Some(1), 3), "{}", bad.err);
}

#[tokio::test]
async fn takes_labels_from_rule_files() {
    let folder = files();
    for (name, text) in [
        (
            "rules/a.rules.yaml",
            "groups: [{name: g, rules: [{alert: Down, expr: up == 0, labels: {severity: critical}}]}]",
        ),
        ("broken/a.rules.yaml", "groups: [{name: g, rules: [{alert: [], expr: up}]}]"),
        (
            "tests/a.yaml",
            "rule_files: [../rules]\ntests: [{name: a, alert: Down, receivers: [oncall, team-slack]}, {name: b, alert: Down, \
             labels: {env: dev}, receivers: []}]",
        ),
        ("tests/b.yaml", "rule_files: [../broken, ../nowhere]\ntests: [{name: a, alert: Down, receivers: [oncal]}]"),
        ("tests/c.yaml", "rule_files: [../rules]\ntests: [{name: a, alert: Dawn, receivers: []}]"),
    ] {
        let path = folder.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let said = said(&folder, &["test", "tests/a.yaml", "tests/b.yaml", "tests/c.yaml"]).await;
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!("test_rules", show(&said));
}

#[tokio::test]
async fn coverage() {
    let folder = files();
    let covered = said(&folder, &["test", "--coverage", "passes.yaml"]).await;
    assert_eq!((covered.code, covered.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("test_coverage", covered.out);
    // 3 of 5.
    assert_eq!(said(&folder, &["test", "--coverage=60", "passes.yaml"]).await.code, Some(0));
    let less = said(&folder, &["test", "--coverage=61", "passes.yaml"]).await;
    assert_eq!(less.code, Some(1));
    assert_eq!(less.err, "error: 60 % of the routes of routes.yaml are reached, and --coverage=61 asks for more\n");
    // All files count together, failing tests too, and each routes file for itself.
    let all = said(&folder, &["test", "--coverage=100", "passes.yaml", "fails.yaml"]).await;
    assert!(all.out.contains("\ncoverage: 5 of 5 routes (100 %)\n\n2 files"), "{}", all.out);
    std::fs::write(folder.0.join("more.yaml"), ROUTES).unwrap();
    std::fs::write(folder.0.join("other.yaml"), format!("config: more.yaml\n{PASSES}")).unwrap();
    let two = said(&folder, &["test", "--coverage=50", "passes.yaml", "other.yaml"]).await;
    assert_eq!(two.code, Some(0));
    for file in ["routes.yaml", "more.yaml"] {
        assert!(two.out.contains(&format!("coverage of {file}: 3 of 5 routes (60 %)\n")), "{}", two.out);
    }
}

#[tokio::test]
async fn junit() {
    let folder = files();
    let written = said(&folder, &["test", "--junit", "out.xml", "passes.yaml", "fails.yaml", "broken.yaml"]).await;
    assert_eq!(written.code, Some(1));
    let xml = std::fs::read_to_string(folder.0.join("out.xml")).unwrap();
    insta::assert_snapshot!("test_junit", xml);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let count = |name| document.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!(["testsuite", "testcase", "failure", "error"].map(count), [3, 7, 6, 1]);
    let refused = said(&folder, &["test", "--junit", "nowhere/out.xml", "passes.yaml"]).await;
    assert_eq!(refused.code, Some(1));
    assert_eq!(refused.err, "error: nowhere/out.xml cannot be written: No such file or directory (os error 2)\n");
    assert!(
        refused.out.ends_with("1 file, 3 tests, 0 failed\n"),
        "what was found is said all the same: {}",
        refused.out
    );
}

#[tokio::test]
async fn runs_only_what_is_asked_for() {
    let folder = files();
    let some = said(&folder, &["test", "--run", "page(s once)?$", "passes.yaml", "fails.yaml"]).await;
    assert_eq!(some.out.lines().last(), Some("2 files, 3 tests, 1 failed"));
    let none = said(&folder, &["test", "--run", "nothing", "passes.yaml"]).await;
    assert_eq!((none.code, none.err.as_str()), (Some(1), "error: no test has a name that --run matches\n"));
}

#[tokio::test]
async fn usage_errors_exit_2() {
    let folder = files();
    for arguments in [
        &["test"][..],
        &["test", "--coverage=101", "passes.yaml"],
        &["test", "--coverage=all", "passes.yaml"],
        &["test", "--run", "(", "passes.yaml"],
        &["test", "--nope", "passes.yaml"],
    ] {
        let said = said(&folder, arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {}", said.err);
    }
    // Without `=` the number would be a file.
    assert_eq!(said(&folder, &["test", "--coverage", "100"]).await.code, Some(1));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_said() {
    let folder = files();
    let both = said(&folder, &["test", "--run", "page", "--coverage=50", "passes.yaml"]).await;
    assert_eq!((both.code, both.out.as_str()), (Some(2), ""));
    assert!(both.err.starts_with("error: --run leaves tests out"), "{}", both.err);

    let apart = said(&folder, &["test", "--coverage", "50", "passes.yaml"]).await;
    assert_eq!(apart.code, Some(1));
    assert!(apart.err.contains("cannot read 50: No such file or directory (os error 2); did you mean --coverage=50?"));

    let some = said(&folder, &["test", "--run", "over time", "passes.yaml", "fails.yaml"]).await;
    assert!(
        some.out.starts_with("Unit Testing:  passes.yaml\n  no tests\n\nUnit Testing:  fails.yaml\n"),
        "{}",
        some.out
    );
}

#[tokio::test]
async fn a_broken_test_file_says_nothing_of_the_routes() {
    let folder = folder(&[("broken.yaml", BROKEN)]);
    let broken = said(&folder, &["test", "broken.yaml"]).await;
    assert_eq!(broken.code, Some(1));
    assert!(broken.err.contains("unknown key `recievers`") && !broken.err.contains("routes.yaml"), "{}", broken.err);
}
