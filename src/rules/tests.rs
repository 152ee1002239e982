use std::os::unix::fs::symlink;

use super::*;
use crate::config::tests::{Folder, folder};
use crate::config::{self, Config, Options, secret};

/// A configuration with these routes below its root, written as the list that follows `routes:`.
pub(super) fn config(routes: &str) -> Config {
    let routes = if routes.trim().is_empty() { String::new() } else { format!("  routes:{routes}") };
    let text =
        format!("receivers:\n- {{name: a, webhook: {{url: 'http://x/'}}}}\nroute:\n  receivers: [a]\n{routes}\n");
    let (config, problems) = config::parse(text.as_bytes(), &Options::without_secrets(), &secret::System);
    config.unwrap_or_else(|| panic!("{problems:?}\n{text}"))
}

fn text(text: &str) -> read::Read {
    read::text(text.as_bytes(), &"f".into(), true)
}

/// What is wrong with a file, one line each.
fn problems(source: &str) -> Vec<String> {
    text(source).problems.iter().map(|problem| problem.one_line("f")).collect()
}

/// The alerts of a file: name, place, labels.
fn alerts(source: &str) -> Vec<String> {
    let read = text(source);
    assert_eq!(read.problems, [], "{source}");
    let show = |alert: &AlertingRule| {
        let labels = alert.labels.iter().map(|label| match &label.value {
            LabelValue::Static(value) => format!(" {}={value}:{}", label.name, label.place.line),
            LabelValue::Templated => format!(" {}=…:{}", label.name, label.place.line),
        });
        format!("{} {}:{}{}", alert.name, alert.place.line, alert.place.column, labels.collect::<String>())
    };
    read.alerts.iter().map(show).collect()
}

#[test]
fn reads_what_prometheus_reads() {
    let file = "groups:
- name: one
  interval: 30s
  query_offset: 1m
  labels: {team: db, severity: info}
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
    labels: {level: job}
  - alert: Down
    expr: up == 0
    for: 5m
    keep_firing_for: 1m
    labels:
      severity: critical
      tier: 1
      gone:
      alertname: Other
      zone: \"{{ $labels.zone }}\"
    annotations: {summary: It is down.}
- name: two
  rules:
  - {alert: 'Up', expr: 1}
- name: three
  rules:
- name: four
";
    let down = "Down 10:12 gone=:17 severity=critical:15 team=db:5 tier=1:16 zone=…:19";
    assert_eq!(alerts(file), [down, "Up 23:13"]);
    assert_eq!(alerts("groups:\n"), [""; 0]);
    assert!(text("groups:\n").is_rule_file && text("groups: []").is_rule_file);
}

#[test]
fn reads_what_the_operator_reads() {
    let object = |kind: &str| {
        format!(
            "apiVersion: x/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  groups: [{{name: g, rules: [{{alert: A, expr: up}}]}}]\n"
        )
    };
    assert_eq!(alerts(&object("PrometheusRule")), ["A 5:38"]);
    assert_eq!(alerts(&object("VMRule")), ["A 5:38"]);
    let two = object("Deployment") + "---\n" + &object("PrometheusRule") + "---\n# nothing\n---\n" + &object("VMRule");
    assert_eq!(alerts(&two), ["A 11:38", "A 19:38"]);
    let list = "kind: List\nitems:\n- kind: Service\n- kind: PrometheusRule\n  spec: {groups: [{name: g, rules: [{alert: B, expr: up}]}]}\n";
    assert_eq!(alerts(list), ["B 5:45"]);
    assert!(text("kind: PrometheusRule\n").is_rule_file);
}

