//! What is said about the labels of expressions, held against Prometheus itself: promtool evaluates each of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alertrouter::rules::{self, AlertingRule};

use crate::harness::Folder;
use crate::harness::process::{debian, run};

/// What there is to select from; every series has the value 1 all the time.
const SERIES: [&str; 10] = [
    r#"m{job="api", x="1", zone="eu"}"#,
    r#"m{job="api", x="2", zone="us"}"#,
    r#"o{job="api", x="1", zone="eu"}"#,
    r#"n{job="api", x="1", y="9"}"#,
    r#"n{job="web", x="3", y="8"}"#,
    r#"owner{job="api", team="db", x="7"}"#,
    r#"h_bucket{job="api", le="1"}"#,
    r#"h_bucket{job="api", le="+Inf"}"#,
    "bare{}",
    r#"version{v="5"}"#,
];

/// Expressions, and the labels of the alerts that Prometheus makes of them. promtool fails if these are not right.
const CASES: &[(&str, &[&str])] = &[
    (r#"m{zone="eu"}"#, &["job=api x=1 zone=eu"]),
    (r#"m{zone="eu", rack=""} * 2 > bool 0"#, &["job=api x=1 zone=eu"]),
    (r#"0 < m{zone="eu"}"#, &["job=api x=1 zone=eu"]),
    (r#"-m{zone="eu"}"#, &["job=api x=1 zone=eu"]),
    (r"m{zone=~`e\.?u`, job=`api`}", &["job=api x=1 zone=eu"]),
    ("1", &[""]),
    ("time() > bool 0", &[""]),
    ("vector(scalar(o))", &[""]),
    ("hour() >= 0", &[""]),
    ("hour(o) >= 0", &["job=api x=1 zone=eu"]),
    (r#"rate(o{job="api"}[5m]) >= 0"#, &["job=api x=1 zone=eu"]),
    (r#"max_over_time(sum by (job) (m{zone="eu"})[5m:1m])"#, &["job=api"]),
    ("clamp_max(round(o, 0.1), 5)", &["job=api x=1 zone=eu"]),
    ("timestamp(o) >= 0", &["job=api x=1 zone=eu"]),
    ("quantile_over_time(0.5, o[5m])", &["job=api x=1 zone=eu"]),
    (r#"histogram_quantile(0.9, h_bucket{job="api"}) >= 0"#, &["job=api"]),
    (r#"histogram_quantile(0.9, h_bucket{le="+Inf"}) or vector(0)"#, &["", "job=api"]),
    // absent
    (r#"absent(gone{job="api", x!="1", zone=~"e.", rack=""})"#, &["job=api"]),
    ("absent(gone)", &[""]),
    (r#"absent_over_time(gone{job="api"}[5m])"#, &["job=api"]),
    (r#"absent(rate(gone{job="api"}[5m]))"#, &[""]),
    (r#"absent(sum(gone{job="api"}))"#, &[""]),
    (r#"absent_over_time(rate(gone{job="api"}[5m])[10m:1m])"#, &[""]),
    (r#"absent(gone{job="api", job="web", a="b"})"#, &["a=b"]),
    (r#"absent((gone{job="api"}))"#, &["job=api"]),
    (r#"absent(((gone{job="api"})))"#, &["job=api"]),
    (r#"absent((sum(gone{job="api"})))"#, &[""]),
    (r#"absent(gone{job="api"} @ 5)"#, &["job=api"]),
    // aggregation
    (r#"sum(m{job="api"})"#, &[""]),
    (r#"sum by (job, team) (m{job="api"})"#, &["job=api"]),
    ("sum by () (m)", &[""]),
    ("sum without (x) (o)", &["job=api zone=eu"]),
    ("sum without (zone) (sum by (x, zone) (o))", &["x=1"]),
    (r#"topk(1, o{job="api"})"#, &["job=api x=1 zone=eu"]),
    (r#"topk by (job) (1, o{job="api"})"#, &["job=api x=1 zone=eu"]),
    (r#"topk without (job) (1, o{job="api"})"#, &["job=api x=1 zone=eu"]),
    ("quantile by (x) (0.5, o)", &["x=1"]),
    (r#"count_values("v", o)"#, &["v=1"]),
    (r#"count_values by (job) ("x", o)"#, &["job=api x=1"]),
    (r#"count_values without (zone) ("job", m{zone="us"})"#, &["job=1 x=2"]),
    ("sum by (__name__, x) (o)", &["x=1"]),
    // label_replace, label_join
    (r#"label_replace(o{job="api"}, "team", "db", "", "")"#, &["job=api team=db x=1 zone=eu"]),
    (r#"label_replace(sum(o), "team", "db", "", ".*")"#, &["team=db"]),
    (r#"label_replace(sum(o), "team", "db$0", "", ".*")"#, &["team=db"]),
    (r#"label_replace(o, "x", "$1", "zone", "(.).")"#, &["job=api x=e zone=eu"]),
    (r#"label_replace(o, "x", "$1", "zone", "none")"#, &["job=api x=1 zone=eu"]),
    (r#"label_replace(o, "x", "", "", "")"#, &["job=api zone=eu"]),
    (r#"label_join(sum by (x, zone) (o{x="1"}), "both", "-", "x", "zone")"#, &["both=1-eu x=1 zone=eu"]),
    (r#"label_join(o{x="1"}, "x", "-", "none")"#, &["job=api zone=eu"]),
    // two sides
    (r#"m{zone="eu"} / o{x="1"}"#, &["job=api x=1 zone=eu"]),
    (r#"m == bool o{x="1"}"#, &["job=api x=1 zone=eu"]),
    (r#"m{zone="eu"} / on (job) n{x="1"}"#, &["job=api"]),
    (r#"m{zone="eu"} == on (job) n{y="9"}"#, &["job=api"]),
    (r#"m{zone="eu"} == on (x) n"#, &["x=1"]),
    ("o / on () bare", &[""]),
    (r#"o / ignoring (zone, y) n{y="9"}"#, &["job=api x=1"]),
    (r#"o == ignoring (zone, y) n{y="9"}"#, &["job=api x=1"]),
    ("m * on (job) group_left (team) owner", &["job=api team=db x=1 zone=eu", "job=api team=db x=2 zone=us"]),
    (r#"o * on (job) group_left () owner{team="db"}"#, &["job=api x=1 zone=eu"]),
    (r#"o{x="1"} * on (job) group_left (x) owner"#, &["job=api x=7 zone=eu"]),
    (r#"o{x="1"} * on (job) group_left (x) sum by (job) (owner)"#, &["job=api zone=eu"]),
    (r#"owner{x="7"} == on (job) group_right (team) m{zone="eu"}"#, &["job=api team=db x=1 zone=eu"]),
    (r#"owner{x="7"} * on (job) group_right (x) m{zone="eu"}"#, &["job=api x=7 zone=eu"]),
    ("sum by (job, x) (o) / ignoring (x) group_left () sum by (job) (owner)", &["job=api x=1"]),
    (r#"sum by (job) (o) / sum by (job) (n{job="api"})"#, &["job=api"]),
    ("o + 1 > time() - time()", &["job=api x=1 zone=eu"]),
    // sets
    (r#"m and o{zone="eu"}"#, &["job=api x=1 zone=eu"]),
    (r#"m and on (x) n{y="9", x="1"}"#, &["job=api x=1 zone=eu"]),
    (r#"o and ignoring (y, zone) n{y="9", job="api"}"#, &["job=api x=1 zone=eu"]),
    (r#"o{x="1"} and on () bare"#, &["job=api x=1 zone=eu"]),
    (r#"m unless o{x="1"}"#, &["job=api x=2 zone=us"]),
    (r#"sum by (x) (o{x="1"}) or sum by (y) (n{y="9"})"#, &["x=1", "y=9"]),
    (r#"o{job="api", x="1"} or n{job="api", y="9"}"#, &["job=api x=1 y=9", "job=api x=1 zone=eu"]),
    (r#"sum(gone{x="1"}) or vector(0)"#, &[""]),
    ("o or on () vector(0)", &["job=api x=1 zone=eu"]),
];

fn labels(text: &str) -> BTreeMap<&str, &str> {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect()
}

/// A rule for each case, and a test that says what comes of it.
fn files() -> (String, String) {
    let mut rules = "groups:\n- name: g\n  rules:\n".to_owned();
    let mut tests =
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n".to_owned();
    for series in SERIES {
        let _ = writeln!(tests, "  - {{series: '{series}', values: 1x30}}");
    }
    tests.push_str("  alert_rule_test:\n");
    for (at, (expression, results)) in CASES.iter().enumerate() {
        let _ = writeln!(rules, "  - alert: Case{at}\n    expr: {expression}");
        let _ = writeln!(tests, "  - eval_time: 20m\n    alertname: Case{at}\n    exp_alerts:");
        for result in *results {
            let labels: Vec<_> = labels(result).into_iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
            let _ = writeln!(tests, "    - exp_labels: {{{}}}", labels.join(", "));
        }
    }
    (rules, tests)
}

fn check(alert: &AlertingRule, expression: &str, result: &str) {
    let (actual, claim) = (labels(result), &alert.result);
    for (name, value) in claim.fixed() {
        assert_eq!(
            actual.get(name),
            Some(&value),
            "{expression}: {name} is said to be fixed, and {result:?} comes out"
        );
    }
    for name in actual.keys() {
        assert!(claim.may_have(name), "{expression}: {name} is said to be impossible, and {result:?} comes out");
    }
}

#[tokio::test]
async fn nothing_is_claimed_that_prometheus_does_not_do() {
    let (rules, tests) = files();
    let folder = Folder::new();
    std::fs::write(folder.0.join("rules.yaml"), rules).unwrap();
    std::fs::write(folder.0.join("tests.yaml"), tests).unwrap();
    let mut promtool = debian("promtool", "prometheus");
    promtool.current_dir(&folder.0).args(["test", "rules", "tests.yaml"]);
    let said = run(promtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);

    let rules = rules::load(std::slice::from_ref(&folder.0)).unwrap();
    assert_eq!((rules.alerts().len(), rules.warnings().len()), (CASES.len(), 0));
    for (at, (expression, results)) in CASES.iter().enumerate() {
        let alert = rules.named(&format!("Case{at}")).next().unwrap();
        results.iter().for_each(|result| check(alert, expression, result));
    }
}
