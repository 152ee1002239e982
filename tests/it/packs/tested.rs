//! Every rule has tests that mean something.

use std::collections::BTreeSet;

use promql_parser::parser;
use serde_json::Value;

use super::{Packs, Rule, TestFile, selectors, strings};
use crate::harness::process::{debian, run};

fn checks<'a>(file: &'a TestFile, key: &'a str) -> impl Iterator<Item = &'a Value> {
    file.tests().iter().flat_map(move |test| test[key].as_array().into_iter().flatten())
}

fn expects_alerts(check: &Value) -> bool {
    check["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
}

#[test]
fn every_alert_fires_in_one_test_and_is_silent_in_another() {
    let packs = Packs::read();
    for alert in packs.alerts() {
        let loads_it = |file: &&TestFile| file.rule_files.contains(&alert.file);
        let about = packs.test_files.iter().filter(loads_it).flat_map(|file| checks(file, "alert_rule_test"));
        let about: Vec<_> = about.filter(|check| check["alertname"] == *alert.name).collect();
        let (fires, silent): (Vec<&Value>, Vec<&Value>) = about.into_iter().partition(|check| expects_alerts(check));
        assert!(!fires.is_empty(), "no test makes {} fire", alert.name);
        assert!(!silent.is_empty() || alert.always_fires(), "{} is silent in no test", alert.name);
    }
}

#[test]
fn every_recorded_series_is_asked_for_by_a_test_or_an_alert() {
    let packs = Packs::read();
    let asked: BTreeSet<String> = packs
        .test_files
        .iter()
        .flat_map(|file| checks(file, "promql_expr_test"))
        .map(|check| parser::parse(check["expr"].as_str().unwrap()).unwrap())
        .chain(packs.rules.iter().map(|rule| rule.expression.clone()))
        .flat_map(|expression| selectors(&expression).into_iter().filter_map(|it| it.name.clone()).collect::<Vec<_>>())
        .collect();
    for rule in packs.rules.iter().filter(|rule| !rule.alerts) {
        assert!(asked.contains(&rule.name), "{} is recorded for nobody", rule.name);
    }
}

/// promtool takes an alert that does not exist for one that does not fire, and a file that does not exist for none.
#[test]
fn tests_are_about_what_exists() {
    let packs = Packs::read();
    let mut loaded = BTreeSet::new();
    for file in &packs.test_files {
        assert!(!file.rule_files.is_empty(), "{} loads no rules", file.name);
        loaded.extend(&file.rule_files);
        let rules: Vec<&Rule> = packs.rules.iter().filter(|rule| file.rule_files.contains(&rule.file)).collect();
        for check in checks(file, "alert_rule_test") {
            let there = rules.iter().any(|rule| rule.alerts && check["alertname"] == *rule.name);
            assert!(there, "{}: there is no alert {}", file.name, check["alertname"]);
        }
        for check in checks(file, "promql_expr_test") {
            let expression = parser::parse(check["expr"].as_str().unwrap()).unwrap();
            for selector in selectors(&expression) {
                let there = rules.iter().any(|rule| rule.makes(selector));
                assert!(there, "{}: no rule makes {selector}", file.name);
            }
        }
        for test in file.tests() {
            let both = ["alert_rule_test", "promql_expr_test"];
            let any = both.iter().any(|key| test[*key].as_array().is_some_and(|checks| !checks.is_empty()));
            assert!(any, "{}: {} asks for nothing", file.name, test["name"]);
            assert!(test["name"].is_string(), "{}: a test has no name", file.name);
        }
    }
    for file in &packs.rule_files {
        assert!(loaded.contains(&file.name), "no test loads {}", file.name);
    }
}

/// promtool takes the groups in an order of its own.
#[test]
fn groups_that_read_each_other_are_ordered() {
    let packs = Packs::read();
    for file in &packs.test_files {
        let rules: Vec<&Rule> = packs.rules.iter().filter(|rule| file.rule_files.contains(&rule.file)).collect();
        let order: Vec<&str> = strings(&file.content["group_eval_order"]).collect();
        let place = |rule: &Rule| order.iter().position(|group| *group == rule.group);
        for rule in &rules {
            for other in rules.iter().filter(|other| other.group != rule.group) {
                let reads = selectors(&rule.expression).into_iter().any(|selector| other.makes(selector));
                let ordered = place(other).zip(place(rule)).is_some_and(|(first, second)| first < second);
                assert!(
                    !reads || ordered,
                    "{}: {} reads {}, so say group_eval_order",
                    file.name,
                    rule.group,
                    other.group
                );
            }
        }
        for group in order {
            assert!(rules.iter().any(|rule| rule.group == group), "{}: there is no group {group}", file.name);
        }
    }
}

/// A sum of 0.1 and 0.2 looks like a counter that was reset; 0.5 and 0.25 can be summed for ever. Gauges are not summed.
#[test]
fn counters_are_made_of_binary_fractions() {
    let numbers = regex::Regex::new(r"[0-9]+\.[0-9]+").unwrap();
    for file in &Packs::read().test_files {
        let is_counter = |series: &&Value| {
            let name = series["series"].as_str().unwrap().split('{').next().unwrap();
            ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end))
        };
        for series in checks(file, "input_series").filter(is_counter) {
            for number in numbers.find_iter(series["values"].as_str().unwrap()) {
                let value: f64 = number.as_str().parse().unwrap();
                assert!((value * 4096.0).fract() == 0.0, "{}: {value} in {}", file.name, series["series"]);
            }
        }
    }
}

#[tokio::test]
async fn promtool_has_nothing_to_say_about_the_rules() {
    let packs = Packs::read();
    let mut promtool = debian("promtool", "prometheus");
    promtool.current_dir(super::folder()).args(["check", "rules", "--lint=all", "--lint-fatal"]);
    promtool.args(packs.rule_files.iter().map(|file| &file.name));
    let said = run(promtool).await;
    let all = said.out + &said.err;
    assert_eq!(said.code, Some(0), "{all}");
    let line = |line: &str| line.is_empty() || line.starts_with("Checking ") || line.contains("SUCCESS: ");
    let odd: Vec<_> = all.lines().filter(|it| !line(it)).collect();
    assert_eq!(odd, Vec::<&str>::new());
}