#[test]
fn passes_over_what_is_no_rule_file() {
    let other = [
        "",
        "# nothing\n",
        "just a text",
        "[1, 2]",
        "rule_files: [a.yaml]\ntests: []\n",
        "apiVersion: v1\nkind: ConfigMap\ndata: {groups: x}\n",
        // Grafana's own alerts.
        "apiVersion: 1\ngroups: [{orgId: 1, name: g, rules: [{uid: a, title: b}]}]\n",
    ];
    for source in other {
        let read = text(source);
        assert!(!read.is_rule_file && read.problems.is_empty() && read.alerts.is_empty(), "{source}");
    }
    // A template is no YAML. Named, or with `groups` in it, it had better be.
    let template = "{{- if .Values.x }}\nkind: Service\n{{- end }}\n";
    let read = |source: &str, named| read::text(source.as_bytes(), &"f".into(), named).problems.len();
    assert_eq!((read(template, false), read(template, true)), (0, 1));
    assert_eq!(read(&template.replace("Service", "groups"), false), 1);
}

#[test]
fn says_everything_that_is_wrong() {
    let file = "groups:
- nmae: a
  rules:
  - alert: A
    exp: up
  - expr: up
  - alert: A
    record: b
    expr: up
  - alert:
    expr: up
  - alert: [x]
    expr: {}
    labels: [severity]
  - alert: A
    lables: {a: b}
    expr: up
    labels: {a: [b], c: d, c: e}
  - nothing
- name: b
  rules: {alert: A}
  source_tenants: [passed over]
";
    assert_eq!(
        problems(file),
        [
            "f:2:3: error: a group needs `name`; add `name: …`",
            "f:2:3: error: unknown key `nmae`; did you mean `name`?",
            "f:4:5: error: a rule needs `expr`; add `expr: …`",
            "f:5:5: error: unknown key `exp`; did you mean `expr`?",
            "f:6:5: error: a rule needs `alert` or `record`; add `alert: NAME`",
            "f:8:5: error: a rule has either `alert` or `record`; make two rules of it",
            "f:10:5: error: `alert` has no value; give it one, or remove the key",
            "f:12:12: error: `alert` must be a single value, and this is a list",
            "f:13:11: error: `expr` must be a single value, and this is a map",
            "f:14:13: error: `labels` must be a map, and this is a list; write `severity: warning`",
            "f:16:5: error: unknown key `lables`; did you mean `labels`?",
            "f:18:17: error: the label `a` must be a single value, and this is a list",
            "f:18:28: error: duplicate label `c`; remove one of them",
            "f:19:5: error: a rule must be a map, and this is a single value",
            "f:21:10: error: `rules` must be a list, and this is a map; write `- alert: NAME`",
        ]
    );
    assert_eq!(
        problems("groups: 5"),
        ["f:1:9: error: `groups` must be a list, and this is a single value; write `groups: [{name: …, rules: […]}]`"]
    );
    let broken = problems("groups:\n- name: [\n");
    assert_eq!(broken.len(), 1);
    assert!(broken[0].starts_with("f:2:") && broken[0].contains("cannot be read as YAML"), "{broken:?}");
}

#[test]
fn warns_of_what_it_cannot_read_and_of_what_prometheus_does_not() {
    let file = "groups: []\n---\ngroups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      nope(up)\n";
    let read = text(file);
    let lines: Vec<_> = read.problems.iter().map(|problem| problem.one_line("f")).collect();
    assert_eq!(
        lines,
        [
            "f:3:1: warning: Prometheus reads only the first document of a file; put these groups into a file of their own",
            "f:8:7: warning: this expression cannot be read here: unknown function with name 'nope'; its labels count as unknown; ask `promtool check rules` whether it is right",
        ]
    );
    assert_eq!(read.alerts[0].result, Known::open());
}

