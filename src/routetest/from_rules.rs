//! The labels of an alert that a rule file defines.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::Labels;
use crate::rules::{AlertingRule, LabelValue, RuleSet};
use crate::yaml::{Context, Span, closest, quote};

/// How many values of a label a hint names.
const VALUES_SHOWN: usize = 5;

/// The labels that the alert `name` has for certain, with those that the test gives over them. Of several rules with this
/// name the given labels pick those that can have them; the rest must agree.
pub(super) fn labels(
    cx: &mut Context<'_>,
    at: Span,
    rules: &RuleSet,
    name: &str,
    given: &[(String, String)],
) -> Option<Labels> {
    let all: Vec<&AlertingRule> = rules.named(name).collect();
    let mut picked = all.clone();
    if different(&all, &[]) > 1 {
        picked.retain(|rule| can_have(rule, given));
    }
    match (picked.as_slice(), different(&picked, given)) {
        ([], _) if all.is_empty() => unknown(cx, at, rules, name),
        ([], _) => {
            let message = format!("no rule with the alert {} has these labels", quote(name));
            cx.error_with(at, message, format!("the rules differ in {}", differences(&all)));
        }
        ([rule, ..], 1) => return complete(cx, at, rule, given),
        (picked, _) => {
            let message = format!("{} rules have the alert {}, with different labels", picked.len(), quote(name));
            cx.error_with(at, message, format!("say in `labels` which one: they differ in {}", differences(picked)));
        }
    }
    None
}

fn unknown(cx: &mut Context<'_>, at: Span, rules: &RuleSet, name: &str) {
    let mut names: Vec<&str> = rules.names().collect();
    // Of two that are equally near, always the same one.
    names.sort_unstable();
    let hint = match closest(name, names) {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => "the name is what a rule says as `alert`".to_owned(),
    };
    cx.error_with(at, format!("no rule in `rule_files` has the alert {}", quote(name)), hint);
}

/// Whether nothing that the rule sets for certain contradicts the given labels.
fn can_have(rule: &AlertingRule, given: &[(String, String)]) -> bool {
    let known = rule.known();
    given.iter().all(|(name, value)| known.get(name).is_none_or(|certain| certain == value))
}

/// How many different sets of labels these rules lead to.
fn different(rules: &[&AlertingRule], given: &[(String, String)]) -> usize {
    rules.iter().map(|rule| together(rule, given)).collect::<BTreeSet<_>>().len()
}

