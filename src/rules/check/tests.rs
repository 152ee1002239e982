use std::fmt::Write as _;

use super::*;
use crate::config::tests::folder;
use crate::rules::load;
use crate::rules::tests::config;
use crate::yaml::problem::Problem;

/// What `rules` (name, expression, labels) say to `routes`; problems in the rules have the name of the alert in front.
fn verdict(routes: &str, rules: &[(&str, &str, &str)]) -> (Verdict, Vec<String>) {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for (name, expression, labels) in rules {
        let _ = writeln!(text, "  - {{alert: {name}, expr: '{expression}', labels: {{{labels}}}}}");
    }
    let folder = folder(&[("f.yaml", &text)]);
    let rules = load(&[folder.path().to_owned()]).unwrap();
    let verdict = check(&rules, &config(routes), "routes.yaml");
    let alert = |problem: &Problem| {
        let line = problem.place.as_ref().unwrap().line;
        rules.alerts().iter().find(|alert| alert.place.line == line).unwrap().name.clone()
    };
    let said = |name: String, problem: &Problem| {
        let (severity, message) = (problem.severity.as_str(), &problem.message);
        format!("{name}: {severity}: {message}; {}", problem.hint.as_deref().unwrap_or("-"))
    };
    let in_rules = verdict.rules.iter().flat_map(|file| &file.problems).map(|problem| said(alert(problem), problem));
    let in_routes = verdict.routes.iter().map(|problem| {
        let place = problem.place.as_ref().unwrap();
        said(format!("{}:{}", place.line, place.column), problem)
    });
    let all = in_rules.chain(in_routes).collect();
    (verdict, all)
}

#[track_caller]
fn check_that(routes: &str, rules: &[(&str, &str, &str)], expected: &[&str]) {
    assert_eq!(verdict(routes, rules).1, expected, "{routes}");
}

