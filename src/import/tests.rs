//! What becomes of a file, feature by feature: the output without its head, then the problems.

use super::*;
use crate::config::{self, secret::System};

mod routes;
mod services;

/// Stands for every secret; it must never be seen.
const MARK: &str = "s3cr3tmarker";

fn run(text: &str, keep_secrets: bool) -> (Option<Imported>, Vec<Problem>) {
    let options = Options { file: "alertmanager.yml".to_owned(), keep_secrets };
    let (imported, problems) = import(text.as_bytes(), &options);
    for problem in &problems {
        let shown = problem.render("f");
        assert!(!shown.contains(MARK), "{shown}");
    }
    if let Some(Imported { text, variables }) = &imported {
        assert!(keep_secrets || !text.contains(MARK), "{text}");
        let (config, problems) = config::parse(text.as_bytes(), &config::Options::without_secrets(), &System);
        assert!(config.is_some(), "{problems:?}\n{text}");
        // The list is complete.
        for name in text.split("{ env: ").skip(1).filter_map(|rest| rest.split_once(" }")).map(|(name, _)| name) {
            assert!(name.contains('…') || variables.iter().any(|variable| variable.name == name), "{name}\n{text}");
        }
    }
    (imported, problems)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line("f") + "\n").collect()
}

/// Everything from `receivers:` on, or from the first line that is no comment; then the problems.
fn body(text: &str) -> String {
    let (imported, problems) = run(text, false);
    let text = imported.map(|imported| imported.text).unwrap_or_default();
    let start = text.find("receivers:\n  - ").unwrap_or_default();
    format!("{}\n{}", &text[start..], lines(&problems))
}

/// The part of one receiver, and the problems.
fn receiver(name: &str, rest: &str) -> String {
    let text = format!("receivers:\n- name: '{name}'\n{rest}route: {{receiver: '{name}'}}\n");
    let body = body(&text);
    let (receivers, problems) = body.split_once("\nroute:\n").unwrap_or(("", &body));
    let problems = problems.split_once("\n\n").map_or(problems, |(_, problems)| problems);
    format!("{}\n\n{problems}", receivers.trim_start_matches("receivers:\n"))
}

/// The part of the tree, and the problems. There are the receivers a (a webhook), b (Slack and PagerDuty) and none.
fn tree(route: &str) -> String {
    let text = format!(
        "receivers:\n- {{name: a, webhook_configs: [{{url: $A}}]}}\n\
         - {{name: b, slack_configs: [{{api_url: $B, send_resolved: true}}], pagerduty_configs: [{{routing_key: $C}}]}}\n\
         - name: none\nroute:\n{route}"
    );
    let body = body(&text);
    let warning = "f:3:86: warning: one incident for each alert here, for each group in Alertmanager; an alert that joins a \
                   group opens an incident of its own\n";
    let body = body.replace(warning, "");
    body.split_once("\nroute:\n").map_or(body.clone(), |(_, tree)| tree.to_owned())
}

#[test]
fn a_whole_file() {
    let text = include_str!("example.yml");
    let (imported, problems) = run(text, false);
    insta::assert_snapshot!(imported.unwrap().text);
    insta::assert_snapshot!(
        "a_whole_file_problems",
        problems.iter().map(|problem| problem.render("alertmanager.yml") + "\n\n").collect::<String>()
    );
}

#[test]
fn secrets_can_be_kept() {
    let text = format!(
        "receivers: [{{name: a, slack_configs: [{{api_url: 'https://hooks.slack.com/{MARK}'}}], webhook_configs: [{{url: <secret>}}, {{url: $HOOK}}]}}]\n\
         route: {{receiver: a}}"
    );
    let (imported, problems) = run(&text, true);
    let Imported { text, variables } = imported.unwrap();
    assert_eq!(problems, []);
    assert!(text.contains(&format!("webhook_url: 'https://hooks.slack.com/{MARK}'\n")), "{text}");
    let names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["A_WEBHOOK_URL", "HOOK"]);
    assert!(text.contains("This file holds secrets"), "{text}");
}

#[test]
fn everything_that_leaves_routing_unclear_is_said_at_once() {
    insta::assert_snapshot!(body(
        r#"receivers:
- {name: a, webhook_configs: [{url: $A}]}
- {name: a}
- webhook_configs: {url: x}
- name: null
- x
- {name: c, name: d, slack_configs: [s3cr3tmarker, {send_resolved: maybe}]}
route:
  matchers: [a=b]
  routes:
  - receiver: A
    matchers: [a=~"(", b==c]
    match_re: {x: '[', '': y, z: [1], n: , a: b, a: c}
    continue: maybe
  - receiver: nobody
    matchers: a=b
    repeat_interval: soon
    match: x
  - null
  - routes: {}
"#
    ));
}

#[test]
fn a_null_is_no_name() {
    let text = "receivers: [{name: a, webhook_configs: [{url: $A}]}]\nroute: {receiver: a, routes: [{receiver: null, matchers: [a=b]}]}";
    insta::assert_snapshot!(body(text));
    assert!(
        body("receivers: []\nroute: {receiver: null}")
            .contains("f:2:9: error: the root needs a `receiver`; `null` without quotes")
    );
}

