//! `check --rules` and `check --format json`.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::output::show;
use super::refusals::BROKEN;
use super::{command, folder, said, shipped_routes};
use crate::harness::Folder;
use crate::harness::process::run_within;

const ROUTES: &str = r#"receivers:
  - name: a
    webhook: { url: http://localhost/ }
route:
  receivers: [a]
  routes:
    - matchers: [alertname="HostDwn"]
    - matchers: [sevreity="critical", team="web"]
    - matchers: [severity="critical", team="search"]
    - matchers: [severity="warning"]
"#;

const MISTAKES: &str = r#"groups:
  - name: hosts
    rules:
      - alert: HostDown
        expr: up == 0
        labels: { severity: critical, team: serach }
      - alert: HostSlow
        expr: load > 5
        labels:
          severity: warnign
      - alert: HostFull
        expr: predict_lniear(free[1h], 4 * 3600) < 0
        labels: { severity: warning }
      - alert: HostOdd
        expr: sum by (team) (odd)
      - alert: HostHot
        expr: temperature{team="search"} > 80
        labels: { severity: critical }
"#;

const OPERATOR: &str = "apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: pods }
spec:
  groups:
    - name: pods
      rules:
        - alert: PodDown
          expr: kube_pod_status_ready == 0
          labels: { severity: warning }
";

/// Routes and rules that do not fit together.
fn mistakes() -> Folder {
    let folder = folder(&[("routes.yaml", ROUTES)]);
    std::fs::create_dir_all(folder.0.join("rules/k8s")).unwrap();
    std::fs::write(folder.0.join("rules/hosts.rules.yaml"), MISTAKES).unwrap();
    std::fs::write(folder.0.join("rules/k8s/pods.yml"), OPERATOR).unwrap();
    std::fs::write(folder.0.join("rules/hosts.test.yaml"), "rule_files: [hosts.rules.yaml]\ntests: []\n").unwrap();
    folder
}

fn json(said: &crate::harness::process::Said) -> Value {
    assert_eq!(said.err, "");
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}:\n{}", said.out))
}

#[tokio::test]
async fn rules_that_the_routes_do_not_know() {
    let folder = mistakes();
    insta::assert_snapshot!("check_rules", show(&said(&folder, &["check", "--rules", "rules"]).await));
    insta::assert_snapshot!(
        "check_rules_json",
        show(&said(&folder, &["check", "--rules", "rules", "--format", "json"]).await)
    );
}