#[test]
fn the_labels_of_a_rule_go_over_those_of_its_expression() {
    let rule = "groups: [{name: g, labels: {a: group, g: '1'}, rules: [{alert: X, \
        expr: 'sum by (a, b, c, d, alertname) (up{b=\"2\", c=\"3\", d=\"4\"})', labels: {a: own, c: '', d: '{{ x }}'}}]}]";
    let read = text(rule);
    let known = read.alerts[0].known();
    assert_eq!(known.fixed().collect::<Vec<_>>(), [("a", "own"), ("alertname", "X"), ("b", "2"), ("g", "1")]);
    assert!(known.may_have("d") && !known.may_have("c") && !known.may_have("e"));
    assert_eq!(read.alerts[0].static_labels().to_string(), r#"{a="own", alertname="X", g="1"}"#);
    assert_eq!(read.alerts[0].label("d").map(|label| &label.value), Some(&LabelValue::Templated));
}

const ONE: &str = "groups: [{name: g, rules: [{alert: One, expr: up}]}]";
const TWO: &str = "groups: [{name: g, rules: [{alert: Two, expr: up, labels: {a: b}}, {alert: One, expr: up}]}]";

fn found(folder: &Folder, paths: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| folder.path().join(path)).collect();
    let prefix = format!("{}/", folder.path().display());
    match load(&paths) {
        Ok(rules) => {
            let show = |alert: &AlertingRule| format!("{} {}", alert.file.replace(&prefix, ""), alert.name);
            Ok(rules.alerts().iter().map(show).collect())
        }
        Err(RulesError { problems }) => {
            let lines =
                problems.iter().flat_map(|file| file.problems.iter().map(|problem| problem.one_line(&file.file)));
            Err(lines.map(|line| line.replace(&prefix, "")).collect())
        }
    }
}

#[test]
fn finds_files_at_any_depth_and_each_once() {
    let folder =
        folder(&[("b.yaml", TWO), ("a.rules", ONE), ("c.txt", "{"), ("test.yml", "tests: []"), ("helm.yaml", "{{")]);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("sub/.git")).unwrap();
    std::fs::write(path("sub/z.yml"), ONE).unwrap();
    std::fs::write(path("sub/.git/hidden.yaml"), ONE).unwrap();
    symlink(path("sub"), path("sub/again")).unwrap();
    symlink(folder.path(), path("sub/circle")).unwrap();
    symlink(path("b.yaml"), path("sub/b-again.yaml")).unwrap();
    symlink("nowhere", path("sub/leads-nowhere")).unwrap();
    let all = ["a.rules One", "b.yaml Two", "b.yaml One", "sub/z.yml One"].map(str::to_owned).to_vec();
    assert_eq!(found(&folder, &[""]), Ok(all.clone()));
    assert_eq!(found(&folder, &["", "b.yaml", "sub"]), Ok(all));
    // What is named is not hidden.
    assert_eq!(found(&folder, &["sub/.git"]), Ok(vec!["sub/.git/hidden.yaml One".to_owned()]));

    let rules = load(&[folder.path().to_owned()]).unwrap();
    assert_eq!((rules.files(), describe(&rules).as_str()), (3, "4 alerts in 3 files"));
    assert_eq!(rules.named("One").count(), 3);
    assert_eq!(rules.named("Two").map(|alert| alert.labels.len()).collect::<Vec<_>>(), [1]);
    assert_eq!(rules.named("Three").count(), 0);
    let names: std::collections::BTreeSet<_> = rules.names().collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["One", "Two"]);
}

#[test]
fn a_path_without_rules_is_a_mistake() {
    let folder = folder(&[("test.yaml", "tests: []"), ("one.yaml", ONE)]);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::create_dir(path("dangling")).unwrap();
    symlink("nowhere", path("dangling/x.yaml")).unwrap();
    let hint = "rule files are *.yaml, *.yml or *.rules and have `groups`, or are PrometheusRule objects";
    assert_eq!(
        found(&folder, &["empty", "test.yaml", "one.yaml", "none", "dangling"]),
        Err(vec![
            format!("empty: error: no rule file in empty; {hint}"),
            format!("test.yaml: error: no rule file in test.yaml; {hint}"),
            "none: error: cannot be read: No such file or directory (os error 2)".to_owned(),
            "dangling/x.yaml: error: cannot be read: No such file or directory (os error 2)".to_owned(),
        ])
    );
}