#[test]
fn unknown_keys_are_warned_of() {
    insta::assert_snapshot!(body(
        "x-y: {}
s3cr3tmarker1: {}
global: {new_thing: x, resolve_timeout: 5m, opsgenie_api_key: s3cr3tmarker, http_config: {proxy_url: x}}
receivers: [{name: a, flavour: x, webhook_configs: [{url: $A, s3cr3tmarker: 1}]}]
route: {receiver: a, weight: 1, continue: true, mute_time_intervals: [x]}
"
    ));
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    insta::assert_snapshot!(body(
        "receivers:
- {name: a, slack_configs: [&s {api_url: https://hooks.slack.com/s3cr3tmarker, send_resolved: true}]}
- {name: b, slack_configs: [{<<: *s, channel: x}]}
route:
  receiver: a
  routes:
  - &r {matchers: &m [a=b], receiver: b}
  - {<<: *r, matchers: [c=d]}
  - {matchers: *m}
"
    ));
}

#[test]
fn what_is_no_such_file() {
    let check = |text: &str, expected: &str| assert_eq!(lines(&run(text, false).1), expected);
    check("", "f:1:1: error: the file is empty; it needs at least `receivers` and `route`\n");
    check("- a", "f:1:1: error: the file must be a map, and this is a list\n");
    check(
        "groups: []",
        "f:1:1: error: the file has no `route`; is it an alertmanager.yml?\nf:1:1: warning: unknown key `groups` in the file; it is left out; is it a slip, or from a newer Alertmanager?\n",
    );
    check(
        "route: {}\n---\nroute: {}",
        "f:3:1: error: cannot be read as YAML: only single YAML document expected but multiple found; remove `---` and what follows it\n",
    );
    check(
        "route: {receiver: {{ .Values.x }}}",
        "f:1:19: error: `receiver` must be a single value, and this is a map\n",
    );
}

#[test]
fn a_classic_matcher_is_kept() {
    let got = tree("  receiver: a\n  routes: [{receiver: b, matchers: ['a=~\"\\d+\"', 'b = c d']}]\n");
    let odd = tree("  receiver: a\n  routes: [{receiver: b, matchers: ['{a=b} ']}, {matchers: [\"a=b\\n\"]}]\n");
    assert!(odd.contains("matchers: ['{a=b} ']\n") && odd.contains("matchers: [a=b]\n"), "{odd}");
    assert!(got.contains("- a=~\"\\d+\"\n") && got.contains("- b = c d\n") && !got.contains("f:"), "{got}");
}

#[test]
fn names_that_we_do_not_take() {
    let got = body("receivers: [{name: \" a\\tb\", webhook_configs: [{url: $A}]}]\nroute: {receiver: \" a\\tb\"}");
    assert!(got.contains("- name: a_b\n") && got.contains("receivers: [a_b]"), "{got}");
    assert!(
        got.contains("f:1:20: warning: the name ` a\\tb` is not taken here; the receiver is called `a_b`"),
        "{got}"
    );
}

proptest::proptest! {
    #[test]
    fn never_panics_never_leaks_and_is_always_read(
        text in r##"(receivers:|route:|name|slack_configs|webhook_configs|api_url|url|s3cr3tmarker|receiver|matchers|match|'a=b'|global|null|[:,{}\[\]'"#&*-]|: |- |\n|\n  |  |é){0,40}"##
    ) {
        let _ = run(&text, false);
    }

    #[test]
    fn a_secret_anywhere_in_a_sound_file_is_not_shown(place in 0..24_usize, replacement in proptest::sample::select(vec![MARK, "{s3cr3tmarker: 1}", "[s3cr3tmarker]"])) {
        let text = "global: {slack_api_url: P, smtp_auth_password: P, http_config: {basic_auth: {password: P}}}
receivers:
- {name: a, slack_configs: [{api_url: P, title: P, fields: P, http_config: P}], pagerduty_configs: [{routing_key: P, service_key: P, url: P, details: P}]}
- {name: b, webhook_configs: [{url: P, url_file: /x, payload: P, http_config: {authorization: {credentials: P}}}], email_configs: [{auth_password: P, html: P}]}
- {name: c, telegram_configs: [{bot_token: P}], new_configs: [P], victorops_configs: [{routing_key: P}], opsgenie_configs: P}
route: {receiver: a, labels: P}
templates: P
x: P
";
        let parts: Vec<_> = text.split('P').collect();
        let place = place % (parts.len() - 1);
        let filled: String = parts.iter().enumerate().map(|(at, part)| {
            let value = if at == place { replacement } else { "x" };
            if at + 1 == parts.len() { (*part).to_owned() } else { format!("{part}{value}") }
        }).collect();
        let _ = run(&filled, false);
    }
}

#[test]
fn what_a_last_route_takes_anyway_is_not_dropped_once_more() {
    let open = tree("  receiver: none\n  routes: [{receiver: a, matchers: [x=y]}]\n");
    assert!(open.contains("receivers: []") && open.contains("what no route takes is dropped"), "{open}");
    let closed = tree("  receiver: none\n  routes: [{receiver: a, matchers: [x=y]}, {receiver: b}]\n");
    assert!(!closed.contains("receivers: []") && !closed.contains("is dropped"), "{closed}");
}
