//! What every rule has, so that whoever is paged can act, and Prometheus 2.42 can load it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use alertrouter::rules::{self, Possible};
use promql_parser::parser::Expr;
use promql_parser::util::parse_duration;
use serde_json::Value;

use super::metrics::Declared;
use super::{Packs, Rule, children, folder, selectors};

/// Where runbooks are until a team puts its own address there (rules/README.md).
const RUNBOOKS: &str = "https://alertrouter.example/rules/README.md#";

/// Two samples at a scrape a minute, and one scrape may be missed.
const SHORTEST_RANGE: Duration = Duration::from_secs(180);

fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

#[test]
fn no_alert_series_or_group_is_there_twice() {
    let packs = Packs::read();
    assert_eq!(twice(packs.rules.iter().map(|rule| &*rule.name)), Vec::<&str>::new());
    let groups = packs.rule_files.iter().flat_map(|file| file.content["groups"].as_array().unwrap());
    assert_eq!(twice(groups.map(|group| group["name"].as_str().unwrap())), Vec::<&str>::new());
}

#[test]
fn every_alert_says_how_bad_it_is_what_it_is_and_what_to_do() {
    for alert in Packs::read().alerts() {
        let name = &alert.name;
        let severity = &alert.map("labels")["severity"];
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: severity {severity}");
        let annotations = alert.map("annotations");
        let names: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(names, ["description", "runbook_url", "summary"], "{name}");
        let summary = &annotations["summary"];
        assert!(!summary.contains("{{") && summary.ends_with('.'), "{name}: {summary}");
        let description = &annotations["description"];
        assert!(description.ends_with('.'), "{name}: {description}");
        assert!(description.contains("{{") || alert.always_fires(), "{name}: {description}");
        assert_eq!(annotations["runbook_url"], format!("{RUNBOOKS}{}", name.to_lowercase()), "{name}");
    }
}

/// The lines of a rule from its name on, as far as the next rule.
fn lines<'a>(packs: &'a Packs, rule: &Rule) -> Vec<&'a str> {
    let file = packs.rule_files.iter().find(|file| file.name == rule.file).unwrap();
    let first = format!("- alert: {}", rule.name);
    let begins =
        |line: &str| ["- alert:", "- record:", "- name:"].iter().any(|word| line.trim_start().starts_with(word));
    let mut lines = file.text.lines().skip_while(|line| line.trim() != first);
    let name = lines.next().unwrap_or_else(|| panic!("{}: {first} is written in another way", rule.file));
    [name].into_iter().chain(lines.take_while(|line| !begins(line))).collect()
}

#[test]
fn every_alert_explains_its_thresholds_where_they_stand() {
    let packs = Packs::read();
    for alert in packs.alerts() {
        let explained = lines(&packs, alert)
            .into_iter()
            .take_while(|line| !line.trim_start().starts_with("labels:"))
            .any(|line| line.trim_start().starts_with("# "));
        assert!(explained, "{}: {} has no comment", alert.file, alert.name);
    }
}

#[test]
fn every_alert_has_a_section_in_the_readme() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let mut sections = BTreeMap::<&str, String>::new();
    let mut heading = "";
    for line in readme.lines() {
        if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            assert!(!sections.contains_key(text), "rules/README.md has {text:?} twice");
            heading = text;
            sections.insert(heading, String::new());
        } else if let Some(section) = sections.get_mut(heading) {
            section.push_str(line);
            section.push('\n');
        }
    }
    for alert in Packs::read().alerts() {
        let section = sections.get(&*alert.name).unwrap_or_else(|| panic!("rules/README.md has no {}", alert.name));
        for part in ["**What it means.**", "**Look first**", "**Do.**"] {
            assert!(section.contains(part), "rules/README.md: {} does not say {part}", alert.name);
        }
        let link = format!("(#{})", alert.name.to_lowercase());
        assert!(readme.contains(&link), "rules/README.md: no table links to {}", alert.name);
    }
}