#[tokio::test]
async fn rules_that_cannot_be_read() {
    let folder = folder(&[
        ("routes.yaml", &shipped_routes()),
        ("broken.yaml", "groups:\n  - name: a\n    rules: [\n"),
        ("shape.yaml", "groups:\n  - name: a\n    rules:\n      - alrt: A\n        expr: up\n      - alert: B\n"),
        ("good.yaml", "groups: [{name: a, rules: [{alert: A, expr: up, labels: {severity: info}}]}]"),
        ("other.yaml", "a: 1\n"),
    ]);
    std::fs::create_dir(folder.0.join("empty")).unwrap();
    let rules = ["broken.yaml", "shape.yaml", "good.yaml", "other.yaml", "empty", "nowhere"];
    let arguments: Vec<_> =
        ["check", "--no-secrets"].into_iter().chain(rules.iter().flat_map(|path| ["--rules", path])).collect();
    insta::assert_snapshot!("check_rules_broken", show(&said(&folder, &arguments).await));
    let json = json(&said(&folder, &[&arguments[..], &["--format", "json"]].concat()).await);
    assert_eq!((&json["errors"], &json["rules"]), (&7.into(), &Value::Null), "{json}");
    let nowhere = &json["problems"][6];
    assert_eq!(
        (&nowhere["file"], &nowhere["line"], &nowhere["column"]),
        (&"nowhere".into(), &Value::Null, &Value::Null)
    );

    // Routes that cannot be used do not keep the rules from being read.
    std::fs::write(folder.0.join("routes.yaml"), BROKEN).unwrap();
    let said = said(&folder, &["check", "--rules", "good.yaml"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    let end = "routes.yaml: 10 errors, 1 warning\nrules: 1 alert in 1 file, not routed: routes.yaml has errors\n";
    assert!(said.err.ends_with(end), "{}", said.err);
}

#[tokio::test]
async fn json_says_what_text_says() {
    let folder = folder(&[("broken.yaml", BROKEN), ("routes.yaml", &shipped_routes())]);
    let broken = said(&folder, &["check", "broken.yaml", "--format", "json"]).await;
    insta::assert_snapshot!("check_broken_json", show(&broken));
    let text = said(&folder, &["check", "broken.yaml"]).await.err;
    for problem in json(&broken)["problems"].as_array().unwrap() {
        let place = format!("--> broken.yaml:{}:{}\n", problem["line"], problem["column"]);
        assert!(text.contains(&place) && text.contains(problem["message"].as_str().unwrap()), "{problem}");
    }

    let fine = said(&folder, &["check", "--no-secrets", "--strict", "--format", "json"]).await;
    assert_eq!(fine.code, Some(0));
    insta::assert_snapshot!("check_shipped_json", show(&fine));
    let nowhere = said(&folder, &["check", "nowhere.yaml", "--format", "json"]).await;
    assert_eq!(nowhere.code, Some(1));
    insta::assert_snapshot!("check_nowhere_json", show(&nowhere));
}

#[tokio::test]
async fn strict_fails_on_warnings_about_rules() {
    let file = "groups: [{name: a, rules: [{alert: A, expr: up}]}]";
    let folder = folder(&[("routes.yaml", &shipped_routes()), ("a.yaml", file)]);
    let found = said(&folder, &["check", "--no-secrets", "--rules", ".", "--format", "json"]).await;
    assert_eq!(json(&found)["problems"][0]["file"], "a.yaml");
    for format in ["text", "json"] {
        let check = ["check", "--no-secrets", "--rules", "a.yaml", "--format", format];
        assert_eq!(said(&folder, &check).await.code, Some(0), "{format}");
        assert_eq!(said(&folder, &[&check[..], &["--strict"]].concat()).await.code, Some(1), "{format}");
    }
}

#[tokio::test]
async fn the_shipped_rules_land_on_the_shipped_routes() {
    let root = env!("CARGO_MANIFEST_DIR");
    let check = ["check", "--strict", "--no-secrets", "--rules", "rules", "routes.yaml", "--format", "json"];
    let said = run_within(Duration::from_secs(20), command(root.as_ref(), &check)).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    // How many there are is the packs' own business.
    let rules = &json(&said)["rules"];
    assert!(rules["alerts"].as_u64() > Some(0), "{rules}");
    assert_eq!(rules["own_route"], rules["alerts"], "{rules}");
}

/// Thousands of alerts are checked in about the time that it takes to read them: were anything quadratic in them, the
/// bound would be missed many times over.
#[tokio::test]
async fn thousands_of_alerts() {
    let mut routes = ROUTES.split("    - matchers").next().unwrap().to_owned();
    for team in 0..200 {
        let _ = writeln!(routes, "    - matchers: [severity=~\"critical|warning\", team=\"team-{team}\"]");
    }
    let folder = folder(&[("routes.yaml", &routes)]);
    for file in 0..10 {
        let mut text = "groups:\n".to_owned();
        for group in 0..10 {
            let _ = writeln!(text, "- name: group-{group}\n  labels: {{severity: critical}}\n  rules:");
            for alert in 0..50 {
                let _ = writeln!(
                    text,
                    "  - alert: Alert{file}x{group}x{alert}\n    expr: sum by (job) (rate(errors_total{{job=\"a\"}}[5m])) / sum by (job) \
                     (rate(all_total[5m])) > 0.05\n    for: 5m\n    labels: {{team: team-{alert}}}\n    annotations: {{summary: S}}"
                );
            }
        }
        std::fs::write(folder.0.join(format!("{file}.rules")), text).unwrap();
    }
    let said = run_within(Duration::from_secs(60), command(&folder.0, &["check", "--rules", "."])).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.ends_with("rules: 5000 alerts in 10 files: 5000 land on a route of their own\n"), "{}", said.out);
}