/// What is certain, and what is given over that; sorted by name.
fn together(rule: &AlertingRule, given: &[(String, String)]) -> Vec<(String, String)> {
    let known = rule.known();
    let mut labels: BTreeMap<&str, &str> = known.fixed().collect();
    labels.extend(given.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn complete(cx: &mut Context<'_>, at: Span, rule: &AlertingRule, given: &[(String, String)]) -> Option<Labels> {
    let is_given = |name: &str| given.iter().any(|(known, _)| known == name);
    let mut is_complete = true;
    for label in &rule.labels {
        if label.value == LabelValue::Templated && !is_given(&label.name) {
            is_complete = false;
            let place = format!("{}:{}:{}", rule.file, label.place.line, label.place.column);
            let message = format!("the label {} of {} comes from a template", quote(&label.name), quote(&rule.name));
            cx.error_with(at, message, format!("it stands in {place}; give its value in `labels`"));
        }
    }
    let labels = together(rule, given).into_iter().filter(|(_, value)| !value.is_empty());
    is_complete.then(|| labels.collect())
}

/// The labels in which rules differ, with their values: "`severity` (`critical`, `warning`)".
fn differences(rules: &[&AlertingRule]) -> String {
    let known: Vec<_> = rules.iter().map(|rule| rule.known()).collect();
    let names: BTreeSet<&str> = known.iter().flat_map(|known| known.fixed().map(|(name, _)| name)).collect();
    let mut all = Vec::new();
    for name in names {
        let values: BTreeSet<&str> = known.iter().map(|known| known.get(name).unwrap_or_default()).collect();
        if values.len() > 1 {
            let shown = values.iter().map(|value| if value.is_empty() { "none".to_owned() } else { quote(value) });
            let mut shown: Vec<String> = shown.take(VALUES_SHOWN).collect();
            if values.len() > VALUES_SHOWN {
                shown.push("…".to_owned());
            }
            all.push(format!("{} ({})", quote(name), shown.join(", ")));
        }
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::file::{World, open};
    use crate::config::tests::folder;
    use crate::rules::{self, RuleSet};

    const RULES: &str = "groups:
- name: g
  labels: { team: db }
  rules:
  - alert: Plain
    expr: up == 0
    labels: { severity: critical }
  - alert: Selected
    expr: sum by (job, instance) (up{job='api'}) == 0
    labels: { severity: page, team: '' }
  - alert: Templated
    expr: up == 0
    labels:
      severity: warning
      tenant: '{{ $labels.tenant }}'
      shard: '{{ $labels.shard }}'
  - alert: Twice
    expr: up == 0
    labels: { severity: warning }
  - alert: Twice
    expr: up == 0
    labels: { severity: critical, page: yes }
  - alert: Same
    expr: up == 0
  - alert: Same
    expr: up == 1
";

    fn read(rules: &RuleSet, text: &str) -> Result<Vec<String>, Vec<String>> {
        let world = World { routes: "routes.yaml", receivers: None, rules: Some(rules) };
        let cases = open(text.as_bytes()).unwrap().cases(&world);
        let lines = |problems: Vec<crate::yaml::problem::Problem>| {
            problems.iter().map(|problem| problem.one_line("f")).collect::<Vec<_>>()
        };
        cases.map(|cases| cases.iter().map(|case| case.labels.to_string()).collect()).map_err(lines)
    }

    /// What becomes of a test with these keys.
    fn case(keys: &str) -> Result<String, Vec<String>> {
        let folder = folder(&[("r.yaml", RULES)]);
        let rules = rules::load(&[folder.path().join("r.yaml")]).unwrap();
        let read = read(&rules, &format!("rule_files: [r.yaml]\ntests: [{{ name: a, receivers: [],\n{keys} }}]"));
        let place = folder.path().display().to_string() + "/";
        read.map(|labels| labels.concat())
            .map_err(|lines| lines.into_iter().map(|line| line.replace(&place, "")).collect())
    }

    #[track_caller]
    fn check(keys: &str, labels: &str) {
        assert_eq!(case(keys), Ok(labels.to_owned()), "{keys}");
    }

    #[track_caller]
    fn refused(keys: &str, expected: &[&str]) {
        assert_eq!(case(keys).unwrap_err(), expected, "{keys}");
    }

    #[test]
    fn the_labels_of_a_rule_are_those_of_its_alert() {
        check("alert: Plain", r#"{alertname="Plain", severity="critical", team="db"}"#);
        check("alert: Selected", r#"{alertname="Selected", job="api", severity="page"}"#);
        check("alert: Same", r#"{alertname="Same", team="db"}"#);
    }

    #[test]
    fn labels_of_the_test_are_added_or_win() {
        check(
            "alert: Plain, labels: { severity: info, team: '', a: b }",
            r#"{a="b", alertname="Plain", severity="info"}"#,
        );
        check("alert: Same, labels: { team: web }", r#"{alertname="Same", team="web"}"#);
        check(
            "alert: Templated, labels: { tenant: x, shard: '' }",
            r#"{alertname="Templated", severity="warning", team="db", tenant="x"}"#,
        );
    }

    #[test]
    fn several_rules_with_one_name_are_told_apart() {
        check("alert: Twice, labels: { severity: warning }", r#"{alertname="Twice", severity="warning", team="db"}"#);
        check(
            "alert: Twice, labels: { page: yes, severity: critical }",
            r#"{alertname="Twice", page="yes", severity="critical", team="db"}"#,
        );
        let differ = "differ in `page` (none, `yes`), `severity` (`critical`, `warning`)";
        refused(
            "alert: Twice",
            &[&format!(
                "f:3:8: error: 2 rules have the alert `Twice`, with different labels; say in `labels` which one: they {differ}"
            )],
        );
        refused(
            "alert: Twice, labels: { severity: info }",
            &[&format!("f:3:8: error: no rule with the alert `Twice` has these labels; the rules {differ}")],
        );
    }

    #[test]
    fn what_a_template_makes_has_to_be_said() {
        let problem = |label: &str, place: &str| {
            format!(
                "f:3:8: error: the label `{label}` of `Templated` comes from a template; it stands in {place}; give its value \
                 in `labels`"
            )
        };
        let (tenant, shard) = (problem("tenant", "r.yaml:15:15"), problem("shard", "r.yaml:16:14"));
        refused("alert: Templated", &[&shard, &tenant]);
        refused("alert: Templated, labels: { shard: one }", &[&tenant]);
    }

    #[test]
    fn an_alert_is_one_that_there_is() {
        refused("alert: Plan", &["f:3:8: error: no rule in `rule_files` has the alert `Plan`; did you mean `Plain`?"]);
        refused(
            "alert: NobodyKnows",
            &[
                "f:3:8: error: no rule in `rule_files` has the alert `NobodyKnows`; the name is what a rule says as `alert`",
            ],
        );
        refused("alert: [Plain]", &["f:3:8: error: `alert` must be a single value, and this is a list"]);
        let rules = rules::load(&[]).unwrap();
        assert_eq!(
            read(&rules, "tests: [{ name: a, receivers: [], alert: Plain }]").unwrap_err(),
            [
                "f:1:35: error: `alert` needs `rule_files`; add `rule_files: [../rules]` at the top of the file, or give `labels` alone"
            ]
        );
        assert_eq!(
            read(&rules, "rule_files: []\ntests: [{ name: a, receivers: [], labels: {a: b} }]").unwrap_err(),
            ["f:1:13: error: `rule_files` must not be empty; name a rule file, or a folder of them"]
        );
        assert_eq!(
            read(&rules, "rule_files: x\ntests: [{ name: a, receivers: [], labels: {a: b} }]").unwrap_err(),
            ["f:1:13: error: `rule_files` must be a list, and this is a single value; write `[../rules]`"]
        );
    }
}