#[test]
fn prometheus_2_42_knows_every_key() {
    let keys = |value: &Value, known: &[&str], what: &str| {
        for key in value.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{what}: {key} is not in Prometheus 2.42, or of no use here");
        }
    };
    let packs = Packs::read();
    for file in &packs.rule_files {
        keys(&file.content, &["groups"], &file.name);
        for group in file.content["groups"].as_array().unwrap() {
            keys(group, &["name", "interval", "rules"], &file.name);
        }
    }
    for rule in &packs.rules {
        let known = ["alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"];
        keys(&rule.source, &known, &rule.name);
    }
    for file in &packs.test_files {
        keys(&file.content, &["rule_files", "evaluation_interval", "group_eval_order", "tests"], &file.name);
        for test in file.tests() {
            keys(test, &["name", "interval", "input_series", "alert_rule_test", "promql_expr_test"], &file.name);
        }
    }
}

#[test]
fn templates_use_only_labels_that_the_expression_has() {
    let packs = Packs::read();
    let loaded = rules::load(&packs.rule_files.iter().map(|file| folder().join(&file.name)).collect::<Vec<PathBuf>>());
    let loaded = loaded.unwrap();
    let used = regex::Regex::new(r"\$labels\.(\w+)|\.Labels\.(\w+)").unwrap();
    let mut labels = 0;
    for alert in packs.alerts() {
        let result = &loaded.named(&alert.name).next().unwrap().result;
        let declared = Declared::of(&packs, alert);
        for text in alert.map("annotations").values().chain(alert.map("labels").values()) {
            for found in used.captures_iter(text) {
                let label = found.get(1).or_else(|| found.get(2)).unwrap().as_str();
                // Of an open set nothing is known but what the metrics say that they have.
                let there = match result.possible() {
                    Possible::Closed(_) => result.may_have(label),
                    Possible::Open => declared.has(label),
                };
                assert!(there, "{}: the expression has no label {label}: {text}", alert.name);
                labels += 1;
            }
        }
    }
    assert!(labels > packs.alerts().count(), "templates are written in another way: {labels} labels found");
}

#[test]
fn ranges_bear_a_missed_scrape() {
    fn check(rule: &Rule, recorded: &dyn Fn(&str) -> bool, expression: &Expr) {
        if let Expr::MatrixSelector(range) = expression {
            let raw = range.vs.name.as_deref().is_some_and(|name| !recorded(name));
            assert!(!raw || range.range >= SHORTEST_RANGE, "{}: {expression} is too short", rule.name);
        }
        for child in children(expression) {
            check(rule, recorded, child);
        }
    }
    let packs = Packs::read();
    let recorded = |name: &str| packs.rules.iter().any(|rule| rule.name == name);
    packs.rules.iter().for_each(|rule| check(rule, &recorded, &rule.expression));
}

/// Groups are evaluated side by side: what an alert reads has to be recorded before it, in its own group, or it is as
/// old as chance will have it. What it was a week ago is old enough.
#[test]
fn alerts_read_what_their_own_group_has_recorded_before() {
    fn check(packs: &Packs, alert: &Rule, at: usize) {
        for selector in selectors(&packs.rules[at].expression).into_iter().filter(|it| it.offset.is_none()) {
            let makes = |other: &usize| !packs.rules[*other].alerts && packs.rules[*other].makes(selector);
            let Some(made) = (0..packs.rules.len()).find(makes) else { continue };
            let rule = &packs.rules[made];
            // What a rule says of its own past is older by an evaluation wherever it stands.
            assert!(
                rule.group == alert.group && made <= at,
                "{} of group {} reads {}, which group {} records, or records later",
                alert.name,
                alert.group,
                rule.name,
                rule.group
            );
            if made != at {
                check(packs, alert, made);
            }
        }
    }
    let packs = Packs::read();
    for (at, rule) in packs.rules.iter().enumerate().filter(|(_, rule)| rule.alerts) {
        check(&packs, rule, at);
    }
}

#[test]
fn waits_are_durations() {
    for rule in &Packs::read().rules {
        for key in ["for", "keep_firing_for"] {
            assert!(rule.source[key].is_null() || parse_duration(rule.text(key)).is_ok(), "{}: {key}", rule.name);
        }
    }
}