const SHIPPED: &str = "
  - matchers: [severity=\"critical\"]
  - matchers: [severity=\"warning\"]
  - matchers: [severity=\"info\"]
";

#[test]
fn counts_where_alerts_land() {
    let rules = [
        ("A", "up", "severity: critical"),
        ("B", "up", "severity: info"),
        ("C", "up", "severity: \"{{ x }}\""),
        ("D", "sum by (severity) (up)", ""),
        ("E", "up{severity=\"warning\"}", ""),
        ("F", "up{severity=\"page\"}", ""),
    ];
    let (verdict, said) = verdict(SHIPPED, &rules);
    assert_eq!((verdict.own_route, verdict.default_route, verdict.depends), (3, 1, 2));
    assert_eq!(
        said,
        [
            r#"F: error: alert `F` reaches only the default route; add a route whose matchers fit {alertname="F", severity="page"}"#
        ]
    );
}

#[test]
fn an_alert_that_only_the_root_takes() {
    let routes = "
  - matchers: [team=db, severity=critical]
    routes: [{matchers: [zone=eu]}]
  - matchers: [team=web]
";
    check_that(
        routes,
        &[
            ("Fits", "up", "team: db, severity: critical"),
            ("Slip", "up", "team: wbe, severity: critical"),
            ("OneOff", "up", "team: ops, severity: critical"),
            ("Lower", "sum(up)", "team: db, severity: critical, zone: us"),
            ("Unknown", "up", "severity: critical"),
        ],
        &[
            r#"Slip: error: alert `Slip` reaches only the default route; nearest is routes.yaml:8, which asks for team="web"; here it is team="wbe""#,
            r#"OneOff: error: alert `OneOff` reaches only the default route; nearest is routes.yaml:6, which asks for team="db"; here it is team="ops""#,
        ],
    );
    // Where there is only the default route, that is where they all belong.
    let (all, said) = verdict("", &[("A", "up", "")]);
    assert_eq!((all.default_route, said), (1, vec![]));
}

#[test]
fn a_severity_that_no_route_knows() {
    check_that(
        SHIPPED,
        &[
            ("A", "up", "severity: crtical"),
            ("B", "up", "severity: page"),
            ("C", "up", "severity: critical"),
            ("D", "up", "severity: \"{{ $labels.severity }}\""),
        ],
        &[
            "A: error: severity `crtical` is known to no route; did you mean `critical`?",
            "B: error: severity `page` is known to no route; the routes know `critical`, `warning`, `info`",
        ],
    );
    // Known anywhere in the tree, also by a list of words; a pattern names no values.
    let tree = "
  - matchers: [team=db]
    routes: [{matchers: ['severity=~\"critical|warning\"']}]
";
    let alerts = [("A", "up", "team: db, severity: warning"), ("B", "up", "team: db, severity: warn")];
    check_that(
        tree,
        &alerts,
        &["B: error: severity `warn` is known to no route; the routes know `critical`, `warning`"],
    );
    check_that(
        "\n  - matchers: ['severity=~\"crit.*\"', a=b]",
        &[("A", "up", "severity: info, a: b")],
        &["A: error: severity `info` is known to no route; the routes know severity=~\"crit.*\""],
    );
    // Nobody asks for one, or only for what it is not.
    check_that("\n  - matchers: [team=db]", &[("A", "up", "team: db, severity: x")], &[]);
    check_that("\n  - matchers: [severity!=info]", &[("A", "up", "severity: x")], &[]);
    // Everything is welcome.
    check_that("\n  - matchers: ['severity=~\".+\"']", &[("A", "up", "severity: x")], &[]);
}

#[test]
fn an_alert_without_severity() {
    let said = "A: warning: alert `A` has no severity; the routes choose by it: `critical`, `warning`, `info`";
    check_that(SHIPPED, &[("A", "up", "")], &[said]);
    check_that(SHIPPED, &[("A", "sum by (job) (up)", "severity: ''")], &[said]);
    check_that(SHIPPED, &[("A", "sum by (severity) (up)", "")], &[]);
    check_that(SHIPPED, &[("A", "up{severity=\"info\"}", "")], &[]);
    // A route for those that have none.
    check_that("\n  - matchers: [severity=x]\n  - matchers: ['severity=\"\"']", &[("A", "up", "")], &[]);
}

#[test]
fn what_a_route_takes_by_name_needs_no_severity() {
    let routes = SHIPPED.to_owned() + "  - matchers: [alertname=~\"Watchdog|Info.*\", team!=db]\n    receivers: []\n";
    check_that(
        &routes,
        &[
            ("Watchdog", "vector(1)", "severity: none, team: x"),
            ("InfoInhibitor", "up", "team: x"),
            ("InfoDatabase", "up", "team: db, severity: none"),
        ],
        &["InfoDatabase: error: severity `none` is known to no route; the routes know `critical`, `warning`, `info`"],
    );
}

#[test]
fn the_label_of_a_group_is_said_once() {
    let file = "groups:\n- name: g\n  labels: {severity: high}\n  rules:\n  - {alert: A, expr: up}\n  - {alert: B, expr: up}\n";
    let folder = folder(&[("f.yaml", file)]);
    let rules = load(&[folder.path().to_owned()]).unwrap();
    let verdict = check(&rules, &config(SHIPPED), "routes.yaml");
    let places: Vec<_> = verdict.rules[0].problems.iter().map(|problem| problem.place.as_ref().unwrap().line).collect();
    assert_eq!(places, [3]);
}

#[test]
fn matchers_that_ask_for_alerts_that_are_none() {
    let routes = "
  - matchers: [alertname=HostDwn]
  - matchers: [alertname=~\"Disk.*\"]
  - matchers: [alertname=Nothing]
    routes:
    - matchers: ['alertname=~\"Host.*\", alertname!=Gone', alertname=HostDown]
  - matchers: [alertname!~\"Gone.*\"]
";
    check_that(
        routes,
        &[("HostDown", "up", ""), ("HostSlow", "up", "")],
        &[
            "6:16: warning: no alert of the rules fits alertname=\"HostDwn\"; did you mean `HostDown`?",
            "7:16: warning: no alert of the rules fits alertname=~\"Disk.*\"; is there a rule file that --rules does not name?",
            "8:16: warning: no alert of the rules fits alertname=\"Nothing\"; is there a rule file that --rules does not name?",
        ],
    );
}

#[test]
fn matchers_that_ask_for_labels_that_are_none() {
    let routes = "
  - matchers: [sevrity=critical]
  - matchers: [tema!=db]
  - matchers: [squad=db]
  - matchers: [squad!=db]
  - matchers: [cluster=eu, job=x]
  - matchers: [mdoel=x]
  - matchers: [model=x]
";
    let near = [
        "6:16: warning: no rule sets a label `sevrity`; did you mean `severity`?",
        "7:16: warning: no rule sets a label `tema`; did you mean `team`?",
    ];
    // Where series may bring any label, only what looks like a slip of one that rules set is reported.
    check_that(routes, &[("A", "up", "severity: x, team: y")], &near);
    // Where all labels are known, so are the missing ones.
    check_that(
        routes,
        &[("A", "sum by (model) (up)", "severity: x, team: y")],
        &[
            near[0],
            near[1],
            "8:16: warning: no alert of the rules has a label `squad`; if Prometheus adds it (`external_labels`, relabelling), this is fine",
            "11:16: warning: no alert of the rules has a label `mdoel`; if Prometheus adds it (`external_labels`, relabelling), this is fine",
        ],
    );
    // Nothing is known without alerts.
    assert_eq!(verdict(routes, &[]).1, [""; 0]);
}
